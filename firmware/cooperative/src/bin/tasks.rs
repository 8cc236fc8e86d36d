//! A network as a task of embassy-executor. It yields after each piece, so that the other tasks of its executor run in between:
//! they wait for two pieces at most, since the executor begins with what was woken last. The controller is a task of a second executor, in an interrupt of higher priority, and
//! keeps its deadline whatever the network does.
//!
//! Prints for each size of the pieces how late the controller was, and the task that shares the network's executor.
#![no_std]
#![no_main]

use cortex_m::interrupt::InterruptNumber;
use cortex_m_rt::exception;
use embassy_executor::{InterruptExecutor, Spawner};
use embassy_futures::yield_now;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use kinglet::{Arena, Progress, RawWith, Session};
use kinglet_cooperative::{Lateness, Motor, PERIOD, exit, instructions, millis, now, start, tick};

kinglet::model!(Network = env!("KINGLET_MODEL"));
static ARENA: Arena<Network> = Arena::new();

/// An interrupt that no device here uses: in it the executor of urgent tasks runs.
#[derive(Clone, Copy)]
struct Urgent;

impl Urgent {
    const NUMBER: u16 = 31;
}

// SAFETY: the board has 32 interrupts.
unsafe impl InterruptNumber for Urgent {
    fn number(self) -> u16 {
        Self::NUMBER
    }
}

static URGENT: InterruptExecutor = InterruptExecutor::new();

/// With a chip's own crate this is `#[interrupt] fn NAME()`.
#[exception]
unsafe fn DefaultHandler(number: i16) {
    if number == Urgent::NUMBER as i16 {
        // SAFETY: this is the interrupt that the executor was started with.
        unsafe { URGENT.on_interrupt() };
    } else {
        exit(1)
    }
}

/// A millisecond has begun, for each of the tasks that wait for it.
static TICKS: [Signal<CriticalSectionRawMutex, ()>; 2] = [Signal::new(), Signal::new()];

/// How late those tasks were.
static LATENESS: [Lateness; 2] = [Lateness::new(), Lateness::new()];

#[exception]
fn SysTick() {
    tick();
    TICKS.iter().for_each(|tick| tick.signal(()));
}

/// Does some work for every millisecond, and notes how late it begins and ends. What it slept through it does at once.
async fn every_millisecond(index: usize, mut work: impl FnMut()) {
    let mut due = 1u32;
    loop {
        TICKS[index].wait().await;
        while due <= millis() {
            let late = || now().wrapping_sub(due.wrapping_mul(PERIOD));
            let began = late();
            work();
            LATENESS[index].record(began, late());
            due = due.wrapping_add(1);
        }
    }
}

#[embassy_executor::task]
async fn control() {
    let mut motor = Motor::new();
    every_millisecond(0, || {
        motor.control();
    })
    .await
}

/// What shares the network's executor: a watchdog, buttons, a radio.
#[embassy_executor::task]
async fn housekeeping() {
    every_millisecond(1, || ()).await
}

/// Classifies, and yields after each piece of so many rows; at first not at all.
#[embassy_executor::task]
async fn classify() {
    let Some(arena) = ARENA.take() else { exit(1) };
    let mut session = Session::<Network>::new(arena);
    let (mut expected, mut missed) = (None, 0);
    for rows in [0, 4, 2, 1] {
        // An input that needs no file.
        let ramp = |bytes: &mut [u8]| bytes.iter_mut().zip(0u8..).for_each(|(element, i)| *element = i & 0x3F);
        let Ok(mut inference) = session.start(RawWith(ramp)) else { exit(1) };
        for lateness in &LATENESS {
            lateness.take();
        }
        let (mut longest, mut progress) = (0, Progress::More);
        while progress == Progress::More {
            let before = now();
            progress = if rows == 0 {
                while let Progress::More = inference.step() {}
                Progress::Done
            } else {
                inference.rows(rows)
            };
            longest = longest.max(now().wrapping_sub(before));
            yield_now().await;
        }
        let [control, housekeeping] = LATENESS.each_ref().map(Lateness::take);
        defmt::info!("longest={=u32} rows={=u32}", instructions(longest), rows);
        defmt::info!(
            "control runs={=u32} late={=u32} jitter={=u32} missed={=u32}",
            control.runs,
            control.least,
            control.most - control.least,
            control.missed
        );
        defmt::info!("housekeeping runs={=u32} latest={=u32}", housekeeping.runs, housekeeping.most);
        missed += control.missed;
        let Ok(output) = inference.finish() else { exit(1) };
        let best = output.best().map(|best| (best.class, best.score));
        if *expected.get_or_insert(best) != best {
            defmt::error!("another class than before");
            exit(1)
        }
    }
    defmt::info!("done missed={=u32}", missed);
    exit(i32::from(missed > 0))
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let Some(core) = cortex_m::Peripherals::take() else { exit(1) };
    let (Ok(control), Ok(housekeeping), Ok(classify)) = (control(), housekeeping(), classify()) else { exit(1) };
    URGENT.start(Urgent).spawn(control);
    start(core.SYST);
    spawner.spawn(housekeeping);
    spawner.spawn(classify);
}
