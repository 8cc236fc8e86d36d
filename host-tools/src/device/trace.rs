//! Counts what an inference executes, for predictions of cycles: the program `eval` in QEMU, under a plugin.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSymbol};

use super::{Board, DeviceReport, Elf, emulated_boards, evaluate_under};
use crate::boards::Speed;
use crate::cycles::{TRACE, Trace, speed};
use crate::simulate::Images;

/// The emulated board that executes what `board` would.
///
/// # Errors
/// When QEMU emulates no core of its kind.
pub fn stand_in(board: &Board) -> Result<&'static Board> {
    let core = |board: &Board| board.core.split([' ', 'F']).next().map(str::to_owned);
    let same = |other: &&Board| (other.target, other.cpu) == (board.target, board.cpu);
    let exactly = emulated_boards().filter(same).find(|other| core(other) == core(board));
    let found = exactly.or_else(|| emulated_boards().find(same));
    found.with_context(|| format!("QEMU emulates no board that runs the code of {}", board.name))
}

/// Runs `elf`, an image of `Program::Eval` for a stand-in of `board`, and counts what the first inference executes there.
///
/// # Errors
/// As [`super::evaluate_with`], when the plugin cannot be compiled, and when the table does not say how fast `board` is.
pub fn evaluate(
    board: &Board,
    elf: &Elf,
    model: &[u8],
    inputs: &[Images],
    limit: Duration,
) -> Result<(DeviceReport, Trace)> {
    let speed = speed(board)?;
    let folder = tempfile::tempdir()?;
    let (plugin, written) = (compile(folder.path())?, folder.path().join("trace.txt"));
    let [now, records] = [symbol(elf, "clock7systick3now")?, symbol(elf, "4eval7RECORDS")?];
    let flash = &elf.board.flash;
    let mut argument = plugin.into_os_string();
    argument.push(",out=");
    argument.push(&written);
    argument.push(format!(
        ",now={},records={}:{},flash={}:{},{}",
        now.0 & !1,
        records.0,
        records.1 / 8,
        flash.at,
        u64::from(flash.at) + u64::from(flash.bytes()),
        caches(speed)
    ));
    let report = evaluate_under(elf, model, inputs, limit, &[OsString::from("-plugin"), argument])?;
    let trace = Trace::parse(&fs::read_to_string(&written).context("the plugin wrote nothing")?)?;
    // The plugin counts the interrupts of the firmware's clock, too, which the firmware takes out again: five instructions for each
    // wrap of the counter (`firmware/src/clock/systick.rs`), which never come closer than two million instructions.
    let interrupts = 5 * (report.measured.instructions / 2_000_000);
    ensure!(
        trace.total.instructions().abs_diff(report.measured.instructions) <= 64 + interrupts,
        "the plugin counted {} instructions, the firmware {}",
        trace.total.instructions(),
        report.measured.instructions
    );
    Ok((report, trace))
}

/// The plugin's options for the caches in front of a board's flash; without a cache, a line holds one read.
fn caches(speed: &Speed) -> String {
    let read = speed.flash_bytes.unwrap_or(8);
    let line = speed.line.max(read);
    let cache = |bytes: u32| format!("{}:{line}:{read}", (bytes / line).max(1));
    let (code, data) = (cache(speed.code_cache), cache(speed.data_cache));
    format!("code={code},data={data},shared={}", u32::from(speed.shared))
}

/// Compiles the plugin with the C compiler that Rust links with.
fn compile(folder: &Path) -> Result<std::path::PathBuf> {
    let (source, plugin) = (folder.join("trace.c"), folder.join("trace.so"));
    fs::write(&source, TRACE)?;
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&plugin).arg(&source);
    let output = cc.output().context("cannot start `cc`, the C compiler, for the plugin that counts in QEMU")?;
    ensure!(output.status.success(), "`cc` cannot compile the plugin:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(plugin)
}

/// Address and size of the symbol whose mangled name contains `part`.
fn symbol(elf: &Elf, part: &str) -> Result<(u64, u64)> {
    let file = object::File::parse(&*elf.bytes).context("not an ELF file")?;
    let found = file.symbols().find(|symbol| symbol.name().is_ok_and(|name| name.contains(part)));
    found.map(|symbol| (symbol.address(), symbol.size())).with_context(|| format!("the image has no symbol {part}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boards;

    #[test]
    fn boards_have_stand_ins() {
        let of = |name| stand_in(boards::find(name, boards::all().iter(), "").unwrap()).unwrap().name;
        assert_eq!(of("nucleo-l4r5zi"), "mps2-an386");
        assert_eq!(of("nucleo-h7a3zi-q"), "mps2-an500");
        assert_eq!(of("nucleo-u575zi-q"), "mps2-an505");
        assert_eq!(of("nucleo-g0b1re"), "mps2-an385");
        assert_eq!(of("ek-ra8d1"), "mps3-an547");
    }

    #[test]
    fn caches_are_told_in_lines() {
        let of = |name| {
            let board = boards::find(name, boards::all().iter(), "").unwrap();
            caches(board.speed.as_ref().unwrap())
        };
        assert_eq!(of("nucleo-l4r5zi"), "code=32:32:8,data=8:32:8,shared=0");
        assert_eq!(of("nucleo-g0b1re"), "code=1:8:8,data=1:8:8,shared=0");
        assert_eq!(of("pico2"), "code=2048:8:8,data=1:8:8,shared=1");
    }
}
