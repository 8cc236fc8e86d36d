//! Chains: steps that run interleaved, row by row, so that the maps between them never exist as a whole.
//!
//! Consecutive steps with the same time slot form a chain. A step of it may run its next rows when the rows of its
//! inputs are there and its output's line buffer has room; of those that may, the last in the chain goes first, so
//! that rows are consumed as early as possible. The order follows from shapes and windows alone: the planner, the
//! verifier and the session all ask this file, and need store nothing.
//!
//! A single step is a chain of one, which runs all its rows at once.

use crate::bytes::attempt;
use crate::error::{Fault, ModelError};
use crate::format::File;
use crate::ops::Op;
use crate::uses::Linked;
use crate::window::Reach;

/// The most steps of a chain.
pub const MAX_CHAIN: usize = 8;

/// The steps of one time slot and how far each has come.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    links: [Link; MAX_CHAIN],
    len: usize,
}

/// What the schedule needs to know of a step.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Rows of the output.
    pub height: u32,
    /// Rows of the output that are kept.
    pub kept: u32,
    /// Rows that one call computes; at least 1.
    pub block: u32,
    /// Rows that have been computed.
    pub done: u32,
    /// The operands, perhaps one.
    pub inputs: [Input; 2],
}

/// What the schedule needs to know of an operand.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    /// The step of the chain that produces it; none for tensors that are complete.
    pub producer: Option<u8>,
    /// Its rows.
    pub height: u32,
    /// Which of its rows an output row needs.
    pub reach: Reach,
}

/// Rows `start..end` of the output of link `link`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which step of the chain runs.
    pub link: usize,
    /// The first row that it computes.
    pub start: u32,
    /// One past the last.
    pub end: u32,
}

impl Link {
    const EMPTY: Self = Self { height: 0, kept: 0, block: 1, done: 0, inputs: [Input::NONE; 2] };

    /// Whether blocks of rows never wrap around the line buffer.
    pub const fn keeps_whole_blocks(&self) -> bool {
        self.kept == self.height || (self.block != 0 && self.kept.is_multiple_of(self.block))
    }

    /// Whether a step of the chain produces operand `operand`.
    pub const fn is_produced(&self, operand: usize) -> bool {
        self.inputs[operand & 1].producer.is_some()
    }

    /// The first row of operand `operand` that rows from `row` on need; its height when there are none to come.
    pub const fn needs_from(&self, operand: usize, row: u32) -> u32 {
        let input = &self.inputs[operand & 1];
        if row < self.height { input.reach.rows(row, input.height).0 } else { input.height }
    }
}

impl Input {
    /// No operand.
    pub const NONE: Self = Self { producer: None, height: 0, reach: Reach::POINT };
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

impl Chain {
    /// A chain of no steps.
    pub const fn new() -> Self {
        Self { links: [Link::EMPTY; MAX_CHAIN], len: 0 }
    }

    /// Appends a step; whether there was room for it.
    pub const fn push(&mut self, link: Link) -> bool {
        let len = self.len;
        if len >= MAX_CHAIN {
            return false;
        }
        self.links[len] = link;
        self.len = len + 1;
        true
    }

    /// Becomes the chain that starts with step `first`, nothing of it done. In place: on a device a copy of it is much of the stack.
    pub(crate) const fn open<L: Linked>(&mut self, file: &File<'_>, first: u32) -> Result<(), ModelError> {
        self.clear();
        let time_slot = file.time_slot(first);
        let mut outputs = [u32::MAX; MAX_CHAIN];
        let mut overlaid = false;
        let mut index = first;
        while index < file.steps && file.time_slot(index) == time_slot {
            let step = attempt!(file.step(index));
            let op = attempt!(Op::decode::<L>(step.op, step.at, step.params));
            let output = attempt!(file.tensor(step.output));
            let a = attempt!(Input::new(file, step.a, op.reach(0), &outputs));
            let b = match step.b {
                Some(b) => attempt!(Input::new(file, b, op.reach(1), &outputs)),
                None => Input::NONE,
            };
            overlaid = overlaid || attempt!(file.tensor(step.a)).is_overlaid_by(&output);
            if let Some(b) = step.b {
                overlaid = overlaid || attempt!(file.tensor(b)).is_overlaid_by(&output);
            }
            let block = op.row_block();
            let link = Link {
                height: output.shape.h,
                kept: output.place.rows,
                block: if block == 0 { 1 } else { block },
                done: 0,
                inputs: [a, b],
            };
            let len = self.len;
            if !self.push(link) || len >= MAX_CHAIN {
                return Err(ModelError::new(Fault::Chain, step.at));
            }
            outputs[len] = step.output;
            index += 1;
        }
        // One step by itself takes all its rows at once, unless they push its input's out of the way.
        if self.len == 1 && !overlaid {
            self.links[0].block = self.links[0].height;
        }
        Ok(())
    }

    /// Forgets its steps.
    pub(crate) const fn clear(&mut self) {
        self.len = 0;
    }

    /// Number of steps.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no steps.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Link `index`, if the chain has it.
    pub const fn link(&self, index: usize) -> Option<&Link> {
        if index < self.len && index < MAX_CHAIN { Some(&self.links[index]) } else { None }
    }

    /// What runs next; `None` when all is done, or when every step waits for another.
    pub const fn next(&self) -> Option<Call> {
        let mut left = self.len;
        while left > 0 {
            left -= 1;
            if let Some(link) = self.link(left)
                && link.done < link.height
            {
                let end = link.done.saturating_add(link.block);
                let end = if end < link.height { end } else { link.height };
                if self.may_run(left, link, end) {
                    return Some(Call { link: left, start: link.done, end });
                }
            }
        }
        None
    }

    /// Whether the rows before `end` of `link` can be computed now.
    const fn may_run(&self, index: usize, link: &Link, end: u32) -> bool {
        let mut operand = 0;
        while operand < 2 {
            let input = &link.inputs[operand];
            if let Some(producer) = input.producer
                && let Some(producer) = self.link(producer as usize)
                && input.reach.rows(end.saturating_sub(1), input.height).1 > producer.done
            {
                return false;
            }
            operand += 1;
        }
        // Rows up to `end` push those before `end - ring` out of the line buffer.
        let lost = end.saturating_sub(link.kept);
        lost == 0 || (end - link.done <= link.kept && lost <= self.needed_from(index))
    }

    /// The first row of the output of link `index` that some step of the chain still needs; `u32::MAX` when none reads it.
    pub const fn needed_from(&self, index: usize) -> u32 {
        let mut from = u32::MAX;
        let mut consumer = 0;
        while let Some(link) = self.link(consumer) {
            let mut operand = 0;
            while operand < 2 {
                let needs = link.needs_from(operand, link.done);
                if matches!(link.inputs[operand].producer, Some(producer) if producer as usize == index) && needs < from
                {
                    from = needs;
                }
                operand += 1;
            }
            consumer += 1;
        }
        from
    }

    /// Notes that `call` has run.
    pub const fn advance(&mut self, call: Call) {
        if call.link < MAX_CHAIN {
            self.links[call.link].done = call.end;
        }
    }

    /// Whether every step has computed all its rows.
    pub const fn is_done(&self) -> bool {
        let mut index = 0;
        while let Some(link) = self.link(index) {
            if link.done < link.height {
                return false;
            }
            index += 1;
        }
        true
    }
}

impl Input {
    const fn new(file: &File<'_>, index: u32, reach: Reach, outputs: &[u32; MAX_CHAIN]) -> Result<Self, ModelError> {
        let tensor = attempt!(file.tensor(index));
        let mut producer = None;
        let mut link = 0;
        while link < MAX_CHAIN {
            if outputs[link] == index {
                producer = Some(link as u8);
            }
            link += 1;
        }
        Ok(Self { producer, height: tensor.shape.h, reach })
    }
}
