//! The operators' arithmetic on halves.
//!
//! Parameters, shape rules and plans are those of the int8 operators; rounding modes, factors and zero points mean nothing here.
//! Elements are widened to single precision, computed with in a fixed order, and the result is rounded to the nearest half
//! within the clamp: see [`float16`](crate::kernels::float16). An operator's channel table is its biases in single precision.

mod elementwise;
mod pool;
mod weighted;

use core::ops::Range;

use super::{Io, Op, OpKind};
use crate::kernels::Backend;
use crate::kernels::blocks::float16::LANES;
use crate::tensor::Tensor;
use crate::uses::Linked;

/// Bytes of scratch that a convolution into `output` takes for each element under its window: four numbers in single
/// precision, for as many pixels, or a half where the output is one pixel wide.
pub(super) const fn element_bytes(output: &Tensor) -> u64 {
    if output.shape.w == 1 { 2 } else { 4 * LANES as u64 }
}

/// Computes rows `rows` of an output, if the operator is one that [`wide::takes`](super::wide::takes) names.
pub(super) fn run<B: Backend, L: Linked>(op: &Op<'_>, io: &mut Io<'_, '_>, rows: Range<u32>) -> bool {
    macro_rules! linked {
        ($kind:ident, $run:expr) => {
            if L::SET.operators.has(OpKind::$kind.code()) {
                $run
            }
        };
    }
    match op {
        Op::Conv2d(op) => linked!(Conv2d, weighted::conv::<B>(op, io, rows)),
        Op::DepthwiseConv2d(op) => linked!(DepthwiseConv2d, weighted::depthwise(op, io, rows)),
        Op::Dense(op) => linked!(Dense, weighted::dense::<B>(op, io, rows)),
        Op::MaxPool2d(op) => linked!(MaxPool2d, pool::max(op, io, rows)),
        Op::AveragePool2d(op) => linked!(AveragePool2d, pool::average(op, io, rows)),
        Op::Mean(op) => linked!(Mean, pool::mean(op, io, rows)),
        Op::Add(op) => linked!(Add, elementwise::add(op, io, rows)),
        Op::Sub(op) => linked!(Sub, elementwise::sub(op, io, rows)),
        Op::Mul(op) => linked!(Mul, elementwise::mul(op, io, rows)),
        Op::Constant(op) => linked!(Constant, elementwise::constant(op, io, rows)),
        _ => return false,
    }
    true
}
