//! Inputs before their inference is started: one by one, or where they lie, by DMA, element by element, or row by row.

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use crate::format::layout::MAX_PORTS;
use crate::inference::Inference;
use crate::input::fill::{Place, Places};
use crate::input::{Element, Input, InputError};
use crate::kernels::Active;
use crate::ports::Which;
use crate::sys::cast;
use crate::tensor::DType;
use crate::uses::{Dynamic, Linked};

/// The input of an inference that has not begun, `H x W x C` values, as a slice to write; what is there before is not defined.
///
/// Of the model's element type, or of `u8` for the pixels of an int8 model, which [`Fill::start`] maps in place.
///
/// ```
/// # use kinglet::{Arena, InferError, Session};
/// # kinglet::model!(Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl"));
/// # fn start_dma_and_wait(buffer: &mut [u8]) {}
/// # fn demo(session: &mut Session<'_, Digits>) -> Result<(), InferError> {
/// let mut pixels = session.fill::<u8>()?;
/// start_dma_and_wait(&mut pixels);
/// let output = pixels.start().finish()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Fill<'s, V, M: Linked = Dynamic, B = Active> {
    inference: Inference<'s, M, B>,
    values: PhantomData<V>,
}

impl<'s, V: Value, M: Linked, B> Fill<'s, V, M, B> {
    pub(crate) fn new(inference: Inference<'s, M, B>) -> Result<Self, InputError> {
        inference.takes_one()?;
        let needed = inference.model().input().dtype;
        if !V::DTYPE.same(needed) {
            return Err(InputError::ElementType { needed, given: V::DTYPE });
        }
        Ok(Self { inference, values: PhantomData })
    }

    /// Begins the inference.
    pub fn start(mut self) -> Inference<'s, M, B> {
        V::settle(self.inference.place());
        self.inference
    }
}

impl<V: Value, M: Linked, B> Deref for Fill<'_, V, M, B> {
    type Target = [V];

    fn deref(&self) -> &[V] {
        V::slice(self.inference.input())
    }
}

impl<V: Value, M: Linked, B> DerefMut for Fill<'_, V, M, B> {
    fn deref_mut(&mut self) -> &mut [V] {
        V::slice_mut(self.inference.place().bytes)
    }
}

/// The input of an inference that has not begun, to be filled from the top to the bottom: from a camera that delivers lines.
#[derive(Debug)]
pub struct PixelRows<'s, M: Linked = Dynamic, B = Active> {
    inference: Inference<'s, M, B>,
    filled: u32,
}

impl<'s, M: Linked, B> PixelRows<'s, M, B> {
    pub(crate) fn new(inference: Inference<'s, M, B>) -> Self {
        Self { inference, filled: 0 }
    }

    /// Appends a row, `W x C` bytes, as [`Pixels`](crate::Pixels) are taken.
    ///
    /// # Errors
    /// When the row is not as long as the model's, or one too many, or the model takes no pixels.
    pub fn push(&mut self, pixels: &[u8]) -> Result<(), InputError> {
        let shape = self.inference.model().input().shape;
        let needed = shape.w.wrapping_mul(shape.c);
        if pixels.len() != needed as usize {
            return Err(InputError::Length { needed, given: pixels.len() as u32 });
        }
        let filled = self.filled.saturating_add(1);
        if filled > shape.h {
            return Err(InputError::Length { needed: shape.len(), given: filled.saturating_mul(needed) });
        }
        self.inference.place().row(self.filled).pixels(pixels)?;
        self.filled = filled;
        Ok(())
    }

    /// Begins the inference.
    ///
    /// # Errors
    /// When rows are missing, or the model has other inputs too.
    pub fn start(self) -> Result<Inference<'s, M, B>, InputError> {
        self.inference.takes_one()?;
        let shape = self.inference.model().input().shape;
        if self.filled < shape.h {
            let given = self.filled.saturating_mul(shape.w).saturating_mul(shape.c);
            return Err(InputError::Length { needed: shape.len(), given });
        }
        Ok(self.inference)
    }
}

/// The inputs of an inference that has not begun, to be given one by one, by name or number; see
/// [`Session::inputs`](crate::Session::inputs).
///
/// ```
/// # use kinglet::{InferError, Pixels, Session};
/// # fn demo(session: &mut Session<'_>, image: &[u8], speed: f32) -> Result<(), InferError> {
/// let mut inputs = session.inputs();
/// inputs.set("image", Pixels(image))?;
/// inputs.set("speed", &[speed])?;
/// let output = inputs.start()?.finish()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Inputs<'s, M: Linked = Dynamic, B = Active> {
    inference: Inference<'s, M, B>,
    /// One bit for each input.
    given: [u32; MAX_PORTS as usize / 32],
}

impl<'s, M: Linked, B> Inputs<'s, M, B> {
    pub(crate) fn new(inference: Inference<'s, M, B>) -> Self {
        Self { inference, given: [0; MAX_PORTS as usize / 32] }
    }

    /// Gives an input, which may have been given before.
    ///
    /// # Errors
    /// When the model has no such input, or the value does not fit it.
    pub fn set(&mut self, which: impl Which, value: impl Input) -> Result<(), InputError> {
        self.find(which)?.fill(value)
    }

    /// The elements of an input, to be written where they lie; what is there before is not defined.
    ///
    /// # Errors
    /// When the model has no such input, or its elements are of another type.
    pub fn elements<E: Element>(&mut self, which: impl Which) -> Result<&mut [E], InputError> {
        let place = self.find(which)?.into_place();
        place.takes_type(E::DTYPE)?;
        Ok(E::of_mut(place.bytes))
    }

    /// Begins the inference.
    ///
    /// # Errors
    /// When an input has not been given.
    pub fn start(self) -> Result<Inference<'s, M, B>, InputError> {
        let given = self.given.iter().map(|word| word.count_ones()).sum();
        match self.inference.model().input_count() as u32 {
            needed if given != needed => Err(InputError::Count { needed, given }),
            _ => Ok(self.inference),
        }
    }

    /// The place of an input, which counts as given.
    fn find(&mut self, which: impl Which) -> Result<Places<'_, 's, M>, InputError> {
        let mut inputs = self.inference.model().inputs().enumerate();
        let (number, _) = inputs.find(|(number, port)| which.is(*number, port)).ok_or(InputError::Unknown)?;
        let number = number as u32;
        if let Some(word) = self.given.get_mut(number as usize / 32) {
            *word |= 1 << (number % 32);
        }
        Ok(self.inference.places(number..number.wrapping_add(1)))
    }
}

/// What an input can be filled with in place: its elements, or pixels of one byte.
pub trait Value: value::Sealed {}

impl<V: value::Sealed> Value for V {}

mod value {
    //! Sealed: values in the bytes of an input.

    use super::*;

    pub trait Sealed: Sized {
        /// The element type of the inputs that can hold it.
        const DTYPE: DType;

        fn slice(bytes: &[i8]) -> &[Self];

        fn slice_mut(bytes: &mut [i8]) -> &mut [Self];

        /// Makes elements of the values.
        fn settle(place: Place<'_>);
    }

    impl<E: Element> Sealed for E {
        const DTYPE: DType = E::DTYPE;

        fn slice(bytes: &[i8]) -> &[Self] {
            E::of(bytes)
        }

        fn slice_mut(bytes: &mut [i8]) -> &mut [Self] {
            E::of_mut(bytes)
        }

        fn settle(_: Place<'_>) {}
    }

    impl Sealed for u8 {
        const DTYPE: DType = DType::I8;

        fn slice(bytes: &[i8]) -> &[Self] {
            cast::as_u8(bytes)
        }

        fn slice_mut(bytes: &mut [i8]) -> &mut [Self] {
            cast::as_u8_mut(bytes)
        }

        fn settle(place: Place<'_>) {
            place.pixels_in_place();
        }
    }
}
