//! Plans of random networks: never an overlap, never worse than greedy by size, and the same bytes come out as when
//! every tensor has memory of its own.

#[path = "../halved/mod.rs"]
mod halved;
mod random;
mod searches;

use std::collections::HashMap;

use kinglet::kernels::algorithms::Core;
use kinglet::kernels::{Active, Backend};
use kinglet::memory::{Memory, Region};
use kinglet::ops::{Io, Operands};
use kinglet::{DType, Dynamic, Model, Observer, Place, Raw, Session, Shape, StepEvent, Tensor};
use kinglet_tools::export::{self, Exported};
use kinglet_tools::graph::Op;
use kinglet_tools::lower::{Program, lower};
use kinglet_tools::network::Network;
use kinglet_tools::plan::{Options, Plan, Streaming};
use proptest::prelude::*;

fn exported(network: &Network, streaming: Streaming) -> Exported {
    let plan = Options { streaming, ..Options::default() };
    export::to_bytes(network, &export::Options { plan, ..Default::default() })
        .expect("a model that the runtime accepts")
}

/// The bytes of an input.
fn input(network: &Network, id: usize) -> Vec<i8> {
    let input = &network.tensors[id];
    let byte = |i: u32| ((i + 3 * id as u32).wrapping_mul(2_654_435_761) >> 24) as u8;
    let mut bytes: Vec<u8> = (0..input.shape.len() * input.dtype.size()).map(byte).collect();
    if input.dtype == DType::F16 {
        halved::tame(&mut bytes);
    }
    bytes.into_iter().map(|byte| byte as i8).collect()
}

/// The bytes of every tensor of the network in its first inferences, each node run by itself in memory of its own.
fn apart(network: &Network) -> Vec<HashMap<usize, Vec<i8>>> {
    let zeros = |id: usize| {
        let info = &network.tensors[id];
        vec![info.quant.zero_point as i8; (info.shape.len() * info.dtype.size()) as usize]
    };
    let mut states: Vec<Vec<i8>> = network.states.iter().map(|state| zeros(state.tensor)).collect();
    let inference = |_| {
        let inputs = network.inputs.iter().map(|&id| (id, input(network, id)));
        let kept = network.states.iter().map(|state| state.tensor).zip(states.drain(..));
        let values = inference_apart(network, inputs.chain(kept).collect());
        states = network.states.iter().map(|state| values[&state.next].clone()).collect();
        values
    };
    (0..1 + 2 * network.states.len()).map(inference).collect()
}

fn inference_apart(network: &Network, mut values: HashMap<usize, Vec<i8>>) -> HashMap<usize, Vec<i8>> {
    let nodes = lower(network, Core::default()).unwrap();
    let program = Program::new(network, &nodes);
    for node in &network.nodes {
        let value = if node.op == Op::Concat {
            let pixels = network.tensors[node.output].shape.h * network.tensors[node.output].shape.w;
            let size = network.tensors[node.output].dtype.size() as usize;
            let part = |&id: &usize| (values[&id].clone(), network.tensors[id].shape.c as usize * size);
            let parts: Vec<(Vec<i8>, usize)> = node.inputs.iter().map(part).collect();
            let pixel = |at: usize| parts.iter().flat_map(move |(all, c)| all[at * c..(at + 1) * c].to_vec());
            (0..pixels as usize).flat_map(pixel).collect()
        } else {
            let step = program.steps.iter().find(|step| step.name == node.name).unwrap();
            let mut aligned = vec![0u128; 4096];
            let mut arena: Vec<u8> = Vec::new();
            let mut place = |id: usize| {
                let info = &network.tensors[id];
                let offset = arena.len().next_multiple_of(16) as u32;
                arena.resize(offset as usize, 0x5A);
                match values.get(&id) {
                    Some(values) => arena.extend(values.iter().map(|&x| x as u8)),
                    None => arena.resize((offset + info.shape.len() * info.dtype.size()) as usize, 0x5A),
                }
                let place = Place { offset, pitch: info.shape.c * info.dtype.size(), rows: info.shape.h };
                let (shape, dtype, quant) = (info.shape, info.dtype, info.quant);
                Tensor { shape, dtype, quant, place, first: 0, ready: 0, last: 0, parent: None }
            };
            let (a, b, output) = (place(node.inputs[0]), node.inputs.get(1).map(|&b| place(b)), place(node.output));
            let tensors = Operands { a, b, output };
            let scratch =
                Region { offset: arena.len().next_multiple_of(16) as u32, len: step.op.scratch_len(&tensors) };
            arena.resize(scratch.end() as usize, 0x5A);
            let memory: &mut [u8] = &mut bytemuck::cast_slice_mut(&mut aligned)[..arena.len()];
            memory.copy_from_slice(&arena);
            let mut memory = Memory::new(memory);
            step.op.run::<Active>(&mut Io { memory: &mut memory, tensors, scratch }, 0..output.shape.h);
            memory.read(output.region()).to_vec()
        };
        values.insert(node.output, value);
    }
    values
}

/// Collects every step's output, by name.
#[derive(Default)]
struct Outputs(HashMap<String, Vec<i8>>);

impl Observer for Outputs {
    fn end(&mut self, event: &StepEvent<'_>) {
        let rows = self.0.entry(event.name().to_string()).or_default();
        event.pixels().for_each(|pixel| rows.extend_from_slice(bytemuck::cast_slice(pixel)));
    }
}

/// Runs a model as often as `expected` has inferences, and says which node or output, if any, gave other bytes.
fn first_difference<B: Backend>(
    network: &Network,
    bytes: &[u8],
    expected: &[HashMap<usize, Vec<i8>>],
) -> Option<String> {
    let model = Model::new(bytes).unwrap();
    let mut memory = vec![0x5Au8; model.arena_len() + 16];
    let start = memory.as_ptr().align_offset(16);
    let mut session = Session::<Dynamic, B>::open_on(model, &mut memory[start..]).unwrap();
    let input: Vec<i8> = network.inputs.iter().flat_map(|&id| input(network, id)).collect();
    expected.iter().find_map(|expected| {
        let mut outputs = Outputs::default();
        let inference = session.start(Raw(bytemuck::cast_slice(&input))).unwrap();
        let output = inference.observe(&mut outputs).finish().unwrap();
        let differs = |node: &&kinglet_tools::network::Node| {
            let found = outputs.0.get(&node.name);
            node.op != Op::Concat && found != Some(&expected[&node.output])
        };
        let different = network.nodes.iter().find(differs).map(|node| node.name.clone());
        let mut ends = output.all().zip(&network.outputs);
        let end = ends.find(|(output, id)| output.bytes() != bytemuck::cast_slice::<i8, u8>(&expected[*id]));
        different.or_else(|| end.map(|(_, id)| format!("output {id}")))
    })
}

/// An element of a tensor, by where it was computed: concatenations and reshapes only carry elements.
type Origin = (usize, u32);

/// Follows every element through the arena of a plan without chains: each byte remembers what was last written
/// there, and every step must find what it needs. Knows nothing of lifetimes, views or overlap rules.
struct Shadow<'n> {
    network: &'n Network,
    bytes: Vec<Option<Origin>>,
}

impl Shadow<'_> {
    fn origin(&self, tensor: usize, element: u32) -> Origin {
        let Some(node) = self.network.nodes.iter().find(|node| node.output == tensor) else { return (tensor, element) };
        match node.op {
            Op::Reshape(_) => self.origin(node.inputs[0], element),
            Op::Concat => {
                let c = self.network.tensors[tensor].shape.c;
                let (pixel, mut channel) = (element / c, element % c);
                for &part in &node.inputs {
                    let width = self.network.tensors[part].shape.c;
                    if channel < width {
                        return self.origin(part, pixel * width + channel);
                    }
                    channel -= width;
                }
                unreachable!("a channel of some part")
            }
            _ => (tensor, element),
        }
    }

    /// The bytes of an element.
    fn bytes(placed: &Tensor, element: u32) -> std::ops::Range<usize> {
        let (pixel, channel) = (element / placed.shape.c, element % placed.shape.c);
        let size = placed.dtype.size();
        let start = placed.place.offset + pixel * placed.place.pitch + channel * size;
        start as usize..(start + size) as usize
    }

    fn write(&mut self, tensor: usize, placed: &Tensor) {
        for element in 0..placed.shape.len() {
            let origin = self.origin(tensor, element);
            self.bytes[Self::bytes(placed, element)].fill(Some(origin));
        }
    }

    fn holds(&self, tensor: usize, placed: &Tensor) -> bool {
        (0..placed.shape.len()).all(|element| {
            let origin = self.origin(tensor, element);
            self.bytes[Self::bytes(placed, element)].iter().all(|&found| found == Some(origin))
        })
    }

    /// Whether every step of `plan`, and then the caller, finds its inputs.
    fn accepts(network: &Network, plan: &Plan, program: &Program<'_>) -> bool {
        let mut shadow = Shadow { network, bytes: vec![None; plan.arena_len as usize] };
        let placed = |index: usize| &plan.tensors[index];
        network.given().for_each(|id| shadow.write(id, placed(plan.index[id])));
        for step in &plan.steps {
            let name = program.steps[step.step].name;
            let node = network.nodes.iter().find(|node| node.name == name).unwrap();
            let [Some(a), b] = step.inputs else { return false };
            let (inputs, output): (Vec<usize>, usize) = if node.op == Op::Concat {
                let shape = placed(a).shape;
                let part = node
                    .inputs
                    .iter()
                    .find(|&&part| network.tensors[part].shape.same(shape) && shadow.holds(part, placed(a)));
                match part {
                    Some(&part) => (vec![part], part),
                    None => return false,
                }
            } else {
                (node.inputs.clone(), node.output)
            };
            for byte in step.scratch.offset..step.scratch.end() {
                shadow.bytes[byte as usize] = None;
            }
            let operands = [Some(a), b];
            if !inputs.iter().zip(operands.into_iter().flatten()).all(|(&id, at)| shadow.holds(id, placed(at))) {
                return false;
            }
            shadow.write(output, placed(step.output));
        }
        network.kept().all(|id| shadow.holds(id, placed(plan.index[id])))
    }
}

/// Bytes that the tensors and scratch of a plan take when the largest is placed first, at the lowest free offset.
fn greedy_by_size(plan: &Plan) -> u32 {
    let tensors = plan.tensors.iter().filter(|t| t.parent.is_none()).map(|t| (t.span(), t.first, t.last));
    let scratch = plan.steps.iter().filter(|s| s.scratch.len > 0).map(|s| (s.scratch.len, s.time_slot, s.time_slot));
    let mut buffers: Vec<(u32, u32, u32)> = tensors.chain(scratch).collect();
    buffers.sort_by_key(|&(size, first, last)| std::cmp::Reverse((size, last - first)));
    let mut placed: Vec<(u32, u32, u32, u32)> = Vec::new();
    for (size, first, last) in buffers {
        let clashes = |at: u32| {
            let clash = |&&(start, len, f, l): &&(u32, u32, u32, u32)| {
                first <= l && f <= last && at < start + len && start < at + size
            };
            placed.iter().find(clash).map(|&(start, len, ..)| (start + len).next_multiple_of(16))
        };
        let mut at = 0;
        while let Some(next) = clashes(at) {
            at = next;
        }
        placed.push((at, size, first, last));
    }
    placed.iter().map(|&(at, size, ..)| at + size).max().unwrap_or(0)
}

/// With every kind of sharing, the same bytes come out as without any.
fn sharing_changes_nothing(name: &str, network: &Network) {
    network.validate().unwrap();
    let expected = apart(network);
    for streaming in [Streaming::Steps, Streaming::Off, Streaming::Full] {
        let bytes = exported(network, streaming).bytes;
        assert_eq!(first_difference::<Active>(network, &bytes, &expected), None, "{name}, {streaming:?}");
    }
}

/// A network with two heads gives what the two networks with one head give.
#[test]
fn two_heads_equal_two_networks() {
    let mut net = random::Build::new(Shape::new(8, 8, 4));
    let trunk = net.conv(0, 3, 6);
    let head = net.conv_by(trunk, 3, 5, 2);
    let other = net.pool(trunk);
    let both = Network { outputs: vec![other, head], ..net.network() };
    sharing_changes_nothing("two heads", &both);
    let run = |network: &Network| {
        let bytes = exported(network, Streaming::Full).bytes;
        let model = Model::new(&bytes).unwrap();
        let mut arena = vec![0u128; model.arena_len().div_ceil(16)];
        let mut session = Session::open(model, bytemuck::cast_slice_mut(&mut arena)).unwrap();
        let output = session.infer(&input(network, 0)[..]).unwrap();
        output.all().map(|output| output.bytes().to_vec()).collect::<Vec<_>>()
    };
    let one = |head: usize| {
        let mut network = Network { outputs: vec![head], ..both.clone() };
        // The other head is not there.
        network.nodes.retain(|node| node.output == head || node.output == trunk);
        for node in &mut network.nodes {
            node.output = if node.output == head { 2 } else { 1 };
        }
        network.tensors = vec![both.tensors[0].clone(), both.tensors[trunk].clone(), both.tensors[head].clone()];
        network.outputs = vec![2];
        run(&network).remove(0)
    };
    assert_eq!(run(&both), [one(other), one(head)]);
}

#[test]
fn a_pool_in_place_spares_an_input_that_others_read() {
    // The sum reads what the pool reads, after it; the pool's output has the same shape and would fit over its input.
    let mut net = random::Build::new(Shape::new(8, 8, 4));
    let shared = net.conv(0, 3, 4);
    let pool = net.pool(shared);
    let sum = net.add(shared, pool);
    let far = net.conv(sum, 1, 4);
    net.add(shared, far);
    sharing_changes_nothing("pool", &net.network());
}

#[test]
fn concatenations_nest_and_have_several_readers() {
    let mut net = random::Build::new(Shape::new(9, 7, 3));
    let (a, b) = (net.conv(0, 3, 5), net.conv(0, 1, 2));
    let inner = net.concat(&[a, b]);
    let c = net.pool(0);
    let outer = net.concat(&[inner, c, inner]);
    let (left, right) = (net.conv(outer, 3, 7), net.conv(inner, 1, 7));
    let sum = net.add(left, right);
    let pool = net.pool(outer);
    net.concat(&[pool, sum, outer]);
    sharing_changes_nothing("concatenations", &net.network());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn shared_memory_changes_no_byte(seeds in random::seeds()) {
        let network = seeds.network();
        network.validate().unwrap();
        let expected = apart(&network);
        for streaming in [Streaming::Steps, Streaming::Off, Streaming::Full] {
            let Exported { bytes, plan, .. } = exported(&network, streaming);
            prop_assert_eq!(first_difference::<Active>(&network, &bytes, &expected), None, "{:?}", streaming);
            prop_assert!(plan.arena_len >= plan.lower_bound);
            if streaming == Streaming::Steps {
                let nodes = lower(&network, Core::default()).unwrap();
                prop_assert!(Shadow::accepts(&network, &plan, &Program::new(&network, &nodes)));
                prop_assert!(plan.arena_len <= greedy_by_size(&plan));
            }
        }
    }
}
