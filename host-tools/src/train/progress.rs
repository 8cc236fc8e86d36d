//! The progress bar.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::Event;

/// A bar on stderr with rate and time left, as a receiver of training events.
pub fn bar(name: &str) -> impl FnMut(Event<'_>) + use<> {
    let bar = ProgressBar::no_length();
    let style = "{prefix} {bar:30} {percent:>3} % {msg} | {elapsed} | ready in {eta}";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(name.to_string());
    bar.enable_steady_tick(Duration::from_millis(500));
    let mut accuracy = 0.0;
    move |event| match event {
        Event::Start { images, done } => {
            bar.set_length(images as u64);
            bar.set_position(done as u64);
            bar.reset_eta();
        }
        Event::Step { images, loss } => {
            bar.inc(images as u64);
            let rate = bar.per_sec();
            bar.set_message(format!("loss {loss:.4}, held out {:.2} %, {rate:.0} images/s", 100.0 * accuracy));
        }
        Event::Epoch(epoch) => accuracy = epoch.test_accuracy,
        Event::End => bar.finish(),
    }
}
