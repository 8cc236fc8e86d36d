//! The trainer's CPU dispatch: AVX-512, or AVX2 with FMA, where the processor has them, portable code elsewhere.
//!
//! This and its vectors are the only modules of the host tools with `unsafe`. What is computed is defined in `layers::blocks`; the
//! functions here differ from it by the rounding of fused multiply-adds only.
#![allow(unsafe_code)]

use super::blocks::{self, Outer, Row};
use super::transforms::{self, PLANES, Run};

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod tiles;
#[cfg(target_arch = "x86_64")]
mod winograd;

/// Whether the processor has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    // The macro caches its answer.
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// Whether the processor has AVX-512.
#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
}

/// Work that [`run_widest`] compiles twice.
pub trait Work {
    /// Does it; `#[inline(always)]`, or it is compiled once only.
    fn run(self);
}

/// Runs `work`, compiled for the widest vectors of the processor. The numbers are the same.
#[inline(always)]
pub fn run_widest(work: impl Work) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: the processor has the features.
        return unsafe { avx2::run(work) };
    }
    work.run();
}

/// As [`run_widest`] for a closure, as far as the compiler inlines it: not if it is long.
#[inline(always)]
pub fn widest(work: impl FnOnce()) {
    struct Closure<F>(F);
    impl<F: FnOnce()> Work for Closure<F> {
        #[inline(always)]
        fn run(self) {
            self.0();
        }
    }
    run_widest(Closure(work));
}

/// Defines a function over slices of a `Real` type that runs through [`run_widest`].
macro_rules! kernel {
    ($(#[$doc:meta])* $visibility:vis fn $name:ident<$real:ident>($($argument:ident: $type:ty),*) $body:block) => {
        $(#[$doc])*
        $visibility fn $name<$real: $crate::layers::Real>($($argument: $type),*) {
            struct Arguments<A>(A);
            // A function of its own: only for arguments does the compiler know that slices do not overlap.
            #[inline(always)]
            fn body<$real: $crate::layers::Real>($($argument: $type),*) $body
            impl<$real: $crate::layers::Real> $crate::layers::simd::Work for Arguments<($($type),*)> {
                #[inline(always)]
                fn run(self) {
                    let ($($argument),*) = self.0;
                    body($($argument),*);
                }
            }
            $crate::layers::simd::run_widest(Arguments(($($argument),*)));
        }
    };
}
pub(crate) use kernel;

/// Computes a [`Row`] of f32.
///
/// # Panics
/// When an index is out of range.
pub fn row(row: &Row<'_, f32>, out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() && row.pixels > 0 {
        let last = (row.pixels - 1).saturating_mul(row.x_step);
        let inside = row.segments.iter().all(|segment| {
            last.saturating_add(segment.x).saturating_add(segment.len) <= row.x.len()
                && segment.len.saturating_mul(row.block).saturating_add(segment.w) <= row.w.len()
        });
        assert!(inside && row.channels <= row.block);
        assert!((row.pixels - 1).saturating_mul(row.out_step).saturating_add(row.channels) <= out.len());
        // SAFETY: the processor has the features; the last elements that are read and written were checked.
        return unsafe {
            match row.block {
                8 => avx2::row::<1>(row, out.as_mut_ptr()),
                16 if has_avx512() => avx512::row::<1>(row, out.as_mut_ptr()),
                16 => avx2::row::<2>(row, out.as_mut_ptr()),
                _ => blocks::row(row, out),
            }
        };
    }
    blocks::row(row, out);
}

/// Computes an [`Outer`] of f32.
///
/// # Panics
/// When an index is out of range.
pub fn outer(outer: &Outer<'_, f32>, out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() && outer.rows > 0 && outer.pixels > 0 {
        let end = |row: usize, step: usize, len: usize| {
            let last_row = (outer.rows - 1).saturating_mul(row);
            (outer.pixels - 1).saturating_mul(step).saturating_add(last_row).saturating_add(len)
        };
        assert!(end(outer.x_row, outer.x_step, outer.count) <= outer.x.len());
        assert!(end(outer.y_row, outer.y_step, outer.block) <= outer.y.len());
        // SAFETY: the processor has the features; the last element that is read was checked, stores are.
        return unsafe {
            match outer.block {
                8 => avx2::outer::<1>(outer, out),
                16 if has_avx512() => avx512::outer::<1>(outer, out),
                16 => avx2::outer::<2>(outer, out),
                _ => blocks::outer(outer, out),
            }
        };
    }
    blocks::outer(outer, out);
}

/// Transforms the inputs of neighbouring tiles, see [`transforms::input`].
///
/// # Panics
/// When a row or the last plane is too short.
pub fn winograd_input(run: Run, rows: [&[f32]; 4], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        assert!(rows.iter().all(|row| pixels_fit(run, 2, row)) && planes_fit(run, out));
        let (rows, out) = (rows.map(<[f32]>::as_ptr), out.as_mut_ptr());
        // SAFETY: the processor has the features; the last elements that are read and written were checked.
        return unsafe { if has_avx512() { avx512::input(run, rows, out) } else { avx2::input(run, rows, out) } };
    }
    transforms::input(run, rows, out);
}

/// Transforms the output gradients of neighbouring tiles, see [`transforms::gradient`].
///
/// # Panics
/// When a row or the last plane is too short.
pub fn winograd_gradient(run: Run, rows: [&[f32]; 2], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        assert!(rows.iter().all(|row| pixels_fit(run, 0, row)) && planes_fit(run, out));
        let (rows, out) = (rows.map(<[f32]>::as_ptr), out.as_mut_ptr());
        // SAFETY: as in `winograd_input`.
        return unsafe { if has_avx512() { avx512::gradient(run, rows, out) } else { avx2::gradient(run, rows, out) } };
    }
    transforms::gradient(run, rows, out);
}

/// Transforms the products of neighbouring tiles back, see [`transforms::output`].
///
/// # Panics
/// When a row or the last plane is too short.
pub fn winograd_output(run: Run, products: &[f32], rows: [&mut [f32]; 2], accumulate: bool) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        assert!(rows.iter().all(|row| pixels_fit(run, 0, row)) && planes_fit(run, products));
        let (products, rows) = (products.as_ptr(), rows.map(<[f32]>::as_mut_ptr));
        // SAFETY: as in `winograd_input`.
        return unsafe {
            if has_avx512() {
                avx512::output(run, products, rows, accumulate);
            } else {
                avx2::output(run, products, rows, accumulate);
            }
        };
    }
    transforms::output(run, products, rows, accumulate);
}

/// Whether a row has two pixels for each tile, and so many more.
#[cfg(target_arch = "x86_64")]
fn pixels_fit(run: Run, more: usize, row: &[f32]) -> bool {
    run.tiles.saturating_mul(2).saturating_add(more).saturating_mul(run.channels) <= row.len()
}

/// Whether the last plane has a pixel for each tile.
#[cfg(target_arch = "x86_64")]
fn planes_fit(run: Run, planes: &[f32]) -> bool {
    run.tiles.saturating_mul(run.channels).saturating_add(run.plane.saturating_mul(PLANES - 1)) <= planes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::blocks::Segment;
    use super::*;

    fn numbers(len: usize, factor: u32) -> Vec<f32> {
        (0..len as u32)
            .map(|i| (i.wrapping_mul(factor).wrapping_mul(2_654_435_761) >> 20) as f32 / 2048.0 - 1.0)
            .collect()
    }

    fn close(found: &[f32], expected: &[f32]) -> Result<(), TestCaseError> {
        for (found, expected) in found.iter().zip(expected) {
            prop_assert!((found - expected).abs() <= 1e-4 * (1.0 + expected.abs()), "{found} against {expected}");
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn rows_equal_the_portable_ones(
            wide: bool, pixels in 1usize..40, step in 1usize..9, lens in prop::collection::vec(0usize..20, 1..6),
            missing in 0usize..8, gap in 0usize..5, accumulate: bool,
        ) {
            let block = if wide { 16 } else { 8 };
            let mut w = 0;
            let segments: Vec<Segment> = lens.iter().enumerate().map(|(i, &len)| {
                w += len * block;
                Segment { x: i * 3, w: w - len * block, len }
            }).collect();
            let (x, w) = (numbers((pixels - 1) * step + 40, 3), numbers(w, 5));
            let channels = block - missing;
            let out_step = channels + gap;
            let work = Row { x: &x, x_step: step, w: &w, block, segments: &segments, pixels, out_step, channels, accumulate };
            let mut found = numbers((pixels - 1) * out_step + channels, 7);
            let mut expected = found.clone();
            row(&work, &mut found);
            blocks::row(&work, &mut expected);
            close(&found, &expected)?;
        }

        #[test]
        fn weight_gradients_equal_the_portable_ones(
            wide: bool, rows in 1usize..5, pixels in 1usize..9, x_step in 1usize..6, y_gap in 0usize..9, count in 1usize..40,
        ) {
            let block = if wide { 16 } else { 8 };
            let y_step = block + y_gap;
            let (x_row, y_row) = (pixels * x_step, pixels * y_step);
            let x = numbers((rows - 1) * x_row + (pixels - 1) * x_step + count, 3);
            let y = numbers((rows - 1) * y_row + (pixels - 1) * y_step + block, 5);
            let work = Outer { x: &x, x_row, x_step, y: &y, y_row, y_step, rows, pixels, count, block };
            let mut found = numbers(count * block, 7);
            let mut expected = found.clone();
            outer(&work, &mut found);
            blocks::outer(&work, &mut expected);
            close(&found, &expected)?;
        }
    }

    proptest! {
        #[test]
        fn winograd_transforms_equal_the_portable_ones(tiles in 1usize..7, eights in 1usize..6, gap in 0usize..40, accumulate: bool) {
            let channels = 8 * eights;
            let run = Run { tiles, channels, plane: tiles * channels + gap };
            let planes = 15 * run.plane + tiles * channels;
            let x: [Vec<f32>; 4] = [3, 5, 7, 9].map(|factor| numbers((2 * tiles + 2) * channels, factor));
            let rows = [&x[0][..], &x[1], &x[2], &x[3]];

            let [mut found, mut expected] = [11, 11].map(|factor| numbers(planes, factor));
            winograd_input(run, rows, &mut found);
            transforms::input(run, rows, &mut expected);
            prop_assert_eq!(&found, &expected);

            winograd_gradient(run, [rows[1], rows[2]], &mut found);
            transforms::gradient(run, [rows[1], rows[2]], &mut expected);
            prop_assert_eq!(&found, &expected);

            let mut outputs = [x[..2].to_vec(), x[..2].to_vec()];
            for (transform, outputs) in [winograd_output, transforms::output::<f32>].into_iter().zip(&mut outputs) {
                let [upper, lower] = &mut outputs[..] else { unreachable!() };
                transform(run, &found, [upper, lower], accumulate);
            }
            prop_assert_eq!(&outputs[0], &outputs[1]);
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn vectors_of_both_lengths_give_the_same_bits() {
        if !has_avx2() || !has_avx512() {
            println!("skipped: this processor has no AVX-512");
            return;
        }
        let (x, w) = (numbers(40 * 9 + 60, 3), numbers(60 * 16, 5));
        let segments = [Segment { x: 1, w: 0, len: 27 }, Segment { x: 30, w: 27 * 16, len: 33 }];
        for (pixels, channels) in (1..40).flat_map(|pixels| [1, 7, 8, 15, 16].map(|channels| (pixels, channels))) {
            let (x_step, out_step) = (9, channels + 3);
            let work = Row {
                x: &x,
                x_step,
                w: &w,
                block: 16,
                segments: &segments,
                pixels,
                out_step,
                channels,
                accumulate: true,
            };
            let [mut a, mut b] = [7, 7].map(|factor| numbers((pixels - 1) * out_step + channels, factor));
            // SAFETY: the processor has both; 39 pixels, 9 apart, and 63 elements after the last lie in `x`, 60 x 16 weights in `w`.
            unsafe {
                avx2::row::<2>(&work, a.as_mut_ptr());
                avx512::row::<1>(&work, b.as_mut_ptr());
            }
            assert_eq!(a, b, "{pixels} pixels, {channels} channels");
        }
        for count in 1..40 {
            let work = Outer {
                x: &x,
                x_row: 90,
                x_step: 9,
                y: &w,
                y_row: 160,
                y_step: 16,
                rows: 3,
                pixels: 9,
                count,
                block: 16,
            };
            let [mut a, mut b] = [7, 7].map(|factor| numbers(count * 16, factor));
            // SAFETY: the processor has both; 3 rows of 9 pixels lie in `x` and in `w`.
            unsafe {
                avx2::outer::<2>(&work, &mut a);
                avx512::outer::<1>(&work, &mut b);
            }
            assert_eq!(a, b, "{count} weight rows");
        }
        for channels in [8, 16, 24, 40] {
            let run = Run { tiles: 3, channels, plane: 3 * channels + 5 };
            let x = numbers(11 * channels, 3);
            let rows = [0, 1, 2, 3].map(|row| x[row * channels..].as_ptr());
            let mut planes = [7, 7].map(|factor| numbers(15 * run.plane + 3 * channels, factor));
            let mut out = [7, 7].map(|factor| numbers(12 * channels, factor));
            // SAFETY: the processor has both; rows have 8 pixels, planes 3, and two rows of outputs 6 each.
            unsafe {
                avx2::input(run, rows, planes[0].as_mut_ptr());
                avx512::input(run, rows, planes[1].as_mut_ptr());
                let [short, long] = out.each_mut().map(|out| out.split_at_mut(6 * channels));
                avx2::output(run, planes[0].as_ptr(), [short.0.as_mut_ptr(), short.1.as_mut_ptr()], true);
                avx512::output(run, planes[1].as_ptr(), [long.0.as_mut_ptr(), long.1.as_mut_ptr()], true);
            }
            assert_eq!(planes[0], planes[1], "{channels} channels");
            assert_eq!(out[0], out[1], "{channels} channels");
        }
    }

    #[test]
    #[should_panic]
    fn indices_are_checked() {
        let (x, w) = ([0.0; 10], [0.0; 80]);
        let segments = [Segment { x: 1, w: 0, len: 10 }];
        let work = Row {
            x: &x,
            x_step: 1,
            w: &w,
            block: 8,
            segments: &segments,
            pixels: 1,
            out_step: 8,
            channels: 8,
            accumulate: false,
        };
        row(&work, &mut [0.0; 8]);
    }
}
