//! What ResNet-50 is made of.

use anyhow::Result;

use super::{Finding, Setting};
use crate::graph::{Graph, NetworkRecipe, NodeId, Preprocess, Shape};
use crate::report::chart::{self, Bars};
use crate::report::table::{Table, grouped};

pub(super) const CLAIM: &str = "ResNet-50 is five stages of convolution blocks, whose shortcut changes the dimensions, and identity \
     blocks, whose shortcut is the input itself; the identity blocks, which shortcuts make safe to stack, do most of the work.";

/// Height and width of the images, as in the paper.
const SIZE: u32 = 224;

/// Whether a node, or a parameter, belongs to block `block`.
fn belongs(name: &str, block: &str) -> bool {
    name == block || name.strip_prefix(block).is_some_and(|rest| rest.starts_with(['_', '.']))
}

/// Parameters and multiply-accumulates of a block.
pub(super) fn cost(graph: &Graph, block: &str) -> [u64; 2] {
    let specs = graph.param_specs();
    let own = specs.iter().filter(|spec| spec.trainable && belongs(&spec.name, block));
    let parameters: usize = own.map(|spec| spec.len()).sum();
    let nodes = graph.ids().filter(|id| belongs(&graph.node(*id).name, block));
    [parameters as u64, nodes.map(|id| graph.macs_of(id)).sum()]
}

pub(super) fn run(_: &Setting<'_>) -> Result<Finding> {
    let labels: Vec<String> = (0..1000).map(|class| class.to_string()).collect();
    let recipe = NetworkRecipe { input: Some([SIZE, SIZE, 3]), ..NetworkRecipe::zoo("resnet50") };
    let graph = recipe.build(&labels, &Preprocess::unit(3))?;
    let macs = graph.macs() as f64;
    let mut table =
        Table::new(["stage", "block", "kind", "input", "output", "shortcut", "parameters", "MACs", "share of MACs %"]);
    let mut bars = Bars {
        title: format!("ResNet-50 at {SIZE}x{SIZE}: multiply-accumulates of each block"),
        axis: "multiply-accumulates".into(),
        series: vec![("identity block".into(), vec![]), ("convolution block".into(), vec![]), ("stem".into(), vec![])],
        exclusive: true,
        ..Bars::default()
    };
    let shape = |s: Shape| format!("{}x{}x{}", s.h, s.w, s.c);
    let (mut stage, mut identity, mut counts) = (1, 0.0, [0; 2]);
    for index in 1.. {
        let name = format!("b{index}");
        let own = |id: &NodeId| belongs(&graph.node(*id).name, &name);
        let (Some(first), Some(last)) = (graph.ids().find(own), graph.ids().rev().find(own)) else { break };
        let [from, to] = [graph.input_shapes(first)[0], graph.node(last).shape];
        let projected = graph.find(&format!("{name}_project"));
        let summed = graph.find(&format!("{name}_add"));
        let which = match (summed, projected) {
            (Some(_), Some(_)) => 1,
            (Some(_), None) => 0,
            (None, _) => 2,
        };
        if which == 1 {
            stage += 1;
        }
        let kind = ["identity block", "convolution block", "stem"][which];
        let shortcut = match (which, projected) {
            (0, _) => "the input".to_owned(),
            (1, Some(project)) => format!("1x1 to {}", shape(graph.node(project).shape)),
            _ => "none".to_owned(),
        };
        let [parameters, cost] = cost(&graph, &name);
        let share = 100.0 * cost as f64 / macs;
        if which < 2 {
            counts[which] += 1;
        }
        if which == 0 {
            identity += share;
        }
        bars.groups.push(format!("stage {stage}, {name}: {}", shape(to)));
        for (at, (_, values)) in bars.series.iter_mut().enumerate() {
            values.push([if at == which { cost as f64 } else { f64::NAN }, 0.0]);
        }
        table.row([
            stage.to_string(),
            name,
            kind.into(),
            shape(from),
            shape(to),
            shortcut,
            grouped(parameters),
            grouped(cost),
            format!("{share:.1}"),
        ]);
    }
    let verdict = format!(
        "{stage} stages with {} convolution blocks and {} identity blocks; {identity:.0} % of {} multiply-accumulates are in identity \
         blocks. The shortcut changes the dimensions at the first block of stages 2 to {stage}.",
        counts[1],
        counts[0],
        grouped(graph.macs())
    );
    let held = (stage, counts) == (5, [12, 4]) && identity > 50.0;
    Ok(Finding {
        held,
        verdict,
        tables: vec![("blocks", table)],
        pictures: vec![("blocks", chart::bars(&bars)?)],
        ..Finding::default()
    })
}
