//! What the networks of the zoo take of RAM, and that planning them is quick.

use std::time::{Duration, Instant};

use kinglet::Model;
use kinglet_tools::export::{self, Exported, Options};
use kinglet_tools::graph::{NetworkRecipe, Params, Preprocess};
use kinglet_tools::network::Network;
use kinglet_tools::plan::{self, Streaming};
use kinglet_tools::quantize;
use kinglet_tools::simulate::{self, Images};
use ndarray::Array4;

/// A network of the zoo with the weights that training would start with, quantized on noise: its plan is that of the
/// trained one.
fn network(name: &str, width: f32) -> Network {
    let recipe = NetworkRecipe { width: Some(width), ..NetworkRecipe::zoo(name) };
    let input = recipe.input().unwrap();
    let labels: Vec<String> = (0..10).map(|class| class.to_string()).collect();
    let graph = recipe.build(&labels, &Preprocess::unit(input.c as usize)).unwrap();
    let dim = (2, input.h as usize, input.w as usize, input.c as usize);
    let images = Array4::from_shape_fn(dim, |(n, y, x, c)| {
        ((n * 7919 + y * 104_729 + x * 1_299_709 + c * 15_485_863) % 997) as f32 / 997.0
    });
    quantize::quantize(&graph, &Params::init(&graph, 3), [images], &quantize::Options::default()).unwrap()
}

/// Plans and exports; prints what came out, because that is what the figures in the documentation are.
fn planned(network: &Network, streaming: Streaming, ram: Option<u32>) -> (Exported, Duration) {
    let plan = plan::Options { streaming, ram, ..plan::Options::default() };
    let start = Instant::now();
    let exported = export::to_bytes(network, &Options { plan, ..Options::default() }).unwrap();
    let time = start.elapsed();
    let bound = plan::lower_bound(&Model::new(&exported.bytes).unwrap());
    println!(
        "{} {streaming:?}: arena {}, lower bound {} ({bound} from the file), {time:.2?}",
        network.name, exported.plan.arena_len, exported.plan.lower_bound
    );
    assert!(bound <= exported.plan.arena_len);
    (exported, time)
}

/// The same bytes with streaming, without, and with nothing shared.
fn agree(network: &Network, exported: &[&Exported]) {
    let apart = plan::Options { streaming: Streaming::Steps, apart: true, ..plan::Options::default() };
    let apart = export::to_bytes(network, &Options { plan: apart, ..Options::default() }).unwrap();
    let shape = network.input().shape;
    let dim = (2, shape.h as usize, shape.w as usize, shape.c as usize);
    let images = Images::Quantized(Array4::from_shape_fn(dim, |(n, y, x, c)| {
        i16::from((n * 91 + y * 57 + x * 31 + c * 13) as i8)
    }));
    let run = |bytes: &[u8]| simulate::run(Model::new(bytes).unwrap(), &images).unwrap();
    let expected = run(&apart.bytes);
    for exported in exported {
        assert_eq!(run(&exported.bytes), expected);
    }
}

#[test]
fn resnet8_takes_22_kib_streamed_and_34_kib_otherwise() {
    let network = network("resnet8", 1.0);
    let (full, _) = planned(&network, Streaming::Full, None);
    assert!(full.plan.arena_len <= 22 * 1024);
    let (off, _) = planned(&network, Streaming::Off, None);
    assert!(off.plan.arena_len <= 34 * 1024);
    agree(&network, &[&full, &off]);
}

#[test]
fn resnet50_at_an_eighth_takes_24_kib() {
    let network = network("resnet50", 0.125);
    let (full, time) = planned(&network, Streaming::Full, None);
    let (epilogue, _) = planned(&network, Streaming::Off, None);
    assert!(full.plan.arena_len <= 24 * 1024);
    assert!(time < Duration::from_secs(if cfg!(debug_assertions) { 120 } else { 10 }));
    agree(&network, &[&full, &epilogue]);
}

#[test]
fn inception_networks_are_near_their_lower_bound() {
    for name in ["inception-small", "inception-naive", "digits-inception"] {
        let network = network(name, 1.0);
        let (full, _) = planned(&network, Streaming::Full, None);
        let (off, _) = planned(&network, Streaming::Steps, None);
        for exported in [&full, &off] {
            assert!(f64::from(exported.plan.arena_len) <= 1.05 * f64::from(exported.plan.lower_bound));
        }
        agree(&network, &[&full, &off]);
    }
}

#[test]
fn googlenet_is_planned_in_seconds() {
    let network = network("googlenet", 0.25);
    let (full, time) = planned(&network, Streaming::Full, None);
    assert!(time < Duration::from_secs(if cfg!(debug_assertions) { 120 } else { 10 }));
    agree(&network, &[&full]);
}
