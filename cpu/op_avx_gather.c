/*
 * Gathers and scatters: lanes at addresses of their own (SDM vol. 2C, VPGATHERDD and the following, VPSCATTERDD).
 *
 * Lanes are done from the lowest to the highest, and each that is done clears its bit of the mask (or its lane of the
 * mask vector) at once. A fault leaves what was done behind it, and the instruction goes on from there when it is
 * restarted.
 */
#include "cpu/simd_vex.h"

/* The linear address of one lane. */
static inline bool lane_address(struct cpu *cpu, const struct op *op, int64_t index, unsigned bytes, unsigned access,
                                uint64_t *linear)
{
    uint64_t offset = REG(64, OPERAND(base)) + ((uint64_t)index << OPERAND(scale)) + (uint64_t)(int64_t)OPERAND(disp);
    unsigned width = OP_ADDRESS(op);
    if (width == 64 && !(OPERAND(flags) & OP_SEGMENTED)) {
        *linear = offset + cpu->segment_base[OPERAND(seg)];
        return true;
    }
    return segment_address(cpu, OPERAND(seg), width == 64 ? offset : offset & UINT32_MAX, bytes, access, linear);
}

#define LANE_INDEX(indexes, size, i) ((size) == 4 ? (int64_t)(indexes)->i32[i] : (indexes)->i64[i])
#define GATHER_LANES(index_bytes, lane)                                                                                \
    (OP_VECTOR(op) / ((index_bytes) > ELEMENT(lane) ? (index_bytes) : ELEMENT(lane)))

/* AVX2: the mask vector (in vvvv) is zero at the end. */
#define GATHER(index_bytes, data_bytes, lane)                                                                          \
    HANDLER(vgather_##index_bytes##_##data_bytes)                                                                      \
    {                                                                                                                  \
        const union vector_register indexes = cpu->zmm[OPERAND(index)];                                                \
        union vector_register *r = &cpu->zmm[OPERAND(dst)], *mask = &cpu->zmm[OPERAND(src)];                           \
        const unsigned lanes = GATHER_LANES(index_bytes, lane), bytes = lanes * (data_bytes);                          \
        for (unsigned i = 0; i < OP_VECTOR(op) / ELEMENT(lane); i++)                                                   \
            mask->lane[i] = (__typeof__(mask->lane[0]))(mask->lane[i] >> (8 * (data_bytes) - 1) ? UINT64_MAX : 0);     \
        memset(mask->u8 + OP_VECTOR(op), 0, 64 - OP_VECTOR(op));                                                       \
        for (unsigned i = 0; i < lanes; i++) {                                                                         \
            uint64_t linear;                                                                                           \
            __typeof__(r->lane[0]) value;                                                                              \
            if (!mask->lane[i])                                                                                        \
                continue;                                                                                              \
            if (!lane_address(cpu, op, LANE_INDEX(&indexes, index_bytes, i), (data_bytes), ACCESS_READ, &linear))      \
                FAULT_PENDING;                                                                                         \
            LOAD_LANE((data_bytes), &value, linear);                                                                   \
            r->lane[i] = value;                                                                                        \
            memset(r->u8 + OP_VECTOR(op), 0, 64 - OP_VECTOR(op)); /* seen if a later lane faults */                    \
            mask->lane[i] = 0;                                                                                         \
        }                                                                                                              \
        memset(r->u8 + bytes, 0, 64 - bytes);                                                                          \
        memset(mask->u8, 0, 64);                                                                                       \
        NEXT;                                                                                                          \
    }
GATHER(4, 4, u32)
GATHER(4, 8, u64)
GATHER(8, 4, u32)
GATHER(8, 8, u64)

/* EVEX: the opmask register is zero at the end. */
#define GATHER_OPMASK(index_bytes, data_bytes, lane)                                                                   \
    HANDLER(vgather_##index_bytes##_##data_bytes##_k)                                                                  \
    {                                                                                                                  \
        const union vector_register indexes = cpu->zmm[OPERAND(index)];                                                \
        union vector_register *r = &cpu->zmm[OPERAND(dst)];                                                            \
        uint64_t *mask = &cpu->opmask[OPERAND(mask)];                                                                  \
        const unsigned lanes = GATHER_LANES(index_bytes, lane), bytes = lanes * (data_bytes);                          \
        for (unsigned i = 0; i < lanes; i++) {                                                                         \
            uint64_t linear;                                                                                           \
            __typeof__(r->lane[0]) value;                                                                              \
            if (!(*mask >> i & 1))                                                                                     \
                continue;                                                                                              \
            if (!lane_address(cpu, op, LANE_INDEX(&indexes, index_bytes, i), (data_bytes), ACCESS_READ, &linear))      \
                FAULT_PENDING;                                                                                         \
            LOAD_LANE((data_bytes), &value, linear);                                                                   \
            r->lane[i] = value;                                                                                        \
            memset(r->u8 + OP_VECTOR(op), 0, 64 - OP_VECTOR(op)); /* seen if a later lane faults */                    \
            *mask &= ~(1ull << i);                                                                                     \
        }                                                                                                              \
        memset(r->u8 + bytes, 0, 64 - bytes);                                                                          \
        *mask = 0;                                                                                                     \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    HANDLER(vscatter_##index_bytes##_##data_bytes)                                                                     \
    {                                                                                                                  \
        uint64_t *mask = &cpu->opmask[OPERAND(mask)];                                                                  \
        const unsigned lanes = GATHER_LANES(index_bytes, lane);                                                        \
        for (unsigned i = 0; i < lanes; i++) {                                                                         \
            uint64_t linear;                                                                                           \
            if (!(*mask >> i & 1))                                                                                     \
                continue;                                                                                              \
            if (!lane_address(cpu, op, LANE_INDEX(&cpu->zmm[OPERAND(index)], index_bytes, i), (data_bytes),            \
                              ACCESS_WRITE, &linear))                                                                  \
                FAULT_PENDING;                                                                                         \
            STORE_LANE((data_bytes), linear, &cpu->zmm[OPERAND(src2)].lane[i]);                                        \
            *mask &= ~(1ull << i);                                                                                     \
        }                                                                                                              \
        *mask = 0;                                                                                                     \
        NEXT;                                                                                                          \
    }
GATHER_OPMASK(4, 4, u32)
GATHER_OPMASK(4, 8, u64)
GATHER_OPMASK(8, 4, u32)
GATHER_OPMASK(8, 8, u64)
