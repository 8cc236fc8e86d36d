//! The tensors of a model that its caller sees: inputs, outputs, and states that last from inference to inference.

use crate::format::PortKind;
use crate::internal::internal;
use crate::memory::Memory;
use crate::model::Model;
use crate::ops::OpKind;
use crate::step::Step;
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

impl State<'_> {
    /// Gives it its first elements.
    pub(crate) fn reset(&self, memory: &mut Memory<'_>) {
        let tensor = &self.port.tensor;
        let elements = memory.write(tensor.region());
        // Elements of two bytes have the zero point 0.
        elements.fill(tensor.quant.zero_point as i8);
        elements.iter_mut().zip(self.initial).for_each(|(element, &byte)| *element = byte as i8);
    }

    /// Takes over the elements of `next`, its next value.
    pub(crate) fn commit(&self, next: &Tensor, memory: &mut Memory<'_>) {
        let (from, to) = memory.read_write(next.region(), self.port.tensor.region());
        to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
    }
}

/// An input, an output or a state of a model: its place in the list, counted from 0, or its name.
pub trait Which: which::Sealed {}

impl<W: which::Sealed> Which for W {}

pub(crate) mod which {
    //! Sealed: what tells a port from the others.

    use super::Port;

    pub trait Sealed: Copy {
        /// Whether it is `port`, the one with this number.
        fn is(self, number: usize, port: &Port<'_>) -> bool;
    }

    impl Sealed for usize {
        fn is(self, number: usize, _: &Port<'_>) -> bool {
            self == number
        }
    }

    impl Sealed for &str {
        fn is(self, _: usize, port: &Port<'_>) -> bool {
            self == port.name
        }
    }
}

impl<'m, L: Linked> Model<'m, L> {
    /// The inputs, in the file's order.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = Port<'m>> + use<'m, L> {
        self.ports(PortKind::Input)
    }

    /// How many inputs there are.
    pub const fn input_count(&self) -> usize {
        self.file().port_count(PortKind::Input) as usize
    }

    /// How many outputs there are.
    pub const fn output_count(&self) -> usize {
        self.file().port_count(PortKind::Output) as usize
    }

    internal! {
        /// Bytes of the elements of all inputs, as [`Raw`](crate::Raw) takes them.
        const fn input_bytes(&self) -> usize {
            self.bytes_of(PortKind::Input)
        }

        /// Bytes of the elements of all outputs.
        const fn output_bytes(&self) -> usize {
            self.bytes_of(PortKind::Output)
        }
    }

    const fn bytes_of(&self, kind: PortKind) -> usize {
        let (mut bytes, mut index) = (0, 0);
        while index < self.file().port_count(kind) {
            bytes = usize::saturating_add(bytes, self.port_tensor(kind, index).span() as usize);
            index += 1;
        }
        bytes
    }

    /// The step that writes an output; none when its parts are written.
    pub(crate) fn writer(&self, output: u32) -> Option<Step<'m>> {
        let tensor = self.file().port_index(PortKind::Output, output) as usize;
        let writes = |step: &usize| matches!(self.operands(*step), Some([_, _, Some(output)]) if output == tensor);
        (0..self.step_count()).rev().find(writes).and_then(|step| self.nameless_step(step))
    }

    internal! {
        /// Whether the elements of an output are probabilities: a softmax writes it.
        fn gives_probabilities(&self, output: u32) -> bool {
            let kind = self.writer(output).map(|step| step.kind());
            matches!(kind, Some(OpKind::Softmax | OpKind::SoftmaxInt16 | OpKind::SoftmaxFloat16))
        }
    }

    /// The tensor of an input, an output or a state.
    pub(crate) const fn port_tensor(&self, kind: PortKind, index: u32) -> Tensor {
        match self.file().tensor(self.file().port_index(kind, index)) {
            Ok(tensor) => tensor,
            Err(_) => Tensor::EMPTY,
        }
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
