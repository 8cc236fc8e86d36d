//! A model that remembers, an input after the other: `cargo run --example streaming`.
//!
//! It adds up how fast something turns about three axes, in degrees per step. Wake words and the like are such models, too: their states
//! last from one slice of sound to the next.

use kinglet::{Arena, Session};

kinglet::model!(Angles = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/streaming.kgl"));
static ARENA: Arena<Angles> = Arena::new();

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut session = Session::<Angles>::new(ARENA.take().ok_or("the arena was taken before")?);
    for _ in 0..4 {
        let angles = session.infer([1.5f32, 0.0, -0.5].as_slice())?;
        println!("{:?}", angles.scores().collect::<Vec<_>>());
    }
    // From the beginning.
    session.reset();
    println!("{:?}", session.infer([1.0f32, 1.0, 1.0].as_slice())?.scores().collect::<Vec<_>>());
    Ok(())
}
