//! A serial line over embedded-io of HALs whose own is byte by byte and answers "not yet": it waits.

use core::convert::Infallible;

use embedded_hal_02::serial;
use embedded_io::{ErrorType, Read, Write};
use nb::block;

/// The line, polled.
pub struct Polled<S>(pub S);

impl<S> ErrorType for Polled<S> {
    type Error = Infallible;
}

impl<S: serial::Read<u8>> Read for Polled<S> {
    /// Waits for a byte. One that was damaged or lost on the line is missing: protocols notice.
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let Some(byte) = bytes.first_mut() else { return Ok(0) };
        loop {
            if let Ok(received) = block!(self.0.read()) {
                *byte = received;
                return Ok(1);
            }
        }
    }
}

impl<S: serial::Write<u8>> Write for Polled<S> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let Some(&byte) = bytes.first() else { return Ok(0) };
        // Sending cannot fail.
        let _ = block!(self.0.write(byte));
        Ok(1)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        let _ = block!(self.0.flush());
        Ok(())
    }
}
