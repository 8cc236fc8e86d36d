//! Classifies a set of images: the embedded one (`KINGLET_IMAGES`), or the host's `inputs.bin`.
#![no_std]
#![no_main]

use kinglet::Arena;
use kinglet_firmware::{fault, infer::infer, start};

kinglet_firmware::model!(Network);
static FRAME: Arena<[u8; Network::MODEL.input_bytes()]> = Arena::new();

#[cortex_m_rt::entry]
fn main() -> ! {
    start();
    let (Some(arena), Some(frame)) = (kinglet_firmware::arena!(Network), FRAME.take()) else {
        fault::exit(fault::FAILED)
    };
    fault::exit(infer::<Network>(arena, frame))
}
