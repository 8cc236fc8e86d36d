//! What a trainer trains: the float network, or the integers that it becomes.

use crate::graph::{Graph, GraphError, Params};
use crate::layers::{Loss, Mode, Net, Slot, Targets};
use crate::qat;

/// A network in training.
#[derive(Debug)]
pub enum Engine {
    /// In float.
    Float(Box<Net<f32>>),
    /// In the exported model's integers.
    Int8(Box<qat::Net>),
}

impl Engine {
    pub fn graph(&self) -> &Graph {
        match self {
            Engine::Float(net) => net.graph(),
            Engine::Int8(net) => net.graph(),
        }
    }

    /// All numbers as they are now, ranges included.
    pub fn params(&self) -> Params {
        match self {
            Engine::Float(net) => net.params(),
            Engine::Int8(net) => net.params(),
        }
    }

    /// Bytes of values and gradients of a batch; in integers those of one image, which are few.
    pub fn memory(&self) -> usize {
        match self {
            Engine::Float(net) => net.memory(Mode::Train),
            Engine::Int8(_) => 0,
        }
    }

    /// Takes over numbers.
    pub fn load(&mut self, params: &Params) -> Result<(), GraphError> {
        match self {
            Engine::Float(net) => net.load(params),
            Engine::Int8(net) => net.load(params),
        }
    }

    pub fn slots(&mut self) -> Vec<Slot<'_, f32>> {
        match self {
            Engine::Float(net) => net.slots().collect(),
            Engine::Int8(net) => net.slots().collect(),
        }
    }

    /// Loss and gradients of a batch, whose images `fill` writes. The error names the layer whose numbers are not finite.
    pub fn gradients(&mut self, targets: Targets<'_>, fill: impl Fn(usize, &mut [f32]) + Sync) -> Result<Loss, String> {
        match self {
            Engine::Float(net) => {
                net.forward(targets.labels.len(), Mode::Train, fill);
                let loss = net.loss(targets);
                if !loss.mean.is_finite() {
                    return Err(net.first_not_finite().unwrap_or("loss").to_string());
                }
                net.backward();
                Ok(loss)
            }
            Engine::Int8(net) => net.gradients(targets, fill),
        }
    }
}
