//! Constants that the file computes from constants: turned, reshaped, made real or integers.

use std::collections::BTreeMap;

use super::names as op;
use super::schema::{Model, Tensor, Type};
use crate::import::problem::{Refusal, refuse};

/// The data of tensors that follow from constants, as far as `budget` bytes go.
pub(super) fn constants(model: &Model<'_>, mut budget: usize) -> BTreeMap<usize, Vec<u8>> {
    let mut folded: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    for o in &model.operators {
        let (Some(from), Some(to)) = (o.input(0), o.output(0)) else { continue };
        let (source, target) = (&model.tensors[from], &model.tensors[to]);
        let Some(data) = folded.get(&from).map(Vec::as_slice).or(source.data) else { continue };
        let bytes = source.len().max(target.len()).saturating_mul(8);
        let Some(left) = budget.checked_sub(bytes) else { break };
        if data.len() > bytes || o.outputs().count() != 1 || model.is_constant(to) {
            continue;
        }
        let result = match o.code {
            op::TRANSPOSE => o.input(1).and_then(|order| transposed(source, data, &model.tensors[order].integers(8)?)),
            op::RESHAPE | op::SQUEEZE | op::EXPAND_DIMS if source.dtype == target.dtype => Some(data.to_vec()),
            op::DEQUANTIZE | op::CAST if target.dtype == Type::Float32 => {
                reals(source, data).ok().map(|reals| floats(&reals))
            }
            op::QUANTIZE if target.dtype == Type::Int8 => {
                reals(source, data).ok().and_then(|reals| integers(target, &reals))
            }
            _ => None,
        };
        if let Some(result) = result {
            budget = left;
            folded.insert(to, result);
        }
    }
    folded
}

/// The real numbers of a constant: floats, halves, or weights quantized by themselves.
pub(super) fn reals(tensor: &Tensor<'_>, data: &[u8]) -> Result<Vec<f32>, Refusal> {
    let values: Vec<f32> = match tensor.dtype {
        Type::Float32 => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Type::Float16 => data.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        Type::Int8 => {
            if !tensor.is_symmetric() {
                return refuse("weights with a zero point", "");
            }
            let scale = scales(tensor)?;
            data.iter().enumerate().map(|(index, &b)| f32::from(b as i8) * scale(index)).collect()
        }
        other => return refuse(format!("constants of type {}", other.name()), "save the model in float32"),
    };
    if values.len() == tensor.len() {
        Ok(values)
    } else {
        refuse("a constant that is shorter or longer than its shape", "the file contradicts itself")
    }
}

/// The scale of each element of a tensor.
fn scales(tensor: &Tensor<'_>) -> Result<impl Fn(usize) -> f32 + use<>, Refusal> {
    let scales = tensor.scales();
    let axis = usize::try_from(tensor.axis).unwrap_or(usize::MAX);
    let extents = tensor.dims.iter().map(|&d| d.unsigned_abs() as usize);
    let inner = extents.clone().skip(axis.saturating_add(1)).fold(1usize, usize::saturating_mul).max(1);
    let extent = extents.clone().nth(axis).unwrap_or(1).max(1);
    if scales.is_empty() || (scales.len() != 1 && scales.len() != extent) {
        return refuse("a number of scales that does not fit", "the file contradicts itself");
    }
    Ok(move |index: usize| scales[if scales.len() == 1 { 0 } else { index / inner % extent }])
}

fn floats(reals: &[f32]) -> Vec<u8> {
    reals.iter().flat_map(|real| real.to_le_bytes()).collect()
}

/// Symmetric int8 elements, as QUANTIZE makes them.
fn integers(tensor: &Tensor<'_>, reals: &[f32]) -> Option<Vec<u8>> {
    let scale = scales(tensor).ok().filter(|_| tensor.is_symmetric())?;
    Some(reals.iter().enumerate().map(|(index, real)| (real / scale(index)).round() as i8 as u8).collect())
}

/// The elements with the axes in another order.
fn transposed(tensor: &Tensor<'_>, data: &[u8], order: &[i64]) -> Option<Vec<u8>> {
    let size = match tensor.dtype {
        Type::Int8 | Type::UInt8 | Type::Bool => 1,
        Type::Float16 | Type::Int16 => 2,
        Type::Float32 | Type::Int32 => 4,
        Type::Int64 => 8,
        Type::Int4 | Type::Other(_) => return None,
    };
    let dims: Vec<usize> = tensor.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect::<Option<_>>()?;
    let axes: Vec<usize> = order.iter().map(|&axis| usize::try_from(axis).unwrap_or(usize::MAX)).collect();
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..dims.len()) || data.len() != tensor.len().checked_mul(size)? {
        return None;
    }
    let mut places = vec![0];
    for &axis in &axes {
        let stride: usize = dims[axis + 1..].iter().product();
        places = places.iter().flat_map(|at| (0..dims[axis]).map(move |place| at + place * stride)).collect();
    }
    Some(places.iter().flat_map(|&place| data[place * size..][..size].iter().copied()).collect())
}
