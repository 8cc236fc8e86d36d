//! A run in stages: a heading and a time for each, and a summary of what ran and what was left out.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The stages of one run, in order.
#[derive(Default)]
pub struct Stages {
    done: Vec<(String, Outcome)>,
    /// Tests that passed and that were ignored, as cargo's result lines count them.
    passed: usize,
    ignored: usize,
    left_out: Vec<String>,
}

enum Outcome {
    Passed(Duration),
    Failed(Duration),
    Skipped(String),
}

impl Stages {
    /// Runs one stage under its heading. On an error the summary so far is printed, and the error names the stage.
    pub fn run(&mut self, name: &str, stage: impl FnOnce() -> Result<()>) -> Result<()> {
        self.keep(name, || stage().map(|()| Vec::new()))
    }

    /// As [`Stages::run`], for a stage whose output lines hold test results.
    pub fn keep(&mut self, name: &str, stage: impl FnOnce() -> Result<Vec<String>>) -> Result<()> {
        eprintln!("\n=== {name}");
        let start = Instant::now();
        let result = stage();
        let time = start.elapsed();
        let failed = match result {
            Ok(lines) => {
                eprintln!("=== {name}: ok, {}", seconds(time));
                self.done.push((name.to_string(), Outcome::Passed(time)));
                self.count(&lines);
                return Ok(());
            }
            Err(error) => error,
        };
        self.done.push((name.to_string(), Outcome::Failed(time)));
        self.summary();
        // `context` keeps the cause, and with it the child's exit code.
        Err(failed).with_context(|| format!("stage \"{name}\""))
    }

    /// Notes a stage that cannot run here, and why.
    pub fn skip(&mut self, name: &str, why: &str) {
        eprintln!("\n=== {name}: skipped: {why}");
        self.done.push((name.to_string(), Outcome::Skipped(why.to_string())));
    }

    fn count(&mut self, lines: &[String]) {
        self.passed += lines.iter().filter_map(|line| counted(line, "passed")).sum::<usize>();
        self.ignored += lines.iter().filter_map(|line| counted(line, "ignored")).sum::<usize>();
        for reason in lines.iter().filter_map(|line| left_out(line)) {
            if !self.left_out.iter().any(|known| known == reason) {
                self.left_out.push(reason.to_string());
            }
        }
    }

    /// Prints what ran, for how long, and what did not.
    pub fn summary(&self) {
        eprintln!("\n=== summary");
        for (name, outcome) in &self.done {
            match outcome {
                Outcome::Passed(time) => eprintln!("{:>9}  ok       {name}", seconds(*time)),
                Outcome::Failed(time) => eprintln!("{:>9}  FAILED   {name}", seconds(*time)),
                Outcome::Skipped(why) => eprintln!("{:>9}  skipped  {name}: {why}", "-"),
            }
        }
        if self.passed > 0 {
            let ignored = if self.ignored > 0 { format!(", {} ignored", self.ignored) } else { String::new() };
            eprintln!("{} tests passed{ignored}", self.passed);
        }
        for reason in &self.left_out {
            eprintln!("left out by a test: {reason}");
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f32())
}

/// The number before `what` in a line such as `test result: ok. 12 passed; 0 failed; 1 ignored; ...`.
fn counted(line: &str, what: &str) -> Option<usize> {
    let words: Vec<&str> = line.strip_prefix("test result: ")?.split_whitespace().collect();
    words.windows(2).find(|pair| pair[1].starts_with(what)).and_then(|pair| pair[0].parse().ok())
}

/// The reason that a test gives for not having run: our tests print `skipped: <reason>` and pass.
fn left_out(line: &str) -> Option<&str> {
    let at = line.find("skipped: ")?;
    Some(line[at + "skipped: ".len()..].trim()).filter(|reason| !reason.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_counted_and_reasons_collected_once() {
        let lines = [
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test a ... skipped: no ../shared beside the checkout",
            "skipped: no ../shared beside the checkout",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        ];
        let mut stages = Stages::default();
        stages.count(&lines.map(String::from));
        assert_eq!((stages.passed, stages.ignored), (15, 1));
        assert_eq!(stages.left_out, ["no ../shared beside the checkout"]);
    }

    #[test]
    fn a_failed_stage_stops_and_is_named() {
        let mut stages = Stages::default();
        let error = stages.run("lint", || anyhow::bail!("untidy")).unwrap_err();
        assert_eq!(format!("{error:#}"), "stage \"lint\": untidy");
    }
}
