//! What it costs the compiler to check a model that is built in.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{command, repo};

/// The most seconds of processor time for a shipped model.
const LIMIT: f64 = 5.0;

/// Compiles a program around each shipped model, and tells the processor time beyond that of one without a model.
///
/// # Errors
/// When one takes more than [`LIMIT`].
pub fn run() -> Result<()> {
    let folder = repo::root().join("target/const-eval");
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&folder))?;
        fs::write(&path, text).with_context(|| path.display().to_string())
    };
    let manifest = "[package]\nname = \"const-eval\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n";
    write("Cargo.toml", &format!("{manifest}\n[dependencies]\nkinglet = {{ path = {:?} }}\n", repo::root()))?;
    let compile = |main: &str| -> Result<f64> {
        write("src/main.rs", main)?;
        let before = children()?;
        command::run(command::cargo().args(["build", "--quiet"]).current_dir(&folder))?;
        Ok(children()? - before)
    };
    compile("fn main() {}")?;
    let without = compile("fn main() { }")?;
    let mut slowest: f64 = 0.0;
    for model in shipped()? {
        // The arena's length depends on the model, which the compiler has to check for it.
        let main = format!(
            "kinglet::model!(Net = {model:?});\nstatic ARENA: kinglet::Arena<Net> = kinglet::Arena::new();\n\
             fn main() {{\n    ARENA.take();\n}}\n"
        );
        let took = compile(&main)? - without;
        println!("{took:6.2} s  {}", model.display());
        slowest = slowest.max(took);
    }
    ensure!(slowest < LIMIT, "a shipped model takes {slowest:.2} s of the compiler; the most is {LIMIT} s");
    Ok(())
}

/// The model files under `models/`.
fn shipped() -> Result<Vec<PathBuf>> {
    let mut models = Vec::new();
    for folder in fs::read_dir(repo::root().join("models"))? {
        let folder = folder?.path();
        let model = |name: &Path| folder.join(name).with_extension("kgl");
        models.extend(folder.file_name().map(|name| model(Path::new(name))).filter(|path| path.exists()));
    }
    models.sort();
    Ok(models)
}

/// Seconds of processor time of all programs that have run under this one and ended.
fn children() -> Result<f64> {
    let about = fs::read_to_string("/proc/self/stat").context("processor time is told by Linux")?;
    let fields = about.rsplit(')').next().unwrap_or_default().split_whitespace();
    // In hundredths: the fields behind the name and the state of the process, of the children that were waited for.
    let ticks = fields.skip(13).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / 100.0)
}
