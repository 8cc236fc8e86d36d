//! `kinglet device`: the boards, and running firmware images on emulated ones.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use kinglet::Model;

use crate::data::{Source, Split};
use crate::device::bench::{self, Subject};
use crate::device::client::{self, Evaluation};
use crate::device::{self, BOARDS, Board, Build, Elf, Emulated, Measurements, Program};
use crate::files;
use crate::report::progress::styled;

/// Options of `kinglet device`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the boards that the firmware is built for.
    Boards,
    /// Count the instructions of models and single kernels on every board, and write `firmware/BENCH.md` and `firmware/bench.json`.
    Bench {
        /// Measures this model file instead, and prints its table.
        #[arg(long, value_name = "FILE")]
        model: Vec<PathBuf>,
        /// The boards to measure on; all of the bench unless given. The tables keep the rows of other boards.
        #[arg(long, value_name = "NAME")]
        board: Vec<String>,
    },
    /// Run images through a model on a device, over its serial line, and compare every output and step with the host.
    ///
    /// The device runs the firmware's program `serve` with this model; `--qemu` builds it and starts the board in QEMU.
    Eval {
        /// The model file that the device holds.
        model: PathBuf,
        /// The device's serial port, like /dev/ttyACM0 or COM3.
        #[arg(long, value_name = "PORT", required_unless_present = "qemu", conflicts_with = "qemu")]
        port: Option<String>,
        /// The port's speed.
        #[arg(long, default_value_t = 115_200)]
        baud: u32,
        /// An emulated board instead of a port.
        #[arg(long, value_name = "BOARD")]
        qemu: Option<String>,
        /// The images, of which those held out are run: a folder or .tar of images, or a folder of CIFAR-10's batches or IDX files; the
        /// embedded digits unless given.
        #[arg(long, value_name = "PATH")]
        data: Option<PathBuf>,
        /// At most so many images, evenly spaced.
        #[arg(long, value_name = "N")]
        images: Option<usize>,
    },
    /// Run a firmware image in QEMU and show its log; the exit code is the firmware's. What `cargo run` in firmware/ calls.
    Run {
        /// The image: an ELF file.
        elf: PathBuf,
        /// End it after this many seconds.
        #[arg(long, default_value_t = 600)]
        limit: u64,
    },
}

/// Runs the command.
///
/// # Errors
/// When the image is not Kinglet's firmware, or QEMU is missing, or the time is up.
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Boards => {
            println!("{:<18} {:<32} {:<28} {:>8} {:>8}", "board", "core", "target", "flash", "RAM");
            for board in BOARDS {
                let kb = |bytes: u32| format!("{} KB", bytes / 1024);
                let (flash, ram) = (kb(board.flash), kb(board.ram));
                println!("{:<18} {:<32} {:<28} {flash:>8} {ram:>8}", board.name, board.core, board.target);
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Bench { model, board } => measure(model, board),
        Command::Eval { model, port, baud, qemu, data, images } => {
            let bytes = files::read(model)?;
            let parsed = Model::new(&bytes).with_context(|| model.display().to_string())?;
            let split = held_out(&parsed, data.as_deref(), *images)?;
            let evaluation = match (port, qemu) {
                (Some(port), _) => {
                    let line = serialport::new(port, *baud).timeout(TICK).open().with_context(|| port.clone())?;
                    evaluate(line, parsed, &split)?
                }
                (None, board) => {
                    let board = Board::named(board.as_deref().unwrap_or_default())?;
                    let build =
                        Build { board, program: Program::Serve, model: Some(model), images: None, small: false };
                    let line = Emulated::start(&build.run()?)?;
                    line.set_timeout(TICK)?;
                    evaluate(line, parsed, &split)?
                }
            };
            Ok(show(&evaluation))
        }
        Command::Run { elf, limit } => run_image(elf, Duration::from_secs(*limit)),
    }
}

/// How long a read of a device's line waits.
const TICK: Duration = Duration::from_millis(10);

/// Held-out images of the model's size.
fn held_out(model: &Model<'_>, path: Option<&Path>, count: Option<usize>) -> Result<Split> {
    let shape = model.input().shape;
    let mut source = path.map_or(Source::Digits, Source::at);
    if let Source::Images(images) = &mut source {
        (images.size, images.gray) = (Some([shape.h, shape.w]), shape.c == 1);
    }
    let data = source.load()?;
    let wanted = [shape.h, shape.w, shape.c].map(|extent| extent as usize);
    if data.image_shape() != wanted {
        bail!("{}: images of {:?}, {} takes {wanted:?}", data.name, data.image_shape(), model.name());
    }
    Ok(data.test.select(&data.test.spaced(count.unwrap_or(usize::MAX))))
}

fn evaluate(line: impl Read + Write, model: Model<'_>, images: &Split) -> Result<Evaluation> {
    let style = "{bar:30} {pos} of {len} images | {per_sec} | ready in {eta}";
    let bar = styled(ProgressBar::new(images.len() as u64), style);
    let evaluation = client::evaluate(line, model, images, || bar.inc(1));
    bar.finish_and_clear();
    evaluation
}

fn show(found: &Evaluation) -> ExitCode {
    let Evaluation { device, images, correct, equal, retries, .. } = found;
    println!("{} on {}: {images} images", device.model, device.board);
    println!("accuracy   {:.2} % ({correct} correct)", 100.0 * *correct as f64 / (*images).max(1) as f64);
    println!(
        "latency    {:.3} ms per inference, by the device's clock of {} Hz",
        found.latency(),
        device.about.frequency
    );
    println!("agreement  {equal} of {images} are the host's, every output byte and step");
    println!("line       {retries} questions asked again");
    match &found.difference {
        None => ExitCode::SUCCESS,
        Some((image, step, name)) => {
            println!("error: image {image} differs from step {step} on ({name})");
            ExitCode::FAILURE
        }
    }
}

/// Measures the models on the boards, or refreshes the tables.
fn measure(models: &[PathBuf], boards: &[String]) -> Result<ExitCode> {
    let names: Vec<&str> =
        if boards.is_empty() { bench::boards().collect() } else { boards.iter().map(String::as_str).collect() };
    if models.is_empty() {
        let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no parent folder")?.join("firmware");
        let [json, markdown] = ["bench.json", "BENCH.md"].map(|name| firmware.join(name));
        let mut rows = if json.exists() { bench::read(&json)? } else { Vec::new() };
        // Board by board, so that what was measured is kept when another one fails.
        for name in names {
            rows = bench::merged(rows, bench::all(name, |what| eprintln!("{what}"))?);
            for (path, text) in [(&json, bench::to_json(&rows)?), (&markdown, bench::to_markdown(&rows))] {
                files::save(path, &text)?;
            }
        }
        println!("{}\n{}", json.display(), markdown.display());
        return Ok(ExitCode::SUCCESS);
    }
    let subjects = models.iter().map(|path| Subject::read(path)).collect::<Result<Vec<_>>>()?;
    let (mut rows, mut exit) = (Vec::new(), ExitCode::SUCCESS);
    for name in names {
        let board = Board::named(name)?;
        for subject in &subjects {
            match bench::measure(board, subject) {
                Ok(measured) => rows.extend(measured),
                // Not every model fits every board.
                Err(error) => {
                    eprintln!("error: {} on {name}: {error:#}", subject.name);
                    exit = ExitCode::FAILURE;
                }
            }
        }
    }
    println!("{}", bench::to_markdown(&rows));
    Ok(exit)
}

fn run_image(path: &Path, limit: Duration) -> Result<ExitCode> {
    let bytes = files::read(path)?;
    let elf = Elf::parse(bytes).with_context(|| path.display().to_string())?;
    let run = device::run(&elf, Path::new("."), limit, |line| println!("{line}"))?;
    let measured = Measurements::read(&run.log)?;
    if !measured.steps.is_empty() {
        println!("\n{measured}");
    }
    if let Err(error) = run.success() {
        eprintln!("error: the firmware on {} {}", elf.board.name, error.to_string().lines().next().unwrap_or_default());
        return Ok(run.code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from));
    }
    Ok(ExitCode::SUCCESS)
}
