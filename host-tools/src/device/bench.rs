//! The bench of devices: models and single kernels on emulated boards, in executed instructions, beside CMSIS-NN's, and in cycles
//! that they are predicted to take on real ones.
//!
//! QEMU counts exactly, so that two runs agree to the instruction, and the tests can hold a measurement against the
//! committed table.

mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kinglet::kernels::algorithms::Core;
use kinglet::{DType, Model, f16};
use ndarray::Array4;

pub use table::{Bytes, Row, committed, merged, read, rises, to_json, to_markdown};

use super::{Board, Build, Code, Program, evaluate_with, networks, peer, run, trace};
use crate::boards;
use crate::cycles::{Counts, Prediction, Trace};
use crate::files;
use crate::graph::{NetworkRecipe, Params, Preprocess};
use crate::simulate::Images;
use crate::sources;
use crate::{deploy, export, plan, quantize};

/// What refreshes the committed tables.
pub const REFRESH: &str = "cargo xtask bench device";

/// A board with the budgets that ResNet-8 is measured with, and whether single kernels are measured on it.
type Plan = (&'static str, &'static [Budget], bool);

/// What is measured where, beside the shipped models that fit: one board for each core, and for Armv6-M code that does not fit the
/// microbit the M3's machine. The lm3s6965evb has 256 KB of flash and no memory for the bench of single kernels. On a real board
/// MLPerf Tiny's networks alone are traced: it differs from another by its flash.
const PLANS: [Plan; 8] = [
    (
        "mps2-an386",
        &[Budget::Least, Budget::More, Budget::Any, Budget::Streamed, Budget::Small, Budget::Whole, Budget::Float16],
        true,
    ),
    ("nucleo-l4r5zi-single", &[Budget::Least, Budget::More, Budget::Any, Budget::Streamed, Budget::Small], false),
    ("mps3-an547", &[Budget::Least, Budget::Float16], true),
    ("mps2-an385", &[Budget::Any, Budget::LoopsInRam], true),
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

/// The board of this name, the budgets of ResNet-8 on it, and whether single kernels are measured there.
fn planned(name: &str) -> Result<(&'static Board, &'static [Budget], bool)> {
    let plan = PLANS.iter().find(|plan| plan.0 == name);
    let &(_, budgets, with_kernels) = plan.with_context(|| format!("no bench on `{name}`"))?;
    Ok((boards::find(name, boards::all().iter(), "there are")?, budgets, with_kernels))
}

const LIMIT: Duration = Duration::from_secs(600);

/// A model to measure.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name in the table.
    pub name: String,
    /// The model file.
    pub bytes: Vec<u8>,
    /// Where the code lies that runs it.
    pub code: Code,
}

impl From<(&str, Vec<u8>)> for Subject {
    /// A name and a model file.
    fn from((name, bytes): (&str, Vec<u8>)) -> Self {
        Self { name: name.to_owned(), bytes, code: Code::InFlash }
    }
}

impl Subject {
    /// A model file, by its own name.
    ///
    /// # Errors
    /// When it cannot be read or is not valid.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = files::read(path)?;
        let model = Model::new(&bytes).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        let name = model.name().to_owned();
        Ok(Self::from((name.as_str(), bytes)))
    }
}

/// The shipped models.
///
/// # Errors
/// When one cannot be read.
pub fn shipped() -> Result<Vec<Subject>> {
    shipped_paths()?.iter().map(|path| Subject::read(path)).collect()
}

/// Their files, each named as its folder in `models/`: those of studies are not.
///
/// # Errors
/// When the folder cannot be read.
pub fn shipped_paths() -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for folder in fs::read_dir(sources::root()?.join("models"))? {
        let folder = folder?;
        let mut name = folder.file_name();
        name.push(".kgl");
        paths.push(folder.path().join(name));
    }
    paths.retain(|path| path.is_file());
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
    /// 21 KiB of arena, weights keep their size.
    Small,
    /// As little arena as can be without streaming, weights keep their size.
    Whole,
    /// As [`Budget::Any`], with the runtime's loops in RAM.
    LoopsInRam,
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
            Budget::LoopsInRam => "resnet8 any flash, loops in RAM",
            Budget::Streamed => "resnet8 least RAM",
            Budget::Small => "resnet8 21 KB RAM",
            Budget::Whole => "resnet8 least RAM, not streamed",
            Budget::Float16 => "resnet8 float16",
        }
    }

    fn options(self, core: Core) -> export::Options {
        let flash = match self {
            Budget::More => 183 * 1024,
            Budget::Any | Budget::LoopsInRam | Budget::Float16 => 1 << 20,
            Budget::Least | Budget::Streamed | Budget::Small | Budget::Whole => 90 * 1024,
        };
        let ram = match self {
            Budget::Streamed | Budget::Whole => None,
            Budget::Small => Some(21 * 1024),
            Budget::Float16 => Some(96 * 1024),
            Budget::Least | Budget::More | Budget::Any | Budget::LoopsInRam => Some(48 * 1024),
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
    let code = if budget == Budget::LoopsInRam { Code::LoopsInRam } else { Code::InFlash };
    Ok(Subject { code, ..Subject::from((budget.name(), bytes)) })
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
    use Budget::{Any, Float16, Least, More, Small, Streamed, Whole};
    let is_fresh = |begin: &str| rows.iter().any(|row| row.model.starts_with(begin) && row.flash_reads.is_some());
    let mut subjects = shipped()?;
    if is_fresh("resnet8") {
        for budget in [Least, More, Any, Streamed, Small, Whole, Float16] {
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
        Build { model, code: subject.code, ..Build::new(board, program) }.run()
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
    let runtime = || {
        Ok::<u32, anyhow::Error>(flash(Program::Bare)?.saturating_sub(flash(Program::Startup)?) - report.model_bytes)
    };
    let whole = same(subject.name.starts_with("resnet8").then(|| peer::resnet8(board.name)).flatten());
    rows.push(row(
        "total",
        measured.macs,
        measured.instructions,
        cycles(&|trace| Some(trace.total))?,
        whole,
        if sizes { Some(bytes(runtime()?)) } else { None },
    ));
    Ok(rows)
}

/// The most, in percent, by which a total of predicted cycles may change when the code lies elsewhere in a cache.
pub const APART: f64 = 1.0;

/// Least and most predicted cycles of ResNet-8 under its budgets and of MLPerf Tiny's other networks, when the code is moved by 0 to 28
/// bytes; `found` hears them.
///
/// # Errors
/// As [`all`], and where cycles are not predicted.
pub fn moved(board: &str, mut found: impl FnMut(&str, [u64; 2])) -> Result<()> {
    let (board, budgets, _) = planned(board)?;
    let core = board.instruction_set();
    let resnets = budgets.iter().map(|&budget| resnet8(budget, core));
    for subject in resnets.chain(networks::mlperf(core)?.into_iter().map(Ok)) {
        let mut subject = subject?;
        let mut range = [u64::MAX, 0];
        for bytes in (0..32).step_by(4) {
            subject.code = Code::Moved(bytes);
            let rows = measure_it(board, &subject, false)?;
            let cycles = rows.last().and_then(|total| total.cycles);
            let cycles = cycles.with_context(|| format!("the cycles of {} are not predicted", board.name))?;
            range = [range[0].min(cycles), range[1].max(cycles)];
        }
        found(&subject.name, range);
    }
    Ok(())
}

/// Measures the single kernels on a board: a row for each kernel and algorithm.
///
/// # Errors
/// As [`measure`], and when a kernel differs from its definition.
pub fn kernels(board: &'static Board) -> Result<Vec<Row>> {
    let elf = Build::new(board, Program::Kernels).run()?;
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

/// Measures that on a board, or of it the model of the name `only`; `progress` hears what comes next.
///
/// # Errors
/// As [`measure`], and when nothing is measured on this board, or no model of that name. Models that do not fit it are passed over.
pub fn all(board: &str, which: Which, only: Option<&str>, mut progress: impl FnMut(&str)) -> Result<Vec<Row>> {
    let (board, budgets, with_kernels) = planned(board)?;
    let (name, core, emulated) = (board.name, board.instruction_set(), board.is_emulated());
    let mut subjects = Vec::new();
    match which {
        Which::Usual => {
            if emulated {
                subjects.extend(shipped()?);
            }
            for &budget in budgets {
                subjects.push(resnet8(budget, core)?);
            }
        }
        Which::Shapes if emulated => subjects.extend(others(core)?),
        Which::Shapes => subjects.extend(networks::mlperf(core)?),
    }
    if let Some(only) = only {
        let names: Vec<_> = subjects.iter().map(|subject| subject.name.clone()).collect();
        subjects.retain(|subject| subject.name == only);
        ensure!(!subjects.is_empty(), "no model `{only}` is measured on {name}; there are {}", names.join(", "));
    }
    let mut rows = Vec::new();
    for subject in &subjects {
        progress(&format!("{name}: {}", subject.name));
        match measure_it(board, subject, emulated && which == Which::Usual) {
            Ok(measured) => rows.extend(measured),
            // Not every model that is shipped is for every board.
            Err(error) if format!("{error:#}").contains(super::firmware::TOO_LARGE) => {
                progress(&format!("{name}: {} does not fit", subject.name));
            }
            Err(error) => return Err(error),
        }
    }
    if with_kernels && which == Which::Usual && only.is_none() {
        progress(&format!("{name}: single kernels"));
        rows.extend(kernels(board)?);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
