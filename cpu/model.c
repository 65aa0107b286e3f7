/*
 * The CPU models.
 *
 * Each is what the psABI level of its name asks for, and beyond it:
 *
 *   x86-64-v1   APIC, x2APIC, TSC-deadline timer, RDTSCP, TSC_ADJUST, NX, SYSENTER, PREFETCHW, RDRAND, RDSEED, MTRR,
 * PAT x86-64-v2   the same, XSAVE and XSAVEOPT (x87 and SSE state), SMEP, SMAP, UMIP, pages of 1 GiB
 *
 * A feature with instructions is a bit of enum isa_feature; isa.def says where CPUID reports it. What has none
 * (cr4_valid, page sizes, caches) stands in cpuid.c.
 */
#include "cpu/model.h"

#include "cpu/isa.h"

#include <string.h>

/* clang-format off */
#define V1_FEATURES(F)                                                                                                 \
    F(FPU) F(TSC) F(MSR) F(CX8) F(APIC) F(SEP) F(CMOV) F(CLFLUSH) F(MMX) F(FXSR) F(SSE) F(SSE2) F(SYSCALL) F(NX) F(LM) \
    F(RDTSCP) F(X2APIC) F(TSCDEADLINE) F(PREFETCHW) F(RDRAND) F(RDSEED)
#define V2_FEATURES(F)                                                                                                 \
    V1_FEATURES(F)                                                                                                     \
    F(SSE3) F(SSSE3) F(SSE41) F(SSE42) F(POPCNT) F(CX16) F(LAHF) F(XSAVE) F(XSAVEOPT) F(SMEP) F(SMAP) F(UMIP)
/* clang-format on */

#define WORD_0(name) | (ISA_FEATURE_##name < 64 ? 1ull << (ISA_FEATURE_##name % 64) : 0)
#define WORD_1(name) | (ISA_FEATURE_##name < 64 ? 0 : 1ull << (ISA_FEATURE_##name % 64))
/* ISA_FEATURE_NONE, the first, is what every processor has. */
#define FEATURE_WORDS(list) { 1 list(WORD_0), 0 list(WORD_1) }

static const uint64_t features_v1[2] = FEATURE_WORDS(V1_FEATURES);
static const uint64_t features_v2[2] = FEATURE_WORDS(V2_FEATURES);

#define V1_CR4  (CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT)
#define V1_EFER (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)

static const struct cpu_model model_v1 = {
    .name = "x86-64-v1",
    .features = features_v1,
    .physical_bits = 40,
    .cr4_valid = V1_CR4,
    .efer_valid = V1_EFER,
    .xcr0_valid = 1,
    .rdtscp = true,
};
static const struct cpu_model model_v2 = {
    .name = "x86-64-v2",
    .features = features_v2,
    .physical_bits = 40,
    .cr4_valid = V1_CR4 | CR4_UMIP | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP,
    .efer_valid = V1_EFER,
    .xcr0_valid = 3,
    .smep = true,
    .smap = true,
    .umip = true,
    .rdtscp = true,
    .page_1g = true,
};

static const struct cpu_model *const models[] = { &model_v1, &model_v2, NULL };

const struct cpu_model *const *cpu_models(void)
{
    return models;
}

const struct cpu_model *cpu_model_find(const char *name)
{
    for (unsigned i = 0; models[i]; i++)
        if (!strcmp(models[i]->name, name))
            return models[i];
    return NULL;
}
