/*
 * The transcendental functions of x87 in integers (SDM vol. 1, 8.3.7-8.3.10).
 *
 * Each function is one series, summed by Horner's rule on 128-bit significands and rounded once to 64 bits. What is cut
 * off and what the steps lose stays below 2^-90 of the result, so the result is the correctly rounded one except where
 * the exact value lies that close to the middle between two numbers: far below the one unit in the last place that the
 * manual allows. The series:
 *
 *   sin r          r (1 - r^2/2*3 (1 - r^2/4*5 (1 - ...)))              |r| <= pi/4
 *   cos r          1 - r^2/1*2 (1 - r^2/3*4 (1 - ...))
 *   e^y - 1        y (1 + y/2 (1 + y/3 (1 + ...)))                      |y| <= ln 2
 *   log2(a / b)    2 log2(e) s (1 + s^2/3 + s^4/5 + ...)                s = (a - b) / (a + b), |s| <= 0.172
 *   atan q         q/(1 + q^2) (1 + 2/3 w (1 + 4/5 w (1 + ...)))        w = q^2/(1 + q^2), q < 1/2 (Euler)
 *
 * Angles are reduced modulo pi/2 exactly, with the pi of 66 significant bits that Intel processors have used since the
 * 387; the results are those of the remainder.
 */
#include "cpu/softfp_wide.h"
#include "cpu/x87.h"

#define CONSTANT(e, high, low) { .exponent = (e), .significand = (uint128)(high) << 64 | (low) }
static const struct wide pi = CONSTANT(1, 0xC90FDAA22168C234, 0xC4C6628B80DC1CD1);
static const struct wide ln2 = CONSTANT(-1, 0xB17217F7D1CF79AB, 0xC9E3B39803F2F6AF);
static const struct wide log2_e = CONSTANT(0, 0xB8AA3B295C17F0BB, 0xBE87FED0691D3E88);
static const struct wide one = CONSTANT(0, 0x8000000000000000, 0);

/* The last step of all: no result that comes this way is exact. */
static struct fp_number finish(struct fp_context *context, struct wide a)
{
    a.significand |= 1;
    return fp_round_wide(context, &fp_f80, a);
}

static struct wide square(struct wide a)
{
    return wide_mul(a, a);
}

/* --- sine, cosine, tangent --- */

static struct wide sine(struct wide r)
{
    struct wide z = square(r), sum = one;
    for (uint32_t n = 26; n > 0; n -= 2)
        sum = wide_sub(one, wide_div_small(wide_mul(z, sum), n * (n + 1)));
    return wide_mul(r, sum);
}

static struct wide cosine(struct wide r)
{
    struct wide z = square(r), sum = one;
    for (uint32_t n = 27; n <= 27; n -= 2)
        sum = wide_sub(one, wide_div_small(wide_mul(z, sum), n * (n + 1)));
    return sum;
}

/* x = quadrant * pi66/2 + rest, |rest| <= pi66/4. */
struct angle {
    struct wide rest;
    unsigned quadrant;
};

/* In units of 2^-65, pi66/2 is an integer of 66 bits and any x from 1/2 to 2^63 one of at most 128: the reduction is
 * exact. */
static struct angle reduce(struct fp_number x)
{
    const uint128 half_pi = (uint128)0x3 << 64 | 0x243F6A8885A308D3;
    if (x.exponent < -1)
        return (struct angle){ .rest = wide_from_number(x) };
    uint128 units = (uint128)x.significand << (x.exponent + 2);
    uint128 quotient = units / half_pi, remainder = units % half_pi;
    bool beyond = remainder > half_pi - remainder;
    if (beyond) {
        remainder = half_pi - remainder;
        quotient++;
    }
    unsigned quadrant = (unsigned)quotient & 3;
    return (struct angle){ .rest = wide_normalize(x.sign != beyond, 127 - 65, remainder),
                           .quadrant = x.sign ? (0 - quadrant) & 3 : quadrant };
}

/* The sine `ahead` quadrants further on: 0 for sine, 1 for cosine. */
static struct wide sine_ahead(struct angle angle, unsigned ahead)
{
    unsigned quadrant = (angle.quadrant + ahead) & 3;
    struct wide value = quadrant & 1 ? cosine(angle.rest) : sine(angle.rest);
    return quadrant & 2 ? wide_negate(value) : value;
}

bool x87_angle_in_range(struct fp_number x)
{
    return x.kind != NUMBER_FINITE || x.exponent < 63;
}

/* NaN, infinity, zero (whose function is at_zero); false for other numbers. */
static bool special_angle(struct fp_context *context, struct fp_number x, struct fp_number at_zero,
                          struct fp_number *result)
{
    if (fp_nan_operand(context, &fp_f80, x, x, result))
        return true;
    if (x.kind == NUMBER_INFINITE)
        *result = fp_invalid(context);
    else if (x.kind == NUMBER_ZERO)
        *result = at_zero;
    else
        fp_note_denormal(context, x);
    return x.kind != NUMBER_FINITE;
}

struct fp_number x87_sin(struct fp_context *context, struct fp_number x)
{
    struct fp_number result;
    if (special_angle(context, x, x, &result))
        return result;
    return finish(context, sine_ahead(reduce(x), 0));
}

struct fp_number x87_cos(struct fp_context *context, struct fp_number x)
{
    struct fp_number result;
    if (special_angle(context, x, fp_unpack_uint(1), &result))
        return result;
    return finish(context, sine_ahead(reduce(x), 1));
}

struct fp_number x87_tan(struct fp_context *context, struct fp_number x)
{
    struct fp_number result;
    if (special_angle(context, x, x, &result))
        return result;
    struct angle angle = reduce(x);
    return finish(context, wide_div(sine_ahead(angle, 0), sine_ahead(angle, 1)));
}

/* --- arctangent --- */

static struct wide atan_series(struct wide q)
{
    struct wide z = square(q), scale = wide_add(one, z);
    struct wide w = wide_div(z, scale), sum = one;
    for (uint32_t n = 88; n > 0; n -= 2)
        sum = wide_add(one, wide_div_small(wide_mul(wide_mul(wide_from_uint(n), w), sum), n + 1));
    return wide_mul(wide_div(q, scale), sum);
}

/* atan(a / b) for 0 < a <= b. From 1/2 on by atan(a / b) = pi/4 - atan((b - a) / (b + a)). */
static struct wide atan_ratio(struct wide a, struct wide b)
{
    struct wide q = wide_div(a, b);
    if (q.exponent < -1)
        return atan_series(q);
    struct wide complement = wide_div(wide_sub(b, a), wide_add(b, a));
    return wide_sub(wide_scale(pi, -2), atan_series(complement));
}

static bool magnitude_less(struct wide a, struct wide b)
{
    return a.exponent != b.exponent ? a.exponent < b.exponent : a.significand < b.significand;
}

static struct wide atan_finite(struct fp_number y, struct fp_number x)
{
    struct wide a = wide_from_number(y), b = wide_from_number(x), angle;
    a.sign = b.sign = false;
    if (magnitude_less(b, a))
        angle = wide_sub(wide_scale(pi, -1), atan_ratio(b, a));
    else
        angle = atan_ratio(a, b);
    return x.sign ? wide_sub(pi, angle) : angle;
}

/* The angle of a point on an axis or at infinity (SDM vol. 2A, FPATAN): a multiple of pi/4. */
static unsigned quarters(struct fp_number y, struct fp_number x)
{
    if (y.kind == NUMBER_INFINITE)
        return x.kind != NUMBER_INFINITE ? 2 : x.sign ? 3 : 1;
    if (x.kind == NUMBER_INFINITE || y.kind == NUMBER_ZERO)
        return x.sign ? 4 : 0;
    return 2;
}

struct fp_number x87_atan(struct fp_context *context, struct fp_number y, struct fp_number x)
{
    struct fp_number result;
    if (fp_nan_operand(context, &fp_f80, y, x, &result))
        return result;
    fp_note_denormal(context, x);
    fp_note_denormal(context, y);
    struct wide angle;
    if (x.kind == NUMBER_FINITE && y.kind == NUMBER_FINITE) {
        angle = atan_finite(y, x);
    } else {
        unsigned n = quarters(y, x);
        if (n == 0)
            return fp_zero(y.sign);
        angle = wide_mul(wide_from_uint(n), wide_scale(pi, -2));
    }
    angle.sign = y.sign;
    return finish(context, angle);
}

/* --- exponential --- */

static struct wide exp_minus_1(struct wide y)
{
    struct wide sum = one;
    for (uint32_t n = 27; n > 1; n--)
        sum = wide_add(one, wide_div_small(wide_mul(y, sum), n));
    return wide_mul(y, sum);
}

struct fp_number x87_exp2m1(struct fp_context *context, struct fp_number x)
{
    struct fp_number result;
    if (fp_nan_operand(context, &fp_f80, x, x, &result))
        return result;
    fp_note_denormal(context, x);
    if (x.kind == NUMBER_INFINITE)
        return x.sign ? fp_convert(context, &fp_f80, fp_unpack_int(-1)) : x;
    if (x.kind == NUMBER_ZERO)
        return x;
    if (x.exponent < 0)
        return finish(context, exp_minus_1(wide_mul(wide_from_number(x), ln2)));
    if (!fp_trapped(context, FP_FLAGS_BEFORE))
        context->flags |= FP_PE; /* as processors do, though 2^1 - 1 and 2^-1 - 1 are exact */
    if (x.sign && x.exponent == 0 && x.significand == 1ull << 63)
        x.exponent = -1;
    return x;
}

/* --- logarithm --- */

static struct wide log2_series(struct wide s)
{
    enum { LAST = 43 };
    struct wide z = square(s), sum = wide_div_small(one, LAST);
    for (uint32_t n = LAST - 2; n <= LAST; n -= 2)
        sum = wide_add(wide_div_small(one, n), wide_mul(z, sum));
    return wide_scale(wide_mul(wide_mul(log2_e, s), sum), 1);
}

/* a > 0. Split so that the mantissa lies between the roots of 1/2 and 2; then nothing cancels. */
static struct wide log2_wide(struct wide a)
{
    const uint64_t root_2 = 0xB504F333F9DE6484;
    bool upper = a.significand >> 64 > root_2;
    int32_t power = a.exponent + upper;
    a.exponent = -(int32_t)upper;
    struct wide whole = wide_from_uint((uint64_t)(power < 0 ? -power : power));
    whole.sign = power < 0;
    struct wide s = wide_div(wide_sub(a, one), wide_add(a, one));
    return wide_add(whole, log2_series(s));
}

static struct wide log2_plus_1(struct fp_number x)
{
    struct wide a = wide_from_number(x);
    if (x.exponent >= -2)
        return log2_wide(wide_add(a, one));
    return log2_series(wide_div(a, wide_add(a, wide_scale(one, 1)))); /* x / (x + 2) */
}

/* y times a logarithm that is no zero. An exact product raises PE too, as processors do. */
static struct fp_number times_log(struct fp_context *context, struct fp_number y, struct wide log)
{
    struct fp_number result = fp_round_wide(context, &fp_f80, wide_mul(wide_from_number(y), log));
    if (!fp_trapped(context, FP_FLAGS_BEFORE))
        context->flags |= FP_PE;
    return result;
}

/* y times a logarithm that is zero or infinite, or y is. */
static struct fp_number times_special(struct fp_context *context, struct fp_number y, enum fp_kind log_kind,
                                      bool log_sign)
{
    bool sign = y.sign != log_sign;
    if ((y.kind == NUMBER_ZERO && log_kind == NUMBER_INFINITE) ||
        (y.kind == NUMBER_INFINITE && log_kind == NUMBER_ZERO))
        return fp_invalid(context);
    return y.kind == NUMBER_INFINITE || log_kind == NUMBER_INFINITE ? fp_infinity(sign) : fp_zero(sign);
}

struct fp_number x87_ylog2(struct fp_context *context, struct fp_number y, struct fp_number x)
{
    struct fp_number result;
    if (fp_nan_operand(context, &fp_f80, y, x, &result))
        return result;
    if (x.sign && x.kind != NUMBER_ZERO)
        return fp_invalid(context);
    if (x.kind == NUMBER_ZERO) {
        if (y.kind == NUMBER_FINITE)
            context->flags |= FP_ZE;
        return times_special(context, y, NUMBER_INFINITE, true);
    }
    bool is_one = x.kind == NUMBER_FINITE && x.exponent == 0 && x.significand == 1ull << 63;
    bool log_sign = x.kind == NUMBER_FINITE && x.exponent < 0;
    enum fp_kind log_kind = is_one ? NUMBER_ZERO : x.kind;
    if (log_kind != NUMBER_FINITE || y.kind != NUMBER_FINITE)
        result = times_special(context, y, log_kind, log_sign);
    if (context->flags & FP_IE)
        return result;
    fp_note_denormal(context, x);
    fp_note_denormal(context, y);
    if (log_kind != NUMBER_FINITE || y.kind != NUMBER_FINITE)
        return result;
    return times_log(context, y, log2_wide(wide_from_number(x)));
}

struct fp_number x87_ylog2p1(struct fp_context *context, struct fp_number y, struct fp_number x)
{
    struct fp_number result;
    if (fp_nan_operand(context, &fp_f80, y, x, &result))
        return result;
    if (x.sign && x.kind == NUMBER_INFINITE)
        return fp_invalid(context);
    bool special = x.kind != NUMBER_FINITE || y.kind != NUMBER_FINITE;
    if (special)
        result = times_special(context, y, x.kind, x.sign);
    if (context->flags & FP_IE)
        return result;
    fp_note_denormal(context, x);
    fp_note_denormal(context, y);
    if (special)
        return result;
    if (x.sign && x.exponent >= 0) {
        if (!fp_trapped(context, FP_FLAGS_BEFORE))
            context->flags |= FP_PE;
        return x;
    }
    return times_log(context, y, log2_plus_1(x));
}
