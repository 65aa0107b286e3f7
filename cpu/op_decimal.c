/*
 * Decimal adjustments: AAA, AAS, AAM, AAD, DAA, DAS (SDM vol. 2A). None of them exists in 64-bit mode.
 *
 * Undefined flags, as Intel processors make them: SF, ZF and PF are those of AL, OF is clear, and so are CF and AF
 * after AAM; after AAD, OF, CF and AF are those of its addition.
 */
#include "cpu/alu.h"

static inline void flags_set_decimal(struct cpu *cpu, uint64_t al, bool cf, bool af)
{
    flags_set_shift(cpu, al, cf, false, 8);
    if (af)
        cpu->flag_carries |= CARRIES_AF;
}

static inline bool nibble_adjusts(const struct cpu *cpu)
{
    return (REG(8, RAX * 8) & 15) > 9 || flag_af(cpu);
}

/* Each body returns false for #DE. */

static inline bool aaa_body(struct cpu *cpu, uint64_t imm)
{
    (void)imm;
    bool adjust = nibble_adjusts(cpu);
    uint64_t ax = REG(16, RAX * 8) + (adjust ? 0x106 : 0);
    SET_REG(16, RAX * 8, ax & 0xFF0F);
    flags_set_decimal(cpu, ax & 15, adjust, adjust);
    return true;
}
static inline bool aas_body(struct cpu *cpu, uint64_t imm)
{
    (void)imm;
    bool adjust = nibble_adjusts(cpu);
    uint64_t ax = REG(16, RAX * 8) - (adjust ? 0x106 : 0);
    SET_REG(16, RAX * 8, ax & 0xFF0F);
    flags_set_decimal(cpu, ax & 15, adjust, adjust);
    return true;
}

static inline bool daa_body(struct cpu *cpu, uint64_t imm)
{
    (void)imm;
    uint64_t old = REG(8, RAX * 8), al = old;
    bool af = nibble_adjusts(cpu), cf = old > 0x99 || flag_cf(cpu);
    al += (af ? 6 : 0) + (cf ? 0x60 : 0);
    SET_REG(8, RAX * 8, al);
    flags_set_decimal(cpu, al, cf, af);
    return true;
}
static inline bool das_body(struct cpu *cpu, uint64_t imm)
{
    (void)imm;
    uint64_t old = REG(8, RAX * 8), al = old;
    bool af = nibble_adjusts(cpu), high = old > 0x99 || flag_cf(cpu);
    bool cf = high || (af && old < 6); /* the borrow of the first step */
    al -= (af ? 6 : 0) + (high ? 0x60 : 0);
    SET_REG(8, RAX * 8, al);
    flags_set_decimal(cpu, al, cf, af);
    return true;
}

static inline bool aam_body(struct cpu *cpu, uint64_t imm)
{
    uint64_t base = imm & 0xFF, al = REG(8, RAX * 8);
    if (!base)
        return false;
    SET_REG(16, RAX * 8, al / base << 8 | al % base);
    flags_set_decimal(cpu, al % base, false, false);
    return true;
}
static inline bool aad_body(struct cpu *cpu, uint64_t imm)
{
    uint64_t ax = REG(16, RAX * 8), low = ax & 0xFF, tens = (ax >> 8) * imm & 0xFF, al = (low + tens) & 0xFF;
    SET_REG(16, RAX * 8, al);
    flags_add(cpu, low, tens, al, 8);
    return true;
}

#define DECIMAL_FORM(name, form, SETTLE)                                                                               \
    static OP(name##_##form)                                                                                           \
    {                                                                                                                  \
        FLAGS_BEFORE;                                                                                                  \
        if (!name##_body(cpu, OPERAND(imm)))                                                                           \
            FAULT(VEC_DE);                                                                                             \
        (void)SETTLE(name, 8, 1, false, 0);                                                                            \
        NEXT;                                                                                                          \
    }
#define DECIMAL(name)                                                                                                  \
    UNDEFINED(name);                                                                                                   \
    DECIMAL_FORM(name, any, AS_IS)                                                                                     \
    DECIMAL_FORM(name, chosen, SETTLED)                                                                                \
    HANDLERS(name) = { .any = op_##name##_any,                                                                         \
                       .undefined = &undefined_##name,                                                                 \
                       .chosen = { op_##name##_chosen, op_##name##_chosen, op_##name##_chosen, op_##name##_chosen } }
DECIMAL(aaa);
DECIMAL(aas);
DECIMAL(daa);
DECIMAL(das);
DECIMAL(aam);
DECIMAL(aad);
