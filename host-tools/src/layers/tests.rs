//! Gradients against finite differences in f64, and convolution against its definition.

use kinglet::ops;
use ndarray::Array4;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::loss::{Targets, Taught};
use super::net::{Keep, Mode, Net};
use crate::graph::{
    Activation, Block, Builder,
    ConstantFunction::{Add, Mul, Prelu, Sub, SubFrom},
    Dims, Form, Function, Graph, GraphError, NetworkRecipe, NodeId, Norm, Op, Padding, Params, Preprocess, Rearrange,
    Shape, Strided, Unary, Window,
};

const IMAGES: usize = 3;

fn numbers(seed: u64, len: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| (rng.next_u32() as f64 / f64::from(u32::MAX) - 0.5) * 2.0).collect()
}

/// A graph around one layer: the input, `build`, and a classifier of three classes.
fn around(shape: Shape, build: impl Fn(&mut Builder, NodeId) -> Result<NodeId, GraphError>) -> Graph {
    let mut net = Builder::new("test", shape).unwrap();
    let input = net.input();
    let x = build(&mut net, input).unwrap();
    net.dense("logits", x, 3, true).unwrap();
    net.finish()
}

/// Compares every gradient, of parameters and of the input, with central differences.
fn check(graph: &Graph) {
    // Both with fused passes and without.
    for every_value in [false, true] {
        check_as(graph, Keep { every_value, input_gradient: true }, None);
    }
}

fn check_as(graph: &Graph, keep: Keep, teacher: Option<Taught<'_>>) {
    let mut net = Net::<f64>::with(graph, &Params::init(graph, 1), IMAGES, keep).unwrap();
    // Move everything off its special starting point.
    for (index, slot) in net.slots().enumerate() {
        let shake = numbers(index as u64 + 10, slot.weights.len());
        if slot.spec.trainable {
            slot.weights.iter_mut().zip(shake).for_each(|(w, s)| *w += 0.3 * s);
        }
    }
    let len = graph.input.len() as usize;
    let mut images = numbers(5, IMAGES * len);
    let labels = [0, 2, 1];
    let weights = [1.0, 0.5, 2.0];
    let loss = |net: &mut Net<f64>, images: &[f64]| {
        net.forward(IMAGES, Mode::Train, |i, out| out.copy_from_slice(&images[i * len..][..len]));
        net.loss(Targets { labels: &labels, smoothing: 0.1, class_weights: &weights, teacher }).mean
    };
    loss(&mut net, &images);
    net.backward();
    let analytic: Vec<Vec<f64>> = net.slots().map(|slot| slot.gradient.to_vec()).collect();
    let names: Vec<String> = net.slots().map(|slot| slot.spec.name.clone()).collect();
    let step = 1e-5;
    let agree = |what: &str, at: usize, analytic: f64, difference: f64| {
        let error = (analytic - difference).abs();
        assert!(error < 1e-6 * (1.0 + difference.abs()), "{what}[{at}]: {analytic} against {difference}");
    };
    for (which, gradient) in analytic.iter().enumerate() {
        if names[which].ends_with(".mean") || names[which].ends_with(".variance") {
            continue;
        }
        let stride = gradient.len().div_ceil(12);
        for at in (0..gradient.len()).step_by(stride) {
            let mut moved = |delta: f64| {
                net.slots().nth(which).unwrap().weights[at] += delta;
                loss(&mut net, &images)
            };
            let difference = (moved(step) - moved(-2.0 * step)) / (2.0 * step);
            moved(step);
            agree(&names[which], at, gradient[at], difference);
        }
    }
    loss(&mut net, &images);
    net.backward();
    let gradient = net.input_gradient();
    for at in (0..images.len()).step_by(images.len().div_ceil(40)) {
        let kept = images[at];
        let mut moved = |delta: f64| {
            images[at] = kept + delta;
            loss(&mut net, &images)
        };
        let difference = (moved(step) - moved(-step)) / (2.0 * step);
        moved(0.0);
        agree("input", at, gradient.as_slice().unwrap()[at], difference);
    }
}

fn window(kernel: [u32; 2], stride: [u32; 2], before: [u32; 2], after: [u32; 2]) -> Window {
    Window { kernel, stride, before, after }
}

#[test]
fn convolution_gradients() {
    for (kernel, stride) in [([3, 3], [1, 1]), ([3, 3], [2, 2]), ([1, 1], [2, 2]), ([5, 2], [1, 3]), ([2, 4], [3, 2])] {
        for padding in [Padding::Same, Padding::Valid] {
            check(&around(Shape::new(6, 7, 2), |net, x| {
                let x = net.conv2d("first", x, 3, kernel, stride, padding, true)?;
                net.conv2d("second", x, 9, [2, 2], [1, 1], Padding::Same, false)
            }));
        }
    }
    for padding in [Padding::Same, Padding::Valid] {
        // Winograd's algorithm; of the tiles at the ends half lies outside the map.
        check(&around(Shape::new(11, 9, 3), |net, x| {
            let x = net.conv2d("first", x, 24, [1, 1], [1, 1], padding, false)?;
            let x = net.conv2d("second", x, 16, [3, 3], [1, 1], padding, true)?;
            let x = net.conv2d("third", x, 40, [3, 3], [1, 1], Padding::Same, false)?;
            net.global_average_pool("mean", x)
        }));
    }
    let uneven =
        Op::Conv2d { window: window([4, 3], [2, 1], [3, 0], [1, 2]), weights: Dims { channels: 2, bias: false } };
    check(&around(Shape::new(5, 5, 17), |net, x| net.add_node("uneven", uneven.clone(), &[x])));
}

#[test]
fn depthwise_gradients() {
    for multiplier in [1, 2] {
        let op = Op::DepthwiseConv2d {
            window: window([3, 3], [2, 1], [1, 1], [1, 1]),
            weights: Dims { channels: 3 * multiplier, bias: true },
        };
        check(&around(Shape::new(5, 4, 3), |net, x| net.add_node("depthwise", op.clone(), &[x])));
    }
}

#[test]
fn pool_gradients() {
    for padding in [Padding::Same, Padding::Valid] {
        check(&around(Shape::new(5, 6, 2), |net, x| net.max_pool("max", x, [3, 2], [2, 1], padding)));
        check(&around(Shape::new(5, 6, 2), |net, x| net.average_pool("average", x, [3, 2], [1, 2], padding)));
    }
    check(&around(Shape::new(3, 4, 5), |net, x| net.global_average_pool("mean", x)));
}

#[test]
fn elementwise_gradients() {
    let shape = Shape::new(3, 3, 4);
    check(&around(shape, |net, x| net.relu("relu", x)));
    check(&around(shape, |net, x| net.softmax("softmax", x)));
    check(&around(shape, |net, x| net.add_node("sharper", Op::Softmax { beta: 1.5 }, &[x])));
    check(&around(shape, |net, x| net.add_node("unit", Op::L2Norm, &[x])));
    check(&around(shape, |net, x| net.add_node("bounded", Op::Activate(Activation::ReluN1To1), &[x])));
    check(&around(shape, |net, x| net.add("twice", x, x)));
    check(&around(shape, |net, x| {
        net.add_node("silu", Op::Function(Function::X * Function::X.then(Unary::Sigmoid)), &[x])
    }));
    check(&around(shape, |net, x| {
        // Squeeze and excitation, products and differences of equal shapes, constants of the map.
        let y = net.dense("y", x, 4, true)?;
        let gate = net.add_node("gate", Op::Function(Function::hard_sigmoid(0.31, 0.5)), &[y])?;
        let scaled = net.add_node("scaled", Op::Mul, &[x, gate])?;
        let shifted = net.add_node("shifted", Op::Sub, &[scaled, gate])?;
        let square = net.add_node("square", Op::Mul, &[shifted, shifted])?;
        let less = net.add_node("less", Op::Sub, &[square, x])?;
        let mut x = less;
        for (name, function) in
            [("plus", Add), ("times", Mul), ("less_constant", Sub), ("constant_less", SubFrom), ("bent", Prelu)]
        {
            x = net.add_node(name, Op::Constant { function, data: () }, &[x])?;
        }
        Ok(x)
    }));
    check(&around(shape, |net, x| {
        // Rows, columns and channels that are spread, also of a sum behind a normalization.
        let column = net.add_node("column", Op::AveragePool(Window::global([1, 3])), &[x])?;
        let row = net.add_node("row", Op::MaxPool(Window::global([3, 1])), &[x])?;
        let channel = net.conv2d("channel", x, 1, [1, 1], [1, 1], Padding::Same, true)?;
        let norm = net.batch_norm("norm", row)?;
        let sum = net.add("sum", column, norm)?;
        let bent = net.relu("bent", sum)?;
        let scaled = net.add_node("scaled", Op::Mul, &[channel, bent])?;
        net.add_node("less", Op::Sub, &[column, scaled])
    }));
    check(&around(shape, |net, x| {
        let y = net.relu("y", x)?;
        net.concat("concat", &[x, y, x])
    }));
    check(&around(shape, |net, x| {
        let x = net.conv2d("up", x, 40, [1, 1], [1, 1], Padding::Same, true)?;
        net.add_node("relu6", Op::Activate(Activation::Relu6), &[x])
    }));
    check(&around(shape, |net, x| {
        let x = net.add_node(
            "pad",
            Op::Rearrange(Rearrange::Pad { before: [1, 0, 0], after: [2, 3, 0], value: 0.0 }),
            &[x],
        )?;
        let x = net.add_node(
            "more",
            Op::Rearrange(Rearrange::Pad { before: [0, 1, 2], after: [0, 0, 1], value: 0.5 }),
            &[x],
        )?;
        net.flatten("flatten", x)
    }));
    check(&around(shape, |net, x| {
        let resized = |size, align_corners| {
            let resize = ops::ResizeNearest { size, align_corners, half_pixel_centers: false };
            Op::Rearrange(Rearrange::ResizeNearest(resize))
        };
        let x = net.add_node("up", resized([7, 6], true), &[x])?;
        let y = net.add_node("down", resized([3, 9], false), &[x])?;
        let z = net.add_node("other", resized([3, 9], true), &[x])?;
        net.concat("both", &[y, z])
    }));
    check(&around(shape, |net, x| {
        let resized = |net: &mut Builder, name: &str, x, [size, step]: [[u32; 2]; 2]| {
            let resize = ops::ResizeBilinear { size, step, origin: [-300_000, 0] };
            net.add_node(name, Op::ResizeBilinear(resize), &[x])
        };
        let x = resized(net, "up", x, [[7, 6], [500_000, 600_000]])?;
        let y = resized(net, "down", x, [[3, 2], [2_000_000, 3_000_000]])?;
        let z = resized(net, "other", x, [[3, 2], [700_000, 1 << 20]])?;
        net.concat("both", &[y, z])
    }));
    check(&around(shape, |net, x| {
        let strided = |strided| Op::Rearrange(Rearrange::Strided(strided));
        let x = net.add_node("up", strided(Strided::DepthToSpace { block: [2; 2], channels_first: false }), &[x])?;
        let x = net.add_node("down", strided(Strided::SpaceToDepth { block: 3 }), &[x])?;
        let x = net.add_node("turned", strided(Strided::Transpose([2, 0, 1])), &[x])?;
        let x = net.conv2d("conv", x, 8, [1, 1], [1, 1], Padding::Same, true)?;
        net.add_node("shuffled", strided(Strided::DepthToSpace { block: [2; 2], channels_first: true }), &[x])
    }));
    check(&around(shape, |net, x| net.dense("hidden", x, 5, false)));
}

#[test]
fn batch_norm_gradients() {
    check(&around(Shape::new(3, 3, 4), |net, x| net.batch_norm("bn", x)));
    // Two normalizations of one value, which is read beside them too.
    check(&around(Shape::new(2, 2, 3), |net, x| {
        let a = net.batch_norm("a", x)?;
        let b = net.batch_norm("b", x)?;
        let c = net.batch_norm("c", a)?;
        net.concat("all", &[a, b, c, x])
    }));
}

#[test]
fn residual_and_inception_block_gradients() {
    let shape = Shape::new(4, 4, 3);
    for stride in [1, 2] {
        let residual = Block::Residual { filters: 3, stride, shortcut: true, norm: Norm::Batch };
        check(&around(shape, |net, x| residual.build(net, "residual", x)));
    }
    for form in [Form::Halved, Form::Convolved, Form::Padded, Form::PreActivation, Form::Scaled] {
        let block = Block::ResidualForm { filters: 4, stride: 2, form, norm: Norm::Batch };
        check(&around(shape, |net, x| block.build(net, "form", x)));
    }
    check(&around(shape, |net, x| Block::Bottleneck { filters: 2, stride: 2, shortcut: true }.build(net, "b", x)));
    let mut inception =
        Block::Inception { one: 2, three_reduce: 2, three: 3, five_reduce: 2, five: 2, pool: 2, without: None };
    check(&around(shape, |net, x| inception.build(net, "inception", x)));
    inception = Block::Inception { one: 2, three_reduce: 0, three: 3, five_reduce: 0, five: 2, pool: 0, without: None };
    check(&around(shape, |net, x| inception.build(net, "naive", x)));
    let mlpconv = Block::Mlpconv { filters: 3, kernel: 3, micro: vec![4, 2], plain: false };
    check(&around(shape, |net, x| mlpconv.build(net, "mlpconv", x)));
    // Branches that are merged after training, with and without the input among them.
    check(&around(shape, |net, x| {
        let x = Block::Rep { filters: 4, stride: 2 }.build(net, "smaller", x)?;
        Block::Rep { filters: 4, stride: 1 }.build(net, "same", x)
    }));
}

#[test]
fn gradients_of_a_teachers_loss() {
    let graph = around(Shape::new(3, 3, 4), |net, x| net.batch_norm("bn", x));
    let keep = Keep { input_gradient: true, ..Keep::default() };
    let logits: Vec<f32> = numbers(8, IMAGES * 3).into_iter().map(|z| 4.0 * z as f32).collect();
    for (temperature, weight) in [(1.0, 1.0), (4.0, 0.7), (0.5, 0.3)] {
        check_as(&graph, keep, Some(Taught { logits: &logits, temperature, weight }));
    }
}

#[test]
fn fused_passes_change_no_number() {
    for name in ["digits-resnet", "digits-inception", "plain8"] {
        let recipe = NetworkRecipe { input: Some([8, 8, 1]), ..NetworkRecipe::zoo(name) };
        let classes: Vec<String> = (0..10).map(|class| class.to_string()).collect();
        let graph = recipe.build(&classes, &Preprocess::unit(1)).unwrap();
        let images = numbers(3, 9 * 64);
        let labels = [0, 1, 2, 3, 4, 5, 6, 7, 8];
        let run = |every_value| {
            let keep = Keep { every_value, ..Keep::default() };
            let mut net = Net::<f32>::with(&graph, &Params::init(&graph, 1), 9, keep).unwrap();
            net.forward(9, Mode::Train, |i, out| {
                out.iter_mut().zip(&images[i * 64..]).for_each(|(out, x)| *out = *x as f32);
            });
            let loss = net.loss(Targets::of(&labels)).mean;
            net.backward();
            let gradients: Vec<Vec<f32>> = net.slots().map(|slot| slot.gradient.to_vec()).collect();
            (loss, net.values(graph.output()), gradients)
        };
        assert_eq!(run(false), run(true), "{name}");
    }
}

/// Convolution by its definition, tap by tap over the unpadded input.
fn definition(x: &Array4<f32>, w: &[f32], window: &Window, filters: usize) -> Array4<f32> {
    let (n, h, wd, c) = x.dim();
    let [oh, ow] = window.output([h as u32, wd as u32]).unwrap();
    let [kh, kw] = window.kernel.map(|k| k as usize);
    Array4::from_shape_fn((n, oh as usize, ow as usize, filters), |(n, oy, ox, f)| {
        let mut sum = 0.0f64;
        for ky in 0..kh {
            for kx in 0..kw {
                let y = (oy as u32 * window.stride[0]) as i64 + ky as i64 - i64::from(window.before[0]);
                let x_at = (ox as u32 * window.stride[1]) as i64 + kx as i64 - i64::from(window.before[1]);
                if (0..h as i64).contains(&y) && (0..wd as i64).contains(&x_at) {
                    for ci in 0..c {
                        let weight = w[((f * kh + ky) * kw + kx) * c + ci];
                        sum += f64::from(x[(n, y as usize, x_at as usize, ci)]) * f64::from(weight);
                    }
                }
            }
        }
        sum as f32
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn convolution_matches_its_definition(
        size in (1u32..9, 1u32..9), cin in 1u32..20, filters in 1u32..35,
        kernel in (1u32..6, 1u32..6), stride in (1u32..4, 1u32..4), pad in (0u32..5, 0u32..5, 0u32..5, 0u32..5),
    ) {
        let window = window([kernel.0, kernel.1], [stride.0, stride.1],
            [pad.0.min(kernel.0 - 1), pad.1.min(kernel.1 - 1)], [pad.2.min(kernel.0 - 1), pad.3.min(kernel.1 - 1)]);
        check_forward(window, Shape::new(size.0, size.1, cin), filters)?;
    }

    #[test]
    fn winograd_convolution_matches_its_definition(
        size in (8u32..24, 8u32..24), cin in 2u32..6, filters in 2u32..6, pad in (0u32..3, 0u32..3, 0u32..3, 0u32..3),
    ) {
        let window = window([3, 3], [1, 1], [pad.0, pad.1], [pad.2, pad.3]);
        check_forward(window, Shape::new(size.0, size.1, 8 * cin), 8 * filters)?;
    }
}

/// Compares a convolution with its definition.
fn check_forward(window: Window, shape: Shape, filters: u32) -> Result<(), TestCaseError> {
    prop_assume!(window.output([shape.h, shape.w]).is_some());
    let mut net = Builder::new("t", shape).unwrap();
    net.add_node("conv", Op::Conv2d { window, weights: Dims { channels: filters, bias: false } }, &[NodeId(0)])
        .unwrap();
    let graph = net.finish();
    let params = Params::init(&graph, 3);
    let dims = (2, shape.h as usize, shape.w as usize, shape.c as usize);
    let values = numbers(4, dims.0 * dims.1 * dims.2 * dims.3).into_iter().map(|v| v as f32).collect();
    let x = Array4::from_shape_vec(dims, values).unwrap();
    let found = super::forward(&graph, &params, &x.view()).unwrap().pop().unwrap();
    let weight = params.get("conv.weight").unwrap().as_slice().unwrap();
    let expected = definition(&x, weight, &window, filters as usize);
    for (found, expected) in found.iter().zip(&expected) {
        prop_assert!((found - expected).abs() < 1e-4, "{found} against {expected}");
    }
    Ok(())
}
