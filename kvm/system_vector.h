/*
 * System vectors: one step of a whole vCPU, at any privilege and in any mode, with what a reference made of it.
 *
 * Where a vector of difftest_vector.c is a test in one fixed layout at CPL 3, a system vector carries everything that
 * its step depends on: each field of the vCPU's table, and memory by physical address (code, data, page tables,
 * descriptor tables). Both kinds stand in the same files and replay by the same command (docs/difftest.md has the
 * format). Lockstep writes them (cosim_vector.h).
 */
#ifndef KVM_SYSTEM_VECTOR_H
#define KVM_SYSTEM_VECTOR_H

#include "cpu/cpu.h"
#include "cpu/insn.h"
#include "devices/lapic_state.h"

#include <stdio.h>

#define SYSTEM_LINE_BYTES 16u
#define SYSTEM_TEXT_BYTES 240u
#define SYSTEM_STEPS_MAX  0x10000u
/* Memory of guests is a multiple of pages; a vector that asks for more is malformed. */
#define SYSTEM_RAM_MAX (1ull << 36)

struct system_line {
    uint64_t physical; /* a multiple of SYSTEM_LINE_BYTES */
    uint8_t bytes[SYSTEM_LINE_BYTES];
};

struct system_lines {          /* ascending */
    struct system_line *lines; /* owned */
    unsigned count, room;
};

struct system_vector {
    uint8_t bytes[INSN_BYTES_MAX]; /* the instruction, which `before` must hold at RIP, too */
    uint8_t length;
    uint8_t how; /* enum undefined_how */
    const struct cpu_model *model;
    uint64_t ram_bytes;
    char text[SYSTEM_TEXT_BYTES]; /* for people: what it is, where it was found */
    struct cpu state;             /* before: state fields alone mean anything */
    struct system_lines before;   /* memory; what no line names is zero */
    /* what the reference made of it */
    uint64_t steps; /* how many steps of the interpreter: more than 1 for iterations of REP */
    bool faults;    /* it met this fault instead of the last step: nothing else is compared */
    struct fault fault;
    struct cpu after;
    struct system_lines wrote; /* lines that are not as before */
};

/* Sets a line, in its place. 0 or -ENOMEM. */
int system_lines_set(struct system_lines *lines, uint64_t physical, const uint8_t bytes[SYSTEM_LINE_BYTES]);
/* The line of an address, or NULL. */
const struct system_line *system_lines_find(const struct system_lines *lines, uint64_t physical);
void system_vector_free(struct system_vector *vector);

/* Fields that a vector neither holds nor compares: counters of the machine, not of the step. */
bool system_field_counts(const struct field *field);

void system_vector_write(FILE *out, const struct system_vector *vector);
/*
 * Reads one; the stream stands in front of its first line. 0, -ENOMEM, or -EINVAL: *line is where it is malformed. The
 * vector is to be freed in any case.
 */
int system_vector_read(FILE *in, struct system_vector *vector, unsigned *line);

/* --- running --- */

/* A machine of one vCPU without chips. Open it on a vector; others of the same RAM, model and choice may follow. */
struct system_bench {
    struct board board;
    struct lapic lapic;
    struct cpu cpu;
    void (*step)(struct cpu *cpu); /* one boundary further; NULL: the interpreter's own */
    uint32_t epoch;                /* pages written later were written by the guest */
};

/* 0 or -ENOMEM. */
int system_bench_open(struct system_bench *bench, const struct system_vector *vector);
void system_bench_close(struct system_bench *bench);
/* State and memory are as the vector has them. */
void system_bench_load(struct system_bench *bench, const struct system_vector *vector);
/* One step. False: an exception was met instead, and delivered. */
bool system_bench_step(struct system_bench *bench);

/*
 * Replays a vector on the interpreter (step: as in struct system_bench): the number of differences from what it
 * expects, a line each in `text`; negative errno if it cannot be run, -EINVAL if its memory does not hold the
 * instruction.
 */
int system_vector_check(const struct system_vector *vector, void (*step)(struct cpu *cpu), FILE *text);

#endif
