/*
 * Instructions on flags (CLC, CMC, STC, CLD, STD, LAHF, SAHF, PUSHF, POPF; SDM vol. 2) and hints that do nothing here.
 */
#include "cpu/alu.h"

HANDLER(clc)
{
    flags_set_cf(cpu, false);
    NEXT;
}
HANDLER(stc)
{
    flags_set_cf(cpu, true);
    NEXT;
}
HANDLER(cmc)
{
    flags_set_cf(cpu, !flag_cf(cpu));
    NEXT;
}
HANDLER(cld)
{
    cpu->rflags &= ~(uint64_t)FLAG_DF;
    NEXT;
}
HANDLER(std)
{
    cpu->rflags |= FLAG_DF;
    NEXT;
}

#define FLAGS_AH (FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF | FLAG_CF)

HANDLER(lahf)
{
    SET_REG(8, RAX * 8 + 1, (flags_status(cpu) & FLAGS_AH) | FLAGS_FIXED);
    NEXT;
}
HANDLER(sahf)
{
    flags_set_status(cpu, (flags_status(cpu) & FLAG_OF) | (REG(8, RAX * 8 + 1) & FLAGS_AH));
    NEXT;
}

/* --- PUSHF, POPF ------------------------------------------------------------------------------------------------- */

static unsigned iopl(const struct cpu *cpu)
{
    return (unsigned)(cpu->rflags & FLAG_IOPL) >> 12;
}

static bool vm86_without_iopl(const struct cpu *cpu)
{
    return cpu->mode & MODE_VM86 && iopl(cpu) < 3;
}

/* The image pushes RF and VM as 0. */
#define PUSHF(w)                                                                                                       \
    static OP(pushf_##w)                                                                                               \
    {                                                                                                                  \
        if (vm86_without_iopl(cpu))                                                                                    \
            FAULT_CODE(VEC_GP, 0);                                                                                     \
        STACK_LINEAR(to, cpu->gpr[RSP] - (w) / 8, (w) / 8, ACCESS_WRITE);                                              \
        STORE_STACK(w, to, flags_read(cpu) & ~(uint64_t)(FLAG_RF | FLAG_VM));                                          \
        stack_set(cpu, stack_moved(cpu, -(int64_t)((w) / 8)));                                                         \
        NEXT;                                                                                                          \
    }
PUSHF(16)
PUSHF(32)
PUSHF(64)
HANDLERS(pushf) = { .by_width = { NULL, op_pushf_16, op_pushf_32, op_pushf_64 } };

/*
 * Which bits POPF may change (SDM vol. 2B, table 4-21): IOPL only at CPL 0, IF only with CPL <= IOPL, VM, VIF and VIP
 * never; RF becomes 0.
 */
static uint64_t popf_mask(const struct cpu *cpu, unsigned w)
{
    uint64_t mask = FLAGS_STATUS | FLAG_TF | FLAG_DF | FLAG_NT;
    if (cpu->cpl == 0)
        mask |= FLAG_IOPL;
    if (cpu->cpl <= iopl(cpu))
        mask |= FLAG_IF;
    if (w > 16)
        mask |= FLAG_AC | FLAG_ID;
    return mask;
}

#define POPF(w)                                                                                                        \
    static OP(popf_##w)                                                                                                \
    {                                                                                                                  \
        uint64_t image;                                                                                                \
        if (vm86_without_iopl(cpu))                                                                                    \
            FAULT_CODE(VEC_GP, 0);                                                                                     \
        STACK_LINEAR(from, cpu->gpr[RSP], (w) / 8, ACCESS_READ);                                                       \
        LOAD_STACK(w, image, from);                                                                                    \
        stack_set(cpu, stack_moved(cpu, (w) / 8));                                                                     \
        uint64_t mask = popf_mask(cpu, w);                                                                             \
        uint64_t before = flags_read(cpu);                                                                             \
        cpu->rflags = ((before & ~mask) | (image & mask)) & ~(uint64_t)FLAG_RF;                                        \
        flags_set_status(cpu, cpu->rflags);                                                                            \
        if ((before ^ cpu->rflags) & (FLAG_TF | FLAG_AC))                                                              \
            cpu_update_mode(cpu);                                                                                      \
        NEXT;                                                                                                          \
    }
POPF(16)
POPF(32)
POPF(64)
HANDLERS(popf) = { .by_width = { NULL, op_popf_16, op_popf_32, op_popf_64 } };

/* --- hints ------------------------------------------------------------------------------------------------------- */

/* NOP, PAUSE, ENDBR, PREFETCHx, fences, CLFLUSH of what need not be flushed: no operand is touched. */
HANDLER(nop)
{
    NEXT;
}
