//! The whole way, from images to a prediction on an emulated board: what `kinglet demo` shows.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use kinglet::Model;
use serde::Serialize;

use crate::deploy;
use crate::device::{self, Board, DeviceReport};
use crate::report::table::{Table, grouped};
use crate::simulate::{self, Images};
use crate::train::{Recipe, RunFolder, Trainer, bar};
use crate::{export, files};

/// The networks of the demo.
pub const NETWORKS: [&str; 2] = ["digits-resnet", "digits-inception"];

/// What the demo found out about a network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The network.
    pub name: String,
    /// The board that it ran on.
    pub board: String,
    /// Held-out images.
    pub images: usize,
    /// Right answers of the float network, in percent.
    pub float_accuracy: f64,
    /// Right answers of the int8 model on the host, in percent.
    pub int8_accuracy_host: f64,
    /// Right answers of the int8 model on the device, in percent.
    pub int8_accuracy_device: f64,
    /// Images whose output is the same in every byte on host and device, in percent.
    pub equal_outputs_percent: f64,
    /// Bytes of arena.
    pub arena_bytes: usize,
    /// Bytes of stack, at most.
    pub stack_bytes: u32,
    /// Bytes of flash beside the model: code and constants of the whole program.
    pub code_bytes: u32,
    /// Bytes of weights and tables.
    pub weight_bytes: usize,
    /// Bytes of the model file.
    pub model_bytes: usize,
    /// Multiply-accumulate operations of an inference.
    pub macs: u64,
    /// Instructions of an inference.
    pub instructions: u64,
    /// Each step.
    pub steps: Vec<StepOutcome>,
}

/// A step on the device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepOutcome {
    /// Its name.
    pub name: String,
    /// Its operator.
    pub operator: String,
    /// Multiply-accumulate operations.
    pub macs: u64,
    /// Instructions.
    pub instructions: u64,
}

/// Trains `network`, deploys it, and runs all held-out images on host and board; weights and model go to
/// `folder/network`.
///
/// # Errors
/// When any of that fails.
pub fn run(network: &str, board: &'static Board, folder: &Path) -> Result<Outcome> {
    let recipe = Recipe::for_network(network);
    let data = recipe.data.load()?;
    let run = RunFolder::new(&folder.join(network));
    let mut trainer = Trainer::new(&recipe, &data)?;
    trainer.train(Some(&run), bar(network))?;
    let trained = trainer.finish();
    run.finish(&trained)?;

    let options = export::Options::default();
    let exported = deploy::deploy(&trained.graph, &trained.params, &data.train, &deploy::Options::default(), &options)?;
    let path = run.file("model.kgl");
    files::save(&path, &exported.bytes)?;

    let model = Model::new(&exported.bytes).map_err(|error| anyhow::anyhow!("{error}"))?;
    let images = Images::Pixels(data.test.images.clone());
    let labels: Vec<usize> = data.test.labels.iter().map(|&label| label.into()).collect();
    let host = simulate::run(model, &images)?;
    eprintln!(
        "{network}: building the firmware and running {} images on {} ({})",
        images.len(),
        board.name,
        board.core
    );
    let device = device::evaluate(board, &exported.bytes, std::slice::from_ref(&images), Duration::from_secs(300))?;
    let (equal, _) = simulate::equal_rows(&host, &device.outputs);
    Ok(Outcome {
        name: network.to_owned(),
        board: board.name.to_owned(),
        images: images.len(),
        float_accuracy: 100.0 * trained.accuracy(),
        int8_accuracy_host: simulate::accuracy(&host, &labels),
        int8_accuracy_device: simulate::accuracy(&device.outputs, &labels),
        equal_outputs_percent: 100.0 * equal as f64 / images.len() as f64,
        arena_bytes: model.arena_len(),
        stack_bytes: device.measured.stack_bytes,
        code_bytes: device.code_bytes,
        weight_bytes: model.weight_bytes(),
        model_bytes: model.file_len(),
        macs: model.macs(),
        instructions: device.measured.instructions,
        steps: steps(&device),
    })
}

fn steps(device: &DeviceReport) -> Vec<StepOutcome> {
    let step = |step: &device::StepReport| StepOutcome {
        name: step.name.clone(),
        operator: step.op.clone(),
        macs: step.macs,
        instructions: step.instructions,
    };
    device.measured.steps.iter().map(step).collect()
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |share: f64| format!("{share:.2} %");
        let bytes = |bytes: u64| format!("{} bytes", grouped(bytes));
        let name = format!("{} on {}", self.name, self.board);
        let mut summary = Table::new([name.as_str(), ""]);
        for (what, value) in [
            ("held-out images", self.images.to_string()),
            ("accuracy, float", percent(self.float_accuracy)),
            ("accuracy, int8 on the host", percent(self.int8_accuracy_host)),
            ("accuracy, int8 on the device", percent(self.int8_accuracy_device)),
            ("outputs equal on host and device", percent(self.equal_outputs_percent)),
            ("flash, code", bytes(self.code_bytes.into())),
            ("flash, weights", bytes(self.weight_bytes as u64)),
            ("RAM, arena", bytes(self.arena_bytes as u64)),
            ("RAM, stack at most", bytes(self.stack_bytes.into())),
            ("multiply-accumulates", grouped(self.macs)),
            ("instructions per inference", grouped(self.instructions)),
        ] {
            summary.row([what.to_owned(), value]);
        }
        writeln!(f, "{summary}")?;
        let mut layers = Table::new(["step", "operator", "MACs", "instructions", "per MAC"]);
        for step in &self.steps {
            let each = if step.macs == 0 {
                String::new()
            } else {
                format!("{:.2}", step.instructions as f64 / step.macs as f64)
            };
            layers.row([
                step.name.clone(),
                step.operator.clone(),
                grouped(step.macs),
                grouped(step.instructions),
                each,
            ]);
        }
        write!(f, "{layers}")
    }
}
