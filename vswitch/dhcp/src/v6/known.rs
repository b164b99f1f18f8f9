//! Keeps the options that the server reads, and leaves all others out before `dhcproto` decodes the message: its
//! decoder subtracts lengths that a client chooses.

use dhcproto::v6::OptionCode;

/// Bytes before the options of a message, of an identity association and of an address
/// (RFC 8415 sections 8, 21.4 to 21.6, 21.21).
const MESSAGE: usize = 4;
const IA_NA: usize = 12;
const IA_TA: usize = 4;
const IA_PD: usize = 12;
const ADDRESS: usize = 24;

/// The message with these options only. None where it, or one of them, is too short.
pub(super) fn only(message: &[u8]) -> Option<Vec<u8>> {
    let (header, options) = message.split_at_checked(MESSAGE)?;
    let mut kept = header.to_vec();
    for (code, data) in Options(options) {
        match code {
            OptionCode::ClientId | OptionCode::ServerId => push(&mut kept, code, data),
            OptionCode::RapidCommit => push(&mut kept, code, &[]),
            OptionCode::IATA => push(&mut kept, code, data.get(..IA_TA)?),
            OptionCode::IAPD => push(&mut kept, code, data.get(..IA_PD)?),
            OptionCode::IANA => push(&mut kept, code, &association(data)?),
            _ => {}
        }
    }
    Some(kept)
}

/// An IA_NA with its addresses only.
fn association(data: &[u8]) -> Option<Vec<u8>> {
    let (fixed, options) = data.split_at_checked(IA_NA)?;
    let mut kept = fixed.to_vec();
    for (code, data) in Options(options).filter(|(code, _)| *code == OptionCode::IAAddr) {
        push(&mut kept, code, data.get(..ADDRESS)?);
    }
    Some(kept)
}

fn push(message: &mut Vec<u8>, code: OptionCode, data: &[u8]) {
    message.extend(u16::from(code).to_be_bytes());
    // No longer than it was.
    message.extend((data.len() as u16).to_be_bytes());
    message.extend(data);
}

/// Options one after the other; a cut one ends them.
struct Options<'a>(&'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = (OptionCode, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[code_high, code_low, len_high, len_low], rest) = self.0.split_first_chunk()?;
        let len = u16::from_be_bytes([len_high, len_low]);
        let (data, rest) = rest.split_at_checked(len.into())?;
        self.0 = rest;
        Some((u16::from_be_bytes([code_high, code_low]).into(), data))
    }
}
