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

    /// The value, the first time; `None` ever after. On Armv6-M, whose cores have no atomic swap, only code with privileges is given it: take it
    /// before they are dropped.
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

/// A flag for cores without an atomic swap (Armv6-M): a plain byte, changed while interrupts are masked. Such
/// chips have one core; on the few with two (RP2040) take arenas before starting the second.
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
        let (masked, now): (u32, u32);
        // SAFETY: reads PRIMASK, masks interrupts and reads it again; no memory before it may be moved into the section or out.
        unsafe {
            core::arch::asm!(
                "mrs {masked}, PRIMASK", "cpsid i", "mrs {now}, PRIMASK",
                masked = out(reg) masked, now = out(reg) now, options(nostack)
            )
        };
        if now & 1 == 0 {
            // Without privileges the mask stays as it is, and reads as 0.
            return false;
        }
        // SAFETY: interrupts are masked on the only core, so no other access happens at the same time.
        let was_down = unsafe { !core::mem::replace(&mut *self.0.get(), true) };
        if masked & 1 == 0 {
            // SAFETY: interrupts were enabled before, so enabling them again restores the caller's state.
            unsafe { core::arch::asm!("cpsie i", options(nostack)) };
        }
        was_down
    }
}
