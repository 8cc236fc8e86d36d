//! The figures hold: instructions, arena and code of MLPerf Tiny's ResNet-8 on the emulated cores, and the committed table.

mod needs;

use std::path::Path;

use kinglet_tools::device::Board;
use kinglet_tools::device::bench::{self, Budget, Bytes, Row};

/// Code of the runtime on a Cortex-M4 for what ResNet-8 uses.
const CODE: u32 = 32 * 1024;
/// The arena that ResNet-8 is given.
const ARENA: u32 = 48 * 1024;
/// CMSIS-NN's fully connected layer and softmax, which were counted together.
const DENSE_AND_SOFTMAX: u64 = 5_709;

/// Measures ResNet-8 on a board, and holds it against the committed table.
fn resnet8(board: &str, budget: Budget) -> Vec<Row> {
    let board = Board::named(board).unwrap();
    let rows = bench::measure(board, &bench::resnet8(budget, board.instruction_set()).unwrap()).unwrap();
    println!("{}", bench::to_markdown(&rows));
    agree_with_the_table(&rows);
    rows
}

fn table() -> Vec<Row> {
    bench::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/bench.json")).unwrap()
}

fn agree_with_the_table(rows: &[Row]) {
    let errors = bench::rises(rows, &table());
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

fn total(rows: &[Row]) -> (u64, Bytes) {
    let row = rows.iter().find(|row| row.layer == "total").unwrap();
    (row.instructions, row.bytes.unwrap())
}

#[test]
fn resnet8_on_the_m4_holds_its_limits_in_every_flash_setting() {
    if !needs::devices() {
        return;
    }
    for (budget, limit, weights) in
        [(Budget::Any, 7_700_000, u32::MAX), (Budget::More, 9_300_000, 186_000), (Budget::Least, 11_000_000, 89_088)]
    {
        let rows = resnet8("mps2-an386", budget);
        let (instructions, bytes) = total(&rows);
        println!("{budget:?}: {instructions} instructions, {bytes:?}");
        assert!(instructions <= limit, "{budget:?}: {instructions} instructions, at most {limit} allowed");
        assert!(bytes.arena <= ARENA && bytes.weights <= weights, "{budget:?}: {bytes:?}");
        // The choice of algorithms does not count their code: here it takes all there are.
        let code = if budget == Budget::More { CODE + 2 * 1024 } else { CODE };
        assert!(bytes.code <= code, "{budget:?}: {} bytes of code", bytes.code);
        let layers = rows.iter().filter(|row| row.layer != "total");
        let counted = layers.clone().filter(|row| row.peer_instructions.is_some());
        assert_eq!(counted.clone().count(), 13, "{rows:#?}");
        for row in counted {
            assert!(Some(row.instructions) <= row.peer_instructions, "{budget:?}: CMSIS-NN is faster: {row:?}");
        }
        let last: u64 = layers.filter(|row| row.peer_instructions.is_none()).map(|row| row.instructions).sum();
        assert!(last <= DENSE_AND_SOFTMAX, "{budget:?}: {last} instructions after the average");
    }
}

#[test]
fn resnet8_in_the_least_ram_is_as_fast_as_the_table_says() {
    if !needs::devices() {
        return;
    }
    for (budget, arena) in [(Budget::Streamed, 22 * 1024), (Budget::Whole, 34 * 1024)] {
        let (_, bytes) = total(&resnet8("mps2-an386", budget));
        assert!(bytes.arena <= arena, "{budget:?}: {bytes:?}");
    }
}

#[test]
fn resnet8_holds_its_limits_on_other_cores() {
    if !needs::devices() {
        return;
    }
    let (m55, _) = total(&resnet8("mps3-an547", Budget::Least));
    assert!(m55 <= 3_500_000, "M55: {m55} instructions");
    let (m0, _) = total(&resnet8("mps2-an385", Budget::Any));
    assert!(m0 <= 28_000_000, "Armv6-M: {m0} instructions");
    let (m4, _) = total(&resnet8("mps2-an386", Budget::Any));
    for board in ["mps2-an500", "mps2-an505"] {
        let (other, _) = total(&resnet8(board, Budget::Any));
        assert!((other as f64 / m4 as f64 - 1.0).abs() < 0.05, "{board}: {other} instructions, {m4} on the M4");
    }
}

#[test]
fn shipped_models_are_as_fast_as_the_table_says_every_time() {
    if !needs::devices() {
        return;
    }
    let board = Board::named("mps2-an386").unwrap();
    // The small ones: the table holds the others too, but each takes as long as the rest of the tests.
    let small = |name: &str| name.starts_with("digits");
    for subject in bench::shipped().unwrap().into_iter().filter(|subject| small(&subject.name)) {
        let rows = bench::measure(board, &subject).unwrap();
        agree_with_the_table(&rows);
        assert_eq!(bench::measure(board, &subject).unwrap(), rows, "two runs agree to the instruction");
    }
}
