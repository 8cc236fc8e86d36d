//! Operators that only move elements.

use super::{INPUT, agree, conv, imported, outputs, plain, refusal};
use crate::import_util::noise;
use crate::import_util::onnx::{float, floats, given, initializer, int, ints, list, model, node, string};
use kinglet_tools::import::Options;
use kinglet_tools::layers;
use ndarray::Array4;

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
    assert!(refusal(&resized("Resize", 13, [2.0, 2.0], &[("mode", "lanczos")])).contains("lanczos"));
    // What TensorFlow Lite has no settings for.
    let up = resized("Resize", 13, [2.0, 2.0], &[(rounding, "ceil")]);
    agree(&outputs(&up), &picked([14, 12], |at, axis| at.div_ceil(2).min(6 - axis)));
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

#[test]
fn rows_and_columns_are_gathered() {
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
    // In any order: four columns of four channels each.
    let whole = net(vec![node("Identity", &["c"], &["g"], &[])]);
    let column = |image: &[f32], at: usize| image[4 * at..][..4].to_vec();
    let expected: Vec<f32> =
        whole.chunks(16).flat_map(|image| [3, 0, 1].map(|at| column(image, at))).flatten().collect();
    agree(&net(gather(list("i", &[3, 0, 1]))), &expected);
}

/// PyTorch's `as_strided`: from a list, in the file's order, to any dimensions.
#[test]
fn elements_of_a_list_are_gathered() {
    let whole = outputs(&plain());
    let gathered = |places: &[i64], dims: &[i64]| {
        let parts = [
            node("Reshape", &["c", "all"], &["l"], &[]),
            initializer(&list("all", &[-1])),
            initializer(&list("places", places)),
            initializer(&list("dims", dims)),
            node("Reshape", &["places", "dims"], &["i"], &[]),
            node("Gather", &["l", "i"], &["y"], &[]),
        ];
        outputs(&model(17, &INPUT, &[&conv("x", "c", &[])[..], &parts].concat()))
    };
    agree(&gathered(&(0..80).collect::<Vec<_>>(), &[1, 4, 5, 4]), &whole);
    // The first pixel's four channels, of each image.
    let first: Vec<f32> = whole.chunks(80).flat_map(|image| image[..4].to_vec()).collect();
    agree(&gathered(&[0, 20, 40, 60], &[4]), &first);
    agree(&gathered(&[0, 20, 40, 60], &[1, 4, 1, 1]), &first);
}

/// By the elements in the file's order, of two images of channels x height x width.
#[test]
fn what_is_reshaped_to_more_dimensions_becomes_a_map_again() {
    let [c, h, w] = [8usize, 4, 6];
    let x = noise(2 * c * h * w);
    let spellings: [([i64; 6], [usize; 6], [i64; 4]); 6] = [
        // Pixels to channels and back, in either order; channels in another order; and what has no name.
        ([2, 2, 2, 1, 4, 6], [2, 3, 4, 0, 5, 1], [1, 2, 8, 12]),
        ([2, 2, 2, 1, 4, 6], [0, 3, 4, 1, 5, 2], [1, 2, 8, 12]),
        ([1, 8, 2, 2, 3, 2], [3, 5, 0, 1, 2, 4], [1, 32, 2, 3]),
        ([1, 8, 2, 2, 3, 2], [0, 1, 3, 5, 2, 4], [1, 32, 2, 3]),
        ([1, 2, 4, 1, 4, 6], [0, 3, 2, 1, 4, 5], [1, 8, 4, 6]),
        ([2, 4, 2, 2, 3, 2], [4, 1, 3, 0, 5, 2], [1, 12, 4, 4]),
    ];
    for (dims, order, to) in spellings {
        let apart = [&[1], &dims[..]].concat();
        let turned: Vec<i64> = [0].into_iter().chain(order.iter().map(|&axis| axis as i64 + 1)).collect();
        let parts = [
            initializer(&list("apart", &apart)),
            node("Reshape", &["x", "apart"], &["a"], &[]),
            node("Relu", &["a"], &["r"], &[]),
            node("Transpose", &["r"], &["t"], &[ints("perm", &turned)]),
            initializer(&list("to", &to)),
            node("Reshape", &["t", "to"], &["y"], &[]),
        ];
        let found = outputs(&model(13, &[1, c as i64, h as i64, w as i64], &parts));
        // From a place in the file's order after all to that before.
        let stride = |axis: usize| dims[axis + 1..].iter().product::<i64>() as usize;
        let source = |mut at: usize| {
            let mut from = 0;
            for &axis in order.iter().rev() {
                from += at % dims[axis] as usize * stride(axis);
                at /= dims[axis] as usize;
            }
            from
        };
        let [_, channels, rows, columns] = to.map(|extent| extent as usize);
        let expected = (0..2 * c * h * w).map(|at| {
            let (image, at) = (at / (c * h * w), at % (c * h * w));
            let from = source((at % channels) * rows * columns + at / channels);
            x[((image * h + from / w % h) * w + from % w) * c + from / (h * w)].max(0.0)
        });
        assert_eq!(found, expected.collect::<Vec<_>>(), "{dims:?} {order:?}");
    }
}

/// What ONNX's reference makes of 1, 2, 4, 3.
#[test]
fn maps_are_resized_by_other_filters() {
    let resized = |scale: f32, attributes: &[Vec<u8>]| {
        let parts = [
            initializer(&given("s", &[4], &[1.0, 1.0, 1.0, scale])),
            initializer(&given("r", &[8], &[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.5])),
            node("Resize", &["x", "r", "s"], &["y"], attributes),
        ];
        let model = imported(&model(19, &[1, 1, 1, 4], &parts), &Options::default()).unwrap();
        let image = Array4::from_shape_vec((1, 1, 4, 1), vec![1.0, 2.0, 4.0, 3.0]).unwrap();
        let values = layers::forward(&model.graph, &model.params, &image.view()).unwrap().pop().unwrap();
        values.iter().copied().collect::<Vec<f32>>()
    };
    let cubic = string("mode", "cubic");
    let expected = [0.89453125, 1.15625, 1.5625, 2.59375, 3.6875, 3.984375, 3.296875, 2.894_531_3];
    agree(&resized(2.0, std::slice::from_ref(&cubic)), &expected);
    let sharper = [cubic.clone(), int("exclude_outside", 1), float("cubic_coeff_a", -0.5)];
    let expected = [0.9117647, 1.1459854, 1.6412214, 2.5, 3.6875, 3.9160306, 3.2335765, 2.9117646];
    agree(&resized(2.0, &sharper), &expected);
    let smooth = int("antialias", 1);
    agree(&resized(0.5, &[string("mode", "linear"), smooth.clone()]), &[1.75, 3.25]);
    agree(&resized(0.5, &[cubic, smooth]), &[1.6914062, 3.4492188]);
    // From the first pixel to half a map beyond the last, which is read as 9.
    let beyond = [
        string("mode", "linear"),
        string("coordinate_transformation_mode", "tf_crop_and_resize"),
        float("extrapolation_value", 9.0),
    ];
    agree(&resized(1.0, &beyond), &[1.0, 3.0, 3.0, 9.0]);
}
