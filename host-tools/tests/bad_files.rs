//! Every file that a command reads may be broken, huge, endless, a folder or a pipe that nobody writes to: the command ends soon, with
//! an error that names the file.
#![cfg(unix)]

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

mod import_util;

use kinglet_tools::{export, import::tflite};
use ndarray::Array;
use ndarray_npy::WriteNpyExt;

/// How long a command may take on a machine that has other things to do.
const LIMIT: Duration = Duration::from_secs(60);

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Puts something bad at a path.
type Put = fn(&Path);

const BAD: [(&str, Put); 7] = [
    ("empty", |path| drop(File::create(path).unwrap())),
    ("noise", |path| fs::write(path, (0..2000u32).map(|i| ((i * i) >> 3) as u8).collect::<Vec<_>>()).unwrap()),
    ("huge", |path| File::create(path).unwrap().set_len(5 << 30).unwrap()),
    ("endless", |path| symlink("/dev/zero", path).unwrap()),
    ("a pipe", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())),
    ("a folder", |path| fs::create_dir(path).unwrap()),
    ("a dead link", |path| symlink("/nowhere/at/all", path).unwrap()),
];

/// Runs a command that must fail, and soon; what it says.
fn refused(words: &[&str], what: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinglet"));
    let mut child =
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("{words:?} with {what} does not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(1 | 2)), "{words:?} with {what}: {}\n{said}", output.status);
    said
}

/// Runs the command with each bad file at `path`, which has a whole one afterwards if it had before.
fn survives(words: &[&str], path: &Path) {
    let whole = fs::read(path).ok();
    for (what, put) in BAD {
        // An image folder is a folder; an empty list of labels is one.
        if (words.contains(&"--calibration") && what == "a folder") || (words.contains(&"--labels") && what == "empty")
        {
            continue;
        }
        let _ = fs::remove_file(path);
        put(path);
        let said = refused(words, what);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(said.contains(name), "{words:?} with {what} does not name `{name}`:\n{said}");
        let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
    }
    if let Some(whole) = whole {
        fs::write(path, whole).unwrap();
    }
}

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }
}

#[test]
fn models_and_arrays() {
    let desk = Desk { folder: tempfile::tempdir().unwrap() };
    let network = import_util::tiny_network();
    let model = desk.put("whole.kgl", &export::to_bytes(&network, &Default::default()).unwrap().bytes);
    let imported = desk.put("whole.tflite", &tflite::to_bytes(&network).unwrap());
    let float = desk.put("float.onnx", &import_util::small_onnx());
    let mut array = Vec::new();
    Array::from_elem((1, 5, 4, 2), 3i8).write_npy(&mut array).unwrap();
    let array = desk.put("whole.npy", &array);
    let (bad, out) = (desk.path("bad"), desk.path("out"));
    let [model, imported, float, array, name, out] =
        [&model, &imported, &float, &array, &bad, &out].map(|path| text(path));
    for words in [
        &["inspect", name][..],
        &["simulate", name, "--input", array],
        &["simulate", model, "--input", name],
        &["simulate", model, "--input", array, "--expect", name],
        &["simulate", model, "--input", array, "--compare", name],
        &["import", name, "-o", out],
        &["import", imported, "--labels", name, "-o", out],
        &["import", float, "--calibration", name, "-o", out],
        &["sign", model, "--key", name, "-o", out],
        &["eval", name],
        &["eval", model, "--data", name],
        &["device", "run", name],
        &["device", "bench", "--model", name],
        &["device", "eval", name, "--qemu", "mps2-an386"],
        &["train", "--recipe", name],
    ] {
        survives(words, &bad);
    }
    assert!(!Path::new(out).exists());
}

#[test]
fn run_folders() {
    let desk = Desk { folder: tempfile::tempdir().unwrap() };
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/digits-resnet");
    let [run, out] = ["run", "out"].map(|name| desk.path(name));
    for name in ["recipe.toml", "weights.safetensors", "metrics.csv"] {
        desk.put(&format!("run/{name}"), &fs::read(shipped.join(name)).unwrap());
    }
    let [run, out] = [&run, &out].map(|path| text(path));
    for name in ["weights.safetensors", "recipe.toml"] {
        let path = desk.path("run").join(name);
        survives(&["export", run, "-o", out], &path);
        survives(&["quantize", run], &path);
        survives(&["publish", run, "-o", out], &path);
    }
    survives(&["train", "--resume", run], &desk.path("run/checkpoint.safetensors"));
    survives(&["train", "--resume", run], &desk.path("run/recipe.toml"));
    assert!(!Path::new(out).exists());
}

#[test]
fn data_sets() {
    let desk = Desk { folder: tempfile::tempdir().unwrap() };
    let recipe = |data: &str| {
        let text = format!("epochs = 1\nnetwork = {{ zoo = \"digits-resnet\" }}\ndata = {{ {data} }}\n");
        desk.put("recipe.toml", text.as_bytes())
    };
    for batch in 1..=5 {
        desk.put(&format!("cifar/data_batch_{batch}.bin"), &[1; 3073]);
    }
    desk.put("cifar/test_batch.bin", &[1; 3073]);
    let cifar = recipe(&format!("cifar10 = {{ path = {:?} }}", desk.path("cifar")));
    survives(&["train", "--recipe", text(&cifar)], &desk.path("cifar/test_batch.bin"));

    let images = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[7; 12]].concat();
    for part in ["train", "t10k"] {
        desk.put(&format!("idx/{part}-images-idx3-ubyte"), &images);
        desk.put(&format!("idx/{part}-labels-idx1-ubyte"), &[0, 0, 8, 1, 0, 0, 0, 2, 0, 1]);
    }
    let idx = recipe(&format!("idx = {{ path = {:?} }}", desk.path("idx")));
    for name in ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"] {
        survives(&["train", "--recipe", text(&idx)], &desk.path("idx").join(name));
    }

    let tar = recipe(&format!("images = {{ path = {:?} }}", desk.path("images.tar")));
    survives(&["train", "--recipe", text(&tar)], &desk.path("images.tar"));
    let picture = desk.put("pictures/cat/1.png", b"no picture");
    desk.put("pictures/dog/1.png", b"no picture");
    let folder = recipe(&format!("images = {{ path = {:?} }}", desk.path("pictures")));
    // What is not there, or is a folder, is no picture.
    for (what, put) in BAD.into_iter().filter(|(what, _)| !["a folder", "a dead link"].contains(what)) {
        fs::remove_file(&picture).unwrap();
        put(&picture);
        let said = refused(&["train", "--recipe", text(&folder)], what);
        assert!(said.contains("1.png"), "{what}: {said}");
    }
}

/// Numbers that make no sense are refused before anything of their size is made.
#[test]
fn recipes_of_nonsense() {
    let desk = Desk { folder: tempfile::tempdir().unwrap() };
    for (field, text_of) in [
        ("epochs", "epochs = 9000000000000000000\nnetwork = { zoo = \"digits-resnet\" }\ndata = \"digits\"\n".to_owned()),
        ("size", {
            let picture = desk.put("huge/cat/1.png", b"no picture");
            desk.put("huge/dog/1.png", b"no picture");
            let folder = picture.ancestors().nth(2).unwrap();
            format!("epochs = 1\nnetwork = {{ zoo = \"digits-resnet\" }}\ndata = {{ images = {{ path = {folder:?}, size = [4000000000, 4000000000] }} }}\n")
        }),
        (
            "parameters",
            "epochs = 1\ndata = \"digits\"\n[network]\nblocks = [{ conv = { filters = 1000000 } }, { conv = { filters = 1000000 } }]\n".to_owned(),
        ),
    ] {
        let path = desk.put("recipe.toml", text_of.as_bytes());
        let said = refused(&["train", "--recipe", text(&path), "--out", text(&desk.path("out"))], field);
        assert!(said.contains(field), "{field}: {said}");
    }
}

#[test]
fn a_reader_that_went_away_is_no_error_and_a_full_disk_is_one() {
    let zoo = |stdout: Stdio| Command::new(env!("CARGO_BIN_EXE_kinglet")).arg("zoo").stdout(stdout).output().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let gone = zoo(writer.into());
    assert!(gone.status.success() && gone.stderr.is_empty(), "{gone:?}");
    if cfg!(target_os = "linux") {
        let full = zoo(File::options().write(true).open("/dev/full").unwrap().into());
        assert_eq!(full.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&full.stderr).contains("standard output"), "{full:?}");
    }
}
