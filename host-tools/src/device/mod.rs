//! Devices: builds the firmware for a board, runs it in QEMU, and reads back what it computed and measured; flashes real boards.
//!
//! [`evaluate`] does all of it for a model and its inputs. The emulated core runs the same instructions as the real
//! one, so that output bytes, stack depth and instruction counts are true; time is not emulated.

pub mod bench;
pub mod calibrate;
pub mod client;
pub mod costs;
mod elf;
mod firmware;
pub mod fit;
mod line;
mod networks;
mod peer;
mod probe;
mod qemu;
mod report;
pub mod steps;
pub mod trace;

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kinglet::Model;
use ndarray::{Array2, Axis};

pub use elf::{Elf, Memories, Sizes};
pub use firmware::{Build, Code, Program};
pub use line::Emulated;
pub use probe::flash;
use qemu::run_under;
pub use qemu::{LogLine, Run, run, watch};
pub use report::{Measurements, StepReport};

pub use crate::boards::{Board, emulated_boards};
use crate::elements::{to_bytes, to_elements};
use crate::simulate::Images;

/// What a device made of a set of images.
#[derive(Clone, Debug)]
pub struct DeviceReport {
    /// Elements of all outputs: one row per image, see [`simulate::outputs`](crate::simulate::outputs).
    pub outputs: Array2<i16>,
    /// Measurements of the first image's inference.
    pub measured: Measurements,
    /// Bytes of flash that are not the model: code, constants, vectors.
    pub code_bytes: u32,
    /// Bytes of the model file in flash.
    pub model_bytes: u32,
    /// What the whole image takes.
    pub sizes: Sizes,
    /// The firmware's log.
    pub log: Vec<LogLine>,
    /// How long QEMU ran.
    pub elapsed: Duration,
}

/// The file that the firmware reads: see `firmware/src/images.rs`.
///
/// # Errors
/// When the images do not fit the model.
fn to_file(model: &Model<'_>, inputs: &[Images]) -> Result<Vec<u8>> {
    ensure!(inputs.len() == model.input_count(), "the model has {} inputs", model.input_count());
    let count = inputs[0].len();
    ensure!(count > 0, "there are no images");
    for (port, images) in model.inputs().zip(inputs) {
        let (shape, (n, h, w, c)) = (port.tensor.shape, images.dim());
        ensure!(
            (n, h, w, c) == (count, shape.h as usize, shape.w as usize, shape.c as usize),
            "the images are {n} of {h} x {w} x {c}, the model takes {count} of {} x {} x {}",
            shape.h,
            shape.w,
            shape.c
        );
    }
    let (kind, len, bytes) = match inputs {
        [Images::Pixels(pixels)] => (0, model.input().shape.len(), pixels.iter().copied().collect()),
        _ => {
            let mut bytes = Vec::new();
            for image in 0..count {
                for (port, images) in model.inputs().zip(inputs) {
                    let Images::Quantized(elements) = images else {
                        bail!("of several inputs a board takes elements, not pixels: `{}`", port.name)
                    };
                    let elements: Vec<i16> = elements.index_axis(Axis(0), image).iter().copied().collect();
                    bytes.extend(to_bytes(&elements, port.tensor.dtype));
                }
            }
            (1, model.input_bytes() as u32, bytes)
        }
    };
    let header = [kind, count as u32, len].map(u32::to_le_bytes);
    Ok([b"KIMG", header.as_flattened(), &bytes].concat())
}

/// Builds the firmware for `board` with the model in it, and runs every image through it in QEMU.
///
/// Every output byte comes back. Instructions, stack and per-step figures are those of the first image, counted exactly;
/// a second run gives the same numbers.
///
/// # Errors
/// When the model is not valid, images do not fit it, QEMU does not emulate the board, the firmware does not build or does not fit the board, QEMU is missing,
/// or the program ends with an error or not within `limit`.
pub fn evaluate(board: &'static Board, model: &[u8], inputs: &[Images], limit: Duration) -> Result<DeviceReport> {
    to_file(&checked(model)?, inputs)?;
    board.in_qemu()?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model.kgl");
    fs::write(&path, model)?;
    let elf = Build { model: Some(&path), ..Build::new(board, Program::Eval) }.run()?;
    evaluate_with(&elf, model, inputs, limit)
}

/// As [`evaluate`], with an image of [`Program::Eval`] that was built with the model already.
///
/// # Errors
/// As [`evaluate`], but for building.
pub fn evaluate_with(elf: &Elf, model: &[u8], inputs: &[Images], limit: Duration) -> Result<DeviceReport> {
    evaluate_under(elf, model, inputs, limit, &[])
}

/// As [`evaluate_with`], with more arguments for QEMU.
fn evaluate_under(
    elf: &Elf,
    model: &[u8],
    inputs: &[Images],
    limit: Duration,
    arguments: &[OsString],
) -> Result<DeviceReport> {
    let checked = checked(model)?;
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("inputs.bin"), to_file(&checked, inputs)?)?;
    let run = run_under(elf, folder.path(), limit, arguments, |_| {})?;
    run.success().with_context(|| format!("the firmware on {}", elf.board.name))?;

    let outputs = fs::read(folder.path().join("outputs.bin")).context("the firmware wrote no outputs")?;
    let mut elements = Vec::new();
    let mut rest = &outputs[..];
    while !rest.is_empty() {
        for port in checked.outputs() {
            let (one, more) =
                rest.split_at_checked(port.tensor.span() as usize).context("the firmware wrote too few outputs")?;
            elements.extend(to_elements(one, port.tensor.dtype));
            rest = more;
        }
    }
    let count = inputs[0].len();
    let outputs = Array2::from_shape_vec((count, elements.len() / count), elements)
        .context("the firmware wrote too few outputs")?;
    let sizes = elf.sizes()?;
    let model_bytes = model.len() as u32;
    Ok(DeviceReport {
        outputs,
        measured: Measurements::read(&run.log)?,
        code_bytes: sizes.flash.saturating_sub(model_bytes),
        model_bytes,
        sizes,
        log: run.log,
        elapsed: run.elapsed,
    })
}

/// Runs an image of [`Program::Profile`] in QEMU: what it counted.
///
/// # Errors
/// As [`evaluate`], but for building.
pub fn count(elf: &Elf, limit: Duration) -> Result<Measurements> {
    let run = run(elf, Path::new("."), limit, |_| {})?;
    run.success()?;
    Measurements::read(&run.log)
}

fn checked(model: &[u8]) -> Result<Model<'_>> {
    Model::new(model).map_err(|error| anyhow::anyhow!("{error}"))
}

impl Run {
    /// Whether the firmware ended well.
    ///
    /// # Errors
    /// When it did not: what its exit code means, and its last messages.
    pub fn success(&self) -> Result<()> {
        let meaning = match self.code {
            Some(0) => return Ok(()),
            Some(1) => "failed its own checks (exit code 1)".into(),
            Some(2) => "refused its input (exit code 2)".into(),
            Some(101) => "panicked (exit code 101)".into(),
            Some(102) => "took a HardFault (exit code 102)".into(),
            Some(104) => "overflowed its stack (exit code 104)".into(),
            Some(103) => "took an exception without a handler (exit code 103)".into(),
            Some(code) => format!("ended with exit code {code}"),
            None => "ended QEMU by a signal, as a lockup does: a fault in a fault handler".into(),
        };
        let log = &self.log[self.log.len().saturating_sub(8)..];
        let lines: Vec<_> = log.iter().map(ToString::to_string).collect();
        bail!("{meaning}\n{}\n{}", lines.join("\n"), self.messages.trim_end());
    }
}
