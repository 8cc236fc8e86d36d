//! Runs an operator under every kind of memory layout: contiguous, views of wider tensors, line buffers, in place.

use kinglet::format::About;
use kinglet::kernels::Backend;
use kinglet::memory::{Memory, Region};
use kinglet::ops::{Io, Op, Operands};
use kinglet::write::{ModelSpec, PortSpec, StepSpec};
use kinglet::{DType, Model, Place, QuantParams, Shape, Tensor};

use crate::oracle::Map;

/// Where tensors lie.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    /// Contiguous, all rows in one call.
    Dense,
    /// Between the pixels lie bytes of others; rows in several calls.
    Views,
    /// As few rows as the operator can work with; row by row.
    Lines,
    /// The output over operand 0 or 1.
    InPlace(u32),
    /// The same with bytes of others between the pixels.
    ViewInPlace(u32),
}

/// What the arena holds where no tensor is.
const JUNK: u8 = 0x5a;

pub fn shape([h, w, c]: [usize; 3]) -> Shape {
    Shape::new(h as u32, w as u32, c as u32)
}

pub fn quant(map: &Map) -> QuantParams {
    QuantParams { scale: map.scale, zero_point: map.zero_point }
}

/// The address of element `(y, x, 0)`, by the definition of a place.
fn address(tensor: &Tensor, y: u32, x: u32) -> usize {
    let Place { offset, pitch, rows } = tensor.place;
    (offset + (y % rows * tensor.shape.w + x) * pitch) as usize
}

/// An arena that starts at a multiple of 16.
struct Arena {
    bytes: Vec<u8>,
    start: usize,
}

impl Arena {
    fn new(len: usize) -> Self {
        let bytes = vec![JUNK; len + 16];
        let start = bytes.as_ptr().align_offset(16);
        Self { bytes, start }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    fn write_row(&mut self, tensor: &Tensor, map: &Map, y: u32) {
        let [_, w, c] = map.shape;
        for x in 0..w {
            let from = (y as usize * w + x) * c;
            let to = address(tensor, y, x as u32);
            for (to, &from) in self.bytes()[to..to + c].iter_mut().zip(&map.data[from..from + c]) {
                *to = from as u8;
            }
        }
    }

    fn read_row(&mut self, tensor: &Tensor, y: u32) -> Vec<i8> {
        let c = tensor.shape.c as usize;
        (0..tensor.shape.w)
            .flat_map(|x| {
                let at = address(tensor, y, x);
                self.bytes()[at..at + c].iter().map(|&byte| byte as i8).collect::<Vec<_>>()
            })
            .collect()
    }
}

/// Runs `op` under every layout it allows and demands `expected`, and that bytes of others stay as they were.
pub fn check<B: Backend>(op: &Op<'_>, inputs: &[&Map], output: (Shape, QuantParams), expected: &[i8]) {
    let mut layouts = vec![Layout::Dense, Layout::Views, Layout::Lines];
    let fits = |operand: u32| inputs[operand as usize].data.len() == expected.len();
    for operand in (0..op.kind().inputs()).filter(|&operand| op.in_place(operand) && fits(operand)) {
        layouts.push(Layout::InPlace(operand));
        if shape(inputs[operand as usize].shape) == output.0 {
            layouts.push(Layout::ViewInPlace(operand));
        }
    }
    for layout in layouts {
        let found = run::<B>(op, inputs, output, layout);
        assert_eq!(found, expected, "{layout:?} of {op:?}");
    }
    survives_a_file(op, inputs, output);
}

fn run<B: Backend>(op: &Op<'_>, inputs: &[&Map], output: (Shape, QuantParams), layout: Layout) -> Vec<i8> {
    let block = op.row_block();
    // Rows of an operand that may have to be there at once.
    let kept = |operand: u32, height: u32| {
        let rows = |y| op.reach(operand).rows(y, height);
        let last = |y: u32| (y + block).min(output.0.h) - 1;
        (0..output.0.h).step_by(block as usize).map(|y| rows(last(y)).1 - rows(y).0).max().unwrap().max(1)
    };
    let views = matches!(layout, Layout::Views | Layout::Lines | Layout::ViewInPlace(_));
    let mut end = 0;
    let mut place = |shape: Shape, quant, rows| {
        let (gap, offset) = if views { (3, end + 5) } else { (0, end) };
        let place = Place { offset, pitch: shape.c + gap, rows };
        let tensor = Tensor { shape, dtype: DType::I8, quant, place, first: 0, ready: 0, last: 0, parent: None };
        end = tensor.end();
        tensor
    };
    let tensors: Vec<Tensor> = inputs
        .iter()
        .enumerate()
        .map(|(operand, map)| {
            let shape = shape(map.shape);
            let rows = if layout == Layout::Lines { kept(operand as u32, shape.h) } else { shape.h };
            place(shape, quant(map), rows)
        })
        .collect();
    let out_rows = if layout == Layout::Lines { block.min(output.0.h) } else { output.0.h };
    let mut out = place(output.0, output.1, out_rows);
    if let Layout::InPlace(operand) | Layout::ViewInPlace(operand) = layout {
        out.place = Place { rows: out.shape.h, ..tensors[operand as usize].place };
        if layout == Layout::InPlace(operand) {
            out.place.pitch = out.shape.c;
        }
    }
    let operands = Operands { a: tensors[0], b: tensors.get(1).copied(), output: out };
    op.check(&operands).unwrap_or_else(|fault| panic!("{fault:?}: {op:?}"));
    let scratch = Region { offset: (end + 5).next_multiple_of(16), len: op.scratch_len(&operands) };
    let mut arena = Arena::new(scratch.end() as usize);
    let mut written = vec![0; tensors.len()];
    let mut found = Vec::new();
    let mut y = 0;
    while y < out.shape.h {
        let rows = match layout {
            Layout::Dense | Layout::InPlace(_) => out.shape.h,
            Layout::Lines => block,
            Layout::Views | Layout::ViewInPlace(_) => block * (1 + y % 2),
        };
        let rows = y..(y + rows).min(out.shape.h);
        for (operand, (tensor, map)) in tensors.iter().zip(inputs).enumerate() {
            let needed = if layout == Layout::Lines {
                op.reach(operand as u32).rows(rows.end - 1, tensor.shape.h).1
            } else {
                tensor.shape.h
            };
            (written[operand]..needed).for_each(|row| arena.write_row(tensor, map, row));
            written[operand] = needed.max(written[operand]);
        }
        let before = arena.bytes().to_vec();
        let mut memory = Memory::new(arena.bytes());
        op.run::<B>(&mut Io { memory: &mut memory, tensors: operands, scratch }, rows.clone());
        let mut allowed = vec![false; before.len()];
        allowed[scratch.offset as usize..scratch.end() as usize].fill(true);
        for row in rows.clone() {
            for x in 0..out.shape.w {
                let at = address(&out, row, x);
                allowed[at..at + out.shape.c as usize].fill(true);
            }
        }
        let changed = before.iter().zip(arena.bytes().iter()).zip(allowed).position(|((a, b), free)| a != b && !free);
        assert_eq!(changed, None, "{layout:?} writes bytes of others: {operands:?}, {op:?}");
        rows.clone().for_each(|row| found.extend(arena.read_row(&out, row)));
        y = rows.end;
    }
    found
}

/// A file with this one step gives the same operator back.
fn survives_a_file(op: &Op<'_>, inputs: &[&Map], output: (Shape, QuantParams)) {
    // Two operands are one tensor there, which has the output's shape then.
    let input = if inputs.len() == 2 { output.0 } else { shape(inputs[0].shape) };
    let file = file(op, (input, quant(inputs[0])), output);
    let model = Model::new(&file).unwrap_or_else(|error| panic!("{error}: {op:?}"));
    assert_eq!(model.step(0).unwrap().op, *op);
}

/// A model of this one step. If it takes two operands, they are the same tensor.
pub fn file(op: &Op<'_>, input: (Shape, QuantParams), output: (Shape, QuantParams)) -> Vec<u8> {
    file_of(op, [DType::I8; 2], input, output)
}

/// The same with input and output of these types.
pub fn file_of(op: &Op<'_>, types: [DType; 2], input: (Shape, QuantParams), output: (Shape, QuantParams)) -> Vec<u8> {
    let own = |dtype: DType, (shape, quant): (Shape, QuantParams), offset: u32, first, last| Tensor {
        shape,
        dtype,
        quant,
        place: Place { offset, pitch: shape.c * dtype.size(), rows: shape.h },
        first,
        ready: first,
        last,
        parent: None,
    };
    let input = own(types[0], input, 0, 0, 1);
    let out = own(types[1], output, input.end().next_multiple_of(16), 1, 2);
    let second = (op.kind().inputs() == 2).then_some(0);
    let operands = Operands { a: input, b: second.map(|_| input), output: out };
    let scratch = Region { offset: out.end().next_multiple_of(16), len: op.scratch_len(&operands) };
    let step = StepSpec { name: "step", op: *op, time_slot: 1, a: 0, b: second, output: 1, scratch };
    let spec = ModelSpec {
        name: "one step",
        arena_len: scratch.end().next_multiple_of(16),
        fast_len: 0,
        inputs: &[PortSpec::input(0)],
        outputs: &[PortSpec::output(1)],
        states: &[],
        about: About::UNKNOWN,
        tensors: &[input, out],
        steps: &[step],
        labels: &[],
        pixels: None,
    };
    spec.to_bytes()
}
