//! Reading operators: TensorFlow Lite's options and constant inputs in Kinglet's terms.

use kinglet::{Activation, Window};

use super::elementwise::function;
use super::moves::changes_nothing;
use super::names as op;
use super::read::{Reader, State};
use super::schema::{Model, Operator, Type};
use super::windows::blocks;
use crate::graph::{Binary, NodeId, Rearrange, Strided};
use crate::import::problem::{Refusal, beyond, refuse};
use crate::import::source::{Comparison, FileNode, Operator as Neutral, Pool, Reduction};

impl Reader<'_, '_> {
    /// Reads one operator, and has it lowered.
    pub(super) fn operator(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        if is_recurrent(o.code) {
            return unsupported(o);
        }
        if let Some(bad) = o.inputs().find(|&i| self.model.tensors[i].sparse || self.model.tensors[i].variable) {
            return refuse(
                format!("`{}` is sparse or a variable", self.model.tensors[bad].short_name()),
                "export a stateless model with dense weights",
            );
        }
        if is_shape_arithmetic(self.model, o) || self.function_of_reals(o)? {
            return Ok(());
        }
        if let Some(curve) = function(o)? {
            return self.curve(o, curve);
        }
        match o.code {
            op::CONV_2D => self.conv(o, false),
            op::DEPTHWISE_CONV_2D => self.conv(o, true),
            op::TRANSPOSE_CONV => self.transpose_conv(o),
            op::FULLY_CONNECTED => self.dense(o),
            op::MAX_POOL_2D => self.pool(o, Pool::Max),
            op::AVERAGE_POOL_2D => self.pool(o, Pool::Average),
            op::MEAN => self.reduce(o, Reduction::Mean),
            op::SUM => self.reduce(o, Reduction::Sum),
            op::REDUCE_MAX => self.reduce(o, Reduction::Max),
            op::REDUCE_MIN => self.reduce(o, Reduction::Min),
            op::ADD => self.arithmetic(o, Binary::Add),
            op::SUB => self.arithmetic(o, Binary::Sub),
            op::MUL => self.arithmetic(o, Binary::Mul),
            op::DIV => self.arithmetic(o, Binary::Div),
            op::SQUARED_DIFFERENCE => {
                let (inputs, output) = (self.operands(o, false)?, self.output(o, Activation::None)?);
                self.lower_node(o, FileNode { operator: Neutral::SquaredDifference, inputs, output })
            }
            op::GREATER => self.comparison(o, Comparison::Greater),
            op::GREATER_EQUAL => self.comparison(o, Comparison::GreaterOrEqual),
            op::LESS => self.comparison(o, Comparison::Less),
            op::LESS_EQUAL => self.comparison(o, Comparison::LessOrEqual),
            op::EQUAL => self.comparison(o, Comparison::Equal),
            op::NOT_EQUAL => self.comparison(o, Comparison::NotEqual),
            op::SELECT | op::SELECT_V2 => self.choice(o),
            op::ADD_N => {
                let inputs = (0..o.input_count()).map(|at| self.operand(o, at)).collect::<Result<Vec<_>, _>>()?;
                self.lower(o, Neutral::Sum, &inputs)
            }
            op::CUMSUM => self.cumulative_sum(o),
            op::BATCH_MATMUL => self.product(o),
            op::MAXIMUM => self.arithmetic(o, Binary::Max),
            op::MINIMUM => self.arithmetic(o, Binary::Min),
            op::PRELU => {
                let (input, slopes) = (self.operand(o, 0)?, self.list(o, 1, o.input(0))?);
                self.lower(o, Neutral::Prelu(slopes), &[input])
            }
            // What it does is taken for the variables' first elements.
            op::CALL_ONCE if self.model.once.is_some() => Ok(()),
            op::VAR_HANDLE => Ok(()),
            op::READ_VARIABLE => self.read_variable(o),
            op::ASSIGN_VARIABLE => self.assign_variable(o),
            op::CONCATENATION => self.concat(o),
            op::SOFTMAX | op::LOG_SOFTMAX => self.softmax(o),
            op::L2_NORMALIZATION => {
                let activation = activation(o.options.map_or(Ok(0), |options| options.i8(0, 0)).map_err(damaged)?)?;
                if activation != Activation::None {
                    return refuse("a fused activation", "TensorFlow Lite Micro refuses it too");
                }
                let input = self.operand(o, 0)?;
                self.lower(o, Neutral::L2Norm, &[input])
            }
            op::ARG_MAX => self.arg_max(o),
            op::RESHAPE | op::SQUEEZE | op::EXPAND_DIMS => self.reshape(o),
            op::BROADCAST_TO | op::RESIZE_BILINEAR | op::RESIZE_NEAREST_NEIGHBOR if changes_nothing(self.model, o) => {
                self.reshape(o)
            }
            op::TRANSPOSE => self.transpose(o),
            op::SLICE | op::STRIDED_SLICE => self.slice(o),
            op::GATHER => self.gather(o),
            op::REVERSE_V2 => self.reverse(o),
            op::PACK => self.pack(o),
            op::UNPACK => self.unpack(o),
            op::BROADCAST_TO | op::TILE => self.broadcast(o),
            op::SPLIT => self.split(o, 1, 0),
            op::SPLIT_V => self.split(o, 0, 2),
            op::PAD | op::PADV2 | op::MIRROR_PAD => self.pad(o),
            op::SPACE_TO_BATCH_ND => {
                let (input, blocks) = (self.map(o, 0)?, blocks(self.model, o)?);
                let Some(output) = o.output(0) else { return refuse("it has no output", "") };
                self.states[output] = State::Blocks(input, blocks);
                Ok(())
            }
            op::BATCH_TO_SPACE_ND => self.batch_to_space(o),
            op::DEPTH_TO_SPACE | op::SPACE_TO_DEPTH => {
                let (input, Some(options)) = (self.map(o, 0)?, o.options) else {
                    return refuse("its options are missing", "");
                };
                let block = extent(options.i32(0, 0).map_err(damaged)?, "a block")?;
                let strided = match o.code {
                    op::SPACE_TO_DEPTH => Strided::SpaceToDepth { block },
                    _ => Strided::DepthToSpace { block: [block; 2], channels_first: false },
                };
                self.lower(o, Neutral::Rearrange(Rearrange::Strided(strided)), &[input])
            }
            op::RESIZE_NEAREST_NEIGHBOR | op::RESIZE_BILINEAR => self.resize(o),
            op::QUANTIZE => self.quantize(o),
            op::DEQUANTIZE => self.dequantize(o),
            _ => unsupported(o),
        }
    }

    /// Lowers an operator of one activation that may drop dimensions of 1.
    pub(super) fn lower_viewed(&mut self, o: &Operator<'_>, operator: Neutral, input: NodeId) -> Result<(), Refusal> {
        let output = self.output(o, Activation::None)?;
        let id = self.draft.lower(FileNode::new(operator, &[input], output))?;
        self.set_viewed(o, id)
    }

    /// Lets a value that may have dimensions of 1 that are dropped be an operator's output.
    pub(super) fn set_viewed(&mut self, o: &Operator<'_>, id: NodeId) -> Result<(), Refusal> {
        let to = self.shape(o)?;
        let id = if self.draft.shape(id).len() == to.len() { self.draft.read_as(id, to)? } else { id };
        self.set(o, 0, id)
    }
}

/// A fused activation by its code.
pub(super) fn activation(code: i8) -> Result<Activation, Refusal> {
    match code {
        0 => Ok(Activation::None),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::ReluN1To1),
        3 => Ok(Activation::Relu6),
        4 => refuse("fused TANH", "export the activation as an operator of its own"),
        code => refuse(format!("fused activation {code}"), ""),
    }
}

/// A positive extent.
pub(super) fn extent(value: i32, what: &str) -> Result<u32, Refusal> {
    match u32::try_from(value) {
        Ok(value) if (1..=Window::MAX_EXTENT).contains(&value) => Ok(value),
        _ => refuse(format!("{what} of {value}"), ""),
    }
}

/// Whether an operator only computes shapes: the shapes that count are declared in the file.
fn is_shape_arithmetic(model: &Model<'_>, o: &Operator<'_>) -> bool {
    let integers = |i: usize| matches!(model.tensors[i].dtype, Type::Int32 | Type::Int64);
    match o.code {
        op::SHAPE => true,
        op::STRIDED_SLICE
        | op::PACK
        | op::CONCATENATION
        | op::GATHER
        | op::MUL
        | op::ADD
        | op::SUB
        | op::CAST
        | op::REDUCE_PROD
        | op::SQUEEZE
        | op::EXPAND_DIMS
        | op::RESHAPE
        | op::MAXIMUM
        | op::MINIMUM
        | op::FLOOR_DIV
        | op::FLOOR_MOD
        | op::FILL
        | op::RANGE
        | op::SLICE
        | op::UNPACK
        | op::BROADCAST_ARGS => o.outputs().all(integers) && o.inputs().all(integers),
        _ => false,
    }
}

/// Whether an operator is one of recurrent networks.
const fn is_recurrent(code: i32) -> bool {
    matches!(code, op::LSTM | op::RNN | op::SVDF | op::SEQUENCE_LSTM)
}

/// A damaged table met while a node's options are read.
pub(super) fn damaged(error: crate::import::flat::Malformed) -> Refusal {
    (error.to_string(), String::new())
}

/// Why an operator is not supported that has no lowering.
pub(super) fn unsupported<T>(o: &Operator<'_>) -> Result<T, Refusal> {
    let compilers = [("edgetpu", "Edge TPU"), ("ethos-u", "Ethos-U"), ("XC_", "xcore")];
    match compilers.iter().find(|(part, _)| o.kind.contains(part)) {
        Some((_, name)) => refuse(
            format!("the file is compiled for the accelerator {name}"),
            "import the file that its compiler was given",
        ),
        None => refuse("the operator is not supported", hint(o.code)),
    }
}

/// What a user can do about an operator that is not supported.
pub(super) fn hint(code: i32) -> &'static str {
    match code {
        79 | 48 => "take it out of the model and use kinglet's top-k on the output",
        op::SPACE_TO_BATCH_ND | op::BATCH_TO_SPACE_ND => "only around a convolution, which they make a dilated one",
        op::LOG_SOFTMAX => "end the network before it (--output NAME): the order of classes stays the same",
        code => beyond(&op::name(code)).unwrap_or(
            "rebuild the model without it: kinglet supports the operators of residual, Inception and MobileNet-style classifiers (README.md)",
        ),
    }
}
