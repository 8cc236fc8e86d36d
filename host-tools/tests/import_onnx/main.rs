//! Spellings of ONNX networks: each computes what a plain one does.

#[path = "../import_util/mod.rs"]
mod import_util;

mod constants;
mod ends;
mod files;
mod functions;
mod moves;
mod quantized;
mod sums;
mod windows;

use import_util::noise;
use import_util::onnx::{floats, initializer, model, node};
use kinglet_tools::import::{ImportError, ImportedFloat, Model, Options, read};
use kinglet_tools::layers;
use ndarray::Array4;

fn imported(bytes: &[u8], options: &Options) -> Result<ImportedFloat, ImportError> {
    match read(bytes, options)? {
        Model::Float(model) => Ok(model),
        Model::Int8(_) => panic!("ONNX is read into the float graph"),
    }
}

fn outputs_of(model: &ImportedFloat) -> Vec<f32> {
    let shape = model.graph.input;
    let size = (2, shape.h as usize, shape.w as usize, shape.c as usize);
    let images = Array4::from_shape_vec(size, noise(2 * shape.len() as usize)).unwrap();
    layers::forward(&model.graph, &model.params, &images.view()).unwrap().pop().unwrap().iter().copied().collect()
}

fn outputs(bytes: &[u8]) -> Vec<f32> {
    outputs_of(&imported(bytes, &Options::default()).unwrap())
}

/// Why a file is refused.
fn refusal(bytes: &[u8]) -> String {
    imported(bytes, &Options::default()).unwrap_err().to_string()
}

/// Same numbers, but for the order of sums.
fn agree(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

const INPUT: [i64; 4] = [1, 3, 7, 6];

/// A convolution of 3 channels into 4, and its weights.
fn conv(input: &str, output: &str, attributes: &[Vec<u8>]) -> Vec<Vec<u8>> {
    vec![
        node("Conv", &[input, "w", "b"], &[output], attributes),
        initializer(&floats("w", &[4, 3, 3, 3])),
        initializer(&floats("b", &[4])),
    ]
}

fn plain() -> Vec<u8> {
    model(17, &INPUT, &conv("x", "y", &[]))
}
