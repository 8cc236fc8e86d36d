//! Spellings of TensorFlow Lite networks: each computes what it stands for.

use kinglet::Model;
use kinglet_tools::export;
use kinglet_tools::graph::Op;
use kinglet_tools::import::flat_write::Value;
use kinglet_tools::import::tflite::file::{File, FileOperator, FileTensor, element};
use kinglet_tools::import::{ImportError, Imported, Options, Relu6, RoundingMode, import};
use kinglet_tools::network::Node;
use kinglet_tools::simulate::{self, Images};
use ndarray::Array4;

const CONCATENATION: i32 = 2;
const CONV_2D: i32 = 3;
const DEQUANTIZE: i32 = 6;
const FULLY_CONNECTED: i32 = 9;
const RELU6: i32 = 21;
const RESHAPE: i32 = 22;
const RESIZE_BILINEAR: i32 = 23;
const PAD: i32 = 34;
const GATHER: i32 = 36;
const BATCH_TO_SPACE_ND: i32 = 37;
const SPACE_TO_BATCH_ND: i32 = 38;
const TRANSPOSE: i32 = 39;
const STRIDED_SLICE: i32 = 45;
const SPLIT: i32 = 49;
const ARG_MAX: i32 = 56;
const SLICE: i32 = 65;
const ELU: i32 = 111;
const QUANTIZE: i32 = 114;
const BROADCAST_TO: i32 = 130;

/// The quantization of most tensors.
const SCALE: f32 = 0.05;
const ZERO: i64 = -3;

/// A file under construction, whose input is an int8 map.
struct Build(File);

impl Build {
    fn new(dims: &[i32]) -> Self {
        let mut build = Self(File::default());
        let input = build.activation(dims, element::INT8, SCALE, ZERO);
        build.0.inputs.push(input);
        build
    }

    fn activation(&mut self, dims: &[i32], element: u8, scale: f32, zero: i64) -> i32 {
        let name = format!("t{}", self.0.tensors.len());
        let (scales, zero_points) =
            if element == element::FLOAT32 { (vec![], vec![]) } else { (vec![scale], vec![zero]) };
        self.0.tensor(FileTensor { name, dims: dims.to_vec(), element, scales, zero_points, ..FileTensor::default() })
    }

    /// An activation like the others.
    fn map(&mut self, dims: &[i32]) -> i32 {
        self.activation(dims, element::INT8, SCALE, ZERO)
    }

    fn integers(&mut self, dims: &[i32], values: &[i32]) -> i32 {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.0.tensor(FileTensor { dims: dims.to_vec(), element: element::INT32, data, ..FileTensor::default() })
    }

    fn weights(&mut self, dims: &[i32], data: Vec<u8>) -> i32 {
        let (scales, zero_points) = (vec![0.02], vec![0]);
        let element = element::INT8;
        self.0.tensor(FileTensor { dims: dims.to_vec(), element, data, scales, zero_points, ..FileTensor::default() })
    }

    fn operator(&mut self, code: i32, inputs: &[i32], output: i32, options: Vec<(u16, Value)>) {
        let (inputs, outputs) = (inputs.to_vec(), vec![output]);
        let options_type = u8::from(!options.is_empty());
        self.0.operators.push(FileOperator { code, version: 1, inputs, outputs, options_type, options });
    }

    fn end(mut self, output: i32) -> Vec<u8> {
        self.0.outputs.push(output);
        self.0.to_bytes()
    }
}

/// A convolution's options: VALID, steps of 1, and a dilation.
fn valid(dilation: i32) -> Vec<(u16, Value)> {
    vec![
        (0, Value::U8(1)),
        (1, Value::I32(1)),
        (2, Value::I32(1)),
        (4, Value::I32(dilation)),
        (5, Value::I32(dilation)),
    ]
}

/// Weights that look random.
fn numbers(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 73 % 251) as u8).collect()
}

fn read(bytes: &[u8], relu6: Relu6) -> Result<Imported, ImportError> {
    import(bytes, &Options { relu6, ..Options::default() })
}

/// The outputs for an image that has every int8 value, and the notes.
fn run(bytes: &[u8], relu6: Relu6) -> (Vec<i16>, Vec<String>) {
    let Imported { network, notes } = read(bytes, relu6).unwrap();
    let shape = network.input().shape;
    let size = (1, shape.h as usize, shape.w as usize, shape.c as usize);
    let elements = (0..shape.len() as i16).map(|at| i16::from(at.wrapping_mul(41) as i8));
    let images = Images::Quantized(Array4::from_shape_vec(size, elements.collect()).unwrap());
    let exported = export::to_bytes(&network, &export::Options::default()).unwrap();
    (simulate::run(Model::new(&exported.bytes).unwrap(), &images).unwrap().iter().copied().collect(), notes)
}

fn outputs(bytes: &[u8]) -> Vec<i16> {
    run(bytes, Relu6::Rescale).0
}

/// A network of one function of an element, from scale and zero point to others.
fn function(code: i32, (element, scale, zero): (u8, f32, i64)) -> Vec<u8> {
    let mut net = Build::new(&[1, 16, 16, 1]);
    let output = net.activation(&[1, 16, 16, 1], element, scale, zero);
    net.operator(code, &[0], output, vec![]);
    net.end(output)
}

/// What such a network gives for every int8 value.
fn table(code: i32, to: (u8, f32, i64), relu6: Relu6) -> (Vec<i16>, Vec<String>) {
    let (outputs, notes) = run(&function(code, to), relu6);
    let mut of = vec![0; 256];
    for (at, output) in (0..).zip(outputs) {
        of[(i16::from((at as i16).wrapping_mul(41) as i8) + 128) as usize] = output;
    }
    (of, notes)
}

/// The integer for a real number.
fn quantized(real: f64, scale: f32, zero: i64) -> i16 {
    ((real / f64::from(scale)).round() as i64 + zero).clamp(-128, 127) as i16
}

fn real(q: i16) -> f64 {
    f64::from(SCALE) * f64::from(i64::from(q) as i32 - ZERO as i32)
}

#[test]
fn blocks_around_a_convolution_make_it_a_dilated_one() {
    let net = |blocks: bool| {
        let mut net = Build::new(&[1, 8, 6, 2]);
        let (weights, output) = (net.weights(&[4, 3, 3, 2], numbers(72)), net.map(&[1, 8, 6, 4]));
        if blocks {
            let (size, pads) = (net.integers(&[2], &[2, 2]), net.integers(&[2, 2], &[2; 4]));
            let crops = net.integers(&[2, 2], &[0; 4]);
            let (taken, sums) = (net.map(&[4, 6, 5, 2]), net.map(&[4, 4, 3, 4]));
            net.operator(SPACE_TO_BATCH_ND, &[0, size, pads], taken, vec![]);
            net.operator(CONV_2D, &[taken, weights], sums, valid(1));
            net.operator(BATCH_TO_SPACE_ND, &[sums, size, crops], output, vec![]);
        } else {
            let pads = net.integers(&[4, 2], &[0, 0, 2, 2, 2, 2, 0, 0]);
            let padded = net.map(&[1, 12, 10, 2]);
            net.operator(PAD, &[0, pads], padded, vec![]);
            net.operator(CONV_2D, &[padded, weights], output, valid(2));
        }
        outputs(&net.end(output))
    };
    assert_eq!(net(true), net(false));
}

/// What is added only to fill the last block is cut off again.
#[test]
fn blocks_that_are_filled_up_are_cut_off_again() {
    let net = |blocks: bool| {
        let mut net = Build::new(&[1, 7, 7, 1]);
        let (weights, output) = (net.weights(&[3, 3, 3, 1], numbers(27)), net.map(&[1, 3, 3, 3]));
        if blocks {
            let (size, pads) = (net.integers(&[2], &[2, 2]), net.integers(&[2, 2], &[0, 1, 0, 1]));
            let crops = net.integers(&[2, 2], &[0, 1, 0, 1]);
            let (taken, sums) = (net.map(&[4, 4, 4, 1]), net.map(&[4, 2, 2, 3]));
            net.operator(SPACE_TO_BATCH_ND, &[0, size, pads], taken, vec![]);
            net.operator(CONV_2D, &[taken, weights], sums, valid(1));
            net.operator(BATCH_TO_SPACE_ND, &[sums, size, crops], output, vec![]);
        } else {
            net.operator(CONV_2D, &[0, weights], output, valid(2));
        }
        outputs(&net.end(output))
    };
    assert_eq!(net(true), net(false));
}

#[test]
fn blocks_without_a_convolution_are_refused() {
    let mut net = Build::new(&[1, 4, 4, 1]);
    let (size, pads) = (net.integers(&[2], &[2, 2]), net.integers(&[2, 2], &[0; 4]));
    let (taken, output) = (net.map(&[-1, 2, 2, 1]), net.map(&[-1, 2, 2, 1]));
    net.operator(SPACE_TO_BATCH_ND, &[0, size, pads], taken, vec![]);
    net.operator(RELU6, &[taken], output, vec![]);
    let error = read(&net.end(output), Relu6::Rescale).unwrap_err().to_string();
    assert!(error.contains("SPACE_TO_BATCH_ND") && error.contains("only around a convolution"), "{error}");
}

#[test]
fn weights_behind_a_transposition_are_folded() {
    let net = |behind: bool| {
        let mut net = Build::new(&[1, 5, 4, 2]);
        let output = net.map(&[1, 3, 2, 4]);
        let data = numbers(72);
        let weights = if behind {
            // As [ky][kx][in][out].
            let turned = (0..72).map(|at| data[at % 4 * 18 + at / 4]).collect();
            let (given, order) = (net.weights(&[3, 3, 2, 4], turned), net.integers(&[4], &[3, 0, 1, 2]));
            let weights = net.weights(&[4, 3, 3, 2], vec![]);
            net.operator(TRANSPOSE, &[given, order], weights, vec![]);
            weights
        } else {
            net.weights(&[4, 3, 3, 2], data)
        };
        net.operator(CONV_2D, &[0, weights], output, valid(1));
        outputs(&net.end(output))
    };
    assert_eq!(net(true), net(false));
}

#[test]
fn relu6_that_stands_alone_rescales_and_says_so() {
    let to = (element::INT8, 6.0 / 255.0, -128);
    let (outputs, notes) = table(RELU6, to, Relu6::Rescale);
    for (q, output) in (-128..).zip(outputs) {
        assert!((output - quantized(real(q).clamp(0.0, 6.0), to.1, to.2)).abs() <= 1, "{q}");
    }
    assert!(notes.iter().any(|note| note.contains("--relu6 tflm")), "{notes:?}");
    let (outputs, notes) = table(RELU6, to, Relu6::Tflm);
    for (q, output) in (-128..).zip(outputs) {
        assert_eq!(output, q.clamp(ZERO as i16, quantized(6.0, SCALE, ZERO)));
    }
    assert!(notes.is_empty(), "{notes:?}");
    // With one scale there is no difference.
    let same = (element::INT8, SCALE, ZERO);
    assert_eq!(table(RELU6, same, Relu6::Rescale), table(RELU6, same, Relu6::Tflm));
}

#[test]
fn a_uint8_output_of_another_scale_is_rescaled() {
    let (outputs, notes) = table(QUANTIZE, (element::UINT8, 0.07, 120), Relu6::Rescale);
    for (q, output) in (-128..).zip(outputs) {
        assert!((output - quantized(real(q), 0.07, 120 - 128)).abs() <= 1, "{q}");
    }
    assert!(notes.iter().any(|note| note.contains("add 128")), "{notes:?}");
    // The usual one, 128 more than the int8 elements, is left to the caller.
    let usual = read(&function(QUANTIZE, (element::UINT8, SCALE, ZERO + 128)), Relu6::Rescale).unwrap();
    assert!(matches!(usual.network.nodes[..], [Node { op: Op::Reshape(_), .. }]));
}

#[test]
fn functions_of_floats_between_integers_are_tables() {
    let mut net = Build::new(&[1, 16, 16, 1]);
    let dims = [1, 16, 16, 1];
    let [a, b] = [0; 2].map(|_| net.activation(&dims, element::FLOAT32, 0.0, 0));
    let output = net.activation(&dims, element::INT8, 0.04, -100);
    net.operator(DEQUANTIZE, &[0], a, vec![]);
    net.operator(ELU, &[a], b, vec![]);
    net.operator(QUANTIZE, &[b], output, vec![]);
    for (at, output) in (0..).zip(outputs(&net.end(output))) {
        let x = real(i16::from((at as i16).wrapping_mul(41) as i8));
        assert_eq!(output, quantized(if x < 0.0 { x.exp_m1() } else { x }, 0.04, -100));
    }
}

#[test]
fn what_changes_nothing_is_dropped() {
    let net = |extra: Option<i32>| {
        let dims = [1, 5, 4, 2];
        let mut net = Build::new(&dims);
        let (weights, output) = (net.weights(&[4, 3, 3, 2], numbers(72)), net.map(&[1, 3, 2, 4]));
        let from = extra.map_or(0, |code| {
            let (axis, size, to) = (net.integers(&[1], &[0]), net.integers(&[4], &dims), net.map(&dims));
            let size = if code == RESIZE_BILINEAR { net.integers(&[2], &[5, 4]) } else { size };
            let inputs = if code == SPLIT { [axis, 0] } else { [0, size] };
            net.operator(code, &inputs, to, vec![]);
            to
        });
        net.operator(CONV_2D, &[from, weights], output, valid(1));
        outputs(&net.end(output))
    };
    let expected = net(None);
    for code in [SPLIT, BROADCAST_TO, RESIZE_BILINEAR] {
        assert_eq!(net(Some(code)), expected, "operator {code}");
    }
}

/// A layer with one scale for all weights, whose sum is 115,168: the product of scales in single precision gives another
/// multiplier, and here another result.
#[test]
fn multipliers_come_from_products_in_double_precision_since_october_2026() {
    let mut net = Build(File::default());
    let input = net.activation(&[1, 4], element::INT8, 0.017_436, 0);
    net.0.inputs.push(input);
    let weights = net.weights(&[1, 4], vec![0; 4]);
    net.0.tensors[weights as usize].scales = vec![0.029_814];
    let bias = net.integers(&[1], &[115_168]);
    let output = net.activation(&[1, 1], element::INT8, 0.874, 0);
    net.operator(FULLY_CONNECTED, &[input, weights, bias], output, vec![(0, Value::U8(0))]);
    let bytes = net.end(output);
    for (mode, expected) in [(RoundingMode::Tflm, 68), (RoundingMode::Tflm2025, 69)] {
        let network = import(&bytes, &Options { rounding: Some(mode), ..Options::default() }).unwrap().network;
        let exported = export::to_bytes(&network, &export::Options::default()).unwrap();
        let model = Model::new(&exported.bytes).unwrap();
        assert_eq!(model.about().rounding, mode.source());
        let images = Images::Quantized(Array4::zeros((1, 1, 1, 4)));
        assert_eq!(simulate::run(model, &images).unwrap()[[0, 0]], expected, "{mode:?}");
    }
}

/// Rows of two maps: the same as those of one map that a slice takes apart.
#[test]
fn maps_are_joined_along_height_and_width() {
    for axis in [1, 2] {
        let mut net = Build::new(&[1, 6, 4, 3]);
        let parts = [[0, 2], [2, [6, 4][axis - 1] - 2]].map(|[first, count]| {
            let (mut begin, mut size, mut dims) = ([0; 4], [1, 6, 4, 3], [1, 6, 4, 3]);
            (begin[axis], size[axis], dims[axis]) = (first, count, count);
            let (begin, size, part) = (net.integers(&[4], &begin), net.integers(&[4], &size), net.map(&dims));
            net.operator(SLICE, &[0, begin, size], part, vec![]);
            part
        });
        let output = net.map(&[1, 6, 4, 3]);
        net.operator(CONCATENATION, &parts, output, vec![(0, Value::I32(axis as i32))]);
        let elements: Vec<i16> = (0..72).map(|at: i16| i16::from(at.wrapping_mul(41) as i8)).collect();
        assert_eq!(outputs(&net.end(output)), elements, "axis {axis}");
    }
}

#[test]
fn the_place_of_the_greatest_is_left_to_its_scores() {
    let net = |axis: i32| {
        let mut net = Build::new(&[1, 3, 2, 4]);
        let (axis, output) = (net.integers(&[1], &[axis]), net.activation(&[1, 3, 2], element::INT32, 0.0, 0));
        net.operator(ARG_MAX, &[0, axis], output, vec![]);
        net.end(output)
    };
    let imported = read(&net(3), Relu6::Rescale).unwrap();
    assert!(matches!(imported.network.nodes[..], [Node { op: Op::Reshape(_), .. }]));
    assert!(imported.notes.iter().any(|note| note.contains("scores")), "{:?}", imported.notes);
    assert!(read(&net(1), Relu6::Rescale).unwrap_err().to_string().contains("only an output can be the greatest"));
}

/// The last step of a sequence, by a single index of a slice or of GATHER.
#[test]
fn single_rows_lose_their_dimension() {
    let net = |gathers: bool| {
        let mut net = Build::new(&[1, 5, 7]);
        let output = net.map(&[1, 7]);
        if gathers {
            let index = net.integers(&[], &[4]);
            net.operator(GATHER, &[0, index], output, vec![(0, Value::I32(1))]);
        } else {
            let lists = [[0, -1, 0], [0, 0, 0], [1, 1, 1]].map(|list| net.integers(&[3], &list));
            let masks = [(0, 5), (1, 5), (4, 2)].map(|(at, mask)| (at, Value::I32(mask))).to_vec();
            net.operator(STRIDED_SLICE, &[0, lists[0], lists[1], lists[2]], output, masks);
        }
        outputs(&net.end(output))
    };
    let last: Vec<i16> = (28..35).map(|at: i16| i16::from(at.wrapping_mul(41) as i8)).collect();
    assert_eq!((net(true), net(false)), (last.clone(), last));
}

/// A model of several images at once is one of one image.
#[test]
fn a_batch_is_one_image() {
    let net = |count: i32| {
        let mut net = Build(File::default());
        let input = net.map(&[count, 5, 4, 2]);
        net.0.inputs.push(input);
        let (weights, output) = (net.weights(&[4, 3, 3, 2], numbers(72)), net.map(&[count, 3, 2, 4]));
        net.operator(CONV_2D, &[input, weights], output, valid(1));
        net.end(output)
    };
    let (outputs, notes) = run(&net(3), Relu6::Rescale);
    assert!(notes.iter().any(|note| note.contains("3 images at once")), "{notes:?}");
    assert_eq!(outputs, run(&net(1), Relu6::Rescale).0);
}

/// Rows of a batch that appear in the middle are no rows of a map for a convolution.
#[test]
fn a_batch_in_the_middle_is_no_map() {
    let mut net = Build::new(&[1, 6, 4, 2]);
    let (shape, rows) = (net.integers(&[4], &[6, 1, 4, 2]), net.map(&[6, 1, 4, 2]));
    net.operator(RESHAPE, &[0, shape], rows, vec![]);
    let (weights, output) = (net.weights(&[4, 1, 1, 2], numbers(8)), net.map(&[6, 1, 4, 4]));
    net.operator(CONV_2D, &[rows, weights], output, valid(1));
    let error = read(&net.end(output), Relu6::Rescale).unwrap_err().to_string();
    assert!(error.contains("the first dimension is the batch"), "{error}");
}
