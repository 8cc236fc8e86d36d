//! Words of two 16-bit halves, and words of four bytes.

/// The lower half, sign-extended.
#[inline(always)]
pub const fn low(pair: u32) -> i32 {
    pair as i16 as i32
}

/// The upper half, sign-extended.
#[inline(always)]
pub const fn high(pair: u32) -> i32 {
    (pair as i32) >> 16
}

/// A word of two halves; each is cut to 16 bits.
#[inline(always)]
pub const fn pair(low: i32, high: i32) -> u32 {
    (low as u32 & 0xffff) | ((high as u32) << 16)
}

/// Four bytes as a little-endian word.
#[inline(always)]
pub const fn word(bytes: [i8; 4]) -> u32 {
    u32::from_le_bytes([bytes[0] as u8, bytes[1] as u8, bytes[2] as u8, bytes[3] as u8])
}

/// Bytes 0 and 2 of a word, sign-extended (`SXTB16`).
#[inline(always)]
pub const fn even(word: u32) -> u32 {
    pair(word as i8 as i32, (word >> 16) as i8 as i32)
}

/// Bytes 1 and 3 of a word, sign-extended (`SXTB16` with `ROR #8`).
#[inline(always)]
pub const fn odd(word: u32) -> u32 {
    even(word >> 8)
}

/// Halves added separately, modulo 2^16 (`SADD16`).
#[inline(always)]
pub const fn add(a: u32, b: u32) -> u32 {
    pair(low(a).wrapping_add(low(b)), high(a).wrapping_add(high(b)))
}

/// Halves subtracted separately, modulo 2^16 (`SSUB16`).
#[inline(always)]
pub const fn sub(a: u32, b: u32) -> u32 {
    pair(low(a).wrapping_sub(low(b)), high(a).wrapping_sub(high(b)))
}

/// `acc` plus the products of the halves, modulo 2^32 (`SMLAD`).
#[inline(always)]
pub const fn mad(acc: i32, a: u32, b: u32) -> i32 {
    acc.wrapping_add(low(a).wrapping_mul(low(b))).wrapping_add(high(a).wrapping_mul(high(b)))
}

/// Four bytes from `at`, or `None` past the end.
#[inline(always)]
pub fn bytes4(src: &[i8], at: usize) -> Option<[i8; 4]> {
    src.get(at..)?.first_chunk().copied()
}
