//! Executed instructions of CMSIS-NN (July 2026, `arm-none-eabi-gcc` 12.2, QEMU 10.0.2, `-icount shift=0`) for the layers of
//! MLPerf Tiny's ResNet-8 and for single kernels.

use kinglet::Step;
use kinglet::ops::Op;

/// What a layer is compared by: kernel rows, stride, input and output shapes.
type Key = (u32, u32, [u32; 3], [u32; 3]);

/// Convolutions, at `-O3`: M4, M7, M33, M55.
const CONVOLUTIONS: &[(Key, [u64; 4])] = &[
    ((3, 1, [32, 32, 3], [32, 32, 16]), [2_134_173, 2_151_723, 2_122_877, 599_502]),
    ((3, 1, [32, 32, 16], [32, 32, 16]), [5_487_524, 5_505_074, 5_493_901, 914_888]),
    ((3, 2, [32, 32, 16], [16, 16, 32]), [2_519_262, 2_523_708, 2_520_852, 387_902]),
    ((3, 1, [16, 16, 32], [16, 16, 32]), [4_542_369, 4_546_927, 4_548_129, 596_988]),
    ((1, 2, [32, 32, 16], [16, 16, 32]), [562_920, 557_159, 558_840, 141_561]),
    ((3, 2, [16, 16, 32], [8, 8, 64]), [2_188_634, 2_189_808, 2_190_073, 279_639]),
    ((3, 1, [8, 8, 64], [8, 8, 64]), [4_155_321, 4_156_551, 4_155_673, 485_420]),
    ((1, 2, [16, 16, 32], [8, 8, 64]), [420_671, 415_998, 418_631, 81_448]),
];

/// Additions by output shape.
const ADDITIONS: &[([u32; 3], [u64; 4])] = &[
    ([32, 32, 16], [1_333_723, 1_338_683, 1_365_356, 225_375]),
    ([16, 16, 32], [670_577, 675_038, 685_356, 112_730]),
    ([8, 8, 64], [335_262, 335_842, 341_648, 56_413]),
];

/// The average over 8x8x64.
const AVERAGE: [u64; 4] = [26_552, 26_548, 26_550, 5_029];

/// ResNet-8 as a whole, its best build on the M4 and `-O3` elsewhere; on the M3 without DSP instructions.
const RESNET8: [u64; 4] = [28_451_127, 29_933_922, 29_927_494, 4_807_181];
const RESNET8_M3: u64 = 41_753_875;

/// Single kernels: the best build on the M4, and the M55.
const KERNELS: &[(&str, [u64; 2])] = &[
    ("conv 3x3 32x32x16->16", [5_348_366, 914_855]),
    ("conv 3x3 16x16x32->32", [4_469_574, 596_951]),
    ("conv 3x3 8x8x64->64", [4_118_110, 485_383]),
    ("conv 3x3 32x32x3->16", [1_995_001, 599_463]),
    ("conv 1x1 8x8x64->64", [538_326, 103_232]),
    ("conv 1x1 24x24x32->64", [3_040_983, 725_057]),
    ("conv 5x5 14x14x16->32", [4_738_420, 624_425]),
    ("depthwise 3x3 24x24x32", [1_322_688, 446_262]),
    ("max pool 3x3/1 28x28x64", [3_618_809, 602_375]),
    ("max pool 2x2/2 28x28x64", [455_866, 76_124]),
    ("add 32x32x16", [913_481, 225_370]),
];

/// Which of the counted cores a board has.
fn column(board: &str) -> Option<usize> {
    ["mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547"].iter().position(|name| *name == board)
}

/// The peer's count for a layer of a network, if it was counted.
pub(super) fn layer(board: &str, step: &Step<'_>) -> Option<u64> {
    let column = column(board)?;
    let [a, output] = [&step.tensors.a, &step.tensors.output].map(|t| [t.shape.h, t.shape.w, t.shape.c]);
    let counts = match &step.op {
        Op::Conv2d(conv) => {
            let key = (conv.window.kernel[0], conv.window.stride[0], a, output);
            &CONVOLUTIONS.iter().find(|(of, _)| *of == key)?.1
        }
        Op::Add(_) => &ADDITIONS.iter().find(|(of, _)| *of == output)?.1,
        Op::AveragePool2d(_) | Op::Mean(_) if a == [8, 8, 64] && output == [1, 1, 64] => &AVERAGE,
        _ => return None,
    };
    Some(counts[column])
}

/// The peer's count for ResNet-8 as a whole.
pub(super) fn resnet8(board: &str) -> Option<u64> {
    if board == "lm3s6965evb" { Some(RESNET8_M3) } else { column(board).map(|column| RESNET8[column]) }
}

/// The peer's count for a single kernel.
pub(super) fn kernel(board: &str, name: &str) -> Option<u64> {
    let column = match board {
        "mps2-an386" => 0,
        "mps3-an547" => 1,
        _ => return None,
    };
    KERNELS.iter().find(|(of, _)| *of == name).map(|(_, counts)| counts[column])
}
