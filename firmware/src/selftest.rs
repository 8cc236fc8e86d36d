//! Checks a device against itself and against the host: the clock, every operator, every kernel.
//!
//! The vectors (`selftest/vectors.bin`) are small models, one or more per operator, each with an input and the output that
//! the host's portable kernels compute for it. A test of the host tools makes them. Each model is checked by
//! `Model::new` on the device, runs on the device's kernels, and has to give the host's bytes; then both the device's and
//! the portable kernels run on pseudo-random inputs and have to agree.

#[cfg(not(feature = "microbit"))]
use kinglet::kernels::Portable;
use kinglet::kernels::{Active, Backend};
use kinglet::{Aligned, Arena, DType, Dynamic, Model, RawWith, Session, format::crc32};

use crate::{clock, fault, report};

/// All operators on two instruction sets are more than its flash; mps2-an385 compares the same code.
#[cfg(feature = "microbit")]
type Portable = Active;

/// Bytes of arena that the largest case may need; the host's test knows this number too.
pub const ARENA_LEN: usize = 4096;
/// The most output bytes of a case; the host's test knows this number too.
pub const OUTPUT_LEN: usize = 1024;

/// Pseudo-random inputs per case.
const RANDOM_INPUTS: u32 = 8;

static VECTORS: &Aligned<[u8]> = &Aligned(*include_bytes!("../selftest/vectors.bin"));
static ARENA: Arena<[u8; ARENA_LEN]> = Arena::new();
static OUTPUT: Arena<[u8; OUTPUT_LEN]> = Arena::new();

/// A model, an input, and the host's output, as bytes.
struct Case {
    model: &'static [u8],
    input: &'static [u8],
    output: &'static [u8],
}

/// Case `index`. The file starts with `KVEC` and the number of cases; then offset and length of model, input and output
/// of each.
fn case(index: u32) -> Option<Case> {
    let word = |at: usize| -> Option<usize> {
        let bytes = VECTORS.0.get(at..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes) as usize)
    };
    if index as usize >= word(4)? {
        return None;
    }
    let part = |number: usize| -> Option<&'static [u8]> {
        let at = 8 + index as usize * 24 + number * 8;
        let (start, len) = (word(at)?, word(at + 4)?);
        VECTORS.0.get(start..)?.get(..len)
    };
    Some(Case { model: part(0)?, input: part(1)?, output: part(2)? })
}

/// Runs all checks; the exit code.
pub fn selftest() -> i32 {
    report::board();
    let (Some(arena), Some(output)) = (ARENA.take(), OUTPUT.take()) else { return fault::FAILED };
    let mut failures = 0;
    if !clock_is_right() {
        failures += 1;
    }
    let mut index = 0;
    while let Some(case) = case(index) {
        match Model::new(case.model) {
            Ok(model) => failures += u32::from(!check(&model, &case, arena, output, index)),
            Err(error) => {
                failures += 1;
                defmt::error!("selftest result=fail what={} name=case {=u32}", error, index);
            }
        }
        index += 1;
    }
    defmt::info!("done cases={=u32} failures={=u32}", index, failures);
    if failures == 0 && index > 0 { fault::OK } else { fault::FAILED }
}

/// Counts loops of known length: of a few instructions, of a thousand, and over several wraps of the counter. What is
/// logged is the same for every board.
fn clock_is_right() -> bool {
    clock::start();
    let first = count(1);
    #[cfg(not(feature = "hardware"))]
    let right = [2, 3, 1000, 2_000_000, 5_000_000].into_iter().all(|turns| {
        let (counted, expected) = (count(turns) - first, 4 * (turns - 1));
        if counted != expected {
            defmt::error!("the clock counts {=u32} instructions instead of {=u32}", counted, expected);
        }
        counted == expected
    });
    // How many cycles a turn takes is the core's affair; ten times as many turns take ten times as long, within 1 %.
    #[cfg(feature = "hardware")]
    let right = [1000, 100_000, 10_000_000].into_iter().all(|turns| {
        let (some, more) = (count(turns).wrapping_sub(first), count(10 * turns).wrapping_sub(first));
        let right = some >= turns && u64::from(more).abs_diff(10 * u64::from(some)) <= u64::from(more) / 100;
        if !right {
            defmt::error!(
                "the clock counts {=u32} cycles for {=u32} turns, {=u32} for ten times that",
                some,
                turns,
                more
            );
        }
        right
    });
    defmt::info!("selftest result={=str} name=clock", if right { "pass" } else { "fail" });
    right
}

/// Counts a loop and what is around it: not inlined, for that to be the same for all.
#[inline(never)]
fn count(turns: u32) -> u32 {
    let before = clock::now();
    clock::spin(turns);
    clock::counted(clock::now().wrapping_sub(before))
}

fn check(model: &Model<'_>, case: &Case, arena: &mut [u8], kept: &mut [u8], seed: u32) -> bool {
    let operator = model.steps().last().map_or("", |step| step.kind().name());
    let given = |input: &mut [u8]| input.iter_mut().zip(case.input).for_each(|(to, &from)| *to = from);
    let first = infer::<Active, _>(model, arena, given, |output| (output == case.output, crc32(0, output)));
    let (passed, checksum) = first.unwrap_or((false, 0));
    let agreed = (0..RANDOM_INPUTS).all(|round| {
        let fill = |input: &mut [u8]| {
            random(input, seed << 16 | round);
            if model.input().dtype == DType::F16 {
                tame(input);
            }
        };
        let portable = infer::<Portable, _>(model, arena, fill, |output| match kept.get_mut(..output.len()) {
            Some(kept) => {
                kept.iter_mut().zip(output).for_each(|(kept, &element)| *kept = element);
                output.len()
            }
            None => 0,
        });
        let len = portable.unwrap_or(0);
        infer::<Active, _>(model, arena, fill, |output| len != 0 && Some(output) == kept.get(..len)) == Some(true)
    });
    let result = match (passed, agreed) {
        (true, true) => "pass",
        (false, true) => "differs-from-host",
        (false, false) => "differs-from-host-and-portable",
        (true, false) => "differs-from-portable",
    };
    defmt::info!(
        "selftest result={=str} op={=str} checksum={=u32:#010x} name={=str}",
        result,
        operator,
        checksum,
        model.name()
    );
    passed && agreed
}

/// Runs a model on a backend and looks at the output; `None` when the arena is too small.
fn infer<B: Backend, R>(
    model: &Model<'_>,
    arena: &mut [u8],
    fill: impl Fn(&mut [u8]),
    look: impl FnOnce(&[u8]) -> R,
) -> Option<R> {
    let mut session = Session::<Dynamic, B>::open_on(*model, arena).ok()?;
    Some(look(session.infer(RawWith(fill)).ok()?.bytes()))
}

/// Fills with a linear congruential sequence; now and then with the extremes of int8, which overflow narrow accumulators.
fn random(bytes: &mut [u8], seed: u32) {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    for byte in bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = match state >> 28 {
            0 => 0x80,
            1 => 0x7F,
            _ => (state >> 16) as u8,
        };
    }
}

/// Makes halves of bytes finite, and less than 2: of numbers that are none, processors give different ones.
fn tame(bytes: &mut [u8]) {
    bytes.iter_mut().skip(1).step_by(2).for_each(|high| *high &= !0x40);
}
