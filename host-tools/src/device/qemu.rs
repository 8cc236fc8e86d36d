//! Running an image in QEMU and reading its log.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use defmt_decoder::{DecodeError, Location, Locations, Table};

use super::Board;
use super::elf::Elf;

/// A message of the firmware's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// `error`, `warn`, `info`, …; empty for a plain print.
    pub level: &'static str,
    /// The text.
    pub text: String,
    /// `file:line` in the firmware's sources, when known.
    pub place: Option<String>,
}

/// What a run left behind.
#[derive(Clone, Debug)]
pub struct Run {
    /// The exit code that the firmware gave; `None` when a signal ended QEMU.
    pub code: Option<i32>,
    /// The log.
    pub log: Vec<LogLine>,
    /// What QEMU itself said.
    pub messages: String,
    /// How long it took.
    pub elapsed: Duration,
}

impl std::fmt::Display for LogLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:5} {}", self.level, self.text)?;
        match &self.place {
            Some(place) if self.level == "error" || self.level == "warn" => write!(f, " ({place})"),
            _ => Ok(()),
        }
    }
}

/// Runs `elf` in QEMU, in `folder`, whose files the firmware may read and write. `each` sees every log line as it comes.
///
/// # Errors
/// When QEMU is missing or does not emulate the board, or the run takes longer than `limit` and is ended, or the log cannot be decoded. An exit code other
/// than 0 is not an error here.
pub fn run(elf: &Elf, folder: &Path, limit: Duration, each: impl FnMut(&LogLine) + Send) -> Result<Run> {
    run_under(elf, folder, limit, &[], each)
}

/// As [`run`], with more arguments for QEMU.
pub(super) fn run_under(
    elf: &Elf,
    folder: &Path,
    limit: Duration,
    arguments: &[OsString],
    each: impl FnMut(&LogLine) + Send,
) -> Result<Run> {
    // Beside the folder's files, under a name that the firmware does not use.
    let image = tempfile::Builder::new().prefix("firmware-").suffix(".elf").tempfile()?;
    fs::write(image.path(), &elf.bytes)?;
    let mut command = command(elf.board)?;
    command.args(arguments).args(["-serial", "null", "-kernel"]).arg(image.path()).current_dir(folder);
    watch(&mut command, &elf.bytes, limit, each)
}

/// Starts QEMU by a command, and reads the log of the image that it runs.
///
/// # Errors
/// As [`run`].
pub fn watch(command: &mut Command, image: &[u8], limit: Duration, each: impl FnMut(&LogLine) + Send) -> Result<Run> {
    let start = Instant::now();
    let mut child = spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let stdout = child.stdout.take().context("QEMU's output")?;
    let stderr = child.stderr.take().context("QEMU's messages")?;
    let (status, log, messages) = thread::scope(|scope| {
        let log = scope.spawn(move || decode(image, stdout, each));
        let messages = scope.spawn(move || {
            let mut text = Vec::new();
            let mut stderr = stderr;
            stderr.read_to_end(&mut text).map(|_| String::from_utf8_lossy(&text).into_owned())
        });
        let status = wait(&mut child, start + limit);
        (status, log.join().expect("the decoder does not panic"), messages.join().expect("reading does not panic"))
    });
    let (log, messages) = (log?, messages?);
    let Some(status) = status? else {
        let last = log.last().map(|line| format!("; its last message: {line}")).unwrap_or_default();
        bail!("the firmware ran for more than {} s and was ended{last}", limit.as_secs());
    };
    Ok(Run { code: status.code(), log, messages, elapsed: start.elapsed() })
}

/// QEMU for a board, without its serial line and image.
pub(super) fn command(board: &Board) -> Result<Command> {
    let mut command = Command::new("qemu-system-arm");
    command.args(["-M", board.name, "-display", "none", "-monitor", "none"]);
    command.args(["-icount", &format!("shift={}", board.in_qemu()?.icount_shift)]);
    command.args(["-semihosting-config", "enable=on,target=native"]);
    if cfg!(target_os = "linux") {
        // Semihosting gives an image files, which our programs read and write, and a shell, which none needs.
        command.args(["-sandbox", "on,elevateprivileges=deny,spawn=deny"]);
    }
    Ok(command)
}

/// Starts QEMU.
pub(super) fn spawn(command: &mut Command) -> Result<Child> {
    let started = command.spawn();
    started.map_err(|error| {
        let name = command.get_program().display();
        match error.kind() {
            io::ErrorKind::NotFound => {
                anyhow::anyhow!("{name} is not installed: `apt-get install qemu-system`, or `brew install qemu`")
            }
            _ => anyhow::Error::new(error).context(format!("cannot start {name}")),
        }
    })
}

/// Waits until the child ends or the time is up; then ends it.
fn wait(child: &mut Child, end: Instant) -> Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Decodes defmt frames until the stream ends.
fn decode(image: &[u8], mut stream: impl Read, mut each: impl FnMut(&LogLine)) -> Result<Vec<LogLine>> {
    let table = Table::parse(image)?.context("the firmware has no defmt messages")?;
    let locations = table.get_locations(image).unwrap_or_default();
    let mut decoder = table.new_stream_decoder();
    let (mut log, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let len = match stream.read(&mut buffer) {
            Ok(0) => return Ok(log),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        decoder.received(&buffer[..len]);
        loop {
            match decoder.decode() {
                Ok(frame) => {
                    let line = LogLine {
                        level: frame.level().map_or("", |level| level.as_str()),
                        text: frame.display_message().to_string(),
                        place: place(&locations, frame.index()),
                    };
                    each(&line);
                    log.push(line);
                }
                Err(DecodeError::UnexpectedEof) => break,
                // A broken frame: the encoding lets the decoder find the next one.
                Err(DecodeError::Malformed) => {
                    log.push(LogLine { level: "warn", text: "(a damaged log message)".into(), place: None });
                }
            }
        }
    }
}

fn place(locations: &Locations, index: u64) -> Option<String> {
    let Location { file, line, .. } = locations.get(&index)?;
    let file = file.components().rev().take(2).collect::<Vec<_>>();
    let file = file.iter().rev().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
    Some(format!("{file}:{line}"))
}
