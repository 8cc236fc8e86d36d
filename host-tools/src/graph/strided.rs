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
    /// Any other.
    Digits {
        /// How many digits height, width and channels of the output have.
        counts: [usize; 3],
        /// All of them, the most significant ones of each axis first.
        digits: [Digit; Strided::MOST],
    },
}

impl Strided {
    /// Most digits of an order that has no name.
    const MOST: usize = 8;

    /// The order in which height, width and channels of the output have these digits, by its name if it has one; `None` when there are
    /// too many.
    pub fn of(axes: [Vec<Digit>; 3], input: Shape) -> Option<Self> {
        let axes = axes.map(joined);
        let [rows, columns] = [0, 1].map(|axis: usize| axes[axis].last().map_or(1, |digit| digit.extent));
        let depth = axes[0].first().map_or(1, |digit| digit.stride);
        let spread = |channels_first| Strided::DepthToSpace { block: [rows, columns], channels_first };
        let named = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]].map(Strided::Transpose);
        let named = named.into_iter().chain([spread(false), spread(true), Strided::SpaceToDepth { block: depth }]);
        if let Some(named) = named.into_iter().find(|named| named.digits(input).map(joined) == axes) {
            return Some(named);
        }
        let counts = axes.each_ref().map(Vec::len);
        let mut digits = [Digit { extent: 1, axis: 0, stride: 0 }; Self::MOST];
        for (at, digit) in axes.into_iter().flatten().enumerate() {
            *digits.get_mut(at)? = digit;
        }
        Some(Strided::Digits { counts, digits })
    }

    /// Whether each channel of the output has elements of that channel of the input, and no others.
    pub(super) fn keeps_channels(self) -> bool {
        match self {
            Strided::DepthToSpace { .. } | Strided::SpaceToDepth { .. } => false,
            Strided::Transpose(axes) => axes[2] == 2,
            Strided::Digits { counts: [rows, columns, channels], digits } => {
                let (around, deep) = digits[..rows + columns + channels].split_at(rows + columns);
                around.iter().all(|digit| digit.axis != 2) && matches!(deep, [Digit { axis: 2, stride: 1, .. }])
            }
        }
    }

    /// The operator's name.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Strided::DepthToSpace { .. } => "depth_to_space",
            Strided::SpaceToDepth { .. } => "space_to_depth",
            Strided::Transpose(_) => "transpose",
            Strided::Digits { .. } => "rearrange",
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
            Strided::Digits { counts, digits } => {
                let mut rest = digits.into_iter();
                counts.map(|count| rest.by_ref().take(count).collect())
            }
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

/// As few digits of the same positions as there can be.
fn joined(digits: Vec<Digit>) -> Vec<Digit> {
    let mut joined: Vec<Digit> = Vec::new();
    for digit in digits.into_iter().filter(|digit| digit.extent != 1) {
        match joined.last_mut() {
            Some(last) if last.axis == digit.axis && last.stride == digit.stride.saturating_mul(digit.extent) => {
                *last = Digit { extent: last.extent.saturating_mul(digit.extent), ..digit };
            }
            _ => joined.push(digit),
        }
    }
    joined
}

/// A quotient, 0 when there is a rest.
fn divided(extent: u32, by: u32) -> u32 {
    if by > 0 && extent.is_multiple_of(by) { extent / by } else { 0 }
}
