//! Operators with a window, and reductions.

use super::{INPUT, agree, imported, outputs, refusal};
use crate::import_util::noise;
use crate::import_util::onnx::{floats, given, initializer, int, ints, list, model, node, string};
use kinglet_tools::import::Options;
use kinglet_tools::layers;
use ndarray::Array4;

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

/// By what each window sees of an image of 3 channels x 7 x 6.
#[test]
fn windows_with_gaps_see_what_lies_between_them() {
    let pool = |operator: &str, attributes: &[Vec<u8>]| {
        let all = [&[ints("kernel_shape", &[3, 2]), ints("dilations", &[2, 3]), ints("strides", &[1, 2])], attributes];
        model(22, &INPUT, &[node(operator, &["x"], &["y"], &all.concat())])
    };
    let x = noise(2 * 7 * 6 * 3);
    let expected = |pad: usize, of: &dyn Fn(&[f32]) -> f32| {
        let (h, w) = (3 + 2 * pad, (6 - 4 + 2 * pad) / 2 + 1);
        let mut expected = Vec::new();
        for at in 0..2 * h * w * 3 {
            let [image, y, x_, c] = [at / (h * w * 3), at / (w * 3) % h, at / 3 % w, at % 3];
            let taps = (0..6).map(|tap| [y + tap / 2 * 2, x_ * 2 + tap % 2 * 3]);
            let inside = |[y, x]: [usize; 2]| (pad..7 + pad).contains(&y) && (pad..6 + pad).contains(&x);
            let place = |[row, column]: [usize; 2]| ((image * 7 + row - pad) * 6 + column - pad) * 3 + c;
            let seen: Vec<f32> = taps.map(|tap| if inside(tap) { x[place(tap)] } else { 0.0 }).collect();
            expected.push(of(&seen));
        }
        expected
    };
    let greatest = |seen: &[f32]| seen.iter().copied().fold(f32::MIN, f32::max);
    let mean = |seen: &[f32]| seen.iter().sum::<f32>() / 6.0;
    let length = |seen: &[f32]| seen.iter().map(|x| x * x).sum::<f32>().sqrt();
    let padded = [ints("pads", &[1; 4]), int("count_include_pad", 1)];
    agree(&outputs(&pool("MaxPool", &[])), &expected(0, &greatest));
    agree(&outputs(&pool("AveragePool", &[])), &expected(0, &mean));
    agree(&outputs(&pool("AveragePool", &padded)), &expected(1, &mean));
    agree(&outputs(&pool("LpPool", &padded[..1])), &expected(1, &length));
    assert!(refusal(&pool("MaxPool", &padded[..1])).contains("dilation and padding"));
    assert!(refusal(&pool("AveragePool", &padded[..1])).contains("dilation and padding"));
}
