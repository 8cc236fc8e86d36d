//! `kinglet zoo`: the networks that come with Kinglet and what they cost.

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use rayon::prelude::*;

use crate::deploy;
use crate::graph::{Graph, NetworkRecipe, Op, Preprocess, zoo};
use crate::report::table::grouped;

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
}

/// Prints one line per network.
///
/// # Errors
/// When a name is unknown, or width or size are out of range.
pub fn run(args: &Args) -> Result<ExitCode> {
    let all = || zoo::NAMES.map(String::from).to_vec();
    let names = if args.names.is_empty() { all() } else { args.names.clone() };
    println!(
        "{:<18} {:>10} {:>12} {:>14} {:>14} {:>12}",
        "network", "input", "parameters", "MACs", "weight bytes", "RAM (bytes)"
    );
    // A line comes as soon as it and those above it are ready: planning a large network takes seconds.
    let waiting: Mutex<(usize, Vec<Option<String>>)> = Mutex::new((0, vec![None; names.len()]));
    names.par_iter().enumerate().try_for_each(|(index, name)| -> Result<()> {
        let line = line(name, args)?;
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, lines) = &mut *waiting;
        lines[index] = Some(line);
        while let Some(line) = lines.get_mut(*next).and_then(Option::take) {
            println!("{line}");
            *next += 1;
        }
        Ok(())
    })?;
    println!("weight bytes: int8 weights and 32-bit biases; RAM: the arena of the exported int8 model");
    Ok(ExitCode::SUCCESS)
}

fn line(name: &str, args: &Args) -> Result<String> {
    let labels: Vec<String> = (0..args.classes).map(|class| class.to_string()).collect();
    let own = NetworkRecipe { width: Some(args.width), ..NetworkRecipe::zoo(name) };
    let shape = own.input()?;
    let input = args.size.map(|size| [size, size, shape.c]);
    let recipe = NetworkRecipe { input, ..own };
    let graph = recipe.build(&labels, &Preprocess::unit(shape.c as usize))?;
    let size = format!("{}x{}x{}", graph.input.h, graph.input.w, graph.input.c);
    let ram = u64::from(deploy::untrained(&graph)?.plan.arena_len);
    let [parameters, macs, weights, ram] =
        [graph.trainable_len() as u64, graph.macs(), weight_bytes(&graph), ram].map(grouped);
    Ok(format!("{name:<18} {size:>10} {parameters:>12} {macs:>14} {weights:>14} {ram:>12}"))
}

/// Bytes of int8 weights and 32-bit biases: one bias per output channel, whether trained or left of a normalization.
fn weight_bytes(graph: &Graph) -> u64 {
    let weights: usize = graph.param_specs().iter().filter(|spec| spec.decays).map(|spec| spec.len()).sum();
    let has_bias = |op: &Op| matches!(op, Op::Conv2d { .. } | Op::DepthwiseConv2d { .. } | Op::Dense { .. });
    let biases: u64 = graph.nodes.iter().filter(|node| has_bias(&node.op)).map(|node| u64::from(node.shape.c)).sum();
    weights as u64 + 4 * biases
}
