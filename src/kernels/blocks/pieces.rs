//! Slices cut into pieces of a run-time length, without the division and the panic of `chunks_exact`.

/// The pieces of `len` elements, while there are whole ones; none when `len` is 0.
pub fn pieces<T>(slice: &[T], len: usize) -> impl Iterator<Item = &[T]> {
    let mut rest = slice;
    core::iter::from_fn(move || {
        if len == 0 {
            return None;
        }
        let (piece, after) = rest.split_at_checked(len)?;
        rest = after;
        Some(piece)
    })
}

/// The same, writable.
pub fn pieces_mut<T>(slice: &mut [T], len: usize) -> impl Iterator<Item = &mut [T]> {
    let mut rest = slice;
    core::iter::from_fn(move || {
        if len == 0 {
            return None;
        }
        let (piece, after) = core::mem::take(&mut rest).split_at_mut_checked(len)?;
        rest = after;
        Some(piece)
    })
}

/// The rests of a slice from every multiple of `step` on, until it is empty.
pub fn every<T>(slice: &[T], step: usize) -> impl Iterator<Item = &[T]> {
    let mut rest = slice;
    core::iter::from_fn(move || {
        let here = rest;
        rest = if step == 0 { &[] } else { rest.get(step..).unwrap_or_default() };
        (!here.is_empty()).then_some(here)
    })
}
