//! Kinglet: residual and Inception networks on microcontrollers.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![deny(unsafe_code)]

mod arena;
mod bytes;
pub mod chain;
#[cfg(feature = "device")]
pub mod device;
pub mod error;
mod float16;
pub mod format;
mod guard;
pub mod kernels;
pub mod memory;
mod model;
mod numbers;
pub mod ops;
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
mod topk;
pub mod uses;
pub mod window;
mod work;

pub use arena::{Arena, arena_len, split_len};
pub use half::f16;

pub use error::{Fault, ModelError, SessionError};
pub use guard::Guard;
#[doc(hidden)]
pub use model::Aligned;
pub use model::{Model, Step};
pub use pixels::{ChannelOrder, PixelTables};
pub use ports::{Port, State};
pub use quant::{Activation, Channel, Channels, Clamp, Multiplier, Rounding, WideChannel};
pub use session::{Observer, Session, StepEvent};
pub use tensor::{DType, Place, QuantParams, Shape, Tensor};
pub use topk::{Prediction, top_k};
pub use window::{Padding, Reach, Taps, Window};
pub use work::Work;
