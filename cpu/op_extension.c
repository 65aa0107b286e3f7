/*
 * Small extensions of the system side: FSGSBASE, RDPID, INVPCID, protection keys, direct stores (SDM vol. 2; vol. 3A,
 * 4.6.2 and 4.10.4).
 */
#include "cpu/alu.h"
#include "cpu/model.h"
#include "cpu/segment.h"

/* --- FSGSBASE, RDPID -------------------------------------------------------------------------------------------- */

#define SEGMENT_BASE(which, name)                                                                                      \
    HANDLER(rd##name)                                                                                                  \
    {                                                                                                                  \
        if (unlikely(!(cpu->cr4 & CR4_FSGSBASE)))                                                                      \
            FAULT(VEC_UD);                                                                                             \
        SET_REG(OP_WIDTH(op), OPERAND(dst), cpu->segment[which].base);                                                 \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    HANDLER(wr##name)                                                                                                  \
    {                                                                                                                  \
        uint64_t base = REG(OP_WIDTH(op), OPERAND(dst));                                                               \
        if (unlikely(!(cpu->cr4 & CR4_FSGSBASE)))                                                                      \
            FAULT(VEC_UD);                                                                                             \
        if (unlikely(!address_canonical(cpu, base)))                                                                   \
            FAULT_CODE(VEC_GP, 0);                                                                                     \
        cpu->segment[which].base = cpu->segment_base[which] = base;                                                    \
        NEXT;                                                                                                          \
    }
SEGMENT_BASE(FS, fsbase)
SEGMENT_BASE(GS, gsbase)

HANDLER(rdpid)
{
    SET_REG(OP_WIDTH(op), OPERAND(dst), cpu->msr.tsc_aux & 0xFFFFFFFF);
    NEXT;
}

/* --- INVPCID ---------------------------------------------------------------------------------------------------- */

enum invpcid_type { ONE_ADDRESS, ONE_CONTEXT, ALL_CONTEXTS, ALL_BUT_GLOBAL };

/* The TLB is coherent: nothing stale is left that the instruction would have to drop. Its checks are all that shows. */
HANDLER(invpcid)
{
    uint64_t type = REG(OP_WIDTH(op), OPERAND(dst)), descriptor[2];
    LINEAR(linear, 16, ACCESS_READ);
    if (type > ALL_BUT_GLOBAL)
        FAULT_CODE(VEC_GP, 0);
    LOAD_BYTES(16, descriptor, linear);
    bool pcid_is_zero_or_on = !(descriptor[0] & 0xFFF) || (cpu->cr4 & CR4_PCIDE);
    if (descriptor[0] >> 12 || (type <= ONE_CONTEXT && !pcid_is_zero_or_on) ||
        (type == ONE_ADDRESS && !address_canonical(cpu, descriptor[1])))
        FAULT_CODE(VEC_GP, 0);
    NEXT;
}

/* --- protection keys -------------------------------------------------------------------------------------------- */

HANDLER(rdpkru)
{
    if (!(cpu->cr4 & CR4_PKE))
        FAULT(VEC_UD);
    if ((uint32_t)cpu->gpr[RCX])
        FAULT_CODE(VEC_GP, 0);
    cpu->gpr[RAX] = cpu->pkru;
    cpu->gpr[RDX] = 0;
    NEXT;
}

HANDLER(wrpkru)
{
    if (!(cpu->cr4 & CR4_PKE))
        FAULT(VEC_UD);
    if ((uint32_t)cpu->gpr[RCX] || (uint32_t)cpu->gpr[RDX])
        FAULT_CODE(VEC_GP, 0);
    cpu->pkru = (uint32_t)cpu->gpr[RAX];
    tlb_select(cpu);
    NEXT;
}

/* --- direct stores ---------------------------------------------------------------------------------------------- */

#define MOVDIRI_ANY(w, name)                                                                                           \
    static OP(name##_any##w)                                                                                           \
    {                                                                                                                  \
        LINEAR(to, (w) / 8, ACCESS_WRITE);                                                                             \
        STORE(w, to, REG(w, OPERAND(src)));                                                                            \
        NEXT;                                                                                                          \
    }
MOVDIRI_ANY(32, movdiri)
MOVDIRI_ANY(64, movdiri)
HANDLERS(movdiri) = { .by_width = { NULL, NULL, op_movdiri_any32, op_movdiri_any64 } };

/* 64 bytes from the memory operand to ES:register, whose width is the address size. */
HANDLER(movdir64b)
{
    uint8_t line[64];
    uint64_t to;
    LINEAR(from, 64, ACCESS_READ);
    if (!segment_address(cpu, ES, REG(OP_ADDRESS(op), OPERAND(dst)), 64, ACCESS_WRITE, &to))
        FAULT_PENDING;
    if (to & 63)
        FAULT_CODE(VEC_GP, 0);
    if (unlikely(!tlb_reads(cpu, from, 64) || !tlb_writes(cpu, to, 64))) {
        PROBE(from, 64, operand_access(op, ACCESS_READ));
        PROBE(to, 64, ACCESS_WRITE);
    }
    LOAD_BYTES(64, line, from);
    STORE_BYTES(64, to, line);
    NEXT;
}
