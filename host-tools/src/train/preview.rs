//! Sheets of images: augmented ones, to look at before hours go into them, and any others.

use image::{ImageError, RgbImage, imageops};

use super::augment::random;
use super::recipe::Recipe;
use crate::data::{Dataset, picture};

/// Columns and rows of a sheet.
const SHEET: [usize; 2] = [12, 8];

/// Images of a sheet, at most.
const MOST: usize = SHEET[0] * SHEET[1];

/// A PNG of training images, evenly spaced over the data, as the first epoch would see them.
///
/// # Errors
/// When the sheet cannot be encoded.
pub fn preview(recipe: &Recipe, data: &Dataset) -> Result<Vec<u8>, ImageError> {
    let shape = data.image_shape();
    let varied = data.train.spaced(MOST).into_iter().map(|index| {
        let mut pixels = vec![0; shape.iter().product()];
        recipe.augment.apply(data.train.image(index), shape, &mut random(recipe.seed, 0, index), |at, value| {
            pixels[at] = value.round() as u8;
        });
        pixels
    });
    sheet(shape, varied)
}

/// A PNG of up to 96 images (`[h, w, c]` pixels) side by side, row by row.
///
/// # Errors
/// When the sheet cannot be encoded.
pub fn sheet(shape: [usize; 3], images: impl Iterator<Item = Vec<u8>>) -> Result<Vec<u8>, ImageError> {
    let ([h, w, _], [columns, rows]) = (shape, SHEET);
    let mut sheet = RgbImage::new((columns * w) as u32, (rows * h) as u32);
    for (at, pixels) in images.take(MOST).enumerate() {
        let (left, top) = (at % columns * w, at / columns * h);
        imageops::replace(&mut sheet, &picture::of(shape, &pixels), left as i64, top as i64);
    }
    picture::png(&sheet)
}
