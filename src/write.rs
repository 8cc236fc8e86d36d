//! Writing model files, for the host tools.

use crate::bytes::Writer;
use crate::format::layout::{self, NONE, SECTION_ALIGN, Section, header};
use crate::format::{About, PortKind, checksum};
use crate::memory::Region;
use crate::model::Model;
use crate::ops::Op;
use crate::pixels::PixelTables;
use crate::ports::{Port, State};
use crate::step::Step;
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
    /// The inputs, at least one.
    pub inputs: &'s [PortSpec<'s>],
    /// The outputs, at least one.
    pub outputs: &'s [PortSpec<'s>],
    /// The states.
    pub states: &'s [StateSpec<'s>],
    /// What the file says about the model beside its network.
    pub about: About,
    /// All activation tensors, placed; a parent tensor after its parts.
    pub tensors: &'s [Tensor],
    /// The steps in the order of execution.
    pub steps: &'s [StepSpec<'s>],
    /// One label per class, or none.
    pub labels: &'s [String],
    /// How pixels become input elements.
    pub pixels: Option<PixelTables<'s>>,
}

/// An input, an output or a state of a model to be written.
#[derive(Clone, Copy, Debug)]
pub struct PortSpec<'s> {
    /// Its name.
    pub name: &'s str,
    /// Index of its tensor.
    pub tensor: u32,
}

impl PortSpec<'static> {
    /// The only input of a model.
    pub const fn input(tensor: u32) -> Self {
        Self { name: "input", tensor }
    }

    /// The only output of a model.
    pub const fn output(tensor: u32) -> Self {
        Self { name: "output", tensor }
    }
}

/// A state of a model to be written.
#[derive(Clone, Copy, Debug)]
pub struct StateSpec<'s> {
    /// Its name and the tensor that steps read.
    pub port: PortSpec<'s>,
    /// Index of the tensor that becomes the state when an inference ends.
    pub next: u32,
    /// The elements before the first inference, little-endian; none for zero points.
    pub initial: &'s [u8],
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
    /// The time slot at which it runs: from 1 on, the same as its predecessor's in a chain, else one more.
    pub time_slot: u32,
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
            push(&mut steps, [name[0], name[1], step.time_slot, 0]);
        }
        let mut tensors = Vec::new();
        for t in self.tensors {
            push(&mut tensors, [t.shape.h, t.shape.w, t.shape.c, t.dtype.code()]);
            push(&mut tensors, [t.quant.scale.to_bits(), t.quant.zero_point as u32, t.place.offset, t.place.pitch]);
            push(&mut tensors, [t.first, t.ready, t.last, t.parent.unwrap_or(NONE), t.place.rows, 0, 0, 0]);
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

        let mut ports = Vec::new();
        let mut port = |kind: PortKind, port: &PortSpec<'_>, next: u32, initial: [u32; 2]| {
            let name = strings.add(port.name);
            push(&mut ports, [kind as u32, port.tensor, name[0], name[1], next, initial[0], initial[1], 0]);
        };
        self.inputs.iter().for_each(|input| port(PortKind::Input, input, NONE, [0; 2]));
        self.outputs.iter().for_each(|output| port(PortKind::Output, output, NONE, [0; 2]));
        for state in self.states {
            port(PortKind::State, &state.port, state.next, writer.store(state.initial));
        }

        let mut file = vec![0; header::SIZE_2 as usize];
        let sections = [tensors, steps, writer.params, writer.weights, strings.bytes, labels, pixels, ports];
        for (section, bytes) in Section::ALL.into_iter().zip(sections) {
            file.resize(file.len().next_multiple_of(SECTION_ALIGN as usize), 0);
            let offset = file.len() as u32;
            put(&mut file, section.entry(), &[offset, bytes.len() as u32]);
            file.extend_from_slice(&bytes);
        }
        file[..layout::MAGIC.len()].copy_from_slice(&layout::MAGIC);
        let len = file.len() as u32;
        put(&mut file, header::VERSION, &[layout::VERSION, len]);
        let (steps, tensors) = (self.steps.len() as u32, self.tensors.len() as u32);
        put(&mut file, header::ARENA, &[self.arena_len, steps, tensors]);
        put(&mut file, header::NAME, &name);
        put(&mut file, header::FAST, &[self.fast_len]);
        let About { rounding, rounding_version, generation, temperature, threshold } = self.about;
        put(&mut file, header::ROUNDING, &[rounding.code(), rounding_version, generation]);
        put(&mut file, header::TEMPERATURE, &[temperature.to_bits(), threshold.to_bits()]);
        let crc = checksum(&file);
        put(&mut file, header::CHECKSUM, &[crc]);
        file
    }
}

/// The file of a model, written anew in the newest version from the same integers, with `about` for what it says beside them.
pub fn encode<'m>(model: &Model<'m>, about: About) -> Vec<u8> {
    let tensors: Vec<Tensor> = (0..model.tensor_count()).filter_map(|index| model.tensor(index)).collect();
    let spec = |port: Port<'m>| PortSpec { name: port.name, tensor: port.index as u32 };
    let (inputs, outputs): (Vec<_>, Vec<_>) = (model.inputs().map(spec).collect(), model.outputs().map(spec).collect());
    let state =
        |state: State<'m>| StateSpec { port: spec(state.port), next: state.next as u32, initial: state.initial };
    let states: Vec<_> = model.states().map(state).collect();
    let step = |step: Step<'m>| {
        let [a, b, output] =
            model.operands(step.index).unwrap_or_default().map(|index| index.map(|index| index as u32));
        StepSpec {
            name: step.name,
            op: step.op,
            a: a.unwrap_or(NONE),
            b,
            output: output.unwrap_or(NONE),
            time_slot: step.time_slot,
            scratch: step.scratch,
        }
    };
    let steps: Vec<_> = model.steps().map(step).collect();
    let labels: Vec<String> =
        (0..model.label_count()).filter_map(|class| model.label(class)).map(str::to_owned).collect();
    ModelSpec {
        name: model.name(),
        arena_len: model.arena_len() as u32,
        fast_len: model.fast_len() as u32,
        inputs: &inputs,
        outputs: &outputs,
        states: &states,
        about,
        tensors: &tensors,
        steps: &steps,
        labels: &labels,
        pixels: model.pixels(),
    }
    .to_bytes()
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
