//! What the firmware measured, read from its log: lines of a word and `key=value` pairs, a name last.

use std::fmt;

use anyhow::{Context, Result, ensure};

use super::Board;
use super::qemu::LogLine;

/// A step as the device saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepReport {
    /// Its place in the order of execution.
    pub index: usize,
    /// The layer's name.
    pub name: String,
    /// The operator's name.
    pub op: String,
    /// Instructions executed.
    pub instructions: u64,
    /// Multiply-accumulate operations.
    pub macs: u64,
    /// CRC-32 of the output's elements: `kinglet::StepEvent::checksum`.
    pub checksum: u32,
}

/// The measurements of one inference on a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measurements {
    /// The board's name.
    pub board: String,
    /// The runtime's backend.
    pub backend: String,
    /// The model's name.
    pub model: String,
    /// Bytes of arena.
    pub arena_bytes: u32,
    /// Bytes of weights and tables.
    pub weight_bytes: u32,
    /// Stack high-water mark of an inference: bytes from the top of the stack, the caller's frames included.
    pub stack_bytes: u32,
    /// Instructions of an inference as a whole, exact.
    pub instructions: u64,
    /// The same under a `kinglet::Guard`, which watches over the weights; when that was measured.
    pub guarded: Option<u64>,
    /// Multiply-accumulate operations of an inference.
    pub macs: u64,
    /// Each step; the sum is a little less than the whole, which goes from step to step besides.
    pub steps: Vec<StepReport>,
}

/// The value of `key` in a line of `key=value` pairs; `name`, which comes last, goes to the end of the line.
fn value<'l>(line: &'l str, key: &str) -> Result<&'l str> {
    let marker = format!(" {key}=");
    let at = line.find(&marker).with_context(|| format!("no `{key}=` in the firmware's message `{line}`"))?;
    let rest = &line[at + marker.len()..];
    Ok(if key == "name" { rest } else { rest.split(' ').next().unwrap_or(rest) })
}

fn number<N: std::str::FromStr>(line: &str, key: &str) -> Result<N> {
    let text = value(line, key)?;
    text.parse().ok().with_context(|| format!("`{key}={text}` is no number in the firmware's message `{line}`"))
}

impl Measurements {
    /// Reads a log. Lines that are not measurements are passed over.
    ///
    /// # Errors
    /// When a line is damaged, or the board's clock was not as it expects.
    pub fn read(log: &[LogLine]) -> Result<Self> {
        let mut found = Self::default();
        for line in log.iter().map(|line| line.text.as_str()) {
            let word = line.split(' ').next().unwrap_or_default();
            match word {
                "board" => {
                    found.board = value(line, "name")?.into();
                    found.backend = value(line, "backend")?.into();
                    let given = Board::named(&found.board)?.in_qemu()?.icount_shift;
                    let expected: u32 = number(line, "icount_shift")?;
                    ensure!(given == expected, "the firmware counts with `-icount shift={expected}`, not {given}");
                }
                "model" => {
                    found.model = value(line, "name")?.into();
                    found.arena_bytes = number(line, "arena")?;
                    found.weight_bytes = number(line, "weights")?;
                    found.macs = number(line, "macs")?;
                }
                "stack" => found.stack_bytes = number(line, "bytes")?,
                "inference" => found.instructions = number(line, "instructions")?,
                "guarded" => found.guarded = Some(number(line, "instructions")?),
                "step" => {
                    let checksum = value(line, "checksum")?;
                    let digits = checksum.strip_prefix("0x").unwrap_or(checksum);
                    found.steps.push(StepReport {
                        index: number(line, "index")?,
                        name: value(line, "name")?.into(),
                        op: value(line, "op")?.into(),
                        instructions: number(line, "instructions")?,
                        macs: number(line, "macs")?,
                        checksum: u32::from_str_radix(digits, 16).context("checksum")?,
                    });
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

/// Instructions per multiply-accumulate, or a dash.
fn per_mac(instructions: u64, macs: u64) -> String {
    if macs == 0 { "-".into() } else { format!("{:.2}", instructions as f64 / macs as f64) }
}

impl fmt::Display for Measurements {
    /// A table of the steps.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} on {} ({} kernels)", self.model, self.board, self.backend)?;
        writeln!(
            f,
            "{:>4}  {:<20} {:>12} {:>12} {:>10}  {:<10} layer",
            "step", "operator", "instructions", "MACs", "instr/MAC", "checksum"
        )?;
        for step in &self.steps {
            let per_mac = per_mac(step.instructions, step.macs);
            writeln!(
                f,
                "{:>4}  {:<20} {:>12} {:>12} {:>10}  {:08x}   {}",
                step.index, step.op, step.instructions, step.macs, per_mac, step.checksum, step.name
            )?;
        }
        let per_mac = per_mac(self.instructions, self.macs);
        writeln!(f, "{:>4}  {:<20} {:>12} {:>12} {:>10}", "", "inference", self.instructions, self.macs, per_mac)?;
        if let Some(guarded) = self.guarded {
            let more = (guarded as f64 / self.instructions.max(1) as f64 - 1.0) * 100.0;
            writeln!(f, "{:>4}  {:<20} {guarded:>12}  (+{more:.1} %)", "", "with a `Guard`")?;
        }
        write!(
            f,
            "arena {} bytes, stack {} bytes, weights {} bytes",
            self.arena_bytes, self.stack_bytes, self.weight_bytes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> LogLine {
        LogLine { level: "info", text: text.into(), place: None }
    }

    #[test]
    fn reads_a_log() {
        let log = [
            "board icount_shift=7 stack=32768 backend=dsp name=mps2-an386",
            "model steps=1 arena=64 weights=10 macs=20 name=a model",
            "stack bytes=400",
            "inference instructions=1000",
            "guarded instructions=1100",
            "step index=0 instructions=100 macs=20 checksum=0x0000abcd op=DENSE name=the last layer",
            "something else",
        ];
        let found = Measurements::read(&log.map(line)).unwrap();
        assert_eq!((found.board.as_str(), found.backend.as_str()), ("mps2-an386", "dsp"));
        assert_eq!((found.instructions, found.guarded, found.steps[0].instructions), (1000, Some(1100), 100));
        assert_eq!((found.steps[0].name.as_str(), found.steps[0].checksum), ("the last layer", 0xABCD));
        assert!(Measurements::read(&[line("step index=0")]).is_err());
        assert!(Measurements::read(&[line("board icount_shift=3 backend=dsp name=mps2-an386")]).is_err());
    }
}
