//! Pictures for `kinglet inspect --plot`: the arena over time.

use anyhow::{Result, anyhow};
use kinglet::memory::Region;
use kinglet::{Model, Tensor};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::style::{FONT, GREEN, ORANGE, PURPLE, SKY, legend};
use super::table::grouped;

/// What a box stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tensor,
    LineBuffer,
    Parent,
    Scratch,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Tensor, Self::LineBuffer, Self::Parent, Self::Scratch];

    const fn color(self) -> RGBColor {
        match self {
            Self::Tensor => SKY,
            Self::LineBuffer => ORANGE,
            Self::Parent => GREEN,
            Self::Scratch => PURPLE,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Tensor => "tensor",
            Self::LineBuffer => "line buffer",
            Self::Parent => "parent tensor of a concatenation",
            Self::Scratch => "scratch",
        }
    }
}

/// Bytes of the arena during some time slots.
struct Span {
    kind: Kind,
    label: String,
    region: Region,
    first: u32,
    last: u32,
}

/// Every buffer of a model: tensors that are no parts, and scratch.
fn spans(model: &Model<'_>) -> Vec<Span> {
    let tensors: Vec<Tensor> = (0..model.tensor_count()).filter_map(|index| model.tensor(index)).collect();
    let parent = |index: usize| tensors.iter().any(|part| part.parent == Some(index as u32));
    let writer = |index: usize| {
        let steps = (0..model.step_count()).filter(|&i| model.operands(i).is_some_and(|of| of[2] == Some(index)));
        steps.filter_map(|i| model.step(i)).map(|step| step.name.to_owned()).next()
    };
    let tensor = |(index, tensor): (usize, &Tensor)| {
        let (kind, name) = if parent(index) {
            let parts = tensors.iter().filter(|part| part.parent == Some(index as u32)).count();
            (Kind::Parent, format!("parent of {parts}"))
        } else {
            let kind = if tensor.is_whole() { Kind::Tensor } else { Kind::LineBuffer };
            (kind, writer(index).unwrap_or_else(|| "input".to_owned()))
        };
        let [h, w, c] = [tensor.place.rows, tensor.shape.w, tensor.shape.c];
        let label = format!("{index}: {name} {h}x{w}x{c}");
        Span { kind, label, region: tensor.region(), first: tensor.first, last: tensor.last }
    };
    let alone = tensors.iter().enumerate().filter(|(_, tensor)| tensor.parent.is_none());
    let scratch = model.steps().filter(|step| step.scratch.len > 0).map(|step| Span {
        kind: Kind::Scratch,
        label: format!("scratch of {}", step.name),
        region: step.scratch,
        first: step.time_slot,
        last: step.time_slot,
    });
    alone.map(tensor).chain(scratch).collect()
}

/// The arena over time as SVG: offset against time slot, a labeled box per tensor and scratch buffer. Boxes are translucent, so that
/// an output over its input shows.
///
/// # Errors
/// When the picture cannot be drawn, which only a defect would cause.
pub fn arena(model: &Model<'_>) -> Result<String> {
    let mut svg = String::new();
    draw(model, &mut svg).map_err(|error| anyhow!("cannot draw the arena: {error}"))?;
    Ok(svg)
}

fn draw(model: &Model<'_>, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    const HEIGHT: u32 = 860;
    const SIDES: u32 = 130;
    let time_slots = model.steps().last().map_or(0, |step| step.time_slot) + 2;
    let column = (1500 / time_slots).clamp(56, 150);
    let root = SVGBackend::with_string(svg, (time_slots * column + SIDES, HEIGHT)).into_drawing_area();
    root.fill(&WHITE)?;
    let arena = model.arena_len() as f64;
    let fast = model.fast_len() as f64;
    let bytes = |len: usize| grouped(len as u64);
    let title = match model.fast_len() {
        0 => format!("{}: {} bytes of arena", model.name(), bytes(model.arena_len())),
        len => {
            let slow = bytes(model.slow_len());
            format!("{}: arena of {} bytes in fast memory, {slow} in slow memory above", model.name(), bytes(len))
        }
    };
    let mut chart = ChartBuilder::on(&root)
        .caption(title, (FONT, 20))
        .margin(14)
        .x_label_area_size(48)
        .y_label_area_size(84)
        // Room for the legend above the boxes.
        .build_cartesian_2d(0.0..f64::from(time_slots), 0.0..arena.max(1.0) * 1.2)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_labels(time_slots.min(60) as usize + 1)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| grouped(*y as u64))
        .x_desc(
            "time slot: 0 = the caller fills the input, then one step or chain each, last = the caller reads the output",
        )
        .y_desc("offset in the arena (bytes)")
        .label_style((FONT, 12))
        .axis_desc_style((FONT, 14))
        .draw()?;
    let spans = spans(model);
    let corners = |span: &Span| {
        let (left, right) = (f64::from(span.first), f64::from(span.last) + 1.0);
        [(left, f64::from(span.region.offset)), (right, f64::from(span.region.end()))]
    };
    for kind in Kind::ALL {
        let of_kind = || spans.iter().filter(move |span| span.kind == kind);
        if of_kind().next().is_none() {
            continue;
        }
        let color = kind.color();
        let inside = of_kind().map(|span| Rectangle::new(corners(span), color.mix(0.55).filled()));
        chart
            .draw_series(inside)?
            .label(kind.name())
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], color.mix(0.55).filled()));
        chart.draw_series(of_kind().map(|span| Rectangle::new(corners(span), BLACK.stroke_width(1))))?;
    }
    let dashes = [(0.0, arena), (f64::from(time_slots), arena)];
    chart
        .draw_series(DashedLineSeries::new(dashes, 6, 4, BLACK.stroke_width(2)))?
        .label("end of the arena")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 14, y)], BLACK.stroke_width(2)));
    if fast > 0.0 {
        let border = [(0.0, fast), (f64::from(time_slots), fast)];
        chart
            .draw_series(LineSeries::new(border, BLACK.stroke_width(3)))?
            .label("border of fast and slow memory")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 14, y)], BLACK.stroke_width(3)));
    }
    let pixels = f64::from(chart.plotting_area().dim_in_pixel().1) / (arena.max(1.0) * 1.2);
    let texts = spans.iter().map(|span| {
        // As large as the box allows; of a name that is too long, the beginning.
        let size = (f64::from(span.region.len) * pixels - 1.0).clamp(3.0, 12.0);
        let width = f64::from((span.last - span.first + 1) * column);
        let fits = (width / (size * 0.56)) as usize;
        let label: String = span.label.chars().take(fits).collect();
        let at = (f64::from(span.first) + 3.0 / f64::from(column), f64::from(span.region.end()) - 1.0 / pixels);
        let style = (FONT, size).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Top));
        Text::new(label, at, style)
    });
    chart.draw_series(texts)?;
    legend(&mut chart, SeriesLabelPosition::UpperRight)?;
    root.present()?;
    Ok(())
}
