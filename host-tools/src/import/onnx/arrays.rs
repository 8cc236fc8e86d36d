//! Operators on constants: other shapes, other orders, arithmetic.

use super::context::from_end;
use super::tensor::{Constant, Values};
use crate::import::problem::{Refusal, refuse};
use crate::import::source::broadcast;

impl Constant {
    /// A list of integers.
    pub(super) fn list(integers: Vec<i64>) -> Self {
        Self { dims: vec![integers.len()], values: Values::Integers(integers) }
    }

    /// The elements at `places`, as a list.
    pub(super) fn picked(&self, places: &[usize]) -> Self {
        fn of<T: Copy>(values: &[T], places: &[usize]) -> Vec<T> {
            places.iter().filter_map(|&place| values.get(place).copied()).collect()
        }
        let values = match &self.values {
            Values::Floats(values) => Values::Floats(of(values, places)),
            Values::Integers(values) => Values::Integers(of(values, places)),
            Values::Bytes { values, unsigned } => Values::Bytes { values: of(values, places), unsigned: *unsigned },
        };
        Self { dims: vec![places.len()], values }
    }

    /// The elements at `places` along every axis.
    pub(super) fn at(&self, places: &[Vec<usize>]) -> Self {
        let mut flat = vec![0];
        for (places, &dim) in places.iter().zip(&self.dims) {
            flat = flat.iter().flat_map(|at| places.iter().map(move |place| at * dim + place)).collect();
        }
        Self { dims: places.iter().map(Vec::len).collect(), ..self.picked(&flat) }
    }

    /// The constant broadcast to `dims`.
    pub(super) fn spread(&self, dims: &[usize]) -> Result<Self, Refusal> {
        let own: Vec<usize> = (0..self.len()).collect();
        match broadcast(&own, &self.dims, dims) {
            Some(places) => Ok(Self { dims: dims.to_vec(), ..self.picked(&places) }),
            None => refuse(format!("a constant of dimensions {:?} beside {dims:?}", self.dims), ""),
        }
    }

    /// The constant with its axes in another order, by default the reverse.
    pub(super) fn transposed(&self, order: Option<&[i64]>) -> Result<Self, Refusal> {
        let rank = self.dims.len();
        let reverse: Vec<i64> = (0..rank as i64).rev().collect();
        let axes: Vec<usize> = order.unwrap_or(&reverse).iter().map(|&axis| from_end(axis, rank)).collect();
        let mut sorted = axes.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..rank) {
            return refuse(format!("the permutation {axes:?} of {rank} dimensions"), "the file contradicts itself");
        }
        let stride = |axis: usize| self.dims[axis + 1..].iter().product::<usize>();
        let mut flat = vec![0];
        for &axis in &axes {
            let stride = stride(axis);
            flat = flat.iter().flat_map(|at| (0..self.dims[axis]).map(move |place| at + place * stride)).collect();
        }
        Ok(Self { dims: axes.iter().map(|&axis| self.dims[axis]).collect(), ..self.picked(&flat) })
    }

    /// The numbers as another type, by ONNX's code for it.
    pub(super) fn cast(&self, to: i64) -> Result<Self, Refusal> {
        let real = |x: f32| if to == 10 { half::f16::from_f32(x).to_f32() } else { x };
        let values = match (&self.values, to) {
            (Values::Floats(values), 1 | 10 | 11) => Values::Floats(values.iter().map(|&x| real(x)).collect()),
            (Values::Floats(values), 9) => Values::Integers(values.iter().map(|&x| i64::from(x != 0.0)).collect()),
            (Values::Floats(values), 4..=7 | 12 | 13) => Values::Integers(values.iter().map(|&x| x as i64).collect()),
            (Values::Integers(values), 1 | 10 | 11) => Values::Floats(values.iter().map(|&x| real(x as f32)).collect()),
            (Values::Integers(values), 9) => Values::Integers(values.iter().map(|&x| i64::from(x != 0)).collect()),
            (Values::Integers(values), 6) => Values::Integers(values.iter().map(|&x| i64::from(x as i32)).collect()),
            (Values::Integers(values), 7 | 12 | 13) => Values::Integers(values.clone()),
            _ => return refuse(format!("a cast to element type {to}"), "let the exporter fold constants"),
        };
        Ok(Self { dims: self.dims.clone(), values })
    }
}

/// How many elements there are of `dims`; dimensions of 0 count as 1, so that none can hide others.
pub(super) fn size(dims: &[usize]) -> usize {
    dims.iter().fold(1, |size, &dim| size.saturating_mul(dim.max(1)))
}

/// The dimensions that two operands are broadcast to.
pub(super) fn common(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Refusal> {
    let rank = a.len().max(b.len());
    let dim = |dims: &[usize], at: usize| (at + dims.len()).checked_sub(rank).map_or(1, |at| dims[at]);
    let both = |at| match (dim(a, at), dim(b, at)) {
        (a, b) if a == b || b == 1 => Ok(a),
        (1, b) => Ok(b),
        _ => refuse(format!("dimensions {a:?} beside {b:?}"), "the file contradicts itself"),
    };
    (0..rank).map(both).collect()
}

/// Constants one after the other along an axis.
pub(super) fn joined(parts: &[&Constant], axis: i64) -> Result<Constant, Refusal> {
    let contradiction = || refuse("parts that do not fit", "the file contradicts itself");
    let Some((first, rest)) = parts.split_first() else { return contradiction() };
    let axis = from_end(axis, first.dims.len());
    let around = |dims: &[usize]| Some((dims.get(..axis)?.to_vec(), dims.get(axis + 1..)?.to_vec()));
    if axis >= first.dims.len() || rest.iter().any(|part| around(&part.dims) != around(&first.dims)) {
        return contradiction();
    }
    let mut all = (*first).clone();
    for part in rest {
        match (&mut all.values, &part.values) {
            (Values::Floats(all), Values::Floats(more)) => all.extend(more),
            (Values::Integers(all), Values::Integers(more)) => all.extend(more),
            (Values::Bytes { values: all, .. }, Values::Bytes { values: more, .. }) => all.extend(more),
            _ => return contradiction(),
        }
    }
    let outer: usize = first.dims[..axis].iter().product();
    let inner = |part: &Constant| part.dims[axis..].iter().product::<usize>();
    let mut places = Vec::with_capacity(all.len());
    for row in 0..outer {
        let mut start = 0;
        for part in parts {
            let width = inner(part);
            places.extend(start + row * width..start + (row + 1) * width);
            start += part.len();
        }
    }
    let mut dims = first.dims.clone();
    dims[axis] = parts.iter().map(|part| part.dims[axis]).sum();
    Ok(Constant { dims, ..all.picked(&places) })
}

/// Whether an operator is one on each element.
pub(super) fn is_elementwise(operator: &str) -> bool {
    is(operator, None).is_some() || of_reals(operator, 1.0, 1.0).is_some() || of_integers(operator, 1, 1).is_some()
}

/// An operator on each element of two constants, or of one that is given twice; `None` for others.
pub(super) fn elementwise(operator: &str, a: &Constant, b: &Constant) -> Result<Option<Constant>, Refusal> {
    let dims = common(&a.dims, &b.dims)?;
    let (a, b) = (a.spread(&dims)?, b.spread(&dims)?);
    let values = match (&a.values, &b.values) {
        (Values::Floats(a), Values::Floats(b)) => {
            let pairs = || a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
            let compared: Option<Vec<i64>> =
                pairs().map(|(a, b)| is(operator, a.partial_cmp(&b)).map(i64::from)).collect();
            let computed =
                || pairs().map(|(a, b)| of_reals(operator, a, b).map(|x| x as f32)).collect::<Option<Vec<_>>>();
            compared.map(Values::Integers).or_else(|| computed().map(Values::Floats))
        }
        (Values::Integers(a), Values::Integers(b)) => {
            let value = |(&a, &b): (&i64, &i64)| {
                is(operator, Some(a.cmp(&b))).map(i64::from).or_else(|| of_integers(operator, a, b))
            };
            a.iter().zip(b).map(value).collect::<Option<_>>().map(Values::Integers)
        }
        _ => None,
    };
    Ok(values.map(|values| Constant { dims, values }))
}

/// Whether an operator that compares holds.
fn is(operator: &str, order: Option<std::cmp::Ordering>) -> Option<bool> {
    Some(match operator {
        "Equal" => order.is_some_and(|order| order.is_eq()),
        "Less" => order.is_some_and(|order| order.is_lt()),
        "LessOrEqual" => order.is_some_and(|order| order.is_le()),
        "Greater" => order.is_some_and(|order| order.is_gt()),
        "GreaterOrEqual" => order.is_some_and(|order| order.is_ge()),
        _ => return None,
    })
}

/// Arithmetic on reals; operators of one operand take the first.
fn of_reals(operator: &str, a: f64, b: f64) -> Option<f64> {
    Some(match operator {
        "Add" => a + b,
        "Sub" => a - b,
        "Mul" => a * b,
        "Div" => a / b,
        "Mod" => a % b,
        "Pow" => a.powf(b),
        "Min" => a.min(b),
        "Max" => a.max(b),
        "Neg" => -a,
        "Abs" => a.abs(),
        "Ceil" => a.ceil(),
        "Floor" => a.floor(),
        "Round" => a.round_ties_even(),
        "Sqrt" => a.sqrt(),
        "Exp" => a.exp(),
        "Log" => a.ln(),
        "Reciprocal" => a.recip(),
        _ => return None,
    })
}

/// Arithmetic on integers; what has no result gives 0.
fn of_integers(operator: &str, a: i64, b: i64) -> Option<i64> {
    Some(match operator {
        "Add" => a.wrapping_add(b),
        "Sub" => a.wrapping_sub(b),
        "Mul" => a.wrapping_mul(b),
        "Div" => a.checked_div(b).unwrap_or(0),
        // The sign is the divisor's.
        "Mod" => a.checked_rem(b).map_or(0, |rest| if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }),
        "Min" => a.min(b),
        "Max" => a.max(b),
        "Neg" => a.wrapping_neg(),
        "Abs" => a.wrapping_abs(),
        "And" => i64::from(a != 0 && b != 0),
        "Or" => i64::from(a != 0 || b != 0),
        "Not" => i64::from(a == 0),
        _ => return None,
    })
}
