//! The planner's and the exporter's searches end, and soon.

use std::time::{Duration, Instant};

use kinglet::kernels::algorithms::Core;
use kinglet::{Padding, Shape, Window};
use kinglet_tools::export::{self, ExportError, Exported};
use kinglet_tools::graph::Op;
use kinglet_tools::network::Network;
use kinglet_tools::plan::{self, Streaming};
use proptest::prelude::*;

use crate::halved::halved;
use crate::random::{self, Build};

/// DenseNet-121 by its shapes: 58 layers that each read all before them in their block, as frameworks export it.
fn densenet121(size: u32) -> Network {
    let mut net = Build::new(Shape::new(size, size, 3));
    let stem = net.conv_by(0, 7, 64, 2);
    let mut x = net.pool_by(stem, 2);
    for (block, layers) in [6, 12, 24, 16].into_iter().enumerate() {
        if block > 0 {
            let norm = net.depthwise(x, 1);
            let half = net.shape(x).c / 2;
            let transition = net.conv(norm, 1, half);
            x = net.pool_by(transition, 2);
        }
        let mut features = vec![x];
        for _ in 0..layers {
            let all = if features.len() > 1 { net.concat(&features) } else { x };
            let norm = net.depthwise(all, 1);
            let narrow = net.conv(norm, 1, 128);
            features.push(net.conv(narrow, 3, 32));
        }
        x = net.concat(&features);
    }
    net.depthwise(x, 1);
    net.network()
}

#[test]
fn densenet_is_planned_in_seconds() {
    let network = densenet121(64);
    // Bytes of arena that were found by a search without shortcuts; the tests are built with few optimizations.
    for (network, most) in [(halved(network.clone()), 262_656), (network, 131_072)] {
        let start = Instant::now();
        let exported = export::to_bytes(&network, &export::Options::default()).unwrap();
        println!("{} bytes of arena in {:.1?}", exported.plan.arena_len, start.elapsed());
        assert!(exported.plan.arena_len <= most);
        assert!(start.elapsed() < Duration::from_secs(if cfg!(debug_assertions) { 120 } else { 3 }));
    }
}

/// More algorithms than a convolution has, at the sizes of these tests.
const ALGORITHMS: usize = 20;

/// The exporter may plan once for every algorithm that it gives up, and for none of them twice; without a budget before
/// and, where none fits, after.
fn most_rounds(network: &Network) -> usize {
    let convolutions = network.nodes.iter().filter(|node| matches!(node.op, Op::Conv2d { .. }));
    2 + 2 * ALGORITHMS * convolutions.count()
}

/// Exports for every kind of core; the most bytes of arena that it took.
fn export_for_all(network: &Network, streaming: Streaming, ram: Option<u32>) -> Option<u32> {
    let plan = plan::Options { streaming, ram, ..plan::Options::default() };
    let taken = [Core::M0, Core::M3, Core::M4, Core::M55].map(|core| {
        match export::to_bytes(network, &export::Options { plan, core, ..export::Options::default() }) {
            Ok(Exported { plan, rounds, .. }) => {
                assert!(rounds <= most_rounds(network), "{rounds} rounds for {} nodes", network.nodes.len());
                assert!(ram.is_none_or(|ram| plan.arena_len <= ram));
                Some(plan.arena_len)
            }
            Err(ExportError::Ram { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    });
    taken.into_iter().flatten().max()
}

#[test]
fn a_plan_that_packs_above_its_lower_bound_ends() {
    let mut net = Build::new(Shape::new(96, 96, 1));
    let valid = |stride| Window::new([3, 3], [stride; 2], Padding::Valid, [0, 0]);
    let first = net.conv_by(0, 3, 24, 2);
    let pool = net.pool_by(first, 2);
    let second = net.conv_over(pool, valid(2), 16);
    net.conv_over(second, valid(1), 24);
    let network = net.network();
    let whole = export_for_all(&network, Streaming::Full, None).unwrap();
    for ram in (0..30).map(|step| whole * (step + 5) / 20) {
        export_for_all(&network, Streaming::Full, Some(ram));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_export_ends(seeds in random::seeds()) {
        let network = seeds.network();
        for streaming in [Streaming::Steps, Streaming::Off, Streaming::Full] {
            let whole = export_for_all(&network, streaming, None).unwrap();
            for budget in [whole / 2, whole - 1, whole, whole + whole / 8, 2 * whole] {
                let taken = export_for_all(&network, streaming, Some(budget));
                prop_assert!(budget < whole || taken.is_some());
            }
        }
    }
}
