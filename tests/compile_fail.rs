//! A broken model file, or an arena that is too small, must not compile; a good one must.
//!
//! Each case is a small crate that depends on this one. What is compared is the reason that the compiler gives, not
//! its whole message, so that the test holds for every compiler.

#![cfg(not(miri))] // Miri starts no compiler

use std::path::{Path, PathBuf};
use std::process::Command;

mod common;

/// Compiles a crate with `model` beside its `main.rs`; the compiler's messages if it fails.
fn compile(name: &str, model: &[u8], source: &str) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Under the target directory of this very test, so that nothing is left behind elsewhere.
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let dir = target.join(format!("compile-{name}"));
    std::fs::create_dir_all(dir.join("src")).unwrap();
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[dependencies]\nkinglet = {{ path = {root:?} }}\n[workspace]\n"
    );
    std::fs::write(dir.join("Cargo.toml"), manifest).unwrap();
    std::fs::copy(root.join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    std::fs::write(dir.join("src/model.kgl"), model).unwrap();
    std::fs::write(dir.join("src/main.rs"), source).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--quiet"])
        .current_dir(&dir)
        .env("CARGO_TARGET_DIR", target.join("compile-target"))
        // Those of a sanitizer are for this test, not for the macros that the crate's dependencies load.
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(messages) }
}

const MODEL: &str = "#![forbid(unsafe_code)] use kinglet::*; kinglet::model!(Block = \"model.kgl\"); \
    static ARENA: Arena<Block> = Arena::new();";
const MAIN: &str = "fn main() { ARENA.take().unwrap(); println!(\"{}\", Block::MODEL.name()); }";

#[test]
fn a_good_model_compiles_and_others_do_not() {
    let good = common::small_model();
    let fitting = format!("{MODEL} {MAIN}");
    compile("good", &good, &fitting).unwrap();

    let truncated = compile("truncated", &good[..good.len() - 1], &fitting).unwrap_err();
    assert!(truncated.contains("it is truncated or padded"), "{truncated}");

    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let flipped = compile("flipped", &flipped, &fitting).unwrap_err();
    assert!(flipped.contains("CRC-32 mismatch"), "{flipped}");

    let small =
        "static SMALL: Arena<[u8; 16]> = Arena::new(); fn main() { Session::<Block>::new(SMALL.take().unwrap()); }";
    let small = compile("small", &good, &format!("{MODEL} {small}")).unwrap_err();
    assert!(small.contains("this arena is smaller than the model needs"), "{small}");
}

/// What once gave a wrong result without an error is no program, and the compiler names the session by its model.
#[test]
fn an_inference_cannot_be_misused() {
    let good = common::small_model();
    let refused = |name: &str, body: &str| {
        let main =
            "fn main() { let mut session = Session::<Block>::new(ARENA.take().unwrap()); let input = [0i8; 256];";
        compile(name, &good, &format!("{MODEL} {main} {body} }}")).unwrap_err()
    };
    // Another inference without another input.
    let twice = refused("twice", "let i = session.start(&input).unwrap(); i.finish().unwrap(); i.finish().unwrap();");
    assert!(twice.contains("E0382") && twice.contains("Inference<'_, Block>"), "{twice}");
    // Another input in the middle of an inference.
    let middle =
        refused("middle", "let mut i = session.start(&input).unwrap(); session.infer(&input).unwrap(); i.step();");
    assert!(middle.contains("E0499"), "{middle}");
    // An output in the middle of an inference.
    let early = refused("early", "let mut i = session.start(&input).unwrap(); session.output(); i.step();");
    assert!(early.contains("E0502"), "{early}");
    // An output that the next inference has written over.
    let stale = refused("stale", "let o = session.infer(&input).unwrap(); session.infer(&input).unwrap(); o.best();");
    assert!(stale.contains("E0499"), "{stale}");
    // A session of one model where that of another is wanted.
    let other = refused("other", "fn dynamic(_: Session<'_>) {} dynamic(session);");
    assert!(other.contains("Session<'_, Block>") || other.contains("`Block`"), "{other}");
    assert!(!other.contains("18446744073709551615"), "{other}");
}
