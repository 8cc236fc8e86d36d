//! Every field, every extreme: the systematic changes of a model file, one after the other.

use kinglet::format::layout::{Section, header, port, step, tensor};

use super::mutate::{get, records, seal, section, set};

/// What each word is set to, beside its neighbors.
const EXTREMES: [u32; 20] = [
    0,
    1,
    2,
    3,
    7,
    16,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    1 << 20,
    1 << 28,
    1 << 30,
    i32::MAX as u32,
    i32::MIN as u32,
    u32::MAX - 15,
    u32::MAX - 1,
    u32::MAX,
];

/// One change.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// Another value for the word at a byte of the file.
    Word(usize, u32),
    /// The bytes at one place of the same length as those at another, of another file if so it says: a record aliased, repeated or
    /// spliced.
    Copy { from: usize, to: usize, len: usize, other: bool },
}

/// The records of a file: where each begins, and its bytes.
fn all_records(file: &[u8]) -> Vec<(usize, usize)> {
    let of = |of, size: u32| records(file, of, size).into_iter().map(move |at| (at, size as usize));
    let tensors = of(Section::Tensors, tensor::SIZE);
    tensors.chain(of(Section::Steps, step::SIZE)).chain(of(Section::Ports, port::SIZE)).collect()
}

/// All changes of `file`; `other` is what records are spliced in from.
pub fn changes(file: &[u8], other: &[u8]) -> Vec<Change> {
    let mut all = Vec::new();
    let fields = (header::ARENA as usize..header::SIZE_2 as usize).step_by(4);
    let in_records = all_records(file).into_iter().flat_map(|(at, size)| (at..at + size).step_by(4));
    for at in fields.chain(in_records).chain(section(file, Section::Params).step_by(4)) {
        let old = get(file, at);
        let near = [old.wrapping_sub(1), old.wrapping_add(1), old << 1, old >> 1, old ^ 1 << 31];
        all.extend(EXTREMES.into_iter().chain(near).filter(|&new| new != old).map(|new| Change::Word(at, new)));
    }
    let steps = records(file, Section::Steps, step::SIZE);
    let tensors = records(file, Section::Tensors, tensor::SIZE).len() as u32;
    for field in [step::A, step::B, step::OUTPUT] {
        all.extend(
            steps.iter().flat_map(|&at| (0..tensors.min(40)).map(move |t| Change::Word(at + field as usize, t))),
        );
    }
    let (own, others) = (all_records(file), all_records(other));
    for (index, &(to, len)) in own.iter().enumerate() {
        let same = |&&(_, size): &&(usize, usize)| size == len;
        let near = own[index.saturating_sub(4)..].iter().take(9).filter(same).filter(|&&(from, _)| from != to);
        all.extend(near.map(|&(from, _)| Change::Copy { from, to, len, other: false }));
        all.extend(others.iter().filter(same).take(6).map(|&(from, _)| Change::Copy { from, to, len, other: true }));
    }
    all
}

/// The file after a change, with its checksum put right.
pub fn changed(file: &[u8], other: &[u8], change: Change) -> Vec<u8> {
    let mut changed = file.to_vec();
    match change {
        Change::Word(at, value) => set(&mut changed, at, value),
        Change::Copy { from, to, len, other: is_other } => {
            let source = if is_other { other } else { file };
            if let (Some(from), Some(to)) = (source.get(from..from + len), changed.get_mut(to..to + len)) {
                to.copy_from_slice(from);
            }
        }
    }
    seal(&mut changed);
    changed
}
