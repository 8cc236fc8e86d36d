//! A firmware image as the linker left it.

use anyhow::{Context, Result, bail, ensure};
use object::elf::SHF_ALLOC;
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, SectionFlags};

use super::Board;

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
    /// Bytes of statics in the second memory: the slow part of an arena.
    pub slow: u32,
}

/// The memories that an image was linked for (the table of boards), in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memories {
    /// Flash, or what stands in for it.
    pub flash: u32,
    /// RAM, that of the stack included.
    pub ram: u32,
    /// A second memory; 0 where there is none.
    pub slow: u32,
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
        let flash = file.segments().fold(0, |sum: u64, segment| sum.saturating_add(segment.file_range().1));
        let size = |names: &[&str]| -> u64 {
            let named = |section: &object::Section<'_, '_>| section.name().is_ok_and(|name| names.contains(&name));
            file.sections().filter(named).fold(0, |sum, section| sum.saturating_add(section.size()))
        };
        let (statics, slow) = (size(&[".data", ".bss", ".uninit"]), size(&[".slow"]));
        // Where there is no second memory, its statics are in RAM.
        let (statics, slow) =
            if symbol(&file, "_slow_size") == 0 { (statics.saturating_add(slow), 0) } else { (statics, slow) };
        let stack = symbol(&file, "_stack_start").saturating_sub(symbol(&file, "_stack_end"));
        Ok(Sizes { flash: flash as u32, statics: statics as u32, stack: stack as u32, slow: slow as u32 })
    }

    /// The memories that the image was linked for.
    ///
    /// # Errors
    /// When the file is broken.
    pub fn memories(&self) -> Result<Memories> {
        let file = object::File::parse(&*self.bytes)?;
        let [flash, ram, slow] = ["_flash_size", "_ram_size", "_slow_size"].map(|name| symbol(&file, name) as u32);
        Ok(Memories { flash, ram, slow })
    }

    /// Whether the chip starts the image: the vectors are where the core looks for them, and on chips whose boot ROM wants a description of the
    /// image, that is where it looks.
    ///
    /// # Errors
    /// When it does not.
    pub fn check_starts(&self) -> Result<()> {
        let file = object::File::parse(&*self.bytes)?;
        let origin = symbol(&file, "_flash_origin");
        let start = file
            .segments()
            .find(|segment| segment.address() == origin)
            .with_context(|| format!("the image does not begin at {origin:#x}, where the core starts"))?
            .data()?;
        let words: Vec<u32> = start.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word)).collect();
        let [stack, reset, ..] = words[..] else { bail!("the image has no vectors") };
        ensure!(u64::from(stack) == symbol(&file, "_stack_start"), "the first vector is no stack: {stack:#x}");
        let code = origin..origin.saturating_add(symbol(&file, "_flash_size"));
        ensure!(reset % 2 == 1 && code.contains(&reset.into()), "the reset vector is no code: {reset:#x}");
        if self.board.image_block {
            // The specification of the RP2350's boot ROM: a block within the first 4 KB, here of one item and alone.
            const IMAGE: [u32; 5] = [0xFFFF_DED3, 0x1021_0142, 0x0000_01FF, 0, 0xAB12_3579];
            let first = &words[..words.len().min(1024)];
            ensure!(first.windows(5).any(|block| block == IMAGE), "the boot ROM finds no description of the image");
        }
        Ok(())
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

/// A symbol's address, which is the value of those that the linker scripts define; 0 when there is none.
fn symbol(file: &object::File<'_>, name: &str) -> u64 {
    file.symbol_by_name(name).map_or(0, |symbol| symbol.address())
}
