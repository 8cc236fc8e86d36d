//! ONNX's own tests of single operators, from the package `onnx` of the Python that `KINGLET_ONNX` names.

mod needs;

use std::path::Path;
use std::process::Command;

use kinglet_tools::files;
use kinglet_tools::import::{self, Model, Options};
use kinglet_tools::layers;
use kinglet_tools::layout::Layout;

/// What is no form of an operator that the README lists, or one that no small network is left with.
const REFUSED: [&str; 23] = [
    "AveragePool: dilation",
    "CastLike",
    "DFT",
    "DeformConv",
    "GridSample",
    "GroupNormalization",
    "InstanceNormalization",
    "LpPool",
    "MatMul: weights of dimensions",
    "MaxPool: dilation",
    "MaxUnpool",
    "RMSNormalization",
    "Reshape: an input of dimensions",
    "Reshape: dimensions",
    "Resize: TensorFlow Lite has no settings",
    "Resize: an antialiasing filter",
    "Resize: the coordinates `tf_crop_and_resize`",
    "Resize: the mode `cubic`",
    "TensorScatter",
    "model: no node computes the output",
    "AffineGrid",
    "Attention",
    "RotaryEmbedding",
];

/// Where onnxruntime and PyTorch, which we follow, take another extent than ONNX's text.
const OTHERWISE: [&str; 1] = ["test_resize_downsample_scales_linear_align_corners"];

/// The largest difference, in units of the largest output, or why the model is refused.
fn difference(path: &Path) -> Result<f32, String> {
    let read = |kind: &str| files::reals(&std::fs::read(path.with_extension(kind)).unwrap()).unwrap();
    let model = match import::read(&std::fs::read(path).unwrap(), &Options::default()) {
        Ok(Model::Float(model)) => model,
        Ok(Model::Int8(_)) => panic!("{} is no file of floats", path.display()),
        Err(import::ImportError::Unsupported(problems)) => {
            let (problem, _) = &problems.kinds()[0];
            return Err(format!("{}: {}", problem.operator, problem.reason));
        }
        Err(error) => return Err(error.to_string()),
    };
    let own = if model.channels_first { Layout::Nchw } else { Layout::Nhwc };
    let images = Layout::channels_last(read("input.npy"), model.graph.input, Some(own), None).unwrap();
    let found = layers::forward(&model.graph, &model.params, &images.view()).unwrap().pop().unwrap();
    let wanted = read("output.npy");
    let wanted = match wanted.ndim() {
        4 if model.channels_first => wanted.permuted_axes([0, 2, 3, 1].as_slice()),
        3 if model.channels_first => wanted.permuted_axes([0, 2, 1].as_slice()),
        _ => wanted,
    };
    assert_eq!(found.len(), wanted.len(), "{}", path.display());
    let largest = wanted.iter().fold(1e-6f32, |largest, y| largest.max(y.abs()));
    Ok(found.iter().zip(&wanted).fold(0.0, |most: f32, (a, b)| most.max((a - b).abs())) / largest)
}

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
            Err(reason) if REFUSED.iter().any(|known| reason.contains(known)) => {}
            Err(reason) => faults.push(format!("{name} is refused: {reason}")),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    println!("{agree} tests agree");
    assert!(agree > 60, "{agree}");
}
