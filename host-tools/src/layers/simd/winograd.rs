//! Winograd's transforms, the same for vectors of every length: see `layers::transforms`, whose bits they give.
//!
//! No closures here: what is handed to the methods of arrays is compiled without the features.

/// Defines `input`, `gradient` and `output` over the module's `Vector` of `LANES` elements, in functions compiled for
/// `$features`.
macro_rules! transforms {
    ($features:literal) => {
        use crate::layers::transforms::Run;

        /// # Safety
        /// Each row has `2 * tiles + 2` pixels, and the last plane behind `out` `tiles`.
        #[target_feature(enable = $features)]
        pub unsafe fn input(run: Run, rows: [*const f32; 4], out: *mut f32) {
            for tile in 0..run.tiles {
                for channel in (0..run.channels).step_by(LANES) {
                    // SAFETY: the channels are some of the tile's.
                    unsafe {
                        if channel + LANES <= run.channels {
                            input_lanes::<true>(run, tile, channel, rows, out);
                        } else {
                            input_lanes::<false>(run, tile, channel, rows, out);
                        }
                    }
                }
            }
        }

        /// # Safety
        /// As [`input`]; a full vector of channels is there if `FULL`.
        #[target_feature(enable = $features)]
        #[inline]
        unsafe fn input_lanes<const FULL: bool>(
            run: Run,
            tile: usize,
            channel: usize,
            rows: [*const f32; 4],
            out: *mut f32,
        ) {
            let Run { channels, plane, .. } = run;
            let left = channels - channel;
            let mut sums = [[zero(); 4]; 4];
            // SAFETY: four pixels of each row, and a place in each plane.
            unsafe {
                for i in 0..4 {
                    let from = rows[i].add(2 * tile * channels + channel);
                    let a = load_some::<FULL>(left, from);
                    let b = load_some::<FULL>(left, from.add(channels));
                    let c = load_some::<FULL>(left, from.add(2 * channels));
                    let d = load_some::<FULL>(left, from.add(3 * channels));
                    sums[i] = [subtract(a, c), add(b, c), subtract(c, b), subtract(b, d)];
                }
                let out = out.add(tile * channels + channel);
                for j in 0..4 {
                    let (a, b, c, d) = (sums[0][j], sums[1][j], sums[2][j], sums[3][j]);
                    store_some::<FULL>(left, out.add(j * plane), subtract(a, c));
                    store_some::<FULL>(left, out.add((4 + j) * plane), add(b, c));
                    store_some::<FULL>(left, out.add((8 + j) * plane), subtract(c, b));
                    store_some::<FULL>(left, out.add((12 + j) * plane), subtract(b, d));
                }
            }
        }

        /// # Safety
        /// Each row has `2 * tiles` pixels, and the last plane behind `out` `tiles`.
        #[target_feature(enable = $features)]
        pub unsafe fn gradient(run: Run, rows: [*const f32; 2], out: *mut f32) {
            for tile in 0..run.tiles {
                for channel in (0..run.channels).step_by(LANES) {
                    // SAFETY: the channels are some of the tile's.
                    unsafe {
                        if channel + LANES <= run.channels {
                            gradient_lanes::<true>(run, tile, channel, rows, out);
                        } else {
                            gradient_lanes::<false>(run, tile, channel, rows, out);
                        }
                    }
                }
            }
        }

        /// # Safety
        /// As [`gradient`]; a full vector of channels is there if `FULL`.
        #[target_feature(enable = $features)]
        #[inline]
        unsafe fn gradient_lanes<const FULL: bool>(
            run: Run,
            tile: usize,
            channel: usize,
            rows: [*const f32; 2],
            out: *mut f32,
        ) {
            let Run { channels, plane, .. } = run;
            let left = channels - channel;
            let mut sums = [[zero(); 4]; 2];
            // SAFETY: two pixels of each row, and a place in each plane.
            unsafe {
                for i in 0..2 {
                    let from = rows[i].add(2 * tile * channels + channel);
                    let (a, b) = (load_some::<FULL>(left, from), load_some::<FULL>(left, from.add(channels)));
                    sums[i] = [a, add(a, b), subtract(a, b), subtract(zero(), b)];
                }
                let out = out.add(tile * channels + channel);
                for j in 0..4 {
                    let (a, b) = (sums[0][j], sums[1][j]);
                    store_some::<FULL>(left, out.add(j * plane), a);
                    store_some::<FULL>(left, out.add((4 + j) * plane), add(a, b));
                    store_some::<FULL>(left, out.add((8 + j) * plane), subtract(a, b));
                    store_some::<FULL>(left, out.add((12 + j) * plane), subtract(zero(), b));
                }
            }
        }

        /// # Safety
        /// The last plane of the products has `tiles` pixels, and each row `2 * tiles`.
        #[target_feature(enable = $features)]
        pub unsafe fn output(run: Run, products: *const f32, rows: [*mut f32; 2], accumulate: bool) {
            for tile in 0..run.tiles {
                for channel in (0..run.channels).step_by(LANES) {
                    // SAFETY: the channels are some of the tile's.
                    unsafe {
                        if channel + LANES <= run.channels {
                            output_lanes::<true>(run, tile, channel, products, rows, accumulate);
                        } else {
                            output_lanes::<false>(run, tile, channel, products, rows, accumulate);
                        }
                    }
                }
            }
        }

        /// # Safety
        /// As [`output`]; a full vector of channels is there if `FULL`.
        #[target_feature(enable = $features)]
        #[inline]
        unsafe fn output_lanes<const FULL: bool>(
            run: Run,
            tile: usize,
            channel: usize,
            products: *const f32,
            rows: [*mut f32; 2],
            accumulate: bool,
        ) {
            let Run { channels, plane, .. } = run;
            let left = channels - channel;
            let mut sums = [[zero(); 2]; 4];
            // SAFETY: a place in each plane, and two pixels of each row.
            unsafe {
                let from = products.add(tile * channels + channel);
                for j in 0..4 {
                    let a = load_some::<FULL>(left, from.add(j * plane));
                    let b = load_some::<FULL>(left, from.add((4 + j) * plane));
                    let c = load_some::<FULL>(left, from.add((8 + j) * plane));
                    let d = load_some::<FULL>(left, from.add((12 + j) * plane));
                    sums[j] = [add(add(a, b), c), subtract(subtract(b, c), d)];
                }
                for i in 0..2 {
                    let (a, b, c, d) = (sums[0][i], sums[1][i], sums[2][i], sums[3][i]);
                    let mut values = [add(add(a, b), c), subtract(subtract(b, c), d)];
                    let to = rows[i].add(2 * tile * channels + channel);
                    if accumulate {
                        values[0] = add(load_some::<FULL>(left, to), values[0]);
                        values[1] = add(load_some::<FULL>(left, to.add(channels)), values[1]);
                    }
                    store_some::<FULL>(left, to, values[0]);
                    store_some::<FULL>(left, to.add(channels), values[1]);
                }
            }
        }

        /// # Safety
        /// There are `LANES` elements at `from`, or fewer but `left` if not `FULL`.
        #[target_feature(enable = $features)]
        #[inline]
        unsafe fn load_some<const FULL: bool>(left: usize, from: *const f32) -> Vector {
            // SAFETY: the caller's promise.
            unsafe { if FULL { load(from) } else { load_first(left, from) } }
        }

        /// # Safety
        /// There are `LANES` elements at `to`, or fewer but `left` if not `FULL`.
        #[target_feature(enable = $features)]
        #[inline]
        unsafe fn store_some<const FULL: bool>(left: usize, to: *mut f32, vector: Vector) {
            // SAFETY: the caller's promise.
            unsafe { if FULL { store(to, vector) } else { store_first(left, to, vector) } }
        }
    };
}
pub(super) use transforms;
