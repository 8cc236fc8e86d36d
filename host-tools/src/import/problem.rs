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

/// A refusal with a reason and a hint.
pub(super) fn refuse<T>(reason: impl Into<String>, hint: impl Into<String>) -> Result<T, Refusal> {
    Err((reason.into(), hint.into()))
}

/// Everything in a model that is not supported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    left_out: usize,
}

impl Problems {
    /// A file can hold more faulty nodes than anyone wants to read.
    const LIMIT: usize = 500;

    /// Adds a problem.
    pub fn add(&mut self, problem: Problem) {
        if self.list.len() < Self::LIMIT {
            self.list.push(problem);
        } else {
            self.left_out += 1;
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The problems, in the order of the file.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.list.len() + self.left_out;
        write!(f, "{count} {} in this model not supported:", if count == 1 { "thing is" } else { "things are" })?;
        for problem in &self.list {
            write!(f, "\n  {} ({}): {}", problem.node, problem.operator, problem.reason)?;
            if !problem.hint.is_empty() {
                write!(f, "\n      hint: {}", problem.hint)?;
            }
        }
        if self.left_out != 0 {
            write!(f, "\n  ... and {} more", self.left_out)?;
        }
        Ok(())
    }
}
