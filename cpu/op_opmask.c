/*
 * Opmask registers: KMOV, KAND and the other logic, shifts, tests, and moves between opmasks and vectors (SDM vol. 2A,
 * KADDW and the following; vol. 2C, VPMOVM2B, VPBROADCASTM).
 */
#include "cpu/simd_vex.h"

#define KEEP(w, value) ((value) & width_mask(w))

/* x: the opmask in vvvv, y: that of ModRM.rm. */
#define LOGIC(name, w, expression)                                                                                     \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        uint64_t x = KEEP(w, cpu->opmask[OPERAND(src)]), y = KEEP(w, cpu->opmask[OPERAND(src2)]);                      \
        (void)x;                                                                                                       \
        cpu->opmask[OPERAND(dst)] = KEEP(w, expression);                                                               \
        NEXT;                                                                                                          \
    }
#define FLAGS_OF(name, w, zero, carry)                                                                                 \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        uint64_t x = KEEP(w, cpu->opmask[OPERAND(dst)]), y = KEEP(w, cpu->opmask[OPERAND(src2)]);                      \
        flags_set_status(cpu, (KEEP(w, zero) == 0 ? FLAG_ZF : 0) | (KEEP(w, carry) == 0 ? FLAG_CF : 0));               \
        NEXT;                                                                                                          \
    }
#define SHIFTS(letter, w)                                                                                              \
    LOGIC(kshiftl##letter, w, OPERAND(imm8) < (w) ? y << (OPERAND(imm8) & 63) : 0)                                     \
    LOGIC(kshiftr##letter, w, OPERAND(imm8) < (w) ? y >> (OPERAND(imm8) & 63) : 0)
#define MOVES(letter, w, general)                                                                                      \
    HANDLER(kmov##letter)                                                                                              \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(linear, (w) / 8, ACCESS_READ);                                                                      \
            LOAD((w), value, linear);                                                                                  \
        } else {                                                                                                       \
            value = KEEP(w, cpu->opmask[OPERAND(src2)]);                                                               \
        }                                                                                                              \
        cpu->opmask[OPERAND(dst)] = value;                                                                             \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    HANDLER(kmov##letter##_store)                                                                                      \
    {                                                                                                                  \
        LINEAR(linear, (w) / 8, ACCESS_WRITE);                                                                         \
        STORE((w), linear, cpu->opmask[OPERAND(src2)]);                                                                \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    HANDLER(kmov##letter##_from)                                                                                       \
    {                                                                                                                  \
        cpu->opmask[OPERAND(dst)] = KEEP(w, REG(64, OPERAND(src2)));                                                   \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    HANDLER(kmov##letter##_to)                                                                                         \
    {                                                                                                                  \
        SET_REG((general), OPERAND(dst), KEEP(w, cpu->opmask[OPERAND(src2)]));                                         \
        NEXT;                                                                                                          \
    }
#define WIDTH_FORMS(letter, w, general)                                                                                \
    LOGIC(kand##letter, w, x &y)                                                                                       \
    LOGIC(kandn##letter, w, ~x &y)                                                                                     \
    LOGIC(kor##letter, w, x | y)                                                                                       \
    LOGIC(kxor##letter, w, x ^ y)                                                                                      \
    LOGIC(kxnor##letter, w, ~(x ^ y))                                                                                  \
    LOGIC(kadd##letter, w, x + y)                                                                                      \
    LOGIC(knot##letter, w, ~y)                                                                                         \
    FLAGS_OF(kortest##letter, w, x | y, ~(x | y))                                                                      \
    FLAGS_OF(ktest##letter, w, x &y, ~x &y)                                                                            \
    SHIFTS(letter, w)                                                                                                  \
    MOVES(letter, w, general)
WIDTH_FORMS(b, 8, 32)
WIDTH_FORMS(w, 16, 32)
WIDTH_FORMS(d, 32, 32)
WIDTH_FORMS(q, 64, 64)

LOGIC(kunpckbw, 16, (x & 0xFF) << 8 | (y & 0xFF))
LOGIC(kunpckwd, 32, (x & 0xFFFF) << 16 | (y & 0xFFFF))
LOGIC(kunpckdq, 64, x << 32 | (y & UINT32_MAX))

/* --- and vectors --- */

#define MASK_AND_VECTOR(letter, lane)                                                                                  \
    HANDLER(vpmovm2##letter)                                                                                           \
    {                                                                                                                  \
        union vector_register r;                                                                                       \
        unsigned bytes = OP_VECTOR(op);                                                                                \
        for (unsigned i = 0; i < bytes / ELEMENT(lane); i++)                                                           \
            r.lane[i] = (__typeof__(r.lane[0]))(cpu->opmask[OPERAND(src2)] >> i & 1 ? UINT64_MAX : 0);                 \
        vector_write(cpu, OPERAND(dst), &r, bytes);                                                                    \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    HANDLER(vpmov##letter##2m)                                                                                         \
    {                                                                                                                  \
        cpu->opmask[OPERAND(dst)] = simd_signs(&cpu->zmm[OPERAND(src2)], ELEMENT(lane), OP_VECTOR(op));                \
        NEXT;                                                                                                          \
    }
MASK_AND_VECTOR(b, u8)
MASK_AND_VECTOR(w, u16)
MASK_AND_VECTOR(d, u32)
MASK_AND_VECTOR(q, u64)

#define BROADCAST_MASK(name, lane, w)                                                                                  \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        union vector_register r;                                                                                       \
        for (unsigned i = 0; i < 64 / ELEMENT(lane); i++)                                                              \
            r.lane[i] = (__typeof__(r.lane[0]))KEEP(w, cpu->opmask[OPERAND(src2)]);                                    \
        vector_write(cpu, OPERAND(dst), &r, OP_VECTOR(op));                                                            \
        NEXT;                                                                                                          \
    }
BROADCAST_MASK(vpbroadcastmw2d, u32, 16)
BROADCAST_MASK(vpbroadcastmb2q, u64, 8)
