//! The CRC32c of SCTP (RFC 9260 appendix A): of a short message, and after a change, by difference.
//!
//! A CRC is linear: that of a changed message is the old one, exclusive-or that of the difference. A
//! difference in the first word, with zeros behind it, is that word times a power of x, modulo the
//! polynomial; powers are found by squaring, so that a long message takes no longer than a short one,
//! and a CRC that was wrong stays wrong.

/// The Castagnoli polynomial, reflected: the highest bit stands for `x^0`.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// `x^0`.
const ONE: u32 = 1 << 31;

/// `x^8`: one byte further.
const BYTE: u32 = 1 << 23;

/// The CRC32c of a message, bit by bit: for short ones. SCTP writes it with its lowest byte first.
pub fn crc32c(message: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ if crc & 1 != 0 { POLYNOMIAL } else { 0 };
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc));
    !message.iter().fold(!0, byte)
}

/// The CRC32c of a message of `len` bytes whose first four bytes, big-endian, were changed by
/// `difference` (exclusive or). SCTP writes a CRC with its lowest byte first.
pub const fn crc32c_update(crc: u32, difference: u32, len: usize) -> u32 {
    // The first byte is shifted through the whole message, the bits of a byte lowest first.
    crc ^ times(difference.swap_bytes(), power(BYTE, len))
}

/// `base^exponent`.
const fn power(mut base: u32, mut exponent: usize) -> u32 {
    let mut product = ONE;
    while exponent != 0 {
        if exponent & 1 != 0 {
            product = times(product, base);
        }
        base = times(base, base);
        exponent >>= 1;
    }
    product
}

/// The product of two polynomials, modulo the polynomial.
const fn times(a: u32, mut b: u32) -> u32 {
    let (mut product, mut bit) = (0, ONE);
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = (b >> 1) ^ if b & 1 != 0 { POLYNOMIAL } else { 0 };
        bit >>= 1;
    }
    product
}
