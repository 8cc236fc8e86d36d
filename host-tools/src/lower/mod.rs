//! From a network's nodes to the runtime's operators over tensors, before anything has a place: multipliers instead of scales,
//! biases with the zero points in them, views instead of concatenations.

mod curves;
mod node;
mod program;

use kinglet::kernels::algorithms::Core;
use thiserror::Error;

pub use node::Lowered;
pub use program::{Program, ProgramStep};

use crate::network::{Network, Node};

/// A node that the runtime cannot express.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("node `{node}`: {reason}")]
pub struct LowerError {
    /// The node.
    pub node: String,
    /// What is wrong with it, and what would be right.
    pub reason: String,
}

/// All nodes of a validated network, for `core`, each judged by the runtime's operator.
///
/// # Errors
/// Names the first node that cannot be lowered.
pub fn lower(network: &Network, core: Core) -> Result<Vec<Lowered>, LowerError> {
    network.nodes.iter().map(|node| lower_node(network, node, core)).collect()
}

/// One node of a network.
///
/// # Errors
/// Names the ratio of scales that is out of range, or what the operator does not take.
pub fn lower_node(network: &Network, node: &Node, core: Core) -> Result<Lowered, LowerError> {
    Lowered::new(network, node, core).map_err(|reason| LowerError { node: node.name.clone(), reason })
}
