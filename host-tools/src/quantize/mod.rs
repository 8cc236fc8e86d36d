//! Quantization: from a trained float network to the integer network.
//!
//! [`fold`] merges batch normalization and activations into the runtime's operators, [`observe`] runs the folded network
//! over calibration images, [`scales`] chooses scales and zero points, [`emit`] rounds weights and biases. Nothing here
//! knows of memory or files; [`export`](crate::export) takes the integer network from here.

pub mod auto;
pub mod emit;
pub mod equalize;
pub mod fake;
mod fixed_point;
pub mod float16;
pub mod fold;
pub mod forward;
pub mod int16;
pub mod int8;
pub mod lookup;
pub mod observe;
pub mod pieces;
pub mod ranges;
pub mod report;
pub mod scales;
pub mod trained;

use kinglet::QuantParams;
use ndarray::{Array4, ArrayView4};
use thiserror::Error;

use crate::graph::{Graph, GraphError, Params, Preprocess, Real};
use crate::network::Network;
use observe::{Histogram, Observations};
pub use ranges::Method;
pub use scales::Calibration;

/// How to quantize.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Options {
    /// How ranges are chosen.
    pub calibration: Calibration,
    /// Scale channels so that neighbouring layers have like ranges: [`equalize::equalize`].
    pub equalize: bool,
    /// Take off each bias what rounding adds to the mean: [`equalize::correct_bias`].
    pub correct_bias: bool,
    /// Choose ranges by the calibration images even if the network was trained with ranges: [`trained`].
    pub anew: bool,
}

/// Images that are kept for what cannot be told from histograms.
const KEPT: usize = 128;

/// What stops quantization.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// Parameters do not fit the graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A parameter is not a finite number.
    #[error("parameter `{0}` is not finite: the training has diverged, or the file is corrupt")]
    Weights(String),
    /// The graph computes nothing.
    #[error("network `{0}` has no operators")]
    NoOperators(String),
    /// Calibration images of the wrong shape.
    #[error("the calibration images are {found:?} (height, width, channels), the network takes {expected:?}")]
    Shape {
        /// Their height, width, channels.
        found: [usize; 3],
        /// The network's.
        expected: [u32; 3],
    },
    /// A calibration image with numbers that are none.
    #[error("calibration image {image} has elements that are NaN or infinite")]
    NotFinite {
        /// Which one, from 0.
        image: usize,
    },
    /// Too few calibration images.
    #[error("the calibration set has {images} images; at least {least} are needed, and some hundreds are good")]
    TooFew {
        /// How many there were.
        images: usize,
        /// How many there must be.
        least: usize,
    },
    /// A node whose output is not finite on a calibration image.
    #[error("node `{0}` gives NaN or infinity on the calibration images")]
    Overflow(String),
    /// A network with trained ranges that lacks one, or has one that is none.
    #[error("`{0}` is not the range of a value, [least, greatest] with 0 between them: was the file changed?")]
    TrainedRange(String),
    /// An operator that quantization-aware training cannot train.
    #[error("node `{0}` has no quantization-aware form: no recipe makes such a node")]
    Untrainable(String),
    /// A network without trained ranges where they are needed.
    #[error("the network was not trained with ranges")]
    NoRanges,
    /// A remedy that would undo a training.
    #[error(
        "the network's ranges were trained with its weights, and {0} would change one without the other; with \
         `--calibrate METHOD` ranges are chosen anew"
    )]
    Trained(&'static str),
    /// A layer that was named for two things.
    #[error("`{0}` is to be float16, and 16x8 or of 4 bits too: one of them")]
    NamedTwice(String),
    /// A layer without weights that was named for their bits.
    #[error("layer `{0}` has no weights that could have 4 bits")]
    NoWeights(String),
    /// A layer that was named and is not there.
    #[error("no layer is called `{name}`: there are {names}")]
    UnknownLayer {
        /// The name.
        name: String,
        /// All names.
        names: String,
    },
    /// An element type that activations cannot have yet.
    #[error("activations of {0} elements: there are int8, int16 and float16")]
    ElementType(&'static str),
    /// Numbers that halves cannot hold.
    #[error("the numbers of `{0}` are too large for float16")]
    TooLarge(String),
    /// Softmax and L2 normalization have a fixed scale, which what they are joined with cannot take.
    #[error("the output of `{own}`, whose scale is fixed, cannot share it with `{joined}`")]
    Settled {
        /// What has it.
        own: String,
        /// What shares its quantization.
        joined: String,
    },
}

/// The real numbers of u8 images, N x H x W x C.
///
/// # Errors
/// When the images have fewer or more channels than `preprocess`.
pub fn reals(preprocess: &Preprocess, pixels: ArrayView4<'_, u8>) -> Result<Array4<f32>, QuantizeError> {
    let (_, h, w, c) = pixels.dim();
    let channels = preprocess.channels();
    if c != channels {
        return Err(QuantizeError::Shape { found: [h, w, c], expected: [h as u32, w as u32, channels as u32] });
    }
    let tables: Vec<[f32; 256]> = (0..c).map(|c| preprocess.table(c)).collect();
    Ok(Array4::from_shape_fn(pixels.dim(), |at| tables[at.3][usize::from(pixels[at])]))
}

/// Quantizes `graph` to int8: weights per output channel and symmetric, activations per tensor. Ranges that were
/// trained ([`trained`]) are kept.
///
/// `batches` are calibration images, N x H x W x C real numbers as [`reals`] makes them, from held-in data. They are
/// taken one batch after the other, so that they need never be in memory together.
///
/// # Errors
/// When parameters are missing or not finite, and when the images are too few, of the wrong shape, or not finite.
pub fn quantize(
    graph: &Graph,
    params: &Params,
    batches: impl IntoIterator<Item = Array4<f32>>,
    options: &Options,
) -> Result<Network, QuantizeError> {
    Ok(Prepared::new(graph, params, batches, options)?.network())
}

/// All that quantization decides, before anything is rounded.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The float network, equalized when that was asked for.
    pub float: Graph<Real>,
    /// The same with the biases that are to be rounded.
    pub corrected: Graph<Real>,
    /// The quantization of every value.
    pub quants: Vec<QuantParams>,
    /// The layers that were trained with weights of 4 bits.
    pub nibbles: Vec<String>,
}

impl Prepared {
    /// Decides, as [`quantize()`] describes. Ranges that were trained are kept, and no images are looked at.
    ///
    /// # Errors
    /// As [`quantize()`].
    pub fn new(
        graph: &Graph,
        params: &Params,
        batches: impl IntoIterator<Item = Array4<f32>>,
        options: &Options,
    ) -> Result<Self, QuantizeError> {
        let mut folded = fold::fold(graph, params)?;
        let nibbles = trained::nibbles(&folded);
        if !options.anew
            && let Some(quants) = trained::quants(&folded, params)?
        {
            let remedies = [(options.equalize, "equalization"), (options.correct_bias, "the correction of biases")];
            return match remedies.into_iter().find(|(wanted, _)| *wanted) {
                Some((_, remedy)) => Err(QuantizeError::Trained(remedy)),
                None => Ok(Self { corrected: folded.clone(), float: folded, quants, nibbles }),
            };
        }
        if options.equalize {
            equalize::equalize(&mut folded);
        }
        let nothing = vec![None; folded.nodes.len()];
        Ok(Self { nibbles, ..Self::with_given(folded, &nothing, batches, options)? })
    }

    /// Decides where nothing is given: values with a quantization in `given` keep it. `folded` is taken as it is, whatever
    /// `options` say of equalization.
    ///
    /// # Errors
    /// As [`quantize()`].
    pub fn with_given(
        folded: Graph<Real>,
        given: &[Option<QuantParams>],
        batches: impl IntoIterator<Item = Array4<f32>>,
        options: &Options,
    ) -> Result<Self, QuantizeError> {
        let mut seen = Observations::new(&folded);
        let mut kept = Kept::default();
        for batch in batches {
            seen.add(&folded, batch.view())?;
            batch.outer_iter().for_each(|image| kept.add(|| image.iter().copied().collect()));
        }
        let kept = kept.finish();
        let mut histograms: Vec<Histogram> = seen.histograms()?.to_vec();
        // The range of pixels does not depend on which images happened to be seen. Several inputs are no images.
        if let [input] = folded.inputs()[..] {
            let (min, max) = scales::input_range(&folded);
            histograms[input.0].add(&[min, max]);
        }
        let quants = scales::choose(&folded, &histograms, options.calibration, &kept, given)?;
        let mut corrected = folded.clone();
        if options.correct_bias {
            equalize::correct_bias(&mut corrected, &quants, &kept);
        }
        Ok(Self { float: folded, corrected, quants, nibbles: Vec::new() })
    }

    /// The integer network.
    pub fn network(&self) -> Network {
        emit::int8(&self.corrected, &self.quants, &self.nibbles)
    }

    /// The layers with weights, in their order; not those that only select elements.
    pub fn weighted(&self) -> impl Iterator<Item = &str> {
        let nodes = self.float.nodes.iter().filter(|node| node.op.weights().is_some() && !node.keeps_quantization());
        nodes.map(|node| node.name.as_str())
    }

    /// The network with int16 activations: [`emit::int16`].
    ///
    /// # Errors
    /// As [`emit::int16`].
    pub fn int16(&self) -> Result<Network, QuantizeError> {
        emit::int16(self)
    }
}

/// Some images of a stream of unknown length, evenly spaced.
#[derive(Default)]
struct Kept {
    images: Vec<Vec<f32>>,
    seen: usize,
    /// One of `2^halved` is kept.
    halved: u32,
}

impl Kept {
    fn add(&mut self, image: impl FnOnce() -> Vec<f32>) {
        if self.seen.is_multiple_of(1 << self.halved) {
            self.images.push(image());
        }
        self.seen += 1;
        if self.images.len() == 2 * KEPT {
            self.images = std::mem::take(&mut self.images).into_iter().step_by(2).collect();
            self.halved += 1;
        }
    }

    /// At most [`KEPT`] of them.
    fn finish(self) -> Vec<Vec<f32>> {
        let step = self.images.len().div_ceil(KEPT).max(1);
        self.images.into_iter().step_by(step).collect()
    }
}

#[cfg(test)]
mod tests;
