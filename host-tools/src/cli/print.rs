//! Printing of results.
//!
//! The macros stand in for the standard ones in all commands, which panic when the reader has gone away, as in
//! `kinglet inspect model.kgl | head`. A command goes on instead: what it writes to files matters more. Names of files, models, layers and
//! devices reach a terminal by these alone, so that none can give it orders.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::report::printable;

macro_rules! print {
    ($($argument:tt)*) => { $crate::cli::print::to_stdout(format_args!($($argument)*)) };
}

macro_rules! println {
    () => { print!("\n") };
    ($($argument:tt)*) => { print!("{}\n", format_args!($($argument)*)) };
}

macro_rules! eprintln {
    ($($argument:tt)*) => { std::eprintln!("{}", $crate::report::printable(&format!($($argument)*))) };
}

/// Whether standard output is for [`document`] alone.
static FOR_DOCUMENT: AtomicBool = AtomicBool::new(false);

/// From now on what is printed goes to standard error, but for the document.
pub fn expect_document() {
    FOR_DOCUMENT.store(true, Ordering::Relaxed);
}

/// Prints figures for programs.
pub fn document(json: &str) {
    write(&format!("{json}\n"));
}

/// Prints.
pub fn to_stdout(what: Arguments<'_>) {
    let text = printable(&what.to_string());
    match FOR_DOCUMENT.load(Ordering::Relaxed) {
        true => std::eprint!("{text}"),
        false => write(&text),
    }
}

/// Ends the program when standard output cannot be written to, but for a reader that has gone away.
fn write(text: &str) {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("error: cannot write to standard output: {error}");
            std::process::exit(1);
        }
        _ => {}
    }
}
