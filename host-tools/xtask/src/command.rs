//! Starting other programs: said before they run, named when they fail.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A program that was started and did not succeed.
#[derive(Debug)]
pub struct Failed {
    command: String,
    /// `None`: ended by us at its time limit.
    status: Option<ExitStatus>,
}

impl Failed {
    /// The child's exit code; 128 + n for a child that signal n ended, as shells do; 124 for one that ran out of time.
    pub fn exit_code(&self) -> u8 {
        let Some(status) = self.status else { return 124 };
        match status.code() {
            Some(code) => u8::try_from(code).unwrap_or(1).max(1),
            None => signal(&status).map_or(1, |n| 128 + n),
        }
    }
}

#[cfg(unix)]
fn signal(status: &ExitStatus) -> Option<u8> {
    use std::os::unix::process::ExitStatusExt;
    status.signal().and_then(|n| u8::try_from(n).ok()).filter(|&n| n < 128)
}

#[cfg(not(unix))]
fn signal(_: &ExitStatus) -> Option<u8> {
    None
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "`{}` failed ({status})", self.command),
            None => write!(f, "`{}` did not end within its time limit and was stopped", self.command),
        }
    }
}

impl std::error::Error for Failed {}

/// The cargo that runs us, or the one on the path.
pub fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The compiler that cargo would use.
pub fn rustc() -> Command {
    Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

/// The command as one would type it (program name without its folder).
pub fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let variables = command.get_envs().filter_map(|(key, value)| {
        let value = value?.to_string_lossy();
        Some(format!("{}={}", key.to_string_lossy(), quoted(&value)))
    });
    let words = std::iter::once(program).chain(command.get_args()).map(|word| quoted(&word.to_string_lossy()));
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_string() } else { format!("'{word}'") }
}

/// Says the command, runs it with our input and outputs, and fails if it does.
pub fn run(command: &mut Command) -> Result<()> {
    say(command);
    let status = command.status().with_context(|| format!("cannot start `{}`", line(command)))?;
    finished(command, Some(status))
}

/// As [`run`], but the child is stopped after `limit`.
pub fn run_within(command: &mut Command, limit: Duration) -> Result<()> {
    say(command);
    let mut child = command.spawn().with_context(|| format!("cannot start `{}`", line(command)))?;
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return finished(command, Some(status));
        }
        if Instant::now() >= end {
            // It may have ended by itself in between: then there is nothing to stop.
            let _ = child.kill();
            child.wait()?;
            return finished(command, None);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// As [`run`], with `input` on its standard input.
pub fn run_with_input(command: &mut Command, input: &str) -> Result<()> {
    say(command);
    let mut child =
        command.stdin(Stdio::piped()).spawn().with_context(|| format!("cannot start `{}`", line(command)))?;
    child.stdin.take().context("no pipe to the child")?.write_all(input.as_bytes())?;
    let status = child.wait()?;
    finished(command, Some(status))
}

/// Says the command, runs it, passes both outputs on as they come, and returns all lines of both.
pub fn run_and_keep(command: &mut Command) -> Result<Vec<String>> {
    say(command);
    if std::io::stderr().is_terminal() && env::var_os("CARGO_TERM_COLOR").is_none() {
        command.env("CARGO_TERM_COLOR", "always"); // cargo sees our pipe, the user a terminal
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    let out = child.stdout.take().context("no pipe from the child")?;
    let err = child.stderr.take().context("no pipe from the child")?;
    let errors = thread::spawn(move || pass_on(err, std::io::stderr()));
    let mut lines = pass_on(out, std::io::stdout())?;
    lines.extend(errors.join().map_err(|_| anyhow::anyhow!("the thread that reads the child's errors panicked"))??);
    let status = child.wait()?;
    finished(command, Some(status)).map(|()| lines)
}

fn pass_on(from: impl Read, mut to: impl Write) -> std::io::Result<Vec<String>> {
    let mut reader = BufReader::new(from);
    let mut lines = Vec::new();
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        to.write_all(&bytes)?;
        to.flush()?;
        lines.push(String::from_utf8_lossy(&bytes).trim_end().to_string());
        bytes.clear();
    }
    Ok(lines)
}

/// What the command prints on standard output, trimmed; nothing is said or shown.
pub fn output(command: &mut Command) -> Result<String> {
    let out = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    finished(command, Some(out.status))?;
    Ok(String::from_utf8_lossy(&out.stdout).trim_end().to_string())
}

/// The full path of a program on `PATH`.
pub fn which(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program.as_ref())).find(|file| file.is_file())
}

fn say(command: &Command) {
    let place = command.get_current_dir().and_then(|folder| folder.file_name());
    let place = place.map_or(String::new(), |folder| format!("({}) ", folder.to_string_lossy()));
    eprintln!("{place}$ {}", line(command));
}

fn finished(command: &Command, status: Option<ExitStatus>) -> Result<()> {
    match status {
        Some(status) if status.success() => Ok(()),
        status => Err(Failed { command: line(command), status }.into()),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn code(error: &anyhow::Error) -> u8 {
        error.downcast_ref::<Failed>().unwrap().exit_code()
    }

    #[test]
    fn a_failure_names_the_command_and_keeps_its_code() {
        let error = run(&mut shell("exit 7")).unwrap_err();
        assert_eq!(code(&error), 7);
        assert!(error.to_string().contains("sh -c 'exit 7'"), "{error}");
    }

    #[test]
    fn a_signal_is_passed_on_as_shells_do() {
        assert_eq!(code(&run(&mut shell("kill -9 $$")).unwrap_err()), 137);
    }

    #[test]
    fn a_time_limit_stops_the_child() {
        let start = Instant::now();
        let error = run_within(&mut shell("exec sleep 60"), Duration::from_millis(100)).unwrap_err();
        assert_eq!(code(&error), 124);
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn both_outputs_are_kept() {
        let mut lines = run_and_keep(&mut shell("echo one; echo two >&2")).unwrap();
        lines.sort();
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("kinglet-no-such-program")).unwrap_err();
        assert!(error.to_string().contains("kinglet-no-such-program"));
    }
}
