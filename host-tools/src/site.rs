//! The article as a page that computes: what the studies measured, the shipped models, and the code that shows both.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use kinglet::Model;
use serde::Serialize;

use crate::cycles::Prediction;
use crate::data::{Source, Split};
use crate::device::bench;
use crate::report::base64;
use crate::report::live::{self, LiveModel, Samples};
use crate::report::table::Table;
use crate::{boards, deploy, export, files, graph};

/// The page's own files; the rest is that of every page with a model.
const FILES: [(&str, &str); 6] = [
    ("index.html", include_str!("../page/site/index.html")),
    ("site.css", include_str!("../page/site/site.css")),
    ("charts.js", include_str!("../page/site/charts.js")),
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
    let studies = checkout.join("models/STUDIES.md");
    let site = Site {
        module: base64(live::MODULE),
        tables: tables(&checkout.join("models/studies"))?,
        findings: findings(&files::read_text(&studies)?).with_context(|| studies.display().to_string())?,
        models: models(&checkout.join("models"))?,
        bench: costs(&checkout.join("firmware/bench.json"))?,
    };
    for (name, text) in FILES.into_iter().chain([("player.js", live::SCRIPTS[1])]) {
        files::save(&out.join(name), text)?;
    }
    files::save(&out.join("data.js"), format!("const SITE = {};\n", live::json(&site)))
}

/// Every table of a folder.
fn tables(folder: &Path) -> Result<BTreeMap<String, Columns>> {
    let mut tables = BTreeMap::new();
    for path in entries(folder)? {
        if path.extension().is_some_and(|ending| ending == "csv") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let table = Table::from_csv(&files::read_text(&path)?).with_context(|| path.display().to_string())?;
            let mut cells = table.cells().cloned();
            let columns = cells.next().unwrap_or_default();
            tables.insert(name, Columns { columns, rows: cells.collect() });
        }
    }
    Ok(tables)
}

/// Claims and verdicts of `STUDIES.md`.
fn findings(text: &str) -> Result<BTreeMap<String, Finding>> {
    let section = |section: &str| {
        let (name, body) = section.split_once('\n')?;
        let claim = body.lines().find_map(|line| line.strip_prefix("> "))?;
        let verdict = body.lines().find_map(|line| line.strip_prefix("**The claim "))?;
        let (held, verdict) = verdict.split_once("** ")?;
        let finding = Finding { claim: claim.to_owned(), held: held == "held.", verdict: verdict.to_owned() };
        Some((name.to_owned(), finding))
    };
    let sections = text.split("\n## ").skip(1);
    sections
        .map(|part| {
            section(part)
                .with_context(|| format!("`{}`: no claim, or no verdict", part.lines().next().unwrap_or_default()))
        })
        .collect()
}

/// The shipped models; those of the digits also in float16, with the images that they have not seen.
fn models(folder: &Path) -> Result<BTreeMap<String, LiveModel>> {
    let digits = samples(&Source::Digits.load()?.test);
    let mut models = BTreeMap::new();
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
    Ok(models)
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
        let text = "# Title\n\n## one\n\n> A claim.\n\n**The claim did not hold.** Because 1 < 2.\n\n| a |\n";
        let finding = Finding { claim: "A claim.".into(), held: false, verdict: "Because 1 < 2.".into() };
        assert_eq!(findings(text).unwrap(), BTreeMap::from([("one".to_owned(), finding)]));
        let error = findings("## it\n\n\n## two\n\n> A claim.\n").unwrap_err();
        assert!(error.to_string().contains("`two`: no claim, or no verdict"), "{error}");
    }
}
