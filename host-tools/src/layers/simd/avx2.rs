//! Vectors of 256 bits.

use std::arch::x86_64::*;

type Vector = __m256;

/// Elements of a vector.
const LANES: usize = 8;

super::tiles::tiles!("avx2,fma");
super::winograd::transforms!("avx2,fma");

/// Runs `work`, compiled for these vectors as far as it is inlined.
#[target_feature(enable = "avx2,fma")]
pub fn run(work: impl super::Work) {
    work.run();
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn zero() -> Vector {
    _mm256_setzero_ps()
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn add(a: Vector, b: Vector) -> Vector {
    _mm256_add_ps(a, b)
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn subtract(a: Vector, b: Vector) -> Vector {
    _mm256_sub_ps(a, b)
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn multiply_add(a: Vector, b: Vector, sum: Vector) -> Vector {
    _mm256_fmadd_ps(a, b, sum)
}

/// # Safety
/// There is an element at `from`.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn broadcast(from: *const f32) -> Vector {
    // SAFETY: the caller's promise.
    _mm256_set1_ps(unsafe { *from })
}

/// # Safety
/// There are `LANES` elements at `from`.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn load(from: *const f32) -> Vector {
    // SAFETY: the caller's promise.
    unsafe { _mm256_loadu_ps(from) }
}

/// # Safety
/// There are `LANES` elements at `to`.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn store(to: *mut f32, vector: Vector) {
    // SAFETY: the caller's promise.
    unsafe { _mm256_storeu_ps(to, vector) }
}

/// # Safety
/// There are `count` elements at `from`.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn load_first(count: usize, from: *const f32) -> Vector {
    // SAFETY: the caller's promise; lanes outside the mask are not touched.
    unsafe { _mm256_maskload_ps(from, mask(count)) }
}

/// # Safety
/// There are `count` elements at `to`.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn store_first(count: usize, to: *mut f32, vector: Vector) {
    // SAFETY: the caller's promise; lanes outside the mask are not touched.
    unsafe { _mm256_maskstore_ps(to, mask(count), vector) }
}

/// A mask of the first `count` lanes.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn mask(count: usize) -> __m256i {
    _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
}
