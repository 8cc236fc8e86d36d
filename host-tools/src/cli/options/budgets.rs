//! The options of every command that exports a model: what it may cost.

use kinglet::kernels::algorithms::{ConvAlgorithm, Core};

use crate::export::{self, Exported};
use crate::plan::{self, Streaming};
use crate::report::table::grouped;

/// What a model may cost on the device.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Budgets {
    /// Bytes of arena, as 49152 or 48K: the fastest plan that fits is taken. Without it the arena is as small as can be.
    #[arg(long, value_parser = bytes)]
    ram: Option<u32>,
    /// Bytes of a fast memory (tightly coupled, say) beside it: the tensors with the most traffic are placed there, the rest
    /// in the `--ram` bytes.
    #[arg(long, value_parser = bytes)]
    fast: Option<u32>,
    /// Bytes of weights and tables in flash, as 180000 or 176K: spent on transformed weights where they save most
    /// instructions. Without it weights keep their size.
    #[arg(long, value_parser = bytes)]
    flash: Option<u32>,
    /// Which steps may run interleaved, row by row.
    #[arg(long, value_enum, default_value_t)]
    streaming: Streaming,
    /// The core that algorithms are chosen for, by what they cost there; the model runs on every core.
    #[arg(long, value_enum, default_value_t)]
    target: Target,
    /// Computes every convolution by this algorithm that can be, whatever it costs; `kinglet inspect` shows which do.
    #[arg(long, value_enum, value_name = "NAME")]
    algorithm: Option<Algorithm>,
}

/// Cores by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
enum Target {
    /// Cortex-M0, M0+, M1, M23.
    M0,
    /// Cortex-M3.
    M3,
    /// Cortex-M4, with DSP instructions.
    #[default]
    M4,
    /// Cortex-M7: the instructions of M4.
    M7,
    /// Cortex-M33: the instructions of M4.
    M33,
    /// Cortex-M55, M85, with Helium.
    M55,
}

impl Target {
    const fn core(self) -> Core {
        match self {
            Target::M0 => Core::M0,
            Target::M3 => Core::M3,
            Target::M4 | Target::M7 | Target::M33 => Core::M4,
            Target::M55 => Core::M55,
        }
    }
}

/// Algorithms of convolution by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Algorithm {
    /// Weights as they are, pixel by pixel.
    Direct,
    /// A matrix product with weights of 8 bits.
    Gemm8,
    /// A matrix product with weights of 16 bits.
    Gemm16,
    /// A matrix product in bytes, for Helium.
    GemmBytes,
    /// Winograd F(2x2, 3x3).
    Winograd2,
    /// Winograd F(2x2, 3x3) with weights transformed in every inference.
    Winograd2AtRunTime,
    /// Winograd F(4x4, 3x3).
    Winograd4,
    /// 3x3 at stride 2 by Winograd.
    Stride2,
}

impl Algorithm {
    const fn of_runtime(self) -> ConvAlgorithm {
        match self {
            Algorithm::Direct => ConvAlgorithm::Direct,
            Algorithm::Gemm8 => ConvAlgorithm::Gemm8,
            Algorithm::Gemm16 => ConvAlgorithm::Gemm16,
            Algorithm::GemmBytes => ConvAlgorithm::GemmBytes,
            Algorithm::Winograd2 => ConvAlgorithm::Winograd2,
            Algorithm::Winograd2AtRunTime => ConvAlgorithm::Winograd2AtRunTime { tile_rows: 1 },
            Algorithm::Winograd4 => ConvAlgorithm::Winograd4,
            Algorithm::Stride2 => ConvAlgorithm::Stride2,
        }
    }
}

impl Budgets {
    /// As the exporter takes them.
    pub fn options(&self) -> export::Options {
        let plan =
            plan::Options { streaming: self.streaming, ram: self.ram, fast: self.fast, ..plan::Options::default() };
        let algorithm = self.algorithm.map(Algorithm::of_runtime);
        export::Options { plan, flash: self.flash, core: self.target.core(), algorithm }
    }
}

/// What an exported model costs, in words.
pub fn cost(exported: &Exported) -> String {
    let Exported { bytes, plan, time, .. } = exported;
    let arena = match plan.fast_len {
        0 => format!("{} bytes of arena", grouped(plan.arena_len.into())),
        fast => format!(
            "{} bytes of arena in the fast memory and {} in the slow one",
            grouped(fast.into()),
            grouped(plan.slow_len().into())
        ),
    };
    format!(
        "{} bytes of model, {arena} ({} above the lower bound), planned in {:.1} s",
        grouped(bytes.len() as u64),
        grouped(plan.arena_len.saturating_sub(plan.lower_bound).into()),
        time.as_secs_f64()
    )
}

/// A number of bytes, or of units of 1024 (K) or 1048576 (M).
pub fn bytes(text: &str) -> Result<u32, String> {
    let (digits, unit) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 1 << 10),
        None => text.strip_suffix(['M', 'm']).map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    let number: u32 = digits.parse().map_err(|_| format!("`{text}` is not a number of bytes, such as 49152 or 48K"))?;
    number.checked_mul(unit).ok_or_else(|| format!("`{text}` is more than 4 GB"))
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_have_units() {
        assert_eq!((bytes("48K"), bytes("49152"), bytes("1M")), (Ok(49_152), Ok(49_152), Ok(1 << 20)));
        assert!(bytes("8G").is_err() && bytes("4096M").is_err() && bytes("").is_err());
    }
}
