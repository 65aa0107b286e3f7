/*
 * Comparison by exits: KVM runs freely from one exit to the next, and the interpreter goes the same way.
 *
 * The interpreter's machine has the devices; KVM has a vCPU over a copy of RAM. From a common state KVM runs until it
 * leaves for a port, MMIO, an MSR or HLT, or until its time slice is over (a checkpoint between exits). Then the
 * interpreter runs until it makes the same access, or stands where KVM stands. Both accesses are compared, what was
 * read goes to KVM, and then all fields of the vCPU's table and all pages that either side has written. So for guests
 * that are a function of their exits every instruction has a verdict.
 *
 * Where the interpreter came by something that hardware may choose (time, entropy, an interrupt between exits), or that
 * this host's KVM does not know, KVM takes the interpreter's state over: those instructions have no verdict, and are
 * counted by reason.
 */
#ifndef KVM_EXITS_H
#define KVM_EXITS_H

#include "cpu/cpu.h"

#include <stdio.h>

enum exits_kind { EXITS_PORT, EXITS_MMIO, EXITS_MSR, EXITS_HLT, EXITS_KINDS };

#define EXITS_REASONS 64u
struct exits_reason {
    const char *reason;
    char mnemonic[16];     /* empty: of no instruction */
    uint64_t instructions; /* that have no verdict because of it */
};

struct exits_totals {
    uint64_t exits[EXITS_KINDS]; /* that agreed */
    uint64_t checkpoints;        /* likewise, between exits */
    uint64_t agreed;             /* instructions with a verdict */
    uint64_t unchecked;          /* without one */
    uint64_t events;             /* interrupts and time jumps, the interpreter's alone */
    uint64_t differing;
    struct exits_reason reasons[EXITS_REASONS];
    unsigned reason_count;
};

struct exits;

/*
 * Begins with the state that the vCPU and its board have now; the vCPU outlives it. advance(context) runs the
 * interpreter to its next boundary, one instruction or event; false: the run is over. NULL with a text in *why if this
 * host cannot compare.
 */
struct exits *exits_open(struct cpu *cpu, bool (*advance)(void *context), void *context, FILE *report,
                         const char **why);
void exits_close(struct exits *exits);

/* Goes to the end of the run, or to the first difference, which is told on `report`. */
void exits_run(struct exits *exits);

const struct exits_totals *exits_totals(const struct exits *exits);
void exits_print(const struct exits_totals *totals, FILE *out);

#endif
