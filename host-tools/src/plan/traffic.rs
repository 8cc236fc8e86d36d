//! How often a step touches the arena: what makes a tensor hot.

use kinglet::Window;
use kinglet::ops::{Op, Operands};

/// Bytes that a step moves between core and arena, estimated from shapes: kernels keep in registers what their
/// blocks of two pixels and four channels share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Read of each input.
    pub inputs: [u64; 2],
    /// Written to the output.
    pub output: u64,
    /// Written to the scratch and read from it.
    pub scratch: u64,
}

impl Traffic {
    /// Of one run of `op` with `scratch` bytes of scratch.
    pub fn of(op: &Op<'_>, tensors: &Operands, scratch: u32) -> Self {
        let len = |shape: kinglet::Shape| u64::from(shape.len());
        let Operands { a, b, output } = tensors;
        let size = |tensor: &kinglet::Tensor| u64::from(tensor.dtype.size());
        // Every window reads its elements; those of a convolution go to scratch and come back for each four channels.
        let windows = |window: &Window, channels: u32| {
            u64::from(output.shape.h) * u64::from(output.shape.w) * u64::from(window.taps_len()) * u64::from(channels)
        };
        let (read, again) = match op {
            Op::Conv2d(conv) => {
                let gathered = windows(&conv.window, a.shape.c);
                (gathered, gathered * u64::from(output.shape.c.div_ceil(4)))
            }
            Op::DepthwiseConv2d(conv) => (windows(&conv.window, output.shape.c), 0),
            Op::MaxPool2d(pool) => (windows(&pool.window, a.shape.c), 0),
            Op::AveragePool2d(pool) => (windows(&pool.window, a.shape.c), 0),
            Op::Dense(_) => (len(a.shape) * u64::from(output.shape.c.div_ceil(4)), 0),
            _ => (len(a.shape), 0),
        };
        let (read, again) = (read * size(a), again * size(a));
        let (a, scratch) = if scratch == 0 { (read + again, 0) } else { (read, read + again.max(read)) };
        let b = b.as_ref().map_or(0, |b| len(b.shape) * size(b));
        Self { inputs: [a, b], output: len(output.shape) * size(output), scratch }
    }
}
