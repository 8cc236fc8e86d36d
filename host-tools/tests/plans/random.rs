//! Random networks: any mixture of operators, branches, concatenations and residual sums.

use kinglet::format::RoundingSource;
use kinglet::{Activation, DType, Padding, QuantParams, Rounding, Shape, Window};
use kinglet_tools::graph::{Op, Stored, StoredFunction, StoredWeights};
use kinglet_tools::network::{Network, Node, State, TensorId, TensorInfo};
use proptest::prelude::*;

use crate::halved::halved;

/// One quantization for all tensors, so that every rule about equal quantization holds.
const QUANT: QuantParams = QuantParams { scale: 0.05, zero_point: -3 };

/// Three numbers decide about each node: which operator, which inputs, which parameters.
type Choice = (u8, u32, u32);

/// What a network is made from; short enough to be printed when a test fails.
#[derive(Clone, Debug)]
pub struct Seeds {
    /// The type of activations.
    dtype: DType,
    input: [u32; 3],
    /// Whether there are another input, and a state.
    more: [bool; 2],
    choices: Vec<Choice>,
    /// Outputs beside the last node's.
    ends: Vec<u32>,
}

pub fn seeds() -> impl Strategy<Value = Seeds> {
    let choices = proptest::collection::vec(any::<Choice>(), 1..14);
    let dtype = prop::sample::select(vec![DType::I8, DType::I16, DType::F16]);
    let ends = proptest::collection::vec(any::<u32>(), 0..3);
    let input = [2u32..8, 2u32..8, 1u32..5];
    (dtype, input, any::<[bool; 2]>(), choices, ends).prop_map(|(dtype, input, more, choices, ends)| Seeds {
        dtype,
        input,
        more,
        choices,
        ends,
    })
}

impl Seeds {
    pub fn network(&self) -> Network {
        let [h, w, c] = self.input;
        let mut random = Random { network: empty(Shape::new(h, w, c)) };
        for _ in self.more.iter().filter(|more| **more) {
            random.network.inputs.push(random.network.tensors.len());
            random.network.tensors.push(tensor(random.network.tensors.len(), Shape::new(h, w, c)));
        }
        let given = random.network.tensors.len();
        self.choices.iter().for_each(|&choice| random.node(choice));
        let count = random.network.tensors.len();
        random.network.outputs = vec![count - 1];
        random.network.outputs.extend(self.ends.iter().map(|&end| given + end as usize % (count - given)));
        // The last input is a state if something can be its next value.
        let next = (given..count).find(|&id| random.shape(id).same(Shape::new(h, w, c)));
        if let (true, Some(next)) = (self.more[1], next) {
            let tensor = random.network.inputs.pop().unwrap();
            random.network.states.push(State { tensor, next, initial: Vec::new() });
        }
        match self.dtype {
            DType::I16 => widen(&mut random.network),
            DType::F16 => return halved(random.network),
            _ => {}
        }
        random.network
    }
}

/// The same network with int16 activations.
fn widen(network: &mut Network) {
    for tensor in &mut network.tensors {
        (tensor.dtype, tensor.quant.zero_point) = (DType::I16, 0);
    }
    for (index, node) in network.nodes.iter_mut().enumerate() {
        match &mut node.op {
            Op::Conv2d { .. } | Op::DepthwiseConv2d { .. } if index % 4 != 3 => node.rounding = Rounding::Wide,
            Op::Function(function) => *function = StoredFunction::Slope(0.3),
            _ => {}
        }
    }
}

fn empty(input: Shape) -> Network {
    Network {
        name: "random".into(),
        tensors: vec![tensor(0, input)],
        nodes: Vec::new(),
        inputs: vec![0],
        outputs: vec![0],
        states: Vec::new(),
        labels: Vec::new(),
        pixels: None,
        rounding: RoundingSource::Tflm,
    }
}

fn tensor(id: TensorId, shape: Shape) -> TensorInfo {
    TensorInfo { name: format!("t{id}"), shape, dtype: DType::I8, quant: QUANT }
}

/// Weights without a pattern, around zero and small, so that outputs do not saturate.
fn weights(len: u32, seed: u32) -> Vec<i8> {
    let hash = |i: u32| (i ^ seed).wrapping_mul(0x9E37_79B1).rotate_left(13).wrapping_mul(0x85EB_CA77) >> 24;
    (0..len).map(|i| (hash(i) as i32 - 128) as i8 / 4).collect()
}

struct Random {
    network: Network,
}

impl Random {
    fn shape(&self, tensor: TensorId) -> Shape {
        self.network.tensors[tensor].shape
    }

    /// Adds a node; most read something recent, some reach far back.
    fn node(&mut self, (kind, at, how): Choice) {
        let count = self.network.tensors.len() as u32;
        let back = if at.is_multiple_of(3) { at / 3 % count } else { (at / 3 % 3).min(count - 1) };
        let a = (count - 1 - back) as TensorId;
        let Shape { h, w, c } = self.shape(a);
        let size = [h, w];
        let fitting = |rule: &dyn Fn(Shape) -> bool| -> Vec<TensorId> {
            (0..count as usize).filter(|&id| rule(self.shape(id))).collect()
        };
        let (op, inputs, shape) = match kind % 10 {
            0 | 1 => {
                let kernel = if how.is_multiple_of(3) { 1 } else { 3 };
                let window = Window::new([kernel; 2], [1 + how / 3 % 2; 2], Padding::Same, size);
                let filters = 1 + how / 6 % 6;
                let [h, w] = window.output(size).unwrap();
                (conv(window, filters, c, at), vec![a], Shape::new(h, w, filters))
            }
            2 => {
                let window = Window::new([3, 3], [1 + how % 2; 2], Padding::Same, size);
                let [h, w] = window.output(size).unwrap();
                let op = if how.is_multiple_of(4) { Op::AveragePool(window) } else { Op::MaxPool(window) };
                (op, vec![a], Shape::new(h, w, c))
            }
            3 | 4 => {
                let others = fitting(&|shape| shape.same(self.shape(a)));
                let b = others[how as usize % others.len()];
                let op = if how.is_multiple_of(5) { Op::Mul } else { Op::Add };
                (op, vec![a, b], self.shape(a))
            }
            5 | 6 => {
                let others = fitting(&|shape| shape.h == h && shape.w == w);
                let pick = |i: u32| others[(how.rotate_right(5 * i) % others.len() as u32) as usize];
                let mut inputs: Vec<TensorId> = (0..how % 3).map(pick).collect();
                inputs.insert(how as usize % (inputs.len() + 1), a);
                let channels = inputs.iter().map(|&id| self.shape(id).c).sum();
                (Op::Concat, inputs, Shape::new(h, w, channels))
            }
            7 => (Op::Function(StoredFunction::Table(weights(256, how))), vec![a], self.shape(a)),
            8 => {
                let shape = if how.is_multiple_of(2) { Shape::new(w, h, c) } else { Shape::new(1, h, w * c) };
                (Op::Reshape(shape), vec![a], shape)
            }
            _ => {
                let window = Window::new([3, 3], [1, 1], Padding::Same, size);
                (depthwise(window, c, how), vec![a], self.shape(a))
            }
        };
        let output = count as TensorId;
        self.network.tensors.push(tensor(output, shape));
        let name = format!("n{output}");
        let activation = if op == Op::Add { Activation::Relu } else { Activation::None };
        self.network.nodes.push(Node { name, op, activation, inputs, output, rounding: Rounding::Double });
    }
}

fn conv(window: Window, filters: u32, channels: u32, seed: u32) -> Op<Stored> {
    let weights = StoredWeights::Int8 {
        weights: weights(filters * window.taps_len() * channels, seed),
        scales: vec![0.01],
        bias: (0..filters.into()).map(|c| c * 40 - 60).collect(),
    };
    Op::Conv2d { window, weights }
}

fn depthwise(window: Window, channels: u32, seed: u32) -> Op<Stored> {
    let weights = StoredWeights::Int8 {
        weights: weights(window.taps_len() * channels, seed),
        scales: vec![0.02],
        bias: vec![0; channels as usize],
    };
    Op::DepthwiseConv2d { window, weights }
}

/// A network of a test's choice.
pub struct Build(Random);

impl Build {
    /// Nothing but an input: tensor 0.
    pub fn new(input: Shape) -> Self {
        Self(Random { network: empty(input) })
    }

    /// A tensor's shape.
    pub fn shape(&self, tensor: TensorId) -> Shape {
        self.0.shape(tensor)
    }

    /// Same-padded convolution of stride 1.
    pub fn conv(&mut self, input: TensorId, kernel: u32, filters: u32) -> TensorId {
        self.conv_by(input, kernel, filters, 1)
    }

    /// Same-padded convolution with a stride.
    pub fn conv_by(&mut self, input: TensorId, kernel: u32, filters: u32, stride: u32) -> TensorId {
        let Shape { h, w, .. } = self.0.shape(input);
        self.conv_over(input, Window::new([kernel; 2], [stride; 2], Padding::Same, [h, w]), filters)
    }

    /// Convolution.
    pub fn conv_over(&mut self, input: TensorId, window: Window, filters: u32) -> TensorId {
        let Shape { h, w, c } = self.0.shape(input);
        let [h, w] = window.output([h, w]).unwrap();
        self.push(conv(window, filters, c, window.kernel[0] + filters), &[input], Shape::new(h, w, filters))
    }

    /// Convolution of each channel by itself, same-padded; of one tap a scale and a shift, as batch normalization is.
    pub fn depthwise(&mut self, input: TensorId, kernel: u32) -> TensorId {
        let shape = self.0.shape(input);
        let window = Window::new([kernel; 2], [1, 1], Padding::Same, [shape.h, shape.w]);
        self.push(depthwise(window, shape.c, kernel), &[input], shape)
    }

    /// 3x3 max pool with a stride.
    pub fn pool_by(&mut self, input: TensorId, stride: u32) -> TensorId {
        let Shape { h, w, c } = self.0.shape(input);
        let window = Window::new([3, 3], [stride; 2], Padding::Same, [h, w]);
        let [h, w] = window.output([h, w]).unwrap();
        self.push(Op::MaxPool(window), &[input], Shape::new(h, w, c))
    }

    /// 3x3 max pool of the input's own size.
    pub fn pool(&mut self, input: TensorId) -> TensorId {
        self.pool_by(input, 1)
    }

    /// Sum of two tensors of one shape.
    pub fn add(&mut self, a: TensorId, b: TensorId) -> TensorId {
        self.push(Op::Add, &[a, b], self.0.shape(a))
    }

    /// Side by side.
    pub fn concat(&mut self, parts: &[TensorId]) -> TensorId {
        let channels = parts.iter().map(|&part| self.0.shape(part).c).sum();
        let Shape { h, w, .. } = self.0.shape(parts[0]);
        self.push(Op::Concat, parts, Shape::new(h, w, channels))
    }

    /// The network; what was added last is its output.
    pub fn network(mut self) -> Network {
        self.0.network.outputs = vec![self.0.network.tensors.len() - 1];
        self.0.network
    }

    fn push(&mut self, op: Op<Stored>, inputs: &[TensorId], shape: Shape) -> TensorId {
        let output = self.0.network.tensors.len();
        self.0.network.tensors.push(tensor(output, shape));
        let (name, activation, inputs) = (format!("n{output}"), Activation::None, inputs.to_vec());
        self.0.network.nodes.push(Node { name, op, activation, inputs, output, rounding: Rounding::Double });
        output
    }
}
