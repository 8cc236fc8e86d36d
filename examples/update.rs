//! Updates in the field: a model in flash is replaced by a newer one that somebody signed, and runs from there; older ones, and others'
//! are refused, and the one in use goes on. `cargo run --example update`.

use ed25519_dalek::{Signer, SigningKey};
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use kinglet::format::About;
use kinglet::slots::{Mapped, SlotError, Slots, Stored};
use kinglet::{Arena, Model, Pixels, Session, signed, write};

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

/// What the application was built with: `kinglet sign` prints it.
fn public_key() -> [u8; 32] {
    signer().verifying_key().to_bytes()
}

/// The model in a slot, if it is signed, and of generation `least` or later.
fn open<'f>(stored: &Stored, flash: &'f Flash, least: u32) -> Option<Model<'f>> {
    signed::open_since(stored.slice(flash.mapped())?, &public_key(), least).ok()
}

/// Takes a file over the air, in chunks. Whenever the power goes, one whole model remains.
fn update(slots: &mut Slots<Flash>, file: &[u8]) -> Result<Stored, SlotError<OutOfBounds>> {
    // What is in use sets the least generation: nothing that was replaced comes back.
    let active = slots.active()?.and_then(|stored| open(&stored, slots.flash(), 0));
    let least = active.map_or(0, |model| model.about().generation);
    let mut update = slots.begin(file.len() as u32)?;
    file.chunks(512).try_for_each(|chunk| update.write(chunk))?;
    // Only now, and only if the check agrees, does the new one count.
    update.finish_if(|stored, flash| open(stored, flash, least).is_some())
}

/// Runs what a start finds: the newest model that is whole.
fn run(slots: &mut Slots<Flash>, arena: &mut [u8]) -> Result<(), Box<dyn std::error::Error>> {
    let stored = slots.active()?.ok_or("no model")?;
    let model = open(&stored, slots.flash(), 0).ok_or("not signed")?;
    let class = Session::open(model, arena)?.infer(Pixels(DIGIT))?.best().map(|best| best.class);
    println!("{}, generation {}: class {class:?}", model.name(), model.about().generation);
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arena = ARENA.take().ok_or("the arena was taken before")?;
    let mut slots = Slots::new(Flash([0xFF; 2 * SLOT]), 0, SLOT as u32)?;
    let other = SigningKey::from_bytes(&[9; 32]);
    for (name, generation, key) in [
        ("digits-resnet", 1, &signer()),
        ("digits-inception", 2, &signer()),
        ("digits-resnet", 1, &signer()),
        ("digits-resnet", 3, &other),
    ] {
        match update(&mut slots, &sign(name, generation, key)?) {
            Ok(_) => println!("{name}, generation {generation}: taken"),
            Err(error) => println!("{name}, generation {generation}: {error}"),
        }
        run(&mut slots, arena)?;
    }
    Ok(())
}

/// The key of whoever makes the models: on the desk, never on the device.
fn signer() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// What `kinglet sign MODEL --key FILE --generation N` writes.
fn sign(name: &str, generation: u32, key: &SigningKey) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let file = std::fs::read(format!("{}/models/{name}/{name}.kgl", env!("CARGO_MANIFEST_DIR")))?;
    let model: Model<'_> = Model::new(&file)?;
    let mut file = write::encode(&model, About { generation, ..model.about() });
    file.extend(key.sign(&file).to_bytes());
    Ok(file)
}
