//! A model with two outputs, the classes and what they were found by: `cargo run --example several_outputs`.
//!
//! `kinglet import` cut it out of a TensorFlow Lite file, with `--output` for each.

use kinglet::{Arena, Pixels, Session};

kinglet::model!(Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/several_outputs.kgl"));
static ARENA: Arena<Digits> = Arena::new();
static DIGIT: &[u8; 8 * 8] = include_bytes!("../firmware/src/bin/digit.bin");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut session = Session::<Digits>::new(ARENA.take().ok_or("the arena was taken before")?);
    let output = session.infer(Pixels(DIGIT))?;
    // The first output is what `infer` gives; the others are found by their names.
    let features = output.get("pool").ok_or("no output `pool`")?;
    println!("class {:?}", output.best().map(|best| best.class));
    println!("{} features, the largest {:?}", features.scores().count(), features.scores().reduce(f32::max));
    Ok(())
}
