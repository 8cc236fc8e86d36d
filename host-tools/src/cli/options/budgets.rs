//! The options of every command that exports a model: what it may cost.

use std::fmt;

use anyhow::Result;
use kinglet::Model;
use kinglet::kernels::algorithms::{ConvAlgorithm, Core};
use serde::Serialize;

use crate::boards::{self, Board, STACK};
use crate::cycles::{Predicted, Predictor};
use crate::export::{self, ExportError, Exported};
use crate::network::Network;
use crate::plan::{self, Streaming};
use crate::words::{bytes, grouped};

/// What a model may cost on the device.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Budgets {
    /// Bytes of RAM for the arena, as 49152 or 48K: the fastest plan that fits is taken. Without it the arena is as small as can
    /// be.
    #[arg(long, value_parser = bytes)]
    ram: Option<u32>,
    /// Bytes of a fast memory (tightly coupled, say) beside it: the tensors with the most traffic are placed there, the rest
    /// in the `--ram` bytes.
    #[arg(long, value_parser = bytes)]
    fast: Option<u32>,
    /// Bytes of flash for the model file, as 180000 or 176K: spent on transformed weights where they save most instructions.
    /// Without it weights keep their size.
    #[arg(long, value_parser = bytes)]
    flash: Option<u32>,
    /// Which steps may run interleaved, row by row.
    #[arg(long, value_enum, default_value_t)]
    streaming: Streaming,
    /// The core that algorithms are chosen for, by what they cost there; the model runs on every core.
    #[arg(long, value_enum, default_value_t)]
    target: Target,
    /// Computes every convolution by this algorithm that can be, whatever it costs; `kinglet inspect` shows which do.
    #[arg(long, value_enum, value_name = "NAME")]
    algorithm: Option<Algorithm>,
}

/// Cores by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
enum Target {
    /// Cortex-M0, M0+, M1, M23.
    M0,
    /// Cortex-M3.
    M3,
    /// Cortex-M4, with DSP instructions.
    #[default]
    M4,
    /// Cortex-M7: the instructions of M4.
    M7,
    /// Cortex-M33: the instructions of M4.
    M33,
    /// Cortex-M55, M85, with Helium.
    M55,
}

impl Target {
    const fn core(self) -> Core {
        match self {
            Target::M0 => Core::M0,
            Target::M3 => Core::M3,
            Target::M4 | Target::M7 | Target::M33 => Core::M4,
            Target::M55 => Core::M55,
        }
    }
}

/// Algorithms of convolution by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Algorithm {
    /// Weights as they are, pixel by pixel.
    Direct,
    /// A matrix product with weights of 8 bits.
    Gemm8,
    /// A matrix product with weights of 8 bits that lie by twos in the halves of words.
    GemmPaired,
    /// A matrix product with weights of 16 bits.
    Gemm16,
    /// A matrix product with weights of 8 bits, widened for a row of pixels at a time.
    Tiled,
    /// The same with weights by twos, which are copied.
    TiledPaired,
    /// A matrix product in bytes, for Helium.
    GemmBytes,
    /// Winograd F(2x2, 3x3).
    Winograd2,
    /// Winograd F(2x2, 3x3) with weights transformed in every inference.
    Winograd2AtRunTime,
    /// Winograd F(4x4, 3x3).
    Winograd4,
    /// 3x3 at stride 2 by Winograd.
    Stride2,
}

impl Algorithm {
    const fn of_runtime(self) -> ConvAlgorithm {
        match self {
            Algorithm::Direct => ConvAlgorithm::Direct,
            Algorithm::Gemm8 => ConvAlgorithm::Gemm8,
            Algorithm::GemmPaired => ConvAlgorithm::GemmPaired,
            Algorithm::Gemm16 => ConvAlgorithm::Gemm16,
            Algorithm::Tiled => ConvAlgorithm::Tiled { rows: 1, parts: 1 },
            Algorithm::TiledPaired => ConvAlgorithm::TiledPaired { rows: 1, parts: 1 },
            Algorithm::GemmBytes => ConvAlgorithm::GemmBytes,
            Algorithm::Winograd2 => ConvAlgorithm::Winograd2,
            Algorithm::Winograd2AtRunTime => ConvAlgorithm::Winograd2AtRunTime { tile_rows: 1 },
            Algorithm::Winograd4 => ConvAlgorithm::Winograd4,
            Algorithm::Stride2 => ConvAlgorithm::Stride2,
        }
    }
}

impl Budgets {
    /// As the exporter takes them.
    pub fn options(&self) -> export::Options {
        let plan =
            plan::Options { streaming: self.streaming, ram: self.ram, fast: self.fast, ..plan::Options::default() };
        let algorithm = self.algorithm.map(Algorithm::of_runtime);
        export::Options { plan, flash: self.flash, core: self.target.core(), algorithm, board: None }
    }
}

/// These, or a board's.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Room {
    /// The board that the model is for, by its name or its chip's: the fastest model is made that its flash and RAM hold beside
    /// code and stack, by the cycles that are predicted for it, or, where those are not known, by its core's instructions; the answer
    /// says what is left. `kinglet device boards` lists them.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["target", "fast"])]
    board: Option<String>,
    /// Cycles that an inference may take on that board, by prediction.
    #[arg(long, value_name = "COUNT", requires = "board")]
    cycles: Option<u64>,
    #[command(flatten)]
    budgets: Budgets,
}

impl Room {
    fn board(&self) -> Result<Option<&'static Board>> {
        self.board.as_ref().map(|name| boards::find(name, boards::all().iter(), "there are")).transpose()
    }

    /// Whether a board was named.
    pub fn has_board(&self) -> bool {
        self.board.is_some()
    }

    /// Cycles that an inference takes on the board, where they are known.
    pub fn cycles(&self, exported: &Result<Exported, ExportError>) -> Option<u64> {
        match exported {
            Ok(exported) => Some(cycles_of(exported, &Predictor::of(self.board().ok()??).ok()?)),
            Err(ExportError::Cycles { needed, .. }) => Some(*needed),
            Err(_) => None,
        }
    }

    /// A network exported within the budgets; or what is in the way of it.
    ///
    /// # Errors
    /// When there is no such board.
    pub fn exported(&self, network: &Network) -> Result<Result<Exported, ExportError>> {
        Ok(match self.board()? {
            Some(board) => {
                // Where no cycles are known, none can be kept to.
                let predictor = self.cycles.map(|cycles| Ok::<_, anyhow::Error>((cycles, Predictor::of(board)?)));
                let exported = for_board(network, board, &self.budgets);
                match (exported, predictor.transpose()?) {
                    (Ok(exported), Some((cycles, predictor))) => {
                        let needed = cycles_of(&exported, &predictor);
                        let (network, board) = (network.name.clone(), board.name);
                        if needed > cycles {
                            Err(ExportError::Cycles { network, board, cycles, needed })
                        } else {
                            Ok(exported)
                        }
                    }
                    (exported, _) => exported,
                }
            }
            None => export::to_bytes(network, &self.budgets.options()),
        })
    }

    /// Exports a network within the budgets; tells what the model leaves of the board, too.
    ///
    /// # Errors
    /// As [`export::to_bytes`], and when there is no such board.
    pub fn export(&self, network: &Network) -> Result<(Exported, Option<OnBoard>)> {
        let exported = self.exported(network)??;
        let Some(board) = self.board()? else { return Ok((exported, None)) };
        let fit = board.fit(exported.bytes.len(), exported.plan.arena_len as usize)?;
        let predicted = match (Predictor::of(board), Model::new(&exported.bytes)) {
            (Ok(predictor), Ok(model)) => Some(predictor.model(&model)),
            _ => None,
        };
        let on = OnBoard {
            name: board.name,
            flash_left: fit.flash_left,
            code: board.code_bytes(),
            ram: fit.ram.name,
            ram_left: fit.ram_left,
            stack: STACK,
            predicted,
        };
        Ok((exported, Some(on)))
    }
}

/// What a model leaves of a board in bytes, and takes there.
#[derive(Clone, Debug, Serialize)]
pub struct OnBoard {
    name: &'static str,
    flash_left: u32,
    /// What is kept of the flash for code.
    code: u32,
    /// The memory that holds the arena.
    ram: &'static str,
    ram_left: u32,
    /// What is kept of that memory for the stack.
    stack: u32,
    predicted: Option<Predicted>,
}

impl fmt::Display for OnBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [flash_left, code, ram_left, stack] =
            [self.flash_left, self.code, self.ram_left, self.stack].map(|bytes| grouped(bytes.into()));
        write!(
            f,
            "on {} that leaves {flash_left} bytes of flash beside {code} for code, and {ram_left} bytes of {} beside {stack} for the stack",
            self.name, self.ram,
        )?;
        match &self.predicted {
            Some(predicted) => write!(f, "\n{}", predicted.to_string().trim_end()),
            None => Ok(()),
        }
    }
}

/// The fastest model that a board holds, in the first of its memories that holds the arena.
///
/// # Errors
/// As [`export::to_bytes`].
pub fn for_board(network: &Network, board: &'static Board, budgets: &Budgets) -> Result<Exported, ExportError> {
    let mut options = budgets.options();
    (options.core, options.board) = (board.instruction_set(), Some(board));
    options.flash = Some(budgets.flash.unwrap_or(u32::MAX).min(board.model_bytes()));
    let mut rooms = board.ram.iter().map(|ram| budgets.ram.unwrap_or(u32::MAX).min(ram.arena_bytes()));
    let mut export = |ram| {
        options.plan.ram = Some(ram);
        fastest(network, board, &options)
    };
    let first = export(rooms.next().unwrap_or_default());
    rooms.fold(first, |found, ram| match found {
        Err(ExportError::Ram { .. }) => export(ram),
        found => found,
    })
}

/// With row streaming, or without where that fits too and is predicted to take fewer cycles: rows cost calls, whole maps leave less RAM
/// to fast algorithms.
fn fastest(network: &Network, board: &'static Board, options: &export::Options) -> Result<Exported, ExportError> {
    let streamed = export::to_bytes(network, options)?;
    let plan = plan::Options { streaming: Streaming::Off, ..options.plan };
    let (Ok(predictor), Ok(whole)) =
        (Predictor::of(board), export::to_bytes(network, &export::Options { plan, ..*options }))
    else {
        return Ok(streamed);
    };
    let is_faster = cycles_of(&whole, &predictor) < cycles_of(&streamed, &predictor);
    Ok(if is_faster { whole } else { streamed })
}

/// Predicted cycles of an inference.
fn cycles_of(exported: &Exported, predictor: &Predictor) -> u64 {
    Model::new(&exported.bytes).map_or(u64::MAX, |model| predictor.model(&model).total.cycles)
}

/// What an exported model costs, for programs.
pub fn figures(exported: &Exported) -> serde_json::Value {
    let Exported { bytes, plan, time, .. } = exported;
    serde_json::json!({
        "file_bytes": bytes.len(), "arena_bytes": plan.arena_len, "arena_fast_bytes": plan.fast_len,
        "arena_lower_bound": plan.lower_bound, "seconds": time.as_secs_f64(),
    })
}

/// The same in words.
pub fn cost(exported: &Exported) -> String {
    let Exported { bytes, plan, time, .. } = exported;
    let arena = match plan.fast_len {
        0 => format!("{} bytes of arena", grouped(plan.arena_len.into())),
        fast => format!(
            "{} bytes of arena in the fast memory and {} in the slow one",
            grouped(fast.into()),
            grouped(plan.slow_len().into())
        ),
    };
    format!(
        "{} bytes of model, {arena} ({} above the lower bound), planned in {:.1} s",
        grouped(bytes.len() as u64),
        grouped(plan.arena_len.saturating_sub(plan.lower_bound).into()),
        time.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use ndarray::Array4;

    use super::*;
    use crate::deploy;
    use crate::graph::{NetworkRecipe, Op, Preprocess, StoredWeights};
    use crate::simulate::{self, Images};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        room: Room,
    }

    /// An untrained ResNet-8.
    fn network() -> Network {
        let labels: Vec<String> = (0..10).map(|label| label.to_string()).collect();
        let graph = NetworkRecipe::zoo("resnet8").build(&labels, &Preprocess::unit(3)).unwrap();
        deploy::untrained_network(&graph).unwrap()
    }

    /// The model file of a network under these options, and what is said of the board.
    fn export(network: &Network, words: &[&str]) -> Result<(Exported, Option<OnBoard>)> {
        Line::try_parse_from(["export"].iter().chain(words))?.room.export(network)
    }

    fn resnet8(words: &[&str]) -> Result<(Exported, Option<OnBoard>)> {
        export(&network(), words)
    }

    #[test]
    fn few_weights_take_few_bytes_and_change_nothing() {
        let mut network = network();
        for node in &mut network.nodes {
            if let Op::Conv2d { weights: StoredWeights::Int8 { weights, .. }, .. } = &mut node.op {
                weights.iter_mut().for_each(|weight| *weight = *weight / 64 * 50);
            }
        }
        let [small, fast] = ["40K", "1M"].map(|flash| export(&network, &["--ram", "48K", "--flash", flash]).unwrap().0);
        let palettes = |exported: &Exported| {
            exported.stored.iter().filter(|of| of.is_chosen && of.weights == "2-bit palette").count()
        };
        assert!(palettes(&small) > 0 && palettes(&fast) == 0, "{:?}", small.stored);
        let pixels = Array4::from_shape_fn((2, 32, 32, 3), |(n, y, x, c)| (n * 91 + y * x * 7 + c * 31 + x * 5) as u8);
        let run = |exported: &Exported| {
            simulate::run(Model::new(&exported.bytes).unwrap(), &Images::Pixels(pixels.clone())).unwrap()
        };
        assert_eq!(run(&small), run(&fast));
    }

    #[test]
    fn cycles_are_a_budget_on_a_board() {
        let error = resnet8(&["--board", "nucleo-l4r5zi", "--cycles", "9000000"]).unwrap_err().to_string();
        assert!(error.contains("cycles on nucleo-l4r5zi by prediction"), "{error}");
        assert!(resnet8(&["--board", "nucleo-l4r5zi", "--cycles", "20000000"]).is_ok());
        let error = resnet8(&["--cycles", "20000000"]).unwrap_err().to_string();
        assert!(error.contains("--board"), "{error}");
    }

    #[test]
    fn a_budget_of_flash_is_one_of_the_file() {
        let len = |words: &[&str]| resnet8(words).map(|(exported, _)| exported.bytes.len());
        let least = len(&["--ram", "48K"]).unwrap();
        assert!(len(&["--ram", "48K", "--flash", "128K"]).unwrap() <= 128 * 1024);
        let spent = len(&["--ram", "48K", "--flash", "180K"]).unwrap();
        // Not all of it: where weights are read again and again, more of them cost time.
        assert!((least + 20_000..=180 * 1024).contains(&spent), "{spent} after {least}");
        let error = len(&["--flash", "64K"]).unwrap_err().to_string();
        assert!(error.contains("65536 bytes of flash: the smallest takes"), "{error}");
    }

    #[test]
    fn a_board_is_a_budget_with_room_for_code_and_stack() {
        let (exported, left) = resnet8(&["--board", "stm32f446"]).unwrap();
        let board = Board::named("nucleo-f446re").unwrap();
        assert!(exported.bytes.len() as u32 <= board.model_bytes());
        assert!(exported.plan.arena_len <= board.ram[0].arena_bytes());
        let left = left.unwrap().to_string();
        assert!(left.starts_with("on nucleo-f446re that leaves ") && left.contains("49,152 for code"), "{left}");
        let error = resnet8(&["--board", "nucleo-f446rx"]).unwrap_err().to_string();
        assert!(error.contains("did you mean nucleo-f446re?"), "{error}");
        let error = resnet8(&["--board", "microbit"]).unwrap_err().to_string();
        assert!(error.contains("bytes of arena"), "16 KB of RAM are too few: {error}");
    }
}
