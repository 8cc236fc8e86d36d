//! Products of matrices: fully connected layers.

use kinglet::{Shape, Window};

use super::context::{Activation, Context, Value, float, int};
use super::ops::name;
use super::proto::NodeProto;
use super::tensor::{Constant, Values};
use crate::graph::{Rearrange, Strided};
use crate::import::problem::{Refusal, refuse};
use crate::import::source::{Bias, Filter, Numbers, Operator};

impl<'m> Context<'m> {
    /// Gemm, and MatMul with the addition of a constant that may follow.
    pub(super) fn dense(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        let weights = self.constant(node, 1)?;
        let is_map = (3..=4).contains(&input.dims.len()) && !input.channels_last && input.flattened.is_none();
        if is_map && node.op_type == "MatMul" {
            return self.product_of_rows(node, &input, &weights);
        }
        let [rows, columns] = weights.dims[..] else {
            return refuse(format!("weights of dimensions {:?}", weights.dims), "");
        };
        let maps = input.channels_last && input.dims.len() > 2 && node.op_type == "MatMul";
        if int(node, "transA", 0) != 0 || (input.dims.len() != 2 && !maps) {
            return refuse(
                format!("an input of dimensions {:?}", input.dims),
                "only a dense layer over a vector, or over the channels of a map that is channels-last, is supported",
            );
        }
        let transposed = node.op_type == "Gemm" && int(node, "transB", 0) != 0;
        let (out, inner) = if transposed { (rows, columns) } else { (columns, rows) };
        let from = self.shape(&input);
        if inner != (if maps { from.c } else { from.len() }) as usize || out == 0 {
            return refuse(format!("{inner} weights per output for {:?}", input.dims), "the file contradicts itself");
        }
        let (alpha, beta) =
            if node.op_type == "Gemm" { (float(node, "alpha", 1.0), float(node, "beta", 1.0)) } else { (1.0, 1.0) };
        // The input's elements in the file's order, by their places in ours.
        let place = |at: usize| match input.flattened {
            Some(Shape { h, w, c }) => at % c as usize * (h * w) as usize + at / c as usize,
            None => at,
        };
        let from = |o: usize, i: usize| if transposed { o * inner + i } else { i * out + o };
        self.spend(rows * columns)?;
        let places: Vec<usize> =
            (0..out).flat_map(|o| (0..inner).map(move |i| (o, i))).map(|(o, i)| from(o, place(i))).collect();
        let mut weights = self.weights(node, out, |weights| Ok(weights.picked(&places)))?;
        if alpha != 1.0 {
            let values = self.constant(node, 1)?;
            let picked = values.picked(&places);
            weights = Numbers::Reals(picked.floats()?.iter().map(|weight| alpha * weight).collect());
        }
        let mut result = node;
        let mut bias = match self.optional(node, 2)? {
            Some(bias) if bias.len() == 1 => vec![bias.scalar()?; out],
            _ => self.bias(node, 2, out)?,
        };
        bias.iter_mut().for_each(|b| *b *= beta);
        if let Some((at, add)) = node
            .output
            .first()
            .and_then(|o| self.only_reader(o))
            .filter(|(_, n)| n.op_type == "Add" && node.op_type == "MatMul")
        {
            let other = add.input.iter().find(|i| Some(*i) != node.output.first());
            if let Some(Value::Constant(constant)) = other.and_then(|other| self.values.get(other.as_str()))
                && constant.len() == out
                && let Values::Floats(values) = &constant.values
            {
                bias.clone_from(values);
                self.taken.insert(at);
                result = add;
            }
        }
        let filter = Filter { weights, bias: Bias::Reals(bias) };
        self.draft.begin(name(result).to_owned(), String::new());
        if maps {
            // Also of a map of one pixel its channels.
            let operator = Operator::Conv { window: Window::global([1, 1]), dilation: [1; 2], groups: 1, filter };
            let id = self.lower(operator, &[input.node])?;
            self.set_map(result, id, &input);
            return Ok(());
        }
        let id = self.lower(Operator::Dense { inputs: inner as u32, filter }, &[input.node])?;
        let dims = vec![1, out as i64];
        self.set_activation(result, Activation { node: id, dims, flattened: None, channels_last: false });
        Ok(())
    }

    /// MatMul of a map whose channels come first: each row of a channel times a matrix, one for all channels or one for each. That
    /// is a depthwise convolution over whole rows, whose outputs become columns.
    fn product_of_rows(&mut self, node: &'m NodeProto, input: &Activation, weights: &Constant) -> Result<(), Refusal> {
        let Shape { h, w, c } = self.shape(input);
        let (matrices, rows, columns) = match weights.dims[..] {
            [rows] => (1, rows, 1),
            [ref batch @ .., channels, rows, columns] if batch.iter().all(|&extent| extent == 1) => {
                (channels, rows, columns)
            }
            [rows, columns] => (1, rows, columns),
            _ => (0, 0, 0),
        };
        let channels = matrices.max(c as usize);
        if rows != w as usize
            || ![1, channels].contains(&matrices)
            || ![1, channels].contains(&(c as usize))
            || columns == 0
            || w > Window::MAX_EXTENT
        {
            return refuse(
                format!("{:?} times {:?}", input.dims, weights.dims),
                "one matrix for all channels, or one for each, with as many rows as the map has columns",
            );
        }
        let (numbers, outputs) = (weights.floats()?, channels * columns);
        self.spend(rows * outputs)?;
        // As `[kernel column][channel][column]`.
        let from = |row: usize, to: usize| {
            let (channel, column) = (to / columns, to % columns);
            (if matrices == 1 { 0 } else { channel } * rows + row) * columns + column
        };
        let taken = (0..rows).flat_map(|row| (0..outputs).map(move |to| numbers[from(row, to)]));
        let filter = Filter { weights: Numbers::Reals(taken.collect()), bias: Bias::Reals(vec![0.0; outputs]) };
        let window = Window { kernel: [1, w], stride: [1; 2], before: [0; 2], after: [0; 2] };
        let id = self.lower(Operator::Depthwise { window, dilation: [1; 2], filter }, &[input.node])?;
        let id = self.lower(Operator::Reshape(Shape::new(h, channels as u32, columns as u32)), &[id])?;
        if weights.dims.len() > 1 {
            let turned = Rearrange::Strided(Strided::Transpose([0, 2, 1]));
            let id = self.lower(Operator::Rearrange(turned), &[id])?;
            self.set_map(node, id, input);
            return Ok(());
        }
        // Of a vector one dimension less is left: rows become columns.
        let id = self.lower(Operator::Reshape(Shape::new(1, h, channels as u32)), &[id])?;
        let dims = input.dims[..input.dims.len() - 1].to_vec();
        if dims.len() != 3 {
            return refuse(format!("{:?} times a vector", input.dims), "");
        }
        self.set_activation(node, Activation { node: id, dims, flattened: None, channels_last: false });
        Ok(())
    }
}
