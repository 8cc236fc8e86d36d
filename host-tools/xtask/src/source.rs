//! Rust source as tokens, without comments and tests.

use std::iter::Peekable;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use crate::repo;

/// The tokens of a file, by its path in the repository; none when the file holds only tests.
pub fn product(file: &Path) -> Result<Vec<TokenTree>> {
    if tests_only(file) {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(repo::root().join(file)).with_context(|| file.display().to_string())?;
    parse(&text).with_context(|| file.display().to_string())
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

/// The tokens of a text.
pub fn parse(text: &str) -> Result<Vec<TokenTree>> {
    let tokens = TokenStream::from_str(text).map_err(|error| anyhow!("{error}"))?;
    Ok(without_tests(tokens).into_iter().collect())
}

fn without_tests(tokens: TokenStream) -> TokenStream {
    let mut tokens = tokens.into_iter().peekable();
    let mut kept = Vec::new();
    while let Some(token) = tokens.next() {
        let attribute = is_punct(&token, '#').then(|| attribute(&mut tokens.clone())).flatten();
        match (attribute, token) {
            (Some((length, attribute)), _) => {
                tokens.by_ref().take(length).count();
                if attribute == Attribute::Test {
                    skip_item(&mut tokens);
                }
            }
            (None, TokenTree::Group(group)) => {
                let mut product = Group::new(group.delimiter(), without_tests(group.stream()));
                product.set_span(group.span());
                kept.push(product.into());
            }
            (None, token) => kept.push(token),
        }
    }
    kept.into_iter().collect()
}

#[derive(PartialEq)]
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
fn skip_item(tokens: &mut Peekable<impl Iterator<Item = TokenTree>>) {
    for token in tokens.by_ref() {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => break,
            token if is_punct(&token, ';') => return,
            _ => {}
        }
    }
    tokens.next_if(|token| is_punct(token, ';'));
}

/// Whether a token is this character.
pub fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}
