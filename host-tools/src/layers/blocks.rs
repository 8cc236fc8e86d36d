//! The two inner loops of convolution, portable: what `simd` must equal but for rounding.
//!
//! Both keep a tile of sums in registers: several pixels (or weight rows) times a block of 8 or 16 channels.

use super::real::Real;

/// Widest block of channels.
pub const BLOCK: usize = 16;

/// The channel blocks of `channels` channels, as (first channel, block width): blocks of 16, the last one of 8 if that
/// is enough.
pub fn channel_blocks(channels: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    (0..channels).step_by(BLOCK).map(move |first| (first, if channels - first <= 8 { 8 } else { BLOCK }))
}

/// `channels` rounded up to whole blocks.
pub fn padded(channels: usize) -> usize {
    channels.next_multiple_of(8)
}

/// A run of inputs that are contiguous in memory, and their weights.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment {
    /// Index of the first input of pixel 0.
    pub x: usize,
    /// Index of the first weight: `len` rows of `block` channels.
    pub w: usize,
    /// Number of inputs.
    pub len: usize,
}

/// `out[p * out_step + v] (+)= sum over segments and j of x[segment.x + p * x_step + j] * w[segment.w + j * block + v]`
/// for `pixels` pixels p and `channels` channels v.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a, T> {
    /// Inputs, with their padding.
    pub x: &'a [T],
    /// From pixel to pixel in `x`.
    pub x_step: usize,
    /// Packed weights.
    pub w: &'a [T],
    /// Channels that are computed: 8 or 16.
    pub block: usize,
    /// The window's rows.
    pub segments: &'a [Segment],
    /// Number of outputs.
    pub pixels: usize,
    /// From pixel to pixel in the output.
    pub out_step: usize,
    /// Channels that are stored, at most `block`.
    pub channels: usize,
    /// Add to what the output holds.
    pub accumulate: bool,
}

/// `out[r * block + v] += sum over rows i and pixels p of x[i * x_row + p * x_step + r] * y[i * y_row + p * y_step + v]`
/// for `count` r and `block` channels v.
#[derive(Clone, Copy, Debug)]
pub struct Outer<'a, T> {
    /// Inputs, from the first one on.
    pub x: &'a [T],
    /// From row to row in `x`.
    pub x_row: usize,
    /// From pixel to pixel in `x`.
    pub x_step: usize,
    /// Output gradients, from the first channel of the block on.
    pub y: &'a [T],
    /// From row to row in `y`.
    pub y_row: usize,
    /// From pixel to pixel in `y`.
    pub y_step: usize,
    /// Rows.
    pub rows: usize,
    /// Pixels of a row.
    pub pixels: usize,
    /// Weight rows.
    pub count: usize,
    /// Channels: 8 or 16.
    pub block: usize,
}

/// How many of `left` pixels the next tile takes: six, or so that no tile is thin.
pub fn tile(left: usize) -> usize {
    match left {
        0..=6 => left,
        7 | 8 => 4,
        9 | 10 => 5,
        _ => 6,
    }
}

/// Computes a [`Row`].
pub fn row<T: Real>(row: &Row<'_, T>, out: &mut [T]) {
    let mut pixel = 0;
    while pixel < row.pixels {
        let taken = tile(row.pixels - pixel);
        match (taken, row.block) {
            (6, 8) => row_tile::<T, 6, 8>(row, pixel, out),
            (5, 8) => row_tile::<T, 5, 8>(row, pixel, out),
            (4, 8) => row_tile::<T, 4, 8>(row, pixel, out),
            (3, 8) => row_tile::<T, 3, 8>(row, pixel, out),
            (2, 8) => row_tile::<T, 2, 8>(row, pixel, out),
            (_, 8) => row_tile::<T, 1, 8>(row, pixel, out),
            (6, _) => row_tile::<T, 6, 16>(row, pixel, out),
            (5, _) => row_tile::<T, 5, 16>(row, pixel, out),
            (4, _) => row_tile::<T, 4, 16>(row, pixel, out),
            (3, _) => row_tile::<T, 3, 16>(row, pixel, out),
            (2, _) => row_tile::<T, 2, 16>(row, pixel, out),
            (_, _) => row_tile::<T, 1, 16>(row, pixel, out),
        }
        pixel += taken;
    }
}

fn row_tile<T: Real, const P: usize, const B: usize>(row: &Row<'_, T>, pixel: usize, out: &mut [T]) {
    let mut sums = [[T::zero(); B]; P];
    for segment in row.segments {
        let inputs: [&[T]; P] = std::array::from_fn(|p| &row.x[segment.x + (pixel + p) * row.x_step..][..segment.len]);
        let (weights, _) = row.w[segment.w..][..segment.len * B].as_chunks::<B>();
        for (j, weight) in weights.iter().enumerate() {
            for (sums, input) in sums.iter_mut().zip(&inputs) {
                let x = input[j];
                for (sum, w) in sums.iter_mut().zip(weight) {
                    *sum += x * *w;
                }
            }
        }
    }
    for (p, sums) in sums.iter().enumerate() {
        let out = &mut out[(pixel + p) * row.out_step..][..row.channels];
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = if row.accumulate { *out + *sum } else { *sum };
        }
    }
}

/// Computes an [`Outer`].
pub fn outer<T: Real>(outer: &Outer<'_, T>, out: &mut [T]) {
    let mut first = 0;
    while first < outer.count {
        let taken = tile(outer.count - first);
        let out = &mut out[first * outer.block..][..taken * outer.block];
        match (taken, outer.block) {
            (6, 8) => outer_tile::<T, 6, 8>(outer, first, out),
            (5, 8) => outer_tile::<T, 5, 8>(outer, first, out),
            (4, 8) => outer_tile::<T, 4, 8>(outer, first, out),
            (3, 8) => outer_tile::<T, 3, 8>(outer, first, out),
            (2, 8) => outer_tile::<T, 2, 8>(outer, first, out),
            (_, 8) => outer_tile::<T, 1, 8>(outer, first, out),
            (6, _) => outer_tile::<T, 6, 16>(outer, first, out),
            (5, _) => outer_tile::<T, 5, 16>(outer, first, out),
            (4, _) => outer_tile::<T, 4, 16>(outer, first, out),
            (3, _) => outer_tile::<T, 3, 16>(outer, first, out),
            (2, _) => outer_tile::<T, 2, 16>(outer, first, out),
            (_, _) => outer_tile::<T, 1, 16>(outer, first, out),
        }
        first += taken;
    }
}

fn outer_tile<T: Real, const R: usize, const B: usize>(outer: &Outer<'_, T>, first: usize, out: &mut [T]) {
    let mut sums = [[T::zero(); B]; R];
    for row in 0..outer.rows {
        for pixel in 0..outer.pixels {
            let x = &outer.x[row * outer.x_row + pixel * outer.x_step + first..][..R];
            let y = &outer.y[row * outer.y_row + pixel * outer.y_step..][..B];
            for (sums, x) in sums.iter_mut().zip(x) {
                for (sum, y) in sums.iter_mut().zip(y) {
                    *sum += *x * *y;
                }
            }
        }
    }
    for (out, sum) in out.iter_mut().zip(sums.as_flattened()) {
        *out += *sum;
    }
}
