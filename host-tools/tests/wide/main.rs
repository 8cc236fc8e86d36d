//! Our own 16x8 quantizer: random networks against the float forward and, to the bit, against an oracle over wide integers; and the
//! shipped networks, which must not lose what they know.

mod fixes;
#[path = "../needs/mod.rs"]
mod needs;
mod oracle;

use kinglet::kernels::{Active, Backend, Portable};
use kinglet::ops::Curve;
use kinglet::{Activation, DType, Model, Shape};
use kinglet_tools::files::IntArray;
use kinglet_tools::graph::{
    Builder, ConstantFunction, Dims, Function, Graph, NodeId, Op, Padding, Params, Real, Rearrange, Stored,
    StoredFunction, StoredWeights, Unary, Window,
};
use kinglet_tools::import::{self, tflite};
use kinglet_tools::layout::Layout;
use kinglet_tools::network::Network;
use kinglet_tools::quantize::emit::Kept;
use kinglet_tools::quantize::fake::Noise;
use kinglet_tools::quantize::forward::NetRunner;
use kinglet_tools::quantize::{self, Calibration, Method, Prepared, QuantizeError, emit, fold};
use kinglet_tools::simulate::{self, Images};
use kinglet_tools::train::{Recipe, RunFolder};
use kinglet_tools::{deploy, export, graph};
use ndarray::{Array2, Array4, ArrayD, Axis};
use proptest::prelude::*;

fn options() -> quantize::Options {
    quantize::Options { calibration: Calibration::Fixed(Method::MinMax), ..quantize::Options::default() }
}

/// A number between -1 and 1 for each place and seed, without a pattern.
fn number(at: usize, seed: u32) -> f32 {
    let hash = (at as u64 ^ (u64::from(seed) << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((hash ^ (hash >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f32 / (1 << 23) as f32 - 1.0
}

fn images(shape: Shape, count: usize, seed: u32) -> Array4<f32> {
    let dim = (count, shape.h as usize, shape.w as usize, shape.c as usize);
    let mut at = 0;
    Array4::from_shape_simple_fn(dim, || {
        at += 1;
        number(at, seed)
    })
}

/// Parameters with biases that are not 0.
fn params(graph: &Graph, seed: u32) -> Params {
    let mut params = Params::init(graph, seed.into());
    let biases: Vec<(String, ArrayD<f32>)> = params
        .iter()
        .filter(|(name, _)| name.ends_with("bias") || name.ends_with("beta") || name.ends_with("constant"))
        .map(|(name, array)| (name.to_string(), array.clone()))
        .collect();
    for (name, mut array) in biases {
        array.iter_mut().enumerate().for_each(|(at, x)| *x = 0.3 * number(at, seed ^ 77));
        params.insert(&name, array);
    }
    params
}

/// Two numbers decide about each operator: which, and of what.
#[derive(Clone, Debug)]
struct Seeds {
    size: [u32; 3],
    choices: Vec<(u8, u32)>,
    /// Whether operators may be tables, which the oracle has not.
    curves: bool,
    seed: u32,
}

fn seeds(curves: bool) -> impl Strategy<Value = Seeds> {
    let choices = proptest::collection::vec(any::<(u8, u32)>(), 1..9);
    (2u32..8, 2u32..8, 1u32..5, choices, any::<u32>()).prop_map(move |(h, w, c, choices, seed)| Seeds {
        size: [h, w, c],
        choices,
        curves,
        seed,
    })
}

impl Seeds {
    fn graph(&self) -> Graph {
        let [h, w, c] = self.size;
        let mut builder = Builder::new("random", Shape::new(h, w, c)).unwrap();
        let mut maps = vec![(builder.input(), Shape::new(h, w, c))];
        for (at, &(kind, how)) in self.choices.iter().enumerate() {
            let back = how as usize % maps.len().min(3);
            let (a, shape) = maps[maps.len() - 1 - back];
            let (id, shape) = self.add(&mut builder, (kind, how / 3), at, (a, shape));
            maps.push((id, shape));
        }
        let (last, shape) = *maps.last().unwrap();
        let mean = builder.add_node("mean", Op::Mean, &[last]).unwrap();
        let dense = builder.add_node("dense", Op::Dense(Dims { channels: 5, bias: true }), &[mean]).unwrap();
        if self.curves {
            builder.add_node("softmax", Op::Softmax { beta: 1.0 }, &[dense]).unwrap();
        }
        assert!(shape.is_valid());
        builder.finish()
    }

    fn add(&self, b: &mut Builder, (kind, how): (u8, u32), at: usize, (a, shape): (NodeId, Shape)) -> (NodeId, Shape) {
        let put = |b: &mut Builder, name: &str, op: Op, inputs: &[NodeId], shapes: &[Shape]| {
            let shape = op.output(name, shapes).unwrap();
            (b.add_node(&format!("{name} {at}"), op, inputs).unwrap(), shape)
        };
        let kernel = 1 + how % 3;
        let same = |stride: u32| Window::new([kernel; 2], [stride; 2], Padding::Same, [shape.h, shape.w]);
        let pool = Window::new([2.min(shape.h), 2.min(shape.w)], [1; 2], Padding::Valid, [shape.h, shape.w]);
        let conv =
            |stride, filters| Op::Conv2d { window: same(stride), weights: Dims { channels: filters, bias: true } };
        let one = &[shape][..];
        let x = || Function::X;
        match kind % 14 {
            0 | 1 => put(b, "conv", conv(1 + how / 3 % 2, 1 + how / 6 % 6), &[a], one),
            2 => {
                let op = Op::DepthwiseConv2d {
                    window: same(1),
                    weights: Dims { channels: shape.c * (1 + how / 3 % 2), bias: true },
                };
                put(b, "depthwise", op, &[a], one)
            }
            3 => put(b, "max pool", Op::MaxPool(pool), &[a], one),
            4 => put(b, "average pool", Op::AveragePool(same(1)), &[a], one),
            5..=7 => {
                // With a map of the same shape; a product or difference also with one pixel.
                let (other, like) = if kind % 14 == 5 || how.is_multiple_of(2) {
                    put(b, "branch", conv(1, shape.c), &[a], one)
                } else {
                    put(b, "pixel", Op::Mean, &[a], one)
                };
                let (name, op) = match kind % 14 {
                    5 => ("add", Op::Add),
                    6 => ("sub", Op::Sub),
                    _ => ("mul", Op::Mul),
                };
                put(b, name, op, &[a, other], &[shape, like])
            }
            8 => {
                let (other, like) = put(b, "branch", conv(1, 1 + how % 4), &[a], one);
                put(b, "concat", Op::Concat, &[other, a], &[like, shape])
            }
            9 => put(
                b,
                "relu",
                Op::Activate(if how.is_multiple_of(2) { Activation::Relu } else { Activation::Relu6 }),
                &[a],
                one,
            ),
            10 => put(
                b,
                "pad",
                Op::Rearrange(Rearrange::Pad { before: [how % 2, 1, 0], after: [1, how / 2 % 2, 0], value: 0.0 }),
                &[a],
                one,
            ),
            11 => {
                let function = if how.is_multiple_of(2) { ConstantFunction::Add } else { ConstantFunction::Mul };
                let op = Op::Constant { function, data: () };
                put(b, "constant", op, &[a], one)
            }
            12 => put(b, "leaky", Op::Function(Function::leaky_relu(0.2)), &[a], one),
            _ if self.curves => {
                let functions = [
                    x().then(Unary::Tanh),
                    x().then(Unary::Sigmoid),
                    x() * x().then(Unary::Sigmoid),
                    Function::hard_swish(),
                    Function::gelu(false),
                ];
                let function = functions[how as usize % functions.len()].clone();
                put(b, "function", Op::Function(function), &[a], one)
            }
            _ => put(b, "norm", Op::BatchNorm(1e-3), &[a], one),
        }
    }
}

/// What the exported model makes of images, by both backends.
fn run(network: &Network, images: &Array4<f32>) -> (Array2<i16>, Array2<f32>) {
    let found = run_on::<Portable>(network, images);
    assert_eq!(found, run_on::<Active>(network, images));
    found
}

/// The same by one of them: elements, and the numbers that they stand for.
fn run_on<B: Backend>(network: &Network, images: &Array4<f32>) -> (Array2<i16>, Array2<f32>) {
    let bytes = export::to_bytes(network, &export::Options::default()).unwrap().bytes;
    let model = Model::new(&bytes).unwrap();
    let inputs = Images::quantize(images.clone().into_dyn(), &model.input(), Some(Layout::Nhwc)).unwrap();
    let outputs = simulate::run_on::<B>(model, &inputs).unwrap();
    let reals = outputs.mapv(|element| model.output().real(element));
    (outputs, reals)
}

/// How near outputs are to those of a float network.
fn decibels(float: &Graph<Real>, images: &Array4<f32>, outputs: &Array2<f32>) -> f64 {
    let (runner, mut noise) = (NetRunner::new(float), Noise::default());
    for (image, outputs) in images.axis_iter(Axis(0)).zip(outputs.rows()) {
        let values = runner.forward(&image.iter().copied().collect::<Vec<_>>());
        noise.add(values.last().unwrap(), &outputs.to_vec());
    }
    noise.decibels()
}

/// The float network with the weights that the 16x8 network has.
fn with_weights_of(network: &Network, float: &Graph<Real>) -> Graph<Real> {
    let mut rounded = float.clone();
    for node in &mut rounded.nodes {
        let Some(weights) = node.op.weights_mut() else { continue };
        let integer = network.nodes.iter().find(|integer| integer.name == node.name).unwrap();
        let Some(StoredWeights::Int8 { weights: q, scales: weight_scales, bias }) = integer.op.weights() else {
            panic!("{} has no weights", node.name)
        };
        let input = network.tensors[integer.inputs[0]].quant.scale;
        let (channels, each) = (bias.len(), q.len() / bias.len());
        for (at, (weight, &q)) in weights.weights.iter_mut().zip(q).enumerate() {
            *weight = f32::from(q) * weight_scales[if weights.channels_last { at % channels } else { at / each }];
        }
        for ((real, &q), &scale) in weights.bias.iter_mut().zip(bias).zip(weight_scales) {
            *real = (q as f64 * f64::from(scale) * f64::from(input)) as f32;
        }
    }
    rounded
}

proptest! {
    // The same networks each time: the least decibels are those of most networks, and one in some thousand, with functions of halves one
    // after the other, has less.
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(16),
        ..ProptestConfig::default()
    })]

    /// Rounding of weights costs what 8 bits cost; that of activations next to nothing.
    #[test]
    fn near_the_float_forward(seeds in seeds(true)) {
        let graph = seeds.graph();
        let params = params(&graph, seeds.seed);
        let images = images(graph.input, 6, seeds.seed);
        let prepared = Prepared::new(&graph, &params, [images.clone()], &options()).unwrap();
        let network = prepared.int16().unwrap();
        prop_assert!(network.tensors.iter().all(|tensor| tensor.dtype != DType::I8));
        let (_, outputs) = run(&network, &images);
        let float = decibels(&prepared.float, &images, &outputs);
        let rounded = decibels(&with_weights_of(&network, &prepared.float), &images, &outputs);
        prop_assert!(float > 20.0 && rounded > 50.0, "{float} dB, {rounded} dB with rounded weights");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// To the bit what TensorFlow Lite's definitions give, also with weights of 4 bits.
    #[test]
    fn equal_to_the_oracle(seeds in seeds(false), narrow in any::<bool>()) {
        let graph = seeds.graph();
        let params = params(&graph, seeds.seed);
        let images = images(graph.input, 3, seeds.seed);
        let mut network = Prepared::new(&graph, &params, [images.clone()], &options()).unwrap().int16().unwrap();
        if narrow {
            for node in &mut network.nodes {
                if let Some(StoredWeights::Int8 { weights, .. }) = node.op.weights_mut() {
                    weights.iter_mut().for_each(|weight| *weight >>= 4);
                }
            }
        }
        let (outputs, _) = run(&network, &images);
        let scale = network.input().quant.scale;
        for (image, outputs) in images.axis_iter(Axis(0)).zip(outputs.rows()) {
            let data = image.iter().map(|x| ((x / scale).round() as i128).clamp(-32768, 32767)).collect();
            let size = [graph.input.h, graph.input.w, graph.input.c].map(|extent| extent as usize);
            let expected = oracle::run(&network, oracle::Map { size, data }).expect("arithmetic alone");
            let found: Vec<i128> = outputs.iter().map(|&x| x.into()).collect();
            prop_assert_eq!(found, expected.data);
        }
    }
}

/// A graph of one function between two convolutions.
fn curve(function: Function) -> Graph {
    let mut builder = Builder::new("curve", Shape::new(5, 5, 3)).unwrap();
    let window = Window::new([3; 2], [1; 2], Padding::Same, [5, 5]);
    let conv = |filters| Op::Conv2d { window, weights: Dims { channels: filters, bias: true } };
    let input = builder.input();
    let first = builder.add_node("first", conv(4), &[input]).unwrap();
    let function = builder.add_node("function", Op::Function(function), &[first]).unwrap();
    // Joined with what has another range, so that its output cannot have the scale that the curve gives.
    let joint = builder.add_node("joint", Op::Concat, &[function, first]).unwrap();
    builder.add_node("second", conv(2), &[joint]).unwrap();
    builder.finish()
}

/// Operators of their own where there are some, float16 between where there are none; each near the float forward.
#[test]
fn functions() {
    let x = || Function::X;
    for (name, function, kinds) in [
        ("sigmoid", x().then(Unary::Sigmoid), vec!["conv2d", "logistic", "convert"]),
        ("tanh", x().then(Unary::Tanh), vec!["conv2d", "tanh", "convert"]),
        ("silu", x() * x().then(Unary::Sigmoid), vec!["conv2d", "logistic", "mul"]),
        ("leaky", Function::leaky_relu(0.1), vec!["conv2d", "slope"]),
        ("gelu", Function::gelu(false), vec!["conv2d", "convert", "pieces", "convert"]),
    ] {
        let graph = curve(function);
        let (params, images) = (params(&graph, 3), images(graph.input, 8, 4));
        let prepared = Prepared::new(&graph, &params, [images.clone()], &options()).unwrap();
        let network = prepared.int16().unwrap();
        let kind = |op: &Op<Stored>| match op {
            Op::Function(StoredFunction::Curve(Curve::Tanh)) => "tanh",
            Op::Function(StoredFunction::Curve(Curve::Logistic)) => "logistic",
            Op::Function(StoredFunction::Slope(_)) => "slope",
            Op::Function(StoredFunction::Pieces(_)) => "pieces",
            op => op.kind(),
        };
        let found: Vec<&str> = network.nodes.iter().map(|node| kind(&node.op)).collect();
        assert_eq!(found[..found.len() - 2], kinds[..], "{name}");
        let (_, outputs) = run(&network, &images);
        let rounded = decibels(&with_weights_of(&network, &prepared.float), &images, &outputs);
        assert!(rounded > 60.0, "{name}: {rounded} dB");
    }
}

/// Unit vectors are in units of 2^-15, and rescaled where another scale is wanted.
#[test]
fn l2_norm() {
    let mut builder = Builder::new("unit", Shape::new(5, 5, 3)).unwrap();
    let window = Window::new([3; 2], [1; 2], Padding::Same, [5, 5]);
    let op = Op::Conv2d { window, weights: Dims { channels: 7, bias: true } };
    let input = builder.input();
    let first = builder.add_node("first", op, &[input]).unwrap();
    builder.add_node("unit", Op::L2Norm, &[first]).unwrap();
    let graph = builder.finish();
    let (params, images) = (params(&graph, 3), images(graph.input, 8, 4));
    let prepared = Prepared::new(&graph, &params, [images.clone()], &options()).unwrap();
    let network = prepared.int16().unwrap();
    let (_, outputs) = run(&network, &images);
    let rounded = decibels(&with_weights_of(&network, &prepared.float), &images, &outputs);
    assert!(rounded > 60.0, "{rounded} dB");
}

/// Layers with int16 activations within an int8 network: nearer to the float network than int8 alone, from the first layer on.
#[test]
fn layers_of_an_int8_network() {
    let graph = curve(Function::gelu(false));
    let (params, images) = (params(&graph, 5), images(graph.input, 16, 6));
    let prepared = Prepared::new(&graph, &params, [images.clone()], &quantize::Options::default()).unwrap();
    let names: Vec<String> = prepared.float.nodes[1..].iter().map(|node| node.name.clone()).collect();
    let noise = |kept: Kept| {
        let network = emit::mixed(&prepared, &kept).unwrap();
        decibels(&prepared.float, &images, &run(&network, &images).1)
    };
    let int8 = noise(Kept::default());
    let all = noise(Kept { int16: names.clone(), ..Kept::default() });
    assert!(all > int8 + 3.0, "{int8} {all}");
    for (at, name) in names.iter().enumerate() {
        let one = noise(Kept { int16: vec![name.clone()], ..Kept::default() });
        assert!(one > int8 - 2.0, "{name}: {one} dB after {int8}");
        // Both forms in one network.
        let others = [&names[..at], &names[at + 1..]].concat();
        let both = noise(Kept { int16: vec![name.clone()], float16: others, ..Kept::default() });
        assert!(both > int8, "{name}: {both} dB after {int8}");
    }
    let twice = Kept { int16: vec!["first".into()], float16: vec!["first".into()], ..Kept::default() };
    assert!(matches!(emit::mixed(&prepared, &twice), Err(QuantizeError::NamedTwice(name)) if name == "first"));
    let unknown = Kept { int16: vec!["third".into()], ..Kept::default() };
    assert!(
        matches!(emit::mixed(&prepared, &unknown), Err(QuantizeError::UnknownLayer { name, .. }) if name == "third")
    );
}

/// Float models of TensorFlow Lite and PyTorch, imported: the float network's classes but for near ties, and scores that differ by what 8 bits of weights
/// cost.
#[test]
fn imported_float_models() {
    let Some(folder) = needs::shared("reference") else { return };
    for (file, inputs, real) in [
        ("torch_resnet8_float.onnx", "torch_resnet8_float.input.npy", None),
        ("inception_cifar_float.tflite", "inception_cifar_int8.input.npy", Some((1.0 / 128.0, 0.0))),
        ("mlperf_tiny_resnet8_float.tflite", "mlperf_tiny_resnet8_int8.input.npy", Some((1.0, 128.0))),
    ] {
        let bytes = std::fs::read(folder.join(file)).unwrap();
        let options = import::Options { name: "net".into(), ..import::Options::default() };
        let import::Model::Float(model) = import::read(&bytes, &options).unwrap() else { panic!("{file} is float") };
        let inputs: Array4<f32> = match (real, folder.join(inputs)) {
            (None, path) => import::calibration::load(&[path], &model, None).unwrap(),
            (Some((scale, offset)), path) => {
                let IntArray::Signed(elements) = IntArray::read(&path).unwrap() else { panic!("{inputs} is int8") };
                elements.mapv(|q| (f32::from(q) + offset) * scale).into_dimensionality().unwrap()
            }
        };
        let folded = fold::fold(&model.graph, &model.params).unwrap();
        let nothing = vec![None; folded.nodes.len()];
        let batches = import::calibration::batches(inputs.view());
        let prepared = Prepared::with_given(folded, &nothing, batches, &self::options()).unwrap();
        let [outputs, int8] =
            [prepared.int16().unwrap(), prepared.network()].map(|network| run_on::<Active>(&network, &inputs).1);
        let [float, int8] = [&outputs, &int8].map(|outputs| decibels(&prepared.float, &inputs, outputs));
        let best = |scores: &[f32]| {
            scores.iter().enumerate().fold(0, |best, (at, x)| if *x > scores[best] { at } else { best })
        };
        let runner = NetRunner::new(&prepared.float);
        let same = inputs.axis_iter(Axis(0)).zip(outputs.rows()).filter(|(image, outputs)| {
            let values = runner.forward(&image.iter().copied().collect::<Vec<_>>());
            best(values.last().unwrap()) == best(&outputs.to_vec())
        });
        let same = same.count();
        println!("{file}: {same} of {} classes, {float:.1} dB, in int8 {int8:.1}", outputs.nrows());
        assert!(
            same + 2 >= outputs.nrows() && float > 28.0 && float > int8,
            "{file}: {same} of {}, {float} dB",
            outputs.nrows()
        );
    }
}

/// The shipped networks whose data is there: no image of the whole test set lost, and the same model again by way of a TensorFlow
/// Lite file.
#[test]
fn shipped_networks_keep_their_accuracy() {
    for name in ["digits-resnet", "digits-inception", "signs-resnet50"] {
        let folder = RunFolder::new(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name));
        let mut recipe: Recipe = folder.recipe().unwrap();
        if name == "signs-resnet50" {
            let Some(path) = needs::shared("data/sign-digits.tar") else { continue };
            recipe.data.set_path(&path);
        }
        let trained = graph::load(&folder.file("weights.safetensors")).unwrap();
        let data = recipe.data.load().unwrap();
        let quantization = deploy::Options { quantize: options(), ..deploy::Options::default() };
        let network =
            deploy::prepare(&trained.graph, &trained.params, &data.train, &quantization).unwrap().int16().unwrap();
        let exported = export::to_bytes(&network, &export::Options::default()).unwrap();
        let model = Model::new(&exported.bytes).unwrap();
        let outputs = simulate::run(model, &Images::Pixels(data.test.images.clone())).unwrap();
        let labels: Vec<usize> = data.test.labels.iter().map(|&label| label.into()).collect();
        let accuracy = simulate::accuracy(&outputs, &labels);

        let folded = fold::fold(&trained.graph, &trained.params).unwrap();
        let runner = NetRunner::new(&folded);
        let reals = quantize::reals(&trained.graph.preprocess, data.test.images.view()).unwrap();
        let scores = reals.axis_iter(Axis(0)).map(|image| {
            let scores = runner.forward(&image.iter().copied().collect::<Vec<_>>()).pop().unwrap();
            scores.iter().enumerate().fold(0, |best, (at, x)| if *x > scores[best] { at } else { best })
        });
        let right = scores.zip(&labels).filter(|(best, label)| best == *label).count();
        let float = 100.0 * right as f64 / labels.len() as f64;
        println!("{name}: {accuracy:.2} % in 16x8, {float:.2} % in float");
        assert!(accuracy >= float - 0.05, "{name}: {accuracy} % in 16x8, {float} % in float");

        let file = tflite::to_bytes(&network).unwrap();
        let read = import::read(&file, &import::Options { name: network.name.clone(), ..import::Options::default() });
        let import::Model::Int8(again) = read.unwrap() else { panic!("{name} is quantized") };
        assert_eq!(
            export::to_bytes(&again.network, &export::Options::default()).unwrap().bytes,
            exported.bytes,
            "{name}"
        );
    }
}

/// What TensorFlow Lite has no operator for is refused by name when a file of its is asked for.
#[test]
fn halves_are_no_tensorflow_lite() {
    let graph = curve(Function::gelu(false));
    let (params, images) = (params(&graph, 5), images(graph.input, 4, 6));
    let network = Prepared::new(&graph, &params, [images], &options()).unwrap().int16().unwrap();
    let refused = tflite::to_bytes(&network).unwrap_err().to_string();
    assert!(refused.contains("function") && refused.contains("float16"), "{refused}");
}
