//! A model with the memory that it works in.

use core::marker::PhantomData;

use crate::arena::Buffer;
use crate::error::SessionError;
use crate::fill::{Fill, Inputs, PixelRows, Value};
use crate::inference::{InferError, Inference, Run};
use crate::input::{Input, InputError};
use crate::kernels::{Active, Backend};
use crate::memory::Memory;
use crate::model::Model;
use crate::model_type::ModelType;
use crate::output::Output;
use crate::ports::Which;
use crate::uses::{Dynamic, Linked};

/// A model and the memory that it works in: inputs go in, outputs come out, one inference at a time.
///
/// Of a model that is part of the program (see [`model!`](crate::model!)):
///
/// ```
/// use kinglet::{Arena, Pixels, Session};
/// kinglet::model!(Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl"));
/// static ARENA: Arena<Digits> = Arena::new();
///
/// let mut session = Session::<Digits>::new(ARENA.take().unwrap());
/// let output = session.infer(Pixels(&[0; 64]))?;
/// if let Some(best) = output.best() {
///     println!("{}: {:.0} %", best.class, 100.0 * best.probability);
/// }
/// # Ok::<(), kinglet::InferError>(())
/// ```
///
/// A model that comes at run time is a `Session<Dynamic>`, or `Session` for short: see [`Session::open`].
#[derive(Debug)]
pub struct Session<'a, M: Linked = Dynamic, B = Active> {
    model: Model<'a, M>,
    memory: Memory<'a>,
    run: Run,
    backend: PhantomData<B>,
}

impl<'a, M: ModelType> Session<'a, M> {
    /// A session of a model that is part of the program, in the memory of an [`Arena`](crate::Arena) of that model, or of
    /// another that has as many bytes: one that is too small does not compile.
    pub fn new<A: Buffer>(arena: &'a mut A) -> Self {
        const { assert!(A::LEN >= M::MODEL.arena_len(), "this arena is smaller than the model needs: see Arena<Model>") };
        Self::over(M::MODEL, Memory::new(first(arena, M::MODEL.arena_len()).unwrap_or_default()))
    }

    /// A session whose memory lies in two places, tightly coupled memory and another, say: those of `Arena<Fast<Model>>` and
    /// `Arena<Slow<Model>>`, or of others that have as many bytes.
    pub fn split<F: Buffer, S: Buffer>(fast: &'a mut F, slow: &'a mut S) -> Self {
        const {
            assert!(F::LEN >= M::Fast::LEN, "the fast arena is smaller than the model needs: see Arena<Fast<Model>>");
            assert!(S::LEN >= M::Slow::LEN, "the slow arena is smaller than the model needs: see Arena<Slow<Model>>");
        }
        let [fast, slow] = [first(fast, M::Fast::LEN), first(slow, M::Slow::LEN)].map(Option::unwrap_or_default);
        Self::over(M::MODEL, Memory::split(fast, slow))
    }
}

impl<'a, M: Linked> Session<'a, M> {
    /// A session of a model that comes at run time.
    ///
    /// # Errors
    /// When `arena` is shorter than [`Model::arena_len`] or does not start at a multiple of 16 bytes, as an
    /// [`Arena`](crate::Arena) does, or when the model does not start at a multiple of 4.
    pub fn open(model: Model<'a, M>, arena: &'a mut [u8]) -> Result<Self, SessionError> {
        Self::open_on(model, arena)
    }

    /// As [`Session::open`], with the first [`Model::fast_len`] bytes of the arena in `fast` and the rest in `slow`.
    ///
    /// # Errors
    /// As [`Session::open`], of each of both.
    pub fn open_split(model: Model<'a, M>, fast: &'a mut [u8], slow: &'a mut [u8]) -> Result<Self, SessionError> {
        Self::open_split_on(model, fast, slow)
    }
}

impl<'a, M: Linked, B: Backend> Session<'a, M, B> {
    /// As [`Session::open`], on a backend of choice, for simulators and tests: all give the same bytes.
    ///
    /// # Errors
    /// As [`Session::open`].
    #[doc(hidden)]
    pub fn open_on(model: Model<'a, M>, arena: &'a mut [u8]) -> Result<Self, SessionError> {
        let arena = taken(arena, model.arena_len())?;
        aligned(model)?;
        Ok(Self::over(model, Memory::new(arena)))
    }

    /// As [`Session::open_split`], on a backend of choice.
    ///
    /// # Errors
    /// As [`Session::open_split`].
    #[doc(hidden)]
    pub fn open_split_on(model: Model<'a, M>, fast: &'a mut [u8], slow: &'a mut [u8]) -> Result<Self, SessionError> {
        let (fast, slow) = (taken(fast, model.fast_len())?, taken(slow, model.slow_len())?);
        aligned(model)?;
        Ok(Self::over(model, Memory::split(fast, slow)))
    }

    fn over(model: Model<'a, M>, memory: Memory<'a>) -> Self {
        let mut session = Self { model, memory, run: Run::new(), backend: PhantomData };
        session.reset();
        session
    }

    /// Gives the model's states the elements that they have before the first inference: the next one knows nothing of those before.
    pub fn reset(&mut self) {
        if M::SET.states {
            self.run.finished = false;
            self.model.states().for_each(|state| state.reset(&mut self.memory));
        }
    }

    /// As [`Session::reset`], the one state that `which` names; whether there is one.
    pub fn reset_state(&mut self, which: impl Which) -> bool {
        let mut states = self.model.states().enumerate();
        let state = states.find(|(number, state)| M::SET.states && which.is(*number, &state.port));
        if let Some((_, state)) = state {
            self.run.finished = false;
            state.reset(&mut self.memory);
        }
        state.is_some()
    }

    /// The model.
    pub fn model(&self) -> &Model<'a, M> {
        &self.model
    }

    /// Runs an inference.
    ///
    /// # Errors
    /// [`InferError::Input`] when the input does not fit: nothing has run. [`InferError::Fault`].
    pub fn infer(&mut self, input: impl Input) -> Result<Output<'_, M>, InferError> {
        self.start(input)?.finish()
    }

    /// Takes the input of an inference that is then run in slices, or under an observer. Nothing has run yet.
    ///
    /// # Errors
    /// When the input does not fit.
    pub fn start(&mut self, input: impl Input) -> Result<Inference<'_, M, B>, InputError> {
        let mut inference = self.begin();
        let inputs = 0..inference.model().input_count() as u32;
        inference.places(inputs).fill(input)?;
        Ok(inference)
    }

    /// The inputs of the next inference, to be given one by one: by name, or in another order than the model's.
    pub fn inputs(&mut self) -> Inputs<'_, M, B> {
        Inputs::new(self.begin())
    }

    /// The input of the next inference, to be filled where it lies: by DMA, or element by element. Of the model's element type, or
    /// of `u8` for the pixels of an int8 model.
    ///
    /// # Errors
    /// When the model has elements of another type, or several inputs: see [`Inputs::elements`].
    pub fn fill<V: Value>(&mut self) -> Result<Fill<'_, V, M, B>, InputError> {
        Fill::new(self.begin())
    }

    /// The one input of the next inference, to be filled with pixels row by row.
    pub fn pixel_rows(&mut self) -> PixelRows<'_, M, B> {
        PixelRows::new(self.begin())
    }

    fn begin(&mut self) -> Inference<'_, M, B> {
        Inference::new(&self.model, self.memory.reborrow(), &mut self.run)
    }

    /// The output of the last inference, if that ran to its end and nothing has used the session since.
    pub fn output(&self) -> Option<Output<'_, M>> {
        self.run.finished.then(|| Output::new(&self.model, self.memory.view(), 0))
    }
}

fn aligned<M: Linked>(model: Model<'_, M>) -> Result<(), SessionError> {
    if model.is_aligned() { Ok(()) } else { Err(SessionError::ModelMisaligned) }
}

fn first(arena: &mut [u8], len: usize) -> Option<&mut [u8]> {
    arena.get_mut(..len)
}

/// The first `needed` bytes of an aligned arena.
fn taken(arena: &mut [u8], needed: usize) -> Result<&mut [u8], SessionError> {
    let given = arena.len();
    if needed != 0 && arena.as_ptr().align_offset(16) != 0 {
        return Err(SessionError::ArenaMisaligned);
    }
    let too_small = SessionError::ArenaTooSmall { needed: needed as u32, given: given as u32 };
    first(arena, needed).ok_or(too_small)
}
