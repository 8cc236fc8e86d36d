//! Two memories: which buffers lie in the fast one.
//!
//! What counts is the traffic that the fast memory serves. A search over the buffers, hottest first, takes each in or leaves
//! it out; it ends at the best choice, or, where there are too many buffers for that, with the best that it has met. A choice
//! is good only if both memories can be packed into their sizes.

use std::cmp::Reverse;

use super::place::{self, ALIGN, Buffer, Overlay, Placement};

/// The sizes of the two memories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of the fast memory.
    pub fast: u32,
    /// Bytes of the slow memory, if that is limited.
    pub slow: Option<u32>,
}

/// Offsets in one space: those below `fast_len` are in the fast memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The offset and size of everything.
    pub placement: Placement,
    /// Bytes of the fast memory that are used; a multiple of [`ALIGN`].
    pub fast_len: u32,
}

/// Choices that the search may consider.
const NODES: usize = 50_000;
/// Choices that may be packed, which takes longer.
const PACKINGS: usize = 60;

/// Places buffers in two memories; `traffic` has the bytes that each moves. Where the slow memory is too small for any
/// choice that was met, its bytes are as few as in any of them.
pub fn place(buffers: &[Buffer], overlays: &[Overlay], traffic: &[u64], sizes: Sizes, budget: usize) -> Split {
    let sizes = Sizes { fast: sizes.fast / ALIGN * ALIGN, ..sizes };
    let mut search = Search::new(buffers, overlays, traffic, sizes, budget);
    search.consider(&vec![false; buffers.len()]);
    let by_heat = search.order.clone();
    let mut by_time = search.order.clone();
    by_time.sort_by_key(|&i| Reverse(density(traffic[i], buffers[i].bytes_over_time())));
    let mut by_size = search.order.clone();
    by_size.sort_by_key(|&i| Reverse(buffers[i].bytes_over_time()));
    for order in [by_heat, by_time, by_size] {
        search.greedy(&order);
    }
    search.descend(0, 0);
    search.best.map_or_else(
        || Split { placement: place::place(buffers, overlays, budget), fast_len: 0 },
        |(_, _, split)| split,
    )
}

/// Traffic per byte, comparable as an integer.
fn density(traffic: u64, bytes: u64) -> u64 {
    (traffic << 16) / bytes.max(1)
}

struct Search<'p> {
    buffers: &'p [Buffer],
    overlays: &'p [Overlay],
    traffic: &'p [u64],
    sizes: Sizes,
    /// Steps for each packing.
    budget: usize,
    /// The buffers that are worth a decision, hottest first.
    order: Vec<usize>,
    /// Bytes that each buffer needs at each time slot of its life, at least: overlays may save the others, whatever memory the
    /// other buffer is in.
    needs: Vec<Vec<i64>>,
    /// The traffic of `order[i..]`.
    rest: Vec<u64>,
    chosen: Vec<bool>,
    /// Bytes that the chosen ones take at each time slot, at least, and those that were left out.
    used: [Vec<i64>; 2],
    nodes: usize,
    packings: usize,
    /// Whether it fits, its traffic, and where everything lies.
    best: Option<(bool, u64, Split)>,
}

impl<'p> Search<'p> {
    fn new(buffers: &'p [Buffer], overlays: &'p [Overlay], traffic: &'p [u64], sizes: Sizes, budget: usize) -> Self {
        let mut order: Vec<_> =
            (0..buffers.len()).filter(|&i| buffers[i].size > 0 && buffers[i].size <= sizes.fast).collect();
        order.sort_by_key(|&i| Reverse((density(traffic[i], buffers[i].size.into()), buffers[i].size)));
        let mut rest = vec![0; order.len() + 1];
        for (at, &i) in order.iter().enumerate().rev() {
            rest[at] = rest[at + 1] + traffic[i];
        }
        let time_slots = buffers.iter().map(|b| b.last as usize + 1).max().unwrap_or(0);
        let need = |i: usize, time_slot: u32| {
            let alive = |i: usize| buffers[i].first <= time_slot && time_slot <= buffers[i].last;
            let pairs = overlays.iter().filter(|o| (o.under == i || o.over == i) && alive(o.under) && alive(o.over));
            let saved: i64 = pairs.map(|o| o.saves(buffers[o.under].size, buffers[o.over].size)).sum();
            (i64::from(buffers[i].size) - saved).max(0)
        };
        let needs = (0..buffers.len())
            .map(|i| (buffers[i].first..=buffers[i].last).map(|time_slot| need(i, time_slot)).collect())
            .collect();
        let mut search = Self {
            buffers,
            overlays,
            traffic,
            sizes,
            budget,
            order,
            needs,
            rest,
            chosen: vec![false; buffers.len()],
            used: [vec![0; time_slots], vec![0; time_slots]],
            nodes: NODES,
            packings: PACKINGS,
            best: None,
        };
        // What is too large for the fast memory is in the slow one from the start.
        for i in (0..buffers.len()).filter(|&i| buffers[i].size > sizes.fast) {
            search.count(1, i, 1);
        }
        search
    }

    /// Counts buffer `i` in or out of a memory, over its life.
    fn count(&mut self, memory: usize, i: usize, sign: i64) {
        let used = self.used[memory].iter_mut().skip(self.buffers[i].first as usize);
        used.zip(&self.needs[i]).for_each(|(used, need)| *used += sign * need);
    }

    /// Whether a memory may still be large enough.
    fn may_fit(&self, memory: usize, i: usize) -> bool {
        let limit = [Some(self.sizes.fast), self.sizes.slow][memory];
        let Some(limit) = limit else { return true };
        let life = self.buffers[i].first as usize..=self.buffers[i].last as usize;
        self.used[memory][life].iter().all(|&bytes| bytes <= limit.into())
    }

    /// Takes in one buffer after the other, as long as they can be packed.
    fn greedy(&mut self, order: &[usize]) {
        let mut chosen = vec![false; self.buffers.len()];
        for &i in order {
            self.count(0, i, 1);
            chosen[i] = self.may_fit(0, i);
            if chosen[i] && self.pack(&chosen, true, 0).len > self.sizes.fast {
                chosen[i] = false;
            }
            if !chosen[i] {
                self.count(0, i, -1);
            }
        }
        self.consider(&chosen);
        (0..chosen.len()).filter(|&i| chosen[i]).for_each(|i| self.count(0, i, -1));
    }

    /// Takes in or leaves out the buffers from `order[depth]` on.
    fn descend(&mut self, depth: usize, traffic: u64) {
        let beaten = self.best.as_ref().is_some_and(|&(fits, best, _)| fits && traffic + self.rest[depth] <= best);
        if beaten || self.nodes == 0 || self.packings == 0 {
            return;
        }
        self.nodes -= 1;
        let Some(&i) = self.order.get(depth) else {
            self.packings -= 1;
            let chosen = self.chosen.clone();
            self.consider(&chosen);
            return;
        };
        for memory in [0, 1] {
            self.count(memory, i, 1);
            if self.may_fit(memory, i) {
                self.chosen[i] = memory == 0;
                self.descend(depth + 1, traffic + if memory == 0 { self.traffic[i] } else { 0 });
                self.chosen[i] = false;
            }
            self.count(memory, i, -1);
        }
    }

    /// Packs both memories and keeps the result if it is the best: one that fits, then the one with the most traffic in the
    /// fast memory; of those that do not fit, the one with the least of the slow memory.
    fn consider(&mut self, chosen: &[bool]) {
        let fast = self.pack(chosen, true, self.budget);
        if fast.len > self.sizes.fast {
            return;
        }
        let slow = self.pack(chosen, false, self.budget);
        let fits = self.sizes.slow.is_none_or(|limit| slow.len <= limit);
        let served = (0..chosen.len()).filter(|&i| chosen[i]).map(|i| self.traffic[i]).sum();
        let value = |fits: bool, served: u64, slow: u32| (fits, if fits { served } else { 0 }, Reverse(slow));
        let better = self.best.as_ref().is_none_or(|(known_fits, known, split)| {
            value(fits, served, slow.len) > value(*known_fits, *known, split.placement.len - split.fast_len)
        });
        if better {
            let fast_len = fast.len.next_multiple_of(ALIGN);
            let offset = |i: usize| if chosen[i] { fast.offsets[i] } else { fast_len + slow.offsets[i] };
            let offsets = (0..chosen.len()).map(offset).collect();
            let placement = Placement { offsets, len: fast_len + slow.len };
            self.best = Some((fits, served, Split { placement, fast_len }));
        }
    }

    /// Packs the buffers of one memory; the others are without size.
    fn pack(&self, chosen: &[bool], fast: bool, budget: usize) -> Placement {
        let mine = |i: usize| chosen[i] == fast;
        let indices: Vec<usize> = (0..self.buffers.len()).filter(|&i| mine(i)).collect();
        let at = |i: usize| indices.binary_search(&i).ok();
        let buffers: Vec<_> = indices.iter().map(|&i| self.buffers[i]).collect();
        let overlays: Vec<_> = self
            .overlays
            .iter()
            .filter_map(|o| Some(Overlay { under: at(o.under)?, over: at(o.over)?, ..*o }))
            .collect();
        let packed = place::place(&buffers, &overlays, budget);
        let mut offsets = vec![0; self.buffers.len()];
        indices.iter().zip(&packed.offsets).for_each(|(&i, &offset)| offsets[i] = offset);
        Placement { offsets, len: packed.len }
    }
}
