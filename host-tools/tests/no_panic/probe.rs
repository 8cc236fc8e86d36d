//! A program that uses all of the runtime: checks a model file, runs it, ranks its outputs.
#![no_std]
#![no_main]

use kinglet::{Model, Session};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The entry point; everything it does not reach is dropped by the linker. Nobody runs it.
#[unsafe(export_name = "_start")]
pub fn start(file: &'static [u8], arena: &'static mut [u8], slow: Option<&'static mut [u8]>, pixels: &[u8]) -> usize {
    #[cfg(feature = "panics")]
    assert_eq!(pixels.len(), file.len());
    let Ok(model) = Model::new(file) else { return 0 };
    let session = match slow {
        Some(slow) => Session::split(model, arena, slow),
        None => Session::new(model, arena),
    };
    let Ok(mut session) = session else { return 1 };
    if session.set_pixels(pixels).is_err() {
        return 2;
    }
    session.run();
    let percent = session.probability(0) * 100.0;
    session.top_k::<3>().iter().map(|best| best.class).sum::<usize>().wrapping_add(percent as usize)
}
