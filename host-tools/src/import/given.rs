//! Quantizing a float network with the scales that its file gives (ONNX with QuantizeLinear/DequantizeLinear pairs).

use kinglet::QuantParams;
use kinglet::ops::Softmax;
use thiserror::Error;

use super::ImportedFloat;
use crate::graph::{Graph, NodeId};
use crate::network::Network;
use crate::quantize::fold::{Folded, FoldedOp};
use crate::quantize::{QuantizeError, emit};

/// Why the given scales do not make an int8 network.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GivenError {
    /// Not a network that can be quantized at all.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// A value for which the file gives no scale.
    #[error(
        "the file gives no scale for the output of `{0}`: quantize all of the model, or none and give calibration images"
    )]
    Missing(String),
}

/// The int8 network of a float network with given scales.
///
/// Weights are quantized anew from the numbers that the file's integers stand for, with batch normalization folded in:
/// that keeps the integers of every channel whose largest weight uses the whole range.
///
/// # Errors
/// When a value has no scale.
pub fn quantize(imported: &ImportedFloat) -> Result<Network, GivenError> {
    let folded = Folded::new(&imported.graph, &imported.params)?;
    let mut quants: Vec<Option<QuantParams>> = vec![None; folded.values()];
    for id in imported.graph.ids() {
        if let Some(&quant) = imported.quants.get(&imported.graph.node(id).name) {
            // Of several operators that were folded into one the last one's output counts.
            quants[value_of(&imported.graph, &folded, id)] = Some(quant);
        }
    }
    share(&folded, &mut quants);
    let mut complete = Vec::with_capacity(quants.len());
    for (value, quant) in quants.into_iter().enumerate() {
        match quant {
            Some(quant) => complete.push(quant),
            None => return Err(GivenError::Missing(folded.value_name(value).to_owned())),
        }
    }
    Ok(emit::emit(&folded, &complete))
}

/// The folded value that holds the output of `id`: that of the node it was merged into.
fn value_of(graph: &Graph, folded: &Folded, mut id: NodeId) -> usize {
    loop {
        let node = graph.node(id);
        if let Some(at) = folded.nodes.iter().position(|folded| folded.name == node.name) {
            return at + 1;
        }
        match node.inputs.first() {
            Some(&input) => id = input,
            None => return 0,
        }
    }
}

/// Gives one scale to values that an operator only moves. A concatenation's own scale is that of its parts; else what
/// comes first in the order of execution counts.
fn share(folded: &Folded, quants: &mut [Option<QuantParams>]) {
    for (node, value) in folded.nodes.iter().zip(1..) {
        if node.op == FoldedOp::Softmax {
            quants[value] = Some(Softmax::OUTPUT);
        }
    }
    // A pass backward for concatenations and forward for the rest settles a chain; nested ones need as many passes.
    for _ in 0..folded.nodes.len() {
        let before = quants.to_vec();
        for (index, node) in folded.nodes.iter().enumerate().rev() {
            let value = index + 1;
            let parts = node.inputs.iter().copied();
            if node.op == FoldedOp::Concat {
                let own = quants[value].or_else(|| parts.clone().find_map(|part| quants[part]));
                parts.for_each(|part| quants[part] = own);
                quants[value] = own;
            } else if node.op.keeps_quantization()
                && let Some(&input) = node.inputs.first()
                && quants[input].is_none()
            {
                quants[input] = quants[value];
            }
        }
        for (node, value) in folded.nodes.iter().zip(1..) {
            if node.op.keeps_quantization()
                && node.op != FoldedOp::Concat
                && let Some(&input) = node.inputs.first()
                && quants[input] != quants[value]
            {
                // A part of a concatenation passes its scale on to what it was moved from.
                let joined = folded.nodes.iter().any(|n| n.op == FoldedOp::Concat && n.inputs.contains(&value));
                if joined { quants[input] = quants[value] } else { quants[value] = quants[input] }
            }
        }
        if before == quants {
            return;
        }
    }
}
