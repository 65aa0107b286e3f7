/*
 * One guest in three ways (ways.h): the runs, and what they have to agree in.
 */
#include "fuzz/ways.h"
#include "fuzz/fuzz.h"

#include "cpu/engine.h"
#include "cpu/insn.h"
#include "cpu/mem.h"

#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <xmmintrin.h>
#endif

#define ROUNDS_MAX       1500u
#define TYPED_CYCLES_MAX 4000u /* between two bytes */
#define MXCSR_AT_HOST    0x1F80u

struct way {
    const char *name;
    bool generic, soft, pieces;
    bool decides;              /* where the others end */
    uint64_t piece_cycles_max; /* a piece is of 1 .. this many cycles */
};

struct outcome {
    uint8_t *parts;
    uint8_t *ram; /* pages that are marked */
    uint8_t marked[WAYS_RAM_BYTES / RAM_PAGE_BYTES];
    uint64_t printed;
    enum board_request request;
    uint32_t request_code;
    uint64_t cycle;
};

/* The instruction that comes next, for whoever looks into a finding. */
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

/* What is typed at the console, and when. */
struct typist {
    const struct guest *guest;
    struct fuzz_random random;
    unsigned typed;
    uint64_t next_cycle;
};

static void typist_plan(struct typist *typist, uint64_t cycle)
{
    typist->next_cycle = typist->typed < typist->guest->typed_bytes
                             ? cycle + 1 + fuzz_below(&typist->random, TYPED_CYCLES_MAX)
                             : CLOCK_NEVER;
}

/* Types what is due; a byte for which the UART has no room is lost. */
static void typist_type(struct typist *typist, struct machine *machine)
{
    while (machine_now(machine) >= typist->next_cycle) {
        machine_console_input(machine, typist->guest->typed[typist->typed++]);
        typist_plan(typist, typist->next_cycle);
    }
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/*
 * Runs up to `end`, to a request of the board, or for ROUNDS_MAX rounds, after which the first way ends. The bench on
 * which the guest stands then: in pieces it moves to `spare` and back.
 */
static struct bench *run(struct bench *bench, struct bench *spare, const struct way *way, const struct guest *guest,
                         uint64_t end)
{
    struct machine *machine = bench->machine;
    struct fuzz_random random = fuzz_random(guest->seed ^ 0x5555);
    struct typist typist = { .guest = guest, .random = fuzz_random(guest->seed ^ 0xAAAA) };
    unsigned calm = guest->cycles < ROUNDS_MAX ? 1 : 4; /* a drop or a move costs as much as a short guest */
    bool verbose = way->decides && getenv("FUZZ_VERBOSE");

    typist_plan(&typist, machine_now(machine));
    for (unsigned round = 0; machine_now(machine) < end; round++) {
        uint64_t now = machine_now(machine), stop = now + 1 + fuzz_below(&random, way->piece_cycles_max);
        if (round == ROUNDS_MAX && way->decides)
            return bench;
        if (round == 4 * ROUNDS_MAX)
            fuzz_finding("%s: no end at cycle %llu of %llu", way->name, (unsigned long long)now,
                         (unsigned long long)end);
        if (verbose)
            show(bench);
        uint64_t until = earliest(end, typist.next_cycle);
        enum machine_stop why = machine_run(machine, earliest(stop, until));
        if (why == MACHINE_REQUEST)
            return bench;
        if (why == MACHINE_HALTED && machine_now(machine) < until)
            machine_skip(machine, earliest(machine_next_event(machine), until));
        typist_type(&typist, machine);
        if (way->pieces && !fuzz_below(&random, 16 * calm))
            cpu_drop_caches(bench->cpu);
        if (way->pieces && !fuzz_below(&random, 16 * calm))
            ram_next_epoch(&bench->board->ram);
        if (way->pieces && !fuzz_below(&random, 4)) {
            struct bench *left = bench;
            bench_move(spare, bench);
            bench = spare;
            spare = left;
            machine = bench->machine;
        }
    }
    return bench;
}

static unsigned model_count(void)
{
    unsigned models = 0;

    while (cpu_models()[models])
        models++;
    return models;
}

/* On benches[0]; end: the cycle, of no account in the way that decides it. */
static void run_guest(struct bench benches[2], const struct guest *guest, const struct way *way, uint64_t end,
                      struct outcome *outcome)
{
    struct bench *bench = &benches[0];

    for (unsigned i = 0; i < 2; i++) {
        benches[i].cpu->model = cpu_models()[guest->model % model_count()];
        benches[i].cpu->engine->generic = way->generic;
        benches[i].cpu->fp_soft = way->soft;
        benches[i].cpu->undefined =
            (struct undefined_choice){ .seed = guest->seed, .how = (uint8_t)(guest->seed >> 62) };
    }
    bench_reset(bench);
    guest_set_up(guest, bench);
    bench_ready(bench);
    bench = run(bench, &benches[1], way, guest, way->decides ? machine_now(bench->machine) + guest->cycles : end);
#ifdef __x86_64__
    if ((_mm_getcsr() & ~0x3Fu) != MXCSR_AT_HOST)
        fuzz_finding("%s: the host's MXCSR is %08x", way->name, _mm_getcsr());
#endif
    bench_save(bench, outcome->parts);
    for (uint64_t page = 0; page < WAYS_RAM_BYTES / RAM_PAGE_BYTES; page++) {
        outcome->marked[page] = bench_dirty(bench, page);
        if (outcome->marked[page])
            memcpy(outcome->ram + page * RAM_PAGE_BYTES, bench->board->ram.bytes + page * RAM_PAGE_BYTES,
                   RAM_PAGE_BYTES);
    }
    outcome->printed = bench->printed;
    outcome->request = bench->board->request;
    outcome->request_code = bench->board->request_code;
    outcome->cycle = machine_now(bench->machine);
}

static const uint8_t *page_of(const struct bench *bench, const struct outcome *outcome, uint64_t page)
{
    return (outcome->marked[page] ? outcome->ram : bench->ram) + page * RAM_PAGE_BYTES;
}

/* The first byte of RAM that differs, or UINT64_MAX. */
static uint64_t ram_difference(const struct bench *bench, const struct outcome *a, const struct outcome *b)
{
    for (uint64_t page = 0; page < WAYS_RAM_BYTES / RAM_PAGE_BYTES; page++) {
        if (!a->marked[page] && !b->marked[page])
            continue;
        const uint8_t *left = page_of(bench, a, page), *right = page_of(bench, b, page);
        for (unsigned i = 0; i < RAM_PAGE_BYTES && memcmp(left, right, RAM_PAGE_BYTES); i++)
            if (left[i] != right[i])
                return page * RAM_PAGE_BYTES + i;
    }
    return UINT64_MAX;
}

static void compare(const struct bench *bench, const struct guest *guest, const struct way *one, const struct way *two,
                    const struct outcome *a, const struct outcome *b)
{
    uint64_t at = ram_difference(bench, a, b);
    bool parts = memcmp(a->parts, b->parts, bench->base_bytes);

    if (!parts && at == UINT64_MAX && a->printed == b->printed && a->request == b->request &&
        a->request_code == b->request_code)
        return;
    fprintf(stderr, "mode %u, model %s; %s / %s:\n", guest->mode, bench->cpu->model->name, one->name, two->name);
    if (parts)
        bench_print_differences(bench, a->parts, b->parts);
    if (at != UINT64_MAX)
        fprintf(stderr, "  RAM at %llx: %02x / %02x\n", (unsigned long long)at,
                page_of(bench, a, at / RAM_PAGE_BYTES)[at % RAM_PAGE_BYTES],
                page_of(bench, b, at / RAM_PAGE_BYTES)[at % RAM_PAGE_BYTES]);
    fuzz_finding("two ways to run a guest differ (requests %d %d, output %s)", (int)a->request, (int)b->request,
                 a->printed == b->printed ? "equal" : "different");
}

void ways_check(const struct guest *guest)
{
    static struct bench benches[2]; /* go back to power-up before each run */
    static struct outcome first, other;

    if (!benches[0].machine) {
        bench_init(&benches[0], WAYS_RAM_BYTES, "x86-64-v2");
        bench_init(&benches[1], WAYS_RAM_BYTES, "x86-64-v2");
        first = (struct outcome){ .parts = malloc(benches[0].base_bytes), .ram = malloc(WAYS_RAM_BYTES) };
        other = (struct outcome){ .parts = malloc(benches[0].base_bytes), .ram = malloc(WAYS_RAM_BYTES) };
        if (!first.parts || !first.ram || !other.parts || !other.ram)
            fuzz_finding("no memory");
    }
    const struct way ways[] = {
        { .name = "stepped, generic, soft", .decides = true, .generic = true, .soft = true, .piece_cycles_max = 1 },
        { .name = "chained, specialised, host", .piece_cycles_max = UINT32_MAX },
        { .name = "in pieces, caches dropped",
          .generic = guest->seed & 1,
          .soft = guest->seed & 2,
          .pieces = true,
          .piece_cycles_max = 40 },
    };
    run_guest(benches, guest, &ways[0], CLOCK_NEVER, &first);
    for (unsigned i = 1; i < 3; i++) {
        run_guest(benches, guest, &ways[i], first.cycle, &other);
        compare(&benches[0], guest, &ways[0], &ways[i], &first, &other);
    }
}
