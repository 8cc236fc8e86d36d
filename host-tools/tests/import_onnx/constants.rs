//! Constants: what they may be, and what is computed of them.

use super::{INPUT, conv, outputs, plain};
use crate::import_util::onnx::{
    branch, end, floats, given, initializer, int, ints, list, model, node, tensor_attribute,
};

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
