//! Algorithms over the [blocks](super::blocks): tiling, borders, row windows and scratch, in safe Rust.
//!
//! A convolution's algorithm is chosen at export (see [`mod@choose`]) and its weights are packed for it, so that the device
//! never repacks. Every algorithm gives the bytes of the direct convolution. They produce any range of output rows
//! and read input rows through a [`Map`], so that a line buffer can stand in for a whole tensor.

pub mod add;
#[cfg(feature = "std")]
pub mod add_linear;
mod channel;
pub mod choose;
pub mod conv_gemm;
pub mod conv_tiled;
#[cfg(feature = "std")]
mod cost;
pub mod depthwise;
pub mod depthwise_rows;
pub mod narrow;
#[cfg(feature = "std")]
mod pack_winograd;
pub mod pool;
#[cfg(test)]
mod tests;
pub mod winograd;

#[cfg(feature = "std")]
pub use choose::{Candidate, candidates, choose};
pub use choose::{ConvAlgorithm, Packing};
#[cfg(feature = "std")]
pub use cost::Core;

use crate::quant::Clamp;
use crate::sys::shapes::block_start;
use crate::tensor::Tensor;
use crate::window::Window;

/// A feature map in memory: pixel `(y, x)` starts at byte `(y % ring * w + x) * pitch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map {
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Channels.
    pub c: usize,
    /// Bytes from pixel to pixel, at least `c`.
    pub pitch: usize,
    /// Rows in memory: `h` of a whole tensor, fewer of a line buffer. At least 1.
    pub ring: usize,
}

impl Map {
    /// A tensor of its own, `h x w x c`.
    pub const fn dense(h: usize, w: usize, c: usize) -> Self {
        Self { h, w, c, pitch: c, ring: h }
    }

    /// Where a tensor lies, from its first element on.
    pub const fn of(tensor: &Tensor) -> Self {
        let shape = tensor.shape;
        Self {
            h: shape.h as usize,
            w: shape.w as usize,
            c: shape.c as usize,
            pitch: tensor.place.pitch as usize,
            ring: tensor.place.rows as usize,
        }
    }

    /// Bytes from row to row.
    pub const fn row_bytes(&self) -> usize {
        self.w.wrapping_mul(self.pitch)
    }

    /// Byte offset of row `y`.
    pub const fn row(&self, y: usize) -> usize {
        let y = if y < self.ring || self.ring == 0 { y } else { y % self.ring };
        y.wrapping_mul(self.row_bytes())
    }

    /// Whether rows `y..y + rows` follow each other in memory.
    pub const fn contiguous(&self, y: usize, rows: usize) -> bool {
        let first = if y < self.ring || self.ring == 0 { y } else { y % self.ring };
        first.wrapping_add(rows) <= self.ring
    }
}

/// A convolution, apart from its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The input.
    pub input: Map,
    /// The output.
    pub output: Map,
    /// Kernel, stride and padding.
    pub window: Window,
    /// The input's zero point, which padding counts as.
    pub zero_in: i8,
    /// The output's zero point.
    pub zero_out: i8,
    /// Least output.
    pub low: i8,
    /// Greatest output.
    pub high: i8,
}

impl Layer {
    /// A layer between two tensors.
    pub const fn of(window: &Window, clamp: Clamp, input: &Tensor, output: &Tensor) -> Self {
        Self {
            input: Map::of(input),
            output: Map::of(output),
            window: *window,
            zero_in: input.quant.zero_point as i8,
            zero_out: output.quant.zero_point as i8,
            low: clamp.min as i8,
            high: clamp.max as i8,
        }
    }

    /// Kernel `[rows, columns]`.
    const fn kernel(&self) -> [usize; 2] {
        [self.window.kernel[0] as usize, self.window.kernel[1] as usize]
    }

    /// Weights of an output channel.
    #[cfg(feature = "std")]
    const fn filter(&self) -> usize {
        self.kernel()[0].saturating_mul(self.kernel()[1]).saturating_mul(self.input.c)
    }

    /// Stride `[vertical, horizontal]`.
    const fn stride(&self) -> [usize; 2] {
        [self.window.stride[0] as usize, self.window.stride[1] as usize]
    }

    /// Padding before `[rows, columns]`.
    const fn before(&self) -> [usize; 2] {
        [self.window.before[0] as usize, self.window.before[1] as usize]
    }

    /// Whether kernel and stride are these on both axes.
    const fn is_window(&self, kernel: u32, stride: u32) -> bool {
        let w = &self.window;
        w.kernel[0] == kernel && w.kernel[1] == kernel && w.stride[0] == stride && w.stride[1] == stride
    }

    /// Whether saturation to 8 bits is all the clamping that there is.
    const fn is_saturating(&self) -> bool {
        self.low == i8::MIN && self.high == i8::MAX
    }
}

/// The constants of a packed convolution: four words of header, the channels' records, the weights.
#[derive(Clone, Copy)]
struct Packed<'m> {
    flags: u32,
    records: &'m [u32],
    weights: &'m [u32],
}

impl<'m> Packed<'m> {
    const HEADER: usize = 4;
    /// Use the reference requantization: the fast form is not exact for some channel.
    const EXACT: u32 = 1;
    /// Requantization of F(4x4) without the rounding of negative halves, which the activation clamps away.
    const RELU: u32 = 2;

    fn new(words: &'m [u32], records: usize) -> Option<Self> {
        let (header, rest) = words.split_at_checked(Self::HEADER)?;
        let (records, weights) = rest.split_at_checked(records)?;
        Some(Self { flags: header.first().copied()?, records, weights })
    }

    /// What the whole blocks of four of `channels` channels have, with 16 words of records and `per_block` of weights each, and
    /// what a last block has that overlaps them.
    fn blocks(&self, channels: usize, per_block: usize) -> Option<[Part<'m>; 2]> {
        let whole = channels / 4;
        let (records, last_records) = self.records.split_at_checked(whole.wrapping_mul(16))?;
        let (weights, last_weights) = self.weights.split_at_checked(whole.wrapping_mul(per_block))?;
        Some([Part { records, weights }, Part { records: last_records, weights: last_weights }])
    }
}

/// Records and weights of some blocks.
#[derive(Clone, Copy)]
struct Part<'m> {
    records: &'m [u32],
    weights: &'m [u32],
}
