/*
 * CPUID (SDM vol. 2A, "CPUID"): fixed leaves, feature bits by model, and what follows the state.
 *
 * Family 6, model 36H of GenuineIntel: for it kernels know no errata and need no mitigations. Each vCPU is a package of
 * its own.
 */
#include "cpu/isa.h"
#include "cpu/model.h"
#include "cpu/xstate.h"

#include "devices/lapic.h"

#include <string.h>

#define LEAF_MAX          0x16u
#define LEAF_EXTENDED_MAX 0x80000008u

#define SIGNATURE 0x00030661u /* model 36H, family 6, stepping 1 */

/* Leaf 1 EDX of every model: DE, PSE, PAE, MCE, MTRR, PGE, MCA, PAT, PSE-36. */
#define LEAF_1_EDX (1u << 2 | 1u << 3 | 1u << 6 | 1u << 7 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 16 | 1u << 17)
/* Leaf 7 EBX: TSC_ADJUST, FDP only with unmasked exceptions, FCS and FDS deprecated (cpu/x87.h). */
#define LEAF_7_EBX (1u << 1 | 1u << 6 | 1u << 13)

/* Leaf 4: a cache of so many sets and ways with lines of 64 bytes, of one processor. */
#define CACHE_EAX(type, level) ((type) | (level) << 5 | 1u << 8)
#define CACHE_EBX(ways)        (63u | ((ways) - 1u) << 22)

static const struct cpuid_leaf leaves[] = {
    { 0x0, 0, LEAF_MAX, 0x756E6547, 0x6C65746E, 0x49656E69, false }, /* "GenuineIntel" */
    { 0x1, 0, SIGNATURE, 1u << 16 | 8u << 8, 0, LEAF_1_EDX, false }, /* one logical processor, CLFLUSH line 64 bytes */
    { 0x2, 0, 0x0000FF01, 0, 0, 0, false },                          /* see leaf 4 */
    { 0x4, 0, CACHE_EAX(1u, 1u), CACHE_EBX(8u), 63, 0, true },       /* L1 data, 32 KiB */
    { 0x4, 1, CACHE_EAX(2u, 1u), CACHE_EBX(8u), 63, 0, true },       /* L1 code, 32 KiB */
    { 0x4, 2, CACHE_EAX(3u, 2u), CACHE_EBX(16u), 1023, 0, true },    /* L2, 1 MiB */
    { 0x6, 0, 4, 0, 0, 0, false },                                   /* ARAT: the APIC timer never stops */
    { 0x7, 0, 0, LEAF_7_EBX, 0, 0, true },
    { 0xB, 0, 0, 1, 0x100, 0, true },
    { 0xB, 1, 0, 1, 0x201, 0, true },
    { 0x15, 0, 1, CLOCK_HZ / LAPIC_CRYSTAL_HZ, LAPIC_CRYSTAL_HZ, 0, false }, /* TSC / crystal, crystal in Hz */
    { 0x16, 0, CLOCK_HZ / 1000000, CLOCK_HZ / 1000000, 100, 0, false },      /* MHz: base, maximum, bus */
    { 0x80000000, 0, LEAF_EXTENDED_MAX, 0, 0, 0, false },
    { 0x80000001, 0, 0, 0, 0, 0, false },
    { 0x80000006, 0, 0, 0, 0x04008040, 0, false }, /* L2: 1 MiB, 16 ways, lines of 64 bytes */
    { 0x80000007, 0, 0, 0, 0, 1u << 8, false },    /* invariant TSC */
    { 0x80000008, 0, 48u << 8, 0, 0, 0, false },
};

static void add_features(const struct cpu_model *model, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    for (unsigned i = ISA_FEATURE_NONE + 1; i < ISA_FEATURE_COUNT; i++) {
        const struct isa_feature_info *info = &isa_features[i];
        if (info->leaf == leaf && info->subleaf == subleaf && model_has(model, i))
            out[info->reg] |= 1u << info->bit;
    }
}

/* Leaf 0DH (SDM vol. 1, 13.2): sizes, features, and by component its size and place in the standard form. */
static void xsave_leaf(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    uint64_t components = cpu->model->xcr0_valid;
    if (!model_has(cpu->model, ISA_FEATURE_XSAVE))
        return;
    if (subleaf == 0) {
        out[0] = (uint32_t)components;
        out[1] = xstate_bytes(cpu->xcr0, false, 0);
        out[2] = xstate_bytes(components, false, 0);
        out[3] = (uint32_t)(components >> 32);
    } else if (subleaf == 1) {
        if (model_has(cpu->model, ISA_FEATURE_XSAVEC))
            out[1] = xstate_bytes(cpu->xcr0, true, cpu->xcr0);
    } else if (subleaf < XSTATE_COMPONENTS && components >> subleaf & 1) {
        out[0] = xstate_components[subleaf].bytes;
        out[1] = xstate_components[subleaf].standard_offset;
    }
}

/* True if the model has a feature in leaf 7, subleaf 1. */
static bool has_leaf_7_1(const struct cpu_model *model)
{
    for (unsigned i = ISA_FEATURE_NONE + 1; i < ISA_FEATURE_COUNT; i++)
        if (isa_features[i].leaf == 7 && isa_features[i].subleaf == 1 && model_has(model, i))
            return true;
    return false;
}

/* Leaves 80000002H to 80000004H: 48 characters. */
static void brand(const struct cpu_model *model, unsigned part, uint32_t out[4])
{
    char text[48] = "sim ";
    strncat(text, model->name, sizeof text - 5);
    memcpy(out, text + 16 * part, 16);
}

/* What depends on the model beyond its feature bits, on the vCPU, or on its state. */
static void adjust(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const struct cpu_model *model = cpu->model;
    switch (leaf) {
    case 0x1:
        out[1] |= cpu->id << 24;
        out[2] |= (cpu->cr4 & CR4_OSXSAVE) ? 1u << 27 : 0;
        if (cpu->lapic && !(lapic_base_msr(cpu->lapic) & (1u << 11)))
            out[3] &= ~(1u << 9); /* switched off in IA32_APIC_BASE */
        break;
    case 0xB:
        if (subleaf > 1)
            out[2] = subleaf & 0xFF;
        out[3] = cpu->id;
        break;
    case 0x7:
        if (subleaf == 0) {
            out[0] = has_leaf_7_1(model);
            out[2] |= (cpu->cr4 & CR4_PKE) ? 1u << 4 : 0; /* OSPKE */
        }
        break;
    case 0xD:
        xsave_leaf(cpu, subleaf, out);
        break;
    case 0x80000001:
        out[3] |= model->page_1g ? 1u << 26 : 0;
        if ((cpu->mode & MODE_CODE_MASK) != MODE_CODE64)
            out[3] &= ~(1u << 11); /* SYSCALL is there in 64-bit mode only */
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        brand(model, leaf - 0x80000002, out);
        break;
    case 0x80000008:
        out[0] |= model->physical_bits;
        break;
    default:
        break;
    }
}

void cpu_cpuid(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    bool extended = leaf >= 0x80000000 && leaf <= LEAF_EXTENDED_MAX;
    if (leaf > LEAF_MAX && !extended)
        leaf = LEAF_MAX; /* beyond the last leaf: its data */
    memset(out, 0, 4 * sizeof out[0]);
    for (unsigned i = 0; i < sizeof leaves / sizeof leaves[0]; i++) {
        const struct cpuid_leaf *l = &leaves[i];
        if (l->leaf == leaf && (!l->has_subleaves || l->subleaf == subleaf)) {
            out[0] = l->eax;
            out[1] = l->ebx;
            out[2] = l->ecx;
            out[3] = l->edx;
            break;
        }
    }
    bool has_subleaves = leaf == 0x7 || leaf == 0xD;
    add_features(cpu->model, leaf, has_subleaves ? subleaf : 0, out);
    adjust(cpu, leaf, subleaf, out);
}
