//! Big-endian fields at named ranges.
//!
//! The caller has checked that the buffer covers the range. Ranges are constants of the layout, as wide as
//! the type, so inlining removes all checks.

use core::ops::Range;

/// The bytes of a field in its header.
pub(crate) type Field = Range<usize>;

#[inline(always)]
pub(crate) fn array<const N: usize>(bytes: &[u8], field: Field) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[field]);
    out
}

#[inline(always)]
pub(crate) fn be16(bytes: &[u8], field: Field) -> u16 {
    u16::from_be_bytes(array(bytes, field))
}

#[inline(always)]
pub(crate) fn be32(bytes: &[u8], field: Field) -> u32 {
    u32::from_be_bytes(array(bytes, field))
}

#[inline(always)]
pub(crate) fn put16(bytes: &mut [u8], field: Field, value: u16) {
    bytes[field].copy_from_slice(&value.to_be_bytes());
}

#[inline(always)]
pub(crate) fn put32(bytes: &mut [u8], field: Field, value: u32) {
    bytes[field].copy_from_slice(&value.to_be_bytes());
}

/// Getters and setters of a view's big-endian fields. A setter leaves the checksum to the caller.
macro_rules! fields {
    ($view:ident: $($(#[$attr:meta])* $get:ident, $set:ident: $int:ty = $field:expr;)*) => {
        impl<T: AsRef<[u8]>> $view<T> {$(
            $(#[$attr])*
            #[inline]
            pub fn $get(&self) -> $int {
                <$int>::from_be_bytes($crate::bytes::array(self.0.as_ref(), $field))
            }
        )*}

        impl<T: AsRef<[u8]> + AsMut<[u8]>> $view<T> {$(
            #[doc = concat!("Sets [`", stringify!($get), "`](Self::", stringify!($get), ").")]
            #[inline]
            pub fn $set(&mut self, value: $int) {
                self.0.as_mut()[$field].copy_from_slice(&value.to_be_bytes());
            }
        )*}
    };
}

pub(crate) use fields;

/// `bit` if `on`, else 0.
#[inline(always)]
pub(crate) const fn flag(on: bool, bit: u8) -> u8 {
    if on { bit } else { 0 }
}
