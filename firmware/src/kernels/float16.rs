//! Executed instructions of convolutions of halves, in the shapes of the int8 kernels.

use kinglet::kernels::Active;
use kinglet::kernels::algorithms::ConvAlgorithm;
use kinglet::memory::{Memory, Region};
use kinglet::ops::{Conv2d, Io, Op, OpKind, Operands, Weights};
use kinglet::sys::cast::{as_u8, as_u8_mut, words_as_i8, words_as_i8_mut};
use kinglet::uses::{Codes, Linked, Set};
use kinglet::{Activation, Channels, Clamp, DType, Padding, Place, QuantParams, Rounding, Shape, Tensor, Window};

use super::Buffers;
use super::bench::count;

/// Nothing but convolutions of halves: the rest of the runtime would change what the compiler makes of the other kernels.
#[derive(Clone, Copy)]
struct Halves;

impl Linked for Halves {
    const SET: Set = Set {
        operators: Codes::of(OpKind::Conv2d.code()),
        convolutions: Codes::of(ConvAlgorithm::Direct.id()),
        dtypes: Codes::of(DType::F16.code()),
        ..Set::NONE
    };
}

/// A convolution of halves. Weights and elements are whatever lies there, but for an exponent that makes them small.
fn convolution(buffers: &mut Buffers, name: &str, [h, w, c]: [u32; 3], channels: u32, kernel: u32) {
    let Buffers { input, weights, output, .. } = buffers;
    let window = Window::new([kernel; 2], [1; 2], Padding::Same, [h, w]);
    let tensor = |channels: u32, offset: u32| Tensor {
        shape: Shape::new(h, w, channels),
        dtype: DType::F16,
        quant: QuantParams::REAL,
        place: Place { offset, pitch: 2 * channels, rows: h },
        first: 0,
        ready: 0,
        last: 0,
        parent: None,
    };
    let weights = words_as_i8(weights);
    let (table, weights) = weights.split_at(4 * channels.next_multiple_of(3).next_multiple_of(4) as usize);
    let len = 4 * channels.next_multiple_of(3) as usize;
    let Some(biases) = table.get(..len).and_then(|table| Channels::new(as_u8(table))) else { return };
    let op = Op::Conv2d(Conv2d {
        algorithm: ConvAlgorithm::Direct,
        window,
        rounding: Rounding::Double,
        clamp: Clamp::activation(Activation::Relu, QuantParams::REAL, DType::F16),
        weights: Weights::plain(weights),
        channels: biases,
    });
    let memories = [input, output].map(|words| as_u8_mut(words_as_i8_mut(words)));
    let [fast, slow] = memories;
    let border = fast.len() as u32;
    let tensors = Operands { a: tensor(c, 0), b: None, output: tensor(channels, border) };
    let scratch = Region { offset: tensors.output.end().next_multiple_of(16), len: op.scratch_len(&tensors) };
    let mut memory = Memory::split(fast, slow);
    let mut io = Io { memory: &mut memory, tensors, scratch };
    let macs = op.macs(&tensors) as usize;
    count(name, "float16", macs, || op.run_one_of::<Active, Halves>(&mut io, 0..h));
}

/// Measures the convolutions of halves. Without a floating-point unit they take some hundred times as much, and are of no use.
pub(super) fn all(buffers: &mut Buffers) {
    if !cfg!(target_abi = "eabihf") {
        return;
    }
    buffers.input.iter_mut().chain(buffers.weights.iter_mut()).for_each(|pair| *pair &= 0xbfff_bfff);
    convolution(buffers, "conv 3x3 32x32x3->16", [32, 32, 3], 16, 3);
    convolution(buffers, "conv 3x3 32x32x16->16", [32, 32, 16], 16, 3);
    convolution(buffers, "conv 3x3 16x16x32->32", [16, 16, 32], 32, 3);
    convolution(buffers, "conv 3x3 8x8x64->64", [8, 8, 64], 64, 3);
    convolution(buffers, "conv 1x1 24x24x32->32", [24, 24, 32], 32, 1);
}
