//! Files that claim what cannot be, or go round in circles: the importer ends soon, with an error, and takes little memory.

mod import_util;

use std::process::Command;

use import_util::onnx::{given, initializer, ints, list, model, node};
use kinglet_tools::import::flat_write::Value;
use kinglet_tools::import::tflite::file::{File, FileOperator, FileTensor, element};

/// Memory that an import may take beside that of the program, in KB.
const MEMORY: u64 = 3 << 20;

/// Seconds of processor time that it may take.
const LIMIT: u64 = 20;

/// What the command says of a file that it takes, or that it refuses, in little processor time and memory.
fn said(name: &str, bytes: &[u8], is_taken: bool) -> String {
    let folder = tempfile::tempdir().unwrap();
    let [file, out] = [name, "out.kgl"].map(|name| folder.path().join(name));
    std::fs::write(&file, bytes).unwrap();
    let script = format!("ulimit -v {MEMORY}; ulimit -t {LIMIT}; exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_kinglet"), "import"]).arg(&file).arg("-o").arg(&out);
    // Each thread reserves memory that it does not use.
    let output = command.env("RAYON_NUM_THREADS", "1").env("MALLOC_ARENA_MAX", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(i32::from(!is_taken)), "{name}: {}\n{said}", output.status);
    assert_eq!(out.exists(), is_taken);
    said
}

fn refusal(name: &str, bytes: &[u8]) -> String {
    said(name, bytes, false)
}

#[test]
fn circles_in_onnx_are_refused() {
    let b = || initializer(&given("b", &[1], &[1.0]));
    for (what, parts) in [
        ("a node that reads itself", vec![node("Relu", &["y"], &["y"], &[])]),
        ("two", vec![node("Relu", &["a"], &["y"], &[]), node("Relu", &["y"], &["a"], &[])]),
        (
            "by way of a sum",
            vec![
                node("Add", &["x", "late"], &["early"], &[]),
                node("Relu", &["early"], &["late"], &[]),
                node("Relu", &["late"], &["y"], &[]),
            ],
        ),
        (
            "of constants",
            vec![
                node("Add", &["b", "d"], &["c"], &[]),
                node("Add", &["b", "c"], &["d"], &[]),
                node("Add", &["x", "d"], &["y"], &[]),
                b(),
            ],
        ),
        ("twice the same name", vec![node("Relu", &["x"], &["x"], &[]), node("Relu", &["x"], &["y"], &[])]),
    ] {
        let said = refusal("circle.onnx", &model(17, &[1, 3, 4, 4], &parts));
        assert!(said.contains("error"), "{what}: {said}");
    }
}

#[test]
fn claims_of_gigabytes_are_refused_at_once() {
    let huge = |dims: &[i64]| initializer(&given("w", dims, &[0.5; 4]));
    let conv = |attributes: &[Vec<u8>]| node("Conv", &["x", "w"], &["y"], attributes);
    let map = [1, 3, 4, 4];
    let small = || initializer(&given("w", &[1, 3, 1, 1], &[0.5; 3]));
    for (what, input, parts) in [
        ("weights", &map, vec![conv(&[]), huge(&[1 << 20, 3, 1 << 10, 1])]),
        ("more than 64 bits", &map, vec![conv(&[]), huge(&[1 << 32, 1 << 32, 1 << 32, 3])]),
        ("negative", &map, vec![conv(&[]), huge(&[-1, -3, 1, 1])]),
        ("an input", &[1, 3, 1 << 20, 1 << 20], vec![conv(&[]), small()]),
        ("padding", &map, vec![conv(&[ints("pads", &[1 << 30; 4])]), small()]),
        ("a kernel", &map, vec![node("MaxPool", &["x"], &["y"], &[ints("kernel_shape", &[1 << 31, 1 << 31])])]),
        (
            "a repetition",
            &map,
            vec![
                node("Expand", &["b", "s"], &["e"], &[]),
                node("Add", &["x", "e"], &["y"], &[]),
                initializer(&given("b", &[1], &[1.0])),
                initializer(&list("s", &[1 << 15, 1 << 15, 1 << 15, 4])),
            ],
        ),
        ("a reshape", &map, vec![node("Reshape", &["x", "s"], &["y"], &[]), initializer(&list("s", &[1, 1 << 40]))]),
    ] {
        let said = refusal("claim.onnx", &model(17, input, &parts));
        assert!(said.contains("error"), "{what}: {said}");
    }
    for dims in [&[1, 46_341, 46_341, 1][..], &[1, i32::MAX, i32::MAX, i32::MAX], &[1, -4, -4, 1]] {
        let said = refusal("claim.tflite", &added(1, dims, 0.05).to_bytes());
        assert!(said.contains("error"), "{dims:?}: {said}");
    }
}

/// A chain of additions of a map and itself.
fn added(count: i32, dims: &[i32], scale: f32) -> File {
    let mut file = File::default();
    for at in 0..=count {
        let (name, scales, zero_points) = (format!("t{at}"), vec![scale], vec![0]);
        let dims = dims.to_vec();
        file.tensor(FileTensor { name, dims, element: element::INT8, scales, zero_points, ..FileTensor::default() });
    }
    let operator = |at| FileOperator {
        code: 0,
        version: 1,
        inputs: vec![at, at],
        outputs: vec![at + 1],
        options_type: 11,
        options: vec![(0, Value::U8(0))],
    };
    file.operators.extend((0..count).map(operator));
    file.inputs.push(0);
    file.outputs.push(count);
    file
}

#[test]
fn scales_that_are_no_numbers_are_refused() {
    for scale in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.05] {
        let said = refusal("scale.tflite", &added(1, &[1, 4, 4, 1], scale).to_bytes());
        assert!(said.contains("scale"), "{scale}: {said}");
        let parts = [
            node("QuantizeLinear", &["x", "s", "z"], &["q"], &[]),
            node("DequantizeLinear", &["q", "s", "z"], &["d"], &[]),
            node("Relu", &["d"], &["y"], &[]),
            initializer(&given("s", &[], &[scale])),
            initializer(&import_util::onnx::bytes("z", &[], &[0])),
        ];
        let said = refusal("scale.onnx", &model(17, &[1, 1, 4, 4], &parts));
        assert!(said.contains("scale"), "{scale}: {said}");
    }
}

/// Networks of thousands of operators take seconds, and more than a model file has room for are refused before they are planned.
#[test]
fn thousands_of_operators_are_soon_imported() {
    said("long.tflite", &added(2000, &[1, 4, 4, 2], 0.05).to_bytes(), true);
    let said = refusal("longer.tflite", &added(5000, &[1, 4, 4, 2], 0.05).to_bytes());
    assert!(said.contains("5000 operators") && said.contains("4096"), "{said}");

    let name = |at: usize| if at == 0 { "x".to_owned() } else { format!("t{at}") };
    let mut parts = Vec::new();
    for at in 0..2500 {
        let [from, between, to] = [name(2 * at), name(2 * at + 1), name(2 * at + 2)];
        let to = if at == 2499 { "y".to_owned() } else { to };
        parts.push(node("Conv", &[&from, "w", "b"], &[&between], &[]));
        parts.push(node("Add", &[&between, &from], &[&to], &[]));
    }
    parts.extend([initializer(&given("w", &[2, 2, 1, 1], &[0.1; 4])), initializer(&given("b", &[2], &[0.1; 2]))]);
    // All of it is read before images to quantize it with are missed.
    let said = refusal("long.onnx", &model(17, &[1, 2, 4, 4], &parts));
    assert!(said.contains("--calibration"), "{said}");
}
