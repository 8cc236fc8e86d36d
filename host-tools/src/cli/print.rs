//! Printing of results.
//!
//! The macros stand in for the standard ones in all commands, which panic when the reader has gone away, as in
//! `kinglet inspect model.kgl | head`. A command goes on instead: what it writes to files matters more. Names of files, models, layers and
//! devices reach a terminal by these alone, so that none can give it orders.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

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

/// Prints; ends the program when that fails, but for a reader that has gone away.
pub fn to_stdout(what: Arguments<'_>) {
    match std::io::stdout().write_all(printable(&what.to_string()).as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("error: cannot write to standard output: {error}");
            std::process::exit(1);
        }
        _ => {}
    }
}
