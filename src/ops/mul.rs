//! The product of two tensors, rescaled.

use core::ops::Range;

use super::encoding::encoding;
use super::members::without;
use super::{Io, Operands, elementwise, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::kernels::Backend;
use crate::memory::Element;
use crate::numbers::{Numbers, combine};
use crate::quant::{Clamp, Multiplier, OutputStage, Rounding};
use crate::tensor::{QuantParams, Shape};
use crate::window::Reach;
use crate::uses::Linked;

/// The product of two tensors and an activation. Along an axis of extent 1 an operand is spread over the other, as one pixel
/// that scales every pixel in squeeze-and-excitation blocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mul {
    /// How the product is rounded.
    pub rounding: Rounding,
    /// `scale a * scale b / output scale`.
    pub factor: Multiplier,
    /// The activation range.
    pub clamp: Clamp,
}

encoding!(Mul { rounding: rounding, factor: multiplier, clamp: clamp });

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

    /// The shape rule: along each axis both have one extent, or one of them has 1. `None` when they have not.
    pub const fn output_shape(a: Shape, b: Shape) -> Option<Shape> {
        elementwise::broadcast(a, b)
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        attempt!(rules::demand(self.clamp.is_valid(tensors.output.dtype), Fault::Clamp));
        elementwise::check(tensors)
    }

    pub(super) const fn in_place(&self, operand: u32) -> bool {
        operand < 2
    }

    /// The second operand is often one pixel that every row needs, and comes from all of the first.
    pub(super) const fn reach(&self, operand: u32) -> Reach {
        if operand == 0 { Reach::POINT } else { Reach::WHOLE }
    }

    /// `left = left * right`, the bytes of elements with these zero points.
    pub(super) fn apply<N: Numbers>(
        &self,
        zero_points: [i32; 2],
        zero_point: i32,
    ) -> impl Fn(&mut [i8], &[i8]) + use<N> {
        let stage = OutputStage { rounding: self.rounding, zero_point, clamp: self.clamp };
        let product = N::product(zero_points, self.factor, stage);
        move |left, right| combine(N::Element::of_mut(left), N::Element::of(right), &product)
    }

    without!(scratch_len, window_mut, macs, constants);

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let (a, b, output) = (io.tensors.a, io.b(), io.tensors.output);
        let (over, other) = if elementwise::is_over_b(&a, &b, &output) { (&b, &a) } else { (&a, &b) };
        let zero_points = [over.quant.zero_point, other.quant.zero_point];
        elementwise::combine(io, (over, other), rows, &mut self.apply::<N>(zero_points, output.quant.zero_point));
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
