/*
 * AVX-512 on integers: comparisons into opmasks, ternary logic, rotates, conflicts, counts, narrowing, compression,
 * IFMA, VNNI, VBMI, VBMI2, BITALG (SDM vol. 2C).
 */
#include "cpu/simd_vex.h"

/* --- comparisons --- */

/* imm8[2:0]: EQ, LT, LE, FALSE, NE, NLT, NLE, TRUE. */
static inline bool integer_predicate(bool less, bool equal, unsigned imm)
{
    bool holds = ((imm & 3) != 3 && (((imm & 3) == 0 || imm & 2) && equal)) || ((imm & 3) - 1 < 2 && less);
    return holds != (imm >> 2 & 1);
}
#define COMPARE(name, lane)                                                                                            \
    LANES(name, lane, integer_predicate(x < y, x == y, imm) ? UINT64_MAX : 0)                                          \
    EVEX_MASK(name, name, lane)
COMPARE(vpcmpb, i8)
COMPARE(vpcmpw, i16)
COMPARE(vpcmpd, i32)
COMPARE(vpcmpq, i64)
COMPARE(vpcmpub, u8)
COMPARE(vpcmpuw, u16)
COMPARE(vpcmpud, u32)
COMPARE(vpcmpuq, u64)

#define TEST(letter, lane)                                                                                             \
    LANES(vptestm##letter, lane, x &y ? UINT64_MAX : 0)                                                                \
    LANES(vptestnm##letter, lane, x &y ? 0 : UINT64_MAX)                                                               \
    EVEX_MASK(vptestm##letter, vptestm##letter, lane)                                                                  \
    EVEX_MASK(vptestnm##letter, vptestnm##letter, lane)
TEST(b, u8)
TEST(w, u16)
TEST(d, u32)
TEST(q, u64)

/* --- lanes of 64 bits that older sets lack --- */

#define SIMPLE(name, lane, expression)                                                                                 \
    LANES(name, lane, expression)                                                                                      \
    EVEX(name, name, lane)
SIMPLE(vpminsq, i64, x < y ? x : y)
SIMPLE(vpminuq, u64, x < y ? x : y)
SIMPLE(vpmaxsq, i64, x > y ? x : y)
SIMPLE(vpmaxuq, u64, x > y ? x : y)
SIMPLE(vpabsq, u64, y >> 63 ? 0 - y : y)
SIMPLE(vpmullq, u64, (x * y))

/* --- bits --- */

static inline uint64_t bits_ternary(uint64_t z, uint64_t x, uint64_t y, unsigned imm)
{
    uint64_t result = 0;
    for (unsigned i = 0; i < 8; i++)
        result |= imm >> i & 1 ? (i & 4 ? z : ~z) & (i & 2 ? x : ~x) & (i & 1 ? y : ~y) : 0;
    return result;
}
LANES_TERNARY(vpternlog, u64, bits_ternary(z, x, y, imm))
EVEX_TERNARY(vpternlogd, vpternlog, u32)
EVEX_TERNARY_ALSO(vpternlogq, vpternlogd, vpternlog, u64)

/* `count` below the width, 0 included. */
static inline uint32_t rotate32(uint32_t value, unsigned count)
{
    return value << lane_count(count & 31) | value >> lane_count((32 - count) & 31);
}
static inline uint64_t rotate64(uint64_t value, unsigned count)
{
    return value << lane_count(count & 63) | value >> lane_count((64 - count) & 63);
}
SIMPLE(vprolvd, u32, rotate32(x, y))
SIMPLE(vprorvd, u32, rotate32(x, 32 - (y & 31)))
SIMPLE(vprolvq, u64, rotate64(x, (unsigned)y))
SIMPLE(vprorvq, u64, rotate64(x, 64 - (unsigned)(y & 63)))
SIMPLE(vprold_imm, u32, rotate32(y, imm))
SIMPLE(vprord_imm, u32, rotate32(y, 32 - (imm & 31)))
SIMPLE(vprolq_imm, u64, rotate64(y, imm))
SIMPLE(vprorq_imm, u64, rotate64(y, 64 - (imm & 63)))

SIMPLE(vplzcntd, u32, y ? __builtin_clz(y) : 32)
SIMPLE(vplzcntq, u64, y ? __builtin_clzll(y) : 64)
SIMPLE(vpopcntb, u8, __builtin_popcount(y))
SIMPLE(vpopcntw, u16, __builtin_popcount(y))
SIMPLE(vpopcntd, u32, __builtin_popcount(y))
SIMPLE(vpopcntq, u64, __builtin_popcountll(y))

/* VPCONFLICTD: the earlier lanes that are equal. */
#define CONFLICT(name, lane)                                                                                           \
    BODY void simd_##name(BODY_ARGUMENTS)                                                                              \
    {                                                                                                                  \
        (void)a, (void)imm;                                                                                            \
        for (unsigned i = 0; i < bytes / ELEMENT(lane); i++) {                                                         \
            r->lane[i] = 0;                                                                                            \
            for (unsigned j = 0; j < i; j++)                                                                           \
                r->lane[i] |= (__typeof__(r->lane[0]))(b->lane[i] == b->lane[j]) << lane_count(j);                     \
        }                                                                                                              \
    }                                                                                                                  \
    EVEX_WHOLE(name, name, lane)
CONFLICT(vpconflictd, u32)
CONFLICT(vpconflictq, u64)

/* VPSHLDD, VPSHRDD: a double-width pair, shifted; the count in imm8 or in lanes of the third source. */
#define DOUBLE_SHIFT(letter, lane, width)                                                                              \
    static inline uint64_t shld_##letter(uint64_t high, uint64_t low, uint64_t count)                                  \
    {                                                                                                                  \
        count = lane_count(count & ((width) - 1));                                                                     \
        return count ? high << count | low >> ((width) - count) : high;                                                \
    }                                                                                                                  \
    static inline uint64_t shrd_##letter(uint64_t low, uint64_t high, uint64_t count)                                  \
    {                                                                                                                  \
        count = lane_count(count & ((width) - 1));                                                                     \
        return count ? low >> count | high << ((width) - count) : low;                                                 \
    }                                                                                                                  \
    SIMPLE(vpshld##letter, lane, shld_##letter(x, y, imm))                                                             \
    SIMPLE(vpshrd##letter, lane, shrd_##letter(x, y, imm))                                                             \
    LANES_TERNARY(vpshldv##letter, lane, shld_##letter(z, x, y))                                                       \
    LANES_TERNARY(vpshrdv##letter, lane, shrd_##letter(z, x, y))                                                       \
    EVEX_TERNARY(vpshldv##letter, vpshldv##letter, lane)                                                               \
    EVEX_TERNARY(vpshrdv##letter, vpshrdv##letter, lane)
DOUBLE_SHIFT(w, u16, 16)
DOUBLE_SHIFT(d, u32, 32)
DOUBLE_SHIFT(q, u64, 64)

/* VPMULTISHIFTQB: eight unaligned bytes of each quadword. */
BODY void simd_vpmultishiftqb(BODY_ARGUMENTS)
{
    (void)imm;
    for (unsigned i = 0; i < bytes; i++)
        r->u8[i] = (uint8_t)rotate64(b->u64[i / 8], 64 - (a->u8[i] & 63));
}
EVEX_PACK(vpmultishiftqb, vpmultishiftqb, u8, u64)

/* VPSHUFBITQMB: one bit of each quadword to each opmask bit. */
BODY void simd_vpshufbitqmb(BODY_ARGUMENTS)
{
    (void)imm;
    for (unsigned i = 0; i < bytes; i++)
        r->u8[i] = a->u64[i / 8] >> (b->u8[i] & 63) & 1 ? 0xFF : 0;
}
EVEX_MASK(vpshufbitqmb, vpshufbitqmb, u8)

/* --- multiplication --- */

#define LOW_52 ((1ull << 52) - 1)
LANES_TERNARY(vpmadd52luq, u64, (z + ((uint64_t)((unsigned __int128)(x & LOW_52) * (y & LOW_52)) & LOW_52)))
LANES_TERNARY(vpmadd52huq, u64, (z + (uint64_t)((unsigned __int128)(x & LOW_52) * (y & LOW_52) >> 52)))
EVEX_TERNARY(vpmadd52luq, vpmadd52luq, u64)
EVEX_TERNARY(vpmadd52huq, vpmadd52huq, u64)

static inline int32_t saturate32(int64_t value)
{
    return (int32_t)(value < INT32_MIN ? INT32_MIN : value > INT32_MAX ? INT32_MAX : value);
}
static inline int64_t dot_bytes(uint32_t x, uint32_t y)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < 32; i += 8)
        sum += (uint8_t)(x >> i) * (int8_t)(y >> i);
    return sum;
}
static inline int64_t dot_words(uint32_t x, uint32_t y)
{
    return (int64_t)((int16_t)x * (int16_t)y) + (int16_t)(x >> 16) * (int16_t)(y >> 16);
}
LANES_TERNARY(vpdpbusd, u32, (z + (uint32_t)dot_bytes(x, y)))
LANES_TERNARY(vpdpbusds, u32, saturate32((int32_t)z + dot_bytes(x, y)))
LANES_TERNARY(vpdpwssd, u32, (z + (uint32_t)dot_words(x, y)))
LANES_TERNARY(vpdpwssds, u32, saturate32((int32_t)z + dot_words(x, y)))
EVEX_TERNARY(vpdpbusd, vpdpbusd, u32)
EVEX_TERNARY(vpdpbusds, vpdpbusds, u32)
EVEX_TERNARY(vpdpwssd, vpdpwssd, u32)
EVEX_TERNARY(vpdpwssds, vpdpwssds, u32)

/* VDBPSADBW: the second source's doublewords are chosen by imm8; sums of four differences at sliding places. */
BODY void simd_vdbpsadbw(BODY_ARGUMENTS)
{
    for (unsigned unit = 0; unit < bytes; unit += 16) {
        uint8_t chosen[16];
        for (unsigned i = 0; i < 4; i++)
            memcpy(chosen + 4 * i, b->u8 + unit + (imm >> 2 * i & 3) * 4, 4);
        for (unsigned i = 0; i < 8; i++) {
            unsigned first = unit + i / 4 * 8 + (i & 2) * 2, second = i / 4 * 8 + (i & 3), sum = 0;
            for (unsigned j = 0; j < 4; j++) {
                int difference = a->u8[first + j] - chosen[second + j];
                sum += (unsigned)(difference < 0 ? -difference : difference);
            }
            r->u16[unit / 2 + i] = (uint16_t)sum;
        }
    }
}
EVEX_WHOLE(vdbpsadbw, vdbpsadbw, u16)

/* --- blends --- */

/* The opmask chooses: the second source where its bit is set, else the first (or zero). */
#define BLEND(name, lane)                                                                                              \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        union vector_register r = cpu->zmm[OPERAND(src)], b;                                                           \
        unsigned bytes = OP_VECTOR(op);                                                                                \
        uint64_t active = simd_active(cpu, op, bytes / ELEMENT(lane));                                                 \
        op = simd_fetch(cpu, op, ELEMENT(lane), bytes, active, &b);                                                    \
        if (unlikely(!op))                                                                                             \
            return NULL;                                                                                               \
        bool zero = OPERAND(evex) & INSN_EVEX_Z;                                                                       \
        for (unsigned i = 0; i < bytes / ELEMENT(lane); i++)                                                           \
            r.lane[i] = active >> i & 1 ? b.lane[i] : zero ? 0 : r.lane[i];                                            \
        vector_write(cpu, OPERAND(dst), &r, bytes);                                                                    \
        NEXT;                                                                                                          \
    }
BLEND(vpblendmb, u8)
BLEND(vpblendmw, u16)
BLEND(vpblendmd, u32)
BLEND(vpblendmq, u64)

/* --- narrowing --- */

static inline int64_t saturate_signed(int64_t value, unsigned bits)
{
    int64_t high = INT64_MAX >> (64 - bits);
    return value > high ? high : value < ~high ? ~high : value;
}
static inline uint64_t saturate_unsigned(uint64_t value, unsigned bits)
{
    uint64_t high = UINT64_MAX >> (64 - bits);
    return value > high ? high : value;
}
#define NARROW_FORM(name, wide, narrow, expression)                                                                    \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        union vector_register r = { .u64 = { 0 } };                                                                    \
        const union vector_register *s = &cpu->zmm[OPERAND(src2)];                                                     \
        unsigned lanes = OP_VECTOR(op) / ELEMENT(wide), bytes = lanes * ELEMENT(narrow);                               \
        uint64_t active = simd_active(cpu, op, lanes);                                                                 \
        for (unsigned i = 0; i < lanes; i++) {                                                                         \
            __typeof__(s->wide[0]) x = s->wide[i];                                                                     \
            r.narrow[i] = (__typeof__(r.narrow[0]))(expression);                                                       \
        }                                                                                                              \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            op = simd_store(cpu, op, ELEMENT(narrow), bytes, active, &r);                                              \
            if (unlikely(!op))                                                                                         \
                return NULL;                                                                                           \
        } else {                                                                                                       \
            simd_write_masked(cpu, op, &r, ELEMENT(narrow), bytes, active);                                            \
        }                                                                                                              \
        NEXT;                                                                                                          \
    }
/* handlers_vpmovdb, handlers_vpmovsdb, handlers_vpmovusdb */
#define NARROW(letters, wide_bits, narrow_bits)                                                                        \
    NARROW_FORM(vpmov##letters, u##wide_bits, u##narrow_bits, x)                                                       \
    NARROW_FORM(vpmovs##letters, i##wide_bits, i##narrow_bits, saturate_signed(x, narrow_bits))                        \
    NARROW_FORM(vpmovus##letters, u##wide_bits, u##narrow_bits, saturate_unsigned(x, narrow_bits))
NARROW(wb, 16, 8)
NARROW(db, 32, 8)
NARROW(dw, 32, 16)
NARROW(qb, 64, 8)
NARROW(qw, 64, 16)
NARROW(qd, 64, 32)

/* --- compression and expansion --- */

/* Active lanes side by side; in memory only these are written. */
#define COMPRESS(letter, lane)                                                                                         \
    HANDLER(vpcompress##letter)                                                                                        \
    {                                                                                                                  \
        union vector_register r = cpu->zmm[OPERAND(dst)];                                                              \
        const union vector_register s = cpu->zmm[OPERAND(src2)];                                                       \
        unsigned bytes = OP_VECTOR(op), lanes = bytes / ELEMENT(lane), count = 0;                                      \
        uint64_t active = simd_active(cpu, op, lanes);                                                                 \
        for (unsigned i = 0; i < lanes; i++) {                                                                         \
            if (active >> i & 1)                                                                                       \
                r.lane[count++] = s.lane[i];                                                                           \
        }                                                                                                              \
        uint64_t written = count ? UINT64_MAX >> (64 - count) : 0;                                                     \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            op = simd_store(cpu, op, ELEMENT(lane), bytes, written, &r);                                               \
            if (unlikely(!op))                                                                                         \
                return NULL;                                                                                           \
        } else {                                                                                                       \
            simd_write_masked(cpu, op, &r, ELEMENT(lane), bytes, written);                                             \
        }                                                                                                              \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    HANDLER(vpexpand##letter)                                                                                          \
    {                                                                                                                  \
        union vector_register r = { .u64 = { 0 } }, b;                                                                 \
        unsigned bytes = OP_VECTOR(op), lanes = bytes / ELEMENT(lane), count = 0;                                      \
        uint64_t active = simd_active(cpu, op, lanes);                                                                 \
        unsigned wanted = (unsigned)__builtin_popcountll(active);                                                      \
        op = simd_fetch(cpu, op, ELEMENT(lane), bytes, wanted ? UINT64_MAX >> (64 - wanted) : 0, &b);                  \
        if (unlikely(!op))                                                                                             \
            return NULL;                                                                                               \
        for (unsigned i = 0; i < lanes; i++) {                                                                         \
            if (active >> i & 1)                                                                                       \
                r.lane[i] = b.lane[count++];                                                                           \
        }                                                                                                              \
        simd_write_masked(cpu, op, &r, ELEMENT(lane), bytes, active);                                                  \
        NEXT;                                                                                                          \
    }
COMPRESS(b, u8)
COMPRESS(w, u16)
COMPRESS(d, u32)
COMPRESS(q, u64)
