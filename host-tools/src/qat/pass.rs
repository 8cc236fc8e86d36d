//! A step over one image: forward in integers, backward as if nothing had been rounded. Gradients are by elements.

use kinglet::quant::requantize;
use kinglet::{Channel, Shape, Window};
use ndarray::Array4;

use super::step::{Stage, Step};
use crate::graph::NodeId;
use crate::layers::{Back, Corners, Point, Scratch, Target, image, image_mut};

/// The extremes before anything was seen.
pub const NOTHING: [i32; 2] = [i32::MAX, i32::MIN];

/// What a step needs while it runs.
#[derive(Debug, Default)]
pub struct Room {
    narrow: Scratch<f32>,
    wide: Scratch<f64>,
    sums: Vec<f64>,
}

/// Gradients of a step's weights and biases, in units of their integers, summed up over images.
#[derive(Debug, Default)]
pub struct Sums {
    /// In the layer's layout.
    pub weights: Vec<Vec<f32>>,
    /// One per channel.
    pub bias: Vec<f32>,
}

impl Sums {
    /// Room for the gradients of `step`.
    pub fn new(step: &Step) -> Self {
        let (Some(layer), Some(weighted)) = (&step.layer, step.weighted()) else { return Self::default() };
        let weights = layer.gradient_lens().into_iter().map(|len| vec![0.0; len]).collect();
        Self { weights, bias: vec![0.0; weighted.channels.len()] }
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        self.weights.iter_mut().chain([&mut self.bias]).for_each(|sums| sums.fill(0.0));
    }

    /// Adds others.
    pub fn add(&mut self, more: &Self) {
        let pairs = self.weights.iter_mut().zip(&more.weights).chain([(&mut self.bias, &more.bias)]);
        pairs.for_each(|(sums, more)| sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more));
    }
}

/// The place of an element, given less its zero point, in a table.
fn place(x: f32, zero: i32) -> usize {
    (x as i32 + zero + 128) as usize
}

impl Step {
    /// Computes value `value` of one image; `passes` is told where gradients will go through. Gives the extremes of what
    /// was computed, as elements without the bounds of int8.
    pub fn forward(&self, values: &mut [Array4<f32>], value: usize, passes: &mut [bool], room: &mut Room) -> [i32; 2] {
        let (before, rest) = values.split_at_mut(value);
        let point = Point { values: before, inputs: &self.inputs, image: 0 };
        let out = image_mut(&mut rest[0], 0);
        let mut seen = NOTHING;
        match &self.stage {
            Stage::Weighted(weighted) if weighted.is_wide => {
                let input = doubles(point.input(0), self.shapes[0]);
                room.sums.resize(out.len(), 0.0);
                if let Some(wide) = &self.wide {
                    let point = Point { values: &[input], inputs: &[NodeId(0)], image: 0 };
                    wide.forward(&point, &mut room.sums, &mut room.wide);
                }
                let channels = weighted.channels.iter().cycle();
                for (((out, passes), sum), channel) in out.iter_mut().zip(passes).zip(&room.sums).zip(channels) {
                    // The runtime's accumulator wraps.
                    self.scale(*sum as i64 as i32, *channel, out, passes, &mut seen);
                }
            }
            Stage::Weighted(weighted) => {
                if let Some(layer) = &self.layer {
                    layer.forward(&point, out, &mut room.narrow);
                }
                let count = weighted.channels.len();
                for (out, passes) in out.chunks_exact_mut(count).zip(passes.chunks_exact_mut(count)) {
                    for ((out, passes), channel) in out.iter_mut().zip(passes).zip(&weighted.channels) {
                        self.scale(*out as i32, *channel, out, passes, &mut seen);
                    }
                }
            }
            Stage::Mean { factor, .. } => {
                let channel = Channel { bias: 0, factor: *factor };
                for (c, (out, passes)) in out.iter_mut().zip(passes).enumerate() {
                    let pixels = point.input(0).iter().skip(c).step_by(self.shape.c as usize);
                    let sum = pixels.fold(0i32, |sum, x| sum.wrapping_add(*x as i32));
                    self.scale(sum, channel, out, passes, &mut seen);
                }
            }
            Stage::Add { operands: [left, right], factor } => {
                let pairs = point.input(0).iter().zip(point.input(1));
                for ((out, passes), (a, b)) in out.iter_mut().zip(passes).zip(pairs) {
                    let sum = left.terms[place(*a, left.zero)].wrapping_add(right.terms[place(*b, right.zero)]);
                    self.settle.one(requantize(sum, *factor, self.rounding), out, passes, &mut seen);
                }
            }
            Stage::Table(entries, zero) => {
                for (out, x) in out.iter_mut().zip(point.input(0)) {
                    let entry = entries[place(*x, *zero)];
                    seen = [seen[0].min(entry.unbounded), seen[1].max(entry.unbounded)];
                    *out = entry.value;
                }
            }
            Stage::Average(window, zero) => average(window, *zero, (point.input(0), self.shapes[0]), (out, self.shape)),
            Stage::Blended(corners, zero) => blended(corners, *zero, point.input(0), out),
            Stage::Moved => {
                if let Some(layer) = &self.layer {
                    layer.forward(&point, out, &mut room.narrow);
                }
            }
        }
        seen
    }

    #[inline(always)]
    fn scale(&self, sum: i32, channel: Channel, out: &mut f32, passes: &mut bool, seen: &mut [i32; 2]) {
        let scaled = requantize(sum.wrapping_add(channel.bias), channel.factor, self.rounding);
        self.settle.one(scaled, out, passes, seen);
    }

    /// Hands the gradient of value `value` on to its inputs and adds those of the step's numbers to `sums`. `written` tells
    /// which values have a gradient already.
    pub fn backward(
        &self,
        values: &[Array4<f32>],
        value: usize,
        passes: &[bool],
        (gradients, written): (&mut [Vec<f32>], &mut [bool]),
        sums: &mut Sums,
        room: &mut Room,
    ) {
        let (before, rest) = gradients.split_at_mut(value);
        let gradient = rest[0].as_mut_slice();
        let point = Point { values, inputs: &self.inputs, image: 0 };
        // From the gradient by the output's elements to that by what is scaled.
        match &self.stage {
            Stage::Weighted(weighted) => {
                let count = weighted.channels.len();
                for (gradient, passes) in gradient.chunks_exact_mut(count).zip(passes.chunks_exact(count)) {
                    let channels = passes.iter().zip(&weighted.slopes).zip(&mut sums.bias);
                    for (g, ((passes, slope), bias)) in gradient.iter_mut().zip(channels) {
                        *g = if *passes { *g * slope } else { 0.0 };
                        *bias += *g;
                    }
                }
            }
            Stage::Mean { slope, .. } => mask(gradient, passes, *slope),
            Stage::Add { .. } => mask(gradient, passes, 1.0),
            Stage::Table(entries, zero) => {
                for (g, x) in gradient.iter_mut().zip(point.input(0)) {
                    *g *= entries[place(*x, *zero)].slope;
                }
            }
            Stage::Moved | Stage::Average(..) | Stage::Blended(..) => {}
        }
        let back = Back { point, value: image(&values[value], 0), gradient };
        if let (Stage::Weighted(_), Some(layer)) = (&self.stage, &self.layer) {
            layer.weight_gradient(&back, &mut sums.weights, &mut room.narrow);
        }
        for (which, input) in self.inputs.iter().enumerate().filter(|(_, input)| input.0 > 0) {
            let accumulate = std::mem::replace(&mut written[input.0], true);
            let target = Target { values: before[input.0].as_mut_slice(), accumulate };
            match (&self.stage, &self.layer) {
                (Stage::Add { operands, .. }, _) => hand_on(back.gradient, operands[which].slope, target),
                (_, Some(layer)) => layer.input_gradient(which, &back, target, &mut room.narrow),
                (_, None) => hand_on(back.gradient, 1.0, target),
            }
        }
    }
}

fn doubles(input: &[f32], Shape { h, w, c }: Shape) -> Array4<f64> {
    let input = input.iter().map(|&x| f64::from(x)).collect();
    Array4::from_shape_vec((1, h as usize, w as usize, c as usize), input).expect("a value has its shape")
}

fn mask(gradient: &mut [f32], passes: &[bool], slope: f32) {
    gradient.iter_mut().zip(passes).for_each(|(g, passes)| *g = if *passes { *g * slope } else { 0.0 });
}

fn hand_on(gradient: &[f32], slope: f32, target: Target<'_, f32>) {
    for (value, g) in target.values.iter_mut().zip(gradient) {
        *value = if target.accumulate { *value + g * slope } else { g * slope };
    }
}

/// The mean of the elements under a window, half away from zero, zero points counted.
fn average(window: &Window, zero: i32, (input, from): (&[f32], Shape), (out, to): (&mut [f32], Shape)) {
    let channels = to.c as usize;
    for (at, out) in out.chunks_exact_mut(channels).enumerate() {
        let rows = window.taps(0, at as u32 / to.w, from.h);
        let columns = window.taps(1, at as u32 % to.w, from.w);
        let under = (rows.start..rows.start + rows.len)
            .flat_map(|y| (columns.start..columns.start + columns.len).map(move |x| (y * from.w + x) as usize));
        let count = (rows.len * columns.len).max(1) as i32;
        for (c, out) in out.iter_mut().enumerate() {
            let sum: i32 = under.clone().map(|pixel| input[pixel * channels + c] as i32 + zero).sum();
            *out = ((sum.abs() + count / 2) / count * sum.signum() - zero) as f32;
        }
    }
}

/// The weighted means of four pixels, half away from zero, zero points counted.
fn blended(corners: &[Corners], zero: i32, input: &[f32], out: &mut [f32]) {
    let (channels, zero) = (out.len() / corners.len(), f64::from(zero));
    for (out, corners) in out.chunks_exact_mut(channels).zip(corners) {
        for (c, out) in out.iter_mut().enumerate() {
            // Exact in f64: the weights have 20 bits.
            let mean = corners.iter().map(|&(at, weight)| (f64::from(input[at + c]) + zero) * f64::from(weight));
            *out = (mean.sum::<f64>().round() - zero) as f32;
        }
    }
}
