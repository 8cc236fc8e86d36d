//! The transforms of Winograd's F(2x2, 3x3) over neighbouring tiles, portable: what `simd` must equal.
//!
//! A tile has 2x2 outputs and sees 4x4 inputs; the next tile begins two columns on. Every transform works on each channel
//! by itself, in additions alone. *Planes* are the 16 numbers of a tile, row by row: each is `[tile][channel]`, and
//! begins `plane` elements after the one before.

use super::real::Real;

/// Numbers of a tile and a channel.
pub const PLANES: usize = 16;

/// Neighbouring tiles of a row.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Tiles.
    pub tiles: usize,
    /// Channels of each pixel.
    pub channels: usize,
    /// Elements from plane to plane.
    pub plane: usize,
}

/// `B'dB` of the inputs d with `B' = [1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1]`, from four rows of the map.
pub fn input<T: Real>(Run { tiles, channels, plane }: Run, rows: [&[T]; 4], out: &mut [T]) {
    let spread = |[a, b, c, d]: [T; 4]| [a - c, b + c, c - b, b - d];
    for index in 0..tiles * channels {
        let at = index + index / channels * channels;
        let rows = rows.map(|row| spread([0, 1, 2, 3].map(|j| row[at + j * channels])));
        for j in 0..4 {
            let column = spread(rows.map(|row| row[j]));
            (0..4).for_each(|i| out[(4 * i + j) * plane + index] = column[i]);
        }
    }
}

/// `AgA'` of the output gradients g with `A' = [1 1 1 0; 0 1 -1 -1]`, from two rows of the map.
pub fn gradient<T: Real>(Run { tiles, channels, plane }: Run, rows: [&[T]; 2], out: &mut [T]) {
    let spread = |[a, b]: [T; 2]| [a, a + b, a - b, T::zero() - b];
    for index in 0..tiles * channels {
        let at = index + index / channels * channels;
        let rows = rows.map(|row| spread([row[at], row[at + channels]]));
        for j in 0..4 {
            let column = spread(rows.map(|row| row[j]));
            (0..4).for_each(|i| out[(4 * i + j) * plane + index] = column[i]);
        }
    }
}

/// `A'mA` of the products m, to two rows of the map: over what they hold, or added to it.
pub fn output<T: Real>(run: Run, products: &[T], mut rows: [&mut [T]; 2], accumulate: bool) {
    let Run { tiles, channels, plane } = run;
    let gather = |[a, b, c, d]: [T; 4]| [a + b + c, b - c - d];
    for index in 0..tiles * channels {
        let at = index + index / channels * channels;
        let columns = [0, 1, 2, 3].map(|j| gather([0, 1, 2, 3].map(|i| products[(4 * i + j) * plane + index])));
        for (i, row) in rows.iter_mut().enumerate() {
            for (j, value) in gather(columns.map(|column| column[i])).into_iter().enumerate() {
                super::store(&mut row[at + j * channels], value, accumulate);
            }
        }
    }
}
