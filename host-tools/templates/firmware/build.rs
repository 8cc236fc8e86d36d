//! Gives the linker the memory map.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    fs::write(out.join("memory.x"), include_bytes!("memory.x")).expect("a file in OUT_DIR");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rerun-if-changed=memory.x");
    for argument in [{{link_arguments}}] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
