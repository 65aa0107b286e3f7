/*
 * What the host's processor is: for reports, and to know which forms it has.
 */
#include "kvm/difftest.h"

#include <string.h>

const struct difftest_reference *const difftest_references[] = { &difftest_native, &difftest_kvm, NULL };

#if defined(__x86_64__)

#include <cpuid.h>

bool difftest_host_features(uint64_t features[2])
{
    features[0] = 1;
    features[1] = 0;
    unsigned low = 0, high = 0;
    unsigned r[4];
    if (__get_cpuid_count(1, 0, &r[0], &r[1], &r[2], &r[3]) && r[2] & bit_OSXSAVE)
        __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    for (unsigned i = 1; i < ISA_FEATURE_COUNT; i++) {
        const struct isa_feature_info *info = &isa_features[i];
        unsigned regs[4] = { 0 };
        if (!__get_cpuid_count(info->leaf, info->subleaf, &regs[0], &regs[1], &regs[2], &regs[3]))
            continue;
        if (regs[info->reg] >> info->bit & 1)
            features[i / 64] |= 1ull << (i % 64);
    }
    return true;
}

void difftest_host_name(char *out, size_t bytes)
{
    char name[49] = { 0 };
    unsigned r[4];
    for (unsigned i = 0; i < 3; i++)
        if (__get_cpuid(0x80000002 + i, &r[0], &r[1], &r[2], &r[3]))
            memcpy(name + 16 * i, r, 16);
    const char *start = name;
    while (*start == ' ')
        start++;
    __get_cpuid(1, &r[0], &r[1], &r[2], &r[3]);
    unsigned family = r[0] >> 8 & 15, model = r[0] >> 4 & 15;
    if (family == 6 || family == 15)
        model |= r[0] >> 12 & 0xF0;
    if (family == 15)
        family += r[0] >> 20 & 0xFF;
    snprintf(out, bytes, "%s (family %u, model %u, stepping %u)", start, family, model, r[0] & 15);
}

bool difftest_host_is_intel(void)
{
    unsigned r[4] = { 0 };
    return __get_cpuid(0, &r[0], &r[1], &r[2], &r[3]) && r[1] == signature_INTEL_ebx;
}

#else

bool difftest_host_features(uint64_t features[2])
{
    features[0] = features[1] = 0;
    return false;
}
void difftest_host_name(char *out, size_t bytes)
{
    snprintf(out, bytes, "none");
}
bool difftest_host_is_intel(void)
{
    return false;
}

#endif
