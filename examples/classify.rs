//! Classifies a digit: `cargo run --example classify`.

use kinglet::{Arena, Pixels, Session};

kinglet::model!(Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl"));
static ARENA: Arena<Digits> = Arena::new();
static DIGIT: &[u8; 8 * 8] = include_bytes!("../firmware/src/bin/digit.bin");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut session = Session::<Digits>::new(ARENA.take().ok_or("the arena was taken before")?);
    let output = session.infer(Pixels(DIGIT))?;
    for best in output.top_k::<3>() {
        println!("{}: {:.1} %", best.label.unwrap_or("?"), 100.0 * best.probability);
    }
    Ok(())
}
