//! Every field, every extreme: the systematic changes of model files, many more of them than the tests make.

use anyhow::Result;

use crate::command;

/// Makes about `changes` changes.
///
/// # Errors
/// When a model that is accepted breaks a promise; its file is kept, and named.
pub fn run(changes: u32) -> Result<()> {
    let mut test = command::cargo();
    test.args(["test", "--locked", "--release", "-p", "kinglet", "--test", "mutate", "--", "--nocapture"]);
    test.env("KINGLET_MUTATIONS", changes.to_string());
    // What overflows must not pass unseen because the build is fast.
    test.env("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true").env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true");
    command::run(&mut test)
}
