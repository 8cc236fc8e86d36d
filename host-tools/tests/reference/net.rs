//! A TensorFlow Lite network, run operator by operator on the runtime's kernels.

use std::collections::HashMap;

use kinglet::kernels::Backend;
use kinglet::memory::{Memory, Region};
use kinglet::ops::{
    Add, AveragePool2d, Concat, Conv2d, ConvAlgorithm, Dense, DepthwiseAlgorithm, DepthwiseConv2d, Io, MaxPool2d, Mean,
    Op, Operands, Reshape, Softmax,
};
use kinglet::{
    Activation, Channel, Channels, Clamp, DType, Multiplier, Padding, Place, QuantParams, Rounding, Shape, Tensor,
    Window,
};

use crate::flat::Table;

/// How the fully connected layers round: the one thing in which the two oracles differ.
#[derive(Clone, Copy)]
pub struct DenseRounding(pub Rounding);

pub struct Net<'b> {
    tensors: Vec<Table<'b>>,
    buffers: Vec<Table<'b>>,
    /// Built-in operator code, and the operator.
    pub operators: Vec<(u32, Table<'b>)>,
    pub input: u32,
    pub output: u32,
}

pub type Values = HashMap<u32, Vec<i8>>;

impl<'b> Net<'b> {
    pub fn new(file: &'b [u8]) -> Self {
        let model = Table::root(file);
        let codes: Vec<u32> = model.tables(1).iter().map(|code| code.word(3).max(code.byte(0).into())).collect();
        let graph = model.tables(2)[0];
        Self {
            tensors: graph.tables(0),
            buffers: model.tables(4),
            operators: graph.tables(3).into_iter().map(|op| (codes[op.word(0) as usize], op)).collect(),
            input: graph.words(1)[0],
            output: graph.words(2)[0],
        }
    }

    fn data(&self, tensor: u32) -> &'b [u8] {
        self.buffers[self.tensors[tensor as usize].word(2) as usize].vector(0, 1)
    }

    fn dims(&self, tensor: u32) -> Vec<u32> {
        self.tensors[tensor as usize].words(0)
    }

    fn shape(&self, tensor: u32) -> Shape {
        match self.dims(tensor)[..] {
            [_, h, w, c] => Shape::new(h, w, c),
            [_, c] => Shape::vector(c),
            ref other => panic!("shape {other:?}"),
        }
    }

    fn scales(&self, tensor: u32) -> Vec<f32> {
        let quant = self.tensors[tensor as usize].table(4).expect("quantized");
        quant.words(2).into_iter().map(f32::from_bits).collect()
    }

    fn quant(&self, tensor: u32) -> QuantParams {
        let quant = self.tensors[tensor as usize].table(4).expect("quantized");
        let zero_point = i64::from_le_bytes(quant.vector(3, 8)[..8].try_into().unwrap());
        QuantParams { scale: self.scales(tensor)[0], zero_point: zero_point as i32 }
    }

    /// A tensor of its own at byte `offset`.
    fn placed(&self, tensor: u32, offset: u32) -> Tensor {
        let shape = self.shape(tensor);
        let place = Place { offset, pitch: shape.c, rows: shape.h };
        let quant = self.quant(tensor);
        Tensor { shape, dtype: DType::I8, quant, place, first: 0, ready: 0, last: 0, parent: None }
    }

    /// The per-channel table of an operator with inputs `[input, weights, bias]`; `sums` are the sums of the weights.
    fn channels(&self, inputs: &[u32], output: u32, sums: &[i32], dense: bool) -> Vec<u8> {
        let (input, out) = (self.quant(inputs[0]), self.quant(output));
        let scales = self.scales(inputs[1]);
        let biases = inputs.get(2).filter(|&&t| t != u32::MAX).map(|&t| self.data(t)).unwrap_or_default();
        let mut table = Vec::new();
        for (channel, &sum) in sums.iter().enumerate() {
            let bias = biases.chunks(4).nth(channel).map_or(0, |b| i32::from_le_bytes(b.try_into().unwrap()));
            let weight = scales[channel % scales.len()];
            // One scale for the whole layer: TensorFlow Lite multiplies in single precision.
            let product = if dense && scales.len() == 1 {
                f64::from(input.scale * weight)
            } else {
                f64::from(input.scale) * f64::from(weight)
            };
            let factor = Multiplier::from_real(product / f64::from(out.scale)).unwrap();
            table.extend(Channel::folded(bias, input.zero_point, sum, factor).to_bytes());
        }
        table
    }

    /// Runs operator `index` on `values`, and returns the output.
    pub fn run<B: Backend>(&self, index: usize, values: &Values, dense: DenseRounding) -> Vec<i8> {
        let (code, op) = self.operators[index];
        let (inputs, output) = (op.words(1), op.words(2)[0]);
        let options = op.table(4);
        let option = |field| options.map_or(0, |o| o.word(field));
        let enumeration = |field| options.map_or(0, |o| o.byte(field));
        let out = self.quant(output);
        let clamp = |field| {
            let activation = match enumeration(field) {
                0 => Activation::None,
                1 => Activation::Relu,
                2 => Activation::ReluN1To1,
                3 => Activation::Relu6,
                other => panic!("activation {other}"),
            };
            Clamp::activation(activation, out, DType::I8)
        };
        let size = |tensor| [self.shape(tensor).h, self.shape(tensor).w];
        let padding = || if enumeration(0) == 0 { Padding::Same } else { Padding::Valid };
        let rounding = Rounding::Double;
        match code {
            0 => {
                let (a, b) = (self.quant(inputs[0]), self.quant(inputs[1]));
                let add = Add::new(a, b, out, DType::I8, rounding, clamp(0)).unwrap();
                self.apply::<B>(Op::Add(add), &inputs, output, values)
            }
            1 | 17 => {
                let window = Window::new([option(4), option(3)], [option(2), option(1)], padding(), size(inputs[0]));
                let op = if code == 1 {
                    Op::AveragePool2d(AveragePool2d { window, clamp: clamp(5) })
                } else {
                    Op::MaxPool2d(MaxPool2d { window, clamp: clamp(5) })
                };
                self.apply::<B>(op, &inputs, output, values)
            }
            2 => self.concat::<B>(&inputs, output, values),
            3 | 4 => {
                let dims = self.dims(inputs[1]);
                let kernel = [dims[1], dims[2]];
                let window = Window::new(kernel, [option(2), option(1)], padding(), size(inputs[0]));
                let weights: Vec<i8> = self.data(inputs[1]).iter().map(|&w| w as i8).collect();
                if code == 3 {
                    let per_channel = (kernel[0] * kernel[1] * dims[3]) as usize;
                    let sums: Vec<i32> =
                        weights.chunks(per_channel).map(|w| w.iter().map(|&w| i32::from(w)).sum()).collect();
                    let table = self.channels(&inputs, output, &sums, false);
                    let channels = Channels::new(&table).unwrap();
                    let algorithm = ConvAlgorithm::Direct;
                    let conv =
                        Conv2d { algorithm, window, rounding, clamp: clamp(3), weights: (&weights).into(), channels };
                    self.apply::<B>(Op::Conv2d(conv), &inputs[..1], output, values)
                } else {
                    let sums: Vec<i32> = (0..dims[3] as usize)
                        .map(|c| weights[c..].iter().step_by(dims[3] as usize).map(|&w| i32::from(w)).sum())
                        .collect();
                    let table = self.channels(&inputs, output, &sums, false);
                    let channels = Channels::new(&table).unwrap();
                    let algorithm = DepthwiseAlgorithm::Direct;
                    let conv = DepthwiseConv2d {
                        algorithm,
                        window,
                        rounding,
                        clamp: clamp(4),
                        weights: (&weights).into(),
                        channels,
                    };
                    self.apply::<B>(Op::DepthwiseConv2d(conv), &inputs[..1], output, values)
                }
            }
            9 => {
                let weights: Vec<i8> = self.data(inputs[1]).iter().map(|&w| w as i8).collect();
                let len = self.dims(inputs[1])[1] as usize;
                let sums: Vec<i32> = weights.chunks(len).map(|w| w.iter().map(|&w| i32::from(w)).sum()).collect();
                let table = self.channels(&inputs, output, &sums, true);
                let channels = Channels::new(&table).unwrap();
                let dense = Dense { rounding: dense.0, clamp: clamp(0), weights: (&weights).into(), channels };
                self.apply::<B>(Op::Dense(dense), &inputs[..1], output, values)
            }
            22 => self.apply::<B>(Op::Reshape(Reshape), &inputs[..1], output, values),
            25 => {
                let softmax = Softmax::new(self.quant(inputs[0]), f32::from_bits(option(0))).unwrap();
                self.apply::<B>(Op::Softmax(softmax), &inputs, output, values)
            }
            40 => {
                let [h, w] = size(inputs[0]);
                let mean = Mean::new(self.quant(inputs[0]), out, h * w, rounding).unwrap();
                self.apply::<B>(Op::Mean(mean), &inputs[..1], output, values)
            }
            other => panic!("operator {other}"),
        }
    }

    /// Every part is copied into its view of the parent tensor.
    fn concat<B: Backend>(&self, inputs: &[u32], output: u32, values: &Values) -> Vec<i8> {
        let mut parent = self.placed(output, 0);
        let mut arena = vec![0; parent.shape.len().next_multiple_of(16) as usize];
        for &input in inputs {
            let start = arena.len();
            arena.extend(values[&input].iter().map(|&x| x as u8));
            let a = self.placed(input, start as u32);
            let view = Tensor { shape: a.shape, ..parent };
            step::<B>(
                Op::Concat(Concat),
                &mut arena,
                Operands { a, b: None, output: view },
                Region { offset: 0, len: 0 },
            );
            parent.place.offset += a.shape.c;
        }
        arena.iter().take(parent.shape.len() as usize).map(|&x| x as i8).collect()
    }

    /// Lays the operands out in an arena and runs `op`.
    fn apply<B: Backend>(&self, op: Op<'_>, inputs: &[u32], output: u32, values: &Values) -> Vec<i8> {
        let mut arena: Vec<u8> = Vec::new();
        let mut place = |tensor: u32, values: Option<&Vec<i8>>| {
            let placed = self.placed(tensor, arena.len().next_multiple_of(16) as u32);
            arena.resize(placed.place.offset as usize, 0x55);
            match values {
                Some(values) => arena.extend(values.iter().map(|&x| x as u8)),
                None => arena.resize(placed.end() as usize, 0x55),
            }
            placed
        };
        let a = place(inputs[0], Some(&values[&inputs[0]]));
        let b = inputs.get(1).map(|b| place(*b, Some(&values[b])));
        let output = place(output, None);
        let tensors = Operands { a, b, output };
        let scratch = Region { offset: arena.len().next_multiple_of(16) as u32, len: op.scratch_len(&tensors) };
        arena.resize(scratch.end() as usize, 0x55);
        step::<B>(op, &mut arena, tensors, scratch);
        let region = output.region();
        arena[region.offset as usize..region.end() as usize].iter().map(|&x| x as i8).collect()
    }
}

/// Checks and runs one step, its rows in two calls.
fn step<B: Backend>(op: Op<'_>, arena: &mut [u8], tensors: Operands, scratch: Region) {
    op.check(&tensors).expect("operands that go together");
    let rows = tensors.output.shape.h;
    let mut memory = Memory::new(arena);
    for rows in [0..rows / 2, rows / 2..rows] {
        op.run::<B>(&mut Io { memory: &mut memory, tensors, scratch }, rows);
    }
}
