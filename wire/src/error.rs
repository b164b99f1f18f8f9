/// Why bytes could not be read as, or written as, a header.
///
/// One type for the whole crate: on the data path it only becomes a drop reason, in a log it is
/// printed. `header` and `field` are the words of the RFC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The buffer ends before the header, or before what the header announces, does.
    #[error("{header}: {have} bytes where {need} are needed")]
    Truncated {
        /// The header that was being read.
        header: &'static str,
        /// Bytes needed.
        need: usize,
        /// Bytes there.
        have: usize,
    },
    /// A field holds a value that the protocol forbids, or that this crate does not know.
    #[error("{header}: {field} is {value:#x}")]
    Field {
        /// The header that was being read.
        header: &'static str,
        /// The offending field.
        field: &'static str,
        /// Its value.
        value: u32,
    },
    /// The buffer to write to is too small.
    #[error("{header}: room for {have} bytes where {need} are written")]
    BufferTooSmall {
        /// The header that was being written.
        header: &'static str,
        /// Bytes needed.
        need: usize,
        /// Bytes there.
        have: usize,
    },
}

/// `Err(Truncated)` unless `have >= need`.
#[inline]
pub(crate) fn check_len(header: &'static str, need: usize, have: usize) -> Result<(), Error> {
    if have >= need { Ok(()) } else { Err(Error::Truncated { header, need, have }) }
}

/// `Err(BufferTooSmall)` unless `have >= need`.
#[inline]
pub(crate) fn check_space(header: &'static str, need: usize, have: usize) -> Result<(), Error> {
    if have >= need { Ok(()) } else { Err(Error::BufferTooSmall { header, need, have }) }
}

/// A length that goes into a 16-bit length field, or the error that names it.
#[inline]
pub(crate) fn len16(header: &'static str, field: &'static str, len: usize) -> Result<u16, Error> {
    u16::try_from(len).map_err(|_| Error::Field { header, field, value: len as u32 })
}
