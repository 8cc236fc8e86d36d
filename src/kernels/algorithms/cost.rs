//! What an algorithm costs on a core with the DSP extension, in executed instructions: the blocks' loops counted, their
//! constants measured on an emulated Cortex-M4 (`firmware/BENCH.md` has the measurements).

use super::{ConvAlgorithm, Layer};

/// Executed instructions of an inference, to a few percent.
pub(super) fn instructions(algorithm: ConvAlgorithm, layer: &Layer) -> u64 {
    match algorithm {
        // Not in DSP instructions: about what LLVM makes of the portable loop.
        ConvAlgorithm::Direct => 6 * layer.filter() as u64 * (layer.output.h * layer.output.w * layer.output.c) as u64,
        ConvAlgorithm::Gemm8 => gemm(layer, 15),
        ConvAlgorithm::Gemm16 => gemm(layer, 11),
        ConvAlgorithm::GemmBytes => {
            3 * layer.filter() as u64 * (layer.output.h * layer.output.w * layer.output.c) as u64
        }
        ConvAlgorithm::Winograd2 => winograd(layer, &F2, 0),
        ConvAlgorithm::Winograd2AtRunTime { tile_rows } => winograd(layer, &F2, tile_rows as usize),
        ConvAlgorithm::Winograd4 => winograd(layer, &F4, 0),
        ConvAlgorithm::Stride2 => winograd(layer, &S2, 0),
    }
}

fn gemm(layer: &Layer, step: usize) -> u64 {
    let [rows, columns] = layer.kernel();
    let len = columns * layer.input.c;
    let pairs = (rows * (len / 4) + (rows * (len % 4)).div_ceil(4)) * 2;
    let blocks = layer.output.c.div_ceil(4);
    let patch = 2 * (24 + rows * (10 + 11 * len / 8 + 5 * (len % 4)));
    let block = step * pairs + 3 * pairs.div_ceil(8) + 64;
    let line = if layer.window.is_padded() { layer.input.h * (layer.input.w * layer.input.c / 2 + 200) } else { 0 };
    (layer.output.h * (layer.output.w.div_ceil(2) * (80 + patch + blocks * block) + 60) + line) as u64
}

/// The figures of a Winograd scheme.
struct Scheme {
    tile: usize,
    positions: usize,
    /// Products of a channel pair over all positions.
    products: usize,
    /// Instructions per position beside them.
    position: usize,
    /// Instructions per column of four channels.
    vertical: usize,
    /// Instructions per pair of tiles and four channels.
    horizontal: usize,
    /// Instructions per pair of tiles and four output channels.
    output: usize,
}

const F4: Scheme =
    Scheme { tile: 4, positions: 36, products: 36, position: 7, vertical: 70, horizontal: 760, output: 2_720 };
const F2: Scheme =
    Scheme { tile: 2, positions: 16, products: 16, position: 7, vertical: 36, horizontal: 260, output: 980 };
const S2: Scheme =
    Scheme { tile: 2, positions: 9, products: 25, position: 38, vertical: 40, horizontal: 360, output: 640 };

fn winograd(layer: &Layer, scheme: &Scheme, run_time_rows: usize) -> u64 {
    let tile_rows = layer.output.h.div_ceil(scheme.tile);
    let tile_pairs = layer.output.w.div_ceil(2 * scheme.tile);
    let groups = layer.input.c.div_ceil(4);
    let blocks = layer.output.c.div_ceil(4);
    let input = groups * (layer.input.w * scheme.vertical + tile_pairs * scheme.horizontal + 200);
    let products = 11 * scheme.products * 2 * groups + scheme.positions * scheme.position + 80;
    let edges = !layer.output.w.is_multiple_of(2 * scheme.tile) || !layer.output.h.is_multiple_of(scheme.tile);
    let edge = if edges { 60 * scheme.tile * scheme.tile } else { 0 };
    let weights = match run_time_rows {
        0 => 0,
        rows => tile_rows.div_ceil(rows) * blocks * (4 * groups * 137 + 200),
    };
    (tile_rows * (input + tile_pairs * blocks * (products + scheme.output + edge)) + weights) as u64
}
