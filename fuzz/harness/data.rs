//! Any bytes as one of the other files that the host tools read: data sets, arrays, recipes, weights, checkpoints, firmware images,
//! models to be shown; and what comes over a device's line, at both of its ends. An error, or something that holds together.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use kinglet::device::Clock;
use kinglet::device::link::Server;
use kinglet::{Model, Session};
use kinglet_tools::data::{Dataset, Images, Source};
use kinglet_tools::device::client::Client;
use kinglet_tools::device::{Elf, LogLine, Measurements};
use kinglet_tools::files::IntArray;
use kinglet_tools::graph::Preprocess;
use kinglet_tools::report::inspection::Inspection;
use kinglet_tools::report::plot;
use kinglet_tools::train::{self, Recipe, RunFolder};
use kinglet_tools::{compare, graph, simulate};

use super::seeds;

/// Bytes of a record of CIFAR-10.
const RECORD: usize = 3073;

/// Whether a reader accepts these bytes.
type Reader = fn(&Desk, &[u8]) -> bool;

/// The readers, in the order of the byte that chooses one: the first of the file.
pub const READERS: [(&str, Reader); 16] = [
    ("cifar", cifar),
    ("idx-images", |desk, bytes| idx(desk, "train-images-idx3-ubyte", bytes)),
    ("idx-labels", |desk, bytes| idx(desk, "t10k-labels-idx1-ubyte", bytes)),
    ("png", |desk, bytes| picture(desk, "picture.png", bytes)),
    ("jpg", |desk, bytes| picture(desk, "picture.jpg", bytes)),
    ("tar", tar),
    ("npy", npy),
    ("npz", npz),
    ("weights", weights),
    ("checkpoint", checkpoint),
    ("recipe", recipe),
    ("metrics", metrics),
    ("elf", elf),
    ("log", log),
    ("line", line),
    ("kgl", shown),
];

/// A folder to put files in, with whole ones beside those that are read.
pub struct Desk {
    folder: tempfile::TempDir,
    /// Few images, which a checkpoint may be of.
    pub digits: Dataset,
}

impl Desk {
    /// # Errors
    /// When there is no place for temporary files.
    pub fn new() -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let digits = Dataset::digits().expect("embedded");
        let few = |split: &kinglet_tools::data::Split| split.select(&split.spaced(8));
        let digits = Dataset { train: few(&digits.train), test: few(&digits.test), ..digits };
        let desk = Self { folder, digits };
        for batch in 1..=5 {
            desk.put(&format!("cifar/data_batch_{batch}.bin"), &[1; RECORD])?;
        }
        let images = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[7; 12]].concat();
        let labels = [0, 0, 8, 1, 0, 0, 0, 2, 0, 1];
        desk.put("idx/train-images-idx3-ubyte", &images)?;
        desk.put("idx/t10k-images-idx3-ubyte", &images)?;
        desk.put("idx/train-labels-idx1-ubyte", &labels)?;
        desk.put("idx/t10k-labels-idx1-ubyte", &labels)?;
        Ok(desk)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(name);
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, bytes)
    }

    /// The path of a file with these bytes.
    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        self.put(name, bytes).expect("the disk has room");
        self.path(name)
    }
}

/// Whether the reader that the first byte names accepts the rest.
///
/// # Panics
/// When what it accepts does not hold together.
pub fn check(desk: &Desk, bytes: &[u8]) -> bool {
    let Some((&reader, rest)) = bytes.split_first() else { return false };
    let (_, read) = READERS[usize::from(reader) % READERS.len()];
    read(desk, rest)
}

/// A data set in which every image has its label and every label its name.
fn holds_together(data: &Dataset) {
    for split in [&data.train, &data.test] {
        assert_eq!(split.images.dim().0, split.labels.len());
        assert!(split.labels.iter().all(|&label| usize::from(label) < data.classes.len()));
        let shape: [usize; 3] = data.image_shape();
        (0..split.len()).for_each(|image| assert_eq!(split.image(image).len(), shape.iter().product::<usize>()));
    }
    data.fingerprint();
}

fn loads(source: &Source) -> bool {
    source.load().map(|data| holds_together(&data)).is_ok()
}

fn cifar(desk: &Desk, bytes: &[u8]) -> bool {
    desk.file("cifar/test_batch.bin", bytes);
    loads(&Source::at(&desk.path("cifar")))
}

fn idx(desk: &Desk, name: &str, bytes: &[u8]) -> bool {
    let path = desk.path("idx").join(name);
    let whole = fs::read(&path).expect("there from the start");
    desk.file(&format!("idx/{name}"), bytes);
    let accepted = loads(&Source::at(&desk.path("idx")));
    fs::write(&path, whole).expect("the disk has room");
    accepted
}

/// A folder with two classes of one picture each, as it is, and scaled with what is broken left out.
fn picture(desk: &Desk, name: &str, bytes: &[u8]) -> bool {
    let folder = name.replace('.', "-");
    for place in ["train/a", "train/b", "test/a", "test/b"] {
        desk.file(&format!("{folder}/{place}/{name}"), bytes);
    }
    let images = Images::at(desk.path(&folder));
    let accepted = loads(&Source::Images(images.clone()));
    let scaled = Images { size: Some([5, 4]), gray: true, skip_bad: true, ..images };
    loads(&Source::Images(scaled)) | accepted
}

fn tar(desk: &Desk, bytes: &[u8]) -> bool {
    let path = desk.file("images.tar", bytes);
    loads(&Source::Images(Images { size: Some([3, 3]), skip_bad: true, ..Images::at(path) }))
}

fn npy(desk: &Desk, bytes: &[u8]) -> bool {
    let path = desk.file("array.npy", bytes);
    let model = Model::<'_>::new(seeds::model(0)).expect("a whole model");
    let Ok(array) = IntArray::read(&path) else { return false };
    if let Ok(images) = simulate::Images::new(array, &model.input(), None) {
        simulate::run(model, &images).expect("images that fit the model");
    }
    true
}

fn npz(desk: &Desk, bytes: &[u8]) -> bool {
    let path = desk.file("layers.npz", bytes);
    let model = Model::<'_>::new(seeds::model(0)).expect("a whole model");
    let shape = model.input().shape;
    let input = ndarray::Array4::from_elem([1, shape.h, shape.w, shape.c].map(|extent| extent as usize), 3);
    compare::with_layers(model, &[simulate::Images::Quantized(input)], &path).is_ok()
}

fn weights(desk: &Desk, bytes: &[u8]) -> bool {
    let path = desk.file("weights.safetensors", bytes);
    graph::load(&path).map(|model| assert!(model.params.check(&model.graph).is_ok())).is_ok()
}

fn checkpoint(desk: &Desk, bytes: &[u8]) -> bool {
    desk.file("run/checkpoint.safetensors", bytes);
    RunFolder::new(&desk.path("run")).resume(&desk.digits).is_ok()
}

/// A recipe that is no more work than its text looks like becomes a graph.
fn recipe(desk: &Desk, bytes: &[u8]) -> bool {
    let path = desk.file("recipe.toml", bytes);
    let Ok(recipe) = train::recipe_from(&path) else { return false };
    let again: Recipe = toml::from_str(&toml::to_string(&recipe).expect("a recipe can be written")).expect("and read");
    assert_eq!(format!("{recipe:?}"), format!("{again:?}"));
    let labels = ["a".to_owned(), "b".to_owned()];
    let channels = recipe.network.input().map_or(0, |shape| shape.c);
    if channels <= 1 << 10 {
        let _ = recipe.network.build(&labels, &Preprocess::unit(channels as usize));
    }
    true
}

fn metrics(desk: &Desk, bytes: &[u8]) -> bool {
    desk.file("run/metrics.csv", bytes);
    RunFolder::new(&desk.path("run")).history().is_ok()
}

fn elf(_: &Desk, bytes: &[u8]) -> bool {
    let Ok(elf) = Elf::parse(bytes.to_vec()) else { return false };
    let _ = (elf.sizes(), elf.check_contains(&[1, 2, 3]));
    true
}

fn log(_: &Desk, bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().map(|text| LogLine { level: "info", text: text.to_owned(), place: None });
    Measurements::read(&lines.collect::<Vec<_>>()).map(|measured| measured.to_string()).is_ok()
}

/// A line whose other end sends `bytes` and then closes it.
struct Line(VecDeque<u8>);

impl Read for Line {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut self.0, bytes)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl embedded_io::ErrorType for Line {
    type Error = embedded_io::ErrorKind;
}

impl embedded_io::Read for Line {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Self::Error> {
        match io::Read::read(&mut self.0, bytes) {
            Ok(0) | Err(_) => Err(embedded_io::ErrorKind::ConnectionReset),
            Ok(len) => Ok(len),
        }
    }
}

impl embedded_io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

struct Still;

impl Clock for Still {
    fn ticks(&mut self) -> u64 {
        0
    }

    fn frequency(&self) -> u32 {
        1_000_000
    }
}

/// What comes over a line, taken as a device's answers and as a host's questions.
fn line(_: &Desk, bytes: &[u8]) -> bool {
    let line = || Line(bytes.iter().copied().collect());
    let known = Client::new(line()).hello().is_ok();
    let inferred = Client::new(line()).infer(&[1, 2, 3], 4).is_ok();
    let counted = Client::new(line()).checksums(3).is_ok();
    let model = Model::<'_>::new(seeds::model(0)).expect("a whole model");
    let mut arena = vec![0u128; model.arena_len().div_ceil(16)];
    let session = Session::open(model, bytemuck::cast_slice_mut(&mut arena)).expect("fits");
    let (mut input, mut sums) = (vec![0; model.input_bytes()], vec![0; model.step_count()]);
    Server::new(line(), Still, session, &mut input, &mut sums, "board").serve();
    known | inferred | counted
}

/// A model file as `kinglet inspect` shows it.
fn shown(_: &Desk, bytes: &[u8]) -> bool {
    let Ok(model) = Model::<'_>::new(bytes) else { return false };
    let inspection = Inspection::of(&model);
    assert!(serde_json::to_string(&inspection).is_ok() && !inspection.to_string().is_empty());
    plot::arena(&model).expect("every model has a picture");
    true
}
