//! The only room with `unsafe`: Arm instructions and the casts between byte slices and typed ones.
#![allow(unsafe_code)]

pub mod cast;
