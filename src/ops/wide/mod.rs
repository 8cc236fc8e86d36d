//! The operators' arithmetic on int16 activations: TensorFlow Lite's 16x8 scheme, as its reference kernels have it.
//!
//! Parameters, shape rules and plans are those of the int8 operators; only what is computed of elements is here, once, in
//! plain Rust. All zero points are 0, so that padding is zeros, and weights are as in the file: `[output][tap][input]`.

mod elementwise;
mod pool;
mod weighted;

use core::ops::Range;

use super::{Io, Op, OpKind};
use crate::uses::Linked;

/// Whether the operator's arithmetic on int16 elements is here; the others see to it themselves.
pub(super) const fn takes(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Conv2d
            | OpKind::DepthwiseConv2d
            | OpKind::Dense
            | OpKind::MaxPool2d
            | OpKind::AveragePool2d
            | OpKind::Mean
            | OpKind::Add
            | OpKind::Sub
            | OpKind::Mul
            | OpKind::Constant
    )
}

/// Computes rows `rows` of an output, if the operator is one that [`takes`] names.
pub(super) fn run<L: Linked>(op: &Op<'_>, io: &mut Io<'_, '_>, rows: Range<u32>) -> bool {
    macro_rules! linked {
        ($kind:ident, $run:expr) => {
            if L::SET.operators.has(OpKind::$kind.code()) {
                $run
            }
        };
    }
    match op {
        Op::Conv2d(op) => linked!(Conv2d, weighted::conv(op, io, rows)),
        Op::DepthwiseConv2d(op) => linked!(DepthwiseConv2d, weighted::depthwise(op, io, rows)),
        Op::Dense(op) => linked!(Dense, weighted::dense(op, io, rows)),
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
