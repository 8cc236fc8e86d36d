//! Memory that only grows: an instance is one model and goes as a whole, so that nothing is ever given back.

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes of a page of memory.
const PAGE: usize = 1 << 16;
/// Every piece starts at a multiple of this, as arenas and models have to.
const ALIGN: usize = 16;

struct Growing {
    /// The first byte that is free, and the end of what there is; 0 at first.
    free: AtomicUsize,
    end: AtomicUsize,
}

#[global_allocator]
static MEMORY: Growing = Growing { free: AtomicUsize::new(0), end: AtomicUsize::new(0) };

// SAFETY: a piece lies in pages that `memory_grow` added, above everything else, and is handed out once. There is one thread.
unsafe impl GlobalAlloc for Growing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.free.load(Relaxed).next_multiple_of(layout.align().max(ALIGN));
        let Some(free) = start.checked_add(layout.size()) else { return core::ptr::null_mut() };
        if free <= self.end.load(Relaxed) {
            self.free.store(free, Relaxed);
            return core::ptr::with_exposed_provenance_mut(start);
        }
        // What is left of the last pages stays unused unless the new ones follow it: nobody else grows memory, so they do, but
        // for the first time.
        let missing = (layout.size() + layout.align().max(ALIGN)).div_ceil(PAGE);
        let old = wasm32::memory_grow::<0>(missing);
        if old == usize::MAX {
            return core::ptr::null_mut();
        }
        if self.end.load(Relaxed) != old * PAGE {
            self.free.store(old * PAGE, Relaxed);
        }
        self.end.store((old + missing) * PAGE, Relaxed);
        // SAFETY: as for this call; now there is room.
        unsafe { self.alloc(layout) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

/// The runtime does not panic; what is left is memory that ran out.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    wasm32::unreachable()
}
