//! Constants of a TensorFlow Lite file: weights, biases, operands of arithmetic.

use kinglet::{DType, Window};

use super::fold::reals;
use super::read::{Reader, elements};
use super::schema::{Operator, Tensor, Type};
use crate::import::problem::{Refusal, refuse};
use crate::import::source::{Bias, Filter, List, Numbers, broadcast};

impl<'b> Reader<'_, 'b> {
    /// A constant input and its bytes, after they have been counted.
    pub(super) fn constant(
        &mut self,
        o: &Operator<'_>,
        input: usize,
        what: &str,
    ) -> Result<(usize, &'b [u8]), Refusal> {
        let Some(index) = o.input(input) else { return refuse(format!("its {what} is missing"), "") };
        let Some(data) = self.model.tensors[index].data else {
            return refuse(format!("its {what} is computed at run time"), "only constant weights are supported");
        };
        self.draft.spend(data.len())?;
        Ok((index, data))
    }

    /// Inputs 1 and 2: weights for `channels` outputs, which are dimension `axis`, and biases.
    pub(super) fn filter(
        &mut self,
        o: &Operator<'_>,
        bias: usize,
        channels: u32,
        axis: i32,
        wide: bool,
    ) -> Result<Filter, Refusal> {
        let (index, data) = self.constant(o, 1, "filter")?;
        let tensor = &self.model.tensors[index];
        if tensor.dtype == Type::Int4 {
            // They become twice as many bytes.
            self.draft.spend(data.len())?;
        }
        let weights =
            if self.is_float { Numbers::Reals(reals(tensor, data)?) } else { integers(tensor, data, channels, axis)? };
        Ok(Filter { weights, bias: self.bias(o, bias, channels, wide)? })
    }

    /// The bias, zeros if there is none. That of int16 activations (`wide`) may have 64 bits.
    fn bias(&mut self, o: &Operator<'_>, at: usize, channels: u32, wide: bool) -> Result<Bias, Refusal> {
        let channels = channels as usize;
        self.draft.spend(channels.saturating_mul(8))?;
        if o.input(at).is_none() {
            return Ok(match self.is_float {
                true => Bias::Reals(vec![0.0; channels]),
                false => Bias::Integers(vec![0; channels], true),
            });
        }
        let (index, data) = self.constant(o, at, "bias")?;
        let tensor = &self.model.tensors[index];
        match tensor.dtype {
            _ if self.is_float => {
                let bias = reals(tensor, data)?;
                if bias.len() != channels {
                    return refuse(format!("{} biases for {channels} channels", bias.len()), "");
                }
                Ok(Bias::Reals(bias))
            }
            Type::Int32 if data.len() == channels * 4 => {
                let (words, _) = data.as_chunks();
                Ok(Bias::Integers(words.iter().map(|&word| i32::from_le_bytes(word).into()).collect(), false))
            }
            Type::Int64 if data.len() == channels * 8 && wide => {
                let (words, _) = data.as_chunks();
                Ok(Bias::Integers(words.iter().map(|&word| i64::from_le_bytes(word)).collect(), true))
            }
            other => refuse(
                format!("a bias of {} bytes of type {}", data.len(), other.name()),
                "one int32 for each output channel, or int64 beside int16 activations",
            ),
        }
    }

    /// The numbers of a constant operand, spread over activation `beside`: one, one for each channel, or one for each
    /// element.
    pub(super) fn list(&mut self, o: &Operator<'_>, input: usize, beside: Option<usize>) -> Result<List, Refusal> {
        let (index, data) = self.constant(o, input, "constant")?;
        let tensor = &self.model.tensors[index];
        let Some(beside) = beside else { return refuse("an input or its output is missing", "") };
        let extents = |dims: &[i32]| dims.iter().map(|&d| d.unsigned_abs() as usize).collect::<Vec<_>>();
        let (dims, to) = (extents(&tensor.dims), extents(&self.model.tensors[beside].dims));
        if self.is_float {
            let numbers = reals(tensor, data)?;
            return Ok(List::Reals(self.spread(numbers, &dims, &to)?));
        }
        let elements = elements(tensor)?;
        let numbers = match elements.dtype {
            DType::I16 => data.as_chunks().0.iter().map(|&b| i16::from_le_bytes(b)).collect(),
            _ if tensor.dtype == Type::UInt8 => data.iter().map(|&b| i16::from(b) - 128).collect(),
            _ => data.iter().map(|&b| i16::from(b as i8)).collect(),
        };
        Ok(List::Integers(self.spread(numbers, &dims, &to)?, elements))
    }

    fn spread<T: Copy>(&mut self, numbers: Vec<T>, dims: &[usize], to: &[usize]) -> Result<Vec<T>, Refusal> {
        let whole = to.iter().fold(1, |n: usize, &d| n.saturating_mul(d));
        let channelwise = dims.last() == Some(&numbers.len()) && to.last() == Some(&numbers.len());
        if numbers.len() == 1 || channelwise || numbers.len() == whole {
            return Ok(numbers);
        }
        self.draft.spend(whole.saturating_mul(4))?;
        match broadcast(&numbers, dims, to) {
            Some(spread) => Ok(spread),
            None => refuse(
                format!("a constant of shape {dims:?} beside {to:?}"),
                "a constant has one element, or a shape that is spread over the activation's",
            ),
        }
    }
}

/// Weights as they are multiplied: int8 or int4, with their scales, or uint8 less their zero point.
fn integers(tensor: &Tensor<'_>, data: &[u8], channels: u32, axis: i32) -> Result<Numbers, Refusal> {
    let len = match tensor.dtype {
        Type::Int8 | Type::UInt8 => tensor.len(),
        Type::Int4 => tensor.len().div_ceil(2),
        other => {
            return refuse(
                format!("weights of type {}", other.name()),
                "convert the model with full integer quantization (int8, or int4 weights)",
            );
        }
    };
    if data.len() != len {
        return refuse("its filter is shorter or longer than its shape", "the file contradicts itself");
    }
    if tensor.dtype == Type::UInt8 {
        let (Some(scale), 1, zero @ 0..=255) = (tensor.scale(), tensor.scale_count(), tensor.zero_point()) else {
            return refuse("uint8 weights without one scale and one zero point of 0..=255", "");
        };
        let values = data.iter().map(|&b| i16::from(b) - zero as i16).collect();
        return Ok(Numbers::Unsigned { values, scale });
    }
    if !tensor.is_symmetric() {
        return refuse(
            "weights with a zero point other than 0",
            "kinglet needs symmetric weights, as TensorFlow Lite's int8 scheme has",
        );
    }
    let count = tensor.scale_count();
    if count != 1 && (count != channels as usize || tensor.axis != axis) {
        return refuse(
            format!("{count} weight scales along dimension {}", tensor.axis),
            "one scale, or one for each output channel",
        );
    }
    let scales = tensor.scales();
    // A pruned channel may have a scale of 0: all its weights are 0 then.
    if let Some(bad) = scales.iter().find(|s| !s.is_finite() || **s < 0.0) {
        return refuse(format!("a weight scale of {bad}"), "scales are positive and finite");
    }
    let values = match tensor.dtype {
        // Two to a byte, the first in the lower half.
        Type::Int4 => data.iter().flat_map(|&b| [(b << 4) as i8 >> 4, b as i8 >> 4]).take(tensor.len()).collect(),
        _ => data.iter().map(|&b| b as i8).collect(),
    };
    Ok(Numbers::Integers { values, scales })
}

/// A filter's four extents.
pub(super) fn four(tensor: &Tensor<'_>) -> Result<[u32; 4], Refusal> {
    let extents: Vec<u32> =
        tensor.dims.iter().filter_map(|&d| u32::try_from(d).ok().filter(|d| (1..=1 << 16).contains(d))).collect();
    match extents[..] {
        [a, b, c, d] if tensor.dims.len() == 4 && b <= Window::MAX_EXTENT && c <= Window::MAX_EXTENT => {
            Ok([a, b, c, d])
        }
        _ => refuse(format!("a filter of shape {:?}", tensor.dims), ""),
    }
}
