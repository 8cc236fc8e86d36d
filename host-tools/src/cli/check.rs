//! `kinglet import --check`: which of many models can be imported, and what the others lack.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::options::json::Json;
use crate::files;
use crate::import::{self, ImportError, Model, Options, foreign};

/// What was found out about one file.
struct Verdict {
    /// `integer`, `float`, or `no`.
    kind: &'static str,
    /// Operators, once imported.
    operators: usize,
    /// What is missing: how many of it, and what.
    missing: Vec<(usize, String)>,
}

/// Judges all `models`; fails when one of them cannot be imported.
///
/// # Errors
/// Those of the output.
pub(super) fn run(models: &[PathBuf], json: Json) -> Result<ExitCode> {
    let verdicts: Vec<(&PathBuf, Verdict)> = models.iter().map(|path| (path, judge(path))).collect();
    if json.is_asked() {
        let rows: Vec<Value> = verdicts.iter().map(|(path, verdict)| verdict.json(path)).collect();
        json.print(&rows)?;
    } else {
        for (path, Verdict { kind, operators, missing }) in &verdicts {
            match missing.split_first() {
                None => println!("{kind:<8} {operators:>5} operators  {}", path.display()),
                Some(((count, what), rest)) => {
                    let more = if rest.is_empty() { String::new() } else { format!("; {} more", rest.len()) };
                    println!("{kind:<8} {count:>5} x {what}{more}  {}", path.display());
                }
            }
        }
    }
    let all = verdicts.iter().all(|(_, verdict)| verdict.missing.is_empty());
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn judge(path: &Path) -> Verdict {
    let no = |missing| Verdict { kind: "no", operators: 0, missing };
    let yes = |kind, operators| Verdict { kind, operators, missing: Vec::new() };
    if let Some(advice) = foreign::advice(path) {
        return no(vec![(1, advice.lines().next().unwrap_or_default().to_owned())]);
    }
    let folder = path.parent().map(Path::to_path_buf);
    let options = Options { name: import::name_of(path), folder, ..Options::default() };
    match files::read(path).map(|bytes| import::read(&bytes, &options)) {
        Ok(Ok(Model::Int8(model))) => yes("integer", model.network.nodes.len()),
        Ok(Ok(Model::Float(model))) => yes("float", model.graph.nodes.len() - 1),
        Ok(Err(ImportError::Unsupported(problems))) => {
            let kinds = problems.kinds().iter();
            no(kinds.map(|(first, count)| (*count, format!("{}: {}", first.operator, first.reason))).collect())
        }
        Ok(Err(error)) => no(vec![(1, error.to_string())]),
        Err(error) => no(vec![(1, format!("{error:#}"))]),
    }
}

impl Verdict {
    fn json(&self, path: &Path) -> Value {
        let missing: Vec<Value> =
            self.missing.iter().map(|(count, what)| json!({ "count": count, "what": what })).collect();
        json!({ "file": path, "kind": self.kind, "operators": self.operators, "missing": missing })
    }
}
