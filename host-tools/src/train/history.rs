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
    /// Mean loss on the held-out images after it, of their labels alone; older runs did not keep it.
    pub test_loss: Option<f64>,
}

/// The epoch whose weights are the result: with patience the first of the best, else the last.
pub fn kept(history: &[Epoch], patience: Option<usize>) -> Option<&Epoch> {
    match patience {
        Some(_) => history.iter().rev().max_by(|a, b| a.test_accuracy.total_cmp(&b.test_accuracy)),
        None => history.last(),
    }
}

/// The header of [`to_csv`], and what it was without the held-out loss.
const HEADER: &str = "epoch,rate,loss,train_accuracy,test_accuracy,seconds,test_loss";
const WITHOUT_LOSS: &str = "epoch,rate,loss,train_accuracy,test_accuracy,seconds";

/// `metrics.csv`.
pub fn to_csv(history: &[Epoch]) -> String {
    let mut text = format!("{HEADER}\n");
    for e in history {
        let Epoch { epoch, rate, loss, train_accuracy, test_accuracy, seconds, test_loss } = e;
        let test_loss = test_loss.map_or_else(String::new, |loss| loss.to_string());
        text += &format!("{epoch},{rate},{loss},{train_accuracy},{test_accuracy},{seconds},{test_loss}\n");
    }
    text
}

/// Reads what [`to_csv`] wrote; gives the number of the first bad line.
pub fn from_csv(text: &str) -> Result<Vec<Epoch>, usize> {
    let mut lines = text.lines();
    let has_test_loss = match lines.next() {
        Some(HEADER) => true,
        Some(WITHOUT_LOSS) => false,
        _ => return Err(1),
    };
    let parse = |line: &str| {
        let (line, test_loss) = if has_test_loss { line.rsplit_once(',')? } else { (line, "") };
        let test_loss = if test_loss.is_empty() { None } else { Some(test_loss.parse().ok()?) };
        let fields: Vec<f64> = line.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
        let [epoch, rate, loss, train_accuracy, test_accuracy, seconds] = fields[..] else { return None };
        Some(Epoch { epoch: epoch as usize, rate, loss, train_accuracy, test_accuracy, seconds, test_loss })
    };
    lines.enumerate().map(|(index, line)| parse(line).ok_or(index + 2)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_also_without_held_out_loss() {
        let epoch = |epoch, test_accuracy, test_loss| Epoch {
            epoch,
            rate: 0.1,
            loss: 2.5,
            train_accuracy: 0.5,
            test_accuracy,
            seconds: 1.5,
            test_loss,
        };
        let history =
            [epoch(1, 0.25, Some(2.75)), epoch(2, 0.75, None), epoch(3, 0.75, Some(0.5)), epoch(4, 0.5, None)];
        assert_eq!(from_csv(&to_csv(&history)), Ok(history.to_vec()));
        let before = format!("{WITHOUT_LOSS}\n1,0.1,2.5,0.5,0.75,1.5\n");
        assert_eq!(from_csv(&before), Ok(vec![epoch(1, 0.75, None)]));
        assert_eq!(from_csv(&format!("{HEADER}\n1,0.1,2.5,0.5,0.75,1.5\n")), Err(2));
        let kept = |patience| kept(&history, patience).map(|epoch| epoch.epoch);
        assert_eq!((kept(None), kept(Some(1)), super::kept(&[], Some(1))), (Some(4), Some(2), None));
    }
}
