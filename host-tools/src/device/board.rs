//! The boards that the firmware is built for.

use anyhow::{Result, bail};

/// A board, and how QEMU emulates it.
#[derive(Debug, PartialEq, Eq)]
pub struct Board {
    /// Its name: the firmware's feature and memory map, and QEMU's machine, are called the same unless said otherwise.
    pub name: &'static str,
    /// QEMU's machine.
    pub machine: &'static str,
    /// The core, for reports.
    pub core: &'static str,
    /// The Rust target.
    pub target: &'static str,
    /// `-Ctarget-cpu`, when it is not that of `firmware/.cargo/config.toml` for the target.
    pub cpu: Option<&'static str>,
    /// QEMU's `-icount shift`: emulated, an instruction takes `2^icount_shift` ns, so that the board's SysTick counts them
    /// (`firmware/src/clock.rs`).
    pub icount_shift: u32,
    /// Bytes of flash, or of what stands in for it.
    pub flash: u32,
    /// Bytes of RAM.
    pub ram: u32,
    /// Which of QEMU's serial ports is the firmware's serial line, if it has one.
    pub serial: Option<u32>,
}

const K: u32 = 1024;
const M: u32 = 1024 * K;

/// Every board.
pub const BOARDS: &[Board] = &[
    board("mps2-an386", "Cortex-M4F", "thumbv7em-none-eabihf", None, 7, 4 * M, 4 * M),
    board("mps2-an385", "Cortex-M3 running Armv6-M code", "thumbv6m-none-eabi", None, 7, 4 * M, 4 * M),
    board("mps2-an500", "Cortex-M7F", "thumbv7em-none-eabihf", None, 7, 4 * M, 4 * M),
    board("mps2-an505", "Cortex-M33F", "thumbv8m.main-none-eabihf", None, 8, 4 * M, 4 * M),
    board("mps3-an547", "Cortex-M55", "thumbv8m.main-none-eabihf", Some("cortex-m55"), 7, 512 * K, 512 * K),
    board("lm3s6965evb", "Cortex-M3", "thumbv7m-none-eabi", None, 8, 256 * K, 64 * K),
    board("microbit", "Cortex-M0", "thumbv6m-none-eabi", None, 8, 256 * K, 16 * K),
    stm32f405("olimex-stm32-h405"),
    stm32f405("netduinoplus2"),
];

const fn board(
    name: &'static str,
    core: &'static str,
    target: &'static str,
    cpu: Option<&'static str>,
    icount_shift: u32,
    flash: u32,
    ram: u32,
) -> Board {
    Board { name, machine: name, core, target, cpu, icount_shift, flash, ram, serial: None }
}

/// The line is USART2.
const fn stm32f405(name: &'static str) -> Board {
    let board = board(name, "Cortex-M4F (STM32F405)", "thumbv7em-none-eabihf", None, 5, M, 128 * K);
    Board { serial: Some(1), ..board }
}

impl Board {
    /// Whether the runtime's loops are in the core's DSP or vector instructions.
    pub fn has_dsp(&self) -> bool {
        !self.target.starts_with("thumbv6m") && !self.target.starts_with("thumbv7m-")
    }

    /// The board called `name`.
    ///
    /// # Errors
    /// When there is none; the message names those that there are.
    pub fn named(name: &str) -> Result<&'static Board> {
        match BOARDS.iter().find(|board| board.name == name) {
            Some(board) => Ok(board),
            None => {
                let names: Vec<_> = BOARDS.iter().map(|board| board.name).collect();
                bail!("no board called `{name}`; there are {}", names.join(", "))
            }
        }
    }
}
