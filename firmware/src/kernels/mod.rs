//! The kernels by themselves: [`blocks`] compares them with their definitions, [`bench`](mod@bench) counts instructions,
//! [`float16`] those of halves.

mod bench;
mod blocks;
mod float16;

use kinglet::Arena;
use kinglet::sys::cast::{as_i8_mut, i8_as_words_mut};

use crate::{clock, fault, report};

static INPUT: Arena<[u8; 65_536]> = Arena::new();
static WEIGHTS: Arena<[u8; 300_032]> = Arena::new();
static OUTPUT: Arena<[u8; 65_536]> = Arena::new();
static SCRATCH: Arena<[u8; 24_576]> = Arena::new();

/// Memory for kernels to work on, in words.
struct Buffers {
    input: &'static mut [u32],
    weights: &'static mut [u32],
    output: &'static mut [u32],
    scratch: &'static mut [u32],
}

/// Pseudo-random numbers, often extreme ones.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// A number below `end`.
    fn below(&mut self, end: u32) -> usize {
        ((u64::from(self.next()) * u64::from(end)) >> 32) as usize
    }

    /// A word of four bytes or two halves.
    fn word(&mut self) -> u32 {
        match self.below(8) {
            0 => 0x8080_8080,
            1 => 0x7f7f_7f7f,
            2 => 0x8000_7fff,
            _ => self.next(),
        }
    }
}

/// The words of an arena, the first time.
fn words<const N: usize>(arena: &'static Arena<[u8; N]>) -> Option<&'static mut [u32]> {
    arena.take().map(|bytes| i8_as_words_mut(as_i8_mut(bytes)))
}

/// Compares and counts; the exit code.
pub fn run() -> i32 {
    report::board();
    let (Some(input), Some(weights), Some(output), Some(scratch)) =
        (words(&INPUT), words(&WEIGHTS), words(&OUTPUT), words(&SCRATCH))
    else {
        return fault::FAILED;
    };
    let mut buffers = Buffers { input, weights, output, scratch };
    let differences = blocks::compare(&mut buffers);
    defmt::info!("blocks differences={=u32}", differences);
    clock::start();
    bench::all(&mut buffers);
    float16::all(&mut buffers);
    if differences == 0 { fault::OK } else { fault::FAILED }
}
