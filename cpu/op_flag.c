/*
 * Flag instructions and those that do nothing to the state: CLC, STC, CMC, CLD, STD, LAHF, SAHF, NOP and hints, fences,
 * CLFLUSH (SDM vol. 2). PUSHF and POPF are in op_stack.c; CLI and STI are privileged and elsewhere.
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
    cpu->flag_carries ^= CARRIES_CF | CARRIES_PO;
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

HANDLER(lahf)
{
    SET_REG(8, RAX * 8 + 1, (flags_status(cpu) & 0xFF) | FLAGS_FIXED);
    NEXT;
}
HANDLER(sahf)
{
    flags_set_status(cpu, REG(8, RAX * 8 + 1) | (flag_of(cpu) ? FLAG_OF : 0));
    NEXT;
}

/* NOP, PAUSE, ENDBR, prefetches and reserved hints; fences, since accesses happen in order anyway. Memory operands are
 * not touched. */
HANDLER(nop)
{
    NEXT;
}

/* CLFLUSH is checked like a load of a byte (and sets the accessed bit); there is no cache to flush. */
HANDLER(clflush)
{
    LINEAR(at, 1, ACCESS_READ);
    if (!tlb_reads(cpu, at, 1))
        PROBE(at, 1, operand_access(op, ACCESS_READ));
    NEXT;
}
