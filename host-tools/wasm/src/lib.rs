//! The runtime as a WebAssembly module, for pages: a model in its memory, whose every layer can be seen.
//!
//! An instance of the module is one model, as a chip is: a page makes another instance for another model, and forgets it as a
//! whole. What the functions take and give are handles, which the page hands back as it got them, numbers, and addresses
//! in the module's memory. `host-tools/page/runner.js` is the other side.
//!
//! Nothing here is unsafe but the names that the page sees and the memory that grows ([`memory`]).
#![no_std]

extern crate alloc;

mod memory;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use kinglet::{Input, Model, Observer, Pixels, Raw, Session, StepEvent};

/// A model file, which the page writes, and what is wrong with it.
#[derive(Debug)]
pub struct File {
    bytes: Vec<u8>,
    error: String,
}

/// A model that runs.
#[derive(Debug)]
pub struct Player {
    session: Session<'static>,
    /// The pixels or the elements of the next inference.
    input: Vec<u8>,
    /// The elements of all outputs.
    output: Vec<u8>,
    seen: Seen,
}

/// What an observed inference has computed.
#[derive(Debug, Default)]
struct Seen {
    /// The output of each step, `H x W x C`, without the gaps that it has in the arena.
    maps: Vec<Vec<u8>>,
    /// The calls in their order: step, first row, end.
    calls: Vec<[u32; 3]>,
}

impl Observer for &mut Seen {
    fn end(&mut self, event: &StepEvent<'_>) {
        let (tensor, rows) = (event.tensor(), event.rows());
        self.calls.push([event.index() as u32, rows.start, rows.end]);
        let pixel = tensor.pixel_bytes().max(1) as usize;
        let start = rows.start as usize * tensor.shape.w as usize * pixel;
        let map = self.maps.get_mut(event.index()).and_then(|map| map.get_mut(start..));
        let to = map.into_iter().flat_map(|map| map.chunks_exact_mut(pixel));
        to.zip(event.pixels()).for_each(|(to, from)| to.copy_from_slice(from));
    }
}

/// Room for a model file of `len` bytes.
#[unsafe(no_mangle)]
pub extern "C" fn file(len: usize) -> &'static mut File {
    Box::leak(Box::new(File { bytes: vec![0; len], error: String::new() }))
}

/// Where the page writes the file.
#[unsafe(no_mangle)]
pub extern "C" fn file_at(file: &mut File) -> *mut u8 {
    file.bytes.as_mut_ptr()
}

/// Checks the file; null when it is no model.
#[unsafe(no_mangle)]
pub extern "C" fn open(file: &'static mut File) -> Option<&'static mut Player> {
    let File { bytes, error } = file;
    match opened(bytes) {
        Ok(player) => Some(Box::leak(Box::new(player))),
        Err(fault) => {
            *error = fault;
            None
        }
    }
}

/// What is wrong with a file that did not open, as UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn error_at(file: &File) -> *const u8 {
    file.error.as_ptr()
}

/// Bytes of [`error_at`].
#[unsafe(no_mangle)]
pub extern "C" fn error_len(file: &File) -> usize {
    file.error.len()
}

fn opened(bytes: &'static [u8]) -> Result<Player, String> {
    let model = Model::new(bytes).map_err(|error| error.to_string())?;
    let arena = vec![0; model.arena_len()].leak();
    let session = Session::open(model, arena).map_err(|error| error.to_string())?;
    let map = |step: kinglet::Step<'_>| {
        let tensor = step.tensors.output;
        vec![0; tensor.shape.len() as usize * tensor.dtype.size() as usize]
    };
    Ok(Player {
        session,
        input: vec![0; model.input_bytes()],
        output: vec![0; model.output_bytes()],
        seen: Seen { maps: model.steps().map(map).collect(), calls: Vec::new() },
    })
}

/// Where the page writes the input: pixels of the first input, or the bytes of all inputs' elements.
#[unsafe(no_mangle)]
pub extern "C" fn input_at(player: &mut Player) -> *mut u8 {
    player.input.as_mut_ptr()
}

/// The most bytes of an input.
#[unsafe(no_mangle)]
pub extern "C" fn input_len(player: &Player) -> usize {
    player.input.len()
}

/// Runs the model on the first `len` bytes of the input, pixels or elements; whether it ran. An inference that is observed leaves its
/// maps and calls.
#[unsafe(no_mangle)]
pub extern "C" fn infer(player: &mut Player, len: usize, pixels: bool, observed: bool) -> bool {
    let Player { session, input, output, seen } = player;
    let Some(input) = input.get(..len) else { return false };
    let seen = observed.then_some(seen);
    match pixels {
        true => run(session, Pixels(input), seen, output),
        false => run(session, Raw(input), seen, output),
    }
    .is_some()
}

fn run(session: &mut Session<'static>, input: impl Input, seen: Option<&mut Seen>, output: &mut [u8]) -> Option<()> {
    let inference = session.start(input).ok()?;
    let outputs = match seen {
        Some(seen) => {
            seen.calls.clear();
            inference.observe(seen).finish()
        }
        None => inference.finish(),
    };
    let bytes = outputs.ok()?.all().flat_map(|output| output.bytes());
    output.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    Some(())
}

/// Forgets what states have kept of earlier inferences.
#[unsafe(no_mangle)]
pub extern "C" fn reset(player: &mut Player) {
    player.session.reset();
}

/// The elements of all outputs, one after the other.
#[unsafe(no_mangle)]
pub extern "C" fn output_at(player: &Player) -> *const u8 {
    player.output.as_ptr()
}

/// Bytes of [`output_at`].
#[unsafe(no_mangle)]
pub extern "C" fn output_len(player: &Player) -> usize {
    player.output.len()
}

/// How many steps there are.
#[unsafe(no_mangle)]
pub extern "C" fn steps(player: &Player) -> usize {
    player.seen.maps.len()
}

/// The map that a step has computed, `H x W x C` elements; null past the last.
#[unsafe(no_mangle)]
pub extern "C" fn map_at(player: &Player, step: usize) -> *const u8 {
    player.seen.maps.get(step).map_or(core::ptr::null(), |map| map.as_ptr())
}

/// Bytes of [`map_at`].
#[unsafe(no_mangle)]
pub extern "C" fn map_len(player: &Player, step: usize) -> usize {
    player.seen.maps.get(step).map_or(0, Vec::len)
}

/// The calls of the observed inference, three words each: step, first row, end.
#[unsafe(no_mangle)]
pub extern "C" fn calls_at(player: &Player) -> *const u32 {
    player.seen.calls.as_flattened().as_ptr()
}

/// How many calls.
#[unsafe(no_mangle)]
pub extern "C" fn calls(player: &Player) -> usize {
    player.seen.calls.len()
}
