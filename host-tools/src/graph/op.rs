//! The float operators: parameters of each, shape rule, cost.

use kinglet::{Shape, Window};

use super::error::GraphError;
use super::function::Function;

/// What a node computes. Weights are in the [`Params`](super::Params), under the node's name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// The image, preprocessed to real numbers.
    Input,
    /// 2-D convolution; weight `[filters, kh, kw, in]` (OHWI).
    Conv2d {
        /// Kernel, stride and padding.
        window: Window,
        /// Output channels.
        filters: u32,
        /// Whether a bias is added.
        bias: bool,
    },
    /// Depthwise convolution; weight `[1, kh, kw, in * multiplier]`, output channel `c * multiplier + m` reads channel `c`.
    DepthwiseConv2d {
        /// Kernel, stride and padding.
        window: Window,
        /// Output channels per input channel.
        multiplier: u32,
        /// Whether a bias is added.
        bias: bool,
    },
    /// Batch normalization over N, H, W; gamma, beta, running mean and (biased) variance of `[c]`.
    BatchNorm {
        /// Added to the variance.
        epsilon: f32,
    },
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// Any function of one element.
    Function(Function),
    /// Maximum over the window; padding never wins.
    MaxPool(Window),
    /// Mean over the part of the window that lies inside the input.
    AveragePool(Window),
    /// Mean over H and W; the output is `1 x 1 x C`.
    GlobalAveragePool,
    /// Elementwise sum of two inputs of the same shape.
    Add,
    /// The first input less the second, which has the same shape or is one pixel, `1 x 1 x C` or `1 x 1 x 1`.
    Sub,
    /// Elementwise product; shapes as in [`Op::Sub`].
    Mul,
    /// Sum with the parameter `constant`, `[h, w, c]`.
    AddConstant,
    /// Product with the parameter `constant`, `[h, w, c]`.
    MulConstant,
    /// Concatenation along channels of two or more inputs with the same H and W.
    Concat,
    /// Fully connected; weight `[units, in]` over the flattened H, W, C. The output is `1 x 1 x units`.
    Dense {
        /// Outputs.
        units: u32,
        /// Whether a bias is added.
        bias: bool,
    },
    /// The same numbers as a vector `1 x 1 x (H*W*C)`.
    Flatten,
    /// The same numbers in the same order (H, W, C) as another map.
    Reshape(Shape),
    /// Softmax along channels.
    Softmax,
    /// Zeros around the map; pairs are `[vertical, horizontal]`.
    Pad {
        /// Rows and columns before.
        before: [u32; 2],
        /// Rows and columns after.
        after: [u32; 2],
    },
}

impl Op {
    /// The operator's name, as messages and tables print it.
    pub fn kind(&self) -> &'static str {
        match self {
            Op::Input => "input",
            Op::Conv2d { .. } => "conv2d",
            Op::DepthwiseConv2d { .. } => "depthwise_conv2d",
            Op::BatchNorm { .. } => "batch_norm",
            Op::Relu => "relu",
            Op::Relu6 => "relu6",
            Op::Function(_) => "function",
            Op::MaxPool(_) => "max_pool",
            Op::AveragePool(_) => "average_pool",
            Op::GlobalAveragePool => "global_average_pool",
            Op::Add => "add",
            Op::Sub => "sub",
            Op::Mul => "mul",
            Op::AddConstant => "add_constant",
            Op::MulConstant => "mul_constant",
            Op::Concat => "concat",
            Op::Dense { .. } => "dense",
            Op::Flatten => "flatten",
            Op::Reshape(_) => "reshape",
            Op::Softmax => "softmax",
            Op::Pad { .. } => "pad",
        }
    }

    /// The output's shape for inputs of these shapes.
    ///
    /// # Errors
    /// Names `node` and the shapes when the number of inputs, the window or the shapes do not fit.
    pub fn output(&self, node: &str, inputs: &[Shape]) -> Result<Shape, GraphError> {
        let arity = |expected| GraphError::Inputs { node: node.to_string(), expected, found: inputs.len() };
        let mismatch = |left, right| GraphError::Mismatch { node: node.to_string(), left, right };
        let windowed = |window: &Window, input: Shape, c: u32| {
            let size = window.output([input.h, input.w]);
            let [h, w] = size.ok_or(GraphError::Window { node: node.to_string(), window: *window, input })?;
            Ok::<_, GraphError>(Shape::new(h, w, c))
        };
        let input = match (self, inputs) {
            (Op::Input, _) => return Err(arity("no input: the builder adds the only one")),
            (Op::Add, [left, right]) if !left.same(*right) => return Err(mismatch(*left, *right)),
            (Op::Sub | Op::Mul, [left, right]) => match kinglet::ops::Mul::output_shape(*left, *right) {
                Some(shape) => shape,
                None => return Err(mismatch(*left, *right)),
            },
            (Op::Add, [left, _]) => *left,
            (Op::Add | Op::Sub | Op::Mul, _) => return Err(arity("two")),
            (Op::Concat, [first, _, ..]) => *first,
            (Op::Concat, _) => return Err(arity("two or more")),
            (Op::Reshape(to), [input]) if to.len() != input.len() => return Err(mismatch(*input, *to)),
            (_, [input]) => *input,
            _ => return Err(arity("one")),
        };
        let output = match self {
            Op::Conv2d { window, filters, .. } => windowed(window, input, *filters)?,
            Op::DepthwiseConv2d { window, multiplier, .. } => {
                windowed(window, input, input.c.saturating_mul(*multiplier))?
            }
            Op::MaxPool(window) | Op::AveragePool(window) => windowed(window, input, input.c)?,
            Op::GlobalAveragePool => Shape::vector(input.c),
            Op::Concat => {
                if let Some(other) = inputs.iter().find(|shape| (shape.h, shape.w) != (input.h, input.w)) {
                    return Err(mismatch(input, *other));
                }
                let channels = inputs.iter().fold(0u32, |sum, shape| sum.saturating_add(shape.c));
                Shape::new(input.h, input.w, channels)
            }
            Op::Dense { units, .. } => Shape::vector(*units),
            Op::Flatten => Shape::vector(input.len()),
            Op::Reshape(to) => *to,
            Op::Pad { before, after } => Shape::new(
                input.h.saturating_add(before[0]).saturating_add(after[0]),
                input.w.saturating_add(before[1]).saturating_add(after[1]),
                input.c,
            ),
            Op::Input
            | Op::BatchNorm { .. }
            | Op::Relu
            | Op::Relu6
            | Op::Function(_)
            | Op::Add
            | Op::Sub
            | Op::Mul
            | Op::AddConstant
            | Op::MulConstant
            | Op::Softmax => input,
        };
        if output.is_valid() { Ok(output) } else { Err(GraphError::Extent { node: node.to_string(), input, output }) }
    }

    /// Multiply-accumulates for one image, padding counted as if it were input.
    pub fn macs(&self, inputs: &[Shape], output: Shape) -> u64 {
        let per_output = match (self, inputs) {
            (Op::Conv2d { window, .. }, [input]) => u64::from(window.taps_len()) * u64::from(input.c),
            (Op::DepthwiseConv2d { window, .. }, _) => u64::from(window.taps_len()),
            (Op::Dense { .. }, [input]) => u64::from(input.len()),
            _ => 0,
        };
        per_output * u64::from(output.len())
    }
}
