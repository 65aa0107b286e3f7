/*
 * Single bits and counts of bits: BT, BTS, BTR, BTC, BSF, BSR, POPCNT, CRC32 (SDM vol. 2A, 2B).
 *
 * A bit offset in a register reaches beyond a memory operand, 2^(w-1) bits to either side.
 */
#include "cpu/alu.h"

/* --- BT and its kin ------------------------------------------------------------------------------------------------
 */

/* CF alone is defined; processors leave the other flags as they were. */
static inline void bt_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w)
{
    flags_set_cf(cpu, (a >> (b & (w - 1))) & 1);
}
static inline uint64_t bts_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w)
{
    bt_body(cpu, a, b, w);
    return a | 1ull << (b & (w - 1));
}
static inline uint64_t btr_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w)
{
    bt_body(cpu, a, b, w);
    return a & ~(1ull << (b & (w - 1)));
}
static inline uint64_t btc_body(struct cpu *cpu, uint64_t a, uint64_t b, unsigned w)
{
    bt_body(cpu, a, b, w);
    return a ^ 1ull << (b & (w - 1));
}

/* Bytes from the operand's address to the w-bit word that holds the bit. */
static inline uint64_t bit_displacement(uint64_t offset, unsigned w)
{
    return (uint64_t)((int64_t)sign_extend(offset, w) >> __builtin_ctz(w)) * (w / 8);
}

/* Declares `at`, the address of the word that holds the bit, and sets b. */
#define BIT_LINEAR(w, at, b, access)                                                                                   \
    uint64_t at, b = OPERAND(flags) & OP_IMM ? OPERAND(imm) : REG(w, OPERAND(src));                                    \
    do {                                                                                                               \
        uint64_t from_ = OPERAND(flags) & OP_IMM ? 0 : bit_displacement(b, w);                                         \
        if (!(OPERAND(flags) & OP_SEGMENTED)) {                                                                        \
            (at) = LINEAR_FLAT + from_;                                                                                \
        } else if (OP_ADDRESS(op) == 64) {                                                                             \
            if (!segment_linear(cpu, op, (w) / 8, (access), &(at)))                                                    \
                FAULT_PENDING;                                                                                         \
            (at) += from_;                                                                                             \
        } else {                                                                                                       \
            struct op moved_ = *op; /* addresses have at most 32 bits, so the displacement may wrap */                 \
            moved_.disp = (int32_t)((uint32_t)OPERAND(disp) + (uint32_t)from_);                                        \
            if (!segment_linear(cpu, &moved_, (w) / 8, (access), &(at)))                                               \
                FAULT_PENDING;                                                                                         \
        }                                                                                                              \
    } while (0)

#define BT_ANY(w, name, form, SETTLE)                                                                                  \
    static OP(name##_##form##w)                                                                                        \
    {                                                                                                                  \
        FLAGS_BEFORE;                                                                                                  \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            uint64_t a;                                                                                                \
            BIT_LINEAR(w, at, b, ACCESS_READ);                                                                         \
            LOAD(w, a, at);                                                                                            \
            bt_body(cpu, a, b, w);                                                                                     \
        } else {                                                                                                       \
            bt_body(cpu, REG(w, OPERAND(dst)), OPERAND(flags) & OP_IMM ? OPERAND(imm) : REG(w, OPERAND(src)), w);      \
        }                                                                                                              \
        (void)SETTLE(name, w, 1, false, 0);                                                                            \
        NEXT;                                                                                                          \
    }
#define BT_SHAPED(w, name)                                                                                             \
    static OP(name##_rr##w)                                                                                            \
    {                                                                                                                  \
        bt_body(cpu, REG(w, OPERAND(dst)), REG(w, OPERAND(src)), w);                                                   \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(name##_ri##w)                                                                                            \
    {                                                                                                                  \
        bt_body(cpu, REG(w, OPERAND(dst)), OPERAND(imm), w);                                                           \
        NEXT;                                                                                                          \
    }
UNDEFINED(bt);
EACH_WIDE(BT_ANY, bt, any, AS_IS)
EACH_WIDE(BT_ANY, bt, chosen, SETTLED)
EACH_WIDE(BT_SHAPED, bt)
static op_fn *const bt_shaped[SHAPES][4] = {
    [SHAPE_RR] = ROW_WIDE(bt, rr, ),
    [SHAPE_RI] = ROW_WIDE(bt, ri, ),
};
HANDLERS(bt) = { .by_width = BY_WIDE(bt), .shaped = bt_shaped, CHOSEN_WIDE(bt) };

#define BIT_UPDATE_ANY(w, name, form, SETTLE)                                                                          \
    static OP(name##_##form##w)                                                                                        \
    {                                                                                                                  \
        FLAGS_BEFORE;                                                                                                  \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            uint64_t a;                                                                                                \
            BIT_LINEAR(w, at, b, ACCESS_READ | ACCESS_WRITE);                                                          \
            LOAD_RMW(w, a, at);                                                                                        \
            uint64_t r = name##_body(cpu, a, b, w);                                                                    \
            STORE(w, at, r);                                                                                           \
        } else {                                                                                                       \
            uint64_t b = OPERAND(flags) & OP_IMM ? OPERAND(imm) : REG(w, OPERAND(src));                                \
            SET_REG(w, OPERAND(dst), name##_body(cpu, REG(w, OPERAND(dst)), b, w));                                    \
        }                                                                                                              \
        (void)SETTLE(name, w, 1, false, 0);                                                                            \
        NEXT;                                                                                                          \
    }
#define BIT_UPDATE_HANDLERS(name)                                                                                      \
    UNDEFINED(name);                                                                                                   \
    EACH_WIDE(BIT_UPDATE_ANY, name, any, AS_IS)                                                                        \
    EACH_WIDE(BIT_UPDATE_ANY, name, chosen, SETTLED)                                                                   \
    HANDLERS(name) = { .by_width = BY_WIDE(name), CHOSEN_WIDE(name) }
BIT_UPDATE_HANDLERS(bts);
BIT_UPDATE_HANDLERS(btr);
BIT_UPDATE_HANDLERS(btc);

/* --- scans and counts ----------------------------------------------------------------------------------------------
 */

/*
 * BSF and BSR of zero leave the whole destination as it was. ZF tells whether the source was zero; of the undefined
 * flags Intel processors clear all but PF, which is that of the index.
 */
static inline void flags_set_scan(struct cpu *cpu, uint64_t source, unsigned index)
{
    cpu->flag_result = source ? index | 0x100 : 0; /* bit 8 keeps an index of 0 from looking like ZF */
    cpu->flag_carries = 0;
}
#define SCAN_ANY(w, name, form, SETTLE, index_of)                                                                      \
    static OP(name##_##form##w)                                                                                        \
    {                                                                                                                  \
        FLAGS_BEFORE;                                                                                                  \
        uint64_t source;                                                                                               \
        READ_SOURCE(w, source);                                                                                        \
        unsigned index = source ? (unsigned)(index_of) : 0;                                                            \
        flags_set_scan(cpu, source, index);                                                                            \
        uint64_t old = REG(w, OPERAND(dst)), r = SETTLE(name, w, 1, !source, source ? index : old);                    \
        if (source || r != old)                                                                                        \
            SET_REG(w, OPERAND(dst), r);                                                                               \
        NEXT;                                                                                                          \
    }
#define SCAN_HANDLERS(name, index_of)                                                                                  \
    UNDEFINED(name);                                                                                                   \
    EACH_WIDE(SCAN_ANY, name, any, AS_IS, index_of)                                                                    \
    EACH_WIDE(SCAN_ANY, name, chosen, SETTLED, index_of)                                                               \
    HANDLERS(name) = { .by_width = BY_WIDE(name), CHOSEN_WIDE(name) }
SCAN_HANDLERS(bsf, __builtin_ctzll(source));
SCAN_HANDLERS(bsr, 63 - __builtin_clzll(source));

/* POPCNT clears every flag but ZF. */
#define POPCNT_ANY(w, name)                                                                                            \
    static OP(name##_any##w)                                                                                           \
    {                                                                                                                  \
        uint64_t source;                                                                                               \
        READ_SOURCE(w, source);                                                                                        \
        flags_set_status(cpu, source ? 0 : FLAG_ZF);                                                                   \
        SET_REG(w, OPERAND(dst), (unsigned)__builtin_popcountll(source));                                              \
        NEXT;                                                                                                          \
    }
EACH_WIDE(POPCNT_ANY, popcnt)
HANDLERS(popcnt) = { .by_width = BY_WIDE(popcnt) };

/* --- CRC32 ----------------------------------------------------------------------------------------------------------
 */

/* The reflected polynomial 11EDC6F41H, bit by bit over the low w bits of data. */
static uint32_t crc32c(uint32_t crc, uint64_t data, unsigned w)
{
    for (unsigned at = 0; at < w; at += 8) {
        crc ^= (uint32_t)(data >> at) & 0xFF;
        for (unsigned i = 0; i < 8; i++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    }
    return crc;
}

/* The result has 32 bits whatever the destination. crc32b has a byte source, its width is the destination's. */
HANDLER(crc32b)
{
    uint64_t source;
    READ_SOURCE(8, source);
    SET_REG(32, OPERAND(dst), crc32c((uint32_t)REG(32, OPERAND(dst)), source, 8));
    NEXT;
}
#define CRC32_ANY(w, name)                                                                                             \
    static OP(name##_any##w)                                                                                           \
    {                                                                                                                  \
        uint64_t source;                                                                                               \
        READ_SOURCE(w, source);                                                                                        \
        SET_REG(32, OPERAND(dst), crc32c((uint32_t)REG(32, OPERAND(dst)), source, w));                                 \
        NEXT;                                                                                                          \
    }
EACH_WIDE(CRC32_ANY, crc32)
HANDLERS(crc32) = { .by_width = BY_WIDE(crc32) };
