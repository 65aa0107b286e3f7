/*
 * AVX-512 floating point: conversions with unsigned and 64-bit integers, exponents and mantissas, scaling, rounding to
 * a fraction, ranges, fix-ups, classes, approximations, BF16 (SDM vol. 2C). All of it in software.
 */
#include "cpu/simd_fp.h"
#include "cpu/simd_vex.h"

/* A body over lanes of two sizes: y is the second source's lane, x the first's, z the destination's. */
#define SOFT_BODY(name, to, from, expression)                                                                          \
    BODY bool simd_##name(FP_ARGUMENTS)                                                                                \
    {                                                                                                                  \
        (void)imm;                                                                                                     \
        const unsigned wide = ELEMENT(to) > ELEMENT(from) ? ELEMENT(to) : ELEMENT(from);                               \
        struct fp_context context = simd_fp_begin(cpu);                                                                \
        for (unsigned i = 0; i < bytes / wide; i++) {                                                                  \
            __typeof__(a->from[0]) x = a->from[i], y = b->from[i];                                                     \
            __typeof__(r->to[0]) z = r->to[i];                                                                         \
            (void)x, (void)y, (void)z;                                                                                 \
            r->to[i] = (__typeof__(r->to[0]))(expression);                                                             \
        }                                                                                                              \
        return simd_fp_end(cpu, &context);                                                                             \
    }

/* --- conversions --- */

#define CONVERT(name, to, from, sae_only, expression)                                                                  \
    SOFT_BODY(name, to, from, expression)                                                                              \
    static OP(name##_plain)                                                                                            \
    {                                                                                                                  \
        FP_MASKED_COMPUTE(name, to, from, sae_only, = { .u64 = { 0 } })                                                \
        simd_write_masked(cpu, op, &r, ELEMENT(to), out, active);                                                      \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    HANDLERS(name) = { .any = op_##name##_plain };
#define FROM_FLOAT(type, letters, bits, from, signedness)                                                              \
    CONVERT(vcvt##letters, u##bits, from, false, type##_to_##signedness(&context, y, bits, context.rounding))
#define FROM_FLOAT_CUT(type, letters, bits, from, signedness)                                                          \
    CONVERT(vcvtt##letters, u##bits, from, true, type##_to_##signedness(&context, y, bits, ROUND_TRUNCATE))
#define FROM_FLOATS(type, letters, bits, from, signedness)                                                             \
    FROM_FLOAT(type, letters, bits, from, signedness)                                                                  \
    FROM_FLOAT_CUT(type, letters, bits, from, signedness)
FROM_FLOATS(f32, ps2udq, 32, u32, uint)
FROM_FLOATS(f64, pd2udq, 32, u64, uint)
FROM_FLOATS(f32, ps2qq, 64, u32, int)
FROM_FLOATS(f32, ps2uqq, 64, u32, uint)
FROM_FLOATS(f64, pd2qq, 64, u64, int)
FROM_FLOATS(f64, pd2uqq, 64, u64, uint)
CONVERT(vcvtudq2ps, u32, u32, false, f32_from_uint(&context, y))
CONVERT(vcvtudq2pd, u64, u32, false, f64_from_uint(&context, y))
CONVERT(vcvtqq2ps, u32, u64, false, f32_from_int(&context, (int64_t)y))
CONVERT(vcvtqq2pd, u64, u64, false, f64_from_int(&context, (int64_t)y))
CONVERT(vcvtuqq2ps, u32, u64, false, f32_from_uint(&context, y))
CONVERT(vcvtuqq2pd, u64, u64, false, f64_from_uint(&context, y))

/* --- the two formats as one --- */

struct parameters {
    const struct fp_format *format;
    uint64_t sign, exponent, fraction, quiet, one;
    int bias, fraction_bits;
};
static const struct parameters f32_parameters = { &fp_f32,  1u << 31,   0x7F800000, 0x007FFFFF,
                                                  1u << 22, 0x3F800000, 127,        23 };
static const struct parameters f64_parameters = {
    &fp_f64, 1ull << 63, 0x7FF0000000000000, 0x000FFFFFFFFFFFFF, 1ull << 51, 0x3FF0000000000000, 1023, 52
};

static inline struct fp_number unpack(const struct fp_context *context, const struct parameters *p, uint64_t bits)
{
    return p->bias == 127 ? f32_unpack(context, (uint32_t)bits) : f64_unpack(context, bits);
}
static inline uint64_t pack(const struct parameters *p, struct fp_number number)
{
    return p->bias == 127 ? f32_pack(number) : f64_pack(number);
}
static inline bool is_nan(const struct parameters *p, uint64_t bits)
{
    return (bits & ~p->sign) > p->exponent;
}
static inline bool is_snan(const struct parameters *p, uint64_t bits)
{
    return is_nan(p, bits) && !(bits & p->quiet);
}
static inline bool is_denormal(const struct parameters *p, uint64_t bits)
{
    return !(bits & p->exponent) && bits & p->fraction;
}
static uint64_t quieted(struct fp_context *context, const struct parameters *p, uint64_t bits)
{
    if (is_snan(p, bits))
        context->flags |= FP_IE;
    return bits | p->quiet;
}
/* Zero in place of a denormal where DAZ says so; else DE. */
static uint64_t flushed(struct fp_context *context, const struct parameters *p, uint64_t bits, bool reports)
{
    if (!is_denormal(p, bits))
        return bits;
    if (context->denormals_are_zero)
        return bits & p->sign;
    if (reports)
        context->flags |= FP_DE;
    return bits;
}

/* Both formats, packed and scalar: handlers_NAMEps, handlers_NAMEpd, handlers_NAMEss, handlers_NAMEsd. */
#define FAMILY(name, expression, sae_only)                                                                             \
    FAMILY_FORMAT(name, f32, u32, ps, ss, expression, sae_only)                                                        \
    FAMILY_FORMAT(name, f64, u64, pd, sd, expression, sae_only)
#define FAMILY_FORMAT(name, type, lane, packed, scalar, expression, sae_only)                                          \
    BODY bool simd_##name##_##type(FP_ARGUMENTS)                                                                       \
    {                                                                                                                  \
        (void)imm;                                                                                                     \
        const struct parameters *p = &type##_parameters;                                                               \
        struct fp_context context = simd_fp_begin(cpu);                                                                \
        for (unsigned i = 0; i < bytes / ELEMENT(lane); i++) {                                                         \
            uint64_t x = a->lane[i], y = b->lane[i], z = r->lane[i];                                                   \
            (void)x, (void)z, (void)p;                                                                                 \
            r->lane[i] = (__typeof__(r->lane[0]))(expression);                                                         \
        }                                                                                                              \
        return simd_fp_end(cpu, &context);                                                                             \
    }                                                                                                                  \
    FP_MASKED_FORM(name##packed, name##_##type, lane, lane, sae_only, FROM_DESTINATION)                                \
    HANDLERS(name##packed) = { .any = op_##name##packed };                                                             \
    FP_SCALAR_MASKED_FORM(name##scalar, name##_##type, lane, lane, ELEMENT(lane), sae_only, OPERAND(src))              \
    HANDLERS(name##scalar) = { .any = op_##name##scalar };

/* --- VGETEXP, VGETMANT --- */

static uint64_t get_exponent(struct fp_context *context, const struct parameters *p, uint64_t y)
{
    if (is_nan(p, y))
        return quieted(context, p, y);
    if ((y & ~p->sign) == p->exponent)
        return p->exponent;
    y = flushed(context, p, y, true);
    if (!(y & ~p->sign))
        return p->sign | p->exponent;
    struct fp_context exact = { 0 };
    return pack(p, fp_convert(&exact, p->format, fp_unpack_int(unpack(&exact, p, y).exponent)));
}
FAMILY(vgetexp, get_exponent(&context, p, y), true)

/* imm8[1:0]: the interval; imm8[3:2]: the sign is the source's, positive, or negative operands are invalid. */
static uint64_t get_mantissa(struct fp_context *context, const struct parameters *p, uint64_t y, unsigned imm)
{
    if (is_nan(p, y))
        return quieted(context, p, y);
    bool negative = y & p->sign;
    uint64_t sign = imm & 4 ? 0 : y & p->sign;
    y = flushed(context, p, y, false);
    if (!(y & ~p->sign))
        return sign | p->one;
    if (negative && imm & 8) {
        context->flags |= FP_IE;
        return p->sign | p->exponent | p->quiet;
    }
    if ((y & ~p->sign) == p->exponent)
        return sign | p->one;
    flushed(context, p, y, true);
    struct fp_context exact = { 0 };
    struct fp_number number = unpack(&exact, p, y);
    bool odd = number.exponent & 1, upper = number.significand >> 62 & 1;
    bool halved = (imm & 3) == 1 ? odd : (imm & 3) == 2 ? true : (imm & 3) == 3 ? upper : false;
    number.exponent = halved ? -1 : 0;
    number.sign = sign != 0;
    return pack(p, number);
}
FAMILY(vgetmant, get_mantissa(&context, p, y, imm), true)

/* --- VSCALEF: x * 2^floor(y) --- */

static uint64_t scale(struct fp_context *context, const struct parameters *p, uint64_t x, uint64_t y)
{
    const uint64_t infinity = p->exponent;
    if (is_nan(p, x) || is_nan(p, y)) {
        if (is_snan(p, x) || is_snan(p, y))
            context->flags |= FP_IE;
        if (is_nan(p, x) && is_snan(p, x))
            return x | p->quiet;
        if (is_nan(p, x) && !is_nan(p, y) && (y & ~p->sign) == infinity)
            return y & p->sign ? 0 : infinity;
        return (is_nan(p, x) ? x : y) | p->quiet;
    }
    x = flushed(context, p, x, true);
    y = flushed(context, p, y, false);
    bool zero = !(x & ~p->sign), infinite = (x & ~p->sign) == infinity;
    if ((y & ~p->sign) == infinity) {
        bool down = y & p->sign;
        if (down ? infinite : zero) {
            context->flags |= FP_IE;
            return p->sign | infinity | p->quiet;
        }
        return (x & p->sign) | (down ? 0 : infinity);
    }
    if (zero || infinite)
        return x;
    struct fp_context exact = { 0 };
    int64_t by = fp_to_int(&exact, unpack(&exact, p, y), 32, ROUND_DOWN);
    if (exact.flags & FP_IE || by > 20000 || by < -20000)
        by = y & p->sign ? -20000 : 20000;
    struct fp_number number = unpack(&exact, p, x);
    number.exponent += (int32_t)by;
    number.denormal = false;
    return pack(p, fp_convert(context, p->format, number));
}
FAMILY(vscalef, scale(&context, p, x, y), false)

/* --- VRNDSCALE, VREDUCE: imm8[7:4] binary digits are kept --- */

static uint64_t round_scaled(struct fp_context *context, const struct parameters *p, uint64_t y, unsigned imm)
{
    if (is_nan(p, y))
        return quieted(context, p, y);
    y = flushed(context, p, y, false);
    if ((y & ~p->sign) == p->exponent || !(y & ~p->sign))
        return y;
    struct fp_context exact = { 0 };
    struct fp_number number = unpack(&exact, p, y);
    int digits = (int)(imm >> 4);
    if (number.exponent + digits >= p->fraction_bits)
        return y;
    number.exponent += digits;
    number.denormal = false;
    const struct fp_format wide = { .precision = p->format->precision, .exponent_min = -16000, .exponent_max = 16000 };
    number = fp_round_integral(&exact, &wide, number, imm & 4 ? context->rounding : imm & 3);
    number.exponent -= number.kind == NUMBER_FINITE ? digits : 0;
    if (!(imm & 8))
        context->flags |= exact.flags & FP_PE;
    return pack(p, number);
}
FAMILY(vrndscale, round_scaled(&context, p, y, imm), true)

static uint64_t reduce(struct fp_context *context, const struct parameters *p, uint64_t y, unsigned imm)
{
    if (is_nan(p, y))
        return quieted(context, p, y);
    if ((y & ~p->sign) == p->exponent)
        return 0;
    y = flushed(context, p, y, false);
    struct fp_context inner = { .rounding = context->rounding };
    uint64_t rounded = round_scaled(&inner, p, y, imm);
    struct fp_context last = { .rounding = imm & 4 ? context->rounding : imm & 3,
                               .flush_to_zero = context->flush_to_zero };
    uint64_t rest = pack(p, fp_sub(&last, p->format, unpack(&last, p, y), unpack(&last, p, rounded)));
    if (!(imm & 8))
        context->flags |= last.flags & FP_PE;
    return rest;
}
FAMILY(vreduce, reduce(&context, p, y, imm), true)

/* --- VRANGE: imm8[1:0] minimum, maximum, the same by magnitude; imm8[3:2] where the sign comes from --- */

static uint64_t range(struct fp_context *context, const struct parameters *p, uint64_t x, uint64_t y, unsigned imm)
{
    if (is_snan(p, x))
        return quieted(context, p, x);
    if (is_snan(p, y))
        return quieted(context, p, y);
    uint64_t result;
    uint64_t x_sign;
    if (is_nan(p, x) || is_nan(p, y)) {
        x_sign = x & p->sign;
        result = is_nan(p, x) && !is_nan(p, y) ? y : x;
        result = flushed(context, p, result, false); /* no DE beside a NaN */
    } else {
        x = flushed(context, p, x, true);
        y = flushed(context, p, y, true);
        x_sign = x & p->sign;
        bool by_magnitude = imm & 2, maximum = imm & 1;
        uint64_t mx = x & ~p->sign, my = y & ~p->sign;
        bool less;
        if (by_magnitude && mx != my)
            less = mx < my;
        else
            less = (x & p->sign) != (y & p->sign) ? (x & p->sign) != 0 : x & p->sign ? mx > my : mx < my;
        result = less != maximum ? x : y;
    }
    switch (imm >> 2 & 3) {
    case 0:
        return (result & ~p->sign) | x_sign;
    case 1:
        return result;
    case 2:
        return result & ~p->sign;
    default:
        return result | p->sign;
    }
}
FAMILY(vrange, range(&context, p, x, y, imm), true)

/* --- VFIXUPIMM: a table of responses by the kind of the second operand --- */

static uint64_t fix_up(struct fp_context *context, const struct parameters *p, uint64_t z, uint64_t x, uint64_t table,
                       unsigned imm)
{
    enum { QNAN, SNAN, ZERO, ONE, MINUS_INFINITY, PLUS_INFINITY, NEGATIVE, POSITIVE } kind;
    x = flushed(context, p, x, false);
    uint64_t magnitude = x & ~p->sign;
    bool negative = x & p->sign;
    if (is_nan(p, x))
        kind = is_snan(p, x) ? SNAN : QNAN;
    else if (!magnitude)
        kind = ZERO;
    else if (x == p->one)
        kind = ONE;
    else if (magnitude == p->exponent)
        kind = negative ? MINUS_INFINITY : PLUS_INFINITY;
    else
        kind = negative ? NEGATIVE : POSITIVE;
    static const uint8_t faults[8] = { 0, 0x10, 0x01 | 0x02, 0x04 | 0x08, 0x20, 0x80, 0x40, 0 };
    unsigned asked = imm & faults[kind];
    if (asked & ~(0x01u | 0x04u))
        context->flags |= FP_IE;
    if (asked & (0x01u | 0x04u))
        context->flags |= FP_ZE;
    const uint64_t largest = p->exponent - 1, half = p->one - (p->fraction + 1);
    switch (table >> 4 * kind & 15) {
    case 0:
        return z;
    case 1:
        return x;
    case 2:
        return x | p->exponent | p->quiet;
    case 3:
        return p->sign | p->exponent | p->quiet;
    case 4:
        return p->sign | p->exponent;
    case 5:
        return p->exponent;
    case 6:
        return (x & p->sign) | p->exponent;
    case 7:
        return p->sign;
    case 8:
        return 0;
    case 9:
        return p->sign | p->one;
    case 10:
        return p->one;
    case 11:
        return half;
    case 12:
        return p->bias == 127 ? 0x42B40000 : 0x4056800000000000;
    case 13:
        return p->bias == 127 ? 0x3FC90FDB : 0x3FF921FB54442D18;
    case 14:
        return largest;
    default:
        return p->sign | largest;
    }
}
FAMILY(vfixupimm, fix_up(&context, p, z, x, y, imm), true)

/* --- VFPCLASS --- */

static bool has_class(const struct fp_context *context, const struct parameters *p, uint64_t y, unsigned imm)
{
    bool denormal = is_denormal(p, y) && !context->denormals_are_zero, negative = y & p->sign;
    bool zero = !(y & p->exponent) && !denormal, infinite = (y & ~p->sign) == p->exponent;
    bool nan = is_nan(p, y), finite_negative = negative && !zero && !infinite && !nan;
    unsigned classes = (nan && !is_snan(p, y) ? 1u : 0) | (zero ? negative ? 4u : 2u : 0) |
                       (infinite ? negative ? 16u : 8u : 0) | (denormal ? 32u : 0) | (finite_negative ? 64u : 0) |
                       (is_snan(p, y) ? 128u : 0);
    return classes & imm;
}
#define CLASSES(name, type, lane, count)                                                                               \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        union vector_register b;                                                                                       \
        const unsigned lanes = (count) ? (count) : OP_VECTOR(op) / ELEMENT(lane);                                      \
        uint64_t active = simd_active(cpu, op, lanes), result = 0;                                                     \
        op = simd_fetch(cpu, op, ELEMENT(lane), lanes * ELEMENT(lane), active, &b);                                    \
        if (unlikely(!op))                                                                                             \
            return NULL;                                                                                               \
        struct fp_context context = simd_fp_begin(cpu);                                                                \
        for (unsigned i = 0; i < lanes; i++)                                                                           \
            result |= (uint64_t)has_class(&context, &type##_parameters, b.lane[i], OPERAND(imm8)) << i;                \
        cpu->opmask[OPERAND(dst)] = result & active;                                                                   \
        NEXT;                                                                                                          \
    }
CLASSES(vfpclassps, f32, u32, 0)
CLASSES(vfpclasspd, f64, u64, 0)
CLASSES(vfpclassss, f32, u32, 1)
CLASSES(vfpclasssd, f64, u64, 1)

/* --- VRCP14, VRSQRT14: our definition is the exact value rounded to nearest, cut to 15 digits; no flags --- */

static uint64_t cut(const struct parameters *p, struct fp_number number)
{
    const struct fp_format fifteen = { .precision = 16,
                                       .exponent_min = p->format->exponent_min,
                                       .exponent_max = p->format->exponent_max };
    struct fp_context context = { 0 };
    struct fp_number shorter = fp_convert(&context, &fifteen, number);
    /* What was finite stays finite: the manual has infinities for operands up to 2^-128 or 2^-1024 only. */
    if (context.flags & FP_OE) {
        context.rounding = ROUND_TRUNCATE;
        shorter = fp_convert(&context, &fifteen, number);
    }
    return pack(p, shorter);
}
static uint64_t reciprocal(const struct fp_context *from, const struct parameters *p, uint64_t y, bool root)
{
    struct fp_context context = { .denormals_are_zero = from->denormals_are_zero };
    if (is_nan(p, y))
        return y | p->quiet;
    struct fp_number one = unpack(&context, p, p->one), number = unpack(&context, p, y);
    if (root && y & p->sign && number.kind != NUMBER_ZERO)
        return p->sign | p->exponent | p->quiet;
    if (root && number.kind != NUMBER_ZERO)
        number = fp_sqrt(&context, &fp_f64, number);
    struct fp_number quotient = fp_div(&context, p->format, one, number);
    if (from->flush_to_zero && quotient.kind == NUMBER_FINITE && quotient.exponent < p->format->exponent_min)
        return y & p->sign;
    return cut(p, quotient);
}
FAMILY(vrcp14, reciprocal(&context, p, y, false), true)
FAMILY(vrsqrt14, reciprocal(&context, p, y, true), true)

/* --- BF16: round to nearest even, denormals are zeros, no flags --- */

static const struct fp_context bf16_context = { .denormals_are_zero = true, .flush_to_zero = true };

static uint16_t to_bf16(uint32_t y)
{
    struct fp_context context = bf16_context;
    return bf16_pack(fp_convert(&context, &fp_bf16, f32_unpack(&context, y)));
}
CONVERT(vcvtneps2bf16, u16, u32, true, to_bf16(y))
BODY void simd_vcvtne2ps2bf16(BODY_ARGUMENTS)
{
    (void)imm;
    for (unsigned i = 0; i < bytes / 4; i++) {
        r->u16[i] = to_bf16(b->u32[i]);
        r->u16[bytes / 4 + i] = to_bf16(a->u32[i]);
    }
}
EVEX_PACK(vcvtne2ps2bf16, vcvtne2ps2bf16, u16, u32)
/* The odd products first, then the even ones, each step rounded by itself. */
static uint32_t dot_bf16(uint32_t z, uint32_t x, uint32_t y)
{
    struct fp_context context = bf16_context;
    z = f32_fma(&context, x & 0xFFFF0000, y & 0xFFFF0000, z);
    return f32_fma(&context, x << 16, y << 16, z);
}
LANES_TERNARY(vdpbf16ps, u32, dot_bf16(z, x, y))
EVEX_TERNARY(vdpbf16ps, vdpbf16ps, u32)
