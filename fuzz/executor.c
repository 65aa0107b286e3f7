/*
 * Fuzz target "executor": the same guest run in different ways comes to the same state.
 *
 * Input: a header of 16 bytes that says in which mode and state the code runs (struct guest), then the code, any bytes.
 *
 * Policy: every byte string of at least 17 bytes is admitted. The guest runs up to a cycle
 * - one instruction at a time, with generic handlers only, and SSE arithmetic in software;
 * - as chained blocks, with specialised handlers, and SSE arithmetic on the host;
 * - in pieces of random length, every cache dropped and RAM's epoch closed at random boundaries, with handlers and
 *   arithmetic chosen by the seed.
 * All three end with the same fields of all parts, the same RAM, the same request and the same console output, and
 * leave the host's MXCSR as it was. The two top bits of the seed choose what becomes of what manuals leave undefined. A
 * guest may power off, reset, triple-fault or halt; it may not crash, hang or trip an assertion.
 */
#include "cpu/engine.h"
#include "cpu/insn.h"
#include "cpu/mem.h"
#include "fuzz/fuzz.h"
#include "fuzz/guest.h"

#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <xmmintrin.h>
#endif

#define RAM_BYTES     (2u << 20)
#define ROUNDS_MAX    20000u
#define MXCSR_AT_HOST 0x1F80u

struct way {
    const char *name;
    bool generic, soft, pieces;
    uint64_t piece_cycles_max; /* a piece is of 1 .. this many cycles */
};

struct outcome {
    uint8_t *parts;
    uint8_t *ram; /* pages that are marked */
    uint8_t marked[RAM_BYTES / RAM_PAGE_BYTES];
    uint64_t printed;
    enum board_request request;
    uint32_t request_code;
};

/* FUZZ_VERBOSE in the environment: the instructions of the stepped way, for whoever looks into a finding. */
static void show(const struct bench *bench)
{
    const struct cpu *cpu = bench->cpu;
    uint8_t bytes[INSN_BYTES_MAX] = { 0 };
    uint64_t physical;
    struct insn insn;
    char text[200] = "?";
    uint64_t linear = cpu_rip(cpu) + ((cpu->mode & MODE_CODE_MASK) == MODE_CODE64 ? 0 : cpu->segment[CS].base);

    if (mmu_peek(bench->cpu, linear, &physical) && ram_read(&bench->board->ram, physical, bytes, sizeof(bytes)) &&
        decode(bytes, sizeof(bytes), mode_code_bits(cpu->mode), cpu->model->features, &insn) == DECODE_OK)
        insn_format(&insn, cpu_rip(cpu), text, sizeof(text));
    fprintf(stderr, "%6llu %04x:%llx flags %llx  %s\n", (unsigned long long)machine_now(bench->machine),
            cpu->segment[CS].selector, (unsigned long long)cpu_rip(cpu), (unsigned long long)cpu->rflags, text);
}

static void run(struct bench *bench, const struct way *way, uint64_t seed, uint64_t end)
{
    struct machine *machine = bench->machine;
    struct fuzz_random random = fuzz_random(seed ^ 0x5555);

    for (unsigned round = 0; machine_now(machine) < end; round++) {
        uint64_t now = machine_now(machine), stop = now + 1 + fuzz_below(&random, way->piece_cycles_max);
        if (round == ROUNDS_MAX)
            fuzz_finding("%s: no end at cycle %llu of %llu", way->name, (unsigned long long)now,
                         (unsigned long long)end);
        if (way->piece_cycles_max == 1 && getenv("FUZZ_VERBOSE"))
            show(bench);
        enum machine_stop why = machine_run(machine, stop < end ? stop : end);
        if (why == MACHINE_REQUEST)
            return;
        if (why == MACHINE_HALTED) {
            uint64_t next = machine_next_event(machine);
            machine_skip(machine, next < end ? next : end);
        }
        if (way->pieces && !fuzz_below(&random, 16))
            cpu_drop_caches(bench->cpu);
        if (way->pieces && !fuzz_below(&random, 16))
            ram_next_epoch(&bench->board->ram);
    }
}

static void run_guest(struct bench *bench, const struct guest *guest, const struct way *way, struct outcome *outcome)
{
    struct board *board = bench->board;

    bench_reset(bench);
    bench->cpu->engine->generic = way->generic;
    bench->cpu->fp_soft = way->soft;
    bench->cpu->undefined = (struct undefined_choice){ .seed = guest->seed,
                                                       .how = (uint8_t)(guest->seed >> 62) }; /* the same in all ways */
    guest_set_up(guest, bench);
    bench_ready(bench);
    run(bench, way, guest->seed, machine_now(bench->machine) + 16u + guest->cycles);
#ifdef __x86_64__
    if ((_mm_getcsr() & ~0x3Fu) != MXCSR_AT_HOST)
        fuzz_finding("%s: the host's MXCSR is %08x", way->name, _mm_getcsr());
#endif
    bench_save(bench, outcome->parts);
    for (uint64_t page = 0; page < RAM_BYTES / RAM_PAGE_BYTES; page++) {
        outcome->marked[page] = bench_dirty(bench, page);
        if (outcome->marked[page])
            memcpy(outcome->ram + page * RAM_PAGE_BYTES, board->ram.bytes + page * RAM_PAGE_BYTES, RAM_PAGE_BYTES);
    }
    outcome->printed = bench->printed;
    outcome->request = board->request;
    outcome->request_code = board->request_code;
}

static const uint8_t *page_of(const struct bench *bench, const struct outcome *outcome, uint64_t page)
{
    return (outcome->marked[page] ? outcome->ram : bench->ram) + page * RAM_PAGE_BYTES;
}

/* The first byte of RAM that differs, or UINT64_MAX. */
static uint64_t ram_difference(const struct bench *bench, const struct outcome *a, const struct outcome *b)
{
    for (uint64_t page = 0; page < RAM_BYTES / RAM_PAGE_BYTES; page++) {
        if (!a->marked[page] && !b->marked[page])
            continue;
        const uint8_t *left = page_of(bench, a, page), *right = page_of(bench, b, page);
        for (unsigned i = 0; i < RAM_PAGE_BYTES && memcmp(left, right, RAM_PAGE_BYTES); i++)
            if (left[i] != right[i])
                return page * RAM_PAGE_BYTES + i;
    }
    return UINT64_MAX;
}

static void compare(const struct bench *bench, const struct guest *guest, const struct way *ways,
                    const struct outcome *a, const struct outcome *b)
{
    uint64_t at = ram_difference(bench, a, b);
    bool parts = memcmp(a->parts, b->parts, bench->base_bytes);

    if (!parts && at == UINT64_MAX && a->printed == b->printed && a->request == b->request &&
        a->request_code == b->request_code)
        return;
    fprintf(stderr, "mode %u, model %s; %s / %s:\n", guest->mode, bench->cpu->model->name, ways[0].name, ways[1].name);
    if (parts)
        bench_print_differences(bench, a->parts, b->parts);
    if (at != UINT64_MAX)
        fprintf(stderr, "  RAM at %llx: %02x / %02x\n", (unsigned long long)at,
                page_of(bench, a, at / RAM_PAGE_BYTES)[at % RAM_PAGE_BYTES],
                page_of(bench, b, at / RAM_PAGE_BYTES)[at % RAM_PAGE_BYTES]);
    fuzz_finding("two ways to run a guest differ (requests %d %d, output %s)", (int)a->request, (int)b->request,
                 a->printed == b->printed ? "equal" : "different");
}

int fuzz_one(const uint8_t *data, size_t size)
{
    static struct bench bench; /* goes back to power-up before each run */
    static struct outcome first, other;
    struct guest guest;

    if (size <= GUEST_HEADER_BYTES)
        return 0;
    if (!bench.machine) {
        bench_init(&bench, RAM_BYTES, "x86-64-v2");
        first = (struct outcome){ .parts = malloc(bench.base_bytes), .ram = malloc(RAM_BYTES) };
        other = (struct outcome){ .parts = malloc(bench.base_bytes), .ram = malloc(RAM_BYTES) };
        if (!first.parts || !first.ram || !other.parts || !other.ram)
            fuzz_finding("no memory");
    }
    guest_parse(&guest, data, size);
    unsigned models = 0;
    while (cpu_models()[models])
        models++;
    bench.cpu->model = cpu_models()[guest.model % models];
    const struct way ways[] = {
        { .name = "stepped, generic, soft", .generic = true, .soft = true, .piece_cycles_max = 1 },
        { .name = "chained, specialised, host", .piece_cycles_max = UINT32_MAX },
        { .name = "in pieces, caches dropped",
          .generic = guest.seed & 1,
          .soft = guest.seed & 2,
          .pieces = true,
          .piece_cycles_max = 40 },
    };
    run_guest(&bench, &guest, &ways[0], &first);
    run_guest(&bench, &guest, &ways[1], &other);
    compare(&bench, &guest, ways, &first, &other);
    run_guest(&bench, &guest, &ways[2], &other);
    compare(&bench, &guest, (const struct way[]){ ways[0], ways[2] }, &first, &other);
    return 0;
}
