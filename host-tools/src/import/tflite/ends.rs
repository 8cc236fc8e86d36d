//! The network's ends: conversions between the caller's elements and int8 are left to the caller.

use kinglet::{DType, QuantParams, Rounding};

use super::float_ops::function;
use super::lower::Lowering;
use super::schema::{Operator, Type};
use crate::graph::Function;
use crate::import::elementwise::MAX_SIZE;
use crate::import::problem::{Refusal, refuse};
use crate::network::TensorId;
use crate::quantize::lookup;

impl Lowering<'_, '_> {
    /// Lets `id`, which is computed from the model's input `from`, be the network's input.
    pub(super) fn become_input(&mut self, from: usize, id: TensorId) {
        self.set_value(from, id);
    }

    /// Whether nothing but the caller reads `index`.
    pub(super) fn only_reader_is_caller(&self, index: usize) -> bool {
        self.reader_count(index) == 1
    }

    /// Keeps how a model with a uint8 input makes int8 of it, as the table that pixels go through.
    pub(super) fn take_pixels(&mut self, from: usize, id: TensorId) -> Result<(), Refusal> {
        let source = &self.model.tensors[from];
        let Some(scale) = source.scale() else {
            return refuse("its uint8 input has no scale", "");
        };
        let zero_point = source.zero_point().clamp(0, 255) as i32;
        if self.info(id).dtype != DType::I8 {
            return refuse(
                "it makes int16 of uint8",
                "TensorFlow Lite Micro cannot either: convert with int16 or float inputs",
            );
        }
        let quant = self.info(id).quant;
        let table = lookup::from_pixels(scale, zero_point, quant, Rounding::Double).map_err(|e| (e, String::new()))?;
        self.notes
            .push("the uint8 input is taken as pixels; int8 elements are pixels less 128 where scales agree".into());
        self.set_pixels(table.into_iter().map(i16::from).collect(), self.info(id).shape.c);
        Ok(())
    }

    pub(super) fn quantize(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let Some(from) = o.input(0) else { return refuse("input 0 is missing", "") };
        let source = &self.model.tensors[from];
        match source.dtype {
            Type::Float32 | Type::UInt8 if self.model.inputs.contains(&from) && self.only_reader(from).is_some() => {
                let id = self.result(o)?;
                if source.dtype == Type::UInt8 {
                    self.take_pixels(from, id)?;
                } else {
                    let quant = self.info(id).quant;
                    self.notes.push(format!(
                        "the float input is taken quantized: q = round(x / {}) + {}",
                        quant.scale, quant.zero_point
                    ));
                }
                self.become_input(from, id);
                Ok(())
            }
            Type::Int8 | Type::Int16 => match o.output(0).map(|t| (t, self.model.tensors[t].dtype)) {
                Some((to, Type::UInt8)) if self.model.outputs == [to] && source.dtype == Type::Int8 => {
                    let id = self.operand(o, 0)?;
                    let target = &self.model.tensors[to];
                    let Some(scale) = target.scale() else { return refuse("its uint8 output has no scale", "") };
                    let quant = QuantParams { scale, zero_point: target.zero_point().clamp(0, 255) as i32 - 128 };
                    let info = self.info(id).clone();
                    let id = if info.quant.same(quant) { id } else { self.requantized(id, &info, quant)? };
                    self.alias(o, id);
                    self.notes.push("the output is int8: add 128 for the model's uint8".into());
                    Ok(())
                }
                _ => self.function(o),
            },
            Type::Float32 if let Some((id, function)) = self.reals.get(&from).cloned() => {
                let output = self.result(o)?;
                let (before, after) = (self.info(id).clone(), self.info(output).clone());
                if before.dtype != DType::I8 || after.dtype != DType::I8 || before.shape != after.shape {
                    return refuse("floats between elements that are not int8", "quantize all of the network");
                }
                let table = lookup::of_reals(before.quant, after.quant, |x| function.at(x.into()) as f32);
                self.push_table(table, id, output);
                Ok(())
            }
            dtype => refuse(
                format!("it converts {} in the middle of the network", dtype.name()),
                "only networks of int8 or int16 activations are supported",
            ),
        }
    }

    /// Takes in a function of one element of floats that QUANTIZE makes integers again: a table in all; whether it was one.
    pub(super) fn function_of_reals(&mut self, o: &Operator<'_>) -> Result<bool, Refusal> {
        let (Some(from), Some(to)) = (o.input(0), o.output(0)) else { return Ok(false) };
        let Some((id, inner)) = self.reals.get(&from).cloned() else { return Ok(false) };
        let Some(outer) = function(o)? else { return Ok(false) };
        let composed = outer.of(&inner);
        if composed.size() > MAX_SIZE {
            return refuse("a function of functions that is too long", "");
        }
        self.reals.insert(to, (id, composed));
        Ok(true)
    }

    pub(super) fn dequantize(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let id = self.operand(o, 0)?;
        let Some(to) = o.output(0) else { return refuse("it has no output", "") };
        if self.model.outputs != [to] || !self.only_reader_is_caller(to) {
            self.reals.insert(to, (id, Function::X));
            return Ok(());
        }
        let quant = self.info(id).quant;
        let dtype = self.info(id).dtype.name();
        self.notes.push(format!("the output is {dtype}: real = (q - {}) * {}", quant.zero_point, quant.scale));
        self.alias(o, id);
        Ok(())
    }
}
