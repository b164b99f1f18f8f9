//! IPv4 fragmentation (RFC 791 section 3.2, RFC 1812 section 4.2.2.7).
//!
//! ```text
//! | Ethernet | IP, options | payload                                  |
//! | Ethernet | IP, options | 8 n bytes | | Ethernet | IP, copied options | 8 n bytes | ...
//! ```
//!
//! Fragments may be fragmented again. Options that later fragments omit become no-operations, so that all
//! headers have one length. IPv6 routers never fragment. The caller first completes a partial checksum
//! ([`crate::checksum::complete_partial`]), and segments a GSO frame instead.

use crate::ipv4::{HEADER_LEN, HEADER_LEN_MAX, Ipv4Option, Packet};
use crate::{L3, Meta};

#[cfg(test)]
mod tests;

/// The unit of fragment offsets, in bytes.
const UNIT: usize = 8;

/// No-operation, an option of one byte.
const NO_OPERATION: u8 = 1;

/// An obstacle to fragmentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FragmentationError {
    /// Not IPv4.
    #[error("{0:?} packet: only IPv4 packets are fragmented by routers")]
    NotIpv4(L3),
    /// DF is set.
    #[error("packet with don't-fragment: answer with the MTU")]
    DontFragment,
    /// Options are unreadable.
    #[error("options that cannot be read")]
    Options,
    /// A fragment of invalid length.
    #[error("fragment that ends at byte {0} of its packet, beyond 65535")]
    End(usize),
    /// The MTU is below header and eight bytes.
    #[error("MTU of {mtu} bytes leaves no room behind a header of {header_len}")]
    Mtu {
        /// The MTU.
        mtu: u32,
        /// Bytes of the IP header.
        header_len: usize,
    },
}

/// An iterator over a packet's fragments.
#[derive(Clone, Debug)]
pub struct Fragmenter<'a> {
    /// Ethernet header and tags.
    link: &'a [u8],
    /// IP header of the next fragment; length, offset and checksum change.
    header: [u8; HEADER_LEN_MAX],
    header_len: usize,
    rest: &'a [u8],
    /// Offset of `rest` in the original payload.
    offset: usize,
    /// The original has more fragments after it.
    more: bool,
    step: usize,
}

/// Splits a packet into fragments of at most `mtu` bytes of IP packet.
///
/// # Errors
/// [`FragmentationError`].
pub fn fragment_ipv4<'a>(
    meta: &Meta,
    ethernet: &'a [u8],
    mtu: u32,
) -> Result<Fragmenter<'a>, FragmentationError> {
    let packet = meta.l3_bytes(ethernet);
    let Ok(ip) = Packet::new_checked(packet) else {
        return Err(FragmentationError::NotIpv4(meta.l3));
    };
    if meta.l3 != L3::Ipv4 {
        return Err(FragmentationError::NotIpv4(meta.l3));
    }
    if ip.dont_fragment() {
        return Err(FragmentationError::DontFragment);
    }
    if ip.options().any(|option| option.is_err()) {
        return Err(FragmentationError::Options);
    }
    let end = usize::from(ip.fragment_offset()) + ip.payload().len();
    if end > usize::from(u16::MAX) {
        return Err(FragmentationError::End(end));
    }
    let header_len = ip.header_len();
    let room = (mtu as usize).saturating_sub(header_len) / UNIT * UNIT;
    if room == 0 {
        return Err(FragmentationError::Mtu { mtu, header_len });
    }
    let mut header = [0; HEADER_LEN_MAX];
    header[..header_len].copy_from_slice(&packet[..header_len]);
    Ok(Fragmenter {
        link: &ethernet[..usize::from(meta.l3_offset)],
        header,
        header_len,
        rest: &packet[header_len..usize::from(ip.total_len())],
        offset: ip.fragment_offset().into(),
        more: ip.more_fragments(),
        step: room,
    })
}

impl Fragmenter<'_> {
    /// Length of the next fragment's frame; `None` after the last.
    pub fn next_len(&self) -> Option<usize> {
        let payload = self.rest.len().min(self.step);
        (payload != 0).then_some(self.link.len() + self.header_len + payload)
    }

    /// Writes the next fragment's frame to `buffer` and returns its length; `None` after the last, or if
    /// `buffer` is shorter than [`next_len`](Self::next_len).
    pub fn write_next(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let len = self.next_len()?;
        let frame = buffer.get_mut(..len)?;
        let (payload, rest) = self.rest.split_at(self.rest.len().min(self.step));
        let (link, packet) = frame.split_at_mut(self.link.len());
        let (header, body) = packet.split_at_mut(self.header_len);
        link.copy_from_slice(self.link);
        header.copy_from_slice(&self.header[..self.header_len]);
        body.copy_from_slice(payload);
        if let Ok(mut ip) = Packet::new_quoted(packet) {
            ip.set_total_len((self.header_len + payload.len()) as u16);
            ip.set_fragment(false, self.more || !rest.is_empty(), self.offset as u16);
            ip.fill_checksum();
        }
        self.rest = rest;
        self.offset += payload.len();
        self.drop_uncopied();
        Some(len)
    }

    /// Replaces the options of the first fragment only by no-operations.
    fn drop_uncopied(&mut self) {
        let mut at = HEADER_LEN;
        while at < self.header_len {
            let kind = self.header[at];
            let len = match kind {
                0 => return,
                NO_OPERATION => 1,
                _ => usize::from(*self.header.get(at + 1).unwrap_or(&0)).max(2),
            };
            let end = (at + len).min(self.header_len);
            if !(Ipv4Option { kind, data: &[] }).is_copied() {
                self.header[at..end].fill(NO_OPERATION);
            }
            at = end;
        }
    }
}
