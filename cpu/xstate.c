/*
 * The layout of XSAVE areas and XINUSE (SDM vol. 1, 13.4 and 13.6). Offsets are those of Intel processors with MPX in
 * between (components 3 and 4), whose place stays empty.
 */
#include "cpu/xstate.h"

#include "cpu/segment.h"
#include "cpu/x87.h"

#include <string.h>

const struct xstate_component xstate_components[XSTATE_COMPONENTS] = {
    [2] = { 256, 576 }, [5] = { 64, 1088 }, [6] = { 512, 1152 }, [7] = { 1024, 1664 }, [9] = { 8, 2688 },
};

unsigned xstate_offset(unsigned i, bool compacted, uint64_t xcomp_bv)
{
    if (!compacted)
        return xstate_components[i].standard_offset;
    unsigned offset = XSTATE_FIXED_BYTES;
    for (unsigned before = 2; before < i; before++)
        offset += xcomp_bv >> before & 1 ? xstate_components[before].bytes : 0;
    return offset;
}

unsigned xstate_bytes(uint64_t components, bool compacted, uint64_t xcomp_bv)
{
    unsigned bytes = XSTATE_FIXED_BYTES;
    for (unsigned i = 2; i < XSTATE_COMPONENTS; i++) {
        unsigned end = xstate_offset(i, compacted, xcomp_bv) + xstate_components[i].bytes;
        if (components >> i & 1 && end > bytes)
            bytes = end;
    }
    return bytes;
}

static bool x87_in_use(const struct cpu *cpu)
{
    struct x87 initial = { .fcw = FCW_INITIAL };
    return memcmp(&cpu->x87, &initial, sizeof initial) != 0;
}

/* Quadwords first to last of so many registers. */
static bool vectors_in_use(const struct cpu *cpu, unsigned first_register, unsigned count, unsigned first,
                           unsigned last)
{
    uint64_t bits = 0;
    for (unsigned i = first_register; i < first_register + count; i++)
        for (unsigned quad = first; quad <= last; quad++)
            bits |= cpu->zmm[i].u64[quad];
    return bits != 0;
}

static bool opmask_in_use(const struct cpu *cpu)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < 8; i++)
        bits |= cpu->opmask[i];
    return bits != 0;
}

/* Outside 64-bit mode registers from the eighth on count as initial. */
uint64_t xstate_in_use(const struct cpu *cpu)
{
    bool long_mode = cpu_in_64bit(cpu);
    unsigned count = long_mode ? 16 : 8;
    return (x87_in_use(cpu) ? XSTATE_X87 : 0) | (vectors_in_use(cpu, 0, count, 0, 1) ? XSTATE_SSE : 0) |
           (vectors_in_use(cpu, 0, count, 2, 3) ? XSTATE_AVX : 0) | (opmask_in_use(cpu) ? XSTATE_OPMASK : 0) |
           (vectors_in_use(cpu, 0, count, 4, 7) ? XSTATE_ZMM_HI256 : 0) |
           (long_mode && vectors_in_use(cpu, 16, 16, 0, 7) ? XSTATE_HI16_ZMM : 0) | (cpu->pkru ? XSTATE_PKRU : 0);
}
