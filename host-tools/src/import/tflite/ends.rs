//! The network's ends: conversions between the caller's elements and int8 are left to the caller.

use kinglet::{DType, Rounding};

use super::lower::Lowering;
use crate::import::lookup;
use crate::import::problem::{Refusal, refuse};
use crate::network::TensorId;

impl Lowering<'_, '_> {
    /// Lets `id`, which is computed from the model's input `from`, be the network's input.
    pub(super) fn become_input(&mut self, from: usize, id: TensorId) {
        self.set_value(from, id);
    }

    /// Whether nothing but the caller reads `index`.
    pub(super) fn only_reader_is_caller(&self, index: usize) -> bool {
        self.reader_count(index) == 1
    }

    /// Keeps how a model with a uint8 input makes int8 of it, as the table that pixels go through.
    pub(super) fn take_pixels(&mut self, from: usize, id: TensorId) -> Result<(), Refusal> {
        let source = &self.model.tensors[from];
        let Some(scale) = source.scale() else {
            return refuse("its uint8 input has no scale", "");
        };
        let zero_point = source.zero_point().clamp(0, 255) as i32;
        if self.info(id).dtype != DType::I8 {
            return refuse(
                "it makes int16 of uint8",
                "TensorFlow Lite Micro cannot either: convert with int16 or float inputs",
            );
        }
        let quant = self.info(id).quant;
        let table = lookup::from_pixels(scale, zero_point, quant, Rounding::Double).map_err(|e| (e, String::new()))?;
        self.notes
            .push("the uint8 input is taken as pixels; int8 elements are pixels less 128 where scales agree".into());
        self.set_pixels(table.into_iter().map(i16::from).collect(), self.info(id).shape.c);
        Ok(())
    }
}
