//! A model whose memory lies in two places: `cargo run --example two_memories`.
//!
//! `kinglet export --fast 16K` plans for them: what is used most lies in the fast one. Other models take all of their
//! memory there, and none of the slow one.

use kinglet::{Arena, Fast, Pixels, Session, Slow};

kinglet::model!(Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl"));
// #[unsafe(link_section = ".dtcm")]
static FAST: Arena<Fast<Digits>> = Arena::new();
// #[unsafe(link_section = ".sram2")]
static SLOW: Arena<Slow<Digits>> = Arena::new();
static DIGIT: &[u8; 8 * 8] = include_bytes!("../firmware/src/bin/digit.bin");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (fast, slow) = FAST.take().zip(SLOW.take()).ok_or("the arenas were taken before")?;
    println!("{} bytes of fast memory, {} of slow memory", fast.len(), slow.len());
    let mut session = Session::<Digits>::split(fast, slow);
    println!("class {:?}", session.infer(Pixels(DIGIT))?.best().map(|best| best.class));
    Ok(())
}
