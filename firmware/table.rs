// The table of boards, for build scripts: `host-tools/boards.toml`, which says what the columns mean.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

/// The boards, in the folder of this repository that `root` names.
fn boards(root: &Path) -> Vec<Table> {
    let path = root.join("host-tools/boards.toml");
    println!("cargo:rerun-if-changed={}", path.display());
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut table: Table = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    table.remove("board").and_then(|boards| boards.try_into().ok()).expect("the table lists boards")
}

/// A text of a board, empty when it has none.
fn text<'b>(board: &'b Table, key: &str) -> &'b str {
    board.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(table: &Value, key: &str) -> i64 {
    table.get(key).and_then(Value::as_integer).unwrap_or_else(|| panic!("{table} has no number `{key}`"))
}

/// A board's memory map, for the linker.
fn memory_map(board: &Table) -> String {
    let (flash, ram, stack) = (&board["flash"], board["ram"].as_array().expect("a list"), &board["stack"]);
    let region = |name: &str, at: i64, kb: i64| format!("  {name:5} : ORIGIN = {at:#010x}, LENGTH = {kb}K\n");
    let (mut at, mut kb) = (number(&ram[0], "at"), number(&ram[0], "kb"));
    let (stack_at, stack_kb) = (number(stack, "at"), number(stack, "kb"));
    if stack_at == at {
        (at, kb) = (at + stack_kb * 1024, kb - stack_kb);
    }
    let mut script = format!(
        "MEMORY\n{{\n{}{}{}",
        region("FLASH", number(flash, "at"), number(flash, "kb")),
        region("STACK", stack_at, stack_kb),
        region("RAM", at, kb)
    );
    script += &match ram.get(1) {
        Some(slow) => region("SLOW", number(slow, "at"), number(slow, "kb")) + "}\n",
        None => "}\nREGION_ALIAS(\"SLOW\", RAM);\n".to_owned(),
    };
    script += "_stack_start = ORIGIN(STACK) + LENGTH(STACK);\n_stack_end = ORIGIN(STACK);\n";
    if let Some(kb) = board.get("models_kb").and_then(Value::as_integer) {
        script += &format!("_models = ORIGIN(FLASH) + {kb}K;\n");
    }
    script + text(board, "sections") + "\n"
}
