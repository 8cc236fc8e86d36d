//! Gives the linker the board's memory map, and the programs a model: the file that `KINGLET_MODEL` names, or the smallest one
//! that is shipped.

use std::env;
use std::path::PathBuf;

include!("../table.rs");

/// The board of the examples.
const BOARD: &str = "mps2-an386";

const DEFAULT_MODEL: &str = "../../models/digits-resnet/digits-resnet.kgl";

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    let boards = boards(&root.join("../.."));
    let board = boards.iter().find(|board| text(board, "name") == BOARD).expect("the table has the board");
    fs::write(out.join("memory.x"), memory_map(board)).expect("a file in OUT_DIR");
    println!("cargo:rustc-link-search={}", out.display());
    for argument in ["--nmagic", "-Tlink.x", "-Tdefmt.x", "--undefined=KINGLET_BOARD"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    println!("cargo:rerun-if-env-changed=KINGLET_MODEL");
    let named = env::var_os("KINGLET_MODEL").filter(|path| !path.is_empty()).map(PathBuf::from);
    let model = named.unwrap_or_else(|| root.join(DEFAULT_MODEL)).canonicalize().expect("the model file");
    println!("cargo:rerun-if-changed={}", model.display());
    println!("cargo:rustc-env=KINGLET_MODEL={}", model.display());
}
