//! What needs no pass and no buffer of its own.
//!
//! A batch normalization that only a ReLU reads, directly or over an addition, runs in the ReLU's pass; neither it nor
//! the addition has values. A gradient that equals its reader's is kept once, in the reader's buffer, which is its
//! *home*; and what is written and read within one stage needs room for one image only.

use super::schedule::levels;
use crate::graph::{Activation, Graph, Op};

/// A ReLU's pass that begins at a batch normalization: `relu(norm(x))` or `relu(norm(x) + shortcut)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The batch normalization.
    pub norm: usize,
    /// The other operand of the addition, if there is one.
    pub shortcut: Option<usize>,
}

/// For how many images a gradient is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It lies in another node's buffer, or is never computed.
    None,
    /// It is written and read while one image is worked on.
    Image,
    /// It crosses from one stage to another.
    Batch,
}

/// The plan, per node.
#[derive(Clone, Debug)]
pub struct Fusion {
    /// By ReLU.
    pub tails: Vec<Option<Tail>>,
    /// Normalizations and additions that run in a tail, and so have no values.
    pub hidden: Vec<bool>,
    /// The node whose buffer holds the node's gradient.
    pub home: Vec<usize>,
    /// Room for gradients at home.
    pub room: Vec<Room>,
}

impl Fusion {
    /// The plan of `graph`. With `every_value` nothing is hidden; with `input_gradient` that of the images is kept.
    pub fn new(graph: &Graph, every_value: bool, input_gradient: bool) -> Self {
        let consumers = graph.consumers();
        let op = |node: usize| &graph.nodes[node].op;
        let inputs = |node: usize| graph.nodes[node].inputs.iter().map(|input| input.0);
        let only = |node: usize, reader: usize| consumers[node].len() == 1 && consumers[node][0].0 == reader;
        let is_norm = |node: usize| matches!(op(node), Op::BatchNorm(_));
        // A sum whose operands are not spread.
        let is_sum = |node: usize| {
            let alike = |input: usize| graph.nodes[input].shape == graph.nodes[node].shape;
            matches!(op(node), Op::Add) && inputs(node).all(alike)
        };
        let is_relu = |node: usize| matches!(op(node), Op::Activate(Activation::Relu | Activation::Relu6));
        let count = graph.nodes.len();

        let (mut tails, mut hidden) = (vec![None; count], vec![false; count]);
        for relu in (0..count).filter(|&node| is_relu(node) && !every_value) {
            let Some(input) = inputs(relu).next().filter(|&input| only(input, relu)) else { continue };
            if is_norm(input) {
                tails[relu] = Some(Tail { norm: input, shortcut: None });
                hidden[input] = true;
            } else if is_sum(input) {
                let Some(norm) = inputs(input).find(|&norm| is_norm(norm) && only(norm, input)) else { continue };
                tails[relu] = Some(Tail { norm, shortcut: inputs(input).find(|&other| other != norm) });
                (hidden[input], hidden[norm]) = (true, true);
            }
        }

        let mut home: Vec<usize> = (0..count).collect();
        for node in (0..count).rev() {
            let [reader] = consumers[node][..] else { continue };
            // A ReLU masks its gradient in place. An addition's operands share theirs, so they may only read it.
            let shares = match op(reader.0) {
                Op::Activate(Activation::Relu | Activation::Relu6) => true,
                Op::Add if is_sum(reader.0) => is_norm(node) || matches!(op(node), Op::Conv2d { .. }),
                _ => false,
            };
            if shares {
                home[node] = home[reader.0];
            }
        }

        let level = levels(graph);
        let mut room = vec![Room::None; count];
        for node in 0..count {
            if node == 0 && !input_gradient {
                continue;
            }
            // The loss writes for the whole batch, and so do readers in later stages, but for normalizations: they hand
            // their gradient on in the stage of their input.
            let crosses = |reader: &crate::graph::NodeId| !is_norm(reader.0) && level[reader.0] != level[node];
            let batch = node == 0
                || is_norm(node)
                || consumers[node].iter().any(crosses)
                || consumers[node].iter().all(|reader| matches!(op(reader.0), Op::Softmax { .. }));
            let kept = &mut room[home[node]];
            *kept = if batch || *kept == Room::Batch { Room::Batch } else { Room::Image };
        }
        Self { tails, hidden, home, room }
    }
}
