//! The command line: a thin layer, one file per command. Results go to stdout, progress and errors to stderr.

mod zoo;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// ResNet and Inception networks on microcontrollers: train, quantize, export, simulate.
#[derive(Debug, Parser)]
#[command(name = "kinglet", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the networks that come with Kinglet.
    Zoo(zoo::Args),
}

/// Parses the arguments, runs the command, prints an error with its causes.
///
/// The exit code is 0 on success, 1 when the command fails or its comparison finds differences, 2 for wrong usage.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Zoo(args) => zoo::run(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
