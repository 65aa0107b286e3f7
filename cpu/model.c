/*
 * The CPU models: each is what the psABI level of its name asks for, and what docs/cpu-models.md lists beyond it.
 *
 * A feature is a bit of enum isa_feature; isa.def says where CPUID reports it. One that consists of instructions is
 * advertised only if isa.def has rows of it and all of them have handlers, so that no model promises what is not there;
 * vector extensions also wait for those they build on. What is no feature bit (page sizes, caches) stands in cpuid.c.
 */
#include "cpu/model.h"

#include "cpu/isa.h"
#include "cpu/xstate.h"

#include <string.h>

/* clang-format off */

/* Features without instructions of their own, or whose rows exist in every model. */
#define ROWLESS_FEATURES(F)                                                                                            \
    F(FPU) F(APIC) F(NX) F(LM) F(X2APIC) F(TSCDEADLINE) F(PREFETCHW) F(LAHF) F(SMEP) F(UMIP) F(PCID) F(XGETBV1)  \
    F(AVX512VL)

#define V1_FEATURES(F)                                                                                                 \
    F(FPU) F(TSC) F(MSR) F(CX8) F(APIC) F(SEP) F(CMOV) F(CLFLUSH) F(MMX) F(FXSR) F(SSE) F(SSE2) F(SYSCALL) F(NX) F(LM) \
    F(RDTSCP) F(X2APIC) F(TSCDEADLINE) F(PREFETCHW) F(RDRAND) F(RDSEED)
#define V2_FEATURES(F)                                                                                                 \
    V1_FEATURES(F)                                                                                                     \
    F(SSE3) F(SSSE3) F(SSE41) F(SSE42) F(POPCNT) F(CX16) F(LAHF) F(XSAVE) F(XSAVEOPT) F(SMEP) F(SMAP) F(UMIP)
#define V3_FEATURES(F)                                                                                                 \
    V2_FEATURES(F)                                                                                                     \
    F(BMI1) F(BMI2) F(LZCNT) F(MOVBE)                                                                                  \
    F(ADX) F(AES) F(PCLMULQDQ) F(FSGSBASE) F(PCID) F(INVPCID) F(CLFLUSHOPT) F(XSAVEC) F(XSAVES) F(XGETBV1)
#define V4_FEATURES(F)                                                                                                 \
    V3_FEATURES(F)                                                                                                     \
    F(SHA) F(PKU) F(RDPID) F(CLWB) F(MOVDIRI) F(MOVDIR64B)

#define AVX_FEATURES(F)       F(AVX) F(AVX2) F(FMA) F(F16C)
/* What comes with AVX-512. GFNI has rows without it, which wait for the VEX and EVEX ones: they go with VAES. */
#define AVX512_FEATURES(F)                                                                                             \
    F(AVX512F) F(AVX512CD) F(AVX512BW) F(AVX512DQ) F(AVX512VL) F(AVX512IFMA) F(AVX512VBMI) F(AVX512VBMI2)              \
    F(AVX512VNNI) F(AVX512BITALG) F(AVX512VPOPCNTDQ) F(AVX512BF16) F(VAES) F(VPCLMULQDQ)                          \
    F(GFNI)
/* clang-format on */

#define WORD_0(name) | (ISA_FEATURE_##name < 64 ? 1ull << (ISA_FEATURE_##name % 64) : 0)
#define WORD_1(name) | (ISA_FEATURE_##name < 64 ? 0 : 1ull << (ISA_FEATURE_##name % 64))

#define THERE_0 (ISA_IMPLEMENTED_0 | (0 ROWLESS_FEATURES(WORD_0)))
#define THERE_1 (ISA_IMPLEMENTED_1 | (0 ROWLESS_FEATURES(WORD_1)))
#define IS_THERE(name)                                                                                                 \
    ((ISA_FEATURE_##name < 64 ? THERE_0 >> (ISA_FEATURE_##name % 64) : THERE_1 >> (ISA_FEATURE_##name % 64)) & 1)

#define HAVE_AVX    IS_THERE(AVX)
#define HAVE_AVX512 (IS_THERE(AVX2) && IS_THERE(AVX512F))

#define AVX_WORD(word) (HAVE_AVX ? (0 AVX_FEATURES(WORD_##word)) & THERE_##word : 0)
#define AVX512_WORD(word)                                                                                              \
    (HAVE_AVX && HAVE_AVX512 ? (0 AVX512_FEATURES(WORD_##word)) & THERE_##word & ~NO_GFNI_##word : 0)
#define NO_GFNI_0 (IS_THERE(VAES) ? 0 : 0 WORD_0(GFNI))
#define NO_GFNI_1 (IS_THERE(VAES) ? 0 : 0 WORD_1(GFNI))
/* ISA_FEATURE_NONE, the first, is what every processor has. */
#define LIST_WORD(list, word) ((0 list(WORD_##word)) & THERE_##word)
#define NONE_0                1ull

static const uint64_t features_v1[2] = { NONE_0 | LIST_WORD(V1_FEATURES, 0), LIST_WORD(V1_FEATURES, 1) };
static const uint64_t features_v2[2] = { NONE_0 | LIST_WORD(V2_FEATURES, 0), LIST_WORD(V2_FEATURES, 1) };
static const uint64_t features_v3[2] = { NONE_0 | LIST_WORD(V3_FEATURES, 0) | AVX_WORD(0),
                                         LIST_WORD(V3_FEATURES, 1) | AVX_WORD(1) };
static const uint64_t features_v4[2] = { NONE_0 | LIST_WORD(V4_FEATURES, 0) | AVX_WORD(0) | AVX512_WORD(0),
                                         LIST_WORD(V4_FEATURES, 1) | AVX_WORD(1) | AVX512_WORD(1) };

#define V1_CR4  (CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT)
#define V2_CR4  (V1_CR4 | CR4_UMIP | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP)
#define V3_CR4  (V2_CR4 | CR4_FSGSBASE | CR4_PCIDE)
#define V4_CR4  (V3_CR4 | CR4_PKE)
#define V1_EFER (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define V2_XCR0 (XSTATE_X87 | XSTATE_SSE)
#define V3_XCR0 (V2_XCR0 | (HAVE_AVX ? XSTATE_AVX : 0))
#define V4_XCR0 (V3_XCR0 | (HAVE_AVX && HAVE_AVX512 ? XSTATE_AVX512 : 0) | XSTATE_PKRU)

static const struct cpu_model model_v1 = {
    .name = "x86-64-v1",
    .features = features_v1,
    .physical_bits = 40,
    .cr4_valid = V1_CR4,
    .efer_valid = V1_EFER,
    .xcr0_valid = 1,
};
static const struct cpu_model model_v2 = {
    .name = "x86-64-v2",
    .features = features_v2,
    .physical_bits = 40,
    .cr4_valid = V2_CR4,
    .efer_valid = V1_EFER,
    .xcr0_valid = V2_XCR0,
    .page_1g = true,
};
static const struct cpu_model model_v3 = {
    .name = "x86-64-v3",
    .features = features_v3,
    .physical_bits = 40,
    .cr4_valid = V3_CR4,
    .efer_valid = V1_EFER,
    .xcr0_valid = V3_XCR0,
    .page_1g = true,
};
static const struct cpu_model model_v4 = {
    .name = "x86-64-v4",
    .features = features_v4,
    .physical_bits = 40,
    .cr4_valid = V4_CR4,
    .efer_valid = V1_EFER,
    .xcr0_valid = V4_XCR0,
    .page_1g = true,
};

static const struct cpu_model *const models[] = { &model_v1, &model_v2, &model_v3, &model_v4, NULL };

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
