/*
 * Instruction comparison: one instruction in one state, run on a reference (the host's processor) and on the
 * interpreter.
 *
 * A test is the bytes of an instruction and the whole state a 64-bit program at CPL 3 can see. Both sides use the same
 * small layout of linear addresses, so that an address means the same on both. docs/difftest.md has the overview.
 */
#ifndef KVM_DIFFTEST_H
#define KVM_DIFFTEST_H

#include "cpu/cpu.h"
#include "cpu/insn.h"

#include <stdio.h>

/*
 * The layout: two pages of code (execute, read), then nothing; nothing, two pages of data (read, write), one that is
 * read-only, then nothing. All below 2 GiB, so that 32-bit addresses and displacements reach them.
 */
#define DIFFTEST_CODE            0x10000000ull
#define DIFFTEST_CODE_BYTES      0x2000u
#define DIFFTEST_DATA            0x20000000ull
#define DIFFTEST_DATA_BYTES      0x2000u
#define DIFFTEST_READ_ONLY       (DIFFTEST_DATA + DIFFTEST_DATA_BYTES)
#define DIFFTEST_READ_ONLY_BYTES 0x1000u
#define DIFFTEST_DATA_END        (DIFFTEST_READ_ONLY + DIFFTEST_READ_ONLY_BYTES)
#define DIFFTEST_GS_BASE         (DIFFTEST_DATA + 0x800)
#define DIFFTEST_MEMORY_BYTES    (DIFFTEST_CODE_BYTES + DIFFTEST_DATA_BYTES + DIFFTEST_READ_ONLY_BYTES)

/* What a program at CPL 3 can see and change. */
struct difftest_state {
    uint64_t gpr[16], rip, rflags;
    struct x87 x87; /* as in struct cpu: physical registers */
    union vector_register zmm[32];
    uint64_t opmask[8];
    uint32_t mxcsr;
    uint32_t reserved;
};

/* How a test ended; vectors are those of exceptions. The normal ends are VEC_DB (after_step) and VEC_BP (the INT3
 * behind). */
struct difftest_outcome {
    struct difftest_state state;
    uint64_t cr2;
    uint32_t error;
    uint8_t vector;
    bool data_changed;
    bool gp_emulated;                  /* the reference may have made another fault of a #GP */
    bool lost;                         /* no end within the limit: vector means nothing */
    bool no_verdict;                   /* the reference cannot tell: nothing else means anything */
    uint8_t data[DIFFTEST_DATA_BYTES]; /* valid if data_changed */
};

enum difftest_mask { DIFFTEST_MASK_ANY, DIFFTEST_MASK_ZERO, DIFFTEST_MASK_ONES, DIFFTEST_MASK_RANDOM };

struct difftest_case {
    uint8_t bytes[16]; /* the instruction; an INT3 follows it in memory if step is false */
    uint8_t length;
    bool step; /* RFLAGS.TF is set: ends by #DB behind the instruction (or the REP iteration, or at the branch's target)
                */
    uint8_t mask; /* enum difftest_mask: what the generator puts into the opmask register */
    uint8_t reserved;
    uint32_t flags_undefined;
    const struct isa_row *row;   /* NULL: decodes to nothing, #UD expected */
    struct difftest_state state; /* state.rip: where the instruction lies */
};

/* Bytes of memory both sides begin with; the code page is written by each test. */
struct difftest_memory {
    uint8_t data[DIFFTEST_DATA_BYTES];
    uint8_t read_only[DIFFTEST_READ_ONLY_BYTES];
};

/* --- generator (difftest_generate.c) --- */

struct difftest_random {
    uint64_t state;
};
uint64_t difftest_random(struct difftest_random *random);

struct difftest_reference;

/*
 * What a row's encodings and states are made from. The choices that matter come up each in its turn: begin a row with
 * any turns and combinations = 0; as soon as as many encodings were asked for as `combinations` says then, every
 * combination was tried (those that are no instruction of the row left out).
 */
struct difftest_generator {
    struct difftest_random random;
    const uint64_t *features;                   /* what the processor has; NULL: everything */
    const struct difftest_reference *reference; /* whose skipped rows are left out */
    uint64_t turn, illegal_turn, state_turn, place;
    uint64_t combinations;
};

/*
 * Makes up the bytes of an instruction of this row. illegal: one property the row does not admit is forced (LOCK, a
 * prefix, ModRM.mod, a field of VEX or EVEX, too many bytes). False: what came out is not to be run (another row that
 * is skipped, no instruction of 64-bit mode). test->row is the row it decodes to under the generator's features.
 */
bool difftest_make_insn(struct difftest_generator *generator, const struct isa_row *row, bool illegal,
                        struct difftest_case *test);
/* Makes up a state that suits the instruction, so that memory operands fall where they matter. */
void difftest_make_state(struct difftest_generator *generator, struct difftest_case *test);
/* Sets test->flags_undefined: what these manuals (UNDEFINED_BY_ of cpu/undefined.h) leave undefined of this instruction
 * in this state. */
void difftest_mask(struct difftest_case *test, unsigned whose);
void difftest_make_memory(struct difftest_random *random, struct difftest_memory *memory);

/* --- sides --- */

/*
 * A reference: something that runs tests as a real processor would. One of each kind per process: a reference may own
 * signals, fixed addresses, a virtual machine.
 */
struct difftest_reference {
    const char *name;                /* as --reference takes it */
    void *(*open)(const char **why); /* NULL with a text in *why if this host cannot do it */
    void (*close)(void *reference);
    /*
     * Runs `count` (1 to DIFFTEST_BATCH_MAX) tests over the same memory, each from that memory's contents, and fills
     * one outcome each, all fields. Where it cannot tell how a test ends it says so (no_verdict) and goes on.
     */
    void (*run)(void *reference, const struct difftest_memory *memory, const struct difftest_case *tests,
                struct difftest_outcome *outcomes, unsigned count);
    unsigned batch;      /* how many tests a run had best have, up to DIFFTEST_BATCH_MAX */
    bool traps_are_slow; /* a test that ends by a trap costs far more than one that runs into what follows it */
    /* States a second so far, without the work around them; NULL: it does not tell. */
    double (*rate)(const void *reference);
    /* Software looks at each #GP (struct difftest_outcome); NULL: no. */
    bool (*gp_emulated)(const void *reference);
    /* The reference has memory of its own at this address, which no test knows of and some may hit; NULL: it never has.
     */
    bool (*occupies)(const void *reference, uint64_t linear);
    /* Why a row cannot be run here, a constant text; NULL: it can. */
    const char *(*row_skipped)(const struct isa_row *row);
};
#define DIFFTEST_BATCH_MAX 512u
/* The kinds, NULL behind the last. */
extern const struct difftest_reference *const difftest_references[];
/* This process on the host's processor (difftest_native.c). */
extern const struct difftest_reference difftest_native;
/* A guest on the host's KVM (difftest_kvm.c). */
extern const struct difftest_reference difftest_kvm;

/* The host's processor (difftest_host.c). What CPUID offers, as a bit set of enum isa_feature; false: no x86-64 host.
 */
bool difftest_host_features(uint64_t features[2]);
/* Marketing name and family-model-stepping, for reports. */
void difftest_host_name(char *out, size_t bytes);
bool difftest_host_is_intel(void);

/* The interpreter. */
struct difftest_sim;
/* features: those the model gets; how: enum undefined_how, Intel's or AMD's. NULL: no memory. */
struct difftest_sim *difftest_sim_open(const uint64_t *features, enum undefined_how how);
void difftest_sim_close(struct difftest_sim *sim);
void difftest_sim_run(struct difftest_sim *sim, const struct difftest_memory *memory, const struct difftest_case *test,
                      struct difftest_outcome *outcome);

/* --- comparison (difftest_compare.c) --- */

enum difftest_verdict { DIFFTEST_EQUAL, DIFFTEST_MASKED, DIFFTEST_EXPLAINED, DIFFTEST_DIFFERS };

/*
 * Compares two outcomes of a test. MASKED: equal but for flags the row leaves undefined. EXPLAINED: equal but for a
 * defined difference, *explanation is its number. sim: for further runs.
 */
enum difftest_verdict difftest_compare(struct difftest_sim *sim, const struct difftest_case *test,
                                       const struct difftest_outcome *reference, const struct difftest_outcome *outcome,
                                       const struct difftest_memory *memory, unsigned *explanation);
/* One line per difference, undefined flags left out. */
void difftest_differences(const struct difftest_case *test, const struct difftest_outcome *reference,
                          const struct difftest_outcome *outcome, const struct difftest_memory *memory, FILE *out);

/* --- the defined differences (difftest_explain.c) --- */

struct difftest_explanation {
    const char *name;
    const char *text;                       /* what differs, and why it may */
    bool rare;                              /* even a whole run may not meet it */
    bool intel_only, amd_only, gp_emulated; /* where it is expected to be seen */
};
extern const unsigned difftest_explanation_count;
const struct difftest_explanation *difftest_explanation(unsigned number);
/*
 * Turns the interpreter's outcome into what entry `number` lets a processor show instead. False: it is not about this
 * test.
 */
bool difftest_explain(struct difftest_sim *sim, const struct difftest_case *test,
                      const struct difftest_outcome *reference, const struct difftest_memory *memory, unsigned number,
                      struct difftest_outcome *expected);
#define DIFFTEST_EXPLANATIONS_MAX 32u

/* --- test vectors (difftest_vector.c) --- */

#define DIFFTEST_NAME_BYTES 32u
/* Pairs of hexadecimal digits to the end of the text, at least one: *count bytes, `max` at most. False: something else.
 */
bool difftest_read_hex(const char *text, uint8_t *bytes, unsigned max, unsigned *count);
/*
 * Writes a test and the outcome of the reference in the text form of tests/vectors. explained: the name of the defined
 * difference the interpreter shows here; NULL: none.
 */
void difftest_vector_write(FILE *out, const struct difftest_case *test, const struct difftest_outcome *reference,
                           const struct difftest_memory *memory, const char *processor, const char *explained);
/*
 * Reads the next one from a stream; explained gets the name, or nothing. 1: there is one; 0: end of file; -EINVAL:
 * *line is where it is malformed.
 */
int difftest_vector_read(FILE *in, struct difftest_case *test, struct difftest_outcome *reference,
                         struct difftest_memory *memory, char explained[DIFFTEST_NAME_BYTES], unsigned *line);

#endif
