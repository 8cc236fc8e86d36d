//! The verification of a model file, and what the model needs of the runtime.

use core::marker::PhantomData;

use super::Model;
use crate::bytes::attempt;
use crate::error::{Fault, ModelError};
use crate::format::{File, PortKind};
use crate::internal::internal;
use crate::pixels::PixelTables;
use crate::plan;
use crate::step::Step;
use crate::uses::{Linked, Set};
use crate::work::Work;

impl<'m, L: Linked> Model<'m, L> {
    /// As [`Model::new`], of a program that links `L` only: a model received over the air, for one that is part of the
    /// program.
    ///
    /// # Errors
    /// As [`Model::new`]; [`Fault::NotLinked`] when the model needs more than `L`.
    pub const fn limited(bytes: &'m [u8]) -> Result<Self, ModelError> {
        let model = Self { file: attempt!(File::open(bytes)), linked: PhantomData };
        let mut index = 0;
        while index < model.file.tensors {
            attempt!(model.file.check_tensor(index));
            index += 1;
        }
        attempt!(model.check_work());
        let mut index = 0;
        while index < model.file.steps {
            attempt!(model.check_step(index));
            index += 1;
        }
        attempt!(plan::verify::<L>(&model.file));
        attempt!(model.check_ends());
        Ok(model)
    }

    /// Checks that the model is not more work than is allowed, before anything takes long.
    const fn check_work(&self) -> Result<(), ModelError> {
        let (mut work, mut index) = (Work::NONE, 0);
        while index < self.file.steps {
            let record = attempt!(self.file.step(index));
            attempt!(self.file.check_operands(&record));
            work = work.and(self.work_of(&attempt!(self.decode_step(index))));
            if !work.is_allowed(self.file.len()) {
                return Err(ModelError::new(Fault::Work, record.at));
            }
            index += 1;
        }
        Ok(())
    }

    const fn work_of(&self, step: &Step<'_>) -> Work {
        Work::of(step, !self.is_alone(step) || step.is_overlaid())
    }

    /// Whether the step has its time slot to itself.
    const fn is_alone(&self, step: &Step<'_>) -> bool {
        let (time_slot, index) = (step.time_slot, step.index);
        (index == 0 || self.time_slot(index - 1) != time_slot) && self.time_slot(index + 1) != time_slot
    }

    /// Checks operator, parameters and operands of a step.
    const fn check_step(&self, index: u32) -> Result<(), ModelError> {
        let record = attempt!(self.file.step(index));
        let step = attempt!(self.named_step(index));
        if let Err(fault) = step.op.check(&step.tensors) {
            return Err(ModelError::new(fault, record.at));
        }
        if !L::SET.contains(&self.uses_of_step(&step)) {
            return Err(ModelError::new(Fault::NotLinked, record.at));
        }
        if step.scratch.len < step.op.scratch_len(&step.tensors) {
            return Err(ModelError::new(Fault::Scratch, record.at));
        }
        Ok(())
    }

    const fn uses_of_step(&self, step: &Step<'_>) -> Set {
        Set { overlays: step.is_overlaid(), chains: !self.runs_in_order(step), ..step.op.uses(&step.tensors) }
    }

    /// Whether the steps of the step's time slot can run one after the other, each as a whole: there is but one, or their outputs have
    /// one row and each is made of the one before. That is the order in which their chain runs.
    const fn runs_in_order(&self, step: &Step<'_>) -> bool {
        let (time_slot, next) = (step.time_slot, step.index + 1);
        let row = step.tensors.output.shape.h == 1 && !step.is_overlaid();
        self.is_alone(step) || (row && self.follows(step.index, time_slot) && self.follows(next, time_slot))
    }

    /// Whether step `index` is not of `time_slot`, or the first of it, or reads what the step before writes.
    const fn follows(&self, index: usize, time_slot: u32) -> bool {
        if index == 0 || self.time_slot(index) != time_slot || self.time_slot(index - 1) != time_slot {
            return true;
        }
        match (self.file.step(index as u32), self.file.step(index as u32 - 1)) {
            (Ok(step), Ok(before)) => step.a == before.output || matches!(step.b, Some(b) if b == before.output),
            _ => false,
        }
    }

    /// Checks input, output, labels and preprocessing against each other.
    const fn check_ends(&self) -> Result<(), ModelError> {
        attempt!(self.check_dense(PortKind::Input));
        attempt!(self.check_dense(PortKind::Output));
        let (input, output) = (self.input(), self.output());
        let labels = self.file.labels();
        if labels != 0 && labels != output.shape.len() {
            return Err(ModelError::new(Fault::Text, self.file.tensor_at(self.output_index() as u32)));
        }
        let mut index = 0;
        while index < labels {
            attempt!(self.file.label(index));
            index += 1;
        }
        let (at, section) = self.file.preprocess();
        attempt!(PixelTables::decode(at, section, &input));
        if self.file.port_count(PortKind::State) != 0 && !L::SET.states {
            return Err(ModelError::new(Fault::NotLinked, attempt!(self.file.port(PortKind::State, 0)).at));
        }
        Ok(())
    }

    /// Whether all elements of each input or output are kept and contiguous.
    const fn check_dense(&self, kind: PortKind) -> Result<(), ModelError> {
        let mut index = 0;
        while index < self.file.port_count(kind) {
            let tensor = attempt!(self.file.port(kind, index)).tensor;
            if !attempt!(self.file.tensor(tensor)).is_dense() {
                return Err(ModelError::new(Fault::Operand, self.file.tensor_at(tensor)));
            }
            index += 1;
        }
        Ok(())
    }

    /// What verification and an inference cost at most.
    pub const fn work(&self) -> Work {
        let (mut work, mut index) = (Work::NONE, 0);
        while let Some(step) = self.step(index) {
            work = work.and(self.work_of(&step));
            index += 1;
        }
        work
    }

    internal! {
        /// The operators, algorithms and element types that the model uses, see [`uses`](crate::uses).
        const fn uses(&self) -> Set {
            let (mut set, mut index) = (Set::NONE, 0);
            set.states = self.file.port_count(PortKind::State) != 0;
            while let Some(step) = self.step(index) {
                set = set.union(self.uses_of_step(&step));
                index += 1;
            }
            set
        }
    }
}
