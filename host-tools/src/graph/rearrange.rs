//! Operators whose outputs are elements of their one input in other places, or a constant: everything the host has to know of
//! one is in this file.

use kinglet::{Shape, ops};

use super::strided::Strided;

/// Which elements go where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rearrange {
    /// Padding with a constant.
    Pad {
        /// Elements before, `[h, w, c]`.
        before: [u32; 3],
        /// Elements after, `[h, w, c]`.
        after: [u32; 3],
        /// What they are.
        value: f32,
    },
    /// Another height and width, by the nearest neighbor.
    ResizeNearest(ops::ResizeNearest),
    /// Another order.
    Strided(Strided),
}

impl Rearrange {
    /// The operator's name, as messages and tables print it.
    pub fn kind(&self) -> &'static str {
        match self {
            Rearrange::Pad { .. } => "pad",
            Rearrange::ResizeNearest(_) => "resize_nearest",
            Rearrange::Strided(strided) => strided.kind(),
        }
    }

    /// The runtime's operator and what it keeps in flash; `element` is the element that stands for a number.
    pub fn lowered(&self, input: Shape, element: impl Fn(f32) -> i16) -> (ops::Op<'static>, Vec<u8>) {
        let op = match *self {
            Rearrange::Pad { before, after, value } => ops::Op::Pad(ops::Pad { before, after, value: element(value) }),
            Rearrange::ResizeNearest(resize) => ops::Op::ResizeNearest(resize),
            Rearrange::Strided(strided) => return strided.lowered(input),
        };
        (op, Vec::new())
    }

    /// The output's shape, by the rule of the runtime's operator; empty when the input does not fit.
    pub fn output(&self, input: Shape) -> Shape {
        match *self {
            Rearrange::Pad { before, after, .. } => ops::Pad::output_shape(input, before, after),
            Rearrange::ResizeNearest(resize) => resize.output_shape(input),
            Rearrange::Strided(strided) => strided.output(input),
        }
    }

    /// The constant that stands where no element of the input goes.
    pub fn constant(&self) -> Option<f32> {
        match *self {
            Rearrange::Pad { value, .. } => Some(value),
            Rearrange::ResizeNearest(_) | Rearrange::Strided(_) => None,
        }
    }

    /// Whether each channel of the output has elements of that channel of the input, and no others.
    pub fn keeps_channels(&self) -> bool {
        match *self {
            Rearrange::Pad { before, after, .. } => (before[2], after[2]) == (0, 0),
            Rearrange::ResizeNearest(_) => true,
            Rearrange::Strided(strided) => strided.keeps_channels(),
        }
    }

    /// For each element of the output the place of that of `input` which goes there, `H x W x C` both; none for the constant.
    pub fn sources(&self, input: Shape) -> Vec<Option<usize>> {
        let output = self.output(input);
        // By the row, column and channel of the input whose element goes to a place; they lie outside for the constant.
        let each = |source: &dyn Fn(u32, u32, u32) -> [u32; 3]| {
            let place = |index: u32| {
                let (pixel, c) = (index / output.c, index % output.c);
                let [y, x, c] = source(pixel / output.w, pixel % output.w, c);
                let inside = y < input.h && x < input.w && c < input.c;
                inside.then(|| ((y * input.w + x) * input.c + c) as usize)
            };
            (0..output.len()).map(place).collect()
        };
        match *self {
            Rearrange::Pad { before: [top, left, front], .. } => {
                each(&|y, x, c| [y.wrapping_sub(top), x.wrapping_sub(left), c.wrapping_sub(front)])
            }
            Rearrange::ResizeNearest(resize) => {
                let [rows, columns] = [resize.nearest(0), resize.nearest(1)];
                each(&|y, x, c| [rows.source(y, input.h), columns.source(x, input.w), c])
            }
            Rearrange::Strided(strided) => strided.sources(input).into_iter().map(Some).collect(),
        }
    }

    /// The output for the elements of an input.
    pub fn of(&self, elements: &[f32], input: Shape) -> Vec<f32> {
        let constant = self.constant().unwrap_or_default();
        self.sources(input).into_iter().map(|source| source.map_or(constant, |at| elements[at])).collect()
    }
}
