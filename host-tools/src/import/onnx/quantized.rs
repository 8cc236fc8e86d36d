//! QuantizeLinear and DequantizeLinear: the scales of activations, and constants that are integers in the file.

use kinglet::QuantParams;

use super::context::{Activation, Context, Value, int};
use super::proto::NodeProto;
use super::tensor::{Constant, Values, is_int16, quant};
use crate::graph::NodeId;
use crate::import::draft::quant_bounds;
use crate::import::problem::{Refusal, UNKNOWN, refuse};
use crate::import::source::{Curve, Operator};

impl<'m> Context<'m> {
    pub(super) fn quantize(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let (scale, zero) = (self.constant(node, 1)?, self.optional(node, 2)?);
        let int16 = is_int16(zero.as_deref());
        if let Value::Constant(constant) = self.value(node, 0)?.clone() {
            if int16 {
                return refuse("a constant of floats that becomes int16", "have the quantizer store its integers");
            }
            self.spend(constant.len())?;
            let integers = constant.quantized(&scale, zero.as_deref())?;
            self.set(node, Value::Constant(integers.into()));
            return Ok(());
        }
        if let apart @ Value::Apart(_) = self.value(node, 0)?.clone() {
            // The scale is that of the map before.
            self.set(node, apart);
            return Ok(());
        }
        let input = self.activation(node, 0)?;
        let quant = quant(&scale, zero.as_deref())?;
        self.draft.int16 |= int16;
        // What cuts off has no other scale, so that it costs nothing.
        self.draft.quants.insert(input.node, quant);
        let input = self.cut_off(input, quant)?;
        // Of several quantizations on the way the last one counts; it is that of what reads the value.
        self.draft.quants.insert(input.node, quant);
        self.set(node, Value::Quantized(input, quant));
        Ok(())
    }

    /// Puts back the activation that quantization stands for: quantizers drop a ReLU or ReLU6 before QuantizeLinear when
    /// the scale and the zero point cut off the same numbers.
    fn cut_off(&mut self, input: Activation, quant: QuantParams) -> Result<Activation, Refusal> {
        let (least, most) = self.draft.bounds(input.node);
        let (_, top) = quant_bounds(quant);
        let is_six = (top - 6.0).abs() < 1e-5;
        let is_lost = least < 0.0 || (is_six && most > 6.0);
        if quant.zero_point != i32::from(i8::MIN) || !is_lost || input.node == NodeId(0) {
            return Ok(input);
        }
        let id = self.lower(Operator::Function(if is_six { Curve::Relu6 } else { Curve::Relu }), &[input.node])?;
        Ok(Activation { node: id, ..input })
    }

    pub(super) fn dequantize(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let (scale, zero) = (self.constant(node, 1)?, self.optional(node, 2)?);
        match self.value(node, 0)?.clone() {
            Value::Quantized(activation, before) => {
                if quant(&scale, zero.as_deref())? != before {
                    return refuse("another scale than that of its QuantizeLinear", "");
                }
                self.set(node, Value::Activation(activation));
                Ok(())
            }
            Value::Constant(constant) => {
                self.spend(constant.len())?;
                let real = constant.dequantized(&scale, zero.as_deref(), int(node, "axis", 1))?;
                let is_zero = |zero: &Constant| match &zero.values {
                    Values::Bytes { values, .. } => values.iter().all(|&zero| zero == 0),
                    _ => false,
                };
                let signed = matches!(constant.values, Values::Bytes { unsigned: false, .. });
                if let Some(output) = node.output.first()
                    && zero.as_deref().map_or(signed, is_zero)
                {
                    self.integers.insert(output, [constant.clone(), scale]);
                }
                self.set(node, Value::Constant(real.into()));
                Ok(())
            }
            apart @ Value::Apart(_) => {
                self.set(node, apart);
                Ok(())
            }
            Value::Activation(_) | Value::Expanded(..) => refuse("its input is not quantized", ""),
            Value::Unknown => refuse(UNKNOWN, ""),
        }
    }

    /// Imports a node that gives elements of its input, which are integers and stay these; whether it was one.
    pub(super) fn of_integers(&mut self, node: &'m NodeProto) -> Result<bool, Refusal> {
        let moves = ["MaxPool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Split", "Gather"];
        let Some(name) = node.input.first().filter(|_| moves.contains(&node.op_type.as_str())) else {
            return Ok(false);
        };
        let Some(Value::Quantized(input, quant)) = self.values.get(name.as_str()).cloned() else { return Ok(false) };
        // As if they were real numbers, for as long as this takes.
        self.values.insert(name, Value::Activation(input.clone()));
        let result = self.node(node);
        self.values.insert(name, Value::Quantized(input, quant));
        result?;
        for output in &node.output {
            if let Some(Value::Activation(part)) = self.values.get(output.as_str()).cloned() {
                self.draft.quants.insert(part.node, quant);
                self.values.insert(output, Value::Quantized(part, quant));
            }
        }
        Ok(true)
    }

    /// Whether nothing reads the output of a node, but for what quantizes it or only gives it another shape.
    pub(super) fn is_output(&self, node: &NodeProto) -> bool {
        let mut output = node.output.first();
        // Of more steps than these a file could make a circle.
        for _ in 0..4 {
            let Some(name) = output else { return false };
            let mut readers = self.nodes.iter().map(|&(_, node)| node).filter(|reader| reader.input.contains(name));
            match (readers.next(), readers.next()) {
                (None, _) => return true,
                (Some(next), None)
                    if matches!(
                        &*next.op_type,
                        "QuantizeLinear" | "DequantizeLinear" | "Identity" | "Reshape" | "Flatten" | "Squeeze"
                    ) =>
                {
                    output = next.output.first();
                }
                _ => return false,
            }
        }
        false
    }
}
