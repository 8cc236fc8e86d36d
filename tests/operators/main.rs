//! Every operator against TensorFlow Lite's definition, on random shapes, windows, numbers and memory layouts.

#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod oracle;
mod run;

use kinglet::kernels::Portable;
use kinglet::kernels::algorithms::{self as layer, Layer};
use kinglet::kernels::blocks;
use kinglet::ops::{
    Add, AveragePool2d, Concat, Conv2d, ConvAlgorithm, Dense, DepthwiseAlgorithm, DepthwiseConv2d, Digit, Encoding,
    L2Norm, MaxPool2d, Mean, Mul, Op, Pad, Prelu, Rearrange, Reshape, ResizeBilinear, ResizeNearest, Softmax, Sub,
    Weights,
};
use kinglet::quant::requantize;
use kinglet::sys::cast;
use kinglet::{Activation, Channel, Channels, Clamp, DType, Multiplier, QuantParams, Rounding, Shape, Window};
use oracle::{Factor, Map, Output, Taps};
use proptest::prelude::*;

/// Elements of every kind: anything, only the extremes, only small ones.
fn elements(len: usize) -> impl Strategy<Value = Vec<i8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<i8>(), len),
        1 => prop::collection::vec(prop::sample::select(vec![-128i8, 127]), len),
        1 => prop::collection::vec(-3i8..=3, len),
    ]
}

fn zero_point() -> impl Strategy<Value = i32> {
    prop_oneof![3 => -128..=127, 1 => Just(-128), 1 => Just(127), 1 => Just(0)]
}

fn scale() -> impl Strategy<Value = f32> {
    prop_oneof![8 => 1e-4f32..2.0, 1 => 1e-9f32..1e9]
}

/// A map with height and width up to `size` and up to `channels` channels.
fn map(size: usize, channels: usize) -> impl Strategy<Value = Map> {
    (1..=size, 1..=size, 1..=channels).prop_flat_map(|(h, w, c)| filled([h, w, c]))
}

fn filled(shape: [usize; 3]) -> impl Strategy<Value = Map> {
    (elements(shape.iter().product()), scale(), zero_point()).prop_map(move |(data, scale, zero_point)| Map {
        shape,
        scale,
        zero_point,
        data,
    })
}

/// Two maps that broadcast: along each axis either may have extent 1.
fn spreadable() -> impl Strategy<Value = (Map, Map)> {
    let shape = (1usize..=5, 1usize..=4, 1usize..=40);
    (shape, any::<[[bool; 3]; 2]>(), 0.01f32..1.0, 0.01f32..1.0).prop_flat_map(|((h, w, c), ones, x, y)| {
        let shape = |which: usize| [0, 1, 2].map(|axis| if ones[which][axis] { 1 } else { [h, w, c][axis] });
        let scaled = |which, scale| filled(shape(which)).prop_map(move |map| Map { scale, ..map });
        (scaled(0, x), scaled(1, y))
    })
}

fn taps() -> impl Strategy<Value = Taps> {
    let axis = || (1usize..=4, 1usize..=3, 0usize..4, 0usize..4);
    (axis(), axis()).prop_map(|((k, s, b, a), (l, t, c, d))| Taps {
        kernel: [k, l],
        stride: [s, t],
        before: [b % k, c % l],
        after: [a % k, d % l],
    })
}

fn window(taps: &Taps) -> Window {
    let pair = |[a, b]: [usize; 2]| [a as u32, b as u32];
    Window { kernel: pair(taps.kernel), stride: pair(taps.stride), before: pair(taps.before), after: pair(taps.after) }
}

/// A factor as networks have them, or any valid one.
fn factor() -> impl Strategy<Value = Factor> {
    prop_oneof![
        6 => (1 << 30..=i32::MAX, -12..=-4),
        1 => (1 << 30..=i32::MAX, -4..=2),
        1 => (0..=i32::MAX, -31..=30),
    ]
}

fn channel() -> impl Strategy<Value = (i32, Factor)> {
    (prop_oneof![8 => -20_000..=20_000, 1 => any::<i32>()], factor())
}

fn output() -> impl Strategy<Value = Output> {
    let clamp = prop_oneof![2 => Just((-128, 127)), 1 => (-128..=127, -128..=127)];
    (zero_point(), any::<bool>(), clamp).prop_map(|(zero_point, twice, (a, b))| Output {
        zero_point,
        twice,
        min: a.min(b),
        max: a.max(b),
    })
}

fn rounding(output: &Output) -> Rounding {
    if output.twice { Rounding::Double } else { Rounding::Single }
}

fn clamp(output: &Output) -> Clamp {
    Clamp { min: output.min, max: output.max }
}

fn quant(output: &Output, scale: f32) -> QuantParams {
    QuantParams { scale, zero_point: output.zero_point }
}

/// The table that an exporter writes: zero points folded into the biases.
fn table(channels: &[(i32, Factor)], input: &Map, sum: impl Fn(usize) -> i32) -> Vec<u8> {
    let entry = |(i, &(bias, (multiplier, shift))): (usize, &(i32, Factor))| {
        Channel::folded(bias, input.zero_point, sum(i), Multiplier { multiplier, shift }).to_bytes()
    };
    channels.iter().enumerate().flat_map(entry).collect()
}

/// Every encoding of weights.
fn encodings() -> impl Strategy<Value = Encoding> {
    (0u32..=4).prop_map(|code| Encoding::from_code(code).unwrap())
}

/// Weights that an encoding holds, from any.
fn held(encoding: Encoding, weights: &[i8]) -> Vec<i8> {
    const COLORS: [i8; 16] = [0, -128, 127, 1, -7, 30, 90, -60, 8, -9, 2, 64, -100, 5, 17, -33];
    let color = |weight: i8, bits: u8| COLORS[usize::from(weight as u8) % (1 << bits)];
    let of = |&weight: &i8| match encoding {
        Encoding::Nibbles => weight >> 4,
        Encoding::Palette { bits } => color(weight, bits),
        _ => weight,
    };
    weights.iter().map(of).collect()
}

/// Bytes as words, which start where narrow weights must.
fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word)).collect()
}

fn sum<'w, W: Copy + Into<i32> + 'w>(weights: impl IntoIterator<Item = &'w W>) -> i32 {
    weights.into_iter().map(|&w| w.into()).sum()
}

/// A convolution's input, window, weights for `outputs` channels.
fn convolution(outputs: usize) -> impl Strategy<Value = (Map, Taps, Vec<i8>, Vec<(i32, Factor)>)> {
    (map(7, 9), taps(), 1..=outputs)
        .prop_filter("the window fits", |(input, taps, _)| taps.output(input).is_some())
        .prop_flat_map(|(input, taps, outputs)| {
            let len = outputs * taps.kernel[0] * taps.kernel[1] * input.shape[2];
            (Just(input), Just(taps), elements(len), prop::collection::vec(channel(), outputs))
        })
}

proptest! {
    #[test]
    fn requantize_rounds_as_defined(acc in any::<i32>(), factor in factor(), twice in any::<bool>()) {
        let (multiplier, shift) = factor;
        let rounding = if twice { Rounding::Double } else { Rounding::Single };
        prop_assert_eq!(requantize(acc, Multiplier { multiplier, shift }, rounding), oracle::scaled(acc, factor, twice));
    }

    /// Halves and their neighbors, where the rounding modes part.
    #[test]
    fn requantize_rounds_ties_as_defined(
        whole in -300i64..300, off in -2i64..=2, shift in -12i32..=0, power in 0u32..=30, twice in any::<bool>(),
    ) {
        let multiplier = 1 << power;
        let unit = (1i64 << 31) >> power << -shift;
        let acc = (whole * unit + unit / 2 + off) as i32;
        let rounding = if twice { Rounding::Double } else { Rounding::Single };
        let found = requantize(acc, Multiplier { multiplier, shift }, rounding);
        prop_assert_eq!(found, oracle::scaled(acc, (multiplier, shift), twice));
    }

    #[test]
    fn multipliers_are_tensorflow_lites(real in prop_oneof![1e-12f64..2.0, 0.0f64..1e12, any::<f64>()]) {
        match Multiplier::from_real(real) {
            Some(found) => {
                prop_assert!(found.is_valid());
                prop_assert_eq!((found.multiplier, found.shift), oracle::factor(real));
            }
            None => prop_assert!(!real.is_finite() || real < 0.0),
        }
    }

    #[test]
    fn activation_ranges_are_tensorflow_lites(scale in scale(), zero_point in zero_point()) {
        let quant = QuantParams { scale, zero_point };
        let bound = |real: f32| (f64::from(zero_point) + f64::from((real / scale).round())).clamp(-128.0, 127.0) as i32;
        for (activation, min, max) in [
            (Activation::None, -128, 127),
            (Activation::Relu, bound(0.0), 127),
            (Activation::Relu6, bound(0.0), bound(6.0)),
            (Activation::ReluN1To1, bound(-1.0), bound(1.0)),
        ] {
            let clamp = Clamp::activation(activation, quant, DType::I8);
            prop_assert_eq!(clamp, Clamp { min, max });
            prop_assert!(clamp.is_valid(DType::I8));
        }
    }

    #[test]
    fn conv2d((input, taps, weights, channels) in convolution(9), output in output()) {
        let expected = oracle::conv(&input, &taps, &weights, &channels, &output);
        let k = weights.len() / channels.len();
        let table = table(&channels, &input, |c| sum(&weights[c * k..][..k]));
        let op = Op::Conv2d(Conv2d {
            algorithm: ConvAlgorithm::Direct,
            window: window(&taps),
            rounding: rounding(&output),
            clamp: clamp(&output),
            weights: (&weights).into(),
            channels: Channels::new(&table).unwrap(),
        });
        let [h, w] = taps.output(&input).unwrap();
        let shape = run::shape([h, w, channels.len()]);
        run::check::<Portable>(&op, &[&input], (shape, quant(&output, 1.0)), &expected);
    }

    /// Every algorithm that takes a layer, with the windows that they are made for.
    #[test]
    fn conv2d_by_every_algorithm(
        (input, taps, weights, channels) in
            (map(11, 13), prop::sample::select(vec![(3, 1), (3, 2), (1, 1), (1, 2), (5, 1)]), any::<bool>(), 1usize..=10)
                .prop_map(|(input, (kernel, stride), padded, outputs)| {
                    let pad = if padded { kernel / 2 } else { 0 };
                    let taps = Taps { kernel: [kernel; 2], stride: [stride; 2], before: [pad; 2], after: [pad; 2] };
                    (input, taps, outputs)
                })
                .prop_filter("the window fits", |(input, taps, _)| taps.output(input).is_some())
                .prop_flat_map(|(input, taps, outputs)| {
                    let len = outputs * taps.kernel[0] * taps.kernel[1] * input.shape[2];
                    (Just(input), Just(taps), elements(len), prop::collection::vec(channel(), outputs))
                }),
        mut output in output(), tile_rows in 1u32..4, encoding in encodings(),
    ) {
        output.twice = true;
        let weights = held(encoding, &weights);
        let expected = oracle::conv(&input, &taps, &weights, &channels, &output);
        let k = weights.len() / channels.len();
        let table = table(&channels, &input, |c| sum(&weights[c * k..][..k]));
        let channels = Channels::new(&table).unwrap();
        let [h, w] = taps.output(&input).unwrap();
        let (shape, quant) = (run::shape([h, w, channels.len()]), quant(&output, 1.0));
        let layer = Layer {
            input: layer::Map::dense(input.shape[0], input.shape[1], input.shape[2]),
            output: layer::Map::dense(h, w, channels.len()),
            window: window(&taps),
            zero_in: input.zero_point as i8,
            zero_out: output.zero_point as i8,
            low: output.min as i8,
            high: output.max as i8,
        };
        let tiles = [tile_rows << 8 | 1 << 16, 1 << 8 | tile_rows << 16];
        let codes = [0, 1, 2, 3, 4 | tile_rows << 8, 5, 6, 7, 8 | tiles[0], 8 | tiles[1], 9, 10 | tiles[0], 10 | tiles[1]];
        for algorithm in codes.into_iter().filter_map(ConvAlgorithm::from_code) {
            let entries: Vec<Channel> = channels.iter().collect();
            let packed = match encoding {
                Encoding::Plain => algorithm.pack(&layer, &weights, &entries),
                narrow => algorithm.pack_narrow(&layer, &weights, &entries, narrow),
            };
            let Some(packed) = packed else { continue };
            // Weights start at a multiple of 16 bytes, as in a file.
            let mut room = vec![0i8; packed.len() + 16];
            let start = room.as_ptr().align_offset(16);
            room[start..start + packed.len()].iter_mut().zip(&packed).for_each(|(to, &from)| *to = from as i8);
            let op = Op::Conv2d(Conv2d {
                algorithm,
                window: window(&taps),
                rounding: Rounding::Double,
                clamp: clamp(&output),
                weights: Weights { bytes: &room[start..start + packed.len()], encoding },
                channels,
            });
            run::check::<Portable>(&op, &[&input], (shape, quant), &expected);
        }
    }

    #[test]
    fn depthwise_conv2d(
        (input, taps, multiplier) in (map(6, 40), taps(), 1usize..=3)
            .prop_filter("the window fits", |(input, taps, _)| taps.output(input).is_some()),
        output in output(), seed in any::<u64>(),
    ) {
        let outputs = input.shape[2] * multiplier;
        let mut random = seed | 1;
        let mut next = || {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 33) as i32
        };
        let weights: Vec<i8> = (0..taps.kernel[0] * taps.kernel[1] * outputs).map(|_| next() as i8).collect();
        let channels: Vec<(i32, Factor)> =
            (0..outputs).map(|_| (next() % 20_000 - 10_000, ((1 << 30) + next() / 2, -4 - next() % 8))).collect();
        let expected = oracle::depthwise(&input, &taps, &weights, &channels, &output);
        let table = table(&channels, &input, |c| sum(weights[c..].iter().step_by(outputs)));
        let conv = DepthwiseConv2d {
            algorithm: DepthwiseAlgorithm::Direct,
            window: window(&taps),
            rounding: rounding(&output),
            clamp: clamp(&output),
            weights: (&weights).into(),
            channels: Channels::new(&table).unwrap(),
        };
        let [h, w] = taps.output(&input).unwrap();
        let to = (run::shape([h, w, outputs]), quant(&output, 1.0));
        run::check::<Portable>(&Op::DepthwiseConv2d(conv), &[&input], to, &expected);
    }

    /// The direct algorithm, and that over packed weights, of weights of fewer bits than eight.
    #[test]
    fn depthwise_conv2d_of_narrow_weights(
        (input, taps, outputs, weights, channels) in (map(6, 21), taps(), 1usize..=3)
            .prop_filter("the window fits", |(input, taps, _)| taps.output(input).is_some())
            .prop_flat_map(|(input, taps, multiplier)| {
                let outputs = input.shape[2] * multiplier;
                let len = taps.kernel[0] * taps.kernel[1] * outputs;
                (Just(input), Just(taps), Just(outputs), elements(len), prop::collection::vec(channel(), outputs))
            }),
        output in output(), encoding in encodings(),
    ) {
        prop_assume!(encoding != Encoding::Plain);
        let weights = held(encoding, &weights);
        let expected = oracle::depthwise(&input, &taps, &weights, &channels, &output);
        let table = table(&channels, &input, |c| sum(weights[c..].iter().step_by(outputs)));
        let channels = Channels::new(&table).unwrap();
        let [h, w] = taps.output(&input).unwrap();
        let layer = Layer {
            input: layer::Map::dense(input.shape[0], input.shape[1], input.shape[2]),
            output: layer::Map::dense(h, w, outputs),
            window: window(&taps),
            zero_in: input.zero_point as i8,
            zero_out: output.zero_point as i8,
            low: output.min as i8,
            high: output.max as i8,
        };
        let entries: Vec<Channel> = channels.iter().collect();
        let packed = (output.twice && layer::depthwise::supports(&layer))
            .then(|| layer::narrow::pack_depthwise(&layer, &weights, &entries, encoding))
            .flatten();
        let stored = [
            encoding.pack_rows(&weights, outputs).map(|rows| (DepthwiseAlgorithm::Direct, words(&rows))),
            packed.map(|packed| (DepthwiseAlgorithm::Packed, words(&packed))),
        ];
        for (algorithm, stored) in stored.into_iter().flatten() {
            let op = Op::DepthwiseConv2d(DepthwiseConv2d {
                algorithm,
                window: window(&taps),
                rounding: rounding(&output),
                clamp: clamp(&output),
                weights: Weights { bytes: cast::words_as_i8(&stored), encoding },
                channels,
            });
            run::check::<Portable>(&op, &[&input], (run::shape([h, w, outputs]), quant(&output, 1.0)), &expected);
        }
    }

    #[test]
    fn dense(
        (input, weights, channels) in (map(4, 30), 1usize..=11).prop_flat_map(|(input, units)| {
            let len = input.data.len() * units;
            (Just(input), elements(len), prop::collection::vec(channel(), units))
        }),
        output in output(), encoding in encodings(),
    ) {
        let weights = held(encoding, &weights);
        let expected = oracle::dense(&input, &weights, &channels, &output);
        let k = input.data.len();
        let table = table(&channels, &input, |c| sum(&weights[c * k..][..k]));
        let channels = Channels::new(&table).unwrap();
        let stored = encoding.pack_rows(&weights, k).map(|rows| words(&rows));
        let bytes = stored.as_ref().map_or(&weights[..], |stored| cast::words_as_i8(stored));
        let weights = Weights { bytes, encoding };
        let op = Op::Dense(Dense { rounding: rounding(&output), clamp: clamp(&output), weights, channels });
        run::check::<Portable>(&op, &[&input], (Shape::vector(channels.len() as u32), quant(&output, 1.0)), &expected);
    }

    /// Weights of two bytes: those of a uint8 model less their zero point.
    #[test]
    fn weights_of_two_bytes(
        (input, taps, weights, channels) in convolution(9), zero_point in 0i16..=255, output in output(),
    ) {
        let weights: Vec<i16> = weights.iter().map(|&weight| i16::from(weight) + 128 - zero_point).collect();
        let [h, w] = taps.output(&input).unwrap();
        let (window, rounding, clamp) = (window(&taps), rounding(&output), clamp(&output));
        let check = |shape, weights: &[i16], table: &[u8], expected: &[i8], op: &dyn for<'w> Fn(Weights<'w>, Channels<'w>) -> Op<'w>| {
            let bytes: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).chain([0; 2]).collect();
            let stored = words(&bytes);
            let bytes = &cast::words_as_i8(&stored)[..2 * weights.len()];
            let op = op(Weights { bytes, encoding: Encoding::Halfwords }, Channels::new(table).unwrap());
            run::check::<Portable>(&op, &[&input], (shape, quant(&output, 1.0)), expected);
        };

        let k = weights.len() / channels.len();
        let of_rows = table(&channels, &input, |c| sum(&weights[c * k..][..k]));
        let expected = oracle::conv(&input, &taps, &weights, &channels, &output);
        let algorithm = ConvAlgorithm::Direct;
        check(run::shape([h, w, channels.len()]), &weights, &of_rows, &expected, &|weights, channels| {
            Op::Conv2d(Conv2d { algorithm, window, rounding, clamp, weights, channels })
        });

        let k = input.data.len();
        let others: Vec<i16> = weights.iter().copied().cycle().take(k * channels.len()).collect();
        let of_rows = table(&channels, &input, |c| sum(&others[c * k..][..k]));
        let expected = oracle::dense(&input, &others, &channels, &output);
        check(Shape::vector(channels.len() as u32), &others, &of_rows, &expected, &|weights, channels| {
            Op::Dense(Dense { rounding, clamp, weights, channels })
        });

        let outputs = input.shape[2] * 2;
        let channels: Vec<(i32, Factor)> = channels.iter().copied().cycle().take(outputs).collect();
        let taken = taps.kernel[0] * taps.kernel[1] * outputs;
        let others: Vec<i16> = weights.iter().copied().cycle().take(taken).collect();
        let of_columns = table(&channels, &input, |c| sum(others[c..].iter().step_by(outputs)));
        let expected = oracle::depthwise(&input, &taps, &others, &channels, &output);
        let algorithm = DepthwiseAlgorithm::Direct;
        check(run::shape([h, w, outputs]), &others, &of_columns, &expected, &|weights, channels| {
            Op::DepthwiseConv2d(DepthwiseConv2d { algorithm, window, rounding, clamp, weights, channels })
        });
    }

    #[test]
    fn dense_of_pairs(
        (input, weights, channels) in (1usize..=9, 1usize..=2).prop_flat_map(|(fours, eights)| {
            let (inputs, units) = (4 * fours, 8 * eights);
            (filled([1, 1, inputs]), elements(inputs * units), prop::collection::vec(channel(), units))
        }),
        output in output(),
    ) {
        // The least weight has no place beside another.
        let weights: Vec<i8> = weights.iter().map(|&weight| weight.max(-127)).collect();
        let output = Output { twice: true, ..output };
        let expected = oracle::dense(&input, &weights, &channels, &output);
        let k = input.data.len();
        let table = table(&channels, &input, |c| sum(&weights[c * k..][..k]));
        let stored = words(&blocks::dense::pack(&weights, k).unwrap());
        let (weights, channels) = (Weights::paired(cast::words_as_i8(&stored)), Channels::new(&table).unwrap());
        let op = Op::Dense(Dense { rounding: Rounding::Double, clamp: clamp(&output), weights, channels });
        run::check::<Portable>(&op, &[&input], (Shape::vector(channels.len() as u32), quant(&output, 1.0)), &expected);
    }

    #[test]
    fn pools(
        (input, taps) in (map(7, 40), taps())
            .prop_filter("the window fits", |(input, taps)| taps.output(input).is_some()),
        output in output(),
    ) {
        let [h, w] = taps.output(&input).unwrap();
        let shape = run::shape([h, w, input.shape[2]]);
        let (window, clamp) = (window(&taps), clamp(&output));
        for (op, largest) in [
            (Op::MaxPool2d(MaxPool2d { window, clamp }), true),
            (Op::AveragePool2d(AveragePool2d { window, clamp }), false),
        ] {
            let expected = oracle::pool(&input, &taps, largest, output.min, output.max);
            run::check::<Portable>(&op, &[&input], (shape, run::quant(&input)), &expected);
        }
    }

    #[test]
    fn mean(input in map(9, 40), zero_point in zero_point(), twice in any::<bool>(), ratio in 0.01f32..4.0) {
        let scale = input.scale * ratio;
        let output = Output { zero_point, twice, min: -128, max: 127 };
        let expected = oracle::mean(&input, &output, scale);
        let pixels = (input.shape[0] * input.shape[1]) as u32;
        let mean = Mean::new(run::quant(&input), quant(&output, scale), pixels, rounding(&output)).unwrap();
        let shape = Shape::vector(input.shape[2] as u32);
        run::check::<Portable>(&Op::Mean(mean), &[&input], (shape, quant(&output, scale)), &expected);
    }

    #[test]
    fn add(
        (a, b) in map(6, 20).prop_flat_map(|a| { let shape = a.shape; (Just(a), filled(shape)) }),
        output in output(), ratio in 1e-5f32..100.0,
    ) {
        let scale = a.scale.max(b.scale) * ratio;
        let expected = oracle::add(&a, &b, &output, scale);
        let quant = quant(&output, scale);
        let add = Add::new(run::quant(&a), run::quant(&b), quant, DType::I8, rounding(&output), clamp(&output)).unwrap();
        run::check::<Portable>(&Op::Add(add), &[&a, &b], (run::shape(a.shape), quant), &expected);
    }

    /// Operands are spread along axes of extent 1: the same as with operands that were spread before.
    #[test]
    fn broadcasting((a, b) in spreadable(), output in output(), ratio in 1e-2f32..2.0) {
        let shape = [0, 1, 2].map(|axis| a.shape[axis].max(b.shape[axis]));
        let [whole_a, whole_b] = [&a, &b].map(|map| oracle::spread(map, shape));
        let scale = a.scale.max(b.scale) * ratio;
        let quants = (run::quant(&a), run::quant(&b), quant(&output, scale));
        let (rounding, clamp) = (rounding(&output), clamp(&output));
        let add = Add::new(quants.0, quants.1, quants.2, DType::I8, rounding, clamp).unwrap();
        let expected = oracle::add(&whole_a, &whole_b, &output, scale);
        let out = (run::shape(shape), quants.2);
        for add in [add, add.linearized(quants.0, quants.1, quants.2)] {
            run::check::<Portable>(&Op::Add(add), &[&a, &b], out, &expected);
        }
        let mul = Mul::new(quants.0, quants.1, quants.2, rounding, clamp).unwrap();
        let expected = oracle::mul(&whole_a, &whole_b, &output, scale);
        run::check::<Portable>(&Op::Mul(mul), &[&a, &b], out, &expected);
        let sub = Sub::new(quants.0, quants.1, quants.2, DType::I8, rounding, clamp).unwrap();
        let expected = oracle::sub(&whole_a, &whole_b, &output, scale);
        run::check::<Portable>(&Op::Sub(sub), &[&a, &b], out, &expected);
    }

    #[test]
    fn prelu(
        (input, slopes, each) in (map(5, 20), any::<bool>()).prop_flat_map(|(input, each)| {
            let shape = if each { input.shape } else { [1, 1, input.shape[2]] };
            (Just(input), filled(shape), Just(each))
        }),
        output in output(), ratio in 0.1f32..4.0,
    ) {
        let (mut slopes, scale) = (slopes, input.scale * ratio);
        slopes.scale = 0.0123;
        let expected = oracle::prelu(&input, &slopes, &output, scale);
        let out = (run::shape(input.shape), quant(&output, scale));
        let quants = [run::quant(&input), run::quant(&slopes)];
        let prelu = Prelu::new(quants[0], quants[1], out.1, rounding(&output), clamp(&output)).unwrap();
        prop_assert!(each || slopes.data.len() == input.shape[2]);
        run::check::<Portable>(&Op::Prelu(Prelu { slopes: &slopes.data, ..prelu }), &[&input], out, &expected);
    }

    #[test]
    fn softmax(mut input in map(3, 40), beta in prop_oneof![Just(1.0f32), 0.1f32..3.0], scale in 1e-4f32..20.0) {
        input.scale = scale;
        let expected = oracle::softmax(&input, beta);
        let softmax = Softmax::new(run::quant(&input), beta).unwrap();
        let output = (run::shape(input.shape), Softmax::OUTPUT);
        run::check::<Portable>(&Op::Softmax(softmax), &[&input], output, &expected);
        // And it is a softmax: within the two units that the fixed point steps cost.
        for (pixel, found) in input.data.chunks(input.shape[2]).zip(expected.chunks(input.shape[2])) {
            let largest = f64::from(*pixel.iter().max().unwrap());
            let exp = |&x: &i8| ((f64::from(x) - largest) * f64::from(scale) * f64::from(beta)).exp();
            let sum: f64 = pixel.iter().map(exp).sum();
            for (x, &found) in pixel.iter().zip(found) {
                let ideal = (exp(x) / sum * 256.0 - 128.0).min(127.0);
                prop_assert!((f64::from(found) - ideal).abs() <= 2.0, "{found} for {ideal}");
            }
        }
    }

    #[test]
    fn l2_norm(input in map(3, 40), twice in any::<bool>()) {
        let expected = oracle::l2_norm(&input, twice);
        let norm = L2Norm { rounding: if twice { Rounding::Double } else { Rounding::Single } };
        let output = (run::shape(input.shape), L2Norm::OUTPUT);
        run::check::<Portable>(&Op::L2Norm(norm), &[&input], output, &expected);
        // And it is a vector of length 1, within a unit.
        for (pixel, found) in input.data.chunks(input.shape[2]).zip(expected.chunks(input.shape[2])) {
            let real = |&x: &i8| f64::from(i32::from(x) - input.zero_point);
            let length = pixel.iter().map(|x| real(x).powi(2)).sum::<f64>().sqrt().max(1.0);
            for (x, &found) in pixel.iter().zip(found) {
                let ideal = (real(x) / length * 128.0).min(127.0);
                prop_assert!((f64::from(found) - ideal).abs() <= 1.0, "{found} for {ideal}");
            }
        }
    }

    #[test]
    fn copies(input in map(6, 20), flat in any::<bool>()) {
        let same = (run::shape(input.shape), run::quant(&input));
        run::check::<Portable>(&Op::Concat(Concat), &[&input], same, &input.data);
        let [h, w, c] = input.shape;
        let shape = if flat { [1, 1, h * w * c] } else { [w, c, h] };
        let reshaped = (run::shape(shape), run::quant(&input));
        run::check::<Portable>(&Op::Reshape(Reshape), &[&input], reshaped, &input.data);
    }

    #[test]
    fn pad(
        input in map(5, 9), before in [0usize..3, 0usize..3, 0usize..3], after in [0usize..3, 0usize..3, 0usize..3],
        value in any::<i8>(),
    ) {
        let expected = oracle::pad(&input, before, after, value);
        let words = |pad: [usize; 3]| pad.map(|n| n as u32);
        let pad = Pad { before: words(before), after: words(after), value: value.into() };
        let shape = [0, 1, 2].map(|axis| before[axis] + input.shape[axis] + after[axis]);
        run::check::<Portable>(&Op::Pad(pad), &[&input], (run::shape(shape), run::quant(&input)), &expected);
    }

    #[test]
    fn rearrange(
        (block, input) in (1usize..=3).prop_flat_map(|block| {
            (Just(block), (1usize..=3, 1usize..=3, 1usize..=5).prop_flat_map(move |(h, w, c)| {
                filled([h * block, w * block, c * block * block])
            }))
        }),
        axes in Just([0usize, 1, 2]).prop_shuffle(),
    ) {
        let [h, w, c] = input.shape;
        let digit = |extent: usize, axis: usize, stride: usize| {
            Digit { extent: extent as u32, axis: axis as u32, stride: stride as u32 }
        };
        let check = |digits: &[&[Digit]; 3], shape: [usize; 3], expected: &[i8]| {
            let bytes: Vec<u8> = digits.iter().flat_map(|digits| digits.iter().flat_map(|d| d.to_bytes())).collect();
            let counts = digits.map(|digits| digits.len() as u32);
            let op = Op::Rearrange(Rearrange { first: [0; 3], counts, digits: &bytes });
            run::check::<Portable>(&op, &[&input], (run::shape(shape), run::quant(&input)), expected);
        };
        let deep = c / (block * block);
        check(
            &[&[digit(h, 0, 1), digit(block, 2, block * deep)], &[digit(w, 1, 1), digit(block, 2, deep)], &[digit(deep, 2, 1)]],
            [h * block, w * block, deep],
            &oracle::depth_to_space(&input, block),
        );
        check(
            &[
                &[digit(h / block, 0, block)],
                &[digit(w / block, 1, block)],
                &[digit(block, 0, 1), digit(block, 1, 1), digit(c, 2, 1)],
            ],
            [h / block, w / block, c * block * block],
            &oracle::space_to_depth(&input, block),
        );
        let turned = axes.map(|axis| [digit(input.shape[axis], axis, 1)]);
        let shape = axes.map(|axis| input.shape[axis]);
        check(&turned.each_ref().map(|digits| &digits[..]), shape, &oracle::transpose(&input, axes));
    }

    #[test]
    fn resize_nearest(input in map(7, 5), size in [1usize..16, 1usize..16], align_corners: bool, half_pixel_centers: bool) {
        let expected = oracle::resize_nearest(&input, size, align_corners, half_pixel_centers);
        let size_of = size.map(|n| n as u32);
        let resize = Op::ResizeNearest(ResizeNearest { size: size_of, align_corners, half_pixel_centers });
        let shape = run::shape([size[0], size[1], input.shape[2]]);
        run::check::<Portable>(&resize, &[&input], (shape, run::quant(&input)), &expected);
    }

    #[test]
    fn resize_bilinear(input in map(7, 5), size in [1usize..16, 1usize..16], settings in 0..3) {
        let (align_corners, half_pixel_centers) = (settings == 1, settings == 2);
        let expected = oracle::resize_bilinear(&input, size, align_corners, half_pixel_centers);
        let shape = run::shape([size[0], size[1], input.shape[2]]);
        let resize = ResizeBilinear::new(run::shape(input.shape), [shape.h, shape.w], align_corners, half_pixel_centers);
        run::check::<Portable>(&Op::ResizeBilinear(resize.unwrap()), &[&input], (shape, run::quant(&input)), &expected);
    }
}

proptest! {
    // The search for a linear form tries all pairs of inputs.
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 24 }))]

    #[test]
    fn add_by_a_linear_form(
        (a, b) in map(6, 20).prop_flat_map(|a| { let shape = a.shape; (Just(a), filled(shape)) }),
        mut output in output(), scales in [0.02f32..0.1, 0.02f32..0.1, 0.05f32..0.2],
    ) {
        let (mut a, mut b) = (a, b);
        (output.twice, output.min, output.max) = (true, -128, 127);
        (a.scale, b.scale) = (scales[0], scales[1]);
        let quant = quant(&output, scales[2]);
        let (left, right) = (run::quant(&a), run::quant(&b));
        let add = Add::new(left, right, quant, DType::I8, Rounding::Double, clamp(&output)).unwrap();
        let add = add.linearized(left, right, quant);
        let expected = oracle::add(&a, &b, &output, scales[2]);
        run::check::<Portable>(&Op::Add(add), &[&a, &b], (run::shape(a.shape), quant), &expected);
    }
}

/// From a sum of exponentials of 512 on, TensorFlow Lite stops with an error; every probability rounds to 0.
#[test]
fn softmax_of_many_equal_channels_is_zero() {
    let input = Map { shape: [1, 1, 5000], scale: 0.1, zero_point: 0, data: vec![9; 5000] };
    let softmax = Op::Softmax(Softmax::new(run::quant(&input), 1.0).unwrap());
    run::check::<Portable>(&softmax, &[&input], (Shape::vector(5000), Softmax::OUTPUT), &[-128; 5000]);
}
