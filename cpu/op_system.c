/*
 * System instructions: control and debug registers, MSRs, time, CPUID, HLT, the interrupt flag, random numbers, caches,
 * and the instructions that are undefined on purpose (SDM vol. 2).
 */
#include "cpu/control.h"
#include "cpu/debug.h"
#include "cpu/handler.h"
#include "cpu/isa.h"
#include "cpu/model.h"
#include "cpu/segment.h"
#include "cpu/xstate.h"

/* --- control registers ------------------------------------------------------------------------------------------ */

HANDLER(mov_from_cr)
{
    uint64_t value;
    switch (OPERAND(src)) {
    case 0:
        value = cpu->cr0;
        break;
    case 2:
        value = cpu->cr2;
        break;
    case 3:
        value = cpu->cr3;
        break;
    case 4:
        value = cpu->cr4;
        break;
    case 8:
        value = lapic_cr8(cpu->lapic);
        break;
    default:
        FAULT(VEC_UD);
    }
    SET_REG(OP_WIDTH(op), OPERAND(dst), value);
    NEXT;
}

static bool write_cr8(struct cpu *cpu, uint64_t value)
{
    if (value > 15)
        return fault_raise(cpu, VEC_GP, true, 0);
    lapic_set_cr8(cpu->lapic, (uint8_t)value);
    return true;
}

HANDLER(mov_to_cr)
{
    uint64_t value = REG(OP_WIDTH(op), OPERAND(src));
    bool good = true;
    engine_sync(cpu, op);
    switch (OPERAND(dst)) {
    case 0:
        good = control_write_cr0(cpu, value);
        break;
    case 2:
        cpu->cr2 = value;
        break;
    case 3:
        good = control_write_cr3(cpu, value);
        break;
    case 4:
        good = control_write_cr4(cpu, value);
        break;
    case 8:
        good = write_cr8(cpu, value);
        break;
    default:
        FAULT(VEC_UD);
    }
    if (!good)
        FAULT_PENDING;
    NEXT;
}

HANDLER(smsw)
{
    if ((cpu->cr4 & CR4_UMIP) && cpu->cpl != 0)
        FAULT_CODE(VEC_GP, 0);
    if (OPERAND(flags) & OP_MEM) {
        LINEAR(linear, 2, ACCESS_WRITE);
        STORE(16, linear, cpu->cr0);
    } else {
        SET_REG(OP_WIDTH(op), OPERAND(dst), cpu->cr0);
    }
    NEXT;
}

HANDLER(lmsw)
{
    uint64_t value;
    if (OPERAND(flags) & OP_MEM) {
        LINEAR(linear, 2, ACCESS_READ);
        LOAD(16, value, linear);
    } else {
        value = REG(16, OPERAND(dst));
    }
    /* PE can be set this way, but not cleared */
    value = (cpu->cr0 & ~(uint64_t)(CR0_MP | CR0_EM | CR0_TS)) | (value & (CR0_PE | CR0_MP | CR0_EM | CR0_TS));
    if (!control_write_cr0(cpu, value))
        FAULT_PENDING;
    NEXT;
}

HANDLER(clts)
{
    cpu->cr0 &= ~(uint64_t)CR0_TS;
    cpu_update_mode(cpu);
    NEXT;
}

/* --- debug registers -------------------------------------------------------------------------------------------- */

/* The register meant, or 8 for #UD: DR4 and DR5 are DR6 and DR7 without CR4.DE. */
static unsigned debug_register(const struct cpu *cpu, unsigned number)
{
    if (number == 4 || number == 5)
        return (cpu->cr4 & CR4_DE) ? 8 : number + 2;
    return number > 7 ? 8 : number;
}

static struct fault general_detect(void)
{
    struct fault fault = fault_make(VEC_DB, false, 0);
    fault.cr2 = DR6_BD;
    return fault;
}

HANDLER(mov_from_dr)
{
    unsigned number = debug_register(cpu, OPERAND(src));
    if (number == 8)
        FAULT(VEC_UD);
    if (cpu->dr7 & DR7_GD)
        return engine_fault(cpu, op, general_detect());
    uint64_t value = number < 4 ? cpu->dr[number] : number == 6 ? cpu->dr6 : cpu->dr7;
    SET_REG(OP_WIDTH(op), OPERAND(dst), value);
    NEXT;
}

HANDLER(mov_to_dr)
{
    unsigned number = debug_register(cpu, OPERAND(dst));
    if (number == 8)
        FAULT(VEC_UD);
    if (cpu->dr7 & DR7_GD)
        return engine_fault(cpu, op, general_detect());
    if (!control_write_dr(cpu, number, REG(OP_WIDTH(op), OPERAND(src))))
        FAULT_PENDING;
    NEXT;
}

/* --- MSRs, XCR0, CPUID ------------------------------------------------------------------------------------------ */

/* EDX:EAX */
static uint64_t pair_read(const struct cpu *cpu)
{
    return (cpu->gpr[RDX] & 0xFFFFFFFF) << 32 | (cpu->gpr[RAX] & 0xFFFFFFFF);
}
static void pair_write(struct cpu *cpu, uint64_t value)
{
    cpu->gpr[RAX] = value & 0xFFFFFFFF;
    cpu->gpr[RDX] = value >> 32;
}

HANDLER(rdmsr)
{
    uint64_t value;
    engine_sync(cpu, op);
    if (!cpu_read_msr(cpu, (uint32_t)cpu->gpr[RCX], &value))
        FAULT_CODE(VEC_GP, 0);
    pair_write(cpu, value);
    NEXT;
}

HANDLER(wrmsr)
{
    engine_sync(cpu, op);
    if (!cpu_write_msr(cpu, (uint32_t)cpu->gpr[RCX], pair_read(cpu)))
        FAULT_CODE(VEC_GP, 0);
    NEXT;
}

HANDLER(xgetbv)
{
    if (!(cpu->cr4 & CR4_OSXSAVE))
        FAULT(VEC_UD);
    uint32_t index = (uint32_t)cpu->gpr[RCX];
    if (index > 1 || (index == 1 && !model_has(cpu->model, ISA_FEATURE_XGETBV1)))
        FAULT_CODE(VEC_GP, 0);
    pair_write(cpu, index == 0 ? cpu->xcr0 : cpu->xcr0 & xstate_in_use(cpu));
    NEXT;
}

HANDLER(xsetbv)
{
    if (!(cpu->cr4 & CR4_OSXSAVE))
        FAULT(VEC_UD);
    if (cpu->cpl != 0 || (uint32_t)cpu->gpr[RCX] != 0)
        FAULT_CODE(VEC_GP, 0);
    if (!control_write_xcr0(cpu, pair_read(cpu)))
        FAULT_PENDING;
    NEXT;
}

HANDLER(cpuid)
{
    uint32_t out[4];
    cpu_cpuid(cpu, (uint32_t)cpu->gpr[RAX], (uint32_t)cpu->gpr[RCX], out);
    cpu->gpr[RAX] = out[0];
    cpu->gpr[RBX] = out[1];
    cpu->gpr[RCX] = out[2];
    cpu->gpr[RDX] = out[3];
    NEXT;
}

/* --- time ------------------------------------------------------------------------------------------------------- */

static bool tsc_forbidden(const struct cpu *cpu)
{
    return (cpu->cr4 & CR4_TSD) && cpu->cpl != 0;
}

HANDLER(rdtsc)
{
    if (unlikely(tsc_forbidden(cpu)))
        FAULT_CODE(VEC_GP, 0);
    pair_write(cpu, engine_cycle(cpu, op) + cpu->tsc_offset);
    NEXT;
}

HANDLER(rdtscp)
{
    if (unlikely(tsc_forbidden(cpu)))
        FAULT_CODE(VEC_GP, 0);
    pair_write(cpu, engine_cycle(cpu, op) + cpu->tsc_offset);
    cpu->gpr[RCX] = cpu->msr.tsc_aux & 0xFFFFFFFF;
    NEXT;
}

HANDLER(rdpmc)
{
    FAULT_CODE(VEC_GP, 0); /* CPUID leaf 0AH names no counter */
}

/* --- flags, HLT, caches ----------------------------------------------------------------------------------------- */

/* CLI and STI: CPL 0 to IOPL; virtual-8086 mode counts as CPL 3. */
static bool may_change_if(const struct cpu *cpu)
{
    return cpu->cpl <= (cpu->rflags & FLAG_IOPL) >> 12;
}

HANDLER(cli)
{
    if (unlikely(!may_change_if(cpu)))
        FAULT_CODE(VEC_GP, 0);
    cpu->rflags &= ~(uint64_t)FLAG_IF;
    NEXT;
}

HANDLER(sti)
{
    if (unlikely(!may_change_if(cpu)))
        FAULT_CODE(VEC_GP, 0);
    if (!(cpu->rflags & FLAG_IF))
        cpu->shadow |= SHADOW_STI;
    cpu->rflags |= FLAG_IF;
    NEXT;
}

HANDLER(clac)
{
    if (cpu->cpl != 0)
        FAULT(VEC_UD);
    cpu->rflags &= ~(uint64_t)FLAG_AC;
    tlb_select(cpu);
    NEXT;
}

HANDLER(stac)
{
    if (cpu->cpl != 0)
        FAULT(VEC_UD);
    cpu->rflags |= FLAG_AC;
    tlb_select(cpu);
    NEXT;
}

HANDLER(hlt)
{
    cpu->activity = HALTED;
    NEXT;
}

/* The TLB is coherent: what INVLPG should drop is gone already. */
HANDLER(invlpg)
{
    NEXT;
}

/* INVD and WBINVD: there is no cache. */
HANDLER(wbinvd)
{
    (void)cpu;
    NEXT;
}

HANDLER(swapgs)
{
    uint64_t base = cpu->segment[GS].base;
    cpu->segment[GS].base = cpu->msr.kernel_gs_base;
    cpu->segment_base[GS] = cpu->msr.kernel_gs_base;
    cpu->msr.kernel_gs_base = base;
    NEXT;
}

/* --- random numbers --------------------------------------------------------------------------------------------- */

/* Draws that never fail; each vCPU has streams of its own. */
static uint64_t draw(struct cpu *cpu, unsigned which, uint32_t stream)
{
    flags_set_status(cpu, FLAG_CF);
    return entropy_draw(cpu->board->seed, stream | cpu->id << 8, cpu->entropy_index[which]++);
}

HANDLER(rdrand)
{
    SET_REG(OP_WIDTH(op), OPERAND(dst), draw(cpu, 0, ENTROPY_RDRAND));
    NEXT;
}

HANDLER(rdseed)
{
    SET_REG(OP_WIDTH(op), OPERAND(dst), draw(cpu, 1, ENTROPY_RDSEED));
    NEXT;
}

/* --- undefined on purpose --------------------------------------------------------------------------------------- */

/* UD0, UD1, UD2, and RSM outside of system management mode. */
HANDLER(ud)
{
    FAULT(VEC_UD);
}
