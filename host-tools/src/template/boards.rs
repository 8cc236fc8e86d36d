//! The boards that a firmware project can be made for.

use anyhow::{Result, bail};

/// A memory of a board.
#[derive(Debug, PartialEq, Eq)]
pub struct Memory {
    /// What its chip's manual calls it.
    pub name: &'static str,
    /// Its first address.
    pub at: u32,
    /// Its bytes.
    pub len: u32,
}

/// A board, and what a project for it has that others have not.
#[derive(Debug, PartialEq, Eq)]
pub struct Board {
    /// Its name.
    pub name: &'static str,
    /// A name of its chip, which stands for it too.
    pub alias: &'static str,
    /// What it is called in texts.
    pub title: &'static str,
    /// The Rust target.
    pub target: &'static str,
    /// `-Ctarget-cpu`, where it says more than the target.
    pub cpu: Option<&'static str>,
    /// probe-rs's name of the chip; none of what QEMU emulates.
    pub chip: Option<&'static str>,
    /// Its flash.
    pub flash: Memory,
    /// The memories that may hold arena and stack, the best first.
    pub ram: &'static [Memory],
    /// Dependencies of `board.rs`.
    pub dependencies: &'static str,
    /// `board.rs`.
    pub source: &'static str,
    /// What the linker is told besides.
    pub sections: &'static str,
}

const K: u32 = 1024;
const M: u32 = 1024 * K;

/// What boards on the desk log with.
macro_rules! with_logs {
    ($hal:literal) => {
        concat!("defmt = \"1.2.0\"\ndefmt-rtt = \"1.3.1\"\npanic-probe = { version = \"1.0.0\", features = [\"print-defmt\"] }\n", $hal)
    };
}

/// Every board.
pub const BOARDS: &[Board] = &[
    Board {
        name: "mps2-an386",
        alias: "qemu",
        title: "an emulated Cortex-M4 (QEMU's mps2-an386)",
        target: "thumbv7em-none-eabihf",
        cpu: None,
        chip: None,
        flash: Memory { name: "SSRAM1", at: 0, len: 4 * M },
        ram: &[Memory { name: "SSRAM2 and 3", at: 0x2000_0000, len: 4 * M }],
        dependencies: "semihosting = { version = \"0.1.25\", features = [\"stdio\"] }",
        source: include_str!("../../templates/firmware/boards/mps2-an386.rs"),
        sections: "",
    },
    Board {
        name: "nrf52840-dk",
        alias: "nrf52840",
        title: "Nordic's nRF52840-DK",
        target: "thumbv7em-none-eabihf",
        cpu: None,
        chip: Some("nRF52840_xxAA"),
        flash: Memory { name: "flash", at: 0, len: M },
        ram: &[Memory { name: "RAM", at: 0x2000_0000, len: 256 * K }],
        dependencies: with_logs!("embedded-hal = \"1.0.0\"\nnrf52840-hal = \"0.19.0\""),
        source: include_str!("../../templates/firmware/boards/nrf52840-dk.rs"),
        sections: "",
    },
    Board {
        name: "nucleo-f446re",
        alias: "stm32f446",
        title: "ST's NUCLEO-F446RE",
        target: "thumbv7em-none-eabihf",
        cpu: None,
        chip: Some("STM32F446RETx"),
        flash: Memory { name: "flash", at: 0x0800_0000, len: 512 * K },
        ram: &[Memory { name: "SRAM1 and 2", at: 0x2000_0000, len: 128 * K }],
        dependencies: with_logs!("stm32f4xx-hal = { version = \"0.23.0\", features = [\"stm32f446\"] }"),
        source: include_str!("../../templates/firmware/boards/nucleo-f446re.rs"),
        sections: "",
    },
    Board {
        name: "nucleo-h743zi",
        alias: "stm32h743",
        title: "ST's NUCLEO-H743ZI",
        target: "thumbv7em-none-eabihf",
        cpu: None,
        chip: Some("STM32H743ZITx"),
        flash: Memory { name: "flash", at: 0x0800_0000, len: 2 * M },
        ram: &[
            Memory { name: "tightly coupled memory", at: 0x2000_0000, len: 128 * K },
            Memory { name: "AXI SRAM", at: 0x2400_0000, len: 512 * K },
        ],
        dependencies: with_logs!("stm32h7xx-hal = { version = \"0.16.0\", features = [\"stm32h743v\"] }"),
        source: include_str!("../../templates/firmware/boards/nucleo-h743zi.rs"),
        sections: "",
    },
    Board {
        name: "pico2",
        alias: "rp2350",
        title: "the Raspberry Pi Pico 2",
        target: "thumbv8m.main-none-eabihf",
        cpu: Some("cortex-m33"),
        chip: Some("RP235x"),
        flash: Memory { name: "flash", at: 0x1000_0000, len: 4 * M },
        ram: &[Memory { name: "the striped banks", at: 0x2000_0000, len: 512 * K }],
        dependencies: with_logs!("embedded-hal = \"1.0.0\"\nrp235x-hal = { version = \"0.4.0\", features = [\"rt\"] }"),
        source: include_str!("../../templates/firmware/boards/pico2.rs"),
        sections: include_str!("../../templates/firmware/boards/pico2.x"),
    },
];

/// The board called `name`, or by its chip's.
///
/// # Errors
/// When there is none; the message names those that there are.
pub fn named(name: &str) -> Result<&'static Board> {
    match BOARDS.iter().find(|board| board.name == name || board.alias == name) {
        Some(board) => Ok(board),
        None => {
            let names: Vec<_> = BOARDS.iter().map(|board| board.name).collect();
            bail!("no template for a board `{name}`; there are {}", names.join(", "))
        }
    }
}
