//! The `kinglet` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    kinglet_tools::cli::main()
}
