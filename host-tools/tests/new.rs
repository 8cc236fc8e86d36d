//! `kinglet new` makes projects that are whole, say what does not fit, and build and run as they are.

mod needs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use assert_cmd::cargo::CommandCargoExt;
use kinglet::{Model, Pixels, Session};
use kinglet_tools::template::boards;

/// Bytes of flash and RAM of a `memory.x`.
fn lengths(memory: &str) -> Vec<u32> {
    let number = |text: &str| match text.trim().strip_suffix('K') {
        Some(kilobytes) => 1024 * kilobytes.parse::<u32>().unwrap(),
        None => text.trim().parse().unwrap(),
    };
    let words = memory.lines().filter_map(|line| line.split_once("LENGTH =")?.1.split("/*").next());
    words.map(number).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn digits() -> PathBuf {
    root().join("models/digits-resnet/digits-resnet.kgl")
}

fn kinglet_new(folder: &Path, board: &str, model: &Path, more: &[&str]) -> Output {
    let mut kinglet = Command::cargo_bin("kinglet").unwrap();
    kinglet.arg("new").args(["--board", board, "--model"]).arg(model).arg(folder).args(more).output().unwrap()
}

/// What it says when it refuses; nothing is left behind.
fn refusal(folder: &Path, board: &str, model: &Path, more: &[&str]) -> String {
    let parent = folder.parent().unwrap();
    let names = || fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    let before = names();
    let output = kinglet_new(folder, board, model, more);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(names(), before);
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn every_boards_project_is_whole() {
    let place = tempfile::tempdir().unwrap();
    for board in boards::all() {
        let folder = place.path().join("apps").join(board.name);
        let path = root().to_str().unwrap();
        let output = kinglet_new(&folder, board.alias.unwrap(), &digits(), &["--path", path, "--name", "camera"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();

        let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).unwrap();
        assert_eq!(manifest["package"]["name"].as_str(), Some("camera"));
        let runtime = manifest["dependencies"]["kinglet"]["path"].as_str().unwrap();
        assert!(Path::new(runtime).join("src/session.rs").exists());
        let config: toml::Table = toml::from_str(&read(".cargo/config.toml")).unwrap();
        assert_eq!(config["build"]["target"].as_str(), Some(board.target));
        let runner =
            board.chip.map_or_else(|| format!("-M {}", board.name), |chip| format!("probe-rs run --chip {chip}"));
        assert!(read(".cargo/config.toml").contains(&runner));

        // Of its first memory: the model is small.
        let [flash, stack, statics] = lengths(&read("memory.x"))[..] else { panic!("three memories") };
        assert_eq!((flash, stack + statics), (board.flash.bytes(), board.ram[0].bytes()));
        assert_eq!(stack, 32 * 1024, "the model leaves enough");
        assert_eq!(fs::read(folder.join("digits-resnet.kgl")).unwrap(), fs::read(digits()).unwrap());
        assert_eq!(fs::read(folder.join("image.bin")).unwrap().len(), 64);
        assert!(read("README.md").contains("3,008"), "the arena is named");
        for name in ["build.rs", "src/main.rs", "src/board.rs", "README.md", ".gitignore"] {
            assert!(!read(name).contains("{{"), "{name} of {}", board.name);
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            let plain = place.path().join("plain");
            fs::create_dir_all(&plain).unwrap();
            assert_eq!(mode(&folder), mode(&plain), "as readable as any other folder");
        }
    }
    // An empty folder is as good as none; the runtime travels inside the tool when nothing else is said.
    let empty = place.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let runtime = |folder: &Path| {
        let manifest: toml::Table = toml::from_str(&fs::read_to_string(folder.join("Cargo.toml")).unwrap()).unwrap();
        manifest["dependencies"]["kinglet"].clone()
    };
    assert!(kinglet_new(&empty, "pico2", &digits(), &[]).status.success());
    assert_eq!(runtime(&empty)["path"].as_str(), Some("kinglet"));
    assert_eq!(fs::read(empty.join("kinglet/src/lib.rs")).unwrap(), fs::read(root().join("src/lib.rs")).unwrap());
    for (key, value) in [("version", "0.2.0"), ("git", "https://example.org/kinglet.git")] {
        let folder = place.path().join(key);
        assert!(kinglet_new(&folder, "pico2", &digits(), &[&format!("--{key}"), value]).status.success());
        assert_eq!(runtime(&folder)[key].as_str(), Some(value));
        assert!(!folder.join("kinglet").exists());
    }
}

#[test]
fn a_chip_that_is_not_in_the_table_has_a_project_too() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("app");
    let mut kinglet = Command::cargo_bin("kinglet").unwrap();
    kinglet.args(["new", "--chip", "STM32L432KC", "--flash", "256K", "--ram", "20K", "--model"]);
    let output = kinglet.arg(digits()).arg(&folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert!(read(".cargo/config.toml").contains("probe-rs run --chip STM32L432KC"));
    assert!(read("memory.x").contains("0x08000000"));
    // The arena, and of the rest a half for the stack beside the 6 KB that an inference may take.
    let stack = 6 * 1024 + (20 * 1024 - 8 * 1024 - 3008) / 2;
    assert_eq!(lengths(&read("memory.x")), [256 * 1024, stack, 20 * 1024 - stack]);
}

#[test]
fn what_cannot_be_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let app = place.path().join("app");
    let big = root().join("models/signs-resnet50/signs-resnet50.kgl");
    let says = refusal(&app, "nucleo-f446re", &big, &[]);
    for figure in ["49,152 of code", "the board has 524,288", "8,192 of stack", "the board has 131,072"] {
        assert!(says.contains(figure), "{says}");
    }
    assert!(refusal(&app, "arduino", &digits(), &[]).contains("nrf52840-dk"));
    assert!(refusal(&app, "nucleo-f44re", &digits(), &[]).contains("did you mean nucleo-f446re?"));
    // Boards without a HAL, and chips whose crate has no part in it, are told in one sentence.
    let says = refusal(&app, "nucleo-l4r5zi", &digits(), &[]);
    assert!(says.contains("not for nucleo-l4r5zi") && says.contains("--chip"), "{says}");
    assert!(refusal(&app, "qemu", &digits(), &["--template", "rtic"]).contains("bare and embassy need none"));
    assert!(refusal(&app, "pico2", Path::new("none.kgl"), &[]).contains("none.kgl"));
    let broken = place.path().join("broken.kgl");
    fs::write(&broken, &fs::read(digits()).unwrap()[..1000]).unwrap();
    assert!(refusal(&app, "pico2", &broken, &[]).contains("broken.kgl"));
    assert!(refusal(&app, "pico2", &digits(), &["--name", "1st"]).contains("--name"));
    assert!(
        refusal(&app, "pico2", &digits(), &["--path", env!("CARGO_MANIFEST_DIR")]).contains("no checkout of Kinglet")
    );
    assert!(refusal(&app, "pico2", &digits(), &["--path", "nowhere"]).contains("nowhere"));
    assert!(refusal(&broken, "pico2", &digits(), &["--name", "a"]).contains("is no folder"));
    fs::create_dir(&app).unwrap();
    fs::write(app.join("mine.txt"), "mine").unwrap();
    assert!(refusal(&app, "pico2", &digits(), &[]).contains("is not empty"));
    assert_eq!(fs::read_dir(&app).unwrap().count(), 1);
}

/// Cargo in a project, on the firmware's versions of everything and in its folder for what is built.
fn cargo(folder: &Path, words: &[&str]) -> Output {
    fs::copy(root().join("firmware/Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(words).arg("--target-dir").arg(root().join("target/firmware")).current_dir(folder);
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR"] {
        cargo.env_remove(name);
    }
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn the_emulated_boards_project_runs_as_it_is() {
    if !needs::devices() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let projects = ["bare", "embassy"].map(|template| {
        let folder = place.path().join(format!("new-{template}"));
        assert!(kinglet_new(&folder, "qemu", &digits(), &["--template", template]).status.success());
        folder
    });
    let image = fs::read(projects[0].join("image.bin")).unwrap();
    let bytes = fs::read(digits()).unwrap();
    let model = Model::new(&bytes).unwrap();
    let mut memory = vec![0u128; model.arena_len().div_ceil(16)];
    let mut session = Session::open(model, bytemuck::cast_slice_mut(&mut memory)).unwrap();
    let output = session.infer(Pixels(&image)).unwrap();
    let lines = output.top_k::<3>().into_iter().map(|best| {
        let percent = (best.probability * 100.0 + 0.5) as u32;
        format!("class {} ({}): {percent} %\n", best.class, best.label.unwrap_or("-"))
    });
    let expected: String = lines.collect();
    for folder in projects {
        let output = cargo(&folder, &["run", "--release", "--quiet"]);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{}", folder.display());
    }
}

/// Nothing is overwritten unseen, and the program says what it needs.
#[test]
fn a_stack_that_overflows_is_told() {
    if !needs::devices() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("new-overflow");
    assert!(kinglet_new(&folder, "qemu", &digits(), &[]).status.success());
    let path = folder.join("src/main.rs");
    let program = fs::read_to_string(&path).unwrap();
    let deep = "#[inline(never)]\nfn deep(n: u32) -> u32 {\n    let frame = core::hint::black_box([n; 64]);\n    \
        if n == 0 { 0 } else { deep(n - 1) + frame[1] }\n}\n\n#[cortex_m_rt::entry]";
    let program = program.replace("#[cortex_m_rt::entry]", deep);
    fs::write(&path, program.replace("Board::start(core);", "Board::start(core);\n    log!(\"{}\", deep(1000));"))
        .unwrap();
    cargo(&folder, &["build", "--release", "--quiet"]);
    let image = root().join("target/firmware/thumbv7em-none-eabihf/release/new-overflow");
    let mut qemu = Command::new("qemu-system-arm");
    qemu.args(["-M", "mps2-an386", "-display", "none", "-monitor", "none", "-serial", "null"]);
    let output = qemu.args(["-semihosting-config", "enable=on,target=native", "-kernel"]).arg(image).output().unwrap();
    let says = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(101), "{says}");
    assert!(says.contains("the stack overflowed: memory.x gives it 32768 bytes"), "{says}");
}

/// The installed tool: a copy of the program outside the checkout, started there.
#[test]
fn the_tool_needs_no_checkout() {
    if !needs::devices() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let kinglet = place.path().join("kinglet");
    fs::copy(Command::cargo_bin("kinglet").unwrap().get_program(), &kinglet).unwrap();
    fs::copy(digits(), place.path().join("digits.kgl")).unwrap();
    let run = |words: &[&str]| {
        let mut command = Command::new(&kinglet);
        command.args(words).current_dir(place.path()).env("KINGLET_CACHE", place.path().join("cache"));
        let output = command.env_remove("CARGO_TARGET_DIR").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let measured = run(&["device", "fit", "--board", "mps2-an386", "--program", "bare", "--model", "digits.kgl"]);
    assert!(measured.contains("| mps2-an386 | bare |"), "{measured}");
    let unpacked: Vec<_> = fs::read_dir(place.path().join("cache")).unwrap().collect();
    assert_eq!(unpacked.len(), 1);
}

#[test]
fn a_project_of_rtic_builds() {
    if !needs::devices() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("new-rtic");
    assert!(kinglet_new(&folder, "nucleo-f446re", &digits(), &["--template", "rtic"]).status.success());
    cargo(&folder, &["build", "--release", "--quiet"]);
}

#[test]
fn every_template_builds_for_every_board_that_it_is_for() {
    if !needs::all_projects() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mut built = 0;
    for template in ["bare", "embassy", "rtic"] {
        for board in boards::all() {
            let folder = place.path().join(format!("new-{template}-{}", board.name));
            let output = kinglet_new(&folder, board.name, &digits(), &["--template", template]);
            let says = String::from_utf8_lossy(&output.stderr);
            eprintln!("{template} on {}: {}", board.name, if output.status.success() { "built" } else { &*says });
            if output.status.success() {
                cargo(&folder, &["build", "--release", "--quiet"]);
                built += 1;
            } else {
                assert!(template == "rtic" && board.rtic.is_none(), "{template} on {}: {says}", board.name);
                assert_eq!(says.trim().lines().count(), 1, "one clear sentence: {says}");
            }
        }
    }
    assert!(built > 10, "{built}");
}

/// Over the HALs: those of boards whose crates the firmware has are built here, where most of it is built already.
#[test]
fn real_boards_projects_build() {
    if !needs::devices() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let path = root().to_str().unwrap();
    for board in boards::all().filter(|board| board.chip.is_some()) {
        let folder = place.path().join(format!("new-{}", board.name));
        assert!(kinglet_new(&folder, board.name, &digits(), &["--path", path]).status.success());
        cargo(&folder, &["build", "--release", "--quiet"]);
        let program =
            root().join("target/firmware").join(board.target).join("release").join(format!("new-{}", board.name));
        let file = fs::read(program).unwrap();
        let model = fs::read(digits()).unwrap();
        assert!(file.windows(model.len()).any(|part| part == model), "{}: the model is in the program", board.name);
    }
    assert!(boards::named("nrf52840").unwrap().chip.is_some());
}
