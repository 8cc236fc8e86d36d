//! Requantization with double rounding in five Arm instructions.
//!
//! With `x = 2 * (acc + bias)`, a multiplier `m >= 0`, a right shift `1 <= s <= 22` and `c = 2^(s-1) + (zp << s)`:
//! `y = (x * m + 2^31) >> 32` is the rounding doubling high multiplication, and `(y + c - (x < 0)) >> s` the rounding
//! division, half away from zero, with the output's zero point added. The addition of `c` rides in the
//! multiplication. It is exact while `|acc + bias| < 2^30`; [`constants`] says which channels qualify.

use crate::quant::high_product;

/// The words of a record `{2 * bias, m, c, s}`.
pub type Record = [u32; 4];

/// Requantizes `x = 2 * (acc + bias)`.
#[inline(always)]
pub const fn fast(x: i32, m: i32, c: i32, s: u32) -> i8 {
    let addend = c.wrapping_add(x >> 31);
    saturate(shift(addend.wrapping_add(high_product(x, m, HALF)), s))
}

/// Half of the last place of a product's upper word.
pub const HALF: i32 = 1 << 15;

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
    use crate::quant::{doubling_high_mul_of_halves, high_product_of_halves};
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
            let doubled = (i64::from(x) * i64::from(m) + (1 << 30)) >> 31;
            prop_assert_eq!(doubling_high_mul_of_halves(x, m), doubled as i32);
        }
    }
}
