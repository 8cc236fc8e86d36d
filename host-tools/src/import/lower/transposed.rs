//! Transposed convolution: a convolution, and its channels as blocks of pixels.
//!
//! Pixel `y` of the output sees those pixels of the input from which it is a tap away: `y = input * stride + tap - before`. All
//! pixels of a block of `stride x stride` see the same few, each through taps of its own. So they are channels of one
//! convolution of stride 1; where a pixel has no tap its weight is zero, which adds exactly nothing.

use kinglet::{Shape, Window};

use super::super::draft::Draft;
use super::super::problem::{Refusal, refuse};
use super::super::source::{Bias, Filter, Numbers, Output, Transposed};
use crate::graph::{NodeId, Op, Rearrange, Strided};

/// One axis of the convolution.
struct Axis {
    before: u32,
    after: u32,
    /// For each pixel of a block the tap of the file's filter under each of ours, if there is one.
    taps: Vec<Vec<Option<u32>>>,
}

impl Transposed {
    fn axis(&self, axis: usize, input: u32) -> Axis {
        let [kernel, stride, before, size] =
            [self.kernel, self.stride, self.before, self.size].map(|pair| i64::from(pair[axis]));
        // Of pixel `at` of a block, the tap that lies on the input's pixel `offset` after the block.
        let tap = |at: i64, offset: i64| Some(at + before - offset * stride).filter(|tap| (0..kernel).contains(tap));
        let last = (stride - 1 + before) / stride;
        let first = -((kernel - 1 - before).max(0) / stride);
        let taps = (0..stride).map(|at| (first..=last).map(|offset| tap(at, offset).map(|tap| tap as u32)).collect());
        let after = (size + stride - 1) / stride - i64::from(input) + last;
        Axis { before: -first as u32, after: after.max(0) as u32, taps: taps.collect() }
    }
}

impl Draft {
    /// Weights are `[out][kernel row][kernel column][in]`.
    pub(super) fn transposed(
        &mut self,
        input: NodeId,
        given: Transposed,
        filter: Filter,
        output: Output,
    ) -> Result<NodeId, Refusal> {
        let Shape { h, w, c } = self.shape(input);
        let outputs = filter.bias.len();
        let each = given.kernel[0] as usize * given.kernel[1] as usize * c as usize;
        if outputs == 0 || filter.weights.len() != outputs * each {
            return refuse(
                format!("{} weights for {outputs} channels", filter.weights.len()),
                "the file contradicts itself",
            );
        }
        let axes = [given.axis(0, h), given.axis(1, w)];
        let [rows, columns] = [&axes[0].taps, &axes[1].taps];
        let taps = |rows: &[Vec<_>]| rows.iter().map(Vec::len).sum::<usize>();
        self.spend(taps(rows).saturating_mul(taps(columns)).saturating_mul(outputs).saturating_mul(c as usize))?;
        // The first weight of each run of `c`, in our order.
        let mut runs = Vec::new();
        for (row, column) in rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column))) {
            for out in 0..outputs {
                for (y, x) in row.iter().flat_map(|y| column.iter().map(move |x| (y, x))) {
                    let tap = y.zip(*x).map(|(y, x)| (y * given.kernel[1] + x) as usize);
                    runs.push(tap.map(|tap| out * each + tap * c as usize));
                }
            }
        }
        let blocks = rows.len() * columns.len();
        let weights = match filter.weights {
            Numbers::Reals(reals) => Numbers::Reals(gathered(&reals, &runs, c as usize)),
            Numbers::Integers { values, scales } => {
                let scales = if scales.len() == 1 { scales } else { scales.repeat(blocks) };
                Numbers::Integers { values: gathered(&values, &runs, c as usize), scales }
            }
            Numbers::Unsigned { values, scale } => {
                Numbers::Unsigned { values: gathered(&values, &runs, c as usize), scale }
            }
        };
        let bias = match filter.bias {
            Bias::Reals(bias) => Bias::Reals(bias.repeat(blocks)),
            // Sums of int16 activations have 64 bits here whatever the bias has.
            Bias::Integers(bias, _) => Bias::Integers(bias.repeat(blocks), true),
        };
        let kernel = [rows, columns].map(|taps| taps.first().map_or(0, Vec::len) as u32);
        let [before, after] = [axes.each_ref().map(|axis| axis.before), axes.each_ref().map(|axis| axis.after)];
        let window = Window { kernel, stride: [1, 1], before, after };
        let (input, window) = self.inside(input, window)?;
        let op = |weights| Op::Conv2d { window, weights };
        let mut at = self.weighted(input, Filter { weights, bias }, output, false, op)?;
        if given.stride != [1, 1] {
            let strided = Strided::DepthToSpace { block: given.stride, channels_first: false };
            at = self.push(Op::Rearrange(Rearrange::Strided(strided)), &[at], self.elements(at))?;
        }
        let [h, w] = given.size;
        let whole = self.shape(at);
        if whole.same(Shape { h, w, ..whole }) {
            Ok(at)
        } else {
            self.part(at, [[0; 3], [h, w, whole.c], [1; 3]], self.elements(at).into())
        }
    }
}

/// Runs of `len` numbers, zeros where there is none.
fn gathered<T: Copy + Default>(numbers: &[T], runs: &[Option<usize>], len: usize) -> Vec<T> {
    let zeros = vec![T::default(); len];
    runs.iter().flat_map(|run| run.map_or(&zeros[..], |first| &numbers[first..][..len])).copied().collect()
}
