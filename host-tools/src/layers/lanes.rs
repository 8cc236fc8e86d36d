//! Loops over pixels with channels in vector registers.

use super::real::Real;

/// Runs a block of code for every block of 16, 8, 4 or 1 channels of `channels`, with its first channel and its
/// constant width under the given names.
macro_rules! by_lanes {
    ($channels:expr, $first:ident, $lanes:ident, $work:block) => {{
        let mut $first = 0;
        while $first < $channels {
            $first += match $channels - $first {
                16.. => {
                    const $lanes: usize = 16;
                    $work
                    $lanes
                }
                8.. => {
                    const $lanes: usize = 8;
                    $work
                    $lanes
                }
                4.. => {
                    const $lanes: usize = 4;
                    $work
                    $lanes
                }
                _ => {
                    const $lanes: usize = 1;
                    $work
                    $lanes
                }
            };
        }
    }};
}
pub(super) use by_lanes;

/// The `N` channels of a pixel from `first` on.
///
/// # Panics
/// When there are fewer.
#[inline(always)]
pub fn lanes<T, const N: usize>(pixel: &[T], first: usize) -> &[T; N] {
    pixel[first..].first_chunk().expect("a block of channels lies within the pixel")
}

/// As [`lanes`], for writing.
///
/// # Panics
/// When there are fewer.
#[inline(always)]
pub fn lanes_mut<T, const N: usize>(pixel: &mut [T], first: usize) -> &mut [T; N] {
    pixel[first..].first_chunk_mut().expect("a block of channels lies within the pixel")
}

/// `value` of every channel of a block.
#[inline(always)]
pub fn each<T: Real, const N: usize>(mut value: impl FnMut(usize) -> T) -> [T; N] {
    // Not `from_fn`, which is not always inlined, and then is compiled for the narrowest vectors.
    let mut values = [T::zero(); N];
    for (index, out) in values.iter_mut().enumerate() {
        *out = value(index);
    }
    values
}
