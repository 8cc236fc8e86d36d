//! Inference: what the quantizer calibrates on, and what float accuracy is measured with.

use kinglet::Shape;
use ndarray::{Array2, Array4, ArrayView4, Axis};
use thiserror::Error;

use super::net::{Keep, Mode, Net};
use crate::graph::{Graph, GraphError, Params, Preprocess};

/// Images that run at a time: a bound on memory, not on what callers may pass.
const BATCH: usize = 64;

/// Inference that cannot be done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InferError {
    /// The parameters do not fit the graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The images do not fit the graph.
    #[error("images of {found:?} (H, W, C) for a network that takes {}x{}x{}", expected.h, expected.w, expected.c)]
    Images {
        /// What the graph takes.
        expected: Shape,
        /// H, W, C of the images.
        found: [usize; 3],
    },
}

/// The values of every node, by [`NodeId`](crate::graph::NodeId), for a batch of preprocessed images (N x H x W x C),
/// with the running statistics of batch normalization. Each array is N x H x W x C of its node.
///
/// # Errors
/// When parameters or images do not fit the graph.
pub fn forward(graph: &Graph, params: &Params, batch: &ArrayView4<'_, f32>) -> Result<Vec<Array4<f32>>, InferError> {
    check(graph, batch.dim())?;
    let keep = Keep { every_value: true, ..Keep::default() };
    let mut net = Net::<f32>::with(graph, params, batch.dim().0, keep)?;
    run(&mut net, batch);
    Ok(graph.ids().map(|id| net.values(id)).collect())
}

/// The output for u8 images (N x H x W x C), preprocessed as the graph says: N x classes.
///
/// # Errors
/// When parameters or images do not fit the graph.
pub fn logits(graph: &Graph, params: &Params, images: &ArrayView4<'_, u8>) -> Result<Array2<f32>, InferError> {
    check(graph, images.dim())?;
    let count = images.dim().0;
    let mut net = Net::<f32>::new(graph, params, count.min(BATCH))?;
    let mut rows = Vec::with_capacity(count * graph.node(graph.output()).shape.len() as usize);
    for part in images.axis_chunks_iter(Axis(0), BATCH) {
        run(&mut net, &preprocess(&graph.preprocess, &part).view());
        rows.extend(net.values(graph.output()));
    }
    let classes = rows.len().checked_div(count).unwrap_or(0);
    Ok(Array2::from_shape_vec((count, classes), rows).expect("one row per image"))
}

/// The place of the greatest score; of equal ones the first.
pub fn greatest(scores: &[f32]) -> usize {
    scores.iter().enumerate().fold(0, |best, (class, score)| if *score > scores[best] { class } else { best })
}

/// u8 images to the real numbers that the network takes.
pub fn preprocess(preprocess: &Preprocess, images: &ArrayView4<'_, u8>) -> Array4<f32> {
    let tables: Vec<[f32; 256]> = (0..preprocess.channels()).map(|c| preprocess.table(c)).collect();
    Array4::from_shape_fn(images.dim(), |(n, y, x, c)| tables[c][images[(n, y, x, c)] as usize])
}

fn check(graph: &Graph, (_, h, w, c): (usize, usize, usize, usize)) -> Result<(), InferError> {
    let expected = graph.input;
    if [h, w, c] == [expected.h, expected.w, expected.c].map(|v| v as usize) {
        return Ok(());
    }
    Err(InferError::Images { expected, found: [h, w, c] })
}

fn run(net: &mut Net<f32>, batch: &ArrayView4<'_, f32>) {
    net.forward(batch.dim().0, Mode::Infer, |index, out| {
        out.iter_mut().zip(batch.index_axis(Axis(0), index)).for_each(|(out, x)| *out = *x);
    });
}
