//! Verifies a memory plan: who writes what when, and that nobody writes over what is still needed.
//!
//! The planner in the host tools searches; this file only checks, so that a plan need not be trusted. With the
//! file's own words, a plan is safe when:
//!
//! 1. Every tensor has exactly one producer: the caller (the input), one step, or its *parts* (a joint tensor).
//! 2. A step reads only tensors that are completely written (`ready`) and still alive (`last`).
//! 3. The parts of a joint tensor tile its channels exactly, with its pitch, and live as long as it does.
//! 4. Tensors that live at the same moment share no byte, unless one is a part of the other, or a step writes its
//!    output exactly over an input that dies there and whose operator can work in place.
//! 5. A step's scratch shares no byte with any living tensor.
//! 6. Everything lies inside the arena.

use crate::bytes::attempt;
use crate::error::{Fault, ModelError};
use crate::format::layout::{header, tensor as record};
use crate::format::{File, StepRecord};
use crate::memory::Region;
use crate::ops::Op;
use crate::tensor::Tensor;

/// Scratch starts at multiples of this many bytes.
pub const SCRATCH_ALIGN: u32 = 16;

/// The moment at which step `index` runs.
const fn moment(index: u32) -> u32 {
    index.saturating_add(1)
}

/// Checks the plan of a file whose tensors and steps decode.
pub(crate) const fn verify(file: &File<'_>) -> Result<(), ModelError> {
    let mut index = 0;
    while index < file.tensors {
        attempt!(check_producer(file, index));
        index += 1;
    }
    attempt!(check_output(file));
    let mut index = 0;
    while index < file.steps {
        attempt!(check_step(file, index));
        index += 1;
    }
    let mut later = 0;
    while later < file.tensors {
        let mut earlier = 0;
        while earlier < later {
            attempt!(check_pair(file, earlier, later));
            earlier += 1;
        }
        later += 1;
    }
    Ok(())
}

/// Whether tensor `index` has exactly one producer, and the moments that follow from it.
const fn check_producer(file: &File<'_>, index: u32) -> Result<(), ModelError> {
    let tensor = attempt!(file.tensor(index));
    let at = file.tensor_at(index);
    let lifetime = Err(ModelError::new(Fault::Lifetime, at + record::FIRST));
    if tensor.first > tensor.ready || tensor.ready > tensor.last || tensor.last > moment(file.steps) {
        return lifetime;
    }
    let mut producers = 0;
    if index == file.input {
        producers += 1;
        if tensor.ready != 0 {
            return lifetime;
        }
    }
    let mut step = 0;
    while step < file.steps {
        if attempt!(file.step(step)).output == index {
            producers += 1;
            if tensor.first != moment(step) || tensor.ready != moment(step) {
                return lifetime;
            }
        }
        step += 1;
    }
    if attempt!(check_parts(file, index, &tensor)) {
        producers += 1;
    }
    if producers != 1 {
        return lifetime;
    }
    Ok(())
}

/// Whether the tensor is a joint one; if it is, its parts must tile it.
const fn check_parts(file: &File<'_>, index: u32, joint: &Tensor) -> Result<bool, ModelError> {
    let (mut bytes, mut first, mut ready) = (0u32, u32::MAX, 0);
    let mut other = 0;
    while other < file.tensors {
        let part = attempt!(file.tensor(other));
        if matches!(part.joint, Some(joint) if joint == index) {
            let at = file.tensor_at(other) + record::JOINT;
            // Joints come after their parts, so that no tensor is, by a ring, a part of itself.
            if other >= index || !is_part(&part, joint) {
                return Err(ModelError::new(Fault::Operand, at));
            }
            if part.last != joint.last {
                return Err(ModelError::new(Fault::Lifetime, at));
            }
            bytes = bytes.saturating_add(part.pixel_bytes());
            first = if part.first < first { part.first } else { first };
            ready = if part.ready > ready { part.ready } else { ready };
        }
        other += 1;
    }
    if bytes == 0 {
        return Ok(false);
    }
    // Parts are pairwise disjoint (checked with the other pairs), so equal sums mean that they tile.
    if bytes != joint.pixel_bytes() {
        return Err(ModelError::new(Fault::ShapeRule, file.tensor_at(index)));
    }
    if first != joint.first || ready != joint.ready {
        return Err(ModelError::new(Fault::Lifetime, file.tensor_at(index) + record::FIRST));
    }
    Ok(true)
}

/// Whether `part` has the pixels, type, quantization and pitch of `joint` and lies within its channels.
const fn is_part(part: &Tensor, joint: &Tensor) -> bool {
    let (start, pitch) = (joint.place.offset, joint.place.pitch);
    part.shape.h == joint.shape.h
        && part.shape.w == joint.shape.w
        && part.dtype.code() == joint.dtype.code()
        && part.quant.same(joint.quant)
        && part.place.pitch == pitch
        && part.place.offset >= start
        && part.place.offset.saturating_add(part.pixel_bytes()) <= start.saturating_add(joint.pixel_bytes())
}

/// Whether the output is written and lives until the caller has read it.
const fn check_output(file: &File<'_>) -> Result<(), ModelError> {
    let output = attempt!(file.tensor(file.output));
    let end = moment(file.steps);
    if output.last != end || output.ready >= end {
        return Err(ModelError::new(Fault::Lifetime, header::OUTPUT));
    }
    Ok(())
}

/// Checks a step's operands and scratch.
const fn check_step(file: &File<'_>, index: u32) -> Result<(), ModelError> {
    let step = attempt!(file.step(index));
    let op = attempt!(Op::decode(step.op, step.at, step.params));
    let output = attempt!(file.tensor(step.output));
    let now = moment(index);
    let mut operand = 0;
    while operand < op.kind().inputs() {
        let index = if operand == 0 { Some(step.a) } else { step.b };
        let Some(index) = index else {
            return Err(ModelError::new(Fault::Operand, step.at));
        };
        let input = attempt!(file.tensor(index));
        if input.ready >= now || input.last < now {
            return Err(ModelError::new(Fault::Lifetime, step.at));
        }
        if input.region().overlaps(output.region()) && !reuses(&step, &op, operand, &input, &output) {
            return Err(ModelError::new(Fault::Overlap, step.at));
        }
        operand += 1;
    }
    if step.scratch.end() > file.arena {
        return Err(ModelError::new(Fault::Arena, step.at));
    }
    if !step.scratch.offset.is_multiple_of(SCRATCH_ALIGN) {
        return Err(ModelError::new(Fault::Alignment, step.at));
    }
    let mut other = 0;
    while other < file.tensors {
        let (first, last) = file.moments(other);
        if first <= now && now <= last && attempt!(file.tensor(other)).region().overlaps(step.scratch) {
            return Err(ModelError::new(Fault::Overlap, step.at));
        }
        other += 1;
    }
    Ok(())
}

/// Whether `step` may write `output` over `input`, its operand `operand`, which dies there.
const fn reuses(step: &StepRecord<'_>, op: &Op<'_>, operand: u32, input: &Tensor, output: &Tensor) -> bool {
    // An operand that is used twice cannot be overwritten while its other use reads it.
    let twice = matches!(step.b, Some(b) if b == step.a);
    !twice
        && op.in_place(operand)
        && input.last == output.first
        && input.joint.is_none()
        && output.joint.is_none()
        && same_bytes(input, output)
}

/// Whether both tensors have the same elements in the same bytes, perhaps under another shape.
const fn same_bytes(a: &Tensor, b: &Tensor) -> bool {
    let reshaped = a.is_dense() && b.is_dense() && a.shape.len() == b.shape.len() && a.dtype.code() == b.dtype.code();
    a.place.offset == b.place.offset && (a.same_place(b) || reshaped)
}

/// Whether two tensors that live at the same moment keep apart.
const fn check_pair(file: &File<'_>, earlier: u32, later: u32) -> Result<(), ModelError> {
    let ((first_a, last_a), (first_b, last_b)) = (file.moments(earlier), file.moments(later));
    if last_a < first_b || last_b < first_a {
        return Ok(());
    }
    let (a, b) = (attempt!(file.tensor(earlier)), attempt!(file.tensor(later)));
    let apart = match (a.joint, b.joint) {
        (None, None) => {
            !a.region().overlaps(b.region())
                || attempt!(in_place(file, earlier, later, &a, &b))
                || attempt!(in_place(file, later, earlier, &b, &a))
        }
        // Siblings share rows but not channels. Other parts lie inside their joint, which is checked itself.
        (Some(x), Some(y)) if x == y => !channels(&a).overlaps(channels(&b)),
        _ => true,
    };
    if apart { Ok(()) } else { Err(ModelError::new(Fault::Overlap, file.tensor_at(later) + record::OFFSET)) }
}

/// The bytes of the first pixel.
const fn channels(tensor: &Tensor) -> Region {
    Region { offset: tensor.place.offset, len: tensor.pixel_bytes() }
}

/// Whether some step writes `output` over its operand `input` legally.
const fn in_place(file: &File<'_>, input: u32, output: u32, from: &Tensor, to: &Tensor) -> Result<bool, ModelError> {
    if to.first == 0 || to.first > file.steps {
        return Ok(false);
    }
    let step = attempt!(file.step(to.first - 1));
    if step.output != output {
        return Ok(false);
    }
    let op = attempt!(Op::decode(step.op, step.at, step.params));
    let is_b = matches!(step.b, Some(b) if b == input);
    Ok((step.a == input && reuses(&step, &op, 0, from, to)) || (is_b && reuses(&step, &op, 1, from, to)))
}
