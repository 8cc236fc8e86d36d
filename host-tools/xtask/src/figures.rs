//! `cargo xtask figures`: the figures of README, documentation and cards, from `firmware/bench.json` and the cards' accuracies.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::tests::workspace;
use crate::{command, repo};

/// The board of the figures, as the cards call it.
const BOARD: (&str, &str) = ("mps2-an386", "emulated Cortex-M4F");

/// Pages with tables between the lines `<!-- figures: NAME -->` and `<!-- end -->`.
const PAGES: [&str; 3] = ["README.md", "docs/src/figures.md", "docs/src/peers.md"];

/// The board that the cycles are predicted for, as the table of boards calls it and in words, and the costs that predict them at once.
const REAL: (&str, &str) = ("nucleo-l4r5zi", "ST's NUCLEO-L4R5ZI, Cortex-M4F (STM32L4R5)");
/// The same with its flash in one bank.
const SINGLE: &str = "nucleo-l4r5zi-single";
const COSTS: &str = "host-tools/src/cycles/costs.json";

/// What weights of 4 bits cost each shipped network and save it: measured by the commands that `docs/src/figures.md` tells.
const FOUR_BITS: &str = "models/four-bits.csv";

/// Writes the figures; with `check` only says which files have others.
pub fn run(check: bool) -> Result<()> {
    let bench: Vec<Value> = serde_json::from_str(&read("firmware/bench.json")?)?;
    let of = |board| bench.iter().filter(move |row| row["board"] == board && row["layer"] == "total").collect();
    let (totals, single): (Vec<&Value>, Vec<&Value>) = (of(BOARD.0), of(SINGLE));
    let mut stale = Vec::new();
    let mut put = |path: String, text: String| -> Result<()> {
        if read(&path)? != text {
            match check {
                true => stale.push(path),
                false => fs::write(repo::root().join(path), text)?,
            }
        }
        Ok(())
    };
    for (folder, row) in models(&totals)? {
        let path = format!("models/{folder}/card.md");
        let card = read(&path)?;
        put(path, with_instructions(&card, &row["instructions"])?)?;
    }
    for page in PAGES {
        let text = read(page)?;
        put(page.to_owned(), with_tables(&text, &totals, &single).with_context(|| page.to_owned())?)?;
    }
    // The pictures are the tool's, and its tests compare them.
    if !check {
        let mut tests = workspace();
        tests.env("KINGLET_BLESS", "1").args(["test", "-p", "kinglet-tools", "--test", "readme", "the_pictures"]);
        command::run(&mut tests)?;
    }
    ensure!(stale.is_empty(), "other figures than firmware/bench.json: {}; `cargo xtask figures`", stale.join(", "));
    Ok(())
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(repo::root().join(path)).with_context(|| path.to_owned())
}

/// The shipped models, with the row of each.
fn models<'r>(totals: &[&'r Value]) -> Result<Vec<(String, &'r Value)>> {
    let mut found = Vec::new();
    for name in folders()? {
        // A model may be called after its network alone.
        let is_its = |row: &&&Value| {
            row["model"].as_str().is_some_and(|model| name == model || name.ends_with(&format!("-{model}")))
        };
        let row = totals.iter().find(is_its).with_context(|| format!("no row of {name} on {}", BOARD.0))?;
        found.push((name, *row));
    }
    Ok(found)
}

/// The folders of shipped models.
fn folders() -> Result<Vec<String>> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(repo::root().join("models"))?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    folders.retain(|folder| folder.join("card.md").exists());
    folders.sort();
    let name = |folder: &PathBuf| Some(folder.file_name()?.to_str()?.to_owned());
    folders.iter().map(|folder| name(folder).context("a folder's name")).collect()
}

/// The card with these instructions.
fn with_instructions(card: &str, instructions: &Value) -> Result<String> {
    let begin = format!("| instructions per inference, {} | ", BOARD.1);
    let line = card.lines().find(|line| line.starts_with(&begin)).with_context(|| format!("no line `{begin}`"))?;
    Ok(card.replace(line, &format!("{begin}{} |", grouped(instructions))))
}

/// The page with each of its tables made anew.
fn with_tables(page: &str, totals: &[&Value], single: &[&Value]) -> Result<String> {
    let (mut text, mut rest) = (String::new(), page);
    while let Some((before, after)) = rest.split_once("<!-- figures: ") {
        let (name, after) = after.split_once(" -->\n").context("an open marker")?;
        let (_, after) = after.split_once("<!-- end -->").context("a table without an end")?;
        let table = match name {
            "models" => shipped(totals)?,
            "resnet8" => resnet8(totals),
            "banks" => banks(totals, single)?,
            "types" => types()?,
            "peers" => peers(totals)?,
            "four-bits" => four_bits(&read(FOUR_BITS)?, &folders()?)?,
            "error" => error(&read("firmware/BENCH.md")?, &serde_json::from_str(&read(COSTS)?)?)?,
            other => anyhow::bail!("no table `{other}`"),
        };
        text += &format!("{before}<!-- figures: {name} -->\n{table}<!-- end -->");
        rest = after;
    }
    Ok(text + rest)
}

/// The shipped models: accuracy as the cards have it, cost as the bench has it.
fn shipped(totals: &[&Value]) -> Result<String> {
    let mut table = String::from(
        "| model | float | int8 | MACs | instructions | cycles, predicted | weights | arena | code | stack |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (folder, row) in models(totals)? {
        let card = read(&format!("models/{folder}/card.md"))?;
        let accuracy = |of: &str| accuracy(&card, of).with_context(|| folder.clone());
        let [float, int8] = [accuracy("accuracy, held out, float")?, accuracy(INT8)?];
        let numbers =
            ["macs", "instructions", "cycles", "weights", "arena", "code", "stack"].map(|key| grouped(&row[key]));
        table += &format!("| {folder} | {float} | {int8} | {} |\n", numbers.join(" | "));
    }
    Ok(table)
}

/// MLPerf Tiny's ResNet-8 under budgets.
fn resnet8(totals: &[&Value]) -> String {
    let mut table = String::from(
        "| ResNet-8 | arena | weights | code | stack | instructions | cycles, predicted |\n|---|---|---|---|---|---|---|\n",
    );
    for row in totals.iter().filter(|row| row["model"].as_str().is_some_and(|model| model.starts_with("resnet8"))) {
        let numbers = ["arena", "weights", "code", "stack", "instructions", "cycles"].map(|key| grouped(&row[key]));
        table += &format!("| {} | {} |\n", row["model"].as_str().unwrap_or_default(), numbers.join(" | "));
    }
    table
}

/// What was traced with the flash in one bank, beside the same in two.
fn banks(totals: &[&Value], single: &[&Value]) -> Result<String> {
    let mut table = String::from(
        "| network | instructions | cycles, two banks (validated) | one bank (extrapolated) |\n|---|---|---|---|\n",
    );
    for row in single {
        let other = totals.iter().find(|other| other["model"] == row["model"]);
        let other = other.with_context(|| format!("no row of {} on {}", row["model"], BOARD.0))?;
        let cells = [&row["instructions"], &other["cycles"], &row["cycles"]].map(grouped);
        table += &format!("| {} | {} |\n", row["model"].as_str().unwrap_or_default(), cells.join(" | "));
    }
    Ok(table)
}

/// ResNet-8 as others run it: who, where it was measured, milliseconds, millions of cycles, RAM, flash, right answers.
const PEERS: [[&str; 6]; 2] = [
    [
        "[X-CUBE-AI 9.0](https://github.com/mlcommons/tiny_results_v1.2)",
        "165.1",
        "19.8",
        "62.5 KB of activations",
        "113.0 KB",
        "87 % of 200",
    ],
    [
        "[TensorFlow Lite Micro with CMSIS-NN](https://arxiv.org/abs/2502.01700)",
        "407.8",
        "48.9",
        "58.1 kB",
        "228.0 kB",
        "",
    ],
];

/// Kinglet's, by their names in the bench, and in words.
const OWN: [(&str, &str); 3] =
    [("resnet8 any flash", "any flash"), ("resnet8", "weights as they are"), ("resnet8 least RAM", "least RAM")];

/// ResNet-8 beside what others have measured, on the same board.
fn peers(totals: &[&Value]) -> Result<String> {
    let mut table =
        String::from("| ResNet-8 | ms | million cycles | RAM | flash | right |\n|---|---|---|---|---|---|\n");
    let card = read("models/cifar10-resnet8/card.md")?;
    let right = accuracy(&card, INT8)?;
    let boards: toml::Table = toml::from_str(&read("host-tools/boards.toml")?)?;
    let boards = boards["board"].as_array().context("boards.toml is a list")?;
    let mhz = boards.iter().find(|board| board.get("name").and_then(|name| name.as_str()) == Some(REAL.0));
    let mhz = mhz.and_then(|board| board.get("speed")?.get("mhz")?.as_integer());
    let mhz = mhz.with_context(|| format!("boards.toml has no speed of {}", REAL.0))? as f64;
    for (name, words) in OWN {
        let row = totals.iter().find(|row| row["model"] == name).with_context(|| format!("no row `{name}`"))?;
        let number = |key: &str| row[key].as_f64().with_context(|| format!("`{name}` has no `{key}`"));
        let cycles = number("cycles")? / 1e6;
        let ms = 1e3 * cycles / mhz;
        let kb = |keys: [&str; 2]| -> Result<f64> { Ok((number(keys[0])? + number(keys[1])?) / 1024.0) };
        let [ram, flash] = [kb(["arena", "stack"])?, kb(["weights", "code"])?];
        table += &format!(
            "| Kinglet, {words} | {ms:.1}, predicted | {cycles:.1} | {ram:.1} KB | {flash:.1} KB | {right} |\n"
        );
    }
    for row in PEERS {
        table += &format!("| {} |\n", row.join(" | "));
    }
    Ok(table)
}

/// What the cards call the accuracy of int8.
const INT8: &str = "accuracy, held out, int8, the exported model in the runtime";

/// A percentage of a card.
fn accuracy(card: &str, of: &str) -> Result<String> {
    let begin = format!("| {of} | ");
    let line = card.lines().find_map(|line| line.strip_prefix(&begin));
    line.map(|line| line.trim_end_matches(" |").to_owned()).with_context(|| format!("no line `{begin}`"))
}

/// The shipped models in every type, as the cards have it.
fn types() -> Result<String> {
    let mut table = String::from("| network | float | int8 | 16x8 | float16 |\n|---|---|---|---|---|\n");
    for folder in folders()? {
        let card = read(&format!("models/{folder}/card.md"))?;
        let rows = ["accuracy, held out, float", INT8, "the same with `--dtype 16x8`", "the same with `--dtype f16`"];
        let rows = rows.map(|of| accuracy(&card, of)).into_iter().collect::<Result<Vec<_>>>();
        table += &format!("| {folder} | {} |\n", rows.with_context(|| folder.clone())?.join(" | "));
    }
    Ok(table)
}

/// The networks with weights of 4 bits: the file's lines, of which every model that is shipped has one.
fn four_bits(csv: &str, models: &[String]) -> Result<String> {
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let head = lines.next().with_context(|| format!("{FOUR_BITS} is empty"))?;
    let rows: Vec<Vec<&str>> = lines.collect();
    for name in models {
        ensure!(rows.iter().any(|row| row[0] == name), "{FOUR_BITS} has no line of {name}");
    }
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let cell = |text: &&str| text.parse::<u64>().map_or_else(|_| (*text).to_owned(), |number| grouped(&number.into()));
    let mut table = line(head.iter().map(|&name| name.to_owned()).collect()) + &"|---".repeat(head.len()) + "|\n";
    for row in &rows {
        ensure!(row.len() == head.len(), "{FOUR_BITS}: {} has {} cells, not {}", row[0], row.len(), head.len());
        table += &line(row.iter().map(cell).collect());
    }
    Ok(table)
}

/// How well cycles are known: from a trace, as the bench says, and from a model's shapes, as the costs say.
fn error(bench: &str, costs: &Value) -> Result<String> {
    let begin = format!("- {}: ", REAL.1);
    let traced =
        bench.lines().find_map(|line| line.strip_prefix(&begin)).with_context(|| format!("no line `{begin}`"))?;
    let percent = |of: &str, key: &str| {
        costs[REAL.0][of][key].as_f64().with_context(|| format!("{COSTS} has no `{of}.{key}` of {}", REAL.0))
    };
    let [mean, worst] = [percent("seen", "mean")?, percent("seen", "worst")?];
    let [unseen, most] = [percent("unseen", "mean")?, percent("unseen", "worst")?];
    Ok(format!(
        "Cycles are those of {}, predicted from a trace: {traced}\n`kinglet inspect MODEL --board {}` predicts them at once, without QEMU: {mean:.1} % off the trace on average, \
         {worst:.1} % at most; {unseen:.1} % and {most:.1} % for models that its costs were not fitted to.\n",
        REAL.1, REAL.0
    ))
}

/// A number with a comma between thousands.
fn grouped(number: &Value) -> String {
    let digits = number.as_u64().map_or_else(|| "-".to_owned(), |number| number.to_string());
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_lies_between_the_markers_is_made_anew() {
        let row = json!({ "model": "resnet8", "arena": 1234, "weights": 5, "code": 6, "stack": 7, "instructions": 8_000_000, "cycles": null });
        let page = "a\n<!-- figures: resnet8 -->\nold\n<!-- end -->\nb\n";
        let text = with_tables(page, &[&row], &[]).unwrap();
        assert!(text.starts_with("a\n") && text.ends_with("<!-- end -->\nb\n") && !text.contains("old"), "{text}");
        assert!(text.contains("| resnet8 | 1,234 | 5 | 6 | 7 | 8,000,000 | - |"), "{text}");
        assert!(with_tables("<!-- figures: resnet8 -->\n", &[&row], &[]).is_err());
        let single = json!({ "model": "resnet8", "instructions": 8_000_000, "cycles": 9 });
        assert!(banks(&[&row], &[&single]).unwrap().ends_with("| resnet8 | 8,000,000 | - | 9 |\n"));
        assert!(banks(&[], &[&single]).is_err());
        let bench = "- ST's NUCLEO-L4R5ZI, Cortex-M4F (STM32L4R5): say 15 %.\n";
        let costs = json!({ "nucleo-l4r5zi": { "seen": { "mean": 1.26, "worst": 4.0 }, "unseen": { "mean": 5, "worst": 16 } } });
        let said = error(bench, &costs).unwrap();
        assert!(
            said.contains(": say 15 %.\n") && said.contains("1.3 % off the trace on average, 4.0 % at most"),
            "{said}"
        );
        let models = ["a".to_owned()];
        let table = four_bits("network,right,bytes\na,84.9 %,44136\n", &models).unwrap();
        assert_eq!(table, "| network | right | bytes |\n|---|---|---|\n| a | 84.9 % | 44,136 |\n");
        assert!(four_bits("network,bytes\nb,1\n", &models).unwrap_err().to_string().contains("no line of a"));
        assert!(four_bits("network,bytes\na\n", &models).is_err());
        assert!(error("", &costs).is_err() && error(bench, &json!({})).is_err());
        let card = "| instructions per inference, emulated Cortex-M4F | 1 |\n";
        assert!(with_instructions(card, &json!(1_000)).unwrap().contains("| 1,000 |"));
        assert!(with_instructions("", &json!(1)).is_err());
    }

    #[test]
    fn the_committed_figures_are_the_benchs() {
        run(true).unwrap();
    }
}
