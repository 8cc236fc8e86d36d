//! Which steps run as a chain, row by row, and what that saves.
//!
//! The steps, in their order, are cut into segments: single steps, and chains whose inner tensors shrink to line
//! buffers. The peak of a segment depends only on the segment and on what lives across it, so a dynamic program over
//! the cuts finds the least peak, and among those the fewest calls. Rings and overlays are measured by running the
//! chain's schedule, the very one that the runtime follows.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

use kinglet::Reach;
use kinglet::chain::{Call, Chain, Input, Link, MAX_CHAIN};

use super::place::{ALIGN, Overlay};

/// What the cut needs to know of a tensor. Parts of a concatenation stand for themselves when they are read and
/// written, and for their parent tensor when bytes are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Rows.
    pub rows: u32,
    /// Bytes from row to row.
    pub row_bytes: u32,
    /// Bytes of the whole tensor.
    pub bytes: u32,
    /// The tensor whose bytes it lives in: itself, or the outermost parent tensor.
    pub root: usize,
    /// The tensors that a parent tensor consists of.
    pub parts: Vec<usize>,
    /// Whether it must exist as a whole: input, output, parents and parts.
    pub whole: bool,
}

/// What the cut needs to know of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its operands: the tensor, the rows it needs, and whether the output may lie exactly over it.
    pub inputs: Vec<(usize, Reach, bool)>,
    /// The tensor it writes.
    pub output: usize,
    /// Rows of a call.
    pub block: u32,
    /// Bytes of scratch.
    pub scratch: u32,
}

/// How far streaming may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Streaming {
    /// Every step by itself, residual additions too.
    Steps,
    /// Whole maps; residual additions take the rows of the convolution before them as they come, so that its output never exists.
    Off,
    /// Any chain.
    #[default]
    Full,
}

/// Steps that run at one time slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The steps.
    pub steps: Range<usize>,
    /// Line buffers: tensors that keep fewer rows than they have.
    pub kept: Vec<(usize, u32)>,
    /// Outputs that may lie over inputs that die here, in terms of tensors.
    pub overlays: Vec<Overlay>,
    /// Bytes alive while it runs, at least.
    pub peak: u32,
    /// Calls beyond one for each step.
    pub calls: u32,
}

/// A network in a fixed order of steps.
#[derive(Clone, Copy, Debug)]
pub struct Order<'p> {
    /// All tensors.
    pub values: &'p [Value],
    /// The steps in their order.
    pub steps: &'p [Step],
    /// The tensors that are there before the first step.
    pub given: &'p [usize],
    /// The tensors that last until the inference has ended.
    pub kept: &'p [usize],
}

/// Schedules that have been measured: a network is planned again and again with other algorithms, and most segments stay what they
/// were but for their scratch. By the tensors that a segment writes.
#[derive(Debug, Default)]
pub struct Measured(RefCell<HashMap<Vec<usize>, Vec<Schedule>>>);

/// The schedule of a segment, and what it depends on: its steps, without their scratch, and for each of their operands whether it is
/// there before the segment and whether it dies in it.
#[derive(Debug)]
struct Schedule {
    steps: Vec<Step>,
    lives: Vec<[bool; 2]>,
    run: Run,
}

impl Measured {
    /// The schedule that is known of a segment, or what `measure` finds.
    fn of(&self, order: &Order<'_>, lives: &[Life], steps: &Range<usize>, measure: impl FnOnce() -> Run) -> Run {
        let members = &order.steps[steps.clone()];
        let life = |value: usize| {
            let life = lives[value];
            [life.first.is_none_or(|first| first < steps.start), steps.contains(&life.last)]
        };
        let operands = members.iter().flat_map(|step| step.inputs.iter().map(|input| input.0).chain([step.output]));
        let lives: Vec<_> = operands.map(life).collect();
        let outputs: Vec<usize> = members.iter().map(|step| step.output).collect();
        let same = |known: &&Schedule| {
            let alike = |(a, b): (&Step, &Step)| a.inputs == b.inputs && a.output == b.output && a.block == b.block;
            known.lives == lives && known.steps.iter().zip(members).all(alike)
        };
        if let Some(known) = self.0.borrow().get(&outputs).and_then(|list| list.iter().find(same)) {
            return known.run.clone();
        }
        let run = measure();
        let known = Schedule { steps: members.to_vec(), lives, run: run.clone() };
        self.0.borrow_mut().entry(outputs).or_default().push(known);
        run
    }
}

/// The life of a root, in step numbers: written first by `first` (`None`: the caller), read last by `last`.
#[derive(Clone, Copy, Debug)]
struct Life {
    first: Option<usize>,
    last: usize,
}

impl Order<'_> {
    /// The steps that must have run before `value` can be read as a whole.
    pub fn writers_of(&self, value: usize) -> Vec<usize> {
        let direct = self.steps.iter().position(|step| step.output == value);
        direct.into_iter().chain(self.values[value].parts.iter().flat_map(|&part| self.writers_of(part))).collect()
    }

    /// The lives of all roots; tensors that are no roots have that of their root.
    fn lives(&self) -> Vec<Life> {
        let end = self.steps.len();
        let mut lives = vec![Life { first: Some(end), last: 0 }; self.values.len()];
        let root = |value: usize| self.values[value].root;
        for (index, step) in self.steps.iter().enumerate() {
            let output = &mut lives[root(step.output)];
            output.first = output.first.min(Some(index));
            output.last = output.last.max(index);
            for &(input, ..) in &step.inputs {
                lives[root(input)].last = index;
            }
        }
        self.given.iter().for_each(|&given| lives[root(given)].first = None);
        self.kept.iter().for_each(|&kept| lives[root(kept)].last = end);
        (0..self.values.len()).map(|value| lives[root(value)]).collect()
    }

    /// All ways to cut the steps into segments, of which those that are `measured` need no other look.
    pub fn cuts(&self, streaming: Streaming, measured: &Measured) -> Cuts {
        let candidates = self.candidates(&self.lives(), streaming, measured);
        let mut peaks: Vec<u32> = candidates.iter().map(|s| s.peak).collect();
        peaks.sort_unstable();
        peaks.dedup();
        let mut cuts = Cuts { candidates, peaks, end: self.steps.len() };
        // Below the least peak at which every step can be covered there is nothing.
        let least = cuts.peaks.partition_point(|&peak| cuts.within(peak).is_none());
        cuts.peaks.drain(..least);
        cuts
    }

    /// Every segment that could be run, by first step.
    fn candidates(&self, lives: &[Life], streaming: Streaming, measured: &Measured) -> Vec<Segment> {
        let mut found = Vec::new();
        let across = Across::new(self, lives);
        let segment = |steps: Range<usize>, overlaid| {
            let run = measured.of(self, lives, &steps, || self.run(lives, &steps));
            self.segment(&across, run, steps, overlaid)
        };
        for start in 0..self.steps.len() {
            found.push(segment(start..start + 1, false));
            if streaming == Streaming::Full {
                found.push(segment(start..start + 1, true));
            }
            let longest = match streaming {
                Streaming::Steps => 1,
                Streaming::Off => 2,
                Streaming::Full => MAX_CHAIN,
            };
            for end in start + 2..=(start + longest).min(self.steps.len()) {
                if !self.can_chain(start..end) {
                    break;
                }
                if streaming == Streaming::Full || self.is_epilogue(end - 1) {
                    found.push(segment(start..end, true));
                }
            }
        }
        found
    }

    /// Whether the last of two steps takes the other's rows one by one and writes over another tensor in place.
    fn is_epilogue(&self, last: usize) -> bool {
        let step = &self.steps[last];
        let takes =
            |&(value, reach, _): &(usize, Reach, bool)| value == self.steps[last - 1].output && reach == Reach::POINT;
        step.inputs.len() == 2 && step.inputs.iter().any(takes) && step.inputs.iter().all(|&(.., in_place)| in_place)
    }

    /// Whether the last step of a range may join the others: it reads no parent tensor that they write parts of, writes
    /// no part of one that they read, and needs something that one of them writes row by row.
    fn can_chain(&self, steps: Range<usize>) -> bool {
        let written: Vec<usize> = self.steps[steps.start..steps.end - 1].iter().map(|step| step.output).collect();
        let last = &self.steps[steps.end - 1];
        let roots: Vec<usize> = written.iter().map(|&value| self.values[value].root).collect();
        let own_root = self.values[last.output].root;
        let mut read = self.steps[steps.start..steps.end - 1].iter().flat_map(|step| &step.inputs);
        if read.any(|&(input, ..)| !written.contains(&input) && self.values[input].root == own_root) {
            return false;
        }
        last.inputs.iter().all(|&(input, reach, _)| {
            let direct = written.contains(&input);
            let through_root = roots.contains(&self.values[input].root);
            (direct && reach != Reach::WHOLE) || !through_root
        })
    }

    /// Measures a segment; `overlaid` lets outputs lie over inputs row by row, beyond plain in-place.
    fn segment(&self, across: &Across, run: Run, steps: Range<usize>, overlaid: bool) -> Segment {
        let alone = steps.len() == 1;
        let overlays: Vec<Overlay> = run
            .overlays
            .iter()
            .map(|o| if overlaid { *o } else { Overlay { reach: -i64::from(u32::MAX), ..*o } })
            .filter(|o| o.in_place || o.reach > -i64::from(self.values[o.over].bytes))
            .collect();
        let calls = if alone && !overlaid { 0 } else { run.calls - steps.len() as u32 };
        let peak = self.peak(across, &steps, &run.kept, &overlays);
        Segment { steps, kept: run.kept, overlays, peak, calls }
    }

    /// Bytes alive while a segment runs: everything that lives across it, what it writes, its scratch, less what
    /// overlays save.
    fn peak(&self, across: &Across, steps: &Range<usize>, kept: &[(usize, u32)], overlays: &[Overlay]) -> u32 {
        let bytes = |value: usize| {
            let line = kept.iter().find(|&&(of, _)| of == value);
            line.map_or(self.values[value].bytes, |&(_, rows)| rows * self.values[value].row_bytes)
        };
        // Line buffers are written here, and so alive as the whole of them would be.
        let spared: u64 = kept.iter().map(|&(of, _)| aligned(self.values[of].bytes) - aligned(bytes(of))).sum();
        let sum = across.alive(steps) - spared;
        let scratch = self.steps[steps.clone()].iter().map(|step| aligned(step.scratch)).max().unwrap_or(0);
        // Each tensor takes part in one overlay.
        let mut taken = Vec::new();
        let mut saved = 0;
        for overlay in overlays {
            if !taken.contains(&overlay.under) && !taken.contains(&overlay.over) {
                taken.extend([overlay.under, overlay.over]);
                saved += overlay.saves(bytes(overlay.under), bytes(overlay.over));
            }
        }
        u32::try_from(sum + scratch - saved.max(0) as u64).unwrap_or(u32::MAX)
    }

    /// Runs the schedule of a segment, first with whole tensors to see how many rows are needed at a time, then with line
    /// buffers of those to see what may lie over what.
    fn run(&self, lives: &[Life], steps: &Range<usize>) -> Run {
        let members = &self.steps[steps.clone()];
        let mut needed = vec![0; members.len()];
        let mut calls = 0;
        self.schedule(members, &[], |chain, call| {
            calls += 1;
            let from = chain.needed_from(call.link).min(call.start);
            needed[call.link] = needed[call.link].max(call.end - from);
        });
        // A single step has no reader in its segment that could take its rows.
        let inner = |value: usize| members.len() > 1 && !self.values[value].whole && steps.contains(&lives[value].last);
        let kept: Vec<(usize, u32)> = members
            .iter()
            .zip(needed)
            .map(|(step, rows)| (step.output, rows.next_multiple_of(step.block.max(1))))
            .filter(|&(value, rows)| inner(value) && rows < self.values[value].rows)
            .collect();
        let overlays = self.overlays_in(lives, steps, &kept);
        Run { kept, overlays, calls }
    }

    /// What may lie over what while `steps` run row by row, the line buffers among their outputs being `kept`.
    pub fn overlays(&self, steps: &Range<usize>, kept: &[(usize, u32)]) -> Vec<Overlay> {
        self.overlays_in(&self.lives(), steps, kept)
    }

    fn overlays_in(&self, lives: &[Life], steps: &Range<usize>, kept: &[(usize, u32)]) -> Vec<Overlay> {
        let members = &self.steps[steps.clone()];
        let mut overlays = self.pairs(lives, steps, kept);
        self.schedule(members, kept, |chain, call| {
            let output = members[call.link].output;
            for overlay in overlays.iter_mut().filter(|o| o.over == output) {
                self.restrict(overlay, members, kept, chain, call);
            }
        });
        overlays
    }

    /// Calls `each` before every call of a segment.
    fn schedule(&self, members: &[Step], kept: &[(usize, u32)], mut each: impl FnMut(&Chain, Call)) {
        let producer = |value: usize| members.iter().position(|step| step.output == value).map(|link| link as u8);
        let mut chain = Chain::new();
        for (index, step) in members.iter().enumerate() {
            let mut inputs = [Input::NONE; 2];
            for (slot, &(value, reach, _)) in inputs.iter_mut().zip(&step.inputs) {
                let producer = producer(value).filter(|&link| usize::from(link) < index);
                *slot = Input { producer, height: self.values[value].rows, reach };
            }
            let height = self.values[step.output].rows;
            let kept = rows_kept(kept, step.output).unwrap_or(height);
            chain.push(Link { height, kept, block: step.block.max(1), done: 0, inputs });
        }
        while let Some(call) = chain.next() {
            each(&chain, call);
            chain.advance(call);
        }
    }

    /// Outputs that might lie over inputs that die in the segment and are complete before it: both roots, so that their bytes
    /// are theirs alone.
    fn pairs(&self, lives: &[Life], steps: &Range<usize>, kept: &[(usize, u32)]) -> Vec<Overlay> {
        let members = &self.steps[steps.clone()];
        let root = |value: usize| self.values[value].root;
        let read = members.iter().flat_map(|step| &step.inputs).map(|input| root(input.0));
        let mut under: Vec<usize> = read.collect();
        under.sort_unstable();
        under.dedup();
        under.retain(|&value| {
            let life = lives[value];
            let complete = members.iter().all(|step| root(step.output) != value);
            complete && steps.contains(&life.last) && life.first.is_none_or(|first| first < steps.start)
        });
        let over = members.iter().map(|step| step.output).filter(|&value| root(value) == value);
        over.flat_map(|over| under.iter().map(move |&under| (under, over)))
            .map(|(under, over)| {
                let in_place = self.same_geometry(under, over) && rows_kept(kept, over).is_none();
                Overlay { under, over, reach: i64::from(u32::MAX), in_place }
            })
            .collect()
    }

    /// Takes from an overlay what `call`, which writes the upper of both, does not allow.
    fn restrict(&self, overlay: &mut Overlay, members: &[Step], kept: &[(usize, u32)], chain: &Chain, call: Call) {
        let rows = self.values[overlay.under].rows;
        let (mut strict, mut in_place) = (rows, rows);
        for (index, (step, link)) in members.iter().zip((0..).map_while(|i| chain.link(i))).enumerate() {
            let is_under = |value: usize| self.values[value].root == overlay.under;
            let twice = step.inputs.iter().filter(|input| is_under(input.0)).count() > 1;
            for (operand, &(value, _, may_lie_over)) in step.inputs.iter().enumerate() {
                if !is_under(value) {
                    continue;
                }
                let own = index == call.link;
                let from = link.needs_from(operand, if own { call.start } else { link.done });
                strict = strict.min(from);
                let spared = own && may_lie_over && !twice && value == overlay.under;
                in_place = in_place.min(if spared { link.needs_from(operand, call.end) } else { from });
            }
        }
        let row_bytes = |value: usize| i64::from(self.values[value].row_bytes);
        // Blocks of rows do not wrap around the end of a line buffer.
        let end = rows_kept(kept, overlay.over).map_or(call.end, |kept| call.start % kept + call.end - call.start);
        let written = i64::from(end) * row_bytes(overlay.over);
        let needed = |row: u32| i64::from(row) * row_bytes(overlay.under);
        if strict < rows {
            overlay.reach = overlay.reach.min(needed(strict) - written);
        }
        overlay.in_place &= in_place >= rows || needed(in_place) >= written;
    }

    /// Whether two tensors have the same rows and bytes, so that one can lie exactly over the other.
    fn same_geometry(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.values[a], &self.values[b]);
        a.bytes == b.bytes
    }
}

fn aligned(bytes: u32) -> u64 {
    bytes.next_multiple_of(ALIGN).into()
}

/// Bytes of whole tensors alive, for every range of steps at once.
struct Across {
    /// Of tensors that are there before each step, dead ones included, or come to be at the one before it.
    begun: Vec<u64>,
    /// Of tensors that have died before each step.
    ended: Vec<u64>,
}

impl Across {
    fn new(order: &Order<'_>, lives: &[Life]) -> Self {
        let end = order.steps.len() + 2;
        let (mut begun, mut ended) = (vec![0; end], vec![0; end]);
        for (value, life) in lives.iter().enumerate().filter(|&(value, _)| order.values[value].root == value) {
            let bytes = aligned(order.values[value].bytes);
            let first = life.first.map_or(0, |first| first + 1);
            // What is written after it is read last lives nowhere.
            begun[first] += bytes;
            ended[(life.last + 1).max(first)] += bytes;
        }
        for at in 1..end {
            begun[at] += begun[at - 1];
            ended[at] += ended[at - 1];
        }
        Self { begun, ended }
    }

    fn alive(&self, steps: &Range<usize>) -> u64 {
        self.begun[steps.end] - self.ended[steps.start]
    }
}

/// The rows that `value` keeps if it is a line buffer.
fn rows_kept(kept: &[(usize, u32)], value: usize) -> Option<u32> {
    kept.iter().find(|&&(of, _)| of == value).map(|&(_, rows)| rows)
}

/// All segments that could be run, and which peaks a cover of them can have.
pub struct Cuts {
    /// By first step.
    candidates: Vec<Segment>,
    /// Peaks of segments, rising, from the least that a cover can have.
    pub peaks: Vec<u32>,
    end: usize,
}

impl Cuts {
    /// The cover with the fewest calls whose segments all stay within `peak` bytes.
    pub fn within(&self, peak: u32) -> Option<Vec<Segment>> {
        let mut best: Vec<Option<(u32, usize)>> = vec![None; self.end + 1];
        best[0] = Some((0, usize::MAX));
        // Candidates come in the order of their first step, so every prefix is settled before it is built on.
        for (index, segment) in self.candidates.iter().enumerate().filter(|(_, segment)| segment.peak <= peak) {
            if let Some((calls, _)) = best[segment.steps.start] {
                let calls = calls + segment.calls;
                let slot = &mut best[segment.steps.end];
                if slot.is_none_or(|(known, _)| calls < known) {
                    *slot = Some((calls, index));
                }
            }
        }
        let mut cover = Vec::new();
        let mut at = self.end;
        while at > 0 {
            let segment = &self.candidates[best[at]?.1];
            at = segment.steps.start;
            cover.push(segment.clone());
        }
        cover.reverse();
        Some(cover)
    }
}

impl Cuts {
    /// The least peak that a cover has.
    pub fn least(&self) -> u32 {
        self.peaks.first().copied().unwrap_or(0)
    }

    /// Segments that exceed `budget` bytes and that no cover can do without: for each step that is in no segment within the
    /// budget, the one with the least peak; if each step is in one, the highest of the cover with the least peak.
    pub fn too_full(&self, budget: u32) -> Vec<&Segment> {
        let mut least: Vec<Option<&Segment>> = vec![None; self.end];
        for segment in &self.candidates {
            for best in &mut least[segment.steps.clone()] {
                if best.is_none_or(|best| segment.peak < best.peak) {
                    *best = Some(segment);
                }
            }
        }
        let full: Vec<&Segment> = least.into_iter().flatten().filter(|segment| segment.peak > budget).collect();
        if !full.is_empty() {
            return full;
        }
        let is_highest = |segment: &&Segment| segment.peak == self.least() && segment.peak > budget;
        self.candidates.iter().filter(is_highest).collect()
    }
}

/// What a segment's schedule needs.
#[derive(Clone, Debug)]
struct Run {
    kept: Vec<(usize, u32)>,
    overlays: Vec<Overlay>,
    calls: u32,
}
