//! Offsets: where in the arena each buffer lies.
//!
//! Buffers that live at the same time slot must not overlap, with one exception: a chain may write its output over the
//! rows of an input that it has finished with (an [`Overlay`]). Packing such buffers into the least bytes is
//! NP-hard; networks are small. Several greedy orders give a good packing, and a branch-and-bound search over the
//! orders improves it until it meets the lower bound, which proves it, or its budget is spent.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Buffers start at multiples of this many bytes, so that kernels may load words.
pub const ALIGN: u32 = 16;

/// A run of bytes that lives from time slot `first` to time slot `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Bytes.
    pub size: u32,
    /// The first time slot of its life.
    pub first: u32,
    /// The last time slot of its life.
    pub last: u32,
}

/// Leave for `over` to start on bytes of `under`, or before it, though both live at one time slot: no later than
/// `reach` bytes after the start of `under` (before it, when negative).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// The buffer that is written over.
    pub under: usize,
    /// The buffer that takes its place.
    pub over: usize,
    /// The most that the offset of `over` may exceed that of `under`, in bytes.
    pub reach: i64,
    /// Whether both may start at the same byte all the same: element over element, in place.
    pub in_place: bool,
}

impl Overlay {
    /// Whether `over` may start `ahead` bytes after the start of `under`.
    const fn allows(&self, ahead: i64) -> bool {
        ahead <= self.reach || (self.in_place && ahead == 0)
    }

    /// Bytes that the overlay of buffers of these sizes saves at best.
    pub(super) fn saves(&self, under: u32, over: u32) -> i64 {
        let (under, over) = (i64::from(under), i64::from(over));
        // With the start of `over` at `d` from that of `under`, both cover from min(0, d) to max(under, d + over).
        let d = if self.in_place { 0 } else { self.reach.clamp(-over, 0) };
        (under + over) - (under.max(d + over) - d)
    }
}

/// Offsets for all buffers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The offset of each buffer.
    pub offsets: Vec<u32>,
    /// Bytes of arena.
    pub len: u32,
}

impl Buffer {
    /// Whether both live at some time slot.
    pub const fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Its bytes times the time slots of its life.
    pub fn bytes_over_time(&self) -> u64 {
        u64::from(self.size) * u64::from(self.last - self.first + 1)
    }

    fn aligned(&self) -> u32 {
        self.size.next_multiple_of(ALIGN)
    }
}

/// The least bytes that any placement needs: the most that lives at one time slot, less what overlays can save there.
///
/// Two buffers that live at one time slot share bytes only by an overlay, and the buffers that are written over share none
/// with each other, nor do those that take their place. So what is saved is at most what each pair saves at best, and no more for
/// any buffer than its own bytes.
pub fn lower_bound(buffers: &[Buffer], overlays: &[Overlay]) -> u32 {
    let size = |i: usize| i64::from(buffers[i].size);
    let at = |time_slot: u32| {
        let alive = |i: usize| buffers[i].first <= time_slot && time_slot <= buffers[i].last;
        let sum: i64 = (0..buffers.len()).filter(|&i| alive(i)).map(size).sum();
        // What the pairs of each buffer save that is written over, and of each that takes its place.
        let mut saved = [BTreeMap::new(), BTreeMap::new()];
        for overlay in overlays.iter().filter(|o| alive(o.under) && alive(o.over)) {
            let saves = overlay.saves(buffers[overlay.under].size, buffers[overlay.over].size);
            *saved[0].entry(overlay.under).or_insert(0) += saves;
            *saved[1].entry(overlay.over).or_insert(0) += saves;
        }
        let [under, over] = saved.map(|of| of.iter().map(|(&i, &saves)| size(i).min(saves)).sum::<i64>());
        sum - under.min(over)
    };
    let time_slots: BTreeSet<u32> = buffers.iter().map(|buffer| buffer.first).collect();
    time_slots.into_iter().map(at).max().unwrap_or(0).max(0) as u32
}

/// Places all buffers, those without bytes at the start; `budget` is the number of steps that each search may take beyond
/// the greedy orders.
pub fn place(buffers: &[Buffer], overlays: &[Overlay], budget: usize) -> Placement {
    let bound = lower_bound(buffers, overlays);
    let mut search = Search::new(buffers, overlays);
    let orders = greedy_orders(buffers);
    let best = orders.into_iter().map(|order| (search.try_order(&order), order)).min();
    if let Some((len, order)) = best {
        search.shuffle(len, order, bound, budget);
    }
    if search.best.len > bound {
        search.branch(bound, budget);
    }
    search.best
}

/// Orders that greedy placement is known to do well with: by size, by life, by size times life, by time.
fn greedy_orders(buffers: &[Buffer]) -> Vec<Vec<usize>> {
    let life = |b: &Buffer| u64::from(b.last - b.first + 1);
    let by = |key: &dyn Fn(&Buffer) -> (u64, u64)| {
        let mut order = with_bytes(buffers);
        order.sort_by_key(|&i| Reverse(key(&buffers[i])));
        order
    };
    vec![
        by(&|b| (b.size.into(), life(b))),
        by(&|b| (b.bytes_over_time(), b.size.into())),
        by(&|b| (life(b), b.size.into())),
        by(&|b| (u64::MAX - u64::from(b.first), b.size.into())),
        by(&|b| (b.last.into(), b.size.into())),
    ]
}

/// The buffers that need a place.
fn with_bytes(buffers: &[Buffer]) -> Vec<usize> {
    (0..buffers.len()).filter(|&i| buffers[i].size > 0).collect()
}

/// A placement that is being searched for.
struct Search<'p> {
    buffers: &'p [Buffer],
    /// For each buffer the ones it meets, with the greatest offset difference at which each may overlap it.
    meets: Vec<Vec<Neighbor>>,
    offsets: Vec<Option<u32>>,
    best: Placement,
}

/// Another buffer that lives at the same time slot.
#[derive(Clone, Copy)]
struct Neighbor {
    index: usize,
    /// This buffer may start on the neighbor.
    onto: Option<Overlay>,
    /// The neighbor may start on this buffer.
    under: Option<Overlay>,
}

impl<'p> Search<'p> {
    fn new(buffers: &'p [Buffer], overlays: &'p [Overlay]) -> Self {
        // Of several overlays of one pair the first counts.
        let pairs: HashMap<_, _> =
            overlays.iter().rev().map(|overlay| ((overlay.under, overlay.over), overlay)).collect();
        let reach = |under, over| {
            let found = pairs.get(&(under, over));
            found.map(|&o| Overlay { reach: o.reach.div_euclid(ALIGN.into()) * i64::from(ALIGN), ..*o })
        };
        let sized = with_bytes(buffers);
        let meets = (0..buffers.len())
            .map(|i| {
                let others = sized.iter().copied().filter(|&j| j != i && buffers[i].meets(&buffers[j]));
                others.map(|j| Neighbor { index: j, onto: reach(j, i), under: reach(i, j) }).collect()
            })
            .collect();
        let best = Placement { offsets: vec![0; buffers.len()], len: u32::MAX };
        Self { buffers, meets, offsets: vec![None; buffers.len()], best }
    }

    /// Places buffers in `order`, each at its lowest offset; the bytes that it takes.
    fn try_order(&mut self, order: &[usize]) -> u32 {
        self.offsets.fill(None);
        let mut len = 0;
        for &index in order {
            let lowest = self.free(index).next();
            self.offsets[index] = lowest;
            len = len.max(lowest.unwrap_or(0) + self.buffers[index].size);
        }
        self.keep_if_better();
        len
    }

    /// Changes a good order a little, over and over, and keeps what is no worse: a buffer is moved forward, every other
    /// time one of those at the top of the arena.
    fn shuffle(&mut self, mut len: u32, mut order: Vec<usize>, bound: u32, budget: usize) {
        // Numbers that look random and are the same every time.
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below.max(1) as u64) as usize
        };
        for round in 0..budget / order.len().max(1) {
            if self.best.len <= bound || order.len() < 2 {
                break;
            }
            let mut next = order.clone();
            let is_top = |i: usize| self.offsets[i].is_some_and(|at| at + self.buffers[i].size == len);
            let top = next.iter().position(|&i| is_top(i)).filter(|&at| round % 2 == 0 && at > 0);
            let from = top.unwrap_or_else(|| 1 + random(next.len() - 1));
            let to = random(from);
            next[to..=from].rotate_right(1);
            let found = self.try_order(&next);
            if found <= len {
                (len, order) = (found, next);
            }
        }
        self.offsets.fill(None);
    }

    fn keep_if_better(&mut self) {
        let end = |(i, offset): (usize, &Option<u32>)| offset.unwrap_or(0) + self.buffers[i].size;
        let len = self.offsets.iter().enumerate().map(end).max().unwrap_or(0);
        if len < self.best.len {
            self.best = Placement { offsets: self.offsets.iter().map(|o| o.unwrap_or(0)).collect(), len };
        }
    }

    /// The offsets worth trying for a buffer, lowest first: the bottom, and where a placed neighbor ends or may be
    /// overlaid. Not all of them are free.
    fn candidates(&self, index: usize) -> Vec<u32> {
        let size = self.buffers[index].aligned();
        let mut found = vec![0];
        for neighbor in &self.meets[index] {
            if let Some(at) = self.offsets[neighbor.index] {
                found.push(at + self.buffers[neighbor.index].aligned());
                let at = i64::from(at);
                let ahead = |o: &Overlay| [Some(o.reach), o.in_place.then_some(0)].into_iter().flatten();
                let onto = neighbor.onto.iter().flat_map(ahead).map(|ahead| at + ahead);
                let under = neighbor.under.iter().flat_map(ahead).map(|ahead| at - ahead);
                let before = at - i64::from(size);
                found.extend(onto.chain(under).chain([before]).filter_map(|at| u32::try_from(at).ok()));
            }
        }
        found.sort_unstable();
        found.dedup();
        // An overlay that is never allowed has a reach beyond every arena.
        found.retain(|&at| at.checked_add(size).is_some());
        found
    }

    /// Those of the candidates that keep off the placed neighbors: a sweep over what those take, since this is where planning
    /// spends its time.
    fn free(&self, index: usize) -> impl Iterator<Item = u32> {
        let size = i64::from(self.buffers[index].size);
        // Offsets between the two that neighbors take, and those of neighbors over which the buffer may lie exactly.
        let (mut taken, mut exactly) = (Vec::new(), Vec::new());
        for neighbor in &self.meets[index] {
            let Some(offset) = self.offsets[neighbor.index] else { continue };
            let at = i64::from(offset);
            let low = neighbor.onto.map_or(i64::MIN, |o| at + o.reach);
            let high = neighbor.under.map_or(i64::MAX, |o| at - o.reach);
            taken.push(((at - size).max(low), (at + i64::from(self.buffers[neighbor.index].size)).min(high)));
            if [neighbor.onto, neighbor.under].iter().flatten().any(|o| o.in_place) {
                exactly.push(offset);
            }
        }
        taken.sort_unstable();
        let mut taken = taken.into_iter().peekable();
        let mut end = i64::MIN;
        self.candidates(index).into_iter().filter(move |&offset| {
            let at = i64::from(offset);
            while let Some((_, high)) = taken.next_if(|&(low, _)| low < at) {
                end = end.max(high);
            }
            end <= at || exactly.contains(&offset) && self.fits(index, offset)
        })
    }

    /// Whether a buffer at `at` keeps off its placed neighbors.
    fn fits(&self, index: usize, at: u32) -> bool {
        self.meets[index].iter().all(|neighbor| {
            let Some(other) = self.offsets[neighbor.index] else { return true };
            let apart = at + self.buffers[index].size <= other || other + self.buffers[neighbor.index].size <= at;
            let ahead = i64::from(at) - i64::from(other);
            apart || neighbor.onto.is_some_and(|o| o.allows(ahead)) || neighbor.under.is_some_and(|o| o.allows(-ahead))
        })
    }

    /// Branches over which buffer comes next and where, largest first, and cuts what cannot beat the best.
    fn branch(&mut self, bound: u32, budget: usize) {
        let mut order = with_bytes(self.buffers);
        order.sort_by_key(|&i| Reverse((self.buffers[i].size, self.buffers[i].last - self.buffers[i].first)));
        let mut left = budget;
        self.descend(&order, 0, bound, &mut left);
    }

    fn descend(&mut self, order: &[usize], depth: usize, bound: u32, left: &mut usize) {
        if *left == 0 || self.best.len <= bound {
            return;
        }
        *left -= 1;
        let Some(&index) = order.get(depth) else {
            self.keep_if_better();
            return;
        };
        let free: Vec<u32> = self.free(index).collect();
        for at in free {
            if at + self.buffers[index].size >= self.best.len {
                break;
            }
            self.offsets[index] = Some(at);
            self.descend(order, depth + 1, bound, left);
            self.offsets[index] = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn buffers() -> impl Strategy<Value = Vec<Buffer>> {
        let buffer =
            (1u32..400, 0u32..12, 0u32..4).prop_map(|(size, first, life)| Buffer { size, first, last: first + life });
        proptest::collection::vec(buffer, 1..14)
    }

    /// Written from the rule, not from the search: whether some pair overlaps that must not.
    fn clash(buffers: &[Buffer], overlays: &[Overlay], offsets: &[u32]) -> bool {
        (0..buffers.len()).any(|i| {
            (0..i).any(|j| {
                let (a, b) = (buffers[i], buffers[j]);
                let together = (a.first..=a.last).any(|m| (b.first..=b.last).contains(&m));
                let bytes =
                    (offsets[i]..offsets[i] + a.size).any(|byte| (offsets[j]..offsets[j] + b.size).contains(&byte));
                let allowed = overlays.iter().any(|o| {
                    let pair = (o.under == i && o.over == j) || (o.under == j && o.over == i);
                    pair && {
                        let ahead = i64::from(offsets[o.over]) - i64::from(offsets[o.under]);
                        ahead <= o.reach || o.in_place && ahead == 0
                    }
                });
                together && bytes && !allowed
            })
        })
    }

    proptest! {
        #[test]
        fn placements_are_legal_and_never_worse_than_greedy_by_size(buffers in buffers(), pairs in proptest::collection::vec((0usize..14, 0usize..14, -100i64..60, any::<bool>()), 0..4)) {
            let overlays: Vec<_> = pairs
                .into_iter()
                .filter(|&(a, b, ..)| a < buffers.len() && b < buffers.len() && buffers[a].last == buffers[b].first && buffers[a].first < buffers[b].first)
                .map(|(under, over, reach, in_place)| Overlay { under, over, reach, in_place })
                .collect();
            let placement = place(&buffers, &overlays, 2_000);
            prop_assert!(!clash(&buffers, &overlays, &placement.offsets));
            prop_assert!(placement.offsets.iter().all(|o| o.is_multiple_of(ALIGN)));
            let mut greedy = Search::new(&buffers, &[]);
            greedy.try_order(&greedy_orders(&buffers)[0]);
            prop_assert!(placement.len <= greedy.best.len);
            prop_assert!(placement.len >= lower_bound(&buffers, &overlays));
        }
    }

    proptest! {
        #[test]
        fn the_sweep_finds_what_the_rule_allows(
            buffers in buffers(),
            pairs in proptest::collection::vec((0usize..14, 0usize..14, -100i64..60, any::<bool>()), 0..8),
            placed in proptest::collection::vec(proptest::option::of(0u32..60), 14),
        ) {
            let overlays: Vec<_> = pairs
                .into_iter()
                .filter(|&(a, b, ..)| a < buffers.len() && b < buffers.len() && a != b)
                .map(|(under, over, reach, in_place)| Overlay { under, over, reach, in_place })
                .collect();
            let mut search = Search::new(&buffers, &overlays);
            search.offsets = placed[..buffers.len()].iter().map(|at| at.map(|at| at * ALIGN)).collect();
            for index in 0..buffers.len() {
                let allowed: Vec<u32> = search.candidates(index).into_iter().filter(|&at| search.fits(index, at)).collect();
                prop_assert_eq!(search.free(index).collect::<Vec<_>>(), allowed);
            }
        }
    }

    #[test]
    fn an_overlaid_pair_takes_what_it_covers() {
        let input = Buffer { size: 1024, first: 0, last: 1 };
        let output = Buffer { size: 1024, first: 1, last: 2 };
        let overlay = Overlay { under: 0, over: 1, reach: -64, in_place: false };
        let placement = place(&[input, output], &[overlay], 100);
        assert_eq!((placement.len, lower_bound(&[input, output], &[overlay])), (1088, 1088));
        assert_eq!(place(&[input, output], &[], 100).len, 2048);
    }
}
