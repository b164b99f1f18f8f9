//! Answers to SCTP packets of no association (RFC 9260 section 8.4).

use crate::checksum::crc32c;
use crate::ports::SCTP_HEADER_LEN;

#[cfg(test)]
mod tests;

/// Bytes of an answer: the common header, and a chunk without a value.
pub const ANSWER_LEN: usize = SCTP_HEADER_LEN + CHUNK_HEADER_LEN;

/// Bytes of a chunk's type, flags and length.
const CHUNK_HEADER_LEN: usize = 4;

const INIT: u8 = 1;
const ABORT: u8 = 6;
const SHUTDOWN_ACK: u8 = 8;
const ERROR: u8 = 9;
const COOKIE_ACK: u8 = 11;
const SHUTDOWN_COMPLETE: u8 = 14;

/// The flag T: the tag is that of the packet, not of its receiver.
const REFLECTED: u8 = 1;

/// The answer to a packet that belongs to no association: ABORT, or SHUTDOWN COMPLETE after SHUTDOWN ACK. None to a
/// packet that ends or confirms one, reports an error, or is malformed.
pub fn out_of_the_blue(packet: &[u8]) -> Option<[u8; ANSWER_LEN]> {
    let (header, chunks) = packet.split_first_chunk::<SCTP_HEADER_LEN>()?;
    let [s0, s1, d0, d1, t0, t1, t2, t3, ..] = *header;
    let tag = [t0, t1, t2, t3];
    let (kind, flags, tag) = match *chunks.first()? {
        // Its tag is 0; that of its sender comes first in the chunk.
        INIT if tag == [0; 4] => (ABORT, 0, *chunks.get(CHUNK_HEADER_LEN..)?.first_chunk::<4>()?),
        INIT | ERROR | COOKIE_ACK | SHUTDOWN_COMPLETE => return None,
        SHUTDOWN_ACK => (SHUTDOWN_COMPLETE, REFLECTED, tag),
        _ if has_abort(chunks) => return None,
        _ => (ABORT, REFLECTED, tag),
    };
    let mut answer = [0; ANSWER_LEN];
    answer[..4].copy_from_slice(&[d0, d1, s0, s1]);
    answer[4..8].copy_from_slice(&tag);
    answer[SCTP_HEADER_LEN..].copy_from_slice(&[kind, flags, 0, CHUNK_HEADER_LEN as u8]);
    let crc = crc32c(&answer);
    answer[8..12].copy_from_slice(&crc.to_le_bytes());
    Some(answer)
}

fn has_abort(mut chunks: &[u8]) -> bool {
    while let [kind, _, high, low, ..] = *chunks {
        if kind == ABORT {
            return true;
        }
        let len = usize::from(u16::from_be_bytes([high, low])).next_multiple_of(4);
        if len < CHUNK_HEADER_LEN {
            return false;
        }
        chunks = chunks.get(len..).unwrap_or_default();
    }
    false
}
