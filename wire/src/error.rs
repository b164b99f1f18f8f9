/// An error in reading or writing a header.
///
/// One type for the whole crate: the data path turns it into a drop reason, a log prints it. `header` and
/// `field` are the RFC's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The buffer ends within the header or its announced length.
    #[error("{header}: {have} bytes where {need} are needed")]
    Truncated {
        /// The header.
        header: &'static str,
        /// Bytes needed.
        need: usize,
        /// Bytes given.
        have: usize,
    },
    /// A field has a forbidden or unsupported value.
    #[error("{header}: {field} is {value:#x}")]
    Field {
        /// The header.
        header: &'static str,
        /// The field.
        field: &'static str,
        /// Its value.
        value: u32,
    },
    /// The output buffer is too small.
    #[error("{header}: room for {have} bytes where {need} are written")]
    BufferTooSmall {
        /// The header.
        header: &'static str,
        /// Bytes needed.
        need: usize,
        /// Bytes given.
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

/// A 16-bit length, or an error that names the field.
#[inline]
pub(crate) fn len16(header: &'static str, field: &'static str, len: usize) -> Result<u16, Error> {
    u16::try_from(len).map_err(|_| Error::Field { header, field, value: len as u32 })
}
