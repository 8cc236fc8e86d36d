//! Operators with a window: convolutions, dilated and transposed ones too, and pools.

use kinglet::{Activation, Padding, Shape, Window};

use super::constants::four;
use super::names as op;
use super::operators::{activation, damaged, extent, hint};
use super::read::{Reader, State};
use super::schema::{Model, Operator};
use super::write::{Writer, fused};
use crate::graph::{Op, StoredWeights};
use crate::import::flat_write::Value;
use crate::import::problem::{Refusal, refuse};
use crate::import::source::{FileNode, Operator as Neutral, Pool, Transposed};
use crate::network::{Node, TensorId, TensorInfo};

impl Reader<'_, '_> {
    /// CONV_2D and DEPTHWISE_CONV_2D; between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND it is a dilated one.
    pub(super) fn conv(&mut self, o: &Operator<'_>, depthwise: bool) -> Result<(), Refusal> {
        let Some(options) = o.options else { return refuse("its options are missing", "") };
        let field = |at, default| options.i32(at, default).map_err(damaged);
        let first = if depthwise { 5 } else { 4 };
        let activation = activation(options.i8(first - 1, 0).map_err(damaged)?)?;
        let padding = padding(options.i8(0, 0).map_err(damaged)?)?;
        let stride = [extent(field(2, 0)?, "vertical stride")?, extent(field(1, 0)?, "horizontal stride")?];
        let dilation =
            [extent(field(first + 1, 1)?, "vertical dilation")?, extent(field(first, 1)?, "horizontal dilation")?];
        let (input, into) = match o.input(0).map(|input| &self.states[input]) {
            Some(State::Blocks(id, into)) if stride == [1; 2] && dilation == [1; 2] && padding == Padding::Valid => {
                (*id, Some(*into))
            }
            _ => (self.map(o, 0)?, None),
        };
        let dilation = into.map_or(dilation, |into| into.size);
        let from = self.draft.shape(input);
        let Some(filter) = o.input(1) else { return refuse("its filter is missing", "") };
        let [first_dim, kh, kw, last_dim] = four(&self.model.tensors[filter])?;
        let (channels, axis) = if depthwise { (last_dim, 3) } else { (first_dim, 0) };
        let groups = from.c / last_dim.max(1);
        if if depthwise { first_dim != 1 } else { last_dim * groups != from.c } {
            return refuse(format!("a filter of {last_dim} channels for {}", from.c), "the file contradicts itself");
        }
        let wide = self.draft.elements(input).is_some_and(|elements| elements.dtype == kinglet::DType::I16);
        let filter = self.filter(o, 2, channels, axis, wide)?;
        let kernel = [(kh - 1) * dilation[0] + 1, (kw - 1) * dilation[1] + 1];
        let window = Window::new(kernel, stride, padding, [from.h, from.w]);
        let operator = if depthwise {
            Neutral::Depthwise { window, dilation, filter }
        } else {
            Neutral::Conv { window, dilation, groups, filter }
        };
        let node = FileNode::new(operator, &[input], self.output(o, activation)?);
        match (into, o.output(0)) {
            (Some(into), Some(output)) => {
                self.states[output] = State::Convolved(Box::new(node), into);
                Ok(())
            }
            _ => self.lower_node(o, node),
        }
    }

    pub(super) fn transpose_conv(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let Some(options) = o.options else { return refuse("its options are missing", "") };
        let field = |at| options.i32(at, 0).map_err(damaged);
        let padding = padding(options.i8(0, 0).map_err(damaged)?)?;
        let stride = [extent(field(2)?, "vertical stride")?, extent(field(1)?, "horizontal stride")?];
        let activation = activation(options.i8(3, 0).map_err(damaged)?)?;
        let Some(filter) = o.input(1) else { return refuse("its filter is missing", "") };
        let [channels, kh, kw, inner] = four(&self.model.tensors[filter])?;
        let (input, to) = (self.map(o, 2)?, self.shape(o)?);
        let from = self.draft.shape(input);
        if inner != from.c || channels != to.c {
            return refuse(format!("a filter of {channels} x {inner} channels"), "the file contradicts itself");
        }
        let (kernel, size) = ([kh, kw], [to.h, to.w]);
        // The padding of the convolution from the output to the input.
        let before = match padding {
            Padding::Valid => [0; 2],
            Padding::Same => [0, 1].map(|axis| {
                let whole = ([from.h, from.w][axis] - 1).saturating_mul(stride[axis]).saturating_add(kernel[axis]);
                whole.saturating_sub(size[axis]) / 2
            }),
        };
        let wide = self.draft.elements(input).is_some_and(|elements| elements.dtype == kinglet::DType::I16);
        let filter = self.filter(o, 3, channels, 0, wide)?;
        let transposed = Transposed { kernel, stride, before, size };
        let node = FileNode::new(Neutral::TransposedConv { transposed, filter }, &[input], self.output(o, activation)?);
        self.lower_node(o, node)
    }

    /// Behind a convolution of blocks; its window then has what was added around the map and was not cut off again.
    pub(super) fn batch_to_space(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let back = blocks(self.model, o)?;
        let Some(input) = o.input(0) else { return refuse("input 0 is missing", "") };
        let State::Convolved(mut node, into) = std::mem::replace(&mut self.states[input], State::None) else {
            return refuse("the operator is not supported", hint(o.code));
        };
        let less = |of: [u32; 2], by: [u32; 2]| Some([of[0].checked_sub(by[0])?, of[1].checked_sub(by[1])?]);
        let (Some(before), Some(after), true) =
            (less(into.before, back.before), less(into.after, back.after), into.size == back.size)
        else {
            return refuse("blocks that are not put together as they were taken apart", "the file contradicts itself");
        };
        if let Neutral::Conv { window, .. } | Neutral::Depthwise { window, .. } = &mut node.operator {
            (window.before, window.after) = (before, after);
        }
        if into.size.iter().map(|&size| size as i32).product::<i32>() != self.model.tensors[input].dims[0] {
            self.draft.note(FIRST_BLOCK);
        }
        let output = self.output(o, Activation::None)?;
        if node.output.elements.zip(output.elements).is_some_and(|(sums, out)| !sums.same(out)) {
            return refuse("input and output have different scales", "");
        }
        self.lower_node(o, *node)
    }

    pub(super) fn pool(&mut self, o: &Operator<'_>, pool: Pool) -> Result<(), Refusal> {
        let Some(options) = o.options else { return refuse("its options are missing", "") };
        let field = |at| options.i32(at, 0).map_err(damaged);
        let activation = activation(options.i8(5, 0).map_err(damaged)?)?;
        let padding = padding(options.i8(0, 0).map_err(damaged)?)?;
        let stride = [extent(field(2)?, "vertical stride")?, extent(field(1)?, "horizontal stride")?];
        let kernel = [extent(field(4)?, "filter height")?, extent(field(3)?, "filter width")?];
        let input = self.map(o, 0)?;
        let Shape { h, w, .. } = self.draft.shape(input);
        let window = Window::new(kernel, stride, padding, [h, w]);
        let output = self.output(o, activation)?;
        self.lower_node(o, FileNode::new(Neutral::Pool(pool, window), &[input], output))
    }
}

/// What TensorFlow Lite Micro, which knows no batch but that in the file, makes of blocks in a batch that was left open.
const FIRST_BLOCK: &str = "a dilated convolution takes all of its blocks, as in TensorFlow Lite; TensorFlow Lite Micro computes only the first of \
                           them, as the file leaves the batch open (convert the model with a batch size of 1)";

/// A padding scheme by its code.
fn padding(code: i8) -> Result<Padding, Refusal> {
    match code {
        0 => Ok(Padding::Same),
        1 => Ok(Padding::Valid),
        code => refuse(format!("padding scheme {code}"), ""),
    }
}

/// What SPACE_TO_BATCH_ND adds around a map before it takes it apart into blocks, or BATCH_TO_SPACE_ND cuts off again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blocks {
    /// Height and width of a block.
    size: [u32; 2],
    before: [u32; 2],
    after: [u32; 2],
}

/// The blocks of a SPACE_TO_BATCH_ND or BATCH_TO_SPACE_ND.
pub(super) fn blocks(model: &Model<'_>, o: &Operator<'_>) -> Result<Blocks, Refusal> {
    let list = |at: usize| -> Option<Vec<u32>> {
        let list = o.input(at).and_then(|i| model.tensors[i].integers(4))?;
        list.iter().map(|&value| u32::try_from(value).ok().filter(|&value| value <= Window::MAX_EXTENT)).collect()
    };
    let rank = o.input(0).map_or(0, |i| model.tensors[i].dims.len());
    let size = list(1).filter(|size| !size.contains(&0));
    match (size.as_deref(), list(2).as_deref(), rank) {
        (Some(&[h, w]), Some(&[top, bottom, left, right]), 4) => {
            Ok(Blocks { size: [h, w], before: [top, left], after: [bottom, right] })
        }
        (Some(&[h]), Some(&[top, bottom]), 4) => Ok(Blocks { size: [h, 1], before: [top, 0], after: [bottom, 0] }),
        (Some(&[w]), Some(&[left, right]), 3) => Ok(Blocks { size: [1, w], before: [0, left], after: [0, right] }),
        _ => refuse("blocks that are not constant, or not of height and width", ""),
    }
}

impl Writer<'_> {
    pub(super) fn write_conv(
        &mut self,
        node: &Node,
        first: TensorId,
        window: &Window,
        weights: &StoredWeights,
    ) -> Result<(), String> {
        let c = self.network.tensors[node.output].shape.c as i32;
        let [kh, kw] = window.kernel.map(|k| k as i32);
        let inputs = self.network.tensors[first].shape.c as i32;
        let filter = self.filter(node, vec![c, kh, kw, inputs], weights, 0)?;
        let bias = self.bias(node, first, weights)?;
        let (input, padding) = self.padded(node, first, window)?;
        let output = self.result(node, true);
        let [sh, sw] = window.stride.map(|s| Value::I32(s as i32));
        let options = vec![(0, padding), (1, sw), (2, sh), (3, fused(node.activation))];
        self.operator(op::CONV_2D, self.version(filter, 3, 7), vec![input, filter, bias], output, (1, options));
        Ok(())
    }

    pub(super) fn write_depthwise(
        &mut self,
        node: &Node,
        first: TensorId,
        window: &Window,
        weights: &StoredWeights,
    ) -> Result<(), String> {
        let c = self.network.tensors[node.output].shape.c;
        let [kh, kw] = window.kernel.map(|k| k as i32);
        let multiplier = c / self.network.tensors[first].shape.c.max(1);
        let filter = self.filter(node, vec![1, kh, kw, c as i32], weights, 3)?;
        let bias = self.bias(node, first, weights)?;
        let (input, padding) = self.padded(node, first, window)?;
        let output = self.result(node, true);
        let [sh, sw] = window.stride.map(|s| Value::I32(s as i32));
        let multiplier = Value::I32(multiplier as i32);
        let options = vec![(0, padding), (1, sw), (2, sh), (3, multiplier), (4, fused(node.activation))];
        self.operator(
            op::DEPTHWISE_CONV_2D,
            self.version(filter, 3, 7),
            vec![input, filter, bias],
            output,
            (2, options),
        );
        Ok(())
    }

    pub(super) fn pool(&mut self, node: &Node, input: TensorId, code: i32, window: &Window) -> Result<(), String> {
        let (input, padding) = self.padded(node, input, window)?;
        let output = self.result(node, true);
        let [sh, sw] = window.stride.map(|s| Value::I32(s as i32));
        let [kh, kw] = window.kernel.map(|k| Value::I32(k as i32));
        let options = vec![(0, padding), (1, sw), (2, sh), (3, kw), (4, kh), (5, fused(node.activation))];
        self.operator(code, 2, vec![input], output, (5, options));
        Ok(())
    }

    /// The input of a window and its padding scheme; padding that is neither SAME nor VALID becomes a PAD before it,
    /// which the importer folds back.
    fn padded(&mut self, node: &Node, input: TensorId, window: &Window) -> Result<(i32, Value), String> {
        const SAME: Value = Value::U8(0);
        const VALID: Value = Value::U8(1);
        let info = self.network.tensors[input].clone();
        let index = self.image(input);
        if !window.is_padded() {
            return Ok((index, VALID));
        }
        if *window == Window::new(window.kernel, window.stride, Padding::Same, [info.shape.h, info.shape.w]) {
            return Ok((index, SAME));
        }
        let value = match node.op {
            Op::MaxPool(_) => info.dtype.min() as i16,
            Op::AveragePool(_) => return Err("its padding is neither SAME nor VALID".into()),
            _ => info.quant.zero_point as i16,
        };
        let [(top, bottom), (left, right)] = [0, 1].map(|axis| (window.before[axis], window.after[axis]));
        let shape = Shape::new(info.shape.h + top + bottom, info.shape.w + left + right, info.shape.c);
        let name = format!("{}/pad", node.name);
        let padded = self.activation(&name, &TensorInfo { shape, ..info.clone() }, true);
        self.pad(index, padded, [0, 0, top, bottom, left, right, 0, 0], value, (info.dtype, info.quant), &name);
        Ok((padded, VALID))
    }
}
