//! `cargo xtask book`: the documentation as a book in `target/book/html`, whose links all lead somewhere.
//!
//! Chapters lie in `docs/src` and elsewhere, and link to each other as files of the repository do. The book is made of a copy that keeps their
//! places, in which links to what is no chapter lead to the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{command, repo};

/// The program that makes the book; installed from its sources, it takes a minute or two.
const MDBOOK: [&str; 2] = ["mdbook", "0.5.4"];

/// The table of contents, of links as files of the repository have them.
const SUMMARY: &str = "docs/src/SUMMARY.md";

/// Makes the book, after mdbook has been installed in `target`, if it is missing and may be.
///
/// Without it the pages are still put together, so that a link to nowhere is found; whether the book was made.
pub fn run(no_install: bool) -> Result<bool> {
    let place = repo::root().join("target/book");
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    assemble(&repo::root(), &place)?;
    let Some(mdbook) = program(no_install)? else { return Ok(false) };
    command::run(Command::new(mdbook).arg("build").arg(&place))?;
    check(&place.join("html"))?;
    Ok(true)
}

/// mdbook, wherever it is.
fn program(no_install: bool) -> Result<Option<PathBuf>> {
    let [name, version] = MDBOOK;
    let own = repo::root().join("target/tools");
    let installed = own.join("bin").join(name);
    let runs = |path: &Path| Command::new(path).arg("--version").output().is_ok_and(|output| output.status.success());
    for path in [Path::new(name), &installed] {
        if runs(path) {
            return Ok(Some(path.to_path_buf()));
        }
    }
    if no_install {
        return Ok(None);
    }
    let mut cargo = command::cargo();
    cargo.args(["install", "--locked", "--no-default-features", name, "--version", version, "--root"]).arg(&own);
    command::run(&mut cargo)?;
    Ok(Some(installed))
}

/// Copies what the book is made of.
fn assemble(root: &Path, place: &Path) -> Result<()> {
    let read = |path: &Path| fs::read_to_string(root.join(path)).with_context(|| path.display().to_string());
    let repository = repository(&read(Path::new("Cargo.toml"))?)?;
    let summary = read(Path::new(SUMMARY))?;
    let chapters: BTreeSet<PathBuf> =
        links(&summary).map(|(_, link)| target(Path::new(SUMMARY), link)).collect::<Result<_>>()?;
    let write = |path: &Path, text: &str| -> Result<()> {
        let to = place.join("src").join(path);
        fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
        Ok(fs::write(to, text)?)
    };
    for chapter in &chapters {
        let text = read(chapter)?;
        let mut pictures = Vec::new();
        let text = replaced(&text, |before, link| {
            if link.is_empty() || link.starts_with('#') || link.contains("://") {
                return Ok(link.to_owned());
            }
            let path = target(chapter, link)?;
            ensure!(root.join(&path).exists(), "{}: `{link}` leads nowhere", chapter.display());
            let is_picture = path.extension().is_some_and(|extension| extension == "svg" || extension == "png");
            if before.ends_with('!') || is_picture {
                pictures.push(path);
            } else if !chapters.contains(&path) {
                return Ok(format!("{repository}/blob/main/{}", path.display()));
            }
            Ok(link.to_owned())
        })?;
        write(chapter, &text)?;
        for picture in pictures {
            let to = place.join("src").join(&picture);
            fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
            fs::copy(root.join(&picture), to).with_context(|| picture.display().to_string())?;
        }
    }
    let contents = replaced(&summary, |_, link| Ok(target(Path::new(SUMMARY), link)?.to_string_lossy().into_owned()))?;
    write(Path::new("SUMMARY.md"), &contents)?;
    let settings = read(Path::new("docs/book.toml"))?;
    Ok(fs::write(place.join("book.toml"), settings)?)
}

fn repository(manifest: &str) -> Result<String> {
    let manifest: toml::Table = toml::from_str(manifest)?;
    let package = manifest.get("workspace").and_then(|workspace| workspace.get("package"));
    let repository = package.and_then(|package| package.get("repository")?.as_str());
    Ok(repository.context("Cargo.toml has no `workspace.package.repository`")?.to_owned())
}

/// The file of the repository that a link of `from` leads to.
fn target(from: &Path, link: &str) -> Result<PathBuf> {
    let link = link.split('#').next().unwrap_or_default();
    let mut path = from.parent().unwrap_or(Path::new("")).to_path_buf();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => ensure!(path.pop(), "{}: `{link}` leads out of the repository", from.display()),
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    Ok(path)
}

/// The links of a page, each with the text before it.
fn links(page: &str) -> impl Iterator<Item = (&str, &str)> {
    let code = fences(page);
    page.match_indices("](").filter_map(move |(at, _)| {
        let end = at + 2 + page[at + 2..].find(')')?;
        let open = page[..at].rfind('[')?;
        let in_code = code.iter().any(|block| block.contains(&at));
        (!in_code).then_some((&page[..open], &page[at + 2..end]))
    })
}

/// The page with other links; `change` gets the text before a link, and the link.
fn replaced(page: &str, mut change: impl FnMut(&str, &str) -> Result<String>) -> Result<String> {
    let (mut text, mut done) = (String::new(), 0);
    for (before, link) in links(page) {
        let at = link.as_ptr() as usize - page.as_ptr() as usize;
        text += &page[done..at];
        text += &change(before, link)?;
        done = at + link.len();
    }
    Ok(text + &page[done..])
}

/// The blocks of code.
fn fences(page: &str) -> Vec<std::ops::Range<usize>> {
    let fences: Vec<usize> = page.match_indices("```").map(|(at, _)| at).collect();
    fences.chunks(2).map(|ends| ends[0]..ends.get(1).copied().unwrap_or(page.len())).collect()
}

/// Whether every link of the book leads to a page, and to a place in it.
fn check(html: &Path) -> Result<()> {
    let mut pages = BTreeMap::new();
    collect(html, html, &mut pages)?;
    let mut count = 0;
    for (page, text) in &pages {
        for link in values(text, "href") {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (_, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = target(page, link)?;
            let path = if link.starts_with('#') { page.clone() } else { path };
            match pages.get(&path) {
                Some(other) => {
                    let is_there = anchor.is_empty() || values(other, "id").any(|id| id == anchor);
                    ensure!(is_there, "{}: `{link}`: there is no such place", page.display());
                }
                None => ensure!(html.join(&path).exists(), "{}: `{link}` leads nowhere", page.display()),
            }
            count += 1;
        }
    }
    eprintln!("{} pages, {count} links", pages.len());
    Ok(())
}

/// The pages under a folder. The one for printing has them all in one place, where their links do not lead.
fn collect(root: &Path, folder: &Path, pages: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            collect(root, &path, pages)?;
        } else if path.extension().is_some_and(|extension| extension == "html")
            && name != "print.html"
            && name != "404.html"
        {
            pages.insert(path.strip_prefix(root)?.to_path_buf(), fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

/// The values of an attribute.
fn values<'t>(html: &'t str, attribute: &str) -> impl Iterator<Item = &'t str> {
    let begin = format!(" {attribute}=\"");
    let len = begin.len();
    let places: Vec<usize> = html.match_indices(&begin).map(|(at, _)| at + len).collect();
    places.into_iter().filter_map(|at| html[at..].split('"').next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_can_be_put_together() {
        let place = repo::root().join("target/book-test");
        assemble(&repo::root(), &place).unwrap();
        let summary = fs::read_to_string(place.join("src/SUMMARY.md")).unwrap();
        assert!(summary.contains("](docs/src/images.md)") && summary.contains("](models/RECIPES.md)"), "{summary}");
        let images = fs::read_to_string(place.join("src/docs/src/images.md")).unwrap();
        assert!(images.contains("](../../models/RECIPES.md)"), "a chapter is linked to as such");
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn links_are_found_and_replaced() {
        let page = "a [b](c.md#d), ![e](f.svg)\n```\n[no](link)\n```\n[g](https://h)\n";
        let found: Vec<&str> = links(page).map(|(_, link)| link).collect();
        assert_eq!(found, ["c.md#d", "f.svg", "https://h"]);
        let pictures = |before: &str, link: &str| Ok(if before.ends_with('!') { "x".into() } else { link.to_owned() });
        assert_eq!(replaced(page, pictures).unwrap(), page.replace("f.svg", "x"));
        assert_eq!(target(Path::new("a/b.md"), "../c.md#d").unwrap(), Path::new("c.md"));
        assert!(target(Path::new("a.md"), "../c.md").is_err());
    }

    #[test]
    fn links_to_nowhere_are_found() {
        let place = repo::root().join("target/book-links");
        fs::create_dir_all(&place).unwrap();
        let write = |text: &str| fs::write(place.join("a.html"), text).unwrap();
        fs::write(place.join("b.html"), "<h1 id=\"there\">").unwrap();
        write("<a href=\"b.html#there\"> <a href=\"https://elsewhere\"> <a href=\"#own\" id=\"own\">");
        check(&place).unwrap();
        for link in ["b.html#nowhere", "c.html", "#other"] {
            write(&format!("<a href=\"{link}\">"));
            assert!(check(&place).unwrap_err().to_string().contains(link));
        }
        fs::remove_dir_all(place).unwrap();
    }
}
