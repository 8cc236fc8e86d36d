//! What goes into an inference: pixels, elements, real numbers, row by row or in place.

use core::fmt;

use crate::float16::f16;
use crate::kernels::float16::Bounds;
use crate::memory;
use crate::pixels::PixelTables;
use crate::quant::{Clamp, quantize};
use crate::sys::cast;
use crate::tensor::{DType, Tensor};
use crate::uses::Linked;

/// An input that does not fit the model: nothing has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InputError {
    /// Not as many elements as the model takes.
    Length {
        /// Elements that the model takes.
        needed: u32,
        /// Elements that were given.
        given: u32,
    },
    /// Elements of another type than the model's.
    ElementType {
        /// The model's element type.
        needed: DType,
        /// The type that was given.
        given: DType,
    },
    /// Pixels for a model that does not say how they become elements.
    NoPixels,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InputError::Length { needed, given } => {
                write!(f, "the model takes {needed} input elements, {given} were given")
            }
            InputError::ElementType { needed, given } => {
                write!(f, "the model takes {} elements, {} were given", needed.name(), given.name())
            }
            InputError::NoPixels => f.write_str("the model does not say how pixels become its elements"),
        }
    }
}

impl core::error::Error for InputError {}

/// An element type of inputs and outputs: `i8`, `i16` and [`f16`](struct@f16).
pub trait Element: memory::Element {
    /// The type in a model file.
    const DTYPE: DType;
}

impl Element for i8 {
    const DTYPE: DType = DType::I8;
}

impl Element for i16 {
    const DTYPE: DType = DType::I16;
}

impl Element for f16 {
    const DTYPE: DType = DType::F16;
}

/// An input, `H x W x C` values: [`Pixels`], slices of the model's elements (`&[i8]`, `&[i16]`, `&[f16]`), real numbers
/// (`&[f32]`, which the model's scale quantizes), [`Raw`] or
/// [`RawWith`].
pub trait Input: fill::Fill {}

impl<T: fill::Fill> Input for T {}

/// Pixels, `H x W x C` bytes, which become elements through the model's table; an int8 model without one takes bytes as they
/// are, less 128.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'p>(pub &'p [u8]);

/// The bytes of quantized elements in the processor's order, whatever their type.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'p>(pub &'p [u8]);

/// The bytes of quantized elements, written where they lie by a function.
#[derive(Clone, Copy, Debug)]
pub struct RawWith<F>(pub F);

pub(crate) mod fill {
    //! Sealed: what fills an input.

    use super::*;

    /// An input of a model, to be filled.
    #[derive(Debug)]
    pub struct Place<'s> {
        pub(crate) tensor: Tensor,
        pub(crate) tables: Option<PixelTables<'s>>,
        pub(crate) bytes: &'s mut [i8],
    }

    /// Fills an input.
    pub trait Fill {
        /// Of a program that links `M`.
        ///
        /// # Errors
        /// When it does not fit.
        fn fill<M: Linked>(self, place: Place<'_>) -> Result<(), InputError>;
    }

    impl<'s> Place<'s> {
        /// Row `y` of it.
        pub(crate) fn row(self, y: u32) -> Self {
            let row = self.tensor.rows(y, 1);
            let start = row.offset.wrapping_sub(self.tensor.place.offset) as usize;
            let bytes = self.bytes.get_mut(start..).and_then(|rest| rest.get_mut(..row.len as usize));
            Self { bytes: bytes.unwrap_or_default(), ..self }
        }

        /// Whether as many values were given as there are elements.
        fn takes_len(&self, given: usize) -> Result<(), InputError> {
            takes(given, self.tensor.shape.len())
        }

        fn takes_type(&self, given: DType) -> Result<(), InputError> {
            let needed = self.tensor.dtype;
            if given.same(needed) { Ok(()) } else { Err(InputError::ElementType { needed, given }) }
        }

        /// Fills it, or some rows of it, from as many pixels.
        pub(crate) fn pixels(self, pixels: &[u8]) -> Result<(), InputError> {
            match self.tables {
                Some(tables) => tables.apply(pixels, self.bytes),
                None => {
                    self.takes_type(DType::I8).map_err(|_| InputError::NoPixels)?;
                    self.bytes.iter_mut().zip(pixels).for_each(|(element, &pixel)| *element = (pixel ^ 0x80) as i8);
                }
            }
            Ok(())
        }

        /// The same, from the pixels of an int8 model that lie in it.
        pub(crate) fn pixels_in_place(self) {
            match self.tables {
                Some(tables) => tables.apply_in_place(self.bytes),
                None => self.bytes.iter_mut().for_each(|pixel| *pixel = (*pixel as u8 ^ 0x80) as i8),
            }
        }
    }

    impl Fill for Pixels<'_> {
        fn fill<M: Linked>(self, place: Place<'_>) -> Result<(), InputError> {
            place.takes_len(self.0.len())?;
            place.pixels(self.0)
        }
    }

    impl Fill for Raw<'_> {
        fn fill<M: Linked>(self, place: Place<'_>) -> Result<(), InputError> {
            takes(self.0.len(), place.tensor.span())?;
            cast::as_u8_mut(place.bytes).iter_mut().zip(self.0).for_each(|(to, &from)| *to = from);
            Ok(())
        }
    }

    impl<F: FnOnce(&mut [u8])> Fill for RawWith<F> {
        fn fill<M: Linked>(self, place: Place<'_>) -> Result<(), InputError> {
            self.0(cast::as_u8_mut(place.bytes));
            Ok(())
        }
    }

    impl<E: Element> Fill for &[E] {
        fn fill<M: Linked>(self, place: Place<'_>) -> Result<(), InputError> {
            place.takes_type(E::DTYPE)?;
            place.takes_len(self.len())?;
            E::of_mut(place.bytes).iter_mut().zip(self).for_each(|(to, &from)| *to = from);
            Ok(())
        }
    }

    impl Fill for &[f32] {
        fn fill<M: Linked>(self, place: Place<'_>) -> Result<(), InputError> {
            let Place { tensor, bytes, .. } = place;
            takes(self.len(), tensor.shape.len())?;
            let integer = |real| Clamp::full(tensor.dtype).apply(quantize(real, tensor.quant));
            match tensor.dtype {
                DType::I8 => from_reals(bytes, self, |real| integer(real) as i8),
                DType::I16 => from_reals(bytes, self, |real| integer(real) as i16),
                DType::F16 if const { M::SET.dtypes.has(DType::F16.code()) } => {
                    from_reals(bytes, self, |real| Bounds::FULL.half(real));
                }
                DType::F16 => {}
            }
            Ok(())
        }
    }

    impl<const N: usize, T> Fill for &[T; N]
    where
        for<'t> &'t [T]: Fill,
    {
        fn fill<M: Linked>(self, place: Place<'_>) -> Result<(), InputError> {
            self.as_slice().fill::<M>(place)
        }
    }

    fn from_reals<E: Element>(bytes: &mut [i8], reals: &[f32], element: impl Fn(f32) -> E) {
        E::of_mut(bytes).iter_mut().zip(reals).for_each(|(to, &real)| *to = element(real));
    }

    fn takes(given: usize, needed: u32) -> Result<(), InputError> {
        if given == needed as usize { Ok(()) } else { Err(InputError::Length { needed, given: given as u32 }) }
    }
}
