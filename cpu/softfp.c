/*
 * The IEEE core: rounding, the rules for NaNs and exceptions, and the arithmetic that all formats share (see softfp.h).
 */
#include "cpu/softfp.h"
#include "cpu/softfp_wide.h"

const struct fp_format fp_f16 = { .precision = 11, .exponent_min = -14, .exponent_max = 15 };
const struct fp_format fp_bf16 = { .precision = 8, .exponent_min = -126, .exponent_max = 127 };
const struct fp_format fp_f32 = { .precision = 24, .exponent_min = -126, .exponent_max = 127 };
const struct fp_format fp_f64 = { .precision = 53, .exponent_min = -1022, .exponent_max = 1023 };

#define F80_RANGE .exponent_min = -16382, .exponent_max = 16383, .x87 = true
const struct fp_format fp_f80 = { .precision = 64, F80_RANGE };
/* PC = 1 is reserved and acts as 64 bits. */
const struct fp_format fp_f80_precision[4] = {
    { .precision = 24, F80_RANGE },
    { .precision = 64, F80_RANGE },
    { .precision = 53, F80_RANGE },
    { .precision = 64, F80_RANGE },
};

/*
 * A trapped x87 overflow or underflow delivers the result with its exponent moved by this much, and if it is still out
 * of range (FSCALE) an infinity or zero (SDM vol. 1, 8.5.4-8.5.5).
 */
#define WRAP 24576

#define QUIET_BIT (1ull << 62)

/* --- rounding --- */

struct rounded {
    uint64_t significand; /* left-aligned */
    int32_t exponent;
    bool inexact, up;
};

static bool rounds_up(enum fp_rounding rounding, bool sign, bool odd, uint128 rest)
{
    switch (rounding) {
    case ROUND_NEAREST:
        return rest > WIDE_TOP || (rest == WIDE_TOP && odd);
    case ROUND_DOWN:
        return sign && rest;
    case ROUND_UP:
        return !sign && rest;
    default:
        return false;
    }
}

/* Keeps the top `precision` bits; the exponent's range is unlimited. */
static struct rounded round_bits(enum fp_rounding rounding, struct wide a, unsigned precision)
{
    uint128 kept = a.significand >> (128 - precision), rest = a.significand << precision;
    struct rounded out = { .exponent = a.exponent, .inexact = rest != 0 };
    out.up = rounds_up(rounding, a.sign, kept & 1, rest);
    kept += out.up;
    if (kept >> precision) {
        kept >>= 1;
        out.exponent++;
    }
    out.significand = (uint64_t)kept << (64 - precision);
    return out;
}

static void note_rounding(struct fp_context *context, struct rounded rounded)
{
    context->rounded_up = rounded.up;
    if (rounded.inexact)
        context->flags |= FP_PE;
}

static struct fp_number make_finite(bool sign, struct rounded rounded)
{
    if (rounded.significand == 0)
        return fp_zero(sign);
    int shift = __builtin_clzll(rounded.significand);
    return (struct fp_number){ .kind = NUMBER_FINITE,
                               .sign = sign,
                               .exponent = rounded.exponent - shift,
                               .significand = rounded.significand << shift };
}

static struct fp_number overflow(struct fp_context *context, const struct fp_format *format, bool sign,
                                 struct rounded rounded)
{
    context->flags |= FP_OE;
    if (context->unmasked & FP_OE) {
        note_rounding(context, rounded);
        rounded.exponent -= WRAP;
        if (rounded.exponent <= format->exponent_max)
            return make_finite(sign, rounded);
        note_rounding(context, (struct rounded){ .inexact = true, .up = true });
        return fp_infinity(sign);
    }
    context->flags |= FP_PE;
    context->rounded_up = rounds_up(context->rounding, sign, true, ~(uint128)0);
    if (context->rounded_up)
        return fp_infinity(sign);
    rounded.exponent = format->exponent_max;
    rounded.significand = UINT64_MAX << (64 - format->precision);
    return make_finite(sign, rounded);
}

/* tiny: rounded with unlimited exponent it is below the smallest normal number. */
static struct fp_number underflow(struct fp_context *context, const struct fp_format *format, struct wide a,
                                  struct rounded tiny)
{
    if (context->unmasked & FP_UE) {
        context->flags |= FP_UE;
        note_rounding(context, tiny);
        tiny.exponent += WRAP;
        if (tiny.exponent >= format->exponent_min)
            return make_finite(a.sign, tiny);
        note_rounding(context, (struct rounded){ .inexact = true });
        return fp_zero(a.sign);
    }
    if (context->flush_to_zero) {
        context->flags |= FP_UE | FP_PE;
        return fp_zero(a.sign);
    }
    a.significand = jam_right(a.significand, (uint32_t)(format->exponent_min - a.exponent));
    a.exponent = format->exponent_min;
    struct rounded rounded = round_bits(context->rounding, a, format->precision);
    note_rounding(context, rounded);
    if (rounded.inexact)
        context->flags |= FP_UE;
    return make_finite(a.sign, rounded);
}

struct fp_number fp_round_wide(struct fp_context *context, const struct fp_format *format, struct wide a)
{
    if (fp_trapped(context, FP_FLAGS_BEFORE) || a.significand == 0)
        return fp_zero(a.sign);
    struct rounded rounded = round_bits(context->rounding, a, format->precision);
    if (rounded.exponent < format->exponent_min)
        return underflow(context, format, a, rounded);
    if (rounded.exponent > format->exponent_max)
        return overflow(context, format, a.sign, rounded);
    note_rounding(context, rounded);
    return make_finite(a.sign, rounded);
}

/* --- NaNs and invalid operations --- */

struct fp_number fp_indefinite(void)
{
    return (struct fp_number){ .kind = NUMBER_QNAN, .sign = true, .significand = 3ull << 62 };
}

struct fp_number fp_invalid(struct fp_context *context)
{
    context->flags |= FP_IE;
    return fp_indefinite();
}

static struct fp_number quiet(struct fp_number a)
{
    a.kind = NUMBER_QNAN;
    a.significand |= QUIET_BIT;
    return a;
}

/* SDM vol. 1, table 4-7: of a quiet and a signaling NaN the quiet one, else the larger significand, else the positive
 * one. */
static struct fp_number x87_nan(struct fp_number a, struct fp_number b)
{
    if (!fp_is_nan(b) || (a.kind == NUMBER_QNAN && b.kind == NUMBER_SNAN))
        return a;
    if (!fp_is_nan(a) || (a.kind == NUMBER_SNAN && b.kind == NUMBER_QNAN))
        return b;
    if (a.significand != b.significand)
        return a.significand > b.significand ? a : b;
    return a.sign ? b : a;
}

bool fp_nan_operand(struct fp_context *context, const struct fp_format *format, struct fp_number a, struct fp_number b,
                    struct fp_number *result)
{
    if (a.kind < NUMBER_QNAN && b.kind < NUMBER_QNAN)
        return false;
    if (a.kind == NUMBER_UNSUPPORTED || b.kind == NUMBER_UNSUPPORTED) {
        *result = fp_invalid(context);
        return true;
    }
    if (a.kind == NUMBER_SNAN || b.kind == NUMBER_SNAN)
        context->flags |= FP_IE;
    *result = quiet(format->x87 ? x87_nan(a, b) : fp_is_nan(a) ? a : b);
    return true;
}

/* --- arithmetic --- */

/* The sum of two wide numbers; an exact zero of operands with different signs is negative when rounding down. */
static struct fp_number round_sum(struct fp_context *context, const struct fp_format *format, struct wide a,
                                  struct wide b)
{
    struct wide sum = wide_add(a, b);
    if (sum.significand == 0)
        sum.sign = a.sign == b.sign ? a.sign : context->rounding == ROUND_DOWN;
    return fp_round_wide(context, format, sum);
}

struct fp_number fp_add(struct fp_context *context, const struct fp_format *format, struct fp_number a,
                        struct fp_number b)
{
    struct fp_number result;
    if (fp_nan_operand(context, format, a, b, &result))
        return result;
    if (a.kind == NUMBER_INFINITE && b.kind == NUMBER_INFINITE && a.sign != b.sign)
        return fp_invalid(context);
    fp_note_denormal(context, a);
    fp_note_denormal(context, b);
    if (a.kind == NUMBER_INFINITE || b.kind == NUMBER_INFINITE)
        return a.kind == NUMBER_INFINITE ? a : b;
    return round_sum(context, format, wide_from_number(a), wide_from_number(b));
}

struct fp_number fp_sub(struct fp_context *context, const struct fp_format *format, struct fp_number a,
                        struct fp_number b)
{
    if (!fp_is_nan(b)) /* a NaN comes through with its own sign */
        b.sign = !b.sign;
    return fp_add(context, format, a, b);
}

struct fp_number fp_mul(struct fp_context *context, const struct fp_format *format, struct fp_number a,
                        struct fp_number b)
{
    struct fp_number result;
    if (fp_nan_operand(context, format, a, b, &result))
        return result;
    bool infinite = a.kind == NUMBER_INFINITE || b.kind == NUMBER_INFINITE;
    if (infinite && (a.kind == NUMBER_ZERO || b.kind == NUMBER_ZERO))
        return fp_invalid(context);
    fp_note_denormal(context, a);
    fp_note_denormal(context, b);
    if (infinite)
        return fp_infinity(a.sign != b.sign);
    return fp_round_wide(context, format, wide_mul(wide_from_number(a), wide_from_number(b)));
}

struct fp_number fp_div(struct fp_context *context, const struct fp_format *format, struct fp_number a,
                        struct fp_number b)
{
    struct fp_number result;
    if (fp_nan_operand(context, format, a, b, &result))
        return result;
    bool sign = a.sign != b.sign;
    if (a.kind == b.kind && a.kind != NUMBER_FINITE) /* 0 / 0, infinity / infinity */
        return fp_invalid(context);
    if (b.kind == NUMBER_ZERO && a.kind == NUMBER_FINITE) {
        context->flags |= FP_ZE;
        return fp_infinity(sign);
    }
    fp_note_denormal(context, a);
    fp_note_denormal(context, b);
    if (a.kind == NUMBER_INFINITE)
        return fp_infinity(sign);
    if (b.kind == NUMBER_INFINITE || a.kind == NUMBER_ZERO)
        return b.kind == NUMBER_ZERO ? fp_infinity(sign) : fp_zero(sign);
    return fp_round_wide(context, format, wide_div(wide_from_number(a), wide_from_number(b)));
}

/* The root of a normalized significand, digit by digit: more bits than any format has, and the sticky one. */
static struct wide root(struct fp_number a)
{
    enum { ROOT_BITS = 68 };
    bool odd = a.exponent & 1;
    uint128 radicand = (uint128)a.significand << (odd ? 64 : 63); /* in [1, 4), two bits before the point */
    uint128 rest = 0, result = 0;
    for (int i = 0; i < ROOT_BITS; i++) {
        rest = rest << 2 | (unsigned)(radicand >> 126);
        radicand <<= 2;
        uint128 trial = result << 2 | 1;
        result <<= 1;
        if (rest >= trial) {
            rest -= trial;
            result |= 1;
        }
    }
    return (struct wide){ .exponent = (a.exponent - odd) / 2,
                          .significand = result << (128 - ROOT_BITS) | (rest != 0) };
}

struct fp_number fp_sqrt(struct fp_context *context, const struct fp_format *format, struct fp_number a)
{
    struct fp_number result;
    if (fp_nan_operand(context, format, a, a, &result))
        return result;
    if (a.kind == NUMBER_ZERO)
        return a;
    if (a.sign)
        return fp_invalid(context);
    fp_note_denormal(context, a);
    if (a.kind == NUMBER_INFINITE)
        return a;
    return fp_round_wide(context, format, root(a));
}

static struct fp_number first_nan(struct fp_number a, struct fp_number b, struct fp_number c)
{
    return quiet(fp_is_nan(a) ? a : fp_is_nan(b) ? b : c);
}

struct fp_number fp_fma(struct fp_context *context, const struct fp_format *format, struct fp_number a,
                        struct fp_number b, struct fp_number c)
{
    if (fp_is_nan(a) || fp_is_nan(b) || fp_is_nan(c)) {
        if (a.kind == NUMBER_SNAN || b.kind == NUMBER_SNAN || c.kind == NUMBER_SNAN)
            context->flags |= FP_IE;
        return first_nan(a, b, c);
    }
    bool sign = a.sign != b.sign, infinite = a.kind == NUMBER_INFINITE || b.kind == NUMBER_INFINITE;
    if (infinite && (a.kind == NUMBER_ZERO || b.kind == NUMBER_ZERO || (c.kind == NUMBER_INFINITE && c.sign != sign)))
        return fp_invalid(context);
    fp_note_denormal(context, a);
    fp_note_denormal(context, b);
    fp_note_denormal(context, c);
    if (infinite)
        return fp_infinity(sign);
    if (c.kind == NUMBER_INFINITE)
        return c;
    struct wide product = wide_mul(wide_from_number(a), wide_from_number(b));
    return round_sum(context, format, product, wide_from_number(c));
}

struct fp_number fp_convert(struct fp_context *context, const struct fp_format *format, struct fp_number a)
{
    struct fp_number result;
    if (fp_nan_operand(context, format, a, a, &result))
        return result;
    fp_note_denormal(context, a);
    if (a.kind == NUMBER_INFINITE)
        return a;
    return fp_round_wide(context, format, wide_from_number(a));
}

/* --- integers and comparison --- */

struct fp_integer fp_round_magnitude(struct fp_number a, enum fp_rounding rounding)
{
    if (a.kind == NUMBER_ZERO)
        return (struct fp_integer){ .magnitude = 0 };
    uint128 value = jam_right((uint128)a.significand << 64, (uint32_t)(63 - a.exponent));
    uint64_t kept = (uint64_t)(value >> 64);
    struct fp_integer out = { .inexact = (uint64_t)value != 0 };
    out.rounded_up = rounds_up(rounding, a.sign, kept & 1, value << 64);
    out.magnitude = kept + out.rounded_up;
    return out;
}

static void note_integer(struct fp_context *context, struct fp_integer integer)
{
    context->rounded_up = integer.rounded_up;
    if (integer.inexact)
        context->flags |= FP_PE;
}

struct fp_number fp_round_integral(struct fp_context *context, const struct fp_format *format, struct fp_number a,
                                   enum fp_rounding rounding)
{
    struct fp_number result;
    if (fp_nan_operand(context, format, a, a, &result))
        return result;
    a.denormal = false;
    if (a.kind != NUMBER_FINITE || a.exponent >= 63)
        return a;
    struct fp_integer integer = fp_round_magnitude(a, rounding);
    note_integer(context, integer);
    result = fp_unpack_uint(integer.magnitude);
    result.sign = a.sign;
    return result;
}

int64_t fp_to_int(struct fp_context *context, struct fp_number a, unsigned bits, enum fp_rounding rounding)
{
    uint64_t most_negative = 1ull << (bits - 1);
    int64_t indefinite = -(int64_t)(most_negative - 1) - 1;
    if (a.kind >= NUMBER_INFINITE || a.exponent > 63) {
        context->flags |= FP_IE;
        return indefinite;
    }
    struct fp_integer integer = fp_round_magnitude(a, rounding);
    if (integer.magnitude > most_negative - !a.sign) {
        context->flags |= FP_IE;
        return indefinite;
    }
    note_integer(context, integer);
    return (int64_t)(a.sign ? 0 - integer.magnitude : integer.magnitude);
}

uint64_t fp_to_uint(struct fp_context *context, struct fp_number a, unsigned bits, enum fp_rounding rounding)
{
    uint64_t all_ones = UINT64_MAX >> (64 - bits);
    struct fp_integer integer = { 0 };
    bool fits = a.kind < NUMBER_INFINITE && a.exponent <= 63;
    if (fits) {
        integer = fp_round_magnitude(a, rounding);
        fits = integer.magnitude <= all_ones && !(a.sign && integer.magnitude);
    }
    if (!fits) {
        context->flags |= FP_IE;
        return all_ones;
    }
    note_integer(context, integer);
    return integer.magnitude;
}

/* Orders magnitudes of numbers that are no NaN; a zero has an exponent below that of any other number. */
static int compare_magnitudes(struct fp_number a, struct fp_number b)
{
    if (a.kind != b.kind)
        return a.kind < b.kind ? -1 : 1;
    if (a.kind != NUMBER_FINITE)
        return 0;
    if (a.exponent != b.exponent)
        return a.exponent < b.exponent ? -1 : 1;
    return a.significand < b.significand ? -1 : a.significand > b.significand;
}

enum fp_relation fp_compare(struct fp_context *context, struct fp_number a, struct fp_number b, bool signaling)
{
    struct fp_number ignored;
    if (fp_nan_operand(context, &fp_f64, a, b, &ignored)) {
        if (signaling)
            context->flags |= FP_IE;
        return FP_UNORDERED;
    }
    fp_note_denormal(context, a);
    fp_note_denormal(context, b);
    if (a.kind == NUMBER_ZERO && b.kind == NUMBER_ZERO)
        return FP_EQUAL;
    if (a.sign != b.sign)
        return a.sign ? FP_LESS : FP_GREATER;
    int order = a.sign ? compare_magnitudes(b, a) : compare_magnitudes(a, b);
    return order < 0 ? FP_LESS : order > 0 ? FP_GREATER : FP_EQUAL;
}
