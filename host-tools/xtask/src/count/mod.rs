//! `cargo xtask count`: lines of code of the product, and public items of the runtime.
//!
//! The product is what users build: `build.rs`, `src`, `host-tools/src`, `host-tools/xtask`, `firmware` and `wasm`;
//! not the integration tests, the examples and the fuzz targets.

mod lines;
mod public;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, ensure};

use crate::repo;

/// The folders of the product, each with the number of path components that name a room in it.
const PRODUCT: [(&str, usize); 6] = [
    ("build.rs", 1),
    ("src", 2),
    ("host-tools/src", 3),
    ("host-tools/xtask", 4),
    ("firmware", 2),
    ("host-tools/wasm", 2),
];

pub fn run() -> Result<()> {
    let mut all = 0;
    for (folder, depth) in PRODUCT {
        let rooms = rooms(folder, depth)?;
        let sum: usize = rooms.values().sum();
        println!("{sum:>7}  {folder}");
        rooms.iter().filter(|_| rooms.len() > 1).for_each(|(room, lines)| println!("{lines:>15}  {room}"));
        all += sum;
    }
    println!("{all:>7}  lines of code, without tests, comments and blank lines\n");
    let (shown, hidden) = (public::items(false)?, public::items(true)?);
    println!("{shown:>7}  public items of the runtime without the tools' feature");
    println!("{:>7}  more, which its documentation hides", hidden - shown);
    Ok(())
}

/// The most public items of the runtime, without the tools' feature: what users need, and have to read.
const MOST_ITEMS: usize = 200;

/// Counts the runtime's public items, of which there may not be more than users need.
pub fn surface() -> Result<()> {
    let items = public::items(false)?;
    println!("{items} public items, of at most {MOST_ITEMS}");
    ensure!(
        items <= MOST_ITEMS,
        "more than {MOST_ITEMS} public items: `internal!` is for what only the host tools use"
    );
    Ok(())
}

/// Lines of code under `folder`, by room: a folder directly below it, or the files that lie in it.
fn rooms(folder: &str, depth: usize) -> Result<BTreeMap<String, usize>> {
    let mut rooms = BTreeMap::new();
    for file in repo::files(folder, &["rs", "S", "c"])? {
        let parent = file.parent().unwrap_or(Path::new(""));
        let room = parent.iter().take(depth).collect::<std::path::PathBuf>().display().to_string();
        *rooms.entry(room).or_default() += lines::of(&file)?;
    }
    Ok(rooms)
}
