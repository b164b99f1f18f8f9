//! ZooKeeper's serialization: big-endian numbers, buffers and strings with their length before them.

/// Bytes under construction.
#[derive(Debug, Default, Clone)]
pub(crate) struct Encoder(Vec<u8>);

impl Encoder {
    pub(crate) fn int(mut self, value: i32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn long(mut self, value: i64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn boolean(mut self, value: bool) -> Self {
        self.0.push(value.into());
        self
    }

    pub(crate) fn buffer(mut self, bytes: &[u8]) -> Self {
        // Keys and values are bounded far below 2 GiB.
        let len = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        self.0.extend_from_slice(&len.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn string(self, text: &str) -> Self {
        self.buffer(text.as_bytes())
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// A message that ends too early, or has a text that is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of ZooKeeper is malformed")]
pub(crate) struct Malformed;

/// Bytes that are read from their beginning.
#[derive(Debug)]
pub(crate) struct Decoder<'a>(pub(crate) &'a [u8]);

impl<'a> Decoder<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn int(&mut self) -> Result<i32, Malformed> {
        self.take().map(i32::from_be_bytes)
    }

    pub(crate) fn long(&mut self) -> Result<i64, Malformed> {
        self.take().map(i64::from_be_bytes)
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, Malformed> {
        self.take::<1>().map(|[byte]| byte != 0)
    }

    /// A buffer; length -1 is none, here the same as an empty one.
    pub(crate) fn buffer(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.int()?;
        if len == -1 {
            return Ok(&[]);
        }
        let len = usize::try_from(len).map_err(|_| Malformed)?;
        let (first, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(first)
    }

    pub(crate) fn string(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.buffer()?).map_err(|_| Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Decoder, Encoder, Malformed};

    #[test]
    fn what_is_encoded_is_decoded() {
        let bytes =
            Encoder::default().int(-2).long(1 << 40).boolean(true).string("a/b").buffer(b"x");
        let bytes = bytes.finish();
        let mut decoder = Decoder(&bytes);
        assert_eq!(decoder.int(), Ok(-2));
        assert_eq!(decoder.long(), Ok(1 << 40));
        assert_eq!(decoder.boolean(), Ok(true));
        assert_eq!(decoder.string(), Ok("a/b"));
        assert_eq!(decoder.buffer(), Ok(&b"x"[..]));
        assert_eq!(decoder.int(), Err(Malformed));
    }

    #[test]
    fn lengths_beyond_the_message_are_errors() {
        for bytes in [&[0, 0, 0, 2, b'x'][..], &[0x7f, 0xff, 0xff, 0xff], &[0xff, 0xff, 0xff, 0xfe]]
        {
            assert_eq!(Decoder(bytes).buffer(), Err(Malformed), "{bytes:?}");
        }
        assert_eq!(Decoder(&[0xff; 4]).buffer(), Ok(&[][..]));
        assert_eq!(Decoder(&[0, 0, 0, 1, 0xff]).string(), Err(Malformed));
    }
}
