/*
 * Integer arithmetic and logic: ADD, ADC, SUB, SBB, CMP, AND, OR, XOR, TEST, INC, DEC, NEG, NOT (SDM vol. 2).
 *
 * These are the hottest handlers of all; everything that varies by form comes from cpu/alu.h.
 */
#include "cpu/alu.h"

static inline uint64_t add_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w, bool live)
{
    uint64_t r = a + b;
    if (live)
        flags_add(cpu, a, b, r, w);
    return r;
}
UPDATE_HANDLERS(add, );

static inline uint64_t adc_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w, bool live)
{
    uint64_t r = a + b + flag_cf(cpu);
    if (live)
        flags_add(cpu, a, b, r, w);
    return r;
}
UPDATE_HANDLERS(adc, );

static inline uint64_t sub_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w, bool live)
{
    uint64_t r = a - b;
    if (live)
        flags_sub(cpu, a, b, r, w);
    return r;
}
UPDATE_HANDLERS(sub, );

static inline uint64_t sbb_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w, bool live)
{
    uint64_t r = a - b - flag_cf(cpu);
    if (live)
        flags_sub(cpu, a, b, r, w);
    return r;
}
UPDATE_HANDLERS(sbb, );

static inline uint64_t and_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w, bool live)
{
    uint64_t r = a & b;
    if (live)
        flags_logic(cpu, r, w);
    return r;
}
LOGIC_HANDLERS(and);

static inline uint64_t or_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w, bool live)
{
    uint64_t r = a | b;
    if (live)
        flags_logic(cpu, r, w);
    return r;
}
LOGIC_HANDLERS(or);

static inline uint64_t xor_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w, bool live)
{
    uint64_t r = a ^ b;
    if (live)
        flags_logic(cpu, r, w);
    return r;
}
LOGIC_HANDLERS(xor);

static inline void cmp_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w, bool live)
{
    if (live)
        flags_sub(cpu, a, b, a - b, w);
}
LOOK_HANDLERS(cmp, );

static inline void test_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w, bool live)
{
    if (live)
        flags_logic(cpu, a & b, w);
}
UNDEFINED(test);
EACH_WIDTH(LOOK_ANY, test, chosen, SETTLED)
LOOK_HANDLERS(test, CHOSEN_WIDTH(test));

/* INC and DEC leave CF as it was. */
static inline uint64_t inc_body(struct cpu *cpu, uint64_t a, unsigned w, bool live)
{
    uint64_t r = a + 1;
    if (live) {
        bool cf = flag_cf(cpu);
        flags_add(cpu, a, 1, r, w);
        flags_set_cf(cpu, cf);
    }
    return r;
}
UPDATE1_HANDLERS(inc);

static inline uint64_t dec_body(struct cpu *cpu, uint64_t a, unsigned w, bool live)
{
    uint64_t r = a - 1;
    if (live) {
        bool cf = flag_cf(cpu);
        flags_sub(cpu, a, 1, r, w);
        flags_set_cf(cpu, cf);
    }
    return r;
}
UPDATE1_HANDLERS(dec);

static inline uint64_t neg_body(struct cpu *cpu, uint64_t a, unsigned w, bool live)
{
    uint64_t r = 0 - a;
    if (live)
        flags_sub(cpu, 0, a, r, w);
    return r;
}
UPDATE1_HANDLERS(neg);

static inline uint64_t not_body(struct cpu *cpu, uint64_t a, unsigned w, bool live)
{
    (void)cpu, (void)w, (void)live;
    return ~a;
}
UPDATE1_HANDLERS(not);
