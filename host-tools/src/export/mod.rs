//! From the integer network to a model file: lower, plan, write, and let the runtime judge the result.

mod algorithms;

use std::path::Path;
use std::time::{Duration, Instant};

use kinglet::format::layout::MAX_COUNT;
use kinglet::format::{About, RoundingSource};
use kinglet::kernels::algorithms::{ConvAlgorithm, Core};
use kinglet::write::{ModelSpec, PortSpec, StateSpec, StepSpec};
use kinglet::{Model, ModelError, PixelTables};
use thiserror::Error;

use algorithms::Choice;
pub use algorithms::{StoredAs, weights_in_words};

use crate::boards::Board;
use crate::elements;
use crate::files;
use crate::lower::{self, LowerError, Lowered, Program};
use crate::network::{Network, NetworkError, State, TensorId};
use crate::plan::{self, Measured, Plan};

/// Why a network could not be exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The network breaks a rule: which node, which field, and what would be right.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A node that the runtime cannot express.
    #[error(transparent)]
    Node(#[from] LowerError),
    /// More nodes than a model file has steps.
    #[error("`{network}` has {nodes} operators; a model file has room for {}", MAX_COUNT)]
    Long {
        /// The network.
        network: String,
        /// Its nodes.
        nodes: usize,
    },
    /// The runtime refuses what was written: a defect of the exporter, or a network that contradicts itself.
    #[error("the exported model of `{network}` is not valid: {error}")]
    Refused {
        /// The network.
        network: String,
        /// What the runtime says.
        error: ModelError,
    },
    /// No plan fits the budget of arena.
    #[error(
        "no plan of `{network}` fits {ram} bytes of arena{}: the smallest takes {needed}, that is {} more; most is in use at \
         time slot {time_slot}, by {steps}",
        fast.map_or(String::new(), |fast| format!(" beside {fast} bytes of fast memory")), needed - ram
    )]
    Ram {
        /// The network.
        network: String,
        /// Bytes of arena that there are.
        ram: u32,
        /// Bytes of fast memory that there are beside those.
        fast: Option<u32>,
        /// Bytes of arena that the smallest plan takes, beside the fast memory.
        needed: u32,
        /// The time slot at which that plan uses the most bytes.
        time_slot: usize,
        /// The steps that run then.
        steps: String,
    },
    /// No choice of algorithms fits the budget of flash.
    #[error("no file of `{network}` fits {flash} bytes of flash: the smallest takes {needed}, that is {} more", needed - flash)]
    Flash {
        /// The network.
        network: String,
        /// Bytes of flash that there are for the file.
        flash: u32,
        /// Bytes of the smallest file.
        needed: u32,
    },
    /// The fastest model that flash and RAM hold takes more cycles than the budget.
    #[error(
        "`{network}` takes {needed} cycles on {board} by prediction, {} more than the budget of {cycles}, with the flash and RAM that there are",
        needed - cycles
    )]
    Cycles {
        /// The network.
        network: String,
        /// The board.
        board: &'static str,
        /// Cycles that an inference may take.
        cycles: u64,
        /// Cycles that it takes.
        needed: u64,
    },
    /// The file could not be written.
    #[error("cannot write `{path}`: {error}")]
    Write {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
}

/// An exported model.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The model file.
    pub bytes: Vec<u8>,
    /// The plan that it holds.
    pub plan: Plan,
    /// What choosing algorithms and planning took.
    pub time: Duration,
    /// How often algorithms were chosen anew.
    pub rounds: usize,
    /// How the weights of each convolution that fit fewer bits than eight can be stored.
    pub stored: Vec<StoredAs>,
}

/// What the exporter may spend.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How steps may be interleaved, and the bytes of arena. Without a budget the arena is as small as can be, and the
    /// fastest algorithms that keep it so are taken.
    pub plan: plan::Options,
    /// Bytes of flash for the file. Without a budget weights take no more than in their smallest packing.
    pub flash: Option<u32>,
    /// The core for which algorithms are chosen; the model runs on all.
    pub core: Core,
    /// The board whose predicted cycles decide, where they are known, instead of the core's instructions.
    pub board: Option<&'static Board>,
    /// Computes every convolution by this algorithm that can be.
    pub algorithm: Option<ConvAlgorithm>,
}

/// Exports a network to the bytes of a model file that the runtime has accepted.
///
/// # Errors
/// When the network is not valid, a node cannot be lowered, no plan fits the budget of RAM or no file that of flash, or the
/// runtime refuses the result.
pub fn to_bytes(network: &Network, options: &Options) -> Result<Exported, ExportError> {
    network.validate()?;
    if network.nodes.len() > MAX_COUNT as usize {
        return Err(ExportError::Long { network: network.name.clone(), nodes: network.nodes.len() });
    }
    let start = Instant::now();
    let Some(flash) = options.flash else { return with_weights(network, options, None) };
    let mut exported = with_weights(network, options, Some(flash))?;
    for least in [false, true] {
        let len = exported.bytes.len() as u32;
        if len <= flash {
            break;
        }
        // The rest of the file is as long whatever the weights.
        let weights = Model::new(&exported.bytes).map_or(0, |model| model.weight_bytes() as u32);
        let left = if least { 0 } else { flash.saturating_sub(len - weights) };
        exported = with_weights(network, options, Some(left))?;
    }
    match exported.bytes.len() as u32 {
        needed if needed > flash => Err(ExportError::Flash { network: network.name.clone(), flash, needed }),
        _ => Ok(Exported { time: start.elapsed(), ..exported }),
    }
}

/// As [`to_bytes`], with a budget of bytes of weights and tables.
fn with_weights(network: &Network, options: &Options, weights: Option<u32>) -> Result<Exported, ExportError> {
    let start = Instant::now();
    let direct = lower::lower(network, options.core)?;
    let mut choice = Choice::new(network, &direct, options, weights);
    let mut nodes = direct.clone();
    let measured = Measured::default();
    let smallest = |nodes: &[Lowered]| Plan::smallest(&Program::new(network, nodes), &options.plan, &measured);
    // The least scratch gives the least arena; the budget, or that, is then spent on faster algorithms.
    choice.least();
    choice.apply(&mut nodes);
    let least = smallest(&nodes);
    let ram = options.plan.ram.unwrap_or(least.slow_len());
    if least.slow_len() <= ram {
        choice.settle();
    }
    choice.lift();
    let fits = |nodes: &[Lowered]| Plan::within(&Program::new(network, nodes), &options.plan, ram, &measured);
    let mut rounds = 0;
    loop {
        rounds += 1;
        choice.apply(&mut nodes);
        let program = Program::new(network, &nodes);
        match Plan::within_or_demands(&program, &options.plan, ram, &measured) {
            Ok(plan) => {
                let plan = choice.loosen(&mut nodes, fits).unwrap_or(plan);
                return write(network, &nodes, &choice, plan, start, rounds);
            }
            // Each time some convolution loses an algorithm, and none gets one back.
            Err(demands) if choice.tighten(&program, &demands) => {}
            Err(_) => break,
        }
    }
    let tight = smallest(&nodes);
    choice.least();
    choice.apply(&mut nodes);
    if least.slow_len() <= ram {
        let plan = fits(&nodes).unwrap_or(least);
        let plan = choice.loosen(&mut nodes, fits).unwrap_or(plan);
        return write(network, &nodes, &choice, plan, start, rounds);
    }
    let program = Program::new(network, &nodes);
    if options.plan.ram.is_some() {
        // Other algorithms may happen to pack better: what is found without a budget may meet it.
        let plan = plan::Options { ram: None, ..options.plan };
        let exported = with_weights(network, &Options { plan, ..*options }, weights)?;
        if exported.plan.slow_len() <= ram {
            return Ok(Exported { time: start.elapsed(), rounds: rounds + exported.rounds, ..exported });
        }
    }
    let needed = if tight.slow_len() < least.slow_len() { tight } else { least };
    Err(too_large(network, &program, &needed, ram, options.plan.fast))
}

/// What is missing, and where.
fn too_large(network: &Network, program: &Program<'_>, plan: &Plan, ram: u32, fast: Option<u32>) -> ExportError {
    let in_use = plan.in_use();
    let most = in_use.iter().copied().max().unwrap_or(0);
    let time_slot = in_use.iter().position(|&bytes| bytes == most).unwrap_or(0);
    let at_peak = plan.steps.iter().filter(|step| step.time_slot as usize == time_slot);
    let names: Vec<_> = at_peak.map(|step| format!("`{}`", program.steps[step.step].name)).collect();
    let steps = if names.is_empty() { "input or output alone".to_owned() } else { names.join(", ") };
    ExportError::Ram { network: network.name.clone(), ram, fast, needed: plan.slow_len(), time_slot, steps }
}

/// Writes a planned program and has the runtime check it.
fn write(
    network: &Network,
    nodes: &[Lowered],
    choice: &Choice<'_>,
    plan: Plan,
    start: Instant,
    rounds: usize,
) -> Result<Exported, ExportError> {
    let program = Program::new(network, nodes);
    let steps: Vec<_> = plan
        .steps
        .iter()
        .map(|planned| StepSpec {
            name: program.steps[planned.step].name,
            op: program.steps[planned.step].op,
            a: planned.inputs[0].unwrap_or(0) as u32,
            b: planned.inputs[1].map(|b| b as u32),
            output: planned.output as u32,
            time_slot: planned.time_slot,
            scratch: planned.scratch,
        })
        .collect();
    let port = |id: TensorId| PortSpec { name: &network.tensors[id].name, tensor: plan.index[id] as u32 };
    let initial = |state: &State| elements::to_bytes(&state.initial, network.tensors[state.tensor].dtype);
    let initials: Vec<Vec<u8>> = network.states.iter().map(initial).collect();
    let states = network.states.iter().zip(&initials).map(|(state, initial)| StateSpec {
        port: port(state.tensor),
        next: plan.index[state.next] as u32,
        initial,
    });
    let dtype = network.input().dtype;
    let tables = network.pixels.as_ref().map_or_else(Vec::new, |pixels| {
        elements::to_bytes(&pixels.tables, dtype).into_iter().map(|byte| byte as i8).collect()
    });
    let bytes = ModelSpec {
        name: &network.name,
        arena_len: plan.arena_len,
        fast_len: plan.fast_len,
        inputs: &network.inputs.iter().map(|&id| port(id)).collect::<Vec<_>>(),
        outputs: &network.outputs.iter().map(|&id| port(id)).collect::<Vec<_>>(),
        states: &states.collect::<Vec<_>>(),
        about: About { rounding: network.rounding, rounding_version: compared(network.rounding), ..About::UNKNOWN },
        tensors: &plan.tensors,
        steps: &steps,
        labels: &network.labels,
        pixels: network.pixels.as_ref().map(|p| PixelTables { order: p.order, tables: &tables, dtype }),
    }
    .to_bytes();
    match Model::new(&bytes) {
        Ok(_) => Ok(Exported { bytes, plan, time: start.elapsed(), rounds, stored: choice.stored() }),
        Err(error) => Err(ExportError::Refused { network: network.name.clone(), error }),
    }
}

/// Exports a network to a file, which appears whole or not at all.
///
/// # Errors
/// As [`to_bytes`], and when the file cannot be written.
pub fn to_file(network: &Network, options: &Options, path: &Path) -> Result<Exported, ExportError> {
    let exported = to_bytes(network, options)?;
    files::write(path, &exported.bytes)
        .map_err(|error| ExportError::Write { path: path.display().to_string(), error })?;
    Ok(exported)
}

/// The version of what networks are compared with, a date as a number: TensorFlow Lite Micro's wheel, or none.
const fn compared(with: RoundingSource) -> u32 {
    match with {
        RoundingSource::Tflm => 20_261_023,
        RoundingSource::Tflm2025 => 20_261_012,
        RoundingSource::Unknown | RoundingSource::Reference | RoundingSource::Single => 0,
    }
}
