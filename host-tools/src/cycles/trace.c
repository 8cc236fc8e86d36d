// QEMU plugin (API 4, QEMU 9.2 and later): what a prediction of cycles takes from one run of the program `eval`.
//
//   -plugin trace.so,out=FILE,now=A,records=A:N,flash=LO:HI,code=LINES:LINE:READ,data=LINES:LINE:READ,shared=0|1
//
// now      address of the firmware's clock: each call ends a window, and begins the next
// records  address and number of the steps' records: the store of a record's first word says whose the last window was
// flash    its first address and its end
// code     the cache for code: lines, bytes of a line, bytes of one read of flash; data: that for data that lies in flash
// shared   code and data are in the cache for code
//
// Written: a line `total`, the largest window before the first step's, and a line for each step, with its number, and then
// what the enum below counts. The first window is that of the clock itself, which is taken off the others.
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
typedef uint64_t plugin_id;
struct tb;
struct insn;
EXPORT int qemu_plugin_version = 4;
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct tb *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_vcpu_mem_cb(struct insn *, void (*)(unsigned, uint32_t, uint64_t, void *), int, int, void *);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct tb *);
uint64_t qemu_plugin_tb_vaddr(const struct tb *);
struct insn *qemu_plugin_tb_get_insn(const struct tb *, size_t);
size_t qemu_plugin_insn_size(const struct insn *);
size_t qemu_plugin_insn_data(const struct insn *, void *, size_t);
unsigned qemu_plugin_mem_size_shift(uint32_t);
bool qemu_plugin_mem_is_store(uint32_t);

// Classes of instructions, by what they take; then what happened around them.
enum {
    ONE,        // arithmetic, multiplications, branches
    LOAD,       // of one register
    LOAD_NEXT,  // the same right behind another load whose result is not its address
    STORE,      // of one register, by an offset that the instruction holds
    STORE_AT,   // of one register, by an offset in a register
    MULTIPLE,   // loads and stores of several registers
    WORDS,      // the registers of those
    DIVIDE,
    JUMP,       // table branches, loads of the program counter
    FOLDED,     // IT behind an instruction of 16 bits
    FLOAT,      // of the floating-point unit
    FLOAT_MAC,
    FLOAT_DIVIDE,
    FLOAT_MOVE, // its loads and stores of one register
    VECTOR,     // Helium
    TAKEN,      // jumps to elsewhere than the next instruction
    CODE,       // reads of flash for code
    DATA,       // reads of flash for data
    UNALIGNED,  // accesses beyond the first that unaligned ones take
    COUNTS
};

typedef struct { uint64_t count[COUNTS]; } Counts;

typedef struct {
    uint64_t at, end;
    uint16_t count[COUNTS];
} Block;

// A fully associative cache, least recently used out first, whose lines are filled by reads.
typedef struct {
    uint32_t lines, line, read, used, first, last;
    uint32_t *tag, *before, *after, *slot;
    uint32_t *filled;
} Cache;

enum { NONE = UINT32_MAX };

static Counts counts, window_start, window, clock_itself, total, *steps;
static uint64_t now_at, records_at, records, flash_lo, flash_hi;
static Cache code, data;
static bool shared, started, calibrated, stepping;
static const Block *previous;
static const char *out = "trace.txt";

static void cache_init(Cache *c) {
    uint32_t all = c->line ? (uint32_t)(flash_hi - flash_lo) / c->line + 1 : 0;
    c->tag = calloc(c->lines + 1, sizeof *c->tag);
    c->before = calloc(c->lines + 1, sizeof *c->before);
    c->after = calloc(c->lines + 1, sizeof *c->after);
    c->filled = calloc(c->lines + 1, sizeof *c->filled);
    c->slot = malloc((all + 1) * sizeof *c->slot);
    memset(c->slot, 0xff, (all + 1) * sizeof *c->slot);
    c->first = c->last = NONE;
}

static void take_out(Cache *c, uint32_t s) {
    if (c->before[s] != NONE) c->after[c->before[s]] = c->after[s]; else c->first = c->after[s];
    if (c->after[s] != NONE) c->before[c->after[s]] = c->before[s]; else c->last = c->before[s];
}

static void put_first(Cache *c, uint32_t s) {
    c->before[s] = NONE;
    c->after[s] = c->first;
    if (c->first != NONE) c->before[c->first] = s; else c->last = s;
    c->first = s;
}

// Whether the flash is read for this offset in it.
static bool misses(Cache *c, uint32_t offset) {
    uint32_t line = offset / c->line, s = c->slot[line];
    if (s == NONE) {
        if (c->used < c->lines) {
            s = c->used++;
        } else {
            s = c->last;
            c->slot[c->tag[s]] = NONE;
            take_out(c, s);
        }
        c->tag[s] = line;
        c->slot[line] = s;
        c->filled[s] = 0;
        put_first(c, s);
    } else if (c->first != s) {
        take_out(c, s);
        put_first(c, s);
    }
    uint32_t part = 1u << (offset % c->line / c->read);
    bool missed = !(c->filled[s] & part);
    c->filled[s] |= part;
    return missed;
}

static bool in_flash(uint64_t at) { return at >= flash_lo && at < flash_hi; }

// What an instruction is, for the one behind it.
typedef struct {
    int kind, words;
    bool updates;               // its address register
    uint32_t loads, addresses;  // sets of registers
} Kind;

static Kind narrow(uint32_t h) {
    Kind k = { ONE, 0, false, 0, 0 };
    uint32_t low = h & 7, mid = h >> 3 & 7, high = h >> 6 & 7, list = __builtin_popcount(h & 0xff);
    if (h >> 11 == 0x09) return (Kind){ LOAD, 0, false, 1u << (h >> 8 & 7), 1u << 15 };
    if (h >> 12 == 0x5) {
        uint32_t addresses = 1u << mid | 1u << high;
        return (h >> 9 & 7) < 3 ? (Kind){ STORE_AT, 0, false, 0, addresses } : (Kind){ LOAD, 0, false, 1u << low, addresses };
    }
    if (h >> 13 == 0x3 || h >> 12 == 0x8)
        return h & 0x800 ? (Kind){ LOAD, 0, false, 1u << low, 1u << mid } : (Kind){ STORE, 0, false, 0, 1u << mid };
    if (h >> 12 == 0x9)
        return h & 0x800 ? (Kind){ LOAD, 0, false, 1u << (h >> 8 & 7), 1u << 13 } : (Kind){ STORE, 0, false, 0, 1u << 13 };
    if (h >> 12 == 0xC) { k.kind = MULTIPLE; k.words = list; }
    if ((h & 0xF600) == 0xB400) { k.kind = MULTIPLE; k.words = list + (h >> 8 & 1); }
    if ((h & 0xFF00) == 0xBF00 && h & 0xF) k.kind = FOLDED;
    return k;
}

static Kind wide(uint32_t h, uint32_t l) {
    Kind k = { ONE, 0, false, 0, 0 };
    uint32_t coprocessor = l >> 8 & 0xF, top = h >> 8;
    if (h >> 9 == 0x74) {
        if (!(h & 0x40)) { k.kind = MULTIPLE; k.words = __builtin_popcount(l); return k; }
        if ((h & 0xFFF0) == 0xE8D0 && (l & 0xFFE0) == 0xF000) { k.kind = JUMP; return k; }
        if (h & 0x120) { k.kind = MULTIPLE; k.words = 2; return k; }
        k.kind = h & 0x10 ? LOAD : STORE;
        k.addresses = 1u << (h & 15);
        return k;
    }
    if (h >> 9 == 0x7C) {
        bool load = h & 0x10, literal = (h & 15) == 15, by_register = !(h & 0x80) && !(l & 0x800) && !literal;
        uint32_t target = l >> 12;
        k.addresses = 1u << (h & 15) | (by_register ? 1u << (l & 15) : 0);
        k.updates = !literal && !(h & 0x80) && (l & 0x900) == 0x900;
        if (!load) { k.kind = by_register ? STORE_AT : STORE; return k; }
        if (target == 15) { k.kind = (h & 0x60) == 0x40 ? JUMP : ONE; return k; }
        k.kind = LOAD;
        k.loads = 1u << target;
        return k;
    }
    if ((h & 0xEF00) == 0xEF00 || (top == 0xFE && coprocessor != 10 && coprocessor != 11) ||
        (top == 0xEE && coprocessor >= 14) || (h >> 9 == 0x76 && (l & 0x1E00) == 0x1E00)) {
        k.kind = VECTOR;
        return k;
    }
    if (h >> 9 == 0x76) {
        if ((h & 0xFFE0) == 0xEC40) k.kind = FLOAT;
        else if ((h & 0xFF20) == 0xED00) k.kind = FLOAT_MOVE;
        else { k.kind = MULTIPLE; k.words = l & 0xFF; }
        return k;
    }
    if (top == 0xEE || top == 0xFE) {
        uint32_t operation = h & 0xFFB0;
        bool computes = !(l & 0x10) && top == 0xEE;
        k.kind = FLOAT;
        if (computes && (operation == 0xEE00 || operation == 0xEE10 || operation == 0xEE90 || operation == 0xEEA0)) k.kind = FLOAT_MAC;
        if (computes && (operation == 0xEE80 || ((h & 0xFFBF) == 0xEEB1 && (l & 0xC0) == 0xC0))) k.kind = FLOAT_DIVIDE;
        return k;
    }
    if (((h & 0xFFF0) == 0xFB90 || (h & 0xFFF0) == 0xFBB0) && (l & 0xF0) == 0xF0) k.kind = DIVIDE;
    return k;
}

// The clock was called: a window ends.
static void tick(void) {
    if (started) {
        for (int i = 0; i < COUNTS; i++) window.count[i] = counts.count[i] - window_start.count[i];
        if (!calibrated) { clock_itself = window; calibrated = true; }
        uint64_t size = 0, largest = 0;
        for (int i = 0; i < COUNTS; i++) {
            window.count[i] -= window.count[i] < clock_itself.count[i] ? window.count[i] : clock_itself.count[i];
            size += window.count[i];
            largest += total.count[i];
        }
        if (!stepping && size > largest) total = window;
    }
    started = true;
    window_start = counts;
}

static void on_exec(unsigned cpu, void *of) {
    const Block *b = of;
    if (previous && previous->end != b->at) counts.count[TAKEN]++;
    previous = b;
    for (int i = 0; i <= VECTOR; i++) counts.count[i] += b->count[i];
    if (in_flash(b->at) && code.lines)
        for (uint64_t at = b->at & ~(uint64_t)(code.read - 1); at < b->end; at += code.read)
            counts.count[CODE] += misses(&code, (uint32_t)(at - flash_lo));
    if (b->at == now_at) tick();
}

static void on_memory(unsigned cpu, uint32_t info, uint64_t at, void *of) {
    uint32_t size = 1u << qemu_plugin_mem_size_shift(info);
    if (size == 2 && at & 1) counts.count[UNALIGNED]++;
    if (size == 4 && at & 3) counts.count[UNALIGNED] += at & 1 ? 2 : 1;
    if (qemu_plugin_mem_is_store(info)) {
        uint64_t record = (at - records_at) / 8;
        if (at < records_at || record >= records || at % 8 != records_at % 8 || size != 4 || !calibrated) return;
        stepping = true;
        for (int i = 0; i < COUNTS; i++) steps[record].count[i] += window.count[i];
    } else if (in_flash(at)) {
        Cache *c = shared ? &code : &data;
        uint32_t from = (uint32_t)(at - flash_lo), to = from + size - 1;
        if (!c->lines) { counts.count[DATA]++; return; }
        counts.count[DATA] += misses(c, from);
        if (to / c->read != from / c->read) counts.count[DATA] += misses(c, to);
    }
}

static void on_translation(plugin_id id, struct tb *t) {
    Block *b = calloc(1, sizeof *b);
    b->at = b->end = qemu_plugin_tb_vaddr(t);
    Kind before = { ONE, 0, false, 0, 0 };
    size_t before_size = 4, n = qemu_plugin_tb_n_insns(t);
    for (size_t i = 0; i < n; i++) {
        struct insn *x = qemu_plugin_tb_get_insn(t, i);
        uint16_t half[2] = { 0, 0 };
        size_t size = qemu_plugin_insn_size(x);
        qemu_plugin_insn_data(x, half, size);
        Kind k = size == 2 ? narrow(half[0]) : wide(half[0], half[1]);
        bool behind = before.kind == LOAD && !(before.loads & k.addresses);
        int counted = k.kind;
        if (k.kind == LOAD && behind && !k.updates) counted = LOAD_NEXT;
        if (k.kind == STORE_AT && behind) counted = STORE;
        if (k.kind == FOLDED && before_size == 4) counted = ONE;
        b->count[counted]++;
        b->count[WORDS] += k.words;
        before = k;
        before_size = size;
        b->end += size;
        qemu_plugin_register_vcpu_mem_cb(x, on_memory, 0, 3, NULL);
    }
    qemu_plugin_register_vcpu_tb_exec_cb(t, on_exec, 0, b);
}

static void line(FILE *f, const Counts *c) {
    for (int i = 0; i < COUNTS; i++) fprintf(f, " %llu", (unsigned long long)c->count[i]);
    fputc('\n', f);
}

static void on_exit_(plugin_id id, void *nothing) {
    FILE *f = fopen(out, "w");
    if (!f) return;
    fputs("total", f);
    line(f, &total);
    for (uint64_t i = 0; i < records; i++) {
        fprintf(f, "step %llu", (unsigned long long)i);
        line(f, &steps[i]);
    }
    fclose(f);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    for (int i = 0; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value) return 1;
        *value++ = 0;
        uint64_t n[3] = { 0, 0, 0 };
        char *rest = value;
        for (int k = 0; k < 3; k++) { n[k] = strtoull(rest, &rest, 0); if (*rest == ':') rest++; }
        if (!strcmp(argv[i], "out")) out = strdup(value);
        else if (!strcmp(argv[i], "now")) now_at = n[0];
        else if (!strcmp(argv[i], "records")) { records_at = n[0]; records = n[1]; }
        else if (!strcmp(argv[i], "flash")) { flash_lo = n[0]; flash_hi = n[1]; }
        else if (!strcmp(argv[i], "code")) { code.lines = n[0]; code.line = n[1]; code.read = n[2]; }
        else if (!strcmp(argv[i], "data")) { data.lines = n[0]; data.line = n[1]; data.read = n[2]; }
        else if (!strcmp(argv[i], "shared")) shared = n[0];
        else return 1;
    }
    steps = calloc(records + 1, sizeof *steps);
    cache_init(&code);
    cache_init(&data);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit_, NULL);
    return 0;
}
