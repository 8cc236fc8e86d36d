//! Models of one step, with their bits flipped and their checksum put right again: refused, or run without a panic. And steps that no
//! verifier has seen, whose memory or constants are not there: they are never passed over.
//!
//! Tests have overflow checks and bounds checks on, so that whatever `Model::new` lets through by mistake shows.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kinglet::kernels::Active;
use kinglet::kernels::algorithms::{Layer, Map, depthwise, depthwise_rows, narrow};
use kinglet::memory::{Memory, Region};
use kinglet::ops::{
    Add, AveragePool2d, Concat, Constant, Conv2d, ConvAlgorithm, Convert, Curve, Dense, DepthwiseAlgorithm,
    DepthwiseConv2d, Encoding, Function, Io, L2Norm, Lookup, MaxPool2d, Mean, Mul, Op, OpKind, Operands, Pad,
    Piecewise, Prelu, Rearrange, Rescale, Reshape, ResizeBilinear, ResizeNearest, Sigmoid, Softmax, SoftmaxFloat16,
    SoftmaxInt16, Sub, Weights,
};
use kinglet::{
    Channel, Channels, Clamp, DType, Model, Multiplier, Padding, QuantParams, Raw, Rounding, Session, Shape,
    WideChannel, Window, f16,
};

use super::common;

use crate::run::{file, file_of};

const SHAPE: Shape = Shape::new(6, 5, 4);
const QUANT: QuantParams = QuantParams { scale: 0.05, zero_point: -3 };
/// Depth to space: blocks of 2 x 2 pixels of one channel.
const BLOCKS: Rearrange<'_> = Rearrange {
    first: [0; 3],
    counts: [2, 2, 0],
    digits: &[
        6, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2,
        0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0,
    ],
};
const RESIZE: ResizeNearest = ResizeNearest { size: [11, 3], align_corners: true, half_pixel_centers: true };
const BETWEEN: ResizeBilinear =
    ResizeBilinear { size: [11, 3], step: [500_000, 2_000_000], origin: [-300_000, 400_000] };

/// Encodings of fewer bits than eight: one of weights, one of a palette.
const NARROW: [Encoding; 2] = [Encoding::Nibbles, Encoding::Palette { bits: 3 }];

/// Rows of `len` weights each in an encoding, from whatever bytes.
fn narrow(weights: &[i8], encoding: Encoding, rows: usize, len: usize) -> Weights<'_> {
    Weights { bytes: &weights[..4 * (encoding.palette_words() + rows * encoding.words(len))], encoding }
}

/// One model for every operator, and for every algorithm of a convolution.
fn models() -> Vec<(OpKind, Vec<u8>)> {
    let (clamp, rounding) = (Clamp { min: -128, max: 120 }, Rounding::Double);
    let factor = Multiplier::from_real(0.002).unwrap();
    let entries: Vec<Channel> = (0..120).map(|c| Channel { bias: 31 * c - 900, factor }).collect();
    let table: Vec<u8> = entries.iter().flat_map(|entry| entry.to_bytes()).collect();
    let weights: Vec<i8> = (0..4096u32).map(|i| (i.wrapping_mul(40_503) >> 7) as i8).collect();
    let channels = |n: usize| Channels::new(&table[..12 * n]).unwrap();
    let window = |kernel, stride| Window::new([kernel; 2], [stride; 2], Padding::Same, [SHAPE.h, SHAPE.w]);
    let sub = Sub::new(QUANT, QUANT, QUANT, DType::I8, rounding, clamp).unwrap();
    let constant = |function| Op::Constant(Constant { function, zero_point: 5, data: &weights[..4] });
    let mul = Mul::new(QUANT, QUANT, QUANT, rounding, clamp).unwrap();
    let add = Add::new(QUANT, QUANT, QUANT, DType::I8, rounding, clamp).unwrap();
    let lookup: &[i8; 256] = weights.first_chunk().unwrap();
    let pad = Pad { before: [1, 0, 2], after: [0, 3, 1], value: 7 };
    let same = (SHAPE, QUANT);
    let map = |window: &Window| {
        let [h, w] = window.output([SHAPE.h, SHAPE.w]).unwrap();
        (Shape::new(h, w, SHAPE.c), QUANT)
    };
    let mut steps = vec![
        (Op::Add(add), same),
        (Op::Add(add.linearized(QUANT, QUANT, QUANT)), same),
        (Op::Mul(mul), same),
        (Op::Sub(sub), same),
        (constant(Function::Mul(mul)), same),
        (constant(Function::Add(add)), same),
        (constant(Function::SubFrom(sub)), same),
        (Op::Prelu(Prelu { slopes: &weights[..4], ..Prelu::new(QUANT, QUANT, QUANT, rounding, clamp).unwrap() }), same),
        (Op::Lookup(Lookup { table: lookup }), same),
        (Op::Concat(Concat), same),
        (Op::Reshape(Reshape), (Shape::vector(SHAPE.len()), QUANT)),
        (Op::Pad(pad), (Pad::output_shape(SHAPE, pad.before, pad.after), QUANT)),
        (Op::ResizeNearest(RESIZE), (RESIZE.output_shape(SHAPE), QUANT)),
        (Op::ResizeBilinear(BETWEEN), (BETWEEN.output_shape(SHAPE), QUANT)),
        (Op::Rearrange(BLOCKS), (Shape::new(2 * SHAPE.h, 2 * SHAPE.w, SHAPE.c / 4), QUANT)),
        (Op::Softmax(Softmax::new(QUANT, 1.0).unwrap()), (SHAPE, Softmax::OUTPUT)),
        (Op::L2Norm(L2Norm { rounding }), (SHAPE, L2Norm::OUTPUT)),
        (Op::Mean(Mean::new(QUANT, QUANT, 30, rounding).unwrap()), (Shape::vector(4), QUANT)),
        (Op::MaxPool2d(MaxPool2d { window: window(3, 2), clamp }), map(&window(3, 2))),
        (Op::AveragePool2d(AveragePool2d { window: window(3, 1), clamp }), map(&window(3, 1))),
        (
            Op::Dense(Dense { rounding, clamp, weights: (&weights[..120 * 7]).into(), channels: channels(7) }),
            (Shape::vector(7), QUANT),
        ),
        (
            Op::Dense(Dense { rounding, clamp, weights: Weights::paired(&weights[..120 * 8]), channels: channels(8) }),
            (Shape::vector(8), QUANT),
        ),
    ];
    steps.extend(NARROW.map(|encoding| {
        let weights = narrow(&weights, encoding, 7, 120);
        (Op::Dense(Dense { rounding, clamp, weights, channels: channels(7) }), (Shape::vector(7), QUANT))
    }));
    for multiplier in [1, 3] {
        let outputs = 4 * multiplier;
        let (window, channels) = (window(3, 1), channels(outputs));
        let conv = DepthwiseConv2d {
            algorithm: DepthwiseAlgorithm::Direct,
            window,
            rounding,
            clamp,
            weights: (&weights[..9 * outputs]).into(),
            channels,
        };
        let shape = DepthwiseConv2d::output_shape(SHAPE, &window, multiplier as u32).unwrap();
        steps.push((Op::DepthwiseConv2d(conv), (shape, QUANT)));
        steps.extend(NARROW.map(|encoding| {
            let weights = narrow(&weights, encoding, 9, outputs);
            (Op::DepthwiseConv2d(DepthwiseConv2d { weights, ..conv }), (shape, QUANT))
        }));
    }
    let across = window(3, 1);
    let packed = pack_depthwise(across, &weights, &entries);
    for (algorithm, bytes, encoding) in &packed {
        let (algorithm, weights) = (*algorithm, Weights { bytes, encoding: *encoding });
        let conv = DepthwiseConv2d { algorithm, window: across, rounding, clamp, weights, channels: channels(4) };
        steps.push((Op::DepthwiseConv2d(conv), map(&across)));
    }
    let tile = 2 << 8 | 1 << 16;
    let packed: Vec<_> = [0, 1, 2, 3, 4 | 2 << 8, 5, 6, 7, 8 | tile, 9, 10 | tile]
        .into_iter()
        .map(|code| pack(code, &weights, &entries))
        .collect();
    for (algorithm, window, weights, narrow) in &packed {
        let (algorithm, window, channels) = (*algorithm, *window, channels(4));
        let conv = Conv2d { algorithm, window, rounding, clamp, weights: weights.into(), channels };
        steps.push((Op::Conv2d(conv), map(&window)));
        for (bytes, encoding) in narrow {
            steps.push((Op::Conv2d(Conv2d { weights: Weights { bytes, encoding: *encoding }, ..conv }), map(&window)));
        }
    }
    steps
        .iter()
        .map(|(op, output)| (op.kind(), file(op, same, *output)))
        .chain(int16_models())
        .chain(float16_models())
        .collect()
}

/// One model for every operator that takes int16 elements.
fn int16_models() -> Vec<(OpKind, Vec<u8>)> {
    const WIDE: QuantParams = QuantParams { scale: 0.0002, zero_point: 0 };
    let (clamp, rounding) = (Clamp { min: -32768, max: 30000 }, Rounding::Double);
    let factor = Multiplier::from_real(0.002).unwrap();
    let entries: Vec<u8> = (0..120).flat_map(|c| WideChannel::new(31 * c - 900, factor).to_bytes()).collect();
    let weights: Vec<i8> = (0..4096u32).map(|i| (i.wrapping_mul(40_503) >> 7) as i8).collect();
    let bytes: Vec<u8> = weights.iter().map(|&w| w as u8).collect();
    let table: &[u8; 1026] = bytes.first_chunk().unwrap();
    let channels = |n: usize| Channels::new(&entries[..12 * n]).unwrap();
    let window = Window::new([3; 2], [1; 2], Padding::Same, [SHAPE.h, SHAPE.w]);
    let sub = Sub::new(WIDE, WIDE, WIDE, DType::I16, rounding, clamp).unwrap();
    let mul = Mul::new(WIDE, WIDE, WIDE, rounding, clamp).unwrap();
    let add = Add::new(WIDE, WIDE, WIDE, DType::I16, rounding, clamp).unwrap();
    let constant = |function| Op::Constant(Constant { function, zero_point: 0, data: &weights[..8] });
    let pad = Pad { before: [1, 0, 2], after: [0, 3, 1], value: 700 };
    let same = (SHAPE, WIDE);
    let conv = Conv2d {
        algorithm: ConvAlgorithm::Direct,
        window,
        rounding: Rounding::Wide,
        clamp,
        weights: (&weights[..144]).into(),
        channels: channels(4),
    };
    let depthwise = DepthwiseConv2d {
        algorithm: DepthwiseAlgorithm::Direct,
        window,
        rounding: Rounding::Wide,
        clamp,
        weights: (&weights[..108]).into(),
        channels: channels(12),
    };
    let dense = Dense { rounding: Rounding::Wide, clamp, weights: (&weights[..120 * 7]).into(), channels: channels(7) };
    let rescale = |clamp| Op::Rescale(Rescale { rounding, factor, negative_factor: factor, clamp });
    let mean = Mean::new(WIDE, WIDE, 30, rounding).unwrap();
    let [nibbles, palette] = NARROW;
    let steps = [
        (Op::Conv2d(conv), same),
        (Op::DepthwiseConv2d(depthwise), (Shape::new(SHAPE.h, SHAPE.w, 12), WIDE)),
        (Op::Dense(dense), (Shape::vector(7), WIDE)),
        (Op::Conv2d(Conv2d { weights: narrow(&weights, palette, 4, 36), ..conv }), same),
        (
            Op::DepthwiseConv2d(DepthwiseConv2d { weights: narrow(&weights, nibbles, 9, 12), ..depthwise }),
            (Shape::new(SHAPE.h, SHAPE.w, 12), WIDE),
        ),
        (Op::Dense(Dense { weights: narrow(&weights, palette, 7, 120), ..dense }), (Shape::vector(7), WIDE)),
        (Op::MaxPool2d(MaxPool2d { window, clamp }), same),
        (Op::AveragePool2d(AveragePool2d { window, clamp }), same),
        (Op::Mean(mean), (Shape::vector(4), WIDE)),
        (Op::Add(add), same),
        (Op::Mul(mul), same),
        (Op::Sub(sub), same),
        (constant(Function::Add(add)), same),
        (constant(Function::SubFrom(sub)), same),
        (Op::Prelu(Prelu { slopes: &weights[..8], ..Prelu::new(WIDE, WIDE, WIDE, rounding, clamp).unwrap() }), same),
        (Op::Concat(Concat), same),
        (Op::Reshape(Reshape), (Shape::vector(SHAPE.len()), WIDE)),
        (Op::Pad(pad), (Pad::output_shape(SHAPE, pad.before, pad.after), WIDE)),
        (Op::ResizeNearest(RESIZE), (RESIZE.output_shape(SHAPE), WIDE)),
        (Op::ResizeBilinear(BETWEEN), (BETWEEN.output_shape(SHAPE), WIDE)),
        (Op::Rearrange(BLOCKS), (Shape::new(2 * SHAPE.h, 2 * SHAPE.w, SHAPE.c / 4), WIDE)),
        (rescale(clamp), same),
        (
            Op::Sigmoid(Sigmoid { curve: Curve::Logistic, scale: [20000, 13], table: table.first_chunk().unwrap() }),
            same,
        ),
        (Op::Sigmoid(Sigmoid { curve: Curve::Tanh, scale: [3, 0], table: table.first_chunk().unwrap() }), same),
        (Op::SoftmaxInt16(SoftmaxInt16 { factor, exp: table, reciprocal: table }), same),
        (Op::L2Norm(L2Norm { rounding }), (SHAPE, L2Norm::OUTPUT_INT16)),
    ];
    let mut models: Vec<_> =
        steps.iter().map(|(op, out)| (op.kind(), file_of(op, [DType::I16; 2], same, *out))).collect();
    let narrow = rescale(Clamp { min: -100, max: 127 });
    models.push((OpKind::Rescale, file_of(&narrow, [DType::I16, DType::I8], same, (SHAPE, QUANT))));
    models.push((OpKind::Rescale, file_of(&rescale(clamp), [DType::I8, DType::I16], (SHAPE, QUANT), same)));
    models
}

/// One model for every operator that takes halves.
fn float16_models() -> Vec<(OpKind, Vec<u8>)> {
    const REAL: QuantParams = QuantParams::REAL;
    let (clamp, rounding) = (Clamp { min: -20_000, max: 31_000 }, Rounding::Double);
    let number = |i: u32| (i.wrapping_mul(40_503) >> 7) as i16 as f32 / 8192.0;
    let weights: Vec<i8> = (0..2048).flat_map(|i| f16::from_f32(number(i)).to_le_bytes()).map(|b| b as i8).collect();
    let biases: Vec<u8> = (0..120).flat_map(|i| number(7 * i).to_le_bytes()).collect();
    // A number for each channel, and zeros to a multiple of three.
    let table = |n: usize| [&biases[..4 * n], &[0; 8][..4 * (n.next_multiple_of(3) - n)]].concat();
    let tables = [4, 7, 12].map(table);
    let channels = |i: usize| Channels::new(&tables[i]).unwrap();
    let window = Window::new([3; 2], [1; 2], Padding::Same, [SHAPE.h, SHAPE.w]);
    let sub = Sub::new(REAL, REAL, REAL, DType::F16, rounding, clamp).unwrap();
    let mul = Mul::new(REAL, REAL, REAL, rounding, clamp).unwrap();
    let add = Add::new(REAL, REAL, REAL, DType::F16, rounding, clamp).unwrap();
    let constant = |function| Op::Constant(Constant { function, zero_point: 0, data: &weights[..8] });
    let pad = Pad { before: [1, 0, 2], after: [0, 3, 1], value: 700 };
    let same = (SHAPE, REAL);
    let algorithm = ConvAlgorithm::Direct;
    let conv = Conv2d { algorithm, window, rounding, clamp, weights: (&weights[..288]).into(), channels: channels(0) };
    let depthwise = DepthwiseConv2d {
        algorithm: DepthwiseAlgorithm::Direct,
        window,
        rounding,
        clamp,
        weights: (&weights[..216]).into(),
        channels: channels(2),
    };
    let dense = Dense { rounding, clamp, weights: (&weights[..240 * 7]).into(), channels: channels(1) };
    const PIECES: [i16; 5] = [-31743, -16_000, 0, 700, 15_000];
    let starts: Vec<u8> = PIECES.iter().flat_map(|start| start.to_le_bytes()).collect();
    let steps = [
        (Op::Conv2d(conv), same),
        (Op::DepthwiseConv2d(depthwise), (Shape::new(SHAPE.h, SHAPE.w, 12), REAL)),
        (Op::Dense(dense), (Shape::vector(7), REAL)),
        (Op::MaxPool2d(MaxPool2d { window, clamp }), same),
        (Op::AveragePool2d(AveragePool2d { window, clamp }), same),
        (Op::Mean(Mean::new(REAL, REAL, 30, rounding).unwrap()), (Shape::vector(4), REAL)),
        (Op::Add(add), same),
        (Op::Mul(mul), same),
        (Op::Sub(sub), same),
        (constant(Function::Add(add)), same),
        (constant(Function::SubFrom(sub)), same),
        (Op::Prelu(Prelu { slopes: &weights[..8], ..Prelu::new(REAL, REAL, REAL, rounding, clamp).unwrap() }), same),
        (Op::Concat(Concat), same),
        (Op::Reshape(Reshape), (Shape::vector(SHAPE.len()), REAL)),
        (Op::Pad(pad), (Pad::output_shape(SHAPE, pad.before, pad.after), REAL)),
        (Op::ResizeNearest(RESIZE), (RESIZE.output_shape(SHAPE), REAL)),
        (Op::ResizeBilinear(BETWEEN), (BETWEEN.output_shape(SHAPE), REAL)),
        (Op::Rearrange(BLOCKS), (Shape::new(2 * SHAPE.h, 2 * SHAPE.w, SHAPE.c / 4), REAL)),
        (Op::SoftmaxFloat16(SoftmaxFloat16 { beta: 1.5 }), same),
        (Op::L2Norm(L2Norm { rounding }), same),
        (Op::Piecewise(Piecewise { starts: &starts, polynomials: &biases[..16 * PIECES.len()] }), same),
    ];
    let mut models: Vec<_> =
        steps.iter().map(|(op, out)| (op.kind(), file_of(op, [DType::F16; 2], same, *out))).collect();
    let quantized = [(DType::I8, QUANT), (DType::I16, QuantParams { scale: 0.0002, zero_point: 0 })];
    for (dtype, quant) in quantized {
        let convert = Op::Convert(Convert);
        models.push((OpKind::Convert, file_of(&convert, [DType::F16, dtype], same, (SHAPE, quant))));
        models.push((OpKind::Convert, file_of(&convert, [dtype, DType::F16], (SHAPE, quant), same)));
    }
    models
}

/// The same weights in narrow encodings.
type Narrowed = Vec<(Vec<i8>, Encoding)>;

/// A layer of as many channels as it has inputs.
fn layer(window: Window) -> Layer {
    let [h, w] = window.output([SHAPE.h, SHAPE.w]).unwrap();
    let map = |h: u32, w: u32| Map::dense(h as usize, w as usize, SHAPE.c as usize);
    let [zero_in, zero_out] = [QUANT.zero_point as i8; 2];
    Layer { input: map(SHAPE.h, SHAPE.w), output: map(h, w), window, zero_in, zero_out, low: -128, high: 120 }
}

/// Depthwise weights as the algorithms pack them.
fn pack_depthwise(window: Window, weights: &[i8], entries: &[Channel]) -> Vec<(DepthwiseAlgorithm, Vec<i8>, Encoding)> {
    let (layer, weights, entries) = (layer(window), &weights[..36], &entries[..4]);
    let few: Vec<i8> = weights.iter().map(|weight| weight >> 5).collect();
    let bytes = |words: Vec<u32>| words.into_iter().flat_map(u32::to_le_bytes).collect();
    let narrow = NARROW.map(|encoding| (Packed, narrow::pack_depthwise(&layer, &few, entries, encoding), encoding));
    use DepthwiseAlgorithm::{Packed, Rows};
    let plain = [
        (Packed, depthwise::pack(&layer, weights, entries).map(bytes), Encoding::Plain),
        (Rows, depthwise_rows::pack(&layer, weights, entries).map(bytes), Encoding::Plain),
    ];
    let signed = |bytes: Vec<u8>| bytes.into_iter().map(|byte| byte as i8).collect();
    let all = plain.into_iter().chain(narrow);
    all.map(|(algorithm, bytes, encoding)| (algorithm, signed(bytes.unwrap()), encoding)).collect()
}

/// A 3 x 3 convolution packed for the algorithm of this code, and with weights of fewer bits than eight if it has those.
fn pack(code: u32, weights: &[i8], entries: &[Channel]) -> (ConvAlgorithm, Window, Vec<i8>, Narrowed) {
    let algorithm = ConvAlgorithm::from_code(code).unwrap();
    let stride = if algorithm == ConvAlgorithm::Stride2 { 2 } else { 1 };
    let window = Window::new([3; 2], [stride; 2], Padding::Same, [SHAPE.h, SHAPE.w]);
    let layer = layer(window);
    let packed = algorithm.pack(&layer, &weights[..144], &entries[..4]).unwrap();
    // Eight weights.
    let few: Vec<i8> = weights[..144].iter().map(|weight| weight >> 5).collect();
    let signed = |bytes: Vec<u8>| bytes.into_iter().map(|byte| byte as i8).collect();
    let narrow = NARROW.iter().filter_map(|&encoding| {
        Some((signed(algorithm.pack_narrow(&layer, &few, &entries[..4], encoding)?), encoding))
    });
    (algorithm, window, signed(packed), narrow.collect())
}

/// Xorshift: enough to flip bits.
fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state as usize
}

/// How often each model is bent.
const ROUNDS: usize = if cfg!(miri) { 4 } else { 1500 };

#[test]
fn every_operator_is_refused_or_runs() {
    let models = models();
    for kind in OpKind::ALL {
        assert!(models.iter().any(|(found, _)| found == kind), "no model of {kind:?}");
    }
    let (mut state, mut refused, mut ran) = (3, 0, 0);
    let (mut room, mut memory) = (Vec::new(), Vec::new());
    for (_, good) in &models {
        let bytes = common::arena(&mut room, good.len());
        for round in 0..ROUNDS {
            bytes.copy_from_slice(good);
            // The first round leaves the file as it is. Most flips go into the records, where they do most harm.
            for _ in 0..round % 4 {
                let range = if random(&mut state).is_multiple_of(4) { good.len() } else { good.len().min(448) };
                bytes[random(&mut state) % range] ^= 1 << (random(&mut state) % 8);
            }
            common::seal(bytes);
            match Model::new(bytes) {
                Ok(model) if model.arena_len() < 1 << 20 && model.macs() < 1 << 24 => {
                    let arena = common::arena(&mut memory, model.arena_len());
                    let input = vec![0; model.input_bytes()];
                    Session::open(model, arena).unwrap().infer(Raw(&input)).unwrap();
                    ran += 1;
                }
                Ok(_) => {}
                Err(error) => {
                    assert!(round % 4 != 0, "{error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused * 3 > 10 * ROUNDS && ran * 3 > 10 * ROUNDS, "{refused} refused, {ran} ran");
}

/// Runs an operator in `len` bytes of memory; the output, `None` when it is not to be had: builds with debug assertions stop, others refuse.
fn run(op: &Op<'_>, tensors: Operands, scratch: Region, len: usize) -> Option<Vec<i8>> {
    let mut room = Vec::new();
    let memory = &mut Memory::new(common::arena(&mut room, len));
    let ran = catch_unwind(AssertUnwindSafe(|| {
        op.run::<Active>(&mut Io { memory: &mut *memory, tensors, scratch }, 0..tensors.output.shape.h);
    }));
    assert!(!memory.has_refused() || !cfg!(debug_assertions));
    (ran.is_ok() && !memory.has_refused()).then(|| memory.read(tensors.output.region()).to_vec())
}

/// The operator with the end of its constants cut off, of those that run asks for them.
fn shortened<'m>(op: &Op<'m>) -> Vec<Op<'m>> {
    match *op {
        Op::Constant(op) => vec![Op::Constant(Constant { data: &op.data[1..], ..op })],
        Op::Prelu(op) => vec![Op::Prelu(Prelu { slopes: &op.slopes[1..], ..op })],
        Op::Rearrange(op) => vec![Op::Rearrange(Rearrange { digits: &op.digits[1..], ..op })],
        Op::Piecewise(op) => {
            let fewer = Piecewise { polynomials: &op.polynomials[1..], ..op };
            vec![Op::Piecewise(fewer), Op::Piecewise(Piecewise { starts: &[], ..op })]
        }
        _ => vec![],
    }
}

#[test]
fn what_an_operator_cannot_reach_is_not_passed_over() {
    let (mut short_of_scratch, mut short_of_constants) = (0, 0);
    for (kind, file) in models().iter().step_by(if cfg!(miri) { 5 } else { 1 }) {
        let mut room = Vec::new();
        let model = Model::new(common::aligned(file, &mut room)).unwrap();
        let step = model.step(0).unwrap();
        let (tensors, scratch) = (step.tensors, step.scratch);
        let len = [tensors.a.end(), tensors.b.map_or(0, |b| b.end()), tensors.output.end(), scratch.end()];
        let len = len.into_iter().max().unwrap() as usize;
        let good = run(&step.op, tensors, scratch, len);
        assert!(good.is_some(), "{kind:?}");
        for less in [len - 1, len / 2, 16, 0] {
            assert_eq!(run(&step.op, tensors, scratch, less), None, "{kind:?} in {less} bytes of {len}");
        }
        if scratch.len > 0 {
            assert_eq!(run(&step.op, tensors, Region { len: 0, ..scratch }, len), None, "{kind:?} without scratch");
            // More is reserved than some take.
            let half = run(&step.op, tensors, Region { len: scratch.len / 2, ..scratch }, len);
            assert!(half.is_none() || half == good, "{kind:?} with half of its scratch");
            short_of_scratch += 1;
        }
        for op in shortened(&step.op) {
            assert_eq!(run(&op, tensors, scratch, len), None, "{op:?}");
            short_of_constants += 1;
        }
    }
    let both = [short_of_scratch, short_of_constants];
    assert!(cfg!(miri) || (both[0] > 5 && both[1] > 10), "{both:?}");
}
