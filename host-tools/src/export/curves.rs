//! Tables of the functions of int16 elements, as TensorFlow Lite has or makes them.

use kinglet::ops::Curve;

/// The logistic function in Q0.16 at 0, 1/24, 2/24 and so on, 256 values.
pub(super) fn logistic() -> [u8; 512] {
    let value = |i: usize| (65536.0 / (1.0 + (-(i as f64) / 24.0).exp())).round().min(65535.0) as u16;
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

/// The two tables of the softmax: `e^x` over -10 to 0 and `1 / (1 + x)` over 0 to 1, in Q0.15.
pub(super) fn softmax() -> Vec<u8> {
    let exp = interpolated(f32::exp, -10.0, 0.0);
    let reciprocal = interpolated(|x| 1.0 / (1.0 + x), 0.0, 1.0);
    exp.into_iter().chain(reciprocal).flat_map(i16::to_le_bytes).collect()
}

/// 513 values of `f` in Q0.15 over `low..=high`, each lowered by half the error of the interpolation in the middle to the
/// next, in single precision.
fn interpolated(f: impl Fn(f32) -> f32, low: f32, high: f32) -> Vec<i16> {
    const STEPS: usize = 512;
    const ONE: f32 = 32768.0;
    let step = (high - low) / STEPS as f32;
    let clamp = |x: f32| x.clamp(-ONE, ONE - 1.0) as i16;
    let at = |i: usize| low + i as f32 * step;
    let mut values: Vec<i16> = (0..STEPS)
        .map(|i| {
            let sample = (f(at(i)) * ONE).round();
            let interpolated = ((f(at(i + 1)) * ONE + sample) / 2.0).round();
            let middle = (f(at(i) + step / 2.0) * ONE).round();
            clamp(sample - ((interpolated - middle) / 2.0).round())
        })
        .collect();
    values.push(clamp((f(high) * ONE).round()));
    values
}
