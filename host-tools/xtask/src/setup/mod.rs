//! `cargo xtask setup`: find out what is missing, say what will be done about it, do it, and look again.
//!
//! Facts ([`facts`]) are gathered without changing anything, the plan ([`plan`]) is decided from them alone, and only
//! [`apply`] touches the machine.

mod facts;
mod plan;
mod qemu;
mod rust_src;
mod targets;

use anyhow::{Context, Result, bail};

use facts::Facts;
use plan::{Action, Plan};

/// The targets that the runtime is built and tested for: Armv6-M, v7-M, v7E-M with FPU, v8-M Mainline with FPU; RISC-V with atomic
/// instructions (RP2350's Hazard3, ESP32-C6) and without (ESP32-C3).
pub const TARGETS: [&str; 6] = [
    "thumbv6m-none-eabi",
    "thumbv7m-none-eabi",
    "thumbv7em-none-eabihf",
    "thumbv8m.main-none-eabihf",
    "riscv32imac-unknown-none-elf",
    "riscv32imc-unknown-none-elf",
];

/// The target of the runtime in a page.
pub const WASM: &str = "wasm32-unknown-unknown";

/// Makes the machine ready, or with `no_install` only says what is missing and fails when something is.
pub fn run(no_install: bool) -> Result<()> {
    let facts = Facts::gather()?;
    let plan = Plan::decide(&facts);
    if plan.missing.is_empty() {
        eprintln!("setup: nothing to install ({})", facts.summary());
        plan.say_notes();
        return Ok(());
    }

    eprintln!("setup: missing here:");
    plan.missing.iter().for_each(|what| eprintln!("  - {what}"));
    if !plan.actions.is_empty() {
        eprintln!("setup: {}", if no_install { "this would be done:" } else { "this will be done now:" });
        for (number, action) in plan.actions.iter().enumerate() {
            let lines = action.describe(&facts);
            for (index, line) in lines.iter().enumerate() {
                let label = if index == 0 { format!("{:>3}. ", number + 1) } else { "     ".to_string() };
                eprintln!("{label}{line}");
            }
        }
    }
    plan.say_notes();
    if !plan.blocked.is_empty() {
        eprintln!("setup: this is left to you:");
        plan.blocked.iter().for_each(|what| eprintln!("  - {what}"));
    }
    if no_install {
        bail!("--no-install: nothing was installed, and {} missing", plan.count());
    }
    // All or nothing: half an installation helps nobody who then reads that the rest cannot be done.
    if !plan.blocked.is_empty() {
        bail!("setup cannot go on by itself; nothing was installed");
    }

    for action in &plan.actions {
        apply(action, &facts)?;
    }
    let facts = Facts::gather()?;
    let left = Plan::decide(&facts);
    if !left.missing.is_empty() {
        bail!("still missing after the installation: {}", left.missing.join("; "));
    }
    eprintln!("setup: done ({})", facts.summary());
    left.say_notes();
    Ok(())
}

fn apply(action: &Action, facts: &Facts) -> Result<()> {
    match action {
        Action::Targets { targets, ways } => targets::install(targets, ways, &facts.toolchain),
        Action::AptUpdate => qemu::apt_update(&facts.system),
        Action::AddBackports { codename } => qemu::add_backports(codename, &facts.system),
        Action::AptInstall { packages, suite } => qemu::apt_install(packages, suite.as_deref(), &facts.system),
        Action::Brew { upgrade } => qemu::brew(*upgrade),
    }
    .with_context(|| format!("setup step \"{}\"", action.describe(facts).join(" ")))
}
