//! `kinglet demo`: trains two small networks and runs them on an emulated board.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use super::options::json::Json;
use crate::device::Board;
use crate::{demo, files};

/// Options of `kinglet demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The emulated board.
    #[arg(long, default_value = "mps2-an386")]
    board: String,
    /// Where weights, models and `demo.json` go.
    #[arg(short, long, default_value = "target/kinglet")]
    out: PathBuf,
    #[command(flatten)]
    json: Json,
}

/// Runs the demo; exits with 1 when host and device differ in a byte.
///
/// # Errors
/// When training, exporting, building or emulating fails.
pub fn run(args: &Args) -> Result<ExitCode> {
    let board = Board::named(&args.board)?;
    let mut outcomes = Vec::new();
    for network in demo::NETWORKS {
        let outcome = demo::run(network, board, &args.out)?;
        println!("\n{outcome}");
        outcomes.push(outcome);
    }
    let path = args.out.join("demo.json");
    let json = serde_json::to_string_pretty(&outcomes)?;
    files::save(&path, &json)?;
    println!("the same figures are in {}", path.display());
    args.json.print(&outcomes)?;
    let equal = outcomes.iter().all(|outcome| outcome.equal_outputs_percent == 100.0);
    Ok(if equal { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
