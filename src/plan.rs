//! Verifies a memory plan: who writes what when, and that nobody writes over what is still needed.
//!
//! The planner in the host tools searches; this file only checks, so that a plan need not be trusted. With the
//! file's own words, a plan is safe when:
//!
//! 1. Every tensor has exactly one producer: the caller (an input), the inference before (a state), one step, or its *parts*
//!    (a parent tensor).
//! 2. A step reads only tensors that are completely written (`ready`) before its time slot, or that an earlier step of
//!    its chain produces, and that are still alive (`last`).
//! 3. The parts of a parent tensor, each a box of its rows, columns and channels, tile it, and live as long as it does.
//! 4. Tensors that live at the same time slot share no byte, unless one is a part of the other, or one dies at the time slot
//!    whose steps write the other over it.
//! 5. A step's scratch shares no byte with any living tensor.
//! 6. Every call keeps its hands off what is needed: see `check_call`, the one rule for all regions that a call touches.
//! 7. Everything lies inside the arena, and nothing across the border of its two memories, if it has two.
//! 8. The steps of a chain never wait for each other, and no line buffer loses a row that is still needed.

use crate::bytes::attempt;
use crate::chain::{Call, Chain, MAX_CHAIN};
use crate::error::{Fault, ModelError};
use crate::format::layout::{MAX_COUNT, SCRATCH_ALIGN, step as step_record, tensor as record};
use crate::format::{File, PortKind, StepRecord};
use crate::memory::Region;
use crate::ops::Op;
use crate::tensor::{DType, Tensor};
use crate::uses::Linked;

/// Checks the plan of a file whose tensors and steps decode.
pub(crate) const fn verify<L: Linked>(file: &File<'_>) -> Result<(), ModelError> {
    attempt!(check_time_slots(file));
    let written = attempt!(check_producers(file));
    attempt!(check_kept(file));
    attempt!(check_pairs(file, &written));
    attempt!(check_scratch(file));
    let mut index = 0;
    while index < file.steps {
        if index == 0 || file.time_slot(index) != file.time_slot(index - 1) {
            attempt!(check_chain::<L>(file, index));
        }
        index += 1;
    }
    Ok(())
}

/// A set of tensors.
struct TensorSet([u32; MAX_COUNT as usize / 32]);

impl TensorSet {
    const fn has(&self, index: u32) -> bool {
        self.0[(index % MAX_COUNT / 32) as usize] >> (index % 32) & 1 == 1
    }

    const fn add(&mut self, index: u32) {
        self.0[(index % MAX_COUNT / 32) as usize] |= 1 << (index % 32);
    }
}

/// Whether time slots count from 1 without gaps.
const fn check_time_slots(file: &File<'_>) -> Result<(), ModelError> {
    let (mut index, mut before) = (0, 0);
    while index < file.steps {
        let time_slot = file.time_slot(index);
        if time_slot != before + 1 && (index == 0 || time_slot != before) {
            return Err(ModelError::new(Fault::Lifetime, attempt!(file.step(index)).at + step_record::TIME_SLOT));
        }
        before = time_slot;
        index += 1;
    }
    Ok(())
}

/// Whether every tensor has exactly one producer, and the time slots that follow from it; those that a step writes.
const fn check_producers(file: &File<'_>) -> Result<TensorSet, ModelError> {
    let mut given = TensorSet([0; MAX_COUNT as usize / 32]);
    attempt!(check_given(file, PortKind::Input, &mut given));
    attempt!(check_given(file, PortKind::State, &mut given));
    let mut written = TensorSet([0; MAX_COUNT as usize / 32]);
    let mut index = 0;
    while index < file.steps {
        let step = attempt!(file.step(index));
        let output = attempt!(file.tensor(step.output));
        let at_once = output.first == step.time_slot && output.ready == step.time_slot;
        if !at_once || written.has(step.output) || given.has(step.output) {
            return Err(lifetime(file, step.output));
        }
        written.add(step.output);
        index += 1;
    }
    let mut parents = TensorSet([0; MAX_COUNT as usize / 32]);
    let mut index = 0;
    while index < file.tensors {
        let tensor = attempt!(file.tensor(index));
        if tensor.first > tensor.ready || tensor.ready > tensor.last || tensor.last > file.end() {
            return Err(lifetime(file, index));
        }
        if !tensor.is_whole() && (tensor.first != tensor.last || tensor.parent.is_some()) {
            return Err(lifetime(file, index));
        }
        if let Some(parent) = tensor.parent {
            attempt!(check_part(file, index, &tensor, parent));
            parents.add(parent);
        }
        // Parts come before their parent tensor, so that all that it has are known here.
        if parents.has(index) {
            if given.has(index) || written.has(index) {
                return Err(lifetime(file, index));
            }
            attempt!(check_parent(file, index, &tensor));
        } else if !given.has(index) && !written.has(index) {
            return Err(lifetime(file, index));
        }
        index += 1;
    }
    Ok(written)
}

/// Adds the inputs or states to `given`: each another tensor, there from time slot 0 on.
const fn check_given(file: &File<'_>, kind: PortKind, given: &mut TensorSet) -> Result<(), ModelError> {
    let mut index = 0;
    while index < file.port_count(kind) {
        let port = attempt!(file.port(kind, index));
        if given.has(port.tensor) || attempt!(file.tensor(port.tensor)).ready != 0 {
            return Err(lifetime(file, port.tensor));
        }
        given.add(port.tensor);
        index += 1;
    }
    Ok(())
}

const fn lifetime(file: &File<'_>, tensor: u32) -> ModelError {
    ModelError::new(Fault::Lifetime, file.tensor_at(tensor) + record::FIRST)
}

/// Whether tensor `index` can be a part of tensor `parent`, which comes behind it, so that no tensor is, by a ring, a part of
/// itself.
const fn check_part(file: &File<'_>, index: u32, part: &Tensor, parent: u32) -> Result<(), ModelError> {
    let at = file.tensor_at(index) + record::PARENT;
    if parent <= index || parent >= file.tensors {
        return Err(ModelError::new(Fault::Operand, at));
    }
    let parent = attempt!(file.tensor(parent));
    if Extent::of(part, &parent).is_none() {
        return Err(ModelError::new(Fault::Operand, at));
    }
    if part.last == parent.last { Ok(()) } else { Err(ModelError::new(Fault::Lifetime, at)) }
}

/// Whether the parts of tensor `index` tile it.
const fn check_parent(file: &File<'_>, index: u32, parent: &Tensor) -> Result<(), ModelError> {
    let (mut elements, mut first, mut ready) = (0u64, u32::MAX, 0);
    let mut other = 0;
    while other < index {
        if file.parent(other) == index {
            let part = attempt!(file.tensor(other));
            elements = elements.saturating_add(part.shape.len() as u64);
            first = if part.first < first { part.first } else { first };
            ready = if part.ready > ready { part.ready } else { ready };
        }
        other += 1;
    }
    // Parts are pairwise disjoint (checked with the other pairs), so equal sums mean that they tile.
    if elements != parent.shape.len() as u64 || !parent.is_whole() {
        return Err(ModelError::new(Fault::ShapeRule, file.tensor_at(index)));
    }
    if first != parent.first || ready != parent.ready {
        return Err(ModelError::new(Fault::Lifetime, file.tensor_at(index) + record::FIRST));
    }
    Ok(())
}

/// The box of a parent tensor that a part is: rows, columns, and bytes of a pixel.
struct Extent([Region; 3]);

impl Extent {
    /// That of `part`, if it has the type, quantization and pitch of `parent` and lies within it. Between its rows there is no room for
    /// those of others: it has all columns, or one row.
    const fn of(part: &Tensor, parent: &Tensor) -> Option<Self> {
        let (pitch, width) = (parent.place.pitch, parent.shape.w);
        let alike = part.dtype.same(parent.dtype) && part.quant.same(parent.quant) && part.place.pitch == pitch;
        let (Some(start), true) = (part.place.offset.checked_sub(parent.place.offset), alike) else { return None };
        let (Some(pixel), Some(byte)) = (start.checked_div(pitch), start.checked_rem(pitch)) else { return None };
        let (Some(y), Some(x)) = (pixel.checked_div(width), pixel.checked_rem(width)) else { return None };
        let rows = Region { offset: y, len: part.shape.h };
        let columns = Region { offset: x, len: part.shape.w };
        let bytes = Region { offset: byte, len: part.pixel_bytes() };
        let within = rows.end() <= parent.shape.h && columns.end() <= width && bytes.end() <= parent.pixel_bytes();
        if within && (part.shape.w == width || part.shape.h == 1) { Some(Self([rows, columns, bytes])) } else { None }
    }

    /// Whether the two share an element.
    const fn overlaps(&self, other: &Self) -> bool {
        let (Self([a, b, c]), Self([x, y, z])) = (self, other);
        a.overlaps(*x) && b.overlaps(*y) && c.overlaps(*z)
    }
}

/// Whether the outputs, the states and their next values are written and live until the inference has ended.
const fn check_kept(file: &File<'_>) -> Result<(), ModelError> {
    let mut index = 0;
    while index < file.port_count(PortKind::Output) {
        let port = attempt!(file.port(PortKind::Output, index));
        attempt!(check_end(file, port.tensor, port.at));
        index += 1;
    }
    let mut index = 0;
    while index < file.port_count(PortKind::State) {
        let port = attempt!(file.port(PortKind::State, index));
        attempt!(check_end(file, port.tensor, port.at));
        if let Some(next) = port.next {
            attempt!(check_end(file, next, port.at));
            let same = next == port.tensor;
            let (state, next) = (attempt!(file.tensor(port.tensor)), attempt!(file.tensor(next)));
            let alike = state.shape.same(next.shape) && state.dtype.same(next.dtype) && state.quant.same(next.quant);
            let initial = port.initial.is_empty() || port.initial.len() == state.span() as usize;
            if state.dtype.same(DType::F16) && !is_finite(port.initial) {
                return Err(ModelError::new(Fault::Weights, port.at));
            }
            if same || !alike || !state.is_dense() || !next.is_dense() || !initial {
                return Err(ModelError::new(Fault::Port, port.at));
            }
        }
        index += 1;
    }
    Ok(())
}

/// Whether all halves are finite.
const fn is_finite(mut halves: &[u8]) -> bool {
    while let [_, high, rest @ ..] = halves {
        if *high & 0x7C == 0x7C {
            return false;
        }
        halves = rest;
    }
    true
}

/// Whether tensor `index` is complete before the last time slot, and alive at it.
const fn check_end(file: &File<'_>, index: u32, at: u32) -> Result<(), ModelError> {
    let tensor = attempt!(file.tensor(index));
    let kept = tensor.last == file.end() && tensor.ready < file.end();
    if kept { Ok(()) } else { Err(ModelError::new(Fault::Lifetime, at)) }
}

/// Whether all tensors that live at the same time slot keep apart.
const fn check_pairs(file: &File<'_>, written: &TensorSet) -> Result<(), ModelError> {
    let mut later = 0;
    while later < file.tensors {
        let b = attempt!(file.tensor(later));
        let mut earlier = 0;
        while earlier < later {
            let (first, last) = file.time_slots(earlier);
            if first <= b.last && b.first <= last {
                let a = attempt!(file.tensor(earlier));
                let apart = match (a.parent, b.parent) {
                    (None, None) => {
                        !a.region().overlaps(b.region())
                            || hands_over(&a, &b) && written.has(later)
                            || hands_over(&b, &a) && written.has(earlier)
                    }
                    (Some(x), Some(y)) if x == y => {
                        let parent = attempt!(file.tensor(x));
                        match (Extent::of(&a, &parent), Extent::of(&b, &parent)) {
                            (Some(a), Some(b)) => !a.overlaps(&b),
                            _ => false,
                        }
                    }
                    // Other parts lie inside their parent, which is checked itself.
                    _ => true,
                };
                if !apart {
                    return Err(ModelError::new(Fault::Overlap, file.tensor_at(later) + record::OFFSET));
                }
            }
            earlier += 1;
        }
        later += 1;
    }
    Ok(())
}

/// Whether `from` is complete before, and dies at, the time slot at which `to` comes to life: then a step that writes `to` may
/// take over its bytes, as far as [`check_call`] finds them no longer needed.
const fn hands_over(from: &Tensor, to: &Tensor) -> bool {
    from.last == to.first && from.ready < to.first
}

/// Checks that each step's scratch lies inside the arena, and keeps off everything alive.
const fn check_scratch(file: &File<'_>) -> Result<(), ModelError> {
    let mut index = 0;
    while index < file.steps {
        let step = attempt!(file.step(index));
        let at = step.at + step_record::SCRATCH;
        if !file.holds(step.scratch) {
            return Err(ModelError::new(Fault::Arena, at));
        }
        if !step.scratch.offset.is_multiple_of(SCRATCH_ALIGN) {
            return Err(ModelError::new(Fault::Alignment, at));
        }
        index += 1;
    }
    let mut other = 0;
    while other < file.tensors {
        let tensor = attempt!(file.tensor(other));
        // Every time slot has a step, so that no step before this one has the tensor's first.
        let mut index = tensor.first.saturating_sub(1);
        while index < file.steps && file.time_slot(index) <= tensor.last {
            let step = attempt!(file.step(index));
            if tensor.first <= step.time_slot && step.scratch.len != 0 && tensor.region().overlaps(step.scratch) {
                return Err(ModelError::new(Fault::Overlap, step.at + step_record::SCRATCH));
            }
            index += 1;
        }
        other += 1;
    }
    Ok(())
}

/// Runs the schedule of the chain that starts with step `first` and checks every call.
const fn check_chain<L: Linked>(file: &File<'_>, first: u32) -> Result<(), ModelError> {
    let mut chain = Chain::new();
    attempt!(chain.open::<L>(file, first));
    let clashes = attempt!(check_operands::<L>(file, first, &chain));
    while let Some(call) = chain.next() {
        let clashes = clashes[call.link % MAX_CHAIN];
        if clashes.operands != 0 {
            attempt!(check_call(file, first, &chain, call, clashes));
        }
        chain.advance(call);
    }
    if chain.is_done() { Ok(()) } else { Err(ModelError::new(Fault::Chain, attempt!(file.step(first)).at)) }
}

/// The operands of a chain, bit 2 x step + operand, that each call of a step has to be checked for.
#[derive(Clone, Copy)]
struct Clashes {
    /// Those that share bytes with the step's output.
    operands: u16,
    /// Its own of them that it may write its output over.
    reused: u16,
}

/// Checks that every operand of a chain's steps is complete before it, or produced by an earlier step of it. For each step what
/// its calls have to be checked for.
const fn check_operands<L: Linked>(
    file: &File<'_>,
    first: u32,
    chain: &Chain,
) -> Result<[Clashes; MAX_CHAIN], ModelError> {
    let mut clashes = [Clashes { operands: 0, reused: 0 }; MAX_CHAIN];
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
                let there = tensor.ready < step.time_slot || link.is_produced(operand);
                if !there || tensor.last < step.time_slot {
                    return Err(ModelError::new(Fault::Lifetime, step.at));
                }
                let mut writer = 0;
                while writer < chain.len() {
                    let written = attempt!(file.step(first + writer as u32)).output;
                    let output = attempt!(file.tensor(written));
                    // Parts of one parent tensor share no byte, though their rows interleave. To the operator that
                    // reads one and writes the other, each is one slice.
                    let interleaved = writer != index && file.root(input) == file.root(written);
                    if input != written && !interleaved && tensor.region().overlaps(output.region()) {
                        let (bit, clashes) = (1 << (2 * index + operand), &mut clashes[writer % MAX_CHAIN]);
                        clashes.operands |= bit;
                        if writer == index && attempt!(reuses::<L>(&step, operand, &tensor, &output)) {
                            clashes.reused |= bit;
                        }
                    }
                    writer += 1;
                }
            }
            operand += 1;
        }
        index += 1;
    }
    Ok(clashes)
}

/// The one rule for every pair of regions that a call touches, whoever produced them. The rows that it writes share no byte
///
/// - with the rows that it reads, except in place: element over element, by an operator that can do so. An operator takes the rows
///   of an operand as one slice, so that the bytes between the pixels of a part count as read;
/// - with rows that a later call of the chain reads.
///
/// That its scratch shares no byte with either is [`check_scratch`]'s business. `clashes` are the operands for which all this does
/// not follow from where the tensors lie as wholes.
const fn check_call(
    file: &File<'_>,
    first: u32,
    chain: &Chain,
    call: Call,
    clashes: Clashes,
) -> Result<(), ModelError> {
    let step = attempt!(file.step(first + call.link as u32));
    let output = attempt!(file.tensor(step.output));
    // Blocks of rows do not wrap around the end of a line buffer: `check_operands` has asked.
    let written = output.rows(call.start, call.end - call.start);
    let mut index = 0;
    while let Some(link) = chain.link(index) {
        let reader = attempt!(file.step(first + index as u32));
        let mut operand = 0;
        while operand < 2 {
            let bit = 2 * index + operand;
            if clashes.operands >> bit & 1 == 1
                && let Some(input) = reader.input(operand)
            {
                let tensor = attempt!(file.tensor(input));
                let from = if index != call.link {
                    link.needs_from(operand, link.done)
                } else if clashes.reused >> bit & 1 == 1 {
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
    Ok(!twice && op.in_place(operand as u32) && input.same_bytes(output))
}
