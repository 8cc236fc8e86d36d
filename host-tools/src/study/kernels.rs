//! What do kernels cost, by arithmetic and on the chip?

use anyhow::Result;
use kinglet::{Model, Padding};

use super::{Finding, Setting};
use crate::boards;
use crate::cycles::Predictor;
use crate::deploy;
use crate::graph::{Builder, Graph, Shape};
use crate::report::chart::{self, Bars};
use crate::report::table::{Table, grouped};

pub(super) const CLAIM: &str = "Two 3x3 convolutions cost 28 % less than the 5x5 that they replace and 1x3 with 3x1 costs 33 % less \
     than a 3x3, and the chip saves as much.";

/// Height, width and channels of the map, before and after.
const MAP: Shape = Shape::new(16, 16, 32);
/// Channels of the bottleneck.
const NARROW: u32 = 8;

/// A convolution of a variant: kernel, output channels; depthwise if these are none.
type Layer = ([u32; 2], Option<u32>);

/// The ways from the map to the map, by name.
fn variants() -> [(&'static str, Vec<Layer>); 7] {
    let to = |kernel: [u32; 2]| (kernel, Some(MAP.c));
    [
        ("5x5", vec![to([5, 5])]),
        ("3x3, 3x3", vec![to([3, 3]), to([3, 3])]),
        ("3x3", vec![to([3, 3])]),
        ("1x3, 3x1", vec![to([1, 3]), to([3, 1])]),
        ("1x1 to 8, 5x5", vec![([1, 1], Some(NARROW)), to([5, 5])]),
        ("1x1 to 8, 3x3", vec![([1, 1], Some(NARROW)), to([3, 3])]),
        ("depthwise 5x5, 1x1", vec![([5, 5], None), to([1, 1])]),
    ]
}

fn graph(name: &str, layers: &[Layer]) -> Result<Graph> {
    let mut net = Builder::new(name, MAP)?;
    let mut x = net.input();
    for (index, &(kernel, filters)) in layers.iter().enumerate() {
        let name = format!("layer{}", index + 1);
        x = match filters {
            Some(filters) => net.conv2d(&name, x, filters, kernel, [1, 1], Padding::Same, true)?,
            None => net.depthwise(&name, x, kernel, [1, 1], Padding::Same, true)?,
        };
        x = net.relu(&format!("{name}_relu"), x)?;
    }
    Ok(net.finish())
}

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let mut table = Table::new([
        "layers",
        "MACs",
        "of the 5x5 %",
        "parameters",
        "instructions",
        "of the 5x5 %",
        "predicted cycles",
    ]);
    let known = boards::all().iter().filter_map(|board| Some((board.title, Predictor::of(board).ok()?)));
    let predictors: Vec<(&str, Predictor)> = known.collect();
    let mut times = Table::new(std::iter::once("layers, ms on").chain(predictors.iter().map(|(title, _)| *title)));
    let mut bars = Bars {
        title: format!("From {0}x{1}x{2} to {0}x{1}x{2}, relative to one 5x5 convolution", MAP.h, MAP.w, MAP.c),
        axis: "% of the 5x5".into(),
        series: vec![("multiplications".into(), vec![]), ("instructions".into(), vec![])],
        ..Bars::default()
    };
    let mut found: Vec<(u64, Option<u64>)> = Vec::new();
    for (name, layers) in variants() {
        let graph = graph(name, &layers)?;
        let file = deploy::untrained(&graph)?.bytes;
        let model = Model::new(&file).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
        let ms = predictors.iter().map(|(_, board)| format!("{:.2}", board.model(&model).total.ms));
        times.row(std::iter::once(name.to_owned()).chain(ms));
        let total = setting.measure(name, || Ok(file))?;
        let instructions = total.as_ref().map(|row| row.instructions);
        found.push((graph.macs(), instructions));
        let share = |value: u64, whole: u64| 100.0 * value as f64 / whole as f64;
        let of_macs = share(graph.macs(), found[0].0);
        let of_instructions = instructions.zip(found[0].1).map_or(f64::NAN, |(value, whole)| share(value, whole));
        let shown = |value: Option<u64>| value.map_or(String::new(), grouped);
        table.row([
            name.into(),
            grouped(graph.macs()),
            format!("{of_macs:.1}"),
            grouped(graph.trainable_len() as u64),
            shown(instructions),
            if of_instructions.is_nan() { String::new() } else { format!("{of_instructions:.1}") },
            shown(total.and_then(|row| row.cycles)),
        ]);
        bars.groups.push(name.into());
        bars.series[0].1.push([of_macs, 0.0]);
        bars.series[1].1.push([of_instructions, 0.0]);
    }
    if setting.board.is_none() {
        bars.series.truncate(1);
    }
    // By how many percent the second is cheaper than the first.
    let saved = |[first, second]: [u64; 2]| 100.0 * (1.0 - second as f64 / first as f64);
    let macs = |pair: [usize; 2]| saved(pair.map(|index| found[index].0));
    let instructions = |pair: [usize; 2]| {
        let [first, second] = pair.map(|index| found[index].1);
        first.zip(second).map(|(first, second)| saved([first, second]))
    };
    let (twice, split) = ([0, 1], [2, 3]);
    let arithmetic = (macs(twice) - 28.0).abs() < 0.5 && (macs(split) - 33.3).abs() < 0.5;
    let chip = [twice, split].map(|pair| instructions(pair).is_none_or(|saved| saved >= macs(pair) - 1.0));
    let said = |pair| instructions(pair).map_or("not counted".to_owned(), |saved| format!("{saved:.1} %"));
    let verdict = format!(
        "By arithmetic two 3x3 save {:.1} % and 1x3 with 3x1 saves {:.1} %; of the instructions {} and {}. Winograd's algorithm, which \
         multiplies 2.25 times or 4 times less for 3x3, is there for no other kernel.",
        macs(twice),
        macs(split),
        said(twice),
        said(split)
    );
    let held = arithmetic && chip == [true; 2];
    let pictures = vec![("kernels", chart::bars(&bars)?)];
    Ok(Finding { held, verdict, tables: vec![("kernels", table), ("boards", times)], pictures, ..Finding::default() })
}
