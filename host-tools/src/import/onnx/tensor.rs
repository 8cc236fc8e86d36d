//! Constants of an ONNX file as plain numbers.

use kinglet::QuantParams;

use super::arrays::size;
use super::proto::TensorProto;
use crate::import::problem::{Refusal, refuse};
use crate::quantize::int16;

/// A constant: dimensions and numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constant {
    pub(super) dims: Vec<usize>,
    pub(super) values: Values,
}

/// A constant's numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Values {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
    /// int8, or uint8 less 128: zero points then are less 128 too.
    Bytes {
        values: Vec<i8>,
        unsigned: bool,
    },
}

impl Constant {
    /// The largest dimension.
    pub(super) const MAX_DIM: usize = 1 << 28;

    /// Reads an initializer. What it allocates is at most four times the bytes that the file gives.
    pub(super) fn read(tensor: &TensorProto) -> Result<Self, Refusal> {
        let mut dims = Vec::new();
        for &dim in &tensor.dims {
            match usize::try_from(dim) {
                Ok(dim) if dim <= Self::MAX_DIM && dims.len() < 8 => dims.push(dim),
                _ => return refuse(format!("a constant of dimensions {:?}", tensor.dims), ""),
            }
        }
        let raw = &tensor.raw_data[..];
        let halves = || -> Vec<u16> {
            let given = tensor.int32_data.iter().map(|&bits| bits as u16);
            let raw = raw.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
            given.chain(raw).collect()
        };
        let values = match tensor.data_type {
            1 if raw.is_empty() => Values::Floats(tensor.float_data.clone()),
            1 => Values::Floats(raw.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
            11 if raw.is_empty() => Values::Floats(tensor.double_data.iter().map(|&x| x as f32).collect()),
            11 => Values::Floats(words(raw).map(|b| f64::from_le_bytes(b) as f32).collect()),
            10 => Values::Floats(halves().into_iter().map(|bits| half::f16::from_bits(bits).to_f32()).collect()),
            16 => Values::Floats(halves().into_iter().map(|bits| half::bf16::from_bits(bits).to_f32()).collect()),
            // Booleans.
            9 if raw.is_empty() => Values::Integers(tensor.int32_data.iter().map(|&v| i64::from(v != 0)).collect()),
            9 => Values::Integers(raw.iter().map(|&v| i64::from(v != 0)).collect()),
            7 if raw.is_empty() => Values::Integers(tensor.int64_data.clone()),
            7 => Values::Integers(words(raw).map(i64::from_le_bytes).collect()),
            6 if raw.is_empty() => Values::Integers(tensor.int32_data.iter().map(|&v| v.into()).collect()),
            6 => Values::Integers(
                raw.chunks_exact(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]).into()).collect(),
            ),
            5 => Values::Integers(halves().into_iter().map(|bits| i64::from(bits as i16)).collect()),
            kind @ (2 | 3) => {
                let unsigned = kind == 2;
                let byte = |v: i32| if unsigned { (v as u8 ^ 0x80) as i8 } else { v as i8 };
                let values = if raw.is_empty() {
                    tensor.int32_data.iter().map(|&v| byte(v)).collect()
                } else {
                    raw.iter().map(|&b| byte(b.into())).collect()
                };
                Values::Bytes { values, unsigned }
            }
            other => return refuse(format!("a constant of element type {other}"), "save the model in float32"),
        };
        let constant = Self { dims, values };
        // Dimensions of 0 may not hide others that are too large for loops over them.
        let is_small = size(&constant.dims) <= Self::MAX_DIM;
        if is_small && constant.dims.iter().product::<usize>() == constant.len() {
            Ok(constant)
        } else {
            refuse("a constant with more or fewer numbers than its dimensions say", "the file is damaged")
        }
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        match &self.values {
            Values::Floats(v) => v.len(),
            Values::Integers(v) => v.len(),
            Values::Bytes { values, .. } => values.len(),
        }
    }

    /// The numbers of a float constant.
    pub(super) fn floats(&self) -> Result<&[f32], Refusal> {
        match &self.values {
            Values::Floats(values) => Ok(values),
            _ => refuse("integers where floats are needed", ""),
        }
    }

    /// The numbers of an integer constant.
    pub(super) fn integers(&self) -> Result<&[i64], Refusal> {
        match &self.values {
            Values::Integers(values) => Ok(values),
            _ => refuse("floats where integers are needed", ""),
        }
    }

    /// The only number.
    pub(super) fn scalar(&self) -> Result<f32, Refusal> {
        match &self.values {
            Values::Floats(values) if values.len() == 1 => Ok(values[0]),
            _ => refuse("a list where one float is needed", ""),
        }
    }

    /// The only number, float or integer.
    pub(super) fn number(&self) -> Result<f64, Refusal> {
        match &self.values {
            Values::Integers(values) if values.len() == 1 => Ok(values[0] as f64),
            _ => Ok(self.scalar()?.into()),
        }
    }

    /// QuantizeLinear of a constant of floats, with one scale.
    pub(super) fn quantized(&self, scale: &Constant, zero: Option<&Constant>) -> Result<Self, Refusal> {
        let quant = quant(scale, zero)?;
        let element =
            |&x: &f32| (f64::from(x) / f64::from(quant.scale)).round_ties_even() + f64::from(quant.zero_point);
        let values = self.floats()?.iter().map(element).map(|q| q as i8).collect();
        let unsigned = !matches!(zero.map(|z| &z.values), Some(Values::Bytes { unsigned: false, .. }));
        Ok(Self { dims: self.dims.clone(), values: Values::Bytes { values, unsigned } })
    }

    /// DequantizeLinear of a constant: `(q - zero point) * scale`, with one scale or one along `axis`.
    pub(super) fn dequantized(&self, scale: &Constant, zero: Option<&Constant>, axis: i64) -> Result<Self, Refusal> {
        let scales = scale.floats()?;
        let zeros: Vec<i64> = match zero.map(|z| &z.values) {
            None => {
                vec![if matches!(self.values, Values::Bytes { unsigned: true, .. }) { -128 } else { 0 }; scales.len()]
            }
            Some(Values::Bytes { values, .. }) => values.iter().map(|&v| v.into()).collect(),
            Some(Values::Integers(values)) => values.clone(),
            Some(Values::Floats(_)) => return refuse("a zero point that is no integer", ""),
        };
        let axis = usize::try_from(if axis < 0 { axis + self.dims.len() as i64 } else { axis }).unwrap_or(usize::MAX);
        let inner: usize = self.dims.iter().skip(axis.saturating_add(1)).product();
        let extent = self.dims.get(axis).copied().unwrap_or(1).max(1);
        if zeros.len() != scales.len() || (scales.len() != 1 && scales.len() != extent) {
            return refuse("a number of scales that does not fit its dimensions", "");
        }
        let at = |index: usize| if scales.len() == 1 { 0 } else { index / inner.max(1) % extent };
        let real = |(index, q): (usize, i64)| (q - zeros[at(index)]) as f32 * scales[at(index)];
        let values = match &self.values {
            Values::Bytes { values, .. } => values.iter().map(|&v| i64::from(v)).enumerate().map(real).collect(),
            Values::Integers(values) => values.iter().copied().enumerate().map(real).collect(),
            Values::Floats(_) => return refuse("it dequantizes floats", ""),
        };
        Ok(Self { dims: self.dims.clone(), values: Values::Floats(values) })
    }
}

/// Whether a zero point is of int16 elements.
pub(super) fn is_int16(zero: Option<&Constant>) -> bool {
    matches!(zero, Some(Constant { values: Values::Integers(_), .. }))
}

/// The quantization that a scale and a zero point say, for int8; of int16 elements that of as large numbers.
pub(super) fn quant(scale: &Constant, zero: Option<&Constant>) -> Result<QuantParams, Refusal> {
    let scale = scale.scalar()?;
    let zero_point = match zero.map(|z| &z.values) {
        // Without a zero point the element type is uint8, whose 0 is -128 here.
        None => -128,
        Some(Values::Bytes { values, .. }) if values.len() == 1 => values[0].into(),
        Some(Values::Integers(values)) if values[..] == [0] => 0,
        Some(Values::Integers(_)) => {
            return refuse("int16 activations with a zero point", "quantize with ActivationSymmetric=True");
        }
        Some(_) => {
            return refuse("activations of another type than int8, uint8 or int16", "quantize the model to 8 bits");
        }
    };
    if !(scale.is_finite() && scale > 0.0) {
        return refuse(format!("a scale of {scale}"), "");
    }
    Ok(if is_int16(zero) { int16::narrow(scale) } else { QuantParams { scale, zero_point } })
}

fn words(raw: &[u8]) -> impl Iterator<Item = [u8; 8]> {
    raw.chunks_exact(8).map(|b| [b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])
}
