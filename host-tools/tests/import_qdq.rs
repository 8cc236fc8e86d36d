//! Importing networks with scales of their own (ONNX with QuantizeLinear/DequantizeLinear pairs): near what ONNX Runtime
//! makes of them, with calibration images and without.

mod import_util;

use std::path::Path;

use import_util::{noise, simulated};
use kinglet::{QuantParams, Shape};
use kinglet_tools::graph::{Builder, Padding, Params};
use kinglet_tools::import::given::GivenError;
use kinglet_tools::import::{ImportedFloat, Model, Options, calibration, given, read};
use kinglet_tools::network::Network;
use kinglet_tools::quantize;
use ndarray::{Array4, ArrayD};

fn float(path: &Path) -> ImportedFloat {
    match read(&std::fs::read(path).unwrap(), &Options { name: "net".into(), ..Options::default() }).unwrap() {
        Model::Float(model) => model,
        Model::Int8(_) => panic!("{} is read into the float graph", path.display()),
    }
}

/// Twenty-four images of noise between -1 and 1.
fn images(Shape { h, w, c }: Shape) -> Array4<f32> {
    let size = (24, h as usize, w as usize, c as usize);
    Array4::from_shape_vec(size, noise(24 * (h * w * c) as usize)).unwrap()
}

/// With what the file gives and, if so asked, with images for the rest.
fn quantized(model: &ImportedFloat, on_images: bool) -> Network {
    let images = images(model.graph.input);
    let options = quantize::Options::default();
    let network = if on_images {
        given::quantize_on(model, calibration::batches(images.view()), &options).unwrap()
    } else {
        given::quantize(model).unwrap()
    };
    network.validate().unwrap();
    network
}

/// In the files of `qdq/` quantizers have dropped each ReLU that a zero point stands for, two branches of a concatenation
/// have other scales than the joint map, and PRELU, a maximum of maps and the like become several operators, between which
/// the file has no scales.
#[test]
fn networks_with_scales_are_near_onnx_runtime() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/qdq");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "onnx") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        let model = float(&path);
        assert!(!model.quants.is_empty(), "{name}");
        // The inputs are those of the float network, where there is one.
        let (from, _) = name.rsplit_once('_').unwrap();
        let own = folder.join(format!("{from}.input.npy"));
        let inputs = if own.exists() { own } else { folder.join(format!("../exported/{from}.input.npy")) };
        let inputs = calibration::load(&[inputs], &model, None).unwrap();
        let mut expected: ArrayD<f32> = ndarray_npy::read_npy(path.with_extension("output.npy")).unwrap();
        if model.notes.iter().any(|note| note.contains("probabilities")) {
            expected.mapv_inplace(f32::exp);
        }
        for on_images in [false, true] {
            let network = quantized(&model, on_images);
            let got = simulated(&network, &inputs);
            assert_eq!(got.len(), expected.len(), "{name}");
            let (mut signal, mut error) = (0.0, 0.0);
            for (x, y) in expected.iter().zip(&got) {
                signal += f64::from(*x).powi(2);
                error += f64::from(x - y).powi(2);
            }
            let decibels = 10.0 * (signal / error).log10();
            println!("{name}, on images {on_images}: {decibels:.1} dB");
            assert!(decibels > 34.0, "{name}, on images {on_images}: {decibels:.1} dB");
            // What the file gives stays.
            let input = network.input().quant;
            assert!(model.quants.values().any(|quant| *quant == input), "{name}");
        }
        count += 1;
    }
    assert_eq!(count, 8);
}

/// Two convolutions in a row, of which the first one's output has no scale: no bounds say what sums of many products give,
/// but images do. Equalization, which moves ranges, is refused.
#[test]
fn sums_without_a_scale_need_images() {
    let mut net = Builder::new("net", Shape::new(5, 5, 2)).unwrap();
    let x = net.conv2d("first", net.input(), 3, [3, 3], [1, 1], Padding::Same, true).unwrap();
    let x = net.conv2d("second", x, 2, [3, 3], [1, 1], Padding::Same, true).unwrap();
    net.global_average_pool("pool", x).unwrap();
    let graph = net.finish();
    let params = Params::init(&graph, 3);
    let quant = |scale| QuantParams { scale, zero_point: 0 };
    let quants = [("input", 1.0 / 127.0), ("second", 0.05), ("pool", 0.02)].map(|(n, s)| (n.to_owned(), quant(s)));
    let model = ImportedFloat {
        inputs: vec!["input".to_owned()],
        graph,
        params,
        quants: quants.into(),
        int16: false,
        weight_scales: Default::default(),
        outputs: Vec::new(),
        channels_first: true,
        notes: vec![],
    };
    let Err(GivenError::Missing(name)) = given::quantize(&model) else { panic!("it has no scale") };
    assert_eq!(name, "first");
    let network = quantized(&model, true);
    let scales: Vec<f32> = network.tensors.iter().map(|tensor| tensor.quant.scale).collect();
    assert_eq!([scales[0], scales[2], scales[3]], [1.0 / 127.0, 0.05, 0.02]);
    let options = quantize::Options { equalize: true, ..quantize::Options::default() };
    let images = images(model.graph.input);
    let refused = given::quantize_on(&model, calibration::batches(images.view()), &options);
    assert!(matches!(refused, Err(GivenError::Equalized)));
}
