/*
 * The vocabulary of instruction handlers.
 *
 * A handler is OP(name) { ... NEXT; }. It has `cpu` and `op`, reaches operands through the accessors below and those of
 * the engine's binding (cpu/binding.h) and nothing else, and leaves in one of these ways:
 *
 *   NEXT                      the instruction is done, go on with the next op
 *   FAULT(vector)             the instruction did not happen: fault without error code
 *   FAULT_CODE(vector, error) the same with one
 *   FAULT_PENDING             the same; cpu->fault was filled by a function that returned false
 *   BRANCH(slot)              cpu->gpr[GPR_RIP] holds the target; slot 0 not taken or only successor, 1 taken
 *   BRANCH_BY(...)            the same where RIP moves by a distance that is known now
 *   BRANCH_INDIRECT           the same for a target known only at run time
 *   LEAVE                     done, gpr[GPR_RIP] is set, and the engine must look at mode or events
 *
 * A row with the attribute `ends` simply uses NEXT: lowering puts an op behind it that leaves to the engine. So a
 * handler of such a row may change modes, CRs, segments (it calls cpu_update_mode()). A row with the attribute `branch`
 * ends in one of the last three.
 *
 * LOAD, STORE and their kin may leave by themselves on a fault. All accesses of an instruction must be translated
 * before the first store or device read: an instruction with more than one access calls PROBE first. A handler changes
 * no state before its last access that can fault. After a LOAD or STORE `op` may point to a copy of the op; use it as
 * before.
 */
#ifndef CPU_HANDLER_H
#define CPU_HANDLER_H

#ifndef HANDLER_BINDING
#define HANDLER_BINDING "cpu/binding.h"
#endif
#include HANDLER_BINDING
#include "cpu/flags.h"
#include "cpu/mem.h"
#include "cpu/op.h"

#include <string.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define OP(name)                                                                                                       \
    const struct op *OP_CALL op_##name(__attribute__((unused)) struct cpu *cpu,                                        \
                                       __attribute__((unused)) const struct op *op)

/* Names the handlers of a row whose handler column says `name`. HANDLER is for a row with one handler for everything.
 */
#define HANDLERS(name) const struct handlers handlers_##name
#define HANDLER(name)                                                                                                  \
    static OP(name);                                                                                                   \
    HANDLERS(name) = { .any = op_##name };                                                                             \
    static OP(name)

#define LEAVE return engine_leave(cpu)

#define FAULT(vector)             return engine_fault(cpu, op, fault_make((vector), false, 0))
#define FAULT_CODE(vector, error) return engine_fault(cpu, op, fault_make((vector), true, (error)))
#define FAULT_PENDING             return engine_fault(cpu, op, cpu->fault)

#define BRANCH_INDIRECT                                                                                                \
    do {                                                                                                               \
        const struct op *target_ = engine_lookup(cpu);                                                                 \
        if (unlikely(!target_))                                                                                        \
            return NULL;                                                                                               \
        GO(target_);                                                                                                   \
    } while (0)

/* --- registers ------------------------------------------------------------------------------------------------- */

typedef uint8_t __attribute__((may_alias)) alias_u8;
typedef uint16_t __attribute__((may_alias)) alias_u16;
typedef uint32_t __attribute__((may_alias)) alias_u32;
typedef uint64_t __attribute__((may_alias)) alias_u64;

static inline uint64_t gpr_read(const struct cpu *cpu, uintptr_t offset, unsigned w)
{
    const char *at = (const char *)cpu->gpr + offset;
    return w == 8    ? *(const alias_u8 *)at
           : w == 16 ? *(const alias_u16 *)at
           : w == 32 ? *(const alias_u32 *)at
                     : *(const alias_u64 *)at;
}
/* Writes w bits; 32 bits clear the upper half (SDM vol. 1, 3.4.1.1). */
static inline void gpr_write(struct cpu *cpu, uintptr_t offset, unsigned w, uint64_t value)
{
    char *at = (char *)cpu->gpr + offset;
    if (w == 8)
        *(alias_u8 *)at = (uint8_t)value;
    else if (w == 16)
        *(alias_u16 *)at = (uint16_t)value;
    else if (w == 32)
        *(alias_u64 *)at = (uint32_t)value;
    else
        *(alias_u64 *)at = value;
}
#define REG(w, offset)            gpr_read(cpu, (offset), (w))
#define SET_REG(w, offset, value) gpr_write(cpu, (offset), (w), (value))

/* --- memory ---------------------------------------------------------------------------------------------------- */

/*
 * Declares `linear`, the linear address of the memory operand of any kind; `bytes` is its size and `access` ACCESS_READ
 * or ACCESS_WRITE (both for read-modify-write). Leaves with #GP or #SS where a segment limit or type forbids it.
 */
#define LINEAR(linear, bytes, access)                                                                                  \
    uint64_t linear;                                                                                                   \
    if (likely(!(OPERAND(flags) & OP_SEGMENTED)))                                                                      \
        linear = LINEAR_FLAT;                                                                                          \
    else if (!segment_linear(cpu, op, (bytes), (access), &linear))                                                     \
    FAULT_PENDING

/* Reads w bits (8..64) at a linear address into `var`. */
#define LOAD(w, var, linear)                                                                                           \
    do {                                                                                                               \
        uint64_t at_ = (linear);                                                                                       \
        const struct tlb_entry *entry_ = tlb_slot(cpu, at_);                                                           \
        if (likely(entry_->read == tlb_tag(at_, (w) / 8))) {                                                           \
            (var) = host_read(entry_->host + at_, (w));                                                                \
        } else {                                                                                                       \
            uint64_t value_;                                                                                           \
            op = mem_load_slow(cpu, op, at_, (w) / 8, ACCESS_READ, &value_);                                           \
            if (unlikely(!op))                                                                                         \
                return NULL;                                                                                           \
            (var) = value_;                                                                                            \
        }                                                                                                              \
    } while (0)

/* Reads w bits that the same instruction will write back: translated with the rights of a write. */
#define LOAD_RMW(w, var, linear)                                                                                       \
    do {                                                                                                               \
        uint64_t at_ = (linear);                                                                                       \
        const struct tlb_entry *entry_ = tlb_slot(cpu, at_);                                                           \
        if (likely(entry_->write == tlb_tag(at_, (w) / 8))) {                                                          \
            (var) = host_read(entry_->host + at_, (w));                                                                \
        } else {                                                                                                       \
            uint64_t value_;                                                                                           \
            op = mem_load_slow(cpu, op, at_, (w) / 8, ACCESS_READ | ACCESS_WRITE, &value_);                            \
            if (unlikely(!op))                                                                                         \
                return NULL;                                                                                           \
            (var) = value_;                                                                                            \
        }                                                                                                              \
    } while (0)

/* Writes w bits. After LOAD_RMW or PROBE of the same bytes it cannot fault. */
#define STORE(w, linear, value)                                                                                        \
    do {                                                                                                               \
        uint64_t at_ = (linear);                                                                                       \
        const struct tlb_entry *entry_ = tlb_slot(cpu, at_);                                                           \
        if (likely(entry_->write == tlb_tag(at_, (w) / 8))) {                                                          \
            host_write(entry_->host + at_, (w), (value));                                                              \
        } else {                                                                                                       \
            op = mem_store_slow(cpu, op, at_, (w) / 8, ACCESS_WRITE, (value));                                         \
            if (unlikely(!op))                                                                                         \
                return NULL;                                                                                           \
        }                                                                                                              \
    } while (0)

/*
 * The hot forms serve accesses that hit in the TLB. Where one does not, they hand the op over to the row's generic
 * handler before anything has happened: so they call nothing and need no stack frame.
 */
/* Declares `at_host`, the address of `bytes` that the TLB admits for `rights` (read or write). */
#define HIT(rights, bytes, at_host, linear, generic)                                                                   \
    uintptr_t at_host;                                                                                                 \
    do {                                                                                                               \
        uint64_t at_ = (linear);                                                                                       \
        const struct tlb_entry *entry_ = tlb_slot(cpu, at_);                                                           \
        if (unlikely(entry_->rights != tlb_tag(at_, (bytes))))                                                         \
            HAND_OVER(generic);                                                                                        \
        (at_host) = entry_->host + at_;                                                                                \
    } while (0)
#define LOAD_HIT(w, var, linear, generic)                                                                              \
    do {                                                                                                               \
        HIT(read, (w) / 8, host_, linear, generic);                                                                    \
        (var) = host_read(host_, (w));                                                                                 \
    } while (0)
#define STORE_HIT(w, linear, value, generic)                                                                           \
    do {                                                                                                               \
        HIT(write, (w) / 8, host_, linear, generic);                                                                   \
        host_write(host_, (w), (value));                                                                               \
    } while (0)

/* The same as LOAD and STORE for up to 64 bytes at once, through a buffer in canonical (little-endian) byte order. */
#define LOAD_BYTES(bytes, buffer, linear)                                                                              \
    do {                                                                                                               \
        uint64_t at_ = (linear);                                                                                       \
        const struct tlb_entry *entry_ = tlb_slot(cpu, at_);                                                           \
        if (likely(entry_->read == tlb_tag(at_, (bytes)))) {                                                           \
            memcpy((buffer), (const void *)(entry_->host + at_), (bytes));                                             \
        } else {                                                                                                       \
            op = mem_load_bytes_slow(cpu, op, at_, (bytes), ACCESS_READ, (buffer));                                    \
            if (unlikely(!op))                                                                                         \
                return NULL;                                                                                           \
        }                                                                                                              \
    } while (0)
#define STORE_BYTES(bytes, linear, buffer)                                                                             \
    do {                                                                                                               \
        uint64_t at_ = (linear);                                                                                       \
        const struct tlb_entry *entry_ = tlb_slot(cpu, at_);                                                           \
        if (likely(entry_->write == tlb_tag(at_, (bytes)))) {                                                          \
            memcpy((void *)(entry_->host + at_), (buffer), (bytes));                                                   \
        } else {                                                                                                       \
            op = mem_store_bytes_slow(cpu, op, at_, (bytes), ACCESS_WRITE, (buffer));                                  \
            if (unlikely(!op))                                                                                         \
                return NULL;                                                                                           \
        }                                                                                                              \
    } while (0)

/* Translates without accessing: faults, accessed and dirty bits happen now, later accesses to the bytes cannot fault.
 */
#define PROBE(linear, bytes, access)                                                                                   \
    do {                                                                                                               \
        if (!mem_probe(cpu, (linear), (bytes), (access)))                                                              \
            FAULT_PENDING;                                                                                             \
    } while (0)

/* Access bits of the instruction's memory operand: through SS it counts as one to the stack. */
static inline unsigned operand_access(const struct op *op, unsigned access)
{
    return OPERAND(seg) == SS ? access | ACCESS_STACK : access;
}

/* Legacy SSE: #GP(0) for a misaligned 16-byte operand. */
#define CHECK_ALIGNED(linear, bytes)                                                                                   \
    do {                                                                                                               \
        if (unlikely((OPERAND(flags) & OP_ALIGNED) && ((linear) & ((bytes) - 1))))                                     \
            FAULT_CODE(VEC_GP, 0);                                                                                     \
    } while (0)

/* Access flag for the implicit stack accesses of an instruction: a non-canonical address is #SS, not #GP. */
#define LOAD_STACK(w, var, linear)                                                                                     \
    do {                                                                                                               \
        uint64_t at_ = (linear);                                                                                       \
        const struct tlb_entry *entry_ = tlb_slot(cpu, at_);                                                           \
        if (likely(entry_->read == tlb_tag(at_, (w) / 8))) {                                                           \
            (var) = host_read(entry_->host + at_, (w));                                                                \
        } else {                                                                                                       \
            uint64_t value_;                                                                                           \
            op = mem_load_slow(cpu, op, at_, (w) / 8, ACCESS_READ | ACCESS_STACK, &value_);                            \
            if (unlikely(!op))                                                                                         \
                return NULL;                                                                                           \
            (var) = value_;                                                                                            \
        }                                                                                                              \
    } while (0)
#define STORE_STACK(w, linear, value)                                                                                  \
    do {                                                                                                               \
        uint64_t at_ = (linear);                                                                                       \
        const struct tlb_entry *entry_ = tlb_slot(cpu, at_);                                                           \
        if (likely(entry_->write == tlb_tag(at_, (w) / 8))) {                                                          \
            host_write(entry_->host + at_, (w), (value));                                                              \
        } else {                                                                                                       \
            op = mem_store_slow(cpu, op, at_, (w) / 8, ACCESS_WRITE | ACCESS_STACK, (value));                          \
            if (unlikely(!op))                                                                                         \
                return NULL;                                                                                           \
        }                                                                                                              \
    } while (0)

#endif
