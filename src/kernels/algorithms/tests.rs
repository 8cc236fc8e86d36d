//! Every algorithm against the definition of a convolution, over random shapes.

use proptest::prelude::*;

use super::conv_gemm::Width;
use super::winograd::{Scheme, When};
use super::{ConvAlgorithm, Layer, Map, conv_gemm, conv_tiled, depthwise, depthwise_rows, pack_winograd, winograd};
use crate::kernels::blocks::{F2, F4, S2};
use crate::kernels::{Active, Portable};
use crate::quant::{Channel, Multiplier};
use crate::uses::Dynamic;
use crate::window::Window;

/// The most rows and columns of a feature map, and the most channels that are not [`WIDE`]; Miri takes a thousand times as long.
const MOST: [usize; 3] = if cfg!(miri) { [6, 7, 6] } else { [14, 19, 13] };
/// Channels of whole registers.
const WIDE: [usize; 3] = if cfg!(miri) { [8, 8, 9] } else { [16, 32, 36] };

/// A convolution with its data.
#[derive(Clone, Debug)]
struct Case {
    layer: Layer,
    input: Vec<i8>,
    weights: Vec<i8>,
    channels: Vec<Channel>,
    split: usize,
}

/// `round(x * m / 2^(31 - shift))` with TensorFlow Lite's double rounding, in wide integers.
fn rescale(x: i64, Multiplier { multiplier, shift }: Multiplier) -> i64 {
    let m = i64::from(multiplier);
    let x = x << shift.max(0);
    let doubled = (x * m + (1 << 30)).div_euclid(1 << 31);
    let divisor = 1i64 << (-shift).max(0);
    let (magnitude, sign) = (doubled.abs(), doubled.signum());
    if divisor == 1 { doubled } else { sign * ((2 * magnitude + divisor) / (2 * divisor)) }
}

fn oracle(case: &Case) -> Vec<i8> {
    let Case { layer, input, weights, channels, .. } = case;
    let (i, o, w) = (layer.input, layer.output, layer.window);
    let [kh, kw] = w.kernel.map(|k| k as usize);
    let mut out = vec![77; o.h * o.row_bytes()];
    for (y, x, c) in (0..o.h).flat_map(|y| (0..o.w).flat_map(move |x| (0..o.c).map(move |c| (y, x, c)))) {
        let mut sum = i64::from(channels[c].bias);
        for (ky, kx, k) in (0..kh).flat_map(|ky| (0..kw).flat_map(move |kx| (0..i.c).map(move |k| (ky, kx, k)))) {
            let iy = (y * w.stride[0] as usize + ky) as i64 - i64::from(w.before[0]);
            let ix = (x * w.stride[1] as usize + kx) as i64 - i64::from(w.before[1]);
            let inside = (0..i.h as i64).contains(&iy) && (0..i.w as i64).contains(&ix);
            let at = (iy * i.w as i64 + ix) * i.pitch as i64 + k as i64;
            let value = if inside { input[at as usize] } else { layer.zero_in };
            sum += i64::from(value) * i64::from(weights[((c * kh + ky) * kw + kx) * i.c + k]);
        }
        let scaled = rescale(sum, channels[c].factor) + i64::from(layer.zero_out);
        let clamped = scaled.clamp(layer.low.into(), layer.high.into());
        out[(y * o.w + x) * o.pitch + c] = clamped as i8;
    }
    out
}

/// Runs `algorithm` in two pieces, over scratch full of garbage.
fn run(
    case: &Case,
    scratch: usize,
    algorithm: impl Fn(&[i8], &mut [i8], &mut [u32], core::ops::Range<usize>),
) -> Vec<i8> {
    let o = case.layer.output;
    let mut out = vec![77; o.h * o.row_bytes()];
    let mut scratch = vec![0xdead_beef; scratch];
    let split = case.split.min(o.h);
    algorithm(&case.input, &mut out, &mut scratch, 0..split);
    algorithm(&case.input, &mut out, &mut scratch, split..o.h);
    out
}

/// The outputs of an algorithm over the portable blocks, and over those of this host.
macro_rules! run_on_both {
    ($case:expr, $scratch:expr, |$set:ident| $algorithm:expr) => {
        [
            {
                type $set = Portable;
                run($case, $scratch, $algorithm)
            },
            {
                type $set = Active;
                run($case, $scratch, $algorithm)
            },
        ]
    };
}

/// A byte, often an extreme one.
fn byte() -> impl Strategy<Value = i8> {
    prop_oneof![3 => any::<i8>(), 1 => Just(i8::MIN), 1 => Just(i8::MAX)]
}

fn bytes(n: usize) -> impl Strategy<Value = Vec<i8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<i8>(), n),
        1 => prop::collection::vec(byte(), n),
        1 => prop::collection::vec(prop_oneof![Just(i8::MIN), Just(i8::MAX)], n),
        1 => byte().prop_map(move |v| vec![v; n]),
    ]
}

fn width() -> impl Strategy<Value = Width> {
    prop_oneof![Just(Width::Bits16), Just(Width::Bits8), Just(Width::Paired), Just(Width::Bytes)]
}

fn channel(exact: bool) -> impl Strategy<Value = Channel> {
    let multiplier = prop_oneof![8 => (1 << 30)..=i32::MAX, 1 => Just(1 << 30), 1 => Just(i32::MAX), 1 => Just(0), 1 => Just(1_610_612_736)];
    let shift = if exact { -31..3 } else { -17..-4 };
    // Channels that are never active, too.
    let huge = if exact { 1 } else { 0 };
    let bias_and_shift = prop_oneof![
        8 => (-100_000i32..100_000, shift),
        huge => ((1 << 30) - 200..(1 << 30) + 200, -31..-20),
    ];
    (bias_and_shift, multiplier)
        .prop_map(|((bias, shift), multiplier)| Channel { bias, factor: Multiplier { multiplier, shift } })
}

prop_compose! {
    fn geometry(kernel: core::ops::Range<u32>, stride: core::ops::Range<u32>, square: bool)
        (k in [kernel.clone(), kernel], s in [stride.clone(), stride], pad in [0u32..3, 0..3, 0..3, 0..3],
         size in [1..=MOST[0], 1..=MOST[1]], c in prop_oneof![1 => 1..=MOST[2], 3 => prop::sample::select(&WIDE[..])], out in 1..=MOST[2],
         gaps in [prop_oneof![Just(0usize), 0usize..5], prop_oneof![Just(0usize), 0usize..5]]) -> (Window, [usize; 6]) {
        let (k, s) = if square { ([k[0]; 2], [s[0]; 2]) } else { (k, s) };
        let before = [pad[0].min(k[0] - 1), pad[1].min(k[1] - 1)];
        let after = [pad[2].min(k[0] - 1), pad[3].min(k[1] - 1)];
        (Window { kernel: k, stride: s, before, after }, [size[0], size[1], c, c + gaps[0], out, out + gaps[1]])
    }
}

fn case(
    kernel: core::ops::Range<u32>,
    stride: core::ops::Range<u32>,
    square: bool,
    exact: bool,
) -> impl Strategy<Value = Case> {
    geometry(kernel, stride, square)
        .prop_filter_map("the window fits", |(window, size)| {
            let [h, w, ..] = size;
            window.output([h as u32, w as u32]).map(|out| (window, size, out))
        })
        .prop_flat_map(move |(window, [h, w, c, pitch, out, out_pitch], [oh, ow])| {
            let input = Map { h, w, c, pitch, ring: h };
            let output = Map { h: oh as usize, w: ow as usize, c: out, pitch: out_pitch, ring: oh as usize };
            let taps = window.taps_len() as usize * c;
            let clamp = prop_oneof![3 => Just((i8::MIN, i8::MAX)), 1 => (byte(), byte())];
            let zeros = (byte(), prop_oneof![1 => Just(i8::MIN), 2 => byte()]);
            let data = (bytes(h * w * pitch), bytes(taps * out), prop::collection::vec(channel(exact), out));
            (zeros, clamp, data, 0..=oh as usize).prop_map(move |((zero_in, zero_out), (a, b), data, split)| {
                let (low, high) = (a.min(b), a.max(b));
                let layer = Layer { input, output, window, zero_in, zero_out, low, high };
                let (input, weights, channels) = data;
                Case { layer, input, weights, channels, split }
            })
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 160 }))]

    #[test]
    fn gemm_is_the_convolution(case in case(1..6, 1..4, false, false), width in width()) {
        prop_assume!(conv_gemm::supports(&case.layer, width));
        prop_assume!(width != Width::Paired || conv_gemm::are_paired(&case.layer, &case.weights));
        let packed = conv_gemm::pack(&case.layer, width, &case.weights, &case.channels);
        prop_assert_eq!(packed.len(), conv_gemm::packed_words(&case.layer, width));
        let out = run_on_both!(&case, conv_gemm::scratch_words(&case.layer, width), |B| |input, output, scratch, rows| {
            conv_gemm::run::<B, Dynamic>(&case.layer, width, &packed, input, output, scratch, rows);
        });
        let expected = oracle(&case);
        prop_assert_eq!(out, [expected.clone(), expected]);
    }

    #[test]
    fn gemm_is_the_convolution_with_any_constants(case in case(1..4, 1..3, false, true), width in width()) {
        prop_assume!(conv_gemm::supports(&case.layer, width) && width != Width::Paired);
        let packed = conv_gemm::pack(&case.layer, width, &case.weights, &case.channels);
        let out = run_on_both!(&case, conv_gemm::scratch_words(&case.layer, width), |B| |input, output, scratch, rows| {
            conv_gemm::run::<B, Dynamic>(&case.layer, width, &packed, input, output, scratch, rows);
        });
        let expected = oracle(&case);
        prop_assert_eq!(out, [expected.clone(), expected]);
    }

    #[test]
    fn tiles_are_the_convolution(
        case in prop_oneof![case(1..6, 1..4, false, false), case(1..2, 1..2, false, false)],
        (rows, parts) in (1u32..5, 1u32..5),
        paired: bool,
    ) {
        prop_assume!(conv_tiled::supports(&case.layer));
        prop_assume!(!paired || conv_gemm::are_paired(&case.layer, &case.weights));
        let tiled = if paired { ConvAlgorithm::TiledPaired { rows, parts } } else { ConvAlgorithm::Tiled { rows, parts } };
        let packed = tiled.pack(&case.layer, &case.weights, &case.channels).expect("constants qualify");
        let packed: Vec<u32> = packed.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word)).collect();
        let packing = tiled.packing().unwrap();
        let out = run_on_both!(&case, packing.scratch_bytes(&case.layer) / 4, |B| |input, output, scratch, rows| {
            packing.run::<B, Dynamic>(&case.layer, &packed, input, output, scratch, rows);
        });
        let expected = oracle(&case);
        prop_assert_eq!(out, [expected.clone(), expected]);
    }

    #[test]
    fn winograd4_is_the_convolution(case in case(3..4, 1..2, true, false)) {
        let (scheme, when) = (Scheme::F4, When::Export);
        prop_assume!(winograd::supports(&case.layer, scheme));
        let packed = pack_winograd::pack(&case.layer, scheme, when, &case.weights, &case.channels).expect("constants qualify");
        prop_assert_eq!(packed.len(), winograd::packed_words(&case.layer, scheme, when));
        let out = run_on_both!(&case, winograd::scratch_words(&case.layer, scheme, when), |B| |input, output, scratch, rows| {
            winograd::run::<F4, _, B, Dynamic, false>(&case.layer, when, &packed, input, output, scratch, rows);
        });
        let expected = oracle(&case);
        prop_assert_eq!(out, [expected.clone(), expected]);
    }

    #[test]
    fn winograd2_is_the_convolution(case in case(3..4, 1..2, true, false)) {
        let (scheme, when) = (Scheme::F2, When::Export);
        prop_assume!(winograd::supports(&case.layer, scheme));
        let packed = pack_winograd::pack(&case.layer, scheme, when, &case.weights, &case.channels).expect("constants qualify");
        prop_assert_eq!(packed.len(), winograd::packed_words(&case.layer, scheme, when));
        let out = run_on_both!(&case, winograd::scratch_words(&case.layer, scheme, when), |B| |input, output, scratch, rows| {
            winograd::run::<F2, _, B, Dynamic, false>(&case.layer, when, &packed, input, output, scratch, rows);
        });
        let expected = oracle(&case);
        prop_assert_eq!(out, [expected.clone(), expected]);
    }

    #[test]
    fn winograd2_at_run_time_is_the_convolution(case in case(3..4, 1..2, true, false), rows in 1usize..4) {
        let (scheme, when) = (Scheme::F2, When::RunTime(rows));
        prop_assume!(winograd::supports(&case.layer, scheme));
        let packed = pack_winograd::pack(&case.layer, scheme, when, &case.weights, &case.channels).expect("constants qualify");
        prop_assert_eq!(packed.len(), winograd::packed_words(&case.layer, scheme, when));
        let out = run_on_both!(&case, winograd::scratch_words(&case.layer, scheme, when), |B| |input, output, scratch, rows| {
            winograd::run::<F2, _, B, Dynamic, true>(&case.layer, when, &packed, input, output, scratch, rows);
        });
        let expected = oracle(&case);
        prop_assert_eq!(out, [expected.clone(), expected]);
    }

    #[test]
    fn stride2_is_the_convolution(case in case(3..4, 2..3, true, false)) {
        let (scheme, when) = (Scheme::S2, When::Export);
        prop_assume!(winograd::supports(&case.layer, scheme));
        let packed = pack_winograd::pack(&case.layer, scheme, when, &case.weights, &case.channels).expect("constants qualify");
        prop_assert_eq!(packed.len(), winograd::packed_words(&case.layer, scheme, when));
        let out = run_on_both!(&case, winograd::scratch_words(&case.layer, scheme, when), |B| |input, output, scratch, rows| {
            winograd::run::<S2, _, B, Dynamic, false>(&case.layer, when, &packed, input, output, scratch, rows);
        });
        let expected = oracle(&case);
        prop_assert_eq!(out, [expected.clone(), expected]);
    }

    #[test]
    fn depthwise_is_the_convolution_of_each_channel(
        case in prop_oneof![case(1..5, 1..4, false, false), case(3..4, 1..3, false, false)],
    ) {
        let mut case = case;
        let c = case.layer.input.c;
        prop_assume!(c >= 4);
        case.layer.output = Map { c, pitch: c + 3, ..case.layer.output };
        let taps = case.layer.window.taps_len() as usize;
        // As a convolution whose other weights are zero.
        let weights: Vec<i8> = case.weights.iter().copied().cycle().take(taps * c).collect();
        case.channels = case.channels.iter().copied().cycle().take(c).collect();
        case.weights = (0..c * taps * c).map(|i| match (i / (taps * c), i / c % taps, i % c) {
            (o, tap, k) if o == k => weights[tap * c + o],
            _ => 0,
        }).collect();
        if depthwise_rows::supports(&case.layer) {
            let packed = depthwise_rows::pack(&case.layer, &weights, &case.channels).expect("constants qualify");
            prop_assert_eq!(packed.len(), depthwise_rows::packed_words(&case.layer));
            let out = run_on_both!(&case, depthwise_rows::scratch_words(&case.layer), |B| |input, output, scratch, rows| {
                depthwise_rows::run::<B>(&case.layer, &packed, input, output, scratch, rows);
            });
            let expected = oracle(&case);
            prop_assert_eq!(out, [expected.clone(), expected]);
        }
        let packed = depthwise::pack(&case.layer, &weights, &case.channels).expect("constants qualify");
        prop_assert_eq!(packed.len(), depthwise::packed_words(&case.layer));
        let out = run_on_both!(&case, depthwise::scratch_words(&case.layer), |B| |input, output, scratch, rows| {
            depthwise::run::<B>(&case.layer, &packed, input, output, scratch, rows);
        });
        let expected = oracle(&case);
        prop_assert_eq!(out, [expected.clone(), expected]);
    }
}
