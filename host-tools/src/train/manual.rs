//! A recipe with every key: its default, and what it means as the source says it.

use std::path::Path;

use serde::Serialize;
use toml::{Table, Value};

use super::{Augment, Distill, Optimizer, Qat, Recipe, Schedule, Start};
use crate::data::picture::Fit;
use crate::data::{Images, Source};
use crate::graph::{Block, NetworkRecipe, Norm, Preprocess};

/// Tables of a recipe, the type that each is, and the source that documents it.
const TABLES: [(&str, &str, &str); 14] = [
    ("network", "NetworkRecipe", include_str!("../graph/recipe.rs")),
    ("data.images", "Images", include_str!("../data/source.rs")),
    ("data.cifar10", "Source::Cifar10", include_str!("../data/source.rs")),
    ("data.idx", "Source::Idx", include_str!("../data/source.rs")),
    ("preprocess", "Preprocess", include_str!("../graph/preprocess.rs")),
    ("optimizer.sgd", "Optimizer::Sgd", include_str!("optimizer.rs")),
    ("optimizer.adamw", "Optimizer::Adamw", include_str!("optimizer.rs")),
    ("schedule.cosine", "Schedule::Cosine", include_str!("schedule.rs")),
    ("schedule.one_cycle", "Schedule::OneCycle", include_str!("schedule.rs")),
    ("schedule.constant", "Schedule::Constant", include_str!("schedule.rs")),
    ("augment", "Augment", include_str!("augment.rs")),
    ("qat", "Qat", include_str!("tuning.rs")),
    ("distill", "Distill", include_str!("distill.rs")),
    ("start", "Start", include_str!("start.rs")),
];

/// A recipe for ones own images with every key, in TOML. What is absent by default is commented out.
#[must_use]
pub fn manual() -> String {
    let (plain, every) = (table(&plain()), every());
    let mut text = String::from(
        "# A training: `kinglet train --recipe FILE`. Every key, its default, and what it means; what is commented out is absent\n\
         # by default, and its value an example.\n",
    );
    keys(&mut text, "", &item("Recipe", include_str!("recipe.rs")).1, &plain, &every);
    for (path, name, source) in TABLES {
        let (doc, fields) = item(name, source);
        let mark = if at(&plain, path).is_some() { "" } else { "# " };
        text += &format!("\n{}{mark}[{path}]\n", commented(&doc));
        keys(&mut text, path, &fields, &plain, &every);
        if path == "network" {
            text += "# The pieces that `blocks` may list, by their names:\n";
            for (name, doc) in variants("Block", include_str!("../graph/block.rs")) {
                text += &commented(&format!("- {}: {doc}", snake(&name)));
            }
        }
    }
    text
}

/// [`manual`] as `models/RECIPES.md`.
#[must_use]
pub fn document() -> String {
    format!(
        "# Recipes\n\nA training is a file, and the same file gives the same weights, bit for bit, on one machine. This page is what\n\
         `kinglet recipe` prints; [recipes/](recipes/) has those of the shipped networks.\n\n```toml\n{}```\n",
        manual()
    )
}

/// The keys of a table with their documentation.
fn keys(text: &mut String, path: &str, fields: &[(String, String)], plain: &Table, every: &Table) {
    for (key, doc) in fields {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let (default, example) = (at(plain, &full), at(every, &full));
        // Tables have their own heading.
        let Some(value) = default.or(example).filter(|value| !value.is_table()) else { continue };
        let mark = if default.is_some() { "" } else { "# " };
        *text += &format!("{}{mark}{key} = {value}\n", commented(doc));
    }
}

/// Each line behind a `#`, without the targets of links.
fn commented(doc: &str) -> String {
    let mut plain = String::new();
    let mut rest = doc;
    while let Some((before, link)) = rest.split_once("](") {
        plain += before;
        let mut open = 1;
        let end = link.find(|c: char| {
            open += i32::from(c == '(') - i32::from(c == ')');
            open == 0
        });
        rest = end.map_or("", |end| &link[end + 1..]);
    }
    (plain + rest).replace("[`", "`").replace("`]", "`").lines().map(|line| format!("# {line}\n")).collect()
}

/// The value at a path of keys.
fn at<'t>(table: &'t Table, path: &str) -> Option<&'t Value> {
    let mut keys = path.split('.');
    let first = table.get(keys.next()?)?;
    keys.try_fold(first, |value, key| value.get(key))
}

/// By way of text, so that numbers in single precision are as short as they are in a recipe.
fn table(value: &impl Serialize) -> Table {
    toml::to_string(value).ok().and_then(|text| toml::from_str(&text).ok()).unwrap_or_default()
}

fn plain() -> Recipe {
    let data = Source::Images(Images { size: Some([32, 32]), ..Images::at("photos".into()) });
    Recipe { data, ..Recipe::for_network("resnet8") }
}

/// A recipe with every key in it, beside each other what would contradict itself.
fn every() -> Table {
    let conv = Block::Conv { filters: 16, kernel: 3, stride: 1, norm: Norm::default() };
    let network = NetworkRecipe {
        name: Some("mine".to_owned()),
        input: Some([32, 32, 3]),
        width: Some(0.5),
        blocks: vec![conv],
        reparameterize: true,
        ..NetworkRecipe::zoo("resnet8")
    };
    let images = Images {
        size: Some([32, 32]),
        fit: Fit::Pad,
        classes: vec!["cat".to_owned(), "dog".to_owned()],
        persons: true,
        ..Images::at("photos".into())
    };
    let recipe = Recipe {
        class_weights: vec![1.0, 2.0],
        average: Some(0.999),
        validation: Some(10),
        patience: Some(20),
        network,
        data: Source::Images(images),
        preprocess: Some(Preprocess::unit(3)),
        augment: Augment::default(),
        qat: Some(Qat { epochs: Some(5), schedule: None, ..Qat::default() }),
        distill: Some(Distill::from(Path::new("runs/large"))),
        start: Some(Start::from(Path::new("models/cifar10-resnet8"))),
        ..Recipe::for_network("resnet8")
    };
    let mut every = table(&recipe);
    let classes = vec!["shirt".to_owned(), "shoe".to_owned()];
    let others = [
        ("data", table(&Source::Cifar10 { path: "cifar-10-batches-bin".into() })),
        ("data", table(&Source::Idx { path: "fashion-mnist".into(), classes })),
        ("optimizer", table(&Optimizer::Adamw { beta1: 0.9, beta2: 0.999, weight_decay: 5e-4 })),
        ("schedule", table(&Schedule::OneCycle { peak: 0.1, warm_up: 0.1 })),
        ("schedule", table(&Schedule::Constant { rate: 0.01 })),
    ];
    for (key, other) in others {
        if let Some(Value::Table(variants)) = every.get_mut(key) {
            variants.extend(other);
        }
    }
    every
}

/// The documentation of a struct, or of an enum's variant (`Enum::Variant`), and its fields with theirs.
fn item(name: &str, source: &str) -> (String, Vec<(String, String)>) {
    let (outer, variant) = name.split_once("::").map_or((name, None), |(outer, variant)| (outer, Some(variant)));
    let (mut doc, mut fields, mut found, mut inside) = (Vec::new(), Vec::new(), String::new(), false);
    let mut within = variant.is_none();
    for line in source.lines() {
        let word = line.trim().trim_start_matches("pub ");
        if let Some(text) = line.trim().strip_prefix("///") {
            doc.push(text.trim().to_owned());
            continue;
        }
        let opens = |kind: &str, name: &str| word == format!("{kind}{name} {{");
        if opens("struct ", outer) || opens("enum ", outer) {
            (inside, found) = (true, doc.join("\n"));
        } else if inside && !within && variant.is_some_and(|variant| opens("", variant)) {
            (within, found) = (true, doc.join("\n"));
        } else if inside && within && ["}", "},"].contains(&word) {
            break;
        } else if let (true, true, false, Some((field, _))) =
            (inside, within, word.starts_with('#'), word.split_once(": "))
        {
            fields.push((field.to_owned(), doc.join("\n")));
        }
        if !word.starts_with('#') {
            doc.clear();
        }
    }
    // An example, and what it is written between, is for Rust.
    let found = found.lines().take_while(|line| !line.starts_with("```")).collect::<Vec<_>>().join("\n");
    (found.trim_end().to_owned(), fields)
}

/// The variants of an enum, with their documentation.
fn variants(name: &str, source: &str) -> Vec<(String, String)> {
    let body = source.split_once(&format!("pub enum {name} {{")).map_or("", |(_, rest)| rest);
    let body = body.split_once("\n}").map_or(body, |(body, _)| body);
    let (mut found, mut doc) = (Vec::new(), Vec::new());
    for line in body.lines() {
        let Some(line) = line.strip_prefix("    ").filter(|line| !line.starts_with([' ', '#', '}'])) else { continue };
        match line.strip_prefix("///") {
            Some(text) => doc.push(text.trim().to_owned()),
            None => {
                let variant = line.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
                found.push((variant.to_owned(), doc.join(" ")));
                doc.clear();
            }
        }
    }
    found
}

/// A variant's name as recipes have it.
fn snake(name: &str) -> String {
    name.char_indices().fold(String::new(), |snake, (at, letter)| match letter.is_uppercase() && at > 0 {
        true => snake + "_" + &letter.to_lowercase().to_string(),
        false => snake + &letter.to_lowercase().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All paths of a table.
    fn paths(table: &Table, above: &str, all: &mut Vec<String>) {
        for (key, value) in table {
            let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
            match value {
                Value::Table(table) => paths(table, &path, all),
                _ => all.push(path),
            }
        }
    }

    #[test]
    fn the_manual_is_the_default_recipe() {
        let recipe: Recipe = toml::from_str(&manual()).unwrap();
        assert_eq!(recipe, plain());
    }

    #[test]
    fn every_key_is_in_the_manual_and_documented() {
        let manual = manual();
        let mut all = Vec::new();
        paths(&every(), "", &mut all);
        assert!(all.len() > 50, "{all:?}");
        let lines: Vec<&str> = manual.lines().collect();
        for path in all {
            let (above, key) = path.rsplit_once('.').unwrap_or(("", &path));
            let start =
                lines.iter().position(|line| line.trim_start_matches("# ") == format!("[{above}]")).unwrap_or(0);
            let line = lines[start..].iter().position(|line| {
                line.trim_start_matches("# ").strip_prefix(key).is_some_and(|rest| rest.starts_with(" = "))
            });
            let line = start + line.unwrap_or_else(|| panic!("`{path}` is not in the manual"));
            assert!(lines[line - 1].starts_with("# "), "`{path}` is not documented");
        }
    }

    #[test]
    fn the_committed_manual_is_this_one() {
        let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/RECIPES.md")).unwrap();
        assert_eq!(committed, document(), "`kinglet recipe --document -o models/RECIPES.md` makes it anew");
    }
}
