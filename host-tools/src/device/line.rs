//! A firmware image in QEMU, talked to over the board's serial line.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;

use super::elf::Elf;
use super::qemu;

/// How long QEMU may take to start.
const START: Duration = Duration::from_secs(20);

/// A board in QEMU that runs an image; its serial line is read and written like a port. Dropped, it is switched off.
#[derive(Debug)]
pub struct Emulated {
    machine: Child,
    line: TcpStream,
    _image: NamedTempFile,
}

impl Emulated {
    /// Switches the board on.
    ///
    /// # Errors
    /// When the board has no serial line here, or QEMU is missing or does not start.
    pub fn start(elf: &Elf) -> Result<Self> {
        let port = elf.board.in_qemu()?.serial;
        let image = tempfile::Builder::new().prefix("firmware-").suffix(".elf").tempfile()?;
        fs::write(image.path(), &elf.bytes)?;
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let mut command = qemu::command(elf.board)?;
        for _ in 0..port {
            command.args(["-serial", "null"]);
        }
        command.args(["-serial", &format!("tcp:{}", listener.local_addr()?), "-kernel"]).arg(image.path());
        let mut machine = qemu::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()))?;
        match accept(&listener, &mut machine) {
            Ok(line) => Ok(Self { machine, line, _image: image }),
            Err(error) => {
                switch_off(&mut machine);
                Err(error)
            }
        }
    }

    /// How long a read or a write waits at most; it then fails with [`io::ErrorKind::WouldBlock`] or `TimedOut`.
    ///
    /// # Errors
    /// When `time` is zero.
    pub fn set_timeout(&self, time: Duration) -> io::Result<()> {
        self.line.set_read_timeout(Some(time))?;
        self.line.set_write_timeout(Some(time.max(Duration::from_secs(1))))
    }
}

/// Waits for QEMU to connect.
fn accept(listener: &TcpListener, machine: &mut Child) -> Result<TcpStream> {
    let end = Instant::now() + START;
    loop {
        match listener.accept() {
            Ok((line, _)) => {
                line.set_nonblocking(false)?;
                line.set_nodelay(true)?;
                return Ok(line);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(status) = machine.try_wait()? {
            let mut messages = String::new();
            machine.stderr.take().context("QEMU's messages")?.read_to_string(&mut messages)?;
            bail!("QEMU ended at once ({status}): {}", messages.trim());
        }
        if Instant::now() >= end {
            bail!("QEMU did not open the serial line within {} s", START.as_secs());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn switch_off(machine: &mut Child) {
    // It may have ended by itself.
    let _ = machine.kill();
    let _ = machine.wait();
}

impl Drop for Emulated {
    fn drop(&mut self) {
        switch_off(&mut self.machine);
    }
}

impl Read for Emulated {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.line.read(bytes)
    }
}

impl Write for Emulated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.line.flush()
    }
}
