//! `kinglet study`: why residual networks and Inception modules work, measured and drawn.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::{Map, json};

use super::options::json::Json;
use crate::data::Source;
use crate::device::Board;
use crate::files;
use crate::study::{Effort, Finding, STUDIES, Setting, Study};

/// Of tables and pictures, beside the page.
const FOLDER: &str = "studies";

/// Of the page.
const TITLE: &str = "# Why residual networks and Inception modules work";

/// Options of `kinglet study`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which ones, by the names that the page has; all unless given.
    #[arg(value_name = "STUDY")]
    names: Vec<String>,
    /// Smaller networks, fewer seeds and epochs: all studies in ten minutes on two cores.
    #[arg(long)]
    quick: bool,
    /// Images to train on, instead of the embedded digits: a folder with CIFAR-10's binary batches or IDX files, or a folder or .tar of images; some of them, evenly spaced.
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// The seed of each study's first repetition, to see what another draw says.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Does each study again from this seed, and says beside each verdict what came out of that.
    #[arg(long, value_name = "N")]
    again: Option<u64>,
    /// Counts executed instructions on this emulated board, too.
    #[arg(long, value_name = "BOARD", num_args = 0..=1, default_missing_value = "mps2-an386")]
    board: Option<String>,
    /// Where `STUDIES.md` and the folder `studies` with tables (CSV) and pictures (SVG) go; of a page that is there, the sections of other studies stay.
    #[arg(short, long, value_name = "DIR", default_value = "target/kinglet")]
    out: PathBuf,
    #[command(flatten)]
    json: Json,
}

/// Runs studies, prints what they found, writes tables and pictures.
///
/// # Errors
/// When a study is unknown, the images cannot be read, or a network cannot be trained or measured.
pub fn run(args: &Args) -> Result<ExitCode> {
    let known = || STUDIES.map(|study| study.name).join(", ");
    let mut chosen: Vec<Study> = Vec::new();
    for name in &args.names {
        match STUDIES.iter().find(|study| study.name == name) {
            Some(study) => chosen.push(*study),
            None => bail!("there is no study `{name}`; there are {}", known()),
        }
    }
    if chosen.is_empty() {
        chosen = STUDIES.to_vec();
    }
    if args.again == Some(args.seed) {
        bail!("--again {}: that is the seed of the first run; give another one", args.seed);
    }
    let source = args.data.as_deref().map_or(Source::Digits, Source::at);
    let board = args.board.as_deref().map(Board::named).transpose()?;
    let effort = if args.quick { Effort::Quick } else { Effort::Full };
    let data = effort.images(&source.load()?);
    let setting = Setting { effort, data: &data, source: &source, seed: args.seed, board };
    let page = args.out.join("STUDIES.md");
    let mut found = Vec::new();
    for study in chosen {
        let finding = study.run(&setting)?;
        println!("{}: {}\n{}\n{}\n", study.name, study.claim, held(&finding), finding.verdict);
        println!("{}", finding.tables[0].1);
        let mut again = String::new();
        if let Some(seed) = args.again {
            let finding = study.run(&Setting { seed, ..setting })?;
            again = format!("\nFrom seed {seed}: **{}** {}\n", held(&finding), finding.verdict);
            println!("{again}");
        }
        let text =
            write(&args.out.join(FOLDER), &study, &finding, &format!("{again}\n{}", command(&study, args, &setting)))?;
        // As it is now: another study may have been written meanwhile.
        let mut known = if page.exists() { sections(&files::read_text(&page)?) } else { Vec::new() };
        known.retain(|(name, _)| name != study.name);
        known.push((study.name.to_owned(), text));
        known.sort_by_key(|(name, _)| STUDIES.iter().position(|study| study.name == name));
        // After each study, so that what a night has measured is kept.
        let all: String = known.iter().map(|(name, text)| format!("\n## {name}\n{text}")).collect();
        files::save(&page, format!("{TITLE}\n{all}"))?;
        let tables: Map<_, _> =
            finding.tables.iter().map(|(table, rows)| ((*table).to_owned(), rows.to_json())).collect();
        found.push(json!({
            "study": study.name, "claim": study.claim, "held": finding.held, "verdict": finding.verdict, "tables": tables,
        }));
    }
    println!("{} shows it all", page.display());
    args.json.print(&found)?;
    Ok(ExitCode::SUCCESS)
}

/// The sections of a page, by their names.
fn sections(page: &str) -> Vec<(String, String)> {
    let section = |section: &str| {
        section.split_once('\n').map(|(name, text)| (name.to_owned(), text.trim_end().to_owned() + "\n"))
    };
    page.split("\n## ").skip(1).filter_map(section).collect()
}

/// By what a study's section is made anew.
fn command(study: &Study, args: &Args, setting: &Setting<'_>) -> String {
    let mut options = String::new();
    if args.quick {
        options += " --quick";
    }
    if let Some(name) = args.data.as_ref().and_then(|path| path.file_name()) {
        options += &format!(" --data {}", name.display());
    }
    if args.seed != 1 {
        options += &format!(" --seed {}", args.seed);
    }
    if let Some(seed) = args.again {
        options += &format!(" --again {seed}");
    }
    if let Some(board) = setting.board {
        options += &format!(" --board {}", board.name);
    }
    let data = setting.data;
    format!(
        "Measured by `kinglet study {}{options}` on {} ({} images to train on, {} held out).\n",
        study.name,
        data.name,
        data.train.len(),
        data.test.len()
    )
}

const fn held(finding: &Finding) -> &'static str {
    if finding.held { "The claim held." } else { "The claim did not hold." }
}

/// Writes a study's files; the text of its section, with `more` behind the verdict.
fn write(folder: &Path, study: &Study, finding: &Finding, more: &str) -> Result<String> {
    let Study { name, claim, .. } = study;
    let mut text = format!("\n> {claim}\n\n**{}** {}\n{more}", held(finding), finding.verdict);
    for (picture, svg) in &finding.pictures {
        let file = format!("{picture}.svg");
        files::save(&folder.join(&file), svg)?;
        write!(text, "\n![{name}: {picture}]({FOLDER}/{file})\n")?;
    }
    for (index, (table, rows)) in finding.tables.iter().enumerate() {
        let file = format!("{name}-{table}.csv");
        files::save(&folder.join(&file), rows.to_csv())?;
        if index == 0 {
            write!(text, "\n{}", rows.to_markdown())?;
        }
        write!(text, "\n[{file}]({FOLDER}/{file})\n")?;
    }
    for (name, bytes) in &finding.models {
        files::save(&folder.join(format!("{name}.kgl")), bytes)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_taken_apart_as_it_is_put_together() {
        let page = format!("{TITLE}\n\n## depth\n\n> A claim.\n\n## blocks\n\n> Another one.\n");
        let found = sections(&page);
        let all: String = found.iter().map(|(name, text)| format!("\n## {name}\n{text}")).collect();
        assert_eq!((found.len(), format!("{TITLE}\n{all}")), (2, page));
    }
}
