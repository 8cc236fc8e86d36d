//! Padding, which the window that reads it takes over where it can.

use kinglet::{DType, QuantParams, Shape};

use super::lower::{FusedPad, Lowering};
use super::names as op;
use super::options::{Blocks, blocks, hint, is_plain};
use super::schema::{Operator, Type};
use crate::graph::{Op, Rearrange};
use crate::import::problem::{Refusal, refuse};

impl Lowering<'_, '_> {
    /// What is added before and after height, width and channels.
    pub(super) fn pad_amounts(&self, o: &Operator<'_>) -> Result<([u32; 3], [u32; 3]), Refusal> {
        let (Some(from), Some(amounts)) = (o.input(0), o.input(1).and_then(|i| self.model.tensors[i].integers(16)))
        else {
            return refuse("its amounts are not constant", "");
        };
        let rank = self.model.tensors[from].dims.len();
        let amounts: Option<Vec<u32>> =
            amounts.iter().map(|&a| u32::try_from(a).ok().filter(|&a| a < Shape::MAX_DIM)).collect();
        let Some(amounts) = amounts.filter(|a| a.len() == 2 * rank && (2..=4).contains(&rank)) else {
            return refuse("negative, huge or malformed amounts", "");
        };
        if amounts[0] != 0 || amounts[1] != 0 {
            return refuse("padding of the batch", "");
        }
        // Height, width, channels from the back; missing ones are not padded.
        let of = |from_last: usize, side: usize| {
            if from_last + 1 < rank { amounts[2 * (rank - 1 - from_last) + side] } else { 0 }
        };
        let side = |side| [of(2, side), of(1, side), of(0, side)];
        Ok((side(0), side(1)))
    }

    pub(super) fn pad(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (before, after) = self.pad_amounts(o)?;
        let Some(from) = o.input(0) else { return refuse("input 0 is missing", "") };
        let input = self.operand(o, 0)?;
        let (quant, dtype) = (self.info(input).quant, self.info(input).dtype);
        let value = match o.input(2).filter(|_| o.code == op::PADV2) {
            None => quant.zero_point as i16,
            Some(value) => match (self.model.tensors[value].data, self.model.tensors[value].dtype, dtype) {
                (Some(&[byte]), Type::Int8, DType::I8) => i16::from(byte as i8),
                (Some(&[low, high]), Type::Int16, DType::I16) => i16::from_le_bytes([low, high]),
                _ => return refuse("its value is not one constant of its input's type", ""),
            },
        };
        if let Some(index) = o.output(0)
            && self.may_fuse(index, before, after, value, (quant, dtype))
            && super::lower::quant(&self.model.tensors[index])?.same(quant)
        {
            let (before, after) = ([before[0], before[1]], [after[0], after[1]]);
            let pad = FusedPad { input: from, before, after, dilation: [1, 1] };
            self.pads.insert(index, pad);
            return Ok(());
        }
        let output = self.result(o)?;
        if !self.info(output).quant.same(quant) {
            return refuse("input and output have different scales", "");
        }
        if self.info(output).shape != kinglet::ops::Pad::output_shape(self.info(input).shape, before, after) {
            return refuse("the output's shape is not the padded input's", "the file contradicts itself");
        }
        let value = quant.dequantize(value.into());
        self.push(Op::Rearrange(Rearrange::Pad { before, after, value }), vec![input], output);
        Ok(())
    }

    /// SPACE_TO_BATCH_ND before a convolution, which becomes a dilated one.
    pub(super) fn space_to_batch(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (Some(input), Some(output)) = (o.input(0), o.output(0)) else { return refuse("input 0 is missing", "") };
        let Blocks { size, before, after } = blocks(self.model, o)?;
        self.value(input)?;
        if !self.only_reader(output).is_some_and(is_plain) {
            return refuse("the operator is not supported", hint(o.code));
        }
        self.pads.insert(output, FusedPad { input, before, after, dilation: size });
        Ok(())
    }

    /// BATCH_TO_SPACE_ND behind such a convolution.
    pub(super) fn batch_to_space(&self, o: &Operator<'_>) -> Result<(), Refusal> {
        if self.is_computed(o) { Ok(()) } else { refuse("the operator is not supported", hint(o.code)) }
    }

    /// Whether the only reader of padded tensor `index` is a window that can pad by itself, with the same result.
    fn may_fuse(
        &self,
        index: usize,
        before: [u32; 3],
        after: [u32; 3],
        value: i16,
        (quant, dtype): (QuantParams, DType),
    ) -> bool {
        let Some(reader) = self.only_reader(index).filter(|r| r.input(0) == Some(index)) else { return false };
        let Some(options) = reader.options else { return false };
        // A convolution skips taps outside the image, which is what a zero contributes; a maximum skips them too, which
        // is what the lowest value contributes.
        let neutral = match reader.code {
            op::CONV_2D | op::DEPTHWISE_CONV_2D => i32::from(value) == quant.zero_point,
            op::MAX_POOL_2D => i32::from(value) == dtype.min(),
            _ => false,
        };
        let valid = options.i8(0, 0) == Ok(1);
        let kernel = match reader.code {
            op::MAX_POOL_2D => [options.i32(4, 0), options.i32(3, 0)].map(|k| k.unwrap_or(0)),
            _ => {
                let Some(weights) = reader.input(1) else { return false };
                let (Some(&h), Some(&w)) =
                    (self.model.tensors[weights].dims.get(1), self.model.tensors[weights].dims.get(2))
                else {
                    return false;
                };
                [h, w]
            }
        };
        let smaller = |axis: usize| i64::from(before[axis].max(after[axis])) < i64::from(kernel[axis]);
        neutral && valid && before[2] == 0 && after[2] == 0 && smaller(0) && smaller(1)
    }
}
