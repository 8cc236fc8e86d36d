//! The fixed-point logistic and tanh of TensorFlow Lite's int8 kernels, for tables computed on the host.
//!
//! A number `Q<n>` is an `i32` over `2^(31 - n)`, so that it covers `-2^n..2^n`. Products round half up, right shifts
//! round half away from zero, left shifts saturate: the order of these roundings decides the last bit.

/// `a * b` of numbers in `Q<n>` and `Q<m>`, in `Q<n + m>`.
fn mul(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    ((i64::from(a) * i64::from(b) + (1 << 30)) >> 31) as i32
}

/// `x / 2^bits`, half away from zero.
pub(crate) fn divide_by_power(x: i32, bits: u32) -> i32 {
    let half = if bits == 0 { 0 } else { 1i64 << (bits - 1) };
    let magnitude = (i64::from(x).abs() + half) >> bits;
    (if x < 0 { -magnitude } else { magnitude }) as i32
}

/// `x * 2^bits`, saturating.
fn multiply_by_power(x: i32, bits: u32) -> i32 {
    let shifted = i64::from(x) << bits;
    shifted.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

/// `exp(a)` of `a` in `-1/4..0`, both in `Q<0>`: a Taylor polynomial around -1/8.
fn exp_near_zero(a: i32) -> i32 {
    const EXP_OF_MINUS_EIGHTH: i32 = 1_895_147_668;
    const THIRD: i32 = 715_827_883;
    let x = a.wrapping_add(1 << 28);
    let x2 = mul(x, x);
    let x3 = mul(x2, x);
    let x4 = mul(x2, x2);
    let quartic = divide_by_power(x4, 2);
    let tail = divide_by_power(mul(quartic.wrapping_add(x3), THIRD).wrapping_add(x2), 1);
    EXP_OF_MINUS_EIGHTH.wrapping_add(mul(EXP_OF_MINUS_EIGHTH, x.wrapping_add(tail)))
}

/// `exp(a)` in `Q<0>` of `a <= 0` in `Q<bits>`, `bits` at most 5.
fn exp_of_negative(a: i32, bits: u32) -> i32 {
    /// `exp(-2^i)` in `Q<0>` for `i` from -2.
    const POWERS: [i32; 7] = [1_672_461_947, 1_302_514_674, 790_015_084, 290_630_308, 39_332_535, 720_401, 242];
    if a == 0 {
        return i32::MAX;
    }
    let fraction = 31 - bits;
    let quarter = 1i32 << (fraction - 2);
    let in_quarter = (a & (quarter - 1)).wrapping_sub(quarter);
    let mut result = exp_near_zero(multiply_by_power(in_quarter, bits));
    let remainder = in_quarter.wrapping_sub(a);
    for (power, exponent) in POWERS.into_iter().zip(-2i32..) {
        if bits as i32 > exponent && remainder & (1 << (fraction as i32 + exponent)) != 0 {
            result = mul(result, power);
        }
    }
    result
}

/// `x` in `Q<2>` near `1 / d` for `d = (1 + a) / 2` in `Q<0>`, `a` in `0..1`: three steps of Newton's method.
fn reciprocal_of_half_sum(a: i32) -> i32 {
    const C48_OVER_17: i32 = 1_515_870_810;
    const MINUS_32_OVER_17: i32 = -1_010_580_540;
    let d = ((i64::from(a) + i64::from(i32::MAX) + 1) / 2) as i32;
    let mut x = C48_OVER_17.wrapping_add(mul(d, MINUS_32_OVER_17));
    for _ in 0..3 {
        let rest = (1i32 << 29).wrapping_sub(mul(d, x));
        x = x.wrapping_add(multiply_by_power(mul(x, rest), 2));
    }
    x
}

/// `1 / x` of a positive number: a number of `Q<0>` between 1/2 and 1, and the bits that `x` has before its point when it is brought
/// between 1 and 2.
pub(crate) fn reciprocal(x: i32) -> (i32, i32) {
    let zeros = x.leading_zeros();
    let a = ((x as u32) << zeros).wrapping_sub(1 << 31) as i32;
    (multiply_by_power(reciprocal_of_half_sum(a), 1), 31 - zeros as i32)
}

/// `1 / (1 + exp(-a))` in `Q<0>` of `a` in `Q<4>`.
pub(crate) fn logistic(a: i32) -> i32 {
    if a == 0 {
        return 1 << 30;
    }
    let positive = multiply_by_power(reciprocal_of_half_sum(exp_of_negative(-a.saturating_abs(), 4)), 1);
    if a > 0 { positive } else { i32::MAX.wrapping_sub(positive) }
}

/// `tanh(a)` in `Q<0>` of `a` in `Q<4>`.
pub(crate) fn tanh(a: i32) -> i32 {
    if a == 0 {
        return 0;
    }
    // The same integer read in Q<5> is 2a.
    let x = reciprocal_of_half_sum(exp_of_negative(-a.saturating_abs(), 5));
    let positive = multiply_by_power(x.wrapping_sub(1 << 29), 2);
    if a > 0 { positive } else { -positive }
}

#[cfg(test)]
mod tests {
    #[test]
    fn close_to_the_real_functions() {
        for a in (i32::MIN + 1..i32::MAX).step_by(40_009_999) {
            let real = f64::from(a) / f64::from(1 << 27);
            let q0 = |x: i32| f64::from(x) / f64::from(1u32 << 31);
            assert!((q0(super::logistic(a)) - 1.0 / (1.0 + (-real).exp())).abs() < 1e-6, "logistic {real}");
            assert!((q0(super::tanh(a)) - real.tanh()).abs() < 1e-6, "tanh {real}");
        }
    }
}
