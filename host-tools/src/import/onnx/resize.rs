//! Resize and Upsample: height and width, by the nearest neighbor or by linear interpolation.

use kinglet::Shape;
use kinglet::ops::{ResizeBilinear, ResizeNearest};

use super::context::{Context, attribute, from_end, int, ints};
use super::moves::text;
use super::proto::NodeProto;
use crate::graph::{NodeId, Rearrange};
use crate::import::problem::{Refusal, refuse};
use crate::import::source::Operator;

/// An axis of a map: its extents before and after, and the factor between them as the file has it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Axis {
    from: u32,
    to: u32,
    scale: f64,
}

impl<'m> Context<'m> {
    pub(super) fn resize(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        let rank = input.dims.len();
        let listed = ints(node, "axes").map(|axes| axes.iter().map(|&axis| from_end(axis, rank)).collect());
        let listed: Vec<usize> = listed.unwrap_or_else(|| (0..rank).collect());
        // In this order of inputs since operator set 11; two before.
        let scales = self.optional(node, if node.input.len() == 2 { 1 } else { 2 })?;
        let scales = match scales {
            Some(scales) => scales.floats()?.to_vec(),
            None => attribute(node, "scales").map(|scales| scales.floats.clone()).unwrap_or_default(),
        };
        let sizes = self.list(node, 3, "sizes")?.unwrap_or_default();
        // Sizes that keep their ratio are as large as the least, or the greatest of the factors makes them.
        let factors = listed.iter().zip(&sizes).map(|(&axis, &size)| (axis, size as f64));
        let factors = factors.filter_map(|(axis, size)| Some(size / *input.dims.get(axis)? as f64));
        let kept = match text(node, "keep_aspect_ratio_policy", "stretch") {
            "not_larger" => factors.reduce(f64::min),
            "not_smaller" => factors.reduce(f64::max),
            _ => None,
        };
        // Extent and factor of every dimension of the file.
        let mut dims: Vec<(i64, f64)> = input.dims.iter().map(|&dim| (dim, 1.0)).collect();
        for (index, &axis) in listed.iter().enumerate() {
            let Some(dim) = dims.get_mut(axis) else { return refuse(format!("axis {axis} of {rank}"), "") };
            *dim = match (sizes.get(index), scales.get(index)) {
                (Some(_), _) if kept.is_some_and(|_| axis > 1) => {
                    let scale = kept.unwrap_or(1.0);
                    ((dim.0 as f64 * scale).round() as i64, scale)
                }
                (Some(&size), _) => (size, size as f64 / dim.0 as f64),
                // Rounded to single precision first, and only then cut off, as in onnxruntime.
                (None, Some(&scale)) => ((dim.0 as f32 * scale) as i64, scale.into()),
                (None, None) => return refuse("its scales or sizes are not those of height and width", ""),
            };
        }
        if dims.iter().zip(&input.dims).all(|(dim, from)| *dim == (*from, 1.0)) {
            self.set_activation(node, input);
            return Ok(());
        }
        let input = self.map(node, 0)?;
        let Shape { h, w, .. } = self.shape(&input);
        let mut axes = [h, w].map(|from| Axis { from, to: from, scale: 1.0 });
        for (at, &(size, scale)) in dims.iter().enumerate() {
            match (input.axis(at as i64), u32::try_from(size)) {
                (Some(ours @ 0..=1), Ok(to @ 1..Shape::MAX_DIM)) if at > 0 => {
                    (axes[ours].to, axes[ours].scale) = (to, scale);
                }
                _ if scale == 1.0 => {}
                _ => return refuse("not height and width are resized, or beyond all measure", ""),
            }
        }
        self.spend(axes[0].to.saturating_mul(axes[1].to) as usize)?;
        let id = match text(node, "mode", "nearest") {
            "nearest" => self.nearest(node, axes, input.node)?,
            "linear" | "bilinear" => self.lower(linear(node, axes)?, &[input.node])?,
            mode => return refuse(format!("the mode `{mode}`"), "resize by the nearest neighbor or linearly"),
        };
        self.set_map(node, id, &input);
        Ok(())
    }

    /// By the settings of TensorFlow Lite's operator that take the pixels that ONNX takes, else row by row and column by column.
    fn nearest(&mut self, node: &NodeProto, axes: [Axis; 2], input: NodeId) -> Result<NodeId, Refusal> {
        let [rows, columns] = [sources(node, axes[0])?, sources(node, axes[1])?];
        let fits = |resize: &ResizeNearest| {
            let same = |(number, sources): (usize, &Vec<u32>)| {
                let taken = |at| resize.nearest(number).source(at, axes[number].from);
                (0..).zip(sources).all(|(at, &source)| taken(at) == source)
            };
            [&rows, &columns].into_iter().enumerate().all(same)
        };
        let settings = [(false, false), (false, true), (true, false), (true, true)];
        let mut resizes = settings.into_iter().map(|(align_corners, half_pixel_centers)| ResizeNearest {
            size: axes.map(|axis| axis.to),
            align_corners,
            half_pixel_centers,
        });
        if let Some(resize) = resizes.find(fits) {
            return self.lower(Operator::Rearrange(Rearrange::ResizeNearest(resize)), &[input]);
        }
        let picked = self.lower(Operator::Pick(0, rows), &[input])?;
        self.lower(Operator::Pick(1, columns), &[picked])
    }
}

/// Whether a node is of an operator set that knows neither coordinates nor rounding.
fn is_old(node: &NodeProto) -> bool {
    node.op_type == "Upsample" || node.input.len() < 3
}

/// Where position `at` of the output lies in the input, by the node's mode of coordinates.
fn place(node: &NodeProto, Axis { from, to, scale }: Axis, at: u32) -> Result<f64, Refusal> {
    let centered = (f64::from(at) + 0.5) / scale - 0.5;
    Ok(match text(node, "coordinate_transformation_mode", if is_old(node) { "asymmetric" } else { "half_pixel" }) {
        "asymmetric" => f64::from(at) / scale,
        "half_pixel" => centered,
        "half_pixel_symmetric" => {
            let from = f64::from(from);
            centered + from / 2.0 * (1.0 - f64::from(to) / (from * scale))
        }
        "pytorch_half_pixel" if to > 1 => centered,
        "pytorch_half_pixel" => 0.0,
        "align_corners" => f64::from(at) * f64::from(from - 1) / f64::from(to.max(2) - 1),
        other => return refuse(format!("the coordinates `{other}`"), ""),
    })
}

/// The places in the input of all positions along an axis.
fn sources(node: &NodeProto, axis: Axis) -> Result<Vec<u32>, Refusal> {
    let source = |at| {
        let place = place(node, axis, at)?;
        let place = match text(node, "nearest_mode", if is_old(node) { "floor" } else { "round_prefer_floor" }) {
            "floor" => place.floor(),
            "ceil" => place.ceil(),
            "round_prefer_floor" => (place - 0.5).ceil(),
            "round_prefer_ceil" => (place + 0.5).floor(),
            other => return refuse(format!("the rounding `{other}`"), ""),
        };
        Ok(place.clamp(0.0, f64::from(axis.from - 1)) as u32)
    };
    (0..axis.to).map(source).collect()
}

/// Positions to the nearest 2^-20, and what lies between them to the nearest 2^-10.
fn linear(node: &NodeProto, axes: [Axis; 2]) -> Result<Operator, Refusal> {
    if int(node, "antialias", 0) != 0 && axes.iter().any(|axis| axis.scale < 1.0) {
        return refuse("an antialiasing filter", "resize without (antialias=False), or pool");
    }
    let (mut step, mut origin) = ([0; 2], [0; 2]);
    for (number, axis) in axes.into_iter().enumerate() {
        let units = |positions: f64| (positions * f64::from(1 << 20)).round();
        // Places lie at even distances in every mode.
        let (first, last) = (place(node, axis, 0)?, place(node, axis, axis.to - 1)?);
        let each = units((last - first) / f64::from(axis.to.max(2) - 1));
        let start = units(first) + 512.0;
        let is_step = (0.0..=f64::from(u32::MAX)).contains(&each);
        if !is_step || !(f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&start) {
            return refuse("a map that becomes thousands of times smaller", "pool first");
        }
        (step[number], origin[number]) = (each as u32, start as i32);
    }
    Ok(Operator::ResizeBilinear(ResizeBilinear { size: axes.map(|axis| axis.to), step, origin }))
}
