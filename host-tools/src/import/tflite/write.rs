//! Writing an int8 or 16x8 network as a TensorFlow Lite file: the importer's inverse. What an operator is written as lies beside how it
//! is read, in its family's file.
//!
//! What the format has no place for (labels, pixel tables, rounding, node names as they are) goes into a metadata entry
//! that other tools ignore, so that importing the file gives the same network again.

use kinglet::ops::Curve;
use kinglet::quant::quantize;
use kinglet::{Activation, DType, QuantParams, Rounding, Shape};
use thiserror::Error;

use super::extras::Extras;
use super::file::{File, FileOperator, FileTensor, element};
use super::names as op;
use crate::graph::{ConstantFunction, Op, Rearrange, Stored, StoredConstant, StoredFunction, StoredWeights};
use crate::import::flat_write::Value;
use crate::network::{Network, Node, TensorId, TensorInfo};

const HALF_PRECISION: &str = "it takes float16, which has no kernels there";

/// Why a network cannot be written as a TensorFlow Lite file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{node}` cannot be written as a TensorFlow Lite operator: {reason}")]
pub struct Inexpressible {
    /// The node's name.
    pub node: String,
    /// What the format lacks.
    pub reason: String,
}

/// The TensorFlow Lite file of `network`.
///
/// # Errors
/// When a node has no counterpart there: a padded average pool that is not SAME, a table that is no function of theirs.
pub fn to_bytes(network: &Network) -> Result<Vec<u8>, Inexpressible> {
    if let Some(node) = network.nodes.iter().find(|node| network.tensors[node.output].dtype == DType::F16) {
        return Err(Inexpressible {
            node: node.name.clone(),
            reason: "it gives float16, which has no kernels there".into(),
        });
    }
    let mut writer = Writer { network, file: File::default(), written: vec![None; network.tensors.len()] };
    writer.file.description = "Kinglet network".into();
    if let Some(state) = network.states.first() {
        let node = network.tensors[state.tensor].name.clone();
        return Err(Inexpressible { node, reason: "it is a state, which is only read from such files".into() });
    }
    for &id in &network.inputs {
        let input = &network.tensors[id];
        let windowed = |node: &&Node| node.inputs.contains(&id) && needs_image(&node.op);
        let image = !is_vector(input.shape) || network.nodes.iter().any(|node| windowed(&node));
        let index = writer.activation(&input.name, input, image);
        writer.file.inputs.push(index);
        writer.written[id] = Some((index, image));
    }
    for node in &network.nodes {
        writer.node(node).map_err(|reason| Inexpressible { node: node.name.clone(), reason })?;
    }
    writer.file.outputs = network.outputs.iter().map(|&output| writer.operand(output).0).collect();
    let names = network.nodes.iter().map(|node| node.name.clone()).collect();
    writer.file.metadata.push((Extras::NAME.into(), Extras::of(network, names).to_bytes()));
    Ok(writer.file.to_bytes())
}

fn is_vector(shape: Shape) -> bool {
    shape.h == 1 && shape.w == 1
}

/// Whether an operator takes four dimensions, also of a single pixel.
fn needs_image(op: &Op<Stored>) -> bool {
    match op {
        Op::Conv2d { .. } | Op::DepthwiseConv2d { .. } | Op::MaxPool(_) | Op::AveragePool(_) | Op::Mean => true,
        Op::Add | Op::Sub | Op::Mul | Op::Concat | Op::Rearrange(_) | Op::ResizeBilinear(_) => true,
        Op::Input | Op::Dense(_) | Op::BatchNorm(_) | Op::Activate(_) | Op::Function(_) => false,
        Op::Constant { .. } | Op::Reshape(_) | Op::Softmax { .. } | Op::L2Norm => false,
    }
}

pub(super) type Options = (u8, Vec<(u16, Value)>);

pub(super) struct Writer<'n> {
    pub(super) network: &'n Network,
    file: File,
    /// The file's tensor for each of the network's, and whether it has four dimensions rather than two.
    written: Vec<Option<(i32, bool)>>,
}

impl Writer<'_> {
    pub(super) fn activation(&mut self, name: &str, info: &TensorInfo, image: bool) -> i32 {
        self.file.tensor(FileTensor {
            name: name.to_owned(),
            dims: dims(info.shape, image),
            element: type_of(info.dtype),
            scales: vec![info.quant.scale],
            zero_points: vec![info.quant.zero_point.into()],
            ..FileTensor::default()
        })
    }

    pub(super) fn constant(&mut self, name: String, dims: Vec<i32>, element: u8, data: Vec<u8>) -> i32 {
        self.file.tensor(FileTensor { name, dims, element, data, ..FileTensor::default() })
    }

    pub(super) fn integers(&mut self, name: String, dims: Vec<i32>, list: &[i32]) -> i32 {
        self.constant(name, dims, element::INT32, list.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// A constant quantized as activations of type `dtype` are.
    pub(super) fn quantized(
        &mut self,
        name: String,
        dims: Vec<i32>,
        data: &[i16],
        (dtype, quant): (DType, QuantParams),
    ) -> i32 {
        let index = self.constant(name, dims, type_of(dtype), crate::elements::to_bytes(data, dtype));
        let tensor = &mut self.file.tensors[index as usize];
        (tensor.scales, tensor.zero_points) = (vec![quant.scale], vec![quant.zero_point.into()]);
        index
    }

    /// The file's tensor of `id`; nodes come in topological order, so it is there.
    pub(super) fn operand(&self, id: TensorId) -> (i32, bool) {
        self.written[id].unwrap_or((-1, true))
    }

    /// The file's tensor of `id` with four dimensions, through a RESHAPE when it has two.
    pub(super) fn image(&mut self, id: TensorId) -> i32 {
        let (index, image) = self.operand(id);
        if image {
            return index;
        }
        let info = self.network.tensors[id].clone();
        let name = format!("{} (image)", info.name);
        let output = self.activation(&name, &info, true);
        self.reshape(index, output, &dims(info.shape, true), name);
        output
    }

    pub(super) fn reshape(&mut self, input: i32, output: i32, to: &[i32], name: String) {
        let shape = self.integers(format!("{name}/shape"), vec![to.len() as i32], to);
        let options = (17, vec![(0, Value::I32s(to.to_vec()))]);
        self.operator(op::RESHAPE, 1, vec![input, shape], output, options);
    }

    pub(super) fn operator(
        &mut self,
        code: i32,
        version: i32,
        inputs: Vec<i32>,
        output: i32,
        (options_type, options): Options,
    ) {
        let outputs = vec![output];
        self.file.operators.push(FileOperator { code, version, inputs, outputs, options_type, options });
    }

    /// The tensor that `node` writes.
    pub(super) fn result(&mut self, node: &Node, image: bool) -> i32 {
        let info = self.network.tensors[node.output].clone();
        // The caller knows an output by its tensor's name.
        let name = if self.network.outputs.contains(&node.output) { &info.name } else { &node.name };
        let index = self.activation(name, &info, image);
        self.written[node.output] = Some((index, image));
        index
    }

    fn node(&mut self, node: &Node) -> Result<(), String> {
        let Some(&first) = node.inputs.first() else { return Err("it has no input".into()) };
        match &node.op {
            Op::Conv2d { window, weights } => self.write_conv(node, first, window, weights)?,
            Op::DepthwiseConv2d { window, weights } => self.write_depthwise(node, first, window, weights)?,
            Op::Dense(weights) => self.write_dense(node, first, weights)?,
            Op::MaxPool(window) => self.pool(node, first, op::MAX_POOL_2D, window)?,
            Op::AveragePool(window) => self.pool(node, first, op::AVERAGE_POOL_2D, window)?,
            Op::Mean => self.write_mean(node, first),
            Op::Add => self.pair(node, op::ADD, 11),
            Op::Sub => self.pair(node, op::SUB, 28),
            Op::Mul => self.pair(node, op::MUL, 21),
            Op::Concat => self.write_concat(node),
            Op::Softmax { beta } => {
                let (input, image) = self.operand(first);
                let output = self.result(node, image);
                self.operator(op::SOFTMAX, 2, vec![input], output, (9, vec![(0, Value::F32(*beta))]));
            }
            Op::L2Norm if self.network.tensors[first].dtype == DType::I8 => {
                self.function(node, first, (op::L2_NORMALIZATION, 2), (37, vec![]));
            }
            Op::L2Norm => return Err("it normalizes elements that are not int8".into()),
            Op::Function(StoredFunction::Table(table)) => self.lookup(node, first, table)?,
            Op::Constant { function: ConstantFunction::Prelu, data: StoredConstant { data, quant } } => {
                self.write_prelu(node, first, data, *quant)?;
            }
            Op::Constant { function, data: StoredConstant { data, quant } } => {
                self.write_constant(node, first, *function, data, *quant)?;
            }
            Op::Activate(activation) => self.write_activation(node, first, *activation)?,
            Op::Function(StoredFunction::Slope(slope)) => {
                self.function(node, first, (op::LEAKY_RELU, 2), (75, vec![(0, Value::F32(*slope))]));
            }
            Op::Function(StoredFunction::Curve(Curve::Tanh)) => self.function(node, first, (op::TANH, 3), (0, vec![])),
            Op::Function(StoredFunction::Curve(Curve::Logistic)) => {
                self.function(node, first, (op::LOGISTIC, 3), (0, vec![]));
            }
            Op::Function(StoredFunction::Pieces(_)) => return Err(HALF_PRECISION.into()),
            Op::Input => return Err("it computes nothing".into()),
            Op::BatchNorm(never) => match *never {},
            Op::Reshape(_) => {
                let (input, _) = self.operand(first);
                let image = !is_vector(self.network.tensors[node.output].shape);
                let output = self.result(node, image);
                let to = dims(self.network.tensors[node.output].shape, image);
                self.reshape(input, output, &to, node.name.clone());
            }
            Op::Rearrange(Rearrange::ResizeNearest(resize)) => self.write_nearest(node, first, *resize),
            Op::ResizeBilinear(resize) => self.write_bilinear(node, first, resize)?,
            Op::Rearrange(Rearrange::Strided(strided)) => self.write_strided(node, first, *strided)?,
            Op::Rearrange(Rearrange::Pad { before, after, value }) => {
                let input = self.image(first);
                let quant = (self.network.tensors[first].dtype, self.network.tensors[first].quant);
                let amounts = [0, 0, before[0], after[0], before[1], after[1], before[2], after[2]];
                let output = self.result(node, true);
                self.pad(input, output, amounts, quantize(*value, quant.1) as i16, quant, &node.name);
            }
        }
        Ok(())
    }

    pub(super) fn filter(
        &mut self,
        node: &Node,
        dims: Vec<i32>,
        weights: &StoredWeights,
        axis: i32,
    ) -> Result<i32, String> {
        let StoredWeights::Int8 { weights, scales, .. } = weights else { return Err(HALF_PRECISION.into()) };
        // Symmetric, as the converter's; their kernels of int16 activations have none, nor have fully connected layers with several
        // scales.
        let kernels = self.network.tensors[node.output].dtype == DType::I8
            && (scales.len() == 1 || !matches!(node.op, Op::Dense(_)));
        let narrow = weights.iter().all(|weight| (-7..=7).contains(weight));
        let (element, data) = if narrow && kernels {
            let nibble = |weight: Option<&i8>| weight.map_or(0, |&weight| weight as u8 & 15);
            let bytes = weights.chunks(2).map(|two| nibble(two.first()) | nibble(two.get(1)) << 4);
            (element::INT4, bytes.collect())
        } else {
            (element::INT8, weights.iter().map(|&w| w as u8).collect())
        };
        Ok(self.file.tensor(FileTensor {
            name: format!("{}/weights", node.name),
            dims,
            element,
            data,
            scales: scales.clone(),
            zero_points: vec![0; scales.len()],
            axis,
        }))
    }

    /// The version of an operator with weights of 8 bits, or of 4.
    pub(super) fn version(&self, filter: i32, eight: i32, four: i32) -> i32 {
        if self.file.tensors[filter as usize].element == element::INT4 { four } else { eight }
    }

    pub(super) fn bias(&mut self, node: &Node, input: TensorId, weights: &StoredWeights) -> Result<i32, String> {
        let StoredWeights::Int8 { scales, bias, .. } = weights else { return Err(HALF_PRECISION.into()) };
        let (name, dims) = (format!("{}/bias", node.name), vec![bias.len() as i32]);
        let index = if node.rounding == Rounding::Wide {
            self.constant(name, dims, element::INT64, bias.iter().flat_map(|v| v.to_le_bytes()).collect())
        } else {
            // Validated to have 32 bits.
            self.integers(name, dims, &bias.iter().map(|&v| v as i32).collect::<Vec<_>>())
        };
        let scale = self.network.tensors[input].quant.scale;
        let tensor = &mut self.file.tensors[index as usize];
        tensor.scales = scales.iter().map(|s| s * scale).collect();
        tensor.zero_points = vec![0; scales.len()];
        Ok(index)
    }

    /// The file's tensors of all inputs, of as many dimensions each.
    pub(super) fn together(&mut self, node: &Node) -> (Vec<i32>, bool) {
        let image = node.inputs.iter().any(|&id| self.operand(id).1);
        let pick = |id: &TensorId| if image { self.image(*id) } else { self.operand(*id).0 };
        (node.inputs.iter().map(pick).collect(), image)
    }
}

fn type_of(dtype: DType) -> u8 {
    if dtype == DType::I16 { element::INT16 } else { element::INT8 }
}

pub(super) fn dims(shape: Shape, image: bool) -> Vec<i32> {
    let [h, w, c] = [shape.h, shape.w, shape.c].map(|d| d as i32);
    if image { vec![1, h, w, c] } else { vec![1, c] }
}

pub(super) fn fused(activation: Activation) -> Value {
    Value::U8(match activation {
        Activation::None => 0,
        Activation::Relu => 1,
        Activation::ReluN1To1 => 2,
        Activation::Relu6 => 3,
    })
}
