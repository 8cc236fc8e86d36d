//! Executed instructions of single kernels, in the shapes that are published for other engines.

use kinglet::kernels::algorithms::pool::{self, MaxPool, Rectangle};
use kinglet::kernels::algorithms::{ConvAlgorithm, Layer, Map, depthwise};
use kinglet::kernels::{Active, Backend};
use kinglet::sys::cast::words_as_i8_mut;
use kinglet::uses::Dynamic;
use kinglet::{Padding, Window};

use super::{Buffers, Random};
use crate::clock;

/// Measures `kernel` and logs it.
pub(super) fn count(name: &str, algorithm: &str, macs: usize, kernel: impl FnOnce()) {
    defmt::info!(
        "kernel instructions={=u32} macs={=usize} algorithm={=str} name={=str}",
        clock::count(kernel),
        macs,
        algorithm,
        name
    );
}

fn layer(input: [usize; 3], channels: usize, kernel: u32, stride: u32) -> Layer {
    let [h, w, c] = input;
    let size = [h as u32, w as u32];
    let window = Window::new([kernel; 2], [stride; 2], Padding::Same, size);
    let [oh, ow] = window.output(size).unwrap_or([1, 1]);
    Layer {
        input: Map::dense(h, w, c),
        output: Map::dense(oh as usize, ow as usize, channels),
        window,
        zero_in: -5,
        zero_out: -128,
        low: -128,
        high: 127,
    }
}

/// A convolution by `algorithm`, which packs its weights. The weights are whatever lies there: no instruction depends on them.
fn convolution(buffers: &mut Buffers, name: &str, layer: &Layer, algorithm: ConvAlgorithm, relu: bool) {
    let Buffers { input, weights, output, scratch } = buffers;
    // The header's flags say how results are requantized: 2 is F(4x4)'s shorter way for ReLU.
    if let Some(flags) = weights.first_mut() {
        *flags = if relu { 2 } else { 0 };
    }
    let label = match algorithm {
        ConvAlgorithm::Gemm8 => "gemm8",
        ConvAlgorithm::GemmPaired => "gemm-paired",
        ConvAlgorithm::Gemm16 => "gemm16",
        ConvAlgorithm::GemmBytes => "gemm-bytes",
        ConvAlgorithm::Tiled { .. } => "tiled",
        ConvAlgorithm::TiledPaired { .. } => "tiled-paired",
        ConvAlgorithm::Winograd2 => "winograd2",
        ConvAlgorithm::Winograd2AtRunTime { .. } => "winograd2-run-time",
        ConvAlgorithm::Winograd4 if relu => "winograd4-relu",
        ConvAlgorithm::Winograd4 => "winograd4",
        ConvAlgorithm::Stride2 => "stride2",
        _ => "direct",
    };
    let o = layer.output;
    let taps = layer.window.taps_len() as usize;
    let macs = o.h * o.w * o.c * layer.input.c * taps;
    let Some(packing) = algorithm.packing() else { return };
    // What needs more scratch than there is here does not run.
    if packing.scratch_bytes(layer) > size_of_val(*scratch) {
        return;
    }
    let (packed, input, output) = (&**weights, &*words_as_i8_mut(input), words_as_i8_mut(output));
    let run = || assert!(packing.run::<Active, Dynamic>(layer, packed, input, output, scratch, 0..o.h).is_some());
    count(name, label, macs, run);
}

/// Measures all kernels.
pub(super) fn all(buffers: &mut Buffers) {
    let mut random = Random(7);
    buffers.input.iter_mut().for_each(|word| *word = random.next());
    let records = [9, 1 << 30, 1 << 8, 9];
    for (i, word) in buffers.weights.iter_mut().enumerate() {
        *word = if i < 4_000 { records[i % 4] } else { random.next() & 0x1f1f_1f1f };
    }
    use ConvAlgorithm::{Gemm8, Gemm16, GemmBytes, GemmPaired, Stride2, Tiled, TiledPaired};
    use ConvAlgorithm::{Winograd2, Winograd2AtRunTime, Winograd4};
    let (tiled, paired) = (Tiled { rows: 1, parts: 1 }, TiledPaired { rows: 1, parts: 1 });
    let products = [Gemm8, GemmPaired, Gemm16, GemmBytes, tiled, paired];
    let first = layer([32, 32, 3], 16, 3, 1);
    let (large, middle, small) =
        (layer([32, 32, 16], 16, 3, 1), layer([16, 16, 32], 32, 3, 1), layer([8, 8, 64], 64, 3, 1));
    for algorithm in products.into_iter().chain([Winograd4]) {
        convolution(buffers, "conv 3x3 32x32x3->16", &first, algorithm, false);
    }
    convolution(buffers, "conv 3x3 32x32x3->16", &first, Winograd4, true);
    for (name, layer) in
        [("conv 3x3 32x32x16->16", &large), ("conv 3x3 16x16x32->32", &middle), ("conv 3x3 8x8x64->64", &small)]
    {
        let transformed = [Winograd2, Winograd2AtRunTime { tile_rows: 2 }, Winograd4];
        for algorithm in products.into_iter().chain(transformed) {
            convolution(buffers, name, layer, algorithm, false);
        }
        convolution(buffers, name, layer, Winograd4, true);
    }
    for (name, layer) in [
        ("conv 3x3/2 32x32x16->32", layer([32, 32, 16], 32, 3, 2)),
        ("conv 3x3/2 16x16x32->64", layer([16, 16, 32], 64, 3, 2)),
    ] {
        for algorithm in products.into_iter().chain([Stride2]) {
            convolution(buffers, name, &layer, algorithm, false);
        }
    }
    for (name, layer) in [
        ("conv 1x1/2 32x32x16->32", layer([32, 32, 16], 32, 1, 2)),
        ("conv 1x1/2 16x16x32->64", layer([16, 16, 32], 64, 1, 2)),
        ("conv 1x1 8x8x64->64", layer([8, 8, 64], 64, 1, 1)),
        ("conv 1x1 24x24x32->64", layer([24, 24, 32], 64, 1, 1)),
        ("conv 5x5 14x14x16->32", layer([14, 14, 16], 32, 5, 1)),
    ] {
        for algorithm in products {
            convolution(buffers, name, &layer, algorithm, false);
        }
    }
    others(buffers);
}

/// What is no convolution over channels.
fn others(buffers: &mut Buffers) {
    let Buffers { input, weights, output, scratch } = buffers;
    let (packed, input, output) = (&**weights, words_as_i8_mut(input), words_as_i8_mut(output));
    let deep = layer([24, 24, 32], 32, 3, 1);
    count("depthwise 3x3 24x24x32", "packed", 165_888, || {
        depthwise::run::<Active>(&deep, packed, input, output, scratch, 0..24);
    });
    for (name, kernel, stride) in [("max pool 3x3/1 28x28x64", 3, 1), ("max pool 2x2/2 28x28x64", 2, 2)] {
        let Layer { input: from, output: to, window, low, high, .. } = layer([28, 28, 64], 64, kernel, stride);
        let pool = MaxPool { input: from, output: to, window, low, high };
        count(name, "rows", 0, || pool.run::<Active>(input, output, words_as_i8_mut(scratch), 0..to.h));
    }
    let pixels = |channel: usize| Rectangle {
        elements: input.get(channel..).unwrap_or_default(),
        first_row: 0,
        kept_rows: 8,
        rows: 8,
        columns: 8,
        row_pitch: 512,
        pitch: 64,
    };
    count("sums of 8x8x64", "rows", 0, || {
        (0..4).for_each(|block| pool::sum::<Active>(&pixels(16 * block), &mut [0; 16]));
    });
    let (left, right) = (output.get_mut(..16_384).unwrap_or_default(), &*input);
    count("add 32x32x16", "linear", 0, || Active::add_linear(left, right, &[207_566_715, 549_008_783, -38_488_340]));
}
