//! What to do about what is missing: decided from the facts alone, so that every case can be tested on any machine.

use super::facts::{Facts, Installed, Kind, Release, System, Version};
use super::{qemu, rust_src};

/// QEMU below this lacks boards and fixes that we use, or is too far from what we test with.
pub const OLDEST_QEMU: Version = Version(8, 2, 0);
/// From here on we test. In between it works as far as we know, with a word of warning.
pub const TESTED_QEMU: Version = Version(9, 0, 0);

/// Debian's package of a browser.
const BROWSER: &[&str] = &["chromium"];

/// What is missing, and what will be done.
#[derive(Debug, Default)]
pub struct Plan {
    /// For the user: one entry for each thing that is missing.
    pub missing: Vec<String>,
    pub actions: Vec<Action>,
    /// What we cannot do, and how the user can.
    pub blocked: Vec<String>,
    /// Worth knowing, but nothing is missing.
    pub notes: Vec<String>,
}

/// One step that changes the machine.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Make `targets` usable for the active toolchain: by the first of `ways` that works.
    Targets {
        targets: Vec<Target>,
        ways: Vec<Way>,
    },
    AptUpdate,
    /// Add the backports suite of this Debian release in a sources file of our own.
    AddBackports {
        codename: String,
    },
    /// Install packages, from `suite` if given.
    AptInstall {
        packages: &'static [&'static str],
        suite: Option<String>,
    },
    Brew {
        upgrade: bool,
    },
}

/// A target to install; `stale` when an unusable copy must go first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub name: &'static str,
    pub stale: bool,
}

/// How a target can be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `rustup target add`
    Rustup,
    /// Build `core` and `alloc` from the standard library's source: the toolchain's own, or the distribution's package.
    Source,
}

impl Plan {
    pub fn decide(facts: &Facts) -> Self {
        let mut plan = Self::default();
        plan.targets(facts);
        plan.qemu(facts);
        plan.browser(facts);
        plan
    }

    /// "1 thing is", "2 things are"
    pub fn count(&self) -> String {
        match self.missing.len() {
            1 => "1 thing is".to_string(),
            n => format!("{n} things are"),
        }
    }

    pub fn say_notes(&self) {
        self.notes.iter().for_each(|note| eprintln!("setup: note: {note}"));
    }

    fn targets(&mut self, facts: &Facts) {
        let unusable = facts.targets.iter().filter(|(_, state)| *state != Installed::Usable);
        let targets: Vec<Target> =
            unusable.map(|&(name, state)| Target { name, stale: state == Installed::Stale }).collect();
        if targets.is_empty() {
            return;
        }
        let toolchain = &facts.toolchain;
        let names = names(&targets);
        self.missing.push(format!("Rust targets for rustc {}: {names}", toolchain.release));

        let mut ways = Vec::new();
        if toolchain.rustup && facts.rustup_allowed {
            ways.push(Way::Rustup);
        }
        // A distribution packages releases only, and a nightly's `core` is another one every day.
        let package = facts.system.apt && toolchain.release.chars().all(|c| c.is_ascii_digit() || c == '.');
        if toolchain.source || package {
            ways.push(Way::Source);
        }
        if ways.is_empty() {
            self.blocked.push(format!("install the targets by hand: rustup target add {}", names.replace(", ", " ")));
        } else {
            self.actions.push(Action::Targets { targets, ways });
        }
    }

    /// A browser is installed where that is one package; elsewhere its tests are left out.
    fn browser(&mut self, facts: &Facts) {
        let Facts { browser, system, .. } = facts;
        if *browser {
            return;
        }
        let debian = matches!(&system.kind, Kind::Linux(release) if release.id == "debian");
        if !debian || !system.apt || !(system.root || system.sudo) {
            self.notes.push("there is no Chromium: the tests of the page are left out".to_string());
            return;
        }
        self.missing.push("Chromium, to test pages in".to_string());
        if !self.actions.contains(&Action::AptUpdate) {
            self.actions.push(Action::AptUpdate);
        }
        self.actions.push(Action::AptInstall { packages: BROWSER, suite: None });
    }

    fn qemu(&mut self, facts: &Facts) {
        match facts.qemu {
            Some(found) if found >= TESTED_QEMU => return,
            Some(found) if found >= OLDEST_QEMU => {
                self.notes.push(format!(
                    "QEMU {found} is older than {TESTED_QEMU}, the oldest that is tested; boards added since are missing"
                ));
                return;
            }
            Some(found) => self.missing.push(format!("QEMU {OLDEST_QEMU} or newer for Arm and RISC-V (here: {found})")),
            None => {
                self.missing.push(format!("QEMU {OLDEST_QEMU} or newer for Arm and RISC-V (qemu-system-arm or qemu-system-riscv32 is not on the PATH)"))
            }
        }
        match install_qemu(&facts.system, facts.qemu.is_some()) {
            Ok(actions) => self.actions.extend(actions),
            Err(advice) => self.blocked.push(advice),
        }
    }
}

/// The steps that install QEMU here, or what to tell the user.
fn install_qemu(system: &System, found: bool) -> Result<Vec<Action>, String> {
    let by_hand = |why: &str| {
        Err(format!("install QEMU {TESTED_QEMU} or newer with qemu-system-arm and qemu-system-riscv32: {why}"))
    };
    let release = match &system.kind {
        Kind::MacOs if system.brew => return Ok(vec![Action::Brew { upgrade: found }]),
        Kind::MacOs => return by_hand("this needs Homebrew, which is not on the PATH"),
        Kind::Linux(release) if system.apt => release,
        Kind::Linux(release) => return by_hand(&format!("{} has no apt-get; use its package manager", release.name)),
        Kind::Other => return by_hand("this system is none that setup knows"),
    };
    if !system.root && !system.sudo {
        return by_hand("apt-get needs root, and there is no sudo");
    }
    match suite(release) {
        Suite::Own => Ok(vec![Action::AptUpdate, Action::AptInstall { packages: qemu::PACKAGES, suite: None }]),
        Suite::Backports => Ok(vec![
            Action::AptUpdate,
            Action::AddBackports { codename: release.codename.clone() },
            Action::AptInstall { packages: qemu::PACKAGES, suite: Some(format!("{}-backports", release.codename)) },
        ]),
        Suite::TooOld => by_hand(&format!("{} packages an older one", release.name)),
    }
}

enum Suite {
    Own,
    Backports,
    TooOld,
}

/// Where a release has a new enough QEMU. Releases that we do not know get their own, which is checked afterwards.
fn suite(release: &Release) -> Suite {
    let version = release.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    match (&*release.id, version) {
        ("debian", Some(12)) => Suite::Backports,
        ("debian", Some(..12)) | ("ubuntu", Some(..24)) => Suite::TooOld,
        _ => Suite::Own,
    }
}

/// The targets' names for a sentence.
pub fn names(targets: &[Target]) -> String {
    targets.iter().map(|target| target.name).collect::<Vec<_>>().join(", ")
}

impl Action {
    /// What the step does, in one or more lines, for the user to read before it is done.
    pub fn describe(&self, facts: &Facts) -> Vec<String> {
        match self {
            Self::Targets { targets, ways } => {
                let mut lines = Vec::new();
                for way in ways {
                    let lead = if lines.is_empty() { "" } else { "if that fails: " };
                    match way {
                        Way::Rustup => {
                            let stale = targets.iter().any(|target| target.stale);
                            let remove = if stale { "rustup target remove (unusable copies), then " } else { "" };
                            let list = names(targets).replace(", ", " ");
                            lines.push(format!("{lead}{remove}rustup target add {list}"));
                        }
                        Way::Source => {
                            let mut steps = rust_src::describe(targets, &facts.toolchain);
                            if let Some(first) = steps.first_mut() {
                                first.insert_str(0, lead);
                            }
                            lines.extend(steps);
                        }
                    }
                }
                lines
            }
            Self::AptUpdate => vec![qemu::as_root("apt-get update", &facts.system)],
            Self::AddBackports { codename } => vec![
                format!("write {} (suite {codename}-backports of the mirror that apt already uses,", qemu::SOURCES),
                "unless apt knows that suite already), then apt-get update again".to_string(),
            ],
            Self::AptInstall { packages, suite } => {
                let words = qemu::install(packages, suite.as_deref()).join(" ");
                vec![qemu::as_root(&format!("apt-get {words}"), &facts.system)]
            }
            Self::Brew { upgrade } => vec![format!("brew {} qemu", if *upgrade { "upgrade" } else { "install" })],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::Toolchain;
    use super::super::{TARGETS, WASM};
    use super::*;

    /// Debian 12 as root with rustup and nothing else that we need.
    fn fresh() -> Facts {
        Facts {
            toolchain: Toolchain {
                release: "1.95.0".into(),
                commit: "0".into(),
                sysroot: "/sysroot".into(),
                rustup: true,
                source: false,
            },
            targets: [&TARGETS[..], &[WASM]].concat().into_iter().map(|name| (name, Installed::Missing)).collect(),
            rustup_allowed: true,
            qemu: None,
            browser: false,
            system: System { kind: linux("debian", "12", "bookworm"), root: true, sudo: false, apt: true, brew: false },
        }
    }

    fn ready() -> Facts {
        let mut facts = fresh();
        facts.targets.iter_mut().for_each(|(_, state)| *state = Installed::Usable);
        facts.qemu = Some(Version(10, 0, 2));
        facts.browser = true;
        facts
    }

    fn linux(id: &str, version: &str, codename: &str) -> Kind {
        Kind::Linux(Release {
            id: id.into(),
            version: version.into(),
            codename: codename.into(),
            name: format!("{id} {version}"),
        })
    }

    /// What the user reads before anything is done.
    fn said(facts: &Facts) -> String {
        Plan::decide(facts).actions.iter().flat_map(|action| action.describe(facts)).collect::<Vec<_>>().join("\n")
    }

    fn ways(facts: &Facts) -> Vec<Way> {
        let plan = Plan::decide(facts);
        let found = plan.actions.into_iter().find_map(|action| match action {
            Action::Targets { ways, .. } => Some(ways),
            _ => None,
        });
        found.unwrap_or_default()
    }

    #[test]
    fn a_ready_machine_needs_nothing() {
        let plan = Plan::decide(&ready());
        assert!(plan.missing.is_empty() && plan.actions.is_empty() && plan.blocked.is_empty() && plan.notes.is_empty());
    }

    #[test]
    fn a_fresh_debian_12_takes_rustup_then_source_and_qemu_from_backports() {
        let plan = Plan::decide(&fresh());
        assert_eq!(plan.missing.len(), 3);
        assert_eq!(ways(&fresh()), [Way::Rustup, Way::Source]);
        assert_eq!(
            plan.actions[1..],
            [
                Action::AptUpdate,
                Action::AddBackports { codename: "bookworm".into() },
                Action::AptInstall { packages: qemu::PACKAGES, suite: Some("bookworm-backports".into()) },
                Action::AptInstall { packages: BROWSER, suite: None },
            ]
        );
        let said = said(&fresh());
        for part in [
            "rustup target add thumbv6m-none-eabi thumbv7m-none-eabi",
            "if that fails: ",
            "rust-src 1.95.0",
            qemu::SOURCES,
            "-t bookworm-backports qemu-system-arm",
        ] {
            assert!(said.contains(part), "{part:?} is not said in:\n{said}");
        }
    }

    #[test]
    fn rustup_is_left_alone_when_asked_to_be() {
        let facts = Facts { rustup_allowed: false, ..fresh() };
        assert_eq!(ways(&facts), [Way::Source]);
        assert!(!said(&facts).contains("rustup target"), "{}", said(&facts));
    }

    #[test]
    fn only_what_is_missing_is_installed() {
        let mut facts = ready();
        facts.targets[2].1 = Installed::Stale;
        let plan = Plan::decide(&facts);
        assert_eq!(plan.actions.len(), 1);
        let [Action::Targets { targets, .. }] = &plan.actions[..] else { panic!("{:?}", plan.actions) };
        assert_eq!(targets[..], [Target { name: "thumbv7em-none-eabihf", stale: true }]);
        assert!(said(&facts).contains("rustup target remove"));
    }

    #[test]
    fn without_rustup_and_apt_a_source_in_the_sysroot_is_enough_and_nothing_is_not() {
        let mut facts = fresh();
        facts.system.apt = false;
        facts.rustup_allowed = false;
        assert!(ways(&facts).is_empty());
        assert!(Plan::decide(&facts).blocked[0].contains("rustup target add thumbv6m-none-eabi"));
        facts.toolchain.source = true;
        assert_eq!(ways(&facts), [Way::Source]);
    }

    #[test]
    fn no_distribution_packages_a_nightly() {
        let mut facts = fresh();
        facts.toolchain.release = "1.97.0-nightly".into();
        assert_eq!(ways(&facts), [Way::Rustup]);
    }

    #[test]
    fn qemu_comes_from_where_each_system_has_it() {
        let own = vec![Action::AptUpdate, Action::AptInstall { packages: qemu::PACKAGES, suite: None }];
        for (kind, expected) in [
            (linux("debian", "13", "trixie"), Some(&own)),
            (linux("debian", "", "forky"), Some(&own)),
            (linux("ubuntu", "24.04", "noble"), Some(&own)),
            (linux("ubuntu", "26.04", "resolute"), Some(&own)),
            (linux("linuxmint", "22", "wilma"), Some(&own)),
            (linux("debian", "11", "bullseye"), None),
            (linux("ubuntu", "22.04", "jammy"), None),
            (Kind::Other, None),
        ] {
            let system = System { kind: kind.clone(), ..fresh().system };
            assert_eq!(install_qemu(&system, false).ok().as_ref(), expected, "{kind:?}");
        }
        let mac = System { kind: Kind::MacOs, root: false, sudo: true, apt: false, brew: true };
        assert_eq!(install_qemu(&mac, false), Ok(vec![Action::Brew { upgrade: false }]));
        assert_eq!(install_qemu(&mac, true), Ok(vec![Action::Brew { upgrade: true }]));
        assert!(install_qemu(&System { brew: false, ..mac }, false).unwrap_err().contains("Homebrew"));
        let fedora = System { kind: linux("fedora", "42", ""), apt: false, ..fresh().system };
        assert!(install_qemu(&fedora, false).unwrap_err().contains("package manager"));
    }

    #[test]
    fn a_browser_is_installed_where_that_is_one_package() {
        let with = |kind| {
            let system = System { kind, ..ready().system };
            Plan::decide(&Facts { browser: false, system, ..ready() })
        };
        let chromium = Action::AptInstall { packages: BROWSER, suite: None };
        assert_eq!(with(linux("debian", "13", "trixie")).actions, [Action::AptUpdate, chromium]);
        let ubuntu = with(linux("ubuntu", "24.04", "noble"));
        assert!(ubuntu.missing.is_empty() && ubuntu.notes[0].contains("Chromium"));
    }

    #[test]
    fn who_is_not_root_uses_sudo_or_is_told() {
        let mut facts = fresh();
        facts.system.root = false;
        assert!(Plan::decide(&facts).blocked[0].contains("sudo"));
        facts.system.sudo = true;
        let said = said(&facts);
        assert!(said.contains("sudo ") && said.contains("qemu-system-arm"), "{said}");
    }

    #[test]
    fn an_old_qemu_is_replaced_and_an_untested_one_is_noted() {
        let with = |version| Plan::decide(&Facts { qemu: Some(version), ..ready() });
        assert!(with(Version(7, 2, 0)).missing[0].contains("here: 7.2.0"));
        let untested = with(Version(8, 2, 2));
        assert!(untested.missing.is_empty() && untested.notes[0].contains("8.2.2"));
        assert!(with(Version(9, 0, 0)).notes.is_empty());
    }
}
