use super::*;

fn labels(n: usize) -> Vec<String> {
    (0..n).map(|i| i.to_string()).collect()
}

fn build(recipe: &NetworkRecipe, classes: usize) -> Graph {
    let channels = recipe.input().unwrap().c as usize;
    recipe.build(&labels(classes), &Preprocess::unit(channels)).unwrap()
}

/// Parameters without the classifier, as the papers count them.
fn body(graph: &Graph) -> usize {
    graph.param_specs().iter().filter(|s| s.trainable && !s.name.starts_with("logits")).map(ParamSpec::len).sum()
}

#[test]
fn sizes_are_those_of_the_papers() {
    let resnet8 = build(&NetworkRecipe::zoo("resnet8"), 10);
    assert_eq!((resnet8.trainable_len(), resnet8.macs() / 100_000), (77_850, 125));
    assert_eq!(body(&build(&NetworkRecipe::zoo("resnet50"), 1000)), 23_508_032);
    let full = NetworkRecipe { input: Some([224, 224, 3]), ..NetworkRecipe::zoo("resnet50") };
    assert_eq!(build(&full, 1000).nodes.iter().find(|n| n.name == "pool").unwrap().inputs.len(), 1);
    for name in ["digits-resnet", "digits-inception"] {
        let digits = build(&NetworkRecipe::zoo(name), 10);
        assert!(digits.macs() < 600_000 && digits.trainable_len() < 40_000, "{name}: {}", digits.macs());
    }
    let small = build(&NetworkRecipe::zoo("inception-small"), 10).trainable_len();
    assert!((200_000..300_000).contains(&small), "{small}");
}

#[test]
fn every_network_of_the_zoo_builds_and_plain_twins_have_no_shortcut() {
    for name in zoo::NAMES {
        let graph = build(&NetworkRecipe::zoo(name), 10);
        assert_eq!(graph.node(graph.output()).shape, Shape::vector(10));
        assert_eq!(graph.nodes.iter().any(|n| n.op == Op::Add), name.contains("resnet"), "{name}");
        let eighth = NetworkRecipe { width: Some(0.125), ..NetworkRecipe::zoo(name) };
        assert!(build(&eighth, 10).trainable_len() < graph.trainable_len());
    }
}

#[test]
fn every_resnet_has_a_plain_twin_of_the_same_layers() {
    for name in zoo::NAMES.iter().filter(|name| name.starts_with("resnet")) {
        let layers = |name: &str| {
            let specs = build(&NetworkRecipe::zoo(name), 10).param_specs();
            let kept = specs.into_iter().filter(|spec| !spec.name.contains("_project"));
            kept.map(|spec| (spec.name, spec.dims)).collect::<Vec<_>>()
        };
        assert_eq!(layers(name), layers(&name.replace("resnet", "plain")), "{name}");
    }
}

/// Modules with and without 1x1 convolutions before the larger ones, layers with and without small networks inside: the
/// maps between are the same.
#[test]
fn inception_and_network_in_network_have_twins() {
    for (name, twin, is_larger) in
        [("inception-small", "inception-naive", true), ("network-in-network", "plain-nin", false)]
    {
        let [graph, twin] = [name, twin].map(|name| build(&NetworkRecipe::zoo(name), 10));
        let ends = |graph: &Graph| {
            let is_end = |node: &Node| matches!(node.op, Op::Concat | Op::MaxPool(_) | Op::AveragePool(_));
            graph.nodes.iter().filter(|node| is_end(node)).map(|node| node.shape).collect::<Vec<_>>()
        };
        assert_eq!(ends(&graph), ends(&twin), "{name}");
        assert_eq!(twin.trainable_len() > graph.trainable_len(), is_larger, "{name}");
    }
    let small = |name: &str, width| build(&NetworkRecipe { width: Some(width), ..NetworkRecipe::zoo(name) }, 10);
    for graph in [small("googlenet-small", 0.1875), small("network-in-network", 0.5)] {
        assert!((200_000..250_000).contains(&graph.trainable_len()), "{}", graph.trainable_len());
    }
}

#[test]
fn every_network_takes_images_of_any_size() {
    for name in zoo::NAMES {
        for input in [[28, 28, 1], [33, 47, 3], [96, 128, 3]] {
            let graph = build(&NetworkRecipe { input: Some(input), width: Some(0.5), ..NetworkRecipe::zoo(name) }, 7);
            assert_eq!(graph.node(graph.output()).shape, Shape::vector(7), "{name} {input:?}");
        }
    }
}

#[test]
fn errors_name_the_node_and_the_shapes() {
    let mut net = Builder::new("t", Shape::new(8, 8, 3)).unwrap();
    let a = net.conv2d("a", net.input(), 4, [3, 3], [2, 2], Padding::Same, false).unwrap();
    let add = net.add("sum", a, net.input()).unwrap_err().to_string();
    assert!(add.contains("`sum`") && add.contains("4x4x4") && add.contains("8x8x3"), "{add}");
    let pool = net.max_pool("pool", a, [5, 5], [1, 1], Padding::Valid).unwrap_err().to_string();
    assert!(pool.contains("`pool`") && pool.contains("4x4x4"), "{pool}");
    let again = net.relu("a", a).unwrap_err().to_string();
    assert!(again.contains("`a`"), "{again}");
    let zoo = NetworkRecipe::zoo("resnet9").build(&labels(2), &Preprocess::unit(3)).unwrap_err().to_string();
    assert!(zoo.contains("resnet9") && zoo.contains("resnet8"), "{zoo}");
}

#[test]
fn weights_come_back_with_their_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/weights.safetensors");
    let recipe = NetworkRecipe { width: Some(0.5), ..NetworkRecipe::zoo("digits-inception") };
    let graph = build(&recipe, 10);
    let params = Params::init(&graph, 7);
    assert_ne!(params, Params::init(&graph, 8));
    let model = FloatModel { recipe, graph, params };
    save(&path, &model).unwrap();
    let back = load(&path).unwrap();
    assert_eq!((back.graph, back.params), (model.graph, model.params));

    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 5);
    std::fs::write(&path, bytes).unwrap();
    assert!(load(&path).unwrap_err().to_string().contains("weights.safetensors"));
}
