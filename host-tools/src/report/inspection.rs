//! Everything that a model file says, for `kinglet inspect`.

use std::fmt;

use kinglet::kernels::float16::from_ordinal;
use kinglet::ops::{Encoding, Op, Weights};
use kinglet::{Clamp, DType, Model, Port, Step, Tensor, Window, f16};
use serde::Serialize;

use super::table::{Table, grouped};
use crate::cycles::Predicted;
use crate::export::weights_in_words;
use crate::plan;

/// A model, laid out for reading.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// The model's name.
    pub name: String,
    /// Bytes of the file: what it takes in flash.
    pub file_bytes: usize,
    /// Bytes of weights and tables.
    pub weight_bytes: usize,
    /// Bytes of arena.
    pub arena_bytes: usize,
    /// Bytes of it that lie in the fast memory; 0 when the arena is one.
    pub arena_fast_bytes: usize,
    /// The other bytes of arena.
    pub arena_slow_bytes: usize,
    /// Bytes that an inference moves between core and arena, estimated: see [`plan::Traffic`].
    pub traffic_bytes: u64,
    /// Those of them that the fast memory serves.
    pub traffic_fast_bytes: u64,
    /// No placement of this plan's buffers can be smaller: see [`plan::lower_bound`].
    pub arena_lower_bound: u32,
    /// The most bytes in use at one time slot, as the buffers lie.
    pub peak_bytes: u32,
    /// The time slot of the most bytes in use.
    pub peak_time_slot: u32,
    /// The steps that run then.
    pub peak_steps: Vec<usize>,
    /// Multiply-accumulate operations of one inference.
    pub macs: u64,
    /// What the caller gives.
    pub inputs: Vec<PortView>,
    /// What the caller gets.
    pub outputs: Vec<PortView>,
    /// What lasts from inference to inference.
    pub states: Vec<PortView>,
    /// Class labels.
    pub labels: Vec<String>,
    /// Tables that pixels go through: 0, 1, or one per channel.
    pub pixel_tables: usize,
    /// The steps in the order of execution.
    pub steps: Vec<StepView>,
    /// The activation tensors.
    pub tensors: Vec<TensorView>,
    /// What an inference takes on a board, where one is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted: Option<Predicted>,
}

/// An input, an output or a state.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PortView {
    /// Its name.
    pub name: String,
    /// The number of its tensor.
    pub tensor: usize,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepView {
    /// Its place in the order of execution.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Its operator.
    pub operator: &'static str,
    /// Kernel, stride, padding, activation range, algorithm.
    pub parameters: String,
    /// The time slot at which it runs; steps of a chain share one.
    pub time_slot: u32,
    /// Shapes of its inputs, `[h, w, c]`.
    pub inputs: Vec<[u32; 3]>,
    /// Shape of its output.
    pub output: [u32; 3],
    /// Where the output lies in the arena.
    pub output_offset: u32,
    /// Rows of the output that are kept.
    pub output_rows: u32,
    /// Multiply-accumulate operations.
    pub macs: u64,
    /// Bytes of weights and tables.
    pub weight_bytes: u32,
    /// Where the scratch lies in the arena.
    pub scratch_offset: u32,
    /// Bytes of scratch.
    pub scratch_bytes: u32,
}

/// An activation tensor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TensorView {
    /// Its number.
    pub index: usize,
    /// `[h, w, c]`.
    pub shape: [u32; 3],
    /// Element type.
    pub dtype: &'static str,
    /// Scale.
    pub scale: f32,
    /// Zero point.
    pub zero_point: i32,
    /// Byte offset in the arena.
    pub offset: u32,
    /// Bytes from pixel to pixel.
    pub pitch: u32,
    /// Rows that are kept.
    pub rows: u32,
    /// Bytes from the first to the last.
    pub bytes: u32,
    /// Time slot of the first write.
    pub first: u32,
    /// Time slot of the last write.
    pub ready: u32,
    /// Time slot of the last use.
    pub last: u32,
    /// The parent tensor that it is a part of.
    pub parent: Option<u32>,
}

impl Inspection {
    /// Looks at a model.
    pub fn of(model: &Model<'_>) -> Self {
        let tensors: Vec<Tensor> = (0..model.tensor_count()).filter_map(|i| model.tensor(i)).collect();
        let steps: Vec<Step<'_>> = model.steps().collect();
        let (peak_time_slot, peak_bytes) = peak(&tensors, &steps);
        let [traffic_bytes, traffic_fast_bytes] = traffic(model, &steps);
        let labels = (0..model.label_count()).filter_map(|class| model.label(class)).map(String::from).collect();
        Self {
            name: model.name().to_owned(),
            file_bytes: model.file_len(),
            weight_bytes: model.weight_bytes(),
            arena_bytes: model.arena_len(),
            arena_fast_bytes: model.fast_len(),
            arena_slow_bytes: model.slow_len(),
            traffic_bytes,
            traffic_fast_bytes,
            arena_lower_bound: plan::lower_bound(model),
            peak_bytes,
            peak_time_slot,
            peak_steps: steps.iter().filter(|step| step.time_slot == peak_time_slot).map(|step| step.index).collect(),
            macs: model.macs(),
            inputs: model.inputs().map(PortView::of).collect(),
            outputs: model.outputs().map(PortView::of).collect(),
            states: model.states().map(|state| PortView::of(state.port)).collect(),
            labels,
            pixel_tables: model.pixels().map_or(0, |pixels| pixels.count()),
            steps: steps.iter().map(StepView::of).collect(),
            tensors: tensors.iter().enumerate().map(TensorView::of).collect(),
            predicted: None,
        }
    }

    /// With what an inference takes on a board.
    #[must_use]
    pub fn predicted(self, predicted: Predicted) -> Self {
        Self { predicted: Some(predicted), ..self }
    }
}

/// The time slot with the most bytes in use, and how many: bytes that several buffers cover count once.
fn peak(tensors: &[Tensor], steps: &[Step<'_>]) -> (u32, u32) {
    let scratch: Vec<_> = steps.iter().map(|step| (step.time_slot, step.scratch)).collect();
    let time_slots = (0..).zip(plan::in_use(tensors, &scratch));
    time_slots.max_by_key(|&(time_slot, bytes)| (bytes, std::cmp::Reverse(time_slot))).unwrap_or((0, 0))
}

/// Bytes that an inference moves between core and arena, and those of them that the fast memory serves.
fn traffic(model: &Model<'_>, steps: &[Step<'_>]) -> [u64; 2] {
    let ends = model.inputs().chain(model.outputs()).chain(model.states().map(|state| state.port));
    let ends = ends.map(|Port { tensor, .. }| (tensor.region(), tensor.span().into()));
    let of_step = |step: &Step<'_>| {
        let plan::Traffic { inputs, output, scratch } = plan::Traffic::of(&step.op, &step.tensors, step.scratch.len);
        let read = std::iter::once(&step.tensors.a).chain(&step.tensors.b).map(Tensor::region).zip(inputs);
        let written = [(step.tensors.output.region(), output), (step.scratch, scratch)];
        read.chain(written).collect::<Vec<_>>()
    };
    let moved = ends.chain(steps.iter().flat_map(of_step));
    moved.fold([0, 0], |[all, fast], (region, bytes)| {
        [all + bytes, fast + if (region.offset as usize) < model.fast_len() { bytes } else { 0 }]
    })
}

fn shape(tensor: &Tensor) -> [u32; 3] {
    [tensor.shape.h, tensor.shape.w, tensor.shape.c]
}

impl PortView {
    fn of(port: Port<'_>) -> Self {
        Self { name: port.name.to_owned(), tensor: port.index }
    }
}

impl StepView {
    /// What there is to say of a step.
    #[must_use]
    pub fn of(step: &Step<'_>) -> Self {
        let output = &step.tensors.output;
        Self {
            index: step.index,
            name: step.name.to_owned(),
            operator: step.kind().name(),
            parameters: parameters(&step.op, output.dtype),
            time_slot: step.time_slot,
            inputs: std::iter::once(&step.tensors.a).chain(&step.tensors.b).map(shape).collect(),
            output: shape(output),
            output_offset: output.place.offset,
            output_rows: output.place.rows,
            macs: step.macs(),
            weight_bytes: step.op.weight_bytes(),
            scratch_offset: step.scratch.offset,
            scratch_bytes: step.scratch.len,
        }
    }
}

impl TensorView {
    fn of((index, tensor): (usize, &Tensor)) -> Self {
        Self {
            index,
            shape: shape(tensor),
            dtype: tensor.dtype.name(),
            scale: tensor.quant.scale,
            zero_point: tensor.quant.zero_point,
            offset: tensor.place.offset,
            pitch: tensor.place.pitch,
            rows: tensor.place.rows,
            bytes: tensor.span(),
            first: tensor.first,
            ready: tensor.ready,
            last: tensor.last,
            parent: tensor.parent,
        }
    }
}

/// An operator's parameters in a few words.
fn parameters(op: &Op<'_>, dtype: DType) -> String {
    let window = |w: &Window| {
        let [[kh, kw], [sh, sw], [top, left], [bottom, right]] = [w.kernel, w.stride, w.before, w.after];
        let stride = if sh == sw { format!("/{sh}") } else { format!("/{sh}x{sw}") };
        let pad = if w.is_padded() { format!(" pad {top},{left},{bottom},{right}") } else { String::new() };
        format!("{kh}x{kw}{stride}{pad}")
    };
    let clamp = |c: &Clamp| {
        if *c == Clamp::full(dtype) {
            String::new()
        } else if dtype == DType::F16 {
            let [low, high] = [c.min, c.max].map(from_ordinal);
            if high == f16::MAX { format!(" clamp {low}..") } else { format!(" clamp {low}..={high}") }
        } else {
            format!(" clamp {}..={}", c.min, c.max)
        }
    };
    let bits = |weights: &Weights<'_>| match weights.encoding {
        Encoding::Plain => String::new(),
        narrow => format!(" {}", weights_in_words(narrow)),
    };
    match op {
        Op::Conv2d(conv) => {
            format!("{}{} {:?}{}", window(&conv.window), clamp(&conv.clamp), conv.algorithm, bits(&conv.weights))
        }
        Op::DepthwiseConv2d(conv) => {
            format!("{}{}{}", window(&conv.window), clamp(&conv.clamp), bits(&conv.weights))
        }
        Op::Dense(dense) => format!("{}{}", clamp(&dense.clamp), bits(&dense.weights)).trim_start().to_owned(),
        Op::MaxPool2d(pool) => format!("{}{}", window(&pool.window), clamp(&pool.clamp)),
        Op::AveragePool2d(pool) => format!("{}{}", window(&pool.window), clamp(&pool.clamp)),
        Op::Add(add) => clamp(&add.clamp).trim_start().to_owned(),
        Op::Pad(pad) => format!("{:?} {:?}", pad.before, pad.after),
        _ => String::new(),
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims = |[h, w, c]: [u32; 3]| format!("{h}x{w}x{c}");
        let bytes = |n: usize| grouped(n as u64);
        let end = |kind: &str, ports: &[PortView], more: &str| {
            let mut text = String::new();
            for (number, PortView { name, tensor }) in ports.iter().enumerate() {
                let Some(t) = self.tensors.get(*tensor) else { continue };
                let name = if ports.len() > 1 || kind == "state" { format!("`{name}` ") } else { String::new() };
                let more = if number == 0 { more } else { "" };
                let TensorView { dtype, scale, zero_point, .. } = t;
                text +=
                    &format!("{kind:<7} {name}{} {dtype} scale {scale} zero point {zero_point}{more}\n", dims(t.shape));
            }
            text
        };
        let classes =
            if self.labels.is_empty() { String::new() } else { format!(", classes {}", self.labels.join(" ")) };
        writeln!(f, "{}: {} steps, {} MACs", self.name, self.steps.len(), grouped(self.macs))?;
        write!(f, "{}", end("input", &self.inputs, ""))?;
        write!(f, "{}{}", end("output", &self.outputs, &classes), end("state", &self.states, ""))?;
        writeln!(f, "flash   {} bytes, weights {}", bytes(self.file_bytes), bytes(self.weight_bytes))?;
        writeln!(
            f,
            "arena   {} bytes, lower bound {}, gap {}; {} in use at the peak (time slot {}, step {})",
            bytes(self.arena_bytes),
            grouped(self.arena_lower_bound.into()),
            grouped((self.arena_bytes as u64).saturating_sub(self.arena_lower_bound.into())),
            grouped(self.peak_bytes.into()),
            self.peak_time_slot,
            self.peak_steps.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
        )?;
        if self.arena_fast_bytes > 0 {
            writeln!(
                f,
                "        {} bytes in the fast memory, {} in the slow one; the fast one serves {} of {} bytes of traffic",
                bytes(self.arena_fast_bytes),
                bytes(self.arena_slow_bytes),
                grouped(self.traffic_fast_bytes),
                grouped(self.traffic_bytes)
            )?;
        }
        writeln!(f)?;
        let mut table = Table::new([
            "step",
            "time slot",
            "name",
            "operator",
            "parameters",
            "input",
            "output",
            "MACs",
            "weights",
            "offset",
            "rows",
            "scratch",
        ]);
        for step in &self.steps {
            let rows = if step.output_rows < step.output[0] { step.output_rows.to_string() } else { String::new() };
            table.row([
                step.index.to_string(),
                step.time_slot.to_string(),
                step.name.clone(),
                step.operator.to_owned(),
                step.parameters.clone(),
                step.inputs.iter().map(|&shape| dims(shape)).collect::<Vec<_>>().join(" + "),
                dims(step.output),
                grouped(step.macs),
                grouped(step.weight_bytes.into()),
                step.output_offset.to_string(),
                rows,
                step.scratch_bytes.to_string(),
            ]);
        }
        writeln!(f, "{table}")?;
        if let Some(predicted) = &self.predicted {
            write!(f, "{predicted}")?;
            let mut table = Table::new(["step", "name", "operator", "cycles", "ms", "\u{b5}J"]);
            for (step, of_step) in self.steps.iter().zip(&predicted.steps) {
                let [cycles, ms, energy] = of_step.cells();
                table.row([step.index.to_string(), step.name.clone(), step.operator.to_owned(), cycles, ms, energy]);
            }
            writeln!(f, "\n{table}")?;
        }
        let mut table = Table::new([
            "tensor",
            "shape",
            "type",
            "scale",
            "zero point",
            "offset",
            "bytes",
            "pitch",
            "time slots",
            "part of",
        ]);
        for tensor in &self.tensors {
            table.row([
                tensor.index.to_string(),
                dims(tensor.shape),
                tensor.dtype.to_owned(),
                tensor.scale.to_string(),
                tensor.zero_point.to_string(),
                tensor.offset.to_string(),
                grouped(tensor.bytes.into()),
                tensor.pitch.to_string(),
                format!("{}..{}", tensor.first, tensor.last),
                tensor.parent.map(|parent| parent.to_string()).unwrap_or_default(),
            ]);
        }
        write!(f, "{table}")
    }
}
