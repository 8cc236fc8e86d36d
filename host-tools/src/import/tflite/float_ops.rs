//! Float operators without weights.

use kinglet::{Activation, Shape, Window};

use super::float::Importer;
use super::lower::shape;
use super::names as op;
use super::options::{activation, check_mean, damaged};
use super::schema::Operator;
use super::slice::{slice_part, split_parts};
use crate::graph::{Binary, Function, Op, Rearrange, Unary};
use crate::import::elementwise::broadcast;
use crate::import::problem::{Refusal, refuse};

/// The function of one element that an operator computes, if it is one.
pub(super) fn function(o: &Operator<'_>) -> Result<Option<Function>, Refusal> {
    let x = || Function::X;
    let elementary = |unary| x().then(unary);
    Ok(Some(match o.code {
        op::ABS => elementary(Unary::Abs),
        op::ELU => Function::elu(1.0),
        op::EXP => elementary(Unary::Exp),
        op::GELU => Function::gelu(o.options.map_or(Ok(0), |options| options.i8(0, 0)).map_err(damaged)? != 0),
        op::HARD_SWISH => Function::hard_swish(),
        op::LEAKY_RELU => {
            Function::leaky_relu(o.options.map_or(Ok(0.0), |options| options.f32(0, 0.0)).map_err(damaged)?.into())
        }
        op::LOG => elementary(Unary::Log),
        op::LOGISTIC => elementary(Unary::Sigmoid),
        op::NEG => Function::negated(),
        op::RELU => Function::relu(),
        op::RELU_0_TO_1 => x().clip(0.0, 1.0),
        op::RELU6 => Function::relu6(),
        op::RELU_N1_TO_1 => x().clip(-1.0, 1.0),
        op::RSQRT => Function::Constant(1.0) / elementary(Unary::Sqrt),
        op::SQRT => elementary(Unary::Sqrt),
        op::SQUARE => x() * x(),
        op::TANH => elementary(Unary::Tanh),
        _ => return Ok(None),
    }))
}

impl Importer<'_, '_> {
    /// The mean, the sum or the maximum over height and width.
    pub(super) fn global(&mut self, o: &Operator<'_>, name: &str) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        check_mean(self.model, o)?;
        let Shape { h, w, .. } = self.build.shape(input);
        let op = match o.code {
            op::REDUCE_MAX if !Window::global([h, w]).is_valid() => {
                return refuse("a maximum over too large a map", "");
            }
            op::REDUCE_MAX => Op::MaxPool(Window::global([h, w])),
            _ => Op::Mean,
        };
        let mut id = self.build.add(name, op, &[input])?;
        if o.code == op::SUM {
            id = self.build.with_constant(name, Binary::Mul, id, &[(h * w) as f32], false)?;
        }
        self.set(o, id, Activation::None)
    }

    /// Arithmetic with two activations, or with one and a constant.
    pub(super) fn arithmetic(&mut self, o: &Operator<'_>, name: &str) -> Result<(), Refusal> {
        let (binary, fuses) = match o.code {
            op::ADD => (Binary::Add, true),
            op::SUB => (Binary::Sub, true),
            op::MUL => (Binary::Mul, true),
            op::DIV => (Binary::Div, true),
            op::MAXIMUM => (Binary::Max, false),
            _ => (Binary::Min, false),
        };
        let fused = match o.options.filter(|_| fuses) {
            Some(options) => activation(options.i8(0, 0).map_err(damaged)?)?,
            None => Activation::None,
        };
        let id = match (self.constant(o, 0), self.constant(o, 1)) {
            (None, None) => {
                let (a, b) = (self.operand(o, 0)?, self.operand(o, 1)?);
                self.spend(self.build.shape(a).c.max(self.build.shape(b).c) as usize)?;
                self.build.binary(name, binary, a, b)?
            }
            (Some(_), Some(_)) => return refuse("both inputs are constants", "let the converter fold constants"),
            (first, _) => {
                let index = usize::from(first.is_none());
                let input = self.operand(o, 1 - index)?;
                let numbers = self.spread(o, index, 1 - index)?;
                self.build.with_constant(name, binary, input, &numbers, index == 0)?
            }
        };
        self.set(o, id, fused)
    }

    pub(super) fn prelu(&mut self, o: &Operator<'_>, name: &str) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        let slopes = self.spread(o, 1, 0)?;
        let id = self.build.prelu(name, input, &slopes)?;
        self.set(o, id, Activation::None)
    }

    /// The numbers of constant `index` that is broadcast over activation `beside`: one, one for each channel, or one for
    /// each element.
    fn spread(&mut self, o: &Operator<'_>, index: usize, beside: usize) -> Result<Vec<f32>, Refusal> {
        let numbers = self.numbers(o, index)?;
        let (Some(source), Some(beside)) = (self.constant(o, index), o.input(beside)) else {
            return refuse(format!("input {index} is missing"), "");
        };
        let extents = |dims: &[i32]| dims.iter().map(|&d| d.unsigned_abs() as usize).collect::<Vec<_>>();
        let (dims, to) = (extents(&self.model.tensors[source].dims), extents(&self.model.tensors[beside].dims));
        if numbers.len() == 1 || (dims.last() == Some(&numbers.len()) && to.last() == Some(&numbers.len())) {
            return Ok(numbers);
        }
        self.spend(to.iter().fold(1, |n, &d| n.saturating_mul(d)))?;
        match broadcast(&numbers, &dims, &to) {
            Some(whole) => Ok(whole),
            None => refuse(format!("a constant of shape {dims:?} beside {to:?}"), ""),
        }
    }

    pub(super) fn concat(&mut self, o: &Operator<'_>, name: &str) -> Result<(), Refusal> {
        let Some(options) = o.options else { return refuse("its options are missing", "") };
        let fused = activation(options.i8(1, 0).map_err(damaged)?)?;
        let ids = (0..o.input_count()).map(|i| self.operand(o, i)).collect::<Result<Vec<_>, _>>()?;
        let rank = o.output(0).map_or(0, |t| self.model.tensors[t].dims.len()) as i32;
        let axis = options.i32(0, 0).map_err(damaged)?;
        if axis != rank - 1 && axis != -1 {
            return refuse(format!("concatenation along axis {axis}"), "only the channels are supported");
        }
        let id = if let [only] = ids[..] { only } else { self.build.add(name, Op::Concat, &ids)? };
        self.set(o, id, fused)
    }

    pub(super) fn softmax(&mut self, o: &Operator<'_>, name: &str) -> Result<(), Refusal> {
        let mut input = self.operand(o, 0)?;
        if o.code == op::LOG_SOFTMAX {
            if o.output(0).is_none_or(|output| self.model.outputs != [output]) {
                return refuse("LOG_SOFTMAX that is not the output", "take it out of the model");
            }
            self.notes.push("the output is probabilities: the model's are their logarithms (LOG_SOFTMAX)".into());
        } else {
            let beta = o.options.map_or(Ok(0.0), |options| options.f32(0, 0.0)).map_err(damaged)?;
            if beta != 1.0 {
                input = self.build.with_constant(&format!("{name}_beta"), Binary::Mul, input, &[beta], false)?;
            }
        }
        let id = self.build.add(name, Op::Softmax { beta: 1.0 }, &[input])?;
        self.set(o, id, Activation::None)
    }

    /// The same elements in the same order under another shape.
    pub(super) fn reshape(&mut self, o: &Operator<'_>, name: &str) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        let Some(output) = o.output(0) else { return refuse("it has no output", "") };
        let (from, to) = (self.build.shape(input), shape(&self.model.tensors[output])?);
        let id = if from == to { input } else { self.build.reshape(name, input, to)? };
        self.set(o, id, Activation::None)
    }

    /// Permutations that move nothing but dimensions of 1.
    pub(super) fn transpose(&mut self, o: &Operator<'_>, name: &str) -> Result<(), Refusal> {
        let (Some(from), Some(permutation)) = (o.input(0), o.input(1).and_then(|i| self.model.tensors[i].integers(8)))
        else {
            return refuse("its permutation is not constant", "");
        };
        let dims = &self.model.tensors[from].dims;
        let moves =
            |&at: &i64| usize::try_from(at).ok().and_then(|at| dims.get(at)).is_some_and(|&d| d != 1 && d != -1);
        let moved: Vec<i64> = permutation.iter().copied().filter(moves).collect();
        if moved.is_sorted() && permutation.len() == dims.len() {
            return self.reshape(o, name);
        }
        refuse(format!("a permutation {permutation:?} that moves elements"), "export the model channels-last (NHWC)")
    }

    /// Parts with constant bounds: channels by a convolution with weights 0 and 1, rows and columns by a depthwise one.
    pub(super) fn parts(&mut self, o: &Operator<'_>, name: &str) -> Result<(), Refusal> {
        let input = self.operand(o, usize::from(o.code == op::SPLIT))?;
        let Shape { h, w, c } = self.build.shape(input);
        let parts = match o.code {
            op::SPLIT | op::SPLIT_V => split_parts(self.model, o, Shape::new(h, w, c))?,
            _ => vec![slice_part(self.model, o)?],
        };
        for (index, [first, count, step]) in parts.into_iter().enumerate() {
            let mut id = input;
            if [first[2], count[2], step[2]] != [0, c, 1] {
                if count[2] > c
                    || u64::from(first[2]) + u64::from(count[2]) * u64::from(step[2].max(1))
                        > u64::from(c) + u64::from(step[2])
                {
                    return refuse("a slice that leaves its input", "the file contradicts itself");
                }
                self.spend((count[2] * c) as usize)?;
                let picked: Vec<_> = (0..count[2]).map(|i| Some((first[2] + i * step[2]) as usize)).collect();
                id = self.build.channels(name, id, picked.into_iter())?;
            }
            if [first[0], first[1], count[0], count[1]] != [0, 0, h, w] {
                self.spend(self.build.shape(id).len() as usize)?;
                id = self.build.crop(name, id, [first[0], first[1]], [count[0], count[1]], [step[0], step[1]])?;
            }
            self.set_at(o, index, id, Activation::None)?;
        }
        Ok(())
    }

    pub(super) fn pad(&mut self, o: &Operator<'_>, name: &str) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        if o.code == op::PADV2 && self.numbers(o, 2)? != [0.0] {
            return refuse("padding with another number than 0", "only padding with zeros is supported");
        }
        let amounts = o.input(1).and_then(|t| self.model.tensors[t].integers(8)).unwrap_or_default();
        let amounts: Vec<u32> =
            amounts.iter().filter_map(|&a| u32::try_from(a).ok().filter(|&a| a < Shape::MAX_DIM)).collect();
        let [0, 0, top, bottom, left, right, 0, 0] = amounts[..] else {
            return refuse("padding of other dimensions than height and width", "int8 models may pad channels");
        };
        let (before, after) = ([top, left], [bottom, right]);
        let id = if o.code == op::MIRROR_PAD {
            self.spend(4 * self.build.shape(input).len() as usize)?;
            self.build.mirrored(name, input, super::mirror::mirror(o)?, before, after)?
        } else {
            let [before, after] = [before, after].map(|[h, w]| [h, w, 0]);
            self.build.add(name, Op::Rearrange(Rearrange::Pad { before, after, value: 0.0 }), &[input])?
        };
        self.set(o, id, Activation::None)
    }
}
