//! Every model in `models/` computes, as it was planned, the bytes of the same steps without any sharing: one step at a
//! time slot, no line buffers, and every tensor and scratch in bytes of its own. A model that is added later is tested too.

use std::fs;
use std::path::{Path, PathBuf};

use kinglet::format::About;
use kinglet::memory::Region;
use kinglet::write::{ModelSpec, PortSpec, StepSpec};
use kinglet::{Model, Place, RawWith, Session, Tensor};

/// All model files under `folder`.
fn model_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: PathBuf| match path.is_dir() {
        true => model_files(&path),
        false => Vec::from_iter(path.extension().is_some_and(|of| of == "kgl").then_some(path)),
    };
    entries.flat_map(of).collect()
}

/// The steps of a model with a plan that shares nothing.
fn apart(model: &Model<'_>) -> Vec<u8> {
    let given: Vec<Tensor> = (0..model.tensor_count()).map(|index| model.tensor(index).unwrap()).collect();
    let wiring: Vec<_> = (0..model.step_count()).map(|index| model.operands(index).unwrap()).collect();
    let end = model.step_count() as u32 + 1;
    let mut len = 0;
    let mut take = |bytes: u32| {
        let offset = len;
        len = (len + bytes).next_multiple_of(16);
        offset
    };
    // Parent tensors come after their parts: from the last back, each is placed before what lies in it.
    let mut tensors = given.clone();
    for index in (0..given.len()).rev() {
        let tensor = &given[index];
        let pitch = tensor.place.pitch;
        let offset = match tensor.parent {
            Some(parent) => {
                let parent = parent as usize;
                tensors[parent].place.offset + (tensor.place.offset - given[parent].place.offset)
            }
            None => take(tensor.shape.h * tensor.shape.w * pitch),
        };
        let written = wiring.iter().position(|of| of[2] == Some(index)).map_or(0, |step| step as u32 + 1);
        let place = Place { offset, pitch, rows: tensor.shape.h };
        tensors[index] = Tensor { place, first: written, ready: written, last: end, ..*tensor };
    }
    for parent in 0..given.len() {
        let parts: Vec<Tensor> = tensors.iter().filter(|part| part.parent == Some(parent as u32)).copied().collect();
        if let (Some(first), Some(ready)) =
            (parts.iter().map(|part| part.first).min(), parts.iter().map(|part| part.ready).max())
        {
            (tensors[parent].first, tensors[parent].ready) = (first, ready);
        }
    }
    let steps: Vec<StepSpec<'_>> = model
        .steps()
        .zip(&wiring)
        .map(|(step, &[a, b, output])| {
            let (a, output) = (a.unwrap(), output.unwrap());
            let operands = kinglet::ops::Operands { a: tensors[a], b: b.map(|b| tensors[b]), output: tensors[output] };
            let bytes = step.op.scratch_len(&operands);
            StepSpec {
                name: step.name,
                op: step.op,
                a: a as u32,
                b: b.map(|b| b as u32),
                output: output as u32,
                time_slot: step.index as u32 + 1,
                scratch: Region { offset: take(bytes), len: bytes },
            }
        })
        .collect();
    ModelSpec {
        name: model.name(),
        arena_len: len,
        fast_len: 0,
        inputs: &[PortSpec::input(model.input_index() as u32)],
        outputs: &[PortSpec::output(model.output_index() as u32)],
        states: &[],
        about: About::UNKNOWN,
        tensors: &tensors,
        steps: &steps,
        labels: &[],
        pixels: None,
    }
    .to_bytes()
}

/// The outputs of some inputs that look random, one inference after the other.
fn run(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut file = vec![0u128; bytes.len().div_ceil(16)];
    bytemuck::cast_slice_mut::<_, u8>(&mut file)[..bytes.len()].copy_from_slice(bytes);
    let model = Model::new(&bytemuck::cast_slice(&file)[..bytes.len()]).unwrap();
    let mut arena = vec![0x5a5a_5a5au128; model.arena_len().div_ceil(16)];
    let mut session = Session::open(model, bytemuck::cast_slice_mut(&mut arena)).unwrap();
    let mut state = 1u32;
    (0..4)
        .map(|_| {
            let random = RawWith(|bytes: &mut [u8]| {
                bytes.iter_mut().for_each(|byte| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    *byte = (state >> 24) as u8;
                });
            });
            session.infer(random).unwrap().bytes().to_vec()
        })
        .collect()
}

#[test]
fn every_shipped_model_computes_what_it_would_without_sharing() {
    let files = model_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../models"));
    assert!(!files.is_empty());
    for path in files {
        let bytes = fs::read(&path).unwrap();
        let model = Model::new(&bytes).unwrap();
        let reference = apart(&model);
        assert!(Model::new(&reference).unwrap().arena_len() > model.arena_len(), "{}", path.display());
        let outputs = run(&bytes);
        assert!(outputs.iter().any(|output| *output != outputs[0]), "{}: one output for all", path.display());
        assert_eq!(outputs, run(&reference), "{}", path.display());
    }
}
