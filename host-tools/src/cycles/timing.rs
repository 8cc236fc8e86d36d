//! What instructions take on each core, and reads of flash on each board.

use anyhow::{Result, bail};

use super::{CODE, COUNTS, DATA, INSTRUCTIONS, TAKEN, UNALIGNED};
use crate::boards::{Board, Speed};

/// What a core takes.
#[derive(Debug, PartialEq)]
pub struct Timing {
    /// Cycles of each class of instructions; of several registers for the instruction, and for each register.
    classes: [f64; INSTRUCTIONS],
    /// Beyond that of a jump.
    taken: f64,
    /// Of each further access that an unaligned one takes.
    unaligned: f64,
    /// Of the wait states, what a read for code takes: the core goes on with what it has.
    code: f64,
    /// What a read of data takes beyond the wait states: loads behind each other no longer overlap.
    data: f64,
    /// How it was checked, and on which board, if on one.
    evidence: &'static str,
    checked: Option<&'static str>,
}

/// Armv7E-M: the rules of the technical reference manual at zero wait states (six functions of ml-kem measured at zero wait
/// states are met within 2 %); the two terms of the flash are fitted.
const M4: Timing = Timing {
    classes: [1.0, 2.0, 1.0, 1.0, 2.0, 1.0, 1.0, 7.0, 2.0, 0.0, 1.0, 3.0, 14.0, 2.0, 0.0],
    taken: 2.0,
    unaligned: 1.0,
    code: 4.36 / 5.0,
    data: 3.65,
    evidence: "int8 on an STM32L4R5: fitted to 20 networks measured at -O3, 3.2 % off on average and 8.2 % at most on 18 at -Os \
               that it had not seen, up to 20 % where a loop just fills the cache; own code not measured, say 15 %",
    checked: Some("nucleo-l4r5zi"),
};

/// Loads take one cycle; 16-bit instructions that run in pairs are left out.
const M33: Timing = Timing {
    classes: [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 7.0, 2.0, 1.0, 1.0, 3.0, 14.0, 1.0, 0.0],
    taken: 2.0,
    unaligned: 1.0,
    code: 1.0,
    data: 0.0,
    evidence: "not validated: single-issue rules",
    checked: None,
};

/// Two instructions a cycle where they may; taken here as five in three cycles.
const M7: Timing = Timing {
    classes: [0.6, 0.6, 0.6, 0.6, 0.6, 0.0, 0.5, 7.0, 2.0, 0.6, 1.0, 1.0, 14.0, 0.6, 0.0],
    taken: 0.5,
    unaligned: 1.0,
    code: 1.0,
    data: 0.0,
    evidence: "not validated: pairs of instructions are an average, not a schedule",
    checked: None,
};

/// Armv6-M: the rules of the Cortex-M0+'s technical reference manual.
const M0_PLUS: Timing = Timing {
    classes: [1.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 3.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    taken: 1.0,
    unaligned: 0.0,
    code: 1.0,
    data: 0.0,
    evidence: "not validated: the manual's rules, prefetch left out",
    checked: None,
};

/// An instruction a cycle, Helium's too.
const M55: Timing = Timing {
    classes: [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.5, 7.0, 2.0, 1.0, 1.0, 1.0, 14.0, 1.0, 1.0],
    taken: 2.0,
    unaligned: 0.0,
    code: 1.0,
    data: 0.0,
    evidence: "not validated but for one operator: ADD of 16,384 elements on an Apollo510, 225,370 instructions in 218,369 cycles",
    checked: None,
};

impl Timing {
    /// That of a board's core.
    ///
    /// # Errors
    /// When there is none for it.
    pub fn of(board: &Board) -> Result<&'static Self> {
        let cores = [("Cortex-M0+", &M0_PLUS), ("Cortex-M4", &M4), ("Cortex-M7", &M7), ("Cortex-M33", &M33)];
        let helium = [("Cortex-M55", &M55), ("Cortex-M85", &M55)];
        match cores.iter().chain(&helium).find(|(core, _)| board.core.starts_with(core)) {
            Some((_, timing)) => Ok(timing),
            None => bail!("it is not known how many cycles a {} takes for its instructions", board.core),
        }
    }

    /// How it was checked, for cycles on a board.
    #[must_use]
    pub fn evidence(&self, board: &Board) -> String {
        let extrapolated = self.checked.is_some_and(|checked| checked != board.name);
        format!("{}{}", if extrapolated { "extrapolated to this flash: " } else { "" }, self.evidence)
    }

    /// Cycles of what was counted, with the board's flash.
    pub(super) fn cycles(&self, counts: &[u64; COUNTS], speed: &Speed) -> f64 {
        let classes = self.classes.iter().zip(counts).map(|(cost, &count)| cost * count as f64).sum::<f64>();
        let around = self.taken * counts[TAKEN] as f64 + self.unaligned * counts[UNALIGNED] as f64;
        let [code, data] = self.reads(speed);
        classes + around + code * counts[CODE] as f64 + data * counts[DATA] as f64
    }

    /// Cycles of a read of the board's flash, for code and for data.
    pub(super) fn reads(&self, speed: &Speed) -> [f64; 2] {
        let wait = f64::from(speed.wait_states.unwrap_or(0));
        [self.code * wait, if wait > 0.0 { wait + self.data } else { 0.0 }]
    }
}
