//! `kinglet device`: the boards, and running firmware images on emulated ones.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use kinglet::Model;
use kinglet::device::load::{needed, working};

use super::options::held_out::HeldOut;
use super::options::json::Json;
use super::options::line::Line;
use super::options::shipped;
use crate::boards;
use crate::data::Split;
use crate::device::bench::{self, Subject, Which};
use crate::device::calibrate::calibrate;
use crate::device::client::{self, Client, Evaluation};
use crate::device::fit::{self, Fit};
use crate::device::{self, Board, Elf, Measurements, Program};
use crate::files;
use crate::progress::styled;
use crate::report::table::Table;
use crate::sources;

/// Options of `kinglet device`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the boards that the firmware is built for.
    Boards {
        #[command(flatten)]
        json: Json,
    },
    /// Build programs for boards and show what they take of each memory; fails when one does not fit or would not start.
    Fit {
        /// The boards; all unless given.
        #[arg(long, value_name = "NAME")]
        board: Vec<String>,
        /// The programs; all that there are for a board unless given.
        #[arg(long, value_name = "NAME")]
        program: Vec<String>,
        /// The model that is built in, which must fit: digits-resnet unless given.
        #[arg(long, value_name = "FILE", value_parser = shipped::model)]
        model: Option<PathBuf>,
        /// Shows too which of the models in `models/` fit, in the program `infer`.
        #[arg(long)]
        shipped: bool,
        #[command(flatten)]
        json: Json,
    },
    /// Count the instructions of models and single kernels on every board, predict the cycles of real ones, and write `firmware/BENCH.md`
    /// and `firmware/bench.json`.
    Bench {
        /// Measures this model file instead, and prints its table.
        #[arg(long, value_name = "FILE", value_parser = shipped::model)]
        model: Vec<PathBuf>,
        /// The boards to measure on; all of the bench unless given. The tables keep the rows of other boards. With `--model`, any
        /// board whose speed is in the table of boards: QEMU runs its code, and its cycles are predicted.
        #[arg(long, value_name = "NAME")]
        board: Vec<String>,
        /// Traces what only the costs of predictions are fitted to, instead: MLPerf Tiny's other networks, and convolutions of many shapes
        /// by each algorithm.
        #[arg(long, conflicts_with = "model")]
        shapes: bool,
        /// Measures of the bench's models this one alone, by its name in the tables, which keep the rows of others.
        #[arg(long, value_name = "NAME", conflicts_with = "model")]
        only: Option<String>,
        /// Shows how far apart the predicted cycles of ResNet-8 and MLPerf Tiny's other networks lie when the code is moved by 0 to 28
        /// bytes; fails where that is more than 1 %.
        #[arg(long, conflicts_with_all = ["model", "shapes", "only", "meant"])]
        moved: bool,
        /// Why instructions or predicted cycles rise by more than they may beside the committed table; without it such a refresh fails, once
        /// the tables are written.
        #[arg(long, value_name = "REASON", conflicts_with = "model")]
        meant: Option<String>,
        #[command(flatten)]
        json: Json,
    },
    /// Run ResNet-8 and small models on a device, over its serial line, and compare the cycles with those that are predicted; the answer has
    /// what the board takes for a cycle and for reads of its flash.
    ///
    /// The device runs the firmware's program `keep`, or `receive`, which has the weights in RAM; `--qemu` builds `receive` and starts the board
    /// in QEMU, whose clock counts instructions: that shows that all works, and says nothing of cycles.
    Calibrate {
        #[command(flatten)]
        line: Line,
        #[command(flatten)]
        json: Json,
    },
    /// Run images through a model on a device, over its serial line, and compare every output and step with the host.
    ///
    /// The device runs the firmware's program `serve` with this model, or `receive` or `keep`, to which it is sent; `--qemu` builds the program and
    /// starts the board in QEMU.
    Eval {
        /// The model file (.kgl), or a model that comes with Kinglet, like cifar10-resnet8.
        #[arg(value_parser = shipped::model)]
        model: PathBuf,
        #[command(flatten)]
        line: Line,
        /// With `--qemu`: send the model to the program `receive` instead of building it into `serve`.
        #[arg(long, requires = "qemu")]
        load: bool,
        #[command(flatten)]
        held_out: HeldOut,
        #[command(flatten)]
        json: Json,
    },
    /// Send a model to a device over its serial line, without flashing its program anew, and run it from then on.
    ///
    /// The device runs the firmware's program `receive`, which keeps it in RAM, or `keep`, which writes it to the one of two places in flash that is not
    /// in use and runs it from every start on. `--qemu` builds `receive` and starts the board in QEMU, where the model is gone with the board at
    /// the end: `eval --qemu BOARD --load` goes on with it.
    Load {
        /// The model file (.kgl), or a model that comes with Kinglet, like cifar10-resnet8.
        #[arg(value_parser = shipped::model)]
        model: PathBuf,
        #[command(flatten)]
        line: Line,
        #[command(flatten)]
        json: Json,
    },
    /// Run a firmware image and show its log; the exit code is the firmware's. What `cargo run` in firmware/ calls.
    ///
    /// In QEMU, or, when the image is for a board that QEMU does not emulate, on the board: probe-rs flashes it. Run only images that you
    /// trust: by semihosting an image in QEMU reads and writes all files that you may.
    Run {
        /// The image: an ELF file.
        elf: PathBuf,
        /// In QEMU: end it after this many seconds.
        #[arg(long, default_value_t = 600)]
        limit: u64,
    },
}

/// Runs the command.
///
/// # Errors
/// When the image is not Kinglet's firmware, or QEMU or probe-rs is missing, or the time is up.
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Boards { json } => {
            let mut table = Table::new(["board", "core", "target", "flash, KB", "RAM, KB", "runs"]);
            for board in boards::drivers() {
                let in_qemu = || "in QEMU".to_owned();
                table.row([
                    board.name.to_owned(),
                    board.core.to_owned(),
                    board.target.to_owned(),
                    (board.flash.bytes() / 1024).to_string(),
                    (board.ram_bytes() / 1024).to_string(),
                    board.chip.map_or_else(in_qemu, |chip| format!("on the board, flashed by probe-rs as {chip}")),
                ]);
            }
            match json.is_asked() {
                true => json.print(&table.to_json())?,
                false => print!("{table}"),
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Fit { board, program, model, shipped, json } => {
            let table = fit::to_table(&fits(board, program, model.as_deref(), *shipped)?);
            print!("{}", table.to_markdown());
            json.print(&table.to_json())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Bench { board, moved: true, json, .. } => moved(board, *json),
        Command::Bench { model, board, shapes, only, meant, json, .. } => {
            let which = if *shapes { Which::Shapes } else { Which::Usual };
            if model.is_empty() {
                refresh(board, which, only.as_deref(), meant.as_deref(), *json)
            } else {
                measure(model, board, *json)
            }
        }
        Command::Eval { model, line, load, held_out, json } => {
            let bytes = files::read(model)?;
            let parsed = Model::new(&bytes).with_context(|| model.display().to_string())?;
            let split = held_out.read(&parsed)?;
            let program = if *load { Program::Receive } else { Program::Serve };
            let found = evaluate(line.open(program, model)?, parsed, &split)?;
            json.print(&figures(&found, line.is_emulated()))?;
            Ok(show(&found, line.is_emulated()))
        }
        Command::Calibrate { line, json } => {
            let device = line.open(Program::Receive, Path::new(""))?;
            let found = calibrate(device, |model| eprintln!("{model}"))?;
            print!("{found}");
            if line.is_emulated() {
                println!("QEMU counts instructions: these factors are none of a board");
            }
            json.print(&serde_json::json!({
                "board": found.device.board, "models": found.points, "passed_over": found.passed_over,
                "factors": found.factors, "predicted": found.predicted,
            }))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Load { model, line, json } => {
            let bytes = files::read(model)?;
            let parsed = Model::new(&bytes).with_context(|| model.display().to_string())?;
            load(&mut Client::new(line.open(Program::Receive, model)?), parsed, *json)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Run { elf, limit } => run_image(elf, Duration::from_secs(*limit)),
    }
}

/// Sends a model, and says what became of it.
fn load(client: &mut Client<impl Read + Write>, model: Model<'_>, json: Json) -> Result<()> {
    let device = client.hello()?;
    let style = "{bar:30} {bytes} of {total_bytes} | {bytes_per_sec} | ready in {eta}";
    let bar = styled(ProgressBar::new(model.file_len() as u64), style);
    let device = client::load(client, &device, model, |arrived| bar.set_position(arrived as u64));
    let took = bar.elapsed();
    bar.finish_and_clear();
    let device = device?;
    println!("{} runs {} ({:08x})", device.board, device.model, device.about.model);
    println!(
        "sent       {} bytes in {:.1} s, {} questions asked again",
        model.file_len(),
        took.as_secs_f64(),
        client.retries()
    );
    let room = device.about.room;
    match device.about.flash {
        0 => println!("memory     {} of {room} bytes: file, arena and input; a reset takes it away", needed(&model)),
        flash => {
            println!("flash      {} of {flash} bytes: the file; it runs from every start on", model.file_len());
            println!("memory     {} of {room} bytes: arena and input", working(&model));
        }
    }
    let is_kept = device.about.flash > 0;
    json.print(&serde_json::json!({
        "board": device.board, "model": device.model, "checksum": device.about.model, "bytes": model.file_len(),
        "seconds": took.as_secs_f64(), "asked_again": client.retries(), "flash": is_kept.then_some(device.about.flash),
        "memory": if is_kept { working(&model) } else { needed(&model) }, "room": room,
    }))
}

fn evaluate(line: impl Read + Write, model: Model<'_>, images: &Split) -> Result<Evaluation> {
    let style = "{bar:30} {pos} of {len} images | {per_sec} | ready in {eta}";
    let bar = styled(ProgressBar::new(images.len() as u64), style);
    let evaluation = client::evaluate(line, model, images, || bar.inc(1));
    bar.finish_and_clear();
    evaluation
}

/// What [`show`] prints, for programs.
fn figures(found: &Evaluation, emulated: bool) -> serde_json::Value {
    serde_json::json!({
        "board": found.device.board,
        "model": found.device.model,
        "images": found.images,
        "correct": found.correct,
        "equal": found.equal,
        "milliseconds": (!emulated).then(|| found.latency()),
        "asked_again": found.retries,
        "difference": found.difference.as_ref().map(|(image, step, name)| serde_json::json!({ "image": image, "step": step, "name": name })),
    })
}

/// On an emulated board the clock counts instructions: it says nothing about time.
fn show(found: &Evaluation, emulated: bool) -> ExitCode {
    let Evaluation { device, images, correct, equal, retries, .. } = found;
    println!("{} on {}: {images} images", device.model, device.board);
    println!("accuracy   {:.2} % ({correct} correct)", 100.0 * *correct as f64 / (*images).max(1) as f64);
    if emulated {
        println!("latency    none: QEMU counts instructions, not time; `kinglet device bench` predicts cycles");
    } else {
        let (ms, clock) = (found.latency(), device.about.frequency);
        println!("latency    {ms:.3} ms per inference, by the device's clock of {clock} Hz");
    }
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

/// Builds programs, and shows what they take.
fn fits(boards: &[String], programs: &[String], model: Option<&Path>, shipped: bool) -> Result<Vec<Fit>> {
    let boards: Vec<_> = match boards {
        [] => boards::drivers().collect(),
        some => some.iter().map(|name| Board::named(name)).collect::<Result<_>>()?,
    };
    let programs: Vec<_> = match programs {
        // What the bench of single kernels takes is its data.
        [] => Program::ALL.into_iter().filter(|&program| program != Program::Kernels).collect(),
        some => some.iter().map(|name| Program::named(name)).collect::<Result<_>>()?,
    };
    let models = bench::shipped_paths()?;
    let default = models.iter().find(|path| path.ends_with("digits-resnet.kgl"));
    let model =
        model.or(default.map(PathBuf::as_path)).context("there is no models/digits-resnet/digits-resnet.kgl")?;
    let mut all = Vec::new();
    for board in boards {
        eprintln!("{}", board.name);
        all.extend(fit::measure(board, &programs, model)?);
        if shipped {
            for model in &models {
                all.push(fit::infer(board, model)?);
            }
        }
    }
    Ok(all)
}

/// The boards that are named, or else all of the bench.
fn benched(boards: &[String]) -> Vec<&str> {
    if boards.is_empty() { bench::boards().collect() } else { boards.iter().map(String::as_str).collect() }
}

/// Moves the code.
fn moved(boards: &[String], json: Json) -> Result<ExitCode> {
    let mut table = Table::new(["board", "model", "cycles, least", "most", "apart, %"]);
    let mut exit = ExitCode::SUCCESS;
    for board in benched(boards) {
        bench::moved(board, |model, [least, most]| {
            let apart = 100.0 * (most - least) as f64 / least.max(1) as f64;
            eprintln!("{board}: {model}: {apart:.2} %");
            if apart > bench::APART {
                exit = ExitCode::FAILURE;
            }
            table.row([board.to_owned(), model.to_owned(), least.to_string(), most.to_string(), format!("{apart:.2}")]);
        })?;
    }
    print!("{table}");
    json.print(&table.to_json())?;
    Ok(exit)
}

/// Refreshes the tables' rows of these boards, or of them those of the model `only`.
fn refresh(boards: &[String], which: Which, only: Option<&str>, meant: Option<&str>, json: Json) -> Result<ExitCode> {
    let firmware = sources::checkout().context("the tables are a checkout's: give a --model")?.join("firmware");
    let [table, markdown] = ["bench.json", "BENCH.md"].map(|name| firmware.join(name));
    let committed = bench::committed(&table)?;
    let mut rows = if table.exists() { bench::read(&table)? } else { Vec::new() };
    let mut risen = Vec::new();
    // Board by board, so that what was measured is kept when another one fails.
    for name in benched(boards) {
        let fresh = bench::all(name, which, only, |what| eprintln!("{what}"))?;
        risen.extend(bench::rises(&fresh, &committed));
        rows = bench::merged(rows, fresh);
        for (path, text) in [(&table, bench::to_json(&rows)?), (&markdown, bench::to_markdown(&rows))] {
            files::save(path, &text)?;
        }
    }
    println!("{}\n{}", table.display(), markdown.display());
    risen.iter().for_each(|row| eprintln!("{row}"));
    match meant {
        None => ensure!(risen.is_empty(), "more than is committed; if that is meant, `--meant` says why"),
        Some(_) => ensure!(!risen.is_empty(), "nothing has risen: leave out `--meant`"),
    }
    json.print(&rows)?;
    Ok(ExitCode::SUCCESS)
}

/// Measures these models on the boards.
fn measure(models: &[PathBuf], boards: &[String], json: Json) -> Result<ExitCode> {
    let subjects = models.iter().map(|path| Subject::read(path)).collect::<Result<Vec<_>>>()?;
    let (mut rows, mut exit) = (Vec::new(), ExitCode::SUCCESS);
    for name in benched(boards) {
        let board = boards::find(name, boards::all().iter(), "there are")?;
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
    json.print(&rows)?;
    Ok(exit)
}

fn run_image(path: &Path, limit: Duration) -> Result<ExitCode> {
    let bytes = files::read(path)?;
    let elf = Elf::parse(bytes).with_context(|| path.display().to_string())?;
    if let Some(chip) = elf.board.chip {
        let status = device::flash(path, chip)?;
        return Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from));
    }
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
