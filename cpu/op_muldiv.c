/*
 * MUL, IMUL, DIV, IDIV (SDM vol. 2).
 *
 * Flags the manual leaves undefined follow Intel processors: after a multiplication SF and PF are those of the lower
 * half of the product, ZF and AF are clear; a division leaves all flags as they were.
 */
#include "cpu/alu.h"

static inline void flags_set_product(struct cpu *cpu, uint64_t low, bool wide, unsigned w)
{
    cpu->flag_result = sign_extend(low, w) | 0x100; /* bit 8 keeps ZF clear and is in no other flag */
    cpu->flag_carries = wide ? CARRIES_CF : 0;      /* CF = OF */
}

/* --- one operand: the double-width product in AX, DX:AX, EDX:EAX or RDX:RAX -----------------------------------------
 */

/* The source of a one-operand form. */
#define READ_OPERAND(w, b)                                                                                             \
    do {                                                                                                               \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(from_, (w) / 8, ACCESS_READ);                                                                       \
            LOAD(w, b, from_);                                                                                         \
        } else {                                                                                                       \
            (b) = REG(w, OPERAND(dst));                                                                                \
        }                                                                                                              \
    } while (0)

static inline void set_double(struct cpu *cpu, uint64_t high, uint64_t low, unsigned w)
{
    if (w == 8) {
        SET_REG(8, RAX * 8, low);
        SET_REG(8, RAX * 8 + 1, high);
    } else {
        SET_REG(w, RAX * 8, low);
        SET_REG(w, RDX * 8, high);
    }
}
static inline unsigned __int128 get_double(const struct cpu *cpu, unsigned w)
{
    unsigned high = w == 8 ? RAX * 8 + 1 : RDX * 8;
    return (unsigned __int128)REG(w, high) << w | REG(w, RAX * 8);
}

#define MUL_ANY(w, name, form, SETTLE)                                                                                 \
    static OP(name##_##form##w)                                                                                        \
    {                                                                                                                  \
        FLAGS_BEFORE;                                                                                                  \
        uint64_t b;                                                                                                    \
        READ_OPERAND(w, b);                                                                                            \
        unsigned __int128 product = (unsigned __int128)REG(w, RAX * 8) * b;                                            \
        uint64_t low = (uint64_t)product & width_mask(w), high = (uint64_t)(product >> (w));                           \
        set_double(cpu, high, low, w);                                                                                 \
        flags_set_product(cpu, low, high != 0, w);                                                                     \
        (void)SETTLE(name, w, 1, false, low);                                                                          \
        NEXT;                                                                                                          \
    }
UNDEFINED(mul);
EACH_WIDTH(MUL_ANY, mul, any, AS_IS)
EACH_WIDTH(MUL_ANY, mul, chosen, SETTLED)
HANDLERS(mul) = { .by_width = BY_WIDTH(mul), CHOSEN_WIDTH(mul) };

#define IMUL1_ANY(w, name, form, SETTLE)                                                                               \
    static OP(name##_##form##w)                                                                                        \
    {                                                                                                                  \
        FLAGS_BEFORE;                                                                                                  \
        uint64_t b;                                                                                                    \
        READ_OPERAND(w, b);                                                                                            \
        __int128 product = (__int128)(int64_t)sign_extend(REG(w, RAX * 8), w) * (int64_t)sign_extend(b, w);            \
        uint64_t low = (uint64_t)product & width_mask(w), high = (uint64_t)(product >> (w));                           \
        set_double(cpu, high, low, w);                                                                                 \
        flags_set_product(cpu, low, product != (int64_t)sign_extend(low, w), w);                                       \
        (void)SETTLE(name, w, 1, false, low);                                                                          \
        NEXT;                                                                                                          \
    }
UNDEFINED(imul1);
EACH_WIDTH(IMUL1_ANY, imul1, any, AS_IS)
EACH_WIDTH(IMUL1_ANY, imul1, chosen, SETTLED)
HANDLERS(imul1) = { .by_width = BY_WIDTH(imul1), CHOSEN_WIDTH(imul1) };

/* --- two and three operands ------------------------------------------------------------------------------------------
 */

static inline uint64_t imul_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w, bool live)
{
    if (!live)
        return a * b;
    int64_t x = (int64_t)sign_extend(a, w), y = (int64_t)sign_extend(b, w), product;
    bool wide = __builtin_mul_overflow(x, y, &product);
    uint64_t low = (uint64_t)product;
    flags_set_product(cpu, low, wide || sign_extend(low, w) != low, w);
    return low;
}
/* IMUL r, rm */
#define IMUL2_ANY(w, name, form, SETTLE)                                                                               \
    static OP(name##_##form##w)                                                                                        \
    {                                                                                                                  \
        FLAGS_BEFORE;                                                                                                  \
        uint64_t b;                                                                                                    \
        READ_SOURCE(w, b);                                                                                             \
        SET_REG(w, OPERAND(dst), imul_body(cpu, REG(w, OPERAND(dst)), b, w, true));                                    \
        (void)SETTLE(name, w, 1, false, 0);                                                                            \
        NEXT;                                                                                                          \
    }
#define IMUL2_SHAPED(w, name, live, tag)                                                                               \
    static OP(name##_rr##w##tag)                                                                                       \
    {                                                                                                                  \
        SET_REG(w, OPERAND(dst), imul_body(cpu, REG(w, OPERAND(dst)), REG(w, OPERAND(src)), w, live));                 \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(name##_rm##w##tag)                                                                                       \
    {                                                                                                                  \
        uint64_t b;                                                                                                    \
        LOAD_HIT(w, b, LINEAR_FLAT, op_##name##_any##w);                                                               \
        SET_REG(w, OPERAND(dst), imul_body(cpu, REG(w, OPERAND(dst)), b, w, live));                                    \
        NEXT;                                                                                                          \
    }
UNDEFINED(imul2);
EACH_WIDE(IMUL2_ANY, imul2, any, AS_IS)
EACH_WIDE(IMUL2_ANY, imul2, chosen, SETTLED)
EACH_WIDE(IMUL2_SHAPED, imul2, true, )
EACH_WIDE(IMUL2_SHAPED, imul2, false, _dead)
static op_fn *const imul2_shaped[SHAPES][4] = {
    [SHAPE_RR] = ROW_WIDE(imul2, rr, ),
    [SHAPE_RM] = ROW_WIDE(imul2, rm, ),
};
static op_fn *const imul2_shaped_dead[SHAPES][4] = {
    [SHAPE_RR] = ROW_WIDE(imul2, rr, _dead),
    [SHAPE_RM] = ROW_WIDE(imul2, rm, _dead),
};
HANDLERS(imul2) = { .by_width = BY_WIDE(imul2), .shaped = imul2_shaped, .dead = imul2_shaped_dead, CHOSEN_WIDE(imul2) };

/* IMUL r, rm, imm */
#define IMUL3_ANY(w, name, form, SETTLE)                                                                               \
    static OP(name##_##form##w)                                                                                        \
    {                                                                                                                  \
        FLAGS_BEFORE;                                                                                                  \
        uint64_t a;                                                                                                    \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(from, (w) / 8, ACCESS_READ);                                                                        \
            LOAD(w, a, from);                                                                                          \
        } else {                                                                                                       \
            a = REG(w, OPERAND(src));                                                                                  \
        }                                                                                                              \
        SET_REG(w, OPERAND(dst), imul_body(cpu, a, OPERAND(imm), w, true));                                            \
        (void)SETTLE(name, w, 1, false, 0);                                                                            \
        NEXT;                                                                                                          \
    }
UNDEFINED(imul3);
EACH_WIDE(IMUL3_ANY, imul3, any, AS_IS)
EACH_WIDE(IMUL3_ANY, imul3, chosen, SETTLED)
HANDLERS(imul3) = { .by_width = BY_WIDE(imul3), CHOSEN_WIDE(imul3) };

/* --- division --------------------------------------------------------------------------------------------------------
 */

#define DIV_ANY(w, name, form, SETTLE)                                                                                 \
    static OP(name##_##form##w)                                                                                        \
    {                                                                                                                  \
        FLAGS_BEFORE;                                                                                                  \
        uint64_t d;                                                                                                    \
        READ_OPERAND(w, d);                                                                                            \
        unsigned __int128 n = get_double(cpu, w);                                                                      \
        if (n >> (w) >= d) /* also where d is 0 */                                                                     \
            FAULT(VEC_DE);                                                                                             \
        if (n >> 64)                                                                                                   \
            set_double(cpu, (uint64_t)(n % d), (uint64_t)(n / d), w);                                                  \
        else                                                                                                           \
            set_double(cpu, (uint64_t)n % d, (uint64_t)n / d, w);                                                      \
        (void)SETTLE(name, w, 1, false, 0);                                                                            \
        NEXT;                                                                                                          \
    }
UNDEFINED(div);
EACH_WIDTH(DIV_ANY, div, any, AS_IS)
EACH_WIDTH(DIV_ANY, div, chosen, SETTLED)
HANDLERS(div) = { .by_width = BY_WIDTH(div), CHOSEN_WIDTH(div) };

/* Divides magnitudes, which cannot overflow, then looks whether the quotient fits. False: #DE. */
static inline bool idiv_body(struct cpu *cpu, uint64_t divisor, unsigned w)
{
    unsigned __int128 n = get_double(cpu, w);
    bool negative = (uint64_t)(n >> (2 * w - 1)) & 1;
    if (negative)
        n = w == 64 ? -n : -n & (((unsigned __int128)1 << (2 * w & 127)) - 1);
    uint64_t d = sign_extend(divisor, w), quotient, remainder;
    bool opposite = negative != (d >> 63);
    if (d >> 63)
        d = 0 - d;
    if (n >> w >= d)
        return false;
    if (n >> 64) {
        quotient = (uint64_t)(n / d);
        remainder = (uint64_t)(n % d);
    } else {
        quotient = (uint64_t)n / d;
        remainder = (uint64_t)n % d;
    }
    if (quotient > (1ull << (w - 1)) - !opposite)
        return false;
    set_double(cpu, negative ? 0 - remainder : remainder, opposite ? 0 - quotient : quotient, w);
    return true;
}
#define IDIV_ANY(w, name, form, SETTLE)                                                                                \
    static OP(name##_##form##w)                                                                                        \
    {                                                                                                                  \
        FLAGS_BEFORE;                                                                                                  \
        uint64_t d;                                                                                                    \
        READ_OPERAND(w, d);                                                                                            \
        if (!idiv_body(cpu, d, w))                                                                                     \
            FAULT(VEC_DE);                                                                                             \
        (void)SETTLE(name, w, 1, false, 0);                                                                            \
        NEXT;                                                                                                          \
    }
UNDEFINED(idiv);
EACH_WIDTH(IDIV_ANY, idiv, any, AS_IS)
EACH_WIDTH(IDIV_ANY, idiv, chosen, SETTLED)
HANDLERS(idiv) = { .by_width = BY_WIDTH(idiv), CHOSEN_WIDTH(idiv) };
