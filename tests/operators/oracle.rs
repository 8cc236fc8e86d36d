//! TensorFlow Lite's definitions of the operators, as naively as they can be written.
//!
//! Nothing here is shared with the runtime: padding is skipped, not filled; zero points are subtracted, not folded;
//! sums are 64 bits wide and cut to 32 where TensorFlow Lite has 32.

/// An `h x w x c` map of integers with their scale and zero point.
#[derive(Clone, Debug)]
pub struct Map {
    pub shape: [usize; 3],
    pub scale: f32,
    pub zero_point: i32,
    pub data: Vec<i8>,
}

impl Map {
    pub fn at(&self, y: usize, x: usize, c: usize) -> i64 {
        let [_, w, channels] = self.shape;
        i64::from(self.data[(y * w + x) * channels + c])
    }
}

/// A window as `[vertical, horizontal]` pairs.
#[derive(Clone, Copy, Debug)]
pub struct Taps {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub before: [usize; 2],
    pub after: [usize; 2],
}

impl Taps {
    /// Output height and width, `None` when the window does not fit.
    pub fn output(&self, input: &Map) -> Option<[usize; 2]> {
        let extent = |axis: usize| {
            let padded = input.shape[axis] + self.before[axis] + self.after[axis];
            Some(padded.checked_sub(self.kernel[axis])? / self.stride[axis] + 1)
        };
        Some([extent(0)?, extent(1)?])
    }

    /// Every tap of output position `(y, x)` that lies in the input, as `(kernel position, input position)`.
    pub fn inside(&self, input: &Map, y: usize, x: usize) -> Vec<([usize; 2], [usize; 2])> {
        let mut found = Vec::new();
        for i in 0..self.kernel[0] {
            for j in 0..self.kernel[1] {
                let (row, column) = (y * self.stride[0] + i, x * self.stride[1] + j);
                let rows = self.before[0]..self.before[0] + input.shape[0];
                let columns = self.before[1]..self.before[1] + input.shape[1];
                if rows.contains(&row) && columns.contains(&column) {
                    found.push(([i, j], [row - self.before[0], column - self.before[1]]));
                }
            }
        }
        found
    }
}

/// gemmlowp's `SaturatingRoundingDoublingHighMul`, with its truncating division.
pub fn high_mul(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    let product = i64::from(a) * i64::from(b);
    let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
    ((product + nudge) / (1 << 31)) as i32
}

/// gemmlowp's `RoundingDivideByPOT`: half away from zero.
pub fn divide_by_pot(x: i32, exponent: i32) -> i32 {
    let (x, divisor) = (i64::from(x), 1i64 << exponent);
    ((2 * x.abs() + divisor) / (2 * divisor) * x.signum()) as i32
}

/// A multiplier and its shift.
pub type Factor = (i32, i32);

/// `MultiplyByQuantizedMultiplier`, rounding twice or once.
pub fn scaled(x: i32, (multiplier, shift): Factor, twice: bool) -> i32 {
    if twice {
        let shifted = (i64::from(x) << shift.max(0)) as i32;
        divide_by_pot(high_mul(shifted, multiplier), (-shift).max(0))
    } else {
        let divisor = 1i128 << (31 - shift);
        (i128::from(x) * i128::from(multiplier) + divisor / 2).div_euclid(divisor) as i32
    }
}

/// `QuantizeMultiplier`, with `frexp` by repeated halving and doubling.
pub fn factor(real: f64) -> Factor {
    let (mut mantissa, mut shift) = (real, 0);
    while mantissa >= 1.0 {
        mantissa /= 2.0;
        shift += 1;
    }
    while mantissa != 0.0 && mantissa < 0.5 {
        mantissa *= 2.0;
        shift -= 1;
    }
    let mut multiplier = (mantissa * 2f64.powi(31)).round() as i64;
    if multiplier == 1 << 31 {
        multiplier /= 2;
        shift += 1;
    }
    if shift < -31 {
        (0, 0)
    } else if shift > 30 {
        (i32::MAX, 30)
    } else {
        (multiplier as i32, shift)
    }
}

/// What turns sums into outputs.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub zero_point: i32,
    pub twice: bool,
    pub min: i32,
    pub max: i32,
}

impl Output {
    fn of(&self, sum: i64, factor: Factor) -> i8 {
        let value = scaled(sum as i32, factor, self.twice).wrapping_add(self.zero_point);
        value.clamp(self.min, self.max) as i8
    }
}

/// CONV_2D; weights `[output channel][kernel row][kernel column][input channel]`.
pub fn conv<W: Copy + Into<i64>>(
    input: &Map,
    taps: &Taps,
    weights: &[W],
    channels: &[(i32, Factor)],
    output: &Output,
) -> Vec<i8> {
    let [h, w] = taps.output(input).unwrap();
    let inputs = input.shape[2];
    let mut out = Vec::new();
    for y in 0..h {
        for x in 0..w {
            for (channel, &(bias, factor)) in channels.iter().enumerate() {
                let mut sum = i64::from(bias);
                for ([i, j], [row, column]) in taps.inside(input, y, x) {
                    for c in 0..inputs {
                        let index = ((channel * taps.kernel[0] + i) * taps.kernel[1] + j) * inputs + c;
                        sum += weights[index].into() * (input.at(row, column, c) - i64::from(input.zero_point));
                    }
                }
                out.push(output.of(sum, factor));
            }
        }
    }
    out
}

/// DEPTHWISE_CONV_2D; weights `[kernel row][kernel column][output channel]`.
pub fn depthwise<W: Copy + Into<i64>>(
    input: &Map,
    taps: &Taps,
    weights: &[W],
    channels: &[(i32, Factor)],
    output: &Output,
) -> Vec<i8> {
    let [h, w] = taps.output(input).unwrap();
    let multiplier = channels.len() / input.shape[2];
    let mut out = Vec::new();
    for y in 0..h {
        for x in 0..w {
            for (channel, &(bias, factor)) in channels.iter().enumerate() {
                let mut sum = i64::from(bias);
                for ([i, j], [row, column]) in taps.inside(input, y, x) {
                    let weight = weights[(i * taps.kernel[1] + j) * channels.len() + channel];
                    let x = input.at(row, column, channel / multiplier) - i64::from(input.zero_point);
                    sum += weight.into() * x;
                }
                out.push(output.of(sum, factor));
            }
        }
    }
    out
}

/// FULLY_CONNECTED; weights `[unit][input element]`.
pub fn dense<W: Copy + Into<i64>>(input: &Map, weights: &[W], channels: &[(i32, Factor)], output: &Output) -> Vec<i8> {
    let unit = |(unit, &(bias, factor)): (usize, &(i32, Factor))| {
        let mut sum = i64::from(bias);
        for (i, &x) in input.data.iter().enumerate() {
            sum += weights[unit * input.data.len() + i].into() * (i64::from(x) - i64::from(input.zero_point));
        }
        output.of(sum, factor)
    };
    channels.iter().enumerate().map(unit).collect()
}

/// AVERAGE_POOL_2D or, when `largest`, MAX_POOL_2D.
pub fn pool(input: &Map, taps: &Taps, largest: bool, min: i32, max: i32) -> Vec<i8> {
    let [h, w] = taps.output(input).unwrap();
    let mut out = Vec::new();
    for y in 0..h {
        for x in 0..w {
            for c in 0..input.shape[2] {
                let values: Vec<i64> =
                    taps.inside(input, y, x).iter().map(|(_, [row, column])| input.at(*row, *column, c)).collect();
                let (sum, count) = (values.iter().sum::<i64>(), values.len() as i64);
                let value = if largest {
                    *values.iter().max().unwrap()
                } else if sum > 0 {
                    (sum + count / 2) / count
                } else {
                    (sum - count / 2) / count
                };
                out.push(value.clamp(min.into(), max.into()) as i8);
            }
        }
    }
    out
}

/// MEAN over height and width.
pub fn mean(input: &Map, output: &Output, output_scale: f32) -> Vec<i8> {
    let [h, w, channels] = input.shape;
    let count = (h * w) as i64;
    let (mut multiplier, mut shift) = factor(f64::from(input.scale) / f64::from(output_scale));
    let keep = (63 - (count as u64).leading_zeros() as i32).min(32).min(31 + shift);
    multiplier = ((i64::from(multiplier) << keep) / count) as i32;
    shift -= keep;
    let sum = |c| (0..h * w).map(|pixel| i64::from(input.data[pixel * channels + c])).sum::<i64>();
    (0..channels).map(|c| output.of(sum(c) - i64::from(input.zero_point) * count, (multiplier, shift))).collect()
}

/// ADD.
pub fn add(a: &Map, b: &Map, output: &Output, output_scale: f32) -> Vec<i8> {
    let twice_larger = 2.0 * f64::from(a.scale.max(b.scale));
    let factors = [a, b].map(|map| factor(f64::from(map.scale) / twice_larger));
    let output_factor = factor(twice_larger / (f64::from(1 << 20) * f64::from(output_scale)));
    let term = |map: &Map, x: i8, factor| scaled((i32::from(x) - map.zero_point) * (1 << 20), factor, output.twice);
    let sum = |(&x, &y)| i64::from(term(a, x, factors[0])) + i64::from(term(b, y, factors[1]));
    a.data.iter().zip(&b.data).map(|pair| output.of(sum(pair), output_factor)).collect()
}

/// SUB: as ADD, but for the factors, which are computed in single precision.
pub fn sub(a: &Map, b: &Map, output: &Output, output_scale: f32) -> Vec<i8> {
    let twice_larger = 2.0 * a.scale.max(b.scale);
    let factors = [a, b].map(|map| factor(f64::from(map.scale / twice_larger)));
    let output_factor = factor(f64::from(twice_larger / ((1 << 20) as f32 * output_scale)));
    let term = |map: &Map, x: i8, factor| scaled((i32::from(x) - map.zero_point) * (1 << 20), factor, output.twice);
    let difference = |(&x, &y)| i64::from(term(a, x, factors[0])) - i64::from(term(b, y, factors[1]));
    a.data.iter().zip(&b.data).map(|pair| output.of(difference(pair), output_factor)).collect()
}

/// MUL.
pub fn mul(a: &Map, b: &Map, output: &Output, output_scale: f32) -> Vec<i8> {
    let factor = factor(f64::from(a.scale) * f64::from(b.scale) / f64::from(output_scale));
    let product = |(&x, &y)| i64::from((i32::from(x) - a.zero_point) * (i32::from(y) - b.zero_point));
    a.data.iter().zip(&b.data).map(|pair| output.of(product(pair), factor)).collect()
}

pub fn prelu(input: &Map, slopes: &Map, output: &Output, output_scale: f32) -> Vec<i8> {
    let (from, to) = (f64::from(input.scale), f64::from(output_scale));
    let (plain, bent) = (factor(from / to), factor(from * f64::from(slopes.scale) / to));
    let of = |(&x, &slope)| {
        let [x, slope] = [i64::from(x) - i64::from(input.zero_point), i64::from(slope) - i64::from(slopes.zero_point)];
        if x >= 0 { output.of(x, plain) } else { output.of(x * slope, bent) }
    };
    input.data.iter().zip(slopes.data.iter().cycle()).map(of).collect()
}

/// A map spread to `shape` along the axes where it has extent 1.
pub fn spread(map: &Map, shape: [usize; 3]) -> Map {
    let [h, w, c] = shape;
    let [height, width, channels] = map.shape;
    let mut data = Vec::new();
    for y in 0..h {
        for x in 0..w {
            data.extend((0..c).map(|k| map.at(y % height, x % width, k % channels) as i8));
        }
    }
    Map { shape, data, ..*map }
}

/// A gemmlowp fixed point number with `INTEGER` bits before the point.
#[derive(Clone, Copy)]
struct Fixed<const INTEGER: u32>(i32);

impl<const INTEGER: u32> Fixed<INTEGER> {
    fn one() -> Self {
        Self(if INTEGER == 0 { i32::MAX } else { 1 << (31 - INTEGER) })
    }

    fn times<const OTHER: u32, const PRODUCT: u32>(self, other: Fixed<OTHER>) -> Fixed<PRODUCT> {
        assert_eq!(INTEGER + OTHER, PRODUCT);
        Fixed(high_mul(self.0, other.0))
    }

    fn plus(self, other: Self) -> Self {
        Self(self.0.checked_add(other.0).unwrap())
    }

    fn rescaled<const TO: u32>(self) -> Fixed<TO> {
        if TO >= INTEGER {
            return Fixed(divide_by_pot(self.0, (TO - INTEGER) as i32));
        }
        Fixed((i64::from(self.0) << (INTEGER - TO)).clamp(i32::MIN.into(), i32::MAX.into()) as i32)
    }
}

/// `exp_on_interval_between_negative_one_quarter_and_0_excl`.
fn exp_in_quarter(a: Fixed<0>) -> Fixed<0> {
    let constant_term = Fixed::<0>(1895147668);
    let one_third = Fixed::<0>(715827883);
    let x = a.plus(Fixed(1 << 28));
    let x2: Fixed<0> = x.times::<0, 0>(x);
    let x3: Fixed<0> = x2.times::<0, 0>(x);
    let x4: Fixed<0> = x2.times::<0, 0>(x2);
    let x4_over_4 = Fixed::<0>(divide_by_pot(x4.0, 2));
    let inner = x4_over_4.plus(x3).times::<0, 0>(one_third).plus(x2);
    let halved = Fixed::<0>(divide_by_pot(inner.0, 1));
    constant_term.plus(constant_term.times::<0, 0>(x.plus(halved)))
}

/// `exp_on_negative_values` of a Q5.26 number.
fn exp(a: Fixed<5>) -> Fixed<0> {
    if a.0 == 0 {
        return Fixed::one();
    }
    let quarter = 1i64 << 24;
    let in_quarter = i64::from(a.0).rem_euclid(quarter) - quarter;
    let mut result = exp_in_quarter(Fixed::<5>(in_quarter as i32).rescaled());
    let remainder = (in_quarter - i64::from(a.0)) / quarter;
    for (bit, power) in [1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242].into_iter().enumerate() {
        if remainder >> bit & 1 == 1 {
            result = result.times::<0, 0>(Fixed(power));
        }
    }
    result
}

/// `one_over_one_plus_x_for_x_in_0_1`.
fn one_over_one_plus(a: Fixed<0>) -> Fixed<0> {
    let half_denominator = Fixed::<0>(((i64::from(a.0) + i64::from(i32::MAX) + 1) / 2) as i32);
    let mut x = Fixed::<2>(1515870810).plus(half_denominator.times::<2, 2>(Fixed(-1010580540)));
    for _ in 0..3 {
        let product: Fixed<2> = half_denominator.times::<2, 2>(x);
        let error = Fixed::<2>::one().plus(Fixed(-product.0));
        x = x.plus(x.times::<2, 4>(error).rescaled());
    }
    Fixed::<1>(x.0).rescaled()
}

/// SOFTMAX over the channels, scale 1/256 and zero point -128. The sum of exponentials must stay below 512.
pub fn softmax(input: &Map, beta: f32) -> Vec<i8> {
    let real = (f64::from(beta) * f64::from(input.scale) * f64::from(1 << 26)).min(f64::from(i32::MAX));
    let (multiplier, shift) = factor(real);
    let diff_min = -((31.0 * f64::from(1 << 26) / 2f64.powi(shift)).floor() as i32);
    let mut out = Vec::new();
    for pixel in input.data.chunks(input.shape[2]) {
        let largest = i32::from(*pixel.iter().max().unwrap());
        let exps: Vec<Option<Fixed<0>>> = pixel
            .iter()
            .map(|&x| i32::from(x) - largest)
            .map(|diff| (diff >= diff_min).then(|| exp(Fixed(high_mul(diff * (1 << shift), multiplier)))))
            .collect();
        let sum = exps.iter().flatten().fold(Fixed::<12>(0), |sum, exp| sum.plus(exp.rescaled()));
        let headroom = sum.0.leading_zeros();
        let over_unit = 12 - headroom as i32;
        let reciprocal = one_over_one_plus(Fixed((i64::from(sum.0) * (1i64 << headroom) - (1i64 << 31)) as i32));
        for exp in exps {
            let probability = match exp {
                Some(exp) => divide_by_pot(reciprocal.times::<0, 0>(exp).0, over_unit + 31 - 8),
                None => 0,
            };
            out.push((probability - 128).clamp(-128, 127) as i8);
        }
    }
    out
}

/// L2_NORMALIZATION, by `GetInvSqrtQuantizedMultiplierExp`.
pub fn l2_norm(input: &Map, twice: bool) -> Vec<i8> {
    let mut out = Vec::new();
    for pixel in input.data.chunks(input.shape[2]) {
        let units: Vec<i32> = pixel.iter().map(|&x| i32::from(x) - input.zero_point).collect();
        let mut sum: i32 = units.iter().map(|x| x * x).sum();
        let (mut root, mut shift) = (i32::MAX, 0);
        if sum > 1 {
            shift = 11;
            while sum >= 1 << 29 {
                sum /= 4;
                shift += 1;
            }
            let pairs = (sum.leading_zeros() as i32 - 1) / 2 - 1;
            shift -= pairs;
            let x = Fixed::<3>((sum << (2 * pairs)) >> 1);
            let half = Fixed::<3>(divide_by_pot(x.0, 1));
            let mut y = Fixed::<3>::one();
            for _ in 0..5 {
                let cube: Fixed<3> = y.times::<3, 6>(y).times::<3, 9>(y).rescaled();
                let (more, less): (Fixed<6>, Fixed<6>) = (Fixed::<3>(3 << 27).times(y), half.times(cube));
                y = Fixed::<6>(more.0 - less.0).rescaled();
            }
            root = y.times::<0, 3>(Fixed::<0>(1518500250)).0;
            if shift < 0 {
                (root, shift) = (root << -shift, 0);
            }
        }
        let normal = |&x: &i32| scaled(x, (root, 7 - shift), twice).clamp(-128, 127) as i8;
        out.extend(units.iter().map(normal));
    }
    out
}

/// PAD in height, width and channels.
pub fn pad(input: &Map, before: [usize; 3], after: [usize; 3], value: i8) -> Vec<i8> {
    let extent = |axis: usize| 0..before[axis] + input.shape[axis] + after[axis];
    let inside = |axis: usize, at: usize| (before[axis]..before[axis] + input.shape[axis]).contains(&at);
    let mut out = Vec::new();
    for y in extent(0) {
        for x in extent(1) {
            for c in extent(2) {
                let there = inside(0, y) && inside(1, x) && inside(2, c);
                out.push(if there { input.at(y - before[0], x - before[1], c - before[2]) as i8 } else { value });
            }
        }
    }
    out
}

/// DEPTH_TO_SPACE: pixel `(y, x)` of a block is in channels `(y * block + x) * channels` and after.
pub fn depth_to_space(input: &Map, block: usize) -> Vec<i8> {
    let [h, w, c] = input.shape;
    let channels = c / (block * block);
    let mut out = Vec::new();
    for y in 0..h * block {
        for x in 0..w * block {
            let first = (y % block * block + x % block) * channels;
            out.extend((first..first + channels).map(|c| input.at(y / block, x / block, c) as i8));
        }
    }
    out
}

/// SPACE_TO_DEPTH, its inverse.
pub fn space_to_depth(input: &Map, block: usize) -> Vec<i8> {
    let [h, w, c] = input.shape;
    let mut out = Vec::new();
    for y in 0..h / block {
        for x in 0..w / block {
            for pixel in 0..block * block {
                let (i, j) = (pixel / block, pixel % block);
                out.extend((0..c).map(|c| input.at(y * block + i, x * block + j, c) as i8));
            }
        }
    }
    out
}

/// TRANSPOSE: axis `i` of the output is axis `axes[i]` of the input.
pub fn transpose(input: &Map, axes: [usize; 3]) -> Vec<i8> {
    let [h, w, c] = axes.map(|axis| input.shape[axis]);
    let mut out = Vec::new();
    for y in 0..h {
        for x in 0..w {
            for z in 0..c {
                let mut at = [0; 3];
                [y, x, z].into_iter().zip(axes).for_each(|(position, axis)| at[axis] = position);
                out.push(input.at(at[0], at[1], at[2]) as i8);
            }
        }
    }
    out
}

/// RESIZE_NEAREST_NEIGHBOR, position by position as the reference kernel has it.
pub fn resize_nearest(input: &Map, size: [usize; 2], align_corners: bool, half_pixel_centers: bool) -> Vec<i8> {
    let nearest = |axis: usize, at: usize| {
        let (from, to) = (input.shape[axis], size[axis]);
        let scale = if align_corners && to > 1 { (from - 1) as f32 / (to - 1) as f32 } else { from as f32 / to as f32 };
        let place = (at as f32 + if half_pixel_centers { 0.5 } else { 0.0 }) * scale;
        let place = if align_corners { place.round() } else { place.floor() };
        (place as usize).min(from - 1)
    };
    let mut out = Vec::new();
    for y in 0..size[0] {
        for x in 0..size[1] {
            out.extend((0..input.shape[2]).map(|c| input.at(nearest(0, y), nearest(1, x), c) as i8));
        }
    }
    out
}

/// In thousand and twenty-fourths of a position, as TensorFlow Lite's kernel of integers.
pub fn resize_bilinear(input: &Map, size: [usize; 2], align_corners: bool, half_pixel_centers: bool) -> Vec<i8> {
    // The positions around one of the output, and their weights.
    let around = |axis: usize, at: usize| {
        let (from, to, at) = (input.shape[axis] as i64, size[axis] as i64, at as i64);
        let scale = if align_corners && to > 1 {
            (1024 * (from - 1) + (to - 1) / 2) / (to - 1)
        } else {
            (1024 * from + to / 2) / to
        };
        let place = at * scale + if half_pixel_centers { scale / 2 - 512 } else { 0 };
        let (lower, upper) = ((place / 1024).clamp(0, from - 1), ((place + 1023) / 1024).min(from - 1));
        [(lower, 1024 - (place - 1024 * lower)), (upper, place - 1024 * lower)]
    };
    let mut out = Vec::new();
    for (y, x) in (0..size[0]).flat_map(|y| (0..size[1]).map(move |x| (y, x))) {
        for c in 0..input.shape[2] {
            let mut sum = 0i64;
            for (row, down) in around(0, y) {
                for (column, right) in around(1, x) {
                    sum += input.at(row as usize, column as usize, c) * down * right;
                }
            }
            out.push(((sum + if sum > 0 { 1 << 19 } else { -(1 << 19) }) / (1 << 20)) as i8);
        }
    }
    out
}
