/*
 * Differences of a co-simulation as system vectors (cosim_vector.h).
 *
 * Which pages a step touches is learnt by running it in a machine of fresh memory: the kernel knows which pages of a
 * mapping were ever touched. Those get their contents, and the step is run again, until no other page is touched.
 */
#define _DEFAULT_SOURCE /* mincore */
#include "kvm/cosim_vector.h"

#include "cpu/flags.h"
#include "cpu/isa.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "cpu/undefined.h"
#include "kvm/cosim_ram.h"
#include "kvm/difftest.h"
#include "kvm/system_vector.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FIELD_WORDS   4u
#define DISCOVERIES   64u   /* runs until a step touches nothing new */
#define REP_STEPS_MAX 4096u /* a reference may run that many iterations at once */

struct cosim_vectors {
    struct cosim *cosim;
    const char *folder;
    void (*step)(struct cpu *cpu);
    struct cpu state;     /* before the step that runs now */
    struct cosim_ram ram; /* RAM before it */
    unsigned written;
};

/* What both sides make of a vector. */
struct trial {
    struct cosim_insn at;
    bool valid; /* both sides have run it */
    bool state_differs, memory_differs;
    bool we_faulted, it_faulted;
    struct fault fault; /* the reference's */
    uint64_t steps;
    uint64_t fields[FIELD_WORDS]; /* bit set over cpu_fields: those that differ */
};

struct maker {
    const struct cosim_vectors *vectors;
    const struct cosim_reference *kind;
    struct system_vector *vector;
    struct system_bench bench;
    void *reference; /* a second one, over the bench */
    struct trial *trial;
};

/* --- the state before --- */

static void before(void *watcher, struct cpu *cpu)
{
    struct cosim_vectors *vectors = watcher;
    vectors->state = *cpu;
    cosim_ram_take(&vectors->ram, false);
}

/* --- which memory --- */

static void touch(struct cpu *cpu, uint64_t linear)
{
    uint8_t byte;
    uint64_t physical;
    if (mmu_peek(cpu, linear, &physical))
        ram_read(&cpu->board->ram, physical, &byte, 1);
}

/* Runs the step, and looks where the reference may look though the interpreter does not. */
static void touch_all(struct maker *maker)
{
    struct cpu *cpu = &maker->bench.cpu;
    struct cosim_insn at;
    system_bench_load(&maker->bench, maker->vector);
    cosim_look(cpu, &at);
    touch(cpu, at.linear);
    touch(cpu, at.linear + (at.bytes_there ? at.bytes_there - 1 : 0));
    static const uint8_t pointers[] = { RSP, RBP, RSI, RDI };
    for (unsigned i = 0; i < sizeof(pointers); i++) {
        uint64_t base = pointers[i] == RSP || pointers[i] == RBP ? cpu->segment[SS].base
                        : pointers[i] == RDI                     ? cpu->segment[ES].base
                                                                 : cpu->segment[DS].base;
        touch(cpu, base + cpu->gpr[pointers[i]]);
        touch(cpu, base + cpu->gpr[pointers[i]] - 1);
    }
    unsigned steps = at.decoded && at.insn.rep ? REP_STEPS_MAX : 1;
    while (steps-- && cpu_rip(cpu) == at.rip && system_bench_step(&maker->bench))
        ;
}

static int take_page(struct maker *maker, uint64_t page)
{
    static const uint8_t zeros[SYSTEM_LINE_BYTES];
    const uint8_t *bytes = maker->vectors->ram.bytes + page * RAM_PAGE_BYTES;
    uint64_t physical = ram_physical(&maker->bench.board.ram, page);
    for (unsigned at = 0; at < RAM_PAGE_BYTES; at += SYSTEM_LINE_BYTES)
        if (memcmp(bytes + at, zeros, SYSTEM_LINE_BYTES) != 0 &&
            system_lines_set(&maker->vector->before, physical + at, bytes + at))
            return -ENOMEM;
    return 0;
}

/* The vector gets every page that its step touches. */
static int discover(struct maker *maker)
{
    struct ram *ram = &maker->bench.board.ram;
    uint64_t pages = ram->size_bytes / RAM_PAGE_BYTES;
    unsigned char *resident = malloc(pages);
    bool *taken = calloc(pages, sizeof(*taken)), more = true;
    int error = resident && taken ? 0 : -ENOMEM;
#ifdef MADV_NOHUGEPAGE
    if (!error && madvise(ram->bytes, ram->size_bytes, MADV_NOHUGEPAGE) && errno != EINVAL)
        error = -errno;
#endif
    for (unsigned i = 0; i < DISCOVERIES && more && !error; i++) {
        more = false;
        touch_all(maker);
        error = mincore(ram->bytes, ram->size_bytes, (void *)resident) ? -errno : 0;
        for (uint64_t page = 0; page < pages && !error; page++) {
            if (!(resident[page] & 1) || taken[page])
                continue;
            taken[page] = more = true;
            error = take_page(maker, page);
        }
    }
    free(resident);
    free(taken);
    return error;
}

/* --- both sides --- */

static bool bench_advance(void *context)
{
    struct maker *maker = context;
    system_bench_step(&maker->bench);
    return true;
}

static bool trial_found(void *watcher, const struct cosim_insn *at, const struct cosim_step *step)
{
    struct trial *trial = ((struct maker *)watcher)->trial;
    trial->state_differs = true;
    trial->we_faulted = at->faulted;
    trial->it_faulted = step->result == COSIM_FAULTED;
    trial->fault = step->fault;
    return true;
}

/* The page before the step, as the vector has it. */
static void page_before(const struct system_vector *vector, uint64_t physical, uint8_t bytes[RAM_PAGE_BYTES])
{
    memset(bytes, 0, RAM_PAGE_BYTES);
    for (unsigned i = 0; i < vector->before.count; i++) {
        const struct system_line *line = &vector->before.lines[i];
        if (line->physical - physical < RAM_PAGE_BYTES)
            memcpy(bytes + (line->physical - physical), line->bytes, SYSTEM_LINE_BYTES);
    }
}

/* Accessed and dirty bits of page tables apart. */
static bool lines_differ(const uint8_t *a, const uint8_t *b, bool is_table)
{
    for (unsigned i = 0; i < SYSTEM_LINE_BYTES; i += 8) {
        uint64_t x, y;
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        if ((x ^ y) & (is_table ? ~0x60ull : UINT64_MAX))
            return true;
    }
    return false;
}

/* Pages that either side has written: do they differ, and (keep) what has the reference written? */
static int look_at_memory(struct maker *maker, struct trial *trial, bool keep)
{
    const struct ram *ram = &maker->bench.board.ram;
    const uint64_t *written = maker->kind->written(maker->reference);
    uint8_t old[RAM_PAGE_BYTES];
    for (uint64_t page = 0; page < ram->size_bytes / RAM_PAGE_BYTES; page++) {
        if (!(written[page / 64] >> (page % 64) & 1) && ram->written_epoch[page] <= maker->bench.epoch)
            continue;
        const uint8_t *theirs = maker->kind->page(maker->reference, page), *ours = ram_page_bytes(ram, page);
        uint64_t physical = ram_physical(ram, page);
        bool is_table = ram->watch[page] & RAM_WATCH_TABLE;
        if (keep)
            page_before(maker->vector, physical, old);
        for (unsigned at = 0; at < RAM_PAGE_BYTES; at += SYSTEM_LINE_BYTES) {
            trial->memory_differs |= lines_differ(theirs + at, ours + at, is_table);
            if (keep && lines_differ(theirs + at, old + at, is_table) &&
                system_lines_set(&maker->vector->wrote, physical + at, theirs + at))
                return -ENOMEM;
        }
    }
    return 0;
}

/* Runs the vector on both sides. keep: what the reference makes of it becomes what the vector expects. */
static int try(struct maker *maker, struct trial *trial, bool keep)
{
    struct system_vector *vector = maker->vector;
    struct cosim cosim = { .cpu = &maker->bench.cpu,
                           .kind = maker->kind,
                           .reference = maker->reference,
                           .differences_max = 1,
                           .memory_steps = UINT64_MAX,
                           .behind = true,
                           .advance = bench_advance,
                           .context = maker,
                           .found = trial_found,
                           .watcher = maker };
    memset(trial, 0, sizeof(*trial));
    system_bench_load(&maker->bench, vector);
    cosim_look(&maker->bench.cpu, &trial->at);
    maker->trial = trial;
    cosim_step(&cosim);
    const struct cosim_totals *totals = &cosim.totals;
    trial->steps = totals->steps;
    trial->valid = !totals->skipped[0] && !totals->skipped[1] && !totals->injected && !totals->events &&
                   memcmp(trial->at.bytes, vector->bytes, vector->length) == 0;
    int error = 0;
    if (trial->valid && !trial->it_faulted) {
        if (!trial->we_faulted)
            error = look_at_memory(maker, trial, keep);
        if (trial->we_faulted) { /* what the reference does not hold is as it was before the exception */
            system_bench_load(&maker->bench, vector);
            maker->kind->compare(maker->reference, &trial->at, NULL);
            error = look_at_memory(maker, trial, keep);
            trial->memory_differs = false;
        }
        const struct cpu *theirs = maker->kind->state(maker->reference);
        for (unsigned i = 0; i < cpu_field_count && i < 64 * FIELD_WORDS; i++) {
            const struct field *field = &cpu_fields[i];
            if (system_field_counts(field) &&
                memcmp((const uint8_t *)theirs + field->offset, (const uint8_t *)&maker->bench.cpu + field->offset,
                       (size_t)field->count * field->bytes) != 0)
                trial->fields[i / 64] |= 1ull << (i % 64);
        }
        if (keep)
            vector->after = *theirs;
    }
    maker->kind->compare_memory(maker->reference, NULL); /* the next trial begins with equal memory */
    vector->faults = trial->it_faulted;
    vector->fault = trial->fault;
    vector->steps = trial->steps;
    return error;
}

/* The difference that is being reduced is still there. */
static bool is_same(const struct trial *a, const struct trial *b)
{
    return b->valid && a->state_differs == b->state_differs && a->memory_differs == b->memory_differs &&
           a->we_faulted == b->we_faulted && a->it_faulted == b->it_faulted && a->fault.vector == b->fault.vector &&
           a->fault.error == b->fault.error && a->fault.cr2 == b->fault.cr2 &&
           memcmp(a->fields, b->fields, sizeof(a->fields)) == 0;
}

/* --- reducing --- */

struct reduction {
    struct maker *maker;
    const struct trial *wanted;
    struct system_lines all;
    bool *kept; /* of all */
};

static bool holds(struct reduction *reduction)
{
    struct trial trial;
    struct system_lines *before_lines = &reduction->maker->vector->before;
    before_lines->count = 0;
    for (unsigned i = 0; i < reduction->all.count; i++)
        if (reduction->kept[i]) /* in order, and there is room for all: appended */
            before_lines->lines[before_lines->count++] = reduction->all.lines[i];
    return !try(reduction->maker, &trial, false) && is_same(reduction->wanted, &trial);
}

/* Drops lines first..last, or parts of them. */
static void drop_lines(struct reduction *reduction, unsigned first, unsigned last)
{
    memset(reduction->kept + first, false, (last - first + 1) * sizeof(*reduction->kept));
    if (holds(reduction))
        return;
    memset(reduction->kept + first, true, (last - first + 1) * sizeof(*reduction->kept));
    if (first == last)
        return;
    unsigned middle = first + (last - first) / 2;
    drop_lines(reduction, first, middle);
    drop_lines(reduction, middle + 1, last);
}

static void try_zero(struct reduction *reduction, void *at, size_t bytes)
{
    uint8_t old[sizeof(((struct cpu *)0)->zmm)], zeros[sizeof(old)] = { 0 };
    if (bytes > sizeof(old) || memcmp(at, zeros, bytes) == 0)
        return;
    memcpy(old, at, bytes);
    memset(at, 0, bytes);
    if (!holds(reduction))
        memcpy(at, old, bytes);
}

static int reduce(struct maker *maker, const struct trial *wanted)
{
    struct system_lines *lines = &maker->vector->before;
    struct cpu *state = &maker->vector->state;
    struct reduction reduction = { .maker = maker, .wanted = wanted };
    reduction.kept = malloc(lines->count * sizeof(*reduction.kept));
    reduction.all.lines = malloc(lines->count * sizeof(*lines->lines));
    if (!reduction.kept || !reduction.all.lines) {
        free(reduction.kept);
        free(reduction.all.lines);
        return -ENOMEM;
    }
    reduction.all.count = lines->count;
    memcpy(reduction.all.lines, lines->lines, lines->count * sizeof(*lines->lines));
    memset(reduction.kept, true, lines->count * sizeof(*reduction.kept));
    if (lines->count)
        drop_lines(&reduction, 0, lines->count - 1);
    try_zero(&reduction, state->zmm, sizeof(state->zmm));
    for (unsigned i = 0; i < 32; i++)
        try_zero(&reduction, &state->zmm[i], sizeof(state->zmm[i]));
    try_zero(&reduction, state->opmask, sizeof(state->opmask));
    try_zero(&reduction, state->x87.r, sizeof(state->x87.r));
    try_zero(&reduction, &state->msr, sizeof(state->msr));
    for (unsigned i = 0; i < 16; i++)
        try_zero(&reduction, &state->gpr[i], sizeof(state->gpr[i]));
    int error = holds(&reduction) ? 0 : -EAGAIN;
    free(reduction.kept);
    free(reduction.all.lines);
    return error;
}

/* --- one difference --- */

static void describe(struct maker *maker, const struct cosim_insn *at)
{
    char insn[80], processor[96];
    insn_format(&at->insn, at->rip, insn, sizeof(insn));
    difftest_host_name(processor, sizeof(processor));
    snprintf(maker->vector->text, sizeof(maker->vector->text), "%s: lockstep with %s at cycle %" PRIu64 " on %s", insn,
             maker->kind->name, at->cycle, processor);
}

/* What differs is not the last step's doing. */
static const char not_again[] = "the difference does not come again by itself";

/* With a machine of its own and a second reference over it. NULL, or why there is no vector. */
static const char *make_with(struct maker *maker, FILE *null)
{
    struct trial first, last;
    const char *why;
    if (discover(maker))
        return "the pages that it touches cannot be found";
    maker->reference = maker->kind->init(&maker->bench.cpu, &why);
    if (!maker->reference)
        return why;
    const char *problem = NULL;
    if (try(maker, &first, false))
        problem = "no memory";
    else if (!first.valid || (!first.state_differs && !first.memory_differs))
        problem = not_again;
    else if (reduce(maker, &first) || try(maker, &last, true) || !is_same(&first, &last))
        problem = "the difference does not come again each time";
    else if (system_vector_check(maker->vector, maker->vectors->step, null) <= 0)
        problem = "the replayed vector does not show it";
    maker->kind->close(maker->reference);
    return problem;
}

static const char *make(const struct cosim_vectors *vectors, const struct cosim_insn *at, struct system_vector *vector)
{
    struct maker *maker = calloc(1, sizeof(*maker));
    FILE *null = fopen("/dev/null", "w");
    const char *problem = "no memory";
    vector->how = vectors->state.undefined.how;
    vector->model = vectors->state.model;
    vector->ram_bytes = vectors->ram.size_bytes;
    vector->state = vectors->state;
    vector->length = at->insn.length;
    memcpy(vector->bytes, at->bytes, at->insn.length);
    if (vector->how > UNDEFINED_AMD) {
        problem = "what the manual leaves undefined is random in this run";
    } else if (maker && null) {
        maker->vectors = vectors;
        maker->kind = vectors->cosim->kind;
        maker->vector = vector;
        if (!system_bench_open(&maker->bench, vector)) {
            if (vectors->step)
                maker->bench.step = vectors->step;
            describe(maker, at);
            problem = make_with(maker, null);
            system_bench_close(&maker->bench);
        }
    }
    if (null)
        fclose(null);
    free(maker);
    return problem;
}

static bool found(void *watcher, const struct cosim_insn *at, const struct cosim_step *step)
{
    struct cosim_vectors *vectors = watcher;
    FILE *report = vectors->cosim->report, *out = NULL;
    char path[512];
    (void)step;
    struct system_vector *vector = calloc(1, sizeof(*vector));
    const char *problem = vector && at->decoded ? make(vectors, at, vector) : "no memory";
    if (!problem) {
        snprintf(path, sizeof(path), "%s/%s-%" PRIu64 ".txt", vectors->folder, at->insn.row->mnemonic, at->cycle);
        out = fopen(path, "w");
        if (!out)
            problem = strerror(errno);
    }
    if (out) {
        system_vector_write(out, vector);
        if (fclose(out))
            problem = strerror(errno);
        else
            vectors->written++;
    }
    if (report && problem)
        fprintf(report, "no vector of what follows: %s\n", problem);
    else if (report)
        fprintf(report, "vector: %s\n", path);
    if (vector)
        system_vector_free(vector);
    free(vector);
    return problem != not_again;
}

struct cosim_vectors *cosim_vectors_open(struct cosim *cosim, const char *folder, void (*step)(struct cpu *cpu))
{
    struct cosim_vectors *vectors = calloc(1, sizeof(*vectors));
    if (!vectors)
        return NULL;
    vectors->cosim = cosim;
    vectors->folder = folder;
    vectors->step = step;
    if (!cosim_ram_open(&vectors->ram, &cosim->cpu->board->ram)) {
        free(vectors);
        return NULL;
    }
    cosim->before = before;
    cosim->found = found;
    cosim->watcher = vectors;
    return vectors;
}

unsigned cosim_vectors_written(const struct cosim_vectors *vectors)
{
    return vectors->written;
}

void cosim_vectors_close(struct cosim_vectors *vectors)
{
    if (!vectors)
        return;
    vectors->cosim->before = NULL;
    vectors->cosim->found = NULL;
    cosim_ram_close(&vectors->ram);
    free(vectors);
}
