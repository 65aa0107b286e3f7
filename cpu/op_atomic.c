/*
 * XCHG, XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B (SDM vol. 2), CLFLUSH.
 *
 * One vCPU runs at a time and turns change between instructions, so a LOCK prefix has nothing left to do: every
 * read-modify-write is atomic. What remains of it is legality, which the decoder checks.
 */
#include "cpu/alu.h"

/* --- XCHG -------------------------------------------------------------------------------------------------------- */

#define XCHG(w)                                                                                                        \
    static OP(xchg_##w)                                                                                                \
    {                                                                                                                  \
        uint64_t a, b;                                                                                                 \
        if (op->flags & OP_MEM) {                                                                                      \
            unsigned other = op->flags & OP_MEM_DST ? op->src : op->dst;                                               \
            LINEAR(at, (w) / 8, ACCESS_READ | ACCESS_WRITE);                                                           \
            LOAD_RMW(w, a, at);                                                                                        \
            b = REG(w, other);                                                                                         \
            STORE(w, at, b);                                                                                           \
            SET_REG(w, other, a);                                                                                      \
        } else {                                                                                                       \
            a = REG(w, op->dst);                                                                                       \
            b = REG(w, op->src);                                                                                       \
            SET_REG(w, op->src, a);                                                                                    \
            SET_REG(w, op->dst, b);                                                                                    \
        }                                                                                                              \
        NEXT;                                                                                                          \
    }
XCHG(8)
XCHG(16)
XCHG(32)
XCHG(64)
HANDLERS(xchg) = { .by_width = { op_xchg_8, op_xchg_16, op_xchg_32, op_xchg_64 } };

/* --- XADD, CMPXCHG ----------------------------------------------------------------------------------------------- */

#define XADD(w)                                                                                                        \
    static OP(xadd_##w)                                                                                                \
    {                                                                                                                  \
        uint64_t a, b = REG(w, op->src);                                                                               \
        if (op->flags & OP_MEM) {                                                                                      \
            LINEAR(at, (w) / 8, ACCESS_READ | ACCESS_WRITE);                                                           \
            LOAD_RMW(w, a, at);                                                                                        \
            STORE(w, at, a + b);                                                                                       \
            SET_REG(w, op->src, a);                                                                                    \
        } else {                                                                                                       \
            a = REG(w, op->dst);                                                                                       \
            SET_REG(w, op->src, a);                                                                                    \
            SET_REG(w, op->dst, a + b); /* the sum stays where both are one register */                                \
        }                                                                                                              \
        flags_add(cpu, a, b, a + b, w);                                                                                \
        NEXT;                                                                                                          \
    }
XADD(8)
XADD(16)
XADD(32)
XADD(64)
HANDLERS(xadd) = { .by_width = { op_xadd_8, op_xadd_16, op_xadd_32, op_xadd_64 } };

/*
 * The destination is always written, with its old value if the comparison fails (SDM vol. 2A, CMPXCHG). The accumulator
 * is written only then, so that EAX keeps the upper half of RAX after success.
 */
#define CMPXCHG(w)                                                                                                     \
    static OP(cmpxchg_##w)                                                                                             \
    {                                                                                                                  \
        uint64_t a, accumulator = REG(w, RAX * 8);                                                                     \
        if (op->flags & OP_MEM) {                                                                                      \
            LINEAR(at, (w) / 8, ACCESS_READ | ACCESS_WRITE);                                                           \
            LOAD_RMW(w, a, at);                                                                                        \
            STORE(w, at, a == accumulator ? REG(w, op->src) : a);                                                      \
        } else {                                                                                                       \
            a = REG(w, op->dst);                                                                                       \
            SET_REG(w, op->dst, a == accumulator ? REG(w, op->src) : a);                                               \
        }                                                                                                              \
        if (a != accumulator)                                                                                          \
            SET_REG(w, RAX * 8, a);                                                                                    \
        flags_sub(cpu, accumulator, a, accumulator - a, w);                                                            \
        NEXT;                                                                                                          \
    }
CMPXCHG(8)
CMPXCHG(16)
CMPXCHG(32)
CMPXCHG(64)
HANDLERS(cmpxchg) = { .by_width = { op_cmpxchg_8, op_cmpxchg_16, op_cmpxchg_32, op_cmpxchg_64 } };

/* --- double width ------------------------------------------------------------------------------------------------ */

/* Compares rDX:rAX with memory; equal: memory becomes rCX:rBX, ZF 1; else rDX:rAX becomes memory, ZF 0. */
#define CMPXCHG_PAIR(name, w, aligned)                                                                                 \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        uint64_t old[2] = { 0 }, new[2];                                                                               \
        uint8_t bytes[2 * (w) / 8];                                                                                    \
        LINEAR(at, 2 * (w) / 8, ACCESS_READ | ACCESS_WRITE);                                                           \
        if ((aligned) && at & (2 * (w) / 8 - 1))                                                                       \
            FAULT_CODE(VEC_GP, 0);                                                                                     \
        if (!tlb_writes(cpu, at, 2 * (w) / 8))                                                                         \
            PROBE(at, 2 * (w) / 8, operand_access(op, ACCESS_READ | ACCESS_WRITE));                                    \
        LOAD_BYTES(2 * (w) / 8, bytes, at);                                                                            \
        memcpy(&old[0], bytes, (w) / 8);                                                                               \
        memcpy(&old[1], bytes + (w) / 8, (w) / 8);                                                                     \
        bool equal = old[0] == REG(w, RAX * 8) && old[1] == REG(w, RDX * 8);                                           \
        new[0] = equal ? REG(w, RBX * 8) : old[0];                                                                     \
        new[1] = equal ? REG(w, RCX * 8) : old[1];                                                                     \
        memcpy(bytes, &new[0], (w) / 8);                                                                               \
        memcpy(bytes + (w) / 8, &new[1], (w) / 8);                                                                     \
        STORE_BYTES(2 * (w) / 8, at, bytes);                                                                           \
        if (!equal) {                                                                                                  \
            SET_REG(w, RAX * 8, old[0]);                                                                               \
            SET_REG(w, RDX * 8, old[1]);                                                                               \
        }                                                                                                              \
        flags_set_zf(cpu, equal);                                                                                      \
        NEXT;                                                                                                          \
    }
CMPXCHG_PAIR(cmpxchg8b, 32, false)
CMPXCHG_PAIR(cmpxchg16b, 64, true)

/* Caches are not modelled; what is left of CLFLUSH is that it reads its byte's translation. */
HANDLER(clflush)
{
    LINEAR(at, 1, ACCESS_READ);
    if (!tlb_reads(cpu, at, 1))
        PROBE(at, 1, operand_access(op, ACCESS_READ));
    NEXT;
}
