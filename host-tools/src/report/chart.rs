//! Line and bar charts with titles, axes, legends, and error bars.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::style::{BLUE, FONT, GREEN, ORANGE, PURPLE, SKY, VERMILION};

/// Of the series of a chart, in order; more than these take turns.
const COLORS: [RGBColor; 6] = [BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY];

/// A point with an error bar: x, y, and by how much y may be more or less.
pub type Point = [f64; 3];

/// The points of a line chart that belong together.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// From left to right. Points that are not finite, or not positive on a logarithmic axis, are left out.
    pub points: Vec<Point>,
}

/// A line chart.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// What stands above it.
    pub title: String,
    /// Names of the axes, with units.
    pub axes: [String; 2],
    /// Whether y is logarithmic.
    pub logarithmic: bool,
    /// The lines.
    pub lines: Vec<Line>,
}

/// A bar chart: for each group a bar of each series, side by side.
#[derive(Clone, Debug, Default)]
pub struct Bars {
    /// What stands above it.
    pub title: String,
    /// What the bars' lengths are, with the unit.
    pub axis: String,
    /// The groups' names, from top to bottom.
    pub groups: Vec<String>,
    /// Name, and value and error of each group; values that are not finite have no bar.
    pub series: Vec<(String, Vec<[f64; 2]>)>,
    /// Whether every group has a bar of one series only, so that one row is enough.
    pub exclusive: bool,
}

/// The room for a legend: beside the plot, where it hides nothing.
const BESIDE: u32 = 190;

/// Charts above each other, as SVG.
///
/// # Errors
/// When the picture cannot be drawn, which only a defect would cause.
pub fn lines(panels: &[Panel]) -> Result<String> {
    let mut svg = String::new();
    draw_panels(panels, &mut svg).map_err(|error| anyhow!("cannot draw the chart: {error}"))?;
    Ok(svg)
}

fn draw_panels<'a>(panels: &[Panel], svg: &'a mut String) -> Result<(), Box<dyn std::error::Error + 'a>> {
    let root = SVGBackend::with_string(svg, (980, 420 * panels.len().max(1) as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, panel) in root.split_evenly((panels.len().max(1), 1)).iter().zip(panels) {
        draw_panel(area, panel)?;
    }
    root.present()?;
    Ok(())
}

fn draw_panel<'a>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    panel: &Panel,
) -> Result<(), Box<dyn std::error::Error + 'a>> {
    let scaled = |y: f64| if panel.logarithmic { y.log10() } else { y };
    // x, y, and both ends of the error bar, on the axes' scales.
    let points = |line: &Line| -> Vec<[f64; 4]> {
        let scale = |&[x, y, error]: &Point| {
            let low = scaled(y - error);
            [x, scaled(y), if low.is_finite() { low } else { scaled(y) }, scaled(y + error)]
        };
        line.points.iter().map(scale).filter(|point| point.iter().all(|v| v.is_finite())).collect()
    };
    let all: Vec<[f64; 4]> = panel.lines.iter().flat_map(points).collect();
    let [left, right] = range(all.iter().map(|p| p[0]), 0.03);
    let [low, high] = range(all.iter().flat_map(|p| [p[2], p[3]]), 0.06);
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, (FONT, 17))
        .margin(12)
        .margin_right(BESIDE)
        .x_label_area_size(42)
        .y_label_area_size(78)
        .build_cartesian_2d(left..right, low..high)?;
    let power = |y: &f64| if panel.logarithmic { power_of_ten(*y, high - low) } else { short(*y) };
    chart
        .configure_mesh()
        .max_light_lines(0)
        .x_label_formatter(&|x| short(*x))
        .y_label_formatter(&power)
        .x_desc(&panel.axes[0])
        .y_desc(&panel.axes[1])
        .label_style((FONT, 12))
        .axis_desc_style((FONT, 14))
        .draw()?;
    for (index, line) in panel.lines.iter().enumerate() {
        let color = COLORS[index % COLORS.len()];
        let points = points(line);
        chart.draw_series(LineSeries::new(points.iter().map(|p| (p[0], p[1])), color.stroke_width(2)))?;
        let bars = points.iter().filter(|p| p[2] < p[3]);
        chart.draw_series(bars.map(|p| ErrorBar::new_vertical(p[0], p[2], p[1], p[3], color.filled(), 6)))?;
        chart.draw_series(points.iter().map(|p| Circle::new((p[0], p[1]), 3, color.filled())))?;
    }
    legend(area, panel.lines.iter().map(|line| line.name.as_str()))
}

/// The chart as SVG; bars lie, so that the groups' names can be read.
///
/// # Errors
/// When the picture cannot be drawn, which only a defect would cause.
pub fn bars(chart: &Bars) -> Result<String> {
    let mut svg = String::new();
    draw_bars(chart, &mut svg).map_err(|error| anyhow!("cannot draw the chart: {error}"))?;
    Ok(svg)
}

fn draw_bars<'a>(bars: &Bars, svg: &'a mut String) -> Result<(), Box<dyn std::error::Error + 'a>> {
    let (groups, series) = (bars.groups.len(), if bars.exclusive { 1 } else { bars.series.len().max(1) });
    let height = 150 + groups as u32 * (10 + 14 * series as u32);
    let root = SVGBackend::with_string(svg, (960, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let values = bars.series.iter().flat_map(|(_, values)| values).map(|[value, error]| value + error);
    let most = values.filter(|v| v.is_finite()).fold(0.0, f64::max).max(1e-9);
    let rows = groups as f64;
    let mut chart = ChartBuilder::on(&root)
        .caption(&bars.title, (FONT, 17))
        .margin(12)
        .margin_right(BESIDE)
        .x_label_area_size(44)
        .y_label_area_size(210)
        .build_cartesian_2d(0.0..most * 1.05, 0.0..rows.max(1.0))?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(WHITE)
        .y_labels(0)
        .x_label_formatter(&|x| short(*x))
        .x_desc(&bars.axis)
        .label_style((FONT, 12))
        .axis_desc_style((FONT, 14))
        .draw()?;
    // From the first group at the top to the last at the bottom.
    let thick = 0.8 / series as f64;
    let row = |index: usize| if bars.exclusive { 0.0 } else { index as f64 };
    let top = |group: usize, index: usize| rows - group as f64 - 0.1 - thick * row(index);
    for (index, (_, values)) in bars.series.iter().enumerate() {
        let color = COLORS[index % COLORS.len()];
        let shown = || values.iter().enumerate().filter(|(_, [value, _])| value.is_finite());
        let bar = |(group, [value, _]): (usize, &[f64; 2])| {
            let top = top(group, index);
            Rectangle::new([(0.0, top - thick), (*value, top)], color.filled())
        };
        chart.draw_series(shown().map(bar))?;
        let error = |(group, [value, error]): (usize, &[f64; 2])| {
            ErrorBar::new_horizontal(
                top(group, index) - thick / 2.0,
                value - error,
                *value,
                value + error,
                BLACK.filled(),
                5,
            )
        };
        chart.draw_series(shown().filter(|(_, [_, error])| *error > 0.0).map(error))?;
    }
    let style = (FONT, 12).into_font().color(&BLACK).pos(plotters::style::text_anchor::Pos::new(
        plotters::style::text_anchor::HPos::Right,
        plotters::style::text_anchor::VPos::Center,
    ));
    for (group, name) in bars.groups.iter().enumerate() {
        let at = chart.backend_coord(&(0.0, rows - group as f64 - 0.5));
        root.draw(&Text::new(name.clone(), (at.0 - 6, at.1), style.clone()))?;
    }
    legend(&root, bars.series.iter().map(|(name, _)| name.as_str()))?;
    root.present()?;
    Ok(())
}

/// Names beside the plot, each with its color.
fn legend<'a, 'n>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    names: impl Iterator<Item = &'n str>,
) -> Result<(), Box<dyn std::error::Error + 'a>> {
    let left = area.dim_in_pixel().0 as i32 - BESIDE as i32 + 12;
    for (index, name) in names.enumerate() {
        let (y, color) = (48 + 19 * index as i32, COLORS[index % COLORS.len()]);
        area.draw(&Rectangle::new([(left, y - 5), (left + 14, y + 5)], color.filled()))?;
        area.draw(&Text::new(name.to_owned(), (left + 21, y - 7), (FONT, 12).into_font()))?;
    }
    Ok(())
}

/// The least and the greatest value, with some room beyond; 0 to 1 when there are none.
fn range(values: impl Iterator<Item = f64> + Clone, room: f64) -> [f64; 2] {
    let (low, high) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max));
    if low > high {
        return [0.0, 1.0];
    }
    let room = ((high - low) * room).max(high.abs() * 1e-3).max(1e-9);
    [low - room, high + room]
}

/// A number in a few characters: `12.5M`, `3k`, `0.25`.
fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        v if v >= 1e9 => (value / 1e9, "G"),
        v if v >= 1e6 => (value / 1e6, "M"),
        v if v >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{value:.3}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// `10^y`, written so that it can be read; on an axis of many decades only whole powers.
fn power_of_ten(y: f64, decades: f64) -> String {
    let value = 10f64.powf(y);
    match ((y - y.round()).abs() < 1e-6, decades < 2.5) {
        (true, _) if (-3.0..4.0).contains(&y) => short(value),
        (true, _) => format!("{value:.0e}"),
        // Two digits tell such labels apart, three where they lie close.
        (false, true) => {
            let unit = 10f64.powf(y.floor() - if decades < 0.5 { 2.0 } else { 1.0 });
            short((value / unit).round() * unit)
        }
        (false, false) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_tell_values_apart() {
        let labels = |ys: &[f64], decades| ys.iter().map(|y| power_of_ten(*y, decades)).collect::<Vec<_>>();
        assert_eq!(labels(&[0.2, 0.22, 0.24], 0.2), ["1.58", "1.66", "1.74"]);
        assert_eq!(labels(&[0.2, 0.5, 1.0], 1.0), ["1.6", "3.2", "10"]);
        assert_eq!(labels(&[-7.0, -6.5, 2.0], 9.0), ["1e-7", "", "100"]);
    }

    #[test]
    fn every_series_is_drawn_whatever_the_numbers() {
        let line = |name: &str, points: &[Point]| Line { name: name.into(), points: points.to_vec() };
        let panel = |logarithmic| Panel {
            title: "a title".into(),
            axes: ["layers".into(), "norm".into()],
            logarithmic,
            lines: vec![
                line("plain", &[[8.0, 0.01, 0.0], [20.0, 1e-7, 0.0], [56.0, f64::NAN, 0.0]]),
                line("residual", &[[8.0, 0.5, 0.1], [20.0, 0.5, 0.6]]),
                line("nothing", &[]),
            ],
        };
        let svg = lines(&[panel(false), panel(true)]).unwrap();
        for word in ["a title", "layers", "norm", "plain", "residual", "nothing"] {
            assert_eq!(svg.matches(word).count(), 2, "{word}");
        }
        // Eight points, four of them with an error bar, which marks its middle too.
        assert_eq!(svg.matches("<circle").count(), 12);
        assert!(lines(&[]).is_ok());

        let chart = Bars {
            title: "costs".into(),
            axis: "MACs".into(),
            groups: vec!["one".into(), "two".into()],
            series: vec![
                ("naive".into(), vec![[3.0, 0.5], [f64::NAN, 0.0]]),
                ("bottleneck".into(), vec![[1.0, 0.0]; 2]),
            ],
            exclusive: false,
        };
        let svg = bars(&chart).unwrap();
        for word in ["costs", "MACs", "one", "two", "naive", "bottleneck"] {
            assert!(svg.contains(word), "{word}");
        }
        assert!(bars(&Bars::default()).is_ok());
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.25, 3.0, 12_500.0, 12.5e6, 3e9].map(short), ["0.25", "3", "12.5k", "12.5M", "3G"]);
        assert_eq!([-5.0, -2.0, 3.0, 0.5].map(|y| power_of_ten(y, 9.0)), ["1e-5", "0.01", "1000", ""]);
        assert_eq!([0.5, -1.2].map(|y| power_of_ten(y, 2.0)), ["3.2", "0.063"]);
    }
}
