//! The program as the planner's searches see it.

use kinglet::Shape;

use super::place::ALIGN;
use super::segments::{Step, Value};
use crate::lower::{Program, ProgramStep};
use crate::network::TensorId;

impl Program<'_> {
    /// The tensors.
    pub fn values(&self) -> Vec<Value> {
        let value = |tensor: usize| {
            let Shape { h, w, .. } = self.tensors[tensor].shape;
            let (root, _) = self.root(tensor);
            let parts = self.parts(tensor);
            let row_bytes = w * self.pitch(tensor);
            let ends = self.given.contains(&tensor) || self.kept.contains(&tensor);
            let whole = ends || self.parent[tensor].is_some() || !parts.is_empty();
            Value { rows: h, row_bytes, bytes: h * row_bytes, root, parts, whole }
        };
        (0..self.tensors.len()).map(value).collect()
    }

    /// The steps.
    pub fn search_steps(&self) -> Vec<Step> {
        let rows: Vec<u32> = self.tensors.iter().map(|tensor| tensor.shape.h).collect();
        let step = |step: &ProgramStep<'_>| {
            let operand = |(i, &tensor): (usize, &TensorId)| {
                let operand = i as u32;
                let same = self.tensors[tensor].dtype == self.tensors[step.output].dtype;
                (tensor, step.op.reach(operand), same && step.op.in_place(operand))
            };
            Step {
                inputs: step.inputs.iter().enumerate().map(operand).collect(),
                output: step.output,
                block: step.op.row_block(),
                scratch: self.scratch_len(step, &rows).next_multiple_of(ALIGN),
            }
        };
        self.steps.iter().map(step).collect()
    }
}
