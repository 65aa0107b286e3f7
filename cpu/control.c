/*
 * Control and debug registers (SDM vol. 3A, 2.5, 4.1, 9.8.5; vol. 3B, 18.2).
 */
#include "cpu/control.h"

#include "cpu/debug.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "cpu/segment.h"

#define CR0_WRITABLE ((uint64_t)CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)

static bool refuse(struct cpu *cpu)
{
    return fault_raise(cpu, VEC_GP, true, 0);
}

/* PG from 0 to 1 with EFER.LME: what IA-32e mode asks for. */
static bool may_enter_long_mode(const struct cpu *cpu)
{
    bool tss16 = !(cpu->tr.attributes & SEG_UNUSABLE) && !(SEG_TYPE(cpu->tr.attributes) & 8);
    return (cpu->cr4 & CR4_PAE) && !(cpu->segment[CS].attributes & SEG_L) && !tss16;
}

static bool uses_pdptes(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LMA);
}

bool control_write_cr0(struct cpu *cpu, uint64_t value)
{
    uint64_t efer = cpu->efer;
    if (value >> 32)
        return refuse(cpu);
    value = (value & CR0_WRITABLE) | CR0_ET; /* reserved bits of the low half are ignored */
    if (((value & CR0_PG) && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD)))
        return refuse(cpu);
    uint64_t changed = value ^ cpu->cr0;
    if ((changed & CR0_PG) && (value & CR0_PG) && (efer & EFER_LME)) {
        if (!may_enter_long_mode(cpu))
            return refuse(cpu);
        efer |= EFER_LMA;
    }
    if ((changed & CR0_PG) && !(value & CR0_PG)) {
        if (cpu_in_64bit(cpu) || (cpu->cr4 & CR4_PCIDE))
            return refuse(cpu);
        efer &= ~(uint64_t)EFER_LMA;
    }
    if ((changed & (CR0_PG | CR0_CD | CR0_NW)) && uses_pdptes(value, cpu->cr4, efer) && !mmu_load_pdptes(cpu, cpu->cr3))
        return false;
    cpu->cr0 = value;
    cpu->efer = efer;
    if (changed & (CR0_PG | CR0_PE | CR0_WP))
        tlb_flush(cpu);
    cpu_update_mode(cpu);
    return true;
}

bool control_write_cr3(struct cpu *cpu, uint64_t value)
{
    if (cpu->cr4 & CR4_PCIDE)
        value &= ~(1ull << 63); /* "keep what was cached": the coherent TLB always does */
    if (cpu->efer & EFER_LMA) {
        if (value >> cpu->model->physical_bits)
            return refuse(cpu);
    } else {
        value &= 0xFFFFFFFF;
    }
    if (uses_pdptes(cpu->cr0, cpu->cr4, cpu->efer)) {
        if (!mmu_load_pdptes(cpu, value))
            return false;
        tlb_flush(cpu); /* the PDPTEs are registers: the same CR3 may now mean other tables */
    }
    cpu->cr3 = value;
    tlb_select(cpu);
    return true;
}

bool control_write_cr4(struct cpu *cpu, uint64_t value)
{
    uint64_t changed = value ^ cpu->cr4;
    if (value & ~cpu->model->cr4_valid)
        return refuse(cpu);
    if ((cpu->efer & EFER_LMA) && (!(value & CR4_PAE) || (changed & CR4_LA57)))
        return refuse(cpu);
    if ((changed & value & CR4_PCIDE) && (!(cpu->efer & EFER_LMA) || (cpu->cr3 & 0xFFF)))
        return refuse(cpu);
    if ((changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) && uses_pdptes(cpu->cr0, value, cpu->efer) &&
        !mmu_load_pdptes(cpu, cpu->cr3))
        return false;
    cpu->cr4 = value;
    /* PGE and PCIDE only say what may be kept; a coherent TLB has nothing stale to lose */
    if (changed & (CR4_PAE | CR4_PSE | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_LA57))
        tlb_flush(cpu);
    cpu_update_mode(cpu);
    return true;
}

bool control_write_efer(struct cpu *cpu, uint64_t value)
{
    uint64_t changed = value ^ cpu->efer;
    if (value & ~cpu->model->efer_valid)
        return refuse(cpu);
    if ((changed & EFER_LME) && (cpu->cr0 & CR0_PG))
        return refuse(cpu);
    cpu->efer = (value & ~(uint64_t)EFER_LMA) | (cpu->efer & EFER_LMA);
    if (changed & EFER_NXE)
        tlb_flush(cpu);
    cpu_update_mode(cpu);
    return true;
}

bool control_write_xcr0(struct cpu *cpu, uint64_t value)
{
    const uint64_t avx512 = 7u << 5;
    bool whole = !(value & avx512) || ((value & avx512) == avx512 && (value & 4));
    if (!(value & 1) || (value & ~cpu->model->xcr0_valid) || ((value & 6) == 4) || !whole)
        return refuse(cpu);
    cpu->xcr0 = value;
    cpu_update_mode(cpu);
    return true;
}

bool control_write_dr(struct cpu *cpu, unsigned number, uint64_t value)
{
    uint64_t armed = cpu->dr7 & DR7_ENABLES;
    if (number >= 6 && value >> 32)
        return refuse(cpu);
    if (number < 4)
        cpu->dr[number] = value;
    else if (number == 6)
        cpu->dr6 = (value & DR6_WRITABLE) | DR6_FIXED;
    else
        cpu->dr7 = (value & DR7_WRITABLE) | DR7_FIXED;
    /* pages with data breakpoints take the slow path, which the TLB knows */
    if (armed | (cpu->dr7 & DR7_ENABLES))
        tlb_flush(cpu);
    cpu_update_mode(cpu);
    return true;
}
