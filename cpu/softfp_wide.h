/*
 * Floating-point numbers with 128 significant bits, the intermediate form of softfp and of the x87 transcendentals.
 *
 * The last bit is sticky: whatever an operation loses is or-ed into it ("jammed"), so a result can be rounded correctly
 * to any format of up to 64 bits, provided that its operands had at least three zero bits at their end. A chain of
 * operations loses at most a few units of the last place each.
 */
#ifndef CPU_SOFTFP_WIDE_H
#define CPU_SOFTFP_WIDE_H

#include "cpu/softfp.h"

typedef unsigned __int128 uint128;

/* significand * 2^(exponent - 127); bit 127 of the significand is set unless the number is zero. */
struct wide {
    uint128 significand;
    int32_t exponent;
    bool sign;
};

#define WIDE_TOP ((uint128)1 << 127)

/* Shifts right by any count and keeps in the last bit whether something was lost. */
static inline uint128 jam_right(uint128 value, uint32_t count)
{
    if (count == 0)
        return value;
    if (count > 127)
        return value != 0;
    return value >> count | ((value << (128 - count)) != 0);
}

static inline unsigned leading_zeros(uint128 value)
{
    uint64_t high = (uint64_t)(value >> 64);
    return high ? (unsigned)__builtin_clzll(high) : 64 + (unsigned)__builtin_clzll((uint64_t)value);
}

/* value * 2^(exponent - 127) with any leading bits. */
static inline struct wide wide_normalize(bool sign, int32_t exponent, uint128 value)
{
    if (value == 0)
        return (struct wide){ .sign = sign };
    unsigned shift = leading_zeros(value);
    return (struct wide){ .sign = sign, .exponent = exponent - (int32_t)shift, .significand = value << shift };
}

static inline struct wide wide_from_number(struct fp_number a)
{
    return (struct wide){ .sign = a.sign, .exponent = a.exponent, .significand = (uint128)a.significand << 64 };
}
static inline struct wide wide_from_uint(uint64_t value)
{
    return wide_normalize(false, 127, value);
}

static inline struct wide wide_negate(struct wide a)
{
    a.sign = !a.sign;
    return a;
}
/* a * 2^power */
static inline struct wide wide_scale(struct wide a, int32_t power)
{
    a.exponent += power;
    return a;
}

/* Exact cancellation gives a zero of a's sign. */
struct wide wide_add(struct wide a, struct wide b);
static inline struct wide wide_sub(struct wide a, struct wide b)
{
    return wide_add(a, wide_negate(b));
}
struct wide wide_mul(struct wide a, struct wide b);
/* b must not be zero. */
struct wide wide_div(struct wide a, struct wide b);
/* b: 1 to 2^32 - 1. */
struct wide wide_div_small(struct wide a, uint32_t b);

/* Rounds and reports OE, UE, PE and rounded_up; the last step of every operation. */
struct fp_number fp_round_wide(struct fp_context *context, const struct fp_format *format, struct wide a);

/*
 * Handles an operand that is a NaN or unsupported: raises IE as needed, puts the answer into *result and returns true.
 * b may repeat a for operations of one operand.
 */
bool fp_nan_operand(struct fp_context *context, const struct fp_format *format, struct fp_number a, struct fp_number b,
                    struct fp_number *result);
/* Raises IE and gives the indefinite. */
struct fp_number fp_invalid(struct fp_context *context);
/* Raises DE if the operand was denormal. */
static inline void fp_note_denormal(struct fp_context *context, struct fp_number a)
{
    if (a.denormal)
        context->flags |= FP_DE;
}
static inline struct fp_number fp_zero(bool sign)
{
    return (struct fp_number){ .kind = NUMBER_ZERO, .sign = sign };
}
static inline struct fp_number fp_infinity(bool sign)
{
    return (struct fp_number){ .kind = NUMBER_INFINITE, .sign = sign, .significand = 1ull << 63 };
}

/* The magnitude of a finite number with an exponent of 63 at most as an integer. */
struct fp_integer {
    uint64_t magnitude;
    bool inexact, rounded_up;
};
struct fp_integer fp_round_magnitude(struct fp_number a, enum fp_rounding rounding);

#endif
