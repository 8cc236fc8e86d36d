//! Finds out whether the target's assembler takes the Arm DSP instructions, and sets `cfg(kinglet_dsp)` if so;
//! likewise the vector instructions of Armv8.1-M and `cfg(kinglet_helium)`. `cfg(kinglet_armv6)` says that there is little beyond
//! Armv6-M, where a product of 64 bits is a call, `cfg(kinglet_fpu)` that there is a floating-point unit, `cfg(kinglet_sse2)`
//! that there is SSE2; `cfg(kinglet_active = "...")` names the best instruction set.
//!
//! `cfg(target_feature = "dsp")` is false on stable Rust whatever the target, so a tiny file is compiled with the same
//! flags instead. `KINGLET_DSP=0` or `1` overrides the answer, `KINGLET_HELIUM=0` leaves the vectors out.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

const DSP: &str = "smlad r0, r1, r2, r3";
const HELIUM: &str = "vmladava.s16 r0, q0, q1";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/sys/arm/asm");
    println!("cargo:rerun-if-changed=src/sys/armv6/asm");
    println!("cargo:rerun-if-env-changed=KINGLET_DSP");
    println!("cargo:rerun-if-env-changed=KINGLET_HELIUM");
    println!("cargo:rustc-check-cfg=cfg(kinglet_armv6, kinglet_dsp, kinglet_fpu, kinglet_helium, kinglet_sse2)");
    println!(
        "cargo:rustc-check-cfg=cfg(kinglet_active, values(\"portable\", \"armv6\", \"dsp\", \"helium\", \"sse2\"))"
    );
    let target = env::var("TARGET").unwrap_or_default();
    // What the Armv8-M baseline has beyond Armv6-M, no loop misses.
    let armv6 = target.starts_with("thumbv6m") || target.starts_with("thumbv8m.base");
    if armv6 {
        println!("cargo:rustc-cfg=kinglet_armv6");
    }
    // Arguments in registers of the floating-point unit: there is one, and all of them convert halves.
    if target.starts_with("thumb") && target.ends_with("eabihf") {
        println!("cargo:rustc-cfg=kinglet_fpu");
    }
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let sse2 = target.starts_with("x86_64") && features.split(',').any(|feature| feature == "sse2");
    if sse2 {
        println!("cargo:rustc-cfg=kinglet_sse2");
    }
    let dsp = target.starts_with("thumb")
        && !armv6
        && match env::var("KINGLET_DSP").as_deref() {
            Ok("0") => false,
            Ok("1") => true,
            _ => assembles(&target, DSP),
        };
    let helium = dsp && env::var("KINGLET_HELIUM").as_deref() != Ok("0") && assembles(&target, HELIUM);
    let active = if helium {
        "helium"
    } else if dsp {
        "dsp"
    } else if armv6 {
        "armv6"
    } else if sse2 {
        "sse2"
    } else {
        "portable"
    };
    println!("cargo:rustc-cfg=kinglet_active=\"{active}\"");
    if dsp {
        println!("cargo:rustc-cfg=kinglet_dsp");
        // Link-time optimization assembles once more, and then knows the target but not its CPU.
        if helium {
            println!("cargo:rustc-cfg=kinglet_helium");
        }
        let cpu = match target.starts_with("thumbv8") {
            true if helium => "cortex-m55",
            true => "cortex-m33",
            false => "cortex-m4",
        };
        println!("cargo:rustc-env=KINGLET_ASSEMBLER_CPU={cpu}");
    }
}

/// Whether a file with `instruction` compiles for `target` with the flags of this build.
fn assembles(target: &str, instruction: &str) -> bool {
    let (Ok(rustc), Ok(out)) = (env::var("RUSTC"), env::var("OUT_DIR")) else { return false };
    let source = Path::new(&out).join("probe.rs");
    let text = format!("#![no_std]\ncore::arch::global_asm!(\".syntax unified\", \".thumb\", {instruction:?});\n");
    if std::fs::write(&source, text).is_err() {
        return false;
    }
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    // Linker arguments do not matter for an object file, but are harmless; the rest (`-Ctarget-cpu=...`) does.
    let flags = flags.split('\x1f').filter(|flag| !flag.is_empty());
    Command::new(rustc)
        .args(["--crate-type=lib", "--emit=obj", "--edition=2024", "--target", target, "-o"])
        .arg(Path::new(&out).join("probe.o"))
        .args(flags)
        .arg(&source)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
