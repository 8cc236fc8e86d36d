//! What a model uses, as a set of bits: a program that knows its models while it is compiled links no more than that.
//!
//! [`Model`](crate::Model) and [`Session`](crate::Session) carry such a set in their type. [`model!`](crate::model!)
//! finds it while compiling, and every dispatch asks [`has`] first, so that the compiler drops what no model uses.

use crate::ops::{ConvAlgorithm, DepthwiseAlgorithm, Op, OpKind};
use crate::tensor::DType;

/// Everything: a program with this set runs every model.
pub const ALL: u64 = u64::MAX;

/// Steps of one moment run interleaved, see [`chain`](crate::chain).
pub const CHAINS: u64 = 1 << 63;

/// Some output lies over an input that its step still needs.
pub const OVERLAYS: u64 = 1 << 62;

/// An operator.
pub const fn operator(kind: OpKind) -> u64 {
    1 << (kind.code() % 32)
}

/// An algorithm of convolution.
pub const fn convolution(algorithm: ConvAlgorithm) -> u64 {
    1 << (32 + algorithm.code() % 8)
}

/// An algorithm of depthwise convolution.
pub const fn depthwise(algorithm: DepthwiseAlgorithm) -> u64 {
    match algorithm {
        DepthwiseAlgorithm::Direct => 1 << 40,
        DepthwiseAlgorithm::Packed => 1 << 41,
    }
}

/// Requantization by the book in a packed convolution, for constants that its fast form is not exact for.
pub const EXACT: u64 = 1 << 42;

/// An addition that no linear form is right for.
pub const SCALED_ADD: u64 = 1 << 43;

/// A fully connected layer whose input has gaps between its pixels.
pub const GATHER: u64 = 1 << 44;

/// An element type of activations.
pub const fn dtype(dtype: DType) -> u64 {
    1 << (48 + dtype.code() % 8)
}

/// Whether `part` is wholly among `uses`.
#[inline(always)]
pub const fn has(uses: u64, part: u64) -> bool {
    part & !uses == 0
}

/// What an operator uses.
pub(crate) const fn of(op: &Op<'_>) -> u64 {
    let algorithm = match op {
        Op::Conv2d(op) if op.is_exact() => convolution(op.algorithm) | EXACT,
        Op::Conv2d(op) => convolution(op.algorithm),
        Op::Add(op) if op.linear.is_none() => SCALED_ADD,
        Op::DepthwiseConv2d(op) => depthwise(op.algorithm),
        _ => 0,
    };
    operator(op.kind()) | algorithm
}
