//! Views of byte slices as other numbers.

use half::f16;

/// Bytes as signed bytes.
pub const fn as_i8(bytes: &[u8]) -> &[i8] {
    // SAFETY: u8 and i8 have the same size and alignment, and every bit pattern is valid for both.
    unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
}

/// Bytes as signed bytes, writable.
pub const fn as_i8_mut(bytes: &mut [u8]) -> &mut [i8] {
    // SAFETY: u8 and i8 have the same size and alignment, and every bit pattern is valid for both.
    unsafe { core::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len()) }
}

/// Signed bytes as bytes.
pub const fn as_u8(bytes: &[i8]) -> &[u8] {
    // SAFETY: u8 and i8 have the same size and alignment, and every bit pattern is valid for both.
    unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
}

/// Words as signed bytes.
pub const fn words_as_i8(words: &[u32]) -> &[i8] {
    // SAFETY: the bytes are those of the words, i8 has no alignment, and every bit pattern is valid for both.
    unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}

/// Words as signed bytes, writable.
pub const fn words_as_i8_mut(words: &mut [u32]) -> &mut [i8] {
    // SAFETY: the bytes are those of the words, i8 has no alignment, and every bit pattern is valid for both.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}

/// Words as signed words, writable.
pub const fn words_as_i32_mut(words: &mut [u32]) -> &mut [i32] {
    // SAFETY: u32 and i32 have the same size and alignment, and every bit pattern is valid for both.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len()) }
}

/// Bytes as the 16-bit elements that lie wholly in them; empty when they do not start at a multiple of 2.
pub fn as_i16(bytes: &[i8]) -> &[i16] {
    // SAFETY: every bit pattern is valid for i16.
    let (head, elements, _) = unsafe { bytes.align_to::<i16>() };
    if head.is_empty() { elements } else { &[] }
}

/// Bytes as the 16-bit elements that lie wholly in them, writable; empty when they do not start at a multiple of 2.
pub fn as_i16_mut(bytes: &mut [i8]) -> &mut [i16] {
    // SAFETY: every bit pattern is valid for i16.
    let (head, elements, _) = unsafe { bytes.align_to_mut::<i16>() };
    if head.is_empty() { elements } else { &mut [] }
}

/// Bytes as the halves that lie wholly in them; empty when they do not start at a multiple of 2.
pub fn as_f16(bytes: &[i8]) -> &[f16] {
    // SAFETY: f16 is a transparent u16, of which every bit pattern is valid.
    let (head, elements, _) = unsafe { bytes.align_to::<f16>() };
    if head.is_empty() { elements } else { &[] }
}

/// Bytes as the halves that lie wholly in them, writable; empty when they do not start at a multiple of 2.
pub fn as_f16_mut(bytes: &mut [i8]) -> &mut [f16] {
    // SAFETY: f16 is a transparent u16, of which every bit pattern is valid.
    let (head, elements, _) = unsafe { bytes.align_to_mut::<f16>() };
    if head.is_empty() { elements } else { &mut [] }
}

/// Bytes as the numbers in single precision that lie wholly in them, writable; empty when they do not start at a multiple of 4.
pub fn as_f32_mut(bytes: &mut [i8]) -> &mut [f32] {
    // SAFETY: every bit pattern is valid for f32.
    let (head, elements, _) = unsafe { bytes.align_to_mut::<f32>() };
    if head.is_empty() { elements } else { &mut [] }
}

/// Halves as bytes.
pub const fn f16_as_u8(elements: &[f16]) -> &[u8] {
    // SAFETY: the bytes are those of the elements, u8 has no alignment, and every bit pattern is valid for it.
    unsafe { core::slice::from_raw_parts(elements.as_ptr().cast(), size_of_val(elements)) }
}

/// 16-bit elements as bytes.
pub const fn i16_as_u8(elements: &[i16]) -> &[u8] {
    // SAFETY: the bytes are those of the elements, u8 has no alignment, and every bit pattern is valid for it.
    unsafe { core::slice::from_raw_parts(elements.as_ptr().cast(), size_of_val(elements)) }
}

/// Signed bytes as bytes, writable.
pub const fn as_u8_mut(bytes: &mut [i8]) -> &mut [u8] {
    // SAFETY: u8 and i8 have the same size and alignment, and every bit pattern is valid for both.
    unsafe { core::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len()) }
}

/// Signed bytes as the words that lie wholly in them, writable; empty when they do not start at a multiple of 4.
pub fn i8_as_words_mut(bytes: &mut [i8]) -> &mut [u32] {
    // SAFETY: every bit pattern is valid for u32.
    let (head, words, _) = unsafe { bytes.align_to_mut::<u32>() };
    if head.is_empty() { words } else { &mut [] }
}

/// Signed bytes as the words that lie wholly in them; empty when they do not start at a multiple of 4.
pub fn i8_as_words(bytes: &[i8]) -> &[u32] {
    // SAFETY: every bit pattern is valid for u32.
    let (head, words, _) = unsafe { bytes.align_to::<u32>() };
    if head.is_empty() { words } else { &[] }
}
