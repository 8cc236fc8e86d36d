//! A model file that has been checked as a whole, and what can be asked of it.

mod check;

use core::fmt;
use core::marker::PhantomData;

use crate::bytes::attempt;
use crate::chain::Chain;
use crate::error::ModelError;
use crate::format::{About, File, PortKind, crc32};
use crate::internal::internal;
use crate::ops::{Op, Operands};
use crate::pixels::PixelTables;
use crate::step::Step;
use crate::tensor::Tensor;
use crate::uses::{Dynamic, Linked, Set};

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
    /// Whether the model's bytes start at a multiple of 4.
    pub(crate) fn is_aligned(&self) -> bool {
        self.file.is_aligned()
    }

    /// The time slot of step `index`; 0 past the last.
    pub(crate) const fn time_slot(&self, index: usize) -> u32 {
        self.file.time_slot(index as u32)
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
            time_slot: record.time_slot,
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

    pub(crate) const fn file(&self) -> &File<'m> {
        &self.file
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

    internal! {
        /// The CRC-32 in the file's header: of the whole file, that word left out.
        const fn checksum(&self) -> u32 {
            self.file.checksum()
        }
    }

    /// The model file.
    pub const fn as_bytes(&self) -> &'m [u8] {
        self.file.bytes()
    }

    /// Number of steps.
    pub const fn step_count(&self) -> usize {
        self.file.steps as usize
    }

    /// Step `index` without its name, to run it.
    pub(crate) const fn nameless_step(&self, index: usize) -> Option<Step<'m>> {
        match self.decode_step(index as u32) {
            Ok(step) => Some(step),
            Err(_) => None,
        }
    }

    /// Makes `chain` the one that starts with step `index`; whether there is such a step.
    pub(crate) const fn open_chain(&self, chain: &mut Chain, index: usize) -> bool {
        index < self.step_count() && chain.open::<L>(&self.file, index as u32).is_ok()
    }

    /// All steps in the order of execution.
    pub fn steps(&self) -> impl Iterator<Item = Step<'m>> + use<'m, L> {
        let model = *self;
        (0..self.step_count()).map_while(move |index| model.step(index))
    }

    /// The first input's tensor; dense. See [`Model::inputs`] for all.
    pub const fn input(&self) -> Tensor {
        self.port_tensor(PortKind::Input, 0)
    }

    /// The first output's tensor; dense. See [`Model::outputs`] for all.
    pub const fn output(&self) -> Tensor {
        self.port_tensor(PortKind::Output, 0)
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

    /// The model of [`model!`](crate::model!): stops compilation with the fault's text.
    #[doc(hidden)]
    #[track_caller]
    pub const fn expect(bytes: &'m [u8]) -> Self {
        match Self::limited(bytes) {
            Ok(model) => model,
            Err(error) => panic!("{}", error.fault.message()),
        }
    }

    internal! {
        /// The same model, for code that takes models of every kind, and then links all that there is.
        const fn unlimited(self) -> Model<'m> {
            Model { file: self.file, linked: PhantomData }
        }

        /// Bytes of weights and tables in the file.
        const fn weight_bytes(&self) -> usize {
            self.file.weights.len()
        }

        /// What the file says about the model beside its network: whose arithmetic it has, its generation.
        const fn about(&self) -> About {
            self.file.about()
        }

        /// Bytes of the model file.
        const fn file_len(&self) -> usize {
            self.file.len() as usize
        }

        /// Step `index`, in the order of execution, or `None` past the last.
        const fn step(&self, index: usize) -> Option<Step<'m>> {
            if index >= self.step_count() {
                return None;
            }
            match self.named_step(index as u32) {
                Ok(step) => Some(step),
                Err(_) => None,
            }
        }

        /// CRC-32 over what step `index` reads of the file: its parameters, weights and tables. `None` past the last step, and
        /// when the file is no longer what was checked.
        const fn step_checksum(&self, index: usize) -> Option<u32> {
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
        const fn operands(&self, index: usize) -> Option<[Option<usize>; 3]> {
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

        /// Number of activation tensors.
        const fn tensor_count(&self) -> usize {
            self.file.tensors as usize
        }

        /// Activation tensor `index`, or `None` past the last.
        const fn tensor(&self, index: usize) -> Option<Tensor> {
            if index >= self.tensor_count() {
                return None;
            }
            match self.file.tensor(index as u32) {
                Ok(tensor) => Some(tensor),
                Err(_) => None,
            }
        }

        /// Index of the first input's tensor.
        const fn input_index(&self) -> usize {
            self.file.port_index(PortKind::Input, 0) as usize
        }

        /// Index of the first output's tensor.
        const fn output_index(&self) -> usize {
            self.file.port_index(PortKind::Output, 0) as usize
        }

        /// How pixels become input elements, if the model says so.
        const fn pixels(&self) -> Option<PixelTables<'m>> {
            let (at, section) = self.file.preprocess();
            match PixelTables::decode(at, section, &self.input()) {
                Ok(tables) => tables,
                Err(_) => None,
            }
        }
    }
}
