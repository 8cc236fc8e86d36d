//! 3x3 convolution of stride 1 over one image by Winograd's F(2x2, 3x3): 16 products for four outputs, not 36.
//!
//! The map is cut into tiles of 2x2 outputs. A tile's 4x4 inputs and the 3x3 weights are transformed, multiplied
//! element by element and summed over the channels, which is 16 matrix products, and transformed back: Lavin and Gray,
//! "Fast Algorithms for Convolutional Neural Networks" (2015). The sums differ from the definition's by rounding only.

use kinglet::{Shape, Window};

use super::blocks::{Outer, Row, Segment, channel_blocks};
use super::real::Real;
use super::transforms::{PLANES, Run};
use super::{Back, Layer, Point, Scratch, Target, store};

/// Bytes of transformed inputs and products that are worked on at a time, so that they stay in L2 beside the weights.
const GROUP_BYTES: usize = 128 * 1024;

/// Elements between the planes of two products: without them, planes of a power of two would share a set of the cache.
const GAP: usize = 16;

/// Tiles that a matrix product needs to keep the adders busy.
const MIN_TILES: usize = 16;

/// A convolution of one shape, with its transformed weights.
#[derive(Debug)]
pub struct Winograd<T> {
    forward: Direction<T>,
    /// From output gradients to input gradients: a convolution too, with flipped, transposed weights.
    backward: Direction<T>,
    bias: Option<Vec<T>>,
}

/// One way through the convolution.
#[derive(Debug)]
struct Direction<T> {
    tiles: Tiles,
    /// `[plane][block][in][block width]`.
    weights: Vec<T>,
}

/// How a map is cut into tiles.
#[derive(Clone, Copy, Debug)]
struct Tiles {
    /// Height, width and channels.
    input: [usize; 3],
    output: [usize; 3],
    /// Rows and columns of padding before the first input, at most two.
    before: [usize; 2],
}

/// Rows of tiles that are worked on together.
#[derive(Clone, Copy, Debug)]
struct Group {
    first: usize,
    rows: usize,
}

/// Bytes of a cache line: vectors that lie in two of them take twice as long.
const LINE: usize = 64;

/// `len` elements of a buffer, from the start of a cache line on.
fn lines<T: Real>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    let room = LINE / size_of::<T>();
    buffer.resize(len + room, T::zero());
    let start = buffer.as_ptr().align_offset(LINE).min(room);
    &mut buffer[start..][..len]
}

/// Whether the transforms cost less than they save.
pub fn suits(window: Window, input: Shape, output: Shape) -> bool {
    let wide = |channels: u32| channels >= 16 && channels.is_multiple_of(8);
    let tiles = Tiles::new(input, output, [0, 0]);
    window.kernel == [3, 3]
        && window.stride == [1, 1]
        && window.before.iter().all(|before| *before <= 2)
        && wide(input.c)
        && wide(output.c)
        && tiles.rows() * tiles.columns() >= MIN_TILES
}

impl Tiles {
    fn new(input: Shape, output: Shape, before: [usize; 2]) -> Self {
        let [input, output] = [input, output].map(|s| [s.h, s.w, s.c].map(|extent| extent as usize));
        Self { input, output, before }
    }

    fn channels(&self) -> (usize, usize) {
        (self.input[2], self.output[2])
    }

    fn rows(&self) -> usize {
        self.output[0].div_ceil(2)
    }

    fn columns(&self) -> usize {
        self.output[1].div_ceil(2)
    }

    /// All rows, in groups of one size but for the last.
    fn groups<T>(self) -> impl Iterator<Item = Group> {
        let (cin, cout) = self.channels();
        let tiles = (GROUP_BYTES / (PLANES * (cin + cout) * size_of::<T>())).max(MIN_TILES);
        let most = (tiles / self.columns()).max(1);
        let rows = self.rows().div_ceil(self.rows().div_ceil(most));
        (0..self.rows()).step_by(rows).map(move |first| Group { first, rows: rows.min(self.rows() - first) })
    }

    /// A group's tiles, for maps of so many channels.
    fn run(&self, group: Group, channels: usize) -> Run {
        let tiles = group.rows * self.columns();
        Run { tiles, channels, plane: tiles * channels + GAP }
    }

    /// The planes of a group's inputs. `room` is for rows and for tiles at the map's ends.
    fn transform_input<T: Real>(&self, group: Group, x: &[T], planes: &mut [T], room: &mut Vec<T>) {
        let ([height, width, channels], [above, left], columns) = (self.input, self.before, self.columns());
        let run = self.run(group, channels);
        room.clear();
        room.resize((width + 16) * channels, T::zero());
        let (padding, patch) = room.split_at_mut(width * channels);
        // Tiles that see no padding to the left and to the right.
        let first = left.div_ceil(2).min(columns);
        let last = ((width + left).saturating_sub(2) / 2).clamp(first, columns);
        for row in 0..group.rows {
            let top = 2 * (group.first + row);
            let rows = [0, 1, 2, 3].map(|i| match (top + i).checked_sub(above) {
                Some(y) if y < height => &x[y * width * channels..][..width * channels],
                _ => &*padding,
            });
            let planes = &mut planes[row * columns * channels..];
            if first < last {
                let rows = rows.map(|row| &row[(2 * first - left) * channels..]);
                T::winograd_input(Run { tiles: last - first, ..run }, rows, &mut planes[first * channels..]);
            }
            for column in (0..first).chain(last..columns) {
                let skipped = left.saturating_sub(2 * column).min(4);
                let start = (2 * column).saturating_sub(left);
                let len = (4 - skipped).min(width.saturating_sub(start));
                patch.fill(T::zero());
                for (target, row) in patch.chunks_exact_mut(4 * channels).zip(rows) {
                    target[skipped * channels..][..len * channels]
                        .copy_from_slice(&row[start * channels..][..len * channels]);
                }
                let rows = [0, 1, 2, 3].map(|i| &patch[4 * i * channels..][..4 * channels]);
                T::winograd_input(Run { tiles: 1, ..run }, rows, &mut planes[column * channels..]);
            }
        }
    }

    /// The planes of a group's output gradients.
    fn transform_gradient<T: Real>(&self, group: Group, gradient: &[T], planes: &mut [T], room: &mut Vec<T>) {
        let ([height, width, channels], columns) = (self.output, self.columns());
        let (run, row_len) = (self.run(group, channels), width * channels);
        for row in 0..group.rows {
            let top = 2 * (group.first + row);
            let rows = &gradient[top * row_len..][..row_len * (height - top).min(2)];
            let (upper, lower) = if self.is_even() {
                rows.split_at(row_len)
            } else {
                room.clear();
                room.resize(4 * columns * channels, T::zero());
                for (target, row) in room.chunks_exact_mut(2 * columns * channels).zip(rows.chunks_exact(row_len)) {
                    target[..row_len].copy_from_slice(row);
                }
                room.split_at(2 * columns * channels)
            };
            let planes = &mut planes[row * columns * channels..];
            T::winograd_gradient(Run { tiles: columns, ..run }, [upper, lower], planes);
        }
    }

    /// The outputs of a group's products.
    fn transform_output<T: Real>(
        &self,
        group: Group,
        planes: &[T],
        out: &mut [T],
        accumulate: bool,
        room: &mut Vec<T>,
    ) {
        let ([height, width, channels], columns) = (self.output, self.columns());
        let row_len = width * channels;
        let run = Run { tiles: columns, ..self.run(group, channels) };
        for row in 0..group.rows {
            let top = 2 * (group.first + row);
            let rows = &mut out[top * row_len..][..row_len * (height - top).min(2)];
            let planes = &planes[row * columns * channels..];
            if self.is_even() {
                let (upper, lower) = rows.split_at_mut(row_len);
                T::winograd_output(run, planes, [upper, lower], accumulate);
                continue;
            }
            room.resize(4 * columns * channels, T::zero());
            let (upper, lower) = room.split_at_mut(2 * columns * channels);
            T::winograd_output(run, planes, [&mut *upper, &mut *lower], false);
            for (target, row) in rows.chunks_exact_mut(row_len).zip([upper, lower]) {
                target.iter_mut().zip(row).for_each(|(target, value)| store(target, *value, accumulate));
            }
        }
    }

    /// Whether tiles cover the map with none left over.
    fn is_even(&self) -> bool {
        self.output[0].is_multiple_of(2) && self.output[1].is_multiple_of(2)
    }
}

impl<T: Real> Winograd<T> {
    /// A convolution from `input` to `output`, which must [suit](suits).
    pub fn new(window: Window, input: Shape, output: Shape, bias: bool) -> Self {
        let before = window.before.map(|before| before as usize);
        let direction = |tiles| Direction { tiles, weights: Vec::new() };
        Self {
            forward: direction(Tiles::new(input, output, before)),
            backward: direction(Tiles::new(output, input, before.map(|before| 2 - before))),
            bias: bias.then(|| vec![T::zero(); output.c as usize]),
        }
    }
}

impl<T: Real> Direction<T> {
    /// Transforms weights; `tap(out, y, x, in)` is one.
    fn prepare(&mut self, tap: impl Fn(usize, usize, usize, usize) -> T) {
        let (cin, cout) = self.tiles.channels();
        self.weights.resize(PLANES * cin * cout, T::zero());
        let half = T::of(0.5);
        // G = [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1].
        let spread = |[a, b, c]: [T; 3]| [a, (a + b + c) * half, (a - b + c) * half, c];
        for (first, block) in channel_blocks(cout) {
            for co in first..first + block {
                for ci in 0..cin {
                    let rows = [0, 1, 2].map(|y| spread([0, 1, 2].map(|x| tap(co, y, x, ci))));
                    for x in [0, 1, 2, 3] {
                        for (y, value) in spread([0, 1, 2].map(|y| rows[y][x])).into_iter().enumerate() {
                            let plane = (4 * y + x) * cout + first;
                            self.weights[plane * cin + ci * block + co - first] = value;
                        }
                    }
                }
            }
        }
    }

    fn run(&self, x: &[T], out: &mut [T], accumulate: bool, scratch: &mut Scratch<T>) {
        let Scratch { a: inputs, b: products, rows, .. } = scratch;
        let (cin, cout) = self.tiles.channels();
        let segments = [Segment { x: 0, w: 0, len: cin }];
        for group in self.tiles.groups::<T>() {
            let (from, to) = (self.tiles.run(group, cin), self.tiles.run(group, cout));
            let inputs = lines(inputs, PLANES * from.plane);
            let products = lines(products, PLANES * to.plane);
            self.tiles.transform_input(group, x, inputs, rows);
            for plane in 0..PLANES {
                for (first, block) in channel_blocks(cout) {
                    let work = Row {
                        x: &inputs[plane * from.plane..],
                        x_step: cin,
                        w: &self.weights[(plane * cout + first) * cin..][..cin * block],
                        block,
                        segments: &segments,
                        pixels: from.tiles,
                        out_step: cout,
                        channels: block,
                        accumulate: false,
                    };
                    T::row(&work, &mut products[plane * to.plane + first..]);
                }
            }
            self.tiles.transform_output(group, products, out, accumulate, rows);
        }
    }
}

impl<T: Real> Layer<T> for Winograd<T> {
    fn prepare(&mut self, weights: &[Vec<T>], backward: bool) {
        let (cin, cout) = self.forward.tiles.channels();
        debug_assert_eq!(weights[0].len(), 9 * cin * cout);
        let tap = |co: usize, y: usize, x: usize, ci: usize| weights[0][((co * 3 + y) * 3 + x) * cin + ci];
        self.forward.prepare(tap);
        if backward {
            self.backward.prepare(|ci, y, x, co| tap(co, 2 - y, 2 - x, ci));
        }
        if let Some(bias) = &mut self.bias {
            bias.copy_from_slice(&weights[1]);
        }
    }

    fn forward(&self, point: &Point<'_, T>, out: &mut [T], scratch: &mut Scratch<T>) {
        self.forward.run(point.input(0), out, false, scratch);
        if let Some(bias) = &self.bias {
            for out in out.chunks_exact_mut(bias.len()) {
                out.iter_mut().zip(bias).for_each(|(out, b)| *out += *b);
            }
        }
    }

    fn input_gradient(&self, _which: usize, back: &Back<'_, T>, target: Target<'_, T>, scratch: &mut Scratch<T>) {
        self.backward.run(back.gradient, target.values, target.accumulate, scratch);
    }

    fn gradient_lens(&self) -> Vec<usize> {
        let (cin, cout) = self.forward.tiles.channels();
        let weight = PLANES * cin * cout;
        if self.bias.is_some() { vec![weight, cout] } else { vec![weight] }
    }

    fn weight_gradient(&self, back: &Back<'_, T>, sums: &mut [Vec<T>], scratch: &mut Scratch<T>) {
        let Scratch { a: inputs, b: gradients, rows, .. } = scratch;
        let tiles = self.forward.tiles;
        let (cin, cout) = tiles.channels();
        for group in tiles.groups::<T>() {
            let (from, to) = (tiles.run(group, cin), tiles.run(group, cout));
            let inputs = lines(inputs, PLANES * from.plane);
            let gradients = lines(gradients, PLANES * to.plane);
            tiles.transform_input(group, back.input(0), inputs, rows);
            tiles.transform_gradient(group, back.gradient, gradients, rows);
            for plane in 0..PLANES {
                for (first, block) in channel_blocks(cout) {
                    let work = Outer {
                        x: &inputs[plane * from.plane..],
                        x_row: 0,
                        x_step: cin,
                        y: &gradients[plane * to.plane + first..],
                        y_row: 0,
                        y_step: cout,
                        rows: 1,
                        pixels: from.tiles,
                        count: cin,
                        block,
                    };
                    T::outer(&work, &mut sums[0][(plane * cout + first) * cin..][..cin * block]);
                }
            }
        }
        if self.bias.is_some() {
            for gradient in back.gradient.chunks_exact(cout) {
                sums[1].iter_mut().zip(gradient).for_each(|(sum, g)| *sum += *g);
            }
        }
    }

    fn unpack_gradient(&self, sums: &[Vec<T>], gradients: &mut [Vec<T>]) {
        let (cin, cout) = self.forward.tiles.channels();
        let half = T::of(0.5);
        // G transposed.
        let gather = |[a, b, c, d]: [T; 4]| [a + (b + c) * half, (b - c) * half, d + (b + c) * half];
        for (first, block) in channel_blocks(cout) {
            for co in first..first + block {
                for ci in 0..cin {
                    let sum =
                        |y: usize, x: usize| sums[0][((4 * y + x) * cout + first) * cin + ci * block + co - first];
                    let rows = [0, 1, 2, 3].map(|y| gather([0, 1, 2, 3].map(|x| sum(y, x))));
                    for x in [0, 1, 2] {
                        for (y, value) in gather([0, 1, 2, 3].map(|y| rows[y][x])).into_iter().enumerate() {
                            gradients[0][((co * 3 + y) * 3 + x) * cin + ci] = value;
                        }
                    }
                }
            }
        }
        if self.bias.is_some() {
            gradients[1].copy_from_slice(&sums[1]);
        }
    }
}
