//! ONNX's own tests of single operators, from the package `onnx` of the Python that `KINGLET_ONNX` names.

mod agreement;
mod needs;

use std::path::Path;
use std::process::Command;

use agreement::difference;

/// Operators that no small network is left with, and that the documentation does not list.
const REFUSED: [&str; 7] = ["AffineGrid", "Attention", "DFT", "DeformConv", "GridSample", "MaxUnpool", "TensorScatter"];

/// Where onnxruntime and PyTorch, which we follow, take another extent than ONNX's text.
const OTHERWISE: [&str; 2] =
    ["test_resize_downsample_scales_linear_align_corners", "test_resize_downsample_scales_cubic_align_corners"];

#[test]
fn operators_agree_with_onnx() {
    let Some(python) = needs::onnx() else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/onnx_node_tests.py");
    let status = Command::new(python).arg(script).arg(folder.path()).status().unwrap();
    assert!(status.success());
    let (mut agree, mut faults) = (0, Vec::new());
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "onnx") {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        match difference(&path) {
            Ok(difference) if difference < 4e-3 => agree += 1,
            Ok(_) if OTHERWISE.contains(&&*name) => {}
            Ok(difference) => faults.push(format!("{name} differs by {difference}")),
            Err(reason) if REFUSED.iter().any(|known| reason.contains(known)) => {
                println!("{name} is refused: {reason}")
            }
            Err(reason) => faults.push(format!("{name} is refused: {reason}")),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    println!("{agree} tests agree");
    assert!(agree >= 136, "{agree}");
}
