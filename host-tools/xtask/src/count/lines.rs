//! Lines of code of one file: those that hold a part of a token which is neither a comment nor part of a test.

use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::repo;

/// Lines of code of a file, by its path in the repository.
pub fn of(file: &Path) -> Result<usize> {
    let text = std::fs::read_to_string(repo::root().join(file)).with_context(|| file.display().to_string())?;
    let rust = file.extension().is_some_and(|ending| ending == "rs");
    match rust {
        true if tests_only(file) => Ok(0),
        true => rust_lines(&text).with_context(|| file.display().to_string()),
        false => Ok(plain_lines(&text)),
    }
}

/// Whether the module above declares this file under `#[cfg(test)]`.
fn tests_only(file: &Path) -> bool {
    let (Some(stem), Some(folder)) = (file.file_stem().and_then(|stem| stem.to_str()), file.parent()) else {
        return false;
    };
    ["mod.rs", "lib.rs", "main.rs"].iter().any(|parent| {
        let text = std::fs::read_to_string(repo::root().join(folder).join(parent)).unwrap_or_default();
        text.contains(&format!("#[cfg(test)]\nmod {stem};"))
    })
}

/// Assembly and C: neither blank nor comments from the line's first character on.
fn plain_lines(text: &str) -> usize {
    let mut comment = false;
    let code = |line: &&str| {
        let line = line.trim();
        let inside = comment || line.starts_with("/*");
        comment = inside && !line.ends_with("*/");
        !inside && !line.is_empty() && !line.starts_with("//")
    };
    text.lines().filter(code).count()
}

fn rust_lines(text: &str) -> Result<usize> {
    let tokens = TokenStream::from_str(text).map_err(|error| anyhow!("{error}"))?;
    let mut lines = BTreeSet::new();
    collect(tokens, &mut lines);
    Ok(lines.len())
}

fn collect(tokens: TokenStream, lines: &mut BTreeSet<usize>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let attribute = is_punct(&token, '#').then(|| attribute(&mut tokens.clone())).flatten();
        match attribute {
            Some((length, Attribute::Doc)) => drop(tokens.by_ref().take(length).count()),
            Some((length, Attribute::Test)) => {
                tokens.by_ref().take(length).count();
                skip_item(&mut tokens);
            }
            None => {
                let span = token.span();
                match token {
                    TokenTree::Group(group) => {
                        lines.extend([group.span_open().start().line, group.span_close().end().line]);
                        collect(group.stream(), lines);
                    }
                    _ => lines.extend(span.start().line..=span.end().line),
                }
            }
        }
    }
}

enum Attribute {
    /// A doc comment.
    Doc,
    /// `cfg(test)`, alone or within `all`.
    Test,
}

/// What the tokens behind a `#` say, and how many they are.
fn attribute(tokens: &mut impl Iterator<Item = TokenTree>) -> Option<(usize, Attribute)> {
    let mut token = tokens.next()?;
    let inner = is_punct(&token, '!');
    if inner {
        token = tokens.next()?;
    }
    let TokenTree::Group(group) = token else { return None };
    let length = 1 + usize::from(inner);
    let words = group.stream().to_string().replace(' ', "");
    match words.as_str() {
        _ if words.starts_with("doc=") => Some((length, Attribute::Doc)),
        "cfg(test)" => Some((length, Attribute::Test)),
        _ if words.starts_with("cfg(all(test,") => Some((length, Attribute::Test)),
        _ => None,
    }
}

/// Skips an item: to its `;`, or its body and what closes a `use` behind that.
fn skip_item(tokens: &mut std::iter::Peekable<impl Iterator<Item = TokenTree>>) {
    for token in tokens.by_ref() {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => break,
            token if is_punct(&token, ';') => return,
            _ => {}
        }
    }
    tokens.next_if(|token| is_punct(token, ';'));
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blank_lines_and_tests_do_not_count() {
        let text = "//! Head.\n\n/// Doc.\nfn f() { // one\n    g(); /* two */\n}\n\n#[cfg(test)]\nuse a::{b, c};\n\
                    #[cfg(all(test, unix))]\nmod tests {\n    fn t() {}\n}\nconst S: &str = \"a\n  b\";\n";
        assert_eq!(rust_lines(text).unwrap(), 5);
        assert_eq!(plain_lines("/* a\n b */\n\n// c\n  ldr r0, [r1]\n.macro x\n"), 2);
    }
}
