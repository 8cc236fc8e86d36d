//! Runs a folded network in float, one image at a time, and keeps every value: what calibration and comparisons look
//! at.
//!
//! It is the network that is quantized, operator for operator, so that an integer step and the float numbers it stands
//! for can be laid side by side.

use kinglet::{Activation, Shape, Taps, Window};

use crate::graph::{ConstantFunction, Graph, Node, Op, Real, Weights};
use crate::layers::{Corners, corners, spread};

/// The values of one image, `H x W x C` each, by the node's number.
pub type Values = Vec<Vec<f32>>;

impl Graph<Real> {
    /// All values for one image, `H x W x C`; of several inputs the elements of all.
    pub fn forward(&self, image: &[f32]) -> Values {
        let mut values: Values = Vec::with_capacity(self.nodes.len());
        let mut rest = image;
        for node in &self.nodes {
            let output = match node.op {
                Op::Input => {
                    let (own, others) = rest.split_at(node.shape.len() as usize);
                    rest = others;
                    own.to_vec()
                }
                _ => self.output_of(node, &values),
            };
            values.push(output);
        }
        values
    }

    /// What `node` makes of the values that it reads.
    pub fn output_of(&self, node: &Node<Real>, values: &Values) -> Vec<f32> {
        let inputs: Vec<(&[f32], Shape)> =
            node.inputs.iter().map(|&id| (values[id.0].as_slice(), self.node(id).shape)).collect();
        node.forward(&inputs)
    }
}

impl Node<Real> {
    /// The output for these inputs.
    pub fn forward(&self, inputs: &[(&[f32], Shape)]) -> Vec<f32> {
        let (input, shape) = inputs[0];
        let c = self.shape.c as usize;
        let out = match &self.op {
            Op::Conv2d { window, weights } => conv(input, shape, self.shape, window, weights),
            Op::DepthwiseConv2d { window, weights } => depthwise(input, shape, self.shape, window, weights),
            Op::Dense(weights) => {
                let products = |channel: usize| weights.of(channel).zip(input).map(|(w, x)| w * x).sum::<f32>();
                (0..c).map(|channel| products(channel) + weights.bias[channel]).collect()
            }
            Op::MaxPool(window) => {
                pool(input, shape, self.shape, window, f32::NEG_INFINITY, f32::max, |largest, _| largest)
            }
            Op::AveragePool(window) => {
                pool(input, shape, self.shape, window, 0.0, |sum, x| sum + x, |sum, count| sum / count as f32)
            }
            Op::Mean => {
                let whole = Window::global([shape.h, shape.w]);
                pool(input, shape, self.shape, &whole, 0.0, |sum, x| sum + x, |sum, count| sum / count as f32)
            }
            Op::Add => self.arithmetic(ConstantFunction::Add, inputs),
            Op::Sub => self.arithmetic(ConstantFunction::Sub, inputs),
            Op::Mul => self.arithmetic(ConstantFunction::Mul, inputs),
            Op::Constant { function, data } => input.iter().zip(data).map(|(x, c)| function.of(*x, *c)).collect(),
            Op::Function(function) => input.iter().map(|&x| function.at(x.into()) as f32).collect(),
            Op::Concat => {
                let pixels = (self.shape.h * self.shape.w) as usize;
                let pixel = |at: usize| {
                    inputs.iter().flat_map(move |(part, shape)| {
                        let c = shape.c as usize;
                        part[at * c..(at + 1) * c].iter().copied()
                    })
                };
                (0..pixels).flat_map(pixel).collect()
            }
            Op::Softmax { beta } => input.chunks(c).flat_map(|x| softmax(x, *beta)).collect(),
            Op::Input | Op::Reshape(_) => input.to_vec(),
            Op::BatchNorm(never) => match *never {},
            Op::Activate(activation) => activated(*activation, input.to_vec()),
            Op::Rearrange(rearrange) => rearrange.of(input, shape),
            Op::ResizeBilinear(resize) => {
                let mean = |corners: Corners| {
                    (0..c).map(move |channel| corners.iter().map(|(at, weight)| input[at + channel] * weight).sum())
                };
                corners(resize, shape).into_iter().flat_map(mean).collect()
            }
        };
        activated(self.activation, out)
    }

    fn arithmetic(&self, function: ConstantFunction, inputs: &[(&[f32], Shape)]) -> Vec<f32> {
        let [a, b] = [0, 1].map(|which| spread(inputs[which].1, self.shape).map(move |at| inputs[which].0[at]));
        a.zip(b).map(|(a, b)| function.of(a, b)).collect()
    }
}

fn activated(activation: Activation, mut numbers: Vec<f32>) -> Vec<f32> {
    match activation {
        Activation::None => {}
        Activation::Relu => numbers.iter_mut().for_each(|x| *x = x.max(0.0)),
        Activation::Relu6 => numbers.iter_mut().for_each(|x| *x = x.clamp(0.0, 6.0)),
        Activation::ReluN1To1 => numbers.iter_mut().for_each(|x| *x = x.clamp(-1.0, 1.0)),
    }
    numbers
}

/// Calls `visit` with every tap that lies inside the input: which tap, and the pixel under it.
fn each_tap(window: &Window, input: Shape, (y, x): (u32, u32), mut visit: impl FnMut(usize, usize)) {
    let rows: Taps = window.taps(0, y, input.h);
    let columns = window.taps(1, x, input.w);
    for row in 0..rows.len {
        for column in 0..columns.len {
            let tap = (rows.tap + row) * window.kernel[1] + columns.tap + column;
            let pixel = (rows.start + row) * input.w + columns.start + column;
            visit(tap as usize, pixel as usize);
        }
    }
}

fn positions(shape: Shape) -> impl Iterator<Item = (u32, u32)> {
    (0..shape.h).flat_map(move |y| (0..shape.w).map(move |x| (y, x)))
}

fn conv(input: &[f32], from: Shape, to: Shape, window: &Window, weights: &Weights) -> Vec<f32> {
    let (ci, co) = (from.c as usize, to.c as usize);
    let k = weights.weights.len() / co;
    // Output channels innermost: sums run in parallel, and each in a fixed order.
    let transposed: Vec<f32> = (0..k).flat_map(|i| (0..co).map(move |o| weights.weights[o * k + i])).collect();
    let mut out = Vec::with_capacity(to.len() as usize);
    let mut sums = vec![0.0; co];
    for at in positions(to) {
        sums.copy_from_slice(&weights.bias);
        each_tap(window, from, at, |tap, pixel| {
            let elements = &input[pixel * ci..(pixel + 1) * ci];
            let rows = transposed[tap * ci * co..].chunks_exact(co);
            for (&x, row) in elements.iter().zip(rows) {
                sums.iter_mut().zip(row).for_each(|(sum, w)| *sum += x * w);
            }
        });
        out.extend_from_slice(&sums);
    }
    out
}

fn depthwise(input: &[f32], from: Shape, to: Shape, window: &Window, weights: &Weights) -> Vec<f32> {
    let (ci, co) = (from.c as usize, to.c as usize);
    let multiplier = co / ci;
    let mut out = Vec::with_capacity(to.len() as usize);
    let mut sums = vec![0.0; co];
    for at in positions(to) {
        sums.copy_from_slice(&weights.bias);
        each_tap(window, from, at, |tap, pixel| {
            let row = &weights.weights[tap * co..(tap + 1) * co];
            for (channel, (sum, w)) in sums.iter_mut().zip(row).enumerate() {
                *sum += input[pixel * ci + channel / multiplier] * w;
            }
        });
        out.extend_from_slice(&sums);
    }
    out
}

fn pool(
    input: &[f32],
    from: Shape,
    to: Shape,
    window: &Window,
    start: f32,
    take: impl Fn(f32, f32) -> f32,
    finish: impl Fn(f32, usize) -> f32,
) -> Vec<f32> {
    let c = to.c as usize;
    let mut out = Vec::with_capacity(to.len() as usize);
    let mut results = vec![start; c];
    for at in positions(to) {
        results.fill(start);
        let mut count = 0;
        each_tap(window, from, at, |_, pixel| {
            count += 1;
            let elements = &input[pixel * c..(pixel + 1) * c];
            results.iter_mut().zip(elements).for_each(|(result, &x)| *result = take(*result, x));
        });
        out.extend(results.iter().map(|&result| finish(result, count.max(1))));
    }
    out
}

fn softmax(logits: &[f32], beta: f32) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f32> = logits.iter().map(|x| ((x - largest) * beta).exp()).collect();
    let sum: f32 = exponentials.iter().sum();
    exponentials.into_iter().map(|x| x / sum).collect()
}
