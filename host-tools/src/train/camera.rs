//! What lamps and lenses do to a scene before it is an image.

use rand_chacha::ChaCha8Rng;

use super::augment::{Augment, around, part};

/// Whether anything is asked for.
pub fn is_asked(augment: &Augment) -> bool {
    augment.light > 0.0 || augment.blur > 0.0 || augment.gray > 0.0
}

/// `image` (`[h, w, c]` pixels) under other light, through another lens.
pub fn look(image: &[u8], shape: [usize; 3], augment: &Augment, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let [h, w, c] = shape;
    let mut scene: Vec<f32> = image.iter().map(|&pixel| f32::from(pixel)).collect();
    if part(rng, augment.gray) {
        for pixel in scene.chunks_exact_mut(c) {
            let mean = pixel.iter().sum::<f32>() / c as f32;
            pixel.fill(mean);
        }
    }
    // A lamp at a side: its light falls off over the image, and shadows are deeper or flatter.
    let (slope, turn) = (around(rng, augment.light), around(rng, std::f32::consts::PI));
    let gamma = 1.0 + around(rng, augment.light);
    let (sin, cos) = turn.sin_cos();
    for (at, pixel) in scene.chunks_exact_mut(c).enumerate() {
        let (y, x) = ((at / w) as f32 / h as f32 - 0.5, (at % w) as f32 / w as f32 - 0.5);
        let light = 1.0 + 2.0 * slope * (y * sin + x * cos);
        pixel.iter_mut().for_each(|value| *value = 255.0 * (*value * light / 255.0).clamp(0.0, 1.0).powf(gamma));
    }
    blur(&mut scene, shape, around(rng, augment.blur).abs());
    scene.iter().map(|value| value.round() as u8).collect()
}

/// A Gaussian of this deviation in pixels, along rows and then along columns.
fn blur(scene: &mut [f32], [h, w, c]: [usize; 3], deviation: f32) {
    let reach = (2.5 * deviation).ceil() as i64;
    if reach == 0 {
        return;
    }
    let weights: Vec<f32> = (-reach..=reach).map(|d| (-0.5 * (d as f32 / deviation).powi(2)).exp()).collect();
    let total: f32 = weights.iter().sum();
    for (extent, step) in [(w, c), (h, w * c)] {
        let before = scene.to_vec();
        for (at, value) in scene.iter_mut().enumerate() {
            let here = (at / step % extent) as i64;
            let near = |d: i64| (here + d).clamp(0, extent as i64 - 1) - here;
            let taps = (-reach..=reach).zip(&weights);
            let sum: f32 = taps.map(|(d, weight)| weight * before[(at as i64 + near(d) * step as i64) as usize]).sum();
            *value = sum / total;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::augment::random;

    #[test]
    fn blur_spreads_and_keeps_the_mean() {
        let mut scene = vec![0.0; 9 * 11 * 2];
        scene[(4 * 11 + 5) * 2] = 100.0;
        blur(&mut scene, [9, 11, 2], 1.0);
        let sums: [f32; 2] = [0, 1].map(|channel| scene.iter().skip(channel).step_by(2).sum());
        assert!((sums[0] - 100.0).abs() < 1e-3 && sums[1] == 0.0);
        let at = |y: usize, x: usize| scene[(y * 11 + x) * 2];
        assert!(at(4, 5) < 20.0 && at(4, 5) > at(3, 5) && at(3, 5) > at(3, 4) && at(3, 4) > at(2, 5));
        assert_eq!((at(3, 5), at(4, 4)), (at(5, 5), at(4, 6)));
    }

    #[test]
    fn light_changes_from_side_to_side_and_gray_takes_colour_away() {
        let flat = [90, 120, 150].repeat(64);
        let (mut grays, mut steepest) = (0, 0);
        for index in 0..40 {
            let augment = Augment { light: 0.5, gray: 0.5, ..Augment::default() };
            let out = look(&flat, [8, 8, 3], &augment, &mut random(1, 0, index));
            grays += usize::from(out.chunks_exact(3).all(|pixel| pixel[0] == pixel[2]));
            steepest = steepest.max(out[0].abs_diff(out[189])).max(out[21].abs_diff(out[168]));
        }
        assert!((10..30).contains(&grays) && steepest > 40, "{grays}, {steepest}");
        let same = look(&flat, [8, 8, 3], &Augment::default(), &mut random(1, 0, 0));
        assert_eq!(same, flat);
    }
}
