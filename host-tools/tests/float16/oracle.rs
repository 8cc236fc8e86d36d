//! What the float16 operators compute, in double precision over real numbers, and how far single precision may be from it.
//! Nothing of the runtime is used.

/// Rows, columns, channels, and the numbers.
#[derive(Clone, Debug)]
pub struct Map {
    pub shape: [usize; 3],
    pub data: Vec<f64>,
}

/// Kernel, stride and padding before, vertical and horizontal.
#[derive(Clone, Copy, Debug)]
pub struct Taps {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub before: [usize; 2],
    pub after: [usize; 2],
}

impl Taps {
    /// Rows and columns of the output, if the kernel fits.
    pub fn output(&self, input: &Map) -> Option<[usize; 2]> {
        let along = |axis: usize| {
            let padded = input.shape[axis] + self.before[axis] + self.after[axis];
            Some(padded.checked_sub(self.kernel[axis])? / self.stride[axis] + 1)
        };
        Some([along(0)?, along(1)?])
    }

    /// The taps at an output position: number of the tap, and the pixel under it if there is one.
    fn at(&self, input: &Map, y: usize, x: usize) -> Vec<(usize, Option<usize>)> {
        let [h, w, _] = input.shape;
        let mut taps = Vec::new();
        for i in 0..self.kernel[0] {
            for j in 0..self.kernel[1] {
                let row = (y * self.stride[0] + i).checked_sub(self.before[0]).filter(|&row| row < h);
                let column = (x * self.stride[1] + j).checked_sub(self.before[1]).filter(|&column| column < w);
                let pixel = row.zip(column).map(|(row, column)| row * w + column);
                taps.push((i * self.kernel[1] + j, pixel));
            }
        }
        taps
    }
}

/// A result, and the most that single precision may add to its error before it is rounded to a half.
#[derive(Clone, Copy, Debug)]
pub struct Real {
    pub value: f64,
    pub error: f64,
}

/// Half a unit in the last place of single precision, relative.
const SINGLE: f64 = 1.0 / (1 << 24) as f64;

impl Real {
    /// The result of one operation, which single precision rounds once.
    pub fn once(value: f64) -> Self {
        Self { value, error: value.abs() * SINGLE }
    }

    /// A sum: each partial sum is at most the sum of magnitudes, and rounded once. Products of two halves have 22 bits and
    /// are exact.
    pub fn sum(terms: &[f64]) -> Self {
        let size: f64 = terms.iter().map(|term| term.abs()).sum();
        Self { value: terms.iter().sum(), error: 1.01 * size * SINGLE * terms.len() as f64 }
    }

    /// Divided by a count.
    pub fn over(self, count: usize) -> Self {
        let value = self.value / count as f64;
        Self { value, error: self.error / count as f64 + value.abs() * SINGLE }
    }

    /// Whether `found` is this number, clamped and rounded to a half: of 11 bits, or a multiple of 2^-24.
    pub fn is(self, found: f32, (low, high): (f64, f64)) -> bool {
        let value = self.value.clamp(low, high);
        let half = ((value.abs() + self.error) / 2f64.powi(11)).max(2f64.powi(-25));
        (f64::from(found) - value).abs() <= self.error + half
    }
}

/// Positions of an output.
fn positions([h, w]: [usize; 2]) -> impl Iterator<Item = (usize, usize)> {
    (0..h).flat_map(move |y| (0..w).map(move |x| (y, x)))
}

/// Weights `[out][tap][in]`.
pub fn conv(input: &Map, taps: &Taps, weights: &[f64], bias: &[f64]) -> Vec<Real> {
    let c = input.shape[2];
    let each = weights.len() / bias.len();
    let mut out = Vec::new();
    for (y, x) in positions(taps.output(input).unwrap()) {
        for (filter, &bias) in weights.chunks(each).zip(bias) {
            let mut terms = vec![bias];
            for (tap, pixel) in taps.at(input, y, x) {
                let Some(pixel) = pixel else { continue };
                terms.extend((0..c).map(|i| input.data[pixel * c + i] * filter[tap * c + i]));
            }
            out.push(Real::sum(&terms));
        }
    }
    out
}

/// Weights `[tap][out]`; output channel `i` is of input channel `i / multiplier`.
pub fn depthwise(input: &Map, taps: &Taps, weights: &[f64], bias: &[f64]) -> Vec<Real> {
    let (c, outputs) = (input.shape[2], bias.len());
    let mut out = Vec::new();
    for (y, x) in positions(taps.output(input).unwrap()) {
        for (channel, &bias) in bias.iter().enumerate() {
            let from = channel / (outputs / c);
            let product = |(tap, pixel): (usize, Option<usize>)| {
                Some(input.data[pixel? * c + from] * weights[tap * outputs + channel])
            };
            let terms: Vec<f64> =
                [bias].into_iter().chain(taps.at(input, y, x).into_iter().filter_map(product)).collect();
            out.push(Real::sum(&terms));
        }
    }
    out
}

/// The elements of each channel under the window at each position.
fn pooled(input: &Map, taps: &Taps, of: impl Fn(&[f64]) -> Real) -> Vec<Real> {
    let c = input.shape[2];
    let mut out = Vec::new();
    for (y, x) in positions(taps.output(input).unwrap()) {
        for channel in 0..c {
            let pixels = taps.at(input, y, x).into_iter().filter_map(|(_, pixel)| pixel);
            out.push(of(&pixels.map(|pixel| input.data[pixel * c + channel]).collect::<Vec<_>>()));
        }
    }
    out
}

pub fn max_pool(input: &Map, taps: &Taps) -> Vec<Real> {
    let greatest = |all: &[f64]| all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    pooled(input, taps, |all| Real { value: greatest(all), error: 0.0 })
}

pub fn average_pool(input: &Map, taps: &Taps) -> Vec<Real> {
    pooled(input, taps, |all| Real::sum(all).over(all.len().max(1)))
}

/// The reciprocal of a root is good to 2^-21.
pub fn l2_norm(input: &Map) -> Vec<Real> {
    let pixel = |x: &[f64]| {
        let length = x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let error = (8.0 + x.len() as f64) * SINGLE;
        let value = move |&x: &f64| if length > 0.0 { x / length } else { 0.0 };
        x.iter().map(value).map(|value| Real { value, error: value.abs() * error }).collect::<Vec<_>>()
    };
    input.data.chunks(input.shape[2]).flat_map(pixel).collect()
}

/// Exponentials are good to 2^-22; what is 87 below the greatest counts as 0.
pub fn softmax(input: &Map, beta: f64) -> Vec<Real> {
    let pixel = |logits: &[f64]| {
        let greatest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = logits.iter().map(|x| ((x - greatest) * beta).exp()).collect();
        let sum: f64 = powers.iter().sum();
        // Differences and beta are rounded before they are exponents: an error of the exponent is relative.
        let error = |x: f64| (3.0 * (x - greatest).abs() * beta + 10.0 + logits.len() as f64) * SINGLE;
        let real = |(&x, power): (&f64, f64)| {
            let value = power / sum;
            Real { value, error: value * error(x) + 1e-30 }
        };
        logits.iter().zip(powers).map(real).collect::<Vec<_>>()
    };
    input.data.chunks(input.shape[2]).flat_map(pixel).collect()
}
