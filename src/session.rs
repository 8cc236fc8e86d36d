//! Running a model: whole, or step by step.

use core::marker::PhantomData;
use core::ops::Range;

use crate::chain::Chain;
use crate::error::SessionError;
use crate::format::crc32;
use crate::kernels::float16::f16;
use crate::kernels::{Active, Backend};
use crate::memory::{Memory, Region};
use crate::model::{Model, Step};
use crate::ops::{Io, OpKind};
use crate::sys::cast;
use crate::tensor::{DType, Tensor};
use crate::uses::{Dynamic, Linked};

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
pub struct Session<'a, B = Active, L: Linked = Dynamic> {
    model: Model<'a, L>,
    memory: Memory<'a>,
    next: usize,
    /// Rows that the next step has computed: not 0 only between the pieces of a step, see [`Session::step_rows`].
    row: u32,
    /// The chain that has been begun, if one has.
    chain: Option<Chain>,
    backend: PhantomData<B>,
}

/// What an [`Observer`] is told: a step has computed some rows of its output, all of them unless it is part of a
/// chain or runs in pieces ([`Session::step_rows`]).
#[derive(Clone, Debug)]
pub struct StepEvent<'e> {
    /// Its place in the model, from 0.
    pub index: usize,
    /// Its name.
    pub name: &'e str,
    /// Which operator.
    pub kind: OpKind,
    /// The output tensor.
    pub tensor: &'e Tensor,
    /// The rows of it that have been computed.
    pub rows: Range<u32>,
    /// Those rows' bytes, from the first element to the last; between the pixels of a concatenation's part lie bytes of
    /// the other parts, see [`StepEvent::pixels`].
    pub output: &'e [i8],
    /// By how much the observer's clock went on.
    pub ticks: u32,
}

impl StepEvent<'_> {
    /// The bytes of each computed pixel's channels, in order.
    pub fn pixels(&self) -> impl Iterator<Item = &[i8]> {
        let channels = self.tensor.pixel_bytes() as usize;
        let pitch = (self.tensor.place.pitch as usize).max(1);
        self.output.chunks(pitch).filter_map(move |pixel| pixel.get(..channels))
    }

    /// CRC-32 of the computed elements, `H x W x C`, continuing that of the rows `before` them (0 for the first).
    pub fn checksum(&self, before: u32) -> u32 {
        self.pixels().fold(before, |crc, elements| crc32(crc, cast::as_u8(elements)))
    }

    /// Whether these rows complete the output.
    pub fn is_last(&self) -> bool {
        self.rows.end >= self.tensor.shape.h
    }
}

/// Sees every step: profiling, checksums per layer and trigger pins hang on this.
pub trait Observer {
    /// A free-running clock: a cycle counter, a timer, an instruction counter. Called before and after each step;
    /// differences are modulo 2^32.
    fn now(&mut self) -> u32 {
        0
    }

    /// Called before a step, counted from 0, or some of its rows, are computed, and before the clock is read.
    fn begin(&mut self, index: usize) {
        let _ = index;
    }

    /// Whether it wants to be told of steps at all.
    fn observes(&self) -> bool {
        true
    }

    /// Called after each step; after each piece of a step in a chain or of one that runs in pieces.
    fn step(&mut self, event: &StepEvent<'_>);
}

/// Sees nothing.
impl Observer for () {
    fn observes(&self) -> bool {
        false
    }

    fn step(&mut self, _: &StepEvent<'_>) {}
}

impl<'a, L: Linked> Session<'a, Active, L> {
    /// A session on the backend that this program was compiled for.
    ///
    /// # Errors
    /// When `arena` is shorter than [`Model::arena_len`] or not 16-byte aligned, as that of
    /// [`Arena::take`](crate::Arena::take) is, or when the model's bytes are not 4-byte aligned, as those of
    /// [`model!`](crate::model!) are.
    pub fn new(model: Model<'a, L>, arena: &'a mut [u8]) -> Result<Self, SessionError> {
        Self::with_backend(model, arena)
    }

    /// A session whose arena lies in two memories, the first [`Model::fast_len`] bytes in `fast` and the rest in `slow`:
    /// tightly coupled memory and another, say. See [`Arena`](crate::Arena) for both.
    ///
    /// # Errors
    /// As [`Session::new`], of each of both.
    pub fn split(model: Model<'a, L>, fast: &'a mut [u8], slow: &'a mut [u8]) -> Result<Self, SessionError> {
        Self::split_with_backend(model, fast, slow)
    }
}

impl<'a, B: Backend, L: Linked> Session<'a, B, L> {
    /// A session on a backend of choice, for simulators and tests: all give the same bytes.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn with_backend(model: Model<'a, L>, arena: &'a mut [u8]) -> Result<Self, SessionError> {
        let memory = Memory::new(taken(arena, model.arena_len())?);
        Self::over(model, memory)
    }

    /// As [`Session::split`], on a backend of choice.
    ///
    /// # Errors
    /// As [`Session::split`].
    pub fn split_with_backend(
        model: Model<'a, L>,
        fast: &'a mut [u8],
        slow: &'a mut [u8],
    ) -> Result<Self, SessionError> {
        let memory = Memory::split(taken(fast, model.fast_len())?, taken(slow, model.slow_len())?);
        Self::over(model, memory)
    }

    fn over(model: Model<'a, L>, memory: Memory<'a>) -> Result<Self, SessionError> {
        if !model.is_aligned() {
            return Err(SessionError::ModelMisaligned);
        }
        Ok(Self { model, memory, next: 0, row: 0, chain: None, backend: PhantomData })
    }

    /// The model.
    pub fn model(&self) -> &Model<'a, L> {
        &self.model
    }

    /// The input of an int8 model, `H x W x C` elements, to be filled before the first step. Later steps may reuse its
    /// bytes. Empty for a model of another element type: see [`Session::input_bytes_mut`].
    pub fn input_mut(&mut self) -> &mut [i8] {
        match self.model.input() {
            input if input.dtype.same(DType::I8) => self.memory.write(input.region()),
            _ => &mut [],
        }
    }

    /// The input as bytes, whatever its element type, elements in the processor's byte order.
    pub fn input_bytes_mut(&mut self) -> &mut [u8] {
        cast::as_u8_mut(self.memory.write(self.model.input().region()))
    }

    /// Fills the input from `pixels`, `H x W x C` bytes, through the model's table; an int8 model without one takes
    /// bytes as they are, less 128.
    ///
    /// # Errors
    /// When there are more or fewer pixels than the model takes, or a model that is not int8 has no table.
    pub fn set_pixels(&mut self, pixels: &[u8]) -> Result<(), SessionError> {
        self.check_len(pixels.len(), self.model.input().shape.len())?;
        self.map_pixels(self.model.input().region(), pixels)
    }

    /// Fills row `row` of the input, counted from 0, from its `pixels`, `W x C` bytes, as [`Session::set_pixels`] fills all.
    ///
    /// # Errors
    /// When the input has no such row, there are more or fewer pixels than a row has, or as for [`Session::set_pixels`].
    pub fn set_pixel_row(&mut self, row: u32, pixels: &[u8]) -> Result<(), SessionError> {
        let input = self.model.input();
        let len = input.shape.w.wrapping_mul(input.shape.c);
        let end = row.saturating_add(1).saturating_mul(len);
        if row >= input.shape.h {
            return Err(SessionError::InputLength { needed: input.shape.len(), given: end });
        }
        self.check_len(pixels.len(), len)?;
        let bytes = len.wrapping_mul(input.dtype.size());
        self.map_pixels(input.region().part(row.wrapping_mul(bytes), bytes), pixels)
    }

    fn map_pixels(&mut self, region: Region, pixels: &[u8]) -> Result<(), SessionError> {
        let (tables, dtype) = (self.model.pixels(), self.model.input().dtype);
        let input = self.memory.write(region);
        match tables {
            Some(tables) => tables.apply(pixels, input),
            None if !dtype.same(DType::I8) => return Err(SessionError::NoPixels),
            None => input.iter_mut().zip(pixels).for_each(|(element, &pixel)| *element = (pixel ^ 0x80) as i8),
        }
        Ok(())
    }

    /// Fills the input of an int8 model from quantized elements.
    ///
    /// # Errors
    /// When there are more or fewer elements than the model takes, or its input is not int8.
    pub fn set_input(&mut self, elements: &[i8]) -> Result<(), SessionError> {
        self.set_elements(cast::as_u8(elements), DType::I8)
    }

    /// Fills the input of an int16 model from quantized elements.
    ///
    /// # Errors
    /// When there are more or fewer elements than the model takes, or its input is not int16.
    pub fn set_input_i16(&mut self, elements: &[i16]) -> Result<(), SessionError> {
        self.set_elements(cast::i16_as_u8(elements), DType::I16)
    }

    /// Fills the input of a float16 model. Elements should be finite, as all that follow from finite ones are.
    ///
    /// # Errors
    /// When there are more or fewer elements than the model takes, or its input is not float16.
    pub fn set_input_f16(&mut self, elements: &[f16]) -> Result<(), SessionError> {
        self.set_elements(cast::f16_as_u8(elements), DType::F16)
    }

    /// Fills the input from the bytes of quantized elements, whatever their type, in the processor's byte order.
    ///
    /// # Errors
    /// When there are more or fewer bytes than the model's input has.
    pub fn set_input_bytes(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        self.set_elements(bytes, self.model.input().dtype)
    }

    fn set_elements(&mut self, bytes: &[u8], given: DType) -> Result<(), SessionError> {
        let input = self.model.input();
        if !given.same(input.dtype) {
            return Err(SessionError::ElementType { needed: input.dtype, given });
        }
        self.check_len(bytes.len(), input.span())?;
        self.input_bytes_mut().iter_mut().zip(bytes).for_each(|(to, &from)| *to = from);
        Ok(())
    }

    fn check_len(&self, given: usize, needed: u32) -> Result<(), SessionError> {
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

    /// Runs the next step, or the next chain of steps, or what is left of one; whether there is another one. After the last
    /// the session starts anew.
    ///
    /// Between steps the caller may do anything else, so that a control loop keeps its deadlines; where a whole step takes
    /// too long, see [`Session::step_rows`].
    pub fn step(&mut self) -> bool {
        self.step_observed(&mut ())
    }

    /// As [`Session::step`], under an observer.
    pub fn step_observed(&mut self, observer: &mut impl Observer) -> bool {
        loop {
            let more = self.advance(observer);
            if self.chain.is_none() {
                return more;
            }
        }
    }

    /// Runs a piece of the next step: at most `rows` rows of its output, or as many as its algorithm computes at a time when
    /// those are more (`Op::row_block`: 1, 2 or 4, and more for Winograd's algorithm at run time); in a chain of
    /// steps, one such block. Whether there is more to run. After the last the session starts anew.
    ///
    /// Each piece reads its input rows anew, so that small pieces take more instructions in all; the output bytes are the same
    /// for any mixture of pieces and steps. A step whose output has one row (a mean, a fully connected layer) is one piece.
    ///
    /// ```no_run
    /// # fn demo(session: &mut kinglet::Session<'_>, mut other_work: impl FnMut()) {
    /// while session.step_rows(1) {
    ///     other_work();
    /// }
    /// let best = session.top_k::<1>();
    /// # }
    /// ```
    pub fn step_rows(&mut self, rows: u32) -> bool {
        self.step_rows_observed(rows, &mut ())
    }

    /// As [`Session::step_rows`], under an observer.
    pub fn step_rows_observed(&mut self, rows: u32, observer: &mut impl Observer) -> bool {
        if !L::SET.chains || self.chain.is_none() {
            let Some(step) = self.model.nameless_step(self.next) else { return self.go_on(1) };
            if !L::SET.chains || self.model.moment(self.next.wrapping_add(1)) != step.moment {
                return self.run_alone(&step, rows, observer);
            }
            self.chain = self.model.chain(self.next);
        }
        self.advance_chain(observer)
    }

    /// Runs the next step, or the next block of rows of one step of a chain; whether there is more.
    pub fn advance(&mut self, observer: &mut impl Observer) -> bool {
        self.step_rows_observed(u32::MAX, observer)
    }

    /// Runs up to `rows` rows of a step that has a moment to itself, in one call unless they push its input's out of the way;
    /// whether there is more.
    fn run_alone(&mut self, step: &Step<'_>, rows: u32, observer: &mut impl Observer) -> bool {
        let height = step.tensors.output.shape.h;
        let overlaid = L::SET.overlays && step.is_overlaid();
        let block = if !overlaid && rows >= height {
            height
        } else {
            let least = step.op.row_block().max(1);
            // Calls start at a multiple of what the algorithm computes at a time.
            if overlaid { least } else { rows.saturating_sub(rows.checked_rem(least).unwrap_or(0)).max(least) }
        };
        let stop = self.row.saturating_add(rows);
        loop {
            let end = self.row.saturating_add(block).min(height);
            self.execute(step, self.row..end, observer);
            if end >= height {
                self.row = 0;
                return self.go_on(1);
            }
            self.row = end;
            if block > stop.saturating_sub(end) {
                return true;
            }
        }
    }

    /// Runs some rows of one step of the chain; whether there is more.
    fn advance_chain(&mut self, observer: &mut impl Observer) -> bool {
        let Some(call) = self.chain.as_ref().and_then(Chain::next) else { return self.leave_chain() };
        let Some(step) = self.model.nameless_step(self.next.wrapping_add(call.link)) else { return self.leave_chain() };
        self.execute(&step, call.start..call.end, observer);
        match &mut self.chain {
            Some(chain) => {
                chain.advance(call);
                if chain.is_done() { self.leave_chain() } else { true }
            }
            None => self.go_on(1),
        }
    }

    /// Leaves the chain behind; whether there is more.
    fn leave_chain(&mut self) -> bool {
        let steps = self.chain.as_ref().map_or(1, Chain::len);
        self.chain = None;
        self.go_on(steps)
    }

    /// Goes on to a later step; whether there is one.
    fn go_on(&mut self, steps: usize) -> bool {
        self.next = self.next.saturating_add(steps);
        if self.next < self.model.step_count() {
            return true;
        }
        self.next = 0;
        false
    }

    fn execute(&mut self, step: &Step<'_>, rows: Range<u32>, observer: &mut impl Observer) {
        observer.begin(step.index);
        let before = observer.now();
        let mut io = Io { memory: &mut self.memory, tensors: step.tensors, scratch: step.scratch };
        step.op.run_one_of::<B, L>(&mut io, rows.clone());
        let ticks = observer.now().wrapping_sub(before);
        if !observer.observes() {
            return;
        }
        let tensor = &step.tensors.output;
        let output = self.memory.read(tensor.rows(rows.start, rows.end.saturating_sub(rows.start)));
        observer.step(&StepEvent {
            index: step.index,
            name: self.model.step_name(step.index),
            kind: step.kind(),
            tensor,
            rows,
            output,
            ticks,
        });
    }

    /// Abandons the current inference; the next step is the first.
    pub fn restart(&mut self) {
        self.next = 0;
        self.row = 0;
        self.chain = None;
    }

    /// The step that runs next, or goes on, or the first of the chain that is running.
    pub fn next_step(&self) -> usize {
        self.next
    }

    /// The output's elements of an int8 model, `H x W x C`; those of the last inference that ran to its end. Empty for a
    /// model of another element type.
    pub fn output(&self) -> &[i8] {
        self.output_of(DType::I8)
    }

    /// As [`Session::output`], of an int16 model.
    pub fn output_i16(&self) -> &[i16] {
        cast::as_i16(self.output_of(DType::I16))
    }

    /// As [`Session::output`], of a float16 model.
    pub fn output_f16(&self) -> &[f16] {
        cast::as_f16(self.output_of(DType::F16))
    }

    /// The output as bytes, whatever its element type, elements in the processor's byte order.
    pub fn output_bytes(&self) -> &[u8] {
        cast::as_u8(self.output_of(self.model.output().dtype))
    }

    fn output_of(&self, dtype: DType) -> &[i8] {
        match self.model.output() {
            output if output.dtype.same(dtype) => self.memory.read(output.region()),
            _ => &[],
        }
    }
}

/// The first `needed` bytes of an aligned arena.
fn taken(arena: &mut [u8], needed: usize) -> Result<&mut [u8], SessionError> {
    let given = arena.len();
    if needed != 0 && arena.as_ptr().align_offset(16) != 0 {
        return Err(SessionError::ArenaMisaligned);
    }
    let too_small = SessionError::ArenaTooSmall { needed: needed as u32, given: given as u32 };
    arena.get_mut(..needed).ok_or(too_small)
}
