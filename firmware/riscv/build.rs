//! Gives the linker the memory map of QEMU's virt machine.

use std::path::PathBuf;
use std::{env, fs};

const MAP: &str = "
MEMORY { RAM : ORIGIN = 0x80000000, LENGTH = 16M }
REGION_ALIAS(\"REGION_TEXT\", RAM);
REGION_ALIAS(\"REGION_RODATA\", RAM);
REGION_ALIAS(\"REGION_DATA\", RAM);
REGION_ALIAS(\"REGION_BSS\", RAM);
REGION_ALIAS(\"REGION_HEAP\", RAM);
REGION_ALIAS(\"REGION_STACK\", RAM);
";

fn main() {
    // The selftest's source asks for it, as the firmware's programs for Cortex-M have it.
    println!("cargo:rustc-check-cfg=cfg(feature, values(\"microbit\"))");
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    fs::write(out.join("memory.x"), MAP).expect("a file in OUT_DIR");
    println!("cargo:rustc-link-search={}", out.display());
    for argument in ["--nmagic", "-Tmemory.x", "-Tlink.x", "-Tdefmt.x"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
