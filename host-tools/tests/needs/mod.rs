//! What some tests need and not every machine has. Without it they say so and pass.
#![allow(dead_code, reason = "each test program needs its own part")]

use std::env;
use std::io::Write;
use std::path::PathBuf;

/// A file or folder of the data that lies beside the checkout (`../shared`, or what `KINGLET_SHARED` names).
pub fn shared(name: &str) -> Option<PathBuf> {
    let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared").into();
    let path = env::var_os("KINGLET_SHARED").map_or_else(beside, PathBuf::from).join(name);
    if path.exists() {
        return Some(path);
    }
    skipped(&format!("{} is not there", path.display()));
    None
}

/// QEMU and the thumb targets: only whoever made sure that they are there asks for the tests that need them.
pub fn devices() -> bool {
    let wanted = env::var_os("KINGLET_DEVICE_TESTS").is_some_and(|value| value == "1");
    if !wanted {
        skipped("tests of the firmware need QEMU and thumb targets; `cargo xtask test` runs them");
    }
    wanted
}

/// Time for every template on every board.
pub fn all_projects() -> bool {
    let wanted = env::var_os("KINGLET_ALL_PROJECTS").is_some_and(|value| value == "1");
    if !wanted {
        skipped("every template on every board takes long; `cargo xtask projects` builds them");
    }
    wanted
}

/// Says why a test does not run: past the test harness, which swallows what `eprintln!` says in a test that passes, and
/// in one piece, because other tests speak too.
fn skipped(why: &str) {
    let _ = std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes());
}

/// A Python with the package `onnx`, whose own tests it has.
pub fn onnx() -> Option<PathBuf> {
    let python = env::var_os("KINGLET_ONNX").map(PathBuf::from);
    if python.is_none() {
        skipped("KINGLET_ONNX names no Python with onnx");
    }
    python
}

/// A Python with PyTorch: gigabytes that nobody gets unasked.
pub fn torch() -> Option<PathBuf> {
    let python = env::var_os("KINGLET_TORCH").map(PathBuf::from);
    if python.is_none() {
        skipped("KINGLET_TORCH names no Python with torch, numpy and pillow");
    }
    python
}

/// Chromium or a browser of its kind, as `cargo xtask setup` installs it where it can.
pub fn browser() -> Option<PathBuf> {
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(on_path);
    if found.is_none() {
        skipped("there is no Chromium to show pages");
    }
    found
}

/// Node.js.
pub fn node() -> bool {
    let found = on_path("node").is_some();
    if !found {
        skipped("there is no Node.js to run the module");
    }
    found
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
