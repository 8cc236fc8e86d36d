//! Progress bars; where there is no terminal, a line of the same words now and then.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};

/// Between two lines.
const EVERY: Duration = Duration::from_secs(10);

/// The bar in the style of a template of `indicatif`.
pub fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        let lines = Lines { state: Mutex::new((String::new(), Instant::now())), print: |line| eprintln!("{line}") };
        bar.set_draw_target(ProgressDrawTarget::term_like_with_hz(Box::new(lines), 1));
    }
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style.with_key("average_eta", average_eta))
}

/// What is waited for, without a measure of how far it is; and for how long already.
pub fn waiting(what: String) -> ProgressBar {
    let bar = styled(ProgressBar::new_spinner(), "{spinner} {msg} | {elapsed}");
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// How long the rest takes at the average rate: of few long jobs, since the latest seconds, which `eta` goes by, say nothing of them.
fn average_eta(state: &ProgressState, out: &mut dyn fmt::Write) {
    let _ = match (state.pos(), state.len()) {
        (1.., Some(len)) => {
            let rest = len.saturating_sub(state.pos()) as f64 / state.pos() as f64;
            write!(out, "{:#}", HumanDuration(state.elapsed().mul_f64(rest)))
        }
        _ => out.write_str("?"),
    };
}

/// What stands in for a terminal: a file, or another program.
#[derive(Debug)]
struct Lines {
    /// What was drawn since the last flush, and when the last line was printed.
    state: Mutex<(String, Instant)>,
    print: fn(&str),
}

impl TermLike for Lines {
    fn width(&self) -> u16 {
        120
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 += text;
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    fn flush(&self) -> io::Result<()> {
        let (drawn, last) = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let line = std::mem::take(drawn);
        if last.elapsed() >= EVERY && !line.trim().is_empty() {
            (self.print)(line.trim());
            *last = Instant::now();
        }
        Ok(())
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static PRINTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

    #[test]
    fn a_line_is_printed_now_and_then() {
        let print = |line: &str| PRINTED.lock().unwrap().push(line.to_owned());
        let state = Mutex::new((String::new(), Instant::now() - EVERY));
        let draw = ProgressDrawTarget::term_like_with_hz(Box::new(Lines { state, print }), 20);
        let bar = ProgressBar::with_draw_target(Some(4), draw);
        let bar = bar.with_style(ProgressStyle::with_template("{pos} of {len} | ready in {eta}").unwrap());
        for _ in 0..4 {
            bar.inc(1);
            bar.tick();
        }
        bar.finish();
        let printed = PRINTED.lock().unwrap();
        assert_eq!(printed.len(), 1, "{printed:?}: the others came too soon");
        assert!(printed[0].contains(" of 4 | ready in "), "{printed:?}");
    }
}
