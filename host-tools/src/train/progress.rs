//! The progress bar.

use std::time::Duration;

use indicatif::ProgressBar;

use super::Event;
use crate::report::progress::styled;

/// A bar on stderr with rate and time left, as a receiver of training events.
pub fn bar(name: &str) -> impl FnMut(Event<'_>) + use<> {
    let style = "{prefix} {bar:30} {percent:>3} % {msg} | {elapsed} | ready in {eta}";
    let bar = styled(ProgressBar::no_length(), style);
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
