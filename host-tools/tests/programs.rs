//! The programs of real boards say on every emulated one what is kept in `firmware/expected`: which digits `infer` sees, and what each
//! step of `profile` comes to.
//!
//! `KINGLET_BLESS=1` writes the expected output anew: after a change of the shipped model, not of the runtime.

mod needs;

use std::fs;
use std::path::Path;
use std::time::Duration;

use kinglet_tools::data::Dataset;
use kinglet_tools::device::{self, Board, Build, Program, emulated_boards};
use ndarray::s;
use ndarray_npy::WriteNpyExt;

/// Digits that are built in.
const IMAGES: usize = 4;
/// What depends on the core and the compiler: only that it was measured is kept.
const MEASURED: [&str; 2] = ["instructions", "bytes"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What the program logs on a board, but for the line that names the board.
fn log(board: &'static Board, program: Program, images: &Path) -> String {
    let model = root().join("models/digits-resnet/digits-resnet.kgl");
    let small = board.flash.bytes() <= 256 * 1024;
    let elf = Build { model: Some(&model), images: Some(images), small, ..Build::new(board, program) }.run().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = device::run(&elf, folder.path(), Duration::from_secs(120), |_| {}).unwrap();
    run.success().unwrap_or_else(|error| panic!("{}: {error}", board.name));
    let word = |word: &str| match word.split_once('=') {
        Some((key, _)) if MEASURED.contains(&key) => format!("{key}=*"),
        _ => word.to_owned(),
    };
    let lines = run.log.iter().map(|line| line.text.as_str()).filter(|line| !line.starts_with("board "));
    lines.map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n").collect()
}

#[test]
fn programs_say_the_same_on_every_board() {
    if !needs::devices() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("digits.npy");
    let digits = Dataset::digits().unwrap().test;
    digits.images.slice(s![..IMAGES, .., .., ..]).write_npy(fs::File::create(&images).unwrap()).unwrap();
    for (program, kept) in [(Program::Infer, "infer.txt"), (Program::Profile, "profile.txt")] {
        let path = root().join("firmware/expected").join(kept);
        for board in emulated_boards() {
            let log = log(board, program, &images);
            if std::env::var_os("KINGLET_BLESS").is_some() {
                fs::write(&path, &log).unwrap();
            }
            assert_eq!(log, fs::read_to_string(&path).unwrap(), "{}: not {}", board.name, path.display());
        }
        let said = fs::read_to_string(&path).unwrap();
        assert!(said.lines().count() >= IMAGES, "{said}");
    }
    // The first of what is predicted for each image is its label.
    let said = fs::read_to_string(root().join("firmware/expected/infer.txt")).unwrap();
    let best = said.lines().filter(|line| line.contains(" rank=0 "));
    for (line, label) in best.zip(&digits.labels) {
        assert!(line.contains(&format!(" class={label} ")), "{line}: the digit is {label}");
    }
}
