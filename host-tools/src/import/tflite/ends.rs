//! QUANTIZE and DEQUANTIZE: at the network's ends, where conversions are left to the caller, and in its middle.

use kinglet::{ChannelOrder, DType, QuantParams, Rounding};

use super::dims::shape;
use super::elementwise::function;
use super::read::{Reader, State};
use super::schema::{Operator, Type};
use crate::graph::{Function, NodeId};
use crate::import::lower::MAX_SIZE;
use crate::import::problem::{Refusal, refuse};
use crate::import::source::{Curve, Elements, FileNode, Operator as Neutral};
use crate::network::Pixels;
use crate::quantize::lookup;

impl Reader<'_, '_> {
    /// Keeps how a model with a uint8 input makes int8 of it, as the table that pixels go through.
    fn take_pixels(&mut self, from: usize, id: NodeId, elements: Elements) -> Result<(), Refusal> {
        let source = &self.model.tensors[from];
        let Some(scale) = source.scale() else {
            return refuse("its uint8 input has no scale", "");
        };
        let zero_point = source.zero_point().clamp(0, 255) as i32;
        if elements.dtype != DType::I8 {
            return refuse(
                "it makes int16 of uint8",
                "TensorFlow Lite Micro cannot either: convert with int16 or float inputs",
            );
        }
        let table =
            lookup::from_pixels(scale, zero_point, elements.quant, Rounding::Double).map_err(|e| (e, String::new()))?;
        self.draft.note("the uint8 input is taken as pixels; int8 elements are pixels less 128 where scales agree");
        let order = if self.draft.shape(id).c == 3 { ChannelOrder::Rgb } else { ChannelOrder::Grey };
        self.pixels = Some(Pixels { order, tables: table.into_iter().map(i16::from).collect() });
        Ok(())
    }

    /// Takes the input of a model that computes in uint8: pixels, if it is the first.
    pub(super) fn take_unsigned(&mut self, from: usize, id: NodeId) {
        let input = self.end("input", from);
        self.draft.note(&format!("{input} is int8: 128 less than the model's uint8"));
        if self.model.activation_inputs().next() == Some(from) {
            let order = if self.draft.shape(id).c == 3 { ChannelOrder::Rgb } else { ChannelOrder::Grey };
            self.pixels = Some(Pixels { order, tables: (-128..128).collect() });
        }
    }

    /// Takes a uint8 input that is no pixels as int8 elements, which are 128 less.
    fn less_128(&mut self, o: &Operator<'_>, from: usize, to: Elements) -> Result<(), Refusal> {
        let source = &self.model.tensors[from];
        let (Some(scale), zero @ 0..=255, DType::I8) = (source.scale(), source.zero_point(), to.dtype) else {
            return refuse("its uint8 input has no scale and zero point, or becomes int16", "");
        };
        let elements = Elements { dtype: DType::I8, quant: QuantParams { scale, zero_point: zero as i32 - 128 } };
        let id = self.draft.input(shape(source)?, Some(elements));
        let input = self.end("input", from);
        self.draft.note(&format!("{input} is int8: 128 less than the model's uint8"));
        self.states[from] = State::Value(id);
        let id = self.draft.rescaled(id, to)?;
        self.set(o, 0, id)
    }

    pub(super) fn quantize(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (Some(from), Some(to)) = (o.input(0), o.output(0)) else { return refuse("input 0 is missing", "") };
        let (source, target) = (&self.model.tensors[from], &self.model.tensors[to]);
        if let State::Real(id, function) = &self.states[from] {
            let (id, function) = (*id, function.clone());
            let output = self.output(o, kinglet::Activation::None)?;
            let ends = (self.draft.elements(id), output.elements);
            let (Some(before @ Elements { dtype: DType::I8, .. }), Some(after @ Elements { dtype: DType::I8, .. })) =
                ends
            else {
                return refuse("floats between elements that are not int8", "quantize all of the network");
            };
            let table = lookup::of_reals(before.quant, after.quant, |x| function.at(x.into()) as f32);
            let id = self.draft.table(table, id, output)?;
            return self.set(o, 0, id);
        }
        if matches!(self.states[from], State::Raw) && self.readers[from] == 1 {
            let Some(elements) = self.elements(to)? else { return refuse("an output in floats", "") };
            if source.dtype == Type::UInt8 && self.model.activation_inputs().next() != Some(from) {
                return self.less_128(o, from, elements);
            }
            let id = self.draft.input(shape(target)?, Some(elements));
            if source.dtype == Type::UInt8 {
                self.take_pixels(from, id, elements)?;
            } else {
                let QuantParams { scale, zero_point } = elements.quant;
                let input = self.end("float input", from);
                self.draft.note(&format!("{input} is taken quantized: q = round(x / {scale}) + {zero_point}"));
            }
            self.states[from] = State::Value(id);
            return self.set(o, 0, id);
        }
        let id = self.value(from)?;
        if target.dtype == Type::UInt8 && self.model.outputs.contains(&to) && source.dtype == Type::Int8 {
            let Some(scale) = target.scale() else { return refuse("its uint8 output has no scale", "") };
            let quant = QuantParams { scale, zero_point: target.zero_point().clamp(0, 255) as i32 - 128 };
            let id = self.draft.rescaled(id, Elements { dtype: DType::I8, quant })?;
            return self.set(o, 0, id);
        }
        self.lower(o, Neutral::Function(Curve::Same), &[id])
    }

    /// Takes in a function of one element of floats that QUANTIZE makes integers again: a table in all; whether it was one.
    pub(super) fn function_of_reals(&mut self, o: &Operator<'_>) -> Result<bool, Refusal> {
        let (Some(from), Some(to)) = (o.input(0), o.output(0)) else { return Ok(false) };
        let State::Real(id, inner) = &self.states[from] else { return Ok(false) };
        let Some(outer) = function(o)? else { return Ok(false) };
        let composed = outer.real().of(inner);
        if composed.size() > MAX_SIZE {
            return refuse("a function of functions that is too long", "");
        }
        self.states[to] = State::Real(*id, composed);
        Ok(true)
    }

    pub(super) fn dequantize(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let id = self.operand(o, 0)?;
        let Some(to) = o.output(0) else { return refuse("it has no output", "") };
        let is_output = self.model.outputs.contains(&to);
        if let (true, Some(Elements { dtype, quant: QuantParams { scale, zero_point } })) =
            (is_output, self.draft.elements(id))
        {
            let output = self.end("output", to);
            self.draft.note(&format!("{output} is {}: real = (q - {zero_point}) * {scale}", dtype.name()));
        }
        if is_output && self.readers[to] == 1 {
            return self.set(o, 0, id);
        }
        self.states[to] = State::Real(id, Function::X);
        Ok(())
    }

    /// What notes call an input or an output: by its name, when there are several.
    pub(super) fn end(&self, end: &str, index: usize) -> String {
        let count = if end == "output" { self.model.outputs.len() } else { self.model.activation_inputs().count() };
        if count == 1 {
            format!("the {end}")
        } else {
            format!("the {end} `{}`", self.model.tensors[index].short_name())
        }
    }

    /// Lowers a function of one element.
    pub(super) fn curve(&mut self, o: &Operator<'_>, curve: Curve) -> Result<(), Refusal> {
        let (input, output) = (self.operand(o, 0)?, self.output(o, kinglet::Activation::None)?);
        self.lower_node(o, FileNode::new(Neutral::Function(curve), &[input], output))
    }
}
