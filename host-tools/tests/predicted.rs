//! Predicted cycles, which need no QEMU, against the traced ones of the bench.

use std::path::{Path, PathBuf};
use std::{env, fs};

use kinglet_tools::cycles::to_json;
use kinglet_tools::device::bench::{self, Row};
use kinglet_tools::device::costs;

fn path(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

fn bench() -> Vec<Row> {
    bench::read(&path("../firmware/bench.json")).unwrap()
}

#[test]
fn the_costs_are_those_that_the_traces_give() {
    let fitted = to_json(&costs::fitted(&bench()).unwrap());
    let committed = path("src/cycles/costs.json");
    if env::var_os("KINGLET_BLESS").is_some() {
        fs::write(&committed, &fitted).unwrap();
    }
    let same = fs::read_to_string(&committed).unwrap() == fitted;
    assert!(same, "{} is not what firmware/bench.json gives; KINGLET_BLESS=1 writes it anew", committed.display());
}

#[test]
fn every_model_is_predicted_within_its_boards_limit() {
    let errors = costs::errors(&bench()).unwrap();
    for board in ["nucleo-l4r5zi", "nucleo-l4r5zi-single", "apollo510-evb", "nucleo-h7a3zi-q", "nucleo-u575zi-q"] {
        let of_board = errors.iter().filter(|(_, real, ..)| *real == board);
        assert!(of_board.clone().count() >= 5, "{board}: too few models have been traced");
        for (_, _, model, error) in of_board {
            println!("{board}: {model} {error:+.1} %");
        }
    }
    // Rows of single convolutions by one algorithm are there for the fit: no network's total.
    let limit = |board: &str, model: &str| match board {
        // Helium's loops differ most from what the others' costs count.
        "apollo510-evb" if model.starts_with("shapes") => 15.0,
        _ if model.starts_with("shapes") => 12.0,
        "nucleo-l4r5zi" => 5.0,
        _ => 10.0,
    };
    let off: Vec<_> = errors.iter().filter(|(_, board, model, error)| error.abs() > limit(board, model)).collect();
    assert!(off.is_empty(), "predicted cycles are off the traced ones by more than may be: {off:?}");
}
