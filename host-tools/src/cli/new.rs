//! `kinglet new`: a firmware project around a model.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use super::options::shipped;
use crate::boards::Board;
use crate::template::{Project, Runtime, Template, boards};

/// Options of `kinglet new`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("where").required(true).args(["board", "chip"])))]
#[command(group(clap::ArgGroup::new("runtime").args(["path", "git", "published"])))]
pub struct Args {
    /// The folder to make; it must be empty if it is there.
    folder: PathBuf,
    /// The board: mps2-an386 (QEMU), nrf52840-dk, nucleo-f446re, nucleo-h743zi or pico2; or its chip, like nrf52840.
    #[arg(long, value_name = "NAME")]
    board: Option<String>,
    /// The chip of a board that is not among these, as probe-rs calls it, like STM32L432KC: the project has no HAL.
    #[arg(long, value_name = "NAME", requires_all = ["flash", "ram"])]
    chip: Option<String>,
    /// The chip's flash, as 256K, or 256K@0x08000000 where it begins elsewhere than is usual.
    #[arg(long, value_name = "SIZE", requires = "chip")]
    flash: Option<String>,
    /// The chip's RAM, likewise.
    #[arg(long, value_name = "SIZE", requires = "chip")]
    ram: Option<String>,
    /// The chip's core: m0, m3, m4, m4f, m7f, m33, m33f or m55. Known of STM32, nRF and SAM D.
    #[arg(long, value_name = "CORE", requires = "chip")]
    core: Option<String>,
    /// The program that is made.
    #[arg(long, value_enum, default_value_t)]
    template: Template,
    /// The model file, or a model that comes with Kinglet, like digits-resnet; it is copied into the project.
    #[arg(long, value_name = "FILE", value_parser = shipped::model)]
    model: PathBuf,
    /// The package's name; the folder's unless given.
    #[arg(long)]
    name: Option<String>,
    /// A checkout of Kinglet to take the runtime from, instead of a copy in the project.
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// A repository to take the runtime from.
    #[arg(long, value_name = "URL")]
    git: Option<String>,
    /// The published crate of this version.
    #[arg(long = "version", id = "published", value_name = "VERSION")]
    published: Option<String>,
}

/// Makes the project and says what comes next.
///
/// # Errors
/// As [`Project::create`].
pub fn run(args: &Args) -> Result<ExitCode> {
    let of_chip;
    let board = match &args.chip {
        Some(chip) => {
            let memory = |given: &Option<String>| given.clone().unwrap_or_default();
            of_chip = Board::of_chip(chip, args.core.as_deref(), &memory(&args.flash), &memory(&args.ram))?;
            &of_chip
        }
        None => boards::named(args.board.as_deref().unwrap_or_default())?,
    };
    let runtime = match (&args.path, &args.git, &args.published) {
        (Some(path), ..) => Runtime::Path(path.clone()),
        (_, Some(url), _) => Runtime::Git(url.clone()),
        (.., Some(version)) => Runtime::Version(version.clone()),
        (None, None, None) => Runtime::Vendored,
    };
    let (folder, name) = (args.folder.as_path(), args.name.as_deref());
    Project { folder, name, board, template: args.template, model: &args.model, runtime }.create()?;
    println!("{}: a project for {}; its README.md says more", folder.display(), board.title);
    println!("    cd {} && cargo run --release", folder.display());
    Ok(ExitCode::SUCCESS)
}
