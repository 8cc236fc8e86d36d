//! Emulated boards with Arm's PL011, the UART of the Stellaris chips among others, polled: the board's first, at 115,200 baud.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, Write};

use super::{SYSTICK_HZ, UART};

const DATA: usize = 0x0;
const FLAGS: usize = 0x18;
const DIVIDER: usize = 0x24;
/// 64ths of the divider.
const DIVIDER_FRACTION: usize = 0x28;
const FORMAT: usize = 0x2C;
const CONTROL: usize = 0x30;

/// Of [`FLAGS`]: no byte came in.
const EMPTY: u32 = 1 << 4;
/// Of [`FLAGS`]: there is no room for another byte.
const FULL: u32 = 1 << 5;
/// Of [`FLAGS`]: it sends.
const BUSY: u32 = 1 << 3;
/// 8 bits, no parity, 1 stop bit, with a queue for each direction.
const EIGHT_BITS: u32 = 3 << 5 | 1 << 4;
/// Of [`CONTROL`]: it sends and receives.
const ENABLED: u32 = 1 | 3 << 8;

/// Nothing to do: QEMU starts with clocks running.
pub fn init() {}

/// The UART, once it runs.
#[derive(Debug)]
pub struct Pl011(());

fn read(register: usize) -> u32 {
    // SAFETY: a register of the board's UART; reading takes at most a byte that was received.
    unsafe { ((UART as usize + register) as *const u32).read_volatile() }
}

fn write(register: usize, value: u32) {
    // SAFETY: a register of the board's UART, which reads and writes no memory by itself.
    unsafe { ((UART as usize + register) as *mut u32).write_volatile(value) }
}

/// The board's serial line.
pub fn serial() -> Option<Pl011> {
    // 16 clocks a bit, 64ths of them.
    const DIVIDED: u32 = SYSTICK_HZ * 4 / 115_200;
    write(CONTROL, 0);
    write(DIVIDER, DIVIDED / 64);
    write(DIVIDER_FRACTION, DIVIDED % 64);
    write(FORMAT, EIGHT_BITS);
    write(CONTROL, ENABLED);
    Some(Pl011(()))
}

impl ErrorType for Pl011 {
    type Error = Infallible;
}

impl Read for Pl011 {
    /// Waits for a byte.
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let Some(byte) = bytes.first_mut() else { return Ok(0) };
        while read(FLAGS) & EMPTY != 0 {}
        *byte = read(DATA) as u8;
        Ok(1)
    }
}

impl Write for Pl011 {
    /// Waits until there is room for a byte.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let Some(&byte) = bytes.first() else { return Ok(0) };
        while read(FLAGS) & FULL != 0 {}
        write(DATA, byte.into());
        Ok(1)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while read(FLAGS) & BUSY != 0 {}
        Ok(())
    }
}
