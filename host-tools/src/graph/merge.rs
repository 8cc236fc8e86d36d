//! Structural re-parameterization (Ding et al., "RepVGG: Making VGG-style ConvNets Great Again", 2021): a convolution that was
//! trained as parallel branches becomes one again.
//!
//! A 3x3 convolution, a 1x1 convolution and the input itself, each with a batch normalization of its own, are added. All
//! three are linear, and the last two are 3x3 convolutions too, with weights in one place only: so their sum is one 3x3
//! convolution. It costs the chip nothing; what it is for is training, which shortcuts and branches make easier.

use super::{EPSILON, FloatModel, Graph, GraphError, Line, NodeId, Op, Params};

/// The name of the batch normalization of a convolution.
pub(super) fn norm(conv: &str) -> String {
    format!("{conv}_bn")
}

/// The name of the 1x1 convolution beside a convolution.
pub(super) fn point(conv: &str) -> String {
    format!("{conv}_point")
}

/// The name of the batch normalization of the input beside a convolution.
pub(super) fn identity(conv: &str) -> String {
    format!("{conv}_identity")
}

/// The same function with every branched convolution as one. A network without branches stays as it is, to the bit.
///
/// # Errors
/// When a parameter is missing or has the wrong dimensions.
pub fn merge(model: &FloatModel) -> Result<FloatModel, GraphError> {
    model.params.check(&model.graph)?;
    let recipe = model.recipe.merged();
    if recipe == model.recipe {
        return Ok(model.clone());
    }
    let graph = recipe.build(&model.graph.labels, &model.graph.preprocess)?;
    let mut params = model.params.clone();
    for id in graph.ids().filter(|&id| model.graph.find(&point(&graph.node(id).name)).is_some()) {
        merge_one(&graph, id, &mut params)?;
    }
    let mut kept = Params::new();
    for spec in graph.param_specs() {
        kept.insert(spec.name.clone(), params.require(&spec.name)?.clone());
    }
    Ok(FloatModel { recipe, graph, params: kept })
}

/// Adds the branches beside convolution `id` to its weights and to its normalization, which becomes a mere offset.
fn merge_one(graph: &Graph, id: NodeId, params: &mut Params) -> Result<(), GraphError> {
    let node = graph.node(id);
    let Op::Conv2d { window, .. } = &node.op else { return Ok(()) };
    let inputs = graph.node(node.inputs[0]).shape.c as usize;
    let [_, columns] = window.kernel.map(|extent| extent as usize);
    // Where the 3x3 and the 1x1 convolution meet: the padding of the one is what the other does not reach.
    let middle = window.before[0] as usize * columns + window.before[1] as usize;
    let taps = window.taps_len() as usize;

    let mut own = Line::of(&norm(&node.name), EPSILON, params)?;
    let weights = params.require(&format!("{}.weight", node.name))?;
    let mut merged: Vec<f64> = weights.iter().map(|&w| w.into()).collect();
    merged.iter_mut().enumerate().for_each(|(at, w)| *w *= own.factors[at / (taps * inputs)]);
    let mut offsets = |more: &Line| own.offsets.iter_mut().zip(&more.offsets).for_each(|(sum, more)| *sum += more);
    let mut at_middle = |filter: usize, input: usize, more: f64| {
        merged[(filter * taps + middle) * inputs + input] += more;
    };
    let side = Line::of(&norm(&point(&node.name)), EPSILON, params)?;
    for (at, &w) in params.require(&format!("{}.weight", point(&node.name)))?.iter().enumerate() {
        at_middle(at / inputs, at % inputs, f64::from(w) * side.factors[at / inputs]);
    }
    offsets(&side);
    if params.get(&format!("{}.gamma", identity(&node.name))).is_some() {
        let same = Line::of(&identity(&node.name), EPSILON, params)?;
        same.factors.iter().enumerate().for_each(|(channel, factor)| at_middle(channel, channel, *factor));
        offsets(&same);
    }

    let mut put = |name: String, numbers: &mut dyn Iterator<Item = f64>| {
        let array = params.get_mut(&name).ok_or(GraphError::MissingParam(name))?;
        array.iter_mut().zip(numbers).for_each(|(old, new)| *old = new as f32);
        Ok::<_, GraphError>(())
    };
    put(format!("{}.weight", node.name), &mut merged.into_iter())?;
    let norm = norm(&node.name);
    put(format!("{norm}.beta"), &mut own.offsets.into_iter())?;
    put(format!("{norm}.gamma"), &mut std::iter::repeat(1.0))?;
    put(format!("{norm}.mean"), &mut std::iter::repeat(0.0))?;
    put(format!("{norm}.variance"), &mut std::iter::repeat(1.0 - f64::from(EPSILON)))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array4, Axis};

    use super::*;
    use crate::graph::{Block, NetworkRecipe, Preprocess};
    use crate::layers::{Mode, Net};

    /// A network in f64, on made-up images.
    fn outputs(model: &FloatModel) -> Array4<f64> {
        let mut net = Net::<f64>::new(&model.graph, &model.params, 3).unwrap();
        net.forward(3, Mode::Infer, |image, out| {
            out.iter_mut().enumerate().for_each(|(at, x)| *x = ((at * 37 + image * 11) % 29) as f64 / 9.0 - 1.5);
        });
        net.values(model.graph.output())
    }

    /// With everything off its special starting point.
    fn model(recipe: NetworkRecipe) -> FloatModel {
        let channels = recipe.input().unwrap().c as usize;
        let graph = recipe.build(&["a", "b", "c"].map(String::from), &Preprocess::unit(channels)).unwrap();
        let mut params = Params::init(&graph, 1);
        for (index, spec) in graph.param_specs().into_iter().filter(|spec| !spec.decays).enumerate() {
            let array = params.get_mut(&spec.name).unwrap();
            array.iter_mut().enumerate().for_each(|(at, x)| *x += ((at * 7 + index * 5) % 13) as f32 / 20.0 - 0.2);
        }
        FloatModel { recipe, graph, params }
    }

    #[test]
    fn the_merged_network_is_the_same_function_with_the_parameters_of_the_plain_one() {
        let blocks = vec![
            Block::Rep { filters: 5, stride: 2 },
            Block::Rep { filters: 5, stride: 1 },
            Block::Residual { filters: 5, stride: 2, shortcut: true, norm: super::super::Norm::Batch },
            Block::Inception { one: 2, three_reduce: 2, three: 3, five_reduce: 2, five: 2, pool: 2, without: None },
        ];
        // Even and odd extents are padded differently at stride 2.
        for (input, reparameterize) in [([8, 9, 3], false), ([8, 9, 3], true), ([7, 6, 1], true)] {
            let recipe = NetworkRecipe {
                input: Some(input),
                blocks: blocks.clone(),
                reparameterize,
                ..NetworkRecipe::default()
            };
            let branched = model(recipe);
            let merged = merge(&branched).unwrap();
            assert!(branched.graph.find("b2_identity").is_some() && merged.graph.find("b2_identity").is_none());
            let convolutions = |model: &FloatModel| model.graph.nodes.iter().filter(|n| n.inputs.len() == 1).count();
            assert!(convolutions(&merged) < convolutions(&branched));
            merged.params.check(&merged.graph).unwrap();
            assert_eq!(merged.params.len(), merged.graph.param_specs().len());
            let (before, after) = (outputs(&branched), outputs(&merged));
            for (before, after) in before.iter().zip(&after) {
                // Weights are kept in f32; all else is exact.
                assert!((before - after).abs() < 1e-5 * (1.0 + before.abs()), "{before} against {after}");
            }
            let rows: Vec<_> = after.axis_iter(Axis(0)).collect();
            assert_ne!(rows[0], rows[1]);
        }
    }

    #[test]
    fn zoo_networks_merge_to_their_published_size_and_others_stay_as_they_are() {
        let recipe = NetworkRecipe::zoo("resnet8");
        let plain = model(recipe.clone());
        assert_eq!(merge(&plain).unwrap().params, plain.params);
        let branched = model(NetworkRecipe { reparameterize: true, ..recipe });
        assert!(branched.graph.trainable_len() > 80_000);
        let merged = merge(&branched).unwrap();
        assert_eq!((merged.graph.trainable_len(), &merged.recipe), (plain.graph.trainable_len(), &plain.recipe));
    }
}
