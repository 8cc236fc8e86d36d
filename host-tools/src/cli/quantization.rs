//! The options of every command that quantizes.

use crate::quantize::{self, Calibration};

/// What a float network becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Dtype {
    /// int8: quantized by calibration images.
    #[default]
    Int8,
    /// Halves, with sums in single precision: twice the bytes, nothing to calibrate.
    F16,
}

/// How a float network becomes int8.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Quantization {
    /// How ranges are chosen: min-max, mse (unless given), entropy, percentile, percentile:99.9, or auto, which takes for
    /// each tensor what leaves the least error at the output. Ranges that `train --qat` found are kept unless this is given.
    #[arg(long, value_name = "METHOD")]
    calibrate: Option<Calibration>,
    /// Scale channels so that neighbouring layers have like ranges.
    #[arg(long)]
    equalize: bool,
    /// Take off each bias what rounding adds to the mean.
    #[arg(long)]
    correct_bias: bool,
}

impl Quantization {
    /// As the quantizer takes them.
    pub fn options(&self) -> quantize::Options {
        let Self { calibrate, equalize, correct_bias } = *self;
        let (calibration, anew) = (calibrate.unwrap_or_default(), calibrate.is_some());
        quantize::Options { calibration, equalize, correct_bias, anew }
    }
}
