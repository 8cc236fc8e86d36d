//! Random variations of training images.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{backdrop, camera};

/// How training images are varied; all off by default. Every range is symmetric and uniform.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Moves by up to so many whole pixels: a random crop of the image padded with zeros.
    pub crop: u32,
    /// Mirrors every other image, left to right.
    pub flip: bool,
    /// Moves by up to so many pixels, fractions included.
    pub shift: f32,
    /// Turns by up to so many degrees.
    pub rotate: f32,
    /// Scales by up to this factor less or more, such as 0.1.
    pub scale: f32,
    /// Adds up to this part of the whole pixel range.
    pub brightness: f32,
    /// Changes contrast by up to this factor.
    pub contrast: f32,
    /// Changes each channel's strength by up to this factor.
    pub color: f32,
    /// Blanks a square of this extent, in pixels.
    pub cutout: u32,
    /// What lies outside the image: its nearest edge, or else zeros.
    pub edge: bool,
    /// The part of the images, 0 to 1, that get another backdrop; for subjects photographed on a plain one.
    pub backdrop: f32,
    /// The part of these backdrops that are cluttered with things, and not plain.
    pub clutter: f32,
    /// Changes the subject's brightness, and each of its channels half as much, by up to this factor when it gets another
    /// backdrop.
    pub skin: f32,
    /// Adds noise of up to this part of the whole pixel range to each pixel.
    pub noise: f32,
    /// Slants by up to this factor.
    pub shear: f32,
    /// Light that falls off to one side, and contrast in the shadows: by up to this factor.
    pub light: f32,
    /// Blurs by a Gaussian of up to so many pixels.
    pub blur: f32,
    /// The part of the images, 0 to 1, that lose all colour.
    pub gray: f32,
}

/// The random numbers of image `index` in `epoch`; independent of all others and of the order of work.
pub fn random(seed: u64, epoch: usize, index: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((epoch as u64) << 32) | index as u64);
    rng
}

/// Uniform in `-range..=range`.
pub(super) fn around(rng: &mut ChaCha8Rng, range: f32) -> f32 {
    (rng.next_u32() as f32 / u32::MAX as f32 * 2.0 - 1.0) * range
}

/// True for this part of all cases. Nothing is drawn when there is none: recipes of before keep their random numbers.
pub(super) fn part(rng: &mut ChaCha8Rng, part: f32) -> bool {
    part > 0.0 && (around(rng, 0.5) + 0.5) < part
}

/// Uniform in `0..count`.
fn below(rng: &mut ChaCha8Rng, count: u32) -> u32 {
    ((u64::from(rng.next_u32()) * u64::from(count)) >> 32) as u32
}

impl Augment {
    pub(super) fn fault(&self) -> Option<String> {
        let Self { shift, rotate, brightness, contrast, color, skin, noise, shear, light, blur, .. } = *self;
        let ranges = [shift, rotate, brightness, contrast, color, skin, noise, shear, blur];
        let parts = [self.backdrop, self.clutter, self.gray];
        let good = ranges.iter().all(|v| v.is_finite() && *v >= 0.0)
            && parts.iter().all(|v| (0.0..=1.0).contains(v))
            && [self.scale, light].iter().all(|v| (0.0..1.0).contains(v));
        let reason =
            "augment: ranges must not be negative, scale and light less than 1, backdrop, clutter and gray at most 1";
        (!good).then(|| reason.to_string())
    }

    /// A variation of `image` (`[h, w, c]` pixels), handed to `put` as index and pixel value (0 to 255).
    pub fn apply(&self, image: &[u8], shape: [usize; 3], rng: &mut ChaCha8Rng, mut put: impl FnMut(usize, f32)) {
        let [h, w, c] = shape;
        let other = part(rng, self.backdrop).then(|| backdrop::replace(image, shape, self, rng));
        let image = other.as_deref().unwrap_or(image);
        let seen = camera::is_asked(self).then(|| camera::look(image, shape, self, rng));
        let image = seen.as_deref().unwrap_or(image);
        let flip = self.flip && rng.next_u32() & 1 == 1;
        let turn = around(rng, self.rotate).to_radians();
        let zoom = 1.0 + around(rng, self.scale);
        let mut shift = [around(rng, self.shift), around(rng, self.shift)];
        shift.iter_mut().for_each(|shift| *shift += below(rng, 2 * self.crop + 1) as f32 - self.crop as f32);
        let bright = around(rng, self.brightness) * 255.0;
        let contrast = 1.0 + around(rng, self.contrast);
        let color: [f32; 4] = std::array::from_fn(|_| 1.0 + around(rng, self.color));
        let hole = [below(rng, h as u32) as i64, below(rng, w as u32) as i64];
        let half = i64::from(self.cutout);
        let hidden = |y: usize, x: usize| {
            let inside = |at: usize, middle: i64| (2 * (at as i64 - middle) + half).clamp(0, 2 * half);
            let (y, x) = (inside(y, hole[0]), inside(x, hole[1]));
            half > 0 && y > 0 && y < 2 * half && x > 0 && x < 2 * half
        };
        let shear = if self.shear > 0.0 { around(rng, self.shear) } else { 0.0 };
        let middle = [(h as f32 - 1.0) / 2.0, (w as f32 - 1.0) / 2.0];
        let (sin, cos) = ((turn.sin() / zoom), (turn.cos() / zoom));
        let exact = turn == 0.0 && zoom == 1.0 && shear == 0.0 && shift.iter().all(|s| s.fract() == 0.0);
        for y in 0..h {
            for x in 0..w {
                let (dy, dx) = (y as f32 - middle[0] - shift[0], x as f32 - middle[1] - shift[1]);
                let mut from = [middle[0] + cos * dy - sin * dx, middle[1] + sin * dy + cos * dx];
                from[1] += shear * (from[0] - middle[0]);
                if flip {
                    from[1] = w as f32 - 1.0 - from[1];
                }
                for channel in 0..c {
                    let mut value = 0.0;
                    if !hidden(y, x) {
                        let pixel = |y: i64, x: i64| self.pixel(image, shape, [y, x], channel);
                        value = if exact {
                            pixel(from[0].round() as i64, from[1].round() as i64)
                        } else {
                            bilinear(from, pixel)
                        };
                        value = (value * color[channel % 4] - 127.5) * contrast + 127.5 + bright;
                        if self.noise > 0.0 {
                            value += around(rng, self.noise) * 255.0;
                        }
                        value = value.clamp(0.0, 255.0);
                    }
                    put((y * w + x) * c + channel, value);
                }
            }
        }
    }

    fn pixel(&self, image: &[u8], [h, w, c]: [usize; 3], [y, x]: [i64; 2], channel: usize) -> f32 {
        let inside = [y.clamp(0, h as i64 - 1), x.clamp(0, w as i64 - 1)];
        if !self.edge && inside != [y, x] {
            return 0.0;
        }
        f32::from(image[(inside[0] as usize * w + inside[1] as usize) * c + channel])
    }
}

fn bilinear([y, x]: [f32; 2], pixel: impl Fn(i64, i64) -> f32) -> f32 {
    let (top, left) = (y.floor(), x.floor());
    let (fy, fx) = (y - top, x - left);
    let (top, left) = (top as i64, left as i64);
    let mix = |a: f32, b: f32, part: f32| a + (b - a) * part;
    let upper = mix(pixel(top, left), pixel(top, left + 1), fx);
    let lower = mix(pixel(top + 1, left), pixel(top + 1, left + 1), fx);
    mix(upper, lower, fy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varied(augment: &Augment, image: &[u8], shape: [usize; 3], index: usize) -> Vec<f32> {
        let mut out = vec![f32::NAN; image.len()];
        augment.apply(image, shape, &mut random(3, 0, index), |at, value| out[at] = value);
        out
    }

    #[test]
    fn nothing_asked_nothing_changed() {
        let image: Vec<u8> = (0..60).map(|v| v * 4).collect();
        let out = varied(&Augment::default(), &image, [4, 5, 3], 0);
        assert!(out.iter().zip(&image).all(|(out, pixel)| *out == f32::from(*pixel)));
    }

    #[test]
    fn crop_and_flip_move_whole_pixels() {
        let image: Vec<u8> = (1..=30).collect();
        let augment = Augment { crop: 1, flip: true, ..Augment::default() };
        let mut seen = std::collections::BTreeSet::new();
        for index in 0..200 {
            let out = varied(&augment, &image, [5, 6, 1], index);
            assert!(out.iter().all(|v| v.fract() == 0.0 && *v <= 30.0));
            // The middle of the map always shows pixels of the image.
            assert!(out[2 * 6 + 2] > 0.0);
            seen.insert(out.iter().map(|v| *v as u8).collect::<Vec<_>>());
        }
        assert_eq!(seen.len(), 18);
        assert!(seen.contains(&image));
    }

    #[test]
    fn everything_at_once_stays_in_range_and_repeats() {
        let image: Vec<u8> = (0..192).map(|v| (v * 37 % 256) as u8).collect();
        let augment = Augment {
            crop: 2,
            flip: true,
            shift: 1.0,
            rotate: 20.0,
            scale: 0.2,
            brightness: 0.3,
            contrast: 0.3,
            color: 0.2,
            cutout: 3,
            edge: true,
            backdrop: 0.5,
            clutter: 0.5,
            skin: 0.4,
            noise: 0.1,
            shear: 0.2,
            light: 0.4,
            blur: 1.0,
            gray: 0.2,
        };
        let out = varied(&augment, &image, [8, 8, 3], 4);
        assert!(out.iter().all(|v| (0.0..=255.0).contains(v)));
        assert_eq!(out, varied(&augment, &image, [8, 8, 3], 4));
        assert_ne!(out, varied(&augment, &image, [8, 8, 3], 5));
        assert!(out.iter().filter(|v| **v == 0.0).count() >= 4 * 3);
    }
}
