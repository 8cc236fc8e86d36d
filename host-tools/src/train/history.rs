//! What was measured, epoch by epoch.

use serde::{Deserialize, Serialize};

/// One epoch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1 on.
    pub epoch: usize,
    /// Learning rate of its last step.
    pub rate: f64,
    /// Mean training loss.
    pub loss: f64,
    /// Accuracy on the varied training images while they were trained on, 0 to 1.
    pub train_accuracy: f64,
    /// Accuracy on the held-out images after it, 0 to 1.
    pub test_accuracy: f64,
    /// Time that it took, held-out images included.
    pub seconds: f64,
}

/// The header of [`to_csv`].
const HEADER: &str = "epoch,rate,loss,train_accuracy,test_accuracy,seconds";

/// `metrics.csv`.
pub fn to_csv(history: &[Epoch]) -> String {
    let mut text = format!("{HEADER}\n");
    for e in history {
        let Epoch { epoch, rate, loss, train_accuracy, test_accuracy, seconds } = e;
        text += &format!("{epoch},{rate},{loss},{train_accuracy},{test_accuracy},{seconds}\n");
    }
    text
}

/// Reads what [`to_csv`] wrote; gives the number of the first bad line.
pub fn from_csv(text: &str) -> Result<Vec<Epoch>, usize> {
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return Err(1);
    }
    let parse = |line: &str| {
        let fields: Vec<f64> = line.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
        let [epoch, rate, loss, train_accuracy, test_accuracy, seconds] = fields[..] else { return None };
        Some(Epoch { epoch: epoch as usize, rate, loss, train_accuracy, test_accuracy, seconds })
    };
    lines.enumerate().map(|(index, line)| parse(line).ok_or(index + 2)).collect()
}
