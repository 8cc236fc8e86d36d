//! A model that is replaced in flash, and runs from there: `cargo run --example update`.

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use kinglet::slots::{Mapped, Slots};
use kinglet::{Arena, Model, Pixels, Session};

static ARENA: Arena<[u8; 16 * 1024]> = Arena::new();
static DIGIT: &[u8; 8 * 8] = include_bytes!("../firmware/src/bin/digit.bin");

const SLOT: usize = 64 * 1024;

/// Flash in the memory of this computer; a chip's own crate has a driver.
#[repr(align(16))]
struct Flash([u8; 2 * SLOT]);

#[derive(Debug)]
struct OutOfBounds;

impl NorFlashError for OutOfBounds {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::OutOfBounds
    }
}

impl ErrorType for Flash {
    type Error = OutOfBounds;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), OutOfBounds> {
        bytes.copy_from_slice(
            self.0.get(offset as usize..).and_then(|rest| rest.get(..bytes.len())).ok_or(OutOfBounds)?,
        );
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), OutOfBounds> {
        self.0.get_mut(from as usize..to as usize).ok_or(OutOfBounds)?.fill(0xFF);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), OutOfBounds> {
        let place =
            self.0.get_mut(offset as usize..).and_then(|rest| rest.get_mut(..bytes.len())).ok_or(OutOfBounds)?;
        place.iter_mut().zip(bytes).for_each(|(to, &from)| *to &= from);
        Ok(())
    }
}

impl Mapped for Flash {
    fn mapped(&self) -> &[u8] {
        &self.0
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arena = ARENA.take().ok_or("the arena was taken before")?;
    let mut slots = Slots::new(Flash([0xFF; 2 * SLOT]), 0, SLOT as u32)?;
    for path in ["models/digits-resnet/digits-resnet.kgl", "models/digits-inception/digits-inception.kgl"] {
        // Over the air, in chunks; whenever the power goes, one whole model remains.
        let file = std::fs::read(format!("{}/{path}", env!("CARGO_MANIFEST_DIR")))?;
        let mut update = slots.begin(file.len() as u32)?;
        file.chunks(512).try_for_each(|chunk| update.write(chunk))?;
        update.finish()?;

        // After a start: the newest model that is whole, in place.
        let stored = slots.active()?.ok_or("no model")?;
        let model: Model<'_> = Model::new(stored.slice(slots.flash().mapped()).ok_or("no model")?)?;
        let mut session = Session::open(model, arena)?;
        let class = session.infer(Pixels(DIGIT))?.best().map(|best| best.class);
        println!("{}, generation {}: class {class:?}", model.name(), stored.generation);
    }
    Ok(())
}
