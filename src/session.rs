//! Running a model: whole, or step by step.

use core::marker::PhantomData;

use crate::error::SessionError;
use crate::format::crc32;
use crate::kernels::intrinsics::cast;
use crate::kernels::{Active, Backend};
use crate::memory::Memory;
use crate::model::{Model, Step};
use crate::ops::{Io, OpKind};
use crate::tensor::Tensor;

/// A model, an arena, and how far the current inference has come.
///
/// ```no_run
/// use kinglet::{Model, Session};
/// # fn model() -> Model<'static> { todo_() } fn todo_<T>() -> T { loop {} }
/// # fn camera() -> &'static [u8] { &[] }
/// # fn main() -> Result<(), kinglet::SessionError> {
/// # let mut arena = [0; 1024];
/// let mut session = Session::new(model(), &mut arena)?;
/// session.set_pixels(camera())?;
/// session.run();
/// let best = session.top_k::<1>();
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Session<'a, B = Active> {
    model: Model<'a>,
    memory: Memory<'a>,
    next: usize,
    backend: PhantomData<B>,
}

/// What an [`Observer`] is told about a step that has run.
#[derive(Clone, Copy, Debug)]
pub struct StepEvent<'e> {
    /// Its place in the order of execution, from 0.
    pub index: usize,
    /// Its name.
    pub name: &'e str,
    /// Which operator.
    pub kind: OpKind,
    /// The output's bytes, from its first element to its last; between the pixels of a concatenation's part lie
    /// bytes of the other parts.
    pub output: &'e [i8],
    /// The output's tensor.
    pub tensor: Tensor,
    /// By how much the observer's clock went on.
    pub ticks: u32,
}

impl StepEvent<'_> {
    /// CRC-32 of the output's elements, `H x W x C`; bytes of other tensors between them do not count.
    pub fn checksum(&self) -> u32 {
        let pitch = (self.tensor.place.pitch as usize).max(1);
        let pixel = self.tensor.pixel_bytes() as usize;
        let pixels = self.output.chunks(pitch).map(|chunk| chunk.get(..pixel).unwrap_or_default());
        pixels.fold(0, |crc, elements| crc32(crc, cast::as_u8(elements)))
    }
}

/// Sees every step: profiling, checksums per layer and trigger pins hang on this.
pub trait Observer {
    /// A free-running clock: a cycle counter, a timer, an instruction counter. Called before and after each step;
    /// differences are modulo 2^32.
    fn now(&mut self) -> u32 {
        0
    }

    /// Called after each step.
    fn step(&mut self, event: &StepEvent<'_>);
}

/// Sees nothing.
impl Observer for () {
    fn step(&mut self, _: &StepEvent<'_>) {}
}

impl<'a> Session<'a, Active> {
    /// A session on the backend that this program was compiled for.
    ///
    /// # Errors
    /// When `arena` is shorter than [`Model::arena_len`] or not 16-byte aligned, as that of
    /// [`Arena::take`](crate::Arena::take) is.
    pub fn new(model: Model<'a>, arena: &'a mut [u8]) -> Result<Self, SessionError> {
        Self::with_backend(model, arena)
    }
}

impl<'a, B: Backend> Session<'a, B> {
    /// A session on a backend of choice, for simulators and tests: all give the same bytes.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn with_backend(model: Model<'a>, arena: &'a mut [u8]) -> Result<Self, SessionError> {
        let (needed, given) = (model.arena_len(), arena.len());
        if arena.as_ptr().align_offset(16) != 0 {
            return Err(SessionError::ArenaMisaligned);
        }
        match arena.get_mut(..needed) {
            Some(bytes) => Ok(Self { model, memory: Memory::new(bytes), next: 0, backend: PhantomData }),
            None => Err(SessionError::ArenaTooSmall { needed: needed as u32, given: given as u32 }),
        }
    }

    /// The model.
    pub fn model(&self) -> &Model<'a> {
        &self.model
    }

    /// The input, `H x W x C` elements, to be filled before the first step. Later steps may reuse its bytes.
    pub fn input_mut(&mut self) -> &mut [i8] {
        self.memory.write(self.model.input().region())
    }

    /// Fills the input from `pixels`, `H x W x C` bytes, through the model's table; a model without one takes
    /// bytes as they are, less 128.
    ///
    /// # Errors
    /// When there are more or fewer pixels than the model takes.
    pub fn set_pixels(&mut self, pixels: &[u8]) -> Result<(), SessionError> {
        self.check_len(pixels.len())?;
        let tables = self.model.pixels();
        let input = self.input_mut();
        match tables {
            Some(tables) => tables.apply(pixels, input),
            None => input.iter_mut().zip(pixels).for_each(|(element, &pixel)| *element = (pixel ^ 0x80) as i8),
        }
        Ok(())
    }

    /// Fills the input from quantized elements.
    ///
    /// # Errors
    /// When there are more or fewer elements than the model takes.
    pub fn set_input(&mut self, elements: &[i8]) -> Result<(), SessionError> {
        self.check_len(elements.len())?;
        self.input_mut().iter_mut().zip(elements).for_each(|(to, &from)| *to = from);
        Ok(())
    }

    fn check_len(&self, given: usize) -> Result<(), SessionError> {
        let needed = self.model.input().shape.len();
        if given == needed as usize { Ok(()) } else { Err(SessionError::InputLength { needed, given: given as u32 }) }
    }

    /// Runs an inference to its end.
    pub fn run(&mut self) {
        self.run_observed(&mut ());
    }

    /// Runs an inference to its end under an observer.
    pub fn run_observed(&mut self, observer: &mut impl Observer) {
        while self.step_observed(observer) {}
    }

    /// Runs the next step; whether there is another one. After the last the session starts anew.
    ///
    /// Between steps the caller may do anything else, so that a control loop keeps its deadlines.
    pub fn step(&mut self) -> bool {
        self.step_observed(&mut ())
    }

    /// As [`Session::step`], under an observer.
    pub fn step_observed(&mut self, observer: &mut impl Observer) -> bool {
        if let Some(step) = self.model.step(self.next) {
            let before = observer.now();
            self.execute(&step);
            let ticks = observer.now().wrapping_sub(before);
            let tensor = step.tensors.output;
            let output = self.memory.read(tensor.region());
            observer.step(&StepEvent { index: step.index, name: step.name, kind: step.kind(), output, tensor, ticks });
        }
        self.next = self.next.saturating_add(1);
        if self.next < self.model.step_count() {
            return true;
        }
        self.next = 0;
        false
    }

    fn execute(&mut self, step: &Step<'_>) {
        let rows = 0..step.tensors.output.shape.h;
        let mut io = Io { memory: &mut self.memory, tensors: step.tensors, scratch: step.scratch };
        step.op.run::<B>(&mut io, rows);
    }

    /// Abandons the current inference; the next step is the first.
    pub fn restart(&mut self) {
        self.next = 0;
    }

    /// The step that runs next.
    pub fn next_step(&self) -> usize {
        self.next
    }

    /// The output's elements, `H x W x C`; those of the last inference that ran to its end.
    pub fn output(&self) -> &[i8] {
        self.memory.read(self.model.output().region())
    }
}
