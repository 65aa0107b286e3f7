/*
 * MOVS, CMPS, STOS, LODS, SCAS, alone and repeated (SDM vol. 2B, "REP/REPE/REPZ/REPNE/REPNZ").
 *
 * Each iteration is an instruction boundary: registers are committed, one cycle and one retired instruction are
 * counted, and the loop stops where the budget does, to be entered again at the same instruction. The block has counted
 * the first one. An access that wants attention sets the deadline to 0, so it stops the loop as well. Runs of plain RAM
 * go in chunks where nothing can tell the difference.
 */
#include "cpu/alu.h"

static inline uint64_t string_offset(const struct cpu *cpu, const struct op *op, unsigned reg)
{
    return cpu->gpr[reg] & width_mask(OP_ADDRESS(op));
}
static inline void string_advance(struct cpu *cpu, const struct op *op, unsigned reg, uint64_t delta)
{
    SET_REG(OP_ADDRESS(op), reg * 8, cpu->gpr[reg] + delta);
}
/* From one element to the next. */
static inline uint64_t string_step(const struct cpu *cpu, unsigned bytes)
{
    return cpu->rflags & FLAG_DF ? 0 - (uint64_t)bytes : bytes;
}

/* Linear address of the element at the register; false: cpu->fault is filled. */
static inline bool string_address(struct cpu *cpu, const struct op *op, unsigned seg, unsigned reg, unsigned bytes,
                                  unsigned access, uint64_t *linear)
{
    if (likely(OP_ADDRESS(op) == 64)) {
        *linear = cpu->gpr[reg] + cpu->segment_base[seg];
        return true;
    }
    return segment_address(cpu, seg, string_offset(cpu, op, reg), bytes, access, linear);
}
#define STRING_LINEAR(linear, seg, reg, bytes, access)                                                                 \
    uint64_t linear;                                                                                                   \
    if (!string_address(cpu, op, (seg), (reg), (bytes), (access), &linear))                                            \
    FAULT_PENDING

/* --- one iteration ------------------------------------------------------------------------------------------------ */

/* The source is translated, then the destination, then the source is read: a device must not be read in vain. */
#define MOVS_ONCE(w)                                                                                                   \
    do {                                                                                                               \
        uint64_t value, step_ = string_step(cpu, (w) / 8);                                                             \
        STRING_LINEAR(from_, OPERAND(seg), RSI, (w) / 8, ACCESS_READ);                                                 \
        STRING_LINEAR(to_, ES, RDI, (w) / 8, ACCESS_WRITE);                                                            \
        if (unlikely(!tlb_writes(cpu, to_, (w) / 8))) {                                                                \
            PROBE(from_, (w) / 8, operand_access(op, ACCESS_READ));                                                    \
            PROBE(to_, (w) / 8, ACCESS_WRITE);                                                                         \
        }                                                                                                              \
        LOAD(w, value, from_);                                                                                         \
        STORE(w, to_, value);                                                                                          \
        string_advance(cpu, op, RSI, step_);                                                                           \
        string_advance(cpu, op, RDI, step_);                                                                           \
    } while (0)
#define STOS_ONCE(w)                                                                                                   \
    do {                                                                                                               \
        STRING_LINEAR(to_, ES, RDI, (w) / 8, ACCESS_WRITE);                                                            \
        STORE(w, to_, REG(w, RAX * 8));                                                                                \
        string_advance(cpu, op, RDI, string_step(cpu, (w) / 8));                                                       \
    } while (0)
#define LODS_ONCE(w)                                                                                                   \
    do {                                                                                                               \
        uint64_t value;                                                                                                \
        STRING_LINEAR(from_, OPERAND(seg), RSI, (w) / 8, ACCESS_READ);                                                 \
        LOAD(w, value, from_);                                                                                         \
        SET_REG(w, RAX * 8, value);                                                                                    \
        string_advance(cpu, op, RSI, string_step(cpu, (w) / 8));                                                       \
    } while (0)
#define SCAS_ONCE(w)                                                                                                   \
    do {                                                                                                               \
        uint64_t value, al_ = REG(w, RAX * 8);                                                                         \
        STRING_LINEAR(at_di_, ES, RDI, (w) / 8, ACCESS_READ);                                                          \
        LOAD(w, value, at_di_);                                                                                        \
        flags_sub(cpu, al_, value, al_ - value, w);                                                                    \
        string_advance(cpu, op, RDI, string_step(cpu, (w) / 8));                                                       \
    } while (0)
/* The second operand comes first, as on Intel's processors. */
#define CMPS_ONCE(w)                                                                                                   \
    do {                                                                                                               \
        uint64_t first, second, step_ = string_step(cpu, (w) / 8);                                                     \
        STRING_LINEAR(at_di_, ES, RDI, (w) / 8, ACCESS_READ);                                                          \
        STRING_LINEAR(at_si_, OPERAND(seg), RSI, (w) / 8, ACCESS_READ);                                                \
        if (unlikely(!tlb_reads(cpu, at_si_, (w) / 8))) {                                                              \
            PROBE(at_di_, (w) / 8, ACCESS_READ);                                                                       \
            PROBE(at_si_, (w) / 8, operand_access(op, ACCESS_READ));                                                   \
        }                                                                                                              \
        LOAD(w, first, at_si_);                                                                                        \
        LOAD(w, second, at_di_);                                                                                       \
        flags_sub(cpu, first, second, first - second, w);                                                              \
        string_advance(cpu, op, RSI, step_);                                                                           \
        string_advance(cpu, op, RDI, step_);                                                                           \
    } while (0)

/* --- many iterations at once -------------------------------------------------------------------------------------- */

/* How many elements from here on lie in the page, do not wrap the offset, and stay below the limit. */
static inline uint64_t chunk_limit(const struct cpu *cpu, const struct op *op, uint64_t limit, unsigned reg,
                                   uint64_t linear, unsigned bytes)
{
    unsigned shift = (unsigned)__builtin_ctz(bytes);
    uint64_t in_page = (4096 - (linear & 4095)) >> shift;
    uint64_t to_wrap = (width_mask(OP_ADDRESS(op)) - string_offset(cpu, op, reg)) >> shift;
    limit = limit < in_page ? limit : in_page;
    return limit < to_wrap ? limit : to_wrap;
}
/* Iterations that may still run, this one included. */
static inline uint64_t chunk_budget(const struct cpu *cpu, const struct op *op)
{
    uint64_t count = string_offset(cpu, op, RCX);
    uint64_t budget = cpu->deadline > cpu->cycle ? cpu->deadline - cpu->cycle + 1 : 1;
    if (cpu->mode & MODE_STEP || cpu->rflags & FLAG_DF)
        return 1;
    return count < budget ? count : budget;
}
/* Counts n iterations, of which the first had been counted. */
static inline void chunk_count(struct cpu *cpu, const struct op *op, uint64_t n)
{
    cpu->cycle += n - 1;
    cpu->retired += n - 1;
    string_advance(cpu, op, RCX, 0 - n);
}

/*
 * Copies elements as long as both sides stay in pages that the TLB holds: no access bit is to be set, no fault, device
 * or code in reach. Returns how many; fewer than two are not worth it and left to MOVS_ONCE.
 */
static uint64_t movs_chunk(struct cpu *cpu, const struct op *op, unsigned bytes)
{
    uint64_t from, to, n = chunk_budget(cpu, op);
    if (n < 2 || !string_address(cpu, op, OPERAND(seg), RSI, bytes, ACCESS_READ, &from) ||
        !string_address(cpu, op, ES, RDI, bytes, ACCESS_WRITE, &to))
        return 0;
    n = chunk_limit(cpu, op, n, RSI, from, bytes);
    n = chunk_limit(cpu, op, n, RDI, to, bytes);
    if (n < 2 || !tlb_reads(cpu, from, 1) || !tlb_writes(cpu, to, 1))
        return 0;
    /* the limits of the segments for the whole chunk */
    unsigned total = (unsigned)n * bytes;
    if (!string_address(cpu, op, OPERAND(seg), RSI, total, ACCESS_READ, &from) ||
        !string_address(cpu, op, ES, RDI, total, ACCESS_WRITE, &to))
        return 0;
    uintptr_t source = tlb_slot(cpu, from)->host + from, target = tlb_slot(cpu, to)->host + to;
    if (target - source >= total) {
        memmove((void *)target, (const void *)source, total);
    } else { /* the copy runs into its own source, an element at a time */
        for (uint64_t i = 0; i < n; i++)
            memmove((void *)(target + i * bytes), (const void *)(source + i * bytes), bytes);
    }
    string_advance(cpu, op, RSI, total);
    string_advance(cpu, op, RDI, total);
    chunk_count(cpu, op, n);
    return n;
}

static uint64_t stos_chunk(struct cpu *cpu, const struct op *op, unsigned bytes)
{
    uint64_t to, n = chunk_budget(cpu, op);
    if (n < 2 || !string_address(cpu, op, ES, RDI, bytes, ACCESS_WRITE, &to))
        return 0;
    n = chunk_limit(cpu, op, n, RDI, to, bytes);
    unsigned total = (unsigned)n * bytes;
    if (n < 2 || !tlb_writes(cpu, to, 1) || !string_address(cpu, op, ES, RDI, total, ACCESS_WRITE, &to))
        return 0;
    uintptr_t target = tlb_slot(cpu, to)->host + to;
    uint64_t value = REG(8 * bytes, RAX * 8);
    if (bytes == 1 || value == 0) {
        memset((void *)target, (int)(value & 0xFF), total);
    } else {
        for (unsigned i = 0; i < total; i += bytes)
            host_write(target + i, 8 * bytes, value);
    }
    string_advance(cpu, op, RDI, total);
    chunk_count(cpu, op, n);
    return n;
}

static inline uint64_t no_chunk(struct cpu *cpu, const struct op *op, unsigned bytes)
{
    (void)cpu, (void)op, (void)bytes;
    return 0;
}

/* --- the loop ------------------------------------------------------------------------------------------------------
 */

/* REPE ends at a difference, REPNE at a match; REP of the other instructions never before the count does. */
static inline bool repeat_compare(const struct cpu *cpu, const struct op *op)
{
    return flag_zf(cpu) == !!(OPERAND(flags) & OP_REP);
}
static inline bool repeat_always(const struct cpu *cpu, const struct op *op)
{
    (void)cpu, (void)op;
    return true;
}

/*
 * Between two iterations the status flags are those of before (SDM: "the EFLAGS value is restored to the state prior to
 * the execution of the instruction"), and RF is set, so that what comes in there pushes it (SDM vol. 3B, 18.3.1.1).
 */
#define STRING_ANY(w, name, once, chunk, repeat, pointers)                                                             \
    static OP(name##_any##w)                                                                                           \
    {                                                                                                                  \
        if (!(OPERAND(flags) & (OP_REP | OP_REPNE))) {                                                                 \
            once(w);                                                                                                   \
            NEXT;                                                                                                      \
        }                                                                                                              \
        const uint64_t result_ = cpu->flag_result, carries_ = cpu->flag_carries;                                       \
        string_advance(cpu, op, RCX, 0);                                                                               \
        pointers;                                                                                                      \
        if (string_offset(cpu, op, RCX) == 0)                                                                          \
            NEXT;                                                                                                      \
        for (;;) {                                                                                                     \
            bool more = true;                                                                                          \
            if (!chunk(cpu, op, (w) / 8)) {                                                                            \
                once(w);                                                                                               \
                string_advance(cpu, op, RCX, UINT64_MAX);                                                              \
                more = repeat(cpu, op);                                                                                \
            }                                                                                                          \
            if (!more || string_offset(cpu, op, RCX) == 0)                                                             \
                NEXT;                                                                                                  \
            cpu->flag_result = result_;                                                                                \
            cpu->flag_carries = carries_;                                                                              \
            if (cpu->cycle >= cpu->deadline || cpu->mode & MODE_STEP) {                                                \
                cpu->gpr[GPR_RIP] += INSN_AT;                                                                          \
                cpu->rflags |= FLAG_RF;                                                                                \
                LEAVE;                                                                                                 \
            }                                                                                                          \
            cpu->cycle++;                                                                                              \
            cpu->retired++;                                                                                            \
        }                                                                                                              \
    }
#define STRING_HANDLERS(name, once, chunk, repeat, pointers)                                                           \
    EACH_WIDTH(STRING_ANY, name, once, chunk, repeat, pointers)                                                        \
    HANDLERS(name) = { .by_width = BY_WIDTH(name) }

/*
 * With 32-bit addresses a repeated instruction clears the upper half of RCX at its begin, whether or not it does
 * anything, and MOVS and STOS those of their pointers (so do Intel's processors; the manual is silent).
 */
#define MOVS_POINTERS (string_advance(cpu, op, RSI, 0), string_advance(cpu, op, RDI, 0))
#define STOS_POINTERS string_advance(cpu, op, RDI, 0)

STRING_HANDLERS(movs, MOVS_ONCE, movs_chunk, repeat_always, MOVS_POINTERS);
STRING_HANDLERS(stos, STOS_ONCE, stos_chunk, repeat_always, STOS_POINTERS);
STRING_HANDLERS(lods, LODS_ONCE, no_chunk, repeat_always, (void)0);
STRING_HANDLERS(scas, SCAS_ONCE, no_chunk, repeat_compare, (void)0);
STRING_HANDLERS(cmps, CMPS_ONCE, no_chunk, repeat_compare, (void)0);
