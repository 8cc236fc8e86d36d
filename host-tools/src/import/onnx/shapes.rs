//! Arithmetic on shapes that exporters leave in the graph: evaluated here, since all shapes are known.

use super::context::{Context, Value, attribute, from_end, int, ints};
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
            "Gather" | "Unsqueeze" | "Squeeze" | "Concat" | "Cast" | "Slice" | "Mul" | "Add" | "Sub" | "Div"
            | "Reshape" | "Transpose" | "ConstantOfShape" => match self.integers(node) {
                Some(inputs) => self.evaluate(node, &inputs)?,
                None => return Ok(false),
            },
            _ => return Ok(false),
        };
        self.set(node, Value::Constant(result.into()));
        Ok(true)
    }

    /// The inputs of a node, if all are short lists of integers.
    fn integers(&self, node: &NodeProto) -> Option<Vec<List>> {
        node.input
            .iter()
            .map(|input| match self.values.get(input.as_str()) {
                Some(Value::Constant(constant)) if constant.len() <= MAX_LEN => {
                    let values = constant.integers().ok()?.to_vec();
                    Some(List { rows: constant.dims.first().map_or(1, |&rows| rows.clamp(1, MAX_LEN)), values })
                }
                _ => None,
            })
            .collect()
    }

    /// An operator on short lists of integers. Whether a result is a list of one or a single number does not matter here.
    fn evaluate(&self, node: &NodeProto, inputs: &[List]) -> Result<Constant, Refusal> {
        let Some(List { rows, values: first }) = inputs.first() else { return refuse("it has no input", "") };
        let (rows, width) = (*rows, first.len() / rows);
        let other = |index: usize| inputs.get(index).and_then(|list| list.values.first().copied());
        let values = match node.op_type.as_str() {
            "Gather" if inputs.len() == 2 => {
                let picked: Option<Vec<i64>> =
                    inputs[1].values.iter().map(|&i| first.get(from_end(i, first.len())).copied()).collect();
                match picked {
                    Some(picked) => picked,
                    None => return refuse("an index out of range", ""),
                }
            }
            "Slice" if inputs.len() >= 3 => {
                let picked = range(rows, [other(1).unwrap_or(0), other(2).unwrap_or(0), other(4).unwrap_or(1)]);
                let row = |row: usize| first.get(row * width..(row + 1) * width).unwrap_or_default();
                let values: Vec<i64> = picked.iter().flat_map(|&at| row(at)).copied().collect();
                return Ok(matrix(if width == 1 { values.len() } else { picked.len() }, values));
            }
            "Concat" => inputs.iter().flat_map(|list| &list.values).copied().take(MAX_LEN).collect(),
            "Mul" | "Add" | "Sub" | "Div" if inputs.len() == 2 => {
                let second = &inputs[1].values;
                let count = if first.is_empty() || second.is_empty() { 0 } else { first.len().max(second.len()) };
                let pairs = (0..count).map(|i| (first[i % first.len()], second[i % second.len()]));
                match node.op_type.as_str() {
                    "Mul" => pairs.map(|(a, b)| a.wrapping_mul(b)).collect(),
                    "Add" => pairs.map(|(a, b)| a.wrapping_add(b)).collect(),
                    "Sub" => pairs.map(|(a, b)| a.wrapping_sub(b)).collect(),
                    _ => pairs.map(|(a, b)| a.checked_div(b).unwrap_or(0)).collect(),
                }
            }
            "ConstantOfShape" => {
                let len = usize::try_from(first.iter().fold(1i64, |n, &d| n.saturating_mul(d))).unwrap_or(usize::MAX);
                let fill = match attribute(node, "value").and_then(|value| value.t.as_ref()) {
                    Some(tensor) => Constant::read(tensor)?.integers()?.first().copied().unwrap_or(0),
                    None => return refuse("a tensor of float zeros", "let the exporter fold constants"),
                };
                if len > MAX_LEN {
                    return refuse("a large constant that is computed", "let the exporter fold constants");
                }
                vec![fill; len]
            }
            "Reshape" => {
                let from = [rows as i64, width as i64];
                let to = self.reshaped(node, if width == 1 { &from[..1] } else { &from })?;
                let rows = to.first().and_then(|&rows| usize::try_from(rows).ok());
                return Ok(matrix(rows.unwrap_or(1), first.clone()));
            }
            "Transpose" => {
                let turned = (0..rows * width).map(|at| first[at % rows * width + at / rows]).collect();
                return Ok(matrix(width, turned));
            }
            "Unsqueeze" | "Squeeze" | "Cast" => first.clone(),
            _ => return refuse("arithmetic on shapes that is not supported", "export the model with fixed shapes"),
        };
        Ok(vector(values))
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
        let list = |name| Ok::<_, Refusal>(self.list(node, 1, name)?.unwrap_or_default());
        let rank = from.len() as i64;
        let total: i64 = from.iter().fold(1, |n, &d| n.saturating_mul(d));
        let mut to = match node.op_type.as_str() {
            "Flatten" => {
                let axis = from_end(int(node, "axis", 1), from.len()).min(from.len());
                let product = |dims: &[i64]| dims.iter().fold(1i64, |n, &d| n.saturating_mul(d));
                vec![product(&from[..axis]), product(&from[axis..])]
            }
            "Reshape" => list("shape")?
                .iter()
                .enumerate()
                .map(|(at, &d)| if d == 0 { from.get(at).copied().unwrap_or(1) } else { d })
                .collect(),
            "Squeeze" => {
                let axes = list("axes")?;
                let drop =
                    |at: usize| axes.contains(&(at as i64)) || axes.contains(&(at as i64 - rank)) || axes.is_empty();
                from.iter().enumerate().filter(|&(at, &d)| d != 1 || !drop(at)).map(|(_, &d)| d).collect()
            }
            _ => {
                let mut axes = list("axes")?;
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

/// A list of integers, or a matrix of so many rows.
struct List {
    rows: usize,
    values: Vec<i64>,
}

/// Integers of so many rows.
fn matrix(rows: usize, values: Vec<i64>) -> Constant {
    let rows = rows.max(1);
    let width = values.len() / rows;
    let dims = if width == 1 || rows * width != values.len() { vec![values.len()] } else { vec![rows, width] };
    Constant { dims, values: Values::Integers(values) }
}

/// The places that a slice `[start, end, step]` takes of `len`; a step may be negative.
fn range(len: usize, [start, end, step]: [i64; 3]) -> Vec<usize> {
    let len = len as i64;
    let (least, most) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let bound = |b: i64| (if b < 0 { b.saturating_add(len) } else { b }).clamp(least, most);
    let (mut at, end) = (bound(start), bound(end));
    let mut places = Vec::new();
    while step != 0 && (step > 0 && at < end || step < 0 && at > end) {
        places.extend(usize::try_from(at));
        at = at.saturating_add(step);
    }
    places
}
