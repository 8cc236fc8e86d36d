//! A residual block in several plans, written by hand: what the tests of the file, the verifier and the session use.

#![allow(dead_code)] // each test binary uses a part

use kinglet::format::layout::header;
use kinglet::format::{About, crc32};
use kinglet::memory::Region;
use kinglet::ops::{Add, Conv2d, ConvAlgorithm, Mean, Op};
use kinglet::write::{ModelSpec, PortSpec, StepSpec};
use kinglet::{
    Channel, ChannelOrder, Channels, Clamp, DType, Multiplier, Padding, PixelTables, Place, QuantParams, Rounding,
    Shape, Tensor, Window,
};

/// Height and width of the maps.
pub const SIZE: u32 = 8;
/// Channels of the maps.
pub const CHANNELS: u32 = 4;
/// Bytes of a map, and of one of its rows.
pub const MAP: u32 = SIZE * ROW;
const ROW: u32 = SIZE * CHANNELS;

const QUANT: QuantParams = QuantParams { scale: 0.05, zero_point: -3 };
/// Indices into the tensors of [`Block`].
pub const INPUT: usize = 0;
pub const FIRST: usize = 1;
pub const SECOND: usize = 2;
pub const SUM: usize = 3;
pub const MEAN: usize = 4;

/// Input, two convolutions, their sum with the input, the mean: tensors and steps that a test may bend.
pub struct Block {
    pub tensors: Vec<Tensor>,
    pub time_slots: Vec<u32>,
    pub scratch: Vec<Region>,
    pub arena_len: u32,
    pub fast_len: u32,
    pub labels: Vec<String>,
    weights: Vec<Vec<i8>>,
    channels: Vec<Vec<u8>>,
}

fn map(offset: u32, first: u32, last: u32) -> Tensor {
    Tensor {
        shape: Shape::new(SIZE, SIZE, CHANNELS),
        dtype: DType::I8,
        quant: QUANT,
        place: Place { offset, pitch: CHANNELS, rows: SIZE },
        first,
        ready: first,
        last,
        parent: None,
    }
}

impl Block {
    /// Every tensor and every scratch buffer has bytes of its own.
    pub fn apart() -> Self {
        let mean = Tensor {
            shape: Shape::vector(CHANNELS),
            place: Place { offset: 4 * MAP, pitch: CHANNELS, rows: 1 },
            ..map(0, 4, 5)
        };
        let patches = 2 * 9 * CHANNELS;
        let scratch = |at| Region { offset: 5 * MAP + at, len: patches };
        let weight = |seed: u32| {
            (0..9 * CHANNELS * CHANNELS)
                .map(move |i| ((i.wrapping_mul(seed) + 5).wrapping_mul(40_503) >> 7) as i8)
                .collect()
        };
        let table = || {
            let factor = Multiplier::from_real(0.004).unwrap();
            (0..CHANNELS).flat_map(|c| Channel { bias: 100 * c as i32 - 50, factor }.to_bytes()).collect()
        };
        Self {
            tensors: vec![map(0, 0, 3), map(MAP, 1, 2), map(2 * MAP, 2, 3), map(3 * MAP, 3, 4), mean],
            time_slots: vec![1, 2, 3, 4],
            scratch: vec![scratch(0), scratch(96), Region { offset: 0, len: 0 }, Region { offset: 0, len: 0 }],
            arena_len: 5 * MAP + 2 * 96,
            fast_len: 0,
            labels: ["a", "b", "c", "d"].map(String::from).to_vec(),
            weights: vec![weight(7919), weight(104_729)],
            channels: vec![table(), table()],
        }
    }

    /// The sum lies over the input, and the mean over the first convolution's output.
    pub fn in_place() -> Self {
        let mut block = Self::apart();
        block.tensors[SUM].place.offset = 0;
        block.tensors[MEAN].place.offset = MAP;
        block.scratch[0].offset = 3 * MAP;
        block.scratch[1].offset = 3 * MAP;
        block.arena_len = 3 * MAP + 96;
        block
    }

    /// Convolutions and addition run as a chain, with line buffers, over the rows of the input.
    pub fn streamed() -> Self {
        let mut block = Self::apart();
        block.time_slots = vec![1, 1, 1, 2];
        let line = |offset, rows| Tensor { place: Place { offset, pitch: CHANNELS, rows }, ..map(0, 1, 1) };
        block.tensors[INPUT].last = 1;
        block.tensors[FIRST] = line(MAP, 3);
        block.tensors[SECOND] = line(MAP + 3 * ROW, 1);
        block.tensors[SUM] = map(0, 1, 2);
        block.tensors[MEAN] = Tensor { first: 2, ready: 2, last: 3, ..block.tensors[MEAN] };
        block.tensors[MEAN].place.offset = MAP;
        block.scratch[0].offset = MAP + 4 * ROW;
        block.scratch[1].offset = MAP + 4 * ROW;
        block.arena_len = MAP + 4 * ROW + 96;
        block
    }

    /// The model file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let clamp = Clamp { min: -128, max: 127 };
        let rounding = Rounding::Double;
        let window = Window::new([3, 3], [1, 1], Padding::Same, [SIZE, SIZE]);
        let conv = |i: usize| {
            let channels = Channels::new(&self.channels[i]).unwrap();
            let algorithm = ConvAlgorithm::Direct;
            Op::Conv2d(Conv2d { algorithm, window, rounding, clamp, weights: (&self.weights[i]).into(), channels })
        };
        let ops = [
            ("first", conv(0), INPUT, None, FIRST),
            ("second", conv(1), FIRST, None, SECOND),
            (
                "sum",
                Op::Add(Add::new(QUANT, QUANT, QUANT, DType::I8, rounding, clamp).unwrap()),
                INPUT,
                Some(SECOND as u32),
                SUM,
            ),
            ("mean", Op::Mean(Mean::new(QUANT, QUANT, SIZE * SIZE, rounding).unwrap()), SUM, None, MEAN),
        ];
        let steps: Vec<_> = ops
            .into_iter()
            .zip(self.time_slots.iter().zip(&self.scratch))
            .map(|((name, op, a, b, output), (&time_slot, &scratch))| StepSpec {
                name,
                op,
                a: a as u32,
                b,
                output: output as u32,
                time_slot,
                scratch,
            })
            .collect();
        let table: [i8; 256] = core::array::from_fn(|i| (i as u8 ^ 0x80) as i8);
        ModelSpec {
            name: "block",
            arena_len: self.arena_len,
            fast_len: self.fast_len,
            inputs: &[PortSpec::input(INPUT as u32)],
            outputs: &[PortSpec::output(MEAN as u32)],
            states: &[],
            about: About::UNKNOWN,
            tensors: &self.tensors,
            steps: &steps,
            labels: &self.labels,
            pixels: Some(PixelTables { order: ChannelOrder::Grey, tables: &table, dtype: DType::I8 }),
        }
        .to_bytes()
    }
}

/// A small model that is right.
pub fn small_model() -> Vec<u8> {
    Block::in_place().to_bytes()
}

/// Puts the checksum of a changed file right, so that the change is seen by every other check.
pub fn seal(bytes: &mut [u8]) {
    let at = header::CHECKSUM as usize;
    let crc = crc32(crc32(0, &bytes[..at]), &bytes[at + 4..]);
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

/// A model's bytes at an address that a session takes, which those of a `Vec<u8>` need not have.
pub fn aligned<'m>(bytes: &[u8], memory: &'m mut Vec<u8>) -> &'m [u8] {
    let place = arena(memory, bytes.len());
    place.copy_from_slice(bytes);
    place
}

/// An arena for a test: `len` bytes from a multiple of 16 on. Not zero, so that a test sees what was never written.
pub fn arena(memory: &mut Vec<u8>, len: usize) -> &mut [u8] {
    memory.clear();
    memory.resize(len + 16, 0x5A);
    let start = memory.as_ptr().align_offset(16);
    &mut memory[start..start + len]
}
