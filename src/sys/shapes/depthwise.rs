//! Shapes of depthwise convolutions.

/// Where the taps of a depthwise pixel lie, the same for all pixels of a row.
#[derive(Clone, Copy, Debug)]
pub struct TapGrid {
    row: usize,
    step: usize,
    kernel: [usize; 2],
    /// Bytes from tap (0, 0) to the last tap.
    reach: usize,
    /// Words of weights of four channels.
    words: usize,
}

impl TapGrid {
    /// Of `kernel` rows and columns, `row` bytes from row to row and `step` bytes from tap to tap.
    pub const fn new(kernel: [usize; 2], row: usize, step: usize) -> Self {
        let [rows, columns] = kernel;
        let reach = rows.saturating_sub(1).saturating_mul(row);
        let reach = reach.saturating_add(columns.saturating_sub(1).saturating_mul(step));
        let words = rows.saturating_mul(columns).saturating_mul(2);
        // A kernel without taps fits nowhere.
        Self { row, step, kernel, reach, words: if words == 0 { usize::MAX } else { words } }
    }

    /// Bytes from row to row.
    #[inline(always)]
    pub const fn row(&self) -> usize {
        self.row
    }

    /// Bytes from tap to tap.
    #[inline(always)]
    pub const fn step(&self) -> usize {
        self.step
    }

    /// Kernel rows and columns.
    #[inline(always)]
    pub const fn kernel(&self) -> [usize; 2] {
        self.kernel
    }
}

/// A pair of depthwise pixels.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Byte offset of tap (0, 0) of the first pixel.
    pub at: usize,
    /// Bytes from there to tap (0, 0) of the second pixel.
    pub second: usize,
    /// Bytes from the first output pixel to the second; 0 when both are the same.
    pub out: usize,
}

impl Pair {
    /// Whether all `taps` of `groups` groups of four channels lie within `src` bytes, their weights within `w` words, and
    /// the outputs within `out` bytes.
    #[inline(always)]
    pub const fn fits(&self, taps: &TapGrid, src: usize, w: usize, groups: usize, out: usize) -> bool {
        let channels = groups.saturating_mul(4);
        groups > 0
            && self.at.saturating_add(self.second).saturating_add(taps.reach).saturating_add(channels) <= src
            && taps.words.saturating_mul(groups) <= w
            && self.out.saturating_add(channels) <= out
    }
}

/// A map as lines of pixels: its rows, or its columns.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// Lines.
    pub lines: usize,
    /// Lines in memory: fewer in a line buffer.
    pub ring: usize,
    /// Bytes from line to line.
    pub line: usize,
    /// Pixels of a line.
    pub pixels: usize,
    /// Bytes from pixel to pixel.
    pub pixel: usize,
}

impl Grid {
    /// Where a line starts.
    pub const fn start(&self, line: usize) -> usize {
        let line = if line < self.ring || self.ring == 0 { line } else { line % self.ring };
        line.wrapping_mul(self.line)
    }

    /// Whether four channels of all pixels lie within `len` bytes.
    const fn fits(&self, len: usize) -> bool {
        let lines = if self.lines < self.ring { self.lines } else { self.ring };
        let [lines, pixels] = [lines.saturating_sub(1), self.pixels.saturating_sub(1)];
        let last = lines.saturating_mul(self.line).saturating_add(pixels.saturating_mul(self.pixel));
        self.ring > 0 && (self.lines == 0 || self.pixels == 0 || last.saturating_add(4) <= len)
    }
}

/// A depthwise 3x3 convolution by lines.
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    /// The input.
    pub input: Grid,
    /// The output.
    pub output: Grid,
    /// Across the lines, and along them: 1 or 2.
    pub stride: [usize; 2],
    /// Padding before the first line, and before the first pixel of a line.
    pub before: [usize; 2],
    /// What padding is.
    pub zero: i8,
}

/// Pairs of pixels of a line of the input that `outputs` outputs of a 3x3 kernel read.
pub const fn line_pairs(outputs: usize, stride: usize) -> usize {
    outputs.div_ceil(2).saturating_mul(stride).saturating_add(1)
}

impl Lines {
    /// Whether lines `from..to` of the output, of four channels, can be computed of `input` bytes, in `x` words, into `out` bytes.
    #[inline(always)]
    pub const fn fit(&self, x: usize, input: usize, out: usize, from: usize, to: usize) -> bool {
        let [across, along] = self.stride;
        across > 0
            && (along == 1 || along == 2)
            && from <= to
            && to <= self.output.lines
            && self.input.fits(input)
            && self.output.fits(out)
            && line_pairs(self.output.pixels, along).saturating_mul(12) <= x
    }

    /// The pairs of a line of the input in order: of padding, padding and a pixel (one or none), of pixels, a pixel and padding, of
    /// padding.
    pub const fn pairs(&self) -> [usize; 5] {
        const fn least(a: usize, b: usize) -> usize {
            if a < b { a } else { b }
        }
        let (all, before) = (line_pairs(self.output.pixels, self.stride[1]), self.before[1]);
        let padding = least(before / 2, all);
        let pixels = least(self.input.pixels, all.saturating_mul(2).saturating_sub(before));
        let left = least(before % 2, pixels);
        let (whole, right) = (pixels.wrapping_sub(left) / 2, pixels.wrapping_sub(left) % 2);
        [
            padding,
            left,
            whole,
            right,
            all.wrapping_sub(padding).wrapping_sub(left).wrapping_sub(whole).wrapping_sub(right),
        ]
    }
}
