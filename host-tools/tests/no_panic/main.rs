//! No panic is reachable in the runtime: a program that uses all of it is linked for Cortex-M, optimized, and must not
//! contain a function of `core::panicking`.

#[path = "../needs/mod.rs"]
mod needs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::{Object, ObjectSymbol};

const MANIFEST: &str = r#"
[package]
name = "probe"
version = "0.0.0"
edition = "2024"

[[bin]]
name = "probe"
path = "probe.rs"

[features]
panics = []

[dependencies.kinglet]
path = "KINGLET"
features = ["device"]

[dependencies.embedded-hal]
version = "*"

[dependencies.embedded-io]
version = "*"

[dependencies.embedded-storage]
version = "*"

[profile.release]
panic = "abort"
lto = "fat"
codegen-units = 1

[workspace]
"#;

/// Links the probe for `target` at this `opt-level`; gives the names of the functions of `core::panicking` in it.
fn panics(target: &str, optimization: &str, features: &str) -> Vec<String> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR"));
    let runtime = tools.parent().unwrap();
    let probe = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no_panic");
    fs::create_dir_all(&probe).unwrap();
    fs::write(probe.join("Cargo.toml"), MANIFEST.replace("KINGLET", &runtime.display().to_string())).unwrap();
    fs::copy(runtime.join("Cargo.lock"), probe.join("Cargo.lock")).unwrap();
    fs::copy(tools.join("tests/no_panic/probe.rs"), probe.join("probe.rs")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["build", "--release", "--target", target, "--features", features])
        .arg("--target-dir")
        .arg(probe.join("target"))
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", optimization)
        .current_dir(&probe)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let program = fs::read(probe.join("target").join(target).join("release/probe")).unwrap();
    let file = object::File::parse(&*program).unwrap();
    // Both of Rust's symbol manglings write a path's parts as their length and their name.
    let names = file.symbols().filter_map(|symbol| symbol.name().ok());
    names.filter(|name| name.contains("9panicking")).map(str::to_owned).collect()
}

#[test]
fn no_panic_is_linked() {
    if !needs::devices() {
        return;
    }
    let [m0, m4, m33] = ["thumbv6m-none-eabi", "thumbv7em-none-eabihf", "thumbv8m.main-none-eabihf"];
    for (target, optimization) in [(m0, "3"), (m0, "s"), (m4, "3"), (m4, "s"), (m33, "3"), (m33, "s")] {
        let panics = panics(target, optimization, "");
        assert!(panics.is_empty(), "the runtime can panic: {target}, opt-level {optimization}: {panics:?}");
    }
    assert!(!panics(m4, "s", "panics").is_empty(), "a panic that is there must be found");
}
