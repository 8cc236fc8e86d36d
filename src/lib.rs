//! Kinglet: residual and Inception networks on microcontrollers.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![deny(unsafe_code)]

mod bytes;
pub mod error;
pub mod format;
pub mod kernels;
pub mod memory;
pub mod ops;
pub mod tensor;
pub mod window;

pub use error::{Fault, ModelError, SessionError};
pub use tensor::{DType, Place, QuantParams, Shape, Tensor};
pub use window::{Padding, Taps, Window};
