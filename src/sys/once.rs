//! A value in a `static` that can be borrowed mutably, once.

use core::cell::UnsafeCell;

/// Holds a `T` and hands out `&'static mut T` to the first who asks.
#[derive(Debug)]
pub struct Once<T> {
    taken: Flag,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reachable only through `take`, which gives it to one caller for ever.
unsafe impl<T: Send> Sync for Once<T> {}

impl<T> Once<T> {
    /// Holding `value`.
    pub const fn new(value: T) -> Self {
        Self { taken: Flag::new(), value: UnsafeCell::new(value) }
    }

    /// The value, the first time; `None` ever after. On cores without an atomic swap (Armv6-M, RISC-V without the extension A) only code with
    /// privileges is given it: take it before they are dropped.
    #[allow(clippy::mut_from_ref)] // the flag makes sure that there is one
    pub fn take(&'static self) -> Option<&'static mut T> {
        // SAFETY: `raise` returns true once in the life of the program, so there is no other reference.
        self.taken.raise().then(|| unsafe { &mut *self.value.get() })
    }
}

/// A flag that can be raised once.
#[cfg(target_has_atomic = "8")]
#[derive(Debug)]
struct Flag(core::sync::atomic::AtomicBool);

#[cfg(target_has_atomic = "8")]
impl Flag {
    const fn new() -> Self {
        Self(core::sync::atomic::AtomicBool::new(false))
    }

    /// Raises the flag; whether it was down.
    fn raise(&self) -> bool {
        !self.0.swap(true, core::sync::atomic::Ordering::AcqRel)
    }
}

/// A flag for cores without an atomic swap (Armv6-M, RISC-V without its extension A): a plain byte, changed while interrupts are
/// masked. Such chips have one core; on the few with two (RP2040) take arenas before starting the second.
#[cfg(not(target_has_atomic = "8"))]
#[derive(Debug)]
struct Flag(UnsafeCell<bool>);

#[cfg(not(target_has_atomic = "8"))]
impl Flag {
    const fn new() -> Self {
        Self(UnsafeCell::new(false))
    }

    /// Raises the flag; whether it was down. Never, for code without privileges: it cannot mask interrupts.
    fn raise(&self) -> bool {
        let Some(were_enabled) = interrupts::mask() else { return false };
        // SAFETY: interrupts are masked on the only core, so no other access happens at the same time.
        let was_down = unsafe { !core::mem::replace(&mut *self.0.get(), true) };
        if were_enabled {
            interrupts::enable();
        }
        was_down
    }
}

/// The interrupts of a core, to be masked for some instructions.
#[cfg(all(not(target_has_atomic = "8"), target_arch = "arm"))]
mod interrupts {
    use core::arch::asm;

    /// Masks them; whether they were enabled, and `None` where the code has no privileges: the mask stays as it is, and reads as 0.
    pub fn mask() -> Option<bool> {
        let (masked, now): (u32, u32);
        // SAFETY: reads PRIMASK, masks interrupts and reads it again; no memory access may be moved across.
        unsafe {
            asm!(
                "mrs {masked}, PRIMASK", "cpsid i", "mrs {now}, PRIMASK",
                masked = out(reg) masked, now = out(reg) now, options(nostack)
            )
        };
        (now & 1 != 0).then_some(masked & 1 == 0)
    }

    /// Enables them again.
    pub fn enable() {
        // SAFETY: they were enabled before [`mask`], so this restores the caller's state.
        unsafe { asm!("cpsie i", options(nostack)) };
    }
}

/// The interrupts of a core, to be masked for some instructions.
#[cfg(all(not(target_has_atomic = "8"), target_arch = "riscv32"))]
mod interrupts {
    use core::arch::asm;

    /// The bit of `mstatus` that enables interrupts in machine mode.
    const MIE: u32 = 1 << 3;

    /// Masks them; whether they were enabled. Firmware for these cores runs in machine mode.
    pub fn mask() -> Option<bool> {
        let before: u32;
        // SAFETY: clears a bit of a control register and reads what it was; no memory access may be moved across.
        unsafe { asm!("csrrci {}, mstatus, 8", out(reg) before, options(nostack)) };
        Some(before & MIE != 0)
    }

    /// Enables them again.
    pub fn enable() {
        // SAFETY: they were enabled before [`mask`], so this restores the caller's state.
        unsafe { asm!("csrsi mstatus, 8", options(nostack)) };
    }
}
