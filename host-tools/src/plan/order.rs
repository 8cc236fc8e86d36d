//! The order of execution: which branch goes first.
//!
//! Any topological order computes the same, but not with the same bytes alive. What is alive depends only on which
//! steps have run, so the best order is a path through the sets of steps that are closed under "comes before" whose
//! worst point is least: a search from set to set, each reached once, at its least peak. Inception modules have some
//! dozens of such sets each; where there are too many, the given order is kept.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use super::segments::{Order, Step};

/// Sets of steps that may be visited before the given order is kept.
const LIMIT: usize = 50_000;

/// Which steps have run, one bit each.
type Done = Box<[u64]>;

/// The order of execution with the least peak of living bytes, as indices into `order.steps`; on equal peaks one that keeps
/// the other steps low too, because streaming may remove the peak and leave those.
pub fn least_peak(order: &Order<'_>) -> Vec<usize> {
    let search = Search::new(order);
    search.run(true).or_else(|| search.run(false)).unwrap_or_else(|| (0..order.steps.len()).collect())
}

/// What a step at this many bytes costs beside the peak: a high power, so that within each stretch of the network the
/// highest step counts.
fn weight(bytes: u64) -> f64 {
    (bytes as f64 / 65_536.0).powi(16)
}

struct Search<'p> {
    order: &'p Order<'p>,
    /// The steps that must have run before each step.
    before: Vec<Vec<usize>>,
    /// For each root, the steps that write it and those that read it.
    writers: Vec<Vec<usize>>,
    readers: Vec<Vec<usize>>,
}

impl<'p> Search<'p> {
    fn new(order: &'p Order<'p>) -> Self {
        let root = |value: usize| order.values[value].root;
        let mut writers = vec![Vec::new(); order.values.len()];
        let mut readers = vec![Vec::new(); order.values.len()];
        for (index, step) in order.steps.iter().enumerate() {
            writers[root(step.output)].push(index);
            step.inputs.iter().for_each(|&(input, ..)| readers[root(input)].push(index));
        }
        let needs = |step: &Step| step.inputs.iter().flat_map(|&(input, ..)| order.writers_of(input)).collect();
        let before = order.steps.iter().map(needs).collect();
        Self { order, before, writers, readers }
    }

    /// Best-first over the sets: the first time the full set is taken, its peak is the least. With `weighed`, sets of equal
    /// peaks come by the weights of their steps, which takes longer; otherwise the largest come first.
    fn run(&self, weighed: bool) -> Option<Vec<usize>> {
        let steps = self.order.steps.len();
        let empty: Done = vec![0; steps.div_ceil(64)].into();
        // The bits of floats that are not negative are in the order of the floats.
        let mut queue = BinaryHeap::from([(Reverse((self.alive(&empty), 0)), 0, Reverse(0), empty.clone())]);
        // For every set that was reached, its least cost so far and the step that led there.
        let mut reached: HashMap<Done, ((u64, u64), usize)> = HashMap::new();
        let mut settled: HashSet<Done> = HashSet::new();
        let mut sequence = 0;
        while let Some((Reverse((peak, weights)), count, _, done)) = queue.pop() {
            if !settled.insert(done.clone()) {
                continue;
            }
            if count == steps {
                return Some(path(&reached, done));
            }
            if settled.len() > LIMIT {
                return None;
            }
            for step in (0..steps).filter(|&s| !has(&done, s) && self.before[s].iter().all(|&b| has(&done, b))) {
                let mut next = done.clone();
                next[step / 64] |= 1 << (step % 64);
                let running = self.while_running(&done, step);
                let weights = if weighed { (f64::from_bits(weights) + weight(running)).to_bits() } else { 0 };
                let cost = (peak.max(running), weights);
                if reached.get(&next).is_none_or(|&(known, _)| cost < known) {
                    reached.insert(next.clone(), (cost, step));
                    sequence += 1;
                    queue.push((Reverse(cost), count + 1, Reverse(sequence), next));
                }
            }
        }
        None
    }

    /// Bytes alive between steps.
    fn alive(&self, done: &Done) -> u64 {
        let order = self.order;
        let is_alive = |root: usize| {
            let written = root == order.values[order.input].root || self.writers[root].iter().any(|&w| has(done, w));
            let needed = root == order.values[order.output].root || self.readers[root].iter().any(|&r| !has(done, r));
            order.values[root].root == root && written && needed
        };
        (0..order.values.len()).filter(|&root| is_alive(root)).map(|root| u64::from(order.values[root].bytes)).sum()
    }

    /// Bytes alive while `step` runs: what was alive, its output, its scratch; less an operand that dies and that the
    /// output may lie over.
    fn while_running(&self, done: &Done, step: usize) -> u64 {
        let order = self.order;
        let running = &order.steps[step];
        let output = order.values[running.output].root;
        let fresh = !self.writers[output].iter().any(|&writer| has(done, writer));
        let dies = |value: usize| self.readers[order.values[value].root].iter().all(|&r| r == step || has(done, r));
        let output_bytes = u64::from(order.values[output].bytes);
        let in_place = running.inputs.iter().any(|&(value, _, in_place)| {
            let value_root = order.values[value].root;
            in_place && value_root == value && dies(value) && u64::from(order.values[value].bytes) == output_bytes
        });
        let written = if fresh && !(in_place && output == running.output) { output_bytes } else { 0 };
        self.alive(done) + written + u64::from(running.scratch)
    }
}

/// The steps that led to a set, first to last.
fn path(reached: &HashMap<Done, ((u64, u64), usize)>, mut done: Done) -> Vec<usize> {
    let mut path = Vec::new();
    while let Some(&(_, step)) = reached.get(&done) {
        path.push(step);
        done[step / 64] &= !(1 << (step % 64));
    }
    path.reverse();
    path
}

fn has(done: &Done, step: usize) -> bool {
    done[step / 64] >> (step % 64) & 1 == 1
}
