//! The loops over tiles, the same for vectors of every length.
//!
//! Each element of a result is summed in the same order whatever the tile, so that all lengths give the same bits.

/// Defines `row` and `outer` over the module's `Vector` of `LANES` elements, in functions compiled for `$features`.
macro_rules! tiles {
    ($features:literal) => {
        use crate::layers::blocks::{Outer, Row, Segment};

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
        #[target_feature(enable = $features)]
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
        #[target_feature(enable = $features)]
        #[inline]
        unsafe fn row_tile<const P: usize, const V: usize>(row: &Row<'_, f32>, pixel: usize, out: *mut f32) {
            let mut sums = [[zero(); V]; P];
            let step = row.x_step;
            for &Segment { x, w, len } in row.segments {
                // SAFETY: x + (pixel + p) * step + j and w + j * block + v are in range by the caller's promise.
                unsafe {
                    let mut x = row.x.as_ptr().add(x + pixel * step);
                    let mut w = row.w.as_ptr().add(w);
                    for _ in 0..len {
                        let weights: [Vector; V] = std::array::from_fn(|v| load(w.add(v * LANES)));
                        for (p, sums) in sums.iter_mut().enumerate() {
                            let input = broadcast(x.add(p * step));
                            for (sum, weight) in sums.iter_mut().zip(weights) {
                                *sum = multiply_add(input, weight, *sum);
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
                                sums[v] = add(load(out), sums[v]);
                            }
                            store(out, sums[v]);
                        } else if left[v] > 0 {
                            if row.accumulate {
                                sums[v] = add(load_first(left[v], out), sums[v]);
                            }
                            store_first(left[v], out, sums[v]);
                        }
                    }
                }
            }
        }

        /// # Safety
        /// Every input and gradient of the work lies in its slice, and the block has `V * LANES` channels.
        #[target_feature(enable = $features)]
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
        #[target_feature(enable = $features)]
        #[inline]
        unsafe fn outer_tile<const R: usize, const V: usize>(outer: &Outer<'_, f32>, first: usize, out: &mut [f32]) {
            let mut sums = [[zero(); V]; R];
            for row in 0..outer.rows {
                // SAFETY: the last pixel of the last row is in range by the caller's promise.
                unsafe {
                    let mut x = outer.x.as_ptr().add(row * outer.x_row + first);
                    let mut y = outer.y.as_ptr().add(row * outer.y_row);
                    for _ in 0..outer.pixels {
                        let gradients: [Vector; V] = std::array::from_fn(|v| load(y.add(v * LANES)));
                        for (r, sums) in sums.iter_mut().enumerate() {
                            let input = broadcast(x.add(r));
                            for (sum, gradient) in sums.iter_mut().zip(gradients) {
                                *sum = multiply_add(input, gradient, *sum);
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
                unsafe { store(out.as_mut_ptr(), add(load(out.as_ptr()), *sum)) };
            }
        }
    };
}
pub(super) use tiles;
