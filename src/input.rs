//! What goes into an inference: pixels, elements, real numbers, for one input of the model or for several.

use core::fmt;
use core::ops::Range;

use crate::float16::f16;
use crate::format::PortKind;
use crate::kernels::float16::Bounds;
use crate::memory::{self, Memory};
use crate::model::Model;
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
    /// Not as many inputs as the model has.
    Count {
        /// Inputs that the model has.
        needed: u32,
        /// Inputs that were given.
        given: u32,
    },
    /// The model has no input of that name or number.
    Unknown,
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
            InputError::Count { needed, given } => {
                write!(f, "the model has {needed} inputs, {given} were given")
            }
            InputError::Unknown => f.write_str("the model has no input of that name or number"),
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
/// [`RawWith`]. Of a model with several inputs, a tuple of such values in the model's order, or [`Raw`].
pub trait Input: fill::Fill {}

impl<T: fill::Fill> Input for T {}

/// Pixels, `H x W x C` bytes, which become elements through the model's table; an int8 model without one takes bytes as they
/// are, less 128.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'p>(pub &'p [u8]);

/// The bytes of quantized elements in the processor's order, whatever their type; of a model with several inputs those of all, one after
/// the other.
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

    /// Inputs of a model, to be filled one after the other.
    #[derive(Debug)]
    pub struct Places<'p, 's, M: Linked> {
        model: &'s Model<'s, M>,
        memory: &'p mut Memory<'s>,
        inputs: Range<u32>,
    }

    impl<'p, 's, M: Linked> Places<'p, 's, M> {
        /// The inputs of these numbers.
        pub(crate) fn new(model: &'s Model<'s, M>, memory: &'p mut Memory<'s>, inputs: Range<u32>) -> Self {
            Self { model, memory, inputs }
        }

        /// Fills them all.
        pub(crate) fn fill<I: Fill>(mut self, input: I) -> Result<(), InputError> {
            let needed = self.inputs.end.wrapping_sub(self.inputs.start);
            match I::COUNT {
                Some(given) if given != needed => Err(InputError::Count { needed, given }),
                _ => input.fill(&mut self),
            }
        }

        /// The first of them; the others are left.
        fn split_first(&mut self) -> Places<'_, 's, M> {
            let first = self.inputs.start;
            self.inputs.start = first.wrapping_add(1);
            Places { model: self.model, memory: self.memory, inputs: first..self.inputs.start }
        }

        /// The bytes of the first of them.
        fn place(&mut self) -> Place<'_> {
            self.split_first().into_place()
        }

        /// The bytes of the first of them.
        pub(crate) fn into_place(self) -> Place<'p>
        where
            's: 'p,
        {
            let Self { model, memory, inputs: Range { start, .. } } = self;
            let tensor = model.port_tensor(PortKind::Input, start);
            // The file's table is the first input's.
            let tables = if start == 0 { model.pixels() } else { None };
            Place { tensor, tables, bytes: memory.write(tensor.region()) }
        }
    }

    /// Fills inputs.
    pub trait Fill {
        /// How many; `None` for as many as there are.
        const COUNT: Option<u32> = Some(1);

        /// Of a program that links `M`.
        ///
        /// # Errors
        /// When it does not fit.
        fn fill<M: Linked>(self, places: &mut Places<'_, '_, M>) -> Result<(), InputError>;
    }

    macro_rules! tuples {
        ($($count:literal: $($value:ident)+;)+) => {
            $(impl<$($value: Fill),+> Fill for ($($value,)+) {
                const COUNT: Option<u32> = Some($count);

                fn fill<M: Linked>(self, places: &mut Places<'_, '_, M>) -> Result<(), InputError> {
                    #[expect(non_snake_case, reason = "the names of the types serve for the values")]
                    let ($($value,)+) = self;
                    $(places.split_first().fill($value)?;)+
                    Ok(())
                }
            })+
        };
    }

    tuples! {
        2: A B;
        3: A B C;
        4: A B C D;
        5: A B C D E;
        6: A B C D E F;
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

        pub(crate) fn takes_type(&self, given: DType) -> Result<(), InputError> {
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
        fn fill<M: Linked>(self, places: &mut Places<'_, '_, M>) -> Result<(), InputError> {
            let place = places.place();
            place.takes_len(self.0.len())?;
            place.pixels(self.0)
        }
    }

    impl Fill for Raw<'_> {
        const COUNT: Option<u32> = None;

        fn fill<M: Linked>(self, places: &mut Places<'_, '_, M>) -> Result<(), InputError> {
            let span = |input| places.model.port_tensor(PortKind::Input, input).span();
            takes(self.0.len(), places.inputs.clone().map(span).fold(0, u32::saturating_add))?;
            let mut given = self.0.iter();
            while !places.inputs.is_empty() {
                let bytes = cast::as_u8_mut(places.place().bytes);
                bytes.iter_mut().zip(&mut given).for_each(|(to, &from)| *to = from);
            }
            Ok(())
        }
    }

    impl<F: FnOnce(&mut [u8])> Fill for RawWith<F> {
        fn fill<M: Linked>(self, places: &mut Places<'_, '_, M>) -> Result<(), InputError> {
            self.0(cast::as_u8_mut(places.place().bytes));
            Ok(())
        }
    }

    impl<E: Element> Fill for &[E] {
        fn fill<M: Linked>(self, places: &mut Places<'_, '_, M>) -> Result<(), InputError> {
            let place = places.place();
            place.takes_type(E::DTYPE)?;
            place.takes_len(self.len())?;
            E::of_mut(place.bytes).iter_mut().zip(self).for_each(|(to, &from)| *to = from);
            Ok(())
        }
    }

    impl Fill for &[f32] {
        fn fill<M: Linked>(self, places: &mut Places<'_, '_, M>) -> Result<(), InputError> {
            let Place { tensor, bytes, .. } = places.place();
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
        fn fill<M: Linked>(self, places: &mut Places<'_, '_, M>) -> Result<(), InputError> {
            self.as_slice().fill(places)
        }
    }

    fn from_reals<E: Element>(bytes: &mut [i8], reals: &[f32], element: impl Fn(f32) -> E) {
        E::of_mut(bytes).iter_mut().zip(reals).for_each(|(to, &real)| *to = element(real));
    }

    fn takes(given: usize, needed: u32) -> Result<(), InputError> {
        if given == needed as usize { Ok(()) } else { Err(InputError::Length { needed, given: given as u32 }) }
    }
}
