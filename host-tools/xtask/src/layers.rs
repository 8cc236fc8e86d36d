//! `cargo xtask layers`: a module uses only what stands below it, and nothing that uses it.
//!
//! The ladders stand in `ARCHITECTURE.md`: the indented block below a heading, a line for each rung from the top down,
//! its modules first, and two spaces before what is said about them. Modules of one rung may use each other, but not
//! in circles. What a module uses are the paths from the crate's root in its product code, which names that the root
//! hands on included.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use proc_macro2::{Delimiter, TokenTree};

use crate::repo;
use crate::source::{self, is_punct};

/// A crate's sources, and the heading above its ladder.
const LADDERS: [(&str, &str); 2] = [("src", "## The runtime"), ("host-tools/src", "## The host tools")];

/// One module uses another: the first place where it does.
type Arrows = BTreeMap<(String, String), String>;

pub fn run() -> Result<()> {
    let text = std::fs::read_to_string(repo::root().join("ARCHITECTURE.md"))?;
    let mut errors = Vec::new();
    for (sources, heading) in LADDERS {
        let ladder = ladder(&text, heading)?;
        let arrows = arrows(sources)?;
        errors.extend(unlike(&ladder, &modules(sources)?, sources));
        let wrong = wrong(&ladder, &arrows);
        errors.extend(wrong.iter().map(|arrow| format!("{}: `{}` may not use `{}`", arrows[arrow], arrow.0, arrow.1)));
    }
    ensure!(errors.is_empty(), "the ladders of ARCHITECTURE.md do not hold:\n{}", errors.join("\n"));
    Ok(())
}

/// The rungs below a heading, the lowest first.
fn ladder(text: &str, heading: &str) -> Result<Vec<Vec<String>>> {
    let (_, below) = text.split_once(&format!("{heading}\n")).with_context(|| format!("no heading `{heading}`"))?;
    let lines = below.lines().skip_while(|line| !line.starts_with("    ")).take_while(|line| line.starts_with("    "));
    let rung = |line: &str| {
        let names = line.trim().split("  ").next().unwrap_or_default();
        names.split_whitespace().map(|name| name.trim_end_matches('/').to_owned()).collect()
    };
    Ok(lines.map(rung).collect::<Vec<_>>().into_iter().rev().collect())
}

/// What stands on a ladder without being a module, and the other way round.
fn unlike(ladder: &[Vec<String>], modules: &BTreeSet<String>, sources: &str) -> Vec<String> {
    let listed: BTreeSet<_> = ladder.iter().flatten().cloned().collect();
    let missing = modules.difference(&listed).map(|name| format!("{sources}: `{name}` is on no rung"));
    let gone = listed.difference(modules).map(|name| format!("{sources}: there is no `{name}`"));
    missing.chain(gone).collect()
}

/// The arrows that run up, or in a circle within a rung.
fn wrong(ladder: &[Vec<String>], arrows: &Arrows) -> Vec<(String, String)> {
    let rung = |name: &String| ladder.iter().position(|rung| rung.contains(name));
    let level = |from: &String, to: &String| rung(from) == rung(to);
    let reaches = |from: &String, to: &String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(name) = next.pop() {
            let onward = arrows.keys().filter(|(a, b)| a == name && level(a, b)).map(|(_, b)| b);
            next.extend(onward.filter(|&b| seen.insert(b)));
        }
        seen.contains(to)
    };
    let is_wrong = |(from, to): &&(String, String)| rung(from) < rung(to) || level(from, to) && reaches(to, from);
    arrows.keys().filter(is_wrong).cloned().collect()
}

/// The modules directly below a crate's root.
fn modules(sources: &str) -> Result<BTreeSet<String>> {
    Ok(repo::files(sources, &["rs"])?.iter().filter_map(|file| path(file, sources).into_iter().next()).collect())
}

/// The module that a file holds, as a path from the crate's root; empty for the root.
fn path(file: &Path, sources: &str) -> Vec<String> {
    let below = file.strip_prefix(sources).unwrap_or(file).with_extension("");
    let names = below.iter().map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| !matches!(name.as_str(), "mod" | "lib" | "main")).collect()
}

/// Who uses whom.
fn arrows(sources: &str) -> Result<Arrows> {
    let modules = modules(sources)?;
    let files: Vec<(PathBuf, Vec<TokenTree>)> = repo::files(sources, &["rs"])?
        .into_iter()
        .map(|file| Ok((file.clone(), source::product(&file)?)))
        .collect::<Result<_>>()?;
    let mut names: BTreeMap<String, String> = modules.iter().map(|name| (name.clone(), name.clone())).collect();
    for (file, tokens) in &files {
        match path(file, sources).first() {
            // `model!` and the module `model` have one name: paths through it are taken for the module.
            Some(module) => macros(tokens).for_each(|name| {
                names.entry(name).or_insert_with(|| module.clone());
            }),
            None => names.extend(handed_on(tokens)),
        }
    }
    let mut arrows = Arrows::new();
    for (file, tokens) in &files {
        let path = path(file, sources);
        let Some(from) = path.first() else { continue };
        let mut uses = Vec::new();
        from_root(tokens, path.len(), &mut uses);
        for (name, line) in uses {
            let place = format!("{}:{line}", file.display());
            let to = names.get(&name).with_context(|| format!("{place}: the crate's root has no `{name}`"))?;
            if to != from && modules.contains(to) {
                arrows.entry((from.clone(), to.clone())).or_insert(place);
            }
        }
    }
    Ok(arrows)
}

/// Macros that are defined here.
fn macros(tokens: &[TokenTree]) -> impl Iterator<Item = String> {
    tokens.windows(3).filter(|window| is_ident(&window[0], "macro_rules")).map(|window| window[2].to_string())
}

/// What the root hands on, by the module or crate that it comes from: `pub use module::{Name, Other};`.
fn handed_on(tokens: &[TokenTree]) -> Vec<(String, String)> {
    let mut names = Vec::new();
    for statement in tokens.split(|token| is_punct(token, ';')) {
        let Some(start) = statement.iter().position(|token| is_ident(token, "use")) else { continue };
        let [module, rest @ ..] = &statement[start + 1..] else { continue };
        let mut idents = Vec::new();
        rest.iter().for_each(|token| all_idents(token, &mut idents));
        names.extend(idents.into_iter().map(|name| (name, module.to_string())));
    }
    names
}

fn all_idents(token: &TokenTree, idents: &mut Vec<String>) {
    match token {
        TokenTree::Ident(ident) => idents.push(ident.to_string()),
        TokenTree::Group(group) => group.stream().into_iter().for_each(|token| all_idents(&token, idents)),
        _ => {}
    }
}

/// The first names of paths from the crate's root, with their lines; `depth` modules lie between the root and here.
fn from_root(tokens: &[TokenTree], depth: usize, uses: &mut Vec<(String, usize)>) {
    let mut at = 0;
    while at < tokens.len() {
        if let Some((rooted, length)) = prefix(&tokens[at..], depth) {
            at += length;
            if rooted {
                first_names(&tokens[at..], uses);
            }
            continue;
        }
        if let TokenTree::Group(group) = &tokens[at] {
            let inner: Vec<_> = group.stream().into_iter().collect();
            let module = at >= 2 && is_ident(&tokens[at - 2], "mod") && group.delimiter() == Delimiter::Brace;
            from_root(&inner, depth + usize::from(module), uses);
        }
        at += 1;
    }
}

/// Whether a path that begins here with `crate::` or `super::` does so at the root, and the tokens of that beginning.
fn prefix(tokens: &[TokenTree], depth: usize) -> Option<(bool, usize)> {
    if is_ident(&tokens[0], "crate") && joined(tokens, 1) {
        return Some((true, 3));
    }
    let above = |level: usize| {
        tokens.get(3 * level).is_some_and(|token| is_ident(token, "super")) && joined(tokens, 3 * level + 1)
    };
    let levels = (0..).take_while(|&level| above(level)).count();
    (levels > 0).then_some((levels == depth, 3 * levels))
}

/// The names that begin what follows a `::`: one, or those of a group.
fn first_names(tokens: &[TokenTree], uses: &mut Vec<(String, usize)>) {
    match tokens.first() {
        Some(TokenTree::Ident(ident)) => uses.push((ident.to_string(), ident.span().start().line)),
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let inner: Vec<_> = group.stream().into_iter().collect();
            inner.split(|token| is_punct(token, ',')).for_each(|path| first_names(path, uses));
        }
        _ => {}
    }
}

fn joined(tokens: &[TokenTree], at: usize) -> bool {
    tokens.get(at..at + 2).is_some_and(|pair| pair.iter().all(|token| is_punct(token, ':')))
}

fn is_ident(token: &TokenTree, wanted: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str, depth: usize) -> Vec<String> {
        let mut uses = Vec::new();
        from_root(&source::parse(text).unwrap(), depth, &mut uses);
        uses.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn paths_from_the_root_are_found_in_every_form() {
        let text =
            "use crate::{a::{b, c}, d}; use super::super::e::f; use super::g; fn h() -> crate::i::J { self::k() }
                    mod inner { use super::super::super::l; use super::super::m; }
                    #[cfg(test)] mod tests { use crate::n; }";
        assert_eq!(names(text, 2), ["a", "d", "e", "i", "l"]);
    }

    #[test]
    fn arrows_up_and_circles_are_wrong() {
        let ladder = ladder("## It\n\nText.\n\n    top  words\n    b/ c d  more\n    low\n\nEnd.", "## It").unwrap();
        let arrows = [("top", "low"), ("low", "b"), ("b", "c"), ("c", "d"), ("d", "c"), ("b", "low")];
        let arrows = arrows.map(|(from, to)| ((from.to_owned(), to.to_owned()), String::new())).into();
        let wrong = wrong(&ladder, &arrows);
        assert_eq!(wrong, [("c", "d"), ("d", "c"), ("low", "b")].map(|(from, to)| (from.to_owned(), to.to_owned())));
    }
}
