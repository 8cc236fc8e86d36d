//! Spellings of ONNX networks: each computes what a plain one does.

mod import_util;

use import_util::noise;
use import_util::onnx::{
    branch, bytes, elsewhere, end, floats, given, initializer, int, ints, list, model, node, string, tensor_attribute,
    words,
};
use kinglet::DType;
use kinglet::kernels::Active;
use kinglet::kernels::float16::from_ordinal;
use kinglet_tools::graph::{Op, StoredWeights};
use kinglet_tools::import::{ImportError, ImportedFloat, Model, Options, calibration, given as with_scales, read};
use kinglet_tools::layout::Layout;
use kinglet_tools::simulate::{self, Images};
use kinglet_tools::{deploy, export, layers, quantize};
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

/// A network whose weights lie in another file.
fn split(entries: &[(&str, &str)]) -> Vec<u8> {
    let parts = [
        node("Conv", &["x", "w", "b"], &["y"], &[]),
        elsewhere("w", &[4, 3, 3, 3], entries),
        initializer(&floats("b", &[4])),
    ];
    model(17, &INPUT, &parts)
}

#[test]
fn weights_in_a_second_file_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { folder: Some(folder.path().to_owned()), ..Options::default() };
    let number = |i: i64| ((i * 37 % 101) as f32 / 101.0 - 0.45).to_le_bytes();
    let data: Vec<u8> = std::iter::repeat_n(0xA5, 64).chain((0..108).flat_map(number)).collect();
    std::fs::create_dir(folder.path().join("below")).unwrap();
    std::fs::write(folder.path().join("below/weights"), &data).unwrap();
    let place = [("location", "below/weights"), ("offset", "64"), ("length", "432")];
    let expected = outputs(&plain());
    for entries in [&place[..], &place[..2]] {
        assert_eq!(outputs_of(&imported(&split(entries), &options).unwrap()), expected);
    }
    // Without a folder there is no such file.
    assert!(refusal(&split(&place)).contains("another file"));
}

#[test]
fn weights_outside_of_the_models_folder_are_not_read() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("model");
    std::fs::create_dir(&folder).unwrap();
    for path in [outer.path().join("weights"), folder.join("weights")] {
        std::fs::write(path, [0; 432]).unwrap();
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(outer.path().join("weights"), folder.join("link")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(outer.path(), folder.join("up")).unwrap();
    let options = Options { folder: Some(folder.clone()), ..Options::default() };
    let absolute = outer.path().join("weights");
    for (location, offset, length, reason) in [
        ("../weights", "0", "432", "own folder"),
        ("../model/weights", "0", "432", "own folder"),
        (absolute.to_str().unwrap(), "0", "432", "own folder"),
        ("", "0", "432", "own folder"),
        ("link", "0", "432", "own folder"),
        ("up/weights", "0", "432", "own folder"),
        ("missing", "0", "432", "cannot read"),
        ("weights", "1", "432", "which has 432"),
        ("weights", "18446744073709551615", "432", "which has 432"),
        ("weights", "-1", "432", "not a number"),
        ("weights", "0", "428", "more or fewer numbers"),
    ] {
        let entries = [("location", location), ("offset", offset), ("length", length)];
        let error = imported(&split(&entries), &options).unwrap_err().to_string();
        assert!(error.contains(reason), "{location} {offset} {length}: {error}");
    }
}

#[test]
fn weights_in_constant_nodes_are_within_the_budget() {
    let weights = |name: &str| floats(name, &[64, 256, 3, 3]);
    let inside = [node("Conv", &["x", "w"], &["y"], &[]), initializer(&weights("w"))];
    let beside = [
        node("Constant", &[], &["w"], &[tensor_attribute("value", &weights(""))]),
        node("Conv", &["x", "w"], &["y"], &[]),
    ];
    let [inside, beside] = [inside, beside].map(|parts| outputs(&model(13, &[1, 256, 4, 4], &parts)));
    assert_eq!(inside, beside);
}

/// The shape of a map, put together from operators as exporters leave them, and a branch on it.
#[test]
fn arithmetic_on_constants_is_folded() {
    let reshape = |shape: Vec<Vec<u8>>| {
        let mut parts = shape;
        parts.push(node("Reshape", &["c", "to"], &["r"], &[]));
        parts.push(node("MatMul", &["r", "d"], &["y"], &[]));
        parts.push(initializer(&floats("d", &[80, 2])));
        model(17, &INPUT, &[conv("x", "c", &[]), parts].concat())
    };
    let expected = outputs(&reshape(vec![initializer(&list("to", &[1, 80]))]));
    let zero_dims = |name: &str| tensor_attribute("value", &list(name, &[7]));
    let computed = reshape(vec![
        node("Shape", &["c"], &["shape"], &[]),
        initializer(&list("i", &[1])),
        initializer(&list("two", &[2])),
        initializer(&list("four", &[4])),
        initializer(&list("one", &[1])),
        initializer(&given("half", &[1], &[0.5])),
        // 4 channels; 5 rows of 4 pixels.
        node("Gather", &["shape", "i"], &["channels"], &[]),
        node("Slice", &["shape", "two", "four"], &["size"], &[]),
        node("ReduceProd", &["size"], &["pixels"], &[]),
        // 20 = ceil(0.5 * 20 + 0.5 * 20) and 7 mod 4 - 2 = 1.
        node("Cast", &["pixels"], &["real"], &[int("to", 1)]),
        node("Mul", &["real", "half"], &["halved"], &[]),
        node("Add", &["halved", "halved"], &["whole"], &[]),
        node("Ceil", &["whole"], &["ceiled"], &[]),
        node("Cast", &["ceiled"], &["count"], &[int("to", 7)]),
        node("ConstantOfShape", &["one"], &["seven"], &[zero_dims("")]),
        node("Mod", &["seven", "four"], &["three"], &[]),
        node("Sub", &["three", "two"], &["batch"], &[]),
        node("Mul", &["count", "channels"], &["all"], &[]),
        node("Concat", &["batch", "all"], &["flat"], &[int("axis", 0)]),
        node("Concat", &["all", "batch"], &["turned"], &[int("axis", 0)]),
        node("Equal", &["batch", "one"], &["is_one"], &[]),
        node(
            "If",
            &["is_one"],
            &["to"],
            &[
                branch("then_branch", &[node("Identity", &["flat"], &["t"], &[]), end(12, "t", &[2])]),
                branch("else_branch", &[node("Identity", &["turned"], &["e"], &[]), end(12, "e", &[2])]),
            ],
        ),
    ]);
    assert_eq!(outputs(&computed), expected);
}

#[test]
fn constants_are_turned_repeated_and_chosen() {
    let weights: Vec<f32> = (0..108).map(|i| (i * 37 % 101) as f32 / 101.0 - 0.45).collect();
    // As [in][x][y][out].
    let turned: Vec<f32> = (0..108)
        .map(|at| {
            let (o, y, x, i) = (at % 4, at / 4 % 3, at / 12 % 3, at / 36);
            weights[((o * 3 + i) * 3 + y) * 3 + x]
        })
        .collect();
    let parts = [
        initializer(&given("turned", &[3, 3, 3, 4], &turned)),
        initializer(&floats("b", &[4])),
        initializer(&list("sizes", &[4, 3, 3, 3])),
        initializer(&given("zero", &[1, 1, 1], &[0.0])),
        initializer(&list("no", &[0])),
        node("Transpose", &["turned"], &["w0"], &[ints("perm", &[3, 0, 2, 1])]),
        node("Expand", &["zero", "sizes"], &["zeros"], &[]),
        node("Where", &["no", "zeros", "w0"], &["w"], &[]),
        node("Conv", &["x", "w", "b"], &["y"], &[]),
    ];
    assert_eq!(outputs(&model(17, &INPUT, &parts)), outputs(&plain()));
}

#[test]
fn nodes_that_no_output_needs_are_dropped() {
    let mut parts = conv("x", "y", &[]);
    parts.push(node("ArgMax", &["y"], &["unused"], &[]));
    assert_eq!(outputs(&model(17, &INPUT, &parts)), outputs(&plain()));
}

#[test]
fn softmax_before_operator_set_13_is_over_the_channels() {
    let net = |opset, attributes: &[Vec<u8>]| {
        let parts = [node("GlobalAveragePool", &["x"], &["g"], &[]), node("Softmax", &["g"], &["y"], attributes)];
        model(opset, &INPUT, &parts)
    };
    assert_eq!(outputs(&net(11, &[])), outputs(&net(13, &[int("axis", 1)])));
    assert_eq!(outputs(&net(9, &[int("axis", 0)])), outputs(&net(13, &[int("axis", 1)])));
    assert!(refusal(&net(13, &[])).contains("softmax along axis 3"));
}

#[test]
fn training_forms_are_refused() {
    let net = |opset, outputs: &[&str]| {
        let parameters = ["g", "b", "m", "v"].map(|name| initializer(&given(name, &[3], &[0.5, 1.0, 2.0])));
        let node = node("BatchNormalization", &["x", "g", "b", "m", "v"], outputs, &[]);
        model(opset, &INPUT, &[vec![node], parameters.to_vec()].concat())
    };
    assert!(refusal(&net(8, &["y", "mean", "var", "saved_mean", "saved_var"])).contains("training"));
    assert_eq!(outputs(&net(8, &["y"])), outputs(&net(15, &["y"])));
}

#[test]
fn padding_may_be_larger_than_the_kernel_but_not_negative() {
    let padded = |pads: &[i64]| {
        let parts = [
            initializer(&list("pads", pads)),
            node("Pad", &["x", "pads"], &["p"], &[]),
            node("Conv", &["p", "w"], &["y"], &[]),
            initializer(&floats("w", &[2, 3, 1, 1])),
        ];
        model(17, &INPUT, &parts)
    };
    let own = |pads: &[i64]| {
        let parts =
            [node("Conv", &["x", "w"], &["y"], &[ints("pads", pads)]), initializer(&floats("w", &[2, 3, 1, 1]))];
        model(17, &INPUT, &parts)
    };
    agree(&outputs(&own(&[1, 2, 0, 3])), &outputs(&padded(&[0, 0, 1, 2, 0, 0, 0, 3])));
    assert!(refusal(&own(&[0, -1, 0, -1])).contains("negative"));
}

/// The means are those of the published example: what rounds the size up never counts, padding does.
#[test]
fn padding_counts_and_rounding_up_does_not() {
    let pool = |attributes: &[Vec<u8>]| {
        let all = [&[ints("kernel_shape", &[1, 3]), ints("strides", &[1, 2]), int("count_include_pad", 1)], attributes];
        let net = model(17, &[1, 1, 1, 6], &[node("AveragePool", &["x"], &["y"], &all.concat())]);
        let model = imported(&net, &Options::default()).unwrap();
        let image = Array4::from_shape_fn((1, 1, 6, 1), |(_, _, x, _)| x as f32 + 1.0);
        let values = layers::forward(&model.graph, &model.params, &image.view()).unwrap().pop().unwrap();
        values.iter().copied().collect::<Vec<f32>>()
    };
    agree(&pool(&[int("ceil_mode", 1)]), &[2.0, 4.0, 5.5]);
    agree(&pool(&[int("ceil_mode", 1), ints("pads", &[0, 1, 0, 0])]), &[1.0, 3.0, 5.0]);
    agree(&pool(&[int("ceil_mode", 1), ints("pads", &[0, 1, 0, 1])]), &[1.0, 3.0, 5.0, 3.0]);
}

#[test]
fn what_changes_nothing_is_dropped() {
    let before = |extra: Vec<Vec<u8>>| model(13, &INPUT, &[extra, conv("i", "y", &[])].concat());
    let expected = outputs(&plain());
    for extra in [
        vec![initializer(&list("to", &[3, 1, 6])), node("Expand", &["x", "to"], &["i"], &[])],
        vec![initializer(&given("s", &[4], &[1.0; 4])), node("Resize", &["x", "", "s"], &["i"], &[])],
        vec![initializer(&list("s", &[1, 3, 7, 6])), node("Resize", &["x", "", "", "s"], &["i"], &[])],
    ] {
        assert_eq!(outputs(&before(extra)), expected);
    }
}

#[test]
fn maps_are_resized_by_linear_interpolation() {
    // Two images of 7 x 6 x 3, and for each mode where a position lies, by the scale and the extents before and after.
    type Place = fn(f64, f64, f64, f64) -> f64;
    let modes: [(&str, Place); 5] = [
        ("half_pixel", |at, scale, _, _| (at + 0.5) / scale - 0.5),
        ("pytorch_half_pixel", |at, scale, _, to| if to > 1.0 { (at + 0.5) / scale - 0.5 } else { 0.0 }),
        ("asymmetric", |at, scale, _, _| at / scale),
        ("align_corners", |at, _, from, to| at * (from - 1.0) / (to - 1.0)),
        ("half_pixel_symmetric", |at, scale, from, to| {
            from / 2.0 * (1.0 - to / (scale * from)) + (at + 0.5) / scale - 0.5
        }),
    ];
    let x = noise(2 * 7 * 6 * 3);
    for (mode, place) in modes {
        for scales in [[2.0f32, 2.0], [1.5, 3.2], [0.4, 0.7]] {
            let attributes = [string("mode", "linear"), string("coordinate_transformation_mode", mode)];
            let nodes = [
                initializer(&given("s", &[2], &scales)),
                node("Resize", &["x", "", "s"], &["y"], &[&attributes[..], &[ints("axes", &[2, 3])]].concat()),
            ];
            let size = [0, 1].map(|axis| (scales[axis] * [7.0, 6.0][axis]) as usize);
            let around = |axis: usize, at: usize| {
                let (from, to) = ([7.0, 6.0][axis], size[axis] as f64);
                let place = place(at as f64, scales[axis].into(), from, to).clamp(0.0, from - 1.0);
                let (first, rest) = (place.floor(), place.fract());
                [(first as usize, 1.0 - rest), ((first + 1.0).min(from - 1.0) as usize, rest)]
            };
            let mut expected = Vec::new();
            for (image, y) in (0..2).flat_map(|image| (0..size[0]).map(move |y| (image, y))) {
                for (column, c) in (0..size[1]).flat_map(|x| (0..3).map(move |c| (x, c))) {
                    let corners = around(0, y).into_iter().flat_map(|(row, down)| {
                        around(1, column)
                            .map(|(column, right)| (((image * 7 + row) * 6 + column) * 3 + c, down * right))
                    });
                    expected.push(corners.map(|(at, weight)| f64::from(x[at]) * weight).sum::<f64>() as f32);
                }
            }
            let found = outputs(&model(19, &INPUT, &nodes));
            assert_eq!(found.len(), expected.len(), "{mode} {scales:?}");
            // Positions are rounded to 2^-10.
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 4e-3, "{mode} {scales:?}: {found} for {expected}");
            }
        }
    }
}

#[test]
fn elements_change_places_as_the_file_says() {
    // By their places in the file: two images of channels x height x width.
    let whole = |operator: &str, attributes: &[Vec<u8>]| {
        outputs(&model(13, &[1, 8, 4, 6], &[node(operator, &["x"], &["y"], attributes)]))
    };
    let x = noise(2 * 4 * 6 * 8);
    let at = |image: usize, [c, h, w]: [usize; 3]| x[((image * 4 + h) * 6 + w) * 8 + c];
    // Our outputs, height x width x channels, of what is channels x height x width in the file.
    let expected = |[c, h, w]: [usize; 3], source: &dyn Fn([usize; 3]) -> [usize; 3]| {
        let mut out = Vec::new();
        for image in 0..2 {
            for place in 0..h * w * c {
                out.push(at(image, source([place % c, place / (w * c), place / c % w])));
            }
        }
        out
    };
    let turned = whole("Transpose", &[ints("perm", &[0, 2, 1, 3])]);
    assert_eq!(turned, expected([4, 8, 6], &|[c, h, w]| [h, c, w]));
    let swapped = whole("Transpose", &[ints("perm", &[0, 1, 3, 2])]);
    assert_eq!(swapped, expected([8, 6, 4], &|[c, h, w]| [c, w, h]));
    let deep = whole("SpaceToDepth", &[int("blocksize", 2)]);
    assert_eq!(deep, expected([32, 2, 3], &|[c, h, w]| [c % 8, h * 2 + c / 16, w * 2 + c / 8 % 2]));
    let block = |h: usize, w: usize| h % 2 * 2 + w % 2;
    let pixels = whole("DepthToSpace", &[int("blocksize", 2)]);
    assert_eq!(pixels, expected([2, 8, 12], &|[c, h, w]| [block(h, w) * 2 + c, h / 2, w / 2]));
    let pixels = whole("DepthToSpace", &[int("blocksize", 2), string("mode", "CRD")]);
    assert_eq!(pixels, expected([2, 8, 12], &|[c, h, w]| [c * 4 + block(h, w), h / 2, w / 2]));
}

/// By the elements in the file's order, of two images of channels x height x width.
#[test]
fn any_shape_becomes_any_other() {
    let [c, h, w] = [4usize, 3, 5];
    let x = noise(2 * c * h * w);
    let in_file = |image: usize, at: usize| x[((image * h + at / w % h) * w + at % w) * c + at / (h * w)];
    for to in [vec![1i64, 12, 5], vec![1, 4, 15], vec![1, 6, 2, 5], vec![1, 60], vec![1, 20, 3, 1], vec![1, 1, 12, 5]] {
        let parts = [initializer(&list("to", &to)), node("Reshape", &["x", "to"], &["y"], &[])];
        let found = outputs(&model(13, &[1, c as i64, h as i64, w as i64], &parts));
        let channels = to[1] as usize;
        let pixels = c * h * w / channels;
        let expected = |at: usize| in_file(at / (c * h * w), at % channels * pixels + at % (c * h * w) / channels);
        let expected: Vec<f32> = (0..x.len()).map(expected).collect();
        assert_eq!(found, expected, "{to:?}");
    }
    // Two flattened maps, one after the other.
    let parts = [node("Flatten", &["x"], &["f"], &[]), node("Concat", &["f", "f"], &["y"], &[int("axis", 1)])];
    let found = outputs(&model(13, &[1, c as i64, h as i64, w as i64], &parts));
    let len = c * h * w;
    assert_eq!(found, (0..4 * len).map(|at| in_file(at / (2 * len), at % len)).collect::<Vec<_>>());
}

#[test]
fn responses_are_normalized_over_neighboring_channels() {
    let [c, h, w] = [7usize, 3, 2];
    let x = noise(2 * c * h * w);
    for (size, before) in [(5usize, 2usize), (2, 0), (3, 1)] {
        let float = |name: &str, value: f32| import_util::onnx::float(name, value);
        let attributes = [int("size", size as i64), float("alpha", 0.3), float("beta", 0.6), float("bias", 1.5)];
        let found =
            outputs(&model(13, &[1, c as i64, h as i64, w as i64], &[node("LRN", &["x"], &["y"], &attributes)]));
        let norm = |at: usize| {
            let channels =
                (0..size).filter_map(|tap| (at % c + tap).checked_sub(before)).filter(|&channel| channel < c);
            let squares: f32 = channels.map(|channel| x[at - at % c + channel].powi(2)).sum();
            x[at] / (1.5 + 0.3 / size as f32 * squares).powf(0.6)
        };
        agree(&found, &(0..x.len()).map(norm).collect::<Vec<_>>());
    }
}

#[test]
fn choices_by_comparison_are_one_function() {
    let parts = [
        initializer(&given("c", &[1], &[0.125])),
        initializer(&given("s", &[1], &[0.25])),
        node("Greater", &["x", "c"], &["p"], &[]),
        node("Mul", &["x", "s"], &["m"], &[]),
        node("Where", &["p", "x", "m"], &["y"], &[]),
    ];
    let net = model(13, &INPUT, &parts);
    let expected: Vec<f32> = noise(2 * 3 * 7 * 6).iter().map(|&x| if x > 0.125 { x } else { 0.25 * x }).collect();
    agree(&outputs(&net), &expected);
    let imported = imported(&net, &Options::default()).unwrap();
    assert_eq!(imported.graph.nodes.len(), 2, "{:?}", imported.graph.nodes);
    for (operator, holds) in [
        ("Less", (|x, c| x < c) as fn(f32, f32) -> bool),
        ("LessOrEqual", |x, c| x <= c),
        ("GreaterOrEqual", |x, c| x >= c),
    ] {
        let middle = noise(8)[5];
        let parts = [
            initializer(&given("c", &[1], &[middle])),
            node(operator, &["x", "c"], &["p"], &[]),
            node("Not", &["p"], &["n"], &[]),
            node("Cast", &["n"], &["y"], &[int("to", 1)]),
        ];
        let expected = noise(2 * 3 * 7 * 6).iter().map(|&x| f32::from(u8::from(!holds(x, middle)))).collect::<Vec<_>>();
        assert_eq!(outputs(&model(13, &INPUT, &parts)), expected, "{operator}");
    }
}

#[test]
fn the_place_of_the_greatest_is_left_to_its_scores() {
    let whole = |axis: i64| model(13, &INPUT, &[node("ArgMax", &["x"], &["y"], &[int("axis", axis)])]);
    let imported = imported(&whole(1), &Options::default()).unwrap();
    assert_eq!(outputs_of(&imported), noise(2 * 3 * 7 * 6));
    assert!(imported.notes.iter().any(|note| note.contains("scores")), "{:?}", imported.notes);
    assert!(refusal(&whole(2)).contains("only an output can be the greatest"));
}

/// Groups, dilation and given sizes: the same as plain ones with zeros among the weights, and with padding.
#[test]
fn transposed_convolutions_have_many_spellings() {
    let net = |dims: &[i64], weights: &[f32], attributes: &[Vec<u8>]| {
        let parts = [initializer(&given("w", dims, weights)), node("ConvTranspose", &["x", "w"], &["y"], attributes)];
        outputs(&model(13, &[1, 4, 5, 3], &parts))
    };
    let number = |at: usize| (at * 37 % 29) as f32 / 29.0 - 0.4;
    // Weights [in][out of the group][kernel row][kernel column] of two groups, apart.
    let grouped: Vec<f32> = (0..4 * 3 * 4).map(number).collect();
    let whole = |at: usize| {
        let (input, output, tap) = (at / 24, at / 4 % 6, at % 4);
        if input / 2 == output / 3 { grouped[(input * 3 + output % 3) * 4 + tap] } else { 0.0 }
    };
    let stride = ints("strides", &[2, 2]);
    agree(
        &net(&[4, 3, 2, 2], &grouped, &[int("group", 2), stride.clone()]),
        &net(&[4, 6, 2, 2], &(0..4 * 6 * 4).map(whole).collect::<Vec<_>>(), std::slice::from_ref(&stride)),
    );
    let taps: Vec<f32> = (0..4 * 2 * 4).map(number).collect();
    let wide = |at: usize| {
        if at % 3 == 1 || at / 3 % 3 == 1 { 0.0 } else { taps[at / 9 * 4 + at / 3 % 3 / 2 * 2 + at % 3 / 2] }
    };
    let wide: Vec<f32> = (0..4 * 2 * 9).map(wide).collect();
    agree(&net(&[4, 2, 2, 2], &taps, &[ints("dilations", &[2, 2])]), &net(&[4, 2, 3, 3], &wide, &[]));
    for (automatic, pads) in [("SAME_UPPER", [0, 0, 1, 1]), ("SAME_LOWER", [1, 1, 0, 0])] {
        agree(
            &net(&[4, 2, 3, 3], &wide, &[string("auto_pad", automatic), stride.clone()]),
            &net(&[4, 2, 3, 3], &wide, &[ints("pads", &pads), stride.clone()]),
        );
    }
    agree(
        &net(&[4, 2, 3, 3], &wide, &[ints("output_shape", &[9, 5]), stride.clone()]),
        &net(&[4, 2, 3, 3], &wide, &[ints("pads", &[1, 1, 1, 1]), stride]),
    );
}

#[test]
fn transposed_convolutions_are_what_their_definition_says() {
    let [ci, co, h, w] = [3usize, 2, 5, 4];
    let x = noise(2 * h * w * ci);
    for (kernel, stride, pads, more) in [
        ([2, 2], [2, 2], [0, 0, 0, 0], [0, 0]),
        ([4, 4], [2, 2], [1, 1, 1, 1], [0, 0]),
        ([3, 3], [2, 2], [1, 1, 1, 1], [1, 1]),
        ([3, 5], [1, 3], [1, 0, 0, 2], [0, 1]),
        ([2, 1], [3, 2], [0, 0, 0, 0], [0, 1]),
        ([5, 3], [2, 1], [3, 2, 4, 0], [1, 0]),
    ] {
        let dims = [ci as i64, co as i64, kernel[0] as i64, kernel[1] as i64];
        let weights: Vec<f32> =
            (0..ci * co * kernel[0] * kernel[1]).map(|i| (i * 37 % 29) as f32 / 29.0 - 0.4).collect();
        let list = |values: &[usize]| values.iter().map(|&v| v as i64).collect::<Vec<_>>();
        let attributes =
            [ints("strides", &list(&stride)), ints("pads", &list(&pads)), ints("output_padding", &list(&more))];
        let parts = [
            initializer(&given("w", &dims, &weights)),
            initializer(&given("b", &[2], &[0.5, -0.25])),
            node("ConvTranspose", &["x", "w", "b"], &["y"], &attributes),
        ];
        let found = outputs(&model(13, &[1, ci as i64, h as i64, w as i64], &parts));
        let size = [0, 1].map(|a| ([h, w][a] - 1) * stride[a] + kernel[a] + more[a] - pads[a] - pads[a + 2]);
        let mut expected = vec![0.0f32; 2 * size[0] * size[1] * co];
        expected.iter_mut().enumerate().for_each(|(at, y)| *y = [0.5, -0.25][at % co]);
        // Every element of the input adds to what lies under the filter around it.
        for (at, x) in x.iter().enumerate() {
            let (image, y, column, c) = (at / (h * w * ci), at / (w * ci) % h, at / ci % w, at % ci);
            for (i, j, out) in
                (0..kernel[0]).flat_map(|i| (0..kernel[1]).flat_map(move |j| (0..co).map(move |o| (i, j, o))))
            {
                let place = [(y * stride[0] + i).checked_sub(pads[0]), (column * stride[1] + j).checked_sub(pads[1])];
                if let [Some(to_y), Some(to_x)] = place
                    && to_y < size[0]
                    && to_x < size[1]
                {
                    let weight = weights[((c * co + out) * kernel[0] + i) * kernel[1] + j];
                    expected[((image * size[0] + to_y) * size[1] + to_x) * co + out] += x * weight;
                }
            }
        }
        agree(&found, &expected);
    }
}

#[test]
fn any_axes_are_reduced() {
    let [c, h, w] = [5usize, 4, 3];
    let x = noise(2 * c * h * w);
    for (operator, axes, keep) in [
        ("ReduceMean", vec![1], true),
        ("ReduceMean", vec![1], false),
        ("ReduceMax", vec![1, 3], true),
        ("ReduceSum", vec![1, 2], true),
        ("ReduceMean", vec![3], true),
        ("ReduceMax", vec![1, 2, 3], true),
    ] {
        let attributes = [ints("axes", &axes), int("keepdims", keep.into())];
        let found = outputs(&model(12, &[1, 5, 4, 3], &[node(operator, &["x"], &["y"], &attributes)]));
        let reduced = |axis: i64, extent: usize| if axes.contains(&axis) { 1 } else { extent };
        let [kept_h, kept_w, kept_c] = [reduced(2, h), reduced(3, w), reduced(1, c)];
        let mut groups = vec![Vec::new(); 2 * kept_h * kept_w * kept_c];
        for (at, &x) in x.iter().enumerate() {
            let (image, y, column, channel) = (at / (h * w * c), at / (w * c) % h, at / c % w, at % c);
            let place = ((image * kept_h + y % kept_h) * kept_w + column % kept_w) * kept_c + channel % kept_c;
            groups[place].push(x);
        }
        let result = |group: &Vec<f32>| match operator {
            "ReduceMax" => group.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            "ReduceSum" => group.iter().sum(),
            _ => group.iter().sum::<f32>() / group.len() as f32,
        };
        agree(&found, &groups.iter().map(result).collect::<Vec<_>>());
    }
}

#[test]
fn maps_are_resized_by_the_nearest_neighbor() {
    let resized = |operator: &str, opset, scales: [f32; 2], attributes: &[(&str, &str)]| {
        let attributes: Vec<_> = attributes.iter().map(|(name, value)| string(name, value)).collect();
        let inputs: &[&str] = if operator == "Resize" { &["x", "", "s"] } else { &["x", "s"] };
        let scales = initializer(&given("s", &[4], &[1.0, 1.0, scales[0], scales[1]]));
        model(opset, &INPUT, &[scales, node(operator, inputs, &["y"], &attributes)])
    };
    // Two images of 7 x 6 x 3.
    let picked = |size: [usize; 2], source: fn(usize, usize) -> usize| {
        let x = noise(2 * 7 * 6 * 3);
        let mut out = Vec::new();
        for (image, y, column) in
            (0..2).flat_map(|i| (0..size[0]).flat_map(move |y| (0..size[1]).map(move |x| (i, y, x))))
        {
            let at = ((image * 7 + source(y, 0)) * 6 + source(column, 1)) * 3;
            out.extend_from_slice(&x[at..at + 3]);
        }
        out
    };
    let (mode, rounding) = ("coordinate_transformation_mode", "nearest_mode");
    assert_eq!(outputs(&resized("Resize", 13, [2.0, 2.0], &[])), picked([14, 12], |at, _| at / 2));
    let floor = [("mode", "nearest"), (mode, "asymmetric"), (rounding, "floor")];
    assert_eq!(outputs(&resized("Resize", 11, [3.0, 2.0], &floor)), picked([21, 12], |at, axis| at / (3 - axis)));
    assert_eq!(outputs(&resized("Upsample", 9, [1.0, 4.0], &[])), picked([7, 24], |at, axis| at / (1 + 3 * axis)));
    let corners = [(mode, "align_corners"), (rounding, "round_prefer_ceil")];
    let corners = resized("Resize", 13, [13.0 / 7.0, 11.0 / 6.0], &corners);
    assert_eq!(outputs(&corners), picked([13, 11], |at, _| at.div_ceil(2)));
    assert!(refusal(&resized("Resize", 13, [2.0, 2.0], &[("mode", "cubic")])).contains("cubic"));
    assert!(refusal(&resized("Resize", 13, [2.0, 2.0], &[(rounding, "ceil")])).contains("same pixels"));
}

#[test]
fn expand_before_a_product_is_left_to_the_product() {
    let net = |expanded: bool| {
        let mut parts = vec![node("GlobalAveragePool", &["x"], &["g"], &[])];
        if expanded {
            parts.push(node("Shape", &["x"], &["shape"], &[]));
            parts.push(node("Expand", &["g", "shape"], &["e"], &[]));
        }
        parts.push(node("Mul", &["x", if expanded { "e" } else { "g" }], &["y"], &[]));
        model(17, &INPUT, &parts)
    };
    assert_eq!(outputs(&net(true)), outputs(&net(false)));
    let parts = [
        initializer(&list("to", &[1, 3, 14, 6])),
        node("GlobalAveragePool", &["x"], &["g"], &[]),
        node("Expand", &["g", "to"], &["e"], &[]),
        node("Relu", &["e"], &["y"], &[]),
    ];
    assert!(refusal(&model(17, &INPUT, &parts)).contains("Expand"));
}

#[test]
fn channels_are_padded_with_zeros() {
    let parts = [
        initializer(&list("pads", &[0, 1, 0, 0, 0, 2, 0, 0])),
        node("Pad", &["x", "pads"], &["p"], &[]),
        node("Relu", &["p"], &["y"], &[]),
    ];
    let relu = [node("Relu", &["x"], &["y"], &[])];
    let (padded, plain) = (outputs(&model(17, &INPUT, &parts)), outputs(&model(17, &INPUT, &relu)));
    for (padded, plain) in padded.chunks(6).zip(plain.chunks(3)) {
        assert_eq!([&padded[..1], &padded[1..4], &padded[4..]], [&[0.0][..], plain, &[0.0, 0.0]]);
    }
}

/// A sequence that becomes a picture of one channel, and channels that become a sequence: the order of elements stays.
#[test]
fn dimensions_change_their_meaning_where_the_order_of_elements_allows() {
    let kernel = || initializer(&floats("w", &[2, 1, 3, 3]));
    let picture = model(17, &[1, 1, 9, 5], &[node("Conv", &["x", "w"], &["y"], &[]), kernel()]);
    let parts = [
        initializer(&list("one", &[1])),
        node("Unsqueeze", &["x", "one"], &["u"], &[]),
        node("Conv", &["u", "w"], &["y"], &[]),
        kernel(),
    ];
    agree(&outputs(&model(17, &[1, 9, 5], &parts)), &outputs(&picture));

    // Efficient channel attention: a convolution over the channels' means.
    let attention = [
        initializer(&list("last", &[-1])),
        node("GlobalAveragePool", &["x"], &["g"], &[]),
        node("Squeeze", &["g", "last"], &["s"], &[]),
        node("Transpose", &["s"], &["t"], &[ints("perm", &[0, 2, 1])]),
        node("Conv", &["t", "k"], &["c"], &[ints("pads", &[1, 1])]),
        initializer(&given("k", &[1, 1, 3], &[0.5, 1.0, -0.25])),
        node("Transpose", &["c"], &["b"], &[ints("perm", &[0, 2, 1])]),
        node("Unsqueeze", &["b", "last"], &["a"], &[]),
        node("Mul", &["x", "a"], &["y"], &[]),
    ];
    let mixed = [
        node("GlobalAveragePool", &["x"], &["g"], &[]),
        node("Conv", &["g", "m"], &["a"], &[]),
        initializer(&given("m", &[3, 3, 1, 1], &[1.0, -0.25, 0.0, 0.5, 1.0, -0.25, 0.0, 0.5, 1.0])),
        node("Mul", &["x", "a"], &["y"], &[]),
    ];
    agree(&outputs(&model(17, &INPUT, &attention)), &outputs(&model(17, &INPUT, &mixed)));
}

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

#[test]
fn maps_are_joined_along_any_axis() {
    let mean = |more: &[Vec<u8>], of: &str| {
        let mut parts = conv("x", "a", &[]);
        parts.push(node("Relu", &["a"], &["r"], &[]));
        parts.extend_from_slice(more);
        parts.push(node("GlobalAveragePool", &[of], &["y"], &[]));
        outputs(&model(17, &INPUT, &parts))
    };
    let half = initializer(&given("half", &[1], &[0.5]));
    let sum = [node("Add", &["a", "r"], &["s"], &[]), node("Mul", &["s", "half"], &["m"], &[]), half];
    let expected = mean(&sum, "m");
    for axis in [2, 3, -1] {
        agree(&mean(&[node("Concat", &["a", "r"], &["m"], &[int("axis", axis)])], "m"), &expected);
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

#[test]
fn rows_and_columns_are_gathered_at_even_distances() {
    let net = |gather: Vec<Vec<u8>>| {
        let parts = [conv("x", "c", &[]), gather, vec![node("ReduceMax", &["g"], &["y"], &[ints("axes", &[2])])]];
        outputs(&model(17, &INPUT, &parts.concat()))
    };
    let gather = |indices: Vec<u8>| vec![node("Gather", &["c", "i"], &["g"], &[int("axis", 3)]), initializer(&indices)];
    let slice = |bounds: [i64; 3]| {
        let [start, end, step] = bounds.map(|bound| [bound]);
        let lists = [("s", start), ("e", end), ("a", [3]), ("t", step)];
        let slice = node("Slice", &["c", "s", "e", "a", "t"], &["g"], &[]);
        [vec![slice], lists.map(|(name, values)| initializer(&list(name, &values))).to_vec()].concat()
    };
    agree(&net(gather(list("i", &[1, 3]))), &net(slice([1, 4, 2])));
    agree(&net(gather(list("i", &[-1]))), &net(slice([3, 4, 1])));
    let parts = [conv("x", "c", &[]), gather(list("i", &[0, 1, 3]))].concat();
    let parts = [parts, vec![node("Relu", &["g"], &["y"], &[])]].concat();
    assert!(refusal(&model(17, &INPUT, &parts)).contains("even distances"));
}
