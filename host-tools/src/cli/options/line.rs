//! The line to a device, real or emulated.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::device::{Board, Build, Emulated, Program};

/// Where a device is.
#[derive(Debug, clap::Args)]
pub struct Line {
    /// The device's serial port, like /dev/ttyACM0 or COM3.
    #[arg(long, value_name = "PORT", required_unless_present = "qemu", conflicts_with = "qemu")]
    port: Option<String>,
    /// The port's speed.
    #[arg(long, default_value_t = 115_200)]
    baud: u32,
    /// An emulated board instead of a port: mps2-an386 unless named.
    #[arg(long, value_name = "BOARD", num_args = 0..=1, default_missing_value = "mps2-an386")]
    qemu: Option<String>,
}

/// A line to a device, whichever it is.
pub trait Device: Read + Write {}

impl<L: Read + Write> Device for L {}

/// How long a read of a device's line waits.
const TICK: Duration = Duration::from_millis(10);

impl Line {
    /// A port.
    pub fn at(port: String, baud: u32) -> Self {
        Self { port: Some(port), baud, qemu: None }
    }

    /// Opens the port, or builds `program`, with `model` in it if it holds one, and starts it in QEMU.
    ///
    /// # Errors
    /// When there is no such port or board, or it may not be opened; the message says what would help.
    pub fn open(&self, program: Program, model: &Path) -> Result<Box<dyn Device>> {
        if let Some(port) = &self.port {
            let opened = serialport::new(port, self.baud).timeout(TICK).open();
            return Ok(Box::new(opened.map_err(|error| anyhow::anyhow!("{port}: {error}{}", advice(port, &error)))?));
        }
        let board = Board::named(self.qemu.as_deref().unwrap_or_default())?;
        board.in_qemu()?;
        let model = program.holds_a_model().then_some(model);
        // Of all operators, 256 KB of flash hold only what is built for size.
        let small = model.is_none() && board.flash.bytes() <= 256 * 1024;
        let line = Emulated::start(&Build { model, small, ..Build::new(board, program) }.run()?)?;
        line.set_timeout(TICK)?;
        Ok(Box::new(line))
    }

    /// Whether the device is emulated.
    pub fn is_emulated(&self) -> bool {
        self.qemu.is_some()
    }
}

/// What helps against an error of opening a port.
fn advice(port: &str, error: &serialport::Error) -> String {
    match error.kind() {
        serialport::ErrorKind::Io(ErrorKind::PermissionDenied) => match group(port) {
            Some(group) => format!("; it is for the group `{group}`: sudo usermod -aG {group} $USER, then log in anew"),
            None => "; your user may not open it".to_owned(),
        },
        serialport::ErrorKind::NoDevice | serialport::ErrorKind::Io(ErrorKind::NotFound) => {
            let ports = serialport::available_ports().unwrap_or_default();
            match ports.iter().map(|port| &*port.port_name).collect::<Vec<_>>().join(", ") {
                none if none.is_empty() => "; there is no serial port at all: is the board plugged in?".to_owned(),
                ports => format!("; there are {ports}"),
            }
        }
        _ => String::new(),
    }
}

/// The group that a file is for.
#[cfg(unix)]
fn group(path: &str) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let id = std::fs::metadata(path).ok()?.gid().to_string();
    let groups = std::fs::read_to_string("/etc/group").ok()?;
    let mut lines = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|fields| fields.get(2) == Some(&&*id))?.first().map(|name| (*name).to_owned())
}

/// Ports have no groups here.
#[cfg(not(unix))]
fn group(_: &str) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_not_there_or_not_ones_own_is_explained() {
        let line = Line { port: Some("/dev/no-such-port".to_owned()), baud: 9600, qemu: None };
        let error = line.open(Program::Serve, Path::new("")).err().unwrap().to_string();
        assert!(error.starts_with("/dev/no-such-port: ") && error.contains("; there "), "{error}");
        let denied = serialport::Error::new(serialport::ErrorKind::Io(ErrorKind::PermissionDenied), "denied");
        assert!(advice("/no/such", &denied).contains("may not open"));
        if cfg!(target_os = "linux") {
            assert!(advice("/dev/null", &denied).contains("group `root`"), "{}", advice("/dev/null", &denied));
        }
    }
}
