use kinglet::{Model, ops};
use ndarray::{Array4, ArrayD, IxDyn};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::integers::Integers;
use super::*;
use crate::export;
use crate::graph::{
    Activation, Block, Branch, Builder, Graph, Head, NetworkRecipe, NodeId, Norm, Op, Padding, Params, Preprocess,
    Rearrange, Shape,
};
use crate::layers::{self, Mode, Targets, Taught};
use crate::quantize::fold::fold;
use crate::quantize::{self, Options, Prepared, trained};
use crate::simulate::{self, Images};

fn uniform(rng: &mut ChaCha8Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * (rng.next_u32() as f32 / u32::MAX as f32)
}

/// Weights as after initialization, everything else off its special starting point.
fn params(graph: &Graph, seed: u64) -> Params {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut params = Params::init(graph, seed);
    for spec in graph.param_specs().into_iter().filter(|spec| !spec.decays) {
        let (low, high) = if spec.name.ends_with("variance") { (0.3, 2.0) } else { (-0.6, 0.6) };
        let shift = if spec.name.ends_with("gamma") { 0.9 } else { 0.0 };
        let array = params.get_mut(&spec.name).unwrap();
        array.iter_mut().for_each(|x| *x = shift + uniform(&mut rng, low, high));
    }
    params
}

fn pixels(count: usize, shape: Shape, seed: u64) -> Array4<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let dims = (count, shape.h as usize, shape.w as usize, shape.c as usize);
    // Whole images are darker or brighter, so that not all activations look alike.
    let mut top = 0;
    Array4::from_shape_fn(dims, |(_, y, x, c)| {
        if (y, x, c) == (0, 0, 0) {
            top = 40 + rng.next_u32() % 216;
        }
        (rng.next_u32() % top) as u8
    })
}

fn built(input: [u32; 3], head: Head, blocks: Vec<Block>) -> Graph {
    let recipe =
        NetworkRecipe { name: Some("net".into()), input: Some(input), blocks, head, ..NetworkRecipe::default() };
    let labels: Vec<String> = (0..10).map(|class| class.to_string()).collect();
    let channels = input[2] as usize;
    recipe.build(&labels, &Preprocess { mean: vec![0.3; channels], std: vec![0.25; channels] }).unwrap()
}

fn conv(filters: u32, norm: Norm) -> Block {
    Block::Conv { filters, kernel: 3, stride: 1, norm }
}

fn residual(filters: u32, stride: u32, norm: Norm) -> Block {
    Block::Residual { filters, stride, shortcut: true, norm }
}

fn inception(without: Option<Branch>, pool: u32) -> Block {
    Block::Inception { one: 4, three_reduce: 3, three: 6, five_reduce: 0, five: 4, pool, without }
}

/// Every block that recipes have, and both heads.
fn networks() -> Vec<Graph> {
    use Norm::{Batch, None as Plain};
    vec![
        built([8, 8, 1], Head::Average, vec![conv(8, Batch), residual(8, 1, Batch), residual(12, 2, Batch)]),
        built([9, 7, 3], Head::Average, vec![conv(6, Plain), residual(6, 1, Plain), residual(8, 2, Plain)]),
        built(
            [8, 8, 1],
            Head::Average,
            vec![
                conv(8, Batch),
                inception(None, 4),
                Block::MaxPool { kernel: 3, stride: 2 },
                inception(None, 0),
                inception(Some(Branch::Three), 5),
            ],
        ),
        built(
            [10, 9, 3],
            Head::Flatten,
            vec![
                Block::Separable { filters: 12, stride: 1 },
                Block::AveragePool { kernel: 3, stride: 2 },
                Block::Bottleneck { filters: 4, stride: 1, shortcut: true },
                Block::Bottleneck { filters: 4, stride: 1, shortcut: true },
                Block::Dense { units: 16 },
            ],
        ),
        // So many products in a sum that single precision could not hold it.
        built([24, 24, 1], Head::Flatten, vec![conv(16, Batch)]),
        unusual(),
    ]
}

/// What recipes make no use of but the quantizer knows: an activation by itself, padding by itself, ReLU6, a lone batch
/// normalization, two in a row.
fn unusual() -> Graph {
    let mut net = Builder::new("unusual", Shape::new(9, 7, 2)).unwrap();
    let first = net.batch_norm("first", net.input()).unwrap();
    let a = net.conv2d("a", first, 6, [3, 3], [1, 1], Padding::Same, true).unwrap();
    let before = net.batch_norm("before", a).unwrap();
    let before = net.batch_norm("again", before).unwrap();
    let relu = net.relu("relu", before).unwrap();
    let sum = net.add("sum", before, relu).unwrap();
    let six = net.add_node("six", Op::Activate(Activation::Relu6), &[sum]).unwrap();
    let depth = net.depthwise("depth", six, [3, 3], [2, 2], Padding::Same, false).unwrap();
    let depth = net.batch_norm("depth_bn", depth).unwrap();
    let pad = net
        .add_node("pad", Op::Rearrange(Rearrange::Pad { before: [1, 0, 0], after: [0, 1, 0], value: 0.0 }), &[depth])
        .unwrap();
    let pool = net.average_pool("pool", pad, [3, 3], [1, 1], Padding::Same).unwrap();
    let max = net.max_pool("max", pad, [2, 2], [1, 1], Padding::Same).unwrap();
    let joint = net.concat("joint", &[pool, max, pad]).unwrap();
    let joint = net.relu("joint_relu", joint).unwrap();
    let resize = ops::ResizeBilinear::new(Shape::new(6, 5, 18), [4, 7], false, true).unwrap();
    let resized = net.add_node("resized", Op::ResizeBilinear(resize), &[joint]).unwrap();
    let flat = net.flatten("flat", resized).unwrap();
    net.dense("logits", flat, 5, true).unwrap();
    let mut graph = net.finish();
    graph.preprocess = Preprocess { mean: vec![0.2, 0.4], std: vec![0.3, 0.2] };
    graph
}

/// The same parameters with ranges: those that calibration finds, `width` times as wide.
fn with_ranges(graph: &Graph, mut params: Params, width: f32) -> Params {
    let reals = quantize::reals(&graph.preprocess, pixels(12, graph.input, 99).view()).unwrap();
    let prepared = Prepared::new(graph, &params, [reals], &Options::default()).unwrap();
    for (value, quant) in prepared.quants.iter().enumerate() {
        let width = if value == 0 { 1.0 } else { width };
        let ends = [-128, 127].map(|q| quant.dequantize(q) * width);
        trained::insert(&mut params, &prepared.float.nodes[value].name, ends);
    }
    params
}

#[test]
fn the_forward_pass_is_the_runtime_s_integer_for_integer() {
    let mut wide = 0;
    for (seed, graph) in networks().into_iter().enumerate() {
        for (width, narrow) in [(0.5, false), (1.0, false), (1.7, false), (1.0, true)] {
            let mut params = with_ranges(&graph, params(&graph, seed as u64), width);
            if narrow {
                for node in graph.nodes.iter().filter(|node| node.op.weights().is_some()) {
                    trained::insert_steps(&mut params, &graph, &node.name).unwrap();
                }
            }
            let images = pixels(24, graph.input, seed as u64);
            let found = outputs(&graph, &params, &images.view()).unwrap();
            let unseen: [Array4<f32>; 0] = [];
            let network = quantize::quantize(&graph, &params, unseen, &Options::default()).unwrap();
            let exported = export::to_bytes(&network, &export::Options::default()).unwrap();
            let model = Model::new(&exported.bytes).unwrap();
            assert_eq!(Model::uses_of(&exported.bytes).encodings.has(ops::Encoding::Nibbles.code()), narrow);
            let expected = simulate::run(model, &Images::Pixels(images)).unwrap();
            assert_eq!(found.mapv(i16::from), expected, "{seed}, ranges {width} times as wide");
            // Outputs that say something.
            let mut kinds: Vec<i16> = expected.iter().copied().collect();
            kinds.sort_unstable();
            kinds.dedup();
            assert!(kinds.len() > if narrow { 8 } else { 20 }, "{seed}: {kinds:?}");

            let mut integers = Integers::new(&graph, &params).unwrap();
            let quants = trained::quants(&integers.folded, &params).unwrap().unwrap();
            integers.prepare(&graph, &params, quants).unwrap();
            wide += integers.steps.iter().filter(|step| step.weighted().is_some_and(|w| w.is_wide)).count();
        }
    }
    assert!(wide > 0, "no sum was too large for single precision");
}

/// Logits of a teacher, for batches of 16 images.
static TAUGHT: [f32; 160] = {
    let mut logits = [0.0; 160];
    let mut at = 0;
    while at < 160 {
        logits[at] = (at * 7 % 23) as f32 / 4.0;
        at += 1;
    }
    logits
};

fn targets(labels: &[u8]) -> Targets<'_> {
    let teacher = Some(Taught { logits: &TAUGHT, temperature: 2.0, weight: 0.5 });
    Targets { labels, smoothing: 0.1, class_weights: &[], teacher }
}

/// Loss gradients of a batch.
fn gradients(graph: &Graph, params: &Params, reals: &Array4<f32>, labels: &[u8]) -> (f64, Vec<(String, Vec<f32>)>) {
    let mut net = Net::new(graph, params, 0.0).unwrap();
    let fill =
        |i: usize, out: &mut [f32]| out.copy_from_slice(reals.index_axis(ndarray::Axis(0), i).as_slice().unwrap());
    let loss = net.gradients(targets(labels), fill).unwrap();
    (loss.mean, net.slots().map(|slot| (slot.spec.name.clone(), slot.gradient.to_vec())).collect())
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

/// Rounding is taken for the identity, so that the gradients are those of the float network but for its noise.
#[test]
fn gradients_are_nearly_those_of_the_float_network() {
    let plain = vec![
        built(
            [9, 7, 3],
            Head::Average,
            vec![conv(6, Norm::None), residual(6, 1, Norm::None), residual(8, 2, Norm::None)],
        ),
        built(
            [8, 8, 1],
            Head::Flatten,
            vec![
                conv(8, Norm::None),
                Block::MaxPool { kernel: 3, stride: 2 },
                Block::AveragePool { kernel: 2, stride: 2 },
                Block::Dense { units: 12 },
            ],
        ),
    ];
    for (seed, graph) in plain.into_iter().enumerate() {
        let params = with_ranges(&graph, params(&graph, seed as u64), 1.1);
        let reals = quantize::reals(&graph.preprocess, pixels(16, graph.input, 3).view()).unwrap();
        let labels: Vec<u8> = (0..16).map(|i| i % 10).collect();
        let (loss, found) = gradients(&graph, &params, &reals, &labels);
        let mut float = layers::Net::<f32>::new(&graph, &params, 16).unwrap();
        float.forward(16, Mode::Train, |i, out| {
            out.copy_from_slice(reals.index_axis(ndarray::Axis(0), i).as_slice().unwrap());
        });
        let expected = float.loss(targets(&labels)).mean;
        assert!((loss - expected).abs() < 0.02 * expected, "{loss}, in float {expected}");
        float.backward();
        for (slot, (name, found)) in float.slots().zip(found) {
            assert_eq!(slot.spec.name, name);
            let cosine = cosine(&found, slot.gradient);
            let size = |g: &[f32]| g.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            let ratio = size(&found) / size(slot.gradient);
            assert!(cosine > 0.97 && (0.9..1.1).contains(&ratio), "{seed}, {name}: cosine {cosine}, ratio {ratio}");
        }
    }
}

/// With rounding taken for the identity, the weight `clamp(round(w / s)) * s` grows with its step by what rounding added, or by the
/// largest integer where it is cut off. What is cut off takes no gradient.
#[test]
fn steps_are_trained_by_the_straight_through_formula() {
    let blocks = vec![conv(6, Norm::None), residual(8, 2, Norm::None), Block::Separable { filters: 12, stride: 1 }];
    let graph = built([9, 7, 3], Head::Average, blocks);
    let mut params = with_ranges(&graph, params(&graph, 5), 1.1);
    let reals = quantize::reals(&graph.preprocess, pixels(16, graph.input, 3).view()).unwrap();
    let labels: Vec<u8> = (0..16).map(|i| i % 10).collect();
    let layers = graph.nodes.iter().filter(|node| node.op.weights().is_some());
    let depthwise = |node: &&crate::graph::Node| matches!(node.op, Op::DepthwiseConv2d { .. });
    let layers: Vec<(String, bool)> = layers.map(|node| (node.name.clone(), depthwise(&node))).collect();
    for (layer, _) in &layers {
        trained::insert_steps(&mut params, &graph, layer).unwrap();
        // So small that many weights are cut off, but in every third channel.
        let steps = params.get_mut(&format!("{layer}.step")).unwrap();
        steps.iter_mut().enumerate().for_each(|(c, step)| *step *= if c % 3 == 0 { 1.4 } else { 0.7 });
    }
    // The same integers without a weight that is cut off, so that all gradients are there to see.
    let mut within = params.clone();
    let channel = |i: usize, len: usize, steps: usize, last: bool| if last { i % steps } else { i / (len / steps) };
    let mut cut_off = 0;
    for (layer, last) in &layers {
        let steps = params.get(&format!("{layer}.step")).unwrap();
        let weights = within.get_mut(&format!("{layer}.weight")).unwrap();
        let len = weights.len();
        for (i, weight) in weights.iter_mut().enumerate() {
            let most = 7.0 * steps[channel(i, len, steps.len(), *last)] * 0.999;
            cut_off += usize::from(weight.abs() > most);
            *weight = weight.clamp(-most, most);
        }
    }
    assert!(cut_off > 20, "{cut_off}");
    let (loss, found) = gradients(&graph, &params, &reals, &labels);
    let (same, all) = gradients(&graph, &within, &reals, &labels);
    assert_eq!(loss, same);
    let of = |gradients: &[(String, Vec<f32>)], name: &str| {
        gradients.iter().find(|(other, _)| other == name).map(|(_, gradient)| gradient.clone()).unwrap()
    };
    for (layer, last) in &layers {
        let [step, weight] = ["step", "weight"].map(|kind| format!("{layer}.{kind}"));
        let (steps, weights) = (params.get(&step).unwrap(), params.get(&weight).unwrap());
        let (masked, gradient) = (of(&found, &weight), of(&all, &weight));
        let mut expected = vec![0.0; steps.len()];
        for (i, w) in weights.iter().enumerate() {
            let c = channel(i, weights.len(), steps.len(), *last);
            let exact = f64::from(*w) / f64::from(steps[c]);
            let slope = if exact.abs() > 7.0 { 7.0 * exact.signum() } else { exact.round() - exact };
            expected[c] += f64::from(gradient[i]) * slope;
            assert_eq!(masked[i], if exact.abs() > 7.0 { 0.0 } else { gradient[i] }, "{weight}[{i}]");
        }
        let scale = (7.0 * (weights.len() / steps.len()) as f64).sqrt();
        let largest = expected.iter().fold(0f64, |most, g| most.max(g.abs())) / scale;
        for (found, expected) in of(&found, &step).iter().zip(&expected) {
            assert!((f64::from(*found) - expected / scale).abs() <= 1e-4 * largest, "{step}: {found}, not {expected}");
        }
    }
}

/// A network with batch normalization and its twin that was folded by hand have the same integers, and gradients that
/// differ by the factors of the normalization.
#[test]
fn gradients_reach_weights_through_batch_normalization() {
    let blocks = |norm| vec![conv(6, norm), residual(6, 1, norm), residual(8, 2, norm)];
    let graph = built([9, 7, 3], Head::Average, blocks(Norm::Batch));
    let twin = built([9, 7, 3], Head::Average, blocks(Norm::None));
    let mut params = with_ranges(&graph, params(&graph, 4), 0.8);
    let layers = graph.nodes.iter().filter(|node| matches!(node.op, Op::Conv2d { .. }));
    layers.for_each(|node| trained::insert_steps(&mut params, &graph, &node.name).unwrap());
    let folded = fold(&graph, &params).unwrap();
    let mut folded_params = Params::new();
    for (name, array) in params.iter().filter(|(name, _)| name.starts_with("range/")) {
        folded_params.insert(name, array.clone());
    }
    for spec in twin.param_specs() {
        let (node, kind) = spec.name.rsplit_once('.').unwrap();
        let node = folded.nodes.iter().find(|folded| folded.name == node).unwrap();
        let weights = node.op.weights().unwrap();
        let numbers = if kind == "weight" { &weights.weights } else { &weights.bias };
        folded_params.insert(&spec.name, ArrayD::from_shape_vec(IxDyn(&spec.dims), numbers.clone()).unwrap());
        if let Some(steps) = &weights.steps {
            folded_params.insert(trained::steps_name(&node.name), ndarray::arr1(steps).into_dyn());
        }
    }
    let reals = quantize::reals(&graph.preprocess, pixels(16, graph.input, 3).view()).unwrap();
    let labels: Vec<u8> = (0..16).map(|i| i % 10).collect();
    let (loss, found) = gradients(&graph, &params, &reals, &labels);
    let (expected, by_folded) = gradients(&twin, &folded_params, &reals, &labels);
    assert_eq!(loss, expected);
    let of = |name: &str| &by_folded.iter().find(|(other, _)| other == name).unwrap().1;
    let mut checked = 0;
    for (name, found) in found {
        let (node, kind) = name.rsplit_once('.').unwrap();
        let id = graph.find(node).unwrap();
        let close = |expected: Vec<f32>| {
            let size = expected.iter().fold(0f32, |size, g| size.max(g.abs()));
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-5 * size), "{name}");
        };
        let reader = graph.consumers()[id.0].first().map(|reader| graph.node(*reader));
        let norm = reader.filter(|reader| matches!(reader.op, Op::BatchNorm(_)));
        match (kind, norm) {
            ("weight" | "step", Some(norm)) => {
                let of_norm = |what: &str| params.get(&format!("{}.{what}", norm.name)).unwrap();
                let (gamma, variance) = (of_norm("gamma"), of_norm("variance"));
                let by_folded = of(&name);
                let each = by_folded.len() / gamma.len();
                let factor = |c: usize| gamma[c] / (variance[c] + crate::graph::EPSILON).sqrt();
                let factor = |c: usize| if kind == "step" { factor(c).abs() } else { factor(c) };
                close(by_folded.iter().enumerate().map(|(i, g)| g * factor(i / each)).collect());
            }
            ("weight" | "bias" | "step", None) => close(of(&name).clone()),
            ("beta", _) => {
                let NodeId(conv) = graph.node(id).inputs[0];
                close(of(&format!("{}.bias", graph.nodes[conv].name)).clone());
            }
            // Frozen.
            _ => assert!(found.iter().all(|g| *g == 0.0), "{name}"),
        }
        checked += 1;
    }
    let steps = params.iter().filter(|(name, _)| name.ends_with(".step")).count();
    assert!(steps > 3 && checked == graph.param_specs().len() + steps);
}

/// A range moves towards what is seen by the rate, alike for all values that share it; that of the pixels stays.
#[test]
fn ranges_follow_what_is_seen() {
    let graph = &networks()[2];
    let start = with_ranges(graph, params(graph, 2), 0.6);
    let reals = quantize::reals(&graph.preprocess, pixels(16, graph.input, 3).view()).unwrap();
    let fill =
        |i: usize, out: &mut [f32]| out.copy_from_slice(reals.index_axis(ndarray::Axis(0), i).as_slice().unwrap());
    let after = |rate: f64| {
        let mut net = Net::new(graph, &start, rate).unwrap();
        net.gradients(Targets::of(&[0; 16]), fill).unwrap();
        let (params, folded) = (net.params(), fold(graph, &start).unwrap());
        (trained::ranges(&folded, &params).unwrap().unwrap(), folded)
    };
    let (before, folded) = after(0.0);
    let (whole, tenth) = (after(1.0).0, after(0.1).0);
    let groups = quantize::scales::groups(&folded);
    let mut moved = 0;
    for value in 0..folded.nodes.len() {
        assert_eq!(whole[value], whole[groups[value]]);
        for end in 0..2 {
            let (from, to, part) = (before[value][end], whole[value][end], tenth[value][end]);
            assert!((part - (from + 0.1 * (to - from))).abs() <= 1e-5 * (from.abs() + to.abs()), "{from} {part} {to}");
            moved += usize::from(from != to);
        }
        // Maps after a ReLU, that share their range with no other map, begin at 0.
        let alone = groups.iter().filter(|group| **group == groups[value]).count() == 1;
        let relu = folded.nodes[value].activation == Activation::Relu;
        assert!(!(alone && relu) || whole[value][0] == 0.0);
        // All that is seen lies in it: with so narrow ranges much was cut off, so it grows.
        assert!(value == 0 || whole[value][1] > before[value][1], "{}", folded.nodes[value].name);
    }
    assert!(moved > folded.nodes.len() / 2);
    let pixels = quantize::scales::input_range(&folded);
    assert_eq!(whole[0], [pixels.0, pixels.1]);
}

#[test]
fn ranges_that_are_missing_or_none_are_named() {
    let graph = &networks()[0];
    let good = with_ranges(graph, params(graph, 1), 1.0);
    let images = pixels(2, graph.input, 1);
    let message = |params: &Params| outputs(graph, params, &images.view()).unwrap_err().to_string();
    for wrong in [vec![-1.0, f32::INFINITY], vec![0.5, 1.0], vec![0.0]] {
        let mut params = good.clone();
        params.insert("range/logits", ArrayD::from_shape_vec(IxDyn(&[wrong.len()]), wrong).unwrap());
        assert!(message(&params).contains("range/logits"), "{}", message(&params));
    }
    let without = params(graph, 1);
    assert!(message(&without).contains("ranges"), "{}", message(&without));
    let unseen: [Array4<f32>; 0] = [];
    let options = Options { equalize: true, ..Options::default() };
    let error = quantize::quantize(graph, &good, unseen.clone(), &options).unwrap_err().to_string();
    assert!(error.contains("equalization") && error.contains("--calibrate"), "{error}");
    // Calibrated anew, it needs images.
    let error = quantize::quantize(graph, &good, unseen, &Options { anew: true, ..options }).unwrap_err().to_string();
    assert!(error.contains("0 images"), "{error}");
}

#[test]
fn operators_that_no_recipe_makes_are_refused() {
    let mut net = Builder::new("net", Shape::new(4, 4, 2)).unwrap();
    let x = net.conv2d("conv", net.input(), 3, [3, 3], [1, 1], Padding::Same, true).unwrap();
    let x = net.add_node("product", Op::Mul, &[x, x]).unwrap();
    net.dense("logits", x, 3, true).unwrap();
    let graph = net.finish();
    let params = with_ranges(&graph, params(&graph, 1), 1.0);
    let error = Net::new(&graph, &params, 0.1).unwrap_err().to_string();
    assert!(error.contains("`product`"), "{error}");
}
