//! Residual and Inception networks on microcontrollers: no heap, no panic, and the same bytes on every processor.
//!
//! A model is one file, which the host tools train, quantize or import, plan and export. [`model!`] makes a type of it: the
//! compiler checks the whole file, links no more of the runtime than the model uses, and knows how much memory it needs.
//!
//! ```
//! use kinglet::{Arena, Pixels, Session};
//!
//! kinglet::model!(Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl"));
//! static ARENA: Arena<Digits> = Arena::new();
//!
//! let image = [0; 8 * 8]; // height x width x channels bytes, from a camera
//! let mut session = Session::<Digits>::new(ARENA.take().expect("taken once"));
//! let output = session.infer(Pixels(&image))?;
//! match output.best() {
//!     Some(best) if best.probability > 0.8 => println!("{:?}", best.label),
//!     _ => println!("not sure"),
//! }
//! # Ok::<(), kinglet::InferError>(())
//! ```
//!
//! # Where to begin
//!
//! | | |
//! |---|---|
//! | [`Session`] | a model in its memory: inputs go in, outputs come out |
//! | [`Inference`] | one that is run in slices, down to a row of a step, beside a control loop or in an `async` task |
//! | [`Input`] | pixels, elements, real numbers; [`Fill`] for DMA, [`PixelRows`] for lines of a camera; a tuple for several, or [`Inputs`] by name |
//! | [`Output`] | scores, classes, probabilities, labels; [`Output::get`] for the other outputs of a model |
//! | [`Observer`], [`Guard`] | who sees every step; one that watches over the weights |
//! | [`Model`] | a file that comes at run time, checked by [`Model::new`] |
//! | [`slots`], `signed` | updates in flash that survive a power cut; models that are signed |
//! | `device` | cameras, a serial line to the host tools |
//!
//! # Layers
//!
//! From the top down; a module uses only what stands below it:
//!
//! ```text
//! device                                firmware around a model
//! guard slots signed                    watching, updating, signing
//! session inference input output        running a model
//! model arena                           checking a file, memory
//! format plan chain                     the file, its memory plan, the order of rows
//! ops numbers kernels                   operators, element types, instruction sets
//! tensor window quant sys               shapes, convolution arithmetic, fixed point, all the unsafe code
//! ```
//!
//! # Features
//!
//! - `device`: firmware around a model, over embedded-hal and embedded-io.
//! - `signed`: models that only run when they are signed (Ed25519).
//! - `hot-in-ram`: the loops in assembler, some 2 to 8 KB, lie in RAM, where the start-up code copies them with all initialized data
//!   (cortex-m-rt does): for chips whose flash makes code wait, most of all Cortex-M0+. Without it they lie in sections
//!   `.text.kinglet_hot.*`, which a linker script may put into other memory, tightly coupled, say.
//! - `defmt`: formatting of errors and reports over defmt.
//! - `internals`: the lower layers, for firmware that measures kernels, and the protocols of the host tools' serial line and of
//!   MLPerf Tiny; and `std`, which adds the writer of model files and is what the host tools are built on. **Both are exempt from
//!   semantic versioning.**
//!
//! # What is promised
//!
//! - **Everything is proven before the first run.** [`Model::new`] checks every record, shape, weight table and the whole memory
//!   plan, in a `const fn`; a file that it takes runs, whoever wrote it.
//! - **Nothing panics.** No function of `core::panicking` is linked: a test of the host tools looks for them in an optimized
//!   program. Where the impossible happens all the same, debug builds stop, and others end the inference in
//!   [`InferError::Fault`] instead of scores.
//! - **Every byte is exact.** int8 and int16 follow TensorFlow Lite; half precision is summed in one fixed order.
//! - `unsafe` code is in one module, and a program that uses the runtime needs none.
//!
//! The minimum supported Rust version is stated in `Cargo.toml` (`rust-version`); raising it is a minor release.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![deny(unsafe_code)]
// Some of the lower layers is there for the host tools alone.
#![cfg_attr(not(feature = "internals"), allow(dead_code, unused_imports))]

mod arena;
mod bytes;
#[cfg(feature = "device")]
pub mod device;
mod fill;
mod float16;
mod guard;
mod inference;
mod input;
mod internal;
mod model;
mod model_type;
mod numbers;
mod observer;
mod output;
mod ports;
mod session;
#[cfg(feature = "signed")]
pub mod signed;
pub mod slots;
mod step;
mod work;
#[cfg(feature = "std")]
pub mod write;

#[cfg(feature = "internals")]
pub mod chain;
#[cfg(not(feature = "internals"))]
mod chain;
#[cfg(feature = "internals")]
pub mod error;
#[cfg(not(feature = "internals"))]
mod error;
#[cfg(feature = "internals")]
pub mod format;
#[cfg(not(feature = "internals"))]
mod format;
#[cfg(feature = "internals")]
pub mod kernels;
#[cfg(not(feature = "internals"))]
mod kernels;
#[cfg(feature = "internals")]
pub mod memory;
#[cfg(not(feature = "internals"))]
mod memory;
#[cfg(feature = "internals")]
pub mod ops;
#[cfg(not(feature = "internals"))]
mod ops;
#[cfg(feature = "internals")]
pub mod pixels;
#[cfg(not(feature = "internals"))]
mod pixels;
#[cfg(feature = "internals")]
pub mod plan;
#[cfg(not(feature = "internals"))]
mod plan;
#[cfg(feature = "internals")]
pub mod quant;
#[cfg(not(feature = "internals"))]
mod quant;
#[cfg(feature = "internals")]
pub mod sys;
#[cfg(not(feature = "internals"))]
mod sys;
#[cfg(feature = "internals")]
pub mod tensor;
#[cfg(not(feature = "internals"))]
mod tensor;
#[cfg(feature = "internals")]
pub mod uses;
#[cfg(not(feature = "internals"))]
mod uses;
#[cfg(feature = "internals")]
pub mod window;
#[cfg(not(feature = "internals"))]
mod window;

pub use arena::{Arena, Buffer, Bytes, Reserve};
pub use half::f16;

pub use error::{Fault, ModelError, SessionError};
pub use fill::{Fill, Inputs, PixelRows, Value};
pub use guard::Guard;
pub use inference::{InferError, Inference, Progress};
pub use input::{Element, Input, InputError, Pixels, Raw, RawWith};
pub use model::Model;
#[doc(hidden)]
pub use model_type::Aligned;
pub use model_type::{Fast, ModelType, Slow};
pub use observer::{Observer, StepEvent};
pub use ops::OpKind;
pub use output::{Output, Prediction};
#[cfg(feature = "internals")]
pub use pixels::{ChannelOrder, PixelTables};
pub use ports::{Port, State, Which};
#[cfg(feature = "internals")]
pub use quant::{Activation, Channel, Channels, Clamp, Multiplier, Rounding, WideChannel};
pub use session::Session;
pub use step::Step;
pub use sys::once::Once;
#[cfg(feature = "internals")]
pub use tensor::Place;
pub use tensor::{DType, QuantParams, Shape, Tensor};
#[doc(hidden)]
pub use uses::Set;
pub use uses::{Dynamic, Linked};
#[cfg(feature = "internals")]
pub use window::{Padding, Reach, Taps, Window};
pub use work::Work;
