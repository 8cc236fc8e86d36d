//! The picture of a training: loss, accuracy and learning rate over its epochs.

use anyhow::Result;

use super::Epoch;
use crate::report::chart::{self, Line, Panel};

/// Three charts above each other, as SVG: mean loss and accuracy in percent on training and held-out images, learning rate.
///
/// # Errors
/// When the picture cannot be drawn, which only a defect would cause.
pub fn to_svg(history: &[Epoch]) -> Result<String> {
    let line = |name: &str, value: fn(&Epoch) -> f64| Line {
        name: name.into(),
        points: history.iter().map(|epoch| [epoch.epoch as f64, value(epoch), 0.0]).collect(),
    };
    let panel = |title: &str, axis: &str, lines| Panel {
        title: title.into(),
        axes: ["epoch".into(), axis.into()],
        logarithmic: false,
        lines,
    };
    let accuracy = vec![
        line("training images, as varied", |epoch| 100.0 * epoch.train_accuracy),
        line("held-out images", |epoch| 100.0 * epoch.test_accuracy),
    ];
    let losses = vec![
        line("training loss", |epoch| epoch.loss),
        line("held-out loss", |epoch| epoch.test_loss.unwrap_or(f64::NAN)),
    ];
    chart::lines(&[
        panel("Loss", "loss", losses),
        panel("Accuracy", "accuracy (%)", accuracy),
        panel("Learning rate", "learning rate", vec![line("learning rate", |epoch| epoch.rate)]),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_drawn_whatever_the_numbers() {
        let epoch = |epoch: usize, loss: f64| Epoch {
            epoch,
            rate: 0.1,
            loss,
            train_accuracy: 0.5,
            test_accuracy: 0.25,
            seconds: 1.0,
            test_loss: Some(loss),
        };
        for history in [vec![], vec![epoch(1, 2.0)], vec![epoch(1, 2.0), epoch(2, f64::NAN), epoch(3, 1.0)]] {
            let svg = to_svg(&history).unwrap();
            for name in ["training loss", "held-out loss", "held-out images", "learning rate", "epoch"] {
                assert!(svg.contains(name), "{name}");
            }
            assert_eq!(svg.matches("<circle").count(), 5 * history.len() - 2 * (history.len() / 3));
        }
    }
}
