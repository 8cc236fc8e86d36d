//! Several inputs and outputs.

use super::{INPUT, conv, imported};
use crate::import_util::noise;
use crate::import_util::onnx::{end, model, node};
use kinglet::DType;
use kinglet::kernels::Active;
use kinglet::kernels::float16::from_ordinal;
use kinglet_tools::import::{Options, calibration};
use kinglet_tools::layout::Layout;
use kinglet_tools::simulate::{self, Images};
use kinglet_tools::{deploy, export, quantize};
use ndarray::Array4;

/// The product of a convolution's output and of another input, in float16 and in int8 calibrated on both.
#[test]
fn several_inputs_are_calibrated_together() {
    let mut parts = conv("x", "c", &[]);
    parts.push(node("Mul", &["c", "gate"], &["y"], &[]));
    parts.push(end(11, "gate", &[1, 4, 5, 4]));
    let imported = imported(&model(17, &INPUT, &parts), &Options::default()).unwrap();
    assert_eq!(imported.inputs, ["gate", "x"]);
    let folder = tempfile::tempdir().unwrap();
    let arrays = [("x", [3, 7, 6]), ("gate", [4, 5, 4])].map(|(name, [c, h, w])| {
        let array = Array4::from_shape_vec((4, c, h, w), noise(4 * c * h * w)).unwrap();
        let path = folder.path().join(format!("{name}.npy"));
        ndarray_npy::write_npy(&path, &array).unwrap();
        (array, path)
    });
    let [x, gate] = arrays.each_ref().map(|(_, path)| path.clone());
    let named = std::path::PathBuf::from(format!("x={}", x.display()));
    let images = calibration::load(&[named, x.clone()], &imported, None).unwrap_err().to_string();
    assert!(images.contains("given twice"), "{images}");
    let images = calibration::load(&[gate, x], &imported, None).unwrap();
    let options = quantize::Options::default();
    let batches = || calibration::batches(images.view());
    let int8 = quantize::quantize(&imported.graph, &imported.params, batches(), &options).unwrap();
    let float16 = deploy::float16(&imported.graph, &imported.params).unwrap();
    let outputs = [float16, int8].map(|mut network| {
        imported.name_ends(&mut network);
        let exported = export::to_bytes(&network, &export::Options::default()).unwrap();
        let model = kinglet::Model::new(&exported.bytes).unwrap();
        let own = |name: &str| usize::from(name == "gate");
        let images: Vec<Images> = model
            .inputs()
            .map(|port| {
                let array = arrays[own(port.name)].0.clone().into_dyn();
                Images::quantize(array, &port.tensor, Some(Layout::Nchw)).unwrap()
            })
            .collect();
        let quant = model.output().quant;
        let rows = simulate::run_all::<Active>(model, &images).unwrap();
        let output = simulate::outputs(&model, &rows).remove(0);
        let is_half = model.output().dtype == DType::F16;
        output
            .into_iter()
            .map(
                |element| {
                    if is_half { from_ordinal(element.into()).to_f32() } else { quant.dequantize(element.into()) }
                },
            )
            .collect::<Vec<f32>>()
    });
    let [float16, int8] = outputs;
    let largest = float16.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    assert!(largest > 0.1 && float16.iter().zip(&int8).all(|(a, b)| (a - b).abs() < 0.03 * largest));
}

/// A network with two outputs gives what the two networks give that are cut at one of them; one output is on the way to the other.
#[test]
fn several_outputs_are_those_of_the_cut_networks() {
    let mut parts = conv("x", "y", &[]);
    parts.push(node("Relu", &["y"], &["r"], &[]));
    parts.push(node("GlobalAveragePool", &["r"], &["z"], &[]));
    parts.push(end(12, "z", &[1, 4, 1, 1]));
    let bytes = model(17, &INPUT, &parts);
    let run = |outputs: &[&str]| -> Vec<(String, Vec<i16>)> {
        let options = Options { outputs: outputs.iter().map(|&name| name.to_owned()).collect(), ..Options::default() };
        let imported = imported(&bytes, &options).unwrap();
        let mut network = deploy::float16(&imported.graph, &imported.params).unwrap();
        imported.name_ends(&mut network);
        let exported = export::to_bytes(&network, &export::Options::default()).unwrap();
        let model = kinglet::Model::new(&exported.bytes).unwrap();
        let images = Array4::from_shape_vec((2, 7, 6, 3), noise(2 * 7 * 6 * 3)).unwrap();
        let images = Images::quantize(images.into_dyn(), &model.input(), Some(Layout::Nhwc)).unwrap();
        let rows = simulate::run_all::<Active>(model, &[images]).unwrap();
        let outputs = simulate::outputs(&model, &rows).into_iter().map(|output| output.into_iter().collect());
        model.outputs().map(|port| port.name.to_owned()).zip(outputs).collect()
    };
    assert_eq!(run(&[]), [run(&["z"]), run(&["y"])].concat());
    let error =
        imported(&bytes, &Options { outputs: vec!["no".into()], ..Options::default() }).unwrap_err().to_string();
    assert!(error.contains("no node computes the output `no`"), "{error}");
}
