//! A firmware project around a model: a folder of its own that builds as it is.

pub mod boards;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use kinglet::{DType, Model};

use crate::boards::{Board, Fit, STACK};
use crate::files;
use crate::report::table::grouped;
use crate::sources;

/// Where the project has the runtime from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// A copy in the project, of what travels inside this tool.
    Vendored,
    /// A published crate of this version.
    Version(String),
    /// A repository.
    Git(String),
    /// A checkout.
    Path(PathBuf),
}

/// How the project's tasks share the core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Template {
    /// One program, nothing beside it.
    #[default]
    Bare,
    /// Tasks of embassy-executor, which have their turns after every row of the network.
    Embassy,
    /// Tasks of RTIC, which interrupt each other by priority.
    Rtic,
}

/// The runtime's folder in a project that has a copy.
const VENDORED: &str = "kinglet";

/// What to make.
#[derive(Debug)]
pub struct Project<'p> {
    /// The folder; it is made, and must be empty if it is there.
    pub folder: &'p Path,
    /// The package's name; the folder's unless given.
    pub name: Option<&'p str>,
    /// The board.
    pub board: &'p Board,
    /// The program.
    pub template: Template,
    /// The model file.
    pub model: &'p Path,
    /// Where the runtime comes from.
    pub runtime: Runtime,
}

impl Project<'_> {
    /// Makes the folder, whole or not at all.
    ///
    /// # Errors
    /// When the model is broken or does not fit the board, the name is no package's, the checkout is none, or the folder
    /// is there and not empty.
    pub fn create(&self) -> Result<()> {
        ensure!(
            self.template != Template::Rtic || self.board.rtic.is_some(),
            "the template for RTIC needs the chip's own crate, which {} has not here; bare and embassy need none",
            self.board.name
        );
        let bytes = files::read(self.model)?;
        let model = Model::new(&bytes).map_err(|error| anyhow::anyhow!("`{}`: {error}", self.model.display()))?;
        let fit = self.board.fit(bytes.len(), model.arena_len())?;
        let name = self.name()?;
        let file = self.model.file_name().and_then(|name| name.to_str()).unwrap_or("model.kgl");
        ensure!(
            file.chars().all(|c| !"\"\\{}".contains(c) && !c.is_control()),
            "`{}`: a file name with quotes, backslashes or braces; rename it",
            self.model.display()
        );
        check_free(self.folder)?;

        let parent = self.folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let cannot = || format!("cannot make `{}`", self.folder.display());
        fs::create_dir_all(parent).with_context(cannot)?;
        let place = tempfile::Builder::new().prefix(".kinglet-new-").tempdir_in(parent).with_context(cannot)?;
        // Within the temporary folder, which is its owner's alone: the project is as readable as any other folder.
        let project = place.path().join("project");
        let values = self.values(&name, file, &model, bytes.len(), &fit)?;
        for (path, template) in self.texts() {
            files::save(&project.join(path), fill(template, &values)?)?;
        }
        files::save(&project.join(file), &bytes)?;
        files::save(&project.join("image.bin"), image(&model))?;
        if self.runtime == Runtime::Vendored {
            sources::write_runtime(&project.join(VENDORED))?;
        }
        if self.folder.exists() {
            fs::remove_dir(self.folder).with_context(cannot)?;
        }
        fs::rename(&project, self.folder).with_context(cannot)
    }

    /// The files that are made of templates.
    fn texts(&self) -> [(&'static str, &'static str); 10] {
        let program = match self.template {
            Template::Bare => include_str!("../../templates/firmware/bare.rs"),
            Template::Embassy => include_str!("../../templates/firmware/embassy.rs"),
            Template::Rtic => include_str!("../../templates/firmware/rtic.rs"),
        };
        [
            // A folder with a file of its name would not travel in the package.
            ("Cargo.toml", include_str!("../../templates/firmware/manifest.toml")),
            (".cargo/config.toml", include_str!("../../templates/firmware/config.toml")),
            (".gitignore", include_str!("../../templates/firmware/gitignore")),
            ("README.md", include_str!("../../templates/firmware/README.md")),
            ("build.rs", include_str!("../../templates/firmware/build.rs")),
            ("memory.x", include_str!("../../templates/firmware/memory.x")),
            ("src/main.rs", program),
            ("src/board.rs", boards::source(self.board)),
            ("src/cycles.rs", include_str!("../../templates/firmware/cycles.rs")),
            ("src/fault.rs", include_str!("../../templates/firmware/fault.rs")),
        ]
    }

    /// The package's name.
    fn name(&self) -> Result<String> {
        let folder = std::path::absolute(self.folder)?;
        let name = match self.name {
            Some(name) => name,
            None => folder.file_name().and_then(|name| name.to_str()).unwrap_or_default(),
        };
        let starts_well = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
        let good = starts_well && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        ensure!(
            good && !["test", "core", "std", "alloc", "kinglet"].contains(&name),
            "`{name}` cannot be a package's name: give another by --name, of letters, digits, - and _, a letter first"
        );
        Ok(name.to_owned())
    }

    /// What the runtime's dependency says.
    fn dependency(&self) -> Result<String> {
        let source = match &self.runtime {
            Runtime::Vendored => format!("path = {VENDORED:?}"),
            Runtime::Version(version) => format!("version = {}", toml::Value::from(version.as_str())),
            Runtime::Git(url) => format!("git = {}", toml::Value::from(url.as_str())),
            Runtime::Path(path) => {
                let manifest = path.join("Cargo.toml");
                let text =
                    fs::read_to_string(&manifest).with_context(|| format!("cannot read `{}`", manifest.display()))?;
                let package = toml::from_str::<toml::Table>(&text)
                    .with_context(|| format!("`{}`", manifest.display()))?
                    .get("package")
                    .and_then(|package| package.get("name")?.as_str().map(str::to_owned));
                if package.as_deref() != Some("kinglet") {
                    bail!("`{}` is no checkout of Kinglet: its package is not `kinglet`", path.display());
                }
                let path = path.canonicalize()?;
                let path = path.to_str().with_context(|| format!("`{}` is not UTF-8", path.display()))?;
                format!("path = {}", toml::Value::from(path))
            }
        };
        // On the desk logs are defmt's, and errors print themselves there.
        Ok(if self.board.chip.is_some() { format!("{source}, features = [\"defmt\"]") } else { source })
    }

    /// The crates that the template needs beside the board's.
    fn template_dependencies(&self) -> String {
        match (self.template, &self.board.rtic) {
            (Template::Embassy, _) => {
                "\nembassy-executor = { version = \"0.10.0\", features = [\"platform-cortex-m\", \
                                       \"executor-thread\"] }\nembassy-futures = \"0.1.2\""
                    .to_owned()
            }
            (Template::Rtic, Some(rtic)) => {
                format!("\nrtic = {{ version = \"2.4.0\", features = [{:?}] }}", rtic.backend)
            }
            _ => String::new(),
        }
    }

    fn values(
        &self,
        name: &str,
        file: &str,
        model: &Model<'_>,
        file_len: usize,
        fit: &Fit<'_>,
    ) -> Result<Vec<(&'static str, String)>> {
        let (board, ram, stack) = (self.board, fit.ram, stack_bytes(fit));
        let shape = model.input().shape;
        let pixels = takes_pixels(model);
        let quoted = |words: &[&str]| words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
        let mut link = vec!["--nmagic", "-Tlink.x"];
        let (runner, environment, tools) = match board.chip {
            Some(chip) => {
                link.push("-Tdefmt.x");
                let tools = "    cargo install probe-rs-tools --locked    # once: flashes, and shows the logs\n";
                (format!("probe-rs run --chip {chip}"), "\n[env]\nDEFMT_LOG = \"info\"", tools)
            }
            None => (
                format!(
                    "qemu-system-arm -M {} -display none -monitor none -serial null -semihosting-config enable=on,target=native -kernel",
                    board.name
                ),
                "",
                "    apt-get install qemu-system-arm    # once\n",
            ),
        };
        // The target is for cores without the DSP extension too, which all of these have.
        let cpu = board.cpu.or(board.target.starts_with("thumbv8m.main").then_some("cortex-m33"));
        let image_len = if pixels { shape.len() } else { model.input().span() };
        let what = if pixels { "pixels, a byte each" } else { "quantized elements" };
        Ok(vec![
            ("name", name.to_owned()),
            ("title", board.title.to_owned()),
            ("model", if model.name().is_empty() { file.to_owned() } else { model.name().to_owned() }),
            ("file", file.to_owned()),
            ("kinglet", self.dependency()?),
            ("dependencies", board.dependencies.unwrap_or_default().trim_end().to_owned()),
            ("template_dependencies", self.template_dependencies()),
            ("rtic_device", board.rtic.as_ref().map_or("", |rtic| rtic.device).to_owned()),
            ("rtic_dispatcher", board.rtic.as_ref().map_or("", |rtic| rtic.dispatcher).to_owned()),
            ("target", board.target.to_owned()),
            ("rustflags", cpu.map_or(String::new(), |cpu| format!("\"-Ctarget-cpu={cpu}\""))),
            ("runner", runner),
            ("environment", environment.to_owned()),
            ("link_arguments", quoted(&link)),
            (
                "image_doc",
                format!("An image, {} x {} x {} {what}: what a camera would see.", shape.h, shape.w, shape.c),
            ),
            ("image_len", image_len.to_string()),
            ("input", if pixels { "Pixels" } else { "Raw" }.to_owned()),
            ("input", format!("{} x {} x {} {what}", shape.h, shape.w, shape.c)),
            ("tools", tools.to_owned()),
            ("model_flash", grouped(file_len as u64)),
            ("model_ram", grouped(model.arena_len() as u64)),
            ("board_flash", grouped(board.flash.bytes().into())),
            ("board_ram", grouped(ram.bytes().into())),
            ("ram_name", ram.name.to_owned()),
            ("code", grouped(board.code_bytes().into())),
            ("stack", grouped(stack.into())),
            ("flash_at", format!("{:#010x}", board.flash.at)),
            ("flash_len", size(board.flash.bytes())),
            ("ram_at", format!("{:#010x}", ram.at)),
            ("stack_len", size(stack)),
            ("statics_at", format!("{:#010x}", ram.at + stack)),
            ("statics_len", size(ram.bytes() - stack)),
            ("sections", board.sections.to_owned()),
        ])
    }
}

/// Whether the model says how pixels become elements, or takes bytes as they are.
fn takes_pixels(model: &Model<'_>) -> bool {
    model.pixels().is_some() || model.input().dtype == DType::I8
}

/// A gradient: from dark to light across and down. Of elements that are no pixels, zeros.
fn image(model: &Model<'_>) -> Vec<u8> {
    let shape = model.input().shape;
    if !takes_pixels(model) {
        return vec![0; model.input().span() as usize];
    }
    let (h, w) = (u64::from(shape.h), u64::from(shape.w));
    let value = |y: u64, x: u64| ((y * w + x * h) * 255 / (2 * h * w)) as u8;
    let pixels = (0..h).flat_map(|y| (0..w).map(move |x| value(y, x)));
    pixels.flat_map(|value| std::iter::repeat_n(value, shape.c as usize)).collect()
}

/// Bytes of stack: what an inference takes, and half of what the model leaves, for code that is built without optimization; no more than
/// that needs. The rest of RAM is for statics.
fn stack_bytes(fit: &Fit<'_>) -> u32 {
    const STATICS: u32 = 2048;
    (STACK - STATICS + fit.ram_left / 2).min(32 * 1024).next_multiple_of(8)
}

/// A size as linker scripts have it.
fn size(bytes: u32) -> String {
    if bytes.is_multiple_of(1024) { format!("{}K", bytes / 1024) } else { bytes.to_string() }
}

/// Whether the folder can become the project.
fn check_free(folder: &Path) -> Result<()> {
    if !folder.exists() && !folder.is_symlink() {
        return Ok(());
    }
    ensure!(folder.is_dir(), "`{}` exists and is no folder", folder.display());
    let mut entries = fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
    ensure!(entries.next().is_none(), "`{}` is not empty: nothing was written", folder.display());
    Ok(())
}

/// The template with a value in place of each `{{name}}`.
fn fill(template: &str, values: &[(&str, String)]) -> Result<String> {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").context("a template has an open {{")?;
        let value = values.iter().find(|(known, _)| *known == name);
        let (_, value) = value.with_context(|| format!("a template has an unknown {{{{{name}}}}}"))?;
        text.push_str(before);
        text.push_str(value);
        rest = after;
    }
    text.push_str(rest);
    // What a board has not leaves empty lines at the end.
    Ok(text.trim_end().to_owned() + "\n")
}
