//! Project tasks: what the README and CI call. `cargo xtask help` lists them.

mod bench;
mod bits32;
mod boards;
mod book;
mod checks;
mod command;
mod const_eval;
mod count;
mod demo;
mod faults;
mod figures;
mod firmware;
mod fuzz;
mod layers;
mod licenses;
mod miri;
mod mutate;
mod nightly;
mod package;
mod repo;
mod sanitize;
mod setup;
mod site;
mod source;
mod stages;
mod tests;
mod wasm;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Kinglet's project tasks", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing (thumb targets, QEMU), after saying what that is.
    Setup(Installing),
    /// Train, quantize, export and run two networks on an emulated board, and show the result.
    Demo {
        #[command(flatten)]
        installing: Installing,
        /// Passed on to `kinglet demo`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure, and write the figures.
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
    /// Build the firmware for every board, and show what it takes of each memory; fails when a program does not fit or would not start.
    Boards {
        #[command(flatten)]
        installing: Installing,
        /// Passed on to `kinglet device fit`, as `--board NAME`; without any, every program, and every shipped model.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Every test: host, no_std builds, firmware, emulated boards.
    Test(Installing),
    /// The runtime's tests, in a small form, under Miri; needs a nightly toolchain.
    Miri {
        /// Passed on to `cargo miri test`: `-- NAME` runs some of them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The runtime's tests on 32 bits, as on a device; needs the target i686-unknown-linux-gnu and gcc-multilib.
    Bits32 {
        /// Passed on to `cargo test`: `--test plan` runs some of them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Set every field of every model file to every extreme, about a million changes: what is accepted runs as promised.
    Mutate {
        /// How many changes.
        #[arg(default_value_t = 1_000_000, value_name = "N")]
        changes: u32,
    },
    /// The processor time that the compiler takes to check each shipped model; fails when it is over 5 s.
    ConstEval,
    /// Kill commands at random moments, fill disks, flood devices, in QEMU too: nothing is left half done, every device answers again.
    Faults {
        /// How many kills, about.
        #[arg(default_value_t = 1000, value_name = "N")]
        kills: u32,
    },
    /// The runtime's tests under AddressSanitizer, with all checks on; needs a nightly toolchain.
    Sanitize {
        /// Passed on to `cargo test`: `--test operators` runs some of them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Fuzz model files, imports and data under AddressSanitizer; needs cargo-fuzz and a nightly toolchain.
    Fuzz {
        /// What to fuzz; everything, one after the other, unless given.
        target: Option<fuzz::Target>,
        /// How long each takes.
        #[arg(long, default_value_t = 10, value_name = "N")]
        minutes: u32,
        /// Does not fuzz: of what was found, adds to the committed corpora what reaches something new.
        #[arg(long, conflicts_with = "minutes")]
        minimize: bool,
        /// Passed on to libFuzzer, as `-- -jobs=4`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Lines of code by room, and public items of the runtime.
    Count,
    /// Write the figures of README, documentation and cards anew, from `firmware/bench.json`.
    Figures {
        /// Only says which files have others.
        #[arg(long)]
        check: bool,
    },
    /// Build the runtime as a WebAssembly module, for the pages that the tool writes.
    Wasm,
    /// Write the page of the studies, the models and the bench: `index.html` in a folder, for any browser.
    Site {
        /// The folder.
        #[arg(default_value = "target/site", value_name = "DIR")]
        out: PathBuf,
    },
    /// Make a book of the documentation, in `target/book/html`, and look where its links lead.
    Book(Installing),
    /// Whether every dependency may be used: its licence, as `deny.toml` says, and where it comes from.
    Licenses,
    /// Build what `kinglet new` makes, with every template for every board: before a release.
    Projects,
    /// Pack the crates as they are published, the firmware's sources in the tool's.
    Package {
        /// Installs the tool from its package, outside the checkout and without a network, and tries it: before a release.
        #[arg(long)]
        install: bool,
    },
    /// Whether the modules keep to the ladders of ARCHITECTURE.md.
    Layers,
    /// What CI runs: formatting, layers, lints, documentation, then `test`.
    Ci(Installing),
}

#[derive(Subcommand)]
enum Bench {
    /// Instructions of models and single kernels on every emulated board; refreshes `firmware/BENCH.md` and `firmware/bench.json`.
    Device {
        #[command(flatten)]
        installing: Installing,
        /// Passed on to `kinglet device bench`, as `--model FILE`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Images per second of forward, backward and update, on all cores: `train.json`.
    Train {
        /// Runs the same networks in PyTorch too, by turns, with this Python; nothing is installed.
        #[arg(long, value_name = "PYTHON", num_args = 0..=1, require_equals = true, default_missing_value = "python3")]
        peer: Option<PathBuf>,
    },
}

#[derive(Args, Clone, Copy)]
struct Installing {
    /// Refuse to install anything: list what is missing and fail.
    #[arg(long)]
    no_install: bool,
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Setup(how) => setup::run(how.no_install),
        Task::Miri { arguments } => miri::run(&arguments),
        Task::Bits32 { arguments } => bits32::run(&arguments),
        Task::Mutate { changes } => mutate::run(changes),
        Task::ConstEval => const_eval::run(),
        Task::Faults { kills } => faults::run(kills),
        Task::Sanitize { arguments } => sanitize::run(&arguments),
        Task::Fuzz { target, minutes, minimize, arguments } => fuzz::run(target, minutes, minimize, &arguments),
        Task::Demo { installing, arguments } => demo::run(installing.no_install, &arguments),
        Task::Bench { what: Bench::Device { installing, arguments } } => {
            bench::device(installing.no_install, &arguments)
        }
        Task::Bench { what: Bench::Train { peer } } => bench::train(peer),
        Task::Boards { installing, arguments } => boards::run(installing.no_install, &arguments),
        Task::Test(how) => tests::run(how.no_install),
        Task::Count => count::run(),
        Task::Figures { check } => figures::run(check),
        Task::Wasm => wasm::run(),
        Task::Site { out } => site::run(&out),
        Task::Book(how) => book::run(how.no_install).map(|made| {
            if !made {
                eprintln!("mdbook is not installed")
            }
        }),
        Task::Licenses => licenses::run(),
        Task::Projects => package::projects(),
        Task::Package { install } => package::run(install),
        Task::Layers => layers::run(),
        Task::Ci(how) => checks::run(how.no_install),
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            // A child's exit code is passed on, so that callers see what they would have seen without us.
            match error.downcast_ref::<command::Failed>() {
                Some(failed) => ExitCode::from(failed.exit_code()),
                None => ExitCode::FAILURE,
            }
        }
    }
}
