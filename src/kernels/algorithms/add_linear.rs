//! Finds the constants of the linear residual add, `(A * a / 256 + B * b / 256 + G) >> 20`.
//!
//! The rescaled sum is linear but for its roundings. For given factors `A` and `B`, every pair of inputs bounds `G` from
//! below and above (from one side only where the sum saturates); when the bounds leave room for all 65,536 pairs, any
//! `G` between them is exact.

use crate::kernels::AddTerms;
use crate::kernels::blocks::add::linear;
use crate::quant::{Channel, Clamp, OutputStage, requantize};
use crate::tensor::DType;

/// The sums before the activation range, `[a + 128][b + 128]`.
fn sums(terms: &AddTerms) -> Vec<i8> {
    let scaled = |operand: usize| {
        let zero_point = terms.zero_points[operand];
        (-128..128)
            .map(|q: i32| (q - zero_point) << AddTerms::LEFT_SHIFT)
            .map(|x| requantize(x, terms.factors[operand], terms.stage.rounding))
            .collect::<Vec<_>>()
    };
    let (left, right) = (scaled(0), scaled(1));
    let stage = OutputStage { clamp: Clamp::full(DType::I8), ..terms.stage };
    let channel = Channel { bias: 0, factor: terms.output_factor };
    left.iter().flat_map(|&a| right.iter().map(move |&b| stage.apply(a.wrapping_add(b), channel))).collect()
}

/// A `G` that is right for all pairs with factors `a` and `b`, or by how much the bounds cross.
fn offset(sums: &[i8], a: i64, b: i64) -> Result<i64, i64> {
    let terms = |factor: i64| (-128..128i64).map(move |q| (factor * (q << 8)) >> 16);
    let (left, right): (Vec<i64>, Vec<i64>) = (terms(a).collect(), terms(b).collect());
    let (mut least, mut greatest) = (i64::MIN, i64::MAX);
    for (sums, left) in sums.chunks_exact(256).zip(&left) {
        for (&sum, right) in sums.iter().zip(&right) {
            let bound = (i64::from(sum) << 20) - left - right;
            if sum > i8::MIN {
                least = least.max(bound);
            }
            if sum < i8::MAX {
                greatest = greatest.min(bound + (1 << 20) - 1);
            }
        }
    }
    match (least, greatest) {
        (i64::MIN, i64::MAX) => Err(i64::MAX),
        (i64::MIN, high) => Ok(high),
        (low, i64::MAX) => Ok(low),
        (low, high) if low <= high => Ok((low + high) / 2),
        (low, high) => Err(low - high),
    }
}

/// Constants that are right for all 65,536 pairs, if some are found near the real factors.
pub fn find(terms: &AddTerms) -> Option<[i32; 3]> {
    let sums = sums(terms);
    let real = |operand: usize| {
        let [m, out] = [terms.factors[operand], terms.output_factor]
            .map(|factor| f64::from(factor.multiplier) * f64::from(factor.shift - 31).exp2());
        (m * out * f64::from(1u32 << AddTerms::LEFT_SHIFT) * f64::from(1u32 << 28)).round()
    };
    let (mut a, mut b) = (real(0), real(1));
    if a.abs() >= 2e9 || b.abs() >= 2e9 {
        return None;
    }
    // Downhill on how far the bounds are from leaving room, in steps that shrink.
    let mut best = offset(&sums, a as i64, b as i64);
    let mut step = 4096.0;
    while step >= 1.0 && best.is_err() {
        let around = [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0), (1.0, -1.0), (-1.0, 1.0)];
        let next = around
            .map(|(x, y)| (a + x * step, b + y * step))
            .map(|(a, b)| (a, b, offset(&sums, a as i64, b as i64)))
            .into_iter()
            .min_by_key(|(_, _, found)| found.err().unwrap_or(0));
        match next {
            Some((x, y, found)) if found.err().unwrap_or(0) < best.err().unwrap_or(0) => (a, b, best) = (x, y, found),
            _ => step /= 4.0,
        }
    }
    let constants = [a as i64, b as i64, best.ok()?].map(i32::try_from);
    let [Ok(a), Ok(b), Ok(g)] = constants else { return None };
    // The bounds are for unlimited integers; the block's are of 32 bits.
    let mut pairs = sums.iter().zip((-128..=127i8).flat_map(|a| (-128..=127i8).map(move |b| (a, b))));
    pairs.all(|(&sum, (x, y))| linear(x, y, &[a, b, g]) == sum).then_some([a, b, g])
}

// Safe code alone, and some hundred million sums: too many for an interpreter.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use crate::kernels::Portable;
    use crate::kernels::algorithms::add;
    use crate::ops::Add;
    use crate::quant::Rounding;
    use crate::tensor::QuantParams;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Against the definition, also with a clamp and with the operands exchanged.
        #[test]
        fn linear_sums_are_the_sums(
            scales in (0.01f32..0.1, 0.01f32..0.1, 0.5f32..2.0), zeros in prop::array::uniform3(-128i32..128), low in -128i32..0,
        ) {
            let quant = |scale, zero_point| QuantParams { scale, zero_point };
            let (a, b) = (quant(scales.0, zeros[0]), quant(scales.1, zeros[1]));
            let output = quant(scales.0.max(scales.1) * scales.2, zeros[2]);
            let clamp = Clamp { min: low, max: 100 };
            let op = Add::new(a, b, output, DType::I8, Rounding::Double, clamp).unwrap();
            let linear = op.linearized(a, b, output).linear;
            let stage = OutputStage { rounding: op.rounding, zero_point: zeros[2], clamp };
            let (zero_points, factors) = ([zeros[0], zeros[1]], op.factors);
            let terms = AddTerms { zero_points, factors, output_factor: op.output_factor, stage, linear };
            for swapped in [false, true] {
                let terms = if swapped { terms.swapped() } else { terms };
                for x in -128..=127i8 {
                    let right: Vec<i8> = (-128..=127).collect();
                    let (mut quick, mut exact) = ([x; 256], [x; 256]);
                    add::add::<Portable>(&mut quick, &right, &terms);
                    add::add::<Portable>(&mut exact, &right, &AddTerms { linear: None, ..terms });
                    prop_assert_eq!(quick, exact);
                }
            }
        }
    }

    /// Nearly every addition has constants. Those of simple ratios, where many sums are halves, have none: halves are
    /// rounded away from zero, which is not linear.
    #[test]
    fn usual_additions_have_constants() {
        let quant = |scale, zero_point| QuantParams { scale, zero_point };
        let mut missing = Vec::new();
        for i in 0..40 {
            let vary = |n: i32, range: i32| ((i * n) % range) as f32 / range as f32;
            let (a, b) =
                (quant(0.01 + vary(7, 39) * 0.09, -128 + i * 6), quant(0.01 + vary(5, 31) * 0.09, 127 - i * 5));
            let output = quant(a.scale.max(b.scale) * (0.8 + vary(11, 37)), -128 + (i * 17) % 200);
            let add = Add::new(a, b, output, DType::I8, Rounding::Double, Clamp::full(DType::I8)).unwrap();
            if add.linearized(a, b, output).linear.is_none() {
                missing.push(i);
            }
        }
        // Case 0 adds equal scales into one of 4/5 of them, case 37 is another simple ratio.
        assert_eq!(missing, [0, 37]);
    }
}
