//! A small whole file for every reader of the host tools.

use std::io::{Cursor, Write};

use flate2::{Compression, write::GzEncoder};
use image::ImageFormat;
use kinglet::device::frame;
use kinglet::device::link::{About, HELLO};
use kinglet_tools::data::Dataset;
use kinglet_tools::graph::{self, FloatModel, NetworkRecipe, Params, Preprocess};
use kinglet_tools::train::{Recipe, RunFolder, Trainer};
use ndarray::Array;
use ndarray_npy::{NpzWriter, WriteNpyExt};

/// Reader and file; `images` are what the checkpoint is of.
pub fn all(images: &Dataset) -> Vec<(&'static str, Vec<u8>)> {
    let picture = |format| {
        let mut bytes = Cursor::new(Vec::new());
        image::RgbImage::from_fn(8, 6, |x, y| image::Rgb([x as u8 * 30, y as u8 * 40, 9]))
            .write_to(&mut bytes, format)
            .unwrap();
        bytes.into_inner()
    };
    let idx = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[5; 12]].concat();
    let mut npy = Vec::new();
    Array::from_elem((2, 6, 5, 3), 7i8).write_npy(&mut npy).unwrap();
    let (weights, checkpoint, recipe, metrics) = trained(images);
    vec![
        ("cifar", [&[9][..], &[77; 3072]].concat()),
        ("idx-images", idx.clone()),
        ("idx-images", zipped(&idx)),
        ("idx-labels", vec![0, 0, 8, 1, 0, 0, 0, 2, 1, 0]),
        ("png", picture(ImageFormat::Png)),
        ("jpg", picture(ImageFormat::Jpeg)),
        ("tar", archive(&picture(ImageFormat::Png))),
        ("npy", npy),
        ("npz", layers()),
        ("weights", weights),
        ("checkpoint", checkpoint),
        ("recipe", recipe),
        ("metrics", metrics),
        ("elf", firmware()),
        ("log", b"board icount_shift=7 stack=32768 backend=dsp name=mps2-an386\nmodel steps=1 arena=64 weights=10 macs=20 name=a model\nstep index=0 instructions=100 macs=20 checksum=0x0000abcd op=DENSE name=last\n".to_vec()),
        ("line", introduction()),
        ("kgl", super::harness::seeds::model(0).to_vec()),
    ]
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut zipped = GzEncoder::new(Vec::new(), Compression::best());
    zipped.write_all(bytes).unwrap();
    zipped.finish().unwrap()
}

/// Two pictures of each of two classes.
fn archive(picture: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for path in ["train/cat/1.png", "train/dog/1.png", "test/cat/2.png", "test/dog/2.png"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(picture.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, picture).unwrap();
    }
    archive.into_inner().unwrap()
}

/// The output of the selftest's first model, under its step's name.
fn layers() -> Vec<u8> {
    let model = kinglet::Model::<'_>::new(super::harness::seeds::model(0)).unwrap();
    let step = model.step(0).unwrap();
    let mut archive = NpzWriter::new_compressed(Cursor::new(Vec::new()));
    archive.add_array(step.name, &Array::from_elem(step.tensors.output.shape.len() as usize, 3i8)).unwrap();
    archive.finish().unwrap().into_inner()
}

/// Weights, checkpoint, recipe and metrics of a training of one epoch.
fn trained(images: &Dataset) -> (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>) {
    let network: NetworkRecipe =
        toml::from_str("name = \"tiny\"\nblocks = [{ conv = { filters = 2, stride = 4 } }]").unwrap();
    let recipe = Recipe { epochs: 1, batch: 4, network, ..Recipe::for_network("digits-resnet") };
    let folder = tempfile::tempdir().unwrap();
    let run = RunFolder::new(folder.path());
    let mut trainer = Trainer::new(&recipe, images).unwrap();
    trainer.train(Some(&run), |_| {}).unwrap();
    let labels = ["a".to_owned(), "b".to_owned()];
    let network = NetworkRecipe { input: Some([8, 8, 1]), ..recipe.network };
    let graph = network.build(&labels, &Preprocess::unit(1)).unwrap();
    let model = FloatModel { params: Params::init(&graph, 1), recipe: network, graph };
    graph::save(&run.file("weights.safetensors"), &model).unwrap();
    let read = |name| std::fs::read(run.file(name)).unwrap();
    (read("weights.safetensors"), read("checkpoint.safetensors"), read("recipe.toml"), read("metrics.csv"))
}

/// A firmware image that holds nothing but its board's name.
fn firmware() -> Vec<u8> {
    let name = b"mps2-an386\0\0";
    let names = b"\0.rodata\0.symtab\0.strtab\0.shstrtab\0\0";
    let strings = b"\0KINGLET_BOARD\0\0";
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let halves = |halves: &[u16]| halves.iter().flat_map(|half| half.to_le_bytes()).collect::<Vec<u8>>();
    let (address, start) = (0x100u32, 52u32);
    // Name, value, size; a global object in section 1.
    let symbols = [vec![0; 16], words(&[1, address, name.len() as u32]), vec![0x11, 0], halves(&[1])].concat();
    let parts: [&[u8]; 4] = [name, &symbols, strings, names];
    let mut at = start;
    let places = parts.map(|part| {
        at += part.len() as u32;
        [at - part.len() as u32, part.len() as u32]
    });
    let section = |name: u32, kind: u32, flags: u32, address: u32, [at, len]: [u32; 2], rest: [u32; 4]| {
        words(&[&[name, kind, flags, address, at, len][..], &rest].concat())
    };
    let sections = [
        vec![0; 40],
        section(1, 1, 2, address, places[0], [0, 0, 4, 0]),
        section(9, 2, 0, 0, places[1], [3, 1, 4, 16]),
        section(17, 3, 0, 0, places[2], [0, 0, 1, 0]),
        section(25, 3, 0, 0, places[3], [0, 0, 1, 0]),
    ]
    .concat();
    let identity = [0x7F, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let header = [identity.to_vec(), halves(&[2, 40]), words(&[1, address, 0, at, 0]), halves(&[52, 0, 0, 40, 5, 4])];
    [header.concat(), parts.concat(), sections].concat()
}

/// What a device answers to the first question.
fn introduction() -> Vec<u8> {
    let about = About { model: 1, input_len: 3, output_len: 4, steps: 3, frequency: 1000, room: 0, flash: 0 };
    let mut line = Vec::new();
    frame::send(&mut line, &[&[1, HELLO], &about.to_bytes(), &[1, b'b', 1, b'm']]).unwrap();
    line
}
