//! Functions, and what is no function of one element.

use super::{INPUT, agree, imported, outputs, outputs_of, refusal};
use crate::import_util::noise;
use crate::import_util::onnx::{given, initializer, int, model, node};
use kinglet_tools::import::Options;

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
fn responses_are_normalized_over_neighboring_channels() {
    let [c, h, w] = [7usize, 3, 2];
    let x = noise(2 * c * h * w);
    for (size, before) in [(5usize, 2usize), (2, 0), (3, 1)] {
        let float = |name: &str, value: f32| crate::import_util::onnx::float(name, value);
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
