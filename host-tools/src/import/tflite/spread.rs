//! Operands that are spread over a map: one pixel over all pixels, one channel over all channels.
//!
//! The runtime spreads a pixel in products and where it is taken off. The rest becomes whole maps first, by convolutions
//! with a factor of exactly 1. (A difference from minus the pixel is no sum to the bit: halves round up on either side.)

use kinglet::ops::{Add, Mul};
use kinglet::{Shape, Window};

use super::lower::Lowering;
use super::names as op;
use crate::import::problem::{Refusal, refuse};
use crate::network::{TensorId, TensorInfo};

impl Lowering<'_, '_> {
    /// The operands of ADD, SUB or MUL as the runtime takes them, for an output of shape `to`.
    pub(super) fn spread(&mut self, code: i32, a: TensorId, b: TensorId, to: Shape) -> Result<[TensorId; 2], Refusal> {
        let takes = |first: Shape, second: Shape| match code {
            op::ADD => Add::output_shape(first, second) == Some(to),
            _ => Mul::output_shape(first, second) == Some(to),
        };
        let shapes = [self.info(a).shape, self.info(b).shape];
        if takes(shapes[0], shapes[1]) {
            return Ok([a, b]);
        }
        if code == op::MUL && takes(shapes[1], shapes[0]) {
            return Ok([b, a]);
        }
        let [a, b] = [self.in_all_channels(a, to)?, self.in_all_channels(b, to)?];
        let operands = [self.in_all_pixels(a, to)?, self.in_all_pixels(b, to)?];
        if operands.iter().any(|&id| self.info(id).shape != to) {
            return refuse(
                format!("shapes {:?} and {:?}", shapes[0], shapes[1]),
                "both operands have one shape, or one of them is one pixel or one channel",
            );
        }
        Ok(operands)
    }

    /// What has one channel, in all channels of `to`; else what was given.
    fn in_all_channels(&mut self, id: TensorId, to: Shape) -> Result<TensorId, Refusal> {
        let info = self.info(id).clone();
        let Shape { h, w, c } = info.shape;
        if c != 1 || to.c == 1 {
            return Ok(id);
        }
        let wide =
            TensorInfo { name: format!("{} (in all channels)", info.name), shape: Shape::new(h, w, to.c), ..info };
        let wide = self.intermediate(wide);
        self.channels(std::iter::repeat_n(0, to.c as usize), id, wide)?;
        Ok(wide)
    }

    /// One pixel, at all places of `to`; else what was given. Windows that overhang by all but one tap find the pixel
    /// wherever they are: first along a row, then along all columns.
    fn in_all_pixels(&mut self, id: TensorId, to: Shape) -> Result<TensorId, Refusal> {
        let Shape { h, w, .. } = self.info(id).shape;
        if h * w != 1 {
            return Ok(id);
        }
        let mut at = id;
        for kernel in [[1, to.w], [to.h, 1]] {
            if kernel == [1, 1] {
                continue;
            }
            if kernel.iter().any(|&extent| extent > Window::MAX_EXTENT) {
                return refuse("one pixel beside so large a map", "spread it before it is converted");
            }
            let info = self.info(at).clone();
            let shape = Shape::new(info.shape.h.max(kernel[0]), info.shape.w.max(kernel[1]), info.shape.c);
            let overhang = kernel.map(|extent| extent - 1);
            let window = Window { kernel, stride: [1, 1], before: overhang, after: overhang };
            let taps = (kernel[0] * kernel[1] * shape.c) as usize;
            self.spend(taps)?;
            let name = format!("{} (in all pixels)", info.name);
            let wide = self.intermediate(TensorInfo { name, shape, ..info });
            self.taken(window, vec![1; taps], at, wide);
            at = wide;
        }
        Ok(at)
    }
}
