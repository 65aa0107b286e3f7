/*
 * CPU models: what CPUID answers, which features exist, which MSRs there are. Named by the psABI levels;
 * docs/cpu-models.md lists what a model has beyond its level. The leaves come from the model, never from the host.
 */
#ifndef CPU_MODEL_H
#define CPU_MODEL_H

#include "cpu/cpu.h"

/* Revision in IA32_BIOS_SIGN_ID[63:32]. */
#define MODEL_MICROCODE_REVISION 1ull
/* IA32_MISC_ENABLE: fast strings on; branch trace store and PEBS not available. */
#define MSR_MISC_ENABLE_RESET 0x1801ull

struct cpuid_leaf {
    uint32_t leaf, subleaf;
    uint32_t eax, ebx, ecx, edx;
    bool has_subleaves;
};

struct cpu_model {
    const char *name;         /* "x86-64-v2" */
    const uint64_t *features; /* bit set of enum isa_feature for decode(); 2 words, fixed at build time */
    uint8_t physical_bits;    /* MAXPHYADDR */
    uint64_t cr4_valid;       /* CR4 bits that may be set */
    uint64_t efer_valid;
    uint64_t xcr0_valid;
    bool page_1g; /* pages of 1 GiB */
};

/* Whether the model advertises an enum isa_feature. */
static inline bool model_has(const struct cpu_model *model, unsigned feature)
{
    return model->features[feature / 64] >> (feature % 64) & 1;
}

/* NULL if there is none of that name. */
const struct cpu_model *cpu_model_find(const char *name);
/* The models in order, for --help; NULL-terminated. */
const struct cpu_model *const *cpu_models(void);

/* CPUID as this vCPU answers it now (OSXSAVE, APIC id, XSAVE sizes follow the state). Registers out: eax, ebx, ecx,
 * edx. */
void cpu_cpuid(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* RDMSR and WRMSR. false: #GP(0). An MSR that the model does not have is tallied. */
bool cpu_read_msr(struct cpu *cpu, uint32_t index, uint64_t *value);
bool cpu_write_msr(struct cpu *cpu, uint32_t index, uint64_t value);

/* The time-stamp counter at the current cycle (clock->now must be exact: engine_sync first). */
uint64_t cpu_tsc(const struct cpu *cpu);

#endif
