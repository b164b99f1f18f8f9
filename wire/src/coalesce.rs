//! Coalescing of frames out of a tunnel into one GSO frame, by the rules of Linux' GRO.
//!
//! ```text
//! | prefix | headers | size |  | prefix | headers | size |  | prefix | headers | rest |
//! | prefix | headers | size | size | rest |
//! ```
//!
//! The frames lie in one buffer at equal distances, as `UDP_GRO` (udp(7)) delivers datagrams; the prefix is the
//! tunnel's header. A *run* is the frames at the start of the buffer that become one: equal prefix, Ethernet
//! header, tags and IP header (but for length, identification and checksum), equal ports, contiguous payloads of
//! one size; the last may be shorter. In detail, after `inet_gro_receive`, `ipv6_gro_receive`, `tcp_gro_receive`
//! and `udp_gro_receive_segment`:
//!
//! - IPv4 has no options, its checksum is right, and the identification counts up, or DF is set and it means
//!   nothing (RFC 6864 section 4.1). IPv6 has no extension headers. Fragments and padding end a run.
//! - TCP: contiguous sequence numbers; equal acknowledgement, window, urgent pointer and options. ACK is set; a
//!   first frame with CWR, and a last frame with PSH or FIN are taken; SYN, RST and URG are not. No empty payload.
//! - UDP, where asked for: [`UDP_COALESCED_MAX`] datagrams at most.
//! - The transport checksum is right, or partial ([`crate::offload`]); UDP without one is left alone.
//! - No packet is longer than the MTU: a longer one was never segmented.
//!
//! A frame without a companion is a run of one: its checksum is not verified, which is left to the receiver.

use core::ops::Range;

use crate::bytes::{be16, be32, put16};
use crate::checksum::{add, sum};
use crate::ipv6;
use crate::limits::UDP_COALESCED_MAX;
use crate::offload::{self, Headers};
use crate::tcp::Flags;
use crate::vnet::Header;

#[cfg(test)]
mod tests;

/// Longest IP packet, in bytes: IPv4's. IPv6's is 40 bytes longer, which nobody needs.
const PACKET_MAX: usize = 65_535;

/// IPv4's version, and a header of five words.
const IPV4_PLAIN: u8 = 0x45;

/// IPv4's DF, in the byte that holds the flags.
const DONT_FRAGMENT: u8 = 0x40;

/// How frames lie in a buffer, and what of them may be coalesced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes in front of each frame.
    pub prefix: usize,
    /// Bytes from one prefix to the next; 0: there is one frame. The last frame may be shorter.
    pub stride: usize,
    /// Coalesce UDP as well: the receiver takes `UDP_L4`.
    pub udp: bool,
    /// MTU in bytes of IP packet, for a frame that was never segmented: see [`offload::received`].
    pub mtu: u32,
}

/// A run that has become one frame. It lies where the first frame was, behind its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Frames in the run, at least 1.
    pub frames: usize,
    /// Bytes of the buffer that the run took: the next one begins here.
    pub taken: usize,
    /// Bytes of the one frame, without prefix.
    pub len: usize,
    /// Its virtio-net header. GSO with a partial checksum for a run of several frames.
    pub vnet: Header,
}

/// Coalesces the first run of `buffer` in place. `None` if the buffer holds no more than a prefix.
///
/// Only bytes of the run change. The next run is at `&mut buffer[run.taken..]`.
pub fn in_place(buffer: &mut [u8], layout: Layout) -> Option<Run> {
    let first = layout.first(buffer.len())?;
    let Some(mut open) = OpenRun::new(buffer, layout) else {
        return Some(layout.single(&buffer[first.clone()], first.end));
    };
    while let Some(payload) = open.accept(buffer, usize::MAX) {
        let to = first.start + open.len - payload.len();
        buffer.copy_within(payload, to);
    }
    Some(open.finish(&mut buffer[first.start..]))
}

/// Copies the first run of `buffer` to the start of `out` as one frame, without a prefix. `None` if the buffer holds
/// no more than a prefix, or `out` is shorter than the first frame. A run ends where `out` is full.
pub fn copy(buffer: &[u8], layout: Layout, out: &mut [u8]) -> Option<Run> {
    let first = layout.first(buffer.len())?;
    out.get_mut(..first.len())?.copy_from_slice(&buffer[first.clone()]);
    let Some(mut open) = OpenRun::new(buffer, layout) else {
        return Some(layout.single(&buffer[first.clone()], first.end));
    };
    while let Some(payload) = open.accept(buffer, out.len()) {
        let to = open.len - payload.len();
        out[to..open.len].copy_from_slice(&buffer[payload]);
    }
    Some(open.finish(out))
}

impl Layout {
    /// The frame behind the prefix at the start of a buffer of `len` bytes.
    fn first(&self, len: usize) -> Option<Range<usize>> {
        self.frame_at(0, len)
    }

    /// The frame behind the prefix at `start`.
    #[inline]
    fn frame_at(&self, start: usize, len: usize) -> Option<Range<usize>> {
        let end = if self.stride == 0 { len } else { len.min(start.checked_add(self.stride)?) };
        let start = start.checked_add(self.prefix)?;
        (start < end).then_some(start..end)
    }

    /// A run of one frame.
    fn single(&self, frame: &[u8], taken: usize) -> Run {
        Run { frames: 1, taken, len: frame.len(), vnet: offload::received(frame, self.mtu) }
    }
}

/// A run that may grow.
struct OpenRun {
    layout: Layout,
    /// Where all frames have their headers.
    headers: Headers,
    /// Bytes of the first frame. None is longer, since all lie at one distance.
    first_len: usize,
    frames: usize,
    taken: usize,
    /// Bytes of the one frame so far.
    len: usize,
    /// TCP flags of the one frame so far.
    flags: Flags,
    /// The last frame has been taken.
    closed: bool,
}

impl OpenRun {
    /// `None` where the first frame can have no companion.
    fn new(buffer: &[u8], layout: Layout) -> Option<Self> {
        let first = layout.first(buffer.len())?;
        let frame = &buffer[first.clone()];
        let headers = Headers::parse(frame)?;
        let padded = headers.end != frame.len();
        let never_segmented = headers.end - headers.l3 > layout.mtu as usize;
        if padded || !(headers.tcp || layout.udp) {
            return None;
        }
        let flags = if headers.tcp { Flags(frame[headers.l4 + 13]) } else { Flags::ACK };
        let fits = (flags.0 & !Flags::CWR.with(Flags::ECE).0) == Flags::ACK.0;
        let options = !headers.v6 && frame[headers.l3] != IPV4_PLAIN;
        (fits && !options && !never_segmented).then_some(Self {
            layout,
            headers,
            first_len: frame.len(),
            frames: 1,
            taken: first.end,
            len: frame.len(),
            flags,
            closed: false,
        })
    }

    /// Takes the next frame into the run if it belongs there and the whole stays within `room` bytes. Returns its
    /// payload in `buffer`, which is to be appended: [`len`](Self::len) includes it. In `buffer`, all is as it was
    /// but for the payload of the frames that were taken.
    fn accept(&mut self, buffer: &[u8], room: usize) -> Option<Range<usize>> {
        let range = self.layout.frame_at(self.taken, buffer.len())?;
        let headers = self.headers;
        let first = self.layout.prefix..self.layout.prefix + self.first_len;
        let payload_len = range.len().checked_sub(headers.header_len)?;
        let len = self.len + payload_len;
        let fits = payload_len != 0 && len <= room;
        if self.closed || !fits || len - headers.l3 > PACKET_MAX {
            return None;
        }
        let (start, frame) = (&buffer[first], &buffer[range.clone()]);
        let prefix = &buffer[range.start - self.layout.prefix..range.start];
        if prefix != &buffer[..self.layout.prefix]
            || !self.continues(start, frame)
            || self.frames == 1 && !is_right(&headers, start)
            || !is_right(&headers, frame)
        {
            return None;
        }
        self.flags =
            self.flags.with(if headers.tcp { Flags(frame[headers.l4 + 13]) } else { Flags(0) });
        self.frames += 1;
        self.closed = range.len() < self.first_len
            || self.flags.intersects(Flags::PSH.with(Flags::FIN))
            || !headers.tcp && self.frames == UDP_COALESCED_MAX;
        (self.taken, self.len) = (range.end, len);
        Some(range.start + headers.header_len..range.end)
    }

    /// The headers of `frame` are those of the `first` one, advanced to the end of the run.
    #[inline]
    fn continues(&self, first: &[u8], frame: &[u8]) -> bool {
        let Headers { l3, l4, header_len, v6, tcp, .. } = self.headers;
        let equal = |range: Range<usize>| first[range.clone()] == frame[range];
        let ip = match v6 {
            true => {
                let len = usize::from(be16(frame, l3 + 4..l3 + 6)) + ipv6::HEADER_LEN;
                len == frame.len() - l3 && equal(0..l3 + 4) && equal(l3 + 6..l4 + 4)
            }
            false => {
                let len = usize::from(be16(frame, l3 + 2..l3 + 4));
                let ident = be16(first, l3 + 4..l3 + 6).wrapping_add(self.frames as u16);
                let counts =
                    frame[l3 + 6] & DONT_FRAGMENT != 0 || be16(frame, l3 + 4..l3 + 6) == ident;
                len == frame.len() - l3
                    && counts
                    && equal(0..l3 + 2)
                    && equal(l3 + 6..l3 + 10)
                    && equal(l3 + 12..l4 + 4)
            }
        };
        if !tcp {
            return ip && usize::from(be16(frame, l4 + 4..l4 + 6)) == frame.len() - l4;
        }
        let seq = be32(first, l4 + 4..l4 + 8).wrapping_add((self.len - header_len) as u32);
        let flags = Flags(frame[l4 + 13] & !Flags::PSH.with(Flags::FIN).0);
        ip && be32(frame, l4 + 4..l4 + 8) == seq
            && flags.0 == self.flags.0 & !Flags::CWR.0
            && equal(l4 + 8..l4 + 13)
            && equal(l4 + 14..l4 + 16)
            && equal(l4 + 18..header_len)
    }

    /// Writes the headers of the one frame, which `frame` begins with.
    fn finish(self, frame: &mut [u8]) -> Run {
        let Self { headers, frames, taken, len, .. } = self;
        if frames == 1 {
            return Run { frames, ..self.layout.single(&frame[..len], taken) };
        }
        headers.set_lengths(frame, len);
        if !headers.v6 {
            let ip = &mut frame[headers.l3..headers.l4];
            put16(ip, 10..12, 0);
            put16(ip, 10..12, !sum(ip));
        }
        if headers.tcp {
            frame[headers.l4 + 13] = self.flags.0;
        }
        let pseudo = headers.pseudo(frame, (len - headers.l4) as u16);
        headers.set_checksum(frame, pseudo);
        let gso_ecn = headers.tcp && self.flags.contains(Flags::CWR);
        let vnet = headers.vnet((self.first_len - headers.header_len) as u16);
        Run { frames, taken, len, vnet: Header { gso_ecn, ..vnet } }
    }
}

/// The checksums of a frame without padding are right, or the transport's is partial.
fn is_right(headers: &Headers, frame: &[u8]) -> bool {
    let Headers { l3, l4, v6, .. } = *headers;
    if !v6 && sum(&frame[l3..l4]) != 0xffff {
        return false;
    }
    let field = headers.checksum(frame);
    let pseudo = headers.pseudo(frame, (frame.len() - l4) as u16);
    field == pseudo || add(pseudo, sum(&frame[l4..])) == 0xffff
}
