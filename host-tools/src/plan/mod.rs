//! Planning: when each step runs, and where each tensor lies.
//!
//! `search` says what a [`Program`] is to it, `order` chooses their order, `segments`
//! cuts it into chains, `place` finds the offsets, `regions` does so in two memories by `traffic`, `bound` says how good a
//! finished model's plan is. The runtime verifies what comes out and knows nothing of how.

mod bound;
mod order;
mod place;
mod regions;
mod search;
mod segments;
mod traffic;

use kinglet::memory::Region;
use kinglet::{Place, Tensor};

pub use bound::lower_bound;
use place::{ALIGN, Buffer, Overlay};
use regions::Sizes;
use segments::{Cuts, Order, Segment};
pub use segments::{Measured, Streaming};
pub use traffic::Traffic;

use crate::lower::Program;

/// What the planner may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// Whether steps may run interleaved.
    pub streaming: Streaming,
    /// Whether every buffer gets bytes of its own, to find out if a plan is at fault.
    pub apart: bool,
    /// Bytes of arena that are available: the fastest plan that fits is taken, or, when none does, the smallest.
    pub ram: Option<u32>,
    /// Bytes of a fast memory that are available beside `ram`: the hottest tensors are placed there.
    pub fast: Option<u32>,
}

/// A planned program.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Every tensor with its place and life; parent tensors after their parts.
    pub tensors: Vec<Tensor>,
    /// The name of each tensor.
    pub names: Vec<String>,
    /// The steps in the order of execution.
    pub steps: Vec<PlannedStep>,
    /// The index of each of the program's tensors.
    pub index: Vec<usize>,
    /// Bytes of arena.
    pub arena_len: u32,
    /// Bytes of it, from offset 0 on, that lie in the fast memory.
    pub fast_len: u32,
    /// The least that this order and these chains need: the most bytes alive at one time slot.
    pub lower_bound: u32,
}

/// One step of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedStep {
    /// Index into the program's steps.
    pub step: usize,
    /// Indices of its input tensors.
    pub inputs: [Option<usize>; 2],
    /// Index of its output tensor.
    pub output: usize,
    /// The time slot at which it runs.
    pub time_slot: u32,
    /// Its scratch.
    pub scratch: Region,
}

/// Steps that each search for offsets may take.
const PLACE_BUDGET: usize = 20_000;
/// Steps for each choice of what lies in the fast memory.
const SPLIT_BUDGET: usize = 2_000;
/// Cuts into chains that may be placed.
const CUTS: usize = 8;

/// A step whose scratch keeps a program out of its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Index into the program's steps.
    pub step: usize,
    /// The bytes of scratch that would do; fewer than the step has.
    pub scratch: u32,
}

impl Plan {
    /// Plans a program in the least bytes.
    pub fn smallest(program: &Program<'_>, options: &Options, measured: &Measured) -> Self {
        let Attempts { least, other } = Attempts::new(program, options, measured);
        let plan = least.smallest();
        match other.map(|other| other.smallest()) {
            Some(other) if other.size() < plan.size() => other,
            _ => plan,
        }
    }

    /// The plan with the fewest calls that takes at most `ram` bytes beside the fast memory, if there is one.
    pub fn within(program: &Program<'_>, options: &Options, ram: u32, measured: &Measured) -> Option<Self> {
        Attempts::new(program, &Options { ram: Some(ram), ..*options }, measured).within(ram)
    }

    /// As [`Plan::within`].
    ///
    /// # Errors
    /// Which steps take too much scratch, where there is no such plan; nothing, if no scratch is to blame.
    pub fn within_or_demands(
        program: &Program<'_>,
        options: &Options,
        ram: u32,
        measured: &Measured,
    ) -> Result<Self, Vec<Demand>> {
        let options = Options { ram: Some(ram), ..*options };
        let attempts = Attempts::new(program, &options, measured);
        if let Some(plan) = attempts.within(ram) {
            return Ok(plan);
        }
        let budget = ram.saturating_add(options.fast.unwrap_or(0));
        let attempt = attempts.both().min_by_key(|attempt| attempt.cuts.least());
        Err(match attempt {
            Some(attempt) if attempt.cuts.least() > budget => attempt.demands(budget),
            _ => {
                attempts.both().map(Attempt::smallest).min_by_key(Self::size).map_or(Vec::new(), |plan| plan.fullest())
            }
        })
    }

    /// Packing may need more bytes than are ever in use: then each of the fullest time slots is to do with a little less.
    fn fullest(&self) -> Vec<Demand> {
        let in_use = self.in_use();
        let most = in_use.iter().copied().max();
        let full = self.steps.iter().filter(|step| in_use.get(step.time_slot as usize).copied() == most);
        full.filter(|step| step.scratch.len > 0)
            .map(|step| Demand { step: step.step, scratch: step.scratch.len - 1 })
            .collect()
    }

    /// Bytes of arena beside those in the fast memory: all, when there is none.
    pub const fn slow_len(&self) -> u32 {
        self.arena_len - self.fast_len
    }

    /// What a smaller plan has less of: bytes beside the fast memory, then bytes in all.
    const fn size(&self) -> (u32, u32) {
        (self.slow_len(), self.arena_len)
    }

    /// Bytes in use at each time slot, from 0 on: bytes that several buffers cover count once.
    pub fn in_use(&self) -> Vec<u32> {
        let scratch: Vec<_> = self.steps.iter().map(|step| (step.time_slot, step.scratch)).collect();
        in_use(&self.tensors, &scratch)
    }
}

/// The order with the least peak of whole tensors, and the given one, which may make better chains.
struct Attempts<'p, 'n> {
    least: Attempt<'p, 'n>,
    other: Option<Attempt<'p, 'n>>,
}

impl<'p, 'n> Attempts<'p, 'n> {
    fn new(program: &'p Program<'n>, options: &Options, measured: &Measured) -> Self {
        let values = program.values();
        let unordered = program.search_steps();
        let (given, kept) = (&program.given, &program.kept);
        let attempt = |order: Vec<usize>| {
            let steps: Vec<_> = order.iter().map(|&step| unordered[step].clone()).collect();
            let cuts = Order { values: &values, steps: &steps, given, kept }.cuts(options.streaming, measured);
            Attempt { program, order, cuts, options: *options }
        };
        let least = attempt(order::least_peak(&Order { values: &values, steps: &unordered, given, kept }));
        let other = (0..unordered.len()).collect::<Vec<_>>();
        let other = (other != least.order).then(|| attempt(other));
        Self { least, other }
    }

    fn both(&self) -> impl Iterator<Item = &Attempt<'p, 'n>> {
        std::iter::once(&self.least).chain(&self.other)
    }

    /// The plan with the fewest calls that takes at most `ram` bytes.
    fn within(&self, ram: u32) -> Option<Plan> {
        let fastest = self.both().filter_map(|attempt| attempt.fastest_within(ram)).min_by_key(|&(calls, _)| calls);
        fastest.map(|(_, plan)| plan).or_else(|| {
            // Cuts know nothing of outputs that lie over inputs.
            self.both().filter_map(|attempt| attempt.smallest_within(ram)).min_by_key(Plan::size)
        })
    }
}

/// An order of execution and the ways to cut it into chains.
struct Attempt<'p, 'n> {
    program: &'p Program<'n>,
    order: Vec<usize>,
    cuts: Cuts,
    options: Options,
}

impl Attempt<'_, '_> {
    fn place(&self, segments: &[Segment]) -> Plan {
        self.layout(segments).place(self.program, &self.order, segments, &self.options)
    }

    /// The plan of a cut if it takes at most `ram` bytes, or how many it takes, at least: a search that cannot end well is
    /// spared.
    fn place_within(&self, segments: &[Segment], ram: u32) -> Result<Plan, u32> {
        let layout = self.layout(segments);
        let least = place::lower_bound(&layout.buffers, &layout.overlays);
        if self.options.fast.is_none() && least > ram {
            return Err(least);
        }
        let plan = layout.place(self.program, &self.order, segments, &self.options);
        if plan.slow_len() <= ram { Ok(plan) } else { Err(plan.slow_len()) }
    }

    fn layout(&self, segments: &[Segment]) -> Layout {
        let mut layout = Layout::new(self.program, &self.order, segments);
        if self.options.apart {
            layout.keep_apart();
        }
        layout
    }

    /// What scratch would have to become for the cuts to stay within `budget` bytes alive.
    fn demands(&self, budget: u32) -> Vec<Demand> {
        let rows: Vec<u32> = self.program.tensors.iter().map(|tensor| tensor.shape.h).collect();
        let mut demands = Vec::new();
        for segment in self.cuts.too_full(budget) {
            let scratch = |step: usize| self.program.scratch_len(&self.program.steps[step], &rows);
            let steps = &self.order[segment.steps.clone()];
            let most = steps.iter().map(|&step| scratch(step)).max().unwrap_or(0);
            let allowed = most.saturating_sub(segment.peak - budget);
            let over = steps.iter().filter(|&&step| scratch(step) > allowed);
            demands.extend(over.map(|&step| Demand { step, scratch: allowed }));
        }
        demands
    }

    /// The plan with the fewest calls that takes at most `ram` bytes, and its calls. Cuts count bytes alive; what packing
    /// adds may break a budget that a cut just meets, and then lower ones are tried.
    fn fastest_within(&self, ram: u32) -> Option<(u32, Plan)> {
        let mut budget = ram.saturating_add(self.options.fast.unwrap_or(0));
        for _ in 0..CUTS {
            let segments = self.cuts.within(budget)?;
            let len = match self.place_within(&segments, ram) {
                Ok(plan) => return Some((segments.iter().map(|segment| segment.calls).sum(), plan)),
                Err(len) => len,
            };
            let peak = segments.iter().map(|segment| segment.peak).max()?;
            budget = peak.min(budget).checked_sub(ALIGN.max((len - ram) / 2))?;
        }
        None
    }

    /// The smallest plan: of the cut with the least peak, or of one whose peak is not much higher and that packs better.
    fn smallest(&self) -> Plan {
        self.best(|segments| Some(self.place(segments))).unwrap_or_else(|| self.place(&[]))
    }

    /// The smallest plan, if it takes at most `ram` bytes.
    fn smallest_within(&self, ram: u32) -> Option<Plan> {
        self.best(|segments| self.place_within(segments, ram).ok())
    }

    /// The smallest of what `place` makes of some cuts with low peaks.
    fn best(&self, place: impl Fn(&[Segment]) -> Option<Plan>) -> Option<Plan> {
        let mut covers: Vec<Vec<Segment>> = Vec::new();
        let mut best: Option<Plan> = None;
        for &peak in &self.cuts.peaks {
            if covers.len() > CUTS || best.as_ref().is_some_and(|best| best.arena_len <= peak) {
                break;
            }
            let segments = self.cuts.within(peak).unwrap_or_default();
            if covers.contains(&segments) {
                continue;
            }
            let plan = place(&segments).filter(|plan| best.as_ref().is_none_or(|best| plan.size() < best.size()));
            best = plan.or(best);
            covers.push(segments);
        }
        best
    }
}

/// Bytes in use at each time slot, from 0 on, by tensors and by the scratch of each step (its time slot and bytes): bytes that
/// several buffers cover count once.
pub fn in_use(tensors: &[Tensor], scratch: &[(u32, Region)]) -> Vec<u32> {
    let end = scratch.last().map_or(0, |&(time_slot, _)| time_slot) + 1;
    (0..=end)
        .map(|time_slot| {
            let alive = tensors.iter().filter(|t| t.parent.is_none() && t.first <= time_slot && time_slot <= t.last);
            let scratch = scratch.iter().filter(|&&(at, _)| at == time_slot).map(|&(_, region)| region);
            covered(alive.map(Tensor::region).chain(scratch))
        })
        .collect()
}

/// Bytes that regions cover, overlaps counted once.
fn covered(regions: impl Iterator<Item = Region>) -> u32 {
    let mut regions: Vec<_> = regions.collect();
    regions.sort_by_key(|region| region.offset);
    let (mut covered, mut at) = (0, 0);
    for region in regions {
        covered += region.end().saturating_sub(region.offset.max(at));
        at = at.max(region.end());
    }
    covered
}

/// Lives in time slots, and the buffers that need offsets: the roots, and the scratch of each segment.
struct Layout {
    /// For each tensor of the program: first, ready, last.
    lives: Vec<[u32; 3]>,
    /// Rows kept by each tensor.
    rows: Vec<u32>,
    buffers: Vec<Buffer>,
    /// The buffer of each root tensor.
    buffer_of: Vec<Option<usize>>,
    /// The buffer of each segment's scratch.
    scratch_of: Vec<usize>,
    overlays: Vec<Overlay>,
    /// Bytes that each buffer moves in an inference.
    traffic: Vec<u64>,
}

impl Layout {
    fn new(program: &Program<'_>, order: &[usize], segments: &[Segment]) -> Self {
        let lives = lives(program, order, segments);
        let mut rows: Vec<u32> = program.tensors.iter().map(|t| t.shape.h).collect();
        for &(tensor, kept) in segments.iter().flat_map(|segment| &segment.kept) {
            rows[tensor] = kept;
        }
        let mut buffers = Vec::new();
        let mut buffer_of = vec![None; program.tensors.len()];
        for (tensor, info) in program.tensors.iter().enumerate() {
            if program.parent[tensor].is_none() {
                let [first, _, last] = lives[tensor];
                buffer_of[tensor] = Some(buffers.len());
                buffers.push(Buffer { size: rows[tensor] * info.shape.w * program.pitch(tensor), first, last });
            }
        }
        let mut scratch_of = Vec::new();
        let mut overlays = Vec::new();
        for (time_slot, segment) in (1..).zip(segments) {
            let scratch =
                order[segment.steps.clone()].iter().map(|&step| program.scratch_len(&program.steps[step], &rows)).max();
            scratch_of.push(buffers.len());
            buffers.push(Buffer { size: scratch.unwrap_or(0), first: time_slot, last: time_slot });
            let pair = |o: &Overlay| Some(Overlay { under: buffer_of[o.under]?, over: buffer_of[o.over]?, ..*o });
            overlays.extend(segment.overlays.iter().filter_map(pair));
        }
        let mut traffic = vec![0; buffers.len()];
        let mut moves = |tensor: usize, bytes: u64| {
            if let Some(buffer) = buffer_of[program.root(tensor).0] {
                traffic[buffer] += bytes;
            }
        };
        let bytes =
            |tensor: usize| u64::from(program.tensors[tensor].shape.len() * program.tensors[tensor].dtype.size());
        program.given.iter().chain(&program.kept).for_each(|&end| moves(end, bytes(end)));
        let mut scratch = Vec::new();
        for (segment, &buffer) in segments.iter().zip(&scratch_of) {
            for &step in &order[segment.steps.clone()] {
                let step = &program.steps[step];
                let of = Traffic::of(&step.op, &program.operands(step), program.scratch_len(step, &rows));
                step.inputs.iter().zip(of.inputs).for_each(|(&input, bytes)| moves(input, bytes));
                moves(step.output, of.output);
                scratch.push((buffer, of.scratch));
            }
        }
        scratch.into_iter().for_each(|(buffer, bytes)| traffic[buffer] += bytes);
        Self { lives, rows, buffers, buffer_of, scratch_of, overlays, traffic }
    }

    /// Makes every buffer live all the time, over nothing else.
    fn keep_apart(&mut self) {
        let end = self.buffers.iter().map(|buffer| buffer.last).max().unwrap_or(0);
        self.buffers.iter_mut().for_each(|buffer| (buffer.first, buffer.last) = (0, end));
        self.overlays.clear();
    }

    fn place(&self, program: &Program<'_>, order: &[usize], segments: &[Segment], options: &Options) -> Plan {
        let (placement, fast_len) = match options.fast {
            Some(fast) => {
                let sizes = Sizes { fast, slow: options.ram };
                let split = regions::place(&self.buffers, &self.overlays, &self.traffic, sizes, SPLIT_BUDGET);
                (split.placement, split.fast_len)
            }
            // Side by side is the only way to keep all apart.
            None if options.apart => (place::place(&self.buffers, &self.overlays, 0), 0),
            None => (place::place(&self.buffers, &self.overlays, PLACE_BUDGET), 0),
        };
        let index = parts_first(program);
        let mut position = vec![0; index.len()];
        index.iter().enumerate().for_each(|(at, &tensor)| position[tensor] = at);
        let tensor = |&tensor: &usize| {
            let info = &program.tensors[tensor];
            let (root, channel) = program.root(tensor);
            let base = self.buffer_of[root].map_or(0, |buffer| placement.offsets[buffer]);
            let [first, ready, last] = self.lives[tensor];
            let offset = base + channel * info.dtype.size();
            Tensor {
                shape: info.shape,
                dtype: info.dtype,
                quant: info.quant,
                place: Place { offset, pitch: program.pitch(tensor), rows: self.rows[tensor] },
                first,
                ready,
                last,
                parent: program.parent[tensor].map(|(parent, _)| position[parent] as u32),
            }
        };
        let mut steps = Vec::new();
        for ((time_slot, segment), &scratch) in (1..).zip(segments).zip(&self.scratch_of) {
            for &step in &order[segment.steps.clone()] {
                let from = &program.steps[step];
                let operand = |i: usize| from.inputs.get(i).map(|&tensor| position[tensor]);
                let len = program.scratch_len(from, &self.rows);
                steps.push(PlannedStep {
                    step,
                    inputs: [operand(0), operand(1)],
                    output: position[from.output],
                    time_slot,
                    scratch: Region { offset: if len == 0 { 0 } else { placement.offsets[scratch] }, len },
                });
            }
        }
        Plan {
            tensors: index.iter().map(tensor).collect(),
            names: index.iter().map(|&t| program.tensors[t].name.clone()).collect(),
            steps,
            index: position,
            arena_len: placement.len,
            fast_len,
            lower_bound: place::lower_bound(&self.buffers, &self.overlays),
        }
    }
}

/// All tensors, parts before the parent tensors that they belong to.
fn parts_first(program: &Program<'_>) -> Vec<usize> {
    let depth =
        |tensor: usize| std::iter::successors(Some(tensor), |&at| program.parent[at].map(|(parent, _)| parent)).count();
    let mut index: Vec<_> = (0..program.tensors.len()).collect();
    index.sort_by_key(|&tensor| std::cmp::Reverse(depth(tensor)));
    index
}

/// First, ready and last time slot of every tensor.
fn lives(program: &Program<'_>, order: &[usize], segments: &[Segment]) -> Vec<[u32; 3]> {
    let end = segments.len() as u32 + 1;
    let mut lives = vec![[u32::MAX, 0, 0]; program.tensors.len()];
    program.given.iter().for_each(|&given| lives[given] = [0, 0, 0]);
    for (time_slot, segment) in (1..).zip(segments) {
        for &step in &order[segment.steps.clone()] {
            let step = &program.steps[step];
            lives[step.output] = [time_slot, time_slot, lives[step.output][2].max(time_slot)];
            step.inputs.iter().for_each(|&input| lives[input][2] = lives[input][2].max(time_slot));
        }
    }
    program.kept.iter().for_each(|&kept| lives[kept][2] = end);
    // Parent tensors, inner before outer, take their beginning from their parts, and all parts live as long as the
    // longest of them and of the parent tensor itself.
    let parents: Vec<usize> = parts_first(program).into_iter().filter(|&t| !program.parts(t).is_empty()).collect();
    for &parent in &parents {
        let parts = program.parts(parent);
        let [first, ready, last] = lives[parent];
        lives[parent] = parts.iter().fold([first, ready, last], |[first, ready, last], &part| {
            let [part_first, part_ready, part_last] = lives[part];
            [first.min(part_first), ready.max(part_ready), last.max(part_last)]
        });
    }
    for &parent in parents.iter().rev() {
        for part in program.parts(parent) {
            lives[part][2] = lives[parent][2];
        }
    }
    lives
}
