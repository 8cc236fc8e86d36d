//! What the examples share: the tick of 1 ms, the controller that runs at each, how late it was, and how programs end.
//!
//! They run on QEMU's mps2-an386 and need of it only SysTick, semihosting and [`CORE_HZ`]: on another Cortex-M those are what
//! changes. In `firmware/`:
//!
//!     cargo run --release -p kinglet-cooperative --bin control --target thumbv7em-none-eabihf
#![no_std]

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::{SYST, syst::SystClkSource};
use defmt_semihosting as _;

/// SysTick's clock, that of the core.
const CORE_HZ: u32 = 25_000_000;

/// How often the controller runs.
const CONTROL_HZ: u32 = 1000;

/// Ticks of SysTick from one run of the controller to the next.
pub const PERIOD: u32 = CORE_HZ / CONTROL_HZ;

/// QEMU runs with `-icount shift=7`: an instruction takes 128 ns of emulated time.
const INSTRUCTION_NS: u64 = 1 << 7;

/// The longest after its tick that the controller's output may come: a tenth of the period.
pub const DEADLINE: u32 = PERIOD / 10;

/// The board's name in the program, by which `kinglet device run` knows how to start QEMU.
#[used]
#[unsafe(no_mangle)]
pub static KINGLET_BOARD: [u8; 32] = *b"mps2-an386\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Milliseconds since [`start`]: the interrupt of SysTick counts them with [`tick`].
static MILLIS: AtomicU32 = AtomicU32::new(0);

/// Starts SysTick, with its interrupt.
pub fn start(mut syst: SYST) {
    syst.set_clock_source(SystClkSource::Core);
    syst.set_reload(PERIOD - 1);
    syst.clear_current();
    syst.enable_interrupt();
    syst.enable_counter();
}

/// To be called first of all by the interrupt of SysTick.
pub fn tick() {
    MILLIS.fetch_add(1, Ordering::Relaxed);
}

/// Ticks of SysTick since this millisecond began.
pub fn since_tick() -> u32 {
    (PERIOD - 1).wrapping_sub(SYST::get_current())
}

/// Milliseconds since [`start`].
pub fn millis() -> u32 {
    MILLIS.load(Ordering::Acquire)
}

/// Ticks of SysTick since [`start`], modulo 2^32: good for 171 s.
pub fn now() -> u32 {
    loop {
        let (before, ticks) = (millis(), since_tick());
        if millis() == before {
            return before.wrapping_mul(PERIOD).wrapping_add(ticks);
        }
    }
}

/// The instructions that QEMU executes in `ticks`, rounded.
pub fn instructions(ticks: u32) -> u32 {
    let per_tick = 1_000_000_000 / u64::from(CORE_HZ);
    ((u64::from(ticks) * per_tick + INSTRUCTION_NS / 2) / INSTRUCTION_NS) as u32
}

/// A proportional-integral controller of a motor's speed, and the motor, simulated: all in units of 1/256.
#[derive(Debug)]
pub struct Motor {
    speed: i32,
    integral: i32,
}

impl Motor {
    /// The wanted speed.
    const WANTED: i32 = 1000 << 8;

    /// A motor at rest.
    #[allow(clippy::new_without_default, reason = "for statics")]
    pub const fn new() -> Self {
        Self { speed: 0, integral: 0 }
    }

    /// Reads the speed, computes the voltage, and applies it for a millisecond; the speed.
    pub fn control(&mut self) -> i32 {
        let error = Self::WANTED - self.speed;
        self.integral = (self.integral + error / 16).clamp(-Self::WANTED * 4, Self::WANTED * 4);
        let voltage = error * 2 + self.integral;
        self.speed += (voltage - self.speed) / 32;
        self.speed >> 8
    }
}

/// How late the controller was, over a stretch of time. The interrupt records, the program reads.
#[derive(Debug)]
pub struct Lateness {
    runs: AtomicU32,
    least: AtomicU32,
    most: AtomicU32,
    missed: AtomicU32,
}

/// What a [`Lateness`] came to.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// How often the controller ran.
    pub runs: u32,
    /// From the tick to when the controller began: the least, in instructions.
    pub least: u32,
    /// The most; the difference is the jitter.
    pub most: u32,
    /// How often its output came after [`DEADLINE`].
    pub missed: u32,
}

impl Lateness {
    /// Nothing yet.
    #[allow(clippy::new_without_default, reason = "for statics")]
    pub const fn new() -> Self {
        Self {
            runs: AtomicU32::new(0),
            least: AtomicU32::new(u32::MAX),
            most: AtomicU32::new(0),
            missed: AtomicU32::new(0),
        }
    }

    /// Notes that the controller began and ended so many ticks after it was due.
    pub fn record(&self, began: u32, ended: u32) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.least.fetch_min(began, Ordering::Relaxed);
        self.most.fetch_max(began, Ordering::Relaxed);
        self.missed.fetch_add(u32::from(ended > DEADLINE), Ordering::Relaxed);
    }

    /// What there was since the last call.
    pub fn take(&self) -> Summary {
        cortex_m::interrupt::free(|_| Summary {
            runs: self.runs.swap(0, Ordering::Relaxed),
            least: instructions(self.least.swap(u32::MAX, Ordering::Relaxed)),
            most: instructions(self.most.swap(0, Ordering::Relaxed)),
            missed: self.missed.swap(0, Ordering::Relaxed),
        })
    }
}

/// Ends QEMU with an exit code.
pub fn exit(code: i32) -> ! {
    semihosting::process::exit(code)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    if let Some(at) = info.location() {
        defmt::error!("panic at {=str}:{=u32}", at.file(), at.line());
    }
    exit(101)
}

#[defmt::panic_handler]
fn defmt_panic() -> ! {
    exit(101)
}
