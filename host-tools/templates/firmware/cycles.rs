//! The core's counter of cycles.

use cortex_m::Peripherals;

/// Starts it. Armv6-M, which has no atomic swap either, has none; QEMU's stands still.
pub fn start(core: &mut Peripherals) {
    #[cfg(target_has_atomic = "32")]
    {
        core.DCB.enable_trace();
        cortex_m::peripheral::DWT::unlock();
        core.DWT.enable_cycle_counter();
    }
    #[cfg(not(target_has_atomic = "32"))]
    let _ = core;
}

/// Cycles so far, modulo 2^32; 0 where they are not counted.
pub fn now() -> u32 {
    #[cfg(target_has_atomic = "32")]
    return cortex_m::peripheral::DWT::cycle_count();
    #[cfg(not(target_has_atomic = "32"))]
    0
}
