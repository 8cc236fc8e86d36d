//! Every block of the build's instruction set against its portable definition, over random and extreme data.

use kinglet::kernels::blocks::float16::Layer;
use kinglet::kernels::blocks::{F2, F4, S2, Transform};
use kinglet::kernels::float16::{Bounds, narrow, widen};
use kinglet::kernels::{Active, AddTerms, Backend, Portable};
use kinglet::quant::OutputStage;
use kinglet::sys::cast::{as_f16_mut, as_u8, words_as_i8, words_as_i8_mut, words_as_i32_mut};
use kinglet::sys::shapes::{Columns, Grid, Lines, Pair, Patch, Pixels, Products, Rows, Spread, Strip, TapGrid, Tiles};
use kinglet::{Activation, Clamp, DType, Multiplier, QuantParams, Rounding, f16};

use super::{Buffers, Random};

/// Rounds of random shapes and data.
const ROUNDS: usize = 40;
/// Sixteen channels of 255 pixels, all of them the least byte.
static LEAST: [i8; 16 * 255] = [i8::MIN; 16 * 255];
/// What outputs hold before; blocks that do nothing leave it.
const UNTOUCHED: u32 = 0x1234_5678;

/// Inputs and both results.
struct Round<'b> {
    number: usize,
    a: &'b [u32],
    bytes_a: &'b [i8],
    w: &'b [u32],
    bytes_w: &'b [i8],
    records: &'b [u32],
    outputs: [&'b mut [u32]; 2],
    random: Random,
    differences: u32,
}

/// Runs a block of both instruction sets over the same inputs and compares `words` words of their outputs.
macro_rules! both {
    ($round:ident, $name:literal, $words:expr, |$out:ident, $set:ident| $body:expr) => {{
        let [first, second] = &mut $round.outputs;
        {
            type $set = Active;
            let $out = &mut **first;
            $body;
        }
        {
            type $set = Portable;
            let $out = &mut **second;
            $body;
        }
        if first[..$words] != second[..$words] {
            defmt::error!("block name={=str} differs from its definition", $name);
            $round.differences += 1;
        }
        first[..$words].fill(UNTOUCHED);
        second[..$words].fill(UNTOUCHED);
    }};
}

/// The number of differences.
pub(super) fn compare(buffers: &mut Buffers) -> u32 {
    let mut seed = Random(12_345);
    let mut differences = conversions(&mut seed);
    buffers.output.fill(UNTOUCHED);
    for number in 0..ROUNDS {
        buffers.input.iter_mut().for_each(|word| *word = seed.word());
        buffers.weights.iter_mut().take(12_000).for_each(|word| *word = seed.word());
        let (records, _) = buffers.scratch.as_chunks_mut::<4>();
        for [bias, m, c, s] in records {
            let shift = 1 + seed.below(22) as u32;
            *bias = seed.next() >> 4;
            *m = if seed.below(10) == 0 { seed.next() } else { 1 << 30 | seed.next() >> 2 };
            *c = (1 << (shift - 1)) + ((seed.below(256) as u32).wrapping_sub(128) << shift);
            *s = if seed.below(50) == 0 { seed.next() } else { shift };
        }
        let (first, second) = buffers.output.split_at_mut(8_192);
        // The same words as bytes: casts of shared slices would need unsafe code here.
        let copy = |words: &[u32], bytes: &mut [u32]| {
            bytes.iter_mut().zip(words).for_each(|(to, &from)| *to = from);
        };
        let (a, rest) = buffers.input.split_at_mut(8_192);
        copy(a, rest);
        let (w, bytes_w) = buffers.weights.split_at_mut(16_384);
        copy(w, bytes_w);
        let mut round = Round {
            number,
            a,
            bytes_a: words_as_i8_mut(rest),
            w,
            bytes_w: words_as_i8_mut(bytes_w),
            records: &*buffers.scratch,
            outputs: [first, second],
            random: Random(seed.next() | 1),
            differences: 0,
        };
        products(&mut round);
        winograd::<F2, _>(&mut round);
        winograd::<F4, _>(&mut round);
        winograd::<S2, _>(&mut round);
        bytes(&mut round);
        half_precision(&mut round);
        differences += round.differences;
    }
    differences
}

/// Conversions of halves, every one of them, and of numbers in single precision, ties and extremes among them.
fn conversions(random: &mut Random) -> u32 {
    let mut differences = 0;
    for half in (0..=u16::MAX).map(f16::from_bits).filter(|half| half.is_finite()) {
        differences += u32::from(widen(half).to_bits() != half.to_f32_const().to_bits());
    }
    for _ in 0..20_000 {
        let bits = random.next();
        // Exponents around those of halves; now and then exactly between two of them.
        let exponent = (100 + random.below(48) as u32) << 23;
        let mantissa = if random.below(2) == 0 { bits & 0x007f_e000 | 0x1000 } else { bits & 0x007f_ffff };
        let x = f32::from_bits(bits & 1 << 31 | exponent | mantissa);
        differences += u32::from(narrow(x).to_bits() != f16::from_f32_const(x).to_bits());
    }
    if differences > 0 {
        defmt::error!("{=u32} conversions of halves differ from their definition", differences);
    }
    differences
}

/// Products in half precision of numbers below 2, now and then of zeros, at multiples of 4 bytes and of 2.
fn half_precision(round: &mut Round) {
    let mut numbers = [f16::ZERO; 8 * 41];
    for x in &mut numbers {
        *x = f16::from_bits(round.random.next() as u16 & !0x4000);
    }
    if round.number % 8 == 7 {
        // Sums are biases then, the least of which is no normal number.
        numbers.fill(f16::ZERO);
    }
    let len = 1 + round.random.below(41);
    let row = |index: usize| &numbers[index * len..][..len];
    let (patches, weights) = ([0, 1, 2, 3].map(row), [4, 5, 6, 7].map(row));
    let spread = Spread { len, step: round.random.below(81), count: 1 + round.random.below(4) };
    both!(round, "f16_spread", 4 * 41, |out, Set| {
        let mut lanes = [0.0; 4 * 41];
        Set::f16_spread(&numbers[len % 3..], &spread, &mut lanes[..4 * (len - 1) + spread.count]);
        out.iter_mut().zip(lanes).for_each(|(out, x)| *out = x.to_bits());
    });
    let mut lanes = [0.0; 4 * 41];
    Portable::f16_spread(&numbers, &Spread { len, step: len, count: 4 }, &mut lanes);
    // Three to seven channels, weights at multiples of 4 or 2 bytes, and bounds that some sums meet.
    let (channels, count) = (3 + round.random.below(5), 1 + round.random.below(4));
    let biases = [-1e-40f32, -0.25, 1e-40, -0.0, -9.0, 1e-9, -1e-9].map(f32::to_bits);
    let (biases, _) = as_u8(words_as_i8(&biases)).as_chunks();
    let clamp = Clamp::activation(Activation::Relu6, QuantParams::REAL, DType::F16);
    let clamp = if len.is_multiple_of(2) { clamp } else { Clamp::full(DType::F16) };
    let layer = Layer { weights: &numbers[round.number % 2..], biases, k: len, bounds: Bounds::of(clamp) };
    let pixels = Pixels { channels, pitch: channels + len % 4, count };
    both!(round, "f16_gemm", 30, |out, Set| {
        let out = &mut as_f16_mut(words_as_i8_mut(out))[..60];
        Set::f16_gemm(&lanes[..4 * len], &layer, out, pixels);
    });
    both!(round, "f16_add", 30, |out, Set| {
        let out = &mut as_f16_mut(words_as_i8_mut(out))[1..];
        let left = &numbers[len % 5..][..len];
        out[..len].copy_from_slice(left);
        Set::f16_add(&mut out[..len], &numbers[100..], &layer.bounds);
    });
    both!(round, "dot_f16_1x4", 4, |out, Set| {
        let mut sums = [0.5, -0.25, 3.0, 0.0];
        Set::dot_f16_1x4(patches[0], weights, &mut sums);
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum.to_bits());
    });
}

/// Matrix products.
fn products(round: &mut Round) {
    let (a, w, records, bytes_a) = (round.a, round.w, round.records, round.bytes_a);
    let kp = 2 + 2 * round.random.below(40);
    let blocks = 1 + round.random.below(5);
    let second = round.random.below(3) * 37;
    both!(round, "gemm16", 200, |out, Set| Set::gemm16(
        &a[..2 * kp],
        w,
        &records[..16 * blocks],
        words_as_i8_mut(out),
        second + 4 * blocks
    ));
    both!(round, "gemm8", 200, |out, Set| Set::gemm8(
        &a[..2 * kp],
        w,
        &records[..16 * blocks],
        words_as_i8_mut(out),
        second + 4 * blocks
    ));
    both!(round, "gemm_paired", 200, |out, Set| Set::gemm_paired(
        &a[..2 * kp],
        w,
        &records[..16 * blocks],
        words_as_i8_mut(out),
        second + 4 * blocks
    ));
    let blocks_of_words = 4 * (1 + round.random.below(30));
    both!(round, "widen", 240, |out, Set| Set::widen(&mut out[..2 * blocks_of_words], &w[..blocks_of_words]));
    let pairs = 1 + round.random.below(6);
    let strip = Strip { pairs, second: second % 38 + 4, next: second % 50 + 9 };
    let four = records.first_chunk().unwrap();
    both!(round, "gemm_strip", 200, |out, Set| Set::gemm_strip(
        &a[..2 * kp * pairs],
        &w[..4 * kp],
        four,
        words_as_i8_mut(out),
        &strip
    ));
    let [rows, columns, channels] = [3, 5, 9].map(|most| 1 + round.random.below(most));
    let channels = channels + 3;
    let words = columns.div_ceil(2) * 2 * kp + round.random.below(3);
    let shape = Rows { rows, columns, words, row: 90, pixel: 13, channels };
    both!(round, "rows_paired", 300, |out, Set| {
        let (slab, out) = out.split_at_mut(2 * kp);
        Set::rows_paired(a, slab, w, records, words_as_i8_mut(out), &shape);
        // What lies there is the instruction set's own affair.
        slab.fill(0);
    });
    let (steps, rows, len) = (1 + round.random.below(9), 1 + round.random.below(4), 1 + round.random.below(36));
    let at = [round.random.below(200), round.random.below(200)];
    both!(round, "patch_bytes", 200, |out, Set| Set::patch_bytes(
        &mut out[..8 * steps],
        bytes_a,
        at,
        &Patch::new(rows, len, 40)
    ));
    both!(round, "gemm_bytes", 200, |out, Set| Set::gemm_bytes(
        &a[..8 * steps],
        w,
        &records[..16 * blocks],
        words_as_i8_mut(out),
        second + 4 * blocks
    ));
    both!(round, "gemm_bytes_acc", 200, |out, Set| Set::gemm_bytes_acc(
        &a[..8 * steps],
        w,
        &mut words_as_i32_mut(out)[..8 * blocks]
    ));
    both!(round, "gemm16acc", 200, |out, Set| Set::gemm16_acc(
        &a[..2 * kp],
        w,
        &mut words_as_i32_mut(out)[..8 * blocks]
    ));
    both!(round, "gemm8acc", 200, |out, Set| Set::gemm8_acc(&a[..2 * kp], w, &mut words_as_i32_mut(out)[..8 * blocks]));
    let (rows, len) = (1 + round.random.below(7), 1 + round.random.below(45));
    let (f, s) = (round.random.below(20), round.random.below(200));
    let stride = round.random.below(400);
    both!(round, "patch", 1400, |out, Set| Set::patch(out, bytes_a, [f, s], &Patch::new(rows, len, stride)));
}

/// The transforms and products of a Winograd convolution.
fn winograd<T: Transform<N>, const N: usize>(round: &mut Round) {
    let (a, w, records, bytes_a) = (round.a, round.w, round.records, round.bytes_a);
    let (scheme, number) = (T::SCHEME, round.number);
    let products = Products::new(scheme, 2 + 2 * round.random.below(40));
    both!(round, "products", 500, |out, Set| Set::products(a, w, words_as_i32_mut(out), &products, 1));
    let (few, tiles) = (Products::new(scheme, 2 + 2 * round.random.below(10)), 1 + round.random.below(4));
    both!(round, "products of several tiles", 1200, |out, Set| Set::products(a, w, words_as_i32_mut(out), &few, tiles));
    let (count, step) = (1 + round.random.below(30), 4 + round.random.below(60));
    let rows = [0; 6].map(|_| round.random.below(3000));
    let missing = if round.random.below(2) == 0 { 0 } else { round.random.below(1 << scheme.side()) as u32 };
    let columns = Columns { rows, step, count, fill: round.random.next(), missing };
    both!(round, "vertical", 500, |out, Set| Set::vertical::<T, N>(bytes_a, &columns, out));
    let (pairs, groups) = (1 + round.random.below(5), 1 + round.random.below(5));
    let at = round.random.below(groups as u32) * 4;
    both!(round, "horizontal", pairs * scheme.slots() * groups * 4, |out, Set| Set::horizontal::<T, N>(
        a,
        out,
        at,
        groups * 4,
        pairs
    ));
    let (row, pixel) = (40 + round.random.below(100), 4 + round.random.below(6));
    let tiles = Tiles { at: [round.random.below(50), 400 + round.random.below(50)], row, pixel };
    let m: [i32; 288] = core::array::from_fn(|i| (a[i] as i32) >> (number % 3 * 6));
    let records: [u32; 32] = match scheme.record() {
        4 => core::array::from_fn(|i| records[i]),
        _ => core::array::from_fn(|i| if i % 8 < 3 { records[1 + i % 8] } else { w[i] }),
    };
    for relu in [false, true] {
        let mut records = records;
        if relu && scheme.record() == 8 && number % 2 == 0 {
            // As in models: the zero point is -128, and what is below it does not matter.
            for [multiplier, c, s, ..] in records.as_chunks_mut::<8>().0 {
                *multiplier &= i32::MAX as u32;
                *s = 6 + round.random.below(20) as u32;
                *c = (1u32 << (*s - 1)).wrapping_sub(128 << *s);
            }
        }
        both!(round, "output", 400, |out, Set| Set::output::<T, N>(&m, &records, relu, words_as_i8_mut(out), &tiles));
    }
    let lane = round.random.below(4);
    both!(round, "filter", 16 * groups * 8, |out, Set| Set::filter(&a[..9 * groups], out, lane, groups * 8));
}

/// Maps of a few lines, whole or in line buffers, some of their pixels padding.
fn depthwise_lines(round: &mut Round) {
    let (w, records, bytes_a) = (round.w, round.records, round.bytes_a);
    let mut below = |n: usize| round.random.below(n as u32);
    let (stride, before) = ([1 + below(3), 1 + below(2)], [below(3), below(4)]);
    let mut grid = |lines: usize, pixels: usize| {
        let (ring, pixel) = (1 + below(lines), 4 + below(5));
        Grid { lines, ring, line: pixels * pixel + below(5), pixels, pixel }
    };
    let shape = Lines {
        input: grid(1 + stride[0] * 3, 1 + stride[1] * 5),
        output: grid(4, 5 + before[1]),
        stride,
        before,
        zero: -7,
    };
    let first = below(4);
    let lines = first..first + 1 + below(4 - first);
    both!(round, "depthwise_lines", 100, |out, Set| {
        let mut x = [0; 12 * (2 * 5 + 1)];
        Set::depthwise_lines(
            &mut x,
            bytes_a,
            w.first_chunk().unwrap(),
            records.first_chunk().unwrap(),
            words_as_i8_mut(out),
            &shape,
            lines.clone(),
        )
    });
}

/// Rows of bytes, sums, and depthwise products.
fn bytes(round: &mut Round) {
    let (a, w, records, bytes_a) = (round.a, round.w, round.records, round.bytes_a);
    let (bytes_w, number) = (round.bytes_w, round.number);
    let (f, s) = (round.random.below(20), round.random.below(200));
    let (stride, step) = (round.random.below(400), 4 + round.random.below(60));
    let (groups, count, second) = (1 + round.random.below(5), 1 + round.random.below(30), round.random.below(3) * 37);
    let n = round.random.below(100);
    both!(round, "add_linear", 40, |out, Set| {
        out[..40].copy_from_slice(&a[..40]);
        Set::add_linear(
            &mut words_as_i8_mut(out)[3..3 + n],
            &bytes_w[s..s + n + f],
            &[records[0] as i32, records[4] as i32, records[8] as i32],
        )
    });
    // The sum by its definition, now and then with left shifts or rounded once.
    let factor = |i: usize| Multiplier {
        multiplier: (records[16 + 4 * i] >> 1) as i32,
        shift: if number % 5 == 4 { 1 } else { -((records[17 + 4 * i] & 31) as i32 & if i == 2 { 31 } else { 7 }) },
    };
    let stage = OutputStage {
        rounding: if number % 7 == 6 { Rounding::Single } else { Rounding::Double },
        zero_point: bytes_w[2].into(),
        clamp: Clamp { min: bytes_w[3].min(bytes_w[4]).into(), max: bytes_w[3].max(bytes_w[4]).into() },
    };
    let terms = AddTerms {
        zero_points: [bytes_w[0].into(), bytes_w[1].into()],
        factors: [factor(0), factor(1)],
        output_factor: factor(2),
        stage,
        linear: None,
    };
    both!(round, "add_rescaled", 40, |out, Set| {
        out[..40].copy_from_slice(&a[..40]);
        Set::add_rescaled(&mut words_as_i8_mut(out)[3..3 + n], &bytes_w[s..s + n + f], &terms)
    });
    both!(round, "max_into", 40, |out, Set| {
        out[..40].copy_from_slice(&a[..40]);
        Set::max_into(&mut words_as_i8_mut(out)[1..n + 1], &bytes_w[s..], &bytes_a[s + 7..])
    });
    both!(round, "max3", 40, |out, Set| Set::max3(
        &mut words_as_i8_mut(out)[1..],
        &bytes_a[f..f + n],
        &bytes_w[s..s + n],
        &bytes_a[s + 7..]
    ));
    both!(round, "clamp", 40, |out, Set| {
        out[..40].copy_from_slice(&a[..40]);
        Set::clamp(&mut words_as_i8_mut(out)[f..f + n], -(f as i8), s as i8 & 127)
    });
    both!(round, "copy", 100, |out, Set| Set::copy(&mut words_as_i8_mut(out)[f & 12..][..s], &bytes_a[4 * (n & 3)..]));
    both!(round, "move_down", 100, |out, Set| {
        out[..100].copy_from_slice(&a[..100]);
        Set::move_down(&mut words_as_i8_mut(out)[f & 5..][..s + 60], n & 60)
    });
    both!(round, "sum4", 4, |out, Set| Set::sum4(
        bytes_a,
        step,
        1 + count * 7,
        words_as_i32_mut(out).first_chunk_mut().unwrap()
    ));
    // Every fourth time the least sum that there is.
    let (sixteens, apart, pixels) =
        if number % 4 == 0 { (&LEAST[..], 16, 255) } else { (bytes_a, step, 1 + count * 7) };
    both!(round, "sum16", 16, |out, Set| Set::sum16(
        sixteens,
        apart,
        pixels,
        words_as_i32_mut(out).first_chunk_mut().unwrap()
    ));
    let k = if number % 3 == 0 { [3, 3] } else { [1 + round.random.below(5), 1 + round.random.below(5)] };
    let p =
        Pair { at: f, second: if number % 3 == 0 { step } else { round.random.below(100) }, out: second + 4 * groups };
    both!(round, "depthwise", 100, |out, Set| Set::depthwise(
        bytes_a,
        &TapGrid::new(k, stride, step),
        p,
        w,
        &records[..16 * groups],
        words_as_i8_mut(out)
    ));
    depthwise_lines(round);
    // Units by their definition, and as many of them as there is a loop for.
    let (inputs, units) = (4 * (1 + round.random.below(20)), 1 + round.random.below(20));
    let mut table = [[0u8; 12]; 20];
    for (i, entry) in table.iter_mut().enumerate() {
        let factor =
            Multiplier { multiplier: (records[4 * i] >> 1) as i32, shift: (records[4 * i + 1] % 34) as i32 - 31 };
        *entry = kinglet::Channel { bias: round.random.next() as i32 >> (i % 16), factor }.to_bytes();
    }
    let stage = OutputStage { rounding: Rounding::Double, ..terms.stage };
    let x = &bytes_a[f..f + inputs];
    let mut found = [0i8; 20];
    let done = Active::dense(x, bytes_w, &table, &stage, &mut found[..units]);
    for (i, (entry, found)) in table.iter().zip(found).take(done).enumerate() {
        let sum = Portable::dot(x, &bytes_w[i * inputs..][..inputs]);
        if found != stage.apply(sum, kinglet::Channel::from_bytes(entry)) {
            defmt::error!("block name=dense differs from its definition");
            round.differences += 1;
        }
    }
    let eights = 8 * (1 + units % 2);
    both!(round, "dense_pairs", 4, |out, Set| Set::dense_pairs(
        x,
        &w[..inputs / 4 * eights],
        &table,
        &stage,
        &mut words_as_i8_mut(out)[..eights]
    ));
    let rows = [0, 1, 2, 3].map(|_| {
        let start = round.random.below(1000);
        &bytes_w[start..start + n]
    });
    let x = &bytes_a[f..f + n];
    if Active::dot_1x4(x, rows) != Portable::dot_1x4(x, rows) {
        defmt::error!("block name=dot_1x4 differs from its definition");
        round.differences += 1;
    }
}
