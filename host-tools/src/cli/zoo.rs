//! `kinglet zoo`: the networks that come with Kinglet and what they cost.

use std::process::ExitCode;

use anyhow::Result;

use crate::graph::{NetworkRecipe, Preprocess, zoo};

/// Options of `kinglet zoo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Classes of the classifier.
    #[arg(long, default_value_t = 10)]
    classes: usize,
    /// Multiplies every filter count.
    #[arg(long, default_value_t = 1.0)]
    width: f32,
}

/// Prints one line per network.
///
/// # Errors
/// When the width is out of range.
pub fn run(args: &Args) -> Result<ExitCode> {
    let labels: Vec<String> = (0..args.classes).map(|class| class.to_string()).collect();
    println!("{:<18} {:>10} {:>12} {:>14}", "network", "input", "parameters", "MACs");
    for name in zoo::NAMES {
        let recipe = NetworkRecipe { width: Some(args.width), ..NetworkRecipe::zoo(name) };
        let input = recipe.input()?;
        let graph = recipe.build(&labels, &Preprocess::unit(input.c as usize))?;
        let size = format!("{}x{}x{}", input.h, input.w, input.c);
        println!("{name:<18} {size:>10} {:>12} {:>14}", graph.trainable_len(), graph.macs());
    }
    Ok(ExitCode::SUCCESS)
}
