//! Verifies a memory plan: who writes what when, and that nobody writes over what is still needed.
//!
//! The planner in the host tools searches; this file only checks, so that a plan need not be trusted. With the
//! file's own words, a plan is safe when:
//!
//! 1. Every tensor has exactly one producer: the caller (the input), one step, or its *parts* (a joint tensor).
//! 2. A step reads only tensors that are completely written (`ready`) before its moment, or that an earlier step of
//!    its chain produces, and that are still alive (`last`).
//! 3. The parts of a joint tensor tile its channels exactly, with its pitch, and live as long as it does.
//! 4. Tensors that live at the same moment share no byte, unless one is a part of the other, or a chain writes an
//!    output over an input that dies there, row by row over what is no longer needed.
//! 5. A step's scratch shares no byte with any living tensor.
//! 6. Everything lies inside the arena, and nothing across the border of its two memories, if it has two.
//! 7. The steps of a chain never wait for each other, and no line buffer loses a row that is still needed.

use crate::bytes::attempt;
use crate::chain::{Call, Chain};
use crate::error::{Fault, ModelError};
use crate::format::layout::{header, step as step_record, tensor as record};
use crate::format::{File, StepRecord};
use crate::memory::Region;
use crate::ops::Op;
use crate::tensor::Tensor;
use crate::uses::Linked;

/// Scratch starts at multiples of this many bytes.
pub const SCRATCH_ALIGN: u32 = 16;

/// Checks the plan of a file whose tensors and steps decode.
pub(crate) const fn verify<L: Linked>(file: &File<'_>) -> Result<(), ModelError> {
    attempt!(check_moments(file));
    let mut index = 0;
    while index < file.tensors {
        attempt!(check_producer(file, index));
        index += 1;
    }
    attempt!(check_output(file));
    let mut later = 0;
    while later < file.tensors {
        let mut earlier = 0;
        while earlier < later {
            attempt!(check_pair(file, earlier, later));
            earlier += 1;
        }
        later += 1;
    }
    let mut index = 0;
    while index < file.steps {
        attempt!(check_scratch(file, index));
        if index == 0 || file.moment(index) != file.moment(index - 1) {
            attempt!(check_chain::<L>(file, index));
        }
        index += 1;
    }
    Ok(())
}

/// Whether moments count from 1 without gaps.
const fn check_moments(file: &File<'_>) -> Result<(), ModelError> {
    let (mut index, mut before) = (0, 0);
    while index < file.steps {
        let moment = file.moment(index);
        if moment != before + 1 && (index == 0 || moment != before) {
            return Err(ModelError::new(Fault::Lifetime, attempt!(file.step(index)).at + step_record::MOMENT));
        }
        before = moment;
        index += 1;
    }
    Ok(())
}

/// Whether tensor `index` has exactly one producer, and the moments that follow from it.
const fn check_producer(file: &File<'_>, index: u32) -> Result<(), ModelError> {
    let tensor = attempt!(file.tensor(index));
    let at = file.tensor_at(index);
    let lifetime = Err(ModelError::new(Fault::Lifetime, at + record::FIRST));
    if tensor.first > tensor.ready || tensor.ready > tensor.last || tensor.last > file.end() {
        return lifetime;
    }
    if !tensor.is_whole() && (tensor.first != tensor.last || tensor.joint.is_some()) {
        return lifetime;
    }
    // Parts are checked with their joint tensor, so it must be there.
    if matches!(tensor.joint, Some(joint) if joint >= file.tensors) {
        return Err(ModelError::new(Fault::Operand, at + record::JOINT));
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
            if tensor.first != file.moment(step) || tensor.ready != file.moment(step) {
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
    if bytes != joint.pixel_bytes() || !joint.is_whole() {
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
        && part.dtype.same(joint.dtype)
        && part.quant.same(joint.quant)
        && part.place.pitch == pitch
        && part.place.offset >= start
        && part.place.offset.saturating_add(part.pixel_bytes()) <= start.saturating_add(joint.pixel_bytes())
}

/// Whether the output is written and lives until the caller has read it.
const fn check_output(file: &File<'_>) -> Result<(), ModelError> {
    let output = attempt!(file.tensor(file.output));
    if output.last != file.end() || output.ready >= file.end() {
        return Err(ModelError::new(Fault::Lifetime, header::OUTPUT));
    }
    Ok(())
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
                || attempt!(hands_over(file, &a, later, &b))
                || attempt!(hands_over(file, &b, earlier, &a))
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

/// Whether `from` is complete before, and dies at, the moment whose steps write `to` as a whole: then `to` may take
/// over its bytes, as far as [`check_chain`] finds them no longer needed.
const fn hands_over(file: &File<'_>, from: &Tensor, index: u32, to: &Tensor) -> Result<bool, ModelError> {
    if from.last != to.first || from.ready >= to.first {
        return Ok(false);
    }
    let mut step = 0;
    while step < file.steps {
        if attempt!(file.step(step)).output == index {
            return Ok(true);
        }
        step += 1;
    }
    Ok(false)
}

/// Checks that a step's scratch keeps off everything alive.
const fn check_scratch(file: &File<'_>, index: u32) -> Result<(), ModelError> {
    let step = attempt!(file.step(index));
    let at = step.at + step_record::SCRATCH;
    if !file.holds(step.scratch) {
        return Err(ModelError::new(Fault::Arena, at));
    }
    if !step.scratch.offset.is_multiple_of(SCRATCH_ALIGN) {
        return Err(ModelError::new(Fault::Alignment, at));
    }
    let mut other = 0;
    while other < file.tensors {
        let (first, last) = file.moments(other);
        let alive = first <= step.moment && step.moment <= last;
        if alive && attempt!(file.tensor(other)).region().overlaps(step.scratch) {
            return Err(ModelError::new(Fault::Overlap, at));
        }
        other += 1;
    }
    Ok(())
}

/// Runs the schedule of the chain that starts with step `first` and checks every call.
const fn check_chain<L: Linked>(file: &File<'_>, first: u32) -> Result<(), ModelError> {
    let mut chain = attempt!(Chain::open::<L>(file, first));
    attempt!(check_operands(file, first, &chain));
    while let Some(call) = chain.next() {
        attempt!(check_call::<L>(file, first, &chain, call));
        chain.advance(call);
    }
    if chain.is_done() { Ok(()) } else { Err(ModelError::new(Fault::Chain, attempt!(file.step(first)).at)) }
}

/// Checks that every operand of a chain's steps is complete before it, or produced by an earlier step of it.
const fn check_operands(file: &File<'_>, first: u32, chain: &Chain) -> Result<(), ModelError> {
    let mut index = 0;
    while let Some(link) = chain.link(index) {
        let step = attempt!(file.step(first + index as u32));
        if !link.keeps_whole_blocks() {
            return Err(ModelError::new(Fault::Chain, step.at));
        }
        let mut operand = 0;
        while operand < 2 {
            if let Some(input) = step.input(operand) {
                let tensor = attempt!(file.tensor(input));
                let there = tensor.ready < step.moment || link.is_produced(operand);
                if !there || tensor.last < step.moment {
                    return Err(ModelError::new(Fault::Lifetime, step.at));
                }
            }
            operand += 1;
        }
        index += 1;
    }
    Ok(())
}

/// Checks that the rows that `call` writes are needed by no step of the chain any more.
const fn check_call<L: Linked>(file: &File<'_>, first: u32, chain: &Chain, call: Call) -> Result<(), ModelError> {
    let step = attempt!(file.step(first + call.link as u32));
    let output = attempt!(file.tensor(step.output));
    // Blocks of rows do not wrap around the end of a line buffer: `check_operands` has asked.
    let written = output.rows(call.start, call.end - call.start);
    let mut index = 0;
    while let Some(link) = chain.link(index) {
        let reader = attempt!(file.step(first + index as u32));
        let mut operand = 0;
        while operand < 2 {
            if let Some(input) = reader.input(operand)
                && !link.is_produced(operand)
            {
                let tensor = attempt!(file.tensor(input));
                let from = if index != call.link {
                    link.needs_from(operand, link.done)
                } else if attempt!(reuses::<L>(&reader, operand, &tensor, &output)) {
                    link.needs_from(operand, call.end)
                } else {
                    link.needs_from(operand, call.start)
                };
                let needed = tensor.rows(from, tensor.shape.h.saturating_sub(from));
                if needed.overlaps(written) {
                    return Err(ModelError::new(Fault::Overlap, step.at));
                }
            }
            operand += 1;
        }
        index += 1;
    }
    Ok(())
}

/// Whether `step` may write `output` exactly over `input`, its operand `operand`.
const fn reuses<L: Linked>(
    step: &StepRecord<'_>,
    operand: usize,
    input: &Tensor,
    output: &Tensor,
) -> Result<bool, ModelError> {
    // An operand that is used twice cannot be overwritten while its other use reads it.
    let twice = matches!(step.b, Some(b) if b == step.a);
    let op = attempt!(Op::decode::<L>(step.op, step.at, step.params));
    Ok(!twice && op.in_place(operand as u32) && same_bytes(input, output))
}

/// Whether both tensors have the same elements in the same bytes, perhaps under another shape.
pub(crate) const fn same_bytes(a: &Tensor, b: &Tensor) -> bool {
    let reshaped = a.is_dense() && b.is_dense() && a.shape.len() == b.shape.len() && a.dtype.same(b.dtype);
    a.place.offset == b.place.offset && (a.same_place(b) || reshaped)
}
