//! Operators with a window: convolutions and pools.

use kinglet::{Padding, Shape, Window};

use super::context::{Activation, Context, attribute, from_end, int, ints};
use super::ops::{name, pair};
use super::proto::NodeProto;
use crate::graph::{Binary, NodeId, Op, Rearrange};
use crate::import::problem::{Refusal, refuse};

impl<'m> Context<'m> {
    pub(super) fn conv(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.map(node, 0)?;
        let weights = self.constant(node, 1)?;
        let from = self.build.shape(input.node);
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
        let bias = self.bias(node, 2, out)?;
        let values = weights.floats()?;
        let depthwise = groups == from.c as usize && inner == 1;
        let channels = if depthwise { 1 } else { from.c as usize };
        let Some(len) = (height * width * channels).checked_mul(out).filter(|&len| len <= Shape::MAX_LEN as usize)
        else {
            return refuse("weights larger than the format allows", "");
        };
        self.spend(len)?;
        // What the runtime has no operator for becomes weights of zero: groups and dilation.
        let mut ours = vec![0.0; len];
        for (index, &weight) in values.iter().enumerate() {
            let (x, y) = (index % kw * dw, index / kw % kh * dh);
            let (i, o) = (index / kw / kh % inner, index / kw / kh / inner);
            let at = if depthwise {
                (y * width + x) * out + o
            } else {
                ((o * height + y) * width + x) * channels + o / (out / groups) * inner + i
            };
            ours[at] = weight;
        }
        // The runtime's windows always have some of the map under them.
        let (id, window) =
            if window.is_valid() { (input.node, window) } else { self.padded(node, input.node, window, [0; 2])? };
        let id = if depthwise {
            self.build.depthwise(name(node), id, window, ours, bias)?
        } else {
            self.build.conv(name(node), id, window, ours, bias, out as u32)?
        };
        self.keep_integers(node, id, out);
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

    /// Zeros around a map, and the window without them: all of its padding but the `rest` at the end.
    fn padded(
        &mut self,
        node: &NodeProto,
        id: NodeId,
        window: Window,
        rest: [u32; 2],
    ) -> Result<(NodeId, Window), Refusal> {
        let after = [0, 1].map(|axis| window.after[axis].saturating_sub(rest[axis]));
        let [before, after] = [window.before, after].map(|[h, w]| [h, w, 0]);
        let pad = Op::Rearrange(Rearrange::Pad { before, after, value: 0.0 });
        let id = self.build.add(&format!("{}_pad", name(node)), pad, &[id])?;
        Ok((id, Window { before: [0; 2], after: rest, ..window }))
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
        let from = self.build.shape(input.node);
        if pair(node, "dilations")? != [1, 1] {
            return refuse("dilation", "");
        }
        if node.output.len() > 1 && node.output.get(1).is_some_and(|o| !o.is_empty()) {
            return refuse("indices as a second output", "");
        }
        let kernel = pair(node, "kernel_shape")?;
        let (window, rounded) = self.window(node, kernel, from)?;
        let id = if node.op_type == "MaxPool" {
            self.build.add(name(node), Op::MaxPool(window), &[input.node])?
        } else if int(node, "count_include_pad", 0) != 0 && window.is_padded() {
            // Padding that counts is padding with zeros before a pool without; what rounds up never counts.
            let (id, window) = if (window.before, window.after) == ([0; 2], rounded) {
                (input.node, window)
            } else {
                self.padded(node, input.node, window, rounded)?
            };
            self.build.add(name(node), Op::AveragePool(window), &[id])?
        } else {
            self.build.add(name(node), Op::AveragePool(window), &[input.node])?
        };
        self.set_map(node, id, &input);
        Ok(())
    }

    /// The mean or the maximum over height and width, or over one of them.
    pub(super) fn global(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        let rank = input.dims.len();
        let first = if input.channels_last { 1 } else { 2 };
        let all: Vec<usize> = (first..first + rank.saturating_sub(2)).collect();
        let (mut axes, mut keep) = (all.clone(), true);
        if node.op_type.starts_with("Reduce") {
            let given = self.list(node, 1, "axes")?.unwrap_or_default();
            axes = given.iter().map(|&axis| from_end(axis, rank)).collect();
            axes.sort_unstable();
            keep = int(node, "keepdims", 1) != 0;
        }
        if !(3..=4).contains(&rank) || axes.is_empty() || !axes.iter().all(|axis| all.contains(axis)) {
            return refuse(
                format!("{} over axes {axes:?} of {:?}", node.op_type, input.dims),
                "only height and width can be reduced",
            );
        }
        let from = self.build.shape(input.node);
        // Height and width, of which a map of rank 3 has the latter only.
        let [tall, wide] = if rank == 3 { [true, true] } else { [0, 1].map(|at| axes.contains(&all[at])) };
        let kernel = [if tall { from.h } else { 1 }, if wide { from.w } else { 1 }];
        let window = Window::global(kernel);
        let op = match &*node.op_type {
            "ReduceMax" | "GlobalMaxPool" => Op::MaxPool(window),
            _ if tall && wide => Op::Mean,
            _ => Op::AveragePool(window),
        };
        if op != Op::Mean && !window.is_valid() {
            return refuse(format!("a window of {kernel:?}"), "pool in several steps");
        }
        let mut id = self.build.add(name(node), op, &[input.node])?;
        if node.op_type == "ReduceSum" {
            let count = vec![(kernel[0] * kernel[1]) as f32];
            id = self.build.with_constant(name(node), Binary::Mul, id, &count, false)?;
        }
        if keep {
            self.set_map(node, id, &input);
        } else {
            let c = from.c;
            let rest = if tall { from.w } else { from.h };
            if tall != wide {
                id = self.build.reshape(name(node), id, Shape::new(1, rest, c))?;
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
