//! Writing model files, for the host tools.

use super::layout::{self, NONE, SECTION_ALIGN, Section, header};
use super::view::checksum;
use crate::bytes::Writer;
use crate::memory::Region;
use crate::ops::Op;
use crate::pixels::PixelTables;
use crate::sys::cast;
use crate::tensor::Tensor;

/// A planned model, ready to be written.
#[derive(Clone, Debug)]
pub struct ModelSpec<'s> {
    /// The model's name.
    pub name: &'s str,
    /// Bytes of arena.
    pub arena_len: u32,
    /// Bytes of it, from offset 0 on, that lie in the fast memory; 0 when there is one memory.
    pub fast_len: u32,
    /// Index of the input tensor.
    pub input: u32,
    /// Index of the output tensor.
    pub output: u32,
    /// All activation tensors, placed; a joint tensor after its parts.
    pub tensors: &'s [Tensor],
    /// The steps in the order of execution.
    pub steps: &'s [StepSpec<'s>],
    /// One label per class, or none.
    pub labels: &'s [String],
    /// How pixels become input elements.
    pub pixels: Option<PixelTables<'s>>,
}

/// One step of a model to be written.
#[derive(Clone, Debug)]
pub struct StepSpec<'s> {
    /// A name for reports.
    pub name: &'s str,
    /// The operator.
    pub op: Op<'s>,
    /// Index of the first input tensor.
    pub a: u32,
    /// Index of the second input tensor.
    pub b: Option<u32>,
    /// Index of the output tensor.
    pub output: u32,
    /// The moment at which it runs: from 1 on, the same as its predecessor's in a chain, else one more.
    pub moment: u32,
    /// Scratch in the arena.
    pub scratch: Region,
}

impl ModelSpec<'_> {
    /// The model file. It is as right as the specification: let [`Model::new`](crate::Model::new) judge it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        let mut strings = Strings::default();
        let mut steps = Vec::new();
        for step in self.steps {
            let start = writer.params.len() as u32;
            step.op.encode(&mut writer);
            let params = [start, writer.params.len() as u32 - start];
            let name = strings.add(step.name);
            push(&mut steps, [step.op.kind().code(), step.a, step.b.unwrap_or(NONE), step.output]);
            push(&mut steps, [params[0], params[1], step.scratch.offset, step.scratch.len]);
            push(&mut steps, [name[0], name[1], step.moment, 0]);
        }
        let mut tensors = Vec::new();
        for t in self.tensors {
            push(&mut tensors, [t.shape.h, t.shape.w, t.shape.c, t.dtype.code()]);
            push(&mut tensors, [t.quant.scale.to_bits(), t.quant.zero_point as u32, t.place.offset, t.place.pitch]);
            push(&mut tensors, [t.first, t.ready, t.last, t.joint.unwrap_or(NONE), t.place.rows, 0, 0, 0]);
        }
        let mut labels = Vec::new();
        for label in self.labels {
            push(&mut labels, strings.add(label));
        }
        let name = strings.add(self.name);
        let mut pixels = Vec::new();
        if let Some(p) = &self.pixels {
            push(&mut pixels, [p.order.code(), p.count() as u32, 0, 0]);
            pixels.extend_from_slice(cast::as_u8(p.tables));
        }

        let sections = [tensors, steps, writer.params, writer.weights, strings.bytes, labels, pixels];
        const { assert!(Section::COUNT == 7) };
        let mut file = vec![0; header::SIZE as usize];
        for (index, section) in sections.iter().enumerate() {
            file.resize(file.len().next_multiple_of(SECTION_ALIGN as usize), 0);
            let entry = header::SECTIONS + index as u32 * 8;
            let offset = file.len() as u32;
            put(&mut file, entry, &[offset, section.len() as u32]);
            file.extend_from_slice(section);
        }
        file[..layout::MAGIC.len()].copy_from_slice(&layout::MAGIC);
        let len = file.len() as u32;
        put(&mut file, header::VERSION, &[layout::VERSION, len]);
        let (steps, tensors) = (self.steps.len() as u32, self.tensors.len() as u32);
        put(&mut file, header::ARENA, &[self.arena_len, steps, tensors, self.input, self.output, name[0], name[1]]);
        put(&mut file, header::FAST, &[self.fast_len]);
        let crc = checksum(&file);
        put(&mut file, header::CHECKSUM, &[crc]);
        file
    }
}

/// Writes `words` over a file from byte `at` on.
fn put(file: &mut [u8], at: u32, words: &[u32]) {
    for (bytes, word) in file[at as usize..].chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
}

fn push<const N: usize>(section: &mut Vec<u8>, words: [u32; N]) {
    section.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}

/// The strings section: every text once.
#[derive(Default)]
struct Strings {
    bytes: Vec<u8>,
    known: std::collections::HashMap<String, [u32; 2]>,
}

impl Strings {
    fn add(&mut self, text: &str) -> [u32; 2] {
        *self.known.entry(text.to_owned()).or_insert_with(|| {
            let start = self.bytes.len() as u32;
            self.bytes.extend_from_slice(text.as_bytes());
            [start, text.len() as u32]
        })
    }
}
