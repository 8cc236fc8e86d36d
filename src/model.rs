//! A model file that has been checked as a whole, and what can be asked of it.

use core::fmt;
use core::marker::PhantomData;

use crate::bytes::attempt;
use crate::chain::Chain;
use crate::error::{Fault, ModelError};
use crate::format::layout::Section;
use crate::format::{About, File, PortKind, crc32};
use crate::memory::Region;
use crate::ops::{Op, OpKind, Operands};
use crate::pixels::PixelTables;
use crate::plan;
use crate::tensor::Tensor;
use crate::uses::{Dynamic, Linked, Set};
use crate::work::Work;

/// A checked model. It borrows the file and copies nothing: weights stay where they are.
///
/// ```no_run
/// # fn received_over_the_air() -> &'static [u8] { &[] }
/// match kinglet::Model::new(received_over_the_air()) {
///     Ok(model) => assert!(model.arena_len() <= 64 * 1024),
///     Err(error) => panic!("{error}"),
/// }
/// ```
///
/// `L` says which operators, algorithms and element types it may have, see [`uses`](crate::uses): all, unless the
/// compiler knows the model, as with [`model!`](crate::model!).
#[derive(Clone, Copy)]
pub struct Model<'m, L: Linked = Dynamic> {
    file: File<'m>,
    linked: PhantomData<L>,
}

impl<L: Linked> fmt::Debug for Model<'_, L> {
    /// The name and the sizes, not the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("name", &self.name())
            .field("file_len", &self.file_len())
            .field("arena_len", &self.arena_len())
            .field("steps", &self.step_count())
            .finish()
    }
}

/// One step of a model.
#[derive(Clone, Copy, Debug)]
pub struct Step<'m> {
    /// Its place in the order of execution, from 0.
    pub index: usize,
    /// Its name, that of the layer it came from.
    pub name: &'m str,
    /// The moment at which it runs; steps of a chain share one.
    pub moment: u32,
    /// The operator with its parameters.
    pub op: Op<'m>,
    /// The tensors it works on.
    pub tensors: Operands,
    /// Its scratch memory in the arena.
    pub scratch: Region,
}

impl Step<'_> {
    /// Which operator.
    pub const fn kind(&self) -> OpKind {
        self.op.kind()
    }

    /// Multiply-accumulate operations of one run.
    pub const fn macs(&self) -> u64 {
        self.op.macs(&self.tensors)
    }

    /// Whether the output lies over an input that the step still needs: then it is computed in blocks of rows.
    pub(crate) const fn is_overlaid(&self) -> bool {
        let Operands { a, b, output } = &self.tensors;
        a.is_overlaid_by(output) || matches!(b, Some(b) if b.is_overlaid_by(output))
    }
}

impl<'m> Model<'m> {
    /// Checks a whole model file: magic, version, length, CRC-32, every section, offset, shape, quantization
    /// parameter and weight table, and the memory plan. What it accepts runs without errors.
    ///
    /// It is a `const fn`: see [`model!`](crate::model!) for models that are part of the program.
    ///
    /// # Errors
    /// The first fault found and the byte of the file that shows it.
    pub const fn new(bytes: &'m [u8]) -> Result<Self, ModelError> {
        Self::limited(bytes)
    }

    /// What the model in `bytes` uses, for the type of [`model!`](crate::model!); nothing when it is not valid.
    #[doc(hidden)]
    pub const fn uses_of(bytes: &'m [u8]) -> Set {
        match File::peek(bytes) {
            Ok(file) => Self { file, linked: PhantomData }.uses(),
            Err(_) => Set::NONE,
        }
    }
}

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
            attempt!(model.file.tensor(index));
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

    /// Whether the model's bytes start at a multiple of 4.
    pub(crate) fn is_aligned(&self) -> bool {
        self.file.is_aligned()
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

    /// Whether the step has its moment to itself.
    const fn is_alone(&self, step: &Step<'_>) -> bool {
        let (moment, index) = (step.moment, step.index);
        (index == 0 || self.moment(index - 1) != moment) && self.moment(index + 1) != moment
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

    /// Whether the steps of the step's moment can run one after the other, each as a whole: there is but one, or their outputs have
    /// one row and each is made of the one before. That is the order in which their chain runs.
    const fn runs_in_order(&self, step: &Step<'_>) -> bool {
        let (moment, next) = (step.moment, step.index + 1);
        let row = step.tensors.output.shape.h == 1 && !step.is_overlaid();
        self.is_alone(step) || (row && self.follows(step.index, moment) && self.follows(next, moment))
    }

    /// Whether step `index` is not of `moment`, or the first of it, or reads what the step before writes.
    const fn follows(&self, index: usize, moment: u32) -> bool {
        if index == 0 || self.moment(index) != moment || self.moment(index - 1) != moment {
            return true;
        }
        match (self.file.step(index as u32), self.file.step(index as u32 - 1)) {
            (Ok(step), Ok(before)) => step.a == before.output || matches!(step.b, Some(b) if b == before.output),
            _ => false,
        }
    }

    /// The moment of step `index`; 0 past the last.
    pub(crate) const fn moment(&self, index: usize) -> u32 {
        self.file.moment(index as u32)
    }

    /// Step `index` with its name.
    const fn named_step(&self, index: u32) -> Result<Step<'m>, ModelError> {
        let name = attempt!(self.file.step_name(index));
        let step = attempt!(self.decode_step(index));
        Ok(Step { name, ..step })
    }

    /// Step `index` without its name.
    const fn decode_step(&self, index: u32) -> Result<Step<'m>, ModelError> {
        let record = attempt!(self.file.step(index));
        Ok(Step {
            index: index as usize,
            name: "",
            moment: record.moment,
            op: attempt!(Op::decode::<L>(record.op, record.at, record.params)),
            tensors: Operands {
                a: attempt!(self.file.tensor(record.a)),
                b: match record.b {
                    Some(b) => Some(attempt!(self.file.tensor(b))),
                    None => None,
                },
                output: attempt!(self.file.tensor(record.output)),
            },
            scratch: record.scratch.canonical(),
        })
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
        // Sessions do not keep states yet.
        if self.file.port_count(PortKind::State) != 0 {
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

    pub(crate) const fn file(&self) -> &File<'m> {
        &self.file
    }

    /// What the file says about the model beside its network: whose arithmetic it has, its generation.
    pub const fn about(&self) -> About {
        self.file.about()
    }

    /// The model's name.
    pub const fn name(&self) -> &'m str {
        self.file.name()
    }

    /// Bytes of arena that a session needs: the `N` of [`Arena<N>`](crate::Arena).
    pub const fn arena_len(&self) -> usize {
        self.file.arena as usize
    }

    /// Bytes of arena, of [`Model::arena_len`], that were planned to lie in a fast memory; 0 when the arena is one.
    pub const fn fast_len(&self) -> usize {
        self.file.fast as usize
    }

    /// The other bytes of arena: all, when the arena is one.
    pub const fn slow_len(&self) -> usize {
        self.arena_len().saturating_sub(self.fast_len())
    }

    /// Bytes of the first of two memories that the arena may lie in: all, when it was planned for one.
    #[doc(hidden)]
    pub const fn fast_part(&self) -> usize {
        if self.fast_len() > 0 { self.fast_len() } else { self.arena_len() }
    }

    /// The CRC-32 in the file's header: of the whole file, that word left out.
    pub const fn checksum(&self) -> u32 {
        self.file.checksum()
    }

    /// The model file.
    pub const fn as_bytes(&self) -> &'m [u8] {
        self.file.bytes()
    }

    /// Bytes of the model file.
    pub const fn file_len(&self) -> usize {
        self.file.len() as usize
    }

    /// Bytes of weights and tables in the file.
    pub const fn weight_bytes(&self) -> usize {
        self.file.section_bytes(Section::Weights).len()
    }

    /// Number of steps.
    pub const fn step_count(&self) -> usize {
        self.file.steps as usize
    }

    /// Step `index`, in the order of execution, or `None` past the last.
    pub const fn step(&self, index: usize) -> Option<Step<'m>> {
        if index >= self.step_count() {
            return None;
        }
        match self.named_step(index as u32) {
            Ok(step) => Some(step),
            Err(_) => None,
        }
    }

    /// Step `index` without its name, to run it.
    pub(crate) const fn nameless_step(&self, index: usize) -> Option<Step<'m>> {
        match self.decode_step(index as u32) {
            Ok(step) => Some(step),
            Err(_) => None,
        }
    }

    /// CRC-32 over what step `index` reads of the file: its parameters, weights and tables. `None` past the last step, and
    /// when the file is no longer what was checked.
    pub const fn step_checksum(&self, index: usize) -> Option<u32> {
        if index >= self.step_count() {
            return None;
        }
        match (self.file.step(index as u32), self.decode_step(index as u32)) {
            (Ok(record), Ok(step)) => {
                let [first, second] = step.op.constants();
                Some(crc32(crc32(crc32(0, record.params.bytes()), first), second))
            }
            _ => None,
        }
    }

    /// The tensors that step `index` works on, by number: first input, second input, output. `None` past the last step.
    pub const fn operands(&self, index: usize) -> Option<[Option<usize>; 3]> {
        if index >= self.step_count() {
            return None;
        }
        match self.file.step(index as u32) {
            Ok(step) => {
                let b = match step.b {
                    Some(b) => Some(b as usize),
                    None => None,
                };
                Some([Some(step.a as usize), b, Some(step.output as usize)])
            }
            Err(_) => None,
        }
    }

    /// The chain that starts with step `index`.
    pub(crate) const fn chain(&self, index: usize) -> Option<Chain> {
        if index >= self.step_count() {
            return None;
        }
        match Chain::open::<L>(&self.file, index as u32) {
            Ok(chain) => Some(chain),
            Err(_) => None,
        }
    }

    /// All steps in the order of execution.
    pub fn steps(&self) -> impl Iterator<Item = Step<'m>> + use<'m, L> {
        let model = *self;
        (0..self.step_count()).map_while(move |index| model.step(index))
    }

    /// Number of activation tensors.
    pub const fn tensor_count(&self) -> usize {
        self.file.tensors as usize
    }

    /// Activation tensor `index`, or `None` past the last.
    pub const fn tensor(&self, index: usize) -> Option<Tensor> {
        if index >= self.tensor_count() {
            return None;
        }
        match self.file.tensor(index as u32) {
            Ok(tensor) => Some(tensor),
            Err(_) => None,
        }
    }

    /// Index of the first input's tensor.
    pub const fn input_index(&self) -> usize {
        self.file.first(PortKind::Input) as usize
    }

    /// Index of the first output's tensor.
    pub const fn output_index(&self) -> usize {
        self.file.first(PortKind::Output) as usize
    }

    /// The first input's tensor; dense. See [`Model::inputs`] for all.
    pub const fn input(&self) -> Tensor {
        self.end(PortKind::Input)
    }

    /// The first output's tensor; dense. See [`Model::outputs`] for all.
    pub const fn output(&self) -> Tensor {
        self.end(PortKind::Output)
    }

    const fn end(&self, kind: PortKind) -> Tensor {
        match self.file.tensor(self.file.first(kind)) {
            Ok(tensor) => tensor,
            Err(_) => Tensor::EMPTY,
        }
    }

    /// How pixels become input elements, if the model says so.
    pub const fn pixels(&self) -> Option<PixelTables<'m>> {
        let (at, section) = self.file.preprocess();
        match PixelTables::decode(at, section, &self.input()) {
            Ok(tables) => tables,
            Err(_) => None,
        }
    }

    /// Number of labels: the number of classes, or 0.
    pub const fn label_count(&self) -> usize {
        self.file.labels() as usize
    }

    /// The label of class `class`, if the model has labels.
    pub const fn label(&self, class: usize) -> Option<&'m str> {
        if class >= self.label_count() {
            return None;
        }
        match self.file.label(class as u32) {
            Ok(label) => Some(label),
            Err(_) => None,
        }
    }

    /// Multiply-accumulate operations of one inference.
    pub fn macs(&self) -> u64 {
        self.steps().map(|step| step.macs()).fold(0, u64::saturating_add)
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

    /// The operators, algorithms and element types that the model uses, see [`uses`](crate::uses).
    pub const fn uses(&self) -> Set {
        let (mut set, mut index) = (Set::NONE, 0);
        while let Some(step) = self.step(index) {
            set = set.union(self.uses_of_step(&step));
            index += 1;
        }
        set
    }

    /// The same model, for code that takes models of every kind, and then links all that there is.
    pub const fn unlimited(self) -> Model<'m> {
        Model { file: self.file, linked: PhantomData }
    }

    /// The model of [`model!`](crate::model!): stops compilation with the fault's text.
    #[doc(hidden)]
    #[track_caller]
    pub const fn expect(bytes: &'m [u8]) -> Self {
        match Self::limited(bytes) {
            Ok(model) => model,
            Err(error) => panic!("{}", error.fault.message()),
        }
    }
}
