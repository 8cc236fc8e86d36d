//! Two models that take turns in one arena, as large as the larger of them needs: `cargo run --example two_models`.

use kinglet::{Arena, Pixels, Session};

kinglet::model!(Small = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl"));
kinglet::model!(Wide = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-inception/digits-inception.kgl"));
static ARENA: Arena<[u8; Arena::most([Small::ARENA_LEN, Wide::ARENA_LEN])]> = Arena::new();
static DIGIT: &[u8; 8 * 8] = include_bytes!("../firmware/src/bin/digit.bin");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arena = ARENA.take().ok_or("the arena was taken before")?;
    // A session costs nothing to make: it only borrows.
    let first = Session::<Small>::new(arena).infer(Pixels(DIGIT))?.best().map(|best| best.class);
    let second = Session::<Wide>::new(arena).infer(Pixels(DIGIT))?.best().map(|best| best.class);
    println!("{first:?} and {second:?} in {} bytes", arena.len());
    Ok(())
}
