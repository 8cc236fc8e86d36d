//! A firmware image as the linker left it.

use anyhow::{Context, Result, bail};
use object::elf::SHF_ALLOC;
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, SectionFlags};

use super::board::Board;

/// A firmware image.
#[derive(Clone)]
pub struct Elf {
    /// The file.
    pub bytes: Vec<u8>,
    /// The board it was built for.
    pub board: &'static Board,
}

/// What an image takes of a board's memories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of flash: code, constants, vectors and initial values, the model included.
    pub flash: u32,
    /// Bytes of statics in RAM, the arena included.
    pub statics: u32,
    /// Bytes of RAM set aside for the stack.
    pub stack: u32,
}

impl Elf {
    /// An image that was built by this project's firmware, which says for which board.
    ///
    /// # Errors
    /// When the file is no ELF file, or does not say which board it is for.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        let file = object::File::parse(&*bytes).context("not an ELF file")?;
        let symbol = file.symbol_by_name("KINGLET_BOARD").context("no Kinglet firmware: no symbol KINGLET_BOARD")?;
        let (address, len) = (symbol.address(), symbol.size());
        let name = file
            .sections()
            .find_map(|section| section.data_range(address, len).ok().flatten())
            .context("the symbol KINGLET_BOARD names no data")?;
        let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
        let board = Board::named(&name)?;
        Ok(Self { bytes, board })
    }

    /// Bytes of flash and RAM that the image takes.
    ///
    /// # Errors
    /// When the file is broken.
    pub fn sizes(&self) -> Result<Sizes> {
        let file = object::File::parse(&*self.bytes)?;
        let flash = file.segments().map(|segment| segment.file_range().1).sum::<u64>();
        let statics: u64 = file
            .sections()
            .filter(|section| matches!(section.name(), Ok(".data" | ".bss" | ".uninit")))
            .map(|section| section.size())
            .sum();
        let address = |name| file.symbol_by_name(name).map(|symbol| symbol.address()).unwrap_or(0);
        let stack = address("_stack_start").saturating_sub(address("_stack_end"));
        Ok(Sizes { flash: flash as u32, statics: statics as u32, stack: stack as u32 })
    }

    /// Whether `part` is in the image exactly once, at a multiple of 16 in memory: how a model should be built in.
    ///
    /// # Errors
    /// When it is not.
    pub fn check_contains(&self, part: &[u8]) -> Result<()> {
        let file = object::File::parse(&*self.bytes)?;
        let mut addresses = Vec::new();
        for section in file.sections() {
            let allocated =
                matches!(section.flags(), SectionFlags::Elf { sh_flags } if sh_flags & u64::from(SHF_ALLOC) != 0);
            if allocated && section.size() >= part.len() as u64 {
                let data = section.data()?;
                let found = data.windows(part.len()).enumerate().filter(|(_, window)| *window == part);
                addresses.extend(found.map(|(at, _)| section.address() + at as u64));
            }
        }
        match addresses[..] {
            [address] if address % 16 == 0 => Ok(()),
            [address] => bail!("the model lies at {address:#x}, which is not a multiple of 16"),
            [] => bail!("the firmware does not hold this model"),
            _ => bail!("the firmware holds the model {} times", addresses.len()),
        }
    }
}
