//! Kills, full disks and floods, many more of them than the tests make.

use anyhow::Result;

use crate::command;

/// Kills in one round of `kill.rs`.
const KILLS: u32 = 240;

/// Kills commands about `kills` times, and floods devices as many times more than the tests do; those in QEMU too.
///
/// # Errors
/// When a part of a file is left, a training goes on otherwise, or a device does not answer any more.
pub fn run(kills: u32) -> Result<()> {
    let mut test = command::cargo();
    test.args(["test", "--locked", "-p", "kinglet-tools", "--test", "kill", "--test", "faults", "--test", "floods"]);
    let times = kills.div_ceil(KILLS).to_string();
    test.args(["--", "--nocapture"]).env("KINGLET_KILLS", &times).env("KINGLET_FLOODS", &times);
    command::run(test.env("KINGLET_DEVICE_TESTS", "1"))
}
