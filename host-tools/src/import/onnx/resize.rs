//! Resize and Upsample: height and width, by the nearest neighbor, by linear or by cubic interpolation. What no operator of the runtime
//! does is a product with a matrix for each axis.

use kinglet::ops::{ResizeBilinear, ResizeNearest};
use kinglet::{Shape, Window};

use super::context::{Context, attribute, float, from_end, int, ints};
use super::moves::text;
use super::proto::NodeProto;
use crate::graph::{NodeId, Rearrange, Strided};
use crate::import::problem::{Refusal, refuse};
use crate::import::source::{Bias, Filter, Numbers, Operator};

/// An axis of a map: its extents before and after, the factor between them as the file has it, and the part of it that is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Axis {
    from: u32,
    to: u32,
    scale: f64,
    part: [f64; 2],
}

impl Axis {
    /// Whether a position of the input lies on the map.
    fn has(self, place: f64) -> bool {
        (0.0..=f64::from(self.from - 1)).contains(&place)
    }
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
            *dim = match (sizes.get(index), scales.get(index), kept.filter(|_| axis > 1)) {
                (Some(_), _, Some(scale)) => ((dim.0 as f64 * scale).round() as i64, scale),
                (Some(&size), _, None) => (size, size as f64 / dim.0 as f64),
                // Rounded to single precision first, and only then cut off, as in onnxruntime.
                (None, Some(&scale), _) => ((dim.0 as f32 * scale) as i64, scale.into()),
                (None, None, _) => return refuse("its scales or sizes are not those of height and width", ""),
            };
        }
        let crops = text(node, "coordinate_transformation_mode", "") == CROP;
        if !crops && dims.iter().zip(&input.dims).all(|(dim, from)| *dim == (*from, 1.0)) {
            self.set_activation(node, input);
            return Ok(());
        }
        let input = self.map(node, 0)?;
        let Shape { h, w, .. } = self.shape(&input);
        let mut axes = [h, w].map(|from| Axis { from, to: from, scale: 1.0, part: [0.0, 1.0] });
        for (at, &(size, scale)) in dims.iter().enumerate() {
            match (input.axis(at as i64), u32::try_from(size)) {
                (Some(ours @ 0..=1), Ok(to @ 1..Shape::MAX_DIM)) if at > 0 => {
                    (axes[ours].to, axes[ours].scale) = (to, scale);
                }
                _ if scale == 1.0 => {}
                _ => return refuse("not height and width are resized, or beyond all measure", ""),
            }
        }
        if let Some(parts) = self.optional(node, 1)?.filter(|_| crops) {
            // The starts of all that are listed, then the ends.
            let parts = parts.floats()?;
            for (index, &axis) in listed.iter().enumerate() {
                let part = [index, index + listed.len()].map(|at| parts.get(at).copied());
                match (input.axis(axis as i64), part) {
                    (_, [Some(0.0), Some(1.0)]) => {}
                    (Some(ours @ 0..=1), [Some(start), Some(end)]) if axis > 0 => {
                        axes[ours].part = [start.into(), end.into()];
                    }
                    _ => return refuse("a part of something else than height and width", ""),
                }
            }
        }
        self.spend(axes[0].to.saturating_mul(axes[1].to) as usize)?;
        let by_operator = match text(node, "mode", "nearest") {
            "nearest" => self.nearest(node, axes, input.node)?,
            "linear" | "bilinear" => match linear(node, axes)? {
                Some(linear) => Some(self.lower(linear, &[input.node])?),
                None => None,
            },
            _ => None,
        };
        let id = match by_operator {
            Some(id) => id,
            None => self.by_matrices(node, axes, input.node)?,
        };
        self.set_map(node, id, &input);
        Ok(())
    }

    /// Height and width become channels one after the other: there a matrix is a convolution.
    fn by_matrices(&mut self, node: &NodeProto, axes: [Axis; 2], input: NodeId) -> Result<NodeId, Refusal> {
        let mut id = input;
        // Height to the last place, then width instead of it, then width back to its own.
        for (axis, order) in axes.into_iter().zip([[1, 2, 0], [2, 1, 0]]) {
            id = self.lower(Operator::Rearrange(Rearrange::Strided(Strided::Transpose(order))), &[id])?;
            self.spend(axis.from.saturating_mul(axis.to) as usize)?;
            let (mut matrix, mut bias) = (Vec::new(), Vec::new());
            for at in 0..axis.to {
                let (row, constant) = weights(node, axis, at)?;
                matrix.extend(row);
                bias.push(constant);
            }
            let filter = Filter { weights: Numbers::Reals(matrix), bias: Bias::Reals(bias) };
            let operator = Operator::Conv { window: Window::global([1, 1]), dilation: [1; 2], groups: 1, filter };
            id = self.lower(operator, &[id])?;
        }
        self.lower(Operator::Rearrange(Rearrange::Strided(Strided::Transpose([0, 2, 1]))), &[id])
    }

    /// By the settings of TensorFlow Lite's operator that take the pixels that ONNX takes, else rows and columns at even distances;
    /// `None` where none does.
    fn nearest(&mut self, node: &NodeProto, axes: [Axis; 2], input: NodeId) -> Result<Option<NodeId>, Refusal> {
        let [Some(rows), Some(columns)] = [sources(node, axes[0])?, sources(node, axes[1])?] else { return Ok(None) };
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
            return Ok(Some(self.lower(Operator::Rearrange(Rearrange::ResizeNearest(resize)), &[input])?));
        }
        let is_even = |places: &[u32]| places.windows(3).all(|at| at[0] < at[1] && at[1] - at[0] == at[2] - at[1]);
        if !is_even(&rows) || !is_even(&columns) {
            return Ok(None);
        }
        let picked = self.lower(Operator::Pick(0, rows), &[input])?;
        Ok(Some(self.lower(Operator::Pick(1, columns), &[picked])?))
    }
}

/// Whether a node is of an operator set that knows neither coordinates nor rounding.
fn is_old(node: &NodeProto) -> bool {
    node.op_type == "Upsample" || node.input.len() < 3
}

/// The coordinates of which only a part of the map is taken, or more than it.
const CROP: &str = "tf_crop_and_resize";

/// Where position `at` of the output lies in the input, by the node's mode of coordinates.
fn place(node: &NodeProto, Axis { from, to, scale, part }: Axis, at: u32) -> Result<f64, Refusal> {
    let centered = (f64::from(at) + 0.5) / scale - 0.5;
    let (last, ends) = (f64::from(from - 1), f64::from(to.max(2) - 1));
    Ok(match text(node, "coordinate_transformation_mode", if is_old(node) { "asymmetric" } else { "half_pixel" }) {
        "asymmetric" => f64::from(at) / scale,
        "half_pixel" => centered,
        "half_pixel_symmetric" => {
            let from = f64::from(from);
            centered + from / 2.0 * (1.0 - f64::from(to) / (from * scale))
        }
        "pytorch_half_pixel" if to > 1 => centered,
        "pytorch_half_pixel" => 0.0,
        "align_corners" => f64::from(at) * last / ends,
        CROP if to > 1 => (part[0] + f64::from(at) * (part[1] - part[0]) / ends) * last,
        CROP => (part[0] + part[1]) / 2.0 * last,
        other => return refuse(format!("the coordinates `{other}`"), ""),
    })
}

/// The pixel that is the nearest to a place.
fn nearest(node: &NodeProto, place: f64) -> Result<f64, Refusal> {
    Ok(match text(node, "nearest_mode", if is_old(node) { "floor" } else { "round_prefer_floor" }) {
        "floor" => place.floor(),
        "ceil" => place.ceil(),
        "round_prefer_floor" => (place - 0.5).ceil(),
        "round_prefer_ceil" => (place + 0.5).floor(),
        other => return refuse(format!("the rounding `{other}`"), ""),
    })
}

/// The places in the input of all positions along an axis; `None` where one lies outside a part that is to be taken.
fn sources(node: &NodeProto, axis: Axis) -> Result<Option<Vec<u32>>, Refusal> {
    let mut sources = Vec::new();
    for at in 0..axis.to {
        let place = place(node, axis, at)?;
        if is_extrapolated(node, axis, place) {
            return Ok(None);
        }
        sources.push(nearest(node, place)?.clamp(0.0, f64::from(axis.from - 1)) as u32);
    }
    Ok(Some(sources))
}

/// Whether a place gets a constant instead of what is on the map next to it.
fn is_extrapolated(node: &NodeProto, axis: Axis, place: f64) -> bool {
    text(node, "coordinate_transformation_mode", "") == CROP && !axis.has(place)
}

/// The factors of all pixels along an axis in that at `at` of the output, and a constant that is added.
fn weights(node: &NodeProto, axis: Axis, at: u32) -> Result<(Vec<f32>, f32), Refusal> {
    let (place, mut row) = (place(node, axis, at)?, vec![0.0; axis.from as usize]);
    if is_extrapolated(node, axis, place) {
        return Ok((row, float(node, "extrapolation_value", 0.0)));
    }
    // How far each pixel reaches. A filter against aliases reaches as far as the pixels of the output do.
    let (reach, a) = match text(node, "mode", "nearest") {
        "nearest" => (0.0, 0.0),
        "linear" | "bilinear" => (1.0, 0.0),
        "cubic" => (2.0, f64::from(float(node, "cubic_coeff_a", -0.75))),
        mode => return refuse(format!("the mode `{mode}`"), ""),
    };
    let scale = if int(node, "antialias", 0) == 0 { 1.0 } else { axis.scale.min(1.0) };
    let factor = |distance: f64| match (distance.abs() * scale, reach) {
        (x, 2.0) if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        (x, 2.0) if x < 2.0 => ((x - 5.0) * x + 8.0) * x * a - 4.0 * a,
        (x, _) => (1.0 - x).max(0.0),
    };
    let span = reach / scale;
    if !place.is_finite() || !(0.0..=f64::from(Shape::MAX_DIM)).contains(&span) {
        return refuse("a map that becomes thousands of times smaller", "pool first");
    }
    let last = f64::from(axis.from - 1);
    // Pixels beyond the border are those at it, or left out.
    let only_inside = int(node, "exclude_outside", 0) != 0;
    let taps: Vec<(f64, f64)> = match reach {
        0.0 => vec![(nearest(node, place)?, 1.0)],
        _ => {
            let around = (0..=(2.0 * span) as u32 + 1).map(|number| (place - span).ceil() + f64::from(number));
            around.filter(|&at| !only_inside || axis.has(at)).map(|at| (at, factor(at - place))).collect()
        }
    };
    let sum: f64 = taps.iter().map(|&(_, factor)| factor).sum();
    for (pixel, factor) in taps.into_iter().filter(|_| sum != 0.0) {
        row[pixel.clamp(0.0, last) as usize] += (factor / sum) as f32;
    }
    Ok((row, 0.0))
}

/// Positions to the nearest 2^-20, and what lies between them to the nearest 2^-10; `None` for what is not a pixel and its neighbor.
fn linear(node: &NodeProto, axes: [Axis; 2]) -> Result<Option<Operator>, Refusal> {
    let (mut step, mut origin) = ([0; 2], [0; 2]);
    for (number, axis) in axes.into_iter().enumerate() {
        let units = |positions: f64| (positions * f64::from(1 << 20)).round();
        // Places lie at even distances in every mode.
        let (first, last) = (place(node, axis, 0)?, place(node, axis, axis.to - 1)?);
        let each = units((last - first) / f64::from(axis.to.max(2) - 1));
        let start = units(first) + 512.0;
        let is_step = (0.0..=f64::from(u32::MAX)).contains(&each);
        let filters = int(node, "antialias", 0) != 0 && axis.scale < 1.0;
        if filters
            || [first, last].into_iter().any(|place| is_extrapolated(node, axis, place))
            || !is_step
            || !(f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&start)
        {
            return Ok(None);
        }
        (step[number], origin[number]) = (each as u32, start as i32);
    }
    Ok(Some(Operator::ResizeBilinear(ResizeBilinear { size: axes.map(|axis| axis.to), step, origin })))
}
