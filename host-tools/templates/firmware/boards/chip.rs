//! {{title}}, as it starts: logs over RTT. Its HAL, clocks and pins go here.

use defmt_rtt as _;
use panic_probe as _;

pub use defmt::info as log;

/// The board.
pub struct Board;

impl Board {
    /// Starts clocks and pins: here the chip runs as it comes out of reset.
    pub fn start(_core: cortex_m::Peripherals) -> Self {
        Self
    }

    /// Switches a light, if there is one.
    pub fn led(&mut self, _on: bool) {}
}

/// Ends `cargo run`.
pub fn exit() -> ! {
    loop {
        cortex_m::asm::bkpt();
    }
}
