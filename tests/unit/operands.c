/*
 * Operands of vector instructions: operands.h.
 */
#include "tests/unit/operands.h"

uint64_t operand_random(uint64_t *seed)
{
    uint64_t z = *seed += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static const uint32_t corners32[] = {
    0x00000000, 0x80000000, 0x3F800000, 0xBF800000, 0x3F000000, 0x40200000, 0x7F800000, 0xFF800000,
    0x7FC00001, 0xFFC12345, 0x7F800001, 0xFFA00000, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000,
    0x80800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x4F000000, 0xCF000000, 0x4EFFFFFF, 0x5F000000, 0xDF000000,
    0x33800000, 0x00FFFFFF, 0x00400000, 0x3EFFFFFF, 0x3F7FFFFF, 0x4B000001, 0x7FFFFFFF, 0xFFFFFFFF,
};
static const uint64_t corners64[] = {
    0x0000000000000000, 0x8000000000000000, 0x3FF0000000000000, 0xBFF0000000000000, 0x3FE0000000000000,
    0x4004000000000000, 0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000001, 0xFFF8123456789ABC,
    0x7FF0000000000001, 0xFFF4000000000000, 0x0000000000000001, 0x8000000000000001, 0x000FFFFFFFFFFFFF,
    0x0010000000000000, 0x8010000000000000, 0x7FEFFFFFFFFFFFFF, 0xFFEFFFFFFFFFFFFF, 0x41E0000000000000,
    0xC1E0000000000000, 0x41DFFFFFFFC00000, 0x41DFFFFFFFE00000, 0x43E0000000000000, 0xC3E0000000000000,
    0x380FFFFFFFFFFFFF, 0x36A0000000000000, 0x3690000000000000, 0x47EFFFFFE0000000, 0x47EFFFFFF0000000,
    0x3810000000000000, 0x380FFFFFF0000000, 0xC1E0000000100000,
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

void operand_fill(uint64_t *seed, union vector_register *v, unsigned bytes, enum operand_style style)
{
    static const uint8_t extreme[] = { 0x00, 0xFF, 0x80, 0x7F, 0x01 };
    for (unsigned i = 0; i < bytes / 4; i++) {
        uint64_t r = operand_random(seed);
        switch (style) {
        case OPERAND_CORNERS_32:
            v->u32[i] = corners32[r % COUNT(corners32)];
            break;
        case OPERAND_CORNERS_64:
            v->u64[i / 2] = corners64[r % COUNT(corners64)];
            break;
        case OPERAND_NEAR_32:
            v->u32[i] = ((uint32_t)r & 0x807FFFFFu) | (uint32_t)(120 + (r >> 40) % 40) << 23;
            break;
        case OPERAND_NEAR_64:
            v->u64[i / 2] = (r & 0x800FFFFFFFFFFFFFu) | (1010 + (r >> 52) % 60) << 52;
            break;
        case OPERAND_TEXT:
            for (unsigned j = 0; j < 4; j++)
                v->u8[4 * i + j] = "aabcz\0\x80"[(r >> 8 * j) % 7];
            break;
        case OPERAND_SMALL:
            v->u32[i] = (uint32_t)(r % 40);
            break;
        case OPERAND_EXTREMES:
            for (unsigned j = 0; j < 4; j++)
                v->u8[4 * i + j] = extreme[(r >> 8 * j) % COUNT(extreme)];
            break;
        default:
            v->u32[i] = (uint32_t)r;
            break;
        }
    }
}
