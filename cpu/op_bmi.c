/*
 * BMI1, BMI2, ADX, LZCNT, TZCNT, MOVBE (SDM vol. 2).
 *
 * The VEX-encoded ones are integer instructions of 32 or 64 bits: no vector state, VEX.L 0, no alignment, and #UD in
 * real and virtual-8086 mode (SDM vol. 2A, 2.5.1, exception class 13). Flags that the manual leaves undefined are
 * clear, as Intel processors leave them.
 */
#include "cpu/alu.h"

/* The sizes a VEX-encoded integer instruction has. */
#define EACH_VEX(M, ...) M(32, __VA_ARGS__) M(64, __VA_ARGS__)
#define BY_VEX(name)     { NULL, NULL, op_##name##_any32, op_##name##_any64 }

/* The operand in ModRM.rm, whose register form is in the op's member `at`. */
#define READ_RM(w, var, at)                                                                                            \
    do {                                                                                                               \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(from_, (w) / 8, ACCESS_READ);                                                                       \
            LOAD(w, var, from_);                                                                                       \
        } else {                                                                                                       \
            (var) = REG(w, OPERAND(at));                                                                               \
        }                                                                                                              \
    } while (0)

/* dst = body(second operand, third operand), which of them is in ModRM.rm tells the form: G, B, E or G, E, B. */
#define VEX_GBE(w, name, form, SETTLE)                                                                                 \
    static OP(name##_##form##w)                                                                                        \
    {                                                                                                                  \
        FLAGS_BEFORE;                                                                                                  \
        uint64_t b;                                                                                                    \
        READ_RM(w, b, src2);                                                                                           \
        SET_REG(w, OPERAND(dst), name##_body(cpu, REG(w, OPERAND(src)), b, w));                                        \
        (void)SETTLE(name, w, 1, false, 0);                                                                            \
        NEXT;                                                                                                          \
    }
#define VEX_GEB(w, name, form, SETTLE)                                                                                 \
    static OP(name##_##form##w)                                                                                        \
    {                                                                                                                  \
        FLAGS_BEFORE;                                                                                                  \
        uint64_t a;                                                                                                    \
        READ_RM(w, a, src);                                                                                            \
        SET_REG(w, OPERAND(dst), name##_body(cpu, a, REG(w, OPERAND(src2)), w));                                       \
        (void)SETTLE(name, w, 1, false, 0);                                                                            \
        NEXT;                                                                                                          \
    }
/* dst = body(source) */
#define VEX_BE(w, name, form, SETTLE)                                                                                  \
    static OP(name##_##form##w)                                                                                        \
    {                                                                                                                  \
        FLAGS_BEFORE;                                                                                                  \
        uint64_t a;                                                                                                    \
        READ_RM(w, a, src);                                                                                            \
        SET_REG(w, OPERAND(dst), name##_body(cpu, a, w));                                                              \
        (void)SETTLE(name, w, 1, false, 0);                                                                            \
        NEXT;                                                                                                          \
    }
#define VEX_HANDLERS(FORM, name)                                                                                       \
    EACH_VEX(FORM, name, any, AS_IS)                                                                                   \
    HANDLERS(name) = { .by_width = BY_VEX(name) }
/* Those that set flags, some of which are undefined. */
#define VEX_FLAG_HANDLERS(FORM, name)                                                                                  \
    UNDEFINED(name);                                                                                                   \
    EACH_VEX(FORM, name, any, AS_IS)                                                                                   \
    EACH_VEX(FORM, name, chosen, SETTLED)                                                                              \
    HANDLERS(name) = {                                                                                                 \
        .by_width = BY_VEX(name),                                                                                      \
        .undefined = &undefined_##name,                                                                                \
        .chosen = { NULL, NULL, op_##name##_chosen32, op_##name##_chosen64 },                                          \
    }

/* --- BMI1 ------------------------------------------------------------------------------------------------------- */

/* Result with CF given; OF, AF and PF clear. */
static inline uint64_t flags_set_bmi(struct cpu *cpu, uint64_t result, bool cf, unsigned w)
{
    flags_set_shift(cpu, result, cf, false, w);
    cpu->flag_carries |= (uint64_t)flag_pf(cpu) << 8;
    return result;
}

static inline uint64_t andn_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w)
{
    return flags_set_bmi(cpu, ~a & b & width_mask(w), false, w);
}
VEX_FLAG_HANDLERS(VEX_GBE, andn);

/* Control: start in bits 7:0, length in 15:8. */
static inline uint64_t bextr_body(struct cpu *cpu, uint64_t a, uint64_t control, unsigned w)
{
    unsigned start = control & 0xFF, length = control >> 8 & 0xFF;
    uint64_t r = start < w ? a >> start : 0;
    if (length < w)
        r &= (1ull << length) - 1;
    flags_set_status(cpu, r ? 0 : FLAG_ZF);
    return r;
}
VEX_FLAG_HANDLERS(VEX_GEB, bextr);

static inline uint64_t blsi_body(struct cpu *cpu, uint64_t a, unsigned w)
{
    return flags_set_bmi(cpu, a & (0 - a), a != 0, w);
}
VEX_FLAG_HANDLERS(VEX_BE, blsi);

static inline uint64_t blsmsk_body(struct cpu *cpu, uint64_t a, unsigned w)
{
    return flags_set_bmi(cpu, (a ^ (a - 1)) & width_mask(w), a == 0, w);
}
VEX_FLAG_HANDLERS(VEX_BE, blsmsk);

static inline uint64_t blsr_body(struct cpu *cpu, uint64_t a, unsigned w)
{
    return flags_set_bmi(cpu, a & (a - 1) & width_mask(w), a == 0, w);
}
VEX_FLAG_HANDLERS(VEX_BE, blsr);

/* --- BMI2 ------------------------------------------------------------------------------------------------------- */

static inline uint64_t bzhi_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w)
{
    unsigned index = b & 0xFF;
    return flags_set_bmi(cpu, index < w ? a & ((1ull << index) - 1) : a, index >= w, w);
}
VEX_FLAG_HANDLERS(VEX_GEB, bzhi);

/* The low bits of a go to where the mask has ones. */
static inline uint64_t pdep_body(struct cpu *cpu, uint64_t a, uint64_t mask, unsigned w)
{
    (void)cpu, (void)w;
    uint64_t r = 0;
    for (; mask; mask &= mask - 1, a >>= 1)
        if (a & 1)
            r |= mask & (0 - mask);
    return r;
}
VEX_HANDLERS(VEX_GBE, pdep);

/* The bits of a where the mask has ones move together. */
static inline uint64_t pext_body(struct cpu *cpu, uint64_t a, uint64_t mask, unsigned w)
{
    (void)cpu, (void)w;
    uint64_t r = 0;
    for (unsigned at = 0; mask; mask &= mask - 1, at++)
        r |= (a >> __builtin_ctzll(mask) & 1) << at;
    return r;
}
VEX_HANDLERS(VEX_GBE, pext);

static inline uint64_t sarx_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w)
{
    (void)cpu;
    return (uint64_t)((int64_t)sign_extend(a, w) >> (b & (w - 1)));
}
VEX_HANDLERS(VEX_GEB, sarx);
static inline uint64_t shlx_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w)
{
    (void)cpu;
    return a << (b & (w - 1));
}
VEX_HANDLERS(VEX_GEB, shlx);
static inline uint64_t shrx_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w)
{
    (void)cpu;
    return a >> (b & (w - 1));
}
VEX_HANDLERS(VEX_GEB, shrx);

#define RORX_ANY(w, name)                                                                                              \
    static OP(name##_any##w)                                                                                           \
    {                                                                                                                  \
        uint64_t a;                                                                                                    \
        READ_RM(w, a, src);                                                                                            \
        unsigned count = OPERAND(imm) & ((w) - 1);                                                                     \
        SET_REG(w, OPERAND(dst), count ? a >> count | a << ((w) - count) : a);                                         \
        NEXT;                                                                                                          \
    }
EACH_VEX(RORX_ANY, rorx)
HANDLERS(rorx) = { .by_width = BY_VEX(rorx) };

/* rDX times the source. Where both destinations are one register it holds the upper half. */
#define MULX_ANY(w, name)                                                                                              \
    static OP(name##_any##w)                                                                                           \
    {                                                                                                                  \
        uint64_t b;                                                                                                    \
        READ_RM(w, b, src2);                                                                                           \
        unsigned __int128 r = (unsigned __int128)REG(w, RDX * 8) * b;                                                  \
        SET_REG(w, OPERAND(src), (uint64_t)r);                                                                         \
        SET_REG(w, OPERAND(dst), (uint64_t)(r >> (w)));                                                                \
        NEXT;                                                                                                          \
    }
EACH_VEX(MULX_ANY, mulx)
HANDLERS(mulx) = { .by_width = BY_VEX(mulx) };

/* --- ADX -------------------------------------------------------------------------------------------------------- */

/* Two chains of additions side by side: the carry of one is CF, of the other OF. */
#define ADX_ANY(w, name, carry_in, set_flags)                                                                          \
    static OP(name##_any##w)                                                                                           \
    {                                                                                                                  \
        uint64_t b;                                                                                                    \
        READ_SOURCE(w, b);                                                                                             \
        unsigned __int128 r = (unsigned __int128)REG(w, OPERAND(dst)) + b + carry_in(cpu);                             \
        bool carry = (r >> (w)) & 1;                                                                                   \
        set_flags;                                                                                                     \
        SET_REG(w, OPERAND(dst), (uint64_t)r);                                                                         \
        NEXT;                                                                                                          \
    }
EACH_VEX(ADX_ANY, adcx, flag_cf, flags_set_cf(cpu, carry))
HANDLERS(adcx) = { .by_width = BY_VEX(adcx) };
EACH_VEX(ADX_ANY, adox, flag_of, flags_set_co(cpu, flag_cf(cpu), carry))
HANDLERS(adox) = { .by_width = BY_VEX(adox) };

/* --- LZCNT, TZCNT ----------------------------------------------------------------------------------------------- */

/* The count, w for a source of zero. CF: the source is zero; ZF: the count is. */
#define COUNT_ANY(w, name, form, SETTLE, count_of)                                                                     \
    static OP(name##_##form##w)                                                                                        \
    {                                                                                                                  \
        FLAGS_BEFORE;                                                                                                  \
        uint64_t source;                                                                                               \
        READ_SOURCE(w, source);                                                                                        \
        unsigned count = source ? (unsigned)(count_of) : (w);                                                          \
        flags_set_bmi(cpu, count, !source, w);                                                                         \
        SET_REG(w, OPERAND(dst), count);                                                                               \
        (void)SETTLE(name, w, 1, false, count);                                                                        \
        NEXT;                                                                                                          \
    }
#define LEADING_ZEROS(w)                 (__builtin_clzll(source) - (64 - (w)))
#define LZCNT_ANY(w, name, form, SETTLE) COUNT_ANY(w, name, form, SETTLE, LEADING_ZEROS(w))
#define TZCNT_ANY(w, name, form, SETTLE) COUNT_ANY(w, name, form, SETTLE, __builtin_ctzll(source))
#define COUNT_HANDLERS(FORM, name)                                                                                     \
    UNDEFINED(name);                                                                                                   \
    EACH_WIDE(FORM, name, any, AS_IS)                                                                                  \
    EACH_WIDE(FORM, name, chosen, SETTLED)                                                                             \
    HANDLERS(name) = { .by_width = BY_WIDE(name), CHOSEN_WIDE(name) }
COUNT_HANDLERS(LZCNT_ANY, lzcnt);
COUNT_HANDLERS(TZCNT_ANY, tzcnt);

/* --- MOVBE ------------------------------------------------------------------------------------------------------ */

#define MOVBE_ANY(w, name)                                                                                             \
    static OP(name##_any##w)                                                                                           \
    {                                                                                                                  \
        if (OPERAND(flags) & OP_MEM_DST) {                                                                             \
            LINEAR(to, (w) / 8, ACCESS_WRITE);                                                                         \
            STORE(w, to, __builtin_bswap64(REG(w, OPERAND(src))) >> (64 - (w)));                                       \
        } else {                                                                                                       \
            uint64_t value;                                                                                            \
            READ_SOURCE(w, value);                                                                                     \
            SET_REG(w, OPERAND(dst), __builtin_bswap64(value) >> (64 - (w)));                                          \
        }                                                                                                              \
        NEXT;                                                                                                          \
    }
EACH_WIDE(MOVBE_ANY, movbe)
HANDLERS(movbe) = { .by_width = BY_WIDE(movbe) };
