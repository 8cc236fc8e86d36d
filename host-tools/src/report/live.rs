//! A model that runs in a page: the runtime as a WebAssembly module, the code around it, and what that has to know of the model.

use kinglet::format::layout::{Section, step as record};
use kinglet::ops::Op;
use kinglet::{ChannelOrder, DType, Model, OpKind, Port, Step, Tensor};
use serde::Serialize;

use super::inspection::StepView;

/// The runtime: `cargo xtask wasm` makes it of `host-tools/wasm`.
pub const MODULE: &[u8] = include_bytes!("../../page/kinglet.wasm");

/// How a page looks.
pub const STYLE: &str = include_str!("../../page/style.css");

/// The code around the module: it runs models, and shows what they do.
pub const SCRIPTS: [&str; 2] = [include_str!("../../page/runner.js"), include_str!("../../page/player.js")];

/// What a page has to know of a model.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveModel {
    name: String,
    /// The model file, in base64.
    file: String,
    labels: Vec<String>,
    input: LiveInput,
    outputs: Vec<LiveOutput>,
    /// What scores are divided by before they become probabilities, and the least probability of an answer.
    temperature: f32,
    threshold: f32,
    steps: Vec<LiveStep>,
    tensors: Vec<LiveTensor>,
    arena: usize,
    /// The last time slot, in which the caller reads the output.
    time_slots: u32,
    macs: u64,
    /// Whether drawings are brought to the middle and to one size, as the digits were that the model has learned.
    centered: bool,
    /// Images that the model has not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<Samples>,
}

/// Images with their classes.
#[derive(Clone, Debug, Serialize)]
pub struct Samples {
    /// The pixels of all, in base64.
    pub pixels: String,
    /// A byte for each, in base64.
    pub labels: String,
}

#[derive(Clone, Debug, Serialize)]
struct LiveInput {
    h: u32,
    w: u32,
    c: u32,
    order: &'static str,
    /// Whether it takes pixels as they are.
    pixels: bool,
}

/// How elements become numbers.
#[derive(Clone, Debug, Serialize)]
struct Numbers {
    dtype: &'static str,
    scale: f32,
    zero: i32,
}

#[derive(Clone, Debug, Serialize)]
struct LiveOutput {
    #[serde(flatten)]
    numbers: Numbers,
    bytes: u32,
    /// Whether its elements are probabilities.
    softmax: bool,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LiveStep {
    name: String,
    operator: &'static str,
    parameters: String,
    time_slot: u32,
    shape: [u32; 3],
    #[serde(flatten)]
    numbers: Numbers,
    macs: u64,
    weights: u32,
    scratch: [u32; 2],
    /// The tensors that it reads, and the one that it writes.
    operands: [Option<usize>; 3],
    off: Option<Switch>,
}

/// How a step is switched off: its least and its greatest output, two words of the file, become the one that stands for zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Switch {
    at: usize,
    zero: i32,
    role: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LiveTensor {
    shape: [u32; 3],
    offset: u32,
    pitch: u32,
    /// Bytes of a pixel's channels.
    pixel: u32,
    rows: u32,
    first: u32,
    last: u32,
    parent: Option<u32>,
    is_parent: bool,
}

impl LiveModel {
    /// Of a model that takes one picture; `None` for others, which no page knows what to show to.
    #[must_use]
    pub fn of(model: &Model<'_>) -> Option<Self> {
        let input = model.input();
        let is_picture = input.shape.h > 1 && input.shape.w > 1 && [1, 3].contains(&input.shape.c);
        let takes_pixels = model.pixels().is_some() || input.dtype == DType::I8;
        if model.input_count() != 1 || model.states().len() != 0 || !is_picture || !takes_pixels {
            return None;
        }
        let tensors: Vec<Tensor> = (0..model.tensor_count()).filter_map(|index| model.tensor(index)).collect();
        let labels: Vec<String> =
            (0..model.label_count()).filter_map(|class| model.label(class)).map(str::to_owned).collect();
        let is_digit = |label: &String| label.len() == 1 && label.as_bytes()[0].is_ascii_digit();
        let steps: Vec<Step<'_>> = model.steps().collect();
        Some(Self {
            name: model.name().to_owned(),
            file: super::base64(model.as_bytes()),
            input: LiveInput {
                h: input.shape.h,
                w: input.shape.w,
                c: input.shape.c,
                order: match model.pixels().map(|pixels| pixels.order) {
                    Some(ChannelOrder::Bgr) => "bgr",
                    Some(ChannelOrder::Rgb) => "rgb",
                    _ => "grey",
                },
                pixels: true,
            },
            outputs: (0..).zip(model.outputs()).map(|(number, port)| LiveOutput::of(model, number, &port)).collect(),
            steps: steps.iter().map(|step| LiveStep::of(model, step, &tensors)).collect(),
            tensors: tensors
                .iter()
                .enumerate()
                .map(|(index, tensor)| LiveTensor::of(tensor, index, &tensors))
                .collect(),
            temperature: model.about().temperature,
            threshold: model.about().threshold,
            arena: model.arena_len(),
            time_slots: steps.last().map_or(0, |step| step.time_slot) + 1,
            macs: model.macs(),
            centered: input.shape.c == 1 && !labels.is_empty() && labels.iter().all(is_digit),
            samples: None,
            labels,
        })
    }
}

impl Numbers {
    fn of(tensor: &Tensor) -> Self {
        Self { dtype: tensor.dtype.name(), scale: tensor.quant.scale, zero: tensor.quant.zero_point }
    }
}

impl LiveOutput {
    fn of(model: &Model<'_>, number: u32, port: &Port<'_>) -> Self {
        let softmax = model.gives_probabilities(number);
        Self { numbers: Numbers::of(&port.tensor), bytes: port.tensor.span(), softmax }
    }
}

impl LiveStep {
    fn of(model: &Model<'_>, step: &Step<'_>, tensors: &[Tensor]) -> Self {
        let view = StepView::of(step);
        Self {
            name: view.name,
            operator: view.operator,
            parameters: view.parameters,
            time_slot: view.time_slot,
            shape: view.output,
            numbers: Numbers::of(&step.tensors.output),
            macs: view.macs,
            weights: view.weight_bytes,
            scratch: [view.scratch_offset, view.scratch_bytes],
            operands: model.operands(step.index).unwrap_or_default(),
            off: switch(model, step, tensors),
        }
    }
}

impl LiveTensor {
    fn of(tensor: &Tensor, index: usize, all: &[Tensor]) -> Self {
        Self {
            shape: [tensor.shape.h, tensor.shape.w, tensor.shape.c],
            offset: tensor.place.offset,
            pitch: tensor.place.pitch,
            pixel: tensor.pixel_bytes(),
            rows: tensor.place.rows,
            first: tensor.first,
            last: tensor.last,
            parent: tensor.parent,
            is_parent: all.iter().any(|part| part.parent == Some(index as u32)),
        }
    }
}

/// Where the file says which outputs a convolution may have.
fn switch(model: &Model<'_>, step: &Step<'_>, tensors: &[Tensor]) -> Option<Switch> {
    // Before the two words lie algorithm, window, dilation and rounding.
    const BEFORE: usize = 4 * (1 + 8 + 2 + 1);
    if !matches!(step.op, Op::Conv2d(_) | Op::DepthwiseConv2d(_)) {
        return None;
    }
    let file = model.as_bytes();
    let word = |at: usize| {
        let bytes = file.get(at..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes) as usize)
    };
    let section = |section: Section| word(section.entry() as usize);
    let steps = section(Section::Steps)? + step.index * record::SIZE as usize;
    let params = section(Section::Params)? + word(steps + record::PARAMS as usize)?;
    Some(Switch {
        at: params + BEFORE,
        zero: step.tensors.output.quant.zero_point,
        role: role(model, step, tensors).unwrap_or("layer"),
    })
}

/// What a convolution is of the module or block that it ends.
fn role(model: &Model<'_>, step: &Step<'_>, tensors: &[Tensor]) -> Option<&'static str> {
    let [_, _, written] = model.operands(step.index)?;
    if tensors.get(written?)?.parent.is_some() {
        return Some("branch");
    }
    let operands = |step: &Step<'_>| model.operands(step.index);
    let readers = model.steps().filter(|step| operands(step).is_some_and(|[a, b, _]| a == written || b == written));
    if readers.count() > 1 {
        // What a block begins with is no part of it.
        return None;
    }
    let sum = model
        .steps()
        .find(|sum| sum.kind() == OpKind::Add && operands(sum).is_some_and(|[a, b, _]| a == written || b == written))?;
    let [a, b, _] = operands(&sum)?;
    let other = if a == written { b } else { a };
    // The shortcut's convolution reads the block's input, from which the other term comes too, over more steps.
    let first = |written: Option<usize>| {
        let writer = model.steps().find(|step| operands(step).is_some_and(|[_, _, output]| output == written))?;
        operands(&writer)?[0]
    };
    let input = first(written);
    let mut way = std::iter::successors(first(other), |&tensor| first(Some(tensor))).skip(1).take(model.step_count());
    Some(if way.any(|tensor| Some(tensor) == input) { "shortcut" } else { "block" })
}

/// JSON as a script of a page may have it.
#[must_use]
pub fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default().replace('<', "\\u003c")
}

/// The scripts of a page, which defines `kinglet`, a promise of the module, and runs `code`.
#[must_use]
pub fn scripts(code: &str) -> String {
    let module = format!("const kinglet = WebAssembly.compile(unbase64('{}'));", super::base64(MODULE));
    let parts = SCRIPTS.into_iter().chain([&*module, code]);
    parts.map(|script| format!("<script>\n{script}\n</script>\n")).collect()
}

#[cfg(test)]
mod tests {
    use kinglet::format::crc32;
    use kinglet::{Dynamic, Pixels, Session};

    use super::*;

    const INCEPTION: &[u8] = include_bytes!("../../../models/digits-inception/digits-inception.kgl");
    const RESNET: &[u8] = include_bytes!("../../../models/digits-resnet/digits-resnet.kgl");

    #[test]
    fn branches_blocks_and_shortcuts_are_told_apart() {
        let roles = |file: &[u8]| {
            let model = LiveModel::of(&Model::new(file).unwrap()).unwrap();
            let roles =
                model.steps.iter().filter_map(|step| Some(format!("{} {}", step.off.as_ref()?.role, step.name)));
            roles.collect::<Vec<_>>()
        };
        let inception = roles(INCEPTION);
        assert_eq!(inception.iter().filter(|role| role.starts_with("branch ")).count(), 12, "{inception:?}");
        let resnet8 = roles(include_bytes!("../../../models/cifar10-resnet8/cifar10-resnet8.kgl"));
        for role in ["block b2_conv2", "block b3_conv2", "shortcut b3_project", "block b4_conv2", "shortcut b4_project"]
        {
            assert!(resnet8.iter().any(|found| found == role), "{role} in {resnet8:?}");
        }
        let resnet = roles(RESNET);
        for role in ["layer b1", "layer b2_conv1", "block b2_conv2", "block b3_conv2", "shortcut b3_project"] {
            assert!(resnet.iter().any(|found| found == role), "{role} in {resnet:?}");
        }
    }

    /// What is switched off is a model file whose map is zero, and nothing else of the file is changed.
    #[test]
    fn a_step_that_is_switched_off_writes_zeros() {
        for file in [INCEPTION, RESNET] {
            let model = Model::new(file).unwrap();
            let tensors: Vec<Tensor> = (0..model.tensor_count()).filter_map(|index| model.tensor(index)).collect();
            for step in model.steps() {
                let Some(Switch { at, zero, .. }) = switch(&model, &step, &tensors) else { continue };
                let mut lesioned = file.to_vec();
                lesioned[at..at + 4].copy_from_slice(&zero.to_le_bytes());
                lesioned[at + 4..at + 8].copy_from_slice(&zero.to_le_bytes());
                let sum = crc32(crc32(0, &lesioned[..12]), &lesioned[16..]);
                lesioned[12..16].copy_from_slice(&sum.to_le_bytes());
                let mut memory = vec![0u128; lesioned.len().div_ceil(16)];
                bytemuck::cast_slice_mut(&mut memory)[..lesioned.len()].copy_from_slice(&lesioned);
                let lesioned = Model::new(&bytemuck::cast_slice(&memory)[..file.len()]).unwrap();
                let mut arena = vec![0u128; lesioned.arena_len().div_ceil(16)];
                let mut session = Session::<Dynamic>::open(lesioned, bytemuck::cast_slice_mut(&mut arena)).unwrap();
                let mut zeros = Zeros { step: step.index, zero: zero as u8, seen: 0 };
                let inference = session.start(Pixels(&[200; 64])).unwrap();
                inference.observe(&mut zeros).finish().unwrap();
                assert!(zeros.seen > 0, "{} did not run", step.name);
            }
        }
    }

    struct Zeros {
        step: usize,
        zero: u8,
        seen: usize,
    }

    impl kinglet::Observer for Zeros {
        fn end(&mut self, event: &kinglet::StepEvent<'_>) {
            if event.index() == self.step {
                assert!(event.pixels().flatten().all(|&element| element == self.zero), "{}", event.name());
                self.seen += 1;
            }
        }
    }

    #[test]
    fn text_of_a_model_does_not_end_the_script() {
        assert_eq!(json(&"</script>"), r#""\u003c/script>""#);
    }
}
