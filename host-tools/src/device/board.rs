//! The boards that the firmware is built for.

use anyhow::{Result, bail};

/// A board, and how its firmware is run.
#[derive(Debug, PartialEq, Eq)]
pub struct Board {
    /// Its name: the firmware's feature and memory map are called the same.
    pub name: &'static str,
    /// The core, for reports.
    pub core: &'static str,
    /// The Rust target.
    pub target: &'static str,
    /// `-Ctarget-cpu`, when it is not that of `firmware/.cargo/config.toml` for the target.
    pub cpu: Option<&'static str>,
    /// Bytes of flash, or of what stands in for it.
    pub flash: u32,
    /// Bytes of RAM; a second memory, for the slow part of an arena, is not counted.
    pub ram: u32,
    /// Whether the chip's boot ROM wants a block that describes the image.
    pub needs_image_block: bool,
    /// Whether the firmware writes models to its flash.
    pub keeps_models: bool,
    /// How its firmware is run.
    pub runs: Runs,
}

/// How a board's firmware is run.
#[derive(Debug, PartialEq, Eq)]
pub enum Runs {
    /// In QEMU, whose machine is called as the board.
    Emulated {
        /// QEMU's `-icount shift`: an instruction takes `2^icount_shift` ns, so that the board's SysTick counts them
        /// (`firmware/src/clock/systick.rs`).
        icount_shift: u32,
        /// Which of QEMU's serial ports is the firmware's serial line.
        serial: u32,
    },
    /// On the board, through its debug probe.
    OnDesk {
        /// What probe-rs calls the chip.
        chip: &'static str,
    },
}

const K: u32 = 1024;
const M: u32 = 1024 * K;

/// Every board.
pub const BOARDS: &[Board] = &[
    board("mps2-an386", "Cortex-M4F", "thumbv7em-none-eabihf", 4 * M, 4 * M, emulated(7, 0)),
    board("mps2-an385", "Cortex-M3 running Armv6-M code", "thumbv6m-none-eabi", 4 * M, 4 * M, emulated(7, 0)),
    board("mps2-an500", "Cortex-M7F", "thumbv7em-none-eabihf", 4 * M, 4 * M, emulated(7, 0)),
    board("mps2-an505", "Cortex-M33F", "thumbv8m.main-none-eabihf", 4 * M, 4 * M, emulated(8, 0)),
    Board {
        cpu: Some("cortex-m55"),
        ..board("mps3-an547", "Cortex-M55", "thumbv8m.main-none-eabihf", 512 * K, 512 * K, emulated(7, 0))
    },
    board("lm3s6965evb", "Cortex-M3", "thumbv7m-none-eabi", 256 * K, 64 * K, emulated(8, 0)),
    board("microbit", "Cortex-M0", "thumbv6m-none-eabi", 256 * K, 16 * K, emulated(8, 0)),
    stm32f405("olimex-stm32-h405"),
    stm32f405("netduinoplus2"),
    Board {
        keeps_models: true,
        ..board(
            "nucleo-f446re",
            "Cortex-M4F (STM32F446)",
            "thumbv7em-none-eabihf",
            512 * K,
            128 * K,
            desk("STM32F446RETx"),
        )
    },
    board("nucleo-h743zi", "Cortex-M7F (STM32H743)", "thumbv7em-none-eabihf", 2 * M, 128 * K, desk("STM32H743ZITx")),
    board("nrf52840-dk", "Cortex-M4F (nRF52840)", "thumbv7em-none-eabihf", M, 256 * K, desk("nRF52840_xxAA")),
    Board {
        needs_image_block: true,
        ..board("pico2", "Cortex-M33F (RP2350)", "thumbv8m.main-none-eabihf", 4 * M, 512 * K, desk("RP235x"))
    },
];

const fn board(
    name: &'static str,
    core: &'static str,
    target: &'static str,
    flash: u32,
    ram: u32,
    runs: Runs,
) -> Board {
    Board { name, core, target, cpu: None, flash, ram, needs_image_block: false, keeps_models: false, runs }
}

const fn emulated(icount_shift: u32, serial: u32) -> Runs {
    Runs::Emulated { icount_shift, serial }
}

const fn desk(chip: &'static str) -> Runs {
    Runs::OnDesk { chip }
}

/// The line is USART2.
const fn stm32f405(name: &'static str) -> Board {
    board(name, "Cortex-M4F (STM32F405)", "thumbv7em-none-eabihf", M, 192 * K, emulated(5, 1))
}

impl Board {
    /// Whether the runtime's loops are in the core's DSP or vector instructions.
    pub fn has_dsp(&self) -> bool {
        !self.target.starts_with("thumbv6m") && !self.target.starts_with("thumbv7m-")
    }

    /// Whether QEMU runs its firmware.
    pub fn is_emulated(&self) -> bool {
        matches!(self.runs, Runs::Emulated { .. })
    }

    /// QEMU's `-icount shift`.
    ///
    /// # Errors
    /// When QEMU does not emulate the board.
    pub fn icount_shift(&self) -> Result<u32> {
        Ok(self.in_qemu()?.0)
    }

    /// Which of QEMU's serial ports is the firmware's serial line.
    ///
    /// # Errors
    /// When QEMU does not emulate the board.
    pub fn serial(&self) -> Result<u32> {
        Ok(self.in_qemu()?.1)
    }

    fn in_qemu(&self) -> Result<(u32, u32)> {
        match self.runs {
            Runs::Emulated { icount_shift, serial } => Ok((icount_shift, serial)),
            Runs::OnDesk { .. } => {
                bail!(
                    "QEMU does not emulate {}; on the board itself, `kinglet device eval --port` runs images",
                    self.name
                )
            }
        }
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

/// The boards that QEMU emulates.
pub fn emulated_boards() -> impl Iterator<Item = &'static Board> {
    BOARDS.iter().filter(|board| board.is_emulated())
}
