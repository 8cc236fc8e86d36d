//! The progress bar.

use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar};

use super::Event;
use crate::progress::styled;

/// So many batches tell how long an epoch takes; the first allocates everything and is not among them.
const BATCHES: usize = 20;

/// A bar on stderr with rate and time left, as a receiver of training events; after some batches it says what all will take.
pub fn bar(name: &str) -> impl FnMut(Event<'_>) + use<> {
    let style = "{prefix} {bar:30} {percent:>3} % {msg} | {elapsed} | ready in {eta}";
    let bar = styled(ProgressBar::no_length(), style);
    bar.set_prefix(name.to_string());
    bar.enable_steady_tick(Duration::from_millis(500));
    let (mut judged, mut batches, mut first) = (String::new(), 0, Instant::now());
    let (mut per_epoch, mut left) = (0, 0);
    move |event| match event {
        Event::Start { epochs, images, done } => {
            (per_epoch, left) = (images, epochs - done.min(epochs));
            bar.set_length((epochs * images) as u64);
            bar.set_position((done * images) as u64);
            bar.reset_eta();
        }
        Event::Step { images, loss } => {
            bar.inc(images as u64);
            let rate = bar.per_sec();
            bar.set_message(format!("loss {loss:.4}{judged}, {rate:.0} images/s"));
            if batches == 0 {
                first = Instant::now();
            } else if batches == BATCHES {
                let epoch = first.elapsed().mul_f64(per_epoch as f64 / (BATCHES * images) as f64);
                let [one, all] = [epoch, epoch * left as u32].map(HumanDuration);
                bar.suspend(|| {
                    eprintln!("an epoch takes {one:#}, the {left} to go {all:#}, without the images that judge them")
                });
            }
            batches += 1;
        }
        Event::Epoch(epoch) => judged = format!(", right {:.2} %", 100.0 * epoch.test_accuracy),
        Event::End => bar.finish(),
    }
}
