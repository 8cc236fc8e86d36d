//! The PyTorch script of a recipe beside Kinglet's own training: outputs and gradients of the same weights on the same
//! batch, and a run of digits that comes as far. Where `KINGLET_TORCH` names a Python with torch, numpy and pillow.

use std::path::Path;
use std::process::Command;

use kinglet_tools::data::{Dataset, Split};
use kinglet_tools::graph::{self, Block, FloatModel, NetworkRecipe, Norm, Params, Preprocess};
use kinglet_tools::layers::{Mode, Net, Targets};
use kinglet_tools::train::{self, Recipe, pytorch};
use ndarray::{Array1, Array4, ArrayD};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize_to_file};

mod needs;

fn run(python: &Path, script: &Path, words: &[&str]) {
    let output = Command::new(python).arg(script).args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn bytes(array: &ArrayD<f32>) -> Vec<u8> {
    array.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// All blocks, branches and both kinds of pools, at uneven extents.
fn model() -> FloatModel {
    let blocks = vec![
        Block::Conv { filters: 8, kernel: 3, stride: 1, norm: Norm::None },
        Block::Residual { filters: 8, stride: 2, shortcut: true, norm: Norm::Batch },
        Block::Separable { filters: 8, stride: 1 },
        Block::MaxPool { kernel: 3, stride: 2 },
        Block::Inception { one: 4, three_reduce: 4, three: 4, five_reduce: 4, five: 4, pool: 4, without: None },
        Block::AveragePool { kernel: 3, stride: 2 },
        Block::Mlpconv { filters: 8, kernel: 3, micro: vec![8], plain: false },
    ];
    let recipe = NetworkRecipe { input: Some([16, 15, 3]), blocks, reparameterize: true, ..NetworkRecipe::default() };
    let graph = recipe.build(&["a", "b", "c"].map(String::from), &Preprocess::unit(3)).unwrap();
    let params = Params::init(&graph, 3);
    FloatModel { recipe, graph, params }
}

#[test]
fn outputs_gradients_and_a_run_of_digits_agree() {
    let Some(python) = needs::torch() else { return };
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let FloatModel { recipe: network, graph, params } = &model();

    let recipe = Recipe { network: network.clone(), ..Recipe::for_network("resnet8") };
    std::fs::write(at("train.py"), pytorch(&recipe).unwrap()).unwrap();
    graph::save(&at("weights.safetensors"), &model()).unwrap();
    let images =
        Array4::from_shape_fn((4, 16, 15, 3), |(n, y, x, c)| ((n * 7 + y * 5 + x * 3 + c) % 17) as f32 / 8.0 - 1.0);
    let labels = [0u8, 2, 1, 1];
    let batch = [
        ("images", images.clone().into_dyn()),
        ("labels", Array1::from_iter(labels.iter().map(|&label| f32::from(label))).into_dyn()),
    ];
    let data: Vec<_> = batch.iter().map(|(name, array)| (*name, array.shape().to_vec(), bytes(array))).collect();
    let views =
        data.iter().map(|(name, shape, data)| (*name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
    serialize_to_file(views, None, &at("batch.safetensors")).unwrap();
    let paths =
        ["weights.safetensors", "batch.safetensors", "out.safetensors"].map(|name| at(name).display().to_string());
    run(&python, &at("train.py"), &["--probe", &paths[0], &paths[1], &paths[2]]);

    let out = std::fs::read(at("out.safetensors")).unwrap();
    let out = SafeTensors::deserialize(&out).unwrap();
    let found = |name: &str| -> Vec<f32> {
        let data = out.tensor(name).unwrap_or_else(|_| panic!("no {name}")).data().to_vec();
        data.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect()
    };
    let near = |name: &str, expected: &[f32], tolerance: f32| {
        let found = found(name);
        assert_eq!(found.len(), expected.len(), "{name}");
        let largest = expected.iter().fold(1.0f32, |most, x| most.max(x.abs()));
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < tolerance * largest, "{name}: {found} against {expected}");
        }
    };
    let mut net = Net::<f32>::new(graph, params, 4).unwrap();
    let fill =
        |i: usize, out: &mut [f32]| out.copy_from_slice(images.index_axis(ndarray::Axis(0), i).as_slice().unwrap());
    net.forward(4, Mode::Infer, fill);
    near("outputs", net.values(graph.output()).as_slice().unwrap(), 1e-4);
    net.forward(4, Mode::Train, fill);
    net.loss(Targets::of(&labels));
    net.backward();
    for slot in net.slots().filter(|slot| slot.spec.trainable) {
        near(&format!("gradient/{}", slot.spec.name), slot.gradient, 1e-3);
    }

    let recipe = Recipe { epochs: 8, ..Recipe::for_network("digits-resnet") };
    std::fs::write(at("digits.py"), pytorch(&recipe).unwrap()).unwrap();
    let digits = Dataset::digits().unwrap();
    for (part, split) in [("train", &digits.train), ("test", &digits.test)] {
        write_photos(&at("digits").join(part), split);
    }
    let [data, out] = ["digits", "run"].map(|name| at(name).display().to_string());
    run(&python, &at("digits.py"), &["--data", &data, "--out", &out, "--workers", "0"]);
    let trained = graph::load(&at("run/weights.safetensors")).unwrap();
    let there = train::accuracy(&trained.graph, &trained.params, &digits.test).unwrap();
    let here = train::run(&recipe, |_| ()).unwrap().accuracy();
    assert!((there - here).abs() < 0.025, "{there} there, {here} here");
}

fn write_photos(folder: &Path, split: &Split) {
    for index in 0..split.len() {
        let folder = folder.join(split.labels[index].to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let image = image::GrayImage::from_raw(8, 8, split.image(index).to_vec()).unwrap();
        image.save(folder.join(format!("{index:04}.png"))).unwrap();
    }
}
