//! The options of every command that exports a model: what it may cost.

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
}

impl Budgets {
    /// As the exporter takes them.
    pub fn options(&self) -> export::Options {
        let plan =
            plan::Options { streaming: self.streaming, ram: self.ram, fast: self.fast, ..plan::Options::default() };
        export::Options { plan, flash: self.flash, ..export::Options::default() }
    }
}

/// What an exported model costs, in words.
pub(super) fn cost(exported: &Exported) -> String {
    let Exported { bytes, plan, time } = exported;
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
pub(super) fn bytes(text: &str) -> Result<u32, String> {
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
