/*
 * Model-specific registers (SDM vol. 4, chapter 2): which there are, and the rules of writing them.
 *
 * An MSR that is not here does not exist: #GP(0), and the summary counts it.
 */
#include "cpu/control.h"
#include "cpu/isa.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "cpu/segment.h"

enum msr {
    MSR_TSC = 0x10,
    MSR_PLATFORM_ID = 0x17,
    MSR_APIC_BASE = 0x1B,
    MSR_FEATURE_CONTROL = 0x3A,
    MSR_TSC_ADJUST = 0x3B,
    MSR_BIOS_SIGN_ID = 0x8B,
    MSR_MTRR_CAP = 0xFE,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS = 0x17A,
    MSR_MISC_ENABLE = 0x1A0,
    MSR_DEBUGCTL = 0x1D9,
    MSR_MTRR_PHYSICAL = 0x200, /* 8 pairs */
    MSR_MTRR_FIX64K = 0x250,
    MSR_MTRR_FIX16K = 0x258, /* 2 */
    MSR_MTRR_FIX4K = 0x268,  /* 8 */
    MSR_PAT = 0x277,
    MSR_MTRR_DEF_TYPE = 0x2FF,
    MSR_TSC_DEADLINE = 0x6E0,
    MSR_X2APIC = 0x800,
    MSR_X2APIC_END = 0x8FF,
    MSR_XSS = 0xDA0,
    MSR_EFER = 0xC0000080,
    MSR_STAR = 0xC0000081,
    MSR_LSTAR = 0xC0000082,
    MSR_CSTAR = 0xC0000083,
    MSR_SFMASK = 0xC0000084,
    MSR_FS_BASE = 0xC0000100,
    MSR_GS_BASE = 0xC0000101,
    MSR_KERNEL_GS_BASE = 0xC0000102,
    MSR_TSC_AUX = 0xC0000103,
};

#define MTRR_PAIRS 8u
/* 8 variable ranges, fixed ranges, write combining */
#define MTRR_CAP_VALUE (MTRR_PAIRS | 1u << 8 | 1u << 10)
/* IA32_MISC_ENABLE: fast strings, thermal control, SpeedStep, MONITOR: stored, without effect */
#define MISC_ENABLE_WRITABLE (1ull << 0 | 1ull << 3 | 1ull << 16 | 1ull << 18)
/* IA32_DEBUGCTL: LBR and BTF; the last-branch records themselves are not there, and BTF steps by instruction */
#define DEBUGCTL_WRITABLE 3ull

uint64_t cpu_tsc(const struct cpu *cpu)
{
    return cpu->board->clock.now_cycles + cpu->tsc_offset;
}

static void set_tsc_offset(struct cpu *cpu, uint64_t offset)
{
    cpu->tsc_offset = offset;
    if (cpu->lapic)
        lapic_set_tsc_offset(cpu->lapic, offset);
}

/* --- memory types ----------------------------------------------------------------------------------------------- */

static bool is_memory_type(uint64_t type)
{
    return type == 0 || type == 1 || (type >= 4 && type <= 6);
}

/* Eight types, a byte each; PAT also knows UC- (7). */
static bool are_memory_types(uint64_t value, bool pat)
{
    for (unsigned i = 0; i < 8; i++) {
        uint64_t type = (value >> (8 * i)) & 0xFF;
        if (!is_memory_type(type) && !(pat && type == 7))
            return false;
    }
    return true;
}

/* The storage of an MTRR, or NULL. */
static uint64_t *mtrr_at(struct cpu *cpu, uint32_t index)
{
    if (index >= MSR_MTRR_PHYSICAL && index < MSR_MTRR_PHYSICAL + 2 * MTRR_PAIRS)
        return &cpu->msr.mtrr_physical[index - MSR_MTRR_PHYSICAL];
    if (index == MSR_MTRR_FIX64K)
        return &cpu->msr.mtrr_fixed[0];
    if (index >= MSR_MTRR_FIX16K && index < MSR_MTRR_FIX16K + 2)
        return &cpu->msr.mtrr_fixed[1 + index - MSR_MTRR_FIX16K];
    if (index >= MSR_MTRR_FIX4K && index < MSR_MTRR_FIX4K + 8)
        return &cpu->msr.mtrr_fixed[3 + index - MSR_MTRR_FIX4K];
    if (index == MSR_MTRR_DEF_TYPE)
        return &cpu->msr.mtrr_def_type;
    return NULL;
}

static bool mtrr_is_valid(const struct cpu *cpu, uint32_t index, uint64_t value)
{
    if (index == MSR_MTRR_DEF_TYPE)
        return !(value & ~0xCFFull) && is_memory_type(value & 0xFF);
    if (index >= MSR_MTRR_FIX64K)
        return are_memory_types(value, false);
    if (value >> cpu->model->physical_bits)
        return false;
    bool is_mask = index & 1;
    return is_mask ? !(value & 0x7FF) : !(value & 0xF00) && is_memory_type(value & 0xFF);
}

/* --- plain storage ---------------------------------------------------------------------------------------------- */

enum rule {
    ANY,
    CANONICAL, /* an address */
    LOW_HALF,  /* bits 63:32 are reserved */
    PAT_TYPES,
    NOTHING, /* writes are ignored */
    LOCKED,  /* writes are #GP(0) */
};

struct plain {
    uint64_t *value;
    enum rule rule;
};

static struct plain plain_at(struct cpu *cpu, uint32_t index)
{
    struct cpu_msrs *msr = &cpu->msr;
    switch (index) {
    case MSR_STAR:
        return (struct plain){ &msr->star, ANY };
    case MSR_LSTAR:
        return (struct plain){ &msr->lstar, CANONICAL };
    case MSR_CSTAR:
        return (struct plain){ &msr->cstar, CANONICAL };
    case MSR_SFMASK:
        return (struct plain){ &msr->sfmask, LOW_HALF };
    case MSR_KERNEL_GS_BASE:
        return (struct plain){ &msr->kernel_gs_base, CANONICAL };
    case MSR_FS_BASE:
        return (struct plain){ &cpu->segment[FS].base, CANONICAL };
    case MSR_GS_BASE:
        return (struct plain){ &cpu->segment[GS].base, CANONICAL };
    case MSR_SYSENTER_CS:
        return (struct plain){ &msr->sysenter_cs, ANY };
    case MSR_SYSENTER_ESP:
        return (struct plain){ &msr->sysenter_esp, CANONICAL };
    case MSR_SYSENTER_EIP:
        return (struct plain){ &msr->sysenter_eip, CANONICAL };
    case MSR_PAT:
        return (struct plain){ &msr->pat, PAT_TYPES };
    case MSR_TSC_AUX:
        return (struct plain){ model_has(cpu->model, ISA_FEATURE_RDTSCP) ? &msr->tsc_aux : NULL, LOW_HALF };
    case MSR_BIOS_SIGN_ID:
        return (struct plain){ &msr->bios_sign_id, NOTHING };
    case MSR_FEATURE_CONTROL:
        return (struct plain){ &msr->feature_control, LOCKED };
    default:
        return (struct plain){ NULL, ANY };
    }
}

static bool write_plain(struct cpu *cpu, struct plain plain, uint64_t value)
{
    switch (plain.rule) {
    case CANONICAL:
        if (!address_canonical(cpu, value))
            return false;
        break;
    case LOW_HALF:
        if (value >> 32)
            return false;
        break;
    case PAT_TYPES:
        if (!are_memory_types(value, true))
            return false;
        break;
    case NOTHING:
        return true;
    case LOCKED:
        return false;
    case ANY:
        break;
    }
    *plain.value = value;
    /* FS and GS: the addressing form of the base */
    cpu->segment_base[FS] = cpu->segment[FS].base;
    cpu->segment_base[GS] = cpu->segment[GS].base;
    return true;
}

static bool is_x2apic(uint32_t index)
{
    return index >= MSR_X2APIC && index <= MSR_X2APIC_END;
}

static bool unknown(struct cpu *cpu, uint32_t index)
{
    tally_count(&cpu->board->tally, TALLY_MSR, index, NULL);
    return false;
}

/* --- RDMSR and WRMSR -------------------------------------------------------------------------------------------- */

bool cpu_read_msr(struct cpu *cpu, uint32_t index, uint64_t *value)
{
    struct plain plain = plain_at(cpu, index);
    const uint64_t *mtrr = mtrr_at(cpu, index);
    if (plain.value || mtrr) {
        *value = plain.value ? *plain.value : *mtrr;
        return true;
    }
    if (is_x2apic(index))
        return lapic_x2apic_read(cpu->lapic, index, value);
    switch (index) {
    case MSR_TSC:
        *value = cpu_tsc(cpu);
        return true;
    case MSR_TSC_ADJUST:
        *value = cpu->msr.tsc_adjust;
        return true;
    case MSR_TSC_DEADLINE:
        *value = lapic_tsc_deadline(cpu->lapic);
        return true;
    case MSR_APIC_BASE:
        *value = lapic_base_msr(cpu->lapic);
        return true;
    case MSR_EFER:
        *value = cpu->efer;
        return true;
    case MSR_MTRR_CAP:
        *value = MTRR_CAP_VALUE;
        return true;
    case MSR_MISC_ENABLE:
        *value = cpu->msr.misc_enable;
        return true;
    case MSR_DEBUGCTL:
        *value = cpu->msr.debugctl;
        return true;
    case MSR_MCG_STATUS:
        *value = cpu->msr.mcg_status;
        return true;
    case MSR_XSS:
        *value = cpu->msr.xss;
        return model_has(cpu->model, ISA_FEATURE_XSAVES) || unknown(cpu, index);
    case MSR_MCG_CAP: /* no banks */
    case MSR_PLATFORM_ID:
        *value = 0;
        return true;
    default:
        return unknown(cpu, index);
    }
}

/* The MSRs whose writes do something. */
static bool write_special(struct cpu *cpu, uint32_t index, uint64_t value)
{
    switch (index) {
    case MSR_TSC: {
        uint64_t delta = value - cpu_tsc(cpu);
        cpu->msr.tsc_adjust += delta;
        set_tsc_offset(cpu, cpu->tsc_offset + delta);
        return true;
    }
    case MSR_TSC_ADJUST:
        set_tsc_offset(cpu, cpu->tsc_offset + (value - cpu->msr.tsc_adjust));
        cpu->msr.tsc_adjust = value;
        return true;
    case MSR_TSC_DEADLINE:
        lapic_set_tsc_deadline(cpu->lapic, value);
        return true;
    case MSR_APIC_BASE:
        return lapic_set_base_msr(cpu->lapic, value);
    case MSR_EFER:
        return control_write_efer(cpu, value);
    case MSR_MISC_ENABLE:
        if ((value ^ cpu->msr.misc_enable) & ~MISC_ENABLE_WRITABLE)
            return false;
        cpu->msr.misc_enable = value;
        return true;
    case MSR_DEBUGCTL:
        if (value & ~DEBUGCTL_WRITABLE)
            return false;
        cpu->msr.debugctl = value;
        return true;
    case MSR_MCG_STATUS:
        return value == 0; /* software may only clear it, and nothing ever sets it */
    case MSR_XSS:          /* there are no supervisor components */
        if (!model_has(cpu->model, ISA_FEATURE_XSAVES))
            return unknown(cpu, index);
        return value == 0;
    case MSR_MCG_CAP:
    case MSR_PLATFORM_ID:
    case MSR_MTRR_CAP:
        return false; /* read-only */
    default:
        return unknown(cpu, index);
    }
}

bool cpu_write_msr(struct cpu *cpu, uint32_t index, uint64_t value)
{
    struct plain plain = plain_at(cpu, index);
    uint64_t *mtrr = mtrr_at(cpu, index);
    if (plain.value)
        return write_plain(cpu, plain, value);
    if (mtrr) {
        if (!mtrr_is_valid(cpu, index, value))
            return false;
        *mtrr = value;
        return true;
    }
    if (is_x2apic(index))
        return lapic_x2apic_write(cpu->lapic, index, value);
    return write_special(cpu, index, value);
}
