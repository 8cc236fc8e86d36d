//! Networks beside the shipped ones whose cycles are traced: MLPerf Tiny's, and one of many shapes for each algorithm. None is
//! trained: no instruction depends on weights.

use anyhow::Result;
use kinglet::kernels::algorithms::{ConvAlgorithm, Core};
use kinglet::{Padding, Shape};
use ndarray::Array4;

use super::bench::Subject;
use crate::graph::{Builder, Graph, NetworkRecipe, NodeId, Params, Preprocess};
use crate::quantize::Prepared;
use crate::{deploy, export, plan, quantize};

/// Flash that the networks may take.
const FLASH: u32 = 1 << 20;
/// KiB of arena of the network of many shapes.
const KIB: u32 = 96;

/// What a network's elements are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Elements {
    Int8,
    Int16,
    Float16,
}

/// Those of MLPerf Tiny other than ResNet-8.
///
/// # Errors
/// When one cannot be exported.
pub fn mlperf(core: Core) -> Result<Vec<Subject>> {
    // In as much RAM as the best engines take at most, or less.
    let graphs = [(keyword_spotting()?, 24), (visual_wake_words()?, 56), (anomaly_detection()?, 1)];
    graphs.iter().map(|(graph, kib)| subject(graph, &graph.name, Elements::Int8, None, core, *kib)).collect()
}

/// Convolutions of many shapes, by each algorithm, and in each element type.
///
/// # Errors
/// When one cannot be exported.
pub fn shapes(core: Core) -> Result<Vec<Subject>> {
    use ConvAlgorithm::{Direct, Gemm8, Gemm16, GemmBytes, GemmPaired, Stride2};
    use ConvAlgorithm::{Winograd2, Winograd2AtRunTime, Winograd4};
    let graph = many_shapes()?;
    let at_run_time = Winograd2AtRunTime { tile_rows: 1 };
    let all = [Direct, Gemm8, GemmPaired, Gemm16, GemmBytes, Winograd2, at_run_time, Winograd4, Stride2];
    // What no exporter would take for this core is not worth tracing.
    let others = if core == Core::M4 { GemmBytes } else { GemmPaired };
    let algorithms = all.iter().filter(|&&algorithm| algorithm != others);
    let by_algorithm = algorithms.map(|&algorithm| {
        let name = format!("shapes by {algorithm:?}").split(" {").next().unwrap_or_default().to_owned();
        subject(&graph, &name, Elements::Int8, Some(algorithm), core, KIB)
    });
    let others = [("shapes int16", Elements::Int16), ("shapes float16", Elements::Float16)];
    by_algorithm.chain(others.map(|(name, elements)| subject(&graph, name, elements, None, core, KIB))).collect()
}

fn subject(
    graph: &Graph,
    name: &str,
    elements: Elements,
    algorithm: Option<ConvAlgorithm>,
    core: Core,
    kib: u32,
) -> Result<Subject> {
    let params = Params::init(graph, 3);
    let Shape { h, w, c } = graph.input;
    let images = Array4::from_shape_fn((2, h as usize, w as usize, c as usize), |(n, y, x, c)| {
        ((n * 7919 + y * 104_729 + x * 1_299_709 + c * 15_485_863) % 997) as f32 / 997.0
    });
    let network = match elements {
        Elements::Int8 => quantize::quantize(graph, &params, [images], &quantize::Options::default())?,
        Elements::Int16 => Prepared::new(graph, &params, [images], &quantize::Options::default())?.int16()?,
        Elements::Float16 => deploy::float16(graph, &params)?,
    };
    let plan = plan::Options { ram: Some(kib * 1024), ..plan::Options::default() };
    let options = export::Options { plan, flash: Some(FLASH), core, algorithm, board: None };
    Ok(Subject::from((name, export::to_bytes(&network, &options)?.bytes)))
}

/// DS-CNN: a convolution and four of depthwise and pointwise.
fn keyword_spotting() -> Result<Graph> {
    let mut net = Builder::new("keyword spotting", Shape::new(49, 10, 1))?;
    let input = net.input();
    let x = net.conv2d("conv", input, 64, [10, 4], [2, 2], Padding::Same, true)?;
    let mut x = net.relu("relu", x)?;
    for block in 1..=4 {
        x = separable(&mut net, &format!("b{block}"), x, 64, 1)?;
    }
    classified(net, x, 12)
}

/// MobileNet v1 at a quarter of its width, on 96x96.
fn visual_wake_words() -> Result<Graph> {
    let mut net = Builder::new("visual wake words", Shape::new(96, 96, 3))?;
    let input = net.input();
    let x = net.conv2d("conv", input, 8, [3, 3], [2, 2], Padding::Same, true)?;
    let mut x = net.relu("relu", x)?;
    let same = [(128, 1); 5];
    let blocks =
        [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)].into_iter().chain(same).chain([(256, 2), (256, 1)]);
    for (block, (filters, stride)) in blocks.enumerate() {
        x = separable(&mut net, &format!("b{}", block + 1), x, filters, stride)?;
    }
    classified(net, x, 2)
}

/// The autoencoder: ten dense layers.
fn anomaly_detection() -> Result<Graph> {
    let mut net = Builder::new("anomaly detection", Shape::new(1, 1, 640))?;
    let mut x = net.input();
    for (layer, units) in [128, 128, 128, 128, 8, 128, 128, 128, 128].into_iter().enumerate() {
        x = net.dense(&format!("d{layer}"), x, units, true)?;
        x = net.relu(&format!("d{layer}_relu"), x)?;
    }
    net.dense("out", x, 640, true)?;
    Ok(net.finish())
}

/// Depthwise 3x3 and pointwise.
fn separable(net: &mut Builder, name: &str, x: NodeId, filters: u32, stride: u32) -> Result<NodeId> {
    let x = net.depthwise(&format!("{name}_depthwise"), x, [3, 3], [stride; 2], Padding::Same, true)?;
    let x = net.relu(&format!("{name}_depthwise_relu"), x)?;
    let x = net.conv2d(&format!("{name}_pointwise"), x, filters, [1, 1], [1, 1], Padding::Same, true)?;
    Ok(net.relu(&format!("{name}_pointwise_relu"), x)?)
}

fn classified(mut net: Builder, x: NodeId, classes: u32) -> Result<Graph> {
    let x = net.global_average_pool("pool", x)?;
    let x = net.dense("logits", x, classes, true)?;
    net.softmax("softmax", x)?;
    Ok(net.finish())
}

/// Maps, channels, kernels and strides that networks have, and some that they seldom have.
fn many_shapes() -> Result<Graph> {
    let recipe: NetworkRecipe = toml::from_str(
        r#"
            name = "shapes"
            input = [24, 24, 3]
            blocks = [
                { conv = { filters = 16 } },
                { residual = { filters = 16 } },
                { conv = { filters = 24, stride = 2 } },
                { conv = { filters = 20, kernel = 5 } },
                { separable = { filters = 40 } },
                { conv = { filters = 32 } },
                { max_pool = { kernel = 3, stride = 1 } },
                { conv = { filters = 64, kernel = 1 } },
                { separable = { filters = 48, stride = 2 } },
                { conv = { filters = 64 } },
                { conv = { filters = 64 } },
                { conv = { filters = 128, stride = 2 } },
                { conv = { filters = 128, kernel = 1 } },
                { average_pool = { kernel = 2, stride = 1 } },
                { dense = { units = 32 } },
            ]
            head = "flatten"
        "#,
    )?;
    let labels: Vec<String> = (0..10).map(|class| class.to_string()).collect();
    Ok(recipe.build(&labels, &Preprocess::unit(3))?)
}
