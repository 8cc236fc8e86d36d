//! The operators: one type for all forms of constants, with shape rule and cost.

use std::ops::{Add, Mul, Sub};

use kinglet::{Activation, Shape, Window, ops};

use super::constants::{Channels, Constants, Spec};
use super::error::GraphError;
use super::rearrange::Rearrange;

/// What a node computes, over constants of form `W`.
#[derive(Clone, Debug, PartialEq)]
pub enum Op<W: Constants = Spec> {
    /// What the caller provides.
    Input,
    /// 2-D convolution; weights `[out][kernel row][kernel column][in]`.
    Conv2d {
        /// Kernel, stride and padding.
        window: Window,
        /// Weights and bias.
        weights: W::Weights,
    },
    /// Convolution of each channel by itself; weights `[kernel row][kernel column][out]`. Output channel
    /// `c * multiplier + m` reads channel `c`.
    DepthwiseConv2d {
        /// Kernel, stride and padding.
        window: Window,
        /// Weights and bias.
        weights: W::Weights,
    },
    /// Fully connected layer over all elements; weights `[out][in]`. The output is a vector.
    Dense(W::Weights),
    /// Batch normalization over N, H, W; gamma, beta, running mean and (biased) variance per channel.
    BatchNorm(W::Epsilon),
    /// The same numbers but for the activation; where input and output are quantized, with another scale or type.
    Activate(Activation),
    /// Any function of one element.
    Function(W::Function),
    /// Maximum over the window; padding never wins.
    MaxPool(Window),
    /// Mean over the part of the window that lies inside the input.
    AveragePool(Window),
    /// Mean over height and width; the output is a vector.
    Mean,
    /// Elementwise sum of two inputs, each spread over the other along axes where it has extent 1.
    Add,
    /// The first input less the second; shapes as in [`Op::Add`].
    Sub,
    /// Elementwise product; shapes as in [`Op::Add`].
    Mul,
    /// Arithmetic with a constant of one number per element, in stored graphs also of one per channel.
    Constant {
        /// What is computed.
        function: ConstantFunction,
        /// The constant.
        data: W::Constant,
    },
    /// Concatenation along channels of inputs with the same height and width.
    Concat,
    /// The same numbers in the same order (H, W, C) as another map.
    Reshape(Shape),
    /// Softmax along channels.
    Softmax {
        /// What the inputs are multiplied with.
        beta: f32,
    },
    /// Every pixel over the length of the vector of its channels; of zeros zeros.
    L2Norm,
    /// Elements of the input in other places.
    Rearrange(Rearrange),
    /// Another height and width, by linear interpolation.
    ResizeBilinear(ops::ResizeBilinear),
}

/// What [`Op::Constant`] computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConstantFunction {
    /// `input * constant`.
    Mul,
    /// `input + constant`.
    Add,
    /// `input - constant`.
    Sub,
    /// `constant - input`.
    SubFrom,
    /// `input`, times the constant where it is negative.
    Prelu,
}

/// Makes constants of form `V` of those of form `W`.
pub trait Convert<W: Constants, V: Constants> {
    /// What may stand in the way.
    type Error;

    /// Of weights and biases.
    ///
    /// # Errors
    /// When they cannot be had; so for all methods.
    fn weights(&self, weights: &W::Weights) -> Result<V::Weights, Self::Error>;

    /// Of the constant operand of arithmetic.
    fn constant(&self, constant: &W::Constant) -> Result<V::Constant, Self::Error>;

    /// Of a function.
    fn function(&self, function: &W::Function) -> Result<V::Function, Self::Error>;
}

impl<W: Constants> Op<W> {
    /// The operator's name, as messages and tables print it.
    pub fn kind(&self) -> &'static str {
        match self {
            Op::Input => "input",
            Op::Conv2d { .. } => "conv2d",
            Op::DepthwiseConv2d { .. } => "depthwise_conv2d",
            Op::Dense(_) => "dense",
            Op::BatchNorm(_) => "batch_norm",
            Op::Activate(Activation::Relu) => "relu",
            Op::Activate(Activation::Relu6) => "relu6",
            Op::Activate(Activation::ReluN1To1) => "relu_n1_to_1",
            Op::Activate(Activation::None) => "convert",
            Op::Function(_) => "function",
            Op::MaxPool(_) => "max_pool",
            Op::AveragePool(_) => "average_pool",
            Op::Mean => "global_average_pool",
            Op::Add => "add",
            Op::Sub => "sub",
            Op::Mul => "mul",
            Op::Constant { function: ConstantFunction::Add, .. } => "add_constant",
            Op::Constant { function: ConstantFunction::Mul, .. } => "mul_constant",
            Op::Constant { function: ConstantFunction::Sub, .. } => "sub_constant",
            Op::Constant { function: ConstantFunction::SubFrom, .. } => "sub_from_constant",
            Op::Constant { function: ConstantFunction::Prelu, .. } => "prelu",
            Op::Concat => "concat",
            Op::Reshape(_) => "reshape",
            Op::Softmax { .. } => "softmax",
            Op::L2Norm => "l2_norm",
            Op::Rearrange(rearrange) => rearrange.kind(),
            Op::ResizeBilinear(_) => "resize_bilinear",
        }
    }

    /// Weights and biases, of layers that have some.
    pub fn weights(&self) -> Option<&W::Weights> {
        match self {
            Op::Conv2d { weights, .. } | Op::DepthwiseConv2d { weights, .. } | Op::Dense(weights) => Some(weights),
            Op::Input | Op::BatchNorm(_) | Op::Activate(_) | Op::Function(_) | Op::Constant { .. } => None,
            Op::MaxPool(_) | Op::AveragePool(_) | Op::Mean | Op::Add | Op::Sub | Op::Mul | Op::L2Norm => None,
            Op::Concat | Op::Reshape(_) | Op::Softmax { .. } | Op::Rearrange(_) | Op::ResizeBilinear(_) => None,
        }
    }

    /// As [`Op::weights`], for changing.
    pub fn weights_mut(&mut self) -> Option<&mut W::Weights> {
        match self {
            Op::Conv2d { weights, .. } | Op::DepthwiseConv2d { weights, .. } | Op::Dense(weights) => Some(weights),
            Op::Input | Op::BatchNorm(_) | Op::Activate(_) | Op::Function(_) | Op::Constant { .. } => None,
            Op::MaxPool(_) | Op::AveragePool(_) | Op::Mean | Op::Add | Op::Sub | Op::Mul | Op::L2Norm => None,
            Op::Concat | Op::Reshape(_) | Op::Softmax { .. } | Op::Rearrange(_) | Op::ResizeBilinear(_) => None,
        }
    }

    /// Whether the runtime's operator clamps its output to an activation's range. (Pools do too, but share their
    /// quantization with their input, of which an activation would cut off a part.)
    pub fn takes_activation(&self) -> bool {
        match self {
            Op::Conv2d { .. } | Op::DepthwiseConv2d { .. } | Op::Dense(_) => true,
            Op::Add | Op::Sub | Op::Mul | Op::Constant { .. } => true,
            Op::Input | Op::BatchNorm(_) | Op::Activate(_) | Op::Function(_) => false,
            Op::MaxPool(_) | Op::AveragePool(_) | Op::Mean | Op::Softmax { .. } | Op::L2Norm => false,
            Op::Concat | Op::Reshape(_) | Op::Rearrange(_) | Op::ResizeBilinear(_) => false,
        }
    }

    /// Whether outputs are elements of the input, or means of some, so that both are quantized alike.
    pub fn keeps_quantization(&self) -> bool {
        match self {
            Op::MaxPool(_) | Op::AveragePool(_) | Op::ResizeBilinear(_) => true,
            Op::Concat | Op::Reshape(_) | Op::Rearrange(_) => true,
            Op::Conv2d { .. } | Op::DepthwiseConv2d { .. } | Op::Dense(_) | Op::BatchNorm(_) => false,
            Op::Input | Op::Activate(_) | Op::Function(_) | Op::Mean | Op::Softmax { .. } | Op::L2Norm => false,
            Op::Add | Op::Sub | Op::Mul | Op::Constant { .. } => false,
        }
    }

    /// The same operator over other constants. A batch normalization is none that could be converted: it is folded.
    ///
    /// # Errors
    /// As the methods of `constants`.
    pub fn convert<V: Constants, C: Convert<W, V>>(&self, constants: &C) -> Result<Op<V>, C::Error> {
        Ok(match self {
            Op::Input => Op::Input,
            Op::Conv2d { window, weights } => Op::Conv2d { window: *window, weights: constants.weights(weights)? },
            Op::DepthwiseConv2d { window, weights } => {
                Op::DepthwiseConv2d { window: *window, weights: constants.weights(weights)? }
            }
            Op::Dense(weights) => Op::Dense(constants.weights(weights)?),
            Op::BatchNorm(_) => unreachable!("batch normalization is folded before constants are converted"),
            Op::Activate(activation) => Op::Activate(*activation),
            Op::Function(function) => Op::Function(constants.function(function)?),
            Op::MaxPool(window) => Op::MaxPool(*window),
            Op::AveragePool(window) => Op::AveragePool(*window),
            Op::Mean => Op::Mean,
            Op::Add => Op::Add,
            Op::Sub => Op::Sub,
            Op::Mul => Op::Mul,
            Op::Constant { function, data } => Op::Constant { function: *function, data: constants.constant(data)? },
            Op::Concat => Op::Concat,
            Op::Reshape(shape) => Op::Reshape(*shape),
            Op::Softmax { beta } => Op::Softmax { beta: *beta },
            Op::L2Norm => Op::L2Norm,
            Op::Rearrange(rearrange) => Op::Rearrange(*rearrange),
            Op::ResizeBilinear(resize) => Op::ResizeBilinear(*resize),
        })
    }

    /// The output's shape for inputs of these shapes, by the rule of the runtime's operator.
    ///
    /// # Errors
    /// Names `node` and the shapes when the number of inputs, the window or the shapes do not fit.
    pub fn output(&self, node: &str, inputs: &[Shape]) -> Result<Shape, GraphError> {
        let arity = |expected| GraphError::Inputs { node: node.to_string(), expected, found: inputs.len() };
        let one = || if let [input] = inputs { Ok(*input) } else { Err(arity("one")) };
        let mismatch = |left, right| GraphError::Mismatch { node: node.to_string(), left, right };
        let pair = |rule: fn(Shape, Shape) -> Option<Shape>| match inputs {
            [left, right] => rule(*left, *right).ok_or_else(|| mismatch(*left, *right)),
            _ => Err(arity("two")),
        };
        let fits = |window: &Window, rule: &dyn Fn(Shape) -> Option<Shape>| {
            let input = one()?;
            rule(input).ok_or_else(|| GraphError::Window { node: node.to_string(), window: *window, input })
        };
        let output = match self {
            Op::Input => return Err(arity("no input: the builder adds the only one")),
            Op::Conv2d { window, weights } => {
                fits(window, &|input| ops::Conv2d::output_shape(input, window, weights.channels() as u32))?
            }
            Op::DepthwiseConv2d { window, weights } => {
                let (channels, input) = (weights.channels() as u32, one()?.c);
                if !channels.is_multiple_of(input) {
                    return Err(GraphError::Multiple { node: node.to_string(), channels, input });
                }
                fits(window, &|input| ops::DepthwiseConv2d::output_shape(input, window, channels / input.c))?
            }
            Op::Dense(weights) => ops::Dense::output_shape(one()?, weights.channels() as u32),
            Op::MaxPool(window) => fits(window, &|input| ops::MaxPool2d::output_shape(input, window))?,
            Op::AveragePool(window) => fits(window, &|input| ops::AveragePool2d::output_shape(input, window))?,
            Op::Mean => ops::Mean::output_shape(one()?),
            Op::Add => pair(ops::Add::output_shape)?,
            Op::Sub => pair(ops::Sub::output_shape)?,
            Op::Mul => pair(ops::Mul::output_shape)?,
            Op::Concat => {
                let (first, others) = inputs.split_first().ok_or_else(|| arity("one or more"))?;
                others.iter().try_fold(*first, |joint, part| {
                    ops::Concat::output_shape(joint, *part).ok_or_else(|| mismatch(*first, *part))
                })?
            }
            Op::Reshape(to) if to.len() != one()?.len() => return Err(mismatch(one()?, *to)),
            Op::Reshape(to) => *to,
            Op::Rearrange(rearrange) => rearrange.output(one()?),
            Op::ResizeBilinear(resize) => resize.output_shape(one()?),
            Op::BatchNorm(_) | Op::Activate(_) | Op::Function(_) | Op::Constant { .. } => one()?,
            Op::Softmax { .. } | Op::L2Norm => one()?,
        };
        let input = inputs[0];
        if output.is_valid() { Ok(output) } else { Err(GraphError::Extent { node: node.to_string(), input, output }) }
    }

    /// Multiply-accumulates for one image, padding counted as if it were input.
    pub fn macs(&self, inputs: &[Shape], output: Shape) -> u64 {
        let input = inputs.first().copied().unwrap_or(output);
        let per_output = match self {
            Op::Conv2d { window, .. } => u64::from(window.taps_len()) * u64::from(input.c),
            Op::DepthwiseConv2d { window, .. } => u64::from(window.taps_len()),
            Op::Dense(_) => u64::from(input.len()),
            Op::ResizeBilinear(_) => 4,
            Op::Input | Op::BatchNorm(_) | Op::Activate(_) | Op::Function(_) | Op::Constant { .. } => 0,
            Op::MaxPool(_) | Op::AveragePool(_) | Op::Mean | Op::Add | Op::Sub | Op::Mul => 0,
            Op::Concat | Op::Reshape(_) | Op::Softmax { .. } | Op::L2Norm | Op::Rearrange(_) => 0,
        };
        per_output * u64::from(output.len())
    }
}

impl ConstantFunction {
    /// The real result.
    pub fn of<T>(self, input: T, constant: T) -> T
    where
        T: Add<Output = T> + Sub<Output = T> + Mul<Output = T> + PartialOrd + Default,
    {
        match self {
            ConstantFunction::Mul => input * constant,
            ConstantFunction::Add => input + constant,
            ConstantFunction::Sub => input - constant,
            ConstantFunction::SubFrom => constant - input,
            ConstantFunction::Prelu if input < T::default() => input * constant,
            ConstantFunction::Prelu => input,
        }
    }
}
