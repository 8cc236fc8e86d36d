//! Tables of the functions of int16 elements, as TensorFlow Lite has or makes them.

use kinglet::Rounding;
use kinglet::ops::Curve;

/// The logistic function in Q0.16 at 0, 1/24, 2/24 and so on, 256 values, each raised by half of what the interpolation to
/// the next lacks in the middle.
pub(super) fn logistic() -> [u8; 512] {
    let at = |i: f64| 65536.0 / (1.0 + (-i / 24.0).exp());
    let raised = |i: f64| at(i) - ((at(i) + at(i + 1.0)) / 2.0 - at(i + 0.5)) / 2.0;
    let value = |i: usize| if i == 255 { u16::MAX } else { raised(i as f64).round() as u16 };
    std::array::from_fn(|at| value(at / 2).to_le_bytes()[at % 2])
}

/// What elements of scale `scale` are multiplied with, and the bits they are shifted right by then, to be in steps of
/// 1/12288.
pub(super) fn scale(curve: Curve, scale: f32) -> Result<[u32; 2], String> {
    // 2^-12, for the hyperbolic tangent also 2^-11, give whole factors.
    let log2 = scale.ln() * (1.0 / 2f32.ln());
    let exponent = log2.round();
    let is_power = (log2 - exponent).abs() < 1e-3;
    let shift = exponent as i32 + 12;
    if is_power && (shift == 0 || (shift == 1 && curve == Curve::Tanh)) {
        return Ok([3 << shift, 0]);
    }
    let (mut multiplier, mut shift) = (f64::from(scale) * 4096.0 * 3.0, 0);
    while multiplier <= 32767.0 / 2.0 && shift <= 30 {
        (multiplier, shift) = (multiplier * 2.0, shift + 1);
    }
    if multiplier > 32767.0 || shift > 31 {
        return Err(format!("an input scale of {scale} is out of its range"));
    }
    Ok([multiplier as u32, shift])
}

/// Bytes of a table of the softmax.
pub(super) const SOFTMAX: usize = 2 * 513;

/// The two tables of the softmax: `e^x` over -10 to 0 and `1 / (1 + x)` over 0 to 1, in Q0.15. TensorFlow Lite Micro computes
/// them in single precision; the desktop's kernels, which round once, in double, and two entries differ.
pub(super) fn softmax(rounding: Rounding) -> [Vec<u8>; 2] {
    let kept: fn(f64) -> f64 = match rounding {
        Rounding::Single => |x| x,
        _ => |x| f64::from(x as f32),
    };
    let exp = interpolated(f64::exp, -10.0, 0.0, kept);
    let reciprocal = interpolated(|x| 1.0 / kept(1.0 + x), 0.0, 1.0, kept);
    [exp, reciprocal].map(|table| table.into_iter().flat_map(i16::to_le_bytes).collect())
}

/// 513 values of `f` in Q0.15 over `low..=high`, each lowered by half the error of the interpolation in the middle to the
/// next; `kept` is what the precision keeps of every result. Rounding once more from double to single is harmless.
fn interpolated(f: impl Fn(f64) -> f64, low: f64, high: f64, kept: fn(f64) -> f64) -> Vec<i16> {
    const STEPS: usize = 512;
    const ONE: f64 = 32768.0;
    let step = kept((high - low) / STEPS as f64);
    let clamp = |x: f64| x.clamp(-ONE, ONE - 1.0) as i16;
    let scaled = |x: f64| kept(f(x)) * ONE;
    let at = |i: usize| kept(low + kept(i as f64 * step));
    let mut values: Vec<i16> = (0..STEPS)
        .map(|i| {
            let sample = scaled(at(i)).round();
            let interpolated = (kept(scaled(at(i + 1)) + sample) / 2.0).round();
            let middle = scaled(kept(at(i) + step / 2.0)).round();
            clamp(sample - ((interpolated - middle) / 2.0).round())
        })
        .collect();
    values.push(clamp(scaled(high).round()));
    values
}
