/*
 * What only the 80-bit format has: partial remainders, scaling by a power of two, packed BCD (SDM vol. 1, 8.3.4-8.3.5,
 * 4.7).
 */
#include "cpu/softfp.h"
#include "cpu/softfp_wide.h"

#include <string.h>

/* --- remainder --- */

/* a - b * q for finite operands, both not zero. */
static struct fp_remainder reduce(struct fp_number a, struct fp_number b, bool nearest, struct wide *rest)
{
    struct fp_remainder out = { .partial = false };
    int32_t distance = a.exponent - b.exponent;
    *rest = wide_from_number(a);
    if (distance < -1 || (distance < 0 && !nearest))
        return out;
    /* Further apart than one step reaches, processors reduce by 32 to 63 bits so that the low five bits of the distance
     * go. */
    out.partial = distance >= 64;
    uint32_t step = out.partial ? 32 | ((uint32_t)distance & 31) : distance < 0 ? 0 : (uint32_t)distance;
    uint128 divisor = (uint128)b.significand << (distance < 0);
    uint128 dividend = (uint128)a.significand << step;
    uint128 quotient = dividend / divisor, remainder = dividend % divisor;
    bool negative = a.sign;
    if (nearest && !out.partial &&
        (remainder > divisor - remainder || (remainder == divisor - remainder && (quotient & 1)))) {
        remainder = divisor - remainder;
        quotient++;
        negative = !negative;
    }
    out.quotient = (uint8_t)(quotient & 7);
    *rest = wide_normalize(negative, a.exponent - (int32_t)step + 64, remainder);
    if (remainder == 0)
        rest->sign = a.sign;
    return out;
}

struct fp_remainder fp_rem(struct fp_context *context, struct fp_number a, struct fp_number b, bool nearest)
{
    struct fp_remainder out = { .partial = false };
    if (fp_nan_operand(context, &fp_f80, a, b, &out.value))
        return out;
    if (a.kind == NUMBER_INFINITE || b.kind == NUMBER_ZERO) {
        out.value = fp_invalid(context);
        return out;
    }
    fp_note_denormal(context, a);
    fp_note_denormal(context, b);
    out.value = a; /* by an infinity: as it is, so that a tiny one does not underflow */
    if (a.kind != NUMBER_FINITE || b.kind != NUMBER_FINITE)
        return out;
    struct wide rest;
    out = reduce(a, b, nearest, &rest);
    out.value = fp_round_wide(context, &fp_f80, rest);
    return out;
}

/* --- scaling --- */

static struct fp_number scale_by_infinity(struct fp_context *context, struct fp_number a, bool down)
{
    if (a.kind == (down ? NUMBER_INFINITE : NUMBER_ZERO))
        return fp_invalid(context);
    fp_note_denormal(context, a);
    return down ? fp_zero(a.sign) : fp_infinity(a.sign);
}

struct fp_number fp_scale(struct fp_context *context, struct fp_number a, struct fp_number b)
{
    enum { FAR = 0x10000 }; /* leaves the range of exponents from anywhere, even if wrapped */
    struct fp_number result;
    if (fp_nan_operand(context, &fp_f80, a, b, &result))
        return result;
    if (b.kind == NUMBER_INFINITE)
        return scale_by_infinity(context, a, b.sign);
    fp_note_denormal(context, a);
    fp_note_denormal(context, b);
    if (a.kind != NUMBER_FINITE || b.kind == NUMBER_ZERO) /* a tiny one that is left as it is does not underflow */
        return a;
    uint64_t steps = b.exponent > 20 ? FAR : fp_round_magnitude(b, ROUND_TRUNCATE).magnitude;
    int32_t power = steps > FAR ? FAR : (int32_t)steps;
    return fp_round_wide(context, &fp_f80, wide_scale(wide_from_number(a), b.sign ? -power : power));
}

/* --- packed BCD --- */

#define BCD_LIMIT 1000000000000000000ull

struct fp_number fp_from_bcd(const uint8_t bcd[10])
{
    uint64_t value = 0;
    for (int i = 8; i >= 0; i--)
        value = value * 100 + (bcd[i] >> 4) * 10u + (bcd[i] & 15u);
    struct fp_number number = fp_unpack_uint(value);
    number.sign = bcd[9] >> 7;
    return number;
}

void fp_to_bcd(struct fp_context *context, struct fp_number a, uint8_t bcd[10])
{
    struct fp_integer integer = { 0 };
    bool fits = a.kind < NUMBER_INFINITE && a.exponent <= 63;
    if (fits) {
        integer = fp_round_magnitude(a, context->rounding);
        fits = integer.magnitude < BCD_LIMIT;
    }
    if (!fits) {
        context->flags |= FP_IE;
        memcpy(bcd, (const uint8_t[10]){ 0, 0, 0, 0, 0, 0, 0, 0xC0, 0xFF, 0xFF }, 10);
        return;
    }
    context->rounded_up = integer.rounded_up;
    if (integer.inexact)
        context->flags |= FP_PE;
    for (int i = 0; i < 9; i++) {
        unsigned pair = integer.magnitude % 100;
        bcd[i] = (uint8_t)(pair / 10 << 4 | pair % 10);
        integer.magnitude /= 100;
    }
    bcd[9] = a.sign ? 0x80 : 0;
}
