//! A board that is not in the table: a chip by its name, and its memories.

use anyhow::{Context, Result, bail, ensure};

use super::{Board, Memory, STACK};
use crate::words;

/// Cores by name, with the Rust target, and `-Ctarget-cpu` where it says more.
const CORES: [(&str, &str, Option<&str>); 8] = [
    ("m0", "thumbv6m-none-eabi", None),
    ("m3", "thumbv7m-none-eabi", None),
    ("m4", "thumbv7em-none-eabi", None),
    ("m4f", "thumbv7em-none-eabihf", None),
    ("m7f", "thumbv7em-none-eabihf", None),
    ("m33", "thumbv8m.main-none-eabi", None),
    ("m33f", "thumbv8m.main-none-eabihf", None),
    ("m55", "thumbv8m.main-none-eabihf", Some("cortex-m55")),
];

/// What chips' names begin with, their core, and where their flash begins; the longest beginning counts.
const FAMILIES: [(&str, &str, u32); 25] = [
    ("stm32c0", "m0", 0x0800_0000),
    ("stm32f0", "m0", 0x0800_0000),
    ("stm32f1", "m3", 0x0800_0000),
    ("stm32f2", "m3", 0x0800_0000),
    ("stm32f3", "m4f", 0x0800_0000),
    ("stm32f4", "m4f", 0x0800_0000),
    ("stm32f7", "m7f", 0x0800_0000),
    ("stm32g0", "m0", 0x0800_0000),
    ("stm32g4", "m4f", 0x0800_0000),
    ("stm32h5", "m33f", 0x0800_0000),
    ("stm32h7", "m7f", 0x0800_0000),
    ("stm32l0", "m0", 0x0800_0000),
    ("stm32l1", "m3", 0x0800_0000),
    ("stm32l4", "m4f", 0x0800_0000),
    ("stm32l5", "m33f", 0x0800_0000),
    ("stm32u5", "m33f", 0x0800_0000),
    ("stm32wb", "m4f", 0x0800_0000),
    ("stm32wba", "m33f", 0x0800_0000),
    ("nrf51", "m0", 0),
    ("nrf52", "m4f", 0),
    ("nrf53", "m33f", 0),
    ("nrf54l", "m33f", 0),
    ("nrf91", "m33f", 0),
    ("atsamd21", "m0", 0),
    ("atsamd51", "m4f", 0),
];

/// Where a chip's first RAM lies, unless it is said.
const RAM: u32 = 0x2000_0000;

impl Board {
    /// A chip as probe-rs calls it, with memories like `256K` or `256K@0x08000000`; its core, and where its flash begins, follow
    /// from its name where the family is known.
    ///
    /// # Errors
    /// When they do not, or a memory is no size; the message says what would be right.
    pub fn of_chip(chip: &str, core: Option<&str>, flash: &str, ram: &str) -> Result<Board> {
        let usable = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        ensure!(!chip.is_empty() && chip.chars().all(usable), "`{chip}` is no chip's name, like STM32L432KC");
        let lower = chip.to_lowercase();
        let family =
            FAMILIES.iter().filter(|(begin, ..)| lower.starts_with(begin)).max_by_key(|(begin, ..)| begin.len());
        let cores = || CORES.map(|(name, ..)| name).join(", ");
        let core = core.or(family.map(|(_, core, _)| *core));
        let core =
            core.with_context(|| format!("the core of {chip} is not known here: give --core, one of {}", cores()))?;
        let (core, target, cpu) = CORES
            .into_iter()
            .find(|(name, ..)| words::same(name, core) || words::same(&format!("cortex-{name}"), core))
            .with_context(|| format!("no core called `{core}`; there are {}", cores()))?;
        let flash_at = family.map(|(.., at)| *at);
        let named = |text: String| -> &'static str { text.leak() };
        let chip = named(chip.to_owned());
        Ok(Board {
            name: chip,
            alias: None,
            title: chip,
            core: named(format!("Cortex-{}", core.to_uppercase())),
            target,
            cpu,
            chip: Some(chip),
            qemu: None,
            flash: memory("flash", flash, flash_at)?,
            ram: vec![memory("RAM", ram, Some(RAM)).and_then(|ram| {
                ensure!(ram.bytes() > STACK, "--ram: more than {STACK} bytes are needed for the stack alone");
                Ok(ram)
            })?],
            stack: None,
            models_kb: None,
            image_block: false,
            driver: None,
            _constants: None,
            dependencies: Some(
                "defmt = \"1.2.0\"\ndefmt-rtt = \"1.3.1\"\n\
                 panic-probe = { version = \"1.0.0\", features = [\"print-defmt\"] }",
            ),
            rtic: None,
            sections: "",
            speed: None,
        })
    }
}

/// A memory like `256K` or `256K@0x08000000`; `at` is where it begins if that is not said.
fn memory(name: &'static str, text: &str, at: Option<u32>) -> Result<Memory> {
    let (size, begin) = text.split_once('@').map_or((text, None), |(size, begin)| (size, Some(begin)));
    let bytes = words::bytes(size).map_err(|error| anyhow::anyhow!("--{}: {error}", name.to_lowercase()))?;
    ensure!(bytes >= 1024, "--{}: `{size}` is less than 1K", name.to_lowercase());
    let at = match (begin, at) {
        (Some(begin), _) => {
            let digits = begin.strip_prefix("0x").unwrap_or(begin).replace('_', "");
            u32::from_str_radix(&digits, 16).with_context(|| format!("`{begin}` is no address, like 0x08000000"))?
        }
        (None, Some(at)) => at,
        (None, None) => bail!("where the {name} begins is not known here: give --{name} {size}@0x08000000, say"),
    };
    Ok(Memory { name, at, kb: bytes / 1024 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_known() {
        let board = Board::of_chip("STM32L432KC", None, "256K", "64K").unwrap();
        assert_eq!(
            (board.target, board.flash.at, board.flash.bytes()),
            ("thumbv7em-none-eabihf", 0x0800_0000, 256 << 10)
        );
        assert_eq!((board.ram[0].at, board.ram[0].bytes()), (RAM, 64 << 10));
        assert_eq!(Board::of_chip("STM32WBA52CG", None, "1M", "128K").unwrap().core, "Cortex-M33F");
        let board = Board::of_chip("MIMXRT1010", Some("cortex-m7f"), "16M@0x6000_0000", "64K@0x20000000").unwrap();
        assert_eq!((board.flash.at, board.has_assembler()), (0x6000_0000, true));
    }

    #[test]
    fn what_is_not_known_is_asked_for() {
        let error = |chip, core, flash, ram| Board::of_chip(chip, core, flash, ram).unwrap_err().to_string();
        assert!(error("ABC1", None, "256K", "64K").contains("--core, one of m0, m3"));
        assert!(error("ABC1", Some("m4f"), "256K", "64K").contains("--flash 256K@0x08000000"));
        assert!(error("STM32F4", Some("a53"), "256K", "64K").contains("`a53`; there are m0"));
        assert!(error("STM32F4", None, "big", "64K").contains("--flash: `big`"));
        assert!(error("STM32F4", None, "256K", "4K").contains("--ram"));
        assert!(error("STM32F4", None, "256K@top", "64K").contains("`top` is no address"));
        assert!(error("a b", None, "256K", "64K").contains("no chip's name"));
    }
}
