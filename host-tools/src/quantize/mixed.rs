//! Mixed networks: named layers in float16, the others in int8, and conversions where they meet.

use std::collections::HashMap;

use kinglet::{DType, QuantParams, Rounding};

use super::fold::ValueId;
use super::{Prepared, QuantizeError, emit, float16};
use crate::network::{Network, Node, NodeOp, TensorId, TensorInfo};

/// The integer network with the layers called `kept` in float16.
///
/// # Errors
/// When no layer has such a name, and as [`float16::emit`].
pub fn emit(prepared: &Prepared, kept: &[String]) -> Result<Network, QuantizeError> {
    let Prepared { float: network, corrected, quants } = prepared;
    let is_kept = |name: &str| kept.iter().any(|kept| kept == name);
    if let Some(unknown) = kept.iter().find(|name| !network.nodes.iter().any(|node| node.name == **name)) {
        let names = network.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(QuantizeError::UnknownLayer { name: unknown.clone(), names });
    }
    let integers = emit::emit(corrected, quants);
    let nodes = integers.nodes.clone();
    let mut mixed =
        Mixed { quants, forms: HashMap::from([((0, false), 0)]), network: Network { nodes: Vec::new(), ..integers } };
    for (folded, node) in network.nodes.iter().zip(nodes) {
        let half = is_kept(&folded.name);
        let inputs = node.inputs.iter().map(|&value| mixed.form(value, half)).collect();
        let op = if half { float16::op(folded)? } else { node.op };
        let output = &mut mixed.network.tensors[node.output];
        (output.dtype, output.quant) = kind(half, output.quant);
        mixed.forms.insert((node.output, half), node.output);
        mixed.network.nodes.push(Node { op, inputs, ..node });
    }
    Ok(mixed.network)
}

/// Element type and quantization.
fn kind(half: bool, quant: QuantParams) -> (DType, QuantParams) {
    if half { (DType::F16, QuantParams::REAL) } else { (DType::I8, quant) }
}

/// A mixed network in the making. A value's first form is the tensor of its number.
struct Mixed<'q> {
    quants: &'q [QuantParams],
    /// The tensor of each value, in int8 and in float16, as far as there is one.
    forms: HashMap<(ValueId, bool), TensorId>,
    network: Network,
}

impl Mixed<'_> {
    /// The tensor of a value in float16 or in int8, converted where there is none yet.
    fn form(&mut self, value: ValueId, half: bool) -> TensorId {
        if let Some(&tensor) = self.forms.get(&(value, half)) {
            return tensor;
        }
        let output = self.network.tensors.len();
        let (dtype, quant) = kind(half, self.quants[value]);
        let given = &self.network.tensors[value];
        let name = format!("{} as {}", given.name, dtype.name());
        self.network.tensors.push(TensorInfo { name: name.clone(), shape: given.shape, dtype, quant });
        self.network.nodes.push(Node {
            name,
            op: NodeOp::Convert,
            inputs: vec![value],
            output,
            rounding: Rounding::Double,
        });
        self.forms.insert((value, half), output);
        output
    }
}
