/*
 * Arithmetic on 128-bit significands (see softfp_wide.h). Everything is shifts, adds and 64-bit multiplications, so the
 * results are the same on any host.
 */
#include "cpu/softfp_wide.h"

static struct wide add_magnitudes(struct wide a, struct wide b)
{
    uint128 sum = a.significand + b.significand;
    if (sum < a.significand) { /* carried out of bit 127 */
        a.exponent++;
        sum = jam_right(sum, 1) | WIDE_TOP;
    }
    a.significand = sum;
    return a;
}

struct wide wide_add(struct wide a, struct wide b)
{
    if (b.significand == 0)
        return a;
    if (a.significand == 0)
        return b;
    bool b_greater = b.exponent > a.exponent || (b.exponent == a.exponent && b.significand > a.significand);
    struct wide great = b_greater ? b : a, small = b_greater ? a : b;
    small.significand = jam_right(small.significand, (uint32_t)(great.exponent - small.exponent));
    if (great.sign == small.sign)
        return add_magnitudes(great, small);
    uint128 difference = great.significand - small.significand;
    return wide_normalize(difference ? great.sign : a.sign, great.exponent, difference);
}

struct wide wide_mul(struct wide a, struct wide b)
{
    uint64_t ah = (uint64_t)(a.significand >> 64), al = (uint64_t)a.significand;
    uint64_t bh = (uint64_t)(b.significand >> 64), bl = (uint64_t)b.significand;
    uint128 low = (uint128)al * bl;
    uint128 cross = (uint128)ah * bl, cross2 = (uint128)al * bh;
    uint128 middle = (low >> 64) + (uint64_t)cross + (uint64_t)cross2;
    uint128 high = (uint128)ah * bh + (cross >> 64) + (cross2 >> 64) + (middle >> 64);
    bool lost = (uint64_t)middle != 0 || (uint64_t)low != 0;
    /* The product of two 64-bit numbers with a clear last bit stays exact: the bit that normalizing shifts in is zero.
     */
    return wide_normalize(a.sign != b.sign, a.exponent + b.exponent + 1, high | lost);
}

struct wide wide_div(struct wide a, struct wide b)
{
    uint128 rest = a.significand, quotient = 0;
    bool carry = false; /* bit 128 of the rest */
    for (int i = 0; i < 128; i++) {
        quotient <<= 1;
        if (carry || rest >= b.significand) {
            rest -= b.significand;
            quotient |= 1;
        }
        carry = rest >> 127;
        rest <<= 1;
    }
    bool lost = rest != 0 || carry;
    return wide_normalize(a.sign != b.sign, a.exponent - b.exponent, quotient | lost);
}

struct wide wide_div_small(struct wide a, uint32_t b)
{
    uint128 quotient = a.significand / b;
    bool lost = a.significand % b != 0;
    return wide_normalize(a.sign, a.exponent, quotient | lost);
}
