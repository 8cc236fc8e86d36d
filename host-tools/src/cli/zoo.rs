//! `kinglet zoo`: the networks that come with Kinglet and what they cost.

use std::process::ExitCode;

use anyhow::Result;
use kinglet::Model;
use rayon::prelude::*;

use super::options::budgets::{Budgets, for_board};
use super::options::json::Json;
use crate::boards::{self, Board};
use crate::cycles::Predictor;
use crate::deploy;
use crate::export::ExportError;
use crate::graph::{Graph, NetworkRecipe, Op, Preprocess, zoo};
use crate::report::table::{Table, grouped};

/// Options of `kinglet zoo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these networks.
    #[arg(value_name = "NETWORK")]
    names: Vec<String>,
    /// Classes of the classifier.
    #[arg(long, default_value_t = 10)]
    classes: usize,
    /// Multiplies every filter count.
    #[arg(long, default_value_t = 1.0)]
    width: f32,
    /// Height and width of the images, instead of each network's own.
    #[arg(long, value_name = "PIXELS")]
    size: Option<u32>,
    /// A board, by its name or its chip's: what each network takes there, as the fastest model that the board holds.
    #[arg(long, value_name = "NAME")]
    board: Option<String>,
    #[command(flatten)]
    json: Json,
}

/// Prints a row for each network.
///
/// # Errors
/// When a name is unknown, or width or size are out of range.
pub fn run(args: &Args) -> Result<ExitCode> {
    let all = || zoo::NAMES.map(String::from).to_vec();
    let names = if args.names.is_empty() { all() } else { args.names.clone() };
    let board = args.board.as_deref().map(|name| boards::find(name, boards::all().iter(), "there are")).transpose()?;
    let table = match board {
        None => {
            let lines = names.par_iter().map(|name| line(name, args)).collect::<Result<Vec<_>>>()?;
            let mut table = Table::new(["network", "input", "parameters", "MACs", "weight bytes", "RAM (bytes)"]);
            lines.into_iter().for_each(|line| table.row(line));
            table
        }
        Some(board) => {
            let predictor = Predictor::of(board)?;
            let on = |name: &String| on_board(name, args, board, &predictor);
            let lines = names.par_iter().map(on).collect::<Result<Vec<_>>>()?;
            let mut table = Table::new(["network", "MACs", "flash (bytes)", "RAM (bytes)", "cycles", "ms", "\u{b5}J"]);
            lines.into_iter().for_each(|line| table.row(line));
            table
        }
    };
    if args.json.is_asked() {
        args.json.print(&table.to_json())?;
        return Ok(ExitCode::SUCCESS);
    }
    print!("{table}");
    match board {
        None => println!("weight bytes: int8 weights and 32-bit biases; RAM: the arena of the exported int8 model"),
        Some(board) => println!("on {}, predicted: {}", board.name, Predictor::of(board)?.error()),
    }
    Ok(ExitCode::SUCCESS)
}

/// The network of these options.
fn graph(name: &str, args: &Args) -> Result<Graph> {
    let labels: Vec<String> = (0..args.classes).map(|class| class.to_string()).collect();
    let own = NetworkRecipe { width: Some(args.width), ..NetworkRecipe::zoo(name) };
    let shape = own.input()?;
    let input = args.size.map(|size| [size, size, shape.c]);
    Ok(NetworkRecipe { input, ..own }.build(&labels, &Preprocess::unit(shape.c as usize))?)
}

/// What a network takes on a board; figures that there are not, where the board is too small, are empty.
fn on_board(name: &str, args: &Args, board: &'static Board, predictor: &Predictor) -> Result<[String; 7]> {
    let graph = graph(name, args)?;
    let macs = grouped(graph.macs());
    let exported = match for_board(&deploy::untrained_network(&graph)?, board, &Budgets::default()) {
        Err(ExportError::Ram { .. } | ExportError::Flash { .. }) => {
            let too_large = "does not fit".to_owned();
            return Ok([
                name.to_owned(),
                macs,
                too_large.clone(),
                too_large,
                String::new(),
                String::new(),
                String::new(),
            ]);
        }
        exported => exported?,
    };
    let model = Model::new(&exported.bytes).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
    let [cycles, ms, energy] = predictor.model(&model).total.cells();
    let [flash, ram] = [exported.bytes.len() as u64, exported.plan.arena_len.into()].map(grouped);
    Ok([name.to_owned(), macs, flash, ram, cycles, ms, energy])
}

fn line(name: &str, args: &Args) -> Result<[String; 6]> {
    let graph = graph(name, args)?;
    let size = format!("{}x{}x{}", graph.input.h, graph.input.w, graph.input.c);
    let ram = u64::from(deploy::untrained(&graph)?.plan.arena_len);
    let [parameters, macs, weights, ram] =
        [graph.trainable_len() as u64, graph.macs(), weight_bytes(&graph), ram].map(grouped);
    Ok([name.to_owned(), size, parameters, macs, weights, ram])
}

/// Bytes of int8 weights and 32-bit biases: one bias per output channel, whether trained or left of a normalization.
fn weight_bytes(graph: &Graph) -> u64 {
    let weights: usize = graph.param_specs().iter().filter(|spec| spec.decays).map(|spec| spec.len()).sum();
    let has_bias = |op: &Op| matches!(op, Op::Conv2d { .. } | Op::DepthwiseConv2d { .. } | Op::Dense { .. });
    let biases: u64 = graph.nodes.iter().filter(|node| has_bias(&node.op)).map(|node| u64::from(node.shape.c)).sum();
    weights as u64 + 4 * biases
}
