//! Every example runs, and says what it should.

use std::path::{Path, PathBuf};
use std::process::Command;

use kinglet::format::About;
use kinglet::memory::Region;
use kinglet::ops::{Add, Op};
use kinglet::write::{ModelSpec, PortSpec, StateSpec, StepSpec};
use kinglet::{Clamp, DType, Place, QuantParams, Rounding, Shape, Tensor};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What each example prints, in part.
const SAYS: [(&str, &[&str]); 9] = [
    ("async_steps", &["class Some(", "turns of everything else"]),
    ("classify", &[" %"]),
    ("control_loop", &["turns of control, speed 9"]),
    ("observer", &[" us  rows 0..", "(CONV_2D)"]),
    ("several_outputs", &["class Some(", " features, the largest Some("]),
    ("streaming", &["[6.0, 0.0, -2.0]\n[1.0, 1.0, 1.0]\n"]),
    ("two_memories", &["bytes of fast memory, 0 of slow memory"]),
    ("two_models", &["Some("]),
    (
        "update",
        &[
            "digits-inception, generation 2: taken\ndigits-inception, generation 2: class Some(",
            "digits-resnet, generation 1: refused by the check\ndigits-inception, generation 2: class Some(",
            "digits-resnet, generation 3: refused by the check\ndigits-inception, generation 2: class Some(",
        ],
    ),
];

#[test]
#[cfg_attr(miri, ignore = "starts cargo")]
fn every_example_runs() {
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(root().join("examples")).unwrap().map(|e| e.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    names.sort();
    let names: Vec<&str> = names.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, SAYS.map(|(name, _)| name), "an example that is not run");
    for (name, says) in SAYS {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(root()).args(["run", "--quiet", "--package", "kinglet", "--example", name]);
        let output = cargo.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!printed.is_empty() && says.iter().all(|part| printed.contains(part)), "{name}: {printed}");
    }
}

/// Angles that grow by what comes in, from -64 to 63.5 degrees.
fn angles() -> Vec<u8> {
    let quant = QuantParams { scale: 0.5, zero_point: 0 };
    let shape = Shape::vector(3);
    let tensor = |offset, [first, ready, last]: [u32; 3]| {
        let place = Place { offset, pitch: shape.c, rows: shape.h };
        Tensor { shape, dtype: DType::I8, quant, place, first, ready, last, parent: None }
    };
    let clamp = Clamp { min: -128, max: 127 };
    let add = Op::Add(Add::new(quant, quant, quant, DType::I8, Rounding::Double, clamp).unwrap());
    let scratch = Region { offset: 0, len: 0 };
    let step = StepSpec { name: "sum", op: add, a: 0, b: Some(1), output: 2, time_slot: 1, scratch };
    let tensors = [tensor(0, [0, 0, 1]), tensor(16, [0, 0, 2]), tensor(32, [1, 1, 2])];
    ModelSpec {
        name: "angles",
        arena_len: 48,
        fast_len: 0,
        inputs: &[PortSpec { name: "rates", tensor: 0 }],
        outputs: &[PortSpec { name: "angles", tensor: 2 }],
        states: &[StateSpec { port: PortSpec { name: "before", tensor: 1 }, next: 2, initial: &[] }],
        about: About::UNKNOWN,
        tensors: &tensors,
        steps: &[step],
        labels: &[],
        pixels: None,
    }
    .to_bytes()
}

#[test]
fn the_model_that_remembers_is_the_committed_one() {
    let (path, bytes) = (root().join("examples/streaming.kgl"), angles());
    if std::env::var_os("KINGLET_BLESS").is_some() {
        std::fs::write(&path, &bytes).unwrap();
    }
    assert!(std::fs::read(path).unwrap() == bytes, "KINGLET_BLESS=1 writes it anew");
}
