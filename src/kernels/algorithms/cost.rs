//! What an algorithm costs on a core, in executed instructions: fitted to the counts of single kernels on emulated boards
//! (`kinglet_firmware::kernels`), which it meets to a few percent.

use super::conv_gemm::Width;
use super::winograd::{self, Scheme, When};
use super::{ConvAlgorithm, Layer, Packing, narrow};
use crate::kernels::blocks::narrow::Encoding;

/// The cores whose costs are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Core {
    /// Armv6-M: Cortex-M0, M0+, M1, and the baseline of Armv8-M.
    M0,
    /// Armv7-M without the DSP extension: Cortex-M3.
    M3,
    /// The DSP extension: Cortex-M4, M7, M33.
    #[default]
    M4,
    /// Helium: Cortex-M55, M85.
    M55,
}

/// Executed instructions of an inference, and what reading its weights takes beyond them.
pub(super) fn with_reads(algorithm: ConvAlgorithm, layer: &Layer, core: Core) -> u64 {
    let Some(packing) = algorithm.packing() else { return instructions(algorithm, layer, core) };
    instructions(algorithm, layer, core)
        + (packing.passes(layer) * packing.packed_bytes(layer)) as u64 * core.costs().read / 8
}

impl Packing {
    /// How often an inference reads the weights.
    #[must_use]
    pub fn passes(self, layer: &Layer) -> usize {
        let [h, w] = [layer.output.h, layer.output.w];
        match self {
            Packing::Gemm(_) => h * w.div_ceil(2),
            Packing::Tiled(tile, _) => h.div_ceil(tile.rows.max(1)) * tile.parts,
            Packing::Winograd(scheme, when) => winograd::passes(layer, scheme, when),
        }
    }

    /// Executed instructions by which an inference in `calls` calls takes more with weights in this encoding than of 8 bits.
    #[must_use]
    pub fn widening(self, layer: &Layer, core: Core, calls: usize, encoding: Encoding) -> u64 {
        let costs = core.costs();
        let (times, again) = match self {
            _ if encoding == Encoding::Plain => (0, 0.0),
            Packing::Gemm(width) => {
                let slabs = layer.output.c.div_ceil(4).div_ceil(narrow::slab_blocks(layer, width).max(1));
                let costs = match width {
                    Width::Bits8 | Width::Paired => &costs.gemm8,
                    Width::Bits16 => &costs.gemm16,
                    Width::Bytes => &costs.gemm_bytes,
                };
                (calls, (slabs - 1) as f64 * patches(layer, costs))
            }
            Packing::Winograd(_, When::RunTime(rows)) => (layer.output.h.div_ceil(2).div_ceil(rows.max(1)), 0.0),
            // In place of the weights of 8 bits, which are widened as well.
            Packing::Tiled(..) => (self.passes(layer), 0.0),
            Packing::Winograd(..) => (0, 0.0),
        };
        core.widening(times * layer.filter() * layer.output.c, encoding) + again as u64
    }
}

impl Core {
    /// Executed instructions that widen so many weights.
    #[must_use]
    pub fn widening(self, weights: usize, encoding: Encoding) -> u64 {
        let each = match encoding {
            Encoding::Plain | Encoding::Halfwords | Encoding::Paired => 0.0,
            Encoding::Nibbles => self.costs().widened,
            Encoding::Palette { .. } => self.costs().looked_up,
        };
        (each * weights as f64) as u64
    }
}

/// Executed instructions of an inference.
pub(super) fn instructions(algorithm: ConvAlgorithm, layer: &Layer, core: Core) -> u64 {
    let costs = core.costs();
    let count = match algorithm {
        ConvAlgorithm::Direct => {
            let outputs = (layer.output.h * layer.output.w * layer.output.c) as f64;
            (costs.direct * layer.filter() as f64 + costs.finish) * outputs
        }
        ConvAlgorithm::Gemm8 => gemm(layer, &costs.gemm8, 2),
        ConvAlgorithm::GemmPaired => gemm(layer, &costs.gemm_paired, 2),
        ConvAlgorithm::Gemm16 => gemm(layer, &costs.gemm16, 2),
        ConvAlgorithm::GemmBytes => gemm(layer, &costs.gemm_bytes, 16),
        ConvAlgorithm::Tiled { rows, parts } => tiled(layer, &costs.gemm16, costs.widen, [rows, parts]),
        ConvAlgorithm::TiledPaired { rows, parts } => tiled(layer, &costs.gemm_paired, costs.copy, [rows, parts]),
        ConvAlgorithm::Winograd2 => transformed(layer, Scheme::F2, &costs.f2, costs, 0),
        ConvAlgorithm::Winograd2AtRunTime { tile_rows } => {
            transformed(layer, Scheme::F2, &costs.f2, costs, tile_rows as usize)
        }
        ConvAlgorithm::Winograd4 => transformed(layer, Scheme::F4, &costs.f4, costs, 0),
        ConvAlgorithm::Stride2 => transformed(layer, Scheme::S2, &costs.s2, costs, 0),
    };
    count as u64
}

/// The costs of a core.
struct Costs {
    /// Per multiplication of the direct algorithm.
    direct: f64,
    /// Per output of the direct algorithm.
    finish: f64,
    gemm8: Gemm,
    gemm_paired: Gemm,
    gemm16: Gemm,
    gemm_bytes: Gemm,
    /// Per product of two channel pairs of 2 tiles and 4 output channels.
    product: f64,
    /// The same where the number of channel pairs is no multiple of four.
    product_rest: f64,
    f4: Transforms,
    f2: Transforms,
    s2: Transforms,
    /// Per filter and four of its channels, transformed at run time.
    weights: f64,
    /// Per step of a matrix product, of weights that are widened for a tile.
    widen: f64,
    /// The same of paired weights, which are copied.
    copy: f64,
    /// Per position and pair of tiles, where several pairs of tiles are multiplied together.
    together: f64,
    /// What waiting for 8 bytes of flash is worth, in instructions.
    read: u64,
    /// Per weight that is widened from 4 bits.
    widened: f64,
    /// Per weight that is looked up in a palette.
    looked_up: f64,
}

/// The costs of a matrix product, 2 pixels x 4 channels at a time.
struct Gemm {
    /// Per step of two input channels, or of 16 bytes.
    step: f64,
    /// Per block of four output channels.
    block: f64,
    /// Per pair of pixels.
    pair: f64,
    /// Per byte of their patches.
    byte: f64,
    /// Per row of their patches.
    row: f64,
}

/// The costs of a Winograd scheme, but for its products.
struct Transforms {
    /// Per position, pair of tiles and four output channels.
    position: f64,
    /// Per column of four channels.
    vertical: f64,
    /// Per pair of tiles and four channels.
    horizontal: f64,
    /// Per pair of tiles and four output channels.
    output: f64,
}

const fn gemm_costs(step: f64, block: f64, pair: f64, byte: f64, row: f64) -> Gemm {
    Gemm { step, block, pair, byte, row }
}

const fn transforms(position: f64, vertical: f64, horizontal: f64, output: f64) -> Transforms {
    Transforms { position, vertical, horizontal, output }
}

const M0: Costs = Costs {
    direct: 4.5,
    finish: 200.0,
    gemm8: gemm_costs(64.4, 432.0, 200.0, 4.5, 207.0),
    gemm_paired: gemm_costs(60.2, 555.0, 200.0, 4.5, 248.0),
    gemm16: gemm_costs(61.4, 438.0, 200.0, 4.5, 207.0),
    gemm_bytes: gemm_costs(1_119.0, 560.0, 900.0, 2.0, 40.0),
    product: 62.0,
    product_rest: 62.0,
    f4: transforms(60.0, 118.0, 1_100.0, 7_900.0),
    f2: transforms(60.0, 209.0, 1_509.0, 7_235.0),
    s2: transforms(60.0, 126.0, 760.0, 2_100.0),
    weights: 1_915.0,
    widen: 31.0,
    copy: 2.0,
    together: 0.0,
    read: 0,
    widened: 3.0,
    looked_up: 8.0,
};

const M3: Costs = Costs {
    direct: 8.0,
    finish: 0.0,
    gemm8: gemm_costs(59.8, 260.0, 400.0, 3.0, 40.0),
    gemm_paired: gemm_costs(59.8, 260.0, 400.0, 3.0, 40.0),
    gemm16: gemm_costs(62.3, 260.0, 400.0, 3.0, 40.0),
    gemm_bytes: gemm_costs(537.0, 250.0, 400.0, 1.5, 40.0),
    product: 57.2,
    product_rest: 57.2,
    f4: transforms(0.0, 227.0, 2_462.0, 7_914.0),
    f2: transforms(0.0, 107.0, 780.0, 3_000.0),
    s2: transforms(94.0, 94.0, 850.0, 1_600.0),
    weights: 1_257.0,
    widen: 16.0,
    copy: 4.0,
    together: 0.0,
    read: 0,
    widened: 2.0,
    looked_up: 6.0,
};

const M4: Costs = Costs {
    direct: 8.0,
    finish: 0.0,
    gemm8: gemm_costs(15.375, 64.0, 80.0, 1.5, 22.0),
    // As many as those of 16 bits; but their loads take a cycle less.
    gemm_paired: gemm_costs(13.9, 64.0, 80.0, 1.5, 22.0),
    gemm16: gemm_costs(14.375, 64.0, 80.0, 1.5, 22.0),
    gemm_bytes: gemm_costs(442.0, 260.0, 200.0, 1.0, 30.0),
    product: 14.0,
    product_rest: 14.0,
    f4: transforms(13.0, 70.0, 760.0, 2_720.0),
    f2: transforms(7.0, 36.0, 260.0, 620.0),
    s2: transforms(38.0, 40.0, 360.0, 590.0),
    weights: 137.0,
    widen: 6.5,
    copy: 2.0,
    together: 24.0,
    // 8.65 cycles on an STM32L4R5 at 5 wait states; an instruction of these loops takes 1.5.
    read: 6,
    widened: 2.0,
    looked_up: 6.0,
};

const M55: Costs = Costs {
    direct: 8.0,
    gemm8: gemm_costs(4.5, 57.0, 114.0, 0.375, 10.0),
    gemm_paired: gemm_costs(60.0, 57.0, 114.0, 0.375, 10.0),
    gemm16: gemm_costs(4.0, 57.0, 114.0, 0.375, 10.0),
    gemm_bytes: gemm_costs(16.0, 57.0, 100.0, 0.2, 20.0),
    product: 4.4,
    f4: transforms(20.0, 70.0, 760.0, 733.0),
    f2: transforms(20.0, 36.0, 260.0, 110.0),
    s2: transforms(38.0, 40.0, 360.0, 191.0),
    together: 0.0,
    read: 0,
    widened: 1.0,
    ..M4
};

impl Core {
    const fn costs(self) -> &'static Costs {
        match self {
            Core::M0 => &M0,
            Core::M3 => &M3,
            Core::M4 => &M4,
            Core::M55 => &M55,
        }
    }
}

fn gemm(layer: &Layer, costs: &Gemm, step: usize) -> f64 {
    let [rows, columns] = layer.kernel();
    let len = columns * layer.input.c;
    let steps = match step {
        2 => (rows * (len / 4) + (rows * (len % 4)).div_ceil(4)) * 2,
        bytes => (rows * len).div_ceil(bytes),
    };
    let blocks = layer.output.c.div_ceil(4) as f64;
    let pairs = (layer.output.h * layer.output.w.div_ceil(2)) as f64;
    patches(layer, costs) + pairs * blocks * (costs.step * steps as f64 + costs.block)
}

/// What a matrix product costs but for its products.
fn patches(layer: &Layer, costs: &Gemm) -> f64 {
    let [rows, columns] = layer.kernel();
    let patches = costs.pair + 2.0 * rows as f64 * (costs.row + costs.byte * (columns * layer.input.c) as f64);
    let line = if layer.window.is_padded() { layer.input.h * (layer.input.w * layer.input.c / 2 + 200) } else { 0 };
    let pairs = (layer.output.h * layer.output.w.div_ceil(2)) as f64;
    pairs * patches + (60 * layer.output.h + line) as f64
}

/// A product of weights that are loaded for each tile of rows and parts of them.
fn tiled(layer: &Layer, costs: &Gemm, load: f64, [rows, parts]: [u32; 2]) -> f64 {
    let [kernel, columns] = layer.kernel();
    let len = columns * layer.input.c;
    let steps = ((kernel * (len / 4) + (kernel * (len % 4)).div_ceil(4)) * 2) as f64;
    let tiles = (layer.output.h.div_ceil(rows as usize) * parts as usize) as f64;
    let blocks = layer.output.c.div_ceil(4) as f64;
    gemm(layer, costs, 2) + tiles * blocks * (load * steps + 110.0)
}

fn transformed(layer: &Layer, scheme: Scheme, costs: &Transforms, core: &Costs, run_time_rows: usize) -> f64 {
    let tile_rows = layer.output.h.div_ceil(scheme.tile());
    let tile_pairs = layer.output.w.div_ceil(2 * scheme.tile()) as f64;
    let groups = layer.input.c.div_ceil(4);
    let product = if groups.is_multiple_of(2) { core.product } else { core.product_rest };
    let groups = groups as f64;
    let blocks = layer.output.c.div_ceil(4) as f64;
    let input = groups * (layer.input.w as f64 * costs.vertical + tile_pairs * costs.horizontal + 200.0);
    let when = if run_time_rows > 0 { When::RunTime(run_time_rows) } else { When::Export };
    let step = if winograd::tiles_together(layer, scheme, when) > 1 { core.together } else { 0.0 };
    let positions = scheme.positions() as f64 * (costs.position + step);
    let products = product * scheme.slots() as f64 * 2.0 * groups + positions + 80.0;
    let edges = !layer.output.w.is_multiple_of(2 * scheme.tile()) || !layer.output.h.is_multiple_of(scheme.tile());
    let edge = if edges { (60 * scheme.tile() * scheme.tile()) as f64 } else { 0.0 };
    let weights = match run_time_rows {
        0 => 0.0,
        rows => tile_rows.div_ceil(rows) as f64 * blocks * (4.0 * groups * core.weights + 200.0),
    };
    tile_rows as f64 * (input + tile_pairs * blocks * (products + costs.output + edge)) + weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::algorithms::Map;
    use crate::window::{Padding, Window};
    use ConvAlgorithm::{Gemm8, Gemm16, GemmBytes, Stride2, Winograd2, Winograd2AtRunTime, Winograd4};

    /// Counts of `firmware/src/kernels/bench.rs` on the boards of each core: algorithm, `[size, channels, output channels,
    /// kernel, stride]`, instructions on M0, M3, M4, M55.
    const MEASURED: &[(ConvAlgorithm, [u32; 5], [u32; 4])] = &[
        (Gemm8, [32, 16, 16, 3, 1], [11_435_246, 10_515_018, 2_764_280, 943_150]),
        (Gemm16, [32, 16, 16, 3, 1], [11_012_297, 10_884_681, 2_617_336, 868_910]),
        (GemmBytes, [32, 16, 16, 3, 1], [22_428_045, 10_862_143, 9_084_036, 551_830]),
        (Winograd2, [32, 16, 16, 3, 1], [9_504_605, 5_902_810, 1_686_837, 716_823]),
        (Winograd2AtRunTime { tile_rows: 2 }, [32, 16, 16, 3, 1], [10_844_881, 6_546_416, 1_739_079, 830_663]),
        (Winograd4, [32, 16, 16, 3, 1], [3_846_333, 3_667_298, 1_171_098, 517_940]),
        (Gemm8, [8, 64, 64, 3, 1], [10_047_996, 8_975_398, 2_379_778, 727_170]),
        (Gemm16, [8, 64, 64, 3, 1], [9_616_944, 9_344_485, 2_232_354, 653_410]),
        (GemmBytes, [8, 64, 64, 3, 1], [21_011_659, 10_037_531, 8_288_100, 341_350]),
        (Winograd2, [8, 64, 64, 3, 1], [5_454_459, 4_287_772, 1_136_501, 396_879]),
        (Winograd4, [8, 64, 64, 3, 1], [2_695_487, 2_497_118, 692_521, 251_558]),
        (Winograd4, [32, 3, 16, 3, 1], [2_003_200, 1_676_784, 636_282, 342_435]),
        (GemmBytes, [32, 3, 16, 3, 1], [6_235_619, 3_105_910, 2_725_243, 333_997]),
        (Stride2, [32, 16, 32, 3, 2], [4_287_562, 3_764_721, 1_107_993, 473_300]),
        (Stride2, [16, 32, 64, 3, 2], [3_769_311, 3_346_285, 889_045, 350_696]),
        (GemmBytes, [16, 32, 64, 3, 2], [10_666_575, 5_098_931, 4_222_581, 190_239]),
        (Gemm16, [32, 16, 32, 1, 2], [1_037_756, 874_188, 216_483, 110_396]),
        (Gemm8, [8, 64, 64, 1, 1], [1_329_029, 1_134_493, 298_507, 109_060]),
        (GemmBytes, [8, 64, 64, 1, 1], [2_598_484, 1_239_826, 1_047_061, 66_474]),
    ];

    #[test]
    fn costs_are_those_that_were_measured() {
        for &(algorithm, [size, inputs, outputs, kernel, stride], measured) in MEASURED {
            let window = Window::new([kernel; 2], [stride; 2], Padding::Same, [size; 2]);
            let [h, w] = window.output([size; 2]).unwrap().map(|extent| extent as usize);
            let layer = Layer {
                input: Map::dense(size as usize, size as usize, inputs as usize),
                output: Map::dense(h, w, outputs as usize),
                window,
                zero_in: 0,
                zero_out: 0,
                low: i8::MIN,
                high: i8::MAX,
            };
            for (core, measured) in [Core::M0, Core::M3, Core::M4, Core::M55].into_iter().zip(measured) {
                let ratio = instructions(algorithm, &layer, core) as f64 / f64::from(measured);
                assert!((0.9..1.1).contains(&ratio), "{algorithm:?}, {core:?}: {ratio:.3} of what was measured");
            }
        }
    }
}
