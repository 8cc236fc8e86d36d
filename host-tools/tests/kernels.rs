//! Kernels on emulated boards: the blocks in assembler against their definitions, and how many instructions they take.

mod needs;

use std::time::Duration;

use kinglet_tools::device::{self, Board, Build, Code, Elf, Program, Run};
use object::{Object, ObjectSymbol};

/// The most that a kernel may execute on a Cortex-M4; the best build of CMSIS-NN takes 1.9 to 15 times as much.
const LIMITS: &[(&str, u32)] = &[
    ("conv 3x3 32x32x3->16", 610_000),
    ("conv 3x3 32x32x16->16", 1_150_000),
    ("conv 3x3 16x16x32->32", 830_000),
    ("conv 3x3 8x8x64->64", 690_000),
    ("conv 3x3/2 32x32x16->32", 1_110_000),
    ("conv 1x1 24x24x32->64", 1_450_000),
    ("conv 5x5 14x14x16->32", 2_470_000),
    ("depthwise 3x3 24x24x32", 600_000),
    ("max pool 3x3/1 28x28x64", 400_000),
    ("add 32x32x16", 130_000),
];

/// The most bytes of a block for the Cortex-M4, but for those of half precision: a pass through a loop that is larger than the cache for
/// code, 1 KB on an STM32L4, misses on every line, and what calls the block has to stay there too.
const BLOCK: u64 = 900;

fn build(board: &str, code: Code) -> Elf {
    let board = Board::named(board).unwrap();
    Build { code, ..Build::new(board, Program::Kernels) }.run().unwrap()
}

/// Runs the program, which fails when a block differs from its definition.
fn run(elf: &Elf) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let run = device::run(elf, folder.path(), Duration::from_secs(300), |_| {}).unwrap();
    run.success().unwrap_or_else(|error| panic!("{}: {error}", elf.board.name));
    run
}

/// The same with the code in flash.
fn run_on(board: &str) -> Run {
    run(&build(board, Code::InFlash))
}

/// Addresses and sizes of the loops in assembler, by name.
fn blocks(elf: &Elf) -> Vec<(String, u64, u64)> {
    let file = object::File::parse(&*elf.bytes).unwrap();
    let named =
        file.symbols().filter_map(|symbol| Some((symbol.name().ok()?.to_owned(), symbol.address(), symbol.size())));
    let blocks: Vec<_> = named.filter(|(name, _, size)| name.starts_with("kinglet_") && *size > 0).collect();
    assert!(blocks.iter().any(|(name, ..)| name == "kinglet_gemm8"), "{blocks:?}");
    blocks
}

/// The instructions of the fastest algorithm for kernel `name`.
fn fastest(run: &Run, name: &str) -> u32 {
    let counts = run.log.iter().filter_map(|line| {
        let (rest, of) = line.text.split_once(" name=")?;
        let count = rest.strip_prefix("kernel instructions=")?.split(' ').next()?;
        (of == name).then(|| count.parse::<u32>().unwrap())
    });
    counts.min().unwrap_or_else(|| panic!("no kernel {name}"))
}

#[test]
fn blocks_are_their_definitions_and_fast() {
    if !needs::devices() {
        return;
    }
    let m4 = run_on("mps2-an386");
    for &(name, limit) in LIMITS {
        let instructions = fastest(&m4, name);
        assert!(instructions <= limit, "{name}: {instructions} instructions, at most {limit} allowed");
    }
    // The same instruction set; the boards' start-up and compilers' choices differ a little.
    for board in ["mps2-an500", "mps2-an505"] {
        let other = run_on(board);
        for &(name, _) in LIMITS {
            let (ours, theirs) = (f64::from(fastest(&m4, name)), f64::from(fastest(&other, name)));
            assert!((theirs / ours - 1.0).abs() < 0.05, "{name} on {board}: {theirs} instructions, {ours} on the M4");
        }
    }
    let armv6 = run_on("mps2-an385");
    for (name, limit) in [("conv 3x3 32x32x16->16", 3_900_000), ("conv 3x3/2 32x32x16->32", 4_400_000)] {
        let instructions = fastest(&armv6, name);
        assert!(instructions <= limit, "{name} on Armv6-M: {instructions} instructions, at most {limit} allowed");
    }
    let helium = run_on("mps3-an547");
    assert!(fastest(&helium, "conv 3x3 32x32x16->16") * 3 < fastest(&m4, "conv 3x3 32x32x16->16") * 2);
}

#[test]
fn blocks_stay_in_a_small_cache() {
    if !needs::devices() {
        return;
    }
    let mut large = blocks(&build("mps2-an386", Code::InFlash));
    large.retain(|(name, _, size)| *size > BLOCK && !name.starts_with("kinglet_f16"));
    assert!(large.is_empty(), "more than {BLOCK} bytes: {large:x?}");
}

#[test]
fn blocks_run_from_ram_when_they_are_to() {
    if !needs::devices() {
        return;
    }
    let elf = build("mps2-an386", Code::LoopsInRam);
    let ram = 0x2000_0000..0x4000_0000;
    let elsewhere: Vec<_> = blocks(&elf).into_iter().filter(|(_, at, _)| !ram.contains(at)).collect();
    assert!(elsewhere.is_empty(), "not in RAM: {elsewhere:x?}");
    run(&elf);
}
