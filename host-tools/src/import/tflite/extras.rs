//! What a TensorFlow Lite file has no place for, as a metadata entry of ours.

use kinglet::format::RoundingSource;
use kinglet::{ChannelOrder, Rounding};
use serde::{Deserialize, Serialize};

use crate::network::{Network, Pixels};

/// The entry's content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extras {
    /// The network's name.
    pub(super) name: String,
    /// The nodes' names.
    nodes: Vec<String>,
    /// The nodes' rounding modes, by their code in a model file.
    rounding: Vec<u32>,
    /// Whose arithmetic that is, by its code in a model file.
    #[serde(default)]
    source: u32,
    labels: Vec<String>,
    /// The code of the pixel tables' channel order in a model file.
    order: u32,
    tables: Vec<i16>,
}

impl Extras {
    /// The entry's name.
    pub(super) const NAME: &'static str = "KINGLET";

    /// The extras of `network`.
    pub(super) fn of(network: &Network, nodes: Vec<String>) -> Self {
        Self {
            name: network.name.clone(),
            nodes,
            rounding: network.nodes.iter().map(|node| node.rounding.code()).collect(),
            source: network.rounding.code(),
            labels: network.labels.clone(),
            order: network.pixels.as_ref().map_or(0, |pixels| pixels.order.code()),
            tables: network.pixels.as_ref().map_or_else(Vec::new, |pixels| pixels.tables.clone()),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Plain lists of numbers and strings always have a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the entry; `None` when it is not one of ours.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Gives `network` what fits it; `rounding` is left alone when the caller has chosen.
    pub(super) fn apply(self, network: &mut Network, keep_rounding: bool) {
        if self.nodes.len() == network.nodes.len() {
            network.nodes.iter_mut().zip(self.nodes).for_each(|(node, name)| node.name = name);
        }
        if !keep_rounding && self.rounding.len() == network.nodes.len() {
            for (node, code) in network.nodes.iter_mut().zip(self.rounding) {
                node.rounding = Rounding::from_code(code).unwrap_or(node.rounding);
            }
            let source = RoundingSource::from_code(self.source);
            network.rounding = source.filter(|of| *of != RoundingSource::Unknown).unwrap_or(network.rounding);
        }
        if self.labels.len() == network.output().shape.len() as usize {
            network.labels = self.labels;
        }
        let channels = network.input().shape.c as usize;
        let order =
            [ChannelOrder::Grey, ChannelOrder::Rgb, ChannelOrder::Bgr].into_iter().find(|o| o.code() == self.order);
        if let Some(order) = order
            && (self.tables.len() == 256 || self.tables.len() == 256 * channels)
        {
            network.pixels = Some(Pixels { order, tables: self.tables });
        }
        network.name = self.name;
    }
}
