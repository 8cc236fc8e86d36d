//! Reading operators: TensorFlow Lite's options and constant inputs in Kinglet's terms.

use kinglet::ops::{ResizeBilinear, ResizeNearest};
use kinglet::{Activation, Padding, Shape, Window};

use super::constants::four;
use super::names as op;
use super::read::{Reader, State, shape};
use super::schema::{Model, Operator, Type};
use crate::graph::{Binary, Function, NodeId, Rearrange, Strided, Unary};
use crate::import::mirror::Mirror;
use crate::import::problem::{Refusal, beyond, refuse};
use crate::import::source::{Curve, FileNode, List, Operand, Operator as Neutral, Part, Pool, Reduction, Transposed};

impl Reader<'_, '_> {
    /// Reads one operator, and has it lowered.
    pub(super) fn operator(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        if is_recurrent(o.code) {
            return unsupported(o);
        }
        if let Some(bad) = o.inputs().find(|&i| self.model.tensors[i].sparse || self.model.tensors[i].variable) {
            return refuse(
                format!("`{}` is sparse or a variable", self.model.tensors[bad].short_name()),
                "export a stateless model with dense weights",
            );
        }
        if is_shape_arithmetic(self.model, o) || self.function_of_reals(o)? {
            return Ok(());
        }
        if let Some(curve) = function(o)? {
            return self.curve(o, curve);
        }
        match o.code {
            op::CONV_2D => self.conv(o, false),
            op::DEPTHWISE_CONV_2D => self.conv(o, true),
            op::TRANSPOSE_CONV => self.transpose_conv(o),
            op::FULLY_CONNECTED => self.dense(o),
            op::MAX_POOL_2D => self.pool(o, Pool::Max),
            op::AVERAGE_POOL_2D => self.pool(o, Pool::Average),
            op::MEAN => self.reduce(o, Reduction::Mean),
            op::SUM => self.reduce(o, Reduction::Sum),
            op::REDUCE_MAX => self.reduce(o, Reduction::Max),
            op::ADD => self.arithmetic(o, Binary::Add),
            op::SUB => self.arithmetic(o, Binary::Sub),
            op::MUL => self.arithmetic(o, Binary::Mul),
            op::DIV => self.arithmetic(o, Binary::Div),
            op::MAXIMUM => self.arithmetic(o, Binary::Max),
            op::MINIMUM => self.arithmetic(o, Binary::Min),
            op::PRELU => {
                let (input, slopes) = (self.operand(o, 0)?, self.list(o, 1, 0)?);
                self.lower(o, Neutral::Prelu(slopes), &[input])
            }
            // What it does is taken for the variables' first elements.
            op::CALL_ONCE if self.model.once.is_some() => Ok(()),
            op::VAR_HANDLE => Ok(()),
            op::READ_VARIABLE => self.read_variable(o),
            op::ASSIGN_VARIABLE => self.assign_variable(o),
            op::CONCATENATION => self.concat(o),
            op::SOFTMAX | op::LOG_SOFTMAX => self.softmax(o),
            op::RESHAPE | op::SQUEEZE | op::EXPAND_DIMS => self.reshape(o),
            op::BROADCAST_TO | op::RESIZE_BILINEAR | op::RESIZE_NEAREST_NEIGHBOR if changes_nothing(self.model, o) => {
                self.reshape(o)
            }
            op::TRANSPOSE => self.transpose(o),
            op::SLICE | op::STRIDED_SLICE => {
                let (input, part) = (self.operand(o, 0)?, slice_part(self.model, o)?);
                self.lower_viewed(o, Neutral::Part(part), input)
            }
            op::GATHER => self.gather(o),
            op::SPLIT => self.split(o, 1, 0),
            op::SPLIT_V => self.split(o, 0, 2),
            op::PAD | op::PADV2 | op::MIRROR_PAD => self.pad(o),
            op::SPACE_TO_BATCH_ND => {
                let (input, blocks) = (self.operand(o, 0)?, blocks(self.model, o)?);
                let Some(output) = o.output(0) else { return refuse("it has no output", "") };
                self.states[output] = State::Blocks(input, blocks);
                Ok(())
            }
            op::BATCH_TO_SPACE_ND => self.batch_to_space(o),
            op::DEPTH_TO_SPACE | op::SPACE_TO_DEPTH => {
                let (input, Some(options)) = (self.operand(o, 0)?, o.options) else {
                    return refuse("its options are missing", "");
                };
                let block = extent(options.i32(0, 0).map_err(damaged)?, "a block")?;
                let strided = match o.code {
                    op::SPACE_TO_DEPTH => Strided::SpaceToDepth { block },
                    _ => Strided::DepthToSpace { block: [block; 2], channels_first: false },
                };
                self.lower(o, Neutral::Rearrange(Rearrange::Strided(strided)), &[input])
            }
            op::RESIZE_NEAREST_NEIGHBOR | op::RESIZE_BILINEAR => self.resize(o),
            op::QUANTIZE => self.quantize(o),
            op::DEQUANTIZE => self.dequantize(o),
            _ => unsupported(o),
        }
    }

    /// CONV_2D and DEPTHWISE_CONV_2D; between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND it is a dilated one.
    fn conv(&mut self, o: &Operator<'_>, depthwise: bool) -> Result<(), Refusal> {
        let Some(options) = o.options else { return refuse("its options are missing", "") };
        let field = |at, default| options.i32(at, default).map_err(damaged);
        let first = if depthwise { 5 } else { 4 };
        let activation = activation(options.i8(first - 1, 0).map_err(damaged)?)?;
        let padding = padding(options.i8(0, 0).map_err(damaged)?)?;
        let stride = [extent(field(2, 0)?, "vertical stride")?, extent(field(1, 0)?, "horizontal stride")?];
        let dilation =
            [extent(field(first + 1, 1)?, "vertical dilation")?, extent(field(first, 1)?, "horizontal dilation")?];
        let (input, into) = match o.input(0).map(|input| &self.states[input]) {
            Some(State::Blocks(id, into)) if stride == [1; 2] && dilation == [1; 2] && padding == Padding::Valid => {
                (*id, Some(*into))
            }
            _ => (self.operand(o, 0)?, None),
        };
        let dilation = into.map_or(dilation, |into| into.size);
        let from = self.draft.shape(input);
        let Some(filter) = o.input(1) else { return refuse("its filter is missing", "") };
        let [first_dim, kh, kw, last_dim] = four(&self.model.tensors[filter])?;
        let (channels, axis) = if depthwise { (last_dim, 3) } else { (first_dim, 0) };
        let groups = from.c / last_dim.max(1);
        if if depthwise { first_dim != 1 } else { last_dim * groups != from.c } {
            return refuse(format!("a filter of {last_dim} channels for {}", from.c), "the file contradicts itself");
        }
        let wide = self.draft.elements(input).is_some_and(|elements| elements.dtype == kinglet::DType::I16);
        let filter = self.filter(o, 2, channels, axis, wide)?;
        let kernel = [(kh - 1) * dilation[0] + 1, (kw - 1) * dilation[1] + 1];
        let window = Window::new(kernel, stride, padding, [from.h, from.w]);
        let operator = if depthwise {
            Neutral::Depthwise { window, dilation, filter }
        } else {
            Neutral::Conv { window, dilation, groups, filter }
        };
        let node = FileNode::new(operator, &[input], self.output(o, activation)?);
        match (into, o.output(0)) {
            (Some(into), Some(output)) => {
                self.states[output] = State::Convolved(Box::new(node), into);
                Ok(())
            }
            _ => self.lower_node(o, node),
        }
    }

    fn transpose_conv(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let Some(options) = o.options else { return refuse("its options are missing", "") };
        let field = |at| options.i32(at, 0).map_err(damaged);
        let padding = padding(options.i8(0, 0).map_err(damaged)?)?;
        let stride = [extent(field(2)?, "vertical stride")?, extent(field(1)?, "horizontal stride")?];
        let activation = activation(options.i8(3, 0).map_err(damaged)?)?;
        let Some(filter) = o.input(1) else { return refuse("its filter is missing", "") };
        let [channels, kh, kw, inner] = four(&self.model.tensors[filter])?;
        let (input, to) = (self.operand(o, 2)?, self.shape(o)?);
        let from = self.draft.shape(input);
        if inner != from.c || channels != to.c {
            return refuse(format!("a filter of {channels} x {inner} channels"), "the file contradicts itself");
        }
        let (kernel, size) = ([kh, kw], [to.h, to.w]);
        // The padding of the convolution from the output to the input.
        let before = match padding {
            Padding::Valid => [0; 2],
            Padding::Same => [0, 1].map(|axis| {
                let whole = ([from.h, from.w][axis] - 1).saturating_mul(stride[axis]).saturating_add(kernel[axis]);
                whole.saturating_sub(size[axis]) / 2
            }),
        };
        let wide = self.draft.elements(input).is_some_and(|elements| elements.dtype == kinglet::DType::I16);
        let filter = self.filter(o, 3, channels, 0, wide)?;
        let transposed = Transposed { kernel, stride, before, size };
        let node = FileNode::new(Neutral::TransposedConv { transposed, filter }, &[input], self.output(o, activation)?);
        self.lower_node(o, node)
    }

    /// Behind a convolution of blocks; its window then has what was added around the map and was not cut off again.
    fn batch_to_space(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let back = blocks(self.model, o)?;
        let Some(input) = o.input(0) else { return refuse("input 0 is missing", "") };
        let State::Convolved(mut node, into) = std::mem::replace(&mut self.states[input], State::None) else {
            return refuse("the operator is not supported", hint(o.code));
        };
        let less = |of: [u32; 2], by: [u32; 2]| Some([of[0].checked_sub(by[0])?, of[1].checked_sub(by[1])?]);
        let (Some(before), Some(after), true) =
            (less(into.before, back.before), less(into.after, back.after), into.size == back.size)
        else {
            return refuse("blocks that are not put together as they were taken apart", "the file contradicts itself");
        };
        if let Neutral::Conv { window, .. } | Neutral::Depthwise { window, .. } = &mut node.operator {
            (window.before, window.after) = (before, after);
        }
        if into.size.iter().map(|&size| size as i32).product::<i32>() != self.model.tensors[input].dims[0] {
            self.draft.note(FIRST_BLOCK);
        }
        let output = self.output(o, Activation::None)?;
        if node.output.elements.zip(output.elements).is_some_and(|(sums, out)| !sums.same(out)) {
            return refuse("input and output have different scales", "");
        }
        self.lower_node(o, *node)
    }

    fn dense(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let Some(options) = o.options else { return refuse("its options are missing", "") };
        let activation = activation(options.i8(0, 0).map_err(damaged)?)?;
        if options.i8(1, 0).map_err(damaged)? != 0 {
            return refuse("shuffled weights", "convert the model without weight shuffling");
        }
        let (input, output) = (self.operand(o, 0)?, self.output(o, activation)?);
        let Some(weights) = o.input(1) else { return refuse("its weights are missing", "") };
        let dims = &self.model.tensors[weights].dims;
        let [Ok(outputs), Ok(inputs)] = (match dims[..] {
            [outputs, inputs] => [u32::try_from(outputs), u32::try_from(inputs)],
            _ => return refuse(format!("weights of shape {dims:?}"), ""),
        }) else {
            return refuse("weights of a negative extent", "");
        };
        let wide = self.draft.elements(input).is_some_and(|elements| elements.dtype == kinglet::DType::I16);
        let filter = self.filter(o, 2, outputs, 0, wide)?;
        self.lower_node(o, FileNode::new(Neutral::Dense { inputs, filter }, &[input], output))
    }

    fn pool(&mut self, o: &Operator<'_>, pool: Pool) -> Result<(), Refusal> {
        let Some(options) = o.options else { return refuse("its options are missing", "") };
        let field = |at| options.i32(at, 0).map_err(damaged);
        let activation = activation(options.i8(5, 0).map_err(damaged)?)?;
        let padding = padding(options.i8(0, 0).map_err(damaged)?)?;
        let stride = [extent(field(2)?, "vertical stride")?, extent(field(1)?, "horizontal stride")?];
        let kernel = [extent(field(4)?, "filter height")?, extent(field(3)?, "filter width")?];
        let input = self.operand(o, 0)?;
        let Shape { h, w, .. } = self.draft.shape(input);
        let window = Window::new(kernel, stride, padding, [h, w]);
        let output = self.output(o, activation)?;
        self.lower_node(o, FileNode::new(Neutral::Pool(pool, window), &[input], output))
    }

    /// MEAN, SUM and REDUCE_MAX over height and width.
    fn reduce(&mut self, o: &Operator<'_>, reduction: Reduction) -> Result<(), Refusal> {
        let (input, output) = (self.operand(o, 0)?, self.output(o, Activation::None)?);
        let dims = o.input(0).map_or(&[][..], |i| &self.model.tensors[i].dims);
        let Some(axes) = o.input(1).and_then(|i| self.model.tensors[i].integers(8)) else {
            return refuse("its axes are not constant", "");
        };
        let rank = dims.len() as i64;
        let listed = |at: i64| axes.iter().any(|&axis| axis == at || axis + rank == at);
        // Height, width and channels are the last of the dimensions.
        let own = |ours: i64| Some(ours + rank - 3).filter(|at| (1..rank).contains(at));
        let reduced = |ours| own(ours).is_none_or(|at| listed(at) || dims[at as usize] == 1);
        if !(2..=4).contains(&rank) || axes.iter().any(|axis| !(-rank..rank).contains(axis)) {
            return refuse(format!("{} over axes {axes:?} of {dims:?}", o.kind), "only one image's can be reduced");
        }
        let axes = [reduced(0), reduced(1), listed(rank - 1) && dims[rank as usize - 1] != 1];
        let id = self.draft.lower(FileNode::new(Neutral::Reduce { reduction, axes }, &[input], output))?;
        let to = self.shape(o)?;
        let id = if self.draft.shape(id).len() == to.len() { self.draft.read_as(id, to)? } else { id };
        self.set(o, 0, id)
    }

    /// Lowers an operator of one activation that may drop dimensions of 1.
    fn lower_viewed(&mut self, o: &Operator<'_>, operator: Neutral, input: NodeId) -> Result<(), Refusal> {
        let (to, output) = (self.shape(o)?, self.output(o, Activation::None)?);
        let id = self.draft.lower(FileNode::new(operator, &[input], output))?;
        let id = if self.draft.shape(id).len() == to.len() { self.draft.read_as(id, to)? } else { id };
        self.set(o, 0, id)
    }

    /// GATHER of channels by their numbers, or of rows or columns at even distances.
    fn gather(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        let rank = o.input(0).map_or(0, |i| self.model.tensors[i].dims.len());
        let option = |at| o.options.map_or(Ok(0), |options| options.i32(at, 0)).map_err(damaged);
        let Some(indices) = o.input(1).and_then(|i| self.model.tensors[i].integers(Shape::MAX_DIM as usize)) else {
            return refuse("its indices are not constant", "only constant indices are supported");
        };
        let axis = if option(0)? < 0 { option(0)? + rank as i32 } else { option(0)? };
        let place = usize::try_from(axis)
            .ok()
            .filter(|&axis| axis > 0 && axis < rank)
            .and_then(|at| (at + 3).checked_sub(rank));
        let Shape { h, w, c } = self.draft.shape(input);
        let (Some(place), 0) = (place, option(1)?) else {
            return refuse(format!("parts along axis {axis} of {rank}"), "");
        };
        let picked: Option<Vec<u32>> = indices.iter().map(|&index| u32::try_from(index).ok()).collect();
        let (Some(picked), [first, rest @ ..]) = (picked, &indices[..]) else {
            return refuse("negative or no indices", "");
        };
        let step = rest.first().map_or(1, |second| second - first);
        let operator = if place == 2 {
            Neutral::Channels(picked.into_iter().map(Some).collect())
        } else if step > 0 && indices.windows(2).all(|pair| pair[1] - pair[0] == step) {
            let mut part = [[0, 0, 0], [h, w, c], [1; 3]];
            [part[0][place], part[1][place], part[2][place]] = [picked[0], picked.len() as u32, step as u32];
            Neutral::Part(part)
        } else {
            return refuse("rows or columns that are not at even distances", "slice instead");
        };
        self.lower_viewed(o, operator, input)
    }

    /// Arithmetic of two activations, or of an activation and a constant.
    fn arithmetic(&mut self, o: &Operator<'_>, binary: Binary) -> Result<(), Refusal> {
        let fuses = matches!(binary, Binary::Add | Binary::Sub | Binary::Mul | Binary::Div);
        let activation = match o.options {
            Some(options) if fuses => activation(options.i8(0, 0).map_err(damaged)?)?,
            None if fuses => return refuse("its options are missing", ""),
            _ => Activation::None,
        };
        let mut inputs = Vec::new();
        for at in 0..2 {
            let constant = o.input(at).is_some_and(|index| self.model.is_constant(index));
            inputs.push(match constant {
                true => Operand::Constant(self.list(o, at, 1 - at)?),
                false => Operand::Value(self.operand(o, at)?),
            });
        }
        let (operator, output) = (Neutral::Arithmetic(binary), self.output(o, activation)?);
        self.lower_node(o, FileNode { operator, inputs, output })
    }

    fn concat(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let Some(options) = o.options else { return refuse("its options are missing", "") };
        let activation = activation(options.i8(1, 0).map_err(damaged)?)?;
        if activation != Activation::None {
            return refuse("a fused activation", "TensorFlow Lite Micro refuses it too");
        }
        let axis = options.i32(0, 0).map_err(damaged)?;
        let rank = o.output(0).map_or(0, |t| self.model.tensors[t].dims.len()) as i32;
        let axis = if axis < 0 { axis.saturating_add(rank) } else { axis };
        let (1.., from_last @ 0..=2) = (axis, rank.saturating_sub(axis).saturating_sub(1)) else {
            return refuse(format!("concatenation along axis {axis} of {rank}"), "the first dimension is the batch");
        };
        let parts = (0..o.input_count()).map(|index| self.operand(o, index)).collect::<Result<Vec<_>, _>>()?;
        self.lower(o, Neutral::Concat(2 - from_last as usize), &parts)
    }

    fn softmax(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        let mut beta = 1.0;
        if o.code == op::SOFTMAX {
            let Some(options) = o.options else { return refuse("its options are missing", "") };
            beta = options.f32(0, 0.0).map_err(damaged)?;
        } else {
            if !self.is_float {
                return unsupported(o);
            }
            if o.output(0).is_none_or(|output| self.model.outputs != [output]) {
                return refuse("LOG_SOFTMAX that is not the output", "take it out of the model");
            }
            self.draft.note("the output is probabilities: the model's are their logarithms (LOG_SOFTMAX)");
        }
        self.lower(o, Neutral::Softmax { beta }, &[input])
    }

    fn reshape(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        if self.regroup(o)? {
            return Ok(());
        }
        let (input, to) = (self.operand(o, 0)?, self.shape(o)?);
        self.lower(o, Neutral::Reshape(to), &[input])
    }

    /// A RESHAPE that parts channels into groups, or joins groups again, as ShuffleNet has it; whether it was one.
    fn regroup(&mut self, o: &Operator<'_>) -> Result<bool, Refusal> {
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

    fn transpose(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
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
            self.draft.note("the input is taken as height x width x channels: its transposition was dropped");
            return self.set(o, 0, id);
        }
        // Height, width and channels are the last of the dimensions.
        let (rank, mut axes) = (dims.len(), [0, 1, 2]);
        let mut sorted = permutation.clone();
        sorted.sort_unstable();
        if !(3..=4).contains(&rank) || permutation.first() != Some(&0) || !sorted.iter().copied().eq(0..rank as i64) {
            return refuse(
                format!("a permutation {permutation:?} of {dims:?}"),
                "only one image at a time is supported",
            );
        }
        for (to, &from) in permutation.iter().enumerate().skip(1) {
            axes[to + 3 - rank] = (from as usize + 3 - rank) as u32;
        }
        let input = self.operand(o, 0)?;
        self.lower(o, Neutral::Rearrange(Rearrange::Strided(Strided::Transpose(axes))), &[input])
    }

    /// RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR.
    fn resize(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (input, Some(options)) = (self.operand(o, 0)?, o.options) else {
            return refuse("its options are missing", "");
        };
        let size = o.input(1).and_then(|i| self.model.tensors[i].integers(2)).unwrap_or_default();
        let size: Vec<u32> = size.iter().filter_map(|&extent| u32::try_from(extent).ok()).collect();
        let &[h, w] = &size[..] else { return refuse("its size is not a constant height and width", "") };
        // The other operator's table of options still has two fields that nobody writes any more.
        let first = if o.code == op::RESIZE_BILINEAR { 2 } else { 0 };
        let [align_corners, half_pixel_centers] =
            [options.bool(first).map_err(damaged)?, options.bool(first + 1).map_err(damaged)?];
        if o.code == op::RESIZE_NEAREST_NEIGHBOR {
            let resize = ResizeNearest { size: [h, w], align_corners, half_pixel_centers };
            return self.lower(o, Neutral::Rearrange(Rearrange::ResizeNearest(resize)), &[input]);
        }
        if align_corners && half_pixel_centers {
            return refuse("both corners and centers are aligned", "TensorFlow Lite refuses it too");
        }
        let resize = ResizeBilinear::new(self.draft.shape(input), [h, w], align_corners, half_pixel_centers);
        let Some(resize) = resize else { return refuse("a map that becomes thousands of times smaller", "") };
        self.lower(o, Neutral::ResizeBilinear(resize), &[input])
    }

    /// SPLIT and SPLIT_V: each of the operator's outputs is a part of its input.
    fn split(&mut self, o: &Operator<'_>, value: usize, axis: usize) -> Result<(), Refusal> {
        let input = self.operand(o, value)?;
        if o.outputs().count() == 1 {
            let to = self.shape(o)?;
            return self.lower(o, Neutral::Reshape(to), &[input]);
        }
        let from = self.draft.shape(input);
        let rank = o.input(value).map_or(0, |i| self.model.tensors[i].dims.len()) as i64;
        let Some(&[axis]) = o.input(axis).and_then(|i| self.model.tensors[i].integers(1)).as_deref() else {
            return refuse("its axis is not constant", "");
        };
        let from_last = (rank - 1 - if axis < 0 { axis + rank } else { axis }) as usize;
        if from_last >= 3 || rank < 2 || from_last as i64 == rank - 1 {
            return refuse(format!("a split along axis {axis} of {rank}"), "");
        }
        let along = 2 - from_last;
        let mut start = 0;
        for (index, output) in o.outputs().enumerate() {
            let Shape { h, w, c } = shape(&self.model.tensors[output])?;
            let (mut first, mut count) = ([0; 3], [from.h, from.w, from.c]);
            (first[along], count[along]) = (start, [h, w, c][along]);
            start = u32::saturating_add(start, count[along]);
            let part = Neutral::Part([first, count, [1; 3]]);
            let node = FileNode::new(part, &[input], self.elements(output)?.into());
            let id = self.draft.lower(node)?;
            self.set(o, index, id)?;
        }
        Ok(())
    }

    /// PAD, PADV2 and MIRROR_PAD.
    fn pad(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
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
            Some(_) => match self.list(o, 2, 0)? {
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

/// What TensorFlow Lite Micro, which knows no batch but that in the file, makes of blocks in a batch that was left open.
const FIRST_BLOCK: &str = "a dilated convolution takes all of its blocks, as in TensorFlow Lite; TensorFlow Lite Micro computes only the first of \
                           them, as the file leaves the batch open (convert the model with a batch size of 1)";

/// The function of one element that an operator computes, if it is one.
pub(super) fn function(o: &Operator<'_>) -> Result<Option<Curve>, Refusal> {
    let x = || Function::X;
    let other = |function| Curve::Other(function);
    let number = |default: f32| o.options.map_or(Ok(default), |options| options.f32(0, 0.0)).map_err(damaged);
    Ok(Some(match o.code {
        op::ABS => other(x().then(Unary::Abs)),
        op::ELU => Curve::Elu,
        op::EXP => other(x().then(Unary::Exp)),
        op::GELU => {
            Curve::Gelu { approximate: o.options.map_or(Ok(0), |options| options.i8(0, 0)).map_err(damaged)? != 0 }
        }
        op::HARD_SWISH => Curve::HardSwish,
        op::LEAKY_RELU => Curve::LeakyRelu(number(0.0)?),
        op::LOG => other(x().then(Unary::Log)),
        op::LOGISTIC => Curve::Logistic,
        op::NEG => other(Function::negated()),
        op::RELU => Curve::Relu,
        op::RELU_0_TO_1 => other(x().clip(0.0, 1.0)),
        op::RELU6 => Curve::Relu6,
        op::RELU_N1_TO_1 => Curve::ReluN1To1,
        op::RSQRT => other(Function::Constant(1.0) / x().then(Unary::Sqrt)),
        op::SQRT => other(x().then(Unary::Sqrt)),
        op::SQUARE => other(x() * x()),
        op::TANH => Curve::Tanh,
        _ => return Ok(None),
    }))
}

/// A fused activation by its code.
fn activation(code: i8) -> Result<Activation, Refusal> {
    match code {
        0 => Ok(Activation::None),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::ReluN1To1),
        3 => Ok(Activation::Relu6),
        4 => refuse("fused TANH", "export the activation as an operator of its own"),
        code => refuse(format!("fused activation {code}"), ""),
    }
}

/// A padding scheme by its code.
fn padding(code: i8) -> Result<Padding, Refusal> {
    match code {
        0 => Ok(Padding::Same),
        1 => Ok(Padding::Valid),
        code => refuse(format!("padding scheme {code}"), ""),
    }
}

/// A positive extent.
fn extent(value: i32, what: &str) -> Result<u32, Refusal> {
    match u32::try_from(value) {
        Ok(value) if (1..=Window::MAX_EXTENT).contains(&value) => Ok(value),
        _ => refuse(format!("{what} of {value}"), ""),
    }
}

/// Whether an operator only computes shapes: the shapes that count are declared in the file.
fn is_shape_arithmetic(model: &Model<'_>, o: &Operator<'_>) -> bool {
    let integers = |i: usize| matches!(model.tensors[i].dtype, Type::Int32 | Type::Int64);
    match o.code {
        op::SHAPE => true,
        op::STRIDED_SLICE
        | op::PACK
        | op::CONCATENATION
        | op::GATHER
        | op::MUL
        | op::ADD
        | op::SUB
        | op::CAST
        | op::REDUCE_PROD
        | op::SQUEEZE
        | op::EXPAND_DIMS
        | op::RESHAPE
        | op::MAXIMUM
        | op::MINIMUM => o.outputs().all(integers) && o.inputs().all(integers),
        _ => false,
    }
}

/// What SPACE_TO_BATCH_ND adds around a map before it takes it apart into blocks, or BATCH_TO_SPACE_ND cuts off again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blocks {
    /// Height and width of a block.
    size: [u32; 2],
    before: [u32; 2],
    after: [u32; 2],
}

/// The blocks of a SPACE_TO_BATCH_ND or BATCH_TO_SPACE_ND.
fn blocks(model: &Model<'_>, o: &Operator<'_>) -> Result<Blocks, Refusal> {
    let list = |at: usize| -> Option<Vec<u32>> {
        let list = o.input(at).and_then(|i| model.tensors[i].integers(4))?;
        list.iter().map(|&value| u32::try_from(value).ok().filter(|&value| value <= Window::MAX_EXTENT)).collect()
    };
    let rank = o.input(0).map_or(0, |i| model.tensors[i].dims.len());
    let size = list(1).filter(|size| !size.contains(&0));
    match (size.as_deref(), list(2).as_deref(), rank) {
        (Some(&[h, w]), Some(&[top, bottom, left, right]), 4) => {
            Ok(Blocks { size: [h, w], before: [top, left], after: [bottom, right] })
        }
        (Some(&[h]), Some(&[top, bottom]), 4) => Ok(Blocks { size: [h, 1], before: [top, 0], after: [bottom, 0] }),
        (Some(&[w]), Some(&[left, right]), 3) => Ok(Blocks { size: [1, w], before: [0, left], after: [0, right] }),
        _ => refuse("blocks that are not constant, or not of height and width", ""),
    }
}

/// What is added before and after height, width and channels.
fn pad_amounts(model: &Model<'_>, o: &Operator<'_>) -> Result<([u32; 3], [u32; 3]), Refusal> {
    let (Some(from), Some(amounts)) = (o.input(0), o.input(1).and_then(|i| model.tensors[i].integers(16))) else {
        return refuse("its amounts are not constant", "");
    };
    let rank = model.tensors[from].dims.len();
    let amounts: Option<Vec<u32>> =
        amounts.iter().map(|&a| u32::try_from(a).ok().filter(|&a| a < Shape::MAX_DIM)).collect();
    let Some(amounts) = amounts.filter(|a| a.len() == 2 * rank && (2..=4).contains(&rank)) else {
        return refuse("negative, huge or malformed amounts", "");
    };
    if amounts[0] != 0 || amounts[1] != 0 {
        return refuse("padding of the batch", "");
    }
    // Height, width, channels from the back; missing ones are not padded.
    let of = |from_last: usize, side: usize| {
        if from_last + 1 < rank { amounts[2 * (rank - 1 - from_last) + side] } else { 0 }
    };
    let side = |side| [of(2, side), of(1, side), of(0, side)];
    Ok((side(0), side(1)))
}

/// The part of its input that a SLICE or STRIDED_SLICE gives.
fn slice_part(model: &Model<'_>, o: &Operator<'_>) -> Result<Part, Refusal> {
    let list = |at| o.input(at).and_then(|i| model.tensors[i].integers(4));
    let dims = o.input(0).map_or_else(Vec::new, |i| model.tensors[i].dims.clone());
    let whole = |dim: i32| i64::from(dim.max(1));
    let (Some(begin), Some(second)) = (list(1), list(2)) else {
        return refuse("its bounds are not constant", "only constant slices are supported");
    };
    if begin.len() != dims.len() || second.len() != dims.len() {
        return refuse("its bounds are not as many as its input has dimensions", "the file contradicts itself");
    }
    let (mut first, mut count, mut step) = (vec![], vec![], vec![]);
    if o.code == op::SLICE {
        for ((&begin, &size), &dim) in begin.iter().zip(&second).zip(&dims) {
            first.push(begin);
            count.push(if size == -1 { whole(dim) - begin } else { size });
            step.push(1);
        }
    } else {
        let (Some(strides), Some(options)) = (list(3), o.options) else {
            return refuse("its strides are not constant", "only constant slices are supported");
        };
        let mask = |at| options.i32(at, 0).map_err(damaged);
        let (begins, ends, single) = (mask(0)?, mask(1)?, mask(4)?);
        if [mask(2)?, mask(3)?] != [0; 2] || strides.len() != dims.len() {
            return refuse("it adds dimensions", "slice without new axes or ellipses");
        }
        for (axis, &dim) in dims.iter().enumerate() {
            let from_end = |at: i64| if at < 0 { at + whole(dim) } else { at }.clamp(0, whole(dim));
            let begin = if begins & 1 << axis != 0 { 0 } else { from_end(begin[axis]) };
            let end = if ends & 1 << axis != 0 { whole(dim) } else { from_end(second[axis]) };
            // A single index.
            let end = if single & 1 << axis != 0 { begin + 1 } else { end };
            let stride = strides[axis].max(0);
            first.push(begin);
            count.push(if stride == 0 { 0 } else { (end - begin + stride - 1) / stride });
            step.push(stride);
        }
    }
    Ok([spatial(&first, 0)?, spatial(&count, 1)?, spatial(&step, 1)?])
}

/// Height, width and channels of a list for all dimensions, of which the first, the batch, is whole; `neutral` for those
/// that are missing.
fn spatial(list: &[i64], neutral: u32) -> Result<[u32; 3], Refusal> {
    let mut found = [neutral; 3];
    for (at, &value) in list.iter().skip(1).rev().enumerate() {
        match (u32::try_from(value).ok().filter(|&v| v <= Shape::MAX_DIM), 2usize.checked_sub(at)) {
            (Some(value), Some(axis)) => found[axis] = value,
            _ => return refuse(format!("a bound of {value}"), ""),
        }
    }
    match list.first() {
        Some(0 | 1) if list.len() >= 2 => Ok(found),
        _ => refuse("a slice of the batch", "the first dimension is the batch"),
    }
}

/// Whether an operator's output has the shape of its input.
fn changes_nothing(model: &Model<'_>, o: &Operator<'_>) -> bool {
    o.input(0).zip(o.output(0)).is_some_and(|(from, to)| model.tensors[from].dims == model.tensors[to].dims)
}

/// Whether an operator is one of recurrent networks or of attention.
const fn is_recurrent(code: i32) -> bool {
    matches!(code, op::LSTM | op::RNN | op::SVDF | op::SEQUENCE_LSTM | op::BATCH_MATMUL)
}

/// A damaged table met while a node's options are read.
pub(super) fn damaged(error: crate::import::flat::Malformed) -> Refusal {
    (error.to_string(), String::new())
}

/// Why an operator is not supported that has no lowering.
fn unsupported<T>(o: &Operator<'_>) -> Result<T, Refusal> {
    let compilers = [("edgetpu", "Edge TPU"), ("ethos-u", "Ethos-U"), ("XC_", "xcore")];
    match compilers.iter().find(|(part, _)| o.kind.contains(part)) {
        Some((_, name)) => refuse(
            format!("the file is compiled for the accelerator {name}"),
            "import the file that its compiler was given",
        ),
        None => refuse("the operator is not supported", hint(o.code)),
    }
}

/// What a user can do about an operator that is not supported.
pub(super) fn hint(code: i32) -> &'static str {
    match code {
        56 | 79 | 48 => "take it out of the model and use kinglet's top-k on the output",
        op::SPACE_TO_BATCH_ND | op::BATCH_TO_SPACE_ND => "only around a convolution, which they make a dilated one",
        op::LOG_SOFTMAX => "take it out of the model: the order of classes stays the same",
        code => beyond(&op::name(code)).unwrap_or(
            "rebuild the model without it: kinglet supports the operators of residual, Inception and MobileNet-style classifiers (README.md)",
        ),
    }
}
