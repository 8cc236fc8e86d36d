//! What goes wrong around a command: a disk that is full, a place where nothing can be written, a second process on the same output, no
//! terminal, an odd locale. It ends with an error that says what, or computes the same; and leaves no part of a file.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use kinglet_tools::train::RunFolder;

const KINGLET: &str = env!("CARGO_BIN_EXE_kinglet");

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn kinglet(words: &[&str]) -> Command {
    let mut command = Command::new(KINGLET);
    command.args(words).stdin(Stdio::null());
    command
}

fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// What a command says that fails as it should.
fn fails(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{command:?}: {}\n{said}", output.status);
    said
}

/// The command in a shell that has done `first`.
fn after(first: &str, words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{first}; exec \"$@\""), "sh", KINGLET]).args(words).stdin(Stdio::null());
    command
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A run that has ended.
    fn run(&self) -> PathBuf {
        let run = self.path("run");
        succeeds(&mut kinglet(&["train", "--network", "digits-resnet", "--epochs", "1", "--out", text(&run)]));
        run
    }
}

/// The commands that write, with the name of what they write.
fn writers<'a>(run: &'a str, tflite: &'a str, out: &'a str) -> [Vec<&'a str>; 4] {
    [
        vec!["export", run, "-o", out],
        vec!["import", tflite, "-o", out],
        vec!["quantize", run, "--images", "5", "-o", out],
        vec!["publish", run, "-o", out],
    ]
}

#[test]
fn a_full_disk_is_told_and_nothing_half_written_stays() {
    let desk = Desk::new();
    let run = desk.run();
    let tflite = desk.path("m.tflite");
    succeeds(&mut kinglet(&["export", text(&run), "--format", "tflite", "-o", text(&tflite)]));
    let before = names(&run);
    // A file may have one block of 512 bytes; then writing fails, as it does on a full disk.
    let full = "trap '' XFSZ; ulimit -f 1";
    let place = desk.path("full");
    fs::create_dir(&place).unwrap();
    let out = place.join("out");
    for words in writers(text(&run), text(&tflite), text(&out)) {
        let said = fails(&mut after(full, &words));
        assert!(said.contains("out") && said.contains("large"), "{words:?}: {said}");
        let left: Vec<_> = names(&place).into_iter().filter(|name| name != "out").collect();
        assert!(left.is_empty() && !out.is_file(), "{words:?} leaves {left:?}");
        if out.is_dir() {
            assert!(names(&out).iter().all(|name| !name.starts_with('.')), "{:?}", names(&out));
            fs::remove_dir_all(&out).unwrap();
        }
    }
    let said = fails(&mut after(full, &["train", "--network", "digits-resnet", "--epochs", "1", "--out", text(&out)]));
    assert!(said.contains("out"), "{said}");
    assert!(names(&out).iter().all(|name| !name.starts_with('.')), "{:?}", names(&out));
    // A run whose disk is full while it goes on is as it was.
    let kept = fs::read(run.join("weights.safetensors")).unwrap();
    fails(&mut after(full, &["train", "--resume", text(&run)]));
    assert_eq!(fs::read(run.join("weights.safetensors")).unwrap(), kept);
    assert_eq!(names(&run), before);
}

#[test]
fn a_place_where_nothing_can_be_written_is_named() {
    let desk = Desk::new();
    let run = desk.run();
    let tflite = desk.path("m.tflite");
    succeeds(&mut kinglet(&["export", text(&run), "--format", "tflite", "-o", text(&tflite)]));
    // Not even root may write there; a file is no folder.
    for place in ["/proc/kinglet", &format!("{}/below", text(&tflite))] {
        for words in writers(text(&run), text(&tflite), place) {
            let said = fails(&mut kinglet(&words));
            assert!(said.contains(place), "{words:?}: {said}");
        }
        let said = fails(&mut kinglet(&["train", "--network", "digits-resnet", "--epochs", "1", "--out", place]));
        assert!(said.contains(place), "{said}");
    }
}

#[test]
fn two_processes_on_one_output_leave_one_whole_file() {
    let desk = Desk::new();
    let run = desk.run();
    let [expected, out] = ["expected.kgl", "out.kgl"].map(|name| desk.path(name));
    succeeds(&mut kinglet(&["export", text(&run), "-o", text(&expected)]));
    let start = || kinglet(&["export", text(&run), "-o", text(&out)]).stdout(Stdio::null()).spawn().unwrap();
    let both: Vec<_> = (0..4).map(|_| start()).collect();
    for mut child in both {
        assert!(child.wait().unwrap().success());
    }
    assert!(fs::read(&out).unwrap() == fs::read(&expected).unwrap());
    assert!(names(desk.folder.path()).iter().all(|name| !name.starts_with('.')));

    let _claim = RunFolder::new(&run).claim().unwrap();
    for words in [&["--resume", text(&run)][..], &["--network", "digits-resnet", "--force", "--out", text(&run)]] {
        let said = fails(&mut kinglet(&[&["train"], words].concat()));
        assert!(said.contains("another training"), "{said}");
    }
}

#[test]
fn surroundings_change_nothing() {
    let desk = Desk::new();
    let run = desk.run();
    let words = |out: &Path| ["export", text(&run), "-o", text(out)].map(str::to_owned);
    let plain = desk.path("plain.kgl");
    let export = |out: &Path, command: &mut Command| {
        let said = succeeds(command.args(words(out))).stdout;
        // How long it took is said last.
        let said = String::from_utf8(said).unwrap().replace(text(out), "OUT");
        said.split(", planned").next().unwrap().to_owned()
    };
    let said = export(&plain, &mut Command::new(KINGLET));
    let expected = fs::read(&plain).unwrap();
    let out = desk.path("other.kgl");
    for (key, value) in [
        ("LC_ALL", "tr_TR.UTF-8"),
        ("LC_ALL", "de_DE.ISO-8859-1"),
        ("LC_ALL", "no such locale"),
        ("LANG", ""),
        ("TERM", "dumb"),
        ("TERM", "\u{1b}[31m"),
        ("COLUMNS", "1"),
        ("NO_COLOR", "1"),
        ("TZ", "nowhere"),
        ("RAYON_NUM_THREADS", "1"),
        ("RAYON_NUM_THREADS", "2"),
    ] {
        assert_eq!(export(&out, Command::new(KINGLET).env(key, value)), said, "{key}={value}");
        assert_eq!(fs::read(&out).unwrap(), expected, "{key}={value}");
    }
    assert_eq!(export(&out, Command::new(KINGLET).env_clear()), said);
    // A name gives a terminal no orders.
    let odd = desk.path("\u{1b}[2J.kgl");
    let said = succeeds(Command::new(KINGLET).args(words(&odd))).stdout;
    assert!(odd.exists() && !said.contains(&0x1b));
    let weights = fs::read(run.join("weights.safetensors")).unwrap();
    for threads in ["1", "2"] {
        let other = desk.path(threads);
        let words = ["train", "--network", "digits-resnet", "--epochs", "1", "--out", text(&other)];
        succeeds(kinglet(&words).env("RAYON_NUM_THREADS", threads));
        assert_eq!(fs::read(other.join("weights.safetensors")).unwrap(), weights, "{threads} threads");
    }
}

/// Where results go may be closed, or full.
#[test]
fn results_that_cannot_be_shown_are_an_error() {
    let desk = Desk::new();
    let run = desk.run();
    let model = desk.path("m.kgl");
    succeeds(&mut kinglet(&["export", text(&run), "-o", text(&model)]));
    for words in [&["inspect", text(&model)][..], &["zoo"], &["device", "boards"], &["eval", text(&model)], &["--help"]]
    {
        for closed in ["exec >&-", "exec 2>&-", "exec <&-", "exec <&- >&- 2>&-"] {
            succeeds(&mut after(closed, words));
        }
        if cfg!(target_os = "linux") && words != ["--help"] {
            let said = fails(&mut after("exec >/dev/full", words));
            assert!(said.contains("standard output"), "{words:?}: {said}");
        }
    }
}
