//! What can be wrong with a float network, its recipe or its parameters.

use std::path::PathBuf;

use kinglet::{Shape, Window};
use thiserror::Error;

use crate::words;

/// A network that cannot be built, or parameters that do not fit it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GraphError {
    /// A window has an empty kernel, too much padding, or is larger than its input.
    #[error("node `{node}`: {window:?} does not fit the input {}", shape(*.input))]
    Window {
        /// The node that was to be added.
        node: String,
        /// Its window.
        window: Window,
        /// `H x W x C` of its input.
        input: Shape,
    },
    /// Two inputs that must agree in some dimensions do not.
    #[error("node `{node}`: inputs {} and {} do not match", shape(*.left), shape(*.right))]
    Mismatch {
        /// The node that was to be added.
        node: String,
        /// The first input's shape.
        left: Shape,
        /// The shape that differs.
        right: Shape,
    },
    /// A depthwise convolution whose channels are no multiple of its input's.
    #[error("node `{node}`: {channels} output channels, expected a multiple of the input's {input}")]
    Multiple {
        /// The node that was to be added.
        node: String,
        /// Output channels.
        channels: u32,
        /// The input's channels.
        input: u32,
    },
    /// The operator would produce an empty or far too large tensor.
    #[error("node `{node}`: output {} from input {} is empty or too large", shape(*.output), shape(*.input))]
    Extent {
        /// The node that was to be added.
        node: String,
        /// The first input's shape.
        input: Shape,
        /// The impossible shape.
        output: Shape,
    },
    /// The operator got too few or too many inputs.
    #[error("node `{node}`: {found} inputs, expected {expected}")]
    Inputs {
        /// The node that was to be added.
        node: String,
        /// How many the operator takes, in words.
        expected: &'static str,
        /// How many it got.
        found: usize,
    },
    /// Two nodes with one name: parameters would collide.
    #[error("node name `{0}` is used twice")]
    DuplicateName(String),
    /// The zoo has no such network.
    #[error("no network `{0}` in the zoo{hint}; it has: {known}", hint = words::hint(.0, super::zoo::NAMES), known = super::zoo::NAMES.join(", "))]
    UnknownNetwork(String),
    /// A recipe contradicts itself.
    #[error("network recipe: {0}")]
    Recipe(String),
    /// A parameter is absent.
    #[error("parameter `{0}` is missing")]
    MissingParam(String),
    /// A parameter has other dimensions than its node needs.
    #[error("parameter `{name}` has dimensions {found:?}, its node needs {expected:?}")]
    ParamShape {
        /// `node.parameter`.
        name: String,
        /// What the node needs.
        expected: Vec<usize>,
        /// What was found.
        found: Vec<usize>,
    },
    /// A weights file is no safetensors file of a Kinglet network.
    #[error("{}: {reason}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A weights file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

/// `8x8x16`, as all messages print shapes.
pub(crate) fn shape(shape: Shape) -> String {
    format!("{}x{}x{}", shape.h, shape.w, shape.c)
}
