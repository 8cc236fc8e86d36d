//! Quantization-aware training: a trained network that learns to live with int8.
//!
//! The forward pass is the exported model's arithmetic, integer for integer: the network is folded, its weights are
//! rounded and its scales become multipliers by the very code that exports it, and what the convolutions sum up is
//! scaled and rounded by the runtime's own functions. Sums are taken in floats, which hold such integers exactly.
//! The backward pass takes rounding for the identity (Bengio et al., "Estimating or Propagating Gradients Through
//! Stochastic Neurons", 2013) and hands nothing through where a number was cut off.
//!
//! Batch normalization is frozen: its statistics and its factor stay, its offset is trained as the layer's bias. Ranges
//! of activations are moving averages of each batch's extremes.

mod integers;
mod net;
mod pass;
mod ranges;
mod step;

pub use net::{Net, outputs};

#[cfg(test)]
mod tests;
