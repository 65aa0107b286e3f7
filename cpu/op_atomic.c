/*
 * Exchanges and other integer instructions of more than one result: XCHG, XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B, BOUND
 * (SDM vol. 2).
 *
 * LOCK needs nothing here: instructions of one machine never overlap in time.
 */
#include "cpu/alu.h"

/* XCHG of a 32-bit register with itself clears its upper half, but 90H is NOP (the decoder knows it as that). */
#define XCHG_ANY(w, name)                                                                                              \
    static OP(name##_any##w)                                                                                           \
    {                                                                                                                  \
        uint64_t a, b = REG(w, OPERAND(src));                                                                          \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(at, (w) / 8, ACCESS_READ | ACCESS_WRITE);                                                           \
            LOAD_RMW(w, a, at);                                                                                        \
            STORE(w, at, b);                                                                                           \
        } else {                                                                                                       \
            a = REG(w, OPERAND(dst));                                                                                  \
            SET_REG(w, OPERAND(dst), b);                                                                               \
        }                                                                                                              \
        SET_REG(w, OPERAND(src), a);                                                                                   \
        NEXT;                                                                                                          \
    }
EACH_WIDTH(XCHG_ANY, xchg)
HANDLERS(xchg) = { .by_width = BY_WIDTH(xchg) };

/* XADD of a register with itself ends with the sum. */
#define XADD_ANY(w, name)                                                                                              \
    static OP(name##_any##w)                                                                                           \
    {                                                                                                                  \
        uint64_t a, b = REG(w, OPERAND(src));                                                                          \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(at, (w) / 8, ACCESS_READ | ACCESS_WRITE);                                                           \
            LOAD_RMW(w, a, at);                                                                                        \
            STORE(w, at, a + b);                                                                                       \
            SET_REG(w, OPERAND(src), a);                                                                               \
        } else {                                                                                                       \
            a = REG(w, OPERAND(dst));                                                                                  \
            SET_REG(w, OPERAND(src), a);                                                                               \
            SET_REG(w, OPERAND(dst), a + b);                                                                           \
        }                                                                                                              \
        flags_add(cpu, a, b, a + b, w);                                                                                \
        NEXT;                                                                                                          \
    }
EACH_WIDTH(XADD_ANY, xadd)
HANDLERS(xadd) = { .by_width = BY_WIDTH(xadd) };

/*
 * Memory is written in any case. Of registers only the one that receives something is written, so with 32 bits only its
 * upper half is cleared (Intel processors; the manual's pseudocode writes the destination back).
 */
#define CMPXCHG_ANY(w, name)                                                                                           \
    static OP(name##_any##w)                                                                                           \
    {                                                                                                                  \
        uint64_t old, b = REG(w, OPERAND(src)), expected = REG(w, RAX * 8);                                            \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(at, (w) / 8, ACCESS_READ | ACCESS_WRITE);                                                           \
            LOAD_RMW(w, old, at);                                                                                      \
            STORE(w, at, old == expected ? b : old);                                                                   \
        } else {                                                                                                       \
            old = REG(w, OPERAND(dst));                                                                                \
            if (old == expected)                                                                                       \
                SET_REG(w, OPERAND(dst), b);                                                                           \
        }                                                                                                              \
        if (old != expected)                                                                                           \
            SET_REG(w, RAX * 8, old);                                                                                  \
        flags_sub(cpu, expected, old, expected - old, w);                                                              \
        NEXT;                                                                                                          \
    }
EACH_WIDTH(CMPXCHG_ANY, cmpxchg)
HANDLERS(cmpxchg) = { .by_width = BY_WIDTH(cmpxchg) };

HANDLER(cmpxchg8b)
{
    uint64_t old, expected = REG(32, RDX * 8) << 32 | REG(32, RAX * 8);
    LINEAR(at, 8, ACCESS_READ | ACCESS_WRITE);
    LOAD_RMW(64, old, at);
    STORE(64, at, old == expected ? REG(32, RCX * 8) << 32 | REG(32, RBX * 8) : old);
    if (old != expected) {
        SET_REG(32, RAX * 8, old);
        SET_REG(32, RDX * 8, old >> 32);
    }
    flags_set_zf(cpu, old == expected);
    NEXT;
}

HANDLER(cmpxchg16b)
{
    uint64_t old[2], new[2];
    LINEAR(at, 16, ACCESS_READ | ACCESS_WRITE);
    if (at & 15)
        FAULT_CODE(VEC_GP, 0);
    if (!tlb_writes(cpu, at, 16))
        PROBE(at, 16, operand_access(op, ACCESS_READ | ACCESS_WRITE));
    LOAD_BYTES(16, old, at);
    bool equal = old[0] == cpu->gpr[RAX] && old[1] == cpu->gpr[RDX];
    new[0] = equal ? cpu->gpr[RBX] : old[0];
    new[1] = equal ? cpu->gpr[RCX] : old[1];
    STORE_BYTES(16, at, new);
    if (!equal) {
        cpu->gpr[RAX] = old[0];
        cpu->gpr[RDX] = old[1];
    }
    flags_set_zf(cpu, equal);
    NEXT;
}

/* BOUND: a signed index against a pair of bounds in memory. */
HANDLER(bound)
{
    unsigned w = OP_WIDTH(op);
    uint64_t lower, upper, pair;
    int64_t index = (int64_t)sign_extend(REG(w, OPERAND(dst)), w);
    LINEAR(at, w / 4, ACCESS_READ);
    if (w == 16) {
        LOAD(32, pair, at);
    } else {
        LOAD(64, pair, at);
    }
    lower = sign_extend(pair, w);
    upper = sign_extend(pair >> w, w);
    if (index < (int64_t)lower || index > (int64_t)upper)
        FAULT(VEC_BR);
    NEXT;
}
