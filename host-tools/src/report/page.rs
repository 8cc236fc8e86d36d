//! A model on one page: its graph, its memory, its layers, and where it errs. Nothing is loaded from elsewhere.

use std::fmt::Write;

use anyhow::Result;
use kinglet::Model;

use super::boards;
use super::confusion::Confusion;
use super::escaped;
use super::inspection::{Inspection, StepView};
use super::live::{self, LiveModel};
use super::plot;
use super::table::{Table, grouped};
use crate::cycles::{Predicted, Prediction};

/// What a page says of a model beside what is in its file.
#[derive(Debug, Default)]
pub struct Details {
    /// Where it errs.
    pub errors: Option<Errors>,
    /// Signal to quantization noise of each step in decibels, where it is known.
    pub noise: Option<Vec<Option<f64>>>,
    /// What it takes on a board.
    pub predicted: Option<Predicted>,
    /// What an emulated board has counted.
    pub counted: Option<Counted>,
}

/// What an emulated board has counted.
#[derive(Debug)]
pub struct Counted {
    /// The board's name.
    pub board: String,
    /// Instructions of an inference, and of each step.
    pub instructions: (u64, Vec<u64>),
    /// Bytes of stack.
    pub stack: u32,
}

/// Where a model errs.
#[derive(Debug)]
pub struct Errors {
    /// Which classes it takes for which.
    pub confusion: Confusion,
    /// Percent of the images that are right.
    pub accuracy: f64,
    /// The images that are wrong by the most, as PNG.
    pub worst: Vec<u8>,
}

/// Pixels from a box of the graph to the next, and of a box.
const PITCH: usize = 44;
const BOX: [usize; 2] = [340, 30];

/// The page, in HTML.
///
/// # Errors
/// When a picture cannot be drawn, which only a defect would cause.
pub fn page(model: &Model<'_>, details: &Details) -> Result<String> {
    let Details { errors, predicted, counted, .. } = details;
    let inspection = Inspection::of(model);
    let mut body = format!(
        "<h1>{}</h1>\n<p>{} bytes of flash, of which {} weights; {} bytes of RAM; {} multiply-accumulates in {} steps.</p>\n",
        escaped(model.name()),
        grouped(inspection.file_bytes as u64),
        grouped(inspection.weight_bytes as u64),
        grouped(inspection.arena_bytes as u64),
        grouped(inspection.macs),
        inspection.steps.len(),
    );
    if let Some(predicted) = predicted {
        body += &format!("<p>{}</p>\n", escaped(predicted.to_string().trim_end()).replace('\n', "<br>\n"));
    }
    if let Some(counted) = counted {
        body += &format!(
            "<p>{}, counted in QEMU: {} instructions of an inference, {} bytes of stack.</p>\n",
            escaped(&counted.board),
            grouped(counted.instructions.0),
            grouped(counted.stack.into()),
        );
    }
    let live = LiveModel::of(model);
    body += match live {
        Some(_) => {
            "<h2>The model, here</h2>\n<p>The runtime that is on the chip, compiled to WebAssembly: the same bytes. Draw, drop a picture, or \
                    point a camera at something. What is switched off writes zeros, by a model file of its own.</p>\n<div id=\"model\"></div>\n"
        }
        None => "<p>The model takes no picture, so that it does not run in this page.</p>\n",
    };
    if let Some(errors) = errors {
        let Errors { confusion, accuracy, worst } = errors;
        write!(
            body,
            "<h2>Where it errs</h2>\n<p>{accuracy:.2} % of the images are right.</p>\n<div class=\"wide\">{}</div>\n<div class=\"paper\">{}</div>\n<p>Wrong by the most, row by row from the \
             top:</p>\n<img alt=\"the worst images\" src=\"data:image/png;base64,{}\">\n",
            table(&confusion.per_class()),
            svg(&confusion.to_svg()?),
            super::base64(worst),
        )?;
    }
    write!(body, "<h2>Layers</h2>\n<div class=\"wide\">{}</div>\n", layers(&inspection.steps, details))?;
    if details.noise.is_some() {
        body += "<p>dB: how far above the noise of rounding a layer's numbers are, all rounding up to it counted; 6 dB are a bit.</p>\n";
    }
    let [boards, each_layer] = boards::tables(model);
    write!(
        body,
        "<h2>Boards</h2>\n<p>One inference, predicted; `kinglet inspect --board NAME` says how well that is known for each.</p>\n\
         <div class=\"wide\">{}</div>\n<details><summary>Each layer, in ms</summary><div class=\"wide\">{}</div></details>\n",
        table(&boards),
        table(&each_layer),
    )?;
    write!(
        body,
        "<h2>Memory</h2>\n<p>Offset against time slot, a box for each tensor.</p>\n<div class=\"paper\">{}</div>\n",
        svg(&plot::arena(model)?)
    )?;
    write!(body, "<h2>Graph</h2>\n<div class=\"paper\">{}</div>\n", graph(model, &inspection))?;
    let scripts = live.map_or_else(String::new, |live| {
        let model = live::json(&live);
        live::scripts(&format!("const view = new PlayerView(document.getElementById('model'), kinglet, {model});"))
    });
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{}</title>\n<style>\n{}</style></head>\n<body>\n{body}{scripts}</body></html>\n",
        escaped(model.name()),
        live::STYLE,
    ))
}

/// A row for each step, with bars of its part of the predicted cycles, or of the multiply-accumulates where there are none.
fn layers(steps: &[StepView], details: &Details) -> String {
    let of_step = |step: &StepView| details.predicted.as_ref()?.steps.get(step.index);
    let cost = |step: &StepView| of_step(step).map_or(step.macs, |predicted| predicted.cycles);
    let all = steps.iter().map(cost).sum::<u64>().max(1);
    let mut heading = "<th>MACs</th>".to_owned();
    if details.counted.is_some() {
        heading += "<th>instructions</th>";
    }
    if details.predicted.is_some() {
        heading += "<th>cycles</th><th>ms</th><th>\u{b5}J</th>";
    }
    if details.noise.is_some() {
        heading += "<th>dB</th>";
    }
    let mut html = format!(
        "<table><tr><th>step</th><th>operator</th><th>layer</th><th>output</th>{heading}<th></th><th>weights, \
                    bytes</th><th></th></tr>\n"
    );
    for step in steps {
        let [h, w, c] = step.output;
        let width = cost(step) * 120 / all;
        let noise = details
            .noise
            .as_ref()
            .map(|noise| noise[step.index].map_or_else(String::new, |decibels| format!("{decibels:.1}")));
        let counted = details.counted.as_ref().map(|counted| {
            counted.instructions.1.get(step.index).map_or_else(String::new, |&instructions| grouped(instructions))
        });
        let predicted = of_step(step).map(Prediction::cells).into_iter().flatten();
        let figures = counted.into_iter().chain(predicted).chain(noise);
        let figures: String = figures.map(|cell| format!("<td class=\"n\">{cell}</td>")).collect();
        html += &format!(
            "<tr><td class=\"n\">{}</td><td>{}</td><td>{}</td><td>{h} x {w} x {c}</td><td class=\"n\">{}</td>{figures}<td><span class=\"share\" \
             style=\"width:{width}px\"></span></td><td class=\"n\">{}</td><td>{}</td></tr>\n",
            step.index,
            step.operator,
            escaped(&step.name),
            grouped(step.macs),
            grouped(step.weight_bytes.into()),
            escaped(&step.parameters),
        );
    }
    html + "</table>"
}

/// Boxes in the order of execution, and an arrow from each to those that read what it writes: long ones in arcs at the side.
fn graph(model: &Model<'_>, inspection: &Inspection) -> String {
    let steps = &inspection.steps;
    let parent =
        |tensor: usize| inspection.tensors.get(tensor).and_then(|tensor| tensor.parent).map(|parent| parent as usize);
    let operands: Vec<[Option<usize>; 3]> = (0..steps.len()).filter_map(|step| model.operands(step)).collect();
    let feeds = |from: usize, to: usize| {
        let written = operands[from][2];
        operands[to][..2].iter().flatten().any(|&read| {
            let written = written.unwrap_or(usize::MAX);
            written == read || parent(written) == Some(read) || parent(read) == Some(written)
        })
    };
    let [width, height] = BOX;
    let mut html = String::new();
    let mut reach = 0;
    for (index, step) in steps.iter().enumerate() {
        let y = index * PITCH;
        let [h, w, c] = step.output;
        html += &format!(
            "<rect x=\"1\" y=\"{}\" width=\"{width}\" height=\"{height}\" rx=\"4\" fill=\"#eef3fb\" stroke=\"#4878cf\"/>\
             <text x=\"10\" y=\"{}\">{} <tspan fill=\"#777\">{}, {h} x {w} x {c}</tspan></text>\n",
            y + 1,
            y + 20,
            escaped(&short(&step.name)),
            step.operator,
        );
        for to in (index + 1..operands.len()).filter(|&to| feeds(index, to)) {
            let (from, at) = (y + height + 1, to * PITCH);
            if to == index + 1 {
                html += &format!("<path d=\"M60 {from}V{at}\" stroke=\"#444\" marker-end=\"url(#a)\"/>\n");
            } else {
                let (middle, out) = (y + height / 2, width + 20 + 14 * (to - index).min(20));
                reach = reach.max(out);
                let end = at + height / 2;
                html += &format!(
                    "<path d=\"M{width} {middle}C{out} {middle} {out} {end} {} {end}\" stroke=\"#c44\" fill=\"none\" marker-end=\"url(#a)\"/>\n",
                    width + 2,
                );
            }
        }
    }
    let (full, tall) = (reach.max(width) + 10, steps.len() * PITCH);
    format!(
        "<svg width=\"{full}\" height=\"{tall}\" viewBox=\"0 0 {full} {tall}\" font-size=\"13\" font-family=\"sans-serif\">\
         <defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">\
         <path d=\"M0 0L8 4L0 8z\" fill=\"#444\"/></marker></defs>\n{html}</svg>"
    )
}

/// A name that fits into a box.
fn short(name: &str) -> String {
    match name.chars().count() {
        0..=20 => name.to_owned(),
        _ => name.chars().take(19).chain(['…']).collect(),
    }
}

fn table(table: &Table) -> String {
    let rows: Vec<Vec<String>> = table.cells().map(|row| row.iter().map(|cell| escaped(cell)).collect()).collect();
    let line = |row: &Vec<String>, tag: &str| {
        format!("<tr>{}</tr>\n", row.iter().map(|cell| format!("<{tag}>{cell}</{tag}>")).collect::<String>())
    };
    let body: String = rows.iter().enumerate().map(|(at, row)| line(row, if at == 0 { "th" } else { "td" })).collect();
    format!("<table>{body}</table>")
}

/// A picture as part of the page: without what is for files by themselves.
fn svg(picture: &str) -> &str {
    picture.find("<svg").map_or(picture, |start| &picture[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_on_one_page_that_needs_no_other() {
        let file = include_bytes!("../../../models/digits-inception/digits-inception.kgl");
        let model = Model::new(file).unwrap();
        let confusion = Confusion::new(&["<a>".to_owned(), "b".to_owned()], &[0, 1], &[0, 0]);
        let errors = Errors { confusion, accuracy: 50.0, worst: b"PNG".to_vec() };
        let noise = Some(vec![Some(41.25); model.step_count()]);
        let steps = vec![1_234_567; model.step_count()];
        let counted = Some(Counted { board: "a board".into(), instructions: (12_345_678, steps), stack: 2345 });
        let page = page(&model, &Details { errors: Some(errors), noise, predicted: None, counted }).unwrap();
        assert_eq!(page.matches("<td class=\"n\">1,234,567</td>").count(), model.step_count());
        assert!(page.contains("2,345 bytes of stack"));
        assert_eq!(page.matches("<td class=\"n\">41.2</td>").count(), model.step_count());
        for board in crate::boards::all().iter().filter(|board| board.speed.is_some()) {
            assert!(page.contains(board.name), "{}", board.name);
        }
        for step in model.steps() {
            assert!(page.contains(&escaped(step.name)), "{}", step.name);
        }
        assert!(page.contains("&lt;a&gt;") && !page.contains("<a>"), "names are escaped");
        assert!(page.contains("base64,UE5H") && page.contains("50.00 %"));
        assert!(page.contains("new PlayerView") && page.matches("</script>").count() == 4);
        let loads = ["src=\"http", "href=\"http", "@import", "<script src", "<link", "fetch("];
        assert!(loads.iter().all(|part| !page.contains(part)));
        // Every step but the last is read by another.
        let arrows = page.matches("marker-end").count();
        assert!(arrows >= model.step_count() - 1, "{arrows} arrows between {} steps", model.step_count());
    }
}
