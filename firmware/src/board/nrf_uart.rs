//! The UART of Nordic's chips, nRF51 and nRF52, polled. It keeps the bytes that come in while nobody reads, six of them; the UARTE of the same
//! address, which HALs for the nRF52 have, keeps none between one reading of unknown length and the next.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, Write};

const BASE: usize = 0x4000_2000;
const START_RECEIVING: usize = 0x000;
const START_SENDING: usize = 0x008;
const RECEIVED: usize = 0x108;
const SENT: usize = 0x11C;
const ENABLE: usize = 0x500;
const PIN_TX: usize = 0x50C;
const PIN_RX: usize = 0x514;
const RXD: usize = 0x518;
const TXD: usize = 0x51C;
const BAUD_RATE: usize = 0x524;
const CONFIG: usize = 0x56C;

/// What [`ENABLE`] takes.
const ENABLED: u32 = 4;
/// 115,200 baud.
const BAUD_115200: u32 = 0x01D7_E000;

/// The UART, once it runs.
#[derive(Debug)]
pub struct NrfUart(());

fn read(register: usize) -> u32 {
    // SAFETY: a register of the UART, which is there on all these chips; reading takes at most a byte that was received.
    unsafe { ((BASE + register) as *const u32).read_volatile() }
}

fn write(register: usize, value: u32) {
    // SAFETY: a register of the UART, which reads and writes no memory by itself.
    unsafe { ((BASE + register) as *mut u32).write_volatile(value) }
}

impl NrfUart {
    /// Runs it at 115,200 baud on pins that are an output, high, and an input. To be called once: there is but one.
    pub fn start(tx: u32, rx: u32) -> Self {
        write(PIN_TX, tx);
        write(PIN_RX, rx);
        write(BAUD_RATE, BAUD_115200);
        // 8 bits, no parity, 1 stop bit, no flow control.
        write(CONFIG, 0);
        write(ENABLE, ENABLED);
        write(RECEIVED, 0);
        write(START_RECEIVING, 1);
        write(START_SENDING, 1);
        Self(())
    }
}

impl ErrorType for NrfUart {
    type Error = Infallible;
}

impl Read for NrfUart {
    /// Waits for a byte.
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let Some(byte) = bytes.first_mut() else { return Ok(0) };
        while read(RECEIVED) == 0 {}
        // Before the byte is taken: the next one sets it again.
        write(RECEIVED, 0);
        *byte = read(RXD) as u8;
        Ok(1)
    }
}

impl Write for NrfUart {
    /// Sends a byte and waits until it is gone.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let Some(&byte) = bytes.first() else { return Ok(0) };
        write(SENT, 0);
        write(TXD, byte.into());
        while read(SENT) == 0 {}
        Ok(1)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
