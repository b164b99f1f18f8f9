//! Queries that are plain enough for a worker (RFC 1035, 4.1; RFC 6891, 6.1).

use crate::dns::limits::{PLAIN_UDP_ANSWER_MAX, UDP_ANSWER_MAX};
use crate::dns::names::Asked;

/// Bytes of a message's header.
pub(super) const HEADER_LEN: usize = 12;

/// Longest name in bytes, as text.
const NAME_MAX: usize = 254;

/// The header's flags that a plain query may have; of them the answer has RD and CD.
pub(super) const RECURSION_DESIRED: u16 = 0x0100;
pub(super) const CHECKING_DISABLED: u16 = 0x0010;
const AUTHENTIC_DATA: u16 = 0x0020;

/// The flag of an EDNS record by which a client wants DNSSEC records.
pub(super) const DNSSEC_OK: u16 = 0x8000;

const CLASS_IN: u16 = 1;

/// The EDNS record of a query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edns {
    payload: u16,
    pub(super) flags: u16,
}

/// A query for addresses of one name.
#[derive(Debug)]
pub(super) struct Plain<'a> {
    pub(super) id: [u8; 2],
    pub(super) flags: u16,
    /// Name, type and class as they came.
    pub(super) question: &'a [u8],
    /// A or AAAA.
    pub(super) asked: Asked,
    pub(super) edns: Option<Edns>,
    text: [u8; NAME_MAX],
    text_len: usize,
}

impl<'a> Plain<'a> {
    /// Reads a query; nothing if it is not plain.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.first_chunk::<HEADER_LEN>()?;
        let number = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let flags = number(2);
        if flags & !(RECURSION_DESIRED | AUTHENTIC_DATA | CHECKING_DISABLED) != 0 {
            return None;
        }
        if [number(4), number(6), number(8)] != [1, 0, 0] {
            return None;
        }
        let mut text = [0; NAME_MAX];
        let (text_len, name_len) = name(&bytes[HEADER_LEN..], &mut text)?;
        let (question, rest) = bytes[HEADER_LEN..].split_at_checked(name_len + 4)?;
        let [.., type_high, type_low, class_high, class_low] = *question else { return None };
        let asked = match u16::from_be_bytes([type_high, type_low]) {
            1 => Asked::A,
            28 => Asked::Aaaa,
            _ => return None,
        };
        let edns = match number(10) {
            0 if rest.is_empty() => None,
            1 => Some(edns(rest)?),
            _ => return None,
        };
        let is_in = u16::from_be_bytes([class_high, class_low]) == CLASS_IN;
        let id = [header[0], header[1]];
        is_in.then_some(Self { id, flags, question, asked, edns, text, text_len })
    }

    /// The name in lower case, without the last dot.
    pub(super) fn name(&self) -> &str {
        std::str::from_utf8(&self.text[..self.text_len]).unwrap_or_default()
    }

    /// Longest answer in bytes.
    pub(super) fn answer_max(&self) -> usize {
        let asked = self.edns.map_or(0, |edns| edns.payload);
        asked.clamp(PLAIN_UDP_ANSWER_MAX, UDP_ANSWER_MAX).into()
    }
}

/// Writes a name as text; gives the lengths of text and name. Nothing for the root, for a label that is not of
/// visible ASCII or has a dot, and for what is no name.
fn name(bytes: &[u8], text: &mut [u8; NAME_MAX]) -> Option<(usize, usize)> {
    let (mut at, mut len) = (0, 0);
    loop {
        let label = usize::from(*bytes.get(at)?);
        match label {
            0 if len > 0 => return Some((len, at + 1)),
            1..=63 => {}
            _ => return None,
        }
        if len > 0 {
            *text.get_mut(len)? = b'.';
            len += 1;
        }
        let label = bytes.get(at + 1..at + 1 + label)?;
        for (byte, to) in label.iter().zip(text.get_mut(len..len + label.len())?) {
            if !byte.is_ascii_graphic() || *byte == b'.' {
                return None;
            }
            *to = byte.to_ascii_lowercase();
        }
        (at, len) = (at + 1 + label.len(), len + label.len());
    }
}

/// An EDNS record of version 0 without options.
fn edns(bytes: &[u8]) -> Option<Edns> {
    let [0, 0, 41, size_high, size_low, 0, 0, high, low, 0, 0] = *bytes else { return None };
    let flags = u16::from_be_bytes([high, low]);
    (flags & !DNSSEC_OK == 0)
        .then_some(Edns { payload: u16::from_be_bytes([size_high, size_low]), flags })
}
