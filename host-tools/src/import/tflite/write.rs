//! Writing an int8 or 16x8 network as a TensorFlow Lite file: the importer's inverse.
//!
//! What the format has no place for (labels, pixel tables, rounding, node names as they are) goes into a metadata entry
//! that other tools ignore, so that importing the file gives the same network again.

use kinglet::ops::{Curve, ResizeBilinear};
use kinglet::quant::quantize;
use kinglet::{Activation, DType, Padding, QuantParams, Rounding, Shape, Window};
use thiserror::Error;

use super::extras::Extras;
use super::file::{File, FileOperator, FileTensor, element};
use super::names as op;
use crate::graph::{
    Channels, ConstantFunction, Op, Rearrange, Stored, StoredConstant, StoredFunction, StoredWeights, Strided,
};
use crate::import::flat_write::Value;
use crate::network::{Network, Node, TensorId, TensorInfo};
use crate::quantize::lookup;

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
        Op::Constant { .. } | Op::Reshape(_) | Op::Softmax { .. } => false,
    }
}

type Options = (u8, Vec<(u16, Value)>);

struct Writer<'n> {
    network: &'n Network,
    file: File,
    /// The file's tensor for each of the network's, and whether it has four dimensions rather than two.
    written: Vec<Option<(i32, bool)>>,
}

impl Writer<'_> {
    fn activation(&mut self, name: &str, info: &TensorInfo, image: bool) -> i32 {
        self.file.tensor(FileTensor {
            name: name.to_owned(),
            dims: dims(info.shape, image),
            element: type_of(info.dtype),
            scales: vec![info.quant.scale],
            zero_points: vec![info.quant.zero_point.into()],
            ..FileTensor::default()
        })
    }

    fn constant(&mut self, name: String, dims: Vec<i32>, element: u8, data: Vec<u8>) -> i32 {
        self.file.tensor(FileTensor { name, dims, element, data, ..FileTensor::default() })
    }

    fn integers(&mut self, name: String, dims: Vec<i32>, list: &[i32]) -> i32 {
        self.constant(name, dims, element::INT32, list.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// A constant quantized as activations of type `dtype` are.
    fn quantized(&mut self, name: String, dims: Vec<i32>, data: &[i16], (dtype, quant): (DType, QuantParams)) -> i32 {
        let index = self.constant(name, dims, type_of(dtype), crate::elements::to_bytes(data, dtype));
        let tensor = &mut self.file.tensors[index as usize];
        (tensor.scales, tensor.zero_points) = (vec![quant.scale], vec![quant.zero_point.into()]);
        index
    }

    /// The file's tensor of `id`; nodes come in topological order, so it is there.
    fn operand(&self, id: TensorId) -> (i32, bool) {
        self.written[id].unwrap_or((-1, true))
    }

    /// The file's tensor of `id` with four dimensions, through a RESHAPE when it has two.
    fn image(&mut self, id: TensorId) -> i32 {
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

    fn reshape(&mut self, input: i32, output: i32, to: &[i32], name: String) {
        let shape = self.integers(format!("{name}/shape"), vec![to.len() as i32], to);
        let options = (17, vec![(0, Value::I32s(to.to_vec()))]);
        self.operator(op::RESHAPE, 1, vec![input, shape], output, options);
    }

    fn operator(&mut self, code: i32, version: i32, inputs: Vec<i32>, output: i32, (options_type, options): Options) {
        let outputs = vec![output];
        self.file.operators.push(FileOperator { code, version, inputs, outputs, options_type, options });
    }

    /// The tensor that `node` writes.
    fn result(&mut self, node: &Node, image: bool) -> i32 {
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
            Op::Conv2d { window, weights } => {
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
            }
            Op::DepthwiseConv2d { window, weights } => {
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
            }
            Op::Dense(weights) => {
                let (outputs, inputs) = (weights.channels() as i32, self.network.tensors[first].shape.len() as i32);
                let filter = self.filter(node, vec![outputs, inputs], weights, 0)?;
                let bias = self.bias(node, first, weights)?;
                let (input, _) = self.operand(first);
                let output = self.result(node, false);
                self.operator(
                    op::FULLY_CONNECTED,
                    self.version(filter, 4, 10),
                    vec![input, filter, bias],
                    output,
                    (8, vec![(0, fused(node.activation))]),
                );
            }
            Op::MaxPool(window) => self.pool(node, first, op::MAX_POOL_2D, window)?,
            Op::AveragePool(window) => self.pool(node, first, op::AVERAGE_POOL_2D, window)?,
            Op::Mean => {
                let input = self.image(first);
                let axes = self.integers(format!("{}/axes", node.name), vec![2], &[1, 2]);
                let output = self.result(node, false);
                self.operator(op::MEAN, 2, vec![input, axes], output, (27, vec![(0, Value::bool(false))]));
            }
            Op::Add => self.pair(node, op::ADD, 11),
            Op::Sub => self.pair(node, op::SUB, 28),
            Op::Mul => self.pair(node, op::MUL, 21),
            Op::Concat => {
                let (inputs, image) = self.together(node);
                let output = self.result(node, image);
                let axis = Value::I32(if image { 3 } else { 1 });
                self.operator(op::CONCATENATION, 2, inputs, output, (10, vec![(0, axis)]));
            }
            Op::Softmax { beta } => {
                let (input, image) = self.operand(first);
                let output = self.result(node, image);
                self.operator(op::SOFTMAX, 2, vec![input], output, (9, vec![(0, Value::F32(*beta))]));
            }
            Op::Function(StoredFunction::Table(table)) => self.lookup(node, first, table)?,
            Op::Constant { function: ConstantFunction::Prelu, data: StoredConstant { data, quant } } => {
                let (input, image) = self.operand(first);
                let TensorInfo { shape, dtype, .. } = self.network.tensors[first];
                if dtype != DType::I8 || node.activation != Activation::None {
                    return Err("slopes of int16, or with an activation".into());
                }
                let of = match dims(shape, image)[..] {
                    [_, _, _, c] if data.len() == c as usize => vec![1, 1, c],
                    [_, ref rest @ ..] => rest.to_vec(),
                    [] => vec![],
                };
                let slopes = self.quantized(format!("{}/slopes", node.name), of, data, (dtype, *quant));
                let output = self.result(node, image);
                self.operator(op::PRELU, 1, vec![input, slopes], output, (0, vec![]));
            }
            Op::Constant { function, data: StoredConstant { data, quant } } => {
                let (input, image) = self.operand(first);
                let shape = self.network.tensors[first].shape;
                let of = if data.len() == shape.c as usize { vec![data.len() as i32] } else { dims(shape, image) };
                let quant = (self.network.tensors[first].dtype, *quant);
                let constant = self.quantized(format!("{}/constant", node.name), of, data, quant);
                let output = self.result(node, image);
                let (code, options) = match function {
                    ConstantFunction::Mul => (op::MUL, 21),
                    ConstantFunction::Add => (op::ADD, 11),
                    ConstantFunction::Sub | ConstantFunction::SubFrom => (op::SUB, 28),
                    ConstantFunction::Prelu => return Err("slopes are written above".into()),
                };
                let mut inputs = vec![input, constant];
                if *function == ConstantFunction::SubFrom {
                    inputs.reverse();
                }
                self.operator(code, 2, inputs, output, (options, vec![(0, fused(node.activation))]));
            }
            Op::Activate(activation) => {
                let same = self.network.tensors[first].quant.same(self.network.tensors[node.output].quant);
                match activation {
                    Activation::None => self.function(node, first, (op::QUANTIZE, 2), (89, vec![])),
                    Activation::Relu => self.function(node, first, (op::RELU, 2), (0, vec![])),
                    Activation::Relu6 if same => self.function(node, first, (op::RELU6, 2), (0, vec![])),
                    _ => return Err("its activation is that of no operator there".into()),
                }
            }
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
            Op::Rearrange(Rearrange::ResizeNearest(resize)) => {
                let input = self.image(first);
                let size =
                    self.integers(format!("{}/size", node.name), vec![2], &resize.size.map(|extent| extent as i32));
                let output = self.result(node, true);
                let options = [resize.align_corners, resize.half_pixel_centers].map(Value::bool);
                let options = (74, (0..).zip(options).collect());
                self.operator(op::RESIZE_NEAREST_NEIGHBOR, 3, vec![input, size], output, options);
            }
            Op::ResizeBilinear(resize) => {
                let from = self.network.tensors[first].shape;
                let same = |&[align_corners, half_pixel_centers]: &[bool; 2]| {
                    let theirs = ResizeBilinear::new(from, resize.size, align_corners, half_pixel_centers);
                    theirs.is_some_and(|theirs| {
                        [from.h, from.w].into_iter().enumerate().all(|(axis, extent)| {
                            let source = |resize: &ResizeBilinear, at| resize.between(axis).source(at, extent);
                            (0..resize.size[axis]).all(|at| source(&theirs, at) == source(resize, at))
                        })
                    })
                };
                let Some(options) = [[false, true], [false; 2], [true, false]].into_iter().find(same) else {
                    return Err("it has no settings that interpolate between the same pixels".into());
                };
                let input = self.image(first);
                let size =
                    self.integers(format!("{}/size", node.name), vec![2], &resize.size.map(|extent| extent as i32));
                let output = self.result(node, true);
                let options = (15, (2..).zip(options.map(Value::bool)).collect());
                self.operator(op::RESIZE_BILINEAR, 3, vec![input, size], output, options);
            }
            Op::Rearrange(Rearrange::Strided(strided)) => {
                let input = self.image(first);
                let (code, options, inputs) = match *strided {
                    Strided::DepthToSpace { block: [h, w], channels_first: false } if h == w => {
                        (op::DEPTH_TO_SPACE, (94, vec![(0, Value::I32(h as i32))]), vec![input])
                    }
                    Strided::SpaceToDepth { block } => {
                        (op::SPACE_TO_DEPTH, (19, vec![(0, Value::I32(block as i32))]), vec![input])
                    }
                    Strided::DepthToSpace { .. } => {
                        return Err("blocks that are not square, or in the order of ONNX".into());
                    }
                    Strided::Transpose([y, x, c]) => {
                        let axes = [0, y + 1, x + 1, c + 1].map(|axis| axis as i32);
                        let axes = self.integers(format!("{}/axes", node.name), vec![4], &axes);
                        (op::TRANSPOSE, (26, vec![]), vec![input, axes])
                    }
                };
                let output = self.result(node, true);
                self.operator(code, 2, inputs, output, options);
            }
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

    fn filter(&mut self, node: &Node, dims: Vec<i32>, weights: &StoredWeights, axis: i32) -> Result<i32, String> {
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
    fn version(&self, filter: i32, eight: i32, four: i32) -> i32 {
        if self.file.tensors[filter as usize].element == element::INT4 { four } else { eight }
    }

    fn bias(&mut self, node: &Node, input: TensorId, weights: &StoredWeights) -> Result<i32, String> {
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

    fn pad(&mut self, input: i32, output: i32, amounts: [u32; 8], value: i16, quant: (DType, QuantParams), name: &str) {
        let amounts = self.integers(format!("{name}/paddings"), vec![4, 2], &amounts.map(|a| a as i32));
        if i32::from(value) == quant.1.zero_point {
            self.operator(op::PAD, 2, vec![input, amounts], output, (22, vec![]));
        } else {
            let value = self.quantized(format!("{name}/value"), vec![], &[value], quant);
            self.operator(op::PADV2, 2, vec![input, amounts, value], output, (43, vec![]));
        }
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

    fn pool(&mut self, node: &Node, input: TensorId, code: i32, window: &Window) -> Result<(), String> {
        let (input, padding) = self.padded(node, input, window)?;
        let output = self.result(node, true);
        let [sh, sw] = window.stride.map(|s| Value::I32(s as i32));
        let [kh, kw] = window.kernel.map(|k| Value::I32(k as i32));
        let options = vec![(0, padding), (1, sw), (2, sh), (3, kw), (4, kh), (5, fused(node.activation))];
        self.operator(code, 2, vec![input], output, (5, options));
        Ok(())
    }

    /// The file's tensors of all inputs, of as many dimensions each.
    fn together(&mut self, node: &Node) -> (Vec<i32>, bool) {
        let image = node.inputs.iter().any(|&id| self.operand(id).1);
        let pick = |id: &TensorId| if image { self.image(*id) } else { self.operand(*id).0 };
        (node.inputs.iter().map(pick).collect(), image)
    }

    fn pair(&mut self, node: &Node, code: i32, options: u8) {
        let (inputs, image) = self.together(node);
        let output = self.result(node, image);
        self.operator(code, 2, inputs, output, (options, vec![(0, fused(node.activation))]));
    }

    /// The function of theirs that a table is the table of.
    fn lookup(&mut self, node: &Node, input: TensorId, table: &[i8]) -> Result<(), String> {
        let (from, to) = (self.network.tensors[input].quant, self.network.tensors[node.output].quant);
        let rounding = node.rounding;
        let functions = [
            (op::QUANTIZE, 2, 89, lookup::requantized(from, to, rounding)),
            (op::RELU, 2, 0, lookup::clamped(from, to, Activation::Relu, rounding)),
            (op::RELU6, 2, 0, Ok(lookup::micro_relu6(from))),
            (op::RELU_N1_TO_1, 1, 0, lookup::clamped(from, to, Activation::ReluN1To1, rounding)),
            (op::LOGISTIC, 2, 0, lookup::logistic(from, to, rounding)),
            (op::TANH, 2, 0, lookup::tanh(from, to, rounding)),
            (op::HARD_SWISH, 1, 91, lookup::hard_swish(from, to)),
        ];
        let found = functions.into_iter().find(|(_, _, _, theirs)| theirs.as_ref().is_ok_and(|theirs| theirs == table));
        let Some((code, version, options, _)) = found else {
            return Err("its table is that of no operator there".into());
        };
        self.function(node, input, (code, version), (options, vec![]));
        Ok(())
    }

    fn function(&mut self, node: &Node, input: TensorId, (code, version): (i32, i32), options: Options) {
        let (input, image) = self.operand(input);
        let output = self.result(node, image);
        self.operator(code, version, vec![input], output, options);
    }
}

fn type_of(dtype: DType) -> u8 {
    if dtype == DType::I16 { element::INT16 } else { element::INT8 }
}

fn dims(shape: Shape, image: bool) -> Vec<i32> {
    let [h, w, c] = [shape.h, shape.w, shape.c].map(|d| d as i32);
    if image { vec![1, h, w, c] } else { vec![1, c] }
}

fn fused(activation: Activation) -> Value {
    Value::U8(match activation {
        Activation::None => 0,
        Activation::Relu => 1,
        Activation::ReluN1To1 => 2,
        Activation::Relu6 => 3,
    })
}
