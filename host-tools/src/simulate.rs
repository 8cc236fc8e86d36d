//! The simulator: the very runtime that runs on the device, on the host, over many images at once.
//!
//! Elements of every type are 16-bit integers here, see [`elements`].

use anyhow::{Context, Result, ensure};
use kinglet::kernels::{Active, Backend};
use kinglet::{DType, Dynamic, Input, Model, Pixels, Raw, Session, Shape};
use ndarray::{Array2, Array4, ArrayD};
use rayon::prelude::*;

use crate::elements::{self, to_bytes, to_elements};
use crate::files::IntArray;

/// Images for a model, N x H x W x C.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Images {
    /// Pixels, which the model's table takes.
    Pixels(Array4<u8>),
    /// Quantized input elements.
    Quantized(Array4<i16>),
}

impl Images {
    /// An array that was read from a file, as inputs for `model`: the first dimension counts images, and the others hold
    /// as many elements as the model takes.
    ///
    /// # Errors
    /// Names both shapes when they do not agree.
    pub fn new(array: IntArray, model: &Model<'_>) -> Result<Self> {
        let dim = dim(array.shape(), model)?;
        Ok(match array {
            IntArray::Signed(array) => {
                ensure_type(model, DType::I8)?;
                Self::Quantized(array.mapv(i16::from).into_shape_with_order(dim)?)
            }
            IntArray::Wide(array) => {
                ensure_type(model, DType::I16)?;
                Self::Quantized(array.into_shape_with_order(dim)?)
            }
            IntArray::Unsigned(array) => Self::Pixels(array.into_shape_with_order(dim)?),
        })
    }

    /// Real numbers, N x H x W x C or N x C x H x W, as quantized inputs for `model`.
    ///
    /// # Errors
    /// Names both shapes when they do not agree.
    pub fn quantize(reals: ArrayD<f32>, model: &Model<'_>) -> Result<Self> {
        let kinglet::Tensor { shape: Shape { h, w, c }, quant, dtype, .. } = model.input();
        let [h, w, c] = [h, w, c].map(|extent| extent as usize);
        let reals = match reals.shape()[..] {
            [_, a, b, d] if [a, b, d] == [c, h, w] && [a, b, d] != [h, w, c] => {
                reals.permuted_axes(ndarray::IxDyn(&[0, 2, 3, 1])).as_standard_layout().into_owned()
            }
            // A sequence, N x C x W.
            [_, a, b] if h == 1 && [a, b] == [c, w] && [a, b] != [w, c] => {
                reals.permuted_axes(ndarray::IxDyn(&[0, 2, 1])).as_standard_layout().into_owned()
            }
            _ => reals,
        };
        let dim = dim(reals.shape(), model)?;
        Ok(Self::Quantized(reals.mapv(|real| elements::of(real, quant, dtype)).into_shape_with_order(dim)?))
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        match self {
            Images::Pixels(pixels) => pixels.dim().0,
            Images::Quantized(elements) => elements.dim().0,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The dimensions of an array of images, N x H x W x C, when `model` takes them.
fn dim(found: &[usize], model: &Model<'_>) -> Result<(usize, usize, usize, usize)> {
    let shape = model.input().shape;
    let needed = [shape.h as usize, shape.w as usize, shape.c as usize];
    let (&count, rest) = found.split_first().context("the input is a single number, not an array of images")?;
    // A vector may come in any shape, a map without its leading ones.
    let ones = needed.iter().take_while(|&&extent| extent == 1).count().min(2);
    let vector = ones == 2 && rest.iter().product::<usize>() == needed[2];
    let same = vector || (0..=ones).any(|dropped| rest == &needed[dropped..]);
    let [h, w, c] = needed;
    ensure!(same, "the input has shape {found:?}, the model takes N x {h} x {w} x {c}");
    ensure!(count > 0, "the input holds no images");
    Ok((count, h, w, c))
}

fn ensure_type(model: &Model<'_>, given: DType) -> Result<()> {
    let needed = model.input().dtype;
    ensure!(needed == given, "the input is {}, the model takes {} elements", given.name(), needed.name());
    Ok(())
}

/// The output elements of every image, one row each, computed on the backend that firmware would use here.
///
/// # Errors
/// When the images do not fit the model.
pub fn run(model: Model<'_>, images: &Images) -> Result<Array2<i16>> {
    run_on::<Active>(model, images)
}

/// As [`run`], on a backend of choice: all give the same bytes.
///
/// # Errors
/// As [`run`].
pub fn run_on<B: Backend>(model: Model<'_>, images: &Images) -> Result<Array2<i16>> {
    let classes = model.output().shape.len() as usize;
    let mut outputs = vec![0i16; images.len() * classes];
    let arena = || vec![0u128; model.arena_len().div_ceil(16)];
    match images {
        Images::Pixels(pixels) => {
            let each =
                pixels.as_slice().context("pixels are not contiguous")?.par_chunks(model.input().shape.len() as usize);
            outputs
                .par_chunks_mut(classes)
                .zip(each)
                .try_for_each_init(arena, |arena, (output, image)| infer::<B>(model, arena, output, Pixels(image)))
        }
        Images::Quantized(elements) => {
            let each = elements
                .as_slice()
                .context("elements are not contiguous")?
                .par_chunks(model.input().shape.len() as usize);
            outputs.par_chunks_mut(classes).zip(each).try_for_each_init(arena, |arena, (output, image)| {
                infer::<B>(model, arena, output, Raw(&to_bytes(image, model.input().dtype)))
            })
        }
    }?;
    Ok(Array2::from_shape_vec((images.len(), classes), outputs)?)
}

/// One inference.
fn infer<B: Backend>(model: Model<'_>, arena: &mut [u128], output: &mut [i16], input: impl Input) -> Result<()> {
    let mut session = Session::<Dynamic, B>::open_on(model, bytemuck::cast_slice_mut(arena))?;
    output.copy_from_slice(&to_elements(session.infer(input)?.bytes(), model.output().dtype));
    Ok(())
}

/// The class with the highest score; of equal ones the first.
pub fn best_class<'s>(scores: impl IntoIterator<Item = &'s i16>) -> usize {
    let highest = |best: (usize, i16), (class, &score)| if score > best.1 { (class, score) } else { best };
    scores.into_iter().enumerate().fold((0, i16::MIN), highest).0
}

/// The [`best_class`] of each row.
pub fn classes(outputs: &Array2<i16>) -> Vec<usize> {
    outputs.rows().into_iter().map(best_class).collect()
}

/// The share of rows whose highest score is at the label's class, in percent.
pub fn accuracy(outputs: &Array2<i16>, labels: &[usize]) -> f64 {
    let right = classes(outputs).iter().zip(labels).filter(|(class, label)| class == label).count();
    100.0 * right as f64 / labels.len().max(1) as f64
}

/// How many rows of two arrays are equal in every byte, and the first that is not.
pub fn equal_rows(a: &Array2<i16>, b: &Array2<i16>) -> (usize, Option<usize>) {
    let same = |(a, b): (ndarray::ArrayView1<'_, i16>, ndarray::ArrayView1<'_, i16>)| a == b;
    let equal: Vec<bool> = a.rows().into_iter().zip(b.rows()).map(same).collect();
    (equal.iter().filter(|&&same| same).count(), equal.iter().position(|&same| !same))
}
