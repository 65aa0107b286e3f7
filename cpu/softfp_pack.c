/*
 * Raw bits to unpacked numbers and back: f32, f64 (SDM vol. 1, 4.2.2), the 80-bit format with its unsupported encodings
 * (8.2.2), and integers.
 */
#include "cpu/softfp.h"

#define INTEGER_BIT (1ull << 63)
#define QUIET_BIT   (1ull << 62)

/* --- the interchange formats: implicit integer bit --- */

/* fraction: left-aligned in 63 bits. */
static struct fp_number nan_or_infinity(bool sign, uint64_t fraction)
{
    uint8_t kind = fraction == 0 ? NUMBER_INFINITE : fraction & QUIET_BIT ? NUMBER_QNAN : NUMBER_SNAN;
    return (struct fp_number){ .kind = kind, .sign = sign, .significand = INTEGER_BIT | fraction };
}

static struct fp_number normalized(bool sign, int32_t exponent, uint64_t significand)
{
    if (significand == 0)
        return (struct fp_number){ .kind = NUMBER_ZERO, .sign = sign };
    int shift = __builtin_clzll(significand);
    return (struct fp_number){
        .kind = NUMBER_FINITE, .sign = sign, .exponent = exponent - shift, .significand = significand << shift
    };
}

static struct fp_number unpack(const struct fp_context *context, uint64_t bits, unsigned exponent_bits,
                               unsigned fraction_bits)
{
    uint32_t exponent_ones = (1u << exponent_bits) - 1;
    int32_t bias = (int32_t)(exponent_ones >> 1);
    bool sign = bits >> (exponent_bits + fraction_bits);
    uint32_t exponent = (uint32_t)(bits >> fraction_bits) & exponent_ones;
    uint64_t fraction = (bits << (64 - fraction_bits)) >> 1;
    if (exponent == exponent_ones)
        return nan_or_infinity(sign, fraction);
    if (exponent)
        return normalized(sign, (int32_t)exponent - bias, INTEGER_BIT | fraction);
    struct fp_number number = normalized(sign, 1 - bias, context->denormals_are_zero ? 0 : fraction);
    number.denormal = number.kind != NUMBER_ZERO;
    return number;
}

static uint64_t pack(struct fp_number number, unsigned exponent_bits, unsigned fraction_bits)
{
    uint64_t exponent_ones = (1ull << exponent_bits) - 1, exponent = 0, fraction = 0;
    int32_t bias = (int32_t)(exponent_ones >> 1);
    if (number.kind >= NUMBER_INFINITE) {
        exponent = exponent_ones;
        fraction = number.significand << 1;
    } else if (number.kind == NUMBER_FINITE && number.exponent > -bias) {
        exponent = (uint32_t)(number.exponent + bias) & exponent_ones;
        fraction = number.significand << 1;
    } else if (number.kind == NUMBER_FINITE) {
        uint32_t shift = (uint32_t)(-bias - number.exponent);
        fraction = shift < 64 ? number.significand >> shift : 0;
    }
    return (uint64_t)number.sign << (exponent_bits + fraction_bits) | exponent << fraction_bits |
           fraction >> (64 - fraction_bits);
}

struct fp_number f16_unpack(uint16_t bits)
{
    const struct fp_context context = { 0 };
    return unpack(&context, bits, 5, 10);
}

uint16_t f16_pack(struct fp_number number)
{
    return (uint16_t)pack(number, 5, 10);
}

uint16_t bf16_pack(struct fp_number number)
{
    return (uint16_t)pack(number, 8, 7);
}

struct fp_number f32_unpack(const struct fp_context *context, uint32_t bits)
{
    return unpack(context, bits, 8, 23);
}

struct fp_number f64_unpack(const struct fp_context *context, uint64_t bits)
{
    return unpack(context, bits, 11, 52);
}

uint32_t f32_pack(struct fp_number number)
{
    return (uint32_t)pack(number, 8, 23);
}

uint64_t f64_pack(struct fp_number number)
{
    return pack(number, 11, 52);
}

/* --- the 80-bit format: explicit integer bit --- */

#define F80_BIAS 16383

struct fp_number f80_unpack(struct f80 bits)
{
    bool sign = bits.sign_exponent >> 15;
    int32_t exponent = bits.sign_exponent & 0x7FFF;
    if (exponent == 0) {
        /* A pseudo-denormal (integer bit set) has the value of exponent 1. */
        struct fp_number number = normalized(sign, 1 - F80_BIAS, bits.mantissa);
        number.denormal = number.kind != NUMBER_ZERO;
        return number;
    }
    if (!(bits.mantissa & INTEGER_BIT))
        return (struct fp_number){ .kind = NUMBER_UNSUPPORTED, .sign = sign, .significand = bits.mantissa };
    if (exponent == 0x7FFF)
        return nan_or_infinity(sign, bits.mantissa & ~INTEGER_BIT);
    return normalized(sign, exponent - F80_BIAS, bits.mantissa);
}

struct f80 f80_pack(struct fp_number number)
{
    uint16_t sign = (uint16_t)(number.sign << 15);
    if (number.kind == NUMBER_ZERO)
        return (struct f80){ .sign_exponent = sign };
    if (number.kind != NUMBER_FINITE)
        return (struct f80){ .sign_exponent = sign | 0x7FFF, .mantissa = number.significand };
    if (number.exponent > -F80_BIAS) {
        uint16_t exponent = (uint16_t)((uint32_t)(number.exponent + F80_BIAS) & 0x7FFF);
        return (struct f80){ .sign_exponent = sign | exponent, .mantissa = number.significand };
    }
    uint32_t shift = (uint32_t)(1 - F80_BIAS - number.exponent);
    return (struct f80){ .sign_exponent = sign, .mantissa = shift < 64 ? number.significand >> shift : 0 };
}

/* --- integers --- */

struct fp_number fp_unpack_uint(uint64_t value)
{
    return normalized(false, 63, value);
}

struct fp_number fp_unpack_int(int64_t value)
{
    return normalized(value < 0, 63, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}
