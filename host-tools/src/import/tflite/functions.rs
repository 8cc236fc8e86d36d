//! Functions of one element, as tables; of int16 elements, as the operators that the runtime has.

use kinglet::ops::Curve;
use kinglet::{Activation, DType, QuantParams};

use super::lower::Lowering;
use super::names as op;
use super::options::damaged;
use super::schema::{Operator, Type};
use crate::graph::{ConstantFunction, Op, Stored, StoredConstant, StoredFunction};
use crate::import::problem::{Refusal, refuse};
use crate::import::{Relu6, RoundingMode};
use crate::network::{TensorId, TensorInfo};
use crate::quantize::lookup;

/// What is done about RELU6 between different scales.
const RESCALED: &str = "RELU6 that stands alone rescales, as the network was trained and as TensorFlow Lite does; TensorFlow Lite \
                        Micro only clamps its input's integers (--relu6 tflm)";

impl Lowering<'_, '_> {
    /// PRELU: with one slope for all a table, else exactly put together from the operators that there are: what is not
    /// negative rescaled, plus what is negative times the slopes. One of the two is always 0, and a sum of equal scales is
    /// exact.
    pub(super) fn prelu(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        let Some(slope) = o.input(1) else { return refuse("its slope is missing", "") };
        let data = self.constant(slope, "slope")?;
        let output = self.result(o)?;
        let (from, to, slope) = (self.info(input).clone(), self.info(output).clone(), &self.model.tensors[slope]);
        if from.dtype != DType::I8 || to.dtype != DType::I8 || slope.dtype != Type::Int8 || from.shape != to.shape {
            return refuse("its operands are not int8 of one shape", "");
        }
        let quant = super::lower::quant(slope)?;
        let rounding = self.rounding();
        let refusal = |reason: String| (reason, String::new());
        if let [first, ..] = data
            && data.iter().all(|byte| byte == first)
        {
            let slope = (i32::from(*first as i8), quant);
            let table = lookup::prelu(from.quant, to.quant, slope, rounding).map_err(refusal)?;
            self.push_table(table, input, output);
            return Ok(());
        }
        let channelwise = slope.dims.last() == Some(&(from.shape.c as i32)) && data.len() == from.shape.c as usize;
        if !channelwise && data.len() != from.shape.len() as usize {
            return refuse(
                format!("slopes of shape {:?}", slope.dims),
                "there is one slope for all elements, for each channel, or for each element",
            );
        }
        let part = |what: &str, quant| TensorInfo { name: format!("{} ({what})", to.name), quant, ..from.clone() };
        let above = self.intermediate(part("above 0", to.quant));
        let below = self.intermediate(part("below 0", from.quant));
        let scaled = self.intermediate(part("scaled", to.quant));
        let table = lookup::clamped(from.quant, to.quant, Activation::Relu, rounding).map_err(refusal)?;
        self.push_table(table, input, above);
        self.push_table(lookup::negative(from.quant), input, below);
        let data = StoredConstant { data: data.iter().map(|&byte| i16::from(byte as i8)).collect(), quant };
        self.push(Op::Constant { function: ConstantFunction::Mul, data }, vec![below], scaled);
        self.push(Op::Add, vec![above, scaled], output);
        Ok(())
    }

    /// A rescaled copy of `id`.
    pub(super) fn requantized(
        &mut self,
        id: TensorId,
        info: &TensorInfo,
        quant: QuantParams,
    ) -> Result<TensorId, Refusal> {
        let node = self.quantized_again(info, info.dtype, quant)?;
        let copy = self.intermediate(TensorInfo { quant, name: format!("{} (rescaled)", info.name), ..info.clone() });
        self.push(node, vec![id], copy);
        Ok(copy)
    }

    /// QUANTIZE from int8 or int16 to either.
    fn quantized_again(&self, from: &TensorInfo, dtype: DType, quant: QuantParams) -> Result<Op<Stored>, Refusal> {
        if from.dtype == DType::I16 || dtype == DType::I16 {
            return Ok(Op::Activate(Activation::None));
        }
        let table = lookup::requantized(from.quant, quant, self.rounding()).map_err(|e| (e, String::new()))?;
        Ok(Op::Function(StoredFunction::Table(table)))
    }

    /// An activation function that stands alone, as a table.
    pub(super) fn function(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        let output = self.result(o)?;
        if self.info(input).shape != self.info(output).shape {
            return refuse("input and output have different shapes", "the file contradicts itself");
        }
        if self.info(input).dtype == DType::I16 || self.info(output).dtype == DType::I16 {
            let node = self.int16_function(o, input, output)?;
            self.push(node, vec![input], output);
            return Ok(());
        }
        let (from, to, rounding) = (self.info(input).quant, self.info(output).quant, self.rounding());
        let table = match o.code {
            op::QUANTIZE => lookup::requantized(from, to, rounding),
            op::RELU => lookup::clamped(from, to, Activation::Relu, rounding),
            op::RELU6 if self.relu6 == Relu6::Tflm => Ok(lookup::micro_relu6(from)),
            op::RELU6 => {
                if !from.same(to) {
                    self.note(RESCALED);
                }
                lookup::clamped(from, to, Activation::Relu6, rounding)
            }
            op::RELU_N1_TO_1 => lookup::clamped(from, to, Activation::ReluN1To1, rounding),
            op::LOGISTIC if self.mode == RoundingMode::Reference => Ok(lookup::logistic_in_floats(from, to)),
            op::TANH if self.mode == RoundingMode::Reference => Ok(lookup::tanh_in_floats(from, to)),
            op::LOGISTIC => lookup::logistic(from, to, rounding),
            op::TANH => lookup::tanh(from, to, rounding),
            op::HARD_SWISH => lookup::hard_swish(from, to),
            op::ELU => Ok(lookup::elu(from, to)),
            op::GELU => {
                let Some(options) = o.options else { return refuse("its options are missing", "") };
                Ok(lookup::gelu(from, to, options.i8(0, 0).map_err(damaged)? != 0))
            }
            _ => {
                let Some(options) = o.options else { return refuse("its options are missing", "") };
                lookup::leaky_relu(from, to, options.f32(0, 0.0).map_err(damaged)?, rounding)
            }
        };
        let table = table.map_err(|reason| (reason, String::new()))?;
        self.push_table(table, input, output);
        Ok(())
    }

    /// The same of int16 elements, for which TensorFlow Lite Micro has fewer.
    fn int16_function(&mut self, o: &Operator<'_>, input: TensorId, output: TensorId) -> Result<Op<Stored>, Refusal> {
        let (from, to) = (self.info(input).clone(), self.info(output).clone());
        if o.code == op::QUANTIZE {
            return self.quantized_again(&from, to.dtype, to.quant);
        }
        if from.dtype != to.dtype {
            return refuse("input and output have different types", "the file contradicts itself");
        }
        let rescale = |activation| Ok(Op::Activate(activation));
        match o.code {
            op::RELU => rescale(Activation::Relu),
            op::RELU_N1_TO_1 => rescale(Activation::ReluN1To1),
            op::RELU6 if from.quant.same(to.quant) => rescale(Activation::Relu6),
            op::RELU6 if self.relu6 == Relu6::Rescale => {
                self.note(RESCALED);
                rescale(Activation::Relu6)
            }
            op::RELU6 => refuse("input and output have different scales", "rescale (--relu6 rescale)"),
            op::LEAKY_RELU => {
                let Some(options) = o.options else { return refuse("its options are missing", "") };
                let slope = options.f32(0, 0.0).map_err(damaged)?;
                if !(slope >= 0.0 && slope.is_finite()) {
                    return refuse(format!("a slope of {slope}"), "only slopes that are not negative are supported");
                }
                Ok(Op::Function(StoredFunction::Slope(slope)))
            }
            op::LOGISTIC | op::TANH if (to.quant.scale * 32768.0 - 1.0).abs() > 1e-3 => {
                refuse("the output's scale is not 2^-15", "TensorFlow Lite Micro demands it too")
            }
            op::LOGISTIC => Ok(Op::Function(StoredFunction::Curve(Curve::Logistic))),
            op::TANH => Ok(Op::Function(StoredFunction::Curve(Curve::Tanh))),
            _ => refuse("it is not supported for int16", "TensorFlow Lite Micro has it for int8 only: convert to int8"),
        }
    }
}
