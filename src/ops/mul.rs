//! The product of two tensors, rescaled.

use core::ops::Range;

use super::{Io, Operands, elementwise, params};
use crate::bytes::{Block, attempt};
use crate::error::{Fault, ModelError};
use crate::kernels::Backend;
use crate::quant::{Clamp, Multiplier, Rounding, requantize};
use crate::tensor::{QuantParams, Shape};
use crate::window::Reach;
use crate::uses::Linked;

/// The product of two tensors and an activation. The second may be one pixel that scales every pixel of the first, as
/// in squeeze-and-excitation blocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mul {
    /// How the product is rounded.
    pub rounding: Rounding,
    /// `scale a * scale b / output scale`.
    pub factor: Multiplier,
    /// The activation range.
    pub clamp: Clamp,
}

impl Mul {

    /// The product of tensors quantized with `a` and `b` into one quantized with `output`, with the multiplier that
    /// TensorFlow Lite computes. `None` when the ratio of scales is not a valid factor.
    pub const fn new(
        a: QuantParams,
        b: QuantParams,
        output: QuantParams,
        rounding: Rounding,
        clamp: Clamp,
    ) -> Option<Self> {
        match Multiplier::from_real(a.scale as f64 * b.scale as f64 / output.scale as f64) {
            Some(factor) => Some(Self { rounding, factor, clamp }),
            None => None,
        }
    }

    /// The shape rule: `b` has the shape of `a`, or is `1 x 1 x c` or `1 x 1 x 1`. `None` when it has not.
    pub const fn output_shape(a: Shape, b: Shape) -> Option<Shape> {
        elementwise::broadcast(a, b)
    }

    pub(super) const fn decode(block: Block<'_>) -> Result<Self, ModelError> {
        Self::decode_at(&block, 0)
    }

    pub(super) const fn decode_at(block: &Block<'_>, at: u32) -> Result<Self, ModelError> {
        Ok(Self {
            rounding: attempt!(params::rounding(block, at)),
            factor: attempt!(params::multiplier(block, at + 1)),
            clamp: attempt!(params::clamp(block, at + 3)),
        })
    }

    #[cfg(feature = "std")]
    pub(super) fn encode(&self, writer: &mut crate::format::Writer) {
        let Self { rounding, factor, clamp } = self;
        writer.words([rounding.code(), factor.multiplier as u32, factor.shift as u32]);
        writer.words([clamp.min as u32, clamp.max as u32]);
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        let Some(b) = &tensors.b else { return Err(Fault::Operand) };
        attempt!(params::demand(self.clamp.is_valid(tensors.output.dtype), Fault::Clamp));
        elementwise::check(&tensors.a, b, &tensors.output)
    }

    pub(super) const fn scratch_len(&self, _tensors: &Operands) -> u32 {
        0
    }

    pub(super) const fn in_place(&self, operand: u32) -> bool {
        operand < 2
    }

    /// The second operand may be one pixel that every row needs.
    pub(super) const fn reach(&self, operand: u32) -> Reach {
        if operand == 0 { Reach::POINT } else { Reach::WHOLE }
    }

    pub(super) const fn macs(&self, _tensors: &Operands) -> u64 {
        0
    }

    pub(super) const fn constants(&self) -> [&'static [u8]; 2] {
        [&[], &[]]
    }

    /// One product; zero points are those of both operands and of the output.
    #[inline]
    pub(super) const fn apply(&self, left: i32, right: i32, zero_points: [i32; 3]) -> i32 {
        let [left_zero, right_zero, output_zero] = zero_points;
        let product = left.wrapping_sub(left_zero).wrapping_mul(right.wrapping_sub(right_zero));
        self.clamp.apply(requantize(product, self.factor, self.rounding).wrapping_add(output_zero))
    }

    #[inline(never)]
    pub(super) fn run<B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a, b: Some(b), output } = io.tensors else { return };
        // In place over whichever operand lies where the output lies; the product does not mind the order.
        let (over, other) = if b.same_place(&output) && !a.same_place(&output) { (b, a) } else { (a, b) };
        let zero_points = [over.quant.zero_point, other.quant.zero_point, output.quant.zero_point];
        elementwise::combine(io, (&over, &other, &output), rows, |left: i8, right| {
            self.apply(left.into(), right.into(), zero_points) as i8
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::Op;
    use super::super::elementwise::tests::run;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against real numbers: single rounding is the nearest integer, double rounding within one of it.
        #[test]
        fn close_to_the_real_product(
            a in prop::collection::vec(any::<i8>(), 24), b in prop::collection::vec(any::<i8>(), 24),
            scales in prop::array::uniform3(0.01f32..1.0), zeros in prop::array::uniform3(-128i32..128),
            single: bool, over: bool, kind in 0usize..3,
        ) {
            let quant = |i: usize| QuantParams { scale: scales[i], zero_point: zeros[i] };
            let shape = Shape::new(2, 3, 4);
            let b_shape = [shape, Shape::vector(4), Shape::vector(1)][kind];
            let rounding = if single { Rounding::Single } else { Rounding::Double };
            let clamp = Clamp { min: -100, max: 120 };
            let mul = Mul::new(quant(0), quant(1), quant(2), rounding, clamp).unwrap();
            let b = &b[..b_shape.len() as usize];
            let out = run(Op::Mul(mul), (&a, shape, quant(0)), Some((b, b_shape, quant(1))), (shape, quant(2)), over);
            for (i, &y) in out.iter().enumerate() {
                let right = b[i % b.len()];
                let real = f64::from(i32::from(a[i]) - zeros[0]) * f64::from(scales[0])
                    * f64::from(i32::from(right) - zeros[1]) * f64::from(scales[1]) / f64::from(scales[2]);
                let wanted = (real + f64::from(zeros[2])).clamp(-100.0, 120.0);
                prop_assert!((f64::from(y) - wanted).abs() <= if single { 0.501 } else { 1.001 }, "{y} {wanted}");
            }
        }
    }
}
