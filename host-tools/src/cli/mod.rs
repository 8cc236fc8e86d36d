//! The command line: a thin layer, one file per command. Results go to stdout, progress and errors to stderr.

// First, for its macros.
#[macro_use]
mod print;

mod bench;
mod check;
mod demo;
mod device;
mod eval;
mod export;
mod flash;
mod import;
mod inspect;
mod new;
mod options;
mod peer;
mod predict;
mod profile;
mod publish;
mod quantize;
mod recipe;
mod reencode;
mod report;
mod sign;
mod simulate;
mod site;
mod study;
mod train;
mod zoo;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use kinglet::Model;

use crate::boards;
use crate::cycles::{Predicted, Predictor};

/// ResNet and Inception networks on microcontrollers: train, quantize, export, simulate.
#[derive(Debug, Parser)]
#[command(name = "kinglet", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure the speed of training.
    Bench(bench::Args),
    /// Print a shell's completions for this command: kinglet completions bash > ~/.local/share/bash-completion/completions/kinglet
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Train two small networks and run them on an emulated Cortex-M4.
    Demo(demo::Args),
    /// Count how many held-out images models get right, in the runtime on the host.
    Eval(eval::Args),
    /// Quantize a trained network and write a model file.
    Export(export::Args),
    /// List boards; run firmware images on emulated ones.
    Device(device::Args),
    /// Put a program of the firmware, with a model in it, onto a board on the desk.
    Flash(flash::Args),
    /// Make a model file of a TensorFlow Lite or ONNX file.
    Import(import::Args),
    /// Print what a model file holds and costs.
    Inspect(inspect::Args),
    /// Make a firmware project around a model, for a board.
    New(new::Args),
    /// Show what a model takes pictures for: class names and scores.
    Predict(predict::Args),
    /// Show what each layer of a model takes on a board, in QEMU or on the desk.
    Profile(profile::Args),
    /// Measure a trained network and write all that is shipped of it: recipe, weights, model file, card.
    Publish(publish::Args),
    /// Show what int8 costs a trained network, and where.
    Quantize(quantize::Args),
    /// Print a recipe with every key, its default and its meaning; or write a recipe as a PyTorch script, for a GPU or a cluster.
    Recipe(recipe::Args),
    /// Write a page about a model: its graph, its memory, its layers, and where it errs.
    Report(report::Args),
    /// Write model files anew in the newest version of the format, from the same integers.
    Reencode(reencode::Args),
    /// Sign a model file, for firmware that runs signed models only.
    Sign(sign::Args),
    /// Run inputs through a model and compare the outputs, byte by byte.
    Simulate(simulate::Args),
    /// Write the studies, the shipped models and the bench of a checkout as a page that computes.
    Site(site::Args),
    /// Show by experiments why residual networks and Inception modules work.
    Study(study::Args),
    /// Train a network and write its weights.
    Train(train::Args),
    /// List the networks that come with Kinglet.
    Zoo(zoo::Args),
}

/// What an inference takes on a board, if one is named.
fn predicted(board: Option<&str>, model: &Model<'_>) -> Result<Option<Predicted>> {
    let Some(name) = board else { return Ok(None) };
    Ok(Some(Predictor::of(boards::find(name, boards::all().iter(), "there are")?)?.model(model)))
}

/// The model in a file that has been read.
///
/// # Errors
/// Names the file, and the byte that shows what is wrong.
fn open_model<'b>(path: &Path, bytes: &'b [u8]) -> Result<Model<'b>> {
    Model::new(bytes).map_err(|error| anyhow::anyhow!("`{}`: {error}", path.display()))
}

fn completions(shell: clap_complete::Shell) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kinglet", &mut script);
    print!("{}", String::from_utf8(script)?);
    Ok(ExitCode::SUCCESS)
}

/// Whether the command, or the one below it, was told `--json`.
fn asks_json(matches: &ArgMatches) -> bool {
    let own = matches.try_get_one::<bool>("json").ok().flatten();
    own.copied().unwrap_or_default() || matches.subcommand().is_some_and(|(_, below)| asks_json(below))
}

/// Parses the arguments, runs the command, prints an error with its causes.
///
/// The exit code is 0 on success, 1 when the command fails or its comparison finds differences, 2 for wrong usage.
pub fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    if asks_json(&matches) {
        print::expect_document();
    }
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let result = match cli.command {
        Command::Bench(args) => bench::run(&args),
        Command::Completions { shell } => completions(shell),
        Command::Demo(args) => demo::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Device(args) => device::run(&args),
        Command::Flash(args) => flash::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::New(args) => new::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Profile(args) => profile::run(&args),
        Command::Publish(args) => publish::run(&args),
        Command::Quantize(args) => quantize::run(&args),
        Command::Recipe(args) => recipe::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Reencode(args) => reencode::run(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Site(args) => site::run(&args),
        Command::Study(args) => study::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Zoo(args) => zoo::run(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_contradicts_itself() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_commands_of_the_papers_are_understood() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let chapters = std::fs::read_dir(root.join("docs/src")).unwrap().map(|entry| entry.unwrap().path());
        let mut count = 0;
        for page in chapters.chain([root.join("README.md")]) {
            let text = std::fs::read_to_string(&page).unwrap();
            for line in text.lines().filter(|line| line.starts_with("kinglet ")) {
                let line = line.split(['>', '#']).next().unwrap();
                if let Err(error) = Cli::try_parse_from(line.split_whitespace()) {
                    panic!("{}: `{line}`: {error}", page.display());
                }
                count += 1;
            }
        }
        assert!(count > 30, "{count} commands");
    }

    /// Those of the commands that have none below them, with their full names.
    fn leaves(command: &clap::Command, name: &str) -> Vec<(String, clap::Command)> {
        let below = command.get_subcommands().flat_map(|below| leaves(below, &format!("{name} {}", below.get_name())));
        let below: Vec<_> = below.collect();
        if below.is_empty() { vec![(name.trim().to_owned(), command.clone())] } else { below }
    }

    #[test]
    fn every_command_that_prints_figures_prints_json() {
        // These write files, print a text for another program, or show a firmware's log.
        let others = ["completions", "device run", "flash", "new", "recipe", "reencode", "report", "sign", "site"]
            .map(str::to_owned);
        let mut without = Vec::new();
        for (name, command) in leaves(&Cli::command(), "") {
            match command.get_arguments().find(|argument| argument.get_id() == "json") {
                Some(json) => assert!(!json.get_action().takes_values(), "{name} --json takes no file"),
                None => without.push(name),
            }
        }
        without.sort();
        assert_eq!(without, others);
    }

    #[test]
    fn what_is_written_is_named_by_o_in_every_command() {
        for command in Cli::command().get_subcommands() {
            for argument in command.get_arguments().filter(|a| ["out", "output"].contains(&a.get_id().as_str())) {
                assert_eq!(argument.get_short(), Some('o'), "{} {}", command.get_name(), argument.get_id());
            }
        }
    }
}
