//! Operators with a window: convolutions and pools.

use kinglet::ops::Digit;
use kinglet::{Padding, Shape, Window};

use super::context::{Activation, Context, attribute, from_end, int, ints};
use super::moves::text;
use super::norms::length;
use super::ops::pair;
use super::proto::NodeProto;
use crate::graph::{Function, NodeId, Rearrange, Strided, Unary};
use crate::import::problem::{Refusal, refuse};
use crate::import::source::{Bias, Filter, Operator, Pool, Reduction, Transposed};

impl<'m> Context<'m> {
    pub(super) fn conv(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.map(node, 0)?;
        let weights = self.constant(node, 1)?;
        let from = self.shape(&input);
        let (out, inner, kh, kw) = match weights.dims[..] {
            [out, inner, kh, kw] if input.dims.len() == 4 => (out, inner, kh, kw),
            [out, inner, kw] if input.dims.len() == 3 => (out, inner, 1, kw),
            _ => {
                return refuse(
                    format!("weights of dimensions {:?}", weights.dims),
                    "only 1-D and 2-D convolutions are supported",
                );
            }
        };
        let groups = int(node, "group", 1);
        let groups = usize::try_from(groups).unwrap_or(0).max(1);
        if inner * groups != from.c as usize || out % groups != 0 || out == 0 || kh * kw == 0 {
            return refuse(
                format!("weights of dimensions {:?} for {} channels", weights.dims, from.c),
                "the file contradicts itself",
            );
        }
        let [dh, dw] = pair(node, "dilations")?.map(|d| d as usize);
        let (height, width) = ((kh - 1) * dh + 1, (kw - 1) * dw + 1);
        let (window, _) = self.window(node, [height as u32, width as u32], from)?;
        let dilation = [dh as u32, dw as u32];
        let bias = Bias::Reals(self.bias(node, 2, out)?);
        let depthwise = groups == from.c as usize && inner == 1 && groups > 1;
        let order: &[i64] = match (depthwise, weights.dims.len()) {
            (false, 4) => &[0, 2, 3, 1],
            (false, _) => &[0, 2, 1],
            (true, 4) => &[2, 3, 0, 1],
            (true, _) => &[2, 0, 1],
        };
        let weights = self.weights(node, out, |weights| weights.transposed(Some(order)))?;
        let filter = Filter { weights, bias };
        let operator = if depthwise {
            Operator::Depthwise { window, dilation, filter }
        } else {
            Operator::Conv { window, dilation, groups: groups as u32, filter }
        };
        let id = self.lower(operator, &[input.node])?;
        self.set_map(node, id, &input);
        Ok(())
    }

    pub(super) fn conv_transpose(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let (input, weights) = (self.map(node, 0)?, self.constant(node, 1)?);
        let Shape { h, w, c } = self.shape(&input);
        let (inner, out, kernel, order): (_, _, _, &[i64]) = match weights.dims[..] {
            [inner, out, kh, kw] if input.dims.len() == 4 => (inner, out, [kh, kw], &[1, 2, 3, 0]),
            [inner, out, kw] if input.dims.len() == 3 => (inner, out, [1, kw], &[1, 2, 0]),
            _ => return refuse(format!("weights of dimensions {:?}", weights.dims), ""),
        };
        let groups = usize::try_from(int(node, "group", 1)).unwrap_or(0).max(1);
        let taps = kernel.map(|extent| extent as u32);
        let dilation = pair(node, "dilations")?;
        let kernel = [0, 1].map(|axis| (taps[axis].saturating_sub(1)).saturating_mul(dilation[axis]).saturating_add(1));
        let fits = inner == c as usize && inner.is_multiple_of(groups) && !taps.contains(&0);
        if !fits || kernel.iter().any(|extent| !(1..=Window::MAX_EXTENT).contains(extent)) {
            return refuse(format!("weights of dimensions {:?} for {c} channels", weights.dims), "");
        }
        let stride = pair(node, "strides")?;
        let list = |name, len| match ints(node, name) {
            Some(list) if list.len() == len || 2 * list.len() == len => Ok(list.to_vec()),
            None => Ok(vec![0; len]),
            Some(list) => refuse(format!("{name} of {list:?}"), ""),
        };
        let (pads, more) = (list("pads", 4)?, list("output_padding", 2)?);
        let automatic = text(node, "auto_pad", "NOTSET");
        let given = ints(node, "output_shape");
        // Of maps of one row there is only the second axis.
        let [missing, axes] = if input.dims.len() == 3 { [1, 1] } else { [0, 2] };
        let mut transposed = Transposed { kernel, stride, before: [0; 2], size: [1; 2] };
        for axis in missing..2 {
            let of = |list: &[i64], at: usize| list.get(at).copied().unwrap_or_default();
            let [mut before, after] = [of(&pads, axis - missing), of(&pads, axes + axis - missing)];
            let whole = i64::from([h, w][axis] - 1) * i64::from(stride[axis]) + i64::from(kernel[axis]);
            let whole = whole + of(&more, axis - missing);
            let same = matches!(automatic, "SAME_UPPER" | "SAME_LOWER")
                .then(|| i64::from([h, w][axis]) * i64::from(stride[axis]));
            // Of a list of all dimensions height and width are the last.
            let from_last = |list: &[i64]| list.iter().rev().nth(1 - axis).copied();
            let size = given.and_then(from_last).or(same).unwrap_or(whole - before - after);
            if given.is_some() || same.is_some() {
                let padding = (whole - size).max(0);
                before = if automatic == "SAME_UPPER" { padding / 2 } else { padding - padding / 2 };
            }
            let (Ok(before), Ok(size @ 1..=Shape::MAX_DIM)) = (u32::try_from(before), u32::try_from(size)) else {
                return refuse("padding that leaves nothing, or is negative", "");
            };
            (transposed.before[axis], transposed.size[axis]) = (before, size);
        }
        let outputs = out.saturating_mul(groups);
        let bias = Bias::Reals(self.bias(node, 2, outputs)?);
        let mut weights = self.weights(node, out, |weights| weights.transposed(Some(order)))?;
        if groups > 1 || taps != kernel {
            self.spend(kernel.iter().fold(outputs.saturating_mul(inner), |n, &e| n.saturating_mul(e as usize)))?;
            let each = inner / groups;
            let [kh, kw] = kernel;
            let mut places = Vec::new();
            for (output, y, x) in (0..outputs).flat_map(|o| (0..kh).flat_map(move |y| (0..kw).map(move |x| (o, y, x))))
            {
                let on_tap = y % dilation[0] == 0 && x % dilation[1] == 0;
                let tap = (y / dilation[0] * taps[1] + x / dilation[1]) as usize;
                let first = (output % out * (taps[0] * taps[1]) as usize + tap) * inner;
                let seen = |channel: usize| on_tap && channel / each == output / out;
                places.extend((0..inner).map(|channel| seen(channel).then_some(first + channel)));
            }
            weights = weights.at(&places, groups);
        }
        let operator = Operator::TransposedConv { transposed, filter: Filter { weights, bias } };
        let id = self.lower(operator, &[input.node])?;
        self.set_map(node, id, &input);
        Ok(())
    }

    /// An optional bias, or zeros.
    pub(super) fn bias(&mut self, node: &NodeProto, index: usize, len: usize) -> Result<Vec<f32>, Refusal> {
        self.spend(len)?;
        match self.optional(node, index)? {
            Some(bias) if bias.len() == len => Ok(bias.floats()?.to_vec()),
            Some(bias) => refuse(format!("a bias of dimensions {:?} for {len} channels", bias.dims), ""),
            None => Ok(vec![0.0; len]),
        }
    }

    /// The window of a convolution or pool, and how much of its padding at the end only rounds the output's size up.
    fn window(&self, node: &NodeProto, kernel: [u32; 2], from: Shape) -> Result<(Window, [u32; 2]), Refusal> {
        let stride = pair(node, "strides")?;
        let size = [from.h, from.w];
        if kernel.into_iter().chain(stride).any(|v| v == 0 || v > Window::MAX_EXTENT) {
            return refuse("a kernel or stride of zero or above 4096", "");
        }
        let mut window = Window::new(kernel, stride, Padding::Valid, size);
        match attribute(node, "auto_pad").map_or(&b"NOTSET"[..], |a| &a.s) {
            b"VALID" => {}
            b"SAME_UPPER" => window = Window::new(kernel, stride, Padding::Same, size),
            b"SAME_LOWER" => {
                window = Window::new(kernel, stride, Padding::Same, size);
                std::mem::swap(&mut window.before, &mut window.after);
            }
            _ => {
                if let Some(pads) = ints(node, "pads") {
                    let pads = pads.iter().map(|&p| u32::try_from(p).ok().filter(|&p| p <= Window::MAX_EXTENT));
                    let [top, left, bottom, right] = match pads.collect::<Option<Vec<u32>>>().as_deref() {
                        Some(&[top, left, bottom, right]) => [top, left, bottom, right],
                        Some(&[left, right]) => [0, left, 0, right],
                        _ => return refuse("negative, malformed or very large padding", ""),
                    };
                    (window.before, window.after) = ([top, left], [bottom, right]);
                }
            }
        }
        let mut rounded = [0; 2];
        if int(node, "ceil_mode", 0) != 0 {
            // Rounding the output's extent up is padding after the last row and column.
            for axis in 0..2 {
                let Some(rest) = (size[axis] + window.before[axis] + window.after[axis]).checked_sub(kernel[axis])
                else {
                    continue;
                };
                let missing = (stride[axis] - rest % stride[axis]) % stride[axis];
                // A window that would start in the padding does not count.
                if missing != 0 && (rest / stride[axis] + 1) * stride[axis] < size[axis] + window.before[axis] {
                    window.after[axis] += missing;
                    rounded[axis] = missing;
                }
            }
        }
        Ok((window, rounded))
    }

    pub(super) fn pool(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.map(node, 0)?;
        let from = self.shape(&input);
        if node.output.len() > 1 && node.output.get(1).is_some_and(|o| !o.is_empty()) {
            return refuse("indices as a second output", "");
        }
        let (taps, dilation) = (pair(node, "kernel_shape")?, pair(node, "dilations")?);
        let kernel = [0, 1].map(|axis| (taps[axis] - 1).saturating_mul(dilation[axis]).saturating_add(1));
        let (window, rounded) = self.window(node, kernel, from)?;
        let x = || Function::X;
        let counts_padding = int(node, "count_include_pad", 0) != 0;
        let (before, pool, after) = match node.op_type.as_str() {
            "MaxPool" => (x(), Pool::Max, x()),
            // The mean of powers, padding with zeros included, times how many there are: their sum.
            "LpPool" => {
                let (power, root) = length(int(node, "p", 2))?;
                let count = f64::from(taps[0].saturating_mul(taps[1]));
                (power, Pool::AverageWithPadding([0; 2]), root.of(&(x() * Function::Constant(count))))
            }
            _ if counts_padding => (x(), Pool::AverageWithPadding(rounded), x()),
            _ => (x(), Pool::Average, x()),
        };
        let mut id = self.curve(before, input.node)?;
        id = if dilation == [1, 1] {
            self.lower(Operator::Pool(pool, window), &[id])?
        } else {
            self.dilated(id, pool, window, [taps, dilation])?
        };
        id = self.curve(after, id)?;
        self.set_map(node, id, &input);
        Ok(())
    }

    /// A pool whose window has gaps: all that a window sees side by side, and windows that are as far apart as they are large.
    fn dilated(
        &mut self,
        input: NodeId,
        pool: Pool,
        window: Window,
        [taps, dilation]: [[u32; 2]; 2],
    ) -> Result<NodeId, Refusal> {
        let mut id = input;
        if window.is_padded() {
            // Zeros are what counts of padding, and no maximum of what is not negative.
            let (least, _) = self.draft.bounds(input);
            if !(pool == Pool::AverageWithPadding([0; 2]) || pool == Pool::Max && least >= 0.0) {
                return refuse("dilation and padding", "put a Relu before it, or pad with zeros before");
            }
            let [before, after] = [window.before, window.after].map(|[h, w]| [h, w, 0]);
            id = self.lower(Operator::Rearrange(Rearrange::Pad { before, after, value: 0.0 }), &[id])?;
        }
        let from = self.draft.shape(id);
        let axes = [0, 1].map(|axis| {
            let rest = [from.h, from.w][axis].checked_sub(window.kernel[axis])?;
            let windows =
                Digit { extent: rest / window.stride[axis] + 1, axis: axis as u32, stride: window.stride[axis] };
            Some(vec![windows, Digit { extent: taps[axis], axis: axis as u32, stride: dilation[axis] }])
        });
        let [Some(rows), Some(columns)] = axes else { return refuse("a window that is larger than the map", "") };
        let channels = vec![Digit { extent: from.c, axis: 2, stride: 1 }];
        let Some(order) = Strided::of([rows, columns, channels], from) else { return refuse("dilation", "") };
        id = self.lower(Operator::Rearrange(Rearrange::Strided(order)), &[id])?;
        let window = Window { kernel: taps, stride: taps, before: [0; 2], after: [0; 2] };
        self.lower(Operator::Pool(pool, window), &[id])
    }

    /// Reductions over height and width, over one of them, or over the channels.
    pub(super) fn global(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        let rank = input.dims.len();
        let first = if input.channels_last { 1 } else { 2 };
        let all: Vec<usize> = (first..first + rank.saturating_sub(2)).collect();
        let channels = if input.channels_last { rank.saturating_sub(1) } else { 1 };
        let (mut axes, mut keep) = (all.clone(), true);
        if node.op_type.starts_with("Reduce") {
            let given = self.list(node, 1, "axes")?.unwrap_or_default();
            axes = given.iter().map(|&axis| from_end(axis, rank)).collect();
            axes.sort_unstable();
            keep = int(node, "keepdims", 1) != 0;
        }
        let deep = axes.contains(&channels);
        let inside = axes.iter().all(|axis| all.contains(axis) || *axis == channels);
        if !(2..=4).contains(&rank) || axes.is_empty() || !inside || (deep && axes.len() > 1 && !keep) {
            return refuse(
                format!("{} over axes {axes:?} of {:?}", node.op_type, input.dims),
                "height and width or the channels can be reduced; all of them with keepdims",
            );
        }
        let from = self.shape(&input);
        // Height and width, of which a map of rank 3 has the latter only.
        let at = |at: usize| all.get(at).is_some_and(|axis| axes.contains(axis));
        let [tall, wide] = if rank == 3 { [true, at(0)] } else { [at(0), at(1)] };
        let x = || Function::X;
        let (before, reduction, after) = match &*node.op_type {
            "ReduceMax" | "GlobalMaxPool" => (x(), Reduction::Max, x()),
            "ReduceMin" => (x(), Reduction::Min, x()),
            "ReduceSum" => (x(), Reduction::Sum, x()),
            "ReduceL1" => (x().then(Unary::Abs), Reduction::Sum, x()),
            "ReduceL2" => (x() * x(), Reduction::Sum, x().then(Unary::Sqrt)),
            "ReduceSumSquare" => (x() * x(), Reduction::Sum, x()),
            _ => (x(), Reduction::Mean, x()),
        };
        let mut id = self.curve(before, input.node)?;
        id = self.lower(Operator::Reduce { reduction, axes: [tall, wide, deep] }, &[id])?;
        id = self.curve(after, id)?;
        if node.op_type == "ReduceL2" && axes == [channels] {
            self.lengths.insert(id, input.node);
        }
        if keep {
            self.set_map(node, id, &input);
        } else if rank == 2 {
            self.set_activation(node, Activation { node: id, dims: vec![1], flattened: None, channels_last: false });
        } else if deep {
            // Rows and columns are left, which are read as a row of channels.
            id = self.lower(Operator::Reshape(Shape::new(1, from.h, from.w)), &[id])?;
            let dims = if rank == 3 { vec![1, from.w.into()] } else { vec![1, from.h.into(), from.w.into()] };
            self.set_activation(node, Activation { node: id, dims, flattened: None, channels_last: true });
        } else {
            let c = from.c;
            let rest = if tall { from.w } else { from.h };
            if tall != wide {
                id = self.lower(Operator::Reshape(Shape::new(1, rest, c)), &[id])?;
            }
            let dims = match (tall && wide, input.channels_last) {
                (true, _) => vec![1, c.into()],
                (_, true) => vec![1, rest.into(), c.into()],
                _ => vec![1, c.into(), rest.into()],
            };
            self.set_activation(node, Activation { node: id, dims, flattened: None, ..input });
        }
        Ok(())
    }
}
