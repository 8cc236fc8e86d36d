//! Channel shuffle, as ShuffleNet has it: channels become groups, groups and their channels change places, and become
//! channels again.

use super::lower::{Lowering, quant, shape};
use super::schema::Operator;
use crate::import::problem::{Refusal, refuse};
use crate::network::TensorId;

impl Lowering<'_, '_> {
    /// A RESHAPE that parts channels into groups, or joins groups again; whether it was one.
    pub(super) fn regroup(&mut self, o: &Operator<'_>) -> Result<bool, Refusal> {
        let (Some(from), Some(to)) = (o.input(0), o.output(0)) else { return Ok(false) };
        let (before, after) = (&self.model.tensors[from], &self.model.tensors[to]);
        let joined = self.groups.get(&from).copied();
        let parted = match (&before.dims[..], &after.dims[..]) {
            (&[_, h, w, c], &[_, rows, columns, groups, each]) => {
                groups > 0 && each > 0 && [h, w] == [rows, columns] && groups.checked_mul(each) == Some(c)
            }
            _ => false,
        };
        let id = match joined {
            Some(id) if shape(after)? == self.info(id).shape => id,
            Some(_) => return refuse("groups of channels that become something else", ""),
            None if parted => self.operand(o, 0)?,
            None => return Ok(false),
        };
        if !quant(after)?.same(self.info(id).quant) || after.dtype != before.dtype {
            return refuse("input and output have different scales", "");
        }
        if parted {
            self.groups.insert(to, id);
        } else {
            self.set_value(to, id);
        }
        Ok(true)
    }

    /// A TRANSPOSE of a map with groups of channels.
    pub(super) fn shuffle(&mut self, o: &Operator<'_>, id: TensorId, permutation: &[i64]) -> Result<(), Refusal> {
        let dims = |index: Option<usize>| index.map_or(&[][..], |index| &self.model.tensors[index].dims);
        let (&[_, _, _, groups, each], Some(to)) = (dims(o.input(0)), o.output(0)) else {
            return refuse("groups that the file does not have", "the file contradicts itself");
        };
        let turned = dims(o.output(0)).get(3..) == Some(&[each, groups]);
        if permutation != [0, 1, 2, 4, 3] || !turned {
            return refuse(
                format!("a permutation {permutation:?} of groups of channels"),
                "groups and their channels may change places, nothing else",
            );
        }
        let info = self.info(id).clone();
        let [groups, each] = [groups, each].map(|count| count.max(1).unsigned_abs());
        let shuffled = self.intermediate(info);
        self.channels((0..groups * each).map(|at| at % groups * each + at / groups), id, shuffled)?;
        self.groups.insert(to, shuffled);
        Ok(())
    }
}
