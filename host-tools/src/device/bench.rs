//! The bench of devices: models and single kernels on emulated boards, in executed instructions, beside CMSIS-NN's, and in cycles
//! that they are predicted to take on real ones.
//!
//! QEMU counts exactly, so that two runs agree to the instruction, and the tests can hold a measurement against the
//! committed table.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use kinglet::kernels::algorithms::Core;
use kinglet::{DType, Model, f16};
use ndarray::Array4;
use serde::{Deserialize, Serialize};

use super::{Board, Build, Program, evaluate_with, networks, peer, run, trace};
use crate::boards;
use crate::cycles::{Counts, Prediction, Timing, Trace};
use crate::files;
use crate::graph::{NetworkRecipe, Params, Preprocess};
use crate::report::table::grouped;
use crate::simulate::Images;
use crate::sources;
use crate::{deploy, export, plan, quantize};

/// What refreshes the committed tables.
pub const REFRESH: &str = "cargo xtask bench device";

/// A board with the budgets that ResNet-8 is measured with, and whether single kernels are measured on it.
type Plan = (&'static str, &'static [Budget], bool);

/// What is measured where, beside the shipped models that fit: one board for each core, and for Armv6-M code that does not fit the
/// microbit the M3's machine. The lm3s6965evb has 256 KB of flash and no memory for the bench of single kernels.
const PLANS: [Plan; 7] = [
    ("mps2-an386", &[Budget::Least, Budget::More, Budget::Any, Budget::Streamed, Budget::Whole, Budget::Float16], true),
    ("mps3-an547", &[Budget::Least, Budget::Float16], true),
    ("mps2-an385", &[Budget::Any], true),
    ("mps2-an500", &[Budget::Any, Budget::Float16], true),
    ("mps2-an505", &[Budget::Any, Budget::Float16], true),
    ("lm3s6965evb", &[Budget::Least], false),
    ("microbit", &[], false),
];

/// For emulated boards, the real ones that cycles are predicted for.
const REAL: [(&str, &str); 5] = [
    ("mps2-an386", "nucleo-l4r5zi"),
    ("mps3-an547", "apollo510-evb"),
    ("mps2-an385", "nucleo-g0b1re"),
    ("mps2-an500", "nucleo-h7a3zi-q"),
    ("mps2-an505", "nucleo-u575zi-q"),
];

/// The real board that cycles are predicted for when a model is measured on `board`.
pub fn real(board: &'static Board) -> Option<&'static Board> {
    let name = REAL.iter().find(|(emulated, _)| *emulated == board.name).map(|(_, real)| *real);
    boards::all().iter().find(|other| other.name == name.unwrap_or(board.name)).filter(|board| board.speed.is_some())
}

/// The boards that are measured.
pub fn boards() -> impl Iterator<Item = &'static str> {
    PLANS.iter().map(|plan| plan.0)
}

const LIMIT: Duration = Duration::from_secs(600);

/// A line of the table: a layer, or a model as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The board.
    pub board: String,
    /// The model's name; `kernels` for single kernels.
    pub model: String,
    /// The layer, or `total` for the model.
    pub layer: String,
    /// Multiply-accumulate operations.
    pub macs: u64,
    /// Executed instructions.
    pub instructions: u64,
    /// Cycles that it is predicted to take: on the board itself, or on the real one that the bench has for an emulated one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycles: Option<u64>,
    /// Reads of that board's flash past its caches, for code and for data: their waiting is in the cycles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flash_reads: Option<[u64; 2]>,
    /// Those of CMSIS-NN for the same geometry on the same core, where they were counted.
    pub peer_instructions: Option<u64>,
    /// Bytes, of totals.
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    pub bytes: Option<Bytes>,
}

/// What a model takes on a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    /// Of arena.
    pub arena: u32,
    /// Of stack, in an inference.
    pub stack: u32,
    /// Of the runtime's code and constants, without the model, start-up and logging.
    pub code: u32,
    /// Of weights and tables.
    pub weights: u32,
}

/// A model to measure.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name in the table.
    pub name: String,
    /// The model file.
    pub bytes: Vec<u8>,
}

impl Subject {
    /// A model file, by its own name.
    ///
    /// # Errors
    /// When it cannot be read or is not valid.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = files::read(path)?;
        let model = Model::new(&bytes).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        Ok(Self { name: model.name().to_owned(), bytes })
    }
}

/// The models in the folders of `models/`.
///
/// # Errors
/// When one cannot be read.
pub fn shipped() -> Result<Vec<Subject>> {
    shipped_paths()?.iter().map(|path| Subject::read(path)).collect()
}

/// Their files.
///
/// # Errors
/// When a folder cannot be read.
pub fn shipped_paths() -> Result<Vec<PathBuf>> {
    let root = sources::root()?;
    let mut paths = Vec::new();
    for folder in fs::read_dir(root.join("models"))? {
        let folder = folder?.path();
        if folder.is_dir() {
            for file in fs::read_dir(folder)? {
                paths.push(file?.path());
            }
        }
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "kgl"));
    paths.sort();
    Ok(paths)
}

/// What ResNet-8 may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// 48 KiB of arena, and weights keep their size.
    Least,
    /// 48 KiB of arena, and 100 KB more of flash.
    More,
    /// 48 KiB of arena, and as much flash as there is a use for.
    Any,
    /// As little arena as can be, weights keep their size.
    Streamed,
    /// As little arena as can be without streaming, weights keep their size.
    Whole,
    /// In float16, with 96 KiB of arena: elements are twice as large as in the others.
    Float16,
}

impl Budget {
    /// What ResNet-8 is called in the table.
    const fn name(self) -> &'static str {
        match self {
            Budget::Least => "resnet8",
            Budget::More => "resnet8 +100 KB flash",
            Budget::Any => "resnet8 any flash",
            Budget::Streamed => "resnet8 least RAM",
            Budget::Whole => "resnet8 least RAM, not streamed",
            Budget::Float16 => "resnet8 float16",
        }
    }

    fn options(self, core: Core) -> export::Options {
        let flash = match self {
            Budget::More => 183 * 1024,
            Budget::Any | Budget::Float16 => 1 << 20,
            Budget::Least | Budget::Streamed | Budget::Whole => 90 * 1024,
        };
        let ram = match self {
            Budget::Streamed | Budget::Whole => None,
            Budget::Float16 => Some(96 * 1024),
            Budget::Least | Budget::More | Budget::Any => Some(48 * 1024),
        };
        let streaming = if self == Budget::Whole { plan::Streaming::Off } else { plan::Streaming::Full };
        let plan = plan::Options { ram, streaming, ..plan::Options::default() };
        export::Options { plan, flash: Some(flash), core, ..export::Options::default() }
    }
}

/// MLPerf Tiny's ResNet-8 with the weights that training would start with, quantized on noise: no instruction depends on them.
///
/// # Errors
/// When it cannot be exported.
pub fn resnet8(budget: Budget, core: Core) -> Result<Subject> {
    let recipe = NetworkRecipe::zoo("resnet8");
    let input = recipe.input()?;
    let labels: Vec<String> = (0..10).map(|class| class.to_string()).collect();
    let graph = recipe.build(&labels, &Preprocess::unit(input.c as usize))?;
    let dim = (2, input.h as usize, input.w as usize, input.c as usize);
    let images = Array4::from_shape_fn(dim, |(n, y, x, c)| {
        ((n * 7919 + y * 104_729 + x * 1_299_709 + c * 15_485_863) % 997) as f32 / 997.0
    });
    let params = Params::init(&graph, 3);
    let network = match budget {
        Budget::Float16 => deploy::float16(&graph, &params)?,
        _ => quantize::quantize(&graph, &params, [images], &quantize::Options::default())?,
    };
    let bytes = export::to_bytes(&network, &budget.options(core))?.bytes;
    Ok(Subject { name: budget.name().to_owned(), bytes })
}

/// What is traced beside the shipped models and ResNet-8.
fn others(core: Core) -> Result<Vec<Subject>> {
    Ok(networks::mlperf(core)?.into_iter().chain(networks::shapes(core)?).collect())
}

/// What a board is calibrated with: the smallest of the shipped models, and ResNet-8 under budgets.
///
/// # Errors
/// When a model cannot be read or exported.
pub fn quick(core: Core) -> Result<Vec<Subject>> {
    let mut subjects = shipped()?;
    subjects.retain(|subject| subject.name.starts_with("digits"));
    for budget in [Budget::Least, Budget::More, Budget::Any, Budget::Streamed] {
        subjects.push(resnet8(budget, core)?);
    }
    Ok(subjects)
}

/// What rows are of on boards of this core. Those from before reads of flash were written down count for the shipped models alone, whose
/// files are what they were; the exporter has changed since.
///
/// # Errors
/// When a model cannot be read or exported.
pub fn subjects(core: Core, rows: &[Row]) -> Result<Vec<Subject>> {
    use Budget::{Any, Float16, Least, More, Streamed, Whole};
    let is_fresh = |begin: &str| rows.iter().any(|row| row.model.starts_with(begin) && row.flash_reads.is_some());
    let mut subjects = shipped()?;
    if is_fresh("resnet8") {
        for budget in [Least, More, Any, Streamed, Whole, Float16] {
            subjects.push(resnet8(budget, core)?);
        }
    }
    if is_fresh("shapes") {
        subjects.extend(others(core)?);
    }
    Ok(subjects)
}

/// Measures one inference of a model on a board, or on the emulated one that executes the same: a row for each step, and the total.
///
/// # Errors
/// When the firmware does not build, does not fit the board or fails.
pub fn measure(board: &'static Board, subject: &Subject) -> Result<Vec<Row>> {
    measure_it(board, subject, true)
}

/// As [`measure`]; without `sizes`, of which the total has no bytes then.
fn measure_it(board: &'static Board, subject: &Subject, sizes: bool) -> Result<Vec<Row>> {
    let (name, real) = (board.name, real(board));
    let board = if board.is_emulated() { board } else { trace::stand_in(board)? };
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model.kgl");
    fs::write(&path, &subject.bytes)?;
    let build = |program| {
        let model = (program != Program::Startup).then_some(path.as_path());
        Build { board, program, model, images: None, small: false }.run()
    };
    let model = Model::new(&subject.bytes).map_err(|error| anyhow::anyhow!("{}: {error}", subject.name))?;
    let shape = model.input().shape;
    let dim = (1, shape.h as usize, shape.w as usize, shape.c as usize);
    let image = Array4::from_shape_fn(dim, |(_, y, x, c)| {
        let v = (y * 57 + x * 31 + c * 13) as i8;
        match model.input().dtype {
            DType::F16 => f16::from_f32(f32::from(v) / 128.0).to_bits().cast_signed(),
            _ => i16::from(v),
        }
    });
    let (elf, inputs) = (build(Program::Eval)?, [Images::Quantized(image)]);
    let (report, trace) = match real {
        Some(real) => {
            trace::evaluate(real, &elf, &subject.bytes, &inputs, LIMIT).map(|(report, trace)| (report, Some(trace)))?
        }
        None => (evaluate_with(&elf, &subject.bytes, &inputs, LIMIT)?, None),
    };
    let cycles = |of: &dyn Fn(&Trace) -> Option<Counts>| -> Result<Option<(u64, [u64; 2])>> {
        let (Some(real), Some(counts)) = (real, trace.as_ref().and_then(of)) else { return Ok(None) };
        Ok(Some((Prediction::of(&counts, real)?.cycles, counts.flash_reads())))
    };

    let row = |layer: &str, macs, instructions, cycles: Option<(u64, [u64; 2])>, peer_instructions, bytes| Row {
        board: name.to_owned(),
        model: subject.name.clone(),
        layer: layer.to_owned(),
        macs,
        instructions,
        cycles: cycles.map(|(cycles, _)| cycles),
        flash_reads: cycles.map(|(_, reads)| reads),
        peer_instructions,
        bytes,
    };
    // The other engine was counted in int8.
    let same = |peer: Option<u64>| peer.filter(|_| model.input().dtype == DType::I8);
    let measured = &report.measured;
    let mut rows: Vec<_> = measured
        .steps
        .iter()
        .zip(model.steps())
        .map(|(found, step)| {
            let layer = format!("{} {} {}", found.index, found.op, found.name);
            let cycles = cycles(&|trace| trace.steps.get(found.index).copied())?;
            Ok(row(&layer, found.macs, found.instructions, cycles, same(peer::layer(board.name, &step)), None))
        })
        .collect::<Result<_>>()?;
    let bytes =
        |code| Bytes { arena: measured.arena_bytes, stack: measured.stack_bytes, code, weights: measured.weight_bytes };
    let flash = |program| Ok::<u32, anyhow::Error>(build(program)?.sizes()?.flash);
    let code = || {
        Ok::<u32, anyhow::Error>(flash(Program::Bare)?.saturating_sub(flash(Program::Startup)?) - report.model_bytes)
    };
    let whole = same(subject.name.starts_with("resnet8").then(|| peer::resnet8(board.name)).flatten());
    rows.push(row(
        "total",
        measured.macs,
        measured.instructions,
        cycles(&|trace| Some(trace.total))?,
        whole,
        if sizes { Some(bytes(code()?)) } else { None },
    ));
    Ok(rows)
}

/// Measures the single kernels on a board: a row for each kernel and algorithm.
///
/// # Errors
/// As [`measure`], and when a kernel differs from its definition.
pub fn kernels(board: &'static Board) -> Result<Vec<Row>> {
    let elf = Build { board, program: Program::Kernels, model: None, images: None, small: false }.run()?;
    let folder = tempfile::tempdir()?;
    let run = run(&elf, folder.path(), LIMIT, |_| {})?;
    run.success().with_context(|| format!("the kernels on {}", board.name))?;
    let rows = run.log.iter().filter_map(|line| line.text.strip_prefix("kernel instructions="));
    rows.map(|line| {
        let parsed = || {
            let (numbers, name) = line.split_once(" name=")?;
            let (instructions, rest) = numbers.split_once(" macs=")?;
            let (macs, algorithm) = rest.split_once(" algorithm=")?;
            Some((instructions.parse().ok()?, macs.parse().ok()?, name, algorithm))
        };
        let (instructions, macs, name, algorithm) = parsed().with_context(|| format!("a damaged line: {line}"))?;
        Ok(Row {
            board: board.name.to_owned(),
            model: "kernels".to_owned(),
            layer: format!("{name} {algorithm}"),
            macs,
            instructions,
            cycles: None,
            flash_reads: None,
            // The other engine was counted in int8.
            peer_instructions: peer::kernel(board.name, name).filter(|_| algorithm != "float16"),
            bytes: None,
        })
    })
    .collect()
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The shipped models, ResNet-8 under its budgets, single kernels.
    Usual,
    /// What only the costs are fitted to: MLPerf Tiny's other networks, and convolutions of many shapes by each algorithm.
    Shapes,
}

/// Measures that on a board; `progress` hears what comes next.
///
/// # Errors
/// As [`measure`], and when nothing is measured on this board. Models that do not fit it are passed over.
pub fn all(board: &str, which: Which, mut progress: impl FnMut(&str)) -> Result<Vec<Row>> {
    let plan = PLANS.iter().find(|plan| plan.0 == board);
    let (name, budgets, with_kernels) = plan.with_context(|| format!("no bench on `{board}`"))?;
    let board = Board::named(name)?;
    let mut subjects = Vec::new();
    match which {
        Which::Usual => {
            subjects.extend(shipped()?);
            for &budget in *budgets {
                subjects.push(resnet8(budget, board.instruction_set())?);
            }
        }
        Which::Shapes => subjects.extend(others(board.instruction_set())?),
    }
    let mut rows = Vec::new();
    for subject in &subjects {
        progress(&format!("{name}: {}", subject.name));
        match measure_it(board, subject, which == Which::Usual) {
            Ok(measured) => rows.extend(measured),
            // Not every model that is shipped is for every board.
            Err(error) if format!("{error:#}").contains(super::firmware::TOO_LARGE) => {
                progress(&format!("{name}: {} does not fit", subject.name));
            }
            Err(error) => return Err(error),
        }
    }
    if *with_kernels && which == Which::Usual {
        progress(&format!("{name}: single kernels"));
        rows.extend(kernels(board)?);
    }
    Ok(rows)
}

/// `rows` with those of a board and model replaced by `fresh` ones, board by board in the order of [`boards()`].
#[must_use]
pub fn merged(rows: Vec<Row>, fresh: Vec<Row>) -> Vec<Row> {
    let replaced: HashSet<_> = fresh.iter().map(|row| (row.board.clone(), row.model.clone())).collect();
    let kept = rows.into_iter().filter(|row| !replaced.contains(&(row.board.clone(), row.model.clone())));
    let mut all: Vec<_> = kept.collect();
    all.extend(fresh);
    all.sort_by_key(|row| boards().position(|board| board == row.board));
    all
}

/// What has become worse than in `committed` by more than 1 % of instructions or 2 % of predicted cycles, or is not in it although its board is: an error per row.
#[must_use]
pub fn rises(fresh: &[Row], committed: &[Row]) -> Vec<String> {
    let is_known = |row: &&Row| committed.iter().any(|other| other.board == row.board);
    let key = |row: &Row| (row.board.clone(), row.model.clone(), row.layer.clone());
    let known: BTreeMap<_, _> = committed.iter().map(|row| (key(row), row)).collect();
    let mut errors = Vec::new();
    for row in fresh.iter().filter(is_known) {
        let name = format!("{}, {}, {}", row.board, row.model, row.layer);
        match known.get(&key(row)) {
            None => errors.push(format!("{name}: not in the committed table; `{REFRESH}` refreshes it")),
            Some(before) => {
                let mut rise = |what: &str, now: u64, before: u64, percent: u64| {
                    if now * 100 > before * (100 + percent) {
                        errors.push(format!(
                            "{name}: {now} {what}, {before} in the committed table; if that is meant, `{REFRESH}` refreshes it"
                        ));
                    }
                };
                rise("instructions", row.instructions, before.instructions, 1);
                if let (Some(now), Some(before)) = (row.cycles, before.cycles) {
                    rise("predicted cycles", now, before, 2);
                }
            }
        }
    }
    errors
}

/// The rows of a table that [`to_json`] wrote.
///
/// # Errors
/// When the file cannot be read or is no such table.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    let text = files::read_text(path)?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// A list of rows, one a line.
///
/// # Errors
/// Never, for rows are numbers and text.
pub fn to_json(rows: &[Row]) -> Result<String> {
    let lines: Vec<_> = rows.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}

/// The same for people.
#[must_use]
pub fn to_markdown(rows: &[Row]) -> String {
    let mut text = format!(
        "# Executed instructions and predicted cycles\n\n\
         Written by `{REFRESH}`; `bench.json` holds the same rows. Counted by QEMU (`-icount`), the same on every run. CMSIS-NN: July 2026,\n\
         `arm-none-eabi-gcc` 12.2, counted alike. Code is the runtime's, without model, start-up and logging. On mps2-an385 the code is Armv6-M's. Shipped\n\
         models are packed for the M4, also where they run on others. Cycles, and what\n\
         follows from them, are predicted from what QEMU executes:\n\n{}\n\
         ## Models\n\n\
         | board | model | instructions | per MAC | predicted cycles | ms | µJ | CMSIS-NN | times faster | arena | stack | code | weights |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
        predicted_for(rows)
    );
    let per_mac = |row: &Row| match row.macs {
        0 => String::new(),
        macs => format!("{:.2}", row.instructions as f64 / macs as f64),
    };
    let cycles = |row: &Row| row.cycles.map_or(String::new(), grouped);
    let peer = |row: &Row| match row.peer_instructions {
        Some(peer) => (grouped(peer), format!("{:.2}", peer as f64 / row.instructions as f64)),
        None => Default::default(),
    };
    for row in rows {
        let Some(bytes) = row.bytes else { continue };
        let (peer, ratio) = peer(row);
        let [arena, stack, code, weights] =
            [bytes.arena, bytes.stack, bytes.code, bytes.weights].map(|bytes| grouped(bytes.into()));
        let (instructions, per_mac, cycles) = (grouped(row.instructions), per_mac(row), cycles(row));
        let [ms, energy] = time_and_energy(row);
        let _ = writeln!(
            text,
            "| {} | {} | {instructions} | {per_mac} | {cycles} | {ms} | {energy} | {peer} | {ratio} | {arena} | {stack} | {code} | {weights} |",
            row.board, row.model
        );
    }
    let mut heading = String::new();
    for row in rows.iter().filter(|row| row.bytes.is_none()) {
        let this = format!("{} on {}", row.model, row.board);
        if this != heading {
            let _ = write!(
                text,
                "\n## {this}\n\n| layer | MACs | instructions | per MAC | predicted cycles | CMSIS-NN | times faster |\n|---|---|---|---|---|---|---|\n"
            );
            heading = this;
        }
        let (peer, ratio) = peer(row);
        let (macs, instructions, per_mac) = (grouped(row.macs), grouped(row.instructions), per_mac(row));
        let cycles = cycles(row);
        let _ = writeln!(text, "| {} | {macs} | {instructions} | {per_mac} | {cycles} | {peer} | {ratio} |", row.layer);
    }
    text
}

/// The real board that a row's cycles are predicted for.
fn predicted(row: &Row) -> Option<&'static Board> {
    real(boards::all().iter().find(|board| board.name == row.board)?)
}

/// The boards that the cycles of these rows are predicted for, and how well.
fn predicted_for(rows: &[Row]) -> String {
    let mut boards: Vec<&Board> = Vec::new();
    for board in rows.iter().filter_map(predicted) {
        if !boards.contains(&board) {
            boards.push(board);
        }
    }
    let lines = boards.iter().filter_map(|board| {
        Some(format!("- {}, {}: {}.\n", board.title, board.core, Timing::of(board).ok()?.evidence))
    });
    lines.collect()
}

/// Milliseconds and microjoules of a row's predicted cycles.
fn time_and_energy(row: &Row) -> [String; 2] {
    let speed = predicted(row).and_then(|board| board.speed.as_ref());
    let Some((speed, cycles)) = speed.zip(row.cycles) else { return Default::default() };
    let prediction = Prediction::of_cycles(cycles, speed);
    let microjoules = prediction.microjoules.map_or(String::new(), |energy| format!("{energy:.0}"));
    [format!("{:.2}", prediction.ms), microjoules]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(layer: &str, instructions: u64) -> Row {
        let (board, model) = ("b".to_owned(), "m".to_owned());
        let bytes = (layer == "total").then_some(Bytes { arena: 1, stack: 2, code: 3, weights: 4 });
        Row {
            board,
            model,
            layer: layer.to_owned(),
            macs: 10,
            instructions,
            cycles: Some(2 * instructions),
            flash_reads: None,
            peer_instructions: None,
            bytes,
        }
    }

    #[test]
    fn a_rise_of_more_than_a_hundredth_is_found() {
        let committed = [row("a", 1000), row("total", 1000)];
        assert!(rises(&[row("a", 1010), row("total", 900)], &committed).is_empty());
        let errors = rises(&[row("a", 1011), row("b", 1)], &committed);
        assert_eq!(errors.len(), 2);
        let slower = Row { cycles: Some(2041), ..row("a", 1000) };
        assert!(rises(&[slower], &committed)[0].contains("2041 predicted cycles, 2000 "));
        assert!(errors.iter().all(|error| error.contains(REFRESH)), "{errors:?}");
    }

    #[test]
    fn the_budgets_are_those_of_the_committed_table() {
        let table = read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../firmware/bench.json"))).unwrap();
        for budget in [Budget::Least, Budget::More, Budget::Streamed, Budget::Whole] {
            let subject = resnet8(budget, Core::M4).unwrap();
            let model = Model::new(&subject.bytes).unwrap();
            let row = table.iter().find(|row| {
                (row.board.as_str(), row.model.as_str(), row.layer.as_str()) == ("mps2-an386", budget.name(), "total")
            });
            let Bytes { arena, weights, .. } = row.unwrap().bytes.unwrap();
            assert_eq!((model.arena_len() as u32, model.weight_bytes() as u32), (arena, weights), "{budget:?}");
        }
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let rows = vec![row("a", 5), row("total", 6)];
        assert_eq!(serde_json::from_str::<Vec<Row>>(&to_json(&rows).unwrap()).unwrap(), rows);
        assert!(to_markdown(&rows).contains("| b | m | 6 | 0.60 | 12 |"));
        assert_eq!(merged(rows.clone(), vec![row("a", 7)]), [row("a", 7)]);
    }
}
