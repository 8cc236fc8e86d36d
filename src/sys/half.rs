//! Halves to single precision and back: by the floating-point unit where the target has one, whose instructions give the bits
//! of the `half` crate for every finite number.

use half::f16;

/// Passes a word through an instruction from `s0` to `s0`. Stable Rust has no operands in the unit's registers: `s0` is put back.
#[cfg(kinglet_fpu)]
macro_rules! through_s0 {
    ($instruction:literal, $word:expr) => {{
        let result: u32;
        // SAFETY: `s0` holds at the end what it held before; flags of the floating-point unit may change.
        unsafe {
            core::arch::asm!(
                "vmov {kept}, s0",
                "vmov s0, {word}",
                $instruction,
                "vmov {word}, s0",
                "vmov s0, {kept}",
                word = inout(reg) $word => result,
                kept = out(reg) _,
                options(pure, nomem, nostack),
            );
        }
        result
    }};
}

/// The same number in single precision.
#[inline]
pub fn widen(x: f16) -> f32 {
    #[cfg(kinglet_fpu)]
    {
        f32::from_bits(through_s0!("vcvtb.f32.f16 s0, s0", u32::from(x.to_bits())))
    }
    #[cfg(not(kinglet_fpu))]
    x.to_f32_const()
}

/// The nearest half, of two the even one; infinite from 65520 on.
#[inline]
pub fn narrow(x: f32) -> f16 {
    #[cfg(kinglet_fpu)]
    {
        // The upper half of the register stays as it is.
        f16::from_bits(through_s0!("vcvtb.f16.f32 s0, s0", x.to_bits()) as u16)
    }
    #[cfg(not(kinglet_fpu))]
    f16::from_f32_const(x)
}
