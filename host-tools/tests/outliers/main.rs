//! A ResNet-20 whose naive 8-bit accuracy collapses, and what saves it.
//!
//! It reads digits in the dark, where a camera uses 9 of its 256 levels. What a camera records in the field has a lamp in view now and
//! then, and the naive ranges, from the least to the greatest number that any calibration image gives rise to, are those of the
//! lamps. The weights in this folder were trained by `cargo test --release --test outliers -- --ignored` (labels smoothed, weights averaged,
//! images shifted, turned, scaled and noisy); nothing in the training knows of lamps. Trained anew, by another version or on another machine, they
//! differ.

use std::path::{Path, PathBuf};

use kinglet::Model;
use kinglet_tools::data::{Dataset, Split};
use kinglet_tools::graph::{self, FloatModel, NetworkRecipe};
use kinglet_tools::quantize::{Calibration, Method, Options};
use kinglet_tools::simulate::{self, Images};
use kinglet_tools::train::{self, Augment, Recipe, RunFolder, Schedule, Trainer};
use kinglet_tools::{deploy, export};
use ndarray::s;

/// What the light is divided by.
const DARK: u16 = 32;

/// One of so many calibration images has a lamp in it.
const LAMPS: usize = 61;

fn weights() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outliers/weights.safetensors")
}

fn recipe() -> Recipe {
    let mut network = NetworkRecipe::zoo("resnet20");
    (network.name, network.input, network.width) = (Some("dark-resnet20".to_owned()), Some([8, 8, 1]), Some(0.375));
    Recipe {
        epochs: 40,
        label_smoothing: 0.1,
        average: Some(0.995),
        network,
        schedule: Schedule::Cosine { peak: 0.1, warm_up: 0.05 },
        augment: Augment { shift: 1.0, rotate: 12.0, scale: 0.12, noise: 0.002, ..Augment::default() },
        ..Recipe::for_network("digits-resnet")
    }
}

/// The embedded digits in the dark.
fn dark() -> Dataset {
    let digits = Dataset::digits().unwrap();
    let dim = |split: Split| Split {
        images: split.images.mapv(|pixel| ((u16::from(pixel) + DARK / 2) / DARK) as u8),
        labels: split.labels,
    };
    Dataset { name: "dark digits".to_owned(), train: dim(digits.train), test: dim(digits.test), ..digits }
}

/// Images for calibration, some of which have a lamp in them: `size` by `size` pixels as bright as the camera can tell.
fn with_lamps(held_in: &Split, size: usize) -> Split {
    let mut split = held_in.select(&held_in.spaced(deploy::CALIBRATION_IMAGES));
    for (lamp, n) in (0..split.len()).step_by(LAMPS).enumerate() {
        let (y, x) = (lamp * 5 % (9 - size), lamp * 3 % (9 - size));
        split.images.slice_mut(s![n, y..y + size, x..x + size, ..]).fill(255);
    }
    split
}

#[test]
#[ignore = "makes the weights that are kept here"]
fn train() {
    let (recipe, data) = (recipe(), dark());
    let mut trainer = Trainer::new(&recipe, &data).unwrap();
    trainer.train(None, |_| {}).unwrap();
    let trained = trainer.finish();
    println!("{:.2} % of the digits held out", 100.0 * trained.accuracy());
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(RunFolder::new(folder.path()).finish(&trained).unwrap(), weights()).unwrap();
}

/// Right answers in percent of the exported model in the runtime, calibrated in this way on `held_in`.
fn accuracy(float: &FloatModel, held_in: &Split, test: &Split, calibration: Calibration) -> f64 {
    let quantize = Options { calibration, ..Options::default() };
    let options = deploy::Options { quantize, ..deploy::Options::default() };
    let exported = deploy::deploy(&float.graph, &float.params, held_in, &options, &export::Options::default()).unwrap();
    let outputs = simulate::run(Model::new(&exported.bytes).unwrap(), &Images::Pixels(test.images.clone())).unwrap();
    let labels: Vec<usize> = test.labels.iter().map(|&label| label.into()).collect();
    simulate::accuracy(&outputs, &labels)
}

#[test]
fn lamps_break_the_naive_ranges_and_not_those_of_auto() {
    let float = graph::load(&weights()).unwrap();
    let data = dark();
    let wanted = 100.0 * train::accuracy(&float.graph, &float.params, &data.test).unwrap();
    assert!(wanted > 98.0, "{wanted:.2} % in float");
    for (size, lost) in [(3, 4.0), (4, 10.0)] {
        let held_in = with_lamps(&data.train, size);
        let naive = accuracy(&float, &held_in, &data.test, Calibration::Fixed(Method::MinMax));
        assert!(naive < wanted - lost, "lamps of {size}, min-max: {naive:.2} %, {wanted:.2} % in float");
        let auto = accuracy(&float, &held_in, &data.test, Calibration::Auto);
        assert!(auto >= wanted - 0.5, "lamps of {size}, auto: {auto:.2} %, {wanted:.2} % in float");
    }
}
