//! Surfaces over a square, seen from above and one side.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::style::{BLUE, FONT, ORANGE};

/// A surface over a grid of points.
#[derive(Clone, Debug, Default)]
pub struct Surface {
    /// What stands above it.
    pub title: String,
    /// The heights, row by row, as many rows as columns.
    pub heights: Vec<f64>,
    /// Half of the square's side, which is the same in both directions around 0.
    pub reach: f64,
}

impl Surface {
    fn side(&self) -> usize {
        self.heights.len().isqrt()
    }
}

/// Surfaces with logarithmic heights on one scale, two beside each other, as SVG.
///
/// # Errors
/// When the picture cannot be drawn, which only a defect would cause.
pub fn surfaces(all: &[Surface]) -> Result<String> {
    let mut svg = String::new();
    draw(all, &mut svg).map_err(|error| anyhow!("cannot draw the surfaces: {error}"))?;
    Ok(svg)
}

fn draw<'a>(all: &[Surface], svg: &'a mut String) -> Result<(), Box<dyn std::error::Error + 'a>> {
    let down = all.len().div_ceil(2).max(1);
    let root = SVGBackend::with_string(svg, (980, 430 * down as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let logs = || all.iter().flat_map(|surface| &surface.heights).map(|h| h.log10()).filter(|h| h.is_finite());
    let (low, high) = (logs().fold(f64::INFINITY, f64::min), logs().fold(f64::NEG_INFINITY, f64::max));
    let (low, high) = if low < high { (low, high) } else { (0.0, 1.0) };
    for (area, surface) in root.split_evenly((down, 2)).iter().zip(all) {
        let (side, reach) = (surface.side(), surface.reach);
        let ends = || (0..side).map(|at| reach * (2.0 * at as f64 / (side.max(2) - 1) as f64 - 1.0));
        let mut chart = ChartBuilder::on(area).caption(&surface.title, (FONT, 17)).margin(12).build_cartesian_3d(
            -reach..reach,
            low..high,
            -reach..reach,
        )?;
        chart.with_projection(|mut projection| {
            (projection.yaw, projection.pitch, projection.scale) = (0.6, 0.45, 0.8);
            projection.into_matrix()
        });
        let power = |y: &f64| format!("{:.3}", 10f64.powf(*y)).trim_end_matches('0').trim_end_matches('.').to_owned();
        chart
            .configure_axes()
            .label_style((FONT, 11))
            .light_grid_style(WHITE)
            .max_light_lines(0)
            .x_formatter(&|_| String::new())
            .z_formatter(&|_| String::new())
            .y_formatter(&power)
            .draw()?;
        let height = |x: f64, z: f64| {
            let place = |v: f64| ((v / reach + 1.0) / 2.0 * (side.max(2) - 1) as f64).round() as usize;
            let height = surface.heights.get(place(z) * side + place(x)).map_or(low, |height| height.log10());
            if height.is_finite() { height } else { high }
        };
        let color = |height: &f64| {
            let share = ((height - low) / (high - low)).clamp(0.0, 1.0);
            let mix = |from: u8, to: u8| (f64::from(from) + share * (f64::from(to) - f64::from(from))) as u8;
            RGBColor(mix(BLUE.0, ORANGE.0), mix(BLUE.1, ORANGE.1), mix(BLUE.2, ORANGE.2)).mix(0.85).filled()
        };
        chart.draw_series(SurfaceSeries::xoz(ends(), ends(), height).style_func(&color))?;
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_of_a_surface_is_drawn() {
        let surface = Surface { title: "a bowl".into(), heights: (1..=25).map(f64::from).collect(), reach: 1.0 };
        let svg = surfaces(&[surface.clone(), Surface { heights: vec![f64::NAN; 9], ..surface }]).unwrap();
        assert!(svg.matches("<polygon").count() >= 16, "{svg}");
        assert_eq!(svg.matches("a bowl").count(), 2);
        assert!(surfaces(&[]).is_ok());
    }
}
