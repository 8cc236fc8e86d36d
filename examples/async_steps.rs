//! A network as an asynchronous task that yields after every step: `cargo run --example async_steps`.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use kinglet::{Arena, InferError, ModelType, Pixels, Progress, Session};

kinglet::model!(Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl"));
static ARENA: Arena<Digits> = Arena::new();
static DIGIT: &[u8; 8 * 8] = include_bytes!("../firmware/src/bin/digit.bin");

/// The class of an image.
async fn classify<M: ModelType>(session: &mut Session<'_, M>, image: &[u8]) -> Result<Option<usize>, InferError> {
    let mut inference = session.start(Pixels(image))?;
    while let Progress::More = inference.step() {
        yield_now().await;
    }
    Ok(inference.finish()?.best().map(|best| best.class))
}

/// Lets the other tasks of the executor run; those of embassy and others have a function like it.
async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut session = Session::<Digits>::new(ARENA.take().ok_or("the arena was taken before")?);
    let mut classify = pin!(classify(&mut session, DIGIT));
    // The smallest executor: it polls, and does something else in between.
    let mut context = Context::from_waker(Waker::noop());
    for turn in 0.. {
        if let Poll::Ready(class) = classify.as_mut().poll(&mut context) {
            println!("class {:?} after {turn} turns of everything else", class?);
            break;
        }
    }
    Ok(())
}
