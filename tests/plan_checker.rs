//! A model checker of memory plans: small plans, enumerated exhaustively, are executed with a shadow memory that knows which
//! element of which tensor each byte holds, and run; what the verifier says is compared with what happens, both ways.

use std::collections::HashSet;

use kinglet::format::About;
use kinglet::format::layout::{Section, header, tensor as record};
use kinglet::memory::Region;
use kinglet::ops::{Add, Concat, MaxPool2d, Op};
use kinglet::write::{ModelSpec, PortSpec, StepSpec};
use kinglet::{Clamp, DType, Fault, Model, Padding, Place, QuantParams, Raw, Rounding, Session, Shape, Tensor, Window};

mod common;

const ROWS: u32 = 3;
/// Tensors lie below, scratch from here on.
const SCRATCH: u32 = 32;
const QUANT: QuantParams = QuantParams { scale: 0.1, zero_point: 0 };

/// What a step computes, of operands of one shape: element over element, or the maximum of three rows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Copy,
    Max,
    Sum,
}

/// A step of a network: operands and output by number.
#[derive(Clone, Debug)]
struct Node {
    kind: Kind,
    inputs: Vec<usize>,
    output: usize,
}

/// A network before it is planned: tensor 0 is the input, the last one the output.
#[derive(Clone, Debug)]
struct Network {
    /// The parent tensor of each tensor and its channel there.
    parent: Vec<Option<(usize, u32)>>,
    nodes: Vec<Node>,
}

/// A planned network.
#[derive(Clone, Debug)]
struct Plan {
    network: Network,
    time_slots: Vec<u32>,
    tensors: Vec<Tensor>,
}

fn node(kind: Kind, inputs: &[usize], output: usize) -> Node {
    Node { kind, inputs: inputs.to_vec(), output }
}

/// Every network of a few steps that has what plans can get wrong: lines, residuals, parent tensors whose parts are read.
fn networks() -> Vec<Network> {
    let unary = [Kind::Copy, Kind::Max];
    let mut all = Vec::new();
    for first in unary {
        for second in unary {
            let line = vec![node(first, &[0], 1), node(second, &[1], 2)];
            let residual = vec![node(first, &[0], 1), node(Kind::Sum, &[0, 1], 2), node(second, &[2], 3)];
            let late = vec![node(first, &[0], 1), node(second, &[1], 2), node(Kind::Sum, &[2, 0], 3)];
            all.extend([line, residual, late].map(|nodes| Network { parent: vec![None; nodes.len() + 1], nodes }));
            // Parts 1 and 2 of parent tensor 3: side by side, one made of the other, one made of a copy of the other.
            let parent = || vec![None, Some((3, 0)), Some((3, 1)), None, None];
            let sides = vec![node(first, &[0], 1), node(second, &[0], 2), node(Kind::Copy, &[3], 4)];
            let sibling = vec![node(first, &[0], 1), node(second, &[1], 2), node(Kind::Copy, &[3], 4)];
            all.extend([sides, sibling].map(|nodes| Network { parent: parent(), nodes }));
            let parent = vec![None, Some((3, 0)), Some((3, 1)), None, None, None];
            let across =
                vec![node(first, &[0], 1), node(Kind::Copy, &[1], 4), node(second, &[4], 2), node(Kind::Max, &[1], 5)];
            all.push(Network { parent, nodes: across });
        }
    }
    all
}

impl Network {
    fn root(&self, tensor: usize) -> (usize, u32) {
        self.parent[tensor].unwrap_or((tensor, 0))
    }

    fn parts(&self, parent: usize) -> Vec<usize> {
        (0..self.parent.len()).filter(|&part| self.parent[part].is_some_and(|(of, _)| of == parent)).collect()
    }

    /// Channels of a tensor, and of the one that it lies in.
    fn channels(&self, tensor: usize) -> [u32; 2] {
        let parent = |tensor: usize| self.parts(tensor).len().max(1) as u32;
        let own = match self.nodes.iter().find(|node| node.output == tensor) {
            Some(node) => parent(node.inputs[0]),
            None => parent(tensor),
        };
        [own, if self.parent[tensor].is_some() { parent(self.root(tensor).0) } else { own }]
    }

    /// The tensors with the lives that follow from the steps' time slots, all at offset 0.
    fn tensors(&self, time_slots: &[u32], rows: &[u32]) -> Vec<Tensor> {
        let end = time_slots.last().unwrap() + 1;
        let count = self.parent.len();
        let mut lives = vec![[0; 3]; count];
        for (node, &time_slot) in self.nodes.iter().zip(time_slots) {
            lives[node.output] = [time_slot; 3];
        }
        for (node, &time_slot) in self.nodes.iter().zip(time_slots) {
            node.inputs.iter().for_each(|&input| lives[input][2] = lives[input][2].max(time_slot));
        }
        lives[count - 1][2] = end;
        for parent in 0..count {
            let parts = self.parts(parent);
            if let (Some(first), Some(ready)) =
                (parts.iter().map(|&p| lives[p][0]).min(), parts.iter().map(|&p| lives[p][1]).max())
            {
                let last = parts.iter().map(|&p| lives[p][2]).max().unwrap().max(lives[parent][2]).max(ready);
                lives[parent] = [first, ready, last];
                parts.iter().for_each(|&part| lives[part][2] = last);
            }
        }
        let tensor = |index: usize| {
            let [own, of_root] = self.channels(index);
            let [first, ready, last] = lives[index];
            Tensor {
                shape: Shape::new(ROWS, 1, own),
                dtype: DType::I8,
                quant: QUANT,
                place: Place { offset: 0, pitch: of_root, rows: rows[index] },
                first,
                ready,
                last,
                parent: self.parent[index].map(|(parent, _)| parent as u32),
            }
        };
        (0..count).map(tensor).collect()
    }

    /// Every way to cut the steps into chains, with every number of rows that a chain may keep of what it makes and reads.
    fn plans(&self) -> Vec<Plan> {
        let mut plans = Vec::new();
        for cuts in 0..1u32 << (self.nodes.len() - 1) {
            let mut time_slots = vec![1];
            (1..self.nodes.len()).for_each(|i| time_slots.push(time_slots[i - 1] + (cuts >> (i - 1) & 1)));
            let whole = self.tensors(&time_slots, &vec![ROWS; self.parent.len()]);
            let streamed: Vec<usize> = (0..whole.len())
                .filter(|&t| whole[t].first == whole[t].last && whole[t].parent.is_none() && self.parts(t).is_empty())
                .collect();
            for choice in 0..ROWS.pow(streamed.len() as u32) {
                let mut rows = vec![ROWS; whole.len()];
                let mut rest = choice;
                for &tensor in &streamed {
                    rows[tensor] = 1 + rest % ROWS;
                    rest /= ROWS;
                }
                let tensors = self.tensors(&time_slots, &rows);
                plans.push(Plan { network: self.clone(), time_slots: time_slots.clone(), tensors });
            }
        }
        plans
    }
}

impl Kind {
    fn op(self) -> Op<'static> {
        let clamp = Clamp { min: -128, max: 127 };
        match self {
            Kind::Copy => Op::Concat(Concat),
            Kind::Max => {
                Op::MaxPool2d(MaxPool2d { window: Window::new([3, 1], [1, 1], Padding::Same, [ROWS, 1]), clamp })
            }
            Kind::Sum => Op::Add(Add::new(QUANT, QUANT, QUANT, DType::I8, Rounding::Double, clamp).unwrap()),
        }
    }

    fn in_place(self) -> bool {
        self != Kind::Max
    }

    /// The input rows of output row `y`.
    fn rows(self, y: u32) -> std::ops::Range<u32> {
        if self == Kind::Max { y.saturating_sub(1)..(y + 2).min(ROWS) } else { y..y + 1 }
    }
}

/// What a byte holds: a row and a channel of a tensor that is no part.
type Element = (usize, u32, u32);

impl Plan {
    fn bytes(&self) -> Vec<u8> {
        let step = |(node, &time_slot): (&Node, &u32)| StepSpec {
            name: "",
            op: node.kind.op(),
            a: node.inputs[0] as u32,
            b: node.inputs.get(1).map(|&b| b as u32),
            output: node.output as u32,
            time_slot,
            scratch: Region { offset: SCRATCH, len: if node.kind == Kind::Max { 64 } else { 0 } },
        };
        let steps: Vec<_> = self.network.nodes.iter().zip(&self.time_slots).map(step).collect();
        ModelSpec {
            name: "",
            arena_len: SCRATCH + 64,
            fast_len: 0,
            inputs: &[PortSpec::input(0)],
            outputs: &[PortSpec::output(self.tensors.len() as u32 - 1)],
            states: &[],
            about: About::UNKNOWN,
            tensors: &self.tensors,
            steps: &steps,
            labels: &[],
            pixels: None,
        }
        .to_bytes()
    }

    /// Puts each tensor where `offsets` has the one that it lies in.
    fn place(&mut self, offsets: &[u32], bytes: &mut [u8]) {
        let at = u32_at(bytes, (header::SECTIONS + 8 * Section::Tensors as u32) as usize) as usize;
        for index in 0..self.tensors.len() {
            let (root, channel) = self.network.root(index);
            self.tensors[index].place.offset = offsets[root] + channel;
            let word = at + index * record::SIZE as usize + record::OFFSET as usize;
            bytes[word..word + 4].copy_from_slice(&self.tensors[index].place.offset.to_le_bytes());
        }
        common::seal(bytes);
    }

    /// The byte and the name of an element.
    fn element(&self, tensor: usize, y: u32, c: u32) -> (u32, Element) {
        let t = &self.tensors[tensor];
        let (root, channel) = self.network.root(tensor);
        (t.place.offset + y % t.place.rows * t.place.pitch + c, (root, y, channel + c))
    }

    /// Whether two tensors share bytes as wholes, holes included.
    fn clash(&self, a: usize, b: usize) -> bool {
        self.tensors[a].region().overlaps(self.tensors[b].region())
    }

    /// Executes the plan on a shadow memory: whether a step reads what is not there, or a call reads and writes a byte, or the steps
    /// of a chain wait for each other.
    fn is_harmful(&self) -> bool {
        let mut memory: Vec<Option<Element>> = vec![None; SCRATCH as usize];
        (0..ROWS).for_each(|y| {
            let (byte, element) = self.element(0, y, 0);
            memory[byte as usize] = Some(element);
        });
        let mut first = 0;
        while first < self.time_slots.len() {
            let chain: Vec<usize> =
                (first..self.time_slots.len()).filter(|&i| self.time_slots[i] == self.time_slots[first]).collect();
            first += chain.len();
            let mut done = vec![0; chain.len()];
            while done.iter().any(|&rows| rows < ROWS) {
                let Some(next) = (0..chain.len()).rev().find(|&link| self.may_run(&chain, &done, link)) else {
                    return true;
                };
                let node = &self.network.nodes[chain[next]];
                // A step by itself runs as a whole, unless its output pushes an input's rows out of the way.
                let over = |&input: &usize| {
                    self.clash(input, node.output) && self.tensors[input].place != self.tensors[node.output].place
                };
                let end = if chain.len() > 1 || node.inputs.iter().any(over) { done[next] + 1 } else { ROWS };
                if !self.call(node, done[next]..end, &mut memory) {
                    return true;
                }
                done[next] = end;
            }
        }
        let output = self.tensors.len() - 1;
        let [channels, _] = self.network.channels(output);
        !(0..ROWS).flat_map(|y| (0..channels).map(move |c| (y, c))).all(|(y, c)| {
            let (byte, element) = self.element(output, y, c);
            memory[byte as usize] == Some(element)
        })
    }

    /// Whether the next row's inputs are there and nobody in the chain needs what it pushes out.
    fn may_run(&self, chain: &[usize], done: &[u32], link: usize) -> bool {
        let node = &self.network.nodes[chain[link]];
        let y = done[link];
        let made_by = |tensor: usize| chain.iter().position(|&step| self.network.nodes[step].output == tensor);
        let there = |&input: &usize| made_by(input).is_none_or(|by| node.kind.rows(y).end <= done[by]);
        let lost = (y + 1).saturating_sub(self.tensors[node.output].place.rows);
        let needed = |(other, &step): (usize, &usize)| {
            let reader = &self.network.nodes[step];
            reader.inputs.contains(&node.output) && done[other] < ROWS && reader.kind.rows(done[other]).start < lost
        };
        y < ROWS && node.inputs.iter().all(there) && !(lost > 0 && chain.iter().enumerate().any(needed))
    }

    /// Computes some rows; whether all that they are made of is there, and is not written by the same call.
    fn call(&self, node: &Node, rows: std::ops::Range<u32>, memory: &mut [Option<Element>]) -> bool {
        let [channels, _] = self.network.channels(node.output);
        let written: Vec<_> = rows
            .clone()
            .flat_map(|y| (0..channels).map(move |c| (y, c)))
            .map(|(y, c)| ((y, c), self.element(node.output, y, c)))
            .collect();
        let targets: HashSet<u32> = written.iter().map(|&(_, (byte, _))| byte).collect();
        for &((y, c), (target, _)) in &written {
            for &input in &node.inputs {
                let in_place = node.kind.in_place() && self.tensors[input].place == self.tensors[node.output].place;
                for row in node.kind.rows(y) {
                    let (byte, element) = self.element(input, row, c);
                    let own = in_place && byte == target;
                    if memory[byte as usize] != Some(element) || (targets.contains(&byte) && !own) {
                        return false;
                    }
                }
            }
        }
        written.iter().for_each(|&(_, (byte, element))| memory[byte as usize] = Some(element));
        true
    }

    /// Whether no planner would lay tensors so: two that live at one time slot share bytes and neither dies where a step writes the
    /// other, or a step reads what lies between the bytes that it writes, or between those of what it writes over.
    fn is_beyond_the_rules(&self) -> bool {
        let network = &self.network;
        let roots: Vec<usize> = (0..self.tensors.len()).filter(|&t| network.parent[t].is_none()).collect();
        let written = |tensor: usize| network.nodes.iter().any(|node| node.output == tensor);
        let over = |under: usize, over: usize| {
            let (under_, over_) = (&self.tensors[under], &self.tensors[over]);
            written(over) && network.parts(under).is_empty() && under_.last == over_.first && under_.ready < over_.first
        };
        let pair = |a: usize, b: usize| {
            let (x, y) = (&self.tensors[a], &self.tensors[b]);
            x.first <= y.last && y.first <= x.last && self.clash(a, b) && !over(a, b) && !over(b, a)
        };
        roots.iter().any(|&a| roots.iter().any(|&b| b < a && pair(a, b)))
            || network
                .nodes
                .iter()
                .any(|node| node.inputs.iter().any(|&i| network.root(i).0 == network.root(node.output).0))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The output of two inferences, of an arena full of `fill`.
fn run(bytes: &[u8], fill: u8) -> Vec<u8> {
    let mut file = Vec::new();
    let model = Model::new(common::aligned(bytes, &mut file)).unwrap();
    let mut memory = Vec::new();
    let arena = common::arena(&mut memory, model.arena_len());
    arena.fill(fill);
    let mut session = Session::open(model, arena).unwrap();
    let mut outputs = (0..2).map(|_| session.infer(Raw(&[31, 7, 90])).unwrap().bytes().to_vec());
    let once = outputs.next().unwrap();
    assert_eq!(outputs.next().unwrap(), once, "the second inference");
    once
}

#[test]
fn the_verifier_refuses_what_does_harm_and_nothing_else() {
    let (mut accepted, mut harmful, mut beyond) = (0, 0, 0);
    for network in networks().into_iter().step_by(if cfg!(miri) { 7 } else { 1 }) {
        for mut plan in network.plans().into_iter().step_by(if cfg!(miri) { 9 } else { 1 }) {
            let count = plan.tensors.len();
            let roots: Vec<usize> = (1..count).filter(|&t| network.parent[t].is_none()).collect();
            let mut bytes = plan.bytes();
            // Where nothing shares a byte.
            let mut offsets = vec![4; count];
            roots.iter().enumerate().for_each(|(i, &root)| offsets[root] = 8 + 6 * i as u32);
            plan.place(&offsets, &mut bytes);
            assert!(!plan.is_harmful() || Model::new(&bytes).is_err(), "{plan:?}");
            let expected = Model::new(&bytes).is_ok().then(|| run(&bytes, 0));
            // Tensors are tried from before the input, at byte 4, to after it; the more there are the coarser.
            let places: Vec<u32> = if roots.len() < 3 { (0..12).collect() } else { vec![0, 1, 2, 3, 4, 5, 7, 10] };
            let places = if cfg!(miri) { vec![1, 4, 10] } else { places };
            for choice in 0..places.len().pow(roots.len() as u32) {
                let mut rest = choice;
                for &root in &roots {
                    offsets[root] = places[rest % places.len()];
                    rest /= places.len();
                }
                plan.place(&offsets, &mut bytes);
                let harm = plan.is_harmful();
                match Model::new(&bytes) {
                    Ok(_) => {
                        accepted += 1;
                        assert!(!harm, "accepted, and does harm: {plan:?}");
                        for fill in [0x00, 0xFF] {
                            assert_eq!(Some(run(&bytes, fill)), expected, "{plan:?}");
                        }
                    }
                    Err(error) if harm => {
                        harmful += 1;
                        assert!([Fault::Overlap, Fault::Chain, Fault::Lifetime].contains(&error.fault), "{error:?}");
                    }
                    Err(error) => {
                        beyond += 1;
                        assert!(plan.is_beyond_the_rules(), "{error:?}, and does no harm: {plan:?}");
                    }
                }
            }
        }
    }
    println!("{accepted} accepted, {harmful} do harm, {beyond} do none and are none that a planner makes");
    assert!(cfg!(miri) || (accepted > 1000 && harmful > 1000 && beyond > 100));
}
