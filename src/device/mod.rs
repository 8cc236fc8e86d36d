//! What firmware around a model needs, over embedded-hal 1.0 and embedded-io, so for every chip that has a HAL: a
//! clock, trigger pins, cameras, evaluation over a serial line of a model that is built in or comes over it, and the MLPerf
//! Tiny protocol. Feature `device`.

pub mod arducam;
pub mod camera;
#[cfg(feature = "internals")]
pub mod frame;
#[cfg(not(feature = "internals"))]
mod frame;
#[cfg(feature = "internals")]
pub mod link;
#[cfg(not(feature = "internals"))]
mod link;
pub mod load;
#[cfg(feature = "internals")]
pub mod mlperf;
mod store;
mod trigger;

pub use link::Server;
#[cfg(feature = "internals")]
pub use mlperf::{Lap, Mlperf, Pulse, Timestamp};
pub use trigger::{NoPin, Trigger, When};

/// A free-running clock: a cycle counter (DWT's CYCCNT) where there is one, SysTick or a timer elsewhere.
pub trait Clock {
    /// Ticks since some moment. They never wrap: implementations count the wraps of their counter.
    fn ticks(&mut self) -> u64;

    /// Ticks per second.
    fn frequency(&self) -> u32;

    /// Microseconds since that moment, modulo 2^32: 71 minutes.
    fn micros(&mut self) -> u32 {
        let ticks = u128::from(self.ticks());
        (ticks * 1_000_000 / u128::from(self.frequency().max(1))) as u32
    }
}

impl<C: Clock + ?Sized> Clock for &mut C {
    fn ticks(&mut self) -> u64 {
        (**self).ticks()
    }

    fn frequency(&self) -> u32 {
        (**self).frequency()
    }
}
