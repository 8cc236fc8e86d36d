//! MAXIMUM and MINIMUM of int8 elements, of one scale: with a number a table, of two maps a pool.

use kinglet::{DType, QuantParams, Shape, Window};

use super::lower::{Lowering, quant};
use super::names as op;
use super::schema::{Operator, Type};
use crate::graph::Op;
use crate::import::problem::{Refusal, refuse};
use crate::network::{TensorId, TensorInfo};
use crate::quantize::lookup;

impl Lowering<'_, '_> {
    pub(super) fn extremum(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (Some(a), Some(b)) = (o.input(0), o.input(1)) else { return refuse("an input is missing", "") };
        let greater = o.code == op::MAXIMUM;
        let (input, constant) = match (self.model.is_constant(a), self.model.is_constant(b)) {
            (false, false) => return self.extremum_of_maps(o, greater),
            (true, true) => return refuse("both inputs are constants", "let the converter fold constants"),
            (true, false) => (b, a),
            (false, true) => (a, b),
        };
        let id = self.value(input)?;
        let data = self.constant(constant, "constant")?;
        let output = self.result(o)?;
        let tensor = &self.model.tensors[constant];
        let [value] = *data else {
            return refuse(format!("a constant of shape {:?}", tensor.dims), "a bound is one number for all elements");
        };
        if tensor.dtype != Type::Int8 {
            return refuse(format!("a constant of type {}", tensor.dtype.name()), "convert the model to int8");
        }
        self.demand_alike(output, &[id], Some(quant(tensor)?))?;
        self.push_table(lookup::extremum(value as i8, greater), id, output);
        Ok(())
    }

    /// The maximum of two pixels that lie side by side: the maps' channels are joined, and read as a map of twice the
    /// width. The lesser of two is the greater one in the opposite order.
    fn extremum_of_maps(&mut self, o: &Operator<'_>, greater: bool) -> Result<(), Refusal> {
        let operands = [self.operand(o, 0)?, self.operand(o, 1)?];
        let output = self.result(o)?;
        self.demand_alike(output, &operands, None)?;
        let operands = if greater { operands } else { operands.map(|id| self.mirrored(id)) };
        let info = self.info(operands[0]).clone();
        let Shape { h, w, c } = info.shape;
        let (wide, pairs) = (Shape::new(h, w, 2 * c), Shape::new(h, 2 * w, c));
        if !wide.is_valid() || !pairs.is_valid() {
            return refuse("maps that are too large", "");
        }
        let part = |what: &str, shape| TensorInfo { name: format!("{} ({what})", info.name), shape, ..info.clone() };
        let joint = self.intermediate(part("and the other", wide));
        let pixels = self.intermediate(part("beside the other", pairs));
        self.push(Op::Concat, operands.to_vec(), joint);
        self.push(Op::Reshape(pairs), vec![joint], pixels);
        let window = Window { kernel: [1, 2], stride: [1, 2], before: [0; 2], after: [0; 2] };
        let pool = Op::MaxPool(window);
        if greater {
            self.push(pool, vec![pixels], output);
        } else {
            let opposite = self.intermediate(part("the lesser", info.shape));
            self.push(pool, vec![pixels], opposite);
            self.push_table(lookup::mirrored(), opposite, output);
        }
        Ok(())
    }

    /// Minus `id`: the same integers in the opposite order.
    fn mirrored(&mut self, id: TensorId) -> TensorId {
        let info = self.info(id).clone();
        let quant = QuantParams { zero_point: -1 - info.quant.zero_point, ..info.quant };
        let copy = self.intermediate(TensorInfo { name: format!("{} (negated)", info.name), quant, ..info });
        self.push_table(lookup::mirrored(), id, copy);
        copy
    }

    /// Demands int8 elements of one shape and one scale, since TensorFlow Lite compares integers as they are.
    fn demand_alike(
        &self,
        output: TensorId,
        operands: &[TensorId],
        constant: Option<QuantParams>,
    ) -> Result<(), Refusal> {
        let to = self.info(output);
        let alike = |id: &TensorId| {
            let from = self.info(*id);
            from.dtype == DType::I8 && from.dtype == to.dtype && from.quant.same(to.quant)
        };
        if !operands.iter().all(alike) || constant.is_some_and(|quant| !quant.same(to.quant)) {
            return refuse(
                "operands that are not int8 of one scale",
                "TensorFlow Lite compares integers as they are: convert the model with full integer quantization (int8)",
            );
        }
        if operands.iter().any(|&id| self.info(id).shape != to.shape) {
            let shapes: Vec<Shape> = operands.iter().map(|&id| self.info(id).shape).collect();
            return refuse(format!("shapes {shapes:?}"), "both maps have one shape, or one operand is a number");
        }
        Ok(())
    }
}
