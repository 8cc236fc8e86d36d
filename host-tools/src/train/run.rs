//! The run folder: recipe, weights, metrics, checkpoint. Every file is replaced as a whole.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::curves;
use super::optimizer::Memory;
use super::{Epoch, Recipe, TrainError, Trained, Trainer, Untuned, history};
use crate::data::Dataset;
use crate::files;
use crate::graph;

/// A folder that a training writes to and can be resumed from.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

/// The files that make a folder one with a run.
const RUN: [&str; 2] = ["checkpoint.safetensors", "weights.safetensors"];

/// Prefix of the averaged weights in a checkpoint.
const AVERAGE: &str = "average/";

/// What the names of the weights after the best epoch begin with.
const BEST: &str = "best/";

/// Prefix of the weights before quantization-aware training in a checkpoint, and in its metadata their accuracy in int8.
const UNTUNED: &str = "untuned/";

/// How many epochs were in float, in the metadata of a checkpoint of quantization-aware training.
const FLOAT_EPOCHS: &str = "float_epochs";

/// The fingerprint of the teacher, in the metadata of a checkpoint.
const TEACHER: &str = "teacher";

impl RunFolder {
    /// The folder; it is created when something is written.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Whether there is a run in it, finished or not.
    pub fn is_taken(&self) -> bool {
        RUN.iter().any(|name| self.file(name).exists())
    }

    /// Keeps other trainings away from the folder until the result is dropped, where folders can be locked.
    ///
    /// # Errors
    /// When another one writes to it, or it cannot be made.
    pub fn claim(&self) -> Result<Option<File>, TrainError> {
        let failed = |reason: String| TrainError::File { path: self.path.clone(), reason };
        std::fs::create_dir_all(&self.path).map_err(|e| failed(e.to_string()))?;
        let folder = File::open(&self.path).ok();
        match folder.as_ref().map(File::try_lock) {
            Some(Err(TryLockError::WouldBlock)) => Err(failed("another training writes to this folder".to_string())),
            _ => Ok(folder),
        }
    }

    /// Removes the run that is in it: what another one writes must not be taken for a part of it.
    ///
    /// # Errors
    /// Those of the file system, with the file's name.
    pub fn clear(&self) -> Result<(), TrainError> {
        RUN.iter().map(|name| self.file(name)).filter(|path| path.exists()).try_for_each(|path| {
            std::fs::remove_file(&path).map_err(|e| TrainError::File { path, reason: e.to_string() })
        })
    }

    /// Writes `checkpoint.safetensors`, `recipe.toml`, `metrics.csv` and `curves.svg`; gives the checkpoint's path.
    pub(super) fn save(&self, trainer: &mut Trainer<'_>) -> Result<PathBuf, TrainError> {
        let mut params = trainer.net.params();
        trainer.memory.save(trainer.net.slots(), &mut params);
        let average = trainer.average.as_ref().map(|average| (AVERAGE, average));
        let best = trainer.best.as_ref().map(|best| (BEST, best));
        let untuned = trainer.untuned.as_ref().map(|untuned| (UNTUNED, &untuned.params));
        for (prefix, kept) in [average, best, untuned].into_iter().flatten() {
            kept.iter().for_each(|(name, array)| params.insert(format!("{prefix}{name}"), array.clone()));
        }
        let path = self.file("checkpoint.safetensors");
        let fields = [
            ("format", "kinglet-checkpoint-1".to_string()),
            ("epochs", trainer.history.len().to_string()),
            ("recipe", recipe_text(&trainer.recipe)?),
            ("data", format!("{:016x}", trainer.data.fingerprint())),
            ("metrics", history::to_csv(&trainer.history)),
        ];
        let tuning = trainer.float_epochs.map(|epochs| (FLOAT_EPOCHS, epochs.to_string()));
        let teacher = trainer.teacher.as_ref().map(|teacher| (TEACHER, format!("{:016x}", teacher.fingerprint)));
        let untuned = trainer.untuned.as_ref().map(|untuned| (UNTUNED, untuned.accuracy.to_string()));
        let metadata = fields
            .into_iter()
            .chain(tuning)
            .chain(teacher)
            .chain(untuned)
            .map(|(key, value)| (key.to_string(), value))
            .collect();
        // First, so that a checkpoint never stands there without the recipe that it is resumed by.
        self.write("recipe.toml", recipe_text(&trainer.recipe)?.as_bytes())?;
        graph::write(&path, &params, metadata)?;
        self.write_history(&trainer.history)?;
        Ok(path)
    }

    /// Writes `recipe.toml`, `metrics.csv`, `curves.svg` and `weights.safetensors`.
    ///
    /// # Errors
    /// Those of the file system, with the file's name.
    pub fn finish(&self, trained: &Trained) -> Result<PathBuf, TrainError> {
        self.write("recipe.toml", recipe_text(&trained.recipe)?.as_bytes())?;
        self.write_history(&trained.history)?;
        let path = self.file("weights.safetensors");
        graph::save(&path, &trained.model())?;
        Ok(path)
    }

    fn write_history(&self, history: &[Epoch]) -> Result<(), TrainError> {
        self.write("metrics.csv", history::to_csv(history).as_bytes())?;
        self.draw("curves.svg", curves::to_svg(history))
    }

    pub(super) fn draw(&self, name: &str, picture: anyhow::Result<String>) -> Result<(), TrainError> {
        let picture = picture.map_err(|e| TrainError::File { path: self.file(name), reason: e.to_string() })?;
        self.write(name, picture.as_bytes())
    }

    /// The recipe that this folder's training follows.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn recipe(&self) -> Result<Recipe, TrainError> {
        recipe_from(&self.file("recipe.toml"))
    }

    /// What happened in each epoch.
    ///
    /// # Errors
    /// When `metrics.csv` cannot be read.
    pub fn history(&self) -> Result<Vec<Epoch>, TrainError> {
        let path = self.file("metrics.csv");
        let bad = |reason: String| TrainError::File { path: path.clone(), reason };
        let text = files::read_text(&path).map_err(|e| bad(format!("{:#}", e.root_cause())))?;
        history::from_csv(&text).map_err(|line| bad(format!("line {line}")))
    }

    /// The training as it stood at the last checkpoint; it goes on as if it had never stopped.
    ///
    /// # Errors
    /// When there is no checkpoint, or it belongs to other data or another recipe.
    pub fn resume<'d>(&self, data: &'d Dataset) -> Result<Trainer<'d>, TrainError> {
        let path = self.file("checkpoint.safetensors");
        let (params, metadata) = graph::read(&path)?;
        let bad = |reason: String| TrainError::File { path: path.clone(), reason };
        let field = |key: &str| metadata.get(key).ok_or_else(|| bad(format!("no `{key}` in the metadata")));
        if field("data")? != &format!("{:016x}", data.fingerprint()) {
            return Err(bad(format!("it was trained on other data than `{}` holds now", data.name)));
        }
        let recipe: Recipe = toml::from_str(field("recipe")?).map_err(|e| bad(e.to_string()))?;
        let mut trainer = Trainer::new(&recipe, data)?;
        if let Some(teacher) = &trainer.teacher
            && field(TEACHER)? != &format!("{:016x}", teacher.fingerprint)
        {
            return Err(bad("the teacher is another one than it learned from".to_string()));
        }
        trainer.history = history::from_csv(field("metrics")?).map_err(|line| bad(format!("metrics, line {line}")))?;
        if let Some(epochs) = metadata.get(FLOAT_EPOCHS) {
            let epochs: usize = epochs.parse().map_err(|_| bad(format!("`{FLOAT_EPOCHS}` is no number")))?;
            trainer.tune_from(&params, epochs.min(trainer.history.len()))?;
            let accuracy = field(UNTUNED)?.parse().map_err(|_| bad(format!("`{UNTUNED}` is no number")))?;
            let params = params.under(UNTUNED);
            params.check(trainer.graph())?;
            trainer.untuned = Some(Untuned { params, accuracy, is_kept: false });
        } else {
            trainer.net.load(&params)?;
        }
        let steps = trainer.steps_done();
        trainer.memory = Memory::load(trainer.net.slots(), &params, steps)?;
        if trainer.average.is_some() {
            let average = params.under(AVERAGE);
            average.check(trainer.graph())?;
            trainer.average = Some(average);
        }
        let best = params.under(BEST);
        if !best.is_empty() {
            best.check(trainer.graph())?;
            trainer.best = Some(best);
        }
        Ok(trainer)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), TrainError> {
        let path = self.file(name);
        files::write(&path, bytes).map_err(|e| TrainError::File { path, reason: e.to_string() })
    }
}

/// Reads a recipe.
///
/// # Errors
/// Names the file, and the line that is wrong.
pub fn recipe_from(path: &Path) -> Result<Recipe, TrainError> {
    let bad = |reason: String| TrainError::File { path: path.to_path_buf(), reason };
    let text = files::read_text(path).map_err(|e| bad(format!("{:#}", e.root_cause())))?;
    toml::from_str(&text).map_err(|e| bad(e.to_string()))
}

fn recipe_text(recipe: &Recipe) -> Result<String, TrainError> {
    toml::to_string(recipe).map_err(|e| TrainError::Recipe(e.to_string()))
}
