/*
 * What the manual leaves undefined: flags and results that are as one vendor's processors make them, or drawn at random
 * (--undefined, docs/undefined.md).
 *
 * cpu/isa.def says for each handler what is undefined when, and what the processors of either vendor do. The handlers
 * themselves do what Intel's do. Under another choice lowering takes their `chosen` form, which ends in
 * undefined_settle(): it goes by the lines of isa.def. So the default costs nothing.
 */
#ifndef CPU_UNDEFINED_H
#define CPU_UNDEFINED_H

#include "cpu/op.h"

/* When a line applies: always; by the masked count of a shift, or that and the operand size; the source is zero. */
enum undefined_when {
    UNDEFINED_ALWAYS,
    UNDEFINED_COUNT_ABOVE_1,
    UNDEFINED_COUNT_SIZE, /* at least the operand size in bits */
    UNDEFINED_COUNT_ABOVE_SIZE,
    UNDEFINED_ZERO,
    UNDEFINED_SIZE_16,
};

/* What a vendor's processors do. */
enum undefined_rule {
    RULE_KEPT,   /* as it was */
    RULE_CLEAR,  /* 0 */
    RULE_SET,    /* 1 */
    RULE_RESULT, /* what the operation's definition gives if carried on: SF, ZF, PF of the result, CF of a wider shift
                  */
    RULE_FIRST,  /* OF as for a count of one */
    RULE_LEFT,   /* OF: CF xor the top bit of the result */
    RULE_RIGHT,  /* OF: the two top bits of the result xored */
    RULE_CARRY,  /* OF: as CF */
    RULES
};

/* Whose manual. OLD: Intel's before the end of 2024. */
#define UNDEFINED_BY_INTEL 1u
#define UNDEFINED_BY_AMD   2u
#define UNDEFINED_BY_OLD   4u

struct undefined_line {
    uint8_t when; /* enum undefined_when */
    bool result;  /* the result, or: */
    uint32_t flags;
    uint8_t intel, amd; /* enum undefined_rule */
    uint8_t whose;      /* UNDEFINED_BY_: the manuals that say so */
    uint8_t seen;       /* likewise: on whose processors the rule was compared */
};

/* All about one handler; `undefined_NAME` is generated. */
struct undefined {
    const char *handler;
    const struct undefined_line *lines; /* applied in this order */
    unsigned count;
    bool amd_differs; /* from what the handler does by itself */
};

/* What undefined_settle() must know of an execution. */
struct undefined_case {
    uint32_t before; /* FLAGS_STATUS before the instruction */
    uint32_t w;      /* operand size in bits */
    uint32_t count;  /* masked count of a shift; 1 for what is none */
    bool zero;       /* BSF, BSR: the source is */
    uint64_t result;
};

/* "intel", "amd", "random:SEED", "random-old:SEED" (decimal or 0x hexadecimal). False: none of these. */
bool undefined_parse(const char *text, struct undefined_choice *choice);
/* The one way to write a choice that logs have. */
#define UNDEFINED_TEXT_BYTES 32u
void undefined_format(const struct undefined_choice *choice, char text[UNDEFINED_TEXT_BYTES]);

/* True if a handler's row needs its chosen form under this choice. */
bool undefined_matters(const struct undefined *what, const struct undefined_choice *choice);

/* What these manuals (UNDEFINED_BY_) leave undefined in such a case: flags, and whether the result is. */
uint32_t undefined_flags(const struct undefined *what, unsigned whose, uint32_t w, uint32_t count, bool zero,
                         bool *result);

/*
 * Behind the handler's work on flags: makes what is undefined as cpu->undefined says. Returns the result, of which only
 * the low w bits mean anything. A random choice is a function of the seed and the cycle of the instruction alone.
 */
uint64_t undefined_settle(struct cpu *cpu, const struct op *op, const struct undefined *what,
                          const struct undefined_case *at);

/* "always", "count > 1", ...; "kept", "cleared", ...: for people. */
const char *undefined_when_text(enum undefined_when when);
const char *undefined_rule_text(enum undefined_rule rule);

#endif
