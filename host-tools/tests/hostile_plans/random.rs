//! Random networks: every operator with a window, sums, products, concatenations in each other and with several readers,
//! odd sizes.

use kinglet::format::RoundingSource;
use kinglet::ops::Add;
use kinglet::{Activation, DType, Padding, QuantParams, Rounding, Shape, Window};
use kinglet_tools::graph::{ConstantFunction, Op, Rearrange, Stored, StoredConstant, StoredFunction, StoredWeights};
use kinglet_tools::network::{Network, Node, TensorId, TensorInfo};

/// What a node is made of: which operator, which inputs, and its parameters.
pub type Gene = (u8, [u8; 3], u16);

/// The quantization of most tensors, so that they may be concatenated.
const COMMON: QuantParams = QuantParams { scale: 0.05, zero_point: -9 };
const OTHER: QuantParams = QuantParams { scale: 0.04, zero_point: 11 };
const PROBABILITY: QuantParams = QuantParams { scale: 1.0 / 256.0, zero_point: -128 };

/// Numbers that look random.
pub fn numbers(len: u32, seed: u32) -> Vec<i8> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 11) as u8 as i8
        })
        .map(|x| x.max(-127))
        .collect()
}

/// The network of some genes: the first is the input's size, each of the others adds a node.
pub fn network(genes: &[Gene]) -> Network {
    let (size, [h, w, c], _) = genes[0];
    let input = Shape::new(3 + u32::from(h % 11), 2 + u32::from(w % 10), 1 + u32::from(c % 6));
    let mut build = Build::new(input);
    for (seed, gene) in (1..).zip(&genes[1..]) {
        build.add(seed, *gene);
    }
    build.end(size);
    build.network
}

struct Build {
    network: Network,
}

impl Build {
    fn new(shape: Shape) -> Self {
        let input = TensorInfo { name: "input".into(), shape, dtype: DType::I8, quant: COMMON };
        let network = Network {
            name: "random".into(),
            tensors: vec![input],
            nodes: Vec::new(),
            inputs: vec![0],
            outputs: vec![0],
            states: Vec::new(),
            labels: Vec::new(),
            pixels: None,
            rounding: RoundingSource::Tflm,
        };
        Self { network }
    }

    fn shape(&self, id: TensorId) -> Shape {
        self.network.tensors[id].shape
    }

    fn quant(&self, id: TensorId) -> QuantParams {
        self.network.tensors[id].quant
    }

    fn node(&mut self, op: Op<Stored>, inputs: &[TensorId], shape: Shape, quant: QuantParams) -> TensorId {
        self.fused(op, Activation::None, inputs, shape, quant)
    }

    /// A node with an activation.
    fn fused(
        &mut self,
        op: Op<Stored>,
        activation: Activation,
        inputs: &[TensorId],
        shape: Shape,
        quant: QuantParams,
    ) -> TensorId {
        let id = self.network.tensors.len();
        let name = format!("{}{id}", op.kind());
        self.network.tensors.push(TensorInfo { name: name.clone(), shape, dtype: DType::I8, quant });
        let inputs = inputs.to_vec();
        self.network.nodes.push(Node { name, op, activation, inputs, output: id, rounding: Rounding::Double });
        self.network.outputs = vec![id];
        id
    }

    /// One of the last tensors; often the last.
    fn recent(&self, pick: u8) -> TensorId {
        let len = self.network.tensors.len();
        len - 1 - usize::from(pick / 2).wrapping_mul(usize::from(pick % 2)) % len.min(5)
    }

    /// Adds the node of a gene; where its operator does not fit, nothing.
    fn add(&mut self, seed: u32, (kind, picks, bits): Gene) {
        let a = self.recent(picks[0]);
        let bits = u32::from(bits);
        let quant = if bits.is_multiple_of(7) { OTHER } else { COMMON };
        let activation = [Activation::None, Activation::Relu, Activation::Relu6][bits as usize / 7 % 3];
        match kind % 20 {
            0..=4 => self.convolution(a, bits, (activation, quant), seed),
            5 | 6 => self.depthwise(a, bits, (activation, quant), seed),
            7 | 8 => self.pool(a, bits, activation),
            9..=11 => self.pair(a, picks, bits, (activation, quant)),
            12..=15 => self.concat(a, picks),
            16 => self.padding(a, bits),
            17 => {
                let table = numbers(256, seed);
                self.node(Op::Function(StoredFunction::Table(table)), &[a], self.shape(a), quant);
            }
            18 => self.constant(a, bits, (activation, quant), seed),
            _ => self.small(a, bits),
        }
    }

    /// A window that fits `input`, with padding of any kind.
    fn window(&self, input: TensorId, kernel: [u32; 2], bits: u32) -> Option<(Window, u32, u32)> {
        let Shape { h, w, .. } = self.shape(input);
        let stride = [[1, 1], [1, 1], [1, 1], [2, 2], [2, 1]][bits as usize % 5];
        let window = match bits / 5 % 4 {
            0 | 1 => Window::new(kernel, stride, Padding::Same, [h, w]),
            2 => Window::new(kernel, stride, Padding::Valid, [h, w]),
            _ => {
                let pad = |axis: usize, by: u32| (bits / by) % kernel[axis];
                Window { kernel, stride, before: [pad(0, 20), pad(1, 60)], after: [pad(0, 80), pad(1, 110)] }
            }
        };
        let [h, w] = window.output([h, w])?;
        Some((window, h, w))
    }

    fn convolution(&mut self, a: TensorId, bits: u32, (activation, quant): (Activation, QuantParams), seed: u32) {
        let kernel = [[1, 1], [3, 3], [3, 3], [5, 5], [2, 3]][bits as usize / 3 % 5];
        let Some((window, h, w)) = self.window(a, kernel, bits / 11) else { return };
        let c = 1 + bits / 13 % 9;
        let filter = window.taps_len() * self.shape(a).c;
        let scale = 0.014 / (filter as f32).sqrt();
        let weights = StoredWeights::Int8 {
            weights: numbers(c * filter, seed),
            scales: (0..c).map(|i| scale * (1.0 + 0.1 * i as f32)).collect(),
            bias: (0..c.into()).map(|i| i * 37 - 60).collect(),
        };
        self.fused(Op::Conv2d { window, weights }, activation, &[a], Shape::new(h, w, c), quant);
    }

    fn depthwise(&mut self, a: TensorId, bits: u32, (activation, quant): (Activation, QuantParams), seed: u32) {
        let Some((window, h, w)) = self.window(a, [[3, 3], [5, 5]][bits as usize % 2], bits / 3) else { return };
        let c = self.shape(a).c * (1 + u32::from(bits.is_multiple_of(9)));
        let weights = StoredWeights::Int8 {
            weights: numbers(c * window.taps_len(), seed),
            scales: vec![0.004],
            bias: (0..c.into()).map(|i| 90 - i * 41).collect(),
        };
        self.fused(Op::DepthwiseConv2d { window, weights }, activation, &[a], Shape::new(h, w, c), quant);
    }

    fn pool(&mut self, a: TensorId, bits: u32, activation: Activation) {
        let kernel = [[3, 3], [2, 2], [3, 1]][bits as usize % 3];
        let Some((window, h, w)) = self.window(a, kernel, bits / 3) else { return };
        // A window that lies wholly in padding has no maximum; no importer makes one.
        let op = if (bits / 600).is_multiple_of(3) { Op::AveragePool(window) } else { Op::MaxPool(window) };
        self.fused(op, activation, &[a], Shape::new(h, w, self.shape(a).c), self.quant(a));
    }

    /// A sum, difference or product with a tensor of the same shape, perhaps itself, or with one that broadcasts.
    fn pair(&mut self, a: TensorId, picks: [u8; 3], bits: u32, (activation, quant): (Activation, QuantParams)) {
        let shape = self.shape(a);
        let fits = |&id: &TensorId| {
            let other = self.shape(id);
            other.same(shape) || bits.is_multiple_of(3) && Add::output_shape(shape, other).is_some()
        };
        let others: Vec<TensorId> = (0..self.network.tensors.len()).rev().filter(fits).collect();
        let others = if others.len() > 1 && picks[2] > 20 { &others[1..] } else { &others[..] };
        let b = others[usize::from(picks[1]) % others.len().min(3)];
        let op = match bits / 3 % 5 {
            0 => Op::Sub,
            1 => Op::Mul,
            _ => Op::Add,
        };
        let inputs = if picks[2].is_multiple_of(2) { [a, b] } else { [b, a] };
        let shape = Add::output_shape(shape, self.shape(b)).expect("only such were picked");
        self.fused(op, activation, &inputs, shape, quant);
    }

    /// Two to four tensors side by side, perhaps one of them twice.
    fn concat(&mut self, a: TensorId, picks: [u8; 3]) {
        let Shape { h, w, .. } = self.shape(a);
        let fits = |&id: &TensorId| {
            let other = self.shape(id);
            other.h == h && other.w == w && self.quant(id).same(self.quant(a))
        };
        let others: Vec<TensorId> = (0..self.network.tensors.len()).rev().filter(fits).collect();
        let count = usize::from(1 + picks[2] % 3);
        let mut inputs = vec![a];
        for i in 0..count {
            inputs.push(others[(usize::from(picks[1]) + i) % others.len()]);
        }
        if picks[2] > 60 {
            inputs.sort_unstable();
            inputs.dedup();
        }
        let c = inputs.iter().map(|&id| self.shape(id).c).sum();
        if c <= 40 {
            self.node(Op::Concat, &inputs, Shape::new(h, w, c), self.quant(a));
        }
    }

    fn padding(&mut self, a: TensorId, bits: u32) {
        let Shape { h, w, c } = self.shape(a);
        let (before, after) = ([bits % 2, bits / 2 % 2, 0], [bits / 4 % 2, bits / 8 % 2, bits / 16 % 2]);
        let shape = Shape::new(h + before[0] + after[0], w + before[1] + after[1], c + before[2] + after[2]);
        let value = self.quant(a).dequantize(3);
        self.node(Op::Rearrange(Rearrange::Pad { before, after, value }), &[a], shape, self.quant(a));
    }

    fn constant(&mut self, a: TensorId, bits: u32, (activation, quant): (Activation, QuantParams), seed: u32) {
        let shape = self.shape(a);
        let function = [ConstantFunction::Add, ConstantFunction::Mul, ConstantFunction::Sub, ConstantFunction::SubFrom]
            [bits as usize % 4];
        let len = if (bits / 4).is_multiple_of(2) { shape.len() } else { shape.c };
        let data = numbers(len, seed).into_iter().map(i16::from).collect();
        let op = Op::Constant { function, data: StoredConstant { data, quant: OTHER } };
        self.fused(op, activation, &[a], shape, quant);
    }

    /// What makes maps small or changes their shape.
    fn small(&mut self, a: TensorId, bits: u32) {
        let Shape { h, w, c } = self.shape(a);
        match bits % 3 {
            0 => self.node(Op::Mean, &[a], Shape::vector(c), COMMON),
            1 => self.node(Op::Reshape(Shape::new(w, h, c)), &[a], Shape::new(w, h, c), self.quant(a)),
            _ => self.node(Op::Softmax { beta: 1.0 }, &[a], Shape::new(h, w, c), PROBABILITY),
        };
    }

    /// A classifier, or just the end.
    fn end(&mut self, bits: u8) {
        let last = self.network.tensors.len() - 1;
        let len = self.shape(last).len();
        match bits % 3 {
            0 => {
                let flat = self.node(Op::Reshape(Shape::vector(len)), &[last], Shape::vector(len), self.quant(last));
                let weights = StoredWeights::Int8 {
                    weights: numbers(len * 5, 99),
                    scales: vec![0.014 / (len as f32).sqrt()],
                    bias: vec![100, -200, 300, 0, 7],
                };
                let dense = self.node(Op::Dense(weights), &[flat], Shape::vector(5), COMMON);
                self.node(Op::Softmax { beta: 1.0 }, &[dense], Shape::vector(5), PROBABILITY);
            }
            1 => {
                self.node(Op::Mean, &[last], Shape::vector(self.shape(last).c), COMMON);
            }
            _ if last == 0 => {
                self.node(Op::Reshape(Shape::vector(len)), &[last], Shape::vector(len), COMMON);
            }
            _ => {}
        }
    }
}
