//! What a file computes from constants and shapes: evaluated here, since all shapes are known.

use std::rc::Rc;

use super::arrays::{common, elementwise, is_elementwise, joined, size};
use super::context::{Context, Value, attribute, from_end, int, ints};
use super::proto::NodeProto;
use super::tensor::{Constant, Values};
use crate::import::problem::{Refusal, refuse};

impl<'m> Context<'m> {
    /// Evaluates a node whose output follows from constants and shapes; whether it was one.
    pub(super) fn fold(&mut self, node: &'m NodeProto) -> Result<bool, Refusal> {
        let constant = match node.op_type.as_str() {
            "Constant" => Some(given(node)?),
            "Shape" | "Size" => Some(self.dimensions(node)?),
            "QuantizeLinear" | "DequantizeLinear" | "If" => None,
            _ => match self.constants(node) {
                Some(inputs) => self.evaluate(node, &inputs)?,
                None => None,
            },
        };
        let is_constant = constant.is_some();
        if let Some(constant) = constant {
            self.set(node, Value::Constant(constant.into()));
        }
        Ok(is_constant)
    }

    /// The inputs of a node that has some, if all of them are constants.
    fn constants(&self, node: &NodeProto) -> Option<Vec<Option<Rc<Constant>>>> {
        let constant = |input: &String| match self.values.get(input.as_str()) {
            Some(Value::Constant(constant)) => Some(Some(constant.clone())),
            _ => input.is_empty().then_some(None),
        };
        node.input.iter().map(constant).collect::<Option<Vec<_>>>().filter(|inputs| !inputs.is_empty())
    }

    /// Shape and Size.
    fn dimensions(&self, node: &NodeProto) -> Result<Constant, Refusal> {
        let dims = match self.value(node, 0)? {
            Value::Constant(constant) => constant.dims.iter().map(|&dim| dim as i64).collect(),
            _ => self.activation(node, 0)?.dims,
        };
        if node.op_type == "Size" {
            return Ok(Constant {
                dims: vec![],
                values: Values::Integers(vec![dims.iter().fold(1, |size: i64, &dim| size.saturating_mul(dim))]),
            });
        }
        let bound = |name, default| from_end(int(node, name, default), dims.len()).min(dims.len());
        let (start, end) = (bound("start", 0), bound("end", dims.len() as i64));
        Ok(Constant::list(dims.get(start..end).unwrap_or_default().to_vec()))
    }

    /// A node over constants; `None` for operators that are not evaluated.
    fn evaluate(&mut self, node: &NodeProto, inputs: &[Option<Rc<Constant>>]) -> Result<Option<Constant>, Refusal> {
        let Some(Some(first)) = inputs.first() else { return Ok(None) };
        let present: Vec<&Constant> = inputs.iter().flatten().map(Rc::as_ref).collect();
        self.spend(present.iter().map(|constant| constant.len()).sum())?;
        let operator = node.op_type.as_str();
        Ok(Some(match operator {
            "Cast" => first.cast(int(node, "to", 0))?,
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
                let from: Vec<i64> = first.dims.iter().map(|&dim| dim as i64).collect();
                let dims = extents(&self.reshaped(node, &from)?)?;
                self.spend(size(&dims))?;
                Constant { dims, values: first.values.clone() }
            }
            "Transpose" => first.transposed(ints(node, "perm"))?,
            "Expand" => {
                let to = self.list(node, 1, "shape")?.unwrap_or_default();
                let to = extents(&to)?;
                let dims = common(&first.dims, &to)?;
                self.spend(size(&dims))?;
                first.spread(&dims)?
            }
            "Slice" => {
                let list = |index, name| self.list(node, index, name);
                let (starts, ends) = (list(1, "starts")?.unwrap_or_default(), list(2, "ends")?.unwrap_or_default());
                let axes = list(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
                let steps = list(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
                let mut places: Vec<Vec<usize>> = first.dims.iter().map(|&dim| (0..dim).collect()).collect();
                for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
                    match places.get_mut(from_end(axis, first.dims.len())) {
                        Some(places) => *places = range(places.len(), [start, end, step]),
                        None => return refuse(format!("a slice along axis {axis}"), ""),
                    }
                }
                first.at(&places)
            }
            "Gather" => {
                let indices = self.constant(node, 1)?;
                let axis = from_end(int(node, "axis", 0), first.dims.len());
                let Some(&len) = first.dims.get(axis) else { return refuse("an axis that there is none of", "") };
                let picked: Vec<usize> = indices.integers()?.iter().map(|&index| from_end(index, len)).collect();
                if picked.iter().any(|&index| index >= len) {
                    return refuse("an index out of range", "");
                }
                self.spend((first.len() / len.max(1)).saturating_mul(picked.len()))?;
                let mut places: Vec<Vec<usize>> = first.dims.iter().map(|&dim| (0..dim).collect()).collect();
                places[axis] = picked;
                let dims = [&first.dims[..axis], &indices.dims, &first.dims[axis + 1..]].concat();
                Constant { dims, ..first.at(&places) }
            }
            "Concat" => joined(&present, int(node, "axis", 0))?,
            "ConstantOfShape" => {
                let dims = extents(first.integers()?)?;
                self.spend(size(&dims))?;
                let fill = match attribute(node, "value").and_then(|value| value.t.as_ref()) {
                    Some(tensor) => Constant::read(tensor)?,
                    None => Constant { dims: vec![1], values: Values::Floats(vec![0.0]) },
                };
                fill.spread(&dims)?
            }
            "Range" => {
                let numbers = present.iter().map(|constant| constant.number()).collect::<Result<Vec<_>, _>>()?;
                let [start, limit, delta] = numbers[..] else { return refuse("a range without bounds", "") };
                let count = ((limit - start) / delta).ceil().clamp(0.0, 1e9) as usize;
                self.spend(count)?;
                let steps = (0..count).map(|step| start + delta * step as f64);
                let values = match &first.values {
                    Values::Floats(_) => Values::Floats(steps.map(|x| x as f32).collect()),
                    _ => Values::Integers(steps.map(|x| x as i64).collect()),
                };
                Constant { dims: vec![count], values }
            }
            "Where" => {
                let [condition, yes, no] = present[..] else { return refuse("it has not three inputs", "") };
                let dims = common(&condition.dims, &common(&yes.dims, &no.dims)?)?;
                self.spend(size(&dims).saturating_mul(3))?;
                let chosen = condition.spread(&dims)?;
                let count = chosen.len();
                let places = chosen
                    .integers()?
                    .iter()
                    .enumerate()
                    .map(|(at, &is)| at + if is == 0 { count } else { 0 })
                    .collect::<Vec<_>>();
                let (yes, no) =
                    (yes.spread(&[vec![1], dims.clone()].concat())?, no.spread(&[vec![1], dims.clone()].concat())?);
                Constant { dims, ..joined(&[&yes, &no], 0)?.picked(&places) }
            }
            "ReduceProd" if first.dims.len() == 1 => {
                let product = first.integers()?.iter().fold(1i64, |product, &x| product.wrapping_mul(x));
                let dims = if int(node, "keepdims", 1) == 0 { vec![] } else { vec![1] };
                Constant { dims, values: Values::Integers(vec![product]) }
            }
            _ if !is_elementwise(operator) => return Ok(None),
            _ => {
                let dims =
                    present[1..].iter().try_fold(first.dims.clone(), |dims, other| common(&dims, &other.dims))?;
                self.spend(size(&dims))?;
                let [one] = present[..] else {
                    let mut result = first.as_ref().clone();
                    for other in &present[1..] {
                        match elementwise(operator, &result, other)? {
                            Some(next) => result = next,
                            None => return Ok(None),
                        }
                    }
                    return Ok(Some(result));
                };
                return elementwise(operator, one, one);
            }
        }))
    }

    /// If, whose condition is known: the nodes of the branch that it takes.
    pub(super) fn branch(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let name = if self.constant(node, 0)?.number()? == 0.0 { "else_branch" } else { "then_branch" };
        let Some(graph) = attribute(node, name).and_then(|branch| branch.g.as_ref()) else {
            return refuse("a branch without nodes", "the file contradicts itself");
        };
        for initializer in &graph.initializer {
            self.values.insert(&initializer.name, Value::Constant(Constant::read(initializer)?.into()));
        }
        for inner in &graph.node {
            self.node(inner).map_err(|(reason, hint)| (format!("{} in its {name}: {reason}", inner.op_type), hint))?;
        }
        for (inner, output) in graph.output.iter().zip(&node.output) {
            let value = self.values.get(inner.name.as_str()).cloned().unwrap_or(Value::Unknown);
            self.values.insert(output, value);
        }
        Ok(())
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

/// A Constant node's numbers.
fn given(node: &NodeProto) -> Result<Constant, Refusal> {
    if let Some(tensor) = attribute(node, "value").and_then(|value| value.t.as_ref()) {
        return Constant::read(tensor);
    }
    let scalar = |values| Constant { dims: vec![], values };
    let Some(value) = node.attribute.first() else { return refuse("a constant without a value", "") };
    Ok(match value.name.as_str() {
        "value_float" => scalar(Values::Floats(vec![value.f])),
        "value_int" => scalar(Values::Integers(vec![value.i])),
        "value_floats" => Constant { dims: vec![value.floats.len()], values: Values::Floats(value.floats.clone()) },
        "value_ints" => Constant::list(value.ints.clone()),
        _ => return refuse("a constant that is not a tensor", ""),
    })
}

/// Dimensions as sizes.
fn extents(dims: &[i64]) -> Result<Vec<usize>, Refusal> {
    let extent = |&dim: &i64| usize::try_from(dim).ok().filter(|&dim| dim <= Constant::MAX_DIM);
    match dims.iter().map(extent).collect() {
        Some(dims) => Ok(dims),
        None => refuse(format!("dimensions {:?}", &dims[..dims.len().min(8)]), "the file contradicts itself"),
    }
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
