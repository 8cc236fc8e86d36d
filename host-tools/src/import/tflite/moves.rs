//! Operators that only move elements, and those that take others between them.

use kinglet::ops::ResizeNearest;
use kinglet::{Activation, DType, QuantParams, Shape};

use super::dims::{place, shape};
use super::names as op;
use super::operators::{activation, damaged};
use super::read::{Reader, State};
use super::schema::{Model, Operator};
use super::write::Writer;
use crate::graph::{NodeId, Rearrange, Strided};
use crate::import::flat_write::Value;
use crate::import::mirror::Mirror;
use crate::import::problem::{Refusal, refuse};
use crate::import::source::{FileNode, List, Operator as Neutral};
use crate::network::{Node, TensorId};

impl Reader<'_, '_> {
    pub(super) fn concat(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let Some(options) = o.options else { return refuse("its options are missing", "") };
        let activation = activation(options.i8(1, 0).map_err(damaged)?)?;
        if activation != Activation::None {
            return refuse("a fused activation", "TensorFlow Lite Micro refuses it too");
        }
        let axis = options.i32(0, 0).map_err(damaged)?;
        let dims = o.output(0).map_or(&[][..], |t| &self.model.tensors[t].dims);
        let Some(along) = place(dims, axis.into()) else {
            return refuse(format!("concatenation along axis {axis} of {dims:?}"), "the first dimension is the batch");
        };
        let parts = (0..o.input_count()).map(|index| self.operand(o, index)).collect::<Result<Vec<_>, _>>()?;
        self.lower(o, Neutral::Concat(along), &parts)
    }

    pub(super) fn reshape(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        if self.regroup(o)? {
            return Ok(());
        }
        let (input, to) = (self.operand(o, 0)?, self.shape(o)?);
        self.lower(o, Neutral::Reshape(to), &[input])
    }

    /// A RESHAPE that parts channels into groups, or joins groups again, as ShuffleNet has it; whether it was one.
    pub(super) fn regroup(&mut self, o: &Operator<'_>) -> Result<bool, Refusal> {
        let (Some(from), Some(to)) = (o.input(0), o.output(0)) else { return Ok(false) };
        let (before, after) = (&self.model.tensors[from], &self.model.tensors[to]);
        let parted = match (&before.dims[..], &after.dims[..]) {
            (&[_, h, w, c], &[_, rows, columns, groups, each]) => {
                groups > 0 && each > 0 && [h, w] == [rows, columns] && groups.checked_mul(each) == Some(c)
            }
            _ => false,
        };
        let id = match self.states[from] {
            State::Groups(id) => id,
            _ if parted => self.value(from)?,
            _ => return Ok(false),
        };
        if !self.is_float && self.draft.elements(id).is_some_and(|is| !self.elements(to).is_ok_and(|to| to == Some(is)))
        {
            return refuse("input and output have different scales", "");
        }
        if parted {
            self.states[to] = State::Groups(id);
        } else if shape(after)? == self.draft.shape(id) {
            self.set(o, 0, id)?;
        } else {
            return refuse("groups of channels that become something else", "");
        }
        Ok(true)
    }

    pub(super) fn transpose(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (Some(from), Some(to), Some(permutation)) =
            (o.input(0), o.output(0), o.input(1).and_then(|i| self.model.tensors[i].integers(8)))
        else {
            return refuse("its permutation is not constant", "");
        };
        let dims = &self.model.tensors[from].dims;
        if let (State::Groups(id), &[_, _, _, groups, each]) = (&self.states[from], &dims[..]) {
            // Channel shuffle.
            let turned = self.model.tensors[to].dims.get(3..) == Some(&[each, groups]);
            if permutation != [0, 1, 2, 4, 3] || !turned {
                return refuse(
                    format!("a permutation {permutation:?} of groups of channels"),
                    "groups and their channels may change places, nothing else",
                );
            }
            let [groups, each] = [groups, each].map(|count| count.max(1).unsigned_abs());
            let picked = (0..groups * each).map(|at| Some(at % groups * each + at / groups)).collect();
            let elements = self.draft.elements(*id);
            let node = FileNode::new(Neutral::Channels(picked), &[*id], elements.into());
            self.states[to] = State::Groups(self.draft.lower(node)?);
            return Ok(());
        }
        let moves =
            |&at: &i64| usize::try_from(at).ok().and_then(|at| dims.get(at)).is_some_and(|&d| d != 1 && d != -1);
        let moved: Vec<i64> = permutation.iter().copied().filter(moves).collect();
        if moved.is_sorted() && permutation.len() == dims.len() {
            return self.reshape(o);
        }
        // A channels-first model that was converted as it is: we take its input channels-last.
        if permutation == [0, 2, 3, 1] && self.model.inputs.contains(&from) && self.readers[from] == 1 && !self.is_float
        {
            let (to, elements) = (self.shape(o)?, self.elements(to)?);
            let id = self.draft.input(to, elements);
            self.states[from] = State::Value(id);
            self.draft.note("the input is height x width x channels here, and channels x height x width in the model: --layout nchw for such arrays");
            return self.set(o, 0, id);
        }
        let Some(axes) = turned(dims, &self.model.tensors[to].dims, &permutation) else {
            return refuse(
                format!("a permutation {permutation:?} of {dims:?}"),
                "only height, width and channels of one image may change places",
            );
        };
        let input = self.operand(o, 0)?;
        self.lower(o, Neutral::Rearrange(Rearrange::Strided(Strided::Transpose(axes))), &[input])
    }

    /// BROADCAST_TO, and TILE of what has one element along an axis.
    pub(super) fn broadcast(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (input, to) = (self.operand(o, 0)?, self.shape(o)?);
        let id = self.widened(input, to)?;
        self.lower(o, Neutral::Reshape(to), &[id])
    }

    /// A map spread over axes where it has one element: rows and columns by the nearest neighbor, channels by their number.
    pub(super) fn widened(&mut self, input: NodeId, to: Shape) -> Result<NodeId, Refusal> {
        let from = self.draft.shape(input);
        let spreads = |from: u32, to: u32| from == 1 || from == to;
        if !(spreads(from.h, to.h) && spreads(from.w, to.w) && spreads(from.c, to.c)) {
            return refuse("a map that is repeated as a whole", "only a single row, column or channel is repeated");
        }
        let (mut id, elements) = (input, self.draft.elements(input));
        if from.c != to.c {
            id = self.draft.channels(id, &vec![Some(0); to.c as usize])?;
        }
        if [from.h, from.w] != [to.h, to.w] {
            let size = [to.h, to.w];
            let resize = ResizeNearest { size, align_corners: false, half_pixel_centers: false };
            let spread = Neutral::Rearrange(Rearrange::ResizeNearest(resize));
            id = self.draft.lower(FileNode::new(spread, &[id], elements.into()))?;
        }
        Ok(id)
    }

    /// PAD, PADV2 and MIRROR_PAD.
    pub(super) fn pad(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (before, after) = pad_amounts(self.model, o)?;
        let input = self.operand(o, 0)?;
        if o.code == op::MIRROR_PAD {
            let mirror = match o.options.map_or(Ok(0), |options| options.i8(0, 0)).map_err(damaged)? {
                0 => Mirror::Reflect,
                1 => Mirror::Symmetric,
                other => return refuse(format!("padding of mode {other}"), "the file contradicts itself"),
            };
            let ([top, left, 0], [bottom, right, 0]) = (before, after) else {
                return refuse("repeated channels", "pad height and width only");
            };
            return self.lower(o, Neutral::Mirror { mirror, before: [top, left], after: [bottom, right] }, &[input]);
        }
        let value = match o.input(2).filter(|_| o.code == op::PADV2) {
            None => 0.0,
            Some(_) => match self.list(o, 2, o.input(0))? {
                List::Reals(reals) if reals.len() == 1 => reals[0],
                // An element of the input's type, which is what counts.
                List::Integers(elements, of) if elements.len() == 1 => match self.draft.elements(input) {
                    Some(from) if from.dtype == of.dtype => from.quant.dequantize(elements[0].into()),
                    _ => return refuse("its value is not of its input's type", ""),
                },
                _ => return refuse("its value is not one constant", ""),
            },
        };
        self.lower(o, Neutral::Rearrange(Rearrange::Pad { before, after, value }), &[input])
    }
}

/// Which of height, width and channels of a map each of these is of the map with its dimensions permuted.
fn turned(before: &[i32], after: &[i32], permutation: &[i64]) -> Option<[u32; 3]> {
    let mut axes = [None; 3];
    let (mut sorted, mut free) = (permutation.to_vec(), vec![0, 1, 2]);
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..before.len() as i64) || after.len() != before.len() {
        return None;
    }
    for (to, &from) in permutation.iter().enumerate() {
        if ![1, -1].contains(&before[from as usize]) {
            let own = place(before, from)?;
            axes[place(after, to as i64)?] = Some(own as u32);
            free.retain(|&axis| axis != own as u32);
        }
    }
    // What has one element has a place wherever one is left.
    let mut free = free.into_iter();
    let [h, w, c] = axes.map(|axis| axis.or_else(|| free.next()));
    Some([h?, w?, c?])
}

/// What is added before and after height, width and channels.
fn pad_amounts(model: &Model<'_>, o: &Operator<'_>) -> Result<([u32; 3], [u32; 3]), Refusal> {
    let (Some(from), Some(amounts)) = (o.input(0), o.input(1).and_then(|i| model.tensors[i].integers(16))) else {
        return refuse("its amounts are not constant", "");
    };
    let dims = &model.tensors[from].dims;
    let amounts: Option<Vec<u32>> =
        amounts.iter().map(|&a| u32::try_from(a).ok().filter(|&a| a < Shape::MAX_DIM)).collect();
    let Some(amounts) = amounts.filter(|a| a.len() == 2 * dims.len()) else {
        return refuse("negative, huge or malformed amounts", "");
    };
    let mut sides = [[0; 3]; 2];
    for (axis, pair) in amounts.chunks_exact(2).enumerate().filter(|(_, pair)| *pair != [0, 0]) {
        let Some(along) = place(dims, axis as i64) else { return refuse("padding of the batch", "") };
        (sides[0][along], sides[1][along]) = (pair[0], pair[1]);
    }
    Ok(sides.into())
}

/// Whether an operator's output has the shape of its input.
pub(super) fn changes_nothing(model: &Model<'_>, o: &Operator<'_>) -> bool {
    o.input(0).zip(o.output(0)).is_some_and(|(from, to)| model.tensors[from].dims == model.tensors[to].dims)
}

impl Writer<'_> {
    pub(super) fn write_concat(&mut self, node: &Node) {
        let (inputs, image) = self.together(node);
        let output = self.result(node, image);
        let axis = Value::I32(if image { 3 } else { 1 });
        self.operator(op::CONCATENATION, 2, inputs, output, (10, vec![(0, axis)]));
    }

    pub(super) fn write_strided(&mut self, node: &Node, first: TensorId, strided: Strided) -> Result<(), String> {
        let input = self.image(first);
        let (code, options, inputs) = match strided {
            Strided::DepthToSpace { block: [h, w], channels_first: false } if h == w => {
                (op::DEPTH_TO_SPACE, (94, vec![(0, Value::I32(h as i32))]), vec![input])
            }
            Strided::SpaceToDepth { block } => {
                (op::SPACE_TO_DEPTH, (19, vec![(0, Value::I32(block as i32))]), vec![input])
            }
            Strided::DepthToSpace { .. } => {
                return Err("blocks that are not square, or in the order of ONNX".into());
            }
            Strided::Digits { .. } => return Err("an order that TensorFlow Lite has no operator for".into()),
            Strided::Transpose([y, x, c]) => {
                let axes = [0, y + 1, x + 1, c + 1].map(|axis| axis as i32);
                let axes = self.integers(format!("{}/axes", node.name), vec![4], &axes);
                (op::TRANSPOSE, (26, vec![]), vec![input, axes])
            }
        };
        let output = self.result(node, true);
        self.operator(code, 2, inputs, output, options);
        Ok(())
    }

    pub(super) fn pad(
        &mut self,
        input: i32,
        output: i32,
        amounts: [u32; 8],
        value: i16,
        quant: (DType, QuantParams),
        name: &str,
    ) {
        let amounts = self.integers(format!("{name}/paddings"), vec![4, 2], &amounts.map(|a| a as i32));
        if i32::from(value) == quant.1.zero_point {
            self.operator(op::PAD, 2, vec![input, amounts], output, (22, vec![]));
        } else {
            let value = self.quantized(format!("{name}/value"), vec![], &[value], quant);
            self.operator(op::PADV2, 2, vec![input, amounts, value], output, (43, vec![]));
        }
    }
}
