//! From the integer network to a model file: lower, plan, write, and let the runtime judge the result.

mod lower;

use std::path::Path;

use kinglet::format::{ModelSpec, StepSpec};
use kinglet::{Model, ModelError, PixelTables};
use thiserror::Error;

pub use lower::Constants;

use crate::files;
use crate::network::{Network, Node};
use crate::plan::{Options, Plan, Program};

/// Why a network could not be exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// A node that the runtime cannot express.
    #[error("node `{node}`: {reason}")]
    Node {
        /// The node.
        node: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The runtime refuses what was written: a defect of the exporter, or a network that contradicts itself.
    #[error("the exported model of `{network}` is not valid: {error}")]
    Refused {
        /// The network.
        network: String,
        /// What the runtime says.
        error: ModelError,
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

impl ExportError {
    pub(crate) fn node(node: &Node, reason: String) -> Self {
        Self::Node { node: node.name.clone(), reason }
    }
}

/// An exported model.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The model file.
    pub bytes: Vec<u8>,
    /// The plan that it holds.
    pub plan: Plan,
}

/// Exports a network to the bytes of a model file that the runtime has accepted.
///
/// # Errors
/// When a node cannot be lowered or the runtime refuses the result.
pub fn to_bytes(network: &Network, options: &Options) -> Result<Exported, ExportError> {
    let constants = network.nodes.iter().map(|node| Constants::of(network, node)).collect::<Result<Vec<_>, _>>()?;
    let program = Program::new(network, &constants)?;
    let plan = Plan::new(&program, options);
    let steps: Vec<_> = plan
        .steps
        .iter()
        .map(|planned| StepSpec {
            name: program.steps[planned.step].name,
            op: program.steps[planned.step].op,
            a: planned.inputs[0].unwrap_or(0) as u32,
            b: planned.inputs[1].map(|b| b as u32),
            output: planned.output as u32,
            moment: planned.moment,
            scratch: planned.scratch,
        })
        .collect();
    let bytes = ModelSpec {
        name: &network.name,
        arena_len: plan.arena_len,
        input: plan.input as u32,
        output: plan.output as u32,
        tensors: &plan.tensors,
        steps: &steps,
        labels: &network.labels,
        pixels: network.pixels.as_ref().map(|p| PixelTables { order: p.order, tables: &p.tables }),
    }
    .to_bytes();
    match Model::new(&bytes) {
        Ok(_) => Ok(Exported { bytes, plan }),
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
