//! What a step repeats, and how often: the terms whose costs add up to its predicted cycles.

use kinglet::kernels::algorithms::{Candidate, ConvAlgorithm, Core, Layer, Packing};
use kinglet::ops::{DepthwiseAlgorithm, Encoding, Op};
use kinglet::{DType, Model, Shape, Step};

use crate::boards::Speed;

/// Number of terms.
pub const TERMS: usize = 8;

/// How often something of each kind happens: a run of the step; a call, for some of its rows; a pass of the loop over pixels (two of
/// them, a pair of tiles); a block of outputs (four channels of a pass); a product; an element that is read or gathered; an element that
/// is moved or transformed; a byte of constants that is read past the cache.
pub type Terms = [f64; TERMS];

/// What is repeated, by the code that repeats it.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Operator, algorithm and element type: what has costs of its own.
    pub kind: String,
    /// How often.
    pub terms: Terms,
    /// The same as of any operator, for kinds whose costs are not known.
    pub plain: Terms,
    /// Instructions that widen weights of fewer bits than eight: none are slow, and so each is taken for a cycle of the core.
    pub widening: f64,
}

/// The kind of what a session does between steps.
pub const AROUND: &str = "between steps";

/// The steps of a model, and what is done between them.
#[must_use]
pub fn of_model(model: &Model<'_>, core: Core, speed: &Speed) -> (Vec<Work>, Work) {
    let steps: Vec<Step<'_>> = model.steps().collect();
    let (mut calls, mut works) = (0.0, Vec::new());
    for step in &steps {
        let chained = steps.iter().filter(|other| other.time_slot == step.time_slot).count() > 1;
        let in_calls = calls_of(step, chained);
        calls += if chained { in_calls } else { 0.0 };
        works.push(Work { widening: widening(step, in_calls as usize, core), ..of_step(step, in_calls, speed) });
    }
    let terms = [0.0, 0.0, 0.0, steps.len() as f64, calls, 1.0, 0.0, 0.0];
    (works, Work { kind: AROUND.to_owned(), terms, plain: terms, widening: 0.0 })
}

/// Calls for blocks of rows where steps are interleaved, else one.
fn calls_of(step: &Step<'_>, chained: bool) -> f64 {
    let rows = step.tensors.output.shape.h;
    f64::from(if chained { rows.div_ceil(step.op.row_block().max(1)) } else { 1 })
}

/// What weights of fewer bits take more than those of 8.
fn widening(step: &Step<'_>, calls: usize, core: Core) -> f64 {
    let instructions = match &step.op {
        Op::Conv2d(conv) => match conv.algorithm.packing() {
            Some(packing) => packing.widening(&conv.layer(&step.tensors), core, calls, conv.weights.encoding),
            None => core.widening(step.macs() as usize, conv.weights.encoding),
        },
        Op::DepthwiseConv2d(conv) => {
            let weights = conv.window.taps_len() * step.tensors.output.shape.c;
            core.widening(calls * weights as usize, conv.weights.encoding)
        }
        Op::Dense(dense) => core.widening(step.macs() as usize, dense.weights.encoding),
        _ => 0,
    };
    instructions as f64
}

fn of_step(step: &Step<'_>, calls: f64, speed: &Speed) -> Work {
    let (a, output) = (&step.tensors.a, &step.tensors.output);
    let bytes = f64::from(step.op.weight_bytes());
    match &step.op {
        Op::Conv2d(conv) => {
            let kind = convolution_kind(conv.algorithm, a.dtype, conv.is_exact());
            let (layer, encoding) = (conv.layer(&step.tensors), conv.weights.encoding);
            Work { kind, ..of_convolution(conv.algorithm, encoding, &layer, bytes, calls, speed) }
        }
        Op::DepthwiseConv2d(conv) => {
            let taps = f64::from(conv.window.taps_len());
            // Of high maps the columns are taken for rows.
            let high = conv.algorithm == DepthwiseAlgorithm::Rows && output.shape.h > output.shape.w;
            let lines = |shape: Shape| if high { [shape.w, shape.h] } else { [shape.h, shape.w] };
            let ([h, w], [_, input_w]) = (lines(output.shape), lines(a.shape));
            let [h, w, groups] = [h, w.div_ceil(2), output.shape.c.div_ceil(4)].map(f64::from);
            let read = h * f64::from(conv.window.kernel[0]) * f64::from(input_w * a.shape.c);
            let (pass, block) = match conv.algorithm {
                DepthwiseAlgorithm::Rows => (h * groups, h * groups * w),
                _ => (h * w, h * w * groups),
            };
            let again = if conv.algorithm == DepthwiseAlgorithm::Rows { calls } else { h * w };
            let flash = reads(bytes, again, speed);
            let terms = [1.0, calls, pass, block, block * taps, read, h, flash];
            let kind = format!("{} {:?} {}", step.kind().name(), conv.algorithm, a.dtype.name());
            Work { kind, terms, plain: plain(step, calls, speed), widening: 0.0 }
        }
        op => {
            let form = match op {
                Op::Add(add) if add.linear.is_some() => " linear",
                Op::Dense(dense) if dense.weights.encoding == Encoding::Paired => " paired",
                Op::Dense(_) if a.shape.h * a.shape.w > 1 => " of a map",
                _ => "",
            };
            let plain = plain(step, calls, speed);
            Work {
                kind: format!("{}{form} {}", step.kind().name(), a.dtype.name()),
                terms: plain,
                plain,
                widening: 0.0,
            }
        }
    }
}

/// The terms of any operator.
fn plain(step: &Step<'_>, calls: f64, speed: &Speed) -> Terms {
    let (a, output) = (step.tensors.a.shape, step.tensors.output.shape);
    let [inputs, outputs, pixels] = [a.len(), output.len(), output.h * output.w].map(f64::from);
    let taps = match &step.op {
        Op::MaxPool2d(pool) => pool.window.taps_len(),
        Op::AveragePool2d(pool) => pool.window.taps_len(),
        _ => 0,
    };
    let products = step.macs() as f64 + f64::from(taps) * outputs;
    let bytes = f64::from(step.op.weight_bytes());
    let rows = f64::from(output.h);
    [1.0, calls, pixels, outputs, products, inputs, rows, reads(bytes, 1.0, speed)]
}

/// The kind of a convolution.
fn convolution_kind(algorithm: ConvAlgorithm, dtype: DType, exact: bool) -> String {
    let name = format!("{algorithm:?}");
    let name = name.split(' ').next().unwrap_or_default();
    format!("CONV_2D {name}{} {}", if exact { " exact" } else { "" }, dtype.name())
}

/// An int8 convolution as a candidate computes it, before its weights are packed.
#[must_use]
pub fn of_candidate(candidate: &Candidate, layer: &Layer, core: Core, speed: &Speed) -> Work {
    let Candidate { algorithm, encoding, flash, .. } = *candidate;
    let widening = algorithm.packing().map_or(0, |packing| packing.widening(layer, core, 1, encoding)) as f64;
    let kind = convolution_kind(algorithm, DType::I8, false);
    Work { kind, widening, ..of_convolution(algorithm, encoding, layer, flash as f64, 1.0, speed) }
}

fn of_convolution(
    algorithm: ConvAlgorithm,
    encoding: Encoding,
    layer: &Layer,
    bytes: f64,
    calls: f64,
    speed: &Speed,
) -> Work {
    let number = |n: usize| n as f64;
    let [rows, columns] = layer.window.kernel.map(|extent| extent as usize);
    let (input, output) = (&layer.input, &layer.output);
    let (h, len, blocks) = (number(output.h), columns * input.c, number(output.c.div_ceil(4)));
    let gathered = |pairs: f64| pairs * 2.0 * number(rows * len);
    let products = h * number(output.w * output.c * rows * len);
    let again = |passes: f64| reads(bytes, passes, speed);
    let line = if layer.window.is_padded() { h * number(rows * input.w * input.c) } else { 0.0 };
    let pixels = h * number(output.w);
    let plain = [
        1.0,
        calls,
        pixels,
        pixels * number(output.c),
        products,
        number(input.h * input.w * input.c),
        h,
        reads(bytes, 1.0, speed),
    ];
    let terms = match algorithm.packing() {
        None => [1.0, calls, pixels, pixels * blocks, products, gathered(pixels / 2.0), h, again(pixels)],
        Some(packing @ (Packing::Gemm(_) | Packing::Tiled(..))) => {
            // Tiles of a kernel of one pixel take the pixels of all rows for one row.
            let one_row =
                matches!(packing, Packing::Tiled(..)) && layer.window.taps_len() == 1 && !layer.window.is_padded();
            let pairs = if one_row { (pixels / 2.0).ceil() } else { h * number(output.w.div_ceil(2)) };
            let steps = match algorithm {
                ConvAlgorithm::GemmBytes => number((rows * len).div_ceil(16)),
                _ => number((rows * (len / 4) + (rows * (len % 4)).div_ceil(4)) * 2),
            };
            let block = pairs * blocks;
            // Those of a slab are read where they are widened, in each call.
            let slabs = encoding != Encoding::Plain && matches!(packing, Packing::Gemm(_));
            let flash = again(if slabs { calls } else { number(packing.passes(layer)) });
            [1.0, calls, pairs, block, block * steps, gathered(pairs), line, flash]
        }
        Some(packing @ Packing::Winograd(scheme, _)) => {
            let tile_rows = output.h.div_ceil(scheme.tile());
            let pairs = number(tile_rows * output.w.div_ceil(2 * scheme.tile()));
            let groups = number(input.c.div_ceil(4));
            let products = pairs * blocks * groups * number(2 * scheme.slots());
            let vertical = number(tile_rows * input.w) * groups;
            let flash = again(number(packing.passes(layer)));
            [1.0, calls, pairs, pairs * blocks, products, vertical, pairs * groups, flash]
        }
    };
    Work { kind: String::new(), terms, plain, widening: 0.0 }
}

/// Bytes of constants that are read past the cache when they are gone through so often.
fn reads(bytes: f64, times: f64, speed: &Speed) -> f64 {
    let cache = f64::from(if speed.shared { speed.code_cache } else { speed.data_cache });
    if bytes > cache { bytes * times } else { bytes }
}
