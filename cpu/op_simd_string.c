/*
 * SSE4.2 text instructions: PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM vol. 1, 12.2.2-12.2.4; vol. 2B, 4.1).
 *
 * imm8: [0] words instead of bytes, [1] signed, [3:2] how to compare, [5:4] polarity, [6] the last index or the
 * expanded mask.
 */
#include "cpu/simd_op.h"

enum aggregation { EQUAL_ANY, RANGES, EQUAL_EACH, EQUAL_ORDERED };

static int element(const union vector_register *v, unsigned i, unsigned imm)
{
    switch (imm & 3) {
    case 0:
        return v->u8[i];
    case 1:
        return v->u16[i];
    case 2:
        return v->i8[i];
    default:
        return v->i16[i];
    }
}

/* Elements before the first zero. */
static unsigned implicit_length(const union vector_register *v, unsigned imm)
{
    unsigned count = imm & 1 ? 8 : 16, i = 0;
    while (i < count && element(v, i, imm) != 0)
        i++;
    return i;
}
/* The magnitude of EAX or EDX (RAX, RDX with REX.W), cut to what there is. */
static unsigned explicit_length(const struct cpu *cpu, const struct op *op, unsigned gpr, unsigned imm)
{
    uint64_t count = imm & 1 ? 8 : 16, value = cpu->gpr[gpr];
    if (OP_WIDTH(op) != 64)
        value = sign_extend(value, 32);
    uint64_t magnitude = value >> 63 ? 0 - value : value;
    return (unsigned)(magnitude < count ? magnitude : count);
}

/* IntRes2: one bit for each element of b. The first source has the set, the ranges or the needle. */
static unsigned compare_strings(const union vector_register *a, const union vector_register *b, unsigned a_length,
                                unsigned b_length, unsigned imm)
{
    unsigned count = imm & 1 ? 8 : 16, result = 0;
    for (unsigned i = 0; i < count; i++) {
        bool hit = false;
        switch ((enum aggregation)(imm >> 2 & 3)) {
        case EQUAL_ANY:
            for (unsigned j = 0; j < a_length && i < b_length; j++)
                hit |= element(a, j, imm) == element(b, i, imm);
            break;
        case RANGES: /* pairs of bounds; one without its partner is none */
            for (unsigned j = 0; j + 1 < a_length && i < b_length; j += 2)
                hit |= element(b, i, imm) >= element(a, j, imm) && element(b, i, imm) <= element(a, j + 1, imm);
            break;
        case EQUAL_EACH: /* both ended is equal, one ended is not */
            hit = i < a_length && i < b_length ? element(a, i, imm) == element(b, i, imm)
                                               : i >= a_length && i >= b_length;
            break;
        case EQUAL_ORDERED: /* the needle starts here, as far as b's register shows it */
            hit = true;
            for (unsigned j = 0; j < a_length && i + j < count; j++)
                hit &= i + j < b_length && element(a, j, imm) == element(b, i + j, imm);
            break;
        }
        result |= (unsigned)hit << i;
    }
    unsigned everything = (1u << count) - 1;
    switch (imm >> 4 & 3) {
    case 1:
        return result ^ everything;
    case 3:
        return result ^ ((1u << b_length) - 1);
    default:
        return result;
    }
}

static void set_flags(struct cpu *cpu, unsigned result, unsigned a_length, unsigned b_length, unsigned imm)
{
    unsigned count = imm & 1 ? 8 : 16;
    flags_set_status(cpu, (result ? FLAG_CF : 0) | (b_length < count ? FLAG_ZF : 0) | (a_length < count ? FLAG_SF : 0) |
                              (result & 1 ? FLAG_OF : 0));
}

/* ECX: the first or the last element whose bit is set, or their number. */
static void write_index(struct cpu *cpu, unsigned result, unsigned imm)
{
    unsigned index = imm & 1 ? 8 : 16;
    if (result)
        index = (unsigned)(imm & 0x40 ? 31 - __builtin_clz(result) : __builtin_ctz(result));
    SET_REG(32, RCX * 8, index);
}
/* XMM0: the bits, or a mask of elements. */
static void write_mask(struct cpu *cpu, unsigned result, unsigned imm)
{
    union vector_register *r = &cpu->zmm[0];
    r->u64[0] = result;
    r->u64[1] = 0;
    if (!(imm & 0x40))
        return;
    for (unsigned i = 0; i < 16; i++)
        r->u8[i] = result >> (imm & 1 ? i / 2 : i) & 1 ? 0xFF : 0;
}

/* VEX: the rest of the register is cleared too. */
static void write_mask_vex(struct cpu *cpu, unsigned result, unsigned imm)
{
    write_mask(cpu, result, imm);
    memset(cpu->zmm[0].u8 + 16, 0, 48);
}

#define STRING(name, a_length_expression, b_length_expression, write)                                                  \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        SOURCE_ANY(16)                                                                                                 \
        const union vector_register *a = &cpu->zmm[OPERAND(dst)];                                                      \
        unsigned imm = (uint8_t)OPERAND(imm), a_length = (a_length_expression), b_length = (b_length_expression);      \
        unsigned result = compare_strings(a, b, a_length, b_length, imm);                                              \
        write(cpu, result, imm);                                                                                       \
        set_flags(cpu, result, a_length, b_length, imm);                                                               \
        NEXT;                                                                                                          \
    }
STRING(pcmpistri, implicit_length(a, imm), implicit_length(b, imm), write_index)
STRING(pcmpistrm, implicit_length(a, imm), implicit_length(b, imm), write_mask)
STRING(pcmpestri, explicit_length(cpu, op, RAX, imm), explicit_length(cpu, op, RDX, imm), write_index)
STRING(pcmpestrm, explicit_length(cpu, op, RAX, imm), explicit_length(cpu, op, RDX, imm), write_mask)
STRING(vpcmpistrm, implicit_length(a, imm), implicit_length(b, imm), write_mask_vex)
STRING(vpcmpestrm, explicit_length(cpu, op, RAX, imm), explicit_length(cpu, op, RDX, imm), write_mask_vex)
