//! The options of every command that quantizes.

use anyhow::{Result, ensure};
use kinglet::DType;

use crate::quantize::{self, Calibration, Method};

/// What a float network becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Dtype {
    /// int8: quantized by calibration images.
    #[default]
    Int8,
    /// Halves, with sums in single precision: twice the bytes, nothing to calibrate.
    F16,
    /// int8 weights and int16 activations, TensorFlow Lite's 16x8: twice the arena, for networks that lose too much in int8.
    #[value(name = "16x8")]
    Int16,
}

impl Dtype {
    /// What activations are.
    pub fn activations(self) -> DType {
        match self {
            Dtype::Int8 => DType::I8,
            Dtype::F16 => DType::F16,
            Dtype::Int16 => DType::I16,
        }
    }
}

/// How a float network becomes int8.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Quantization {
    /// How ranges are chosen: min-max, mse, entropy, percentile, percentile:99.9, or auto, which takes for each tensor what leaves the
    /// least error of int8 at the output. Unless given mse, and min-max for 16x8, which has numbers to spare. Ranges that `train --qat`
    /// found are kept unless this is given.
    #[arg(long, value_name = "METHOD")]
    calibrate: Option<Calibration>,
    /// Scale channels so that neighbouring layers have like ranges.
    #[arg(long)]
    equalize: bool,
    /// Take off each bias what rounding to int8 adds to the mean.
    #[arg(long)]
    correct_bias: bool,
}

impl Quantization {
    /// As the quantizer takes them, for int8 or 16x8.
    ///
    /// # Errors
    /// When they say what is for another type.
    pub fn options(&self, dtype: Dtype) -> Result<quantize::Options> {
        let Self { calibrate, equalize, correct_bias } = *self;
        let int16 = dtype == Dtype::Int16;
        ensure!(
            !(correct_bias && int16),
            "--correct-bias takes off what rounding to int8 adds: --dtype 16x8 adds next to nothing"
        );
        let default = if int16 { Calibration::Fixed(Method::MinMax) } else { Calibration::default() };
        let (calibration, anew) = (calibrate.unwrap_or(default), calibrate.is_some());
        Ok(quantize::Options { calibration, equalize, correct_bias, anew })
    }

    /// The options that were given, as they are written.
    pub fn words(&self) -> Vec<String> {
        let mut words: Vec<_> = self.calibrate.iter().map(|method| format!("--calibrate {method}")).collect();
        let flags = [(self.equalize, "--equalize"), (self.correct_bias, "--correct-bias")];
        words.extend(flags.iter().filter(|flag| flag.0).map(|flag| flag.1.to_owned()));
        words
    }
}
