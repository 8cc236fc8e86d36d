//! Changes of a model file that know its structure, so that they reach behind the first checks of `Model::new`.

use kinglet::format::crc32;
use kinglet::format::layout::{Section, header, port, step, tensor};

use super::random::Random;
use super::seeds;

/// The most bytes of a file that is changed here.
pub const MAX_LEN: usize = 1 << 17;

/// Offsets and bounds that are seldom right.
const EXTREMES: [u32; 16] =
    [0, 1, 2, 3, 4, 8, 16, 0x7F, 0x80, 0xFFFF, 1 << 16, 1 << 20, 1 << 28, i32::MAX as u32, i32::MIN as u32, u32::MAX];

/// A file that is no model becomes one of the [`seeds`], one that is gets some of its words changed, by their meaning. Length and
/// checksum are put right, but for one file in 64.
pub fn mutate(file: &mut Vec<u8>, random: &mut Random) {
    if !is_model(file) || random.one_in(256) {
        *file = seeds::model(random.below(seeds::count())).to_vec();
    }
    for _ in 0..1 + random.below(4) {
        change(file, random);
    }
    if !random.one_in(64) {
        seal(file);
    }
}

/// Whether it begins as a model does, so that [`mutate`] finds its parts.
pub fn is_model(file: &[u8]) -> bool {
    file.starts_with(b"KNGL") && (header::SIZE as usize..=MAX_LEN).contains(&file.len())
}

/// Gives a file the length and the checksum of its bytes.
pub fn seal(file: &mut [u8]) {
    set(file, header::LENGTH as usize, file.len() as u32);
    let at = header::CHECKSUM as usize;
    if let (Some(before), Some(after)) = (file.get(..at), file.get(at + 4..)) {
        let crc = crc32(crc32(0, before), after);
        set(file, at, crc);
    }
}

pub(super) fn get(file: &[u8], at: usize) -> u32 {
    file.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

pub(super) fn set(file: &mut [u8], at: usize, value: u32) {
    if let Some(bytes) = file.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *bytes = value.to_le_bytes();
    }
}

/// Where a section lies, cut to the file.
pub(super) fn section(file: &[u8], section: Section) -> std::ops::Range<usize> {
    let at = section.entry() as usize;
    let start = (get(file, at) as usize).min(file.len());
    start..start.saturating_add(get(file, at + 4) as usize).min(file.len())
}

/// Where the records of a section begin.
pub(super) fn records(file: &[u8], of: Section, size: u32) -> Vec<usize> {
    let range = section(file, of);
    range.clone().step_by(size as usize).filter(|at| at + size as usize <= range.end).collect()
}

fn tensors(file: &[u8]) -> Vec<usize> {
    records(file, Section::Tensors, tensor::SIZE)
}

fn steps(file: &[u8]) -> Vec<usize> {
    records(file, Section::Steps, step::SIZE)
}

fn change(file: &mut Vec<u8>, random: &mut Random) {
    match random.below(21) {
        0..5 => word_of_a_record(file, random, Section::Tensors, tensor::SIZE, tensor::RESERVED),
        5..8 => word_of_a_record(file, random, Section::Steps, step::SIZE, step::RESERVED),
        8..11 => word_of(file, random, Section::Params),
        11 => word_of(file, random, Section::Weights),
        12 => bytes_of_weights(file, random),
        13 => word_of_the_header(file, random),
        14 => everywhere(file, random),
        15 => another_type(file, random),
        16 => another_time_slot(file, random),
        17 => another_place(file, random),
        18 => other_parameters(file, random),
        19 => word_of_a_record(file, random, Section::Ports, port::SIZE, port::RESERVED),
        _ => any_bytes(file, random),
    }
}

/// Another value for a word that has `old`: near it, an extreme, or one that an equal field has elsewhere.
fn another(old: u32, elsewhere: u32, random: &mut Random) -> u32 {
    match random.below(8) {
        0 => old.wrapping_add(random.below(9) as u32).wrapping_sub(4),
        1 => old.wrapping_add(16 * random.below(9) as u32).wrapping_sub(64),
        2 => elsewhere,
        3 => EXTREMES[random.below(EXTREMES.len())],
        4 => old ^ 1 << random.below(32),
        5 => old << 1,
        6 => random.below(64) as u32,
        _ => random.word() >> random.below(32),
    }
}

/// A word of a record; other records have the same field.
fn word_of_a_record(file: &mut [u8], random: &mut Random, of: Section, size: u32, fields: u32) {
    let all = records(file, of, size);
    // Reserved words are seldom worth a try.
    let fields = if random.one_in(32) { size } else { fields };
    let field = 4 * random.below(fields as usize / 4);
    if let (Some(&one), Some(&other)) = (random.pick(&all), random.pick(&all)) {
        let new = another(get(file, one + field), get(file, other + field), random);
        set(file, one + field, new);
    }
}

/// Any word of a section.
fn word_of(file: &mut [u8], random: &mut Random, of: Section) {
    let words: Vec<usize> = section(file, of).step_by(4).collect();
    if let (Some(&one), Some(&other)) = (random.pick(&words), random.pick(&words)) {
        let new = another(get(file, one), get(file, other), random);
        set(file, one, new);
    }
}

fn word_of_the_header(file: &mut [u8], random: &mut Random) {
    let at = 4 * random.below(header::SIZE_2 as usize / 4);
    let new = another(get(file, at), file.len() as u32, random);
    set(file, at, new);
}

/// Some weights or table entries become extremes or one byte over and over.
fn bytes_of_weights(file: &mut [u8], random: &mut Random) {
    let range = section(file, Section::Weights);
    let start = range.start + random.below(range.len());
    let most = if random.one_in(4) { range.len() } else { 16 };
    let len = 1 + random.below(most);
    let byte = [0, 1, 0x7F, 0x80, 0x81, 0xFF, 0x7C, random.word() as u8][random.below(8)];
    file[start.min(range.end)..start.saturating_add(len).min(range.end)].fill(byte);
}

/// A number of pixels, channels or bytes changes wherever tensors, steps and parameters have it.
fn everywhere(file: &mut [u8], random: &mut Random) {
    let all = tensors(file);
    let Some(&one) = random.pick(&all) else { return };
    let field = [0, 4, 8, tensor::PITCH, tensor::ROWS][random.below(5)] as usize;
    let old = get(file, one + field);
    let new = match random.below(3) {
        0 => old.wrapping_add(1),
        1 => old.saturating_sub(1),
        _ => 1 + random.below(40) as u32,
    };
    let parameters = random.one_in(2).then(|| section(file, Section::Params).step_by(4));
    let fields = |at: usize| [0, 4, 8, tensor::PITCH as usize, tensor::ROWS as usize].map(|field| at + field);
    let words: Vec<usize> = all.into_iter().flat_map(fields).chain(parameters.into_iter().flatten()).collect();
    words
        .into_iter()
        .filter(|&at| get(file, at) == old)
        .collect::<Vec<_>>()
        .into_iter()
        .for_each(|at| set(file, at, new));
    // A larger tensor needs a larger arena; where the others lie is left to luck.
    let arena = get(file, header::ARENA as usize);
    set(file, header::ARENA as usize, arena.saturating_mul(1 + random.below(4) as u32));
}

/// All tensors of another element type, with its size in bytes.
fn another_type(file: &mut [u8], random: &mut Random) {
    let dtype = random.below(3) as u32;
    let only = random.one_in(3).then(|| random.below(tensors(file).len()));
    for (index, at) in tensors(file).into_iter().enumerate() {
        if only.is_some_and(|only| only != index) {
            continue;
        }
        let old = get(file, at + tensor::DTYPE as usize);
        set(file, at + tensor::DTYPE as usize, dtype);
        if dtype == 2 {
            set(file, at + tensor::SCALE as usize, 1f32.to_bits());
        }
        if dtype != 0 {
            set(file, at + tensor::ZERO_POINT as usize, 0);
        }
        for field in [tensor::OFFSET, tensor::PITCH] {
            let bytes = get(file, at + field as usize);
            let bytes = if old == 0 && dtype != 0 {
                bytes.wrapping_mul(2)
            } else if old != 0 && dtype == 0 {
                bytes / 2
            } else {
                bytes
            };
            set(file, at + field as usize, bytes);
        }
    }
    let arena = get(file, header::ARENA as usize);
    set(file, header::ARENA as usize, arena.saturating_mul(2));
}

/// All time slots from one on come one earlier or later: steps join a chain or leave it.
fn another_time_slot(file: &mut [u8], random: &mut Random) {
    let steps = steps(file);
    let from = 1 + random.below(steps.len() + 1) as u32;
    let change = |time_slot: u32, earlier: bool| match (time_slot >= from && time_slot != u32::MAX, earlier) {
        (false, _) => time_slot,
        (true, true) => time_slot.saturating_sub(1),
        (true, false) => time_slot.wrapping_add(1),
    };
    let earlier = !random.one_in(3);
    let fields = [tensor::FIRST, tensor::READY, tensor::LAST];
    let time_slots: Vec<usize> =
        tensors(file).into_iter().flat_map(|at| fields.map(|field| at + field as usize)).collect();
    for at in time_slots.into_iter().chain(steps.into_iter().map(|at| at + step::TIME_SLOT as usize)) {
        set(file, at, change(get(file, at), earlier));
    }
}

/// A tensor or a scratch buffer lies elsewhere in the arena, where another one is or nearby.
fn another_place(file: &mut [u8], random: &mut Random) {
    let places: Vec<usize> = tensors(file)
        .into_iter()
        .map(|at| at + tensor::OFFSET as usize)
        .chain(steps(file).into_iter().map(|at| at + step::SCRATCH as usize))
        .collect();
    let arena = get(file, header::ARENA as usize);
    if let (Some(&one), Some(&other)) = (random.pick(&places), random.pick(&places)) {
        let new = match random.below(3) {
            0 => get(file, other),
            1 => (random.below(arena as usize + 64) as u32) & !15,
            _ => get(file, one).wrapping_add(1 << random.below(8)),
        };
        set(file, one, new);
    }
    match random.below(6) {
        0 => set(file, header::ARENA as usize, arena.saturating_add(1 << random.below(12))),
        1 => set(file, header::FAST as usize, (random.below(arena as usize + 16) as u32) & !15),
        _ => {}
    }
}

/// A step gets the parameters of another, or another operator's code.
fn other_parameters(file: &mut [u8], random: &mut Random) {
    let all = steps(file);
    if let (Some(&one), Some(&other)) = (random.pick(&all), random.pick(&all)) {
        for field in [step::PARAMS, step::PARAMS + 4] {
            let new = get(file, other + field as usize);
            set(file, one + field as usize, new);
        }
        if random.one_in(2) {
            set(file, one + step::OP as usize, 1 + random.below(24) as u32);
        }
    }
}

/// Bytes anywhere; rarely the end is cut off or goes on.
fn any_bytes(file: &mut Vec<u8>, random: &mut Random) {
    match random.below(8) {
        0 => file.truncate((header::SIZE as usize).max(random.below(file.len()))),
        1 => file.resize((file.len() + random.below(64)).min(MAX_LEN), random.word() as u8),
        _ => {
            let at = random.below(file.len());
            file[at] = random.word() as u8;
        }
    }
}
