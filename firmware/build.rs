//! Passes the board's memory map to the linker, its driver and the model and images to the binaries.
//!
//! Inputs: exactly one board feature; `KINGLET_MODEL`, the path of a `.kgl` file; optionally `KINGLET_IMAGES`, the
//! path of a `.npy` file of `N x H x W x C` (`|u1` pixels, or `|i1` or `<i2` quantized elements) to embed, and
//! `KINGLET_MOVED`, bytes by which the code is moved.

use std::path::PathBuf;
use std::{env, process};

include!("table.rs");

/// The model when `KINGLET_MODEL` is not set.
const DEFAULT_MODEL: &str = "../models/digits-resnet/digits-resnet.kgl";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=slow.x");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));

    println!("cargo:rustc-check-cfg=cfg(armv6m, armv8m)");
    let target = env::var("TARGET").unwrap_or_default();
    for (prefix, cfg) in [("thumbv6m", "armv6m"), ("thumbv8m", "armv8m")] {
        if target.starts_with(prefix) {
            println!("cargo:rustc-cfg={cfg}");
        }
    }

    let board = board(boards(&root.join("..")));
    let slow = fs::read_to_string(root.join("slow.x")).unwrap_or_else(|e| fail(&format!("slow.x: {e}")));
    fs::write(out.join("memory.x"), memory_map(&board) + &slow + &start()).unwrap_or_else(|e| fail(&e.to_string()));
    fs::write(out.join("board.rs"), driver(&board, &root)).unwrap_or_else(|e| fail(&e.to_string()));
    println!("cargo:rustc-link-search={}", out.display());
    for argument in ["--nmagic", "-Tlink.x", "-Tdefmt.x", "--undefined=KINGLET_BOARD"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }

    if env::var_os("CARGO_FEATURE_KEEP").is_some() {
        let path = out.join("keep.x");
        // The end of what cortex-m-rt puts into flash: the initial values of statics are the last of it.
        let end = "__sidata + (__edata - __sdata)";
        let check = format!("ASSERT({end} <= _models, \"the program reaches into the flash that is for models\");\n");
        fs::write(&path, check).unwrap_or_else(|e| fail(&e.to_string()));
        println!("cargo:rustc-link-arg-bin=keep=-Tkeep.x");
    }

    if let Some(model) = model(&root) {
        println!("cargo:rerun-if-changed={}", model.display());
        println!("cargo:rustc-env=KINGLET_MODEL={}", model.display());
    }
    fs::write(out.join("images.bin"), images(&root)).unwrap_or_else(|e| fail(&e.to_string()));
}

/// Where the code begins, if it is to be moved.
fn start() -> String {
    println!("cargo:rerun-if-env-changed=KINGLET_MOVED");
    match env::var("KINGLET_MOVED").as_deref() {
        Err(_) | Ok("0") => String::new(),
        // Behind the longest table of exceptions and interrupts.
        Ok(bytes) => format!("_stext = ORIGIN(FLASH) + 0x800 + {bytes};\n"),
    }
}

/// The one board whose feature is on, for the target that it takes.
fn board(mut boards: Vec<Table>) -> Table {
    boards.retain(|board| board.contains_key("driver"));
    let names = |boards: &[Table]| boards.iter().map(|board| text(board, "name")).collect::<Vec<_>>().join(", ");
    let all = names(&boards);
    boards.retain(|board| {
        let name = text(board, "name").to_uppercase().replace('-', "_");
        env::var_os(format!("CARGO_FEATURE_{name}")).is_some()
    });
    match &boards[..] {
        [_] => {}
        [] => fail(&format!("choose a board: `--features BOARD`, where BOARD is one of {all}")),
        chosen => fail(&format!("more than one board chosen: {}", names(chosen))),
    }
    let board = boards.remove(0);
    let (name, target, given) = (text(&board, "name"), text(&board, "target"), env::var("TARGET").unwrap_or_default());
    // A core runs the code of smaller ones too, but not of larger ones.
    if given != target {
        fail(&format!("{name} takes `--target {target}`, not {given}"));
    }
    board
}

/// The source that names the board's driver, and the constants that the table has for it.
fn driver(board: &Table, root: &Path) -> String {
    let path = root.join("src/board").join(text(board, "driver")).with_extension("rs");
    let mut source = format!("#[path = {:?}]\nmod driver;\n", path.display().to_string());
    let mut constant = |name: &str, kind: &str, value: &Value| {
        source += &format!("/// `{name}` of the table of boards.\npub const {name}: {kind} = {value};\n");
    };
    constant("NAME", "&str", &board["name"]);
    if let Some(qemu) = board.get("qemu") {
        constant("ICOUNT_SHIFT", "u32", &qemu["icount_shift"]);
    }
    for (name, value) in board.get("constants").and_then(Value::as_table).into_iter().flatten() {
        constant(name, if value.is_bool() { "bool" } else { "u32" }, value);
    }
    source
}

/// The absolute path of the model file. Without one, the programs that need it do not compile: `model!` says why.
fn model(root: &Path) -> Option<PathBuf> {
    println!("cargo:rerun-if-env-changed=KINGLET_MODEL");
    let (path, named) = match env::var_os("KINGLET_MODEL").filter(|path| !path.is_empty()) {
        Some(path) => (PathBuf::from(path), true),
        None => (root.join(DEFAULT_MODEL), false),
    };
    match path.canonicalize() {
        Ok(path) => Some(path),
        Err(error) if named => fail(&format!("KINGLET_MODEL={}: {error}", path.display())),
        Err(_) => None,
    }
}

/// The images to embed, in the layout that `src/images.rs` reads: empty without `KINGLET_IMAGES`.
fn images(root: &Path) -> Vec<u8> {
    println!("cargo:rerun-if-env-changed=KINGLET_IMAGES");
    let Some(path) = env::var_os("KINGLET_IMAGES").filter(|path| !path.is_empty()).map(PathBuf::from) else {
        return Vec::new();
    };
    let path = if path.exists() { path } else { root.join(path) };
    println!("cargo:rerun-if-changed={}", path.display());
    let wrong = |what: &str| -> ! { fail(&format!("KINGLET_IMAGES={}: {what}", path.display())) };
    let file = fs::read(&path).unwrap_or_else(|e| wrong(&e.to_string()));
    let Some((kind, count, image, data)) = parse_npy(&file) else {
        wrong("not a .npy file of N x H x W x C (dtype |u1, |i1 or <i2, C order)");
    };
    if count.checked_mul(image) != Some(data.len()) {
        wrong("its length is not what its shape says");
    }
    let mut bytes = b"KIMG".to_vec();
    for word in [kind, count as u32, image as u32] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(data);
    bytes
}

/// Kind (0 = pixels, 1 = quantized), images, bytes per image, data.
fn parse_npy(file: &[u8]) -> Option<(u32, usize, usize, &[u8])> {
    let rest = file.strip_prefix(b"\x93NUMPY")?;
    let (start, len) = match rest.first()? {
        1 => (4, usize::from(u16::from_le_bytes(*rest.get(2..)?.first_chunk()?))),
        _ => (6, u32::from_le_bytes(*rest.get(2..)?.first_chunk()?) as usize),
    };
    let header = std::str::from_utf8(rest.get(start..start + len)?).ok()?;
    let data = rest.get(start + len..)?;
    let header: String = header.chars().filter(|c| !c.is_whitespace()).collect();
    let (kind, size) = match header.split_once("'descr':'")?.1.split_once('\'')?.0 {
        "|u1" => (0, 1),
        "|i1" => (1, 1),
        "<i2" => (1, 2),
        _ => return None,
    };
    if !header.contains("'fortran_order':False") {
        return None;
    }
    let shape = header.split_once("'shape':(")?.1.split_once(')')?.0;
    let shape: Vec<usize> =
        shape.split(',').filter(|d| !d.is_empty()).map(str::parse).collect::<Result<_, _>>().ok()?;
    let (&count, image) = shape.split_first()?;
    Some((kind, count, image.iter().product::<usize>() * size, data))
}

fn fail(what: &str) -> ! {
    eprintln!("error: {what}");
    process::exit(1);
}
