//! What is computed of several elements: lengths, sums along an axis, products of rows; and slices from the end.

use super::{agree, outputs, refusal};
use crate::import_util::noise;
use crate::import_util::onnx::{given, initializer, int, ints, list, model, node};

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
        for p in [1, 2] {
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
        refusal(&model(13, &DIMS, &[node("LpNormalization", &["x"], &["y"], &[int("axis", 1), int("p", 3)])]));
    assert!(refused.contains("a length by powers of 3"), "{refused}");
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
