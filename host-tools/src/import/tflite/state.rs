//! Variables that outlast an inference: CALL_ONCE, VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE.

use std::collections::BTreeMap;

use super::names as op;
use super::operators::damaged;
use super::read::Reader;
use super::schema::{MAX_NAME, Model, Operator};
use crate::elements::to_elements;
use crate::graph::{NodeId, Op};
use crate::import::flat::Malformed;
use crate::import::problem::{Refusal, refuse};
use crate::network;

/// What is known of a model's variables.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// The name behind each handle, by its tensor.
    names: BTreeMap<usize, String>,
    /// What each variable is, as far as its operators have been passed.
    values: BTreeMap<String, Variable>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Variable {
    /// What it was when the inference began, if somebody has read it.
    before: Option<NodeId>,
    /// What it was given since.
    now: Option<NodeId>,
}

impl Variables {
    /// Those of a model, none of them read yet.
    pub(super) fn of(model: &Model<'_>) -> Result<Self, Malformed> {
        let mut names = BTreeMap::new();
        for handle in model.operators.iter().filter(|o| o.code == op::VAR_HANDLE) {
            let (Some(tensor), Some(options)) = (handle.output(0), handle.options) else { continue };
            names.insert(tensor, format!("{}{}", options.text(0, MAX_NAME)?, options.text(1, MAX_NAME)?));
        }
        Ok(Self { names, values: BTreeMap::new() })
    }

    fn name(&self, handle: Option<usize>) -> Result<String, Refusal> {
        match handle.and_then(|handle| self.names.get(&handle)) {
            Some(name) => Ok(name.clone()),
            None => {
                refuse("it has no VAR_HANDLE of its own", "export an inference function whose variables are its own")
            }
        }
    }
}

impl Reader<'_, '_> {
    pub(super) fn read_variable(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let name = self.variables.name(o.input(0))?;
        let Variable { before, now } = self.variables.values.get(&name).copied().unwrap_or_default();
        let id = match (now.or(before), o.output(0)) {
            (Some(known), _) => known,
            (None, Some(output)) => {
                let (shape, elements) = self.declared(output)?;
                let id = self.draft.input(shape, elements);
                self.draft.values[id.0].name.clone_from(&name);
                self.variables.values.insert(name, Variable { before: Some(id), now });
                id
            }
            (None, None) => return refuse("it has no output", ""),
        };
        self.set(o, 0, id)
    }

    pub(super) fn assign_variable(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let name = self.variables.name(o.input(0))?;
        let mut id = self.operand(o, 1)?;
        if self.draft.node(id).op == Op::Input {
            // An input, or the value of another variable: states take over what nodes write.
            id = self.draft.push(Op::Reshape(self.draft.shape(id)), &[id], self.draft.elements(id))?;
        }
        self.variables.values.entry(name).or_default().now = Some(id);
        Ok(())
    }

    /// The states that the variables are: those that were read before they were assigned.
    pub(super) fn lasting(&mut self) -> Result<Vec<network::State>, Refusal> {
        let begin = first_elements(self.model)?;
        let mut states = Vec::new();
        for (name, variable) in std::mem::take(&mut self.variables.values) {
            let Some(tensor) = variable.before else { continue };
            let Some(next) = variable.now else {
                return refuse(format!("the variable `{name}` is read and never assigned"), "make it a constant");
            };
            let shape = self.draft.shape(tensor);
            let alike = match (self.draft.elements(tensor), self.draft.elements(next)) {
                (Some(from), Some(to)) if from.same(to) && shape == self.draft.shape(next) => from,
                _ => return refuse(format!("the variable `{name}` is assigned what is unlike it"), ""),
            };
            let mut initial = Vec::new();
            if let Some(data) = begin.get(&name) {
                self.draft.spend(data.len())?;
                initial = to_elements(data, alike.dtype);
                if initial.len() != shape.len() as usize {
                    return refuse(format!("the variable `{name}` begins with {} elements", initial.len()), "");
                }
                if initial.iter().all(|&element| i32::from(element) == alike.quant.zero_point) {
                    initial.clear();
                }
            }
            states.push(network::State { tensor: tensor.0, next: next.0, initial });
        }
        Ok(states)
    }
}

/// What variables are before the first inference: the constants that CALL_ONCE assigns them.
fn first_elements<'b>(model: &Model<'b>) -> Result<BTreeMap<String, &'b [u8]>, Refusal> {
    let mut found = BTreeMap::new();
    let Some(once) = &model.once else { return Ok(found) };
    let variables = Variables::of(once).map_err(damaged)?;
    for o in once.operators.iter().filter(|o| o.code != op::VAR_HANDLE) {
        let data = o.input(1).and_then(|value| once.tensors[value].data);
        let (op::ASSIGN_VARIABLE, Some(data)) = (o.code, data) else {
            return refuse(format!("{} before the first inference", o.kind), "let variables begin with constants");
        };
        found.insert(variables.name(o.input(0))?, data);
    }
    Ok(found)
}
