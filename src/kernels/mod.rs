//! One file per instruction set: the few block primitives that operators are written over.

pub mod intrinsics;
