//! Files that have integers.

use super::{INPUT, conv, imported, outputs_of, refusal};
use crate::import_util::noise;
use crate::import_util::onnx::{bytes, given, halfword, initializer, int, ints, model, node, words};
use kinglet::DType;
use kinglet_tools::export;
use kinglet_tools::graph::{Op, StoredWeights};
use kinglet_tools::import::{Options, given as with_scales};
use kinglet_tools::layout::Layout;
use kinglet_tools::simulate::{self, Images};
use ndarray::Array4;

/// One scale for all weights, of which most channels use a part of the range only.
#[test]
fn weights_that_the_file_has_as_integers_are_kept() {
    let integers: Vec<i8> = (0..108).map(|at| (at * 37 % 101) as i8 - 50).collect();
    for scales in [&[0.005][..], &[0.005, 0.02, 0.0001, 3.0]] {
        let axis = if scales.len() == 1 { vec![] } else { vec![scales.len() as i64] };
        let pair = |from: &str, to: &str, scale: &str, zero: &str| {
            let between = format!("{to}_q");
            [
                node("QuantizeLinear", &[from, scale, zero], &[&between], &[]),
                node("DequantizeLinear", &[&between, scale, zero], &[to], &[]),
            ]
        };
        let parts = [
            vec![
                initializer(&given("sx", &[], &[0.05])),
                initializer(&given("sy", &[], &[0.1])),
                initializer(&bytes("zx", &[], &[3])),
                initializer(&bytes("zy", &[], &[-5])),
                initializer(&bytes("q", &[4, 3, 3, 3], &integers)),
                initializer(&given("sw", &axis, scales)),
                initializer(&bytes("zw", &axis, &vec![0; scales.len()])),
                node("DequantizeLinear", &["q", "sw", "zw"], &["w"], &[int("axis", 0)]),
            ],
            pair("x", "a", "sx", "zx").to_vec(),
            vec![node("Conv", &["a", "w"], &["c"], &[])],
            pair("c", "y", "sy", "zy").to_vec(),
        ];
        let model = imported(&model(13, &INPUT, &parts.concat()), &Options::default()).unwrap();
        let network = with_scales::quantize(&model).unwrap();
        let Op::Conv2d { weights: StoredWeights::Int8 { weights, scales: ours, .. }, .. } = &network.nodes[0].op else {
            panic!("a convolution")
        };
        // In the file's order they are [out][in][ky][kx], here [out][ky][kx][in].
        let in_our_order = |at: usize| integers[at / 27 * 27 + at % 3 * 9 + at / 3 % 9];
        assert_eq!(*weights, (0..108).map(in_our_order).collect::<Vec<i8>>());
        assert!(ours.iter().zip(scales.iter().cycle()).all(|(ours, theirs)| ours == theirs));
    }
}

/// ONNX Runtime's operators on integers are short for QuantizeLinear, the operator and DequantizeLinear.
#[test]
fn operators_on_integers_are_those_between_quantize_and_dequantize() {
    let scales = |name: &str, scale: f32, zero: i8| {
        let (scale_name, zero_name) = (format!("{name}_scale"), format!("{name}_zero"));
        vec![initializer(&given(&scale_name, &[], &[scale])), initializer(&bytes(&zero_name, &[], &[zero]))]
    };
    let weights: Vec<i8> = (0..108).map(|i| (i * 37 % 251 - 125) as i8).collect();
    let constants = [
        scales("x", 0.02, 3),
        scales("c", 0.05, -128),
        scales("w", 0.01, 0),
        vec![initializer(&bytes("w", &[4, 3, 3, 3], &weights)), initializer(&words("bias", &[500, -700, 0, 90]))],
    ]
    .concat();
    let quantize = node("QuantizeLinear", &["x", "x_scale", "x_zero"], &["xq"], &[]);
    let dequantize = |from: &str, to: &str| node("DequantizeLinear", &[from, "c_scale", "c_zero"], &[to], &[]);
    let short = [
        quantize.clone(),
        node(
            "QLinearConv",
            &["xq", "x_scale", "x_zero", "w", "w_scale", "w_zero", "c_scale", "c_zero", "bias"],
            &["cq"],
            &[],
        ),
        node("MaxPool", &["cq"], &["pq"], &[ints("kernel_shape", &[2, 2])]),
        dequantize("pq", "y"),
    ];
    let long = [
        quantize,
        node("DequantizeLinear", &["xq", "x_scale", "x_zero"], &["xr"], &[]),
        node("DequantizeLinear", &["w", "w_scale", "w_zero"], &["wr"], &[int("axis", 0)]),
        initializer(&given("b_scale", &[1], &[0.02 * 0.01])),
        node("DequantizeLinear", &["bias", "b_scale"], &["br"], &[int("axis", 0)]),
        node("Conv", &["xr", "wr", "br"], &["cr"], &[]),
        node("QuantizeLinear", &["cr", "c_scale", "c_zero"], &["cq"], &[]),
        dequantize("cq", "cd"),
        node("MaxPool", &["cd"], &["pr"], &[ints("kernel_shape", &[2, 2])]),
        node("QuantizeLinear", &["pr", "c_scale", "c_zero"], &["pq"], &[]),
        dequantize("pq", "y"),
    ];
    let [short, long] = [&short[..], &long[..]].map(|nodes| {
        let file = model(17, &INPUT, &[nodes.to_vec(), constants.clone()].concat());
        let network = with_scales::quantize(&imported(&file, &Options::default()).unwrap()).unwrap();
        let quants: Vec<_> = network.tensors.iter().map(|tensor| tensor.quant).collect();
        (network.nodes.into_iter().map(|node| (node.op, node.activation)).collect::<Vec<_>>(), quants)
    });
    assert_eq!(short, long);
    // The activation that the zero point cuts off is the convolution's own.
    assert_eq!(short.0.len(), 2);
}

/// Activations of int16: the network is 16x8, with the file's scales, and computes what the file does in floats.
#[test]
fn int16_activations_keep_their_scales() {
    let file = |zero: i16| {
        let pair = |from: &str, to: &str, scale: &str| {
            let between = format!("{to}_q");
            [
                node("QuantizeLinear", &[from, scale, "z"], &[&between], &[]),
                node("DequantizeLinear", &[&between, scale, "z"], &[to], &[]),
            ]
        };
        let constants = vec![
            initializer(&given("sx", &[], &[4e-5])),
            initializer(&given("sy", &[], &[3e-4])),
            initializer(&halfword("z", zero)),
        ];
        let parts = [constants, pair("x", "a", "sx").to_vec(), conv("a", "c", &[]), pair("c", "y", "sy").to_vec()];
        model(13, &INPUT, &parts.concat())
    };
    let model = imported(&file(0), &Options::default()).unwrap();
    let network = with_scales::quantize(&model).unwrap();
    for (tensor, scale) in [(network.input(), 4e-5f32), (network.output(), 3e-4)] {
        assert_eq!((tensor.dtype, tensor.quant.zero_point), (DType::I16, 0));
        assert!((tensor.quant.scale / scale - 1.0).abs() < 1e-6, "{} {scale}", tensor.quant.scale);
    }
    let exported = export::to_bytes(&network, &export::Options::default()).unwrap();
    let runtime = kinglet::Model::new(&exported.bytes).unwrap();
    let size = (2, model.graph.input.h as usize, model.graph.input.w as usize, model.graph.input.c as usize);
    let pixels = Array4::from_shape_vec(size, noise(2 * model.graph.input.len() as usize)).unwrap();
    let images = Images::quantize(pixels.into_dyn(), &runtime.input(), Some(Layout::Nhwc)).unwrap();
    let found = simulate::run(runtime, &images).unwrap();
    let expected = outputs_of(&model);
    for (found, expected) in found.iter().zip(&expected) {
        assert!((f32::from(*found) * 3e-4 - expected).abs() < 0.05, "{found} {expected}");
    }
    assert!(refusal(&file(3)).contains("int16 activations with a zero point"));
}
