//! Another backdrop behind what was photographed on a plain one.
//!
//! A network that only ever saw hands on grey paper learns the paper too. What differs in colour from the border of
//! the image (Otsu's threshold, "A Threshold Selection Method from Gray-Level Histograms") stays; behind it comes a
//! random one: smooth patches of colour, stripes or checks, with grain.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::augment::{Augment, around, part};

/// Colour differences that the histogram tells apart.
const LEVELS: usize = 256;

/// Puts a random backdrop behind the subject of `image` (`[h, w, c]` pixels), which changes its colour if so asked.
pub fn replace(image: &[u8], shape: [usize; 3], augment: &Augment, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let c = shape[2];
    let mask = subject(image, shape);
    let mut gains = vec![1.0; c];
    if augment.skin > 0.0 {
        let whole = 1.0 + around(rng, augment.skin);
        gains.iter_mut().for_each(|gain| *gain = whole * (1.0 + around(rng, augment.skin / 2.0)));
    }
    let backdrop = if part(rng, augment.clutter) { cluttered(shape, rng) } else { backdrop(shape, rng) };
    let mixed = image.iter().zip(&backdrop).enumerate().map(|(at, (pixel, behind))| {
        let part = mask[at / c];
        // What is too bright stays white: the cast rounds to the nearest pixel value.
        (f32::from(*pixel) * gains[at % c] * part + behind * (1.0 - part)).round() as u8
    });
    mixed.collect()
}

/// A room: rectangles and ellipses of any colour, in front of each other.
fn cluttered(shape: [usize; 3], rng: &mut ChaCha8Rng) -> Vec<f32> {
    let [h, w, c] = shape;
    let mut out = backdrop(shape, rng);
    let mut unit = || rng.next_u32() as f32 / u32::MAX as f32;
    for _ in 0..(3.0 + 9.0 * unit()) as usize {
        let (middle, extent) = ([unit(), unit()], [0.05 + 0.4 * unit(), 0.05 + 0.4 * unit()]);
        let (is_round, (sin, cos), cover) = (unit() < 0.5, (6.3 * unit()).sin_cos(), 0.4 + 0.6 * unit());
        let color: Vec<f32> = (0..c).map(|_| 255.0 * unit()).collect();
        for at in 0..h * w {
            let (y, x) = ((at / w) as f32 / h as f32 - middle[0], (at % w) as f32 / w as f32 - middle[1]);
            let (y, x) = ((y * cos + x * sin) / extent[0], (x * cos - y * sin) / extent[1]);
            let inside = if is_round { y * y + x * x < 1.0 } else { y.abs().max(x.abs()) < 1.0 };
            if inside {
                let pixel = &mut out[at * c..][..c];
                pixel.iter_mut().zip(&color).for_each(|(value, color)| *value += cover * (color - *value));
            }
        }
    }
    out
}

/// How far each pixel of an image (`[h, w, c]`) belongs to what stands before a plain backdrop, 0 to 1.
pub fn subject(image: &[u8], [h, w, c]: [usize; 3]) -> Vec<f32> {
    // Shadows and vignettes change brightness, not colour: in colour images only differences of channels count.
    let features = |pixel: &[u8]| -> [i32; 2] {
        let level = |i: usize| i32::from(pixel[i]);
        if c < 3 { [level(0), 0] } else { [level(0) - level(1), level(2) - level(1)] }
    };
    let border = |at: usize| at < w || at >= (h - 1) * w || at.is_multiple_of(w) || at % w == w - 1;
    let ring = || image.chunks_exact(c).enumerate().filter(|(at, _)| border(*at)).map(|(_, pixel)| features(pixel));
    let median = |which: usize| {
        let mut all: Vec<i32> = ring().map(|features| features[which]).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    let plain = [median(0), median(1)];
    let distances: Vec<usize> = image
        .chunks_exact(c)
        .map(|pixel| features(pixel).iter().zip(&plain).map(|(f, p)| f.abs_diff(*p) as usize).sum::<usize>())
        .map(|distance| distance.min(LEVELS - 1))
        .collect();
    let threshold = otsu(&distances) as f32;
    let softness = 0.4 * threshold.max(1.0);
    distances.iter().map(|d| ((*d as f32 - threshold) / softness + 0.5).clamp(0.0, 1.0)).collect()
}

/// The level that parts the histogram with the greatest variance between the two sides.
fn otsu(levels: &[usize]) -> usize {
    let mut histogram = [0u64; LEVELS];
    levels.iter().for_each(|level| histogram[*level] += 1);
    let (count, sum) = (levels.len() as f64, levels.iter().sum::<usize>() as f64);
    let (mut below, mut sum_below, mut best) = (0.0, 0.0, (0.0, 0));
    for (level, here) in histogram.iter().enumerate() {
        below += *here as f64;
        sum_below += level as f64 * *here as f64;
        let above = count - below;
        if below > 0.0 && above > 0.0 {
            let between = below * above * (sum_below / below - (sum - sum_below) / above).powi(2);
            best = if between > best.0 { (between, level) } else { best };
        }
    }
    best.1
}

/// Random colours for every pixel, 0 to 255.
fn backdrop([h, w, c]: [usize; 3], rng: &mut impl Rng) -> Vec<f32> {
    let mut unit = || rng.next_u32() as f32 / u32::MAX as f32;
    let colors: Vec<f32> = (0..25 * c).map(|_| 255.0 * unit()).collect();
    let (kind, cells, turn, grain) = ((unit() * 3.0) as u32, 1.0 + 3.0 * unit(), 6.3 * unit(), 30.0 * unit());
    let (sin, cos) = turn.sin_cos();
    let mut out = Vec::with_capacity(h * w * c);
    for y in 0..h {
        for x in 0..w {
            let (v, u) = (y as f32 / h as f32, x as f32 / w as f32);
            let noise = grain * (unit() - 0.5);
            for channel in 0..c {
                let color = |row: usize, column: usize| colors[(row * 5 + column) * c + channel];
                let value = if kind == 0 {
                    let (row, column) = (v * cells, u * cells);
                    let mix = |a: f32, b: f32, part: f32| a + (b - a) * part;
                    let (r, k) = (row as usize, column as usize);
                    let along = |r: usize| mix(color(r, k), color(r, k + 1), column.fract());
                    mix(along(r), along(r + 1), row.fract())
                } else {
                    let (a, b) = ((u * cos - v * sin) * 2.0 * cells, (u * sin + v * cos) * 2.0 * cells);
                    let odd = if kind == 1 { a.floor() } else { a.floor() + b.floor() };
                    color(0, (odd as i32).rem_euclid(2) as usize)
                };
                out.push((value + noise).clamp(0.0, 255.0));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::augment::random;

    /// A skin-coloured disc on grey paper that darkens to the right.
    fn disc(side: usize) -> (Vec<u8>, Vec<bool>) {
        let inside: Vec<bool> = (0..side * side)
            .map(|at| (at / side).abs_diff(side / 2).pow(2) + (at % side).abs_diff(side / 2).pow(2) < (side / 3).pow(2))
            .collect();
        let pixel = |at: usize| if inside[at] { [200, 160, 130] } else { [220 - (at % side) as u8; 3] };
        ((0..side * side).flat_map(pixel).collect(), inside)
    }

    #[test]
    fn the_subject_stays_and_the_rest_changes() {
        let (image, inside) = disc(32);
        let mut kinds = std::collections::BTreeSet::new();
        for index in 0..30 {
            // Plain and cluttered ones, by turns.
            let augment = Augment { clutter: (index % 2) as f32, ..Augment::default() };
            let out = replace(&image, [32, 32, 3], &augment, &mut random(1, 0, index));
            for (at, inside) in inside.iter().enumerate().filter(|(_, inside)| **inside) {
                assert!(*inside && out[at * 3..][..3] == image[at * 3..][..3], "pixel {at}");
            }
            let changed = (0..1024).filter(|at| !inside[*at] && out[at * 3..][..3] != image[at * 3..][..3]).count();
            assert!(changed * 10 > 9 * inside.iter().filter(|inside| !**inside).count(), "{changed}");
            kinds.insert(out);
        }
        assert_eq!(kinds.len(), 30);
    }

    #[test]
    fn flat_and_gray_images_do_no_harm() {
        let out = replace(&[7; 48], [4, 4, 3], &Augment::default(), &mut random(1, 0, 0));
        assert_eq!(out.len(), 48);
        let gray: Vec<u8> = (0..64).map(|at| if at % 8 > 2 && at % 8 < 6 { 250 } else { 20 }).collect();
        let out = replace(&gray, [8, 8, 1], &Augment::default(), &mut random(1, 0, 1));
        assert!((0..64).filter(|at| gray[*at] == 250).all(|at| out[at] == 250));
    }
}
