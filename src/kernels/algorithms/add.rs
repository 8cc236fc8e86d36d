//! Sums with rescaling, in their linear form where there is one.

use crate::kernels::{AddTerms, Backend};

/// Adds two rows of elements, into the first: `left = left + right`.
#[inline]
pub fn add<B: Backend>(left: &mut [i8], right: &[i8], terms: &AddTerms) {
    match &terms.linear {
        Some(constants) => linear::<B>(left, right, terms, constants),
        None => B::add_rescaled(left, right, terms),
    }
}

/// [`add`] in the linear form that `terms` has, with these constants.
#[inline]
pub fn linear<B: Backend>(left: &mut [i8], right: &[i8], terms: &AddTerms, constants: &[i32; 3]) {
    B::add_linear(left, right, constants);
    let (low, high) = (terms.stage.clamp.min as i8, terms.stage.clamp.max as i8);
    if low != i8::MIN || high != i8::MAX {
        B::clamp(left, low, high);
    }
}
