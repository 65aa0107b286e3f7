/*
 * Shifts and rotates: SHL, SHR, SAR, ROL, ROR, RCL, RCR, SHLD, SHRD (SDM vol. 2B, "SAL/SAR/SHL/SHR",
 * "RCL/RCR/ROL/ROR").
 *
 * What the manual leaves undefined follows Intel processors: AF is cleared; OF is, for any count, what a shift of the
 * original operand by one would give (but see ROL and ROR of a register by an immediate); counts beyond the operand
 * size shift in and out what a wider register would.
 */
#include "cpu/alu.h"

static inline unsigned shift_count(uint64_t b, unsigned w)
{
    return (unsigned)b & (w == 64 ? 63 : 31);
}
static inline bool bit(uint64_t value, unsigned i)
{
    return (value >> i) & 1;
}

static inline uint64_t shl_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w, bool live)
{
    unsigned count = shift_count(b, w);
    uint64_t r = a << count;
    if (live && count) {
        bool cf = w == 64 ? bit(a, 64 - count) : bit(r, w & 63);
        flags_set_shift(cpu, r, cf, bit(a ^ a << 1, w - 1), w);
    }
    return r;
}
SHIFT_HANDLERS(shl);

static inline uint64_t shr_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w, bool live)
{
    unsigned count = shift_count(b, w);
    uint64_t r = a >> count;
    if (live && count)
        flags_set_shift(cpu, r, bit(a, count - 1), bit(a, w - 1), w);
    return r;
}
SHIFT_HANDLERS(shr);

static inline uint64_t sar_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w, bool live)
{
    unsigned count = shift_count(b, w);
    int64_t wide = (int64_t)sign_extend(a, w);
    uint64_t r = (uint64_t)(wide >> count);
    if (live && count)
        flags_set_shift(cpu, r, bit((uint64_t)wide, count - 1), false, w);
    return r;
}
SHIFT_HANDLERS(sar);

static inline uint64_t rol_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w, bool live)
{
    unsigned count = shift_count(b, w), by = count & (w - 1);
    uint64_t r = by ? a << by | a >> (w - by) : a;
    if (live && count)
        flags_set_co(cpu, r & 1, bit(a ^ a << 1, w - 1));
    return r;
}
SHIFT_HANDLERS(rol);

static inline uint64_t ror_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w, bool live)
{
    unsigned count = shift_count(b, w), by = count & (w - 1);
    uint64_t r = by ? a >> by | a << (w - by) : a;
    if (live && count)
        flags_set_co(cpu, bit(r, w - 1), bit(a, w - 1) ^ (a & 1));
    return r;
}
SHIFT_HANDLERS(ror);

/* A register by an immediate other than 1: OF stays as it was. (Of memory it does not.) */
static inline uint64_t rol_imm_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w, bool live)
{
    bool of = flag_of(cpu), one = shift_count(b, w) == 1;
    uint64_t r = rol_body(cpu, a, b, w, live);
    if (live && !one)
        flags_set_co(cpu, flag_cf(cpu), of);
    return r;
}
SHIFT_HANDLERS(rol_imm);
static inline uint64_t ror_imm_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w, bool live)
{
    bool of = flag_of(cpu), one = shift_count(b, w) == 1;
    uint64_t r = ror_body(cpu, a, b, w, live);
    if (live && !one)
        flags_set_co(cpu, flag_cf(cpu), of);
    return r;
}
SHIFT_HANDLERS(ror_imm);

/* Rotates through CF are rotates of w + 1 bits: a count that is a multiple of that changes nothing, flags included. */
static inline uint64_t rcl_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w, bool live)
{
    unsigned count = shift_count(b, w) % (w + 1);
    if (!count)
        return a;
    uint64_t cf = flag_cf(cpu), r = a << count | cf << (count - 1) | (a >> 1) >> (w - count);
    if (live)
        flags_set_co(cpu, bit(a, w - count), bit(a ^ a << 1, w - 1));
    return r;
}
SHIFT_HANDLERS(rcl);

static inline uint64_t rcr_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w, bool live)
{
    unsigned count = shift_count(b, w) % (w + 1);
    if (!count)
        return a;
    uint64_t cf = flag_cf(cpu), r = a >> count | cf << (w - count) | (a << 1) << (w - count);
    if (live)
        flags_set_co(cpu, bit(a, count - 1), bit(a, w - 1) ^ cf);
    return r;
}
SHIFT_HANDLERS(rcr);

/* --- double shifts ------------------------------------------------------------------------------------------------ */

/* With 16 bits and a count above 16 the bits of a come round again behind those of s, as processors do it. */
static inline uint64_t shld_body(struct cpu *cpu, uint64_t a, uint64_t s, uint64_t b, unsigned w)
{
    unsigned count = shift_count(b, w);
    uint64_t r;
    bool cf;
    if (!count)
        return a;
    if (w == 16) {
        uint64_t ring = a << 32 | s << 16 | a;
        r = (ring << count) >> 32;
        cf = bit(ring, 48 - count);
    } else {
        r = a << count | s >> (w - count);
        cf = bit(a, w - count);
    }
    flags_set_shift(cpu, r, cf, bit(a ^ a << 1, w - 1), w);
    return r;
}
static inline uint64_t shrd_body(struct cpu *cpu, uint64_t a, uint64_t s, uint64_t b, unsigned w)
{
    unsigned count = shift_count(b, w);
    uint64_t r;
    if (!count)
        return a;
    if (w == 16)
        r = (a << 32 | s << 16 | a) >> count;
    else
        r = a >> count | s << (w - count);
    bool cf = bit(w == 16 ? a | s << 16 : a, count - 1);
    flags_set_shift(cpu, r, cf, bit(a, w - 1) ^ (s & 1), w);
    return r;
}

#define DOUBLE_ANY(w, name, form, SETTLE)                                                                              \
    static OP(name##_##form##w)                                                                                        \
    {                                                                                                                  \
        FLAGS_BEFORE;                                                                                                  \
        uint64_t count = OPERAND(flags) & OP_IMM ? OPERAND(imm) : REG(8, OPERAND(src2)), s = REG(w, OPERAND(src));     \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            uint64_t a;                                                                                                \
            LINEAR(at, (w) / 8, ACCESS_READ | ACCESS_WRITE);                                                           \
            LOAD_RMW(w, a, at);                                                                                        \
            uint64_t r = name##_body(cpu, a, s, count, w);                                                             \
            r = SETTLE(name, w, shift_count(count, w), false, r);                                                      \
            STORE(w, at, r);                                                                                           \
        } else {                                                                                                       \
            uint64_t r = name##_body(cpu, REG(w, OPERAND(dst)), s, count, w);                                          \
            SET_REG(w, OPERAND(dst), SETTLE(name, w, shift_count(count, w), false, r));                                \
        }                                                                                                              \
        NEXT;                                                                                                          \
    }
#define DOUBLE_HANDLERS(name)                                                                                          \
    UNDEFINED(name);                                                                                                   \
    EACH_WIDE(DOUBLE_ANY, name, any, AS_IS)                                                                            \
    EACH_WIDE(DOUBLE_ANY, name, chosen, SETTLED)                                                                       \
    HANDLERS(name) = { .by_width = BY_WIDE(name), CHOSEN_WIDE(name) }
DOUBLE_HANDLERS(shld);
DOUBLE_HANDLERS(shrd);
