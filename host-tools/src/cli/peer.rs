//! PyTorch beside `kinglet bench`: a Python process that answers one request at a time.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use serde::Deserialize;

/// The other side.
const SCRIPT: &str = include_str!("../../scripts/bench_torch.py");

/// How PyTorch comes to a machine: nothing is installed unasked.
const HOW: &str = "install it with `python3 -m venv torch && torch/bin/pip install torch numpy`, then pass \
                   `--peer=torch/bin/python`";

/// A running script.
pub struct Peer {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What it says to a request.
pub enum Reply {
    /// Seconds per step, and PyTorch's version.
    Seconds(Vec<f64>, String),
    /// Why it cannot run this network.
    No(String),
    /// There is no PyTorch, and how to get it. The script has ended.
    Missing(String),
}

#[derive(Deserialize)]
struct Answer {
    seconds: Option<Vec<f64>>,
    version: Option<String>,
    error: Option<String>,
    #[serde(default)]
    missing: bool,
}

impl Peer {
    /// Starts `python`.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start(python: &Path) -> Result<Self> {
        let mut process = Command::new(python)
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{}`", python.display()))?;
        let requests = process.stdin.take().context("no pipe to Python")?;
        let answers = BufReader::new(process.stdout.take().context("no pipe from Python")?);
        Ok(Self { process, requests, answers })
    }

    /// Hands it one request.
    ///
    /// # Errors
    /// When it answers what is no answer.
    pub fn ask(&mut self, request: &serde_json::Value) -> Result<Reply> {
        // A script that has ended says why in its last line; writing to it then fails, and that is no news.
        let _ = writeln!(self.requests, "{request}").and_then(|()| self.requests.flush());
        let mut line = String::new();
        self.answers.read_line(&mut line).context("cannot read from Python")?;
        let answer: Answer = serde_json::from_str(&line).context("Python ended, or printed something else")?;
        Ok(match answer {
            Answer { seconds: Some(seconds), version: Some(version), .. } => Reply::Seconds(seconds, version),
            Answer { error, missing, .. } => {
                let error = error.unwrap_or_else(|| "no answer".to_string());
                if missing { Reply::Missing(format!("{error}; {HOW}")) } else { Reply::No(error) }
            }
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to stop.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
