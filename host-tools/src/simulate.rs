//! The simulator: the very runtime that runs on the device, on the host, over many images at once.

use anyhow::{Context, Result, ensure};
use kinglet::kernels::{Active, Backend};
use kinglet::{Clamp, Model, Session, SessionError, Shape};
use ndarray::{Array2, Array4, ArrayD};
use rayon::prelude::*;

use crate::device::Inputs;
use crate::files::ByteArray;

/// Images for a model, N x H x W x C.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Images {
    /// Pixels, which the model's table takes.
    Pixels(Array4<u8>),
    /// Quantized input elements.
    Quantized(Array4<i8>),
}

impl Images {
    /// An array that was read from a file, as inputs for `model`: the first dimension counts images, and the others hold
    /// as many elements as the model takes.
    ///
    /// # Errors
    /// Names both shapes when they do not agree.
    pub fn new(array: ByteArray, model: &Model<'_>) -> Result<Self> {
        let shape = model.input().shape;
        let needed = [shape.h as usize, shape.w as usize, shape.c as usize];
        let (&count, rest) =
            array.shape().split_first().context("the input is a single number, not an array of images")?;
        // A vector may come without its leading ones; a map must be what the model takes.
        let same = rest == needed || (needed[..2] == [1, 1] && rest.iter().product::<usize>() == needed[2]);
        ensure!(
            same,
            "the input has shape {:?}, the model takes N x {} x {} x {}",
            array.shape(),
            needed[0],
            needed[1],
            needed[2]
        );
        ensure!(count > 0, "the input holds no images");
        let dim = (count, needed[0], needed[1], needed[2]);
        Ok(match array {
            ByteArray::Signed(array) => Self::Quantized(array.into_shape_with_order(dim)?),
            ByteArray::Unsigned(array) => Self::Pixels(array.into_shape_with_order(dim)?),
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
            _ => reals,
        };
        let full = Clamp::full(dtype);
        let elements = reals.mapv(|real| full.apply(kinglet::quant::quantize(real, quant)) as i8);
        Self::new(ByteArray::Signed(elements), model)
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

    /// As the device layer takes them.
    pub fn view(&self) -> Inputs<'_> {
        match self {
            Images::Pixels(pixels) => Inputs::Pixels(pixels.view()),
            Images::Quantized(elements) => Inputs::Quantized(elements.view()),
        }
    }
}

/// The output elements of every image, one row each, computed on the backend that firmware would use here.
///
/// # Errors
/// When the images do not fit the model.
pub fn run(model: Model<'_>, images: &Images) -> Result<Array2<i8>> {
    run_on::<Active>(model, images)
}

/// As [`run`], on a backend of choice: all give the same bytes.
///
/// # Errors
/// As [`run`].
pub fn run_on<B: Backend>(model: Model<'_>, images: &Images) -> Result<Array2<i8>> {
    let classes = model.output().shape.len() as usize;
    let mut outputs = vec![0i8; images.len() * classes];
    let arena = || vec![0u128; model.arena_len().div_ceil(16)];
    match images {
        Images::Pixels(pixels) => {
            let each =
                pixels.as_slice().context("pixels are not contiguous")?.par_chunks(model.input().shape.len() as usize);
            outputs.par_chunks_mut(classes).zip(each).try_for_each_init(arena, |arena, (output, image)| {
                infer::<B>(model, arena, output, |session| session.set_pixels(image))
            })
        }
        Images::Quantized(elements) => {
            let each = elements
                .as_slice()
                .context("elements are not contiguous")?
                .par_chunks(model.input().shape.len() as usize);
            outputs.par_chunks_mut(classes).zip(each).try_for_each_init(arena, |arena, (output, image)| {
                infer::<B>(model, arena, output, |session| session.set_input(image))
            })
        }
    }
    .map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(Array2::from_shape_vec((images.len(), classes), outputs)?)
}

/// One inference.
fn infer<B: Backend>(
    model: Model<'_>,
    arena: &mut [u128],
    output: &mut [i8],
    fill: impl FnOnce(&mut Session<'_, B>) -> Result<(), SessionError>,
) -> Result<(), SessionError> {
    let arena = bytemuck::cast_slice_mut(arena);
    let mut session = Session::<B>::with_backend(model, arena)?;
    fill(&mut session)?;
    session.run();
    output.copy_from_slice(session.output());
    Ok(())
}

/// The class with the highest score in each row; of equal ones the first.
pub fn classes(outputs: &Array2<i8>) -> Vec<usize> {
    let best = |row: ndarray::ArrayView1<'_, i8>| {
        kinglet::top_k::<1>(row.as_slice().unwrap_or_default()).first().map_or(0, |best| best.class)
    };
    outputs.rows().into_iter().map(best).collect()
}

/// The share of rows whose highest score is at the label's class, in percent.
pub fn accuracy(outputs: &Array2<i8>, labels: &[usize]) -> f64 {
    let right = classes(outputs).iter().zip(labels).filter(|(class, label)| class == label).count();
    100.0 * right as f64 / labels.len().max(1) as f64
}

/// How many rows of two arrays are equal in every byte, and the first that is not.
pub fn equal_rows(a: &Array2<i8>, b: &Array2<i8>) -> (usize, Option<usize>) {
    let same = |(a, b): (ndarray::ArrayView1<'_, i8>, ndarray::ArrayView1<'_, i8>)| a == b;
    let equal: Vec<bool> = a.rows().into_iter().zip(b.rows()).map(same).collect();
    (equal.iter().filter(|&&same| same).count(), equal.iter().position(|&same| !same))
}
