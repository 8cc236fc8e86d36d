//! int8 functions of one int8 input, as tables of 256 entries.
//!
//! A device needs one operator for all of them, and the arithmetic that TensorFlow Lite spends on each element is done
//! here once for each of the 256 inputs, to the bit. The tables are in the inputs' order, from -128 on.

use kinglet::kernels::AddTerms;
use kinglet::ops::{Add, Mul, Sub};
use kinglet::quant::{inverse_root, quantize, requantize};
use kinglet::{Activation, Clamp, DType, Multiplier, QuantParams, Rounding};

use super::fixed_point;
use crate::graph::{ConstantFunction, erf};

/// The output for every input, from -128 on.
pub type Table = Vec<i8>;

/// What cannot be computed as TensorFlow Lite does, for an error message.
pub type Refusal = String;

const FULL: Clamp = Clamp::full(DType::I8);

/// The table of `f`, clamped to `clamp`.
fn table(clamp: Clamp, f: impl Fn(i32) -> i32) -> Table {
    (-128..=127).map(|x| clamp.apply(f(x)) as i8).collect()
}

fn factor(real: f64) -> Result<Multiplier, Refusal> {
    Multiplier::from_real(real).ok_or_else(|| format!("the factor {real} between its scales is not a positive number"))
}

/// The same integers.
pub fn identity() -> Table {
    table(FULL, |x| x)
}

/// The same integers within the range of an activation.
pub fn identity_within(activation: Activation, quant: QuantParams) -> Table {
    table(Clamp::activation(activation, quant, DType::I8), |x| x)
}

/// A part of a concatenation of uint8 with another scale, whose elements are 128 more.
pub fn joined(input: QuantParams, output: QuantParams) -> Table {
    let scale = input.scale / output.scale;
    let bias = -((input.zero_point + 128) as f32) * scale;
    table(FULL, |x| (((x + 128) as f32 * scale + bias).round() as i32).saturating_add(output.zero_point))
}

/// QUANTIZE from int8 to int8: another scale or zero point for the same number.
pub fn requantized(input: QuantParams, output: QuantParams, rounding: Rounding) -> Result<Table, Refusal> {
    clamped(input, output, Activation::None, rounding)
}

/// RELU and its relatives: rescaled, then clamped.
pub fn clamped(
    input: QuantParams,
    output: QuantParams,
    activation: Activation,
    rounding: Rounding,
) -> Result<Table, Refusal> {
    let factor = factor(f64::from(input.scale) / f64::from(output.scale))?;
    let clamp = Clamp::activation(activation, output, DType::I8);
    Ok(table(clamp, |x| requantize(x - input.zero_point, factor, rounding).wrapping_add(output.zero_point)))
}

/// RELU6 as TensorFlow Lite Micro has it: the input's integers clamped, no rescaling.
pub fn micro_relu6(input: QuantParams) -> Table {
    let six = FULL.apply(quantize(6.0, input));
    table(FULL, |x| x.max(input.zero_point).min(six))
}

/// The factors of LEAKY_RELU from `input` to `output`, above and below zero; from products in double precision, or in single.
pub fn slopes(input: f32, output: f32, alpha: f32, double: bool) -> [f64; 2] {
    if double {
        let [input, output, alpha] = [input, output, alpha].map(f64::from);
        [input / output, input * alpha / output]
    } else {
        [f64::from(input / output), f64::from(input * alpha / output)]
    }
}

/// LEAKY_RELU, with these factors above and below zero.
pub fn leaky_relu(
    input: QuantParams,
    output: QuantParams,
    [above, below]: [f64; 2],
    rounding: Rounding,
) -> Result<Table, Refusal> {
    let (above, below) = (factor(above)?, factor(below)?);
    Ok(table(FULL, |x| {
        let x = x - input.zero_point;
        requantize(x, if x >= 0 { above } else { below }, rounding).wrapping_add(output.zero_point)
    }))
}

/// ABS, which rescales by `ratio` only between different scales.
pub fn abs(input: QuantParams, output: QuantParams, ratio: f64, rounding: Rounding) -> Result<Table, Refusal> {
    let factor = factor(ratio)?;
    Ok(table(FULL, |x| {
        let x = (x - input.zero_point).abs();
        let scaled = if input.scale == output.scale { x } else { requantize(x, factor, rounding) };
        scaled.wrapping_add(output.zero_point)
    }))
}

/// RSQRT; of nothing it is the greatest there is. Elements below zero, which TensorFlow Lite refuses when it runs, count as nothing.
pub fn rsqrt(input: QuantParams, output: QuantParams, rounding: Rounding) -> Result<Table, Refusal> {
    const SHIFT: i32 = 20;
    let Multiplier { multiplier, shift } = factor(1.0 / f64::from(input.scale.sqrt() * output.scale))?;
    let factor = Multiplier { multiplier, shift: shift - SHIFT };
    if !factor.is_valid() {
        return Err(format!("scales {} and {} are out of its range", input.scale, output.scale));
    }
    Ok(table(FULL, |x| match x - input.zero_point {
        ..=0 => i32::from(i8::MAX),
        x => {
            let Multiplier { multiplier, shift } = inverse_root(x.unsigned_abs().into());
            let root = requantize(1, Multiplier { multiplier, shift: shift + SHIFT }, rounding);
            requantize(root, factor, rounding).saturating_add(output.zero_point)
        }
    }))
}

/// PRELU with one slope, an integer and its quantization.
pub fn prelu(
    input: QuantParams,
    output: QuantParams,
    (slope, quant): (i32, QuantParams),
    rounding: Rounding,
) -> Result<Table, Refusal> {
    let identity = factor(f64::from(input.scale) / f64::from(output.scale))?;
    let product = factor(f64::from(input.scale) * f64::from(quant.scale) / f64::from(output.scale))?;
    let slope = slope - quant.zero_point;
    Ok(table(FULL, |x| {
        let x = x - input.zero_point;
        let scaled = if x >= 0 { requantize(x, identity, rounding) } else { requantize(x * slope, product, rounding) };
        scaled.wrapping_add(output.zero_point)
    }))
}

/// The input in Q<4> for LOGISTIC and TANH, and the distance from the zero point at which they saturate.
fn in_q4(input: QuantParams) -> Result<(Multiplier, i32), Refusal> {
    let factor = factor(f64::from(input.scale) * f64::from(1 << 27))?;
    if !(0..=30).contains(&factor.shift) {
        return Err(format!("an input scale of {} is out of its range", input.scale));
    }
    Ok((factor, (f64::from(15u32 << 27) / f64::from(1u32 << factor.shift)).floor() as i32))
}

/// LOGISTIC; TensorFlow Lite fixes its output to scale 1/256 and zero point -128.
pub fn logistic(input: QuantParams, output: QuantParams, rounding: Rounding) -> Result<Table, Refusal> {
    if output.zero_point != -128 || output.scale != 1.0 / 256.0 {
        return Err("its output must have scale 1/256 and zero point -128".into());
    }
    let (factor, radius) = in_q4(input)?;
    Ok(table(FULL, |x| match x - input.zero_point {
        x if x <= -radius => -128,
        x if x >= radius => 127,
        x => fixed_point::divide_by_power(fixed_point::logistic(requantize(x, factor, rounding)), 23) - 128,
    }))
}

/// TANH; TensorFlow Lite fixes its output to scale 1/128 and zero point 0.
pub fn tanh(input: QuantParams, output: QuantParams, rounding: Rounding) -> Result<Table, Refusal> {
    if output.zero_point != 0 || output.scale != 1.0 / 128.0 {
        return Err("its output must have scale 1/128 and zero point 0".into());
    }
    let (factor, radius) = in_q4(input)?;
    Ok(table(FULL, |x| match x - input.zero_point {
        x if x <= -radius => -128,
        x if x >= radius => 127,
        x => fixed_point::divide_by_power(fixed_point::tanh(requantize(x, factor, rounding)), 24),
    }))
}

/// What QUANTIZE makes of a function of the floats that DEQUANTIZE makes.
pub fn of_reals(input: QuantParams, output: QuantParams, f: impl Fn(f32) -> f32) -> Table {
    table(FULL, |x| {
        let real = f(input.scale * (x - input.zero_point) as f32);
        ((real / output.scale).round() as i32).saturating_add(output.zero_point)
    })
}

/// A table that is computed in single precision: ELU and GELU, and LOGISTIC and TANH as the desktop kernels have them.
fn in_floats(input: QuantParams, output: QuantParams, f: impl Fn(f32) -> f32) -> Table {
    let inverse = 1.0 / output.scale;
    table(FULL, |x| {
        let real = input.scale * (x - input.zero_point) as f32;
        ((f(real) * inverse).round() + output.zero_point as f32) as i32
    })
}

/// LOGISTIC of the desktop's reference kernels.
pub fn logistic_in_floats(input: QuantParams, output: QuantParams) -> Table {
    in_floats(input, output, |x| 1.0 / (1.0 + (-x).exp()))
}

/// TANH of the desktop's reference kernels.
pub fn tanh_in_floats(input: QuantParams, output: QuantParams) -> Table {
    in_floats(input, output, f32::tanh)
}

/// ELU: `x` above 0, `e^x - 1` below.
pub fn elu(input: QuantParams, output: QuantParams) -> Table {
    in_floats(input, output, |x| if x < 0.0 { x.exp() - 1.0 } else { x })
}

/// GELU, or its approximation with the hyperbolic tangent.
pub fn gelu(input: QuantParams, output: QuantParams, approximate: bool) -> Table {
    // The constants and the order of operations are the kernel's, all in single precision.
    let slope = (std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2) as f32;
    let complement = |x: f32| (1.0 - erf(x.into())) as f32;
    in_floats(input, output, |x| {
        if approximate {
            0.5 * x * (1.0 + (slope * (x + 0.044_715 * x * x * x)).tanh())
        } else {
            0.5 * x * complement(x * -std::f32::consts::FRAC_1_SQRT_2)
        }
    })
}

/// The greater or the lesser of the input's integers and `value`.
pub fn extremum(value: i8, greater: bool) -> Table {
    let value = i32::from(value);
    table(FULL, |x| if greater { x.max(value) } else { x.min(value) })
}

/// DIV by a single constant `value`, or of that by the input if it comes `first`. What TensorFlow Lite does not
/// define, it is the nearest to: by nothing the greatest or the least there is, and where its shifts are wider than a word nothing.
pub fn quotient(
    [input, constant, output]: [QuantParams; 3],
    value: i8,
    first: bool,
    activation: Activation,
    rounding: Rounding,
) -> Result<Table, Refusal> {
    let [dividend, divisor] = if first { [constant, input] } else { [input, constant] };
    let factor = factor(f64::from(dividend.scale / (divisor.scale * output.scale)))?;
    let value = i32::from(value) - constant.zero_point;
    if value == 0 && !first {
        return Err("a division by zero".into());
    }
    let clamp = Clamp::activation(activation, output, DType::I8);
    Ok(table(clamp, |x| {
        let x = x - input.zero_point;
        let (a, b) = if first { (value, x) } else { (x, value) };
        let a = if b < 0 { -a } else { a };
        if b == 0 {
            return if a == 0 { output.zero_point } else { a.signum().saturating_mul(i32::MAX) };
        }
        let (inverse, bits) = fixed_point::reciprocal(b.abs());
        // As far to the left as its sign bit allows.
        let headroom = (if a < 0 { !a } else { a }).leading_zeros() as i32 - 1;
        let quotient = requantize(a, Multiplier { multiplier: inverse, shift: headroom }, rounding);
        let factor = Multiplier { shift: factor.shift - bits - headroom, ..factor };
        let scaled = if factor.is_valid() { requantize(quotient, factor, rounding) } else { 0 };
        scaled.wrapping_add(output.zero_point)
    }))
}

/// SQUARED_DIFFERENCE to a single constant `value`.
pub fn squared_difference(
    [input, constant, output]: [QuantParams; 3],
    value: i8,
    rounding: Rounding,
) -> Result<Table, Refusal> {
    const FINE: u32 = 7;
    let unit = 2.0 * f64::from(input.scale.max(constant.scale));
    let [ours, theirs] = [input, constant].map(|quant| factor(f64::from(quant.scale) / unit));
    let (ours, theirs) = (ours?, theirs?);
    let square = factor(unit * unit / f64::from((1u32 << (2 * FINE)) as f32 * output.scale))?;
    let scaled = |x: i32, zero_point, factor| requantize((x - zero_point) << FINE, factor, rounding);
    let constant = scaled(value.into(), constant.zero_point, theirs);
    Ok(table(FULL, |x| {
        let difference = scaled(x, input.zero_point, ours) - constant;
        requantize(difference * difference, square, rounding).wrapping_add(output.zero_point)
    }))
}

/// All integers in the opposite order: minus the number, when the zero point changes its place too.
pub fn mirrored() -> Table {
    table(FULL, |x| -1 - x)
}

/// HARD_SWISH, `x * min(max(x + 3, 0), 6) / 6`, in 16-bit fixed point.
pub fn hard_swish(input: QuantParams, output: QuantParams) -> Result<Table, Refusal> {
    let fine_scale = (1.0f32 / 128.0) * input.scale;
    let narrow = |real: f32| -> Result<(i32, i32), Refusal> {
        let Multiplier { multiplier, shift } = factor(f64::from(real))?;
        let narrowed =
            if multiplier >= i32::MAX - (1 << 15) { i32::from(i16::MAX) } else { (multiplier + (1 << 15)) >> 16 };
        Ok((narrowed, shift))
    };
    let (out_factor, out_shift) = narrow(fine_scale / output.scale)?;
    let (relu_factor, relu_shift) = narrow(fine_scale / (3.0 / 32768.0))?;
    if !(-31..=0).contains(&out_shift) {
        return Err("its output scale is too fine for its input scale".into());
    }
    let saturate = |x: i64| x.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i32;
    let high_mul = |a: i32, b: i32| saturate(i64::from((a * b + (1 << 14)) >> 15));
    Ok(table(FULL, |x| {
        // The kernel's 16-bit stores wrap.
        let fine = i32::from(((x - input.zero_point) << 7) as i16);
        let scaled = high_mul(fine, out_factor);
        let mut gate = fine;
        if relu_shift > 0 {
            gate = saturate(i64::from(gate) << (relu_shift - 1).min(31));
        }
        gate = high_mul(gate, relu_factor);
        if relu_shift > 0 {
            gate = saturate(i64::from(gate) << 1);
        } else {
            gate = fixed_point::divide_by_power(gate, relu_shift.unsigned_abs());
        }
        let gate = (gate + (1 << 15)) >> 1;
        let product = saturate(i64::from(gate * scaled / (1 << 15)));
        saturate(i64::from(fixed_point::divide_by_power(product, out_shift.unsigned_abs()) + output.zero_point))
    }))
}

/// QUANTIZE from uint8 to int8, for all pixels in order.
pub fn from_pixels(scale: f32, zero_point: i32, to: QuantParams, rounding: Rounding) -> Result<Table, Refusal> {
    let factor = factor(f64::from(scale) / f64::from(to.scale))?;
    let scaled = |pixel| requantize(pixel - zero_point, factor, rounding).wrapping_add(to.zero_point);
    Ok((0..256).map(|pixel| FULL.apply(scaled(pixel)) as i8).collect())
}

/// ADD, SUB and MUL with a single constant `value`; `quants` are those of input, constant and output, `double` is whether SUB
/// has its factors in double precision.
pub fn with_constant(
    function: ConstantFunction,
    quants: [QuantParams; 3],
    value: i8,
    activation: Activation,
    (rounding, double): (Rounding, bool),
) -> Result<Table, Refusal> {
    let [input, constant, output] = quants;
    let clamp = Clamp::activation(activation, output, DType::I8);
    let value = i32::from(value) - constant.zero_point;
    let bad = || "scales whose ratio is out of range".to_owned();
    // Factors of input, constant and result, as the runtime's operators compute them.
    let factors = match function {
        ConstantFunction::Mul => {
            let mul = Mul::new(input, constant, output, rounding, clamp).ok_or_else(bad)?;
            return Ok(table(clamp, |x| {
                requantize((x - input.zero_point) * value, mul.factor, rounding).wrapping_add(output.zero_point)
            }));
        }
        ConstantFunction::Add => {
            let add = Add::new(input, constant, output, DType::I8, rounding, clamp).ok_or_else(bad)?;
            (add.factors, add.output_factor)
        }
        ConstantFunction::Sub | ConstantFunction::SubFrom => {
            let new = if double { Sub::new } else { Sub::in_single };
            let sub = new(input, constant, output, DType::I8, rounding, clamp).ok_or_else(bad)?;
            (sub.factors, sub.output_factor)
        }
        ConstantFunction::Prelu => return prelu(input, output, (value + constant.zero_point, constant), rounding),
    };
    let ([input_factor, constant_factor], output_factor) = factors;
    let scale = |x: i32, factor| requantize(x << AddTerms::LEFT_SHIFT, factor, rounding);
    let constant = scale(value, constant_factor);
    Ok(table(clamp, |x| {
        let x = scale(x - input.zero_point, input_factor);
        let result = match function {
            ConstantFunction::Sub => x.wrapping_sub(constant),
            ConstantFunction::SubFrom => constant.wrapping_sub(x),
            _ => x.wrapping_add(constant),
        };
        requantize(result, output_factor, rounding).wrapping_add(output.zero_point)
    }))
}
