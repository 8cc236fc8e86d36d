//! What an importer does not support: all of it, collected before anything is written.

use std::fmt;

/// One thing in a model that is not supported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The node (operator) of the file: its place and name.
    pub node: String,
    /// The operator's type, in the file's own terms.
    pub operator: String,
    /// What is not supported about it.
    pub reason: String,
    /// What the user can do.
    pub hint: String,
}

/// Why one node cannot be imported: the reason and a hint.
pub(super) type Refusal = (String, String);

/// The reason of problems that follow from earlier ones, which is none of its own.
pub(super) const UNKNOWN: &str = "it depends on a node that is not supported";

/// What is said of an ArgMax that is the output.
pub(super) const GREATEST: &str =
    "the output is scores: the model's is the place of the greatest (ArgMax), which kinglet finds in them";

/// A refusal with a reason and a hint.
pub(super) fn refuse<T>(reason: impl Into<String>, hint: impl Into<String>) -> Result<T, Refusal> {
    Err((reason.into(), hint.into()))
}

/// What to do about operators that kinglet is not for, by the names that either format gives them.
pub(super) fn beyond(operator: &str) -> Option<&'static str> {
    let name = operator.to_uppercase();
    let is = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if is(&["LSTM", "GRU", "RNN", "SVDF", "ATTENTION", "BATCH_MATMUL"]) {
        Some("kinglet runs convolutional networks: neither recurrent ones nor attention")
    } else if is(&["NORMALIZATION"]) {
        Some("it normalizes every image by its own statistics: train with batch normalization, which is folded away")
    } else {
        None
    }
}

/// Everything in a model that is not supported, each kind of thing once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// The first of each kind, and how many there are.
    kinds: Vec<(Problem, usize)>,
    left_out: usize,
}

impl Problems {
    /// A file can hold more kinds of faults than anyone wants to read.
    const LIMIT: usize = 100;

    /// Adds a problem.
    pub fn add(&mut self, problem: Problem) {
        let same = |known: &Problem| (&known.operator, &known.reason) == (&problem.operator, &problem.reason);
        let is_full = self.kinds.len() >= Self::LIMIT;
        match self.kinds.iter_mut().find(|(known, _)| same(known)) {
            Some((_, count)) => *count += 1,
            None if is_full => self.left_out += 1,
            None => self.kinds.push((problem, 1)),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// The first problem of each kind and how many there are of it, in the order of the file.
    pub fn kinds(&self) -> &[(Problem, usize)] {
        &self.kinds
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.kinds.iter().map(|(_, count)| count).sum::<usize>() + self.left_out;
        write!(f, "{count} {} in this model not supported:", if count == 1 { "thing is" } else { "things are" })?;
        for (Problem { node, operator, reason, hint }, count) in &self.kinds {
            if *count == 1 {
                write!(f, "\n  {node} ({operator}): {reason}")?;
            } else {
                write!(f, "\n  {count} x {operator}: {reason} (first: {node})")?;
            }
            if !hint.is_empty() {
                write!(f, "\n      hint: {hint}")?;
            }
        }
        if self.left_out != 0 {
            write!(f, "\n  ... and {} more", self.left_out)?;
        }
        Ok(())
    }
}
