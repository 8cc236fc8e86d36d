//! A network beside a control loop that never waits for more than a row of a step: `cargo run --example control_loop`.

use kinglet::{Arena, Pixels, Progress, Session};

kinglet::model!(Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl"));
static ARENA: Arena<Digits> = Arena::new();
static DIGIT: &[u8; 8 * 8] = include_bytes!("../firmware/src/bin/digit.bin");

/// A motor that is kept at a speed.
#[derive(Default)]
struct Motor {
    speed: f32,
    turns: u32,
}

impl Motor {
    fn control(&mut self) {
        self.speed += 0.1 * (100.0 - self.speed);
        self.turns += 1;
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut session = Session::<Digits>::new(ARENA.take().ok_or("the arena was taken before")?);
    let mut motor = Motor::default();
    let mut inference = session.start(Pixels(DIGIT))?;
    while let Progress::More = inference.rows(1) {
        motor.control();
    }
    let best = inference.finish()?.best().ok_or("a model without classes")?;
    println!("class {}; meanwhile {} turns of control, speed {:.1}", best.class, motor.turns, motor.speed);
    Ok(())
}
