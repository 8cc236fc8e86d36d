//! Arm MPS2 with the AN386 image, as QEMU emulates it: it talks to the terminal by semihosting.

use core::panic::PanicInfo;

pub use semihosting::println as log;

/// The board.
pub struct Board;

impl Board {
    /// Nothing to do: QEMU starts with clocks running.
    pub fn start(_core: cortex_m::Peripherals) -> Self {
        Self
    }

    /// There is none that one could see.
    pub fn led(&mut self, _on: bool) {}
}

/// Ends the program, and QEMU.
pub fn exit() -> ! {
    semihosting::process::exit(0)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    semihosting::eprintln!("{}", info);
    semihosting::process::exit(101)
}
