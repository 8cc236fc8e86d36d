//! `cargo xtask fuzz`: the fuzz targets under libFuzzer and AddressSanitizer, from the committed corpora on.

use anyhow::{Context, Result};

use crate::{command, nightly, repo};

/// What is fuzzed, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    /// Model files, changed by their structure: `Model::new`, and every way to run what it accepts.
    Model,
    /// TensorFlow Lite and ONNX files, through the importer, the exporter and the runtime.
    Import,
    /// Data sets, arrays, recipes, weights, checkpoints, firmware images, a device's line.
    Data,
}

impl Target {
    const ALL: [Target; 3] = [Target::Model, Target::Import, Target::Data];

    const fn name(self) -> &'static str {
        match self {
            Target::Model => "model",
            Target::Import => "import",
            Target::Data => "data",
        }
    }

    /// Folders with files to start from, under the root.
    const fn seeds(self) -> &'static [&'static str] {
        match self {
            Target::Model => &["fuzz/corpus/model"],
            Target::Import => &[
                "fuzz/corpus/import",
                "host-tools/tests/operators",
                "host-tools/tests/exported",
                "host-tools/tests/converted",
                "host-tools/tests/qdq",
            ],
            Target::Data => &["fuzz/corpus/data"],
        }
    }

    /// The most bytes of a file that are worth a try.
    const fn max_len(self) -> u32 {
        match self {
            Target::Model => 1 << 14,
            Target::Import | Target::Data => 1 << 16,
        }
    }
}

/// Runs a target, or all one after the other, for so many minutes each, or adds to the committed corpora what was found and reaches
/// something new; `arguments` go on to libFuzzer.
///
/// # Errors
/// When cargo-fuzz or the nightly toolchain is missing, or an input is found that breaks a promise.
pub fn run(target: Option<Target>, minutes: u32, minimize: bool, arguments: &[String]) -> Result<()> {
    nightly::demand_toolchain()?;
    nightly::demand(&["fuzz"], "cargo-fuzz", "cargo install cargo-fuzz")?;
    let chosen = target.as_ref().map_or(&Target::ALL[..], std::slice::from_ref);
    chosen.iter().try_for_each(|target| {
        let name = target.name();
        // New inputs go to the first folder, which is not committed; the others are only read.
        let found = repo::root().join("target/fuzz").join(name);
        std::fs::create_dir_all(&found).with_context(|| format!("cannot make `{}`", found.display()))?;
        let mut fuzz = nightly::cargo();
        fuzz.current_dir(repo::root().join("fuzz")).args(["fuzz", "run"]);
        if *target == Target::Model {
            fuzz.arg("--no-default-features"); // the host tools take minutes to compile
        }
        let seeds = target.seeds().iter().map(|folder| repo::root().join(folder));
        if minimize {
            fuzz.arg(name).args(seeds.take(1)).arg(found).args(["--", "-merge=1"]);
            return command::run(fuzz.args(arguments));
        }
        fuzz.arg(name).arg(found).args(seeds);
        fuzz.args(["--", "-timeout=60", "-rss_limit_mb=4096", "-print_final_stats=1"]);
        fuzz.args([format!("-max_len={}", target.max_len()), format!("-max_total_time={}", 60 * u64::from(minutes))]);
        command::run(fuzz.args(arguments))
    })
}
