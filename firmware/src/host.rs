//! Files of the host through semihosting: QEMU's working directory, or the debugger's.

use core::ffi::CStr;

use semihosting::fs::File;
use semihosting::io::{Read, Write};

use crate::images::{Header, Source};

/// The file that images are read from.
pub const INPUTS: &CStr = c"inputs.bin";
/// The file that output elements are written to, one inference after the other.
pub const OUTPUTS: &CStr = c"outputs.bin";

/// The images in [`INPUTS`].
#[derive(Debug)]
pub struct HostImages {
    header: Header,
    file: File,
}

impl HostImages {
    /// Opens the file; `None` when it is missing or no image set.
    pub fn open() -> Option<Self> {
        let mut file = File::open(INPUTS).ok()?;
        let mut header = [0; Header::SIZE];
        file.read_exact(&mut header).ok()?;
        Some(Self { header: Header::parse(&header)?, file })
    }
}

impl Source for HostImages {
    fn header(&self) -> Header {
        self.header
    }

    fn next(&mut self, image: &mut [u8]) -> bool {
        self.file.read_exact(image).is_ok()
    }
}

/// The first byte of [`INPUTS`].
pub fn first_byte() -> Option<u8> {
    let mut byte = [0];
    File::open(INPUTS).ok()?.read_exact(&mut byte).ok()?;
    Some(byte[0])
}

/// The file [`OUTPUTS`].
#[derive(Debug)]
pub struct HostOutputs(File);

impl HostOutputs {
    /// Creates the file, or empties it.
    pub fn create() -> Option<Self> {
        Some(Self(File::create(OUTPUTS).ok()?))
    }

    /// Appends the bytes of an output; whether all were written.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }
}
