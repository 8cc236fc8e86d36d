//! Calibration images for a float model: an array of numbers, or a folder of pictures.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use image::imageops::FilterType;
use kinglet::Shape;
use ndarray::{Array4, ArrayD, ArrayView4};

use super::ImportedFloat;
use crate::files::{self, IntArray};
use crate::quantize;

/// Most pictures of a folder that are used: ranges do not change much after some hundreds.
const MAX_PICTURES: usize = 512;

/// The order of the dimensions of an array of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Layout {
    /// Channels before height and width.
    Nchw,
    /// Channels after them.
    Nhwc,
}

/// Reads calibration images: a `.npy` file of float32 (the model's own inputs) or uint8
/// pixels, in the order of dimensions that `layout` says or that the sizes tell, or a folder with PNG and JPEG pictures at any depth, which are scaled to the model's size. Pixels go through
/// the graph's preprocessing.
///
/// # Errors
/// Names the file, and what does not fit.
pub fn load(path: &Path, model: &ImportedFloat, layout: Option<Layout>) -> Result<Array4<f32>> {
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
    let Shape { h, w, c } = model.graph.input;
    let (h, w, c) = (h as usize, w as usize, c as usize);
    let shape = array.shape().to_vec();
    let (count, rest) = shape.split_first().context("a single number, not an array of images")?;
    ensure!(*count > 0, "it holds no images");
    let array = array.as_standard_layout().into_owned();
    // A sequence is a map of one row.
    let is_row = h == 1 && rest.len() == 2;
    let fits = |dims: [usize; 3]| {
        *rest == dims || (is_row && dims.iter().filter(|&&d| d != 1).eq(rest.iter().filter(|&&d| d != 1)))
    };
    let (first, last) = (fits([c, h, w]), fits([h, w, c]));
    let first = match layout {
        // With one channel or one pixel both are the same.
        None if first && last && c > 1 && h * w > 1 => {
            let own = if model.channels_first { "nchw" } else { "nhwc" };
            anyhow::bail!(
                "shape {shape:?} does not tell the channels from height and width: give --layout nchw or --layout nhwc (the model's own is {own})"
            );
        }
        None => first && !last,
        Some(layout) => layout == Layout::Nchw,
    };
    if first {
        ensure!(fits([c, h, w]), "shape {shape:?}: the model takes N x {c} x {h} x {w}");
        let array = array.into_shape_with_order((*count, c, h, w))?;
        return Ok(array.permuted_axes([0, 2, 3, 1]).as_standard_layout().into_owned());
    }
    ensure!(
        last || (h * w == 1 && rest.iter().product::<usize>() == c),
        "shape {shape:?}: the model takes N x {h} x {w} x {c}"
    );
    Ok(array.into_shape_with_order((*count, h, w, c))?)
}

/// The pictures under a folder, scaled to `shape`.
fn pictures(folder: &Path, shape: Shape) -> Result<Array4<u8>> {
    ensure!(
        shape.c == 1 || shape.c == 3,
        "pictures have 1 or 3 channels, the model takes {}: give an array (.npy)",
        shape.c
    );
    let mut paths = Vec::new();
    find(folder, &mut paths, 0)?;
    ensure!(!paths.is_empty(), "`{}` has no PNG or JPEG pictures", folder.display());
    paths.sort();
    // Spread over the folder, so that every class takes part.
    let step = paths.len().div_ceil(MAX_PICTURES).max(1);
    let mut pixels = Vec::new();
    let mut count = 0;
    for path in paths.iter().step_by(step) {
        let picture = image::load_from_memory(&files::read(path)?).with_context(|| format!("`{}`", path.display()))?;
        let picture = picture.resize_exact(shape.w, shape.h, FilterType::Triangle);
        match shape.c {
            1 => pixels.extend(picture.to_luma8().into_raw()),
            _ => pixels.extend(picture.to_rgb8().into_raw()),
        }
        count += 1;
    }
    Ok(Array4::from_shape_vec((count, shape.h as usize, shape.w as usize, shape.c as usize), pixels)?)
}

fn find(folder: &Path, paths: &mut Vec<PathBuf>, depth: usize) -> Result<()> {
    ensure!(depth < 16, "`{}`: folders within folders within folders", folder.display());
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
        let path = entry?.path();
        let picture =
            path.extension().is_some_and(|e| ["png", "jpg", "jpeg"].contains(&&*e.to_string_lossy().to_lowercase()));
        if path.is_dir() {
            find(&path, paths, depth + 1)?;
        } else if picture {
            paths.push(path);
        }
    }
    Ok(())
}

/// Batches of calibration images, so that no copy of all of them is needed.
pub fn batches(images: ArrayView4<'_, f32>) -> impl Iterator<Item = Array4<f32>> {
    images.axis_chunks_iter(ndarray::Axis(0), 32).map(|batch| batch.to_owned()).collect::<Vec<_>>().into_iter()
}
