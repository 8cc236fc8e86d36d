//! Kinglet: residual and Inception networks on microcontrollers.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![deny(unsafe_code)]

pub mod error;
pub mod tensor;
pub mod window;

pub use error::{Fault, ModelError, SessionError};
pub use tensor::{DType, Place, QuantParams, Shape, Tensor};
pub use window::{Padding, Taps, Window};
