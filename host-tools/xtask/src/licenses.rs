//! `cargo xtask licenses`: whether every dependency may be used, as `deny.toml` says: by its licence, and from the registry alone.
//!
//! `cargo deny` reads the same file and checks advisories, too. It takes minutes to build, so it runs where it is installed, and this wherever
//! there is cargo.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use spdx::{Expression, Licensee, ParseMode};

use crate::{command, repo};

/// Workspaces, and the target that each is built for.
const WORKSPACES: [(&str, Option<&str>); 4] = [
    (".", None),
    ("fuzz", None),
    ("firmware", Some("thumbv7em-none-eabihf")),
    ("host-tools/wasm", Some(crate::setup::WASM)),
];

pub fn run() -> Result<()> {
    let allowed = allowed(&fs::read_to_string(repo::root().join("deny.toml"))?)?;
    let host = host()?;
    let has_deny = command::cargo().args(["deny", "--version"]).output().is_ok_and(|output| output.status.success());
    for (folder, target) in WORKSPACES {
        let folder = repo::root().join(folder);
        let mut cargo = command::cargo();
        cargo.current_dir(&folder).args(["metadata", "--locked", "--format-version", "1", "--filter-platform"]);
        let output = cargo.arg(target.unwrap_or(&host)).output()?;
        let (line, said) = (command::line(&cargo), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{}: `{line}`: {said}", folder.display());
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        let packages = metadata["packages"].as_array().context("`cargo metadata` lists packages")?;
        let faults: Vec<String> = packages.iter().filter_map(|package| fault(package, &allowed)).collect();
        ensure!(faults.is_empty(), "{}: {}", folder.display(), faults.join("; "));
        eprintln!("{}: {} packages", folder.display(), packages.len());
        if has_deny {
            let checks = ["deny", "check", "bans", "licenses", "sources"];
            command::run(command::cargo().current_dir(&folder).args(checks))?;
        }
    }
    if !has_deny {
        eprintln!("cargo-deny is not installed: licences and sources were checked here, advisories were not");
    }
    Ok(())
}

/// The triple of this machine.
fn host() -> Result<String> {
    let output = command::rustc().arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().find_map(|line| line.strip_prefix("host: ")).context("`rustc -vV` names the host")?.to_owned())
}

/// The licences that `deny.toml` allows.
fn allowed(text: &str) -> Result<Vec<Licensee>> {
    let file: toml::Table = toml::from_str(text)?;
    let list = file.get("licenses").and_then(|licenses| licenses.get("allow")?.as_array());
    let list = list.context("deny.toml has no `licenses.allow`")?;
    list.iter()
        .map(|name| {
            let name = name.as_str().context("`licenses.allow` is a list of names")?;
            Licensee::parse(name).with_context(|| name.to_owned())
        })
        .collect()
}

/// Why a package may not be used.
fn fault(package: &Value, allowed: &[Licensee]) -> Option<String> {
    // Our own.
    let source = package["source"].as_str()?;
    let name = package["name"].as_str().unwrap_or_default();
    if !source.starts_with("registry+") {
        return Some(format!("{name} comes from {source}, not from the registry"));
    }
    let Some(license) = package["license"].as_str() else { return Some(format!("{name} names no licence")) };
    match Expression::parse_mode(license, ParseMode::LAX) {
        Err(_) => Some(format!("{name}: `{license}` is no licence expression")),
        Ok(expression) => {
            let fits = expression.evaluate(|needed| allowed.iter().any(|license| license.satisfies(needed)));
            (!fits).then(|| format!("{name}: `{license}` is not among the licences in deny.toml"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn licences_and_sources_are_judged() {
        let allowed = allowed("[licenses]\nallow = [\"MIT\", \"Apache-2.0 WITH LLVM-exception\"]").unwrap();
        let fault = |source: Value, license: Value| {
            fault(&json!({ "name": "a", "source": source, "license": license }), &allowed)
        };
        for license in ["MIT", "GPL-3.0-only OR MIT", "MIT/GPL-2.0", "MIT AND Apache-2.0 WITH LLVM-exception"] {
            assert_eq!(fault(json!("registry+index"), json!(license)), None, "{license}");
        }
        for license in ["GPL-3.0-only", "MIT AND Apache-2.0", "Apache-2.0", "who knows"] {
            assert!(fault(json!("registry+index"), json!(license)).is_some(), "{license}");
        }
        assert!(fault(json!("registry+index"), Value::Null).unwrap().contains("names no licence"));
        assert!(fault(json!("git+https://example.org"), json!("MIT")).unwrap().contains("not from the registry"));
        assert_eq!(fault(Value::Null, json!("GPL-3.0-only")), None, "our own");
        assert!(super::allowed("[licenses]").is_err());
    }
}
