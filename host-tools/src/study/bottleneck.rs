//! What do 1x1 bottlenecks save, and what do they cost?

use anyhow::Result;
use kinglet::Padding;

use super::blocks::cost;
use super::{Finding, Setting, branches, instructions};
use crate::deploy;
use crate::graph::{Block, Builder, Graph, NetworkRecipe, Preprocess, Shape, zoo};
use crate::report::chart::{self, Bars};
use crate::report::table::{Table, grouped};

pub(super) const CLAIM: &str = "A 1x1 bottleneck before a 5x5 convolution makes it about ten times cheaper (120.4 M multiplications \
     against 12.4 M), at about the same accuracy of the network.";

/// Of accuracy, in percent, that count as about the same.
const SAME: f64 = 1.0;

/// The networks that are compared, and the width at which they run on the board. Their modules are compared at full width.
const NETWORKS: [(&str, f32); 3] = [("digits-inception", 1.0), ("inception-small", 1.0), ("googlenet", 0.25)];

/// The article's layer: 28x28x192 to 28x28x32 by 5x5, with or without a bottleneck of 16 channels.
fn example(bottleneck: bool) -> Result<Graph> {
    let mut net = Builder::new("example", Shape::new(28, 28, 192))?;
    let mut x = net.input();
    if bottleneck {
        x = net.conv2d("reduce", x, 16, [1, 1], [1, 1], Padding::Same, true)?;
    }
    net.conv2d("conv", x, 32, [5, 5], [1, 1], Padding::Same, true)?;
    Ok(net.finish())
}

/// Blocks, their bottlenecks left out if they are to be naive; the outputs of all branches stay as wide.
fn blocks(mut blocks: Vec<Block>, naive: bool) -> Vec<Block> {
    for block in &mut blocks {
        if let Block::Inception { three_reduce, five_reduce, .. } = block
            && naive
        {
            (*three_reduce, *five_reduce) = (0, 0);
        }
    }
    blocks
}

fn graph(name: &str, width: f32, naive: bool) -> Result<Graph> {
    let entry = zoo::find(name)?;
    let input = entry.input;
    let recipe = NetworkRecipe {
        name: Some(format!(
            "{name}{}{}",
            if width < 1.0 { format!(" x{width}") } else { String::new() },
            if naive { ", naive" } else { "" }
        )),
        input: Some(input),
        width: Some(width),
        blocks: blocks(entry.blocks, naive),
        ..NetworkRecipe::default()
    };
    let labels: Vec<String> = (0..10).map(|class| class.to_string()).collect();
    Ok(recipe.build(&labels, &Preprocess::unit(input[2] as usize))?)
}

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let [wide, narrow] = [example(false)?.macs(), example(true)?.macs()];
    let mut modules =
        Table::new(["network", "module", "naive MACs", "MACs", "times fewer", "naive parameters", "parameters"]);
    let mut whole = Table::new([
        "network",
        "MACs",
        "parameters",
        "RAM (bytes)",
        "instructions",
        "held-out accuracy %",
        "deviation",
    ]);
    modules.row([
        "the article's 5x5".into(),
        "28x28x192 to 28x28x32".into(),
        grouped(wide),
        grouped(narrow),
        format!("{:.1}", wide as f64 / narrow as f64),
        grouped(example(false)?.trainable_len() as u64),
        grouped(example(true)?.trainable_len() as u64),
    ]);
    let mut bars = Bars {
        title: "Multiply-accumulates of Inception modules".into(),
        axis: "multiply-accumulates, relative to the module with bottlenecks".into(),
        series: vec![("naive".into(), vec![]), ("with 1x1 bottlenecks".into(), vec![])],
        ..Bars::default()
    };

    let (trained, seeds, epochs) = branches::network(setting);
    let found = setting.repeat("bottleneck", [true, false], seeds, |&naive, index| {
        let blocks = blocks(branches::blocks(setting)?, naive);
        let recipe = setting.recipe(trained, blocks, epochs, setting.seed(index));
        Ok(100.0 * setting.train(&recipe)?.accuracy())
    })?;
    let accuracy = |naive: bool| found.spread(naive, |accuracy| *accuracy);

    let count = setting.effort.of(3, 2, 1);
    for &(name, width) in &NETWORKS[..count] {
        let [naive, lean] = [graph(name, 1.0, true)?, graph(name, 1.0, false)?];
        for (index, block) in zoo::find(name)?.blocks.iter().enumerate() {
            if !matches!(block, Block::Inception { .. }) {
                continue;
            }
            let module = format!("b{}", index + 1);
            let ([before_parameters, before], [parameters, macs]) = (cost(&naive, &module), cost(&lean, &module));
            bars.groups.push(format!("{name} {module}"));
            bars.series[0].1.push([before as f64 / macs as f64, 0.0]);
            bars.series[1].1.push([1.0, 0.0]);
            modules.row([
                name.into(),
                module,
                grouped(before),
                grouped(macs),
                format!("{:.1}", before as f64 / macs as f64),
                grouped(before_parameters),
                grouped(parameters),
            ]);
        }
        for is_naive in [true, false] {
            let graph = graph(name, width, is_naive)?;
            let exported = deploy::untrained(&graph)?;
            let total = setting.measure(&graph.name, || Ok(exported.bytes))?;
            let [mean, deviation] = if name == trained { accuracy(is_naive).cells(2) } else { Default::default() };
            whole.row([
                graph.name.clone(),
                grouped(graph.macs()),
                grouped(graph.trainable_len() as u64),
                grouped(exported.plan.arena_len.into()),
                instructions(total.as_ref()),
                mean,
                deviation,
            ]);
        }
    }
    let (naive, lean) = (accuracy(true), accuracy(false));
    let times = wide as f64 / narrow as f64;
    let verdict = format!(
        "The article's convolution takes {} multiplications without and {} with the bottleneck, {times:.1} times fewer. Trained alike for \
         {epochs} epochs, {trained} has {:.2} % (deviation {:.2}) with bottlenecks and {:.2} % ({:.2}) without.",
        grouped(wide),
        grouped(narrow),
        lean.mean,
        lean.deviation,
        naive.mean,
        naive.deviation
    );
    let lost = naive.over(lean);
    let held = (9.0..11.0).contains(&times) && lost.mean < lost.doubt.max(SAME);
    let pictures = vec![("bottleneck", chart::bars(&bars)?)];
    Ok(Finding {
        held,
        verdict,
        tables: vec![("networks", whole), ("modules", modules)],
        pictures,
        ..Finding::default()
    })
}
