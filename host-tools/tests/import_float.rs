//! Importing float networks and networks with their own scales: the same classes as in the tools that made them.

mod import_util;
mod needs;

use std::path::Path;

use import_util::{noise, simulated};
use kinglet::{Model as Runtime, Shape};
use kinglet_tools::graph::{Binary, Function, Op};
use kinglet_tools::import::{ImportError, ImportedFloat, Model, Options, calibration, given, read};
use kinglet_tools::layers;
use kinglet_tools::network::Network;
use kinglet_tools::quantize::fold;
use kinglet_tools::quantize::forward::NetRunner;
use kinglet_tools::simulate::{self, Images};
use kinglet_tools::{export, files::IntArray, quantize};
use ndarray::{Array2, Array4, ArrayD, ArrayView1};
use proptest::prelude::*;

fn float(path: &Path) -> ImportedFloat {
    let bytes = std::fs::read(path).unwrap();
    match read(&bytes, &Options { name: "net".into(), ..Options::default() }).unwrap() {
        Model::Float(model) => model,
        Model::Int8(_) => panic!("{} is a float model", path.display()),
    }
}

fn rows(path: &Path) -> Array2<f32> {
    let array: ArrayD<f32> = ndarray_npy::read_npy(path).unwrap();
    let count = array.shape()[0];
    let classes = array.len() / count;
    array.into_shape_with_order((count, classes)).unwrap()
}

fn best<T: PartialOrd + Copy>(row: ArrayView1<'_, T>) -> usize {
    row.iter().enumerate().fold(0, |best, (at, x)| if *x > row[best] { at } else { best })
}

/// How many of the quantized network's classes are those of `expected`.
fn agreement(network: &Network, inputs: &Array4<f32>, expected: &Array2<f32>) -> usize {
    let exported = export::to_bytes(network, &export::Options::default()).unwrap();
    let model = Runtime::new(&exported.bytes).unwrap();
    let quant = model.input().quant;
    let elements = inputs.mapv(|x| ((x / quant.scale).round() as i32 + quant.zero_point).clamp(-128, 127) as i8);
    let images = Images::new(IntArray::Signed(elements.into_dyn()), &model.input(), None).unwrap();
    let outputs = simulate::run(model, &images).unwrap();
    outputs.rows().into_iter().zip(expected.rows()).filter(|(a, b)| best(a.view()) == best(b.view())).count()
}

#[test]
fn onnx_float_computes_the_same_and_quantizes_well() {
    let Some(folder) = needs::shared("reference") else { return };
    let model = float(&folder.join("torch_resnet8_float.onnx"));
    let inputs = calibration::load(&[folder.join("torch_resnet8_float.input.npy")], &model, None).unwrap();
    let expected = rows(&folder.join("torch_resnet8_float.output.npy"));
    let values = layers::forward(&model.graph, &model.params, &inputs.view()).unwrap();
    for (got, expected) in values.last().unwrap().iter().zip(&expected) {
        assert!((got - expected).abs() < 1e-4, "{got} {expected}");
    }
    let batches = calibration::batches(inputs.view());
    let network = quantize::quantize(&model.graph, &model.params, batches, &quantize::Options::default()).unwrap();
    assert!(agreement(&network, &inputs, &expected) >= 62);
}

#[test]
fn onnx_with_its_own_scales_keeps_classes() {
    let Some(folder) = needs::shared("reference") else { return };
    let model = float(&folder.join("torch_resnet8_qdq.onnx"));
    let inputs = calibration::load(&[folder.join("torch_resnet8_float.input.npy")], &model, None).unwrap();
    let network = given::quantize(&model).unwrap();
    let expected = rows(&folder.join("torch_resnet8_qdq.output.npy"));
    assert!(agreement(&network, &inputs, &expected) >= 62);
    // Scales of the file, not of our choice.
    let given: Vec<f32> = model.quants.values().map(|quant| quant.scale).collect();
    assert!(network.tensors.iter().all(|tensor| given.contains(&tensor.quant.scale)));
}

#[test]
fn tflite_float_quantizes_well() {
    let Some(folder) = needs::shared("reference") else { return };
    let model = float(&folder.join("inception_cifar_float.tflite"));
    let IntArray::Signed(elements) = IntArray::read(&folder.join("inception_cifar_int8.input.npy")).unwrap() else {
        panic!("inputs are int8")
    };
    let inputs = elements.mapv(|q| f32::from(q) / 128.0).into_dimensionality().unwrap();
    let IntArray::Signed(output) = IntArray::read(&folder.join("inception_cifar_int8.output.npy")).unwrap() else {
        panic!("outputs are int8")
    };
    let expected = output.mapv(f32::from).into_dimensionality().unwrap();
    let batches = calibration::batches(inputs.view());
    let network = quantize::quantize(&model.graph, &model.params, batches, &quantize::Options::default()).unwrap();
    assert!(agreement(&network, &inputs, &expected) >= 61);
}

/// Signal to quantization noise in decibels, of the float graph against the int8 network in the runtime, on noise.
fn decibels(model: &ImportedFloat) -> f64 {
    let Shape { h, w, c } = model.graph.input;
    let size = (24, h as usize, w as usize, c as usize);
    let images = Array4::from_shape_vec(size, noise(24 * model.graph.input.len() as usize)).unwrap();
    let batches = calibration::batches(images.view());
    let network = quantize::quantize(&model.graph, &model.params, batches, &quantize::Options::default()).unwrap();
    network.validate().unwrap();
    let outputs = simulated(&network, &images);
    let float = layers::forward(&model.graph, &model.params, &images.view()).unwrap().pop().unwrap();
    let (mut signal, mut error) = (0.0, 0.0);
    for (&x, &q) in float.iter().zip(&outputs) {
        signal += f64::from(x).powi(2);
        error += f64::from(x - q).powi(2);
    }
    10.0 * (signal / error).log10()
}

/// Small networks that PyTorch and Keras exported (see `exported/README.md`): the float graph gives the outputs of ONNX
/// Runtime and of LiteRT, and the int8 network is near.
#[test]
fn exported_networks_compute_the_same_and_quantize_well() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exported");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "onnx" && extension != "tflite") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        let model = float(&path);
        let inputs = calibration::load(&[path.with_extension("input.npy")], &model, None).unwrap();
        let mut expected = rows(&path.with_extension("output.npy"));
        if model.notes.iter().any(|note| note.contains("probabilities")) {
            expected.mapv_inplace(f32::exp);
        }
        let got = layers::forward(&model.graph, &model.params, &inputs.view()).unwrap().pop().unwrap();
        let folded = fold::fold(&model.graph, &model.params).unwrap();
        let runner = NetRunner::new(&folded);
        let folded = inputs.outer_iter().flat_map(|image| runner.forward(image.as_slice().unwrap()).pop().unwrap());
        assert_eq!(got.len(), expected.len(), "{name}");
        for ((got, folded), expected) in got.iter().zip(folded).zip(&expected) {
            assert!((got - expected).abs() < 1e-4, "{name}: {got} {expected}");
            assert!((folded - expected).abs() < 1e-4, "{name}: {folded} {expected}, folded");
        }
        let decibels = decibels(&model);
        println!("{name}: {decibels:.1} dB");
        assert!(decibels > 20.0, "{name}: {decibels:.1} dB");
        count += 1;
    }
    assert_eq!(count, 16);
}

/// Channels-first in the file: the dense layer's weights must follow the flattened map's new order.
#[test]
fn flattening_keeps_the_meaning_of_weights() {
    let Ok(Model::Float(model)) = read(&import_util::small_onnx(), &Options::default()) else {
        panic!("it is supported")
    };
    let image = |c: usize, y: usize, x: usize| ((c * 16 + y * 4 + x) as f32 * 0.37).sin();
    let inputs = Array4::from_shape_fn((1, 4, 4, 2), |(_, y, x, c)| image(c, y, x));
    let got = layers::forward(&model.graph, &model.params, &inputs.view()).unwrap();
    let weight = |i: usize| i as f32 / 50.0 - 0.3;
    let mut expected = [0, 1, 2, 3].map(weight);
    for o in 0..3 {
        for (y, x) in (0..16).map(|p| (p / 4, p % 4)) {
            let mut sum = weight(o);
            for (i, ky, kx) in (0..18).map(|k| (k / 9, k / 3 % 3, k % 3)) {
                if (1..5).contains(&(y + ky)) && (1..5).contains(&(x + kx)) {
                    sum += weight(((o * 2 + i) * 3 + ky) * 3 + kx) * image(i, y + ky - 1, x + kx - 1);
                }
            }
            let flat = o * 16 + y * 4 + x;
            expected.iter_mut().enumerate().for_each(|(n, e)| *e += sum.max(0.0) * weight(flat * 4 + n));
        }
    }
    for (got, expected) in got.last().unwrap().iter().zip(expected) {
        assert!((got - expected).abs() < 1e-4, "{got} {expected}");
    }
}

#[test]
fn lists_everything_that_is_not_supported() {
    let mut bytes = import_util::small_onnx();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    for (operator, other) in [("Relu", "Sinh"), ("Flatten", "Flutter")] {
        let at = text.find(operator).map(|_| bytes.windows(operator.len()).position(|w| w == operator.as_bytes()));
        let at = at.flatten().unwrap();
        bytes[at..at + other.len()].copy_from_slice(other.as_bytes());
    }
    let Err(ImportError::Unsupported(problems)) = read(&bytes, &Options::default()) else { panic!("not supported") };
    // `Flutter` only depends on a node that is already listed; it is listed all the same, as it is unknown itself.
    let operators: Vec<&str> = problems.kinds().iter().map(|(problem, _)| problem.operator.as_str()).collect();
    assert_eq!(operators, ["Sinh", "Flutter"]);
}

#[test]
fn survives_truncated_onnx() {
    let bytes = import_util::small_onnx();
    for len in 0..bytes.len() {
        let _ = read(&bytes[..len], &Options::default());
    }
}

/// The exported networks with some bytes replaced, or their end cut off: an error or a network, never a panic.
#[test]
fn survives_mutated_exported_networks() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exported");
    let mut state = 0x2545_F491u32;
    let mut next = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "onnx" && extension != "tflite") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for _ in 0..600 {
            let mut copy = bytes.clone();
            for _ in 0..1 + next(4) {
                let at = next(copy.len());
                copy[at] = [0, 1, 2, 0x7f, 0x80, 0xff, next(256) as u8][next(7)];
            }
            copy.truncate(copy.len() - if next(8) == 0 { next(2000) } else { 0 });
            if let Ok(Model::Float(model)) = read(&copy, &Options::default()) {
                let _ = fold::fold(&model.graph, &model.params);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn survives_flipped_onnx(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)) {
        let mut bytes = import_util::small_onnx();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = read(&bytes, &Options::default());
    }
}

#[test]
fn networks_that_scale_pixels_are_told_from_those_that_do_not() {
    let model = float(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exported/inception.onnx"));
    assert!(!calibration::divides_pixels(&model));
    // Keras' `Rescaling(1 / 127.5, offset=-1)`, as a function and as a normalization; and one that is for numbers from 0 to 1.
    let first = model.graph.consumers()[0][0].0;
    let begins_with = |factor: f64, folded: bool| {
        let mut changed = model.clone();
        let node = &mut changed.graph.nodes[first];
        let scaled =
            Function::X.with(Binary::Mul, Function::Constant(factor)).with(Binary::Sub, Function::Constant(1.0));
        node.op = if folded { Op::BatchNorm(0.0) } else { Op::Function(scaled) };
        for (suffix, number) in [("gamma", factor as f32), ("variance", 1.0)] {
            let array = ndarray::ArrayD::from_elem(ndarray::IxDyn(&[3]), number);
            changed.params.insert(format!("{}.{suffix}", node.name), array);
        }
        calibration::divides_pixels(&changed)
    };
    assert!(begins_with(1.0 / 127.5, false) && begins_with(1.0 / 255.0, true));
    assert!(!begins_with(2.0, false) && !begins_with(2.0, true));

    let Shape { h, w, c } = model.graph.input;
    let inputs = |value: f32| Array4::from_elem((2, h as usize, w as usize, c as usize), value);
    let says = |value| calibration::doubt(inputs(value).view(), &model).unwrap();
    assert!(says(0.5).contains("from 0 to 1"), "{}", says(0.5));
    assert!(says(-1.5).contains("run from -1.50 to -1.50") && says(-1.5).contains("--mean"), "{}", says(-1.5));
}
