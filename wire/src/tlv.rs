//! The kind-length-data options that IPv4 (RFC 791 section 3.1) and TCP (RFC 9293 section 3.1)
//! share: kind 0 ends the list, kind 1 is a byte of padding, and the length counts kind and length.

use crate::error::{Error, check_len};

const END: u8 = 0;
const NO_OPERATION: u8 = 1;

/// Bytes of kind and length.
const HEADER_LEN: usize = 2;

/// Iterates over options; skips padding, and ends at the end of list or an error.
#[derive(Clone, Debug)]
pub(crate) struct Tlvs<'a> {
    header: &'static str,
    all: &'a [u8],
    at: usize,
}

impl<'a> Tlvs<'a> {
    /// `header` is the name for errors.
    pub(crate) const fn new(header: &'static str, bytes: &'a [u8]) -> Self {
        Self { header, all: bytes, at: 0 }
    }

    /// The option at the start of `bytes`, with kind and length.
    fn whole(&self, bytes: &'a [u8]) -> Result<&'a [u8], Error> {
        check_len(self.header, HEADER_LEN, bytes.len())?;
        let len = usize::from(bytes[1]);
        if len < HEADER_LEN {
            let value = len as u32;
            return Err(Error::Field { header: self.header, field: "length", value });
        }
        check_len(self.header, len, bytes.len())?;
        Ok(&bytes[..len])
    }
}

impl<'a> Iterator for Tlvs<'a> {
    /// Offset and bytes of the option: two at least.
    type Item = Result<(usize, &'a [u8]), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.all.get(self.at) == Some(&NO_OPERATION) {
            self.at += 1;
        }
        let (at, bytes) = (self.at, self.all.get(self.at..).unwrap_or_default());
        self.at = self.all.len();
        match bytes {
            [] | [END, ..] => None,
            _ => Some(self.whole(bytes).map(|option| {
                self.at = at + option.len();
                (at, option)
            })),
        }
    }
}
