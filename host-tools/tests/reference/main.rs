//! The kernels against the published networks' tensors, bit for bit.
//!
//! `../shared/reference` holds TensorFlow Lite models with inputs, every operator's output for the first input
//! (`layers.npz`), and the final outputs of two interpreters for all inputs: the desktop reference kernels (`output`),
//! which round once in fully connected layers, and TensorFlow Lite Micro (`output_tflm`), which rounds twice
//! everywhere.

mod flat;
#[path = "../needs/mod.rs"]
mod needs;
mod net;

use std::fs::{self, File};
use std::path::PathBuf;

use kinglet::Rounding;
use kinglet::kernels::Portable;
use ndarray::ArrayD;
use ndarray_npy::{NpzReader, read_npy};
use net::{DenseRounding, Net, Values};

/// A file of the reference folder, or `None` (and a word about it) when there is no such folder.
fn reference(name: &str) -> Option<PathBuf> {
    needs::shared(&format!("reference/{name}"))
}

fn images(path: PathBuf) -> Vec<Vec<i8>> {
    let all: ArrayD<i8> = read_npy(path).unwrap();
    all.outer_iter().map(|image| image.iter().copied().collect()).collect()
}

/// Every operator by itself, on the reference's own inputs to it.
fn every_layer(name: &str) {
    let Some(path) = reference(&format!("{name}.tflite")) else { return };
    let file = fs::read(&path).unwrap();
    let net = Net::new(&file);
    let first = images(path.with_extension("input.npy")).swap_remove(0);
    let mut values = Values::from([(net.input, first)]);
    let mut layers = NpzReader::new(File::open(path.with_extension("layers.npz")).unwrap()).unwrap();
    let names = layers.names().unwrap();
    assert_eq!(names.len(), net.operators.len());
    for (index, (_, operator)) in net.operators.iter().enumerate() {
        let layer = names.iter().find(|name| name.starts_with(&format!("{index:03}_"))).unwrap();
        let expected: ArrayD<i8> = layers.by_name(layer).unwrap();
        let expected: Vec<i8> = expected.iter().copied().collect();
        let found = net.run::<Portable>(index, &values, DenseRounding(Rounding::Single));
        let unequal = found.iter().zip(&expected).filter(|(a, b)| a != b).count();
        assert_eq!((unequal, found.len()), (0, expected.len()), "{name}: {layer}");
        values.insert(operator.words(2)[0], expected);
    }
}

/// The whole network, on every input, against one interpreter's outputs.
fn whole(name: &str, outputs: &str, dense: Rounding) {
    let Some(path) = reference(&format!("{name}.tflite")) else { return };
    let file = fs::read(&path).unwrap();
    let net = Net::new(&file);
    let expected = images(path.with_extension(format!("{outputs}.npy")));
    let inputs = images(path.with_extension("input.npy"));
    assert_eq!(inputs.len(), expected.len());
    for (image, (input, expected)) in inputs.into_iter().zip(expected).enumerate() {
        let mut values = Values::from([(net.input, input)]);
        for (index, (_, operator)) in net.operators.iter().enumerate() {
            let found = net.run::<Portable>(index, &values, DenseRounding(dense));
            values.insert(operator.words(2)[0], found);
        }
        assert_eq!(values[&net.output], expected, "{name}: {outputs} of input {image}");
    }
}

macro_rules! networks {
    ($($test:ident = $name:literal;)*) => {
        $(mod $test {
            #[test]
            fn every_layer() {
                super::every_layer($name);
            }

            #[test]
            fn as_the_desktop_interpreter() {
                super::whole($name, "output", kinglet::Rounding::Single);
            }

            #[test]
            fn as_the_micro_interpreter() {
                super::whole($name, "output_tflm", kinglet::Rounding::Double);
            }
        })*
    };
}

networks! {
    resnet8 = "mlperf_tiny_resnet8_int8";
    inception = "inception_cifar_int8";
    mobilenet = "mlperf_tiny_vww_mobilenet_int8";
}
