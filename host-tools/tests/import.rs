//! Importing: published networks, networks written by our own writer, and hostile bytes.

mod import_util;
mod needs;

use std::path::Path;

use import_util::{small_network, widened};
use kinglet::Model;
use kinglet::ops::Encoding;
use kinglet_tools::files::IntArray;
use kinglet_tools::graph::{NetworkRecipe, Op, Params, Preprocess, StoredWeights};
use kinglet_tools::import::tflite::file::{File, FileOperator, FileTensor};
use kinglet_tools::import::{ImportError, Options, RoundingMode, import, tflite};
use kinglet_tools::network::Network;
use kinglet_tools::simulate::{self, Images};
use kinglet_tools::{compare, export, plan, quantize};
use ndarray::Array4;
use proptest::prelude::*;

/// Imports a published network, compares it with the oracle and writes it back.
fn equals_the_oracle(name: &str, rounding: RoundingMode) {
    if let Some(reference) = needs::shared("reference") {
        round_trips(&is_exact(&reference, name, rounding));
    }
}

/// Imports a network and compares every output, and if there are any, every layer of the first image; the network.
fn is_exact(folder: &Path, name: &str, rounding: RoundingMode) -> Network {
    let file = |suffix: &str| folder.join(format!("{name}.{suffix}"));
    let bytes = std::fs::read(file("tflite")).unwrap();
    let options = Options { name: name.into(), rounding: Some(rounding), ..Options::default() };
    let network = import(&bytes, &options).unwrap().network;
    // Weights of 4 bits take RAM to be widened in.
    let ram = name.ends_with("int4").then_some(16 << 10);
    let plan = plan::Options { ram, ..plan::Options::default() };
    let exported = export::to_bytes(&network, &export::Options { plan, ..export::Options::default() }).unwrap();
    let model = Model::new(&exported.bytes).unwrap();
    assert!(ram.is_none() || model.uses().encodings.has(Encoding::Nibbles.code()), "{name}");
    let images = Images::new(IntArray::read(&file("input.npy")).unwrap(), &model.input(), None).unwrap();
    let oracle = if rounding == RoundingMode::Tflm { "output_tflm.npy" } else { "output.npy" };
    let expected = match IntArray::read(&file(oracle)).unwrap() {
        IntArray::Signed(expected) => expected.mapv(i16::from),
        IntArray::Wide(expected) => expected,
        IntArray::Unsigned(_) => panic!("outputs are signed"),
    };
    let outputs = simulate::run(model, &images).unwrap();
    assert_eq!(outputs.into_dyn(), expected, "{name} {rounding:?}");
    if file("layers.npz").exists() {
        let layers = compare::with_layers(model, std::slice::from_ref(&images), &file("layers.npz")).unwrap();
        assert_eq!((&layers.different[..], layers.skipped.len()), (&[][..], 0), "{name} {rounding:?}");
    }
    network
}

#[test]
fn mlperf_tiny_resnet8_is_exact() {
    equals_the_oracle("mlperf_tiny_resnet8_int8", RoundingMode::Tflm);
    equals_the_oracle("mlperf_tiny_resnet8_int8", RoundingMode::Reference);
}

#[test]
fn inception_with_int16_activations_is_exact() {
    equals_the_oracle("inception_cifar_int16x8", RoundingMode::Tflm);
    equals_the_oracle("inception_cifar_int16x8", RoundingMode::Reference);
}

#[test]
fn mlperf_tiny_mobilenet_is_exact() {
    equals_the_oracle("mlperf_tiny_vww_mobilenet_int8", RoundingMode::Tflm);
    equals_the_oracle("mlperf_tiny_vww_mobilenet_int8", RoundingMode::Reference);
}

#[test]
fn inception_is_exact() {
    equals_the_oracle("inception_cifar_int8", RoundingMode::Tflm);
    equals_the_oracle("inception_cifar_int8", RoundingMode::Reference);
}

#[test]
fn what_we_write_is_what_we_read() {
    round_trips(&small_network());
    round_trips(&widened(small_network()));
}

/// Small networks from TensorFlow's converter (see `converted/README.md`): activations by themselves, squeeze and excitation,
/// constants, splits, 1-D and dilated convolutions, with int8 and with int16 activations; weights of 4 bits, which the desktop's
/// reference kernels do not run.
#[test]
fn converted_networks_are_exact() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/converted");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "tflite") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            is_exact(&folder, name, RoundingMode::Tflm);
            if !name.ends_with("int4") {
                is_exact(&folder, name, RoundingMode::Reference);
            }
            count += 1;
        }
    }
    assert_eq!(count, 11);
}

/// Operators, and forms of them, that TensorFlow's converter seldom writes (see `scripts/int8_models.py`). Neither of the two
/// interpreters has all of them.
#[test]
fn single_operators_are_exact() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operators");
    let mut compared = [0; 2];
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "tflite") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let oracles = [("output_tflm", RoundingMode::Tflm), ("output", RoundingMode::Reference)];
            for ((oracle, mode), compared) in oracles.into_iter().zip(&mut compared) {
                if folder.join(format!("{name}.{oracle}.npy")).exists() {
                    is_exact(&folder, name, mode);
                    *compared += 1;
                }
            }
        }
    }
    assert_eq!(compared, [21, 13]);
}

/// Weights of 4 bits are read and written as such.
#[test]
fn weights_of_four_bits_come_back() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operators/int4.tflite");
    let mut network = import(&std::fs::read(file).unwrap(), &Options::default()).unwrap().network;
    round_trips(&network);
    let four = tflite::to_bytes(&network).unwrap().len();
    let (mut weights_of, mut layers) = (0, 0);
    for node in &mut network.nodes {
        if let Op::Conv2d { weights, .. } | Op::DepthwiseConv2d { weights, .. } | Op::Dense(weights) = &mut node.op
            && let StoredWeights::Int8 { weights, .. } = weights
        {
            assert!(weights.iter().all(|weight| (-7..=7).contains(weight)));
            weights[0] = 8;
            (weights_of, layers) = (weights_of + weights.len(), layers + 1);
        }
    }
    assert_eq!(layers, 7);
    // But for alignment half of them.
    let eight = tflite::to_bytes(&network).unwrap().len();
    assert!(
        (eight - four).abs_diff(weights_of / 2) < 16 * layers,
        "{four} bytes, and {eight} for {weights_of} weights"
    );
}

/// The networks that Kinglet trains, with random weights.
#[test]
fn our_own_networks_come_back_from_tensorflow_lite() {
    for name in ["digits-resnet", "digits-inception"] {
        let recipe = NetworkRecipe::zoo(name);
        let shape = recipe.input().unwrap();
        let labels: Vec<String> = (0..10).map(|class| class.to_string()).collect();
        let graph = recipe.build(&labels, &Preprocess::unit(shape.c as usize)).unwrap();
        let size = (4, shape.h as usize, shape.w as usize, shape.c as usize);
        let images = Array4::from_shape_fn(size, |(n, y, x, c)| ((n * 7 + y * 3 + x * 5 + c) % 11) as f32 / 11.0);
        let params = Params::init(&graph, 1);
        let network = quantize::quantize(&graph, &params, [images], &quantize::Options::default()).unwrap();
        round_trips(&network);
    }
}

/// Writes and reads; the same network must come back, but for the numbers and names of its tensors.
fn round_trips(network: &Network) {
    let bytes = tflite::to_bytes(network).unwrap();
    let again = import(&bytes, &Options::default()).unwrap().network;
    assert_eq!(again.nodes.len(), network.nodes.len());
    let kind = |n: &Network, id: usize| (n.tensors[id].shape, n.tensors[id].dtype, n.tensors[id].quant);
    for (a, b) in network.nodes.iter().zip(&again.nodes) {
        assert_eq!((&a.name, &a.op, a.rounding), (&b.name, &b.op, b.rounding));
        assert_eq!(kind(network, a.output), kind(&again, b.output), "{}", a.name);
        let inputs = |n: &Network, ids: &[usize]| ids.iter().map(|&id| kind(n, id)).collect::<Vec<_>>();
        assert_eq!(inputs(network, &a.inputs), inputs(&again, &b.inputs), "{}", a.name);
    }
    assert_eq!((&again.name, &again.labels, &again.pixels), (&network.name, &network.labels, &network.pixels));
    let export = |n: &Network| export::to_bytes(n, &export::Options::default()).unwrap().bytes;
    assert_eq!(export(network), export(&again));
}

/// The command lists all that is missing, with node, reason and hint, and writes nothing.
#[test]
fn lists_everything_that_is_not_supported_at_once() {
    let mut file = File::default();
    let mut tensor = |name: &str, element| {
        let dims = vec![1, 4, 4, 2];
        let (scales, zero_points) = (vec![0.5], vec![0]);
        file.tensor(FileTensor { name: name.into(), dims, element, scales, zero_points, ..FileTensor::default() })
    };
    let tensors = [tensor("in", 9), tensor("a/up", 9), tensor("b/most", 9), tensor("c/out", 4)];
    for (index, code) in [67, 55, 19].into_iter().enumerate() {
        let (inputs, outputs) = (vec![tensors[index]], vec![tensors[index + 1]]);
        file.operators.push(FileOperator { code, version: 1, inputs, outputs, ..FileOperator::default() });
    }
    (file.inputs, file.outputs) = (vec![tensors[0]], vec![tensors[3]]);
    let folder = tempfile::tempdir().unwrap();
    let (model, output) = (folder.path().join("bad.tflite"), folder.path().join("bad.kgl"));
    std::fs::write(&model, file.to_bytes()).unwrap();
    let run =
        assert_cmd::Command::cargo_bin("kinglet").unwrap().arg("import").arg(&model).arg("-o").arg(&output).assert();
    let stderr = String::from_utf8(run.failure().get_output().stderr.clone()).unwrap();
    for part in [
        "3 things",
        "node 0 `a/up` (TRANSPOSE_CONV)",
        "node 1 `b/most` (MAXIMUM)",
        "node 2 `c/out` (RELU)",
        "int64",
        "hint",
    ] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    assert!(!output.exists());
}

#[test]
fn refuses_other_files() {
    for bytes in [&b""[..], b"TFL3", b"\x08\0\0\0TFL3", b"PK\x03\x04 a zip file", &[0; 64], &[0xff; 64]] {
        let error = import(bytes, &Options::default()).unwrap_err();
        assert!(matches!(error, ImportError::Format | ImportError::Malformed(_)), "{error}");
    }
}

/// Published files with random bytes in them, as a fuzzer would make them.
#[test]
fn survives_mutated_published_files() {
    let Some(reference) = needs::shared("reference") else { return };
    let names = ["mlperf_tiny_resnet8_int8.tflite", "inception_cifar_float.tflite", "torch_resnet8_qdq.onnx"];
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    for name in names {
        let bytes = std::fs::read(reference.join(name)).unwrap();
        for round in 0..400 {
            let mut copy = bytes.clone();
            for _ in 0..1 + round % 8 {
                // What is not weights lies at both ends.
                let at = next(copy.len().min(30_000));
                let at = if next(2) == 0 { at } else { copy.len() - 1 - at };
                copy[at] = [0, 1, 0x7f, 0x80, 0xff, next(256) as u8][next(6)];
            }
            copy.truncate(copy.len() - next(2) * next(4000));
            let _ = kinglet_tools::import::read(&copy, &Options::default());
        }
    }
}

/// Files that end anywhere, and files of which any word is another: an error or a network, never a panic.
#[test]
fn survives_truncation_and_replaced_words() {
    let bytes = tflite::to_bytes(&small_network()).unwrap();
    for len in 0..bytes.len() {
        let _ = import(&bytes[..len], &Options::default());
    }
    let words = [0u32, 1, 2, 0x7f, 0xff, 0x100, 0x7fff_ffff, 0x8000_0000, u32::MAX, 0x0101_0101, bytes.len() as u32];
    for at in (0..bytes.len() - 4).step_by(4) {
        for word in words {
            let mut copy = bytes.clone();
            copy[at..at + 4].copy_from_slice(&word.to_le_bytes());
            let _ = import(&copy, &Options::default());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn survives_flipped_bytes(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        let mut bytes = tflite::to_bytes(&small_network()).unwrap();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = import(&bytes, &Options::default());
    }

    #[test]
    fn survives_noise(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = vec![0; 8];
        bytes[4..].copy_from_slice(b"TFL3");
        bytes.extend(noise);
        bytes[0] = 8;
        let _ = import(&bytes, &Options::default());
    }
}
