//! The table of boards, `boards.toml`, which is part of the tool: it says what each column means.

mod chip;

use std::sync::LazyLock;

use anyhow::{Result, bail};
use kinglet::kernels::algorithms::Core;
use serde::Deserialize;

use crate::words::{self, grouped};

/// Bytes of RAM that are kept for the stack and for statics other than the arena: an inference takes under 6 KB of stack.
pub const STACK: u32 = 8 * 1024;

/// A board.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Its name: the firmware's feature, and QEMU's machine, are called the same.
    pub name: &'static str,
    /// A name of its chip.
    pub alias: Option<&'static str>,
    /// What it is called in texts.
    pub title: &'static str,
    /// The core, for reports.
    pub core: &'static str,
    /// The Rust target.
    pub target: &'static str,
    /// `-Ctarget-cpu`, when it is not that of `firmware/.cargo/config.toml` for the target.
    pub cpu: Option<&'static str>,
    /// What probe-rs calls the chip; none of what QEMU emulates.
    pub chip: Option<&'static str>,
    /// How QEMU runs it.
    pub qemu: Option<Qemu>,
    /// Its flash, or what stands in for it.
    pub flash: Memory,
    /// The memories that may hold an arena, the best first.
    pub ram: Vec<Memory>,
    /// Where the firmware has its stack.
    stack: Option<Stack>,
    models_kb: Option<u32>,
    /// Whether the chip's boot ROM wants a block that describes the image.
    #[serde(default)]
    pub image_block: bool,
    /// The firmware's driver.
    pub driver: Option<&'static str>,
    /// What the driver takes, for the firmware's build script.
    #[serde(rename = "constants")]
    _constants: Option<toml::Table>,
    /// Dependencies of `board.rs` in a project of its own.
    pub dependencies: Option<&'static str>,
    /// What RTIC takes, where its template is for the board.
    pub rtic: Option<Rtic>,
    /// What the linker is told besides the memories.
    #[serde(default)]
    pub sections: &'static str,
    /// What a prediction of cycles takes.
    pub speed: Option<Speed>,
}

/// How QEMU runs a board's firmware.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qemu {
    /// QEMU's `-icount shift`: an instruction takes `2^icount_shift` ns, so that the board's SysTick counts them
    /// (`firmware/src/clock/systick.rs`).
    pub icount_shift: u32,
    /// Which of QEMU's serial ports is the firmware's serial line.
    pub serial: u32,
}

/// What RTIC takes.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rtic {
    /// The path of the chip's own crate.
    pub device: &'static str,
    /// An interrupt that nothing else uses.
    pub dispatcher: &'static str,
    /// The feature for the core.
    pub backend: &'static str,
}

/// A memory of a board.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// What its chip's manual calls it.
    pub name: &'static str,
    /// Its first address.
    pub at: u32,
    kb: u32,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stack {
    at: u32,
    kb: u32,
}

/// What a prediction of cycles takes.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Speed {
    /// The core's full speed.
    pub mhz: u32,
    /// Cycles that a read of the flash takes beyond one, at that speed; none when it is not known.
    pub wait_states: Option<u32>,
    /// Bytes that a read of the flash brings.
    pub flash_bytes: Option<u32>,
    /// Bytes of the cache for code.
    #[serde(default)]
    pub code_cache: u32,
    /// Bytes of the cache for data that lies in flash.
    #[serde(default)]
    pub data_cache: u32,
    /// Bytes of a line of these caches.
    #[serde(default)]
    pub line: u32,
    /// Whether code and data of the flash share the cache for code.
    #[serde(default)]
    pub shared: bool,
    /// Picojoules that a cycle takes.
    pub pj_per_cycle: Option<u32>,
    /// Where the figures are from.
    pub source: &'static str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "'de: 'static"))]
struct Boards {
    board: Vec<Board>,
}

static TABLE: LazyLock<Vec<Board>> = LazyLock::new(|| {
    let boards: Boards = toml::from_str(include_str!("../boards.toml")).expect("the table of boards is well formed");
    boards.board
});

impl Memory {
    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> u32 {
        self.kb * 1024
    }

    /// Bytes of it that are left for an arena.
    #[must_use]
    pub const fn arena_bytes(&self) -> u32 {
        self.bytes().saturating_sub(STACK)
    }
}

/// What a model leaves of a board.
#[derive(Debug, PartialEq)]
pub struct Fit<'b> {
    /// The memory with the arena: the first that is large enough.
    pub ram: &'b Memory,
    /// Bytes of it that are left beside the arena and [`STACK`].
    pub ram_left: u32,
    /// Bytes of flash that are left beside the file and [`Board::code_bytes`].
    pub flash_left: u32,
}

impl Board {
    /// The core for which algorithms are chosen and costs are known.
    #[must_use]
    pub fn instruction_set(&self) -> Core {
        match (self.target, self.cpu) {
            ("thumbv6m-none-eabi", _) => Core::M0,
            ("thumbv7m-none-eabi", _) => Core::M3,
            (_, Some("cortex-m55")) => Core::M55,
            _ => Core::M4,
        }
    }

    /// Whether the runtime's loops are in assembler: for all cores but those of Armv7-M without the DSP extension.
    #[must_use]
    pub fn has_assembler(&self) -> bool {
        !self.target.starts_with("thumbv7m-")
    }

    /// Whether QEMU runs its firmware.
    #[must_use]
    pub const fn is_emulated(&self) -> bool {
        self.qemu.is_some()
    }

    /// Whether the firmware writes models to its flash.
    #[must_use]
    pub const fn keeps_models(&self) -> bool {
        self.models_kb.is_some()
    }

    /// Bytes of RAM for an arena, statics and the stack; a second memory, for the slow part of an arena, is not counted.
    #[must_use]
    pub fn ram_bytes(&self) -> u32 {
        let best = &self.ram[0];
        let apart = self.stack.as_ref().filter(|stack| stack.at != best.at);
        best.bytes() + apart.map_or(0, |stack| stack.kb * 1024)
    }

    /// Bytes of flash that are kept for code: the runtime takes 20 to 32 KB for a network, up to 45 KB on a Cortex-M3;
    /// a HAL and logs take the rest.
    #[must_use]
    pub fn code_bytes(&self) -> u32 {
        if self.has_assembler() { 48 * 1024 } else { 64 * 1024 }
    }

    /// Bytes of flash that are left for a model.
    #[must_use]
    pub fn model_bytes(&self) -> u32 {
        self.flash.bytes().saturating_sub(self.code_bytes())
    }

    /// Where a model of a file of `file` bytes lies, and what it leaves.
    ///
    /// # Errors
    /// When flash or every RAM is too small; all figures are named.
    pub fn fit(&self, file: usize, arena: usize) -> Result<Fit<'_>> {
        let [file, arena] = [file, arena].map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX));
        let ram = self.ram.iter().find_map(|ram| Some((ram, ram.arena_bytes().checked_sub(arena)?)));
        match (ram, self.model_bytes().checked_sub(file)) {
            (Some((ram, ram_left)), Some(flash_left)) => Ok(Fit { ram, ram_left, flash_left }),
            _ => bail!(
                "the model does not fit {}: it takes {} bytes of flash beside {} of code, the board has {}; \
                 it takes {} bytes of RAM beside {} of stack, the board has {}",
                self.name,
                grouped(file.into()),
                grouped(self.code_bytes().into()),
                grouped(self.flash.bytes().into()),
                grouped(arena.into()),
                grouped(STACK.into()),
                grouped(self.ram.iter().map(Memory::bytes).max().unwrap_or(0).into())
            ),
        }
    }

    /// How QEMU runs it.
    ///
    /// # Errors
    /// When QEMU does not emulate the board.
    pub fn in_qemu(&self) -> Result<&Qemu> {
        match &self.qemu {
            Some(qemu) => Ok(qemu),
            None => bail!(
                "QEMU does not emulate {}; on the board itself, `kinglet device eval --port` runs images",
                self.name
            ),
        }
    }

    /// The board called `name`, one that the firmware runs on.
    ///
    /// # Errors
    /// When there is none; the message names those that there are.
    pub fn named(name: &str) -> Result<&'static Board> {
        find(name, drivers(), "the firmware runs on")
    }
}

/// Every board, in the order of the table.
#[must_use]
pub fn all() -> &'static [Board] {
    &TABLE
}

/// The boards that the firmware runs on.
pub fn drivers() -> impl Iterator<Item = &'static Board> + Clone {
    all().iter().filter(|board| board.driver.is_some())
}

/// The boards that QEMU emulates.
pub fn emulated_boards() -> impl Iterator<Item = &'static Board> {
    all().iter().filter(|board| board.is_emulated())
}

/// The board of that name, or whose chip is called so; however it is written.
///
/// # Errors
/// When there is none among `boards`; the message says what those are for, and names them.
pub fn find(name: &str, boards: impl Iterator<Item = &'static Board> + Clone, what: &str) -> Result<&'static Board> {
    let names_of = |board: &'static Board| std::iter::once(board.name).chain(board.alias);
    if let Some(board) = boards.clone().find(|board| names_of(board).any(|known| words::same(known, name))) {
        return Ok(board);
    }
    let names = boards.clone().map(|board| board.name).collect::<Vec<_>>().join(", ");
    if let Some(board) = all().iter().find(|board| names_of(board).any(|known| words::same(known, name))) {
        bail!("not for {}, which is in the table for other commands; {what} {names}", board.name);
    }
    bail!("no board called `{name}`{}; {what} {names}", words::hint(name, boards.flat_map(names_of)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        let mut names: Vec<_> = all().iter().flat_map(|board| std::iter::once(board.name).chain(board.alias)).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "a name stands for one board");
        for board in all() {
            let name = board.name;
            assert!(!board.ram.is_empty() && board.flash.bytes() > 0, "{name} has memories");
            assert_eq!(board.driver.is_some(), board.stack.is_some(), "{name}: the firmware has a stack");
            assert_eq!(board.driver.is_some(), board.qemu.is_some() || board.chip.is_some(), "{name} can be run");
            assert!(board.driver.is_some() || board.speed.is_some(), "{name} is for something");
        }
    }

    #[test]
    fn memories_are_summed_and_names_found() {
        let ram = |name| Board::named(name).unwrap().ram_bytes();
        assert_eq!(ram("nucleo-h743zi"), 128 * 1024, "the slow memory does not count");
        assert_eq!(ram("netduinoplus2"), 192 * 1024, "the stack has a memory of its own");
        assert_eq!(find("stm32l4r5", all().iter(), "").unwrap().name, "nucleo-l4r5zi");
        let error = Board::named("nucleo-l4r5zi").unwrap_err().to_string();
        assert!(
            error.starts_with("not for nucleo-l4r5zi") && error.contains("the firmware runs on mps2-an386, "),
            "{error}"
        );
        assert_eq!(Board::named("Nucleo_F446RE").unwrap().name, "nucleo-f446re");
        let error = Board::named("nucleo-f446").unwrap_err().to_string();
        assert!(error.starts_with("no board called `nucleo-f446`; did you mean nucleo-f446re?"), "{error}");
    }

    #[test]
    fn a_model_lies_in_the_first_memory_that_holds_it() {
        let board = Board::named("nucleo-h743zi").unwrap();
        let fit = board.fit(100_000, 200_000).unwrap();
        assert_eq!((fit.ram.name, fit.ram_left), ("AXI SRAM", 512 * 1024 - STACK - 200_000));
        assert_eq!(fit.flash_left, board.flash.bytes() - board.code_bytes() - 100_000);
        let error = board.fit(100_000, 517 * 1024).unwrap_err().to_string();
        assert!(error.contains("529,408 bytes of RAM beside 8,192 of stack, the board has 524,288"), "{error}");
    }
}
