//! Model files to start from: the selftest's, one or more for every operator and element type.

use kinglet::Aligned;

/// `KVEC`, number of cases, then offset and length of model, input and output of each.
static VECTORS: &Aligned<[u8]> = &Aligned(*include_bytes!("../../firmware/selftest/vectors.bin"));

fn word(at: usize) -> usize {
    VECTORS.0.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
}

/// How many there are.
pub fn count() -> usize {
    word(4)
}

/// Model `index`, as it was exported.
pub fn model(index: usize) -> &'static [u8] {
    let at = 8 + 24 * index;
    VECTORS.0.get(word(at)..).and_then(|rest| rest.get(..word(at + 4))).unwrap_or_default()
}
