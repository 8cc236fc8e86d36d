//! Public items of the runtime, from the compiler's own list: what rustdoc would show.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{command, repo};

/// Every feature but `std`, which is the host tools'.
const FEATURES: &str = "device,signed,defmt";

/// What counts, reached from the crate's root by public paths: modules, types, traits, functions, constants, macros,
/// re-exports of other crates' items, the methods and constants of types, and the members of traits; without fields,
/// variants and what implementations of traits hold. An item that several paths reach counts once.
pub fn items(hidden: bool) -> Result<usize> {
    // Of its own: the switch below would have everything built anew in the folder of the other builds.
    let target = repo::root().join("target/xtask/public");
    let mut rustdoc = command::cargo();
    rustdoc.current_dir(repo::root()).env("RUSTC_BOOTSTRAP", "1"); // stable compilers know JSON output under this switch only
    rustdoc.args(["rustdoc", "--quiet", "--locked", "--package", "kinglet", "--lib", "--features", FEATURES]);
    rustdoc.arg("--target-dir").arg(&target).arg("--");
    rustdoc.args(["--cap-lints=allow", "-Zunstable-options", "--output-format=json"]);
    if hidden {
        rustdoc.arg("--document-hidden-items");
    }
    command::output(&mut rustdoc)?;
    let file = target.join("doc/kinglet.json");
    let crate_: Value = serde_json::from_slice(&std::fs::read(&file)?).with_context(|| file.display().to_string())?;
    let mut seen = Vec::new();
    visit(&crate_["index"], &crate_["root"], &mut seen);
    ensure!(seen.len() > 1, "{}: this compiler writes another form of documentation", file.display());
    Ok(seen.len() - 1) // the crate itself
}

fn visit(index: &Value, id: &Value, seen: &mut Vec<String>) {
    let key = id.to_string();
    let item = &index[&key];
    let Some((kind, inner)) = item["inner"].as_object().and_then(|inner| inner.iter().next()) else {
        seen.push(key); // of another crate
        return;
    };
    let members = |list: &Value, seen: &mut Vec<String>| {
        list.as_array().into_iter().flatten().for_each(|id| visit(index, id, seen));
    };
    match kind.as_str() {
        "use" => return visit(index, &inner["id"], seen),
        "impl" if inner["trait"].is_null() => return members(&inner["items"], seen),
        "impl" => return,
        _ => {}
    }
    if seen.contains(&key) {
        return;
    }
    seen.push(key);
    match kind.as_str() {
        "module" | "trait" => members(&inner["items"], seen),
        "struct" | "enum" | "union" => members(&inner["impls"], seen),
        _ => {}
    }
}
