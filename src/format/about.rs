//! What a file says about a model beside its network.

/// Whose arithmetic a model's integers follow, bit for bit: which kernels, and how multipliers were computed for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RoundingSource {
    /// The file does not say, or the model is of floats.
    #[default]
    Unknown,
    /// TensorFlow Lite Micro: requantization rounds twice, multipliers are products in double precision.
    Tflm,
    /// TensorFlow Lite Micro before October 2026: requantization rounds twice, multipliers are products in single precision.
    Tflm2025,
    /// LiteRT's reference kernels.
    Reference,
    /// Requantization that rounds once.
    Single,
}

impl RoundingSource {
    const ALL: [Self; 5] = [Self::Unknown, Self::Tflm, Self::Tflm2025, Self::Reference, Self::Single];

    /// The name in options and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Tflm => "tflm",
            Self::Tflm2025 => "tflm-2025",
            Self::Reference => "reference",
            Self::Single => "single",
        }
    }

    /// The code in a model file.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The source of a code in a model file.
    pub const fn from_code(code: u32) -> Option<Self> {
        if (code as usize) < Self::ALL.len() { Some(Self::ALL[code as usize]) } else { None }
    }
}

/// What a file says about a model beside its network.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct About {
    /// Whose arithmetic the model's integers follow.
    pub rounding: RoundingSource,
    /// The version of that with which outputs were compared: a date as the number yyyymmdd, or 0.
    pub rounding_version: u32,
    /// Counts up from model to model, so that a device can refuse an older one. It is under the signature of a signed file.
    pub generation: u32,
    /// What scores are divided by before they become probabilities, so that these are calibrated; 1 changes nothing.
    pub temperature: f32,
    /// The least probability, 0 to 1, of an answer that is to be relied on.
    pub threshold: f32,
}

impl About {
    /// Nothing is known: what version 1 of the format says of every model.
    pub const UNKNOWN: Self = Self {
        rounding: RoundingSource::Unknown,
        rounding_version: 0,
        generation: 0,
        temperature: 1.0,
        threshold: 0.0,
    };
}

impl Default for About {
    fn default() -> Self {
        Self::UNKNOWN
    }
}
