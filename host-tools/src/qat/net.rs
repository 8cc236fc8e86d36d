//! The network that is trained: float numbers, ranges, and the integers that are made of them anew for every batch.
//!
//! A batch is always cut into [`CHUNKS`] chunks whose sums are added in order, so that the number of threads changes
//! nothing.

use ndarray::{Array2, ArrayD, ArrayView4, Axis, IxDyn};
use rayon::prelude::*;

use super::integers::{Integers, Place};
use super::ranges::Ranges;
use crate::graph::{Graph, GraphError, Line, NodeId, Op, ParamSpec, Params, Weights};
use crate::layers::{Loss, Slot, Targets};
use crate::quantize::int8::NIBBLE_MAX;
use crate::quantize::{self, QuantizeError, trained};

/// Chunks of a batch.
const CHUNKS: usize = 8;

/// A network in quantization-aware training.
#[derive(Debug)]
pub struct Net {
    graph: Graph,
    arrays: Vec<Array>,
    ranges: Ranges,
    integers: Integers,
    places: Vec<Place>,
}

/// A parameter with its gradient.
#[derive(Debug)]
struct Array {
    spec: ParamSpec,
    weights: Vec<f32>,
    gradient: Vec<f32>,
}

impl Net {
    /// A network with its numbers and a range for every value, as [`trained`] stores them. Each batch moves a range by
    /// `rate`, 0 to 1, towards what was seen in it.
    ///
    /// # Errors
    /// When a parameter or a range is missing or not finite, and when a node has no quantization-aware form.
    pub fn new(graph: &Graph, params: &Params, rate: f64) -> Result<Self, QuantizeError> {
        let integers = Integers::new(graph, params)?;
        let ranges = trained::ranges(&integers.folded, params)?.ok_or(QuantizeError::NoRanges)?;
        let ranges = Ranges::new(&integers.folded, &ranges, rate);
        let steps = integers.folded.nodes.iter().filter_map(|node| {
            let steps = node.op.weights()?.steps.as_ref()?;
            Some(ParamSpec {
                name: trained::steps_name(&node.name),
                dims: vec![steps.len()],
                trainable: true,
                decays: false,
            })
        });
        let array = |spec: ParamSpec| {
            let weights: Vec<f32> = params.require(&spec.name)?.iter().copied().collect();
            let frozen = [".gamma", ".constant"].iter().any(|suffix| spec.name.ends_with(suffix));
            let spec = ParamSpec { trainable: spec.trainable && !frozen, ..spec };
            Ok(Array { gradient: vec![0.0; weights.len()], weights, spec })
        };
        let arrays = graph.param_specs().into_iter().chain(steps).map(array).collect::<Result<_, QuantizeError>>()?;
        Ok(Self { graph: graph.clone(), arrays, ranges, integers, places: Vec::new() })
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Takes over parameters, but for ranges.
    ///
    /// # Errors
    /// When one is missing or has the wrong dimensions.
    pub fn load(&mut self, params: &Params) -> Result<(), GraphError> {
        params.check(&self.graph)?;
        for Array { spec, weights, .. } in &mut self.arrays {
            weights.iter_mut().zip(params.require(&spec.name)?).for_each(|(weight, new)| *weight = *new);
        }
        Ok(())
    }

    /// The parameters as they are now, ranges among them.
    pub fn params(&self) -> Params {
        let mut params = self.numbers();
        self.insert_ranges(&mut params);
        params
    }

    /// The parameters as they are now, without ranges.
    fn numbers(&self) -> Params {
        let mut params = Params::new();
        for Array { spec, weights, .. } in &self.arrays {
            let array = ArrayD::from_shape_vec(IxDyn(&spec.dims), weights.clone());
            params.insert(spec.name.clone(), array.expect("weights have their spec's dimensions"));
        }
        params
    }

    /// Adds the ranges to parameters, or replaces those that are there.
    pub fn insert_ranges(&self, params: &mut Params) {
        self.ranges.insert(&self.integers.folded, params);
    }

    /// Every parameter array, in the order of the graph's parameter list.
    pub fn slots(&mut self) -> impl Iterator<Item = Slot<'_, f32>> {
        self.arrays.iter_mut().map(|Array { spec, weights, gradient }| Slot { spec, weights, gradient })
    }

    /// Loss and gradients of a batch, whose images' real numbers (H x W x C) `fill` writes; then the ranges follow.
    ///
    /// # Errors
    /// Names the parameter or the node whose numbers are not finite or out of range.
    pub fn gradients(&mut self, targets: Targets<'_>, fill: impl Fn(usize, &mut [f32]) + Sync) -> Result<Loss, String> {
        let params = self.numbers();
        self.integers.prepare(&self.graph, &params, self.ranges.quants())?;
        let Self { integers, places, .. } = self;
        if places.is_empty() {
            *places = (0..CHUNKS).map(|_| Place::new(integers)).collect();
        }
        let (share, images) = (targets.shares(), targets.labels.len());
        let per_chunk = images.div_ceil(CHUNKS).max(1);
        places.par_iter_mut().enumerate().for_each(|(chunk, place)| {
            place.begin(integers);
            for image in (chunk * per_chunk..images).take(per_chunk) {
                place.forward(integers, |out| fill(image, out));
                place.backward(integers, targets, image, share(image));
            }
        });
        let mean = places.iter().map(|place| place.loss).sum();
        let correct = places.iter().map(|place| place.correct).sum();
        self.collect(&params)?;
        self.follow()?;
        Ok(Loss { mean, correct })
    }

    /// From the sums of all chunks to the gradients of the parameters.
    fn collect(&mut self, params: &Params) -> Result<(), String> {
        let Self { graph, arrays, integers, places, .. } = self;
        for (index, step) in integers.steps.iter().enumerate() {
            let (Some(weighted), Some(layer)) = (step.weighted(), &step.layer) else { continue };
            let mut places = places.iter_mut();
            let Some(first) = places.next() else { continue };
            places.for_each(|place| first.sums[index].add(&place.sums[index]));
            let sums = &first.sums[index];
            let Some(folded) = integers.folded.nodes[index + 1].op.weights() else { continue };
            let mut weights = [vec![0.0; folded.weights.len()]];
            layer.unpack_gradient(&sums.weights, &mut weights);
            // By the integers, then by the real numbers that they stand for.
            let per_weight: Vec<f64> = weighted.weight_scales.iter().map(|scale| 1.0 / f64::from(*scale)).collect();
            let bias = sums.bias.iter().zip(&per_weight);
            let bias: Vec<f64> =
                bias.map(|(g, per_weight)| f64::from(*g) * per_weight / f64::from(weighted.input_scale)).collect();
            let steps = folded.steps.as_ref().map(|_| step_gradient(folded, &weighted.weight_scales, &mut weights[0]));
            let mut unfolding = Unfolding { params, arrays, factors: vec![1.0; bias.len()], bias, steps };
            // From the last node that was merged into the step to the one that computes.
            let merged = graph.ids().filter(|id| integers.values[id.0].0 == index + 1);
            for id in merged.collect::<Vec<_>>().into_iter().rev() {
                unfolding.through(graph, id, &weights[0], &per_weight).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// Lets the ranges follow what was seen.
    fn follow(&mut self) -> Result<(), String> {
        let Self { ranges, integers, places, .. } = self;
        let seen = |value: usize| {
            let computes = value > 0 && integers.steps[value - 1].computes();
            let all = places.iter().map(|place| place.seen[value]);
            computes.then(|| all.fold(super::pass::NOTHING, |[a, b], [c, d]| [a.min(c), b.max(d)]))
        };
        let seen: Vec<Option<[i32; 2]>> = (0..integers.quants.len()).map(seen).collect();
        ranges.follow(&integers.folded, &integers.quants, &seen)
    }
}

/// Gradients on their way from a folded layer to the graph's parameters.
struct Unfolding<'a> {
    params: &'a Params,
    arrays: &'a mut [Array],
    /// What the batch normalizations behind multiply each channel with.
    factors: Vec<f64>,
    /// By the folded bias, as a real number.
    bias: Vec<f64>,
    /// By the folded weights' steps, if they are trained.
    steps: Option<Vec<f64>>,
}

/// The gradient by the steps of a folded layer's weights of 4 bits, from that by its integers: as if rounding were the identity
/// (Esser et al., "Learned Step Size Quantization", 2020), and so small that steps move as weights do. No gradient is left for
/// weights that are cut off, which only their step can change.
fn step_gradient(folded: &Weights, scales: &[f32], by_integers: &mut [f32]) -> Vec<f64> {
    let most = f64::from(NIBBLE_MAX);
    let mut steps = vec![0.0; scales.len()];
    for (index, (gradient, weight)) in by_integers.iter_mut().zip(&folded.weights).enumerate() {
        let channel = folded.channel_of(index);
        let scale = f64::from(scales[channel]);
        let exact = f64::from(*weight) / scale;
        let rounded = exact.round().clamp(-most, most);
        let is_cut_off = exact.abs() > most;
        let slope = if is_cut_off { rounded } else { rounded - exact };
        steps[channel] += f64::from(*gradient) / scale * slope;
        if is_cut_off {
            *gradient = 0.0;
        }
    }
    let each = (folded.weights.len() / scales.len()) as f64;
    steps.iter_mut().for_each(|step| *step /= (each * most).sqrt());
    steps
}

impl Unfolding<'_> {
    /// Hands the gradients of node `id`'s own parameters to them: `weights` by the folded layer's integers, of which
    /// `per_weight` are one, for each channel.
    fn through(&mut self, graph: &Graph, id: NodeId, weights: &[f32], per_weight: &[f64]) -> Result<(), GraphError> {
        let node = graph.node(id);
        let offsets: Vec<f32> = self.bias.iter().zip(&self.factors).map(|(g, factor)| (g * factor) as f32).collect();
        match node.op {
            Op::BatchNorm(epsilon) => {
                self.put(&format!("{}.beta", node.name), offsets);
                let factors = Line::of(&node.name, epsilon, self.params)?.factors;
                self.factors.iter_mut().zip(factors).for_each(|(all, factor)| *all *= factor);
            }
            Op::Conv2d { .. } | Op::DepthwiseConv2d { .. } | Op::Dense(_) => {
                let channels = self.factors.len();
                let (each, last) = (weights.len() / channels, matches!(node.op, Op::DepthwiseConv2d { .. }));
                let real = |(index, g): (usize, &f32)| {
                    let channel = if last { index % channels } else { index / each };
                    (f64::from(*g) * per_weight[channel] * self.factors[channel]) as f32
                };
                let weights = weights.iter().enumerate().map(real).collect();
                self.put(&format!("{}.weight", node.name), weights);
                self.put(&format!("{}.bias", node.name), offsets);
                let steps = self.steps.iter().flatten().zip(&self.factors);
                let steps = steps.map(|(g, factor)| (g * factor.abs()) as f32).collect();
                self.put(&trained::steps_name(&node.name), steps);
            }
            Op::Activate(_) => {}
            ref op => unreachable!("{} is merged into no layer", op.kind()),
        }
        Ok(())
    }

    fn put(&mut self, name: &str, gradient: Vec<f32>) {
        if let Some(array) = self.arrays.iter_mut().find(|array| array.spec.name == name) {
            array.gradient = gradient;
        }
    }
}

/// The output elements for u8 images (N x H x W x C), a row each: those of the exported model. `params` hold ranges.
///
/// # Errors
/// When parameters, ranges or images do not fit the graph.
pub fn outputs(graph: &Graph, params: &Params, images: &ArrayView4<'_, u8>) -> Result<Array2<i8>, QuantizeError> {
    let mut integers = Integers::new(graph, params)?;
    let quants = trained::quants(&integers.folded, params)?.ok_or(QuantizeError::NoRanges)?;
    integers.prepare(graph, params, quants).map_err(QuantizeError::Weights)?;
    let (count, h, w, c) = images.dim();
    let input = graph.input;
    if [h, w, c] != [input.h, input.w, input.c].map(|extent| extent as usize) {
        return Err(QuantizeError::Shape { found: [h, w, c], expected: [input.h, input.w, input.c] });
    }
    let per_chunk = count.div_ceil(CHUNKS).max(1);
    let part = |part: ArrayView4<'_, u8>| {
        let reals = quantize::reals(&graph.preprocess, part)?;
        let mut place = Place::new(&integers);
        let mut rows = Vec::new();
        for image in reals.outer_iter() {
            place.forward(&integers, |out| out.iter_mut().zip(image).for_each(|(out, x)| *out = *x));
            rows.extend(place.elements(&integers, integers.output()));
        }
        Ok(rows)
    };
    let parts: Vec<_> = images.axis_chunks_iter(Axis(0), per_chunk).collect();
    let rows: Vec<Vec<i8>> = parts.into_par_iter().map(part).collect::<Result<_, QuantizeError>>()?;
    let classes = graph.node(graph.output()).shape.len() as usize;
    Ok(Array2::from_shape_vec((count, classes), rows.concat()).expect("one row per image"))
}
