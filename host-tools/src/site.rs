//! The article as a page that computes: what the studies measured, the shipped models, and the code that shows both.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use kinglet::Model;
use serde::Serialize;

use crate::boards::Board;
use crate::cycles::{self, Prediction, Predictor};
use crate::data::{Source, Split};
use crate::device::bench;
use crate::report::base64;
use crate::report::live::{self, LiveModel, Samples};
use crate::report::table::Table;
use crate::{boards, deploy, export, files, graph};

/// The page's own files; the rest is that of every page with a model.
const FILES: [(&str, &str); 7] = [
    ("index.html", include_str!("../page/site/index.html")),
    ("site.css", include_str!("../page/site/site.css")),
    ("charts.js", include_str!("../page/site/charts.js")),
    ("surface.js", include_str!("../page/site/surface.js")),
    ("site.js", include_str!("../page/site/site.js")),
    ("style.css", live::STYLE),
    ("runner.js", live::SCRIPTS[0]),
];

/// All that the page shows.
#[derive(Debug, Serialize)]
struct Site {
    /// The runtime, in base64.
    module: String,
    /// The studies' measurements, by the names of their files.
    tables: BTreeMap<String, Columns>,
    findings: BTreeMap<String, Finding>,
    models: BTreeMap<String, LiveModel>,
    bench: Vec<Cost>,
    predicted: Vec<Predicted>,
}

#[derive(Debug, Serialize)]
struct Columns {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// What a study found, as `STUDIES.md` has it.
#[derive(Debug, PartialEq, Serialize)]
struct Finding {
    claim: String,
    held: bool,
    verdict: String,
    /// By what command, and on what.
    measured: String,
    /// What came out from another seed, if it was done again.
    again: Option<Again>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Again {
    seed: u64,
    held: bool,
    verdict: String,
}

/// What an inference is predicted to take on a board.
#[derive(Debug, Serialize)]
struct Predicted {
    model: String,
    board: &'static str,
    core: &'static str,
    mhz: u32,
    ms: f64,
    microjoules: Option<f64>,
    /// How well that is known, in words.
    error: String,
    /// Whether the board has the flash and the RAM.
    fits: bool,
}

/// What an inference takes on a core.
#[derive(Debug, Serialize)]
struct Cost {
    model: String,
    core: &'static str,
    instructions: u64,
    cycles: Option<u64>,
    /// The board that cycles are predicted for, and its clock.
    real: Option<&'static str>,
    mhz: Option<u32>,
    ms: Option<f64>,
}

/// Writes the page of a checkout's studies, models and bench to a folder.
///
/// # Errors
/// Names the file of the checkout that is missing or broken, or the one that cannot be written.
pub fn write(checkout: &Path, out: &Path) -> Result<()> {
    let models_folder = checkout.join("models");
    let (mut tables, mut findings) = Default::default();
    let cifar10 = models_folder.join("studies/cifar10");
    let folders = [("", models_folder.clone()), ("cifar10-", cifar10)];
    for (prefix, folder) in folders.into_iter().filter(|(_, folder)| folder.exists()) {
        read_studies(prefix, &folder, &mut tables, &mut findings)?;
    }
    let mut models = BTreeMap::new();
    let mut predicted = Vec::new();
    read_models(&models_folder, &mut models, &mut predicted)?;
    let bench = costs(&checkout.join("firmware/bench.json"))?;
    let site = Site { module: base64(live::MODULE), tables, findings, models, bench, predicted };
    for (name, text) in FILES.into_iter().chain([("player.js", live::SCRIPTS[1])]) {
        files::save(&out.join(name), text)?;
    }
    files::save(&out.join("data.js"), format!("const SITE = {};\n", live::json(&site)))
}

/// Adds what `kinglet study` wrote to a folder, all names with a prefix.
fn read_studies(
    prefix: &str,
    folder: &Path,
    tables: &mut BTreeMap<String, Columns>,
    found: &mut BTreeMap<String, Finding>,
) -> Result<()> {
    let page = folder.join("STUDIES.md");
    let text = files::read_text(&page)?;
    let named = findings(&text).with_context(|| page.display().to_string())?;
    found.extend(named.into_iter().map(|(name, finding)| (format!("{prefix}{name}"), finding)));
    for path in entries(&folder.join("studies"))? {
        if path.extension().is_some_and(|ending| ending == "csv") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let table = Table::from_csv(&files::read_text(&path)?).with_context(|| path.display().to_string())?;
            let mut cells = table.cells().cloned();
            let columns = cells.next().unwrap_or_default();
            tables.insert(format!("{prefix}{name}"), Columns { columns, rows: cells.collect() });
        }
    }
    Ok(())
}

/// Claims and verdicts of `STUDIES.md`.
fn findings(text: &str) -> Result<BTreeMap<String, Finding>> {
    let judged = |text: &str| {
        let (held, verdict) = text.strip_prefix("**The claim ")?.split_once("** ")?;
        Some((held == "held.", verdict.to_owned()))
    };
    let section = |section: &str| {
        let (name, body) = section.split_once('\n')?;
        let claim = body.lines().find_map(|line| line.strip_prefix("> "))?;
        let (held, verdict) = body.lines().find_map(judged)?;
        let again = body.lines().find_map(|line| {
            let (seed, rest) = line.strip_prefix("From seed ")?.split_once(": ")?;
            let (held, verdict) = judged(rest)?;
            Some(Again { seed: seed.parse().ok()?, held, verdict })
        });
        let (claim, measured) =
            (claim.to_owned(), body.lines().find(|line| line.starts_with("Measured by "))?.to_owned());
        Some((name.to_owned(), Finding { claim, held, verdict, measured, again }))
    };
    let sections = text.split("\n## ").skip(1);
    sections
        .map(|part| {
            section(part).with_context(|| {
                format!(
                    "`{}`: no claim, no verdict, or not by what it was measured",
                    part.lines().next().unwrap_or_default()
                )
            })
        })
        .collect()
}

/// The shipped models, and what they take on each board; those of the digits also in float16, with the images that they have
/// not seen.
fn read_models(folder: &Path, models: &mut BTreeMap<String, LiveModel>, predicted: &mut Vec<Predicted>) -> Result<()> {
    let digits = samples(&Source::Digits.load()?.test);
    for folder in entries(folder)? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = folder.join(format!("{name}.kgl"));
        if !path.exists() {
            continue;
        }
        let mut add = |name: &str, bytes: &[u8]| -> Result<()> {
            let model = Model::new(bytes).map_err(|error| anyhow::anyhow!("`{}`: {error}", path.display()))?;
            let mut live = LiveModel::of(&model).with_context(|| format!("`{}` takes no picture", path.display()))?;
            live.samples = name.starts_with("digits-").then(|| digits.clone());
            models.insert(name.to_owned(), live);
            predicted.extend(boards::all().iter().filter_map(|board| on_board(name, &model, board)));
            Ok(())
        };
        add(&name, &files::read(&path)?)?;
        if name.starts_with("digits-") {
            let float = graph::load(&folder.join("weights.safetensors"))?;
            let network = deploy::float16(&float.graph, &float.params)?;
            add(&format!("{name}, float16"), &export::to_bytes(&network, &export::Options::default())?.bytes)?;
        }
    }
    ensure!(!models.is_empty(), "`{}` holds no models", folder.display());
    Ok(())
}

/// Of a board whose speed and core are known.
fn on_board(name: &str, model: &Model<'_>, board: &'static Board) -> Option<Predicted> {
    let cycles::Predicted { total, error, .. } = Predictor::of(board).ok()?.model(model);
    Some(Predicted {
        model: name.to_owned(),
        board: board.title,
        core: board.core,
        mhz: board.speed.as_ref()?.mhz,
        ms: total.ms,
        microjoules: total.microjoules,
        error,
        fits: board.fit(model.as_bytes().len(), model.arena_len()).is_ok(),
    })
}

fn samples(images: &Split) -> Samples {
    let pixels: Vec<u8> = images.images.iter().copied().collect();
    Samples { pixels: base64(&pixels), labels: base64(&images.labels) }
}

/// What each model takes as a whole on each core that was measured.
fn costs(path: &Path) -> Result<Vec<Cost>> {
    let rows = bench::read(path)?;
    let cost = |row: bench::Row| {
        let board = boards::all().iter().find(|board| board.name == row.board)?;
        let real = bench::real(board);
        let predicted = real.zip(row.cycles).and_then(|(real, cycles)| {
            let speed = real.speed.as_ref()?;
            Some((real.title, speed.mhz, Prediction::of_cycles(cycles, speed).ms))
        });
        Some(Cost {
            model: row.model,
            core: board.core,
            instructions: row.instructions,
            cycles: row.cycles,
            real: predicted.map(|(title, ..)| title),
            mhz: predicted.map(|(_, mhz, _)| mhz),
            ms: predicted.map(|(.., ms)| ms),
        })
    };
    Ok(rows.into_iter().filter(|row| row.layer == "total").filter_map(cost).collect())
}

/// What is in a folder, by name.
fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let cannot = || format!("cannot read `{}`", folder.display());
    let mut paths = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>())
        .with_context(cannot)?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_read_with_their_verdicts() {
        let text = "# Title\n\n## one\n\n> A claim.\n\n**The claim did not hold.** Because 1 < 2.\n\nMeasured by it.\n\n| a |\n";
        let finding = |again| {
            let [claim, verdict, measured] = ["A claim.", "Because 1 < 2.", "Measured by it."].map(str::to_owned);
            BTreeMap::from([("one".to_owned(), Finding { claim, held: false, verdict, measured, again })])
        };
        assert_eq!(findings(text).unwrap(), finding(None));
        let text = text.replace("\nMeasured", "\nFrom seed 7: **The claim held.** Because 2 > 1.\n\nMeasured");
        let again = Again { seed: 7, held: true, verdict: "Because 2 > 1.".into() };
        assert_eq!(findings(&text).unwrap(), finding(Some(again)));
        let error = findings("## it\n\n\n## two\n\n> A claim.\n").unwrap_err();
        assert!(error.to_string().contains("`two`: no claim, no verdict"), "{error}");
    }
}
