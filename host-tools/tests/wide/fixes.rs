//! The report of a network with layers that int8 is bad for, and what it gains to take them out of int8.

use kinglet::{DType, Shape};
use kinglet_tools::data::Split;
use kinglet_tools::graph::{Builder, Dims, Graph, Op, Padding, Params, Preprocess, Window};
use kinglet_tools::quantize::{self, Prepared, report};
use kinglet_tools::tradeoff::{Bench, Fix};
use ndarray::{Array4, Axis};

use crate::{number, options, params};

/// Convolutions, of which `bad` has an output whose first channel takes the whole range, and whose reader needs the others.
fn network() -> (Graph, Params) {
    let mut builder = Builder::new("bad", Shape::new(6, 6, 3)).unwrap();
    let mut map = builder.input();
    for (name, filters) in [("first", 4), ("bad", 4), ("reader", 6), ("last", 4)] {
        let window = Window::new([3; 2], [1; 2], Padding::Same, [6, 6]);
        map = builder
            .add_node(name, Op::Conv2d { window, weights: Dims { channels: filters, bias: true } }, &[map])
            .unwrap();
    }
    let mean = builder.add_node("mean", Op::Mean, &[map]).unwrap();
    let dense = builder.add_node("dense", Op::Dense(Dims { channels: 4, bias: true }), &[mean]).unwrap();
    builder.add_node("softmax", Op::Softmax { beta: 1.0 }, &[dense]).unwrap();
    let mut graph = builder.finish();
    graph.preprocess = Preprocess { mean: vec![0.0; 3], std: vec![1.0; 3] };
    let mut params = params(&graph, 11);
    let mut scale = |name: &str, axis: usize, factor: f32| {
        let mut array = params.require(name).unwrap().clone();
        array.index_axis_mut(Axis(axis), 0).mapv_inplace(|x| x * factor);
        params.insert(name, array);
    };
    scale("bad.weight", 0, 200.0);
    scale("reader.weight", 3, 1.0 / 200.0);
    (graph, params)
}

#[test]
fn the_worst_layers_are_found_and_fixed() {
    let (graph, params) = network();
    let mut at = 0;
    let pixels = Array4::from_shape_simple_fn((40, 6, 6, 3), || {
        at += 1;
        (127.0 + 127.0 * number(at, 8)) as u8
    });
    let split = Split { images: pixels.clone(), labels: (0..40).map(|i| i % 4).collect() };
    let reals = quantize::reals(&graph.preprocess, pixels.view()).unwrap();
    let images: Vec<Vec<f32>> = reals.axis_iter(Axis(0)).map(|image| image.iter().copied().collect()).collect();
    let prepared = Prepared::new(&graph, &params, [reals], &options()).unwrap();

    let report = report::measure(&prepared, DType::I8, &images, &split.labels);
    assert_eq!(report.worst()[0].name, "bad");
    let (count, percent) = report.suggestion().unwrap();
    assert!(count == 1 && percent > 50.0 && percent <= 100.0, "{count} {percent}");
    // The wider the numbers, the less noise at every layer.
    for dtype in [DType::I16, DType::F16] {
        let wider = report::measure(&prepared, dtype, &images, &split.labels);
        assert_eq!((wider.activations, wider.layers.len()), (dtype.name(), report.layers.len()));
        // But for the input, whose pixels are exact in int8, and what softmax makes of the scores.
        let between = wider.layers.iter().zip(&report.layers).skip(1);
        for (wide, narrow) in between.filter(|(wide, _)| wide.name != "softmax") {
            assert!(wide.decibels > narrow.decibels, "{}: {} and {} dB", wide.name, wide.decibels, narrow.decibels);
            assert_eq!(wide.saturated_percent, 0.0, "{}", wide.name);
        }
    }

    let bench = Bench::new(&prepared, &split, &images);
    let int8 = bench.whole(DType::I8).unwrap();
    // What is pretended in float is near to what the runtime computes.
    let pretended = report.layers[report.layers.len() - 2].decibels;
    assert!((pretended - int8.output_decibels).abs() < 3.0, "{pretended} dB, in the runtime {}", int8.output_decibels);
    assert!(int8.kept.is_empty() && int8.macs_wider == 0);
    for dtype in [DType::F16, DType::I16] {
        let all = bench.whole(dtype).unwrap();
        assert!(all.macs_int8 == 0 && all.macs_wider == int8.macs_int8 && all.arena_bytes > int8.arena_bytes);
        let steps = bench.fixed(&report, Fix { worst: 3 }, dtype).unwrap();
        let order: Vec<&str> = report.worst().iter().take(3).map(|layer| layer.name.as_str()).collect();
        // All of the three are kept in the end; those that an earlier one took with it make no step.
        let last = steps.last().unwrap();
        assert!(order.iter().all(|name| last.kept.iter().any(|kept| kept == name)), "{order:?} {last:?}");
        for (step, before) in steps.iter().zip([&[][..]].into_iter().chain(steps.iter().map(|step| &step.kept[..]))) {
            let added = step.kept[before.len()..].join(", ");
            assert!(
                step.kept.starts_with(before) && step.name == format!("+ {added}") && !added.is_empty(),
                "{step:?}"
            );
            assert_eq!(step.macs_int8 + step.macs_wider, int8.macs_int8);
        }
        // Its output is good for something only if its reader gets it.
        let first = &steps[0];
        assert_eq!(first.kept, ["bad", "reader"]);
        // The reader's weights for that channel are small: int8 loses them beside the others.
        let gain = if dtype == DType::F16 { 20.0 } else { 3.0 };
        assert!(first.output_decibels > int8.output_decibels + gain, "{first:?} after {int8:?}");
        assert!(dtype != DType::F16 || all.output_decibels > first.output_decibels, "{first:?} {all:?}");
    }
}

#[test]
fn what_is_to_be_fixed_is_said_as_worst_and_a_number() {
    assert_eq!("worst:3".parse(), Ok(Fix { worst: 3 }));
    for wrong in ["worst", "worst:", "worst:0", "worst:-1", "best:2", "3"] {
        let error = wrong.parse::<Fix>().unwrap_err();
        assert!(error.contains(wrong) && error.contains("worst:k"), "{error}");
    }
}
