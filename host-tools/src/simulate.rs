//! The simulator: the very runtime that runs on the device, on the host, over many images at once.
//!
//! Elements of every type are 16-bit integers here, see [`elements`].

use anyhow::{Context, Result, ensure};
use kinglet::kernels::{Active, Backend};
use kinglet::{DType, Dynamic, Inference, Model, Pixels, Port, Raw, Session, Tensor};
use ndarray::{Array2, Array4, ArrayD, Axis, s};
use rayon::prelude::*;

use crate::elements::{self, to_bytes, to_elements};
use crate::files::IntArray;
use crate::layout::Layout;

/// Images for a model, N x H x W x C.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Images {
    /// Pixels, which the model's table takes.
    Pixels(Array4<u8>),
    /// Quantized input elements.
    Quantized(Array4<i16>),
}

impl Images {
    /// An array that was read from a file, for an input of a model; N x H x W x C if `layout` does not say otherwise.
    ///
    /// # Errors
    /// Names both shapes when they do not agree.
    pub fn new(array: IntArray, input: &Tensor, layout: Option<Layout>) -> Result<Self> {
        let (shape, layout) = (input.shape, layout.or(Some(Layout::Nhwc)));
        Ok(match array {
            IntArray::Signed(array) => {
                ensure_type(input, DType::I8)?;
                Self::Quantized(Layout::channels_last(array.mapv(i16::from), shape, layout, None)?)
            }
            IntArray::Wide(array) => {
                ensure_type(input, DType::I16)?;
                Self::Quantized(Layout::channels_last(array, shape, layout, None)?)
            }
            IntArray::Unsigned(array) => Self::Pixels(Layout::channels_last(array, shape, layout, None)?),
        })
    }

    /// Real numbers, in the order that `layout` says or their sizes tell, quantized for an input of a model.
    ///
    /// # Errors
    /// Names both shapes when they do not agree.
    pub fn quantize(reals: ArrayD<f32>, input: &Tensor, layout: Option<Layout>) -> Result<Self> {
        let Tensor { shape, quant, dtype, .. } = *input;
        let reals = Layout::channels_last(reals, shape, layout, None)?;
        Ok(Self::Quantized(reals.mapv(|real| elements::of(real, quant, dtype))))
    }

    /// N, H, W, C.
    pub fn dim(&self) -> (usize, usize, usize, usize) {
        match self {
            Images::Pixels(pixels) => pixels.dim(),
            Images::Quantized(elements) => elements.dim(),
        }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.dim().0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn ensure_type(input: &Tensor, given: DType) -> Result<()> {
    let needed = input.dtype;
    ensure!(needed == given, "the input is {}, the model takes {} elements", given.name(), needed.name());
    Ok(())
}

/// The elements of the first output for every image, one row each, computed on the backend that firmware would use here.
///
/// # Errors
/// When the images do not fit the model, or it has other inputs too.
pub fn run(model: Model<'_>, images: &Images) -> Result<Array2<i16>> {
    run_on::<Active>(model, images)
}

/// As [`run`], on a backend of choice: all give the same bytes.
///
/// # Errors
/// As [`run`].
pub fn run_on<B: Backend>(model: Model<'_>, images: &Images) -> Result<Array2<i16>> {
    let rows = run_all::<B>(model, std::slice::from_ref(images))?;
    Ok(outputs(&model, &rows).swap_remove(0))
}

/// The elements of all outputs, one after the other, for every image, one row each; see [`outputs`]. States last from image to image.
///
/// # Errors
/// When the inputs are not as many as the model's, or do not fit them.
pub fn run_all<B: Backend>(model: Model<'_>, inputs: &[Images]) -> Result<Array2<i16>> {
    let count = inputs.first().map_or(0, Images::len);
    ensure!(inputs.iter().all(|images| images.len() == count), "not all inputs hold as many images");
    let row: usize = model.outputs().map(|port| port.tensor.shape.len() as usize).sum();
    let mut rows = Array2::zeros((count, row));
    let elements = rows.as_slice_mut().context("rows are contiguous")?;
    if model.states().len() == 0 {
        let images = elements.par_chunks_mut(row).enumerate();
        each::<B, _, _>(model, images, |session, (image, row)| infer(session, inputs, image, row))?;
    } else {
        let mut arena = arena(&model);
        let mut session = open::<B>(model, &mut arena)?;
        for (image, row) in elements.chunks_mut(row).enumerate() {
            infer(&mut session, inputs, image, row)?;
        }
    }
    Ok(rows)
}

/// What `run` makes of each item, in a session of its own, on all processors.
///
/// # Errors
/// The first of `run`'s.
pub(crate) fn each<B: Backend, I: IndexedParallelIterator, T: Send>(
    model: Model<'_>,
    items: I,
    run: impl Fn(&mut Session<'_, Dynamic, B>, I::Item) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    items.map_init(|| arena(&model), |arena, item| run(&mut open(model, arena)?, item)).collect()
}

/// The elements of each output, one row for each image, of rows that hold all of them.
pub fn outputs(model: &Model<'_>, rows: &Array2<i16>) -> Vec<Array2<i16>> {
    let mut start = 0;
    let output = |port: Port<'_>| {
        let range = start..start + port.tensor.shape.len() as usize;
        start = range.end;
        rows.slice(s![.., range]).to_owned()
    };
    model.outputs().map(output).collect()
}

fn arena(model: &Model<'_>) -> Vec<u128> {
    vec![0; model.arena_len().div_ceil(16)]
}

fn open<'m, B: Backend>(model: Model<'m>, arena: &'m mut [u128]) -> Result<Session<'m, Dynamic, B>> {
    Ok(Session::open_on(model, bytemuck::cast_slice_mut(arena))?)
}

/// One inference.
fn infer<B: Backend>(
    session: &mut Session<'_, Dynamic, B>,
    inputs: &[Images],
    image: usize,
    row: &mut [i16],
) -> Result<()> {
    let output = start(session, inputs, image)?.finish()?;
    let elements = output.all().flat_map(|output| to_elements(output.bytes(), output.tensor().dtype));
    row.iter_mut().zip(elements).for_each(|(to, from)| *to = from);
    Ok(())
}

/// Begins the inference of image `image` of each input.
///
/// # Errors
/// When the inputs are not as many as the model's, or do not fit them.
pub(crate) fn start<'s, B: Backend>(
    session: &'s mut Session<'_, Dynamic, B>,
    inputs: &[Images],
    image: usize,
) -> Result<Inference<'s, Dynamic, B>> {
    let dtypes: Vec<DType> = session.model().inputs().map(|port| port.tensor.dtype).collect();
    let mut given = session.inputs();
    for (number, images) in inputs.iter().enumerate() {
        match images {
            Images::Pixels(pixels) => {
                let pixels = pixels.index_axis(Axis(0), image);
                given.set(number, Pixels(pixels.as_slice().context("pixels are not contiguous")?))?;
            }
            Images::Quantized(elements) => {
                let elements = elements.index_axis(Axis(0), image);
                let elements = elements.as_slice().context("elements are not contiguous")?;
                let dtype = dtypes.get(number).copied().unwrap_or(DType::I8);
                given.set(number, Raw(&to_bytes(elements, dtype)))?;
            }
        }
    }
    Ok(given.start()?)
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
