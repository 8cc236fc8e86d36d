//! Elements in another order by strides: what the runtime's REARRANGE computes, under the names that files give it.

use kinglet::Shape;
use kinglet::ops::{self, Digit};

/// Which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strided {
    /// Channels to blocks of pixels.
    DepthToSpace {
        /// Height and width of a block.
        block: [u32; 2],
        /// Whether the pixels of a channel of the output are side by side in the input, and not the channels of a pixel.
        channels_first: bool,
    },
    /// Blocks of `block x block` pixels to channels, pixel by pixel.
    SpaceToDepth {
        /// Height and width of a block.
        block: u32,
    },
    /// Axis `i` of the output is this one of the input, of height, width and channels.
    Transpose([u32; 3]),
}

impl Strided {
    /// The operator's name.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Strided::DepthToSpace { .. } => "depth_to_space",
            Strided::SpaceToDepth { .. } => "space_to_depth",
            Strided::Transpose(_) => "transpose",
        }
    }

    /// For each axis of the output its digits; one of extent 0 when the input does not fit.
    fn digits(self, Shape { h, w, c }: Shape) -> [Vec<Digit>; 3] {
        let digit = |extent, axis, stride| Digit { extent, axis, stride };
        match self {
            Strided::DepthToSpace { block, channels_first } => {
                let [rows, columns] = block;
                let deep = divided(c, rows.saturating_mul(columns));
                let (pixel, channel) = if channels_first { (1, rows * columns) } else { (deep, 1) };
                [
                    vec![digit(h, 0, 1), digit(rows, 2, columns * pixel)],
                    vec![digit(w, 1, 1), digit(columns, 2, pixel)],
                    vec![digit(deep, 2, channel)],
                ]
            }
            Strided::SpaceToDepth { block } => [
                vec![digit(divided(h, block), 0, block)],
                vec![digit(divided(w, block), 1, block)],
                vec![digit(block, 0, 1), digit(block, 1, 1), digit(c, 2, 1)],
            ],
            Strided::Transpose(axes) => axes.map(|axis| vec![digit([h, w, c][axis as usize], axis, 1)]),
        }
    }

    /// The output's shape; empty when the input does not fit.
    pub(super) fn output(self, input: Shape) -> Shape {
        let [h, w, c] = self.digits(input).map(|digits| digits.iter().fold(1, |n: u32, d| n.saturating_mul(d.extent)));
        Shape::new(h, w, c)
    }

    /// The places in the input, `H x W x C`, whose elements go to the output, in its order.
    pub(super) fn sources(self, input: Shape) -> Vec<usize> {
        let strides = [input.w * input.c, input.c, 1];
        let mut places = vec![0];
        for Digit { extent, axis, stride } in self.digits(input).into_iter().flatten() {
            let step = (stride * strides[axis as usize]) as usize;
            let moved = |place| (0..extent as usize).map(move |value| place + value * step);
            places = places.into_iter().flat_map(moved).collect();
        }
        places
    }

    /// The runtime's operator, and what it keeps in flash.
    pub(super) fn lowered(self, input: Shape) -> (ops::Op<'static>, Vec<u8>) {
        let digits = self.digits(input);
        let counts = digits.each_ref().map(|digits| digits.len() as u32);
        let flash = digits.into_iter().flatten().flat_map(Digit::to_bytes).collect();
        (ops::Op::Rearrange(ops::Rearrange { first: [0; 3], counts, digits: &[] }), flash)
    }
}

/// A quotient, 0 when there is a rest.
fn divided(extent: u32, by: u32) -> u32 {
    if by > 0 && extent.is_multiple_of(by) { extent / by } else { 0 }
}
