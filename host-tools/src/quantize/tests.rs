use kinglet::DType;
use ndarray::{Array4, ArrayD, IxDyn, s};
use proptest::prelude::*;

use super::forward::NetRunner;
use super::*;
use crate::export;
use crate::files::IntArray;
use crate::graph::{Activation, Builder, Dims, NetworkRecipe, Op, Padding, Rearrange, Shape, Window};
use crate::simulate::{self, Images};

/// Pixels with some structure: blobs on a dark ground.
fn pixels(count: usize, shape: Shape) -> Array4<u8> {
    let (h, w, c) = (shape.h as usize, shape.w as usize, shape.c as usize);
    Array4::from_shape_fn((count, h, w, c), |(n, y, x, k)| {
        let hash = |i: usize| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / f64::from(1 << 24);
        let (cy, cx) = (hash(3 * n + 1) * h as f64, hash(3 * n + 2) * w as f64);
        let distance = ((y as f64 - cy).powi(2) + (x as f64 - cx).powi(2)) / (1.0 + 12.0 * hash(3 * n + 5));
        (230.0 * (-distance).exp() + 25.0 * hash(((n * h + y) * w + x) * c + k)) as u8
    })
}

/// Parameters with batch normalizations that are far from the identity.
fn params(graph: &Graph) -> Params {
    seeded(graph, 11)
}

/// The same with weights of another seed.
fn seeded(graph: &Graph, seed: u64) -> Params {
    let mut params = Params::init(graph, seed);
    for spec in graph.param_specs() {
        let wave = |i: usize, phase: f32| (i as f32 * 1.7 + phase).sin();
        let values = params.get_mut(&spec.name).unwrap();
        for (i, x) in values.iter_mut().enumerate() {
            match spec.name.rsplit('.').next() {
                Some("gamma") => *x = 1.0 + 0.4 * wave(i, 0.3),
                Some("beta") => *x = 0.2 * wave(i, 1.1),
                Some("mean") => *x = 0.3 * wave(i, 2.5),
                Some("variance") => *x = 1.0 + 0.8 * wave(i, 0.9),
                Some("bias") => *x = 0.1 * wave(i, 0.2),
                _ => {}
            }
        }
    }
    params
}

fn graph(name: &str) -> Graph {
    let recipe = NetworkRecipe::zoo(name);
    let channels = recipe.input().unwrap().c as usize;
    let labels: Vec<String> = (0..10).map(|i| i.to_string()).collect();
    recipe.build(&labels, &Preprocess { mean: vec![0.3; channels], std: vec![0.25; channels] }).unwrap()
}

/// Signal to quantization noise at the output, in decibels: float network against the exported model in the runtime.
fn decibels(graph: &Graph, calibration: Calibration) -> f64 {
    let params = params(graph);
    let pixels = pixels(48, graph.input);
    let reals = reals(&graph.preprocess, pixels.view()).unwrap();
    let batches = [reals.slice(s![..20, .., .., ..]).to_owned(), reals.slice(s![20.., .., .., ..]).to_owned()];
    let network = quantize(graph, &params, batches, &Options { calibration, ..Options::default() }).unwrap();
    network.validate().unwrap();
    let exported = export::to_bytes(&network, &Default::default()).unwrap();
    let model = kinglet::Model::new(&exported.bytes).unwrap();
    let outputs = simulate::run(model, &Images::Pixels(pixels)).unwrap();
    let folded = fold::fold(graph, &params).unwrap();
    let (mut signal, mut noise) = (0.0, 0.0);
    let runner = NetRunner::new(&folded);
    for (image, output) in reals.outer_iter().zip(outputs.rows()) {
        let float = runner.forward(image.as_slice().unwrap()).pop().unwrap();
        for (x, &q) in float.iter().zip(output) {
            signal += f64::from(*x).powi(2);
            noise += f64::from(x - model.output().quant.dequantize(q.into())).powi(2);
        }
    }
    10.0 * (signal / noise).log10()
}

#[test]
fn the_integer_network_says_what_the_float_network_says() {
    for name in ["digits-resnet", "digits-inception"] {
        let fixed = [Method::MinMax, Method::Mse, Method::Entropy, Method::Percentile(99.99)].map(Calibration::Fixed);
        for calibration in fixed.into_iter().chain([Calibration::Auto]) {
            let decibels = decibels(&graph(name), calibration);
            assert!(decibels > 24.0, "{name}, {calibration:?}: {decibels:.1} dB");
        }
    }
}

/// Every operator, and every way in which something cannot be folded.
fn unusual() -> Graph {
    let mut net = Builder::new("unusual", Shape::new(9, 7, 2)).unwrap();
    let first = net.batch_norm("first", net.input()).unwrap();
    let a = net.conv2d("a", first, 6, [3, 3], [1, 1], Padding::Same, true).unwrap();
    let before = net.batch_norm("before", a).unwrap();
    let relu = net.relu("relu", before).unwrap();
    // The sum reads what the activation reads, so that it cannot be fused.
    let sum = net.add("sum", before, relu).unwrap();
    let after = net.batch_norm("after", sum).unwrap();
    let depth = net.depthwise("depth", after, [3, 3], [2, 2], Padding::Same, false).unwrap();
    let depth = net.batch_norm("depth_bn", depth).unwrap();
    let depth = net.add_node("relu6", Op::Activate(Activation::Relu6), &[depth]).unwrap();
    let pad = net
        .add_node("pad", Op::Rearrange(Rearrange::Pad { before: [1, 0, 0], after: [0, 1, 0], value: 0.0 }), &[depth])
        .unwrap();
    let pool = net.average_pool("pool", pad, [3, 3], [1, 1], Padding::Same).unwrap();
    let max = net.max_pool("max", pad, [2, 2], [1, 1], Padding::Same).unwrap();
    let joint = net.concat("joint", &[pool, max, pad]).unwrap();
    let joint = net.relu("joint_relu", joint).unwrap();
    let flat = net.flatten("flat", joint).unwrap();
    let dense = net.dense("dense", flat, 12, false).unwrap();
    let dense = net.batch_norm("dense_bn", dense).unwrap();
    let dense = net.relu("dense_relu", dense).unwrap();
    net.dense("logits", dense, 5, true).unwrap();
    let mut graph = net.finish();
    graph.preprocess = Preprocess { mean: vec![0.2, 0.4], std: vec![0.3, 0.2] };
    graph
}

#[test]
fn what_cannot_be_folded_keeps_its_meaning() {
    let graph = unusual();
    let folded = fold::fold(&graph, &params(&graph)).unwrap();
    let names: Vec<&str> = folded.nodes.iter().skip(1).map(|node| node.name.as_str()).collect();
    let left = ["first", "a", "relu", "sum", "after", "depth", "pad", "pool", "max", "joint", "joint_relu"];
    assert_eq!(names[..11], left);
    assert_eq!(names[11..], ["flat", "dense", "logits"]);
    let decibels = decibels(&graph, Calibration::default());
    assert!(decibels > 22.0, "{decibels:.1} dB");
}

#[test]
fn folding_is_the_formula_of_batch_normalization() {
    let mut net = Builder::new("n", Shape::new(5, 4, 3)).unwrap();
    let conv = net.conv2d("conv", net.input(), 4, [3, 3], [1, 1], Padding::Same, true).unwrap();
    net.batch_norm("bn", conv).unwrap();
    let graph = net.finish();
    let params = params(&graph);
    let image: Vec<f32> = (0..60).map(|i| (i as f32 * 0.7).sin()).collect();
    let normalized = NetRunner::new(&fold::fold(&graph, &params).unwrap()).forward(&image).pop().unwrap();

    let mut alone = graph.clone();
    alone.nodes.truncate(conv.0 + 1);
    alone.outputs = vec![conv];
    let convolved = NetRunner::new(&fold::fold(&alone, &params).unwrap()).forward(&image).pop().unwrap();
    let of = |name: &str, c: usize| f64::from(params.get(&format!("bn.{name}")).unwrap()[c]);
    for (i, (&x, &found)) in convolved.iter().zip(&normalized).enumerate() {
        let c = i % 4;
        let deviation = (of("variance", c) + f64::from(crate::graph::EPSILON)).sqrt();
        let expected = of("gamma", c) * (f64::from(x) - of("mean", c)) / deviation + of("beta", c);
        assert!((expected - f64::from(found)).abs() < 1e-4, "{i}: {found}, expected {expected}");
    }
}

#[test]
fn concatenated_values_share_one_quantization() {
    let graph = graph("digits-inception");
    let reals = reals(&graph.preprocess, pixels(8, graph.input).view()).unwrap();
    let network = quantize(&graph, &params(&graph), [reals], &Options::default()).unwrap();
    let mut joints = 0;
    for node in network.nodes.iter().filter(|node| node.op == Op::Concat) {
        joints += 1;
        for &input in &node.inputs {
            assert!(network.tensors[input].quant.same(network.tensors[node.output].quant));
        }
    }
    assert_eq!(joints, 3);
}

#[test]
fn bad_calibration_data_is_refused() {
    let graph = graph("digits-resnet");
    let message = |batches: Vec<Array4<f32>>| {
        quantize(&graph, &params(&graph), batches, &Options::default()).unwrap_err().to_string()
    };
    let good = reals(&graph.preprocess, pixels(4, graph.input).view()).unwrap();
    let empty = message(vec![]);
    assert!(empty.contains("0 images"), "{empty}");
    let one = message(vec![good.slice(s![..1, .., .., ..]).to_owned()]);
    assert!(one.contains("1 images"), "{one}");
    let mut broken = good.clone();
    broken[[2, 3, 3, 0]] = f32::NAN;
    let nan = message(vec![good.clone(), broken]);
    assert!(nan.contains("image 6") && nan.contains("NaN"), "{nan}");
    let shape = message(vec![good.slice(s![.., .., 1.., ..]).to_owned()]);
    assert!(shape.contains("[8, 7, 1]") && shape.contains("[8, 8, 1]"), "{shape}");

    let mut diverged = params(&graph);
    diverged.insert("logits.bias", ArrayD::from_elem(IxDyn(&[10]), f32::INFINITY));
    let weights = quantize(&graph, &diverged, [good], &Options::default()).unwrap_err().to_string();
    assert!(weights.contains("`logits.bias`"), "{weights}");
}

/// The float network against one whose rounding is only pretended, at the output, in decibels.
fn fake_decibels(folded: &Graph<Real>, quants: &[kinglet::QuantParams], images: &[Vec<f32>]) -> f64 {
    let [float, rounded] = [folded, &fake::network(folded, quants)].map(NetRunner::new);
    let noise = images.iter().fold(fake::Noise::default(), |mut noise, image| {
        let values = rounded.rounded(image, fake::round(quants));
        noise.add(float.forward(image).last().unwrap(), values.last().unwrap());
        noise
    });
    noise.decibels()
}

#[test]
fn equalization_keeps_the_function_and_saves_uneven_layers() {
    // A depthwise layer whose channels differ by a factor of 300, made up for by the layer after it.
    let mut net = Builder::new("uneven", Shape::new(8, 8, 2)).unwrap();
    let a = net.conv2d("a", net.input(), 8, [3, 3], [1, 1], Padding::Same, true).unwrap();
    let a = net.relu("a_relu", a).unwrap();
    let pool = net.max_pool("pool", a, [2, 2], [2, 2], Padding::Valid).unwrap();
    let b = net.conv2d("b", pool, 6, [3, 3], [1, 1], Padding::Same, true).unwrap();
    let b = net.relu("b_relu", b).unwrap();
    let mean = net.add_node("mean", Op::Mean, &[b]).unwrap();
    net.dense("logits", mean, 4, true).unwrap();
    let mut graph = net.finish();
    graph.preprocess = Preprocess { mean: vec![0.2, 0.4], std: vec![0.3, 0.2] };
    let mut params = params(&graph);
    let factor = |channel: usize| 300f32.powf(channel as f32 / 7.0);
    params.get_mut("a.weight").unwrap().iter_mut().enumerate().for_each(|(i, w)| *w *= factor(i / 18));
    params.get_mut("a.bias").unwrap().iter_mut().enumerate().for_each(|(c, w)| *w *= factor(c));
    params.get_mut("b.weight").unwrap().iter_mut().enumerate().for_each(|(i, w)| *w /= factor(i % 8));

    let folded = fold::fold(&graph, &params).unwrap();
    let mut equal = folded.clone();
    assert_eq!(equalize::equalize(&mut equal), 2);
    let reals = reals(&graph.preprocess, pixels(32, graph.input).view()).unwrap();
    let images: Vec<Vec<f32>> = reals.outer_iter().map(|image| image.iter().copied().collect()).collect();
    let runners = [&folded, &equal].map(NetRunner::new);
    for image in &images {
        let [a, b] = runners.each_ref().map(|runner| runner.forward(image).pop().unwrap());
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-4 * (1.0 + a.abs())), "{a:?} {b:?}");
    }
    let decibels = |equalize: bool| {
        let options = Options { equalize, ..Options::default() };
        let network = quantize(&graph, &params, [reals.clone()], &options).unwrap();
        let quants: Vec<_> = network.tensors.iter().map(|tensor| tensor.quant).collect();
        fake_decibels(if equalize { &equal } else { &folded }, &quants, &images)
    };
    let (without, with) = (decibels(false), decibels(true));
    assert!(with > without + 6.0, "{without:.1} dB, equalized {with:.1} dB");
    // The report is one of the network that is exported.
    let reported = |equalize: bool| {
        let options = Options { equalize, ..Options::default() };
        let prepared = Prepared::new(&graph, &params, [reals.clone()], &options).unwrap();
        report::measure(&prepared, DType::I8, &images, &[0; 32]).layers.last().unwrap().decibels
    };
    assert!((reported(true) - with).abs() < 1e-6 && (reported(false) - without).abs() < 1e-6);
}

#[test]
fn bias_correction_takes_the_mean_error_away() {
    let graph = graph("digits-resnet");
    let params = params(&graph);
    let folded = fold::fold(&graph, &params).unwrap();
    let reals = reals(&graph.preprocess, pixels(24, graph.input).view()).unwrap();
    let images: Vec<Vec<f32>> = reals.outer_iter().map(|image| image.iter().copied().collect()).collect();
    let network = quantize(&graph, &params, [reals], &Options::default()).unwrap();
    let quants: Vec<_> = network.tensors.iter().map(|tensor| tensor.quant).collect();
    let mut corrected = folded.clone();
    equalize::correct_bias(&mut corrected, &quants, &images);
    let logits = folded.nodes.iter().rposition(|node| node.op.weights().is_some()).unwrap();
    let mean_error = |network: &Graph<Real>| {
        let [float, rounded] = [&folded, &fake::network(network, &quants)].map(NetRunner::new);
        let mut errors = [0.0; 10];
        for image in &images {
            let values = rounded.rounded(image, fake::round(&quants));
            let float = &float.forward(image)[logits];
            errors.iter_mut().zip(float).zip(&values[logits]).for_each(|((e, x), y)| *e += f64::from(y - x) / 24.0);
        }
        errors.iter().map(|e| e.abs()).sum::<f64>()
    };
    let (before, after) = (mean_error(&folded), mean_error(&corrected));
    assert!(after < 0.6 * before, "{before} before, {after} after");
}

#[test]
fn calibrations_have_names() {
    assert_eq!("auto".parse(), Ok(Calibration::Auto));
    assert_eq!("percentile:99.5".parse(), Ok(Calibration::Fixed(Method::Percentile(99.5))));
    assert!("percentile:3".parse::<Calibration>().unwrap_err().contains("min-max"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    /// Whatever the network and however odd some of the images: on images that the search did not see, its ranges are as good as
    /// those of the best method by itself.
    #[test]
    fn auto_is_never_worse_than_a_method(seed in any::<u64>(), count in 2usize..40, odd in 0usize..4, factor in 1f32..40.0) {
        let mut net = Builder::new("net", Shape::new(6, 6, 2)).unwrap();
        let a = net.conv2d("a", net.input(), 6, [3, 3], [1, 1], Padding::Same, true).unwrap();
        let a = net.relu("a_relu", a).unwrap();
        let b = net.conv2d("b", a, 6, [3, 3], [1, 1], Padding::Same, true).unwrap();
        let b = net.add("sum", a, b).unwrap();
        let pool = net.max_pool("pool", a, [3, 3], [1, 1], Padding::Same).unwrap();
        let joint = net.concat("joint", &[pool, b]).unwrap();
        let mean = net.add_node("mean", Op::Mean, &[joint]).unwrap();
        let logits = net.dense("logits", mean, 5, true).unwrap();
        if seed % 2 == 0 {
            net.add_node("softmax", Op::Softmax { beta: 1.0 }, &[logits]).unwrap();
        }
        let mut graph = net.finish();
        graph.preprocess = Preprocess { mean: vec![0.2, 0.4], std: vec![0.3, 0.2] };
        let params = seeded(&graph, seed);
        let mut reals = reals(&graph.preprocess, pixels(count, graph.input).view()).unwrap();
        for mut image in reals.outer_iter_mut().skip(seed as usize % 7).step_by(7).take(odd) {
            image.mapv_inplace(|x| x * factor);
        }
        let folded = fold::fold(&graph, &params).unwrap();
        let images: Vec<Vec<f32>> = reals.outer_iter().map(|image| image.iter().copied().collect()).collect();
        let [_, unseen] = auto::parts(&folded, &images);
        let loss = |calibration| {
            let options = Options { calibration, ..Options::default() };
            let prepared = Prepared::new(&graph, &params, [reals.clone()], &options).unwrap();
            auto::loss(&folded, &prepared.quants, &unseen)
        };
        let found = loss(Calibration::Auto);
        for method in auto::METHODS {
            let alone = loss(Calibration::Fixed(method));
            prop_assert!(found <= alone, "{found}, {method:?} {alone}");
        }
    }
}

/// Images are spaced evenly however many there are, and all of few are kept.
#[test]
fn kept_images_are_spread_over_all() {
    for (count, first) in [(1, vec![0]), (5, vec![0, 1, 2, 3, 4]), (512, vec![0, 4, 8]), (100_000, vec![0, 1024, 2048])]
    {
        let mut kept = Kept::default();
        (0..count).for_each(|image| kept.add(|| vec![image as f32]));
        let kept = kept.finish();
        assert!(kept.len() <= KEPT && kept.len() >= (KEPT / 2).min(count), "{} of {count}", kept.len());
        assert!(kept.iter().zip(first).all(|(image, first)| image[0] == first as f32), "{count}");
    }
}

/// Parts of a map are no numbers of their own: they share the scale, and the elements are the same.
#[test]
fn parts_are_not_rounded_again() {
    let mut net = Builder::new("net", Shape::new(4, 4, 4)).unwrap();
    let part = Op::Conv2d { window: Window::global([1, 1]), weights: Dims { channels: 2, bias: true } };
    let x = net.add_node("part", part, &[net.input()]).unwrap();
    net.flatten("flat", x).unwrap();
    let graph = net.finish();
    let mut params = Params::init(&graph, 5);
    let picked = ArrayD::from_shape_vec(IxDyn(&[2, 1, 1, 4]), vec![0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0]).unwrap();
    params.insert("part.weight", picked);
    let pixels = pixels(4, graph.input);
    let reals = reals(&graph.preprocess, pixels.view()).unwrap();
    let network = quantize(&graph, &params, [reals], &Options::default()).unwrap();
    assert!(network.tensors.iter().all(|tensor| tensor.quant == network.tensors[0].quant));
    let exported = export::to_bytes(&network, &Default::default()).unwrap();
    let model = kinglet::Model::new(&exported.bytes).unwrap();
    let elements =
        Array4::from_shape_fn((4, 4, 4, 4), |(n, y, x, c)| ((((n * 4 + y) * 4 + x) * 4 + c) % 256) as u8 as i8);
    let images = Images::new(IntArray::Signed(elements.clone().into_dyn()), &model.input(), None).unwrap();
    let outputs = simulate::run(model, &images).unwrap();
    let expected = elements.rows().into_iter().flat_map(|pixel| [pixel[2], pixel[0]]);
    assert!(outputs.iter().copied().eq(expected.map(i16::from)));
}

/// What follows a softmax without computing takes its scale.
#[test]
fn softmax_may_be_reshaped() {
    let mut net = Builder::new("net", Shape::new(4, 4, 3)).unwrap();
    let x = net.dense("dense", net.input(), 4, true).unwrap();
    let x = net.add_node("softmax", Op::Softmax { beta: 1.0 }, &[x]).unwrap();
    net.add_node("square", Op::Reshape(Shape::new(2, 2, 1)), &[x]).unwrap();
    let graph = net.finish();
    let reals = reals(&graph.preprocess, pixels(4, graph.input).view()).unwrap();
    let network = quantize(&graph, &Params::init(&graph, 5), [reals], &Options::default()).unwrap();
    assert_eq!(network.output().quant, kinglet::ops::Softmax::OUTPUT);
    network.validate().unwrap();
}
