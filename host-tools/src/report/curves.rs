//! The picture of a training: loss, accuracy and learning rate over its epochs.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::style::{BLUE, FONT, VERMILION, legend};
use crate::train::Epoch;

/// Of the lines of a chart.
const COLORS: [RGBColor; 2] = [BLUE, VERMILION];

/// One line: its name and its values, epoch by epoch.
type Line = (&'static str, fn(&Epoch) -> f64);

/// Three charts above each other, as SVG: mean training loss, accuracy in percent on training and held-out images,
/// learning rate.
///
/// # Errors
/// When the picture cannot be drawn, which only a defect would cause.
pub fn to_svg(history: &[Epoch]) -> Result<String> {
    let mut svg = String::new();
    draw(history, &mut svg).map_err(|error| anyhow!("cannot draw the curves: {error}"))?;
    Ok(svg)
}

fn draw<'a>(history: &[Epoch], svg: &'a mut String) -> Result<(), Box<dyn std::error::Error + 'a>> {
    let root = SVGBackend::with_string(svg, (900, 960)).into_drawing_area();
    root.fill(&WHITE)?;
    let charts: [(&str, &[Line]); 3] = [
        ("loss", &[("training loss", |epoch| epoch.loss)]),
        (
            "accuracy (%)",
            &[
                ("training images, as varied", |epoch| 100.0 * epoch.train_accuracy),
                ("held-out images", |epoch| 100.0 * epoch.test_accuracy),
            ],
        ),
        ("learning rate", &[("learning rate", |epoch| epoch.rate)]),
    ];
    for (area, (title, lines)) in root.split_evenly((3, 1)).iter().zip(charts) {
        chart(area, title, lines, history)?;
    }
    root.present()?;
    Ok(())
}

fn chart<'a>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    title: &str,
    lines: &[Line],
    history: &[Epoch],
) -> Result<(), Box<dyn std::error::Error + 'a>> {
    let points = |value: fn(&Epoch) -> f64| {
        history.iter().map(move |epoch| (epoch.epoch as f64, value(epoch))).filter(|point| point.1.is_finite())
    };
    let values = || lines.iter().flat_map(|line| points(line.1)).map(|point| point.1);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
    // Room around the curves; a flat one lies in the middle.
    let room = ((high - low) * 0.05).max(high.abs() * 1e-3).max(1e-9);
    let last = history.last().map_or(1, |epoch| epoch.epoch).max(2) as f64;
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(1.0..last, low - room..high + room)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .x_labels(last.min(12.0) as usize)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .x_desc("epoch")
        .y_desc(title)
        .label_style((FONT, 12))
        .axis_desc_style((FONT, 14))
        .draw()?;
    for ((name, value), color) in lines.iter().zip(COLORS) {
        chart
            .draw_series(LineSeries::new(points(*value), color.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
        chart.draw_series(points(*value).map(|point| Circle::new(point, 2, color.filled())))?;
    }
    legend(&mut chart, SeriesLabelPosition::MiddleRight)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_drawn_whatever_the_numbers() {
        let epoch = |epoch: usize, loss: f64| Epoch {
            epoch,
            rate: 0.1,
            loss,
            train_accuracy: 0.5,
            test_accuracy: 0.25,
            seconds: 1.0,
        };
        for history in [vec![], vec![epoch(1, 2.0)], vec![epoch(1, 2.0), epoch(2, f64::NAN), epoch(3, 1.0)]] {
            let svg = to_svg(&history).unwrap();
            for name in ["training loss", "held-out images", "learning rate", "epoch"] {
                assert!(svg.contains(name), "{name}");
            }
            assert_eq!(svg.matches("<circle").count(), 4 * history.len() - history.len() / 3);
        }
    }
}
