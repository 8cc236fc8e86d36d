//! Inputs, outputs and states in a model file.

use super::file::File;
use super::layout::{MAX_PORTS, NONE, Section, header, port};
use crate::bytes::{attempt, slice};
use crate::error::{Fault, ModelError};

/// What a tensor is to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortKind {
    Input = 0,
    Output = 1,
    State = 2,
}

/// An input, an output or a state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PortRecord<'m> {
    /// Where the record, or the header's word, starts in the file.
    pub(crate) at: u32,
    pub(crate) tensor: u32,
    pub(crate) name: &'m str,
    /// Of a state, the tensor that becomes the state when an inference ends.
    pub(crate) next: Option<u32>,
    /// Of a state, its first elements, if they are not zero points.
    pub(crate) initial: &'m [u8],
}

impl<'m> File<'m> {
    /// Checks the list of ports; how many of each kind it has.
    pub(super) const fn check_ports(&self) -> Result<[u32; 3], ModelError> {
        let (mut counts, mut before, mut index) = ([0; 3], 0, 0);
        let (start, len) = self.section(Section::Ports);
        if !len.is_multiple_of(port::SIZE) || len / port::SIZE > MAX_PORTS {
            return Err(ModelError::new(Fault::Count, header::PORTS));
        }
        while index < len / port::SIZE {
            let at = start + index * port::SIZE;
            let kind = attempt!(self.word(at + port::KIND));
            if kind < before || kind > PortKind::State as u32 {
                return Err(ModelError::new(Fault::Port, at + port::KIND));
            }
            attempt!(self.check_tensor_at(at + port::TENSOR, Fault::Port));
            attempt!(self.string(at + port::NAME));
            let is_state = kind == PortKind::State as u32;
            let lone = attempt!(self.word(at + port::NEXT)) == NONE && attempt!(self.word(at + port::INITIAL + 4)) == 0;
            if is_state {
                attempt!(self.check_tensor_at(at + port::NEXT, Fault::Port));
                attempt!(self.initial(at));
            } else if !lone {
                return Err(ModelError::new(Fault::Port, at + port::NEXT));
            }
            if attempt!(self.word(at + port::RESERVED)) != 0 {
                return Err(ModelError::new(Fault::Reserved, at + port::RESERVED));
            }
            counts[(kind % 3) as usize] += 1;
            before = kind;
            index += 1;
        }
        if counts[0] == 0 || counts[1] == 0 {
            return Err(ModelError::new(Fault::Count, header::PORTS));
        }
        Ok(counts)
    }

    /// The first elements of the state whose record is at `at`.
    const fn initial(&self, at: u32) -> Result<&'m [u8], ModelError> {
        let (offset, len) = (attempt!(self.word(at + port::INITIAL)), attempt!(self.word(at + port::INITIAL + 4)));
        match slice(self.weights, offset as usize, len as usize) {
            Some(bytes) => Ok(bytes),
            None => Err(ModelError::new(Fault::Weights, at + port::INITIAL)),
        }
    }

    /// How many ports of a kind there are.
    pub(crate) const fn port_count(&self, kind: PortKind) -> u32 {
        self.counts[kind as usize % 3]
    }

    /// Port `index` of a kind.
    pub(crate) const fn port(&self, kind: PortKind, index: u32) -> Result<PortRecord<'m>, ModelError> {
        if index >= self.port_count(kind) {
            return Err(ModelError::new(Fault::Port, header::PORTS));
        }
        let at = self.port_at(kind, index);
        if self.version == 1 {
            let name = if matches!(kind, PortKind::Input) { "input" } else { "output" };
            return Ok(PortRecord { at, tensor: attempt!(self.word(at)), name, next: None, initial: &[] });
        }
        Ok(PortRecord {
            at,
            tensor: attempt!(self.word(at + port::TENSOR)),
            name: attempt!(self.string(at + port::NAME)),
            next: match attempt!(self.word(at + port::NEXT)) {
                NONE => None,
                next => Some(next),
            },
            initial: attempt!(self.initial(at)),
        })
    }

    /// Where the record of port `index` of a kind starts; in version 1, the header's word.
    const fn port_at(&self, kind: PortKind, index: u32) -> u32 {
        let [inputs, outputs, _] = self.counts;
        let before = match (self.version, kind) {
            (1, PortKind::Input) => return header::INPUT,
            (1, _) => return header::OUTPUT,
            (_, PortKind::Input) => 0,
            (_, PortKind::Output) => inputs,
            (_, PortKind::State) => inputs.saturating_add(outputs),
        };
        self.record_at(Section::Ports, before.saturating_add(index), port::SIZE)
    }

    /// The index of the tensor of port `index`, which the model must have.
    pub(crate) const fn port_index(&self, kind: PortKind, index: u32) -> u32 {
        let at = self.port_at(kind, index);
        self.checked_word(if self.version == 1 { at } else { at + port::TENSOR })
    }
}
