//! Comparisons, whose answers are 1 and 0, and choices by them.

use kinglet::quant::requantize;
use kinglet::{DType, Multiplier, QuantParams, Rounding};

use super::super::draft::{Draft, GivenFunction};
use super::super::problem::{Refusal, refuse};
use super::super::source::{Comparison, Elements, List, Operand, Output};
use super::{Operands, constant_of};
use crate::graph::{Binary, Function, NodeId, Op, StoredFunction};
use crate::quantize::lookup;

/// Answers as integers.
const TRUTH: Elements = Elements { dtype: DType::I8, quant: QuantParams { scale: 1.0, zero_point: 0 } };

impl Draft {
    /// Of floats the output has no elements, of integers those of [`TRUTH`]: whatever the file says.
    pub(super) fn comparison(
        &mut self,
        comparison: Comparison,
        inputs: Vec<Operand>,
        _: Output,
    ) -> Result<NodeId, Refusal> {
        let first = inputs.iter().find_map(|input| if let Operand::Value(id) = input { Some(*id) } else { None });
        let Some(elements) = first.map(|id| self.elements(id)) else {
            return refuse("both inputs are constants", "let the converter fold constants");
        };
        if elements.is_none() {
            let difference = self.arithmetic(Binary::Sub, inputs, Output::default())?;
            return self.real(difference, comparison.of_difference());
        }
        match constant_of(inputs)? {
            Operands::Constant(input, List::Integers(data, constant), first) => {
                let (Some(from @ Elements { dtype: DType::I8, .. }), [value]) = (self.elements(input), &data[..])
                else {
                    return refuse("a comparison with more than one number, or of int16", "compare in floats");
                };
                let rounding = self.rounding(false);
                let (x, value) = (comparable(from, rounding)?, comparable(constant, rounding)?((*value).into()));
                let holds = |at: i32| {
                    let (a, b) = if first { (value, x(at)) } else { (x(at), value) };
                    i8::from(comparison.holds(a, b))
                };
                self.table((-128..=127).map(holds).collect(), input, Some(TRUTH).into())
            }
            Operands::Constant(..) => refuse("a constant in floats beside integers", "quantize all of the network"),
            Operands::Values(a, b) => {
                let (Some(from @ Elements { dtype: DType::I8, quant }), Some(other)) =
                    (self.elements(a), self.elements(b))
                else {
                    return refuse("a comparison of elements that are not int8", "compare in floats");
                };
                if !from.same(other) {
                    return refuse("a comparison of different scales", "give both one scale");
                }
                let x = comparable(from, self.rounding(false))?;
                if (-128..127).any(|at| x(at) == x(at + 1)) {
                    return refuse("a comparison that is coarser than its elements", "compare in floats");
                }
                // A difference that saturates keeps its sign.
                let difference = Elements { quant: QuantParams { zero_point: 0, ..quant }, ..from };
                let difference = self.of_integers(Binary::Sub, a, b, Some(difference).into())?;
                let holds = (-128..=127).map(|at| i8::from(comparison.holds(at, 0)));
                self.table(holds.collect(), difference, Some(TRUTH).into())
            }
        }
    }

    pub(super) fn choice(&mut self, inputs: Vec<Operand>, output: Output) -> Result<NodeId, Refusal> {
        let [Operand::Value(condition), yes, no]: [Operand; 3] = (match inputs.try_into() {
            Ok(inputs) => inputs,
            Err(_) => return refuse("it has not three inputs", "the file contradicts itself"),
        }) else {
            return refuse("a constant condition", "let the converter fold constants");
        };
        if let Some(to) = output.elements {
            return self.choice_of_integers(condition, [yes, no], to);
        }
        // The one times the condition, plus the other times what that lacks to 1.
        let rest = self.real(condition, Function::Constant(1.0) - Function::X)?;
        let mut sum = None;
        for (factor, value) in [(condition, yes), (rest, no)] {
            let is_finite = |x: &f32| x.is_finite();
            if matches!(&value, Operand::Constant(List::Reals(reals)) if !reals.iter().all(is_finite)) {
                return refuse("a choice of what is not finite", "mask with large numbers instead");
            }
            let term = self.arithmetic(Binary::Mul, vec![Operand::Value(factor), value], Output::default())?;
            sum = Some(match sum {
                None => term,
                Some(sum) => self.of_reals(Binary::Add, sum, term)?,
            });
        }
        sum.map_or_else(|| refuse("it has no input", ""), Ok)
    }

    /// With one scale for all, sums and products with 1 and 0 are exact.
    fn choice_of_integers(&mut self, condition: NodeId, values: [Operand; 2], to: Elements) -> Result<NodeId, Refusal> {
        let alike = values.iter().all(|value| match value {
            Operand::Value(id) => self.elements(*id).is_some_and(|from| from.same(to)),
            Operand::Constant(List::Integers(_, from)) => from.same(to),
            Operand::Constant(List::Reals(_)) => false,
        });
        if !alike || self.elements(condition) != Some(TRUTH) || to.dtype != DType::I8 {
            return refuse(
                "a choice between elements of different scales, or by what is no comparison of int8",
                "TensorFlow Lite copies integers as they are: it demands one scale",
            );
        }
        let (origin, holds) = self.table_of(condition);
        let tables = values.each_ref().map(|value| match value {
            Operand::Value(id) if *id == origin => Some(lookup::identity()),
            Operand::Value(id) => Some(self.table_of(*id)).filter(|(of, _)| *of == origin).map(|(_, table)| table),
            Operand::Constant(List::Integers(data, _)) if data.len() == 1 => Some(vec![data[0] as i8; 256]),
            Operand::Constant(_) => None,
        });
        if let [Some(yes), Some(no)] = tables {
            let picked =
                holds.iter().zip(yes.iter().zip(no)).map(|(&holds, (&yes, no))| if holds != 0 { yes } else { no });
            return self.table(picked.collect(), origin, Some(to).into());
        }
        let rest = (-128..=127).map(|x| i8::from(x == 0)).collect();
        let rest = self.table(rest, condition, Some(TRUTH).into())?;
        let [yes, no] = values;
        let yes = self.arithmetic(Binary::Mul, vec![Operand::Value(condition), yes], Some(to).into())?;
        let no = self.arithmetic(Binary::Mul, vec![Operand::Value(rest), no], Some(to).into())?;
        self.of_integers(Binary::Add, yes, no, Some(to).into())
    }

    /// What a value of int8 is a function of, and the function.
    fn table_of(&self, id: NodeId) -> (NodeId, lookup::Table) {
        let node = self.node(id);
        match (&node.op, &node.inputs[..]) {
            (Op::Function(GivenFunction::Stored(StoredFunction::Table(table))), [input]) => (*input, table.clone()),
            _ => (id, lookup::identity()),
        }
    }
}

/// What TensorFlow Lite compares of an element: a multiple of the number that it stands for.
fn comparable(of: Elements, rounding: Rounding) -> Result<impl Fn(i32) -> i32, Refusal> {
    const FINE: u32 = 8;
    let QuantParams { scale, zero_point } = of.quant;
    match Multiplier::from_real(scale.into()) {
        Some(factor) if scale < 1.0 && of.dtype == DType::I8 => {
            Ok(move |element: i32| requantize((element - zero_point) << FINE, factor, rounding))
        }
        _ => refuse(
            format!("a comparison of a scale of {scale}, or of int16"),
            "TensorFlow Lite demands less than 1, too",
        ),
    }
}
