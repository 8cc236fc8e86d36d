//! What is computed of several elements: lengths, sums along an axis, products of rows; and slices from the end.

use super::{agree, imported, outputs, outputs_of, refusal};
use crate::import_util::noise;
use crate::import_util::onnx::{float, given, initializer, int, ints, list, model, node};
use kinglet_tools::graph::Op;
use kinglet_tools::import::Options;

/// Height, width and channels, which come first in the file.
const SIZE: [usize; 3] = [4, 6, 5];
const DIMS: [i64; 4] = [1, 5, 4, 6];

/// What becomes of element `[y, x, c]` of an image, by the image's elements.
fn expected(of: impl Fn(&dyn Fn([usize; 3]) -> f32, [usize; 3]) -> f32) -> Vec<f32> {
    let [h, w, c] = SIZE;
    let x = noise(2 * h * w * c);
    let element = |image: usize, [row, column, channel]: [usize; 3]| x[((image * h + row) * w + column) * c + channel];
    let places = |image: usize| (0..h * w * c).map(move |at| (image, [at / c / w, at / c % w, at % c]));
    (0..2).flat_map(places).map(|(image, place)| of(&|at| element(image, at), place)).collect()
}

/// The same place with another number along an axis.
fn along(mut place: [usize; 3], axis: usize, at: usize) -> [usize; 3] {
    place[axis] = at;
    place
}

/// The axis of the file that is height, width or channels.
const FILE: [i64; 3] = [2, 3, 1];

#[test]
fn elements_over_the_length_of_their_row() {
    for axis in 0..3 {
        for p in 1..=4 {
            let found = outputs(&model(
                13,
                &DIMS,
                &[node("LpNormalization", &["x"], &["y"], &[int("axis", FILE[axis]), int("p", p)])],
            ));
            let norm = |x: &dyn Fn([usize; 3]) -> f32, place: [usize; 3]| {
                let sum: f32 = (0..SIZE[axis]).map(|at| x(along(place, axis, at)).abs().powi(p as i32)).sum();
                x(place) / sum.powf(1.0 / p as f32)
            };
            agree(&found, &expected(norm));
        }
    }
    let refused =
        refusal(&model(13, &DIMS, &[node("LpNormalization", &["x"], &["y"], &[int("axis", 1), int("p", 9)])]));
    assert!(refused.contains("a length by powers of 9"), "{refused}");
}

#[test]
fn lengths_are_functions_around_sums() {
    type Reduce = fn(&mut dyn Iterator<Item = f32>) -> f32;
    let reductions: [(&str, Reduce); 4] = [
        ("ReduceL1", |x| x.map(f32::abs).sum()),
        ("ReduceL2", |x| x.map(|x| x * x).sum::<f32>().sqrt()),
        ("ReduceSumSquare", |x| x.map(|x| x * x).sum()),
        ("ReduceMin", |x| x.fold(f32::INFINITY, f32::min)),
    ];
    for (operator, reduce) in reductions {
        let found = outputs(&model(13, &DIMS, &[node(operator, &["x"], &["y"], &[ints("axes", &[1])])]));
        let all = expected(|x, place| reduce(&mut (0..SIZE[2]).map(|at| x(along(place, 2, at)))));
        agree(&found, &all.into_iter().step_by(SIZE[2]).collect::<Vec<_>>());
    }
}

#[test]
fn sums_up_to_each_element() {
    for (axis, exclusive, reverse) in [(0, false, false), (1, true, false), (2, false, true), (0, true, true)] {
        let attributes = [int("exclusive", exclusive.into()), int("reverse", reverse.into())];
        let parts = [initializer(&list("a", &[FILE[axis]])), node("CumSum", &["x", "a"], &["y"], &attributes)];
        let sum = |x: &dyn Fn([usize; 3]) -> f32, place: [usize; 3]| {
            let counts = |at: &usize| match (at.cmp(&place[axis]), reverse) {
                (std::cmp::Ordering::Equal, _) => !exclusive,
                (order, _) => (order == std::cmp::Ordering::Greater) == reverse,
            };
            (0..SIZE[axis]).filter(counts).map(|at| x(along(place, axis, at))).sum()
        };
        agree(&outputs(&model(14, &DIMS, &parts)), &expected(sum));
    }
}

#[test]
fn slices_from_the_end() {
    for (axis, start, end, step) in [(0, -1, -1000, -1), (1, 4, 0, -2), (2, -2, -5, -1)] {
        let parts = [
            initializer(&list("s", &[start])),
            initializer(&list("e", &[end])),
            initializer(&list("a", &[FILE[axis]])),
            initializer(&list("b", &[step])),
            node("Slice", &["x", "s", "e", "a", "b"], &["y"], &[]),
        ];
        let picked: &[usize] = match axis {
            0 => &[3, 2, 1, 0],
            1 => &[4, 2],
            _ => &[3, 2, 1],
        };
        let mut all = Vec::new();
        let mut size = SIZE;
        size[axis] = picked.len();
        let x = noise(2 * SIZE.iter().product::<usize>());
        for (image, at) in (0..2).flat_map(|image| (0..size.iter().product()).map(move |at| (image, at))) {
            let mut place: [usize; 3] = [at / size[2] / size[1], at / size[2] % size[1], at % size[2]];
            place[axis] = picked[place[axis]];
            all.push(x[((image * SIZE[0] + place[0]) * SIZE[1] + place[1]) * SIZE[2] + place[2]]);
        }
        agree(&outputs(&model(13, &DIMS, &parts)), &all);
    }
    let parts = [
        initializer(&list("s", &[1])),
        initializer(&list("e", &[3])),
        initializer(&list("a", &[2])),
        initializer(&list("b", &[-1])),
        node("Slice", &["x", "s", "e", "a", "b"], &["y"], &[]),
    ];
    assert!(refusal(&model(13, &DIMS, &parts)).contains("an empty slice"));
}

/// With one matrix, and with one for each channel.
#[test]
fn rows_times_matrices() {
    let [h, w, c] = SIZE;
    let columns = 3;
    for matrices in [1, c] {
        let numbers: Vec<f32> = (0..matrices * w * columns).map(|at| (at as f32 * 0.7).sin()).collect();
        let weights = given("w", &[matrices as i64, w as i64, columns as i64], &numbers);
        let found = outputs(&model(13, &DIMS, &[initializer(&weights), node("MatMul", &["x", "w"], &["y"], &[])]));
        let x = noise(2 * h * w * c);
        let mut all = Vec::new();
        for (image, row) in (0..2).flat_map(|image| (0..h).map(move |row| (image, row))) {
            for (column, channel) in (0..columns).flat_map(|column| (0..c).map(move |channel| (column, channel))) {
                let matrix = if matrices == 1 { 0 } else { channel };
                let product = |at: usize| {
                    x[((image * h + row) * w + at) * c + channel] * numbers[(matrix * w + at) * columns + column]
                };
                all.push((0..w).map(product).sum());
            }
        }
        agree(&found, &all);
    }
}

/// Each element less the mean of some, if `centered`, over the root of their variance; `together` says of two places whether they are
/// normalized together.
fn normalized(centered: bool, epsilon: f32, together: impl Fn([usize; 3], [usize; 3]) -> bool) -> Vec<f32> {
    let [h, w, c] = SIZE;
    expected(|x, place| {
        let places = (0..h * w * c).map(|at| [at / c / w, at / c % w, at % c]);
        let others: Vec<f32> = places.filter(|&other| together(place, other)).map(x).collect();
        let mean_of = |numbers: &mut dyn Iterator<Item = f32>| numbers.sum::<f32>() / others.len() as f32;
        let mean = if centered { mean_of(&mut others.iter().copied()) } else { 0.0 };
        let variance = mean_of(&mut others.iter().map(|x| (x - mean).powi(2)));
        (x(place) - mean) / (variance + epsilon).sqrt()
    })
}

#[test]
fn normalization_by_the_image_itself() {
    let numbers = [0.5f32, 2.0, -1.0, 0.25, 3.0];
    let constants = [initializer(&given("s", &[5], &numbers)), initializer(&given("b", &[5], &numbers))];
    let run = |operator: &str, inputs: &[&str], attributes: &[Vec<u8>]| {
        let node = node(operator, inputs, &["y"], attributes);
        outputs(&model(21, &DIMS, &[&constants[..], &[node]].concat()))
    };
    let scaled = |plain: Vec<f32>| -> Vec<f32> {
        plain.iter().enumerate().map(|(at, x)| x * numbers[at % 5] + numbers[at % 5]).collect()
    };
    let found = run("InstanceNormalization", &["x", "s", "b"], &[float("epsilon", 0.01)]);
    agree(&found, &scaled(normalized(true, 0.01, |a, b| a[2] == b[2])));
    let found = run("GroupNormalization", &["x", "s", "b"], &[int("num_groups", 1)]);
    agree(&found, &scaled(normalized(true, 1e-5, |_, _| true)));
    // Over rows; the constants would be those of columns.
    let one = [initializer(&given("o", &[1], &[1.5]))];
    for (operator, centered) in [("LayerNormalization", true), ("RMSNormalization", false)] {
        let net = |axis| node(operator, &["x", "o"], &["y"], &[int("axis", axis), float("epsilon", 0.01)]);
        let found = |axis| outputs(&model(23, &DIMS, &[&one[..], &[net(axis)]].concat()));
        let times = |plain: Vec<f32>| plain.iter().map(|x| 1.5 * x).collect::<Vec<f32>>();
        agree(&found(-1), &times(normalized(centered, 0.01, |a, b| [a[0], a[2]] == [b[0], b[2]])));
        agree(&found(2), &times(normalized(centered, 0.01, |a, b| a[2] == b[2])));
    }
}

/// PyTorch's `normalize`: over a length that is kept from zero, and repeated.
#[test]
fn what_is_divided_by_its_length_is_normalized() {
    let parts = |least: f32| {
        model(
            18,
            &DIMS,
            &[
                initializer(&list("axis", &[1])),
                node("ReduceL2", &["x", "axis"], &["l"], &[]),
                initializer(&given("least", &[], &[least])),
                node("Clip", &["l", "least"], &["c"], &[]),
                initializer(&list("to", &DIMS)),
                node("Expand", &["c", "to"], &["e"], &[]),
                node("Div", &["x", "e"], &["y"], &[]),
            ],
        )
    };
    let length = |x: &dyn Fn([usize; 3]) -> f32, place| {
        (0..5).map(|channel| x(along(place, 2, channel)).powi(2)).sum::<f32>().sqrt()
    };
    let normalized = imported(&parts(1e-12), &Options::default()).unwrap();
    assert!(normalized.graph.nodes.iter().all(|node| matches!(node.op, Op::Input | Op::L2Norm)));
    agree(&outputs_of(&normalized), &expected(|x, place| x(place) / length(x, place)));
    // A length that is cut off for good is none.
    agree(&outputs(&parts(0.9)), &expected(|x, place| x(place) / length(x, place).max(0.9)));
    // Of a vector, which has no other dimensions.
    let vector = [node("GlobalAveragePool", &["x"], &["p"], &[]), node("Flatten", &["p"], &["f"], &[])];
    let whole = [initializer(&list("axis", &[1])), node("ReduceL2", &["f", "axis"], &["y"], &[int("keepdims", 0)])];
    let found = outputs(&model(18, &DIMS, &[&vector[..], &whole].concat()));
    let means = |x: &dyn Fn([usize; 3]) -> f32, channel: usize| {
        (0..24).map(|at| x([at / 6, at % 6, channel])).sum::<f32>() / 24.0
    };
    let lengths = expected(|x, _| (0..5).map(|channel| means(x, channel).powi(2)).sum::<f32>().sqrt());
    agree(&found, &[lengths[0], lengths[120]]);
}
