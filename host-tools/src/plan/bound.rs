//! How few bytes a finished model could do with.

use kinglet::{Model, Tensor};

use super::place::{self, Buffer};
use super::segments::{Order, Step, Value};

/// The least bytes of arena that any placement needs with the order of steps, the chains and the line buffers of
/// `model`: no rearrangement of its buffers can be smaller.
pub fn lower_bound(model: &Model<'_>) -> u32 {
    let tensors: Vec<Tensor> = (0..model.tensor_count()).filter_map(|i| model.tensor(i)).collect();
    let parent = |index: usize| tensors.get(index).and_then(|t| t.parent).map(|parent| parent as usize);
    let root = |index: usize| std::iter::successors(Some(index), |&at| parent(at)).last().unwrap_or(index);
    let value = |(index, tensor): (usize, &Tensor)| {
        let row_bytes = tensor.shape.w * tensor.place.pitch;
        Value {
            rows: tensor.shape.h,
            row_bytes,
            bytes: tensor.shape.h * row_bytes,
            root: root(index),
            parts: (0..tensors.len()).filter(|&part| parent(part) == Some(index)).collect(),
            whole: tensor.is_whole(),
        }
    };
    let values: Vec<Value> = tensors.iter().enumerate().map(value).collect();
    let wiring: Vec<_> = (0..model.step_count()).filter_map(|i| Some((model.step(i)?, model.operands(i)?))).collect();
    let steps: Vec<Step> = wiring
        .iter()
        .map(|(step, [a, b, output])| Step {
            inputs: [*a, *b]
                .into_iter()
                .flatten()
                .zip(0..)
                .map(|(input, operand)| (input, step.op.reach(operand), step.op.in_place(operand)))
                .collect(),
            output: output.unwrap_or_default(),
            block: step.op.row_block(),
            scratch: step.scratch.len,
        })
        .collect();
    let states = || model.states().flat_map(|state| [state.port.index, state.next]);
    let given: Vec<usize> = model.inputs().map(|port| port.index).chain(states().step_by(2)).collect();
    let kept: Vec<usize> = model.outputs().map(|port| port.index).chain(states()).collect();
    let order = Order { values: &values, steps: &steps, given: &given, kept: &kept };
    let mut buffers: Vec<Buffer> = tensors
        .iter()
        .map(|t| Buffer { size: if t.parent.is_none() { t.span() } else { 0 }, first: t.first, last: t.last })
        .collect();
    let mut overlays = Vec::new();
    let mut start = 0;
    for chain in wiring.chunk_by(|a, b| a.0.time_slot == b.0.time_slot) {
        let range = start..start + chain.len();
        start = range.end;
        let time_slot = chain.first().map_or(0, |(step, _)| step.time_slot);
        let scratch = chain.iter().map(|(step, _)| step.scratch.len).max().unwrap_or(0);
        buffers.push(Buffer { size: scratch, first: time_slot, last: time_slot });
        let lines = range.clone().map(|i| steps[i].output).filter(|&output| !tensors[output].is_whole());
        let kept: Vec<_> = lines.map(|output| (output, tensors[output].place.rows)).collect();
        let mut found = order.overlays(&range, &kept);
        // A step by itself runs all its rows at once unless its output lies over its input.
        let by_rows = chain.len() > 1
            || chain.iter().any(|(step, _)| {
                let output = &step.tensors.output;
                std::iter::once(&step.tensors.a)
                    .chain(&step.tensors.b)
                    .any(|input| input.region().overlaps(output.region()) && input.place.offset != output.place.offset)
            });
        if !by_rows {
            found.iter_mut().for_each(|overlay| overlay.reach = -i64::from(u32::MAX));
        }
        overlays.extend(found);
    }
    place::lower_bound(&buffers, &overlays)
}
