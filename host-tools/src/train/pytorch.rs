//! A recipe as a PyTorch script that needs no Kinglet: for who has a GPU or a cluster.

use kinglet::{Activation, Window};
use serde_json::{Value, json};

use super::{Augment, Recipe, TrainError};
use crate::data::Source;
use crate::graph::{self, Graph, NodeId, Op, Preprocess};

/// The script; its place for the recipe is `@SPEC@`.
const SCRIPT: &str = include_str!("../../scripts/train_torch.py");

/// The script that trains as `recipe` says: network, names, distribution of the first weights, augmentation, schedule and
/// distillation are the same, random numbers are not. Quantization-aware training is left to `kinglet train --qat`.
///
/// # Errors
/// When the network or the teacher is wrong, or the script cannot do what the recipe asks for.
pub fn pytorch(recipe: &Recipe) -> Result<String, TrainError> {
    let Augment { backdrop, blur, skin, clutter, .. } = recipe.augment;
    if [backdrop, blur, skin, clutter].iter().any(|asked| *asked > 0.0) || recipe.patience.is_some() {
        let reason =
            "the PyTorch script knows no backdrop, clutter, skin, blur and patience: set them to 0, or train here";
        return Err(TrainError::Recipe(reason.to_string()));
    }
    let input = recipe.network.input()?;
    // The script knows the classes when it sees the data; only the classifier depends on them.
    let labels = ["0", "1"].map(String::from);
    let graph = recipe.network.build(&labels, &Preprocess::unit(input.c as usize))?;
    let classes = match &recipe.data {
        Source::Images(source) => source.classes.clone(),
        Source::Idx { classes, .. } => classes.clone(),
        Source::Digits | Source::Cifar10 { .. } => Vec::new(),
    };
    let distill = match &recipe.distill {
        None => Value::Null,
        Some(distill) => {
            let teacher = graph::load(&distill.teacher.join("weights.safetensors"))?.graph;
            json!({
                "teacher": distill.teacher, "temperature": distill.temperature, "weight": distill.weight,
                "nodes": nodes(&teacher)?, "preprocess": teacher.preprocess,
            })
        }
    };
    let spec = json!({
        "recipe": toml::to_string(recipe).map_err(|e| TrainError::Recipe(e.to_string()))?,
        "network": recipe.network,
        "input": [input.h, input.w, input.c],
        "nodes": nodes(&graph)?,
        "classes": classes,
        "preprocess": recipe.preprocess,
        "epochs": recipe.epochs,
        "batch": recipe.batch,
        "seed": recipe.seed,
        "label_smoothing": recipe.label_smoothing,
        "class_weights": recipe.class_weights,
        "average": recipe.average,
        "schedule": recipe.schedule,
        "optimizer": recipe.optimizer,
        "augment": recipe.augment,
        "distill": distill,
    });
    Ok(SCRIPT.replace("@SPEC@", &spec.to_string()))
}

/// All nodes but the input, as the script runs them.
fn nodes(graph: &Graph) -> Result<Vec<Value>, TrainError> {
    graph.ids().skip(1).map(|id| node(graph, id)).collect()
}

fn node(graph: &Graph, id: NodeId) -> Result<Value, TrainError> {
    let (node, input) = (graph.node(id), graph.input_shapes(id)[0]);
    let window = |window: &Window, more: Value| {
        let Window { kernel, stride, before, after } = window;
        let pad = [before[1], after[1], before[0], after[0]];
        merged(json!({ "kernel": kernel, "stride": stride, "pad": pad }), more)
    };
    let own = match &node.op {
        Op::Conv2d { window: of, weights } | Op::DepthwiseConv2d { window: of, weights } => {
            window(of, json!({ "inputs_c": input.c, "bias": weights.bias }))
        }
        Op::Dense(weights) => json!({ "inputs_len": input.len(), "bias": weights.bias }),
        Op::BatchNorm(epsilon) => json!({ "epsilon": epsilon }),
        Op::MaxPool(of) | Op::AveragePool(of) => window(of, json!({})),
        Op::Activate(Activation::Relu) | Op::Add | Op::Concat | Op::Mean => json!({}),
        other => {
            let reason = format!("`{}`: no recipe makes a node `{}`", node.name, other.kind());
            return Err(TrainError::Recipe(reason));
        }
    };
    let inputs: Vec<&str> = node.inputs.iter().map(|&input| graph.node(input).name.as_str()).collect();
    let common = json!({ "name": node.name, "op": node.op.kind(), "inputs": inputs, "outputs": node.shape.c });
    Ok(merged(common, own))
}

/// The fields of both.
fn merged(mut first: Value, second: Value) -> Value {
    if let (Value::Object(first), Value::Object(second)) = (&mut first, second) {
        first.extend(second);
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::NetworkRecipe;

    #[test]
    fn every_trainable_network_of_the_zoo_becomes_a_script() {
        for name in crate::graph::zoo::NAMES {
            let network = NetworkRecipe { reparameterize: true, ..NetworkRecipe::zoo(name) };
            let script = pytorch(&Recipe { network, ..Recipe::for_network(name) }).unwrap();
            assert!(!script.contains("@SPEC@") && script.contains(r#""name":"logits""#), "{name}");
        }
        let mut recipe = Recipe::for_network("resnet8");
        recipe.augment.backdrop = 0.5;
        assert!(pytorch(&recipe).unwrap_err().to_string().contains("backdrop"));
    }
}
