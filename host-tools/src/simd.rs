//! The trainer's CPU dispatch: AVX2 with FMA where the processor has them, portable code elsewhere.
//!
//! This is the only module of the host tools with `unsafe`. What is computed is defined in `layers::blocks`; the
//! functions here differ from it by the rounding of fused multiply-adds only.

use crate::layers::blocks::{self, Outer, Row};

/// Whether the processor has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    // The macro caches its answer.
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
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
        // SAFETY: the processor has the features of `x86::with_avx2`.
        return unsafe { x86::with_avx2(work) };
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
            impl<$real: $crate::layers::Real> $crate::simd::Work for Arguments<($($type),*)> {
                #[inline(always)]
                fn run(self) {
                    let ($($argument),*) = self.0;
                    body($($argument),*);
                }
            }
            $crate::simd::run_widest(Arguments(($($argument),*)));
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
                8 => x86::row::<1>(row, out.as_mut_ptr()),
                16 => x86::row::<2>(row, out.as_mut_ptr()),
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
                8 => x86::outer::<1>(outer, out),
                16 => x86::outer::<2>(outer, out),
                _ => blocks::outer(outer, out),
            }
        };
    }
    blocks::outer(outer, out);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Outer, Row};
    use crate::layers::blocks::Segment;

    /// Elements of a vector.
    const LANES: usize = 8;

    #[target_feature(enable = "avx2,fma")]
    pub fn with_avx2(work: impl super::Work) {
        work.run();
    }

    /// Pixels or weight rows of the next tile: a tile of one vector needs more of them to keep the adders busy.
    fn tile<const V: usize>(left: usize) -> usize {
        match (V, left) {
            (1, 0..=8) => left,
            (1, 9 | 10) => 5,
            (1, 11 | 13..=16) => 8,
            (1, _) => 12,
            (_, 0..=6) => left,
            (_, 7 | 8) => 4,
            (_, 9 | 10) => 5,
            _ => 6,
        }
    }

    /// # Safety
    /// Every input and weight of the row lies in its slice, every output behind `out`, and the block has `V * LANES`
    /// channels.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn row<const V: usize>(row: &Row<'_, f32>, out: *mut f32) {
        let mut pixel = 0;
        while pixel < row.pixels {
            let taken = tile::<V>(row.pixels - pixel);
            // SAFETY: the tile's pixels are pixels of the row.
            unsafe {
                match taken {
                    12 => row_tile::<12, V>(row, pixel, out),
                    8 => row_tile::<8, V>(row, pixel, out),
                    7 => row_tile::<7, V>(row, pixel, out),
                    6 => row_tile::<6, V>(row, pixel, out),
                    5 => row_tile::<5, V>(row, pixel, out),
                    4 => row_tile::<4, V>(row, pixel, out),
                    3 => row_tile::<3, V>(row, pixel, out),
                    2 => row_tile::<2, V>(row, pixel, out),
                    _ => row_tile::<1, V>(row, pixel, out),
                }
            }
            pixel += taken.max(1);
        }
    }

    /// # Safety
    /// As [`row`], for the `P` pixels from `pixel` on.
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn row_tile<const P: usize, const V: usize>(row: &Row<'_, f32>, pixel: usize, out: *mut f32) {
        let mut sums = [[_mm256_setzero_ps(); V]; P];
        let step = row.x_step;
        for &Segment { x, w, len } in row.segments {
            // SAFETY: x + (pixel + p) * step + j and w + j * block + v are in range by the caller's promise.
            unsafe {
                let mut x = row.x.as_ptr().add(x + pixel * step);
                let mut w = row.w.as_ptr().add(w);
                for _ in 0..len {
                    let weights: [__m256; V] = std::array::from_fn(|v| _mm256_loadu_ps(w.add(v * LANES)));
                    for (p, sums) in sums.iter_mut().enumerate() {
                        let input = _mm256_broadcast_ss(&*x.add(p * step));
                        for (sum, weight) in sums.iter_mut().zip(weights) {
                            *sum = _mm256_fmadd_ps(input, weight, *sum);
                        }
                    }
                    x = x.add(1);
                    w = w.add(V * LANES);
                }
            }
        }
        // Nothing below indexes the sums by a variable, or they would leave their registers, in the loop above too.
        let left: [usize; V] = std::array::from_fn(|v| row.channels.saturating_sub(v * LANES));
        for (p, sums) in sums.iter_mut().enumerate() {
            for v in 0..V {
                // SAFETY: the row's outputs lie in `out` by the caller's promise, and no others are touched.
                unsafe {
                    let out = out.add((pixel + p) * row.out_step + v * LANES);
                    if left[v] >= LANES {
                        if row.accumulate {
                            sums[v] = _mm256_add_ps(_mm256_loadu_ps(out), sums[v]);
                        }
                        _mm256_storeu_ps(out, sums[v]);
                    } else if left[v] > 0 {
                        let mask = first_lanes(left[v]);
                        if row.accumulate {
                            sums[v] = _mm256_add_ps(_mm256_maskload_ps(out, mask), sums[v]);
                        }
                        _mm256_maskstore_ps(out, mask, sums[v]);
                    }
                }
            }
        }
    }

    /// A mask of the first `count` lanes.
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn first_lanes(count: usize) -> __m256i {
        _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
    }

    /// # Safety
    /// Every input and gradient of the work lies in its slice, and the block has `V * LANES` channels.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn outer<const V: usize>(outer: &Outer<'_, f32>, out: &mut [f32]) {
        let mut first = 0;
        while first < outer.count {
            let taken = tile::<V>(outer.count - first);
            // SAFETY: the tile's weight rows are some of the work's.
            unsafe {
                match taken {
                    12 => outer_tile::<12, V>(outer, first, out),
                    8 => outer_tile::<8, V>(outer, first, out),
                    7 => outer_tile::<7, V>(outer, first, out),
                    6 => outer_tile::<6, V>(outer, first, out),
                    5 => outer_tile::<5, V>(outer, first, out),
                    4 => outer_tile::<4, V>(outer, first, out),
                    3 => outer_tile::<3, V>(outer, first, out),
                    2 => outer_tile::<2, V>(outer, first, out),
                    _ => outer_tile::<1, V>(outer, first, out),
                }
            }
            first += taken.max(1);
        }
    }

    /// # Safety
    /// As [`outer`], for the `R` weight rows from `first` on.
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn outer_tile<const R: usize, const V: usize>(outer: &Outer<'_, f32>, first: usize, out: &mut [f32]) {
        let mut sums = [[_mm256_setzero_ps(); V]; R];
        for row in 0..outer.rows {
            // SAFETY: the last pixel of the last row is in range by the caller's promise.
            unsafe {
                let mut x = outer.x.as_ptr().add(row * outer.x_row + first);
                let mut y = outer.y.as_ptr().add(row * outer.y_row);
                for _ in 0..outer.pixels {
                    let gradients: [__m256; V] = std::array::from_fn(|v| _mm256_loadu_ps(y.add(v * LANES)));
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let input = _mm256_broadcast_ss(&*x.add(r));
                        for (sum, gradient) in sums.iter_mut().zip(gradients) {
                            *sum = _mm256_fmadd_ps(input, gradient, *sum);
                        }
                    }
                    // Past the last pixel these pointers are never read.
                    x = x.wrapping_add(outer.x_step);
                    y = y.wrapping_add(outer.y_step);
                }
            }
        }
        let out = &mut out[first * V * LANES..][..R * V * LANES];
        for (out, sum) in out.chunks_exact_mut(LANES).zip(sums.as_flattened()) {
            // SAFETY: the chunk has LANES elements.
            unsafe { _mm256_storeu_ps(out.as_mut_ptr(), _mm256_add_ps(_mm256_loadu_ps(out.as_ptr()), *sum)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::layers::blocks::Segment;

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
