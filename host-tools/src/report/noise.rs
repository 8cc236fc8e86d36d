//! Picture for `kinglet quantize --plot`: what rounding costs, layer by layer.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::style::{FONT, SKY, VERMILION, legend};
use crate::quantize::report::{LayerReport, Report};

/// Layers that stand out.
const WORST: usize = 5;

/// Signal to noise ratios of the layers of network `name` as SVG: of each value with everything rounded, and at the
/// output with only that layer rounded. The worst of the latter stand out.
///
/// # Errors
/// When it cannot be drawn.
pub fn picture(name: &str, report: &Report) -> Result<String> {
    let mut svg = String::new();
    draw(name, report, &mut svg).map_err(|error| anyhow!("cannot draw the layers: {error}"))?;
    Ok(svg)
}

fn draw(name: &str, report: &Report, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let layers = &report.layers;
    // A layer that rounding does not change at all has infinitely many decibels: its bar is left out.
    let shown = |decibels: f64| if decibels.is_finite() { decibels.max(0.0) } else { 0.0 };
    let most = layers.iter().map(|l| shown(l.decibels).max(shown(l.output_decibels))).fold(10.0, f64::max);
    // From the input at the top to the output at the bottom.
    let row = |at: usize| layers.len() - 1 - at;
    let mut order: Vec<usize> = (0..layers.len()).collect();
    order.sort_by(|a, b| layers[*a].output_decibels.total_cmp(&layers[*b].output_decibels));
    order.truncate(WORST);

    let root = SVGBackend::with_string(svg, (960, 170 + 18 * layers.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let activations = report.activations;
    let caption = format!("{name}: {activations} against float, layer by layer ({} images)", report.images);
    let mut chart = ChartBuilder::on(&root)
        .caption(caption, (FONT, 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(200)
        // Room for the legend to the right of the bars.
        .build_cartesian_2d(0.0..most * 1.6, (0..layers.len()).into_segmented())?;
    let label = |row: &SegmentValue<usize>| match row {
        // The axis also asks for the row past the last one.
        SegmentValue::CenterOf(row) => layers.iter().rev().nth(*row).map_or(String::new(), |layer| layer.name.clone()),
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(WHITE)
        .y_labels(layers.len())
        .y_label_formatter(&label)
        .x_desc("signal to quantization noise (dB): less is worse")
        .label_style((FONT, 12))
        .axis_desc_style((FONT, 14))
        .draw()?;
    for (color, label, stand_out) in
        [(SKY, "at the output, only this layer rounded", false), (VERMILION, "the same, the worst layers", true)]
    {
        let some = layers.iter().enumerate().filter(|(at, _)| order.contains(at) == stand_out);
        let bars = some.map(|(at, layer): (usize, &LayerReport)| {
            let [low, high] = [SegmentValue::Exact(row(at)), SegmentValue::Exact(row(at) + 1)];
            let mut bar = Rectangle::new([(0.0, low), (shown(layer.output_decibels), high)], color.filled());
            bar.set_margin(2, 2, 0, 0);
            bar
        });
        chart
            .draw_series(bars)?
            .label(label)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], color.filled()));
    }
    let points = layers
        .iter()
        .enumerate()
        .map(|(at, layer)| Circle::new((shown(layer.decibels), SegmentValue::CenterOf(row(at))), 3, BLACK.filled()));
    chart
        .draw_series(points)?
        .label("this layer's values, everything rounded")
        .legend(|(x, y)| Circle::new((x + 7, y), 3, BLACK.filled()));
    legend(&mut chart, SeriesLabelPosition::LowerRight)?;
    root.present()?;
    Ok(())
}
