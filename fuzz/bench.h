/*
 * A machine on the bench: it goes back to its power-up state in microseconds, so that a target can run thousands of
 * guests a second in one process. Going back uses what the architecture promises: state is what stands in the field
 * tables and in RAM; everything else may be dropped.
 */
#ifndef FUZZ_BENCH_H
#define FUZZ_BENCH_H

#include "sim/machine.h"

struct bench {
    struct machine *machine;
    struct board *board;
    struct cpu *cpu;
    uint8_t *base;    /* canonical form of all parts at power-up, one behind the other */
    uint8_t *ram;     /* RAM at power-up */
    uint32_t epoch;   /* pages written behind it differ from ram */
    uint64_t printed; /* hash of all bytes that came out of the console since the reset */
    size_t base_bytes;
};

/* Aborts if there is no memory. */
void bench_init(struct bench *bench, uint64_t ram_bytes, const char *model);

/* Back to power-up. The vCPU's caches are NOT dropped yet: bench_ready() does that, after the guest is set up. */
void bench_reset(struct bench *bench);
/* After guest state was written past the engine: every cache goes. */
void bench_ready(struct bench *bench);

/* True if the page was written since bench_reset(). */
static inline bool bench_dirty(const struct bench *bench, uint64_t page)
{
    return bench->board->ram.written_epoch[page] > bench->epoch;
}

/* Canonical form of all parts, base_bytes long, and back. */
void bench_save(const struct bench *bench, uint8_t *out);
void bench_load(struct bench *bench, const uint8_t *from);
/* Brings the guest from one machine to another, which comes from power-up, by nothing but what is state. */
void bench_move(struct bench *to, const struct bench *from);
/* Says on stderr which fields differ between two canonical forms. */
void bench_print_differences(const struct bench *bench, const uint8_t *a, const uint8_t *b);

#endif
