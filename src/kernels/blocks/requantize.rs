//! Requantization with double rounding in five Arm instructions.
//!
//! With `x = 2 * (acc + bias)`, a multiplier `m >= 0`, a right shift `1 <= s <= 22` and `c = 2^(s-1) + (zp << s)`:
//! `y = (x * m + 2^31) >> 32` is the rounding doubling high multiplication, and `(y + c - (x < 0)) >> s` the rounding
//! division, half away from zero, with the output's zero point added. The addition of `c` rides in the
//! multiplication. It is exact while `|acc + bias| < 2^30`; [`constants`] says which channels qualify.

/// The words of a record `{2 * bias, m, c, s}`.
pub type Record = [u32; 4];

/// Requantizes `x = 2 * (acc + bias)`.
#[inline(always)]
pub const fn fast(x: i32, m: i32, c: i32, s: u32) -> i8 {
    let addend = c.wrapping_add(x >> 31);
    saturate(shift(addend.wrapping_add(high_product(x, m, HALF)), s))
}

/// `(x * m + (round << 16)) >> 32` for `round` of 0, which rounds down, or [`HALF`], which rounds to the nearest.
#[inline(always)]
pub const fn high_product(x: i32, m: i32, round: i32) -> i32 {
    if cfg!(kinglet_armv6) {
        high_product_of_halves(x, m, round)
    } else {
        ((x as i64 * m as i64).wrapping_add((round as i64) << 16) >> 32) as i32
    }
}

/// Half of the last place of [`high_product`].
pub const HALF: i32 = 1 << 15;

/// The same on a core whose products have 32 bits: in products of halves.
#[inline(always)]
const fn high_product_of_halves(x: i32, m: i32, round: i32) -> i32 {
    let (x_high, x_low) = (x >> 16, x & 0xffff);
    let (m_high, m_low) = (m >> 16, m & 0xffff);
    let low = (x_low as u32).wrapping_mul(m_low as u32) >> 16;
    // No sum leaves 32 bits: (2^15 - 1) * (2^16 - 1) + (2^16 - 2) + 2^15 is the greatest number that they hold. With
    // `round` in the other sum it would be one more.
    let middle = x_high.wrapping_mul(m_low).wrapping_add((low as i32).wrapping_add(round));
    let other = x_low.wrapping_mul(m_high).wrapping_add(middle & 0xffff);
    x_high.wrapping_mul(m_high).wrapping_add(middle >> 16).wrapping_add(other >> 16)
}

/// Requantizes accumulator `acc` with a record.
#[inline(always)]
pub const fn with_record(acc: i32, record: &[u32; 4]) -> i8 {
    let [bias2, m, c, s] = *record;
    fast((bias2 as i32).wrapping_add(acc.wrapping_shl(1)), m as i32, c as i32, s)
}

/// An arithmetic right shift as Arm does it by register: the count is the lowest byte, and 32 or more leave the sign.
#[inline(always)]
pub const fn shift(x: i32, s: u32) -> i32 {
    let s = s & 255;
    x >> if s > 31 { 31 } else { s }
}

/// `SSAT #8`.
#[inline(always)]
pub const fn saturate(x: i32) -> i8 {
    if x < -128 {
        -128
    } else if x > 127 {
        127
    } else {
        x as i8
    }
}

/// `(c, s)` of a channel with TensorFlow Lite's `multiplier` and `shift` (negative to the right), for accumulators
/// below `bound` in magnitude; `None` when the five instructions would not be exact.
pub const fn constants(multiplier: i32, shift: i32, zero_point: i32, bound: i64) -> Option<(i32, u32)> {
    if multiplier < 0 || shift > -1 || shift < -22 || zero_point < -128 || zero_point > 127 || bound >= 1 << 30 {
        return None;
    }
    let s = -shift as u32;
    Some(((1 << (s - 1)) + (zero_point << s), s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn word() -> impl Strategy<Value = i32> {
        let extreme = [i32::MIN, i32::MIN + 1, -65_536, -1, 0, 1, 32_767, 32_768, 65_535, i32::MAX];
        prop_oneof![3 => any::<i32>(), 1 => proptest::sample::select(extreme.to_vec())]
    }

    #[test]
    fn no_extreme_overflows() {
        let halves =
            [i32::MIN, -65_537, -65_536, -32_769, -1, 0, 1, 65_535, 65_536, 0x7fff_0000, 0x7ffe_ffff, i32::MAX];
        for (x, m) in halves.iter().flat_map(|x| halves.map(|m| (*x, m))) {
            for round in [0, HALF] {
                let wide = (i128::from(x) * i128::from(m) + (i128::from(round) << 16)) >> 32;
                assert_eq!(i128::from(high_product_of_halves(x, m, round)), wide, "{x} * {m} + {round}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 100 } else { 20_000 }))]
        #[test]
        fn products_of_halves_are_the_product((x, m) in (word(), word())) {
            for round in [0, HALF] {
                let wide = (i128::from(x) * i128::from(m) + (i128::from(round) << 16)) >> 32;
                prop_assert_eq!(i128::from(high_product_of_halves(x, m, round)), wide);
                prop_assert_eq!(i128::from(high_product(x, m, round)), wide);
            }
        }
    }
}
