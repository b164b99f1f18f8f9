//! Many datagrams in one system call (`recvmmsg(2)`, `sendmmsg(2)`).

use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libc::{c_int, c_uint};

use super::message::Message;
use crate::datagram::{self, Header, Part};
use crate::limits::DATAGRAM_BATCH_MAX;
use crate::pool::{Frame, Pool};

/// Memory of the calls.
pub(crate) struct Batch {
    messages: Box<[Message]>,
    headers: Box<[libc::mmsghdr]>,
}

impl Batch {
    pub(crate) fn new() -> Self {
        // SAFETY: all fields are integers and raw pointers, for which zeros are valid.
        let header = || unsafe { mem::zeroed() };
        Self {
            messages: (0..DATAGRAM_BATCH_MAX).map(|_| Message::new()).collect(),
            headers: (0..DATAGRAM_BATCH_MAX).map(|_| header()).collect(),
        }
    }

    /// Receives without waiting into the first frames, whose lengths bound the datagrams. Writes the header
    /// of each, and sets its length; 0: the datagram was longer. Returns the number, or a positive error
    /// number.
    pub(crate) fn receive(
        &mut self,
        fd: BorrowedFd<'_>,
        pool: &mut Pool,
        frames: &mut [Frame],
    ) -> Result<usize, i32> {
        let count = frames.len().min(DATAGRAM_BATCH_MAX);
        for ((frame, message), header) in
            frames.iter().zip(&mut self.messages).zip(&mut self.headers).take(count)
        {
            let Some(payload) = pool.bytes_mut(frame).and_then(|b| b.get_mut(datagram::LEN..))
            else {
                return Err(libc::EINVAL);
            };
            let (start, len) = (payload.as_mut_ptr(), payload.len());
            message.receive(start, len);
            header.msg_hdr = *message.header_mut();
        }
        let (headers, timeout) = (self.headers.as_mut_ptr(), ptr::null_mut());
        let flags = libc::MSG_DONTWAIT;
        // SAFETY: `count` headers point to as many messages, which lie still in their box, and to the
        // buffers of `frames`, which have this one holder, so that nobody else sees the kernel write.
        let received = unsafe {
            libc::recvmmsg(fd.as_raw_fd(), headers, count as c_uint, flags as _, timeout)
        };
        let received = checked(received)?;
        for ((frame, message), header) in
            frames.iter_mut().zip(&mut self.messages).zip(&self.headers).take(received)
        {
            *message.header_mut() = header.msg_hdr;
            let len = header.msg_len as usize;
            let written = match (message.received(len), pool.bytes_mut(frame)) {
                (Some(header), Some(bytes)) => header.write(bytes),
                _ => false,
            };
            frame.set_len(if written { datagram::LEN + len } else { 0 });
        }
        Ok(received)
    }

    /// Sends parts of frames without waiting, each to the peer of its frame's header. Returns how many were
    /// sent, one at least, or the positive error number of the first.
    pub(crate) fn send<'a>(
        &mut self,
        fd: BorrowedFd<'_>,
        pool: &Pool,
        parts: impl Iterator<Item = (&'a Frame, Header, Part)>,
    ) -> Result<usize, i32> {
        let mut count = 0;
        for (((frame, to, part), message), header) in
            parts.zip(&mut self.messages).zip(&mut self.headers)
        {
            let Some(payload) = part.of(pool.bytes(frame)) else { break };
            message.send(&to, payload.as_ptr().cast_mut(), payload.len(), part.segment);
            header.msg_hdr = *message.header_mut();
            count += 1;
        }
        if count == 0 {
            // `sendmmsg(2)` of nothing succeeds, and its caller would try for ever.
            return Err(libc::EINVAL);
        }
        let headers = self.headers.as_mut_ptr();
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: `count` headers point to as many messages, which lie still in their box, and to bytes of
        // frames, which `parts` borrowed from before; the kernel only reads those.
        let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), headers, count as c_uint, flags as _) };
        checked(sent)
    }
}

fn checked(result: c_int) -> Result<usize, i32> {
    usize::try_from(result)
        .map_err(|_| std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}
