//! A sheet of augmented training images, to look at before hours go into them.

use std::io::Cursor;

use image::{ImageError, ImageFormat, RgbImage};

use super::augment::random;
use super::recipe::Recipe;
use crate::data::Dataset;

/// Columns and rows of the sheet.
const SHEET: [usize; 2] = [12, 8];

/// A PNG of training images, evenly spaced over the data, as the first epoch would see them.
///
/// # Errors
/// When the sheet cannot be encoded.
pub fn preview(recipe: &Recipe, data: &Dataset) -> Result<Vec<u8>, ImageError> {
    let [h, w, c] = data.image_shape();
    let [columns, rows] = SHEET;
    let mut sheet = RgbImage::new((columns * w) as u32, (rows * h) as u32);
    for (at, index) in data.train.spaced(columns * rows).into_iter().enumerate() {
        let mut pixels = vec![0; h * w * c];
        recipe.augment.apply(data.train.image(index), [h, w, c], &mut random(recipe.seed, 0, index), |at, value| {
            pixels[at] = value.round() as u8;
        });
        let (left, top) = (at % columns * w, at / columns * h);
        for (at, pixel) in pixels.chunks_exact(c).enumerate() {
            let color = [0, 1, 2].map(|channel| pixel[channel.min(c - 1)]);
            sheet.put_pixel((left + at % w) as u32, (top + at / w) as u32, image::Rgb(color));
        }
    }
    let mut png = Vec::new();
    sheet.write_to(&mut Cursor::new(&mut png), ImageFormat::Png)?;
    Ok(png)
}
