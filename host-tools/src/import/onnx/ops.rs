//! ONNX's operators, one function each.

use kinglet::{Padding, Shape, Window};

use super::context::{Activation, Context, Value, attribute, float, int, ints, shape};
use super::proto::NodeProto;
use super::tensor::{Constant, Values, quant};
use crate::graph::Op;
use crate::import::float::Norm;
use crate::import::problem::{Refusal, refuse};

impl<'m> Context<'m> {
    /// Imports one node.
    pub(super) fn node(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        if !node.domain.is_empty() && node.domain != "ai.onnx" {
            return refuse(
                format!("operators of `{}`", super::context::short(&node.domain)),
                "export the model with ONNX's own operators",
            );
        }
        if self.fold_shapes(node)? {
            return Ok(());
        }
        match node.op_type.as_str() {
            "Conv" => self.conv(node),
            "BatchNormalization" => self.batch_norm(node),
            "Relu" => self.plain(node, Op::Relu),
            "Clip" => self.clip(node),
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(node),
            "Concat" => self.concat(node),
            "MaxPool" | "AveragePool" => self.pool(node),
            "GlobalAveragePool" => self.global_average(node, true),
            "ReduceMean" => self.reduce_mean(node),
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => self.reshape(node),
            "Softmax" => self.softmax(node),
            "Gemm" | "MatMul" => self.dense(node),
            "Pad" => self.pad(node),
            "Transpose" => self.transpose(node),
            "Identity" | "Dropout" => {
                let value = self.value(node, 0)?.clone();
                self.set(node, value);
                Ok(())
            }
            "QuantizeLinear" => self.quantize(node),
            "DequantizeLinear" => self.dequantize(node),
            other => refuse("the operator is not supported", hint(other)),
        }
    }

    /// Names the node's output a function of one input, of the same dimensions.
    fn plain(&mut self, node: &'m NodeProto, op: Op) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        let id = self.build.add(name(node), op, &[input.node])?;
        self.set(node, Value::Activation(Activation { node: id, ..input }));
        Ok(())
    }

    /// Names the node's output a map.
    fn set_map(&mut self, node: &'m NodeProto, id: crate::graph::NodeId, like: &Activation) {
        let Shape { h, w, c } = self.build.shape(id);
        let [h, w, c] = [h, w, c].map(i64::from);
        let dims = if like.channels_last { vec![1, h, w, c] } else { vec![1, c, h, w] };
        let map = Activation { node: id, dims, flattened: None, channels_last: like.channels_last };
        self.set(node, Value::Activation(map));
    }

    /// The input of an operator on maps.
    fn map(&self, node: &NodeProto, index: usize) -> Result<Activation, Refusal> {
        let input = self.activation(node, index)?;
        if input.dims.len() != 4 || input.channels_last {
            return refuse(
                format!("an input of dimensions {:?}", input.dims),
                "kinglet reads channels-first maps (NCHW)",
            );
        }
        Ok(input)
    }

    fn conv(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.map(node, 0)?;
        let weights = self.constant(node, 1)?;
        let from = self.build.shape(input.node);
        let [out, inner, kh, kw] = weights.dims[..] else {
            return refuse(format!("weights of dimensions {:?}", weights.dims), "only 2-D convolution is supported");
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
        let window = self.window(node, [height as u32, width as u32], from)?;
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
        let id = if depthwise {
            self.build.depthwise(name(node), input.node, window, ours, bias)?
        } else {
            self.build.conv(name(node), input.node, window, ours, bias, out as u32)?
        };
        self.set_map(node, id, &input);
        Ok(())
    }

    /// An optional bias, or zeros.
    fn bias(&mut self, node: &NodeProto, index: usize, len: usize) -> Result<Vec<f32>, Refusal> {
        self.spend(len)?;
        match self.optional(node, index)? {
            Some(bias) if bias.len() == len => Ok(bias.floats()?.to_vec()),
            Some(bias) => refuse(format!("a bias of dimensions {:?} for {len} channels", bias.dims), ""),
            None => Ok(vec![0.0; len]),
        }
    }

    /// The window of a convolution or pool.
    fn window(&self, node: &NodeProto, kernel: [u32; 2], from: Shape) -> Result<Window, Refusal> {
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
                    let pads: Vec<u32> = pads.iter().filter_map(|&p| u32::try_from(p).ok()).collect();
                    let [top, left, bottom, right] = pads[..] else {
                        return refuse("negative or malformed padding", "");
                    };
                    (window.before, window.after) = ([top, left], [bottom, right]);
                }
            }
        }
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
                }
            }
        }
        Ok(window)
    }

    fn batch_norm(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        if int(node, "training_mode", 0) != 0 {
            return refuse("training mode", "export the model for inference");
        }
        if input.flattened.is_some() {
            return refuse("normalization of a flattened map", "normalize before flattening");
        }
        let c = self.build.shape(input.node).c as usize;
        self.spend(4 * c)?;
        let numbers = |index| -> Result<Vec<f32>, Refusal> {
            let constant = self.constant(node, index)?;
            if constant.len() != c {
                return refuse(format!("statistics of dimensions {:?} for {c} channels", constant.dims), "");
            }
            Ok(constant.floats()?.to_vec())
        };
        let norm = Norm {
            gamma: numbers(1)?,
            beta: numbers(2)?,
            mean: numbers(3)?,
            variance: numbers(4)?,
            epsilon: float(node, "epsilon", 1e-5),
        };
        let id = self.build.norm(name(node), input.node, norm)?;
        self.set(node, Value::Activation(Activation { node: id, ..input }));
        Ok(())
    }

    fn clip(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let bound = |index, attribute, default| -> Result<f32, Refusal> {
            match self.optional(node, index)? {
                Some(bound) => bound.scalar(),
                None => Ok(float(node, attribute, default)),
            }
        };
        match (bound(1, "min", f32::MIN)?, bound(2, "max", f32::MAX)?) {
            (0.0, 6.0) => self.plain(node, Op::Relu6),
            (0.0, max) if max >= f32::MAX => self.plain(node, Op::Relu),
            (min, max) => refuse(format!("bounds {min} and {max}"), "ReLU and ReLU6 are supported"),
        }
    }

    /// Add, Sub, Mul and Div: Add of two activations, or any with a constant, which is a batch normalization.
    fn arithmetic(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let constant = |value: &Value| match value {
            Value::Constant(constant) => Some(constant.clone()),
            _ => None,
        };
        let (a, b) = (constant(self.value(node, 0)?), constant(self.value(node, 1)?));
        let (constant, index) = match (a, b) {
            (None, None) if node.op_type == "Add" => return self.add(node),
            (None, None) => {
                return refuse(
                    "two activations",
                    "only their sum is supported for float models; int8 TensorFlow Lite models have MUL and SUB",
                );
            }
            (None, Some(constant)) => (constant, 0),
            (Some(constant), None) if node.op_type != "Div" => (constant, 1),
            _ => return refuse("constants only, or division by an activation", ""),
        };
        let input = self.activation(node, index)?;
        let c = self.build.shape(input.node).c as usize;
        let values = constant.floats()?;
        // One number, or one for each channel.
        let channels = if input.dims.len() == 4 && !input.channels_last { 3 } else { 1 };
        let per_channel = constant.len() == c
            && constant.dims.len() >= channels
            && constant.dims[constant.dims.len() - channels] == c
            && input.flattened.is_none();
        if constant.len() != 1 && !per_channel {
            return refuse(
                format!("a constant of dimensions {:?}", constant.dims),
                "a constant has one number, or one for each channel",
            );
        }
        self.spend(4 * c)?;
        let spread: Vec<f32> = values.iter().copied().cycle().take(c).collect();
        let (ones, zeros) = (vec![1.0; c], vec![0.0; c]);
        let negated = |v: &[f32]| v.iter().map(|x| -x).collect::<Vec<f32>>();
        let (gamma, beta) = match (node.op_type.as_str(), index) {
            ("Add", _) => (ones.clone(), spread),
            ("Sub", 0) => (ones.clone(), negated(&spread)),
            ("Sub", _) => (negated(&ones), spread),
            ("Mul", _) => (spread, zeros.clone()),
            _ => (spread.iter().map(|x| 1.0 / x).collect(), zeros.clone()),
        };
        let norm = Norm { gamma, beta, mean: zeros, variance: ones, epsilon: 0.0 };
        let id = self.build.norm(name(node), input.node, norm)?;
        self.set(node, Value::Activation(Activation { node: id, ..input }));
        Ok(())
    }

    fn add(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let (a, b) = (self.activation(node, 0)?, self.activation(node, 1)?);
        if a.dims != b.dims || a.flattened != b.flattened || a.channels_last != b.channels_last {
            return refuse(format!("dimensions {:?} and {:?}", a.dims, b.dims), "both inputs must have the same shape");
        }
        let id = self.build.add(name(node), Op::Add, &[a.node, b.node])?;
        self.set(node, Value::Activation(Activation { node: id, ..a }));
        Ok(())
    }

    fn concat(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let parts = (0..node.input.len()).map(|index| self.activation(node, index)).collect::<Result<Vec<_>, _>>()?;
        let Some(first) = parts.first() else { return refuse("it has no input", "") };
        let rank = first.dims.len() as i64;
        let axis = int(node, "axis", 1);
        let channels = if first.channels_last { 3 } else { 1 };
        let along = axis == channels || axis + rank == channels;
        if !along
            || parts.iter().any(|p| {
                p.flattened.is_some() || p.channels_last != first.channels_last || p.dims.len() != first.dims.len()
            })
        {
            return refuse(
                format!("concatenation along axis {axis}"),
                "only concatenation along the channels is supported",
            );
        }
        let ids: Vec<_> = parts.iter().map(|part| part.node).collect();
        let id = if let [only] = ids[..] { only } else { self.build.add(name(node), Op::Concat, &ids)? };
        if rank == 4 {
            self.set_map(node, id, first);
        } else {
            let dims = vec![1, self.build.shape(id).c.into()];
            self.set(node, Value::Activation(Activation { node: id, dims, flattened: None, channels_last: false }));
        }
        Ok(())
    }

    fn pool(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.map(node, 0)?;
        let from = self.build.shape(input.node);
        if pair(node, "dilations")? != [1, 1] {
            return refuse("dilation", "");
        }
        if node.output.len() > 1 && node.output.get(1).is_some_and(|o| !o.is_empty()) {
            return refuse("indices as a second output", "");
        }
        let kernel = pair(node, "kernel_shape")?;
        let window = self.window(node, kernel, from)?;
        let id = if node.op_type == "MaxPool" {
            self.build.add(name(node), Op::MaxPool(window), &[input.node])?
        } else if window.is_padded() && int(node, "count_include_pad", 0) != 0 {
            // Padding that counts is padding with zeros before a pool without.
            if int(node, "ceil_mode", 0) != 0 {
                return refuse("padding that counts together with ceil_mode", "");
            }
            let pad = Op::Pad { before: window.before, after: window.after };
            let padded = self.build.add(&format!("{}_pad", name(node)), pad, &[input.node])?;
            let window = Window { before: [0; 2], after: [0; 2], ..window };
            self.build.add(name(node), Op::AveragePool(window), &[padded])?
        } else {
            self.build.add(name(node), Op::AveragePool(window), &[input.node])?
        };
        self.set_map(node, id, &input);
        Ok(())
    }

    fn global_average(&mut self, node: &'m NodeProto, keep: bool) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        if input.dims.len() != 4 {
            return refuse(format!("an input of dimensions {:?}", input.dims), "");
        }
        let id = self.build.add(name(node), Op::GlobalAveragePool, &[input.node])?;
        if keep {
            self.set_map(node, id, &input);
        } else {
            let dims = vec![1, self.build.shape(id).c.into()];
            self.set(node, Value::Activation(Activation { node: id, dims, flattened: None, channels_last: false }));
        }
        Ok(())
    }

    fn reduce_mean(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let axes = match self.optional(node, 1)? {
            Some(axes) => axes.integers()?.to_vec(),
            None => ints(node, "axes").map_or_else(Vec::new, <[i64]>::to_vec),
        };
        let input = self.activation(node, 0)?;
        let mut positive: Vec<i64> = axes.iter().map(|&a| if a < 0 { a + 4 } else { a }).collect();
        positive.sort_unstable();
        let wanted = if input.channels_last { [1, 2] } else { [2, 3] };
        if positive != wanted {
            return refuse(format!("a mean over axes {axes:?}"), "only the mean over height and width is supported");
        }
        self.global_average(node, int(node, "keepdims", 1) != 0)
    }

    fn softmax(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        let rank = input.dims.len() as i64;
        let axis = int(node, "axis", -1);
        if rank != 2 || (axis != 1 && axis != -1) || input.flattened.is_some() {
            return refuse(
                format!("softmax along axis {axis} of {:?}", input.dims),
                "only the softmax over a vector is supported",
            );
        }
        self.plain(node, Op::Softmax)
    }

    /// Gemm, and MatMul with the addition of a constant that may follow.
    fn dense(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        let weights = self.constant(node, 1)?;
        let [rows, columns] = weights.dims[..] else {
            return refuse(format!("weights of dimensions {:?}", weights.dims), "");
        };
        if int(node, "transA", 0) != 0 || input.dims.len() != 2 {
            return refuse(
                format!("an input of dimensions {:?}", input.dims),
                "only a dense layer over a vector is supported",
            );
        }
        let transposed = node.op_type == "Gemm" && int(node, "transB", 0) != 0;
        let (out, inner) = if transposed { (rows, columns) } else { (columns, rows) };
        if inner != self.build.shape(input.node).len() as usize || out == 0 {
            return refuse(format!("{inner} weights per output for {:?}", input.dims), "the file contradicts itself");
        }
        let (alpha, beta) =
            if node.op_type == "Gemm" { (float(node, "alpha", 1.0), float(node, "beta", 1.0)) } else { (1.0, 1.0) };
        self.spend(rows * columns)?;
        let values = weights.floats()?;
        // The input's elements in our order, by their place in the file's.
        let place = |i: usize| match input.flattened {
            Some(Shape { h, w, c }) => {
                let (h, w, c) = (h as usize, w as usize, c as usize);
                let (channel, pixel) = (i / (h * w), i % (h * w));
                pixel * c + channel
            }
            None => i,
        };
        let mut ours = vec![0.0; rows * columns];
        for o in 0..out {
            for i in 0..inner {
                let from = if transposed { o * inner + i } else { i * out + o };
                ours[o * inner + place(i)] = alpha * values[from];
            }
        }
        let mut result = node;
        let mut bias = match self.optional(node, 2)? {
            Some(bias) if bias.len() == 1 => vec![bias.scalar()?; out],
            _ => self.bias(node, 2, out)?,
        };
        bias.iter_mut().for_each(|b| *b *= beta);
        if let Some((at, add)) = node
            .output
            .first()
            .and_then(|o| self.only_reader(o))
            .filter(|(_, n)| n.op_type == "Add" && node.op_type == "MatMul")
        {
            let other = add.input.iter().find(|i| Some(*i) != node.output.first());
            if let Some(Value::Constant(constant)) = other.and_then(|other| self.values.get(other.as_str()))
                && constant.len() == out
                && let Values::Floats(values) = &constant.values
            {
                bias.clone_from(values);
                self.taken.insert(at);
                result = add;
            }
        }
        let id = self.build.dense(name(result), input.node, ours, bias)?;
        let dims = vec![1, out as i64];
        self.set(result, Value::Activation(Activation { node: id, dims, flattened: None, channels_last: false }));
        Ok(())
    }

    fn pad(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.map(node, 0)?;
        if attribute(node, "mode").is_some_and(|mode| mode.s != b"constant") {
            return refuse("reflecting or repeating padding", "only padding with zeros is supported");
        }
        let pads = match self.optional(node, 1)? {
            Some(pads) => pads.integers()?.to_vec(),
            None => ints(node, "pads").map_or_else(Vec::new, <[i64]>::to_vec),
        };
        let value = match self.optional(node, 2)? {
            Some(value) => value.scalar()?,
            None => float(node, "value", 0.0),
        };
        let pads: Vec<u32> =
            pads.iter().filter_map(|&p| u32::try_from(p).ok().filter(|&p| p < Shape::MAX_DIM)).collect();
        let [0, 0, top, left, 0, 0, bottom, right] = pads[..] else {
            return refuse("padding of other dimensions than height and width", "");
        };
        if value != 0.0 {
            return refuse(format!("padding with {value}"), "only padding with zeros is supported");
        }
        let id = self.build.add(name(node), Op::Pad { before: [top, left], after: [bottom, right] }, &[input.node])?;
        self.set_map(node, id, &input);
        Ok(())
    }

    fn transpose(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        let permutation = ints(node, "perm").unwrap_or_default();
        let turned = match (permutation, input.channels_last) {
            ([0, 3, 1, 2], true) => false,
            ([0, 2, 3, 1], false) if input.dims.len() == 4 => true,
            _ => {
                return refuse(
                    format!("the permutation {permutation:?}"),
                    "only changes between channels-first and channels-last are supported",
                );
            }
        };
        self.set_map(node, input.node, &Activation { channels_last: turned, ..input });
        Ok(())
    }

    /// Reshapes that flatten a map, or only add and drop dimensions of 1.
    fn reshape(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        let dims = self.reshaped(node, &input.dims)?;
        let (from, to) = (self.build.shape(input.node), shape(&dims, input.channels_last)?);
        let mut result = Activation { dims, ..input.clone() };
        if from == to {
            // Dimensions of 1 come and go.
        } else if to == Shape::vector(from.len()) && input.dims.len() == 4 {
            result.node = self.build.add(name(node), Op::Flatten, &[input.node])?;
            let pixels = from.h * from.w;
            result.flattened = (pixels > 1 && from.c > 1 && !input.channels_last).then_some(from);
            result.channels_last = false;
        } else {
            return refuse(format!("{:?} becomes {:?}", input.dims, result.dims), "only flattening is supported");
        }
        self.set(node, Value::Activation(result));
        Ok(())
    }

    fn quantize(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        let (scale, zero) = (self.constant(node, 1)?, self.optional(node, 2)?);
        let quant = quant(&scale, zero.as_deref())?;
        // Of several quantizations on the way the last one counts; it is that of what reads the value.
        self.build.quantized(input.node, quant);
        self.set(node, Value::Quantized(input, quant));
        Ok(())
    }

    fn dequantize(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let (scale, zero) = (self.constant(node, 1)?, self.optional(node, 2)?);
        match self.value(node, 0)?.clone() {
            Value::Quantized(activation, quant) => {
                if super::tensor::quant(&scale, zero.as_deref())? != quant {
                    return refuse("another scale than that of its QuantizeLinear", "");
                }
                self.set(node, Value::Activation(activation));
                Ok(())
            }
            Value::Constant(constant) => {
                self.spend(constant.len())?;
                let real: Constant = constant.dequantized(&scale, zero.as_deref(), int(node, "axis", 1))?;
                self.set(node, Value::Constant(real.into()));
                Ok(())
            }
            Value::Activation(_) => refuse("its input is not quantized", ""),
            Value::Unknown => refuse("it depends on a node that is not supported", ""),
        }
    }
}

/// A node's name, or that of its output.
pub(super) fn name(node: &NodeProto) -> &str {
    if node.name.is_empty() { node.output.first().map_or("", String::as_str) } else { &node.name }
}

/// A pair of positive integers, 1 by default.
fn pair(node: &NodeProto, attribute: &str) -> Result<[u32; 2], Refusal> {
    match ints(node, attribute) {
        None | Some([]) => Ok([1, 1]),
        Some([a, b]) if (1..=4096).contains(a) && (1..=4096).contains(b) => Ok([*a as u32, *b as u32]),
        Some(other) => {
            refuse(format!("{attribute} of {:?}", &other[..other.len().min(8)]), "only 2-D windows are supported")
        }
    }
}

/// What a user can do about an operator that is not supported.
fn hint(operator: &str) -> &'static str {
    match operator {
        "ArgMax" | "TopK" => "take it out of the model and use kinglet's top-k on the output",
        "Resize" | "Upsample" | "ConvTranspose" | "DepthToSpace" => {
            "kinglet runs classifiers: up-sampling is not supported"
        }
        "Sigmoid" | "HardSigmoid" | "HardSwish" | "LeakyRelu" | "Tanh" | "Gelu" | "Elu" | "PRelu" => {
            "float models may use ReLU and ReLU6; other activations are supported in int8 TensorFlow Lite models"
        }
        "QLinearConv" | "QLinearMatMul" | "QLinearAdd" | "ConvInteger" | "MatMulInteger" | "DynamicQuantizeLinear" => {
            "quantize the model in QDQ format"
        }
        "LSTM" | "GRU" | "RNN" | "Attention" | "LayerNormalization" => "kinglet runs convolutional networks",
        _ => {
            "rebuild the model without it: kinglet supports the operators of residual, Inception and MobileNet-style classifiers (README.md)"
        }
    }
}
