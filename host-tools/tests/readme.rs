//! What the README and the documentation show is what the repository holds, and what the tool does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use assert_cmd::cargo::CommandCargoExt;
use kinglet_tools::data::Dataset;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Runs a command in a folder.
fn kinglet(folder: &Path, words: &str) {
    let mut command = Command::cargo_bin("kinglet").unwrap();
    let output = command.current_dir(folder).args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Three held-out digits, by their places among those.
const DIGITS: [usize; 3] = [40, 110, 290];

/// `KINGLET_BLESS=1`, as `cargo xtask figures` says it, draws them anew.
#[test]
fn the_pictures_are_those_that_the_tool_draws() {
    let (docs, place) = (root().join("docs"), tempfile::tempdir().unwrap());
    let bless = std::env::var_os("KINGLET_BLESS").is_some();
    let same = |name: &str, drawn: &[u8]| {
        let path = docs.join(name);
        if bless {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, drawn).unwrap();
        }
        assert!(fs::read(&path).is_ok_and(|kept| kept == drawn), "{name}: `cargo xtask figures` draws it anew");
    };
    let test = Dataset::digits().unwrap().test;
    for (place, image) in DIGITS.into_iter().enumerate() {
        let picture = image::GrayImage::from_raw(8, 8, test.image(image).to_vec()).unwrap();
        let mut png = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
        same(&format!("digits/{place}.png"), &png.into_inner());
    }
    let [plan, prediction] = ["plan.svg", "prediction.svg"].map(|name| place.path().join(name));
    let models = root().join("models").display().to_string();
    kinglet(&docs, &format!("inspect {models}/cifar10-resnet8/cifar10-resnet8.kgl --plot {}", plan.display()));
    let digits = format!("predict digits --model {models}/digits-resnet/digits-resnet.kgl");
    kinglet(&docs, &format!("{digits} --plot {}", prediction.display()));
    same("plan.svg", &fs::read(plan).unwrap());
    same("prediction.svg", &fs::read(prediction).unwrap());
}

/// In a folder with the pictures that they name, but for the last one's build.
#[test]
fn the_first_commands_run() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir_all(place.path().join("docs/digits")).unwrap();
    for entry in fs::read_dir(root().join("docs/digits")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, place.path().join("docs/digits").join(path.file_name().unwrap())).unwrap();
    }
    let page = fs::read_to_string(root().join("docs/src/start.md")).unwrap();
    let commands: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("kinglet ")).collect();
    assert!(commands.len() >= 4, "{commands:?}");
    commands.into_iter().for_each(|command| kinglet(place.path(), command));
    for made in ["report.html", "app/Cargo.toml"] {
        assert!(place.path().join(made).exists(), "{made}");
    }
}

#[test]
fn the_example_is_a_program_that_the_firmware_builds() {
    let root = root();
    let page = std::fs::read_to_string(root.join("docs/src/board.md")).unwrap();
    let program = std::fs::read_to_string(root.join("firmware/src/bin/hello.rs")).unwrap();
    assert!(
        page.contains(&format!("```rust\n{program}```")),
        "the example in docs/src/board.md is not firmware/src/bin/hello.rs"
    );
}

#[test]
fn links_between_documents_lead_somewhere() {
    let root = root();
    let mut checked = 0;
    let chapters = std::fs::read_dir(root.join("docs/src")).unwrap();
    let chapters: Vec<_> = chapters.map(|entry| format!("docs/src/{}", entry.unwrap().file_name().display())).collect();
    let summary = std::fs::read_to_string(root.join("docs/src/SUMMARY.md")).unwrap();
    for chapter in &chapters {
        let name = chapter.trim_start_matches("docs/src/");
        assert!(name == "SUMMARY.md" || summary.contains(&format!("]({name})")), "{chapter} is not in the book");
    }
    let others = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "models/FORMAT.md",
        "models/STUDIES.md",
        "firmware/BENCH.md",
    ];
    for document in others.into_iter().chain(chapters.iter().map(String::as_str)) {
        let path = root.join(document);
        let text = std::fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") {
                let folder = path.parent().unwrap();
                assert!(folder.join(file).exists(), "{document}: `{link}` leads nowhere");
                checked += 1;
            }
        }
    }
    assert!(checked > 10, "{checked} links");
}

#[test]
fn the_readme_is_short() {
    let root = root();
    let lines = std::fs::read_to_string(root.join("README.md")).unwrap().lines().count();
    assert!(lines <= 110, "{lines} lines");
}
