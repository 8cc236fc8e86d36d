//! Elements of tensors as 16-bit integers, whatever their type: in half precision their ordinals, which are in the order of the
//! numbers.

use kinglet::kernels::float16::{from_ordinal, ordinal};
use kinglet::quant::quantize;
use kinglet::{Clamp, DType, QuantParams, f16};

/// The element of type `dtype` that is nearest to a real number.
pub fn of(real: f32, quant: QuantParams, dtype: DType) -> i16 {
    let element = match dtype {
        DType::F16 => ordinal(f16::from_f32(real)),
        _ => quantize(real, quant),
    };
    Clamp::full(dtype).apply(element) as i16
}

/// Elements as the bytes of type `dtype`.
pub fn to_bytes(elements: &[i16], dtype: DType) -> Vec<u8> {
    let bytes = |element: &i16| match dtype {
        DType::F16 => from_ordinal((*element).into()).to_le_bytes(),
        _ => element.to_le_bytes(),
    };
    elements.iter().flat_map(|element| bytes(element).into_iter().take(dtype.size() as usize)).collect()
}

/// The elements in the bytes of type `dtype`.
pub fn to_elements(bytes: &[u8], dtype: DType) -> Vec<i16> {
    match dtype {
        DType::I8 => bytes.iter().map(|&byte| i16::from(byte as i8)).collect(),
        DType::F16 => {
            bytes.chunks_exact(2).map(|pair| ordinal(f16::from_le_bytes([pair[0], pair[1]])) as i16).collect()
        }
        DType::I16 => bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect(),
        other => unreachable!("no element is {}", other.name()),
    }
}
