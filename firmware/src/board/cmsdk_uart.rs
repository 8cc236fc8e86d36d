//! The emulated MPS2 and MPS3 images: the UART of Arm's Cortex-M System Design Kit, the board's first, polled, at 115,200 baud.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, Write};

use super::{SYSTICK_HZ, UART};

const DATA: usize = 0x0;
const STATE: usize = 0x4;
const CONTROL: usize = 0x8;
const DIVIDER: usize = 0x10;

/// Of [`STATE`]: there is no room for another byte.
const FULL: u32 = 1;
/// Of [`STATE`]: a byte came in.
const RECEIVED: u32 = 2;
/// Of [`CONTROL`]: it sends and receives.
const ENABLED: u32 = 3;

/// Nothing to do: QEMU starts with clocks running.
pub fn init() {}

/// The UART, once it runs.
#[derive(Debug)]
pub struct CmsdkUart(());

fn read(register: usize) -> u32 {
    // SAFETY: a register of the board's UART; reading takes at most a byte that was received.
    unsafe { ((UART as usize + register) as *const u32).read_volatile() }
}

fn write(register: usize, value: u32) {
    // SAFETY: a register of the board's UART, which reads and writes no memory by itself.
    unsafe { ((UART as usize + register) as *mut u32).write_volatile(value) }
}

/// The board's serial line.
pub fn serial() -> Option<CmsdkUart> {
    write(DIVIDER, SYSTICK_HZ / 115_200);
    write(CONTROL, ENABLED);
    Some(CmsdkUart(()))
}

impl ErrorType for CmsdkUart {
    type Error = Infallible;
}

impl Read for CmsdkUart {
    /// Waits for a byte.
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let Some(byte) = bytes.first_mut() else { return Ok(0) };
        while read(STATE) & RECEIVED == 0 {}
        *byte = read(DATA) as u8;
        Ok(1)
    }
}

impl Write for CmsdkUart {
    /// Waits until there is room for a byte.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let Some(&byte) = bytes.first() else { return Ok(0) };
        while read(STATE) & FULL != 0 {}
        write(DATA, byte.into());
        Ok(1)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while read(STATE) & FULL != 0 {}
        Ok(())
    }
}
