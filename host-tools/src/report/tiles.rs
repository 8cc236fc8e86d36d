//! Small grey images in rows.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::style::FONT;

/// A row of images under one name.
#[derive(Clone, Debug, Default)]
pub struct Tiles {
    /// What stands before the row.
    pub name: String,
    /// The images, each as many rows as columns; 0 is drawn black and 1 white.
    pub images: Vec<Vec<f64>>,
}

/// Pixels of an image's side.
const SIDE: i32 = 78;
/// Pixels from an image to the next.
const NEXT: i32 = SIDE + 8;
/// Room for the names.
const BEFORE: i32 = 130;

/// The rows under a title, as SVG.
///
/// # Errors
/// When the picture cannot be drawn, which only a defect would cause.
pub fn tiles(title: &str, rows: &[Tiles]) -> Result<String> {
    let mut svg = String::new();
    draw(title, rows, &mut svg).map_err(|error| anyhow!("cannot draw the images: {error}"))?;
    Ok(svg)
}

fn draw<'a>(title: &str, rows: &[Tiles], svg: &'a mut String) -> Result<(), Box<dyn std::error::Error + 'a>> {
    let most = rows.iter().map(|row| row.images.len()).max().unwrap_or(0) as i32;
    let size = (BEFORE + NEXT * most.max(6), 44 + NEXT * rows.len() as i32);
    let root = SVGBackend::with_string(svg, (size.0 as u32, size.1 as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    root.draw(&Text::new(title.to_owned(), (10, 12), (FONT, 17).into_font()))?;
    for (row, Tiles { name, images }) in rows.iter().enumerate() {
        let top = 40 + NEXT * row as i32;
        root.draw(&Text::new(name.clone(), (10, top + SIDE / 2 - 6), (FONT, 14).into_font()))?;
        for (index, image) in images.iter().enumerate() {
            let (left, side) = (BEFORE + NEXT * index as i32, image.len().isqrt().max(1) as i32);
            for (at, value) in image.iter().enumerate() {
                let grey = (value.clamp(0.0, 1.0) * 255.0) as u8;
                let edge = |at: i32| at * SIDE / side;
                let (y, x) = (at as i32 / side, at as i32 % side);
                let corners = [(left + edge(x), top + edge(y)), (left + edge(x + 1), top + edge(y + 1))];
                root.draw(&Rectangle::new(corners, RGBColor(grey, grey, grey).filled()))?;
            }
        }
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_is_drawn_in_its_grey() {
        let image = vec![0.0, 1.0, 0.5, 2.0];
        let svg = tiles("patches", &[Tiles { name: "3x3".into(), images: vec![image.clone(), image] }]).unwrap();
        assert!(svg.contains("patches") && svg.contains("3x3"));
        assert_eq!(svg.matches("#7F7F7F").count(), 2, "{svg}");
        assert_eq!(svg.matches("#000000").count() - svg.matches("<text").count(), 2, "{svg}");
        assert!(tiles("none", &[]).is_ok());
    }
}
