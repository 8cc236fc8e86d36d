//! `kinglet study`: why residual networks and Inception modules work, measured and drawn.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::data::Source;
use crate::device::Board;
use crate::files;
use crate::study::{Effort, Finding, STUDIES, Setting, Study};

/// Of tables and pictures, beside the page.
const FOLDER: &str = "studies";

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
    /// Where `STUDIES.md` and the folder `studies` with tables (CSV) and pictures (SVG) go.
    #[arg(short, long, value_name = "DIR", default_value = "target/kinglet")]
    out: PathBuf,
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
    let mut page = format!(
        "# Why residual networks and Inception modules work\n\nMeasured by `kinglet study{}{}{}{}` on {} ({} images to train on, {} held out).\n",
        if args.quick { " --quick" } else { "" },
        if args.seed == 1 { String::new() } else { format!(" --seed {}", args.seed) },
        args.again.map_or(String::new(), |seed| format!(" --again {seed}")),
        board.map_or(String::new(), |board| format!(" --board {}", board.name)),
        data.name,
        data.train.len(),
        data.test.len()
    );
    for study in chosen {
        let finding = study.run(&setting)?;
        println!("{}: {}\n{}\n{}\n", study.name, study.claim, held(&finding), finding.verdict);
        println!("{}", finding.tables[0].1);
        let mut again = String::new();
        if let Some(seed) = args.again {
            let finding = study.run(&Setting { seed, ..setting })?;
            again = format!("From seed {seed}: {} {}\n", held(&finding), finding.verdict);
            println!("{again}");
        }
        write(&args.out.join(FOLDER), &study, &finding, &again, &mut page)?;
    }
    files::save(&args.out.join("STUDIES.md"), &page)?;
    println!("{} shows it all", args.out.join("STUDIES.md").display());
    Ok(ExitCode::SUCCESS)
}

const fn held(finding: &Finding) -> &'static str {
    if finding.held { "The claim held." } else { "The claim did not hold." }
}

/// Writes a study's files and its section of the page.
fn write(folder: &Path, study: &Study, finding: &Finding, again: &str, page: &mut String) -> Result<()> {
    let Study { name, claim, .. } = study;
    write!(page, "\n## {name}\n\n> {claim}\n\n**{}** {}\n", held(finding), finding.verdict)?;
    if !again.is_empty() {
        write!(page, "\n{again}")?;
    }
    for (picture, svg) in &finding.pictures {
        let file = format!("{picture}.svg");
        files::save(&folder.join(&file), svg)?;
        write!(page, "\n![{name}: {picture}]({FOLDER}/{file})\n")?;
    }
    for (index, (table, rows)) in finding.tables.iter().enumerate() {
        let file = format!("{name}-{table}.csv");
        files::save(&folder.join(&file), rows.to_csv())?;
        if index == 0 {
            write!(page, "\n{}", rows.to_markdown())?;
        }
        write!(page, "\n[{file}]({FOLDER}/{file})\n")?;
    }
    for (name, bytes) in &finding.models {
        files::save(&folder.join(format!("{name}.kgl")), bytes)?;
    }
    Ok(())
}
