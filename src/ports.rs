//! The tensors of a model that its caller sees: inputs, outputs, and states that last from inference to inference.

use crate::format::PortKind;
use crate::model::Model;
use crate::tensor::Tensor;
use crate::uses::Linked;

/// An input or an output of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Port<'m> {
    /// Its name; `input` and `output` in files that have none.
    pub name: &'m str,
    /// The number of its tensor.
    pub index: usize,
    /// Its tensor; dense.
    pub tensor: Tensor,
}

/// A tensor that keeps its elements from one inference to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State<'m> {
    /// Its name and the tensor that steps read.
    pub port: Port<'m>,
    /// The number of the tensor whose elements it takes over when an inference ends.
    pub next: usize,
    /// Its elements before the first inference, little-endian; empty when they are zero points.
    pub initial: &'m [u8],
}

impl<'m, L: Linked> Model<'m, L> {
    /// The inputs, in the file's order.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = Port<'m>> + use<'m, L> {
        self.ports(PortKind::Input)
    }

    /// The outputs, in the file's order. Labels are those of the first.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = Port<'m>> + use<'m, L> {
        self.ports(PortKind::Output)
    }

    /// The states, in the file's order.
    pub fn states(&self) -> impl ExactSizeIterator<Item = State<'m>> + use<'m, L> {
        let file = *self.file();
        self.ports(PortKind::State).enumerate().map(move |(index, port)| {
            match file.port(PortKind::State, index as u32) {
                Ok(record) => State { port, next: record.next.unwrap_or_default() as usize, initial: record.initial },
                Err(_) => State { port, next: 0, initial: &[] },
            }
        })
    }

    fn ports(&self, kind: PortKind) -> impl ExactSizeIterator<Item = Port<'m>> + use<'m, L> {
        let file = *self.file();
        (0..file.port_count(kind) as u16).map(move |index| match file.port(kind, index.into()) {
            Ok(port) => Port {
                name: port.name,
                index: port.tensor as usize,
                tensor: file.tensor(port.tensor).unwrap_or(Tensor::EMPTY),
            },
            Err(_) => Port { name: "", index: 0, tensor: Tensor::EMPTY },
        })
    }
}
