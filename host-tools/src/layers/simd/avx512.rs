//! Vectors of 512 bits.

use std::arch::x86_64::*;

type Vector = __m512;

/// Elements of a vector.
const LANES: usize = 16;

super::tiles::tiles!("avx512f");
super::winograd::transforms!("avx512f");

#[target_feature(enable = "avx512f")]
#[inline]
fn zero() -> Vector {
    _mm512_setzero_ps()
}

#[target_feature(enable = "avx512f")]
#[inline]
fn add(a: Vector, b: Vector) -> Vector {
    _mm512_add_ps(a, b)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn subtract(a: Vector, b: Vector) -> Vector {
    _mm512_sub_ps(a, b)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn multiply_add(a: Vector, b: Vector, sum: Vector) -> Vector {
    _mm512_fmadd_ps(a, b, sum)
}

/// # Safety
/// There is an element at `from`.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn broadcast(from: *const f32) -> Vector {
    // SAFETY: the caller's promise.
    _mm512_set1_ps(unsafe { *from })
}

/// # Safety
/// There are `LANES` elements at `from`.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn load(from: *const f32) -> Vector {
    // SAFETY: the caller's promise.
    unsafe { _mm512_loadu_ps(from) }
}

/// # Safety
/// There are `LANES` elements at `to`.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn store(to: *mut f32, vector: Vector) {
    // SAFETY: the caller's promise.
    unsafe { _mm512_storeu_ps(to, vector) }
}

/// # Safety
/// There are `count` elements at `from`.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn load_first(count: usize, from: *const f32) -> Vector {
    // SAFETY: the caller's promise; lanes outside the mask are not touched.
    unsafe { _mm512_maskz_loadu_ps(mask(count), from) }
}

/// # Safety
/// There are `count` elements at `to`.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn store_first(count: usize, to: *mut f32, vector: Vector) {
    // SAFETY: the caller's promise; lanes outside the mask are not touched.
    unsafe { _mm512_mask_storeu_ps(to, mask(count), vector) }
}

/// A mask of the first `count` lanes, fewer than all.
const fn mask(count: usize) -> __mmask16 {
    (1 << count) - 1
}
