//! Plain tables for terminals: columns as wide as they need, numbers to the right.

use std::fmt;

use anyhow::{Result, ensure};
use serde_json::Value;

pub use crate::words::grouped;

/// Rows of cells under a heading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub fn new<'h>(heading: impl IntoIterator<Item = &'h str>) -> Self {
        Self { heading: heading.into_iter().map(String::from).collect(), rows: Vec::new() }
    }

    /// Appends a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// All rows, the heading first.
    pub fn cells(&self) -> impl Iterator<Item = &Vec<String>> {
        std::iter::once(&self.heading).chain(&self.rows)
    }

    /// The table as CSV.
    pub fn to_csv(&self) -> String {
        self.cells().map(|row| csv_line(row)).collect()
    }

    /// The table of a CSV file, as [`Table::to_csv`] writes it.
    ///
    /// # Errors
    /// Names the line that has another number of cells than the heading, or a quote that does not end.
    pub fn from_csv(text: &str) -> Result<Self> {
        let mut rows: Vec<Vec<String>> = Vec::new();
        let (mut row, mut cell, mut quoted) = (Vec::new(), String::new(), false);
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
                '"' => quoted = !quoted,
                ',' if !quoted => row.push(std::mem::take(&mut cell)),
                '\n' if !quoted => {
                    row.push(std::mem::take(&mut cell));
                    rows.push(std::mem::take(&mut row));
                }
                '\r' if !quoted => {}
                char => cell.push(char),
            }
        }
        ensure!(!quoted, "a quote does not end");
        if !(row.is_empty() && cell.is_empty()) {
            row.push(cell);
            rows.push(row);
        }
        ensure!(!rows.is_empty(), "there is no heading");
        let heading = rows.remove(0);
        for (index, row) in rows.iter().enumerate() {
            let (line, cells, columns) = (index + 2, row.len(), heading.len());
            ensure!(cells == columns, "line {line} has {cells} cells, the heading {columns}");
        }
        Ok(Self { heading, rows })
    }

    /// The table as JSON: an object for each row, numbers as numbers.
    pub fn to_json(&self) -> Value {
        let value = |cell: &String| match cell.replace(',', "").parse::<f64>() {
            Ok(number) if number.fract() == 0.0 => Value::from(number as i64),
            Ok(number) => Value::from(number),
            Err(_) => Value::from(cell.as_str()),
        };
        let row = |row: &Vec<String>| self.heading.iter().cloned().zip(row.iter().map(value)).collect();
        Value::Array(self.rows.iter().map(row).collect())
    }

    /// The table in Markdown.
    pub fn to_markdown(&self) -> String {
        let line = |row: &Vec<String>| format!("| {} |\n", row.join(" | "));
        let rule = format!("|{}\n", "---|".repeat(self.heading.len()));
        line(&self.heading) + &rule + &self.rows.iter().map(line).collect::<String>()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = || self.cells();
        let columns = self.heading.len();
        let width = |c: usize| all().filter_map(|row| row.get(c)).map(|cell| cell.chars().count()).max().unwrap_or(0);
        // A column whose cells all begin like numbers is one of numbers.
        let numeric = |c: usize| {
            let begins =
                |cell: &String| cell.is_empty() || cell.starts_with(|ch: char| ch.is_ascii_digit() || ch == '-');
            self.rows.iter().filter_map(|row| row.get(c)).all(begins)
        };
        let layout: Vec<_> = (0..columns).map(|c| (width(c), numeric(c))).collect();
        for row in all() {
            let mut line = String::new();
            for (cell, &(width, numeric)) in row.iter().zip(&layout) {
                let cell = if numeric { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
                line.push_str(&cell);
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A line of CSV (RFC 4180): cells with commas, quotes or line ends are quoted.
pub(super) fn csv_line(cells: &[String]) -> String {
    let cell = |cell: &String| match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.clone(),
    };
    cells.iter().map(cell).collect::<Vec<_>>().join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_read_as_it_is_written() {
        let mut table = Table::new(["name", "of, \"it\""]);
        table.row(["a\nb".into(), grouped(1_234_567)]);
        table.row([String::new(), "c".into()]);
        assert_eq!(Table::from_csv(&table.to_csv()).unwrap(), table);
        assert_eq!(Table::from_csv("a,b\r\n1,2").unwrap().cells().count(), 2);
        let said = |text: &str| Table::from_csv(text).unwrap_err().to_string();
        assert_eq!(said("a,b\n1,2\n3\n"), "line 3 has 1 cells, the heading 2");
        assert_eq!([said("\"a"), said("")], ["a quote does not end", "there is no heading"]);
    }

    #[test]
    fn numbers_go_to_the_right_and_names_to_the_left() {
        let mut table = Table::new(["name", "bytes"]);
        table.row(["a".into(), grouped(1_234_567)]);
        table.row(["long".into(), grouped(12)]);
        assert_eq!(table.to_string(), "name      bytes\na     1,234,567\nlong         12\n");
        let json = serde_json::json!([{ "name": "a", "bytes": 1_234_567 }, { "name": "long", "bytes": 12 }]);
        assert_eq!(table.to_json(), json);
    }
}
