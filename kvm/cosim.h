/*
 * Co-simulation: a reference steps beside the interpreter, instruction by instruction, and everything is compared.
 *
 * The interpreter leads. Of each instruction it is decided first whether hardware has a free choice in it (time,
 * entropy, CPUID, devices, MSRs): then the reference takes the interpreter's result over (override). Otherwise the
 * reference steps by itself and is compared. Interrupts come at the interpreter's boundary, by override. A reference is
 * a struct of functions, so that another one (a simulator, a board) can stand behind the same loop.
 */
#ifndef KVM_COSIM_H
#define KVM_COSIM_H

#include "cpu/cpu.h"
#include "cpu/insn.h"

#include <stdio.h>

/* The instruction about to run, and the state it runs in. */
struct cosim_insn {
    bool decoded; /* false: its bytes cannot be fetched, or are no instruction */
    struct insn insn;
    uint8_t bytes[INSN_BYTES_MAX];
    uint64_t cycle, rip, cr3;
    uint8_t cpl;
    bool has_address; /* of the memory operand, in RAM */
    bool faulted;     /* the interpreter met an exception, once it has run */
    bool is_mmio;     /* the memory operand is no RAM */
    uint64_t linear;  /* of the memory operand */
    unsigned bytes_there;
};

enum cosim_result {
    COSIM_STEPPED, /* the reference stands behind the instruction */
    COSIM_FAULTED, /* it met an exception: fault says which */
    COSIM_SKIPPED, /* it cannot step this one: a reason is given, its state is to be overridden */
};

struct cosim_step {
    enum cosim_result result;
    const char *reason; /* COSIM_SKIPPED: a constant text */
    struct fault fault; /* COSIM_FAULTED; cr2 for #PF */
};

struct cosim_reference {
    const char *name;
    /* NULL with a text in *why if it cannot be had. The vCPU outlives the reference. */
    void *(*init)(struct cpu *cpu, const char **why);
    void (*close)(void *reference);
    /* The vCPU's state and RAM become the reference's. */
    void (*override)(void *reference);
    /* Steps the reference over one instruction, which the interpreter has run already. */
    struct cosim_step (*step)(void *reference, const struct cosim_insn *insn);
    /* RIP and RCX as they are: one step may have been several iterations of REP. */
    void (*position)(void *reference, uint64_t *rip, uint64_t *rcx);
    /* Compares state after a step: the number of differences; a line each in `text` unless NULL. */
    unsigned (*compare)(void *reference, const struct cosim_insn *insn, FILE *text);
    /* Compares all pages that either side has written since the last call. Same. */
    unsigned (*compare_memory)(void *reference, FILE *text);
    /* What state the reference is in, for people. */
    void (*explain)(void *reference, FILE *out);
    /* For vectors (cosim_vector.h): the state that the last compare() looked at; what the reference does not hold is
     * the interpreter's. */
    const struct cpu *(*state)(void *reference);
    /* A bit set over RAM pages: those it has written since the last compare_memory(). */
    const uint64_t *(*written)(void *reference);
    /* A page of its RAM. */
    const uint8_t *(*page)(void *reference, uint64_t page);
};
/* On /dev/kvm (cosim_kvm.c). */
extern const struct cosim_reference cosim_kvm;
/* From now on this entry of the explained list (cosim_skip.h) is not skipped: for the test that it is needed. */
void cosim_kvm_unskip(void *reference, const char *name);

#define COSIM_REASONS 96u
struct cosim_count {
    const char *reason;
    char mnemonic[16]; /* empty: of the reason as a whole */
    uint64_t count;
};

struct cosim_totals {
    uint64_t steps;    /* boundaries of the interpreter */
    uint64_t equal[2]; /* instructions that both ran with the same result: at CPL 0 to 2, at CPL 3 */
    uint64_t injected; /* ... where the reference took the result over because hardware may choose it */
    uint64_t events;   /* interrupts and exceptions delivered by the interpreter alone, time jumps */
    uint64_t skipped[2];
    uint64_t differing;
    uint64_t user_instructions;
    struct cosim_count reasons[COSIM_REASONS];
    unsigned reason_count;
};

struct cosim {
    struct cpu *cpu;
    const struct cosim_reference *kind;
    void *reference;
    struct cosim_totals totals;
    unsigned differences_max; /* stop after so many */
    uint64_t memory_steps;    /* all written pages are compared this often; 0: every 1024 steps */
    FILE *report;
    bool behind;            /* the reference's state is to be overridden before its next step */
    uint64_t since_memory;  /* steps since memory was compared */
    uint64_t checked_cycle; /* where it was compared last */
    bool made_earlier;      /* what differs was made by some step since checked_cycle, not by the last one */
    /* Who watches, NULL: nobody. Before a step, and at a difference, before anything is reported; step NULL: in memory.
     * False: it is not that step which makes it. */
    void (*before)(void *watcher, struct cpu *cpu);
    bool (*found)(void *watcher, const struct cosim_insn *at, const struct cosim_step *step);
    void *watcher;
    /* Runs the interpreter to its next boundary. False: the run is over. */
    bool (*advance)(void *context);
    void *context;
};

/* Opens the reference for the vCPU. kind, cpu, advance, context, report are set by the caller, the rest is zero. */
bool cosim_open(struct cosim *cosim, const char **why);
/* Goes so many boundaries on. False: the run ended, or differences_max was reached. */
bool cosim_run(struct cosim *cosim, uint64_t steps);
/* One boundary on: the same. */
bool cosim_step(struct cosim *cosim);
void cosim_close(struct cosim *cosim);
void cosim_print_totals(const struct cosim_totals *totals, FILE *out);

/* Why hardware is free in what this instruction gives, a constant text; NULL: it is not. */
const char *cosim_free_choice(const struct cosim_insn *insn);
/* FS or GS, and another segment prefix, which 64-bit mode ignores: KVM's emulator takes the last one. */
bool cosim_two_segments(const struct cosim_insn *insn);
/* At a boundary: an event goes before the instruction, or the vCPU waits for one. */
bool cosim_event_due(const struct cpu *cpu);
/* Decodes the instruction at the vCPU's RIP without changing anything. */
void cosim_look(struct cpu *cpu, struct cosim_insn *insn);

#endif
