//! Building the firmware for a board with a model in it.

use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Board;
use super::elf::Elf;
use crate::sources;

/// The firmware's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// One digit: the program that the README shows.
    Hello,
    /// Predictions for a set of images.
    Infer,
    /// Every image's output, every byte, with measurements of the first.
    Eval,
    /// Instructions per layer.
    Profile,
    /// The operators against stored vectors, and the clock.
    Selftest,
    /// One inference, and nothing said: what it takes of flash beyond [`Program::Startup`] is the runtime.
    Bare,
    /// Start-up alone.
    Startup,
    /// Every kernel block against its definition, and the instructions of single kernels. Not for the smallest boards.
    Kernels,
    /// MLPerf Tiny's monitor. For boards with a serial line.
    Mlperf,
    /// Runs the model for a host over the serial line. For boards that have one.
    Serve,
    /// Runs whatever model a host sends over the serial line. For boards that have one, and memory for a model.
    Receive,
    /// As [`Program::Receive`], but the model is kept in flash, where it outlasts resets. For boards whose flash the firmware can write.
    Keep,
    /// Fails in a chosen way, for the tests of the fault handlers.
    Crash,
}

impl Program {
    /// Every program.
    pub const ALL: [Program; 13] = [
        Program::Hello,
        Program::Infer,
        Program::Eval,
        Program::Profile,
        Program::Selftest,
        Program::Bare,
        Program::Startup,
        Program::Kernels,
        Program::Mlperf,
        Program::Serve,
        Program::Receive,
        Program::Keep,
        Program::Crash,
    ];

    /// Whether a model is built in.
    #[must_use]
    pub const fn holds_a_model(self) -> bool {
        use Program::{Bare, Eval, Hello, Infer, Mlperf, Profile, Serve};
        matches!(self, Hello | Infer | Eval | Profile | Bare | Mlperf | Serve)
    }

    /// The binary's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Program::Hello => "hello",
            Program::Infer => "infer",
            Program::Eval => "eval",
            Program::Profile => "profile",
            Program::Selftest => "selftest",
            Program::Bare => "bare",
            Program::Startup => "startup",
            Program::Kernels => "kernels",
            Program::Mlperf => "mlperf",
            Program::Serve => "serve",
            Program::Receive => "receive",
            Program::Keep => "keep",
            Program::Crash => "crash",
        }
    }

    /// The program called `name`.
    ///
    /// # Errors
    /// When there is none; the message names those that there are.
    pub fn named(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|program| program.name() == name).with_context(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("no program called `{name}`; there are {names}")
        })
    }

    /// Whether there is such a program for a board.
    #[must_use]
    pub fn is_for(self, board: &Board) -> bool {
        match self {
            // They work on files of the host.
            Program::Eval | Program::Crash => board.is_emulated(),
            // All operators, and room for a model in RAM.
            Program::Receive => board.ram_bytes() >= 64 * 1024,
            Program::Keep => board.keeps_models(),
            // The data of layers of usual size.
            Program::Kernels => board.ram_bytes() > 64 * 1024,
            _ => true,
        }
    }

    /// The firmware's features that it needs beside the board's.
    const fn features(self) -> &'static str {
        match self {
            Program::Kernels => ",bench",
            _ => "",
        }
    }
}

/// What to build.
#[derive(Clone, Copy, Debug)]
pub struct Build<'a> {
    /// For which board.
    pub board: &'static Board,
    /// Which program.
    pub program: Program,
    /// The model file to build in; for programs that hold one.
    pub model: Option<&'a Path>,
    /// The images to build in, a `.npy` file of N x H x W x C bytes.
    pub images: Option<&'a Path>,
    /// Optimize for size rather than speed.
    pub small: bool,
    /// Where the code lies.
    pub code: Code,
}

/// Where the code of a program lies, which changes no more than its cycles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Code {
    /// In flash.
    #[default]
    InFlash,
    /// In flash, so many bytes further on, a multiple of 4: elsewhere in a cache.
    Moved(u32),
    /// In flash, but for the runtime's loops, which are in RAM.
    LoopsInRam,
}

/// What the error says when an image is larger than a board's memories.
pub(super) const TOO_LARGE: &str = "it does not fit the board's memory";

/// Waits until no other build, of this command or another, has the folder: one would overwrite what the other reads.
fn one_at_a_time(folder: &Path) -> Result<File> {
    let path = folder.join("firmware.lock");
    let file = fs::create_dir_all(folder).and_then(|()| File::create(&path));
    let file = file.with_context(|| format!("cannot create {}", path.display()))?;
    // Where files cannot be locked, two builds at one time may still get in each other's way.
    drop(file.lock());
    Ok(file)
}

impl Build<'_> {
    /// A program that holds no model and no images, optimized for speed, in flash.
    #[must_use]
    pub const fn new(board: &'static Board, program: Program) -> Self {
        Self { board, program, model: None, images: None, small: false, code: Code::InFlash }
    }

    /// Compiles and links; slow the first time for a target, then seconds.
    ///
    /// # Errors
    /// When the firmware's sources, cargo or the target are missing, and when compilation fails: a model that does
    /// not fit the board or is not valid is a compilation error too. Cargo's messages are part of the error.
    pub fn run(&self) -> Result<Elf> {
        let mut built = self.run_all(&[self.program])?;
        built.pop().context("cargo built nothing")
    }

    /// As [`Build::run`], for several programs, side by side, in place of [`Build::program`].
    ///
    /// # Errors
    /// As [`Build::run`], when one of them cannot be built.
    pub fn run_all(&self, programs: &[Program]) -> Result<Vec<Elf>> {
        let root = sources::root()?;
        let _lock = one_at_a_time(&root.join("target"))?;
        let firmware = root.join("firmware");
        let mut target_dir = root.join("target").join("firmware");
        // A directory of its own: build scripts, which probe for instructions, do not run again for other flags.
        target_dir.extend(self.board.cpu);
        let model = match self.model {
            Some(model) => Some(model.canonicalize().with_context(|| format!("model {}", model.display()))?),
            None => None,
        };

        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&firmware).args(["build", "--locked", "--color", "never"]);
        cargo.args(["--profile", if self.small { "small" } else { "release" }]);
        let features: String = programs.iter().map(|program| program.features()).collect();
        let hot = if self.code == Code::LoopsInRam { ",hot-in-ram" } else { "" };
        let features = format!("{}{features}{hot}", self.board.name);
        cargo.args(["--features", &features, "--target", self.board.target]);
        cargo.args(programs.iter().flat_map(|program| ["--bin", program.name()]));
        cargo.arg("--target-dir").arg(&target_dir);
        if let Some(cpu) = self.board.cpu {
            // Cargo splits a target's name at its dots, so the key must not be quoted.
            cargo.arg("--config").arg(format!("target.{}.rustflags=['-Ctarget-cpu={cpu}']", self.board.target));
        }
        // What the host's own build was given is not meant for the firmware.
        for name in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_TARGET",
            "CARGO_TARGET_DIR",
            "KINGLET_IMAGES",
            "KINGLET_MOVED",
        ] {
            cargo.env_remove(name);
        }
        // Where the kernels' loops are Rust, speed is the compiler's; elsewhere they are in assembler, and the rest is seldom run.
        if !self.small && !self.board.has_assembler() {
            cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3");
        }
        if let Code::Moved(bytes) = self.code {
            cargo.env("KINGLET_MOVED", bytes.to_string());
        }
        if let Some(model) = &model {
            cargo.env("KINGLET_MODEL", model);
        }
        if let Some(images) = self.images {
            let images = images.canonicalize().with_context(|| format!("images {}", images.display()))?;
            cargo.env("KINGLET_IMAGES", images);
        }
        let output = cargo.output().context("cannot start cargo")?;
        if !output.status.success() {
            bail!("{}", self.explain(programs, &String::from_utf8_lossy(&output.stderr)));
        }
        let profile = if self.small { "small" } else { "release" };
        let folder = target_dir.join(self.board.target).join(profile);
        let load = |program: &Program| {
            let path = folder.join(program.name());
            let bytes = fs::read(&path).with_context(|| format!("{}", path.display()))?;
            let elf = Elf::parse(bytes)?;
            if let (true, Some(model)) = (program.holds_a_model(), &model) {
                elf.check_contains(&fs::read(model)?)?;
            }
            Ok(elf)
        };
        programs.iter().map(load).collect()
    }

    /// What went wrong, and what to do about it when that is known.
    fn explain(&self, programs: &[Program], cargo: &str) -> String {
        let Board { name, target, .. } = self.board;
        let programs: Vec<_> = programs.iter().map(|program| program.name()).collect();
        let what = format!("building the firmware ({}) for {name} failed", programs.join(", "));
        if cargo.contains("target may not be installed") || cargo.contains("can't find crate for `core`") {
            return format!(
                "{what}: the Rust target {target} is not installed; `rustup target add {target}` installs it"
            );
        }
        if cargo.contains("will not fit in region") {
            let lines: Vec<_> = cargo.lines().filter(|line| line.contains("will not fit in region")).collect();
            return format!("{what}: {TOO_LARGE}\n{}", lines.join("\n"));
        }
        format!("{what}:\n{}", cargo.trim_end())
    }
}
