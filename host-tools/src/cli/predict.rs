//! `kinglet predict`: what a model takes pictures for.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use indicatif::ProgressBar;
use kinglet::kernels::Active;
use kinglet::{Model, Pixels, Prediction};
use rayon::prelude::*;
use serde::Serialize;

use super::options::json::Json;
use super::options::shipped;
use crate::data::DataError;
use crate::data::picture::{self, Fit};
use crate::progress::styled;
use crate::report::answers::{self, Answer};
use crate::report::table::Table;
use crate::{files, simulate, train};

/// The most pictures that are drawn.
const DRAWN: usize = 6;

/// Options of `kinglet predict`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pictures (PNG or JPEG), and folders of them; in folders that are called like classes they count as right or wrong.
    #[arg(required = true, value_name = "PICTURE")]
    pictures: Vec<PathBuf>,
    /// The model file (.kgl), or a model that comes with Kinglet, like cifar10-resnet8.
    #[arg(short, long, value_name = "FILE", value_parser = shipped::model)]
    model: PathBuf,
    /// How many classes are shown of each picture, the likeliest first.
    #[arg(long, value_name = "N", default_value_t = 3)]
    top: usize,
    /// How pictures of another form than the model's are resized.
    #[arg(long, value_enum, default_value_t)]
    fit: Fit,
    /// Leave out files that are no pictures, instead of stopping at the first one.
    #[arg(long)]
    skip_bad: bool,
    /// Writes the pictures that are wrong by the most side by side, row by row from the top (.png).
    #[arg(long, value_name = "FILE")]
    worst: Option<PathBuf>,
    /// Draws the first pictures as the model sees them, with the likeliest classes as bars (.svg).
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
}

/// What is printed as JSON.
#[derive(Debug, Serialize)]
struct Predictions {
    /// The model's name.
    model: String,
    pictures: Vec<Seen>,
    /// Pictures that lie in folders called like classes.
    labelled: usize,
    /// Those of them that the model is right about, and does not call unknown.
    right: usize,
    /// Those of them that the model calls unknown: their probability is below its threshold.
    unknown: usize,
}

/// What the model says of a picture.
#[derive(Debug, Serialize)]
struct Seen {
    file: PathBuf,
    /// The class that its folder is called like.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// The classes, the likeliest first.
    classes: Vec<Class>,
    #[serde(skip)]
    pixels: Vec<u8>,
}

#[derive(Debug, Serialize)]
struct Class {
    index: usize,
    /// Its name; its number in a model without names.
    name: String,
    probability: f32,
    score: f32,
    /// Whether the probability reaches the model's threshold.
    known: bool,
}

impl Class {
    fn of(prediction: Prediction<'_>) -> Self {
        let Prediction { class: index, label, score, probability, known } = prediction;
        Self { index, name: label.map_or_else(|| index.to_string(), str::to_owned), probability, score, known }
    }
}

impl Seen {
    /// Whether the likeliest class is the label, if there is one.
    fn is_right(&self) -> Option<bool> {
        let (label, best) = (self.label.as_ref()?, self.classes.first()?);
        Some(best.name == *label)
    }

    /// Whether the likeliest class reaches the model's threshold.
    fn is_known(&self) -> bool {
        self.classes.first().is_some_and(|best| best.known)
    }

    /// How much likelier the wrong class is than the label's; 0 of what is right.
    fn error(&self) -> f32 {
        let own = self.classes.iter().find(|class| Some(&class.name) == self.label.as_ref());
        self.classes.first().map_or(0.0, |best| best.probability - own.map_or(best.probability, |own| own.probability))
    }
}

/// Prints what the model takes each picture for, and how many are right where that is known.
///
/// # Errors
/// Names the file that is no picture or no model, and a model that takes no pictures.
pub fn run(args: &Args) -> Result<ExitCode> {
    let bytes = files::read(&args.model)?;
    let model = super::open_model(&args.model, &bytes)?;
    let pictures = see(args, &model)?;
    let labelled: Vec<&Seen> = pictures.iter().filter(|seen| seen.label.is_some()).collect();
    let count = |what: &dyn Fn(&Seen) -> bool| labelled.iter().filter(|seen| what(seen)).count();
    let (unknown, right) =
        (count(&|seen| !seen.is_known()), count(&|seen| seen.is_known() && seen.is_right() == Some(true)));
    let labelled = labelled.len();
    if let Some(path) = &args.worst {
        ensure!(labelled > 0, "--worst needs pictures in folders that are called like the model's classes");
        files::save(path, worst(&model, &pictures)?)?;
    }
    if let Some(path) = &args.plot {
        files::save(path, drawn(&model, &pictures, args.top)?)?;
    }
    if args.json.is_asked() {
        args.json.print(&Predictions { model: model.name().to_owned(), pictures, labelled, right, unknown })?;
        return Ok(ExitCode::SUCCESS);
    }
    print!("{}", table(&pictures, args.top));
    if labelled > 0 {
        let answered = labelled - unknown;
        let percent = 100.0 * right as f64 / answered.max(1) as f64;
        match unknown {
            0 => println!("{right} of {labelled} are right, {percent:.2} %"),
            _ => {
                println!("{right} of {answered} answers are right, {percent:.2} %; {unknown} of {labelled} are unknown")
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What the model says of all pictures, in their order.
fn see(args: &Args, model: &Model<'_>) -> Result<Vec<Seen>> {
    let mut paths = Vec::new();
    for path in &args.pictures {
        if path.is_dir() {
            let found = picture::pictures_under(path)?;
            ensure!(!found.is_empty(), "`{}` has no PNG or JPEG pictures", path.display());
            paths.extend(found);
        } else {
            paths.push(path.clone());
        }
    }
    let input = model.input().shape;
    let takes = || format!("{} takes {} x {} x {}", args.model.display(), input.h, input.w, input.c);
    ensure!([1, 3].contains(&input.c), "{}: pictures have 1 or 3 channels; kinglet simulate takes arrays", takes());
    let bar =
        styled(ProgressBar::new(paths.len() as u64), "{bar:30} {pos} of {len} pictures | {per_sec} | ready in {eta}");
    let seen = simulate::each::<Active, _, _>(*model, paths.par_iter(), |session, path| {
        let opened = picture::open(path);
        bar.inc(1);
        let pixels = match opened {
            Ok(picture) => picture::pixels(&picture, [input.h, input.w], input.c == 1, args.fit),
            Err(error) => return Ok(Err(error)),
        };
        let output = session.infer(Pixels(&pixels)).with_context(takes)?;
        let mut classes: Vec<Class> = output.predictions().map(Class::of).collect();
        classes.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok::<Result<Seen, DataError>, _>(Ok(Seen { file: path.clone(), label: label(path, &classes), classes, pixels }))
    })?;
    bar.finish_and_clear();
    let mut kept = Vec::new();
    for (path, seen) in paths.iter().zip(seen) {
        match seen {
            Ok(seen) => kept.push(seen),
            Err(error) if !path.exists() => return Err(error.into()),
            Err(error) if args.skip_bad => eprintln!("{error}: left out"),
            Err(error) => bail!("{error}; --skip-bad leaves out what is no picture"),
        }
    }
    Ok(kept)
}

/// The class that the picture's folder is called like.
fn label(path: &Path, classes: &[Class]) -> Option<String> {
    let folder = path.parent()?.file_name()?.to_str()?;
    classes.iter().find(|class| class.name == folder).map(|class| class.name.clone())
}

/// The first pictures with their likeliest classes.
fn drawn(model: &Model<'_>, pictures: &[Seen], top: usize) -> Result<String> {
    let mut answers = Vec::new();
    for seen in pictures.iter().take(DRAWN) {
        let classes = seen.classes.iter().take(top).map(|class| (class.name.as_str(), class.probability));
        answers.push(Answer { pixels: &seen.pixels, classes: classes.collect() });
    }
    Ok(answers::to_svg(shape(model), &answers)?)
}

/// `[h, w, c]` of the model's input.
fn shape(model: &Model<'_>) -> [usize; 3] {
    let shape = model.input().shape;
    [shape.h, shape.w, shape.c].map(|extent| extent as usize)
}

/// The sheet of the worst mistakes.
fn worst(model: &Model<'_>, pictures: &[Seen]) -> Result<Vec<u8>> {
    let mut wrong: Vec<&Seen> = pictures.iter().filter(|seen| seen.is_right() == Some(false)).collect();
    wrong.sort_by(|a, b| b.error().total_cmp(&a.error()));
    Ok(train::sheet(shape(model), wrong.into_iter().map(|seen| seen.pixels.clone()))?)
}

/// A row for each picture.
fn table(pictures: &[Seen], top: usize) -> Table {
    let mut table = Table::new(["picture", "", "classes"]);
    for seen in pictures {
        let mark = match seen.is_right() {
            _ if !seen.is_known() => "unknown",
            Some(true) => "right",
            Some(false) => "wrong",
            None => "",
        };
        let class = |class: &Class| format!("{} {:.1} %", class.name, 100.0 * class.probability);
        let classes: Vec<String> = seen.classes.iter().take(top).map(class).collect();
        table.row([seen.file.display().to_string(), mark.to_owned(), classes.join(", ")]);
    }
    table
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::data::Dataset;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    /// The arguments, with the digits' model.
    fn args(words: &[&str]) -> Args {
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/digits-resnet/digits-resnet.kgl");
        Line::try_parse_from(["predict", "--model", model].iter().chain(words)).unwrap().args
    }

    fn seen(args: &Args) -> Result<Vec<Seen>> {
        let bytes = files::read(&args.model)?;
        see(args, &Model::new(&bytes).unwrap())
    }

    /// Held-out digits as PNG files in folders of their classes, scaled up, one of them in a wrong folder.
    fn digits(place: &Path, count: usize) {
        let data = Dataset::digits().unwrap();
        for image in 0..count {
            let label = if image == 0 { (data.test.labels[0] + 1) % 10 } else { data.test.labels[image] };
            let folder = place.join(label.to_string());
            std::fs::create_dir_all(&folder).unwrap();
            let picture = image::GrayImage::from_raw(8, 8, data.test.image(image).to_vec()).unwrap();
            let picture = image::imageops::resize(&picture, 16, 16, image::imageops::FilterType::Nearest);
            picture.save(folder.join(format!("{image}.png"))).unwrap();
        }
    }

    #[test]
    fn folders_of_pictures_are_judged() {
        let place = tempfile::tempdir().unwrap();
        digits(place.path(), 40);
        let args = args(&[place.path().to_str().unwrap()]);
        let found = seen(&args).unwrap();
        let right = found.iter().filter(|seen| seen.is_right() == Some(true)).count();
        assert_eq!((found.len(), right), (40, 39));
        let misplaced = found.iter().find(|seen| seen.file.ends_with("0.png")).unwrap();
        assert!(misplaced.error() > 0.5);
        assert!((misplaced.classes.iter().map(|class| class.probability).sum::<f32>() - 1.0).abs() < 1e-3);
        assert!(misplaced.classes.is_sorted_by(|a, b| a.probability >= b.probability));
        let line = table(&found, 2).to_string();
        let line = line.lines().find(|line| line.contains("wrong")).unwrap().to_owned();
        assert!(line.contains("/0.png") && line.matches('%').count() == 2, "{line}");
        // The sheet begins with the misplaced digit.
        let bytes = files::read(&args.model).unwrap();
        let sheet = worst(&Model::new(&bytes).unwrap(), &found).unwrap();
        let sheet = picture::decode(&sheet).unwrap().into_luma8();
        assert_eq!(sheet.get_pixel(3, 3).0[0], misplaced.pixels[3 * 8 + 3]);
    }

    #[test]
    fn what_is_no_picture_is_named_or_left_out() {
        let place = tempfile::tempdir().unwrap();
        digits(place.path(), 2);
        std::fs::write(place.path().join("broken.jpg"), b"no picture").unwrap();
        let folder = place.path().to_str().unwrap();
        let error = format!("{:#}", seen(&args(&[folder])).unwrap_err());
        assert!(error.ends_with("--skip-bad leaves out what is no picture") && error.contains("broken.jpg"), "{error}");
        assert_eq!(seen(&args(&[folder, "--skip-bad"])).unwrap().len(), 2);
        assert_eq!(seen(&args(&[folder, "--skip-bad"])).unwrap()[0].label.as_deref().map(str::len), Some(1));
        // What is not there is no broken picture.
        let error = seen(&args(&["nothing.png", "--skip-bad"])).unwrap_err().to_string();
        assert!(error.starts_with("`nothing.png`: No such file"), "{error}");
        let empty = tempfile::tempdir().unwrap();
        assert!(seen(&args(&[empty.path().to_str().unwrap()])).unwrap_err().to_string().contains("no PNG or JPEG"));
    }
}
