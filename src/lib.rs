//! Kinglet: residual and Inception networks on microcontrollers.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![deny(unsafe_code)]

mod arena;
mod bytes;
pub mod chain;
#[cfg(feature = "device")]
pub mod device;
pub mod error;
mod fill;
mod float16;
pub mod format;
mod guard;
mod inference;
mod input;
pub mod kernels;
pub mod memory;
mod model;
mod model_type;
mod numbers;
mod observer;
pub mod ops;
mod output;
pub mod pixels;
pub mod plan;
mod ports;
pub mod quant;
mod session;
#[cfg(feature = "signed")]
pub mod signed;
pub mod slots;
pub mod sys;
pub mod tensor;
pub mod uses;
pub mod window;
mod work;

pub use arena::{Arena, Buffer, Bytes, Reserve};
pub use half::f16;

pub use error::{Fault, ModelError, SessionError};
pub use fill::{Fill, PixelRows, Value};
pub use guard::Guard;
pub use inference::{InferError, Inference, Progress};
pub use input::{Element, Input, InputError, Pixels, Raw, RawWith};
pub use model::{Model, Step};
#[doc(hidden)]
pub use model_type::Aligned;
pub use model_type::{Fast, ModelType, Slow};
pub use observer::{Observer, StepEvent};
pub use output::{Output, Prediction};
pub use pixels::{ChannelOrder, PixelTables};
pub use ports::{Port, State};
pub use quant::{Activation, Channel, Channels, Clamp, Multiplier, Rounding, WideChannel};
pub use session::Session;
pub use sys::once::Once;
pub use tensor::{DType, Place, QuantParams, Shape, Tensor};
pub use uses::{Dynamic, Linked};
pub use window::{Padding, Reach, Taps, Window};
pub use work::Work;
