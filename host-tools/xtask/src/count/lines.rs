//! Lines of code of one file: those that hold a part of a token which is neither a comment nor part of a test.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use proc_macro2::TokenTree;

use crate::{repo, source};

/// Lines of code of a file, by its path in the repository.
pub fn of(file: &Path) -> Result<usize> {
    if file.extension().is_some_and(|ending| ending == "rs") {
        return Ok(rust(source::product(file)?));
    }
    let text = std::fs::read_to_string(repo::root().join(file)).with_context(|| file.display().to_string())?;
    Ok(plain(&text))
}

fn rust(tokens: Vec<TokenTree>) -> usize {
    let mut lines = BTreeSet::new();
    collect(tokens, &mut lines);
    lines.len()
}

fn collect(tokens: impl IntoIterator<Item = TokenTree>, lines: &mut BTreeSet<usize>) {
    for token in tokens {
        let span = token.span();
        match token {
            TokenTree::Group(group) => {
                lines.extend([span.start().line, span.end().line]);
                collect(group.stream(), lines);
            }
            _ => lines.extend(span.start().line..=span.end().line),
        }
    }
}

/// Assembly and C: neither blank nor comments from the line's first character on.
fn plain(text: &str) -> usize {
    let mut comment = false;
    let code = |line: &&str| {
        let line = line.trim();
        let inside = comment || line.starts_with("/*");
        comment = inside && !line.ends_with("*/");
        !inside && !line.is_empty() && !line.starts_with("//")
    };
    text.lines().filter(code).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blank_lines_and_tests_do_not_count() {
        let text = "//! Head.\n\n/// Doc.\nfn f() { // one\n    g(); /* two */\n}\n\n#[cfg(test)]\nuse a::{b, c};\n\
                    #[cfg(all(test, unix))]\nmod tests {\n    fn t() {}\n}\nconst S: &str = \"a\n  b\";\n";
        assert_eq!(rust(source::parse(text).unwrap()), 5);
        assert_eq!(plain("/* a\n b */\n\n// c\n  ldr r0, [r1]\n.macro x\n"), 2);
    }
}
