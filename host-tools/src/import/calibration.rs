//! Calibration images for a float model: an array of numbers, or a folder of pictures.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use kinglet::Shape;
use ndarray::{Array4, ArrayD, ArrayView4, Axis};

use super::ImportedFloat;
use crate::data::picture::{self, Fit};
use crate::files::{self, IntArray};
use crate::graph::Op;
use crate::layout::Layout;
use crate::quantize::forward::NetRunner;
use crate::quantize::{self, fold};

/// Most pictures of a folder that are used: ranges do not change much after some hundreds.
const MAX_PICTURES: usize = 512;

/// Reads calibration images: a `.npy` file of float32 (the model's own inputs) or uint8
/// pixels, in the order of dimensions that `layout` says or that the sizes tell, or a folder with PNG and JPEG pictures at any depth, which are scaled to the model's size. Pixels go through
/// the graph's preprocessing. Of a model with several inputs there is one file of float32 for each, in their order or as `NAME=FILE`; the
/// result has for each inference the elements of all.
///
/// # Errors
/// Names the file, and what does not fit.
pub fn load(paths: &[PathBuf], model: &ImportedFloat, layout: Option<Layout>) -> Result<Array4<f32>> {
    match (paths, &model.inputs[..]) {
        ([path], [_]) => one(path, model, layout),
        ([_, ..], [_, _, ..]) => several(paths, model, layout),
        _ => anyhow::bail!("{} files of calibration images for one input", paths.len()),
    }
}

fn several(paths: &[PathBuf], model: &ImportedFloat, layout: Option<Layout>) -> Result<Array4<f32>> {
    let names = &model.inputs;
    ensure!(
        paths.len() == names.len(),
        "{} files of calibration numbers for {} inputs: give --calibration NAME=FILE for each of {}",
        paths.len(),
        names.len(),
        names.join(", ")
    );
    let mut parts: Vec<Option<Array4<f32>>> = vec![None; names.len()];
    for (at, given) in paths.iter().enumerate() {
        let text = given.to_string_lossy();
        let named = names.iter().position(|name| text.starts_with(&format!("{name}=")));
        let (input, path) = match named {
            Some(input) => (input, Path::new(&text[names[input].len() + 1..])),
            None => (at, given.as_path()),
        };
        let name = || format!("`{}`", path.display());
        let reals = files::reals(&files::read(path)?).with_context(|| format!("{}: float32 is needed", name()))?;
        let shape = model.graph.node(model.graph.inputs()[input]).shape;
        let own = if model.channels_first { Layout::Nchw } else { Layout::Nhwc };
        let images = Layout::channels_last(reals, shape, layout, Some(own)).with_context(name)?;
        ensure!(parts[input].is_none(), "`{}` is given twice", names[input]);
        let count = images.dim().0;
        parts[input] = Some(images.into_shape_with_order((count, 1, 1, shape.len() as usize))?);
    }
    let parts: Vec<_> = parts.iter().flatten().map(|part| part.view()).collect();
    ndarray::concatenate(Axis(3), &parts).context("the files have different numbers of inferences")
}

/// The images of the only input.
fn one(path: &Path, model: &ImportedFloat, layout: Option<Layout>) -> Result<Array4<f32>> {
    if path.is_dir() {
        let pixels = pictures(path, model.graph.input)?;
        return Ok(quantize::reals(&model.graph.preprocess, pixels.view())?);
    }
    let bytes = files::read(path)?;
    let name = || format!("`{}`", path.display());
    if let Some(reals) = files::reals(&bytes) {
        return channels_last(reals, model, layout).with_context(name);
    }
    match IntArray::read(path)? {
        IntArray::Unsigned(pixels) => {
            let pixels = channels_last(pixels, model, layout).with_context(name)?;
            Ok(quantize::reals(&model.graph.preprocess, pixels.view())?)
        }
        _ => anyhow::bail!("`{}` holds quantized elements; calibration needs float32 or uint8", path.display()),
    }
}

/// An array of images as N x H x W x C.
fn channels_last<T: Clone>(array: ArrayD<T>, model: &ImportedFloat, layout: Option<Layout>) -> Result<Array4<T>> {
    let own = if model.channels_first { Layout::Nchw } else { Layout::Nhwc };
    Layout::channels_last(array, model.graph.input, layout, Some(own))
}

/// The pictures under a folder, scaled to `shape`.
fn pictures(folder: &Path, shape: Shape) -> Result<Array4<u8>> {
    ensure!(
        shape.c == 1 || shape.c == 3,
        "pictures have 1 or 3 channels, the model takes {}: give an array (.npy)",
        shape.c
    );
    let paths = picture::pictures_under(folder)?;
    ensure!(!paths.is_empty(), "`{}` has no PNG or JPEG pictures", folder.display());
    // Spread over the folder, so that every class takes part.
    let step = paths.len().div_ceil(MAX_PICTURES).max(1);
    let (mut pixels, mut count) = (Vec::new(), 0);
    for path in paths.iter().step_by(step) {
        pixels.extend(picture::pixels(&picture::open(path)?, [shape.h, shape.w], shape.c == 1, Fit::default()));
        count += 1;
    }
    Ok(Array4::from_shape_vec((count, shape.h as usize, shape.w as usize, shape.c as usize), pixels)?)
}

/// Factors of a first layer below this one are for pixels from 0 to 255, not for numbers from 0 to 1.
const PIXEL_FACTOR: f64 = 1.0 / 16.0;

/// Whether the network begins with a layer that scales pixels, as Keras' `Rescaling` does.
pub fn divides_pixels(model: &ImportedFloat) -> bool {
    let graph = &model.graph;
    let [first] = graph.consumers()[0][..] else { return false };
    let node = graph.node(first);
    let largest = match &node.op {
        Op::Function(function) => function.affine().map(|(factor, _)| factor.abs()),
        Op::BatchNorm(epsilon) => {
            let number = |suffix| model.params.get(&format!("{}.{suffix}", node.name));
            number("gamma").zip(number("variance")).map(|(gamma, variance)| {
                let factor = |(gamma, variance): (&f32, &f32)| f64::from(gamma.abs() / (variance + epsilon).sqrt());
                gamma.iter().zip(variance).map(factor).fold(0.0, f64::max)
            })
        }
        _ => None,
    };
    largest.is_some_and(|factor| factor > 0.0 && factor <= PIXEL_FACTOR)
}

/// What is to be said of a model of images whose pixels nobody described: whether its calibration inputs can be pixels at all.
pub fn doubt(inputs: ArrayView4<'_, f32>, model: &ImportedFloat) -> Option<String> {
    let (input, preprocess) = (model.graph.input, &model.graph.preprocess);
    if model.inputs.len() > 1 || input.h == 1 || input.w == 1 || ![1, 3].contains(&input.c) {
        return None;
    }
    let (low, high) = inputs.iter().fold((f32::MAX, f32::MIN), |(low, high), x| (low.min(*x), high.max(*x)));
    let [black, white] = [0, 255].map(|pixel| preprocess.real(pixel, 0));
    let slack = 0.02 * (white - black);
    Some(if low < black - slack || high > white + slack {
        format!(
            "the calibration inputs run from {low:.2} to {high:.2}, pixels from {black} to {white}: give --mean and --std as \
             in training, or the model will be right for such inputs alone and wrong for pixels"
        )
    } else if white == 1.0 {
        "pixels are taken as numbers from 0 to 1: --mean and --std say otherwise".to_owned()
    } else {
        return None;
    })
}

/// Batches of calibration images, so that no copy of all of them is needed.
pub fn batches(images: ArrayView4<'_, f32>) -> impl Iterator<Item = Array4<f32>> {
    images.axis_chunks_iter(Axis(0), 32).map(|batch| batch.to_owned()).collect::<Vec<_>>().into_iter()
}

/// The layers whose outputs float16 cannot hold for some of `images`, N x H x W x C.
///
/// # Errors
/// As [`fold::fold`].
pub fn infinite(model: &ImportedFloat, images: ArrayView4<'_, f32>) -> Result<Vec<String>> {
    let folded = fold::fold(&model.graph, &model.params)?;
    // What is halfway to the next power of two, and above, is rounded to infinity.
    let is_beyond = |value: &f32| value.is_nan() || value.abs() >= 65520.0;
    let mut beyond = vec![false; folded.nodes.len()];
    let runner = NetRunner::new(&folded);
    for image in images.outer_iter() {
        let image: Vec<f32> = image.iter().copied().collect();
        for (beyond, values) in beyond.iter_mut().zip(runner.forward(&image)) {
            *beyond |= values.iter().any(is_beyond);
        }
    }
    let names = folded.nodes.iter().zip(beyond).filter(|(_, beyond)| *beyond);
    Ok(names.map(|(node, _)| node.name.clone()).collect())
}
