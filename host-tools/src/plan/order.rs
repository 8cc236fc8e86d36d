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
    before: Vec<Done>,
    /// The steps before which each step must have run.
    after: Vec<Vec<usize>>,
    /// For each step, those without which nothing that needs it can run.
    companions: Vec<Vec<usize>>,
    /// For each root, the steps that write it and those that read it.
    writers: Vec<Vec<usize>>,
    readers: Vec<Vec<usize>>,
    /// For each root, whether it is there before the first step.
    given: Vec<bool>,
    /// For each root, whether it lasts until the inference has ended.
    kept: Vec<bool>,
}

/// A set of steps that have run, as the search takes it from its queue: the least cost first, then the largest, then the
/// one that was found first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Reached {
    cost: Reverse<(u64, u64)>,
    count: usize,
    sequence: Reverse<usize>,
    done: Done,
    /// Bytes alive.
    alive: u64,
    /// The steps that can run, in their given order.
    ready: Vec<usize>,
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
        let roots = |values: &[usize]| {
            let mut found = vec![false; order.values.len()];
            values.iter().for_each(|&value| found[root(value)] = true);
            found
        };
        let (given, kept) = (roots(order.given), roots(order.kept));
        let needs = |step: &Step| step.inputs.iter().flat_map(|&(input, ..)| order.writers_of(input)).collect();
        let before: Vec<Vec<usize>> = order.steps.iter().map(needs).collect();
        let set = |steps: &Vec<usize>| {
            let mut set: Done = vec![0; order.steps.len().div_ceil(64)].into();
            steps.iter().for_each(|&step| set[step / 64] |= 1 << (step % 64));
            set
        };
        let sets: Vec<Done> = before.iter().map(set).collect();
        let mut after = vec![Vec::new(); order.steps.len()];
        let mut companions: Vec<Option<Vec<usize>>> = vec![None; order.steps.len()];
        for (index, (needed, set)) in before.iter().zip(&sets).enumerate() {
            for &step in needed {
                after[step].push(index);
                let common = companions[step].get_or_insert_with(|| needed.clone());
                common.retain(|&other| other != step && has(set, other));
            }
        }
        let companions = companions.into_iter().map(Option::unwrap_or_default).collect();
        Self { order, before: sets, after, companions, writers, readers, given, kept }
    }

    /// Best-first over the sets: the first time the full set is taken, its peak is the least. With `weighed`, sets of equal
    /// peaks come by the weights of their steps, which takes longer; otherwise the largest come first.
    fn run(&self, weighed: bool) -> Option<Vec<usize>> {
        let steps = self.order.steps.len();
        let empty: Done = vec![0; steps.div_ceil(64)].into();
        let alive = (0..self.order.values.len()).map(|root| self.alive(&empty, root)).sum();
        // The bits of floats that are not negative are in the order of the floats.
        let ready = (0..steps).filter(|&step| self.is_ready(&empty, step)).collect();
        let first = Reached { cost: Reverse((alive, 0)), count: 0, sequence: Reverse(0), done: empty, alive, ready };
        let mut queue = BinaryHeap::from([first]);
        // For every set that was reached, its least cost so far and the step that led there.
        let mut reached: HashMap<Done, ((u64, u64), usize)> = HashMap::new();
        let mut settled: HashSet<Done> = HashSet::new();
        let mut sequence = 0;
        while let Some(Reached { cost: Reverse((peak, weights)), count, done, alive, ready, .. }) = queue.pop() {
            if !settled.insert(done.clone()) {
                continue;
            }
            if count == steps {
                return Some(path(&reached, done));
            }
            if settled.len() > LIMIT {
                return None;
            }
            for step in self.next(&done, alive, &ready) {
                let mut next = done.clone();
                next[step / 64] |= 1 << (step % 64);
                let running = self.while_running(&done, alive, step);
                let weights = if weighed { (f64::from_bits(weights) + weight(running)).to_bits() } else { 0 };
                let cost = (peak.max(running), weights);
                if reached.get(&next).is_none_or(|&(known, _)| cost < known) {
                    reached.insert(next.clone(), (cost, step));
                    sequence += 1;
                    let alive = self.alive_after(&done, alive, step, &next);
                    let ready = self.ready_after(&ready, step, &next);
                    let sequence = Reverse(sequence);
                    queue.push(Reached { cost: Reverse(cost), count: count + 1, sequence, done: next, alive, ready });
                }
            }
        }
        None
    }

    /// The steps that are worth trying next. One that takes no bytes beyond those alive may as well run at once. One that
    /// only opens a buffer, while what it reads stays alive in any case, can wait for those without which its output is of
    /// no use: so the copies into a concatenation do not start all over the network.
    fn next(&self, done: &Done, alive: u64, ready: &[usize]) -> Vec<usize> {
        let is_ahead = |step: usize| !has(done, step) && !self.is_ready(done, step);
        if let Some(&free) = ready.iter().find(|&&step| self.while_running(done, alive, step) == alive) {
            return vec![free];
        }
        let stays = |value: usize| self.readers[self.order.values[value].root].iter().any(|&reader| is_ahead(reader));
        let can_wait = |step: usize| {
            let Step { inputs, scratch, .. } = &self.order.steps[step];
            *scratch == 0
                && self.companions[step].iter().any(|&other| is_ahead(other))
                && inputs.iter().all(|&(input, ..)| stays(input))
        };
        let first: Vec<usize> = ready.iter().copied().filter(|&step| !can_wait(step)).collect();
        if first.is_empty() { ready.to_vec() } else { first }
    }

    /// Whether all that must have run before `step` has.
    fn is_ready(&self, done: &Done, step: usize) -> bool {
        self.before[step].iter().zip(done).all(|(before, done)| before & !done == 0)
    }

    /// The steps that can run when `step`, one of those that are `ready`, has run, too.
    fn ready_after(&self, ready: &[usize], step: usize, next: &Done) -> Vec<usize> {
        let mut after: Vec<usize> = ready.iter().copied().filter(|&other| other != step).collect();
        after.extend(self.after[step].iter().filter(|&&other| self.is_ready(next, other)));
        after.sort_unstable();
        after.dedup();
        after
    }

    /// Bytes of `root` that are alive between steps.
    fn alive(&self, done: &Done, root: usize) -> u64 {
        let order = self.order;
        let written = self.given[root] || self.writers[root].iter().any(|&w| has(done, w));
        let needed = self.kept[root] || self.readers[root].iter().any(|&r| !has(done, r));
        if order.values[root].root == root && written && needed { order.values[root].bytes.into() } else { 0 }
    }

    /// Bytes alive when `step` has run, too: what it reads may have died.
    fn alive_after(&self, done: &Done, alive: u64, step: usize, next: &Done) -> u64 {
        let running = &self.order.steps[step];
        let values = running.inputs.iter().map(|&(input, ..)| input).chain([running.output]);
        let mut roots: Vec<usize> = values.map(|value| self.order.values[value].root).collect();
        roots.sort_unstable();
        roots.dedup();
        roots.iter().fold(alive, |alive, &root| alive - self.alive(done, root) + self.alive(next, root))
    }

    /// Whether nothing but `step` still reads what `value` lies in.
    fn dies(&self, done: &Done, step: usize, value: usize) -> bool {
        let root = self.order.values[value].root;
        !self.kept[root] && self.readers[root].iter().all(|&reader| reader == step || has(done, reader))
    }

    /// Bytes alive while `step` runs: the `alive` ones, its output, its scratch; less an operand that dies and that the
    /// output may lie over.
    fn while_running(&self, done: &Done, alive: u64, step: usize) -> u64 {
        let order = self.order;
        let running = &order.steps[step];
        let output = order.values[running.output].root;
        let fresh = !self.writers[output].iter().any(|&writer| has(done, writer));
        let output_bytes = u64::from(order.values[output].bytes);
        let in_place = running.inputs.iter().any(|&(value, _, in_place)| {
            let is_root = order.values[value].root == value;
            in_place && is_root && self.dies(done, step, value) && u64::from(order.values[value].bytes) == output_bytes
        });
        let written = if fresh && !(in_place && output == running.output) { output_bytes } else { 0 };
        alive + written + u64::from(running.scratch)
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
