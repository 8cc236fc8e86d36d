//! Pictures with what a model takes them for, side by side.

use std::fmt::Write;

use image::ImageError;

use super::{base64, escaped};
use crate::data::picture;

/// Pixels of a picture, of the room for a name, of a bar, and from a bar to the next.
const PICTURE: usize = 96;
const NAME: usize = 76;
const BAR: usize = 100;
const PITCH: usize = 24;

/// A picture of a model's size, and the likeliest classes with their probabilities.
#[derive(Debug)]
pub struct Answer<'a> {
    /// `height x width x channels` bytes.
    pub pixels: &'a [u8],
    /// The likeliest first.
    pub classes: Vec<(&'a str, f32)>,
}

/// The pictures, of shape `[h, w, c]`, as SVG.
///
/// # Errors
/// When a picture cannot be packed, which only a defect would cause.
pub fn to_svg(shape: [usize; 3], answers: &[Answer<'_>]) -> Result<String, ImageError> {
    let each = PICTURE + NAME + BAR + 72;
    let (width, height) = (each * answers.len(), PICTURE + 20);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (at, answer) in answers.iter().enumerate() {
        let left = at * each + 10;
        let png = picture::png(&picture::of(shape, answer.pixels))?;
        // Writing into a string does not fail.
        let _ = writeln!(
            svg,
            "<image x=\"{left}\" y=\"10\" width=\"{PICTURE}\" height=\"{PICTURE}\" style=\"image-rendering:pixelated\" \
             href=\"data:image/png;base64,{}\"/>",
            base64(&png)
        );
        for (row, (name, probability)) in answer.classes.iter().enumerate() {
            let (y, x) = (12 + row * PITCH, left + PICTURE + NAME);
            let bar = (probability.clamp(0.0, 1.0) * BAR as f32).round().max(1.0);
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text><rect x=\"{x}\" y=\"{y}\" width=\"{bar}\" height=\"16\" fill=\"#0072b2\"/>\
                 <text x=\"{}\" y=\"{}\">{:.1} %</text>",
                x - 8,
                y + 13,
                escaped(name),
                x as f32 + bar + 6.0,
                y + 13,
                100.0 * probability
            );
        }
    }
    Ok(svg + "</svg>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_bars_as_long_as_probabilities() {
        let answers = [Answer { pixels: &[0, 255], classes: vec![("<a>", 0.75), ("b", 0.25)] }];
        let svg = to_svg([1, 2, 1], &answers).unwrap();
        assert!(svg.contains("width=\"75\"") && svg.contains("width=\"25\"") && svg.contains("75.0 %"), "{svg}");
        assert!(svg.contains("&lt;a&gt;") && svg.matches("<image").count() == 1);
        let png = svg.split("base64,").nth(1).unwrap();
        assert!(png.starts_with("iVBORw0KGgo"), "a PNG");
    }
}
