//! What every step takes and gives: `cargo run --example observer`.

use std::time::Instant;

use kinglet::{Arena, Observer, Pixels, Session, StepEvent};

kinglet::model!(Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl"));
static ARENA: Arena<Digits> = Arena::new();
static DIGIT: &[u8; 8 * 8] = include_bytes!("../firmware/src/bin/digit.bin");

/// Prints every step; one that is streamed with others comes row by row.
struct Profiler(Instant);

impl Observer for Profiler {
    fn begin(&mut self, _step: usize) {
        self.0 = Instant::now();
    }

    fn end(&mut self, event: &StepEvent<'_>) {
        let (took, rows) = (self.0.elapsed(), event.rows());
        println!("{:3} us  rows {rows:?} of {} ({})", took.as_micros(), event.name(), event.kind().name());
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut session = Session::<Digits>::new(ARENA.take().ok_or("the arena was taken before")?);
    let output = session.start(Pixels(DIGIT))?.observe(Profiler(Instant::now())).finish()?;
    println!("class {:?}", output.best().map(|best| best.class));
    Ok(())
}
