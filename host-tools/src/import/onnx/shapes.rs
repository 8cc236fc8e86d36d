//! Arithmetic on shapes that exporters leave in the graph: evaluated here, since all shapes are known.

use super::context::{Context, Value, attribute, int, ints};
use super::proto::NodeProto;
use super::tensor::{Constant, Values};
use crate::graph::Binary;
use crate::import::problem::{Refusal, refuse};

/// Shapes have few dimensions; longer lists are not shapes.
const MAX_LEN: usize = 64;

impl<'m> Context<'m> {
    /// Evaluates a node that makes a constant, or integers of constants; whether it was one.
    pub(super) fn fold_shapes(&mut self, node: &'m NodeProto) -> Result<bool, Refusal> {
        let result = match node.op_type.as_str() {
            "Constant" => match attribute(node, "value").and_then(|value| value.t.as_ref()) {
                Some(tensor) => {
                    self.spend(tensor.raw_data.len())?;
                    Constant::read(tensor)?
                }
                None => {
                    let floats = attribute(node, "value_floats").filter(|list| list.floats.len() <= MAX_LEN);
                    match (attribute(node, "value_float"), attribute(node, "value_int"), ints(node, "value_ints")) {
                        _ if let Some(list) = floats => {
                            Constant { dims: vec![list.floats.len()], values: Values::Floats(list.floats.clone()) }
                        }
                        (Some(value), ..) => Constant { dims: vec![], values: Values::Floats(vec![value.f]) },
                        (_, Some(value), _) => Constant { dims: vec![], values: Values::Integers(vec![value.i]) },
                        (.., Some(list)) if list.len() <= MAX_LEN => vector(list.to_vec()),
                        _ => return refuse("a constant that is not a tensor", ""),
                    }
                }
            },
            "Shape" => vector(self.activation(node, 0)?.dims),
            "Gather" | "Unsqueeze" | "Squeeze" | "Concat" | "Cast" | "Slice" | "Mul" | "Add" | "Reshape" => {
                match self.integers(node) {
                    Some(inputs) => evaluate(node, &inputs)?,
                    None => return Ok(false),
                }
            }
            _ => return Ok(false),
        };
        self.set(node, Value::Constant(result.into()));
        Ok(true)
    }

    /// The inputs of a node, if all are short lists of integers.
    fn integers(&self, node: &NodeProto) -> Option<Vec<Vec<i64>>> {
        node.input
            .iter()
            .map(|input| match self.values.get(input.as_str()) {
                Some(Value::Constant(constant)) if constant.len() <= MAX_LEN => {
                    constant.integers().ok().map(<[i64]>::to_vec)
                }
                _ => None,
            })
            .collect()
    }

    /// Evaluates a node that computes with constants of floats, as exporters leave them beside weights; whether it did.
    pub(super) fn fold_floats(&mut self, node: &'m NodeProto) -> Result<bool, Refusal> {
        let constant = |index: usize| match node.input.get(index).and_then(|input| self.values.get(input.as_str())) {
            Some(Value::Constant(constant)) => Some(constant.clone()),
            _ => None,
        };
        let Some(first) = constant(0) else { return Ok(false) };
        let Values::Floats(numbers) = &first.values else { return Ok(false) };
        let (dims, values) = match (node.op_type.as_str(), constant(1)) {
            ("Cast", _) if int(node, "to", 0) == 1 => (first.dims.clone(), numbers.clone()),
            ("Reshape" | "Flatten" | "Squeeze" | "Unsqueeze", _) => {
                let from: Vec<i64> = first.dims.iter().map(|&d| d as i64).collect();
                let to = self.reshaped(node, &from)?;
                (to.iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect(), numbers.clone())
            }
            ("Transpose", _) if first.dims.len() == 2 && ints(node, "perm") != Some(&[0, 1]) => {
                let [rows, columns] = [first.dims[0], first.dims[1]];
                let turned = (0..numbers.len()).map(|at| numbers[at % rows * columns + at / rows]).collect();
                (vec![columns, rows], turned)
            }
            ("Sqrt", _) => (first.dims.clone(), numbers.iter().map(|x| x.sqrt()).collect()),
            ("Add" | "Sub" | "Mul" | "Div", Some(second)) if second.dims == first.dims || second.len() == 1 => {
                let binary = match node.op_type.as_str() {
                    "Add" => Binary::Add,
                    "Sub" => Binary::Sub,
                    "Mul" => Binary::Mul,
                    _ => Binary::Div,
                };
                let pairs = numbers.iter().zip(second.floats()?.iter().cycle());
                (first.dims.clone(), pairs.map(|(&a, &b)| binary.of(a.into(), b.into()) as f32).collect())
            }
            _ => return Ok(false),
        };
        self.spend(numbers.len())?;
        self.set(node, Value::Constant(Constant { dims, values: Values::Floats(values) }.into()));
        Ok(true)
    }

    /// The dimensions that a reshaping node gives a value of dimensions `from`.
    pub(super) fn reshaped(&self, node: &NodeProto, from: &[i64]) -> Result<Vec<i64>, Refusal> {
        let list = |index| -> Result<Vec<i64>, Refusal> {
            match self.optional(node, index)? {
                Some(list) => Ok(list.integers()?.to_vec()),
                None => Ok(ints(node, if node.op_type == "Reshape" { "shape" } else { "axes" })
                    .map_or_else(Vec::new, <[i64]>::to_vec)),
            }
        };
        let rank = from.len() as i64;
        let total: i64 = from.iter().fold(1, |n, &d| n.saturating_mul(d));
        let mut to = match node.op_type.as_str() {
            "Flatten" => {
                let axis = int(node, "axis", 1);
                let axis =
                    usize::try_from(if axis < 0 { axis + rank } else { axis }).unwrap_or(usize::MAX).min(from.len());
                let product = |dims: &[i64]| dims.iter().fold(1i64, |n, &d| n.saturating_mul(d));
                vec![product(&from[..axis]), product(&from[axis..])]
            }
            "Reshape" => list(1)?
                .iter()
                .enumerate()
                .map(|(at, &d)| if d == 0 { from.get(at).copied().unwrap_or(1) } else { d })
                .collect(),
            "Squeeze" => {
                let axes = list(1)?;
                let drop =
                    |at: usize| axes.contains(&(at as i64)) || axes.contains(&(at as i64 - rank)) || axes.is_empty();
                from.iter().enumerate().filter(|&(at, &d)| d != 1 || !drop(at)).map(|(_, &d)| d).collect()
            }
            _ => {
                let mut axes: Vec<i64> = list(1)?;
                let after = rank + axes.len() as i64;
                axes.iter_mut().for_each(|a| *a += if *a < 0 { after } else { 0 });
                axes.sort_unstable();
                let mut to = from.to_vec();
                for axis in axes {
                    match usize::try_from(axis) {
                        Ok(axis) if axis <= to.len() => to.insert(axis, 1),
                        _ => return refuse(format!("an axis of {axis}"), ""),
                    }
                }
                to
            }
        };
        if to.len() > 8 {
            return refuse("more than 8 dimensions", "");
        }
        let known = to.iter().filter(|&&d| d != -1).fold(1i64, |n, &d| n.saturating_mul(d));
        if let Some(open) = to.iter_mut().find(|d| **d == -1) {
            *open = total.checked_div(known).unwrap_or(0);
        }
        if to.iter().fold(1i64, |n, &d| n.saturating_mul(d)) == total {
            Ok(to)
        } else {
            refuse(format!("{from:?} becomes {to:?}"), "the file contradicts itself")
        }
    }
}

fn vector(list: Vec<i64>) -> Constant {
    Constant { dims: vec![list.len()], values: Values::Integers(list) }
}

/// An operator on short lists of integers. Whether a result is a list of one or a single number does not matter here.
fn evaluate(node: &NodeProto, inputs: &[Vec<i64>]) -> Result<Constant, Refusal> {
    let Some(first) = inputs.first() else { return refuse("it has no input", "") };
    let at = |index: i64| usize::try_from(if index < 0 { index + first.len() as i64 } else { index }).ok();
    let list = match (node.op_type.as_str(), inputs) {
        ("Gather", [_, indices]) => {
            let picked: Option<Vec<i64>> = indices.iter().map(|&i| first.get(at(i)?).copied()).collect();
            match picked {
                Some(picked) => picked,
                None => return refuse("an index out of range", ""),
            }
        }
        ("Slice", [_, start, end, ..]) => {
            let bound = |b: &[i64]| {
                let b = b.first().copied().unwrap_or(0);
                (if b < 0 { b + first.len() as i64 } else { b }).clamp(0, first.len() as i64) as usize
            };
            first.get(bound(start)..bound(end)).unwrap_or_default().to_vec()
        }
        ("Concat", _) => inputs.iter().flatten().copied().take(MAX_LEN).collect(),
        ("Mul" | "Add", [a, b]) => {
            let (a, b) = if a.len() < b.len() { (b, a) } else { (a, b) };
            let pairs = a.iter().zip(b.iter().cycle());
            let f = if node.op_type == "Mul" { i64::wrapping_mul } else { i64::wrapping_add };
            pairs.map(|(&a, &b)| f(a, b)).collect()
        }
        ("Unsqueeze" | "Squeeze" | "Cast" | "Reshape", _) => first.clone(),
        _ => return refuse("arithmetic on shapes that is not supported", "export the model with fixed shapes"),
    };
    Ok(vector(list))
}
