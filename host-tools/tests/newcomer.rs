//! Both newcomers' way, from a folder of images or from a model of theirs to a project for their board, as README and docs say it:
//! with the program alone, in a bare environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use assert_cmd::cargo::CommandCargoExt;

/// A folder with nothing in it but the program.
struct Bare {
    place: tempfile::TempDir,
}

impl Bare {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::copy(Command::cargo_bin("kinglet").unwrap().get_program(), place.path().join("kinglet")).unwrap();
        Self { place }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Runs a command of the papers; paths without spaces.
    fn output(&self, command: &str) -> Output {
        let mut kinglet = Command::new(self.path("kinglet"));
        kinglet.env_clear().env("HOME", self.place.path()).env("PATH", "/usr/bin:/bin").current_dir(self.place.path());
        kinglet.args(command.split_whitespace()).output().unwrap()
    }

    fn run(&self, command: &str) -> String {
        let output = self.output(command);
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Four classes that colour and stripes tell apart; a wide, a grey, a transparent, a turned and a broken file among them.
fn photos(folder: &Path) {
    for (class, name) in ["sky", "grass", "brick", "zebra"].into_iter().enumerate() {
        let class_folder = folder.join(name);
        fs::create_dir_all(&class_folder).unwrap();
        for number in 0..30u32 {
            let (width, height) = if number == 1 { (72, 40) } else { (48, 48) };
            let color = [[90, 140, 230], [60, 170, 60], [190, 80, 50], [235, 235, 235]][class];
            let picture = image::RgbaImage::from_fn(width, height, |x, y| {
                let dark = match class {
                    3 if ((x + number) / 5).is_multiple_of(2) => 200,
                    _ => (x * 7 + y * 3 + number * 11) % 40,
                };
                let alpha = if number == 2 && x < 4 { 0 } else { 255 };
                let [r, g, b] = color.map(|part: u32| part.saturating_sub(dark) as u8);
                image::Rgba([r, g, b, alpha])
            });
            let picture = image::DynamicImage::from(picture);
            let path = class_folder.join(format!("{number}.png"));
            match number {
                2 => picture.save(path).unwrap(),
                3 if class == 3 => picture.to_luma8().save(path).unwrap(),
                _ => picture.to_rgb8().save(path).unwrap(),
            }
        }
    }
    fs::write(folder.join("sky/broken.jpg"), b"no picture").unwrap();
}

/// The commands that the README begins with, in their order.
fn five() -> [String; 5] {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let commands = readme.split("## Five commands").nth(1).unwrap().split("```").nth(1).unwrap();
    let commands: Vec<String> =
        commands.lines().filter_map(|line| line.strip_prefix("kinglet ")).map(str::to_owned).collect();
    commands.try_into().unwrap()
}

#[test]
fn from_a_folder_of_images_to_a_project() {
    let bare = Bare::new();
    photos(&bare.path("photos"));
    let [train, export, predict, profile, new] = five();
    // As many epochs as a test has time for.
    let train = train.replace("--epochs 60", "--epochs 15");
    // The broken file is named, with what helps.
    let refused = bare.output(&train);
    let says = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && says.contains("sky/broken.jpg"), "{says}");

    let says = bare.run(&format!("{train} --skip-bad"));
    assert!(says.contains("held-out accuracy") && says.contains("precision %") && says.contains("zebra"), "{says}");
    let says = bare.run(&format!("{export} --skip-bad"));
    assert!(says.contains("on nucleo-f446re that leaves"), "{says}");
    bare.run("inspect model.kgl --board nucleo-f446re");

    let json = bare.run(&format!("{predict} --skip-bad --json"));
    let seen: serde_json::Value = serde_json::from_str(&json).unwrap();
    let [labelled, right] = ["labelled", "right"].map(|key| seen[key].as_u64().unwrap());
    assert_eq!(labelled, 120);
    assert!(right >= 114, "{right} of 120: 95 % are easy");
    assert_eq!(seen["pictures"][0]["classes"].as_array().unwrap().len(), 4);
    assert!(bare.path("worst.png").exists());
    assert!(bare.run("predict photos/sky/0.png --model model.kgl").contains("sky"));

    ndarray_npy::write_npy(bare.path("images.npy"), &ndarray::Array4::<u8>::zeros((2, 32, 32, 3))).unwrap();
    bare.run("report model.kgl --run run --skip-bad -o report.html");
    assert!(fs::read_to_string(bare.path("report.html")).unwrap().contains("data:image/png"));
    let json = bare.run("eval model.kgl --run run --skip-bad --json");
    assert!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["images"].as_u64().unwrap() > 20);

    // It needs QEMU and the board's target, and says so; tests of firmware run it.
    assert_eq!(profile, "profile model.kgl");
    bare.run("simulate model.kgl --input images.npy");
    bare.run(&new);
    assert!(bare.path("app/kinglet/src/lib.rs").exists());
    // Nothing of it names the checkout.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_str().unwrap();
    for file in ["app/Cargo.toml", "app/src/main.rs", "app/.cargo/config.toml", "app/build.rs"] {
        assert!(!fs::read_to_string(bare.path(file)).unwrap().contains(root), "{file}");
    }
}

/// The commands of a chapter of the book, in their order.
fn chapter(name: &str) -> Vec<String> {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/src/{name}.md"))).unwrap();
    page.lines().filter_map(|line| line.strip_prefix("kinglet ")).map(str::to_owned).collect()
}

#[test]
fn the_commands_of_the_book_run_one_after_the_other() {
    let bare = Bare::new();
    photos(&bare.path("photos"));
    fs::remove_file(bare.path("photos/sky/broken.jpg")).unwrap();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for (from, to) in [
        ("converted/se_int8.tflite", "model.tflite"),
        ("converted/se_int8.input.npy", "x.npy"),
        ("converted/se_int8.output_tflm.npy", "y.npy"),
        ("exported/inception.onnx", "model.onnx"),
    ] {
        fs::copy(tests.join(from), bare.path(to)).unwrap();
    }
    for command in ["images", "model", "board"].into_iter().flat_map(chapter) {
        // A device, or QEMU and a target: tests of firmware have them.
        if ["--port", "--qemu", "profile", "device bench"].iter().any(|device| command.contains(device)) {
            continue;
        }
        let command = command.split(" # ").next().unwrap().replace(" --epochs 60", "");
        // As many epochs as a test has time for, after which no answers are 99 % right.
        let command = command.replace("--unknown 99", "--unknown 1");
        let trains = command.starts_with("train ") && !command.contains("--preview");
        bare.run(&if trains { format!("{command} --epochs 1") } else { command });
    }
    for made in [
        "noise.svg",
        "sheet.png",
        "careful.kgl",
        "train.py",
        "mine-qat/weights.safetensors",
        "app-chip/memory.x",
        "signed.kgl",
    ] {
        assert!(bare.path(made).exists(), "{made}");
    }
}

#[test]
fn from_models_of_ones_own() {
    let bare = Bare::new();
    photos(&bare.path("photos"));
    let exported = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exported");
    for (name, extension) in [("inception", "onnx"), ("keras_mobilenet_v3", "tflite")] {
        let from = |file: &str| fs::copy(exported.join(file), bare.path(file)).unwrap();
        from(&format!("{name}.{extension}"));
        let imported = format!("import {name}.{extension} -o {name}.kgl --calibration photos/grass --board nrf52840");
        let output = bare.output(&imported);
        let says = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{says}");
        assert!(says.contains("pixels"), "{name}: what pixels are is said: {says}");
        let json = bare.run(&format!("predict photos/zebra --model {name}.kgl --json"));
        let seen: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(seen["pictures"].as_array().unwrap().len(), 30, "{name}");
    }
    let says = bare.run("completions bash");
    assert!(says.contains("predict"));
}
