/*
 * VEX and EVEX moves: vectors with and without masks, scalars, general registers, broadcasts, inserted and extracted
 * parts, VZEROUPPER (SDM vol. 2).
 */
#include "cpu/simd_vex.h"

/* --- whole vectors --- */

#define LOAD_VECTOR(name, bytes)                                                                                       \
    static OP(name)                                                                                                    \
    {                                                                                                                  \
        SOURCE_VECTOR(bytes)                                                                                           \
        union vector_register r = *b;                                                                                  \
        vector_write(cpu, OPERAND(dst), &r, (bytes));                                                                  \
        NEXT;                                                                                                          \
    }
LOAD_VECTOR(vmov_load_128, 16)
LOAD_VECTOR(vmov_load_256, 32)
LOAD_VECTOR(vmov_load_512, 64)
#define STORE_VECTOR(name, bytes)                                                                                      \
    static OP(name)                                                                                                    \
    {                                                                                                                  \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(linear, (bytes), ACCESS_WRITE);                                                                     \
            CHECK_ALIGNED(linear, (bytes));                                                                            \
            STORE_BYTES((bytes), linear, &cpu->zmm[OPERAND(src2)]);                                                    \
        } else {                                                                                                       \
            union vector_register r = cpu->zmm[OPERAND(src2)];                                                         \
            vector_write(cpu, OPERAND(dst), &r, (bytes));                                                              \
        }                                                                                                              \
        NEXT;                                                                                                          \
    }
STORE_VECTOR(vmov_store_128, 16)
STORE_VECTOR(vmov_store_256, 32)
STORE_VECTOR(vmov_store_512, 64)

#define MOVE_MASKED(lane)                                                                                              \
    static OP(vmov_load_masked_##lane)                                                                                 \
    {                                                                                                                  \
        union vector_register r;                                                                                       \
        unsigned bytes = OP_VECTOR(op);                                                                                \
        uint64_t active = simd_active(cpu, op, bytes / ELEMENT(lane));                                                 \
        op = simd_fetch(cpu, op, ELEMENT(lane), bytes, active, &r);                                                    \
        if (unlikely(!op))                                                                                             \
            return NULL;                                                                                               \
        simd_write_masked(cpu, op, &r, ELEMENT(lane), bytes, active);                                                  \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(vmov_store_masked_##lane)                                                                                \
    {                                                                                                                  \
        union vector_register r = cpu->zmm[OPERAND(src2)];                                                             \
        unsigned bytes = OP_VECTOR(op);                                                                                \
        uint64_t active = simd_active(cpu, op, bytes / ELEMENT(lane));                                                 \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            op = simd_store(cpu, op, ELEMENT(lane), bytes, active, &r);                                                \
            if (unlikely(!op))                                                                                         \
                return NULL;                                                                                           \
        } else {                                                                                                       \
            simd_write_masked(cpu, op, &r, ELEMENT(lane), bytes, active);                                              \
        }                                                                                                              \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    HANDLERS(vmov_load_##lane) = { .plain = PLAIN_512(vmov_load), .masked = op_vmov_load_masked_##lane };              \
    HANDLERS(vmov_store_##lane) = { .plain = PLAIN_512(vmov_store), .masked = op_vmov_store_masked_##lane };
MOVE_MASKED(u8)
MOVE_MASKED(u16)
MOVE_MASKED(u32)
MOVE_MASKED(u64)

/* VMASKMOVPS, VPMASKMOVD and their kin: the signs of a vector (in vvvv) are the mask. */
#define MASKMOV(name, lane)                                                                                            \
    HANDLER(name##_load)                                                                                               \
    {                                                                                                                  \
        union vector_register r;                                                                                       \
        unsigned bytes = OP_VECTOR(op);                                                                                \
        uint64_t active = simd_signs(&cpu->zmm[OPERAND(src)], ELEMENT(lane), bytes);                                   \
        op = simd_fetch(cpu, op, ELEMENT(lane), bytes, active, &r);                                                    \
        if (unlikely(!op))                                                                                             \
            return NULL;                                                                                               \
        for (unsigned i = 0; i < bytes / ELEMENT(lane); i++)                                                           \
            r.lane[i] = active >> i & 1 ? r.lane[i] : 0;                                                               \
        vector_write(cpu, OPERAND(dst), &r, bytes);                                                                    \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    HANDLER(name##_store)                                                                                              \
    {                                                                                                                  \
        unsigned bytes = OP_VECTOR(op);                                                                                \
        uint64_t active = simd_signs(&cpu->zmm[OPERAND(src)], ELEMENT(lane), bytes);                                   \
        op = simd_store_selected(cpu, op, ELEMENT(lane), bytes, active, &cpu->zmm[OPERAND(src2)]);                     \
        if (unlikely(!op))                                                                                             \
            return NULL;                                                                                               \
        NEXT;                                                                                                          \
    }
MASKMOV(vmaskmov_u32, u32)
MASKMOV(vmaskmov_u64, u64)

/* --- scalars --- */

/* VMOVSS, VMOVSD: from memory with zeros above; between registers with the first source's bits above. */
#define MOVE_SCALAR(name, lane)                                                                                        \
    HANDLER(name##_load)                                                                                               \
    {                                                                                                                  \
        union vector_register r;                                                                                       \
        uint64_t active = simd_active(cpu, op, 1);                                                                     \
        op = simd_fetch(cpu, op, ELEMENT(lane), ELEMENT(lane), active, &r);                                            \
        if (unlikely(!op))                                                                                             \
            return NULL;                                                                                               \
        simd_write_masked(cpu, op, &r, ELEMENT(lane), ELEMENT(lane), active);                                          \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    HANDLER(name##_store)                                                                                              \
    {                                                                                                                  \
        uint64_t active = simd_active(cpu, op, 1);                                                                     \
        op = simd_store(cpu, op, ELEMENT(lane), ELEMENT(lane), active, &cpu->zmm[OPERAND(src2)]);                      \
        if (unlikely(!op))                                                                                             \
            return NULL;                                                                                               \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    HANDLER(name##_move)                                                                                               \
    {                                                                                                                  \
        union vector_register r = cpu->zmm[OPERAND(src)];                                                              \
        if (simd_active(cpu, op, 1))                                                                                   \
            r.lane[0] = cpu->zmm[OPERAND(src2)].lane[0];                                                               \
        else                                                                                                           \
            r.lane[0] = OPERAND(evex) & INSN_EVEX_Z ? 0 : cpu->zmm[OPERAND(dst)].lane[0];                              \
        vector_write(cpu, OPERAND(dst), &r, 16);                                                                       \
        NEXT;                                                                                                          \
    }
MOVE_SCALAR(vmovss, u32)
MOVE_SCALAR(vmovsd, u64)

/* VMOVLPS, VMOVHPS from memory, VMOVHLPS, VMOVLHPS: one half of the first source is replaced. */
#define MOVE_HALF(name, to, from)                                                                                      \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        SOURCE_VECTOR(8)                                                                                               \
        union vector_register r = cpu->zmm[OPERAND(src)];                                                              \
        r.u64[to] = b->u64[from];                                                                                      \
        vector_write(cpu, OPERAND(dst), &r, 16);                                                                       \
        NEXT;                                                                                                          \
    }
MOVE_HALF(vmovlps_load, 0, 0)
MOVE_HALF(vmovhps_load, 1, 0) /* also VMOVLHPS */
MOVE_HALF(vmovhlps, 0, 1)

/* VMOVQ between vector registers and from memory. */
HANDLER(vmovq_load)
{
    SOURCE_VECTOR(8)
    union vector_register r = { .u64 = { b->u64[0] } };
    vector_write(cpu, OPERAND(dst), &r, 8);
    NEXT;
}
HANDLER(vmovq_store)
{
    union vector_register r = { .u64 = { cpu->zmm[OPERAND(src2)].u64[0] } };
    if (OPERAND(flags) & OP_MEM) {
        LINEAR(linear, 8, ACCESS_WRITE);
        STORE(64, linear, r.u64[0]);
    } else {
        vector_write(cpu, OPERAND(dst), &r, 8);
    }
    NEXT;
}
#define FROM_GENERAL(name, w)                                                                                          \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        SOURCE_GENERAL((w), value);                                                                                    \
        union vector_register r = { .u64 = { value } };                                                                \
        vector_write(cpu, OPERAND(dst), &r, 8);                                                                        \
        NEXT;                                                                                                          \
    }
FROM_GENERAL(vmovd_from_general, 32)
FROM_GENERAL(vmovq_from_general, 64)

/* --- signs to a general register --- */

#define MOVE_SIGNS(name, lane)                                                                                         \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        SET_REG(32, OPERAND(dst), simd_signs(&cpu->zmm[OPERAND(src2)], ELEMENT(lane), OP_VECTOR(op)));                 \
        NEXT;                                                                                                          \
    }
MOVE_SIGNS(vpmovmskb, u8)
MOVE_SIGNS(vmovmskps, u32)
MOVE_SIGNS(vmovmskpd, u64)

/* --- one lane in and out --- */

#define INSERT(name, w)                                                                                                \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        SOURCE_GENERAL((w), value);                                                                                    \
        union vector_register r = cpu->zmm[OPERAND(src)];                                                              \
        r.u##w[OPERAND(imm8) & (128 / (w) - 1)] = (uint##w##_t)value;                                                  \
        vector_write(cpu, OPERAND(dst), &r, 16);                                                                       \
        NEXT;                                                                                                          \
    }
INSERT(vpinsrb, 8)
INSERT(vpinsrw, 16)
INSERT(vpinsrd, 32)
INSERT(vpinsrq, 64)

#define EXTRACT(name, w)                                                                                               \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        uint64_t value = cpu->zmm[OPERAND(src2)].u##w[OPERAND(imm8) & (128 / (w) - 1)];                                \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(linear, (w) / 8, ACCESS_WRITE);                                                                     \
            STORE((w), linear, value);                                                                                 \
        } else {                                                                                                       \
            SET_REG(64, OPERAND(dst), value);                                                                          \
        }                                                                                                              \
        NEXT;                                                                                                          \
    }
EXTRACT(vpextrb, 8)
EXTRACT(vpextrw, 16)
EXTRACT(vpextrd, 32) /* also VEXTRACTPS */
EXTRACT(vpextrq, 64)

HANDLER(vinsertps)
{
    uint64_t value;
    unsigned imm = OPERAND(imm8);
    if (OPERAND(flags) & OP_MEM) {
        LINEAR(linear, 4, ACCESS_READ);
        LOAD(32, value, linear);
    } else {
        value = cpu->zmm[OPERAND(src2)].u32[imm >> 6];
    }
    union vector_register r = cpu->zmm[OPERAND(src)];
    r.u32[imm >> 4 & 3] = (uint32_t)value;
    for (unsigned i = 0; i < 4; i++)
        r.u32[i] = imm >> i & 1 ? 0 : r.u32[i];
    vector_write(cpu, OPERAND(dst), &r, 16);
    NEXT;
}

/* --- 128 or 256 bits in and out: VINSERTF128, VEXTRACTI64X4, ... --- */

#define INSERT_FORM(handler, part, vector_bytes)                                                                       \
    static OP(handler)                                                                                                 \
    {                                                                                                                  \
        SOURCE_VECTOR(part)                                                                                            \
        union vector_register r = cpu->zmm[OPERAND(src)];                                                              \
        memcpy(r.u8 + (OPERAND(imm8) & ((vector_bytes) / (part) - 1)) * (part), b, (part));                            \
        vector_write(cpu, OPERAND(dst), &r, (vector_bytes));                                                           \
        NEXT;                                                                                                          \
    }
#define INSERT_PART(name, part, lane)                                                                                  \
    static OP(name##_masked)                                                                                           \
    {                                                                                                                  \
        unsigned bytes = OP_VECTOR(op);                                                                                \
        SOURCE_VECTOR(part)                                                                                            \
        union vector_register r = cpu->zmm[OPERAND(src)];                                                              \
        memcpy(r.u8 + (OPERAND(imm8) & (bytes / (part) - 1)) * (part), b, (part));                                     \
        simd_write_masked(cpu, op, &r, ELEMENT(lane), bytes, simd_active(cpu, op, bytes / ELEMENT(lane)));             \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    INSERT_FORM(name##_256, part, 32)                                                                                  \
    INSERT_FORM(name##_512, part, 64)                                                                                  \
    HANDLERS(name) = { .plain = { op_##name##_masked, op_##name##_256, op_##name##_512 },                              \
                       .masked = op_##name##_masked };
INSERT_PART(vinsert_16_u32, 16, u32)
INSERT_PART(vinsert_16_u64, 16, u64)
INSERT_PART(vinsert_32_u32, 32, u32)
INSERT_PART(vinsert_32_u64, 32, u64)

#define EXTRACT_PART(name, part, lane)                                                                                 \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        unsigned bytes = OP_VECTOR(op);                                                                                \
        union vector_register r = { .u64 = { 0 } };                                                                    \
        uint64_t active = simd_active(cpu, op, (part) / ELEMENT(lane));                                                \
        memcpy(&r, cpu->zmm[OPERAND(src2)].u8 + (OPERAND(imm8) & (bytes / (part) - 1)) * (part), (part));              \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(linear_, (part), ACCESS_WRITE); /* class E6NF: all of it may fault, whatever the mask */            \
            if (tlb_slot(cpu, linear_)->write != tlb_tag(linear_, (part)))                                             \
                PROBE(linear_, (part), operand_access(op, ACCESS_WRITE));                                              \
            op = simd_store(cpu, op, ELEMENT(lane), (part), active, &r);                                               \
            if (unlikely(!op))                                                                                         \
                return NULL;                                                                                           \
        } else {                                                                                                       \
            simd_write_masked(cpu, op, &r, ELEMENT(lane), (part), active);                                             \
        }                                                                                                              \
        NEXT;                                                                                                          \
    }
EXTRACT_PART(vextract_16_u32, 16, u32)
EXTRACT_PART(vextract_16_u64, 16, u64)
EXTRACT_PART(vextract_32_u32, 32, u32)
EXTRACT_PART(vextract_32_u64, 32, u64)

/* --- broadcasts --- */

static inline void repeat(union vector_register *r, const union vector_register *b, unsigned part, unsigned bytes)
{
    for (unsigned at = 0; at < bytes; at += part)
        memcpy(r->u8 + at, b, part);
}

#define BROADCAST_FORM(handler, part, vector_bytes)                                                                    \
    static OP(handler)                                                                                                 \
    {                                                                                                                  \
        union vector_register r;                                                                                       \
        SOURCE_VECTOR(part)                                                                                            \
        repeat(&r, b, (part), (vector_bytes));                                                                         \
        vector_write(cpu, OPERAND(dst), &r, (vector_bytes));                                                           \
        NEXT;                                                                                                          \
    }
/* `part` bytes of a register or of memory, again and again. With one element, and no lane active, nothing is read. */
#define BROADCAST(name, part, lane)                                                                                    \
    static OP(name##_masked)                                                                                           \
    {                                                                                                                  \
        union vector_register r, b;                                                                                    \
        unsigned bytes = OP_VECTOR(op);                                                                                \
        uint64_t active = simd_active(cpu, op, bytes / ELEMENT(lane)), parts = active;                                 \
        for (unsigned n = (part) / ELEMENT(lane); n < 64 && n * ELEMENT(lane) < bytes; n += (part) / ELEMENT(lane))    \
            parts |= active >> n;                                                                                      \
        op = simd_fetch(cpu, op, ELEMENT(lane), (part), parts, &b);                                                    \
        if (unlikely(!op))                                                                                             \
            return NULL;                                                                                               \
        repeat(&r, &b, (part), 64);                                                                                    \
        simd_write_masked(cpu, op, &r, ELEMENT(lane), bytes, active);                                                  \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    BROADCAST_FORM(name##_128, part, 16)                                                                               \
    BROADCAST_FORM(name##_256, part, 32)                                                                               \
    BROADCAST_FORM(name##_512, part, 64)                                                                               \
    EVEX_HANDLERS(name, name)
BROADCAST(vbroadcast_1_u8, 1, u8)
BROADCAST(vbroadcast_2_u16, 2, u16)
BROADCAST(vbroadcast_4_u32, 4, u32)
BROADCAST(vbroadcast_8_u64, 8, u64)
BROADCAST(vbroadcast_8_u32, 8, u32)
BROADCAST(vbroadcast_16_u32, 16, u32)
BROADCAST(vbroadcast_16_u64, 16, u64)
BROADCAST(vbroadcast_32_u32, 32, u32)
BROADCAST(vbroadcast_32_u64, 32, u64)

#define BROADCAST_GENERAL(name, lane)                                                                                  \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        union vector_register r, value = { .u64 = { REG(64, OPERAND(src2)) } };                                        \
        unsigned bytes = OP_VECTOR(op);                                                                                \
        repeat(&r, &value, ELEMENT(lane), 64);                                                                         \
        simd_write_masked(cpu, op, &r, ELEMENT(lane), bytes, simd_active(cpu, op, bytes / ELEMENT(lane)));             \
        NEXT;                                                                                                          \
    }
BROADCAST_GENERAL(vpbroadcastb_general, u8)
BROADCAST_GENERAL(vpbroadcastw_general, u16)
BROADCAST_GENERAL(vpbroadcastd_general, u32)
BROADCAST_GENERAL(vpbroadcastq_general, u64)

/* --- clearing --- */

static unsigned vector_registers(const struct op *op, const struct cpu *cpu)
{
    (void)op;
    return (cpu->mode & MODE_CODE_MASK) == MODE_CODE64 ? 16 : 8;
}
/* VZEROUPPER, VZEROALL: registers 16 to 31 stay as they are. */
HANDLER(vzero)
{
    unsigned kept = OP_VECTOR(op) == 16 ? 16 : 0;
    for (unsigned i = 0; i < vector_registers(op, cpu); i++)
        memset(cpu->zmm[i].u8 + kept, 0, 64 - kept);
    NEXT;
}

HANDLER(vmaskmovdqu)
{
    op = simd_maskmov(cpu, op, &cpu->zmm[OPERAND(dst)], &cpu->zmm[OPERAND(src2)], 16);
    if (unlikely(!op))
        return NULL;
    NEXT;
}
