//! Sliding windows: the only convolution arithmetic in Kinglet.
//!
//! The runtime's operators, the trainer's float layers, the planner and the importers all ask this file how
//! kernel, stride and padding map output positions to input positions. The rules are TensorFlow's:
//! output extent = floor((input + padding before + padding after - kernel) / stride) + 1.

use core::ops::Range;

/// A 2-D sliding window: kernel, stride, explicit padding. Pairs are `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Window {
    /// Kernel extent in taps, at least 1.
    pub kernel: [u32; 2],
    /// Step from one output position to the next, in input positions, at least 1.
    pub stride: [u32; 2],
    /// Padding before the first row and column, smaller than the kernel.
    pub before: [u32; 2],
    /// Padding after the last row and column, smaller than the kernel.
    pub after: [u32; 2],
}

/// How to pad when the numbers are not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Padding {
    /// No padding: only windows that lie within the input.
    Valid,
    /// TensorFlow's `SAME`: output extent = ceil(input / stride); the odd pixel of padding goes after.
    Same,
}

/// The part of a window that lies inside the input, along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taps {
    /// First tap that lies inside, `0..kernel`.
    pub tap: u32,
    /// The input position under that tap.
    pub start: u32,
    /// Number of taps inside; 0 when the window lies wholly in the padding.
    pub len: u32,
}

impl Window {
    /// The largest kernel extent and stride: windows are small, and this keeps products in 32 bits.
    pub const MAX_EXTENT: u32 = 1 << 12;

    /// A window with `padding` chosen for an input of `size` = `[h, w]`.
    ///
    /// ```
    /// use kinglet::{Padding, Window};
    /// let w = Window::new([3, 3], [2, 2], Padding::Same, [8, 8]);
    /// assert_eq!((w.before, w.after), ([0, 0], [1, 1]));
    /// assert_eq!(w.output([8, 8]), Some([4, 4]));
    /// ```
    pub const fn new(kernel: [u32; 2], stride: [u32; 2], padding: Padding, size: [u32; 2]) -> Self {
        let (mut before, mut after) = ([0; 2], [0; 2]);
        if matches!(padding, Padding::Same) {
            let mut axis = 0;
            while axis < 2 {
                let out = size[axis].div_ceil(if stride[axis] == 0 { 1 } else { stride[axis] });
                let reach = out.saturating_sub(1).saturating_mul(stride[axis]).saturating_add(kernel[axis]);
                let total = reach.saturating_sub(size[axis]);
                before[axis] = total / 2;
                after[axis] = total - total / 2;
                axis += 1;
            }
        }
        Self { kernel, stride, before, after }
    }

    /// The window that covers a whole input of `size` once: global pooling.
    pub const fn global(size: [u32; 2]) -> Self {
        Self { kernel: size, stride: [1, 1], before: [0, 0], after: [0, 0] }
    }

    /// A 1x1 window with stride 1, which touches every pixel once.
    pub const fn is_pointwise(&self) -> bool {
        self.kernel[0] == 1 && self.kernel[1] == 1 && self.stride[0] == 1 && self.stride[1] == 1 && !self.is_padded()
    }

    /// Whether any output position can touch padding.
    pub const fn is_padded(&self) -> bool {
        self.before[0] | self.before[1] | self.after[0] | self.after[1] != 0
    }

    /// Taps in the window.
    pub const fn taps_len(&self) -> u32 {
        self.kernel[0].saturating_mul(self.kernel[1])
    }

    /// Whether kernel and stride are in `1..=MAX_EXTENT` and the padding is smaller than the kernel.
    pub const fn is_valid(&self) -> bool {
        let mut axis = 0;
        while axis < 2 {
            let (k, s) = (self.kernel[axis], self.stride[axis]);
            if k == 0 || s == 0 || k > Self::MAX_EXTENT || s > Self::MAX_EXTENT {
                return false;
            }
            if self.before[axis] >= k || self.after[axis] >= k {
                return false;
            }
            axis += 1;
        }
        true
    }

    /// Output `[h, w]` for an input of `size` = `[h, w]`, or `None` when the window is not valid or does not fit.
    pub const fn output(&self, size: [u32; 2]) -> Option<[u32; 2]> {
        if !self.is_valid() {
            return None;
        }
        let mut out = [0; 2];
        let mut axis = 0;
        while axis < 2 {
            let padded = size[axis].saturating_add(self.before[axis]).saturating_add(self.after[axis]);
            if size[axis] == 0 || padded < self.kernel[axis] {
                return None;
            }
            // The stride is not 0, and `checked_div` spares the device the panic for that.
            match (padded - self.kernel[axis]).checked_div(self.stride[axis]) {
                Some(steps) => out[axis] = steps.saturating_add(1),
                None => return None,
            }
            axis += 1;
        }
        Some(out)
    }

    /// The input position under tap 0 of output position `at` along `axis` (0 vertical, 1 horizontal); negative
    /// in the padding.
    pub const fn origin(&self, axis: usize, at: u32) -> i32 {
        let axis = axis & 1;
        at.wrapping_mul(self.stride[axis]).wrapping_sub(self.before[axis]) as i32
    }

    /// The output positions along `axis` whose taps all lie inside an input of extent `size`.
    pub(crate) fn whole(&self, axis: usize, size: u32) -> Range<u32> {
        let axis = axis & 1;
        let (before, stride) = (self.before[axis], self.stride[axis].max(1));
        let last = size.saturating_add(before).checked_sub(self.kernel[axis]);
        before.div_ceil(stride)..last.map_or(0, |last| (last / stride).saturating_add(1))
    }

    /// The taps of output position `at` along `axis` that lie inside an input of extent `size`.
    pub const fn taps(&self, axis: usize, at: u32, size: u32) -> Taps {
        let axis = axis & 1;
        let origin = self.origin(axis, at) as i64;
        let first = if origin < 0 { -origin } else { 0 };
        let inside = size as i64 - origin;
        let end = if inside < self.kernel[axis] as i64 { inside } else { self.kernel[axis] as i64 };
        let len = if end > first { end - first } else { 0 };
        Taps { tap: first as u32, start: (origin + first) as u32, len: len as u32 }
    }
}

/// Which position of an input is nearest to a position of an output of another extent, along one axis. TensorFlow Lite's rules,
/// in single precision as there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nearest {
    /// Positions of the output.
    pub extent: u32,
    /// The first and the last positions fall on each other, and positions are rounded; else they are cut off.
    pub align_corners: bool,
    /// Positions are those of pixels' centers.
    pub half_pixel_centers: bool,
}

impl Nearest {
    /// The position in `0..input` for position `at` of the output; never falls when `at` rises.
    pub const fn source(self, at: u32, input: u32) -> u32 {
        let last = input.saturating_sub(1);
        let scale = if self.align_corners && self.extent > 1 {
            last as f32 / (self.extent - 1) as f32
        } else {
            input as f32 / self.extent as f32
        };
        let place = (at as f32 + if self.half_pixel_centers { 0.5 } else { 0.0 }) * scale;
        let whole = place as u32;
        let up = self.align_corners && place - whole as f32 >= 0.5;
        let source = whole.saturating_add(up as u32);
        if source < last { source } else { last }
    }
}

/// Where the positions of an output lie between those of an input of another extent, along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Between {
    /// From a position of the output to the next, in 2^-20 of an input's position.
    pub step: u32,
    /// Where the first lies, in the same unit.
    pub origin: i32,
}

impl Between {
    /// Bits of the fractions, which TensorFlow Lite's kernels of integers have.
    pub const BITS: u32 = 10;

    /// The position in `0..input` at or before position `at` of the output, and how far behind it that lies, in 2^-10; together
    /// they never fall when `at` rises. Before the first and behind the last position it is these.
    pub const fn source(self, at: u32, input: u32) -> (u32, u32) {
        let place = (at as i64).saturating_mul(self.step as i64).saturating_add(self.origin as i64) >> Self::BITS;
        let last = (input.saturating_sub(1) as i64) << Self::BITS;
        let place = if place < 0 {
            0
        } else if place > last {
            last
        } else {
            place
        };
        ((place >> Self::BITS) as u32, (place & ((1 << Self::BITS) - 1)) as u32)
    }
}

/// Which rows of an input an output row needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The same row; of an input of one row, which is spread over all, always that one.
    Same,
    /// Row `y * stride - before` and the `extent - 1` after it, as far as they exist.
    Window {
        /// From the first row for one output row to the first for the next.
        stride: u32,
        /// Rows of padding before the first.
        before: u32,
        /// Rows under the window.
        extent: u32,
    },
    /// The nearest row.
    Nearest(Nearest),
    /// The rows between which it lies, or the one on which it lies.
    Between(Between),
    /// Row `first + y / each * stride` and the `extent - 1` after it.
    Blocks {
        /// Output rows that need the same rows.
        each: u32,
        /// From the first row for some of these to the first for the next.
        stride: u32,
        /// The first row of all.
        first: u32,
        /// How many rows.
        extent: u32,
    },
}

impl Reach {
    /// The same row: elementwise operators.
    pub const POINT: Self = Self::Same;
    /// Every row.
    pub const WHOLE: Self = Self::Window { stride: 0, before: 0, extent: u32::MAX };

    /// The row shifted by `before`: padding.
    pub const fn shifted(before: u32) -> Self {
        Self::Window { stride: 1, before, extent: 1 }
    }

    /// The rows under a window.
    pub const fn of(window: &Window) -> Self {
        Self::Window { stride: window.stride[0], before: window.before[0], extent: window.kernel[0] }
    }

    /// Rows `start..end` of an input of `height` rows for output row `y`; empty ones keep their place in `0..=height`,
    /// so that neither bound ever falls when `y` rises.
    pub const fn rows(&self, y: u32, height: u32) -> (u32, u32) {
        let (start, end) = match *self {
            Self::Same if height == 1 => (0, 1),
            Self::Same => (y as u64, y as u64 + 1),
            Self::Window { stride, before, extent } => {
                let (origin, before) = (y as u64 * stride as u64, before as u64);
                (origin.saturating_sub(before), (origin + extent as u64).saturating_sub(before))
            }
            Self::Blocks { each, stride, first, extent } => {
                let block = match y.checked_div(each) {
                    Some(block) => block,
                    None => y,
                };
                let start = first as u64 + block as u64 * stride as u64;
                (start, start + extent as u64)
            }
            Self::Nearest(nearest) => {
                let row = nearest.source(y, height) as u64;
                (row, row + 1)
            }
            Self::Between(between) => {
                let (row, fraction) = between.source(y, height);
                (row as u64, row as u64 + if fraction == 0 { 1 } else { 2 })
            }
        };
        let height = height as u64;
        (
            if start < height { start as u32 } else { height as u32 },
            if end < height { end as u32 } else { height as u32 },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against the definition: walk every tap of every output position.
        #[test]
        fn taps_and_extent_match_the_definition(size in 1u32..20, k in 1u32..8, s in 1u32..5, b in 0u32..7, a in 0u32..7) {
            let (b, a) = (b.min(k - 1), a.min(k - 1));
            let w = Window { kernel: [k, 1], stride: [s, 1], before: [b, 0], after: [a, 0] };
            let mut positions = 0;
            while positions * s + k <= size + b + a {
                let inside: Vec<i64> = (0..k).filter(|t| {
                    let at = (positions * s + t) as i64 - b as i64;
                    (0..size as i64).contains(&at)
                }).map(i64::from).collect();
                let taps = w.taps(0, positions, size);
                prop_assert_eq!(taps.len as usize, inside.len());
                if let Some(&first) = inside.first() {
                    prop_assert_eq!(i64::from(taps.tap), first);
                    prop_assert_eq!(i64::from(taps.start), (positions * s) as i64 - b as i64 + first);
                }
                positions += 1;
            }
            prop_assert_eq!(w.output([size, 1]), (positions > 0).then_some([positions, 1]));
        }

        /// Rows of a resized map are needed in order, and every one of them is there.
        #[test]
        fn nearest_rows_never_fall(input in 1u32..40, extent in 1u32..40, align_corners: bool, half_pixel_centers: bool) {
            let reach = Reach::Nearest(Nearest { extent, align_corners, half_pixel_centers });
            let mut before = 0;
            for y in 0..extent {
                let (start, end) = reach.rows(y, input);
                prop_assert!(before <= start && end == start + 1 && end <= input);
                before = start;
            }
            let corners = align_corners && !half_pixel_centers && extent > 1;
            prop_assert!(!corners || (reach.rows(0, input).0, before) == (0, input - 1));
        }

        #[test]
        fn rows_between_never_fall(
            input in 1u32..40, extent in 1u32..40, step in prop_oneof![0u32..1 << 22, any::<u32>()], origin in any::<i32>(),
        ) {
            let reach = Reach::Between(Between { step, origin });
            let mut before = (0, 0);
            for y in 0..extent {
                let (start, end) = reach.rows(y, input);
                prop_assert!(before.0 <= start && before.1 <= end && start < end && end <= input && end - start <= 2);
                before = (start, end);
            }
        }

        #[test]
        fn whole_windows_have_all_their_taps(size in 1u32..20, k in 1u32..8, s in 1u32..5, before in 0u32..7, y in 0u32..30) {
            let before = [before.min(k - 1); 2];
            let w = Window { kernel: [k; 2], stride: [s; 2], before, after: [0; 2] };
            prop_assert_eq!(w.whole(0, size).contains(&y), w.taps(0, y, size).len == k);
        }

        #[test]
        fn same_padding_divides_and_rounds_up(size in 1u32..40, k in 1u32..8, s in 1u32..5) {
            let w = Window::new([k, k], [s, s], Padding::Same, [size, size]);
            prop_assert!(w.is_valid());
            prop_assert_eq!(w.output([size, size]), Some([size.div_ceil(s); 2]));
            prop_assert!(w.after[0] - w.before[0] <= 1);
        }
    }
}
