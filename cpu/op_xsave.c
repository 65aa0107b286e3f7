/*
 * FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XRSTOR (SDM vol. 1, 10.5 and chapter 13).
 *
 * The area is read, changed in a buffer and written back as one access, so that bytes the instruction leaves alone
 * stay. XINUSE is computed from register values and XSAVEOPT has no "modified" optimisation, so that nothing depends on
 * history.
 */
#include "cpu/handler.h"
#include "cpu/model.h"
#include "cpu/segment.h"
#include "cpu/simd.h"
#include "cpu/x87.h"

#define COMPONENT_X87 1u
#define COMPONENT_SSE 2u
#define COMPONENT_AVX 4u

#define LEGACY_BYTES 512u
#define HEADER_BYTES 64u
#define AVX_OFFSET   576u
#define AVX_BYTES    256u
#define AREA_BYTES   (AVX_OFFSET + AVX_BYTES)

/* Offsets in the legacy region (SDM vol. 1, table 10-2). */
enum legacy {
    AT_FCW = 0,
    AT_FSW = 2,
    AT_FTW = 4,
    AT_FOP = 6,
    AT_FIP = 8,
    AT_FCS = 12,
    AT_FDP = 16,
    AT_FDS = 20,
    AT_MXCSR = 24,
    AT_MXCSR_MASK = 28,
    AT_ST = 32,
    AT_XMM = 160,
    AT_XSTATE_BV = 512,
    AT_XCOMP_BV = 520,
};

static uint64_t get(const uint8_t *area, unsigned at, unsigned bytes)
{
    return host_read((uintptr_t)&area[at], bytes * 8);
}
static void put(uint8_t *area, unsigned at, unsigned bytes, uint64_t value)
{
    host_write((uintptr_t)&area[at], bytes * 8, value);
}

/* Outside 64-bit mode only the first eight registers exist. */
static unsigned vector_count(const struct cpu *cpu)
{
    return cpu_in_64bit(cpu) ? 16 : 8;
}

/* --- x87 -------------------------------------------------------------------------------------------------------- */

/* wide: the 64-bit pointers of FXSAVE64 and XSAVE64 */
static void save_x87(const struct cpu *cpu, uint8_t *area, bool wide)
{
    const struct x87 *x87 = &cpu->x87;
    put(area, AT_FCW, 2, x87->fcw);
    put(area, AT_FSW, 2, x87->fsw);
    put(area, AT_FTW, 2, x87->tags);
    put(area, AT_FOP, 2, x87->fop);
    put(area, AT_FIP, 8, wide ? x87->fip : (x87->fip & 0xFFFFFFFF) | (uint64_t)x87->fcs << 32);
    put(area, AT_FDP, 8, wide ? x87->fdp : (x87->fdp & 0xFFFFFFFF) | (uint64_t)x87->fds << 32);
    for (int i = 0; i < 8; i++) {
        const struct x87_register *r = &x87->r[x87_physical(cpu, i)];
        put(area, AT_ST + 16 * (unsigned)i, 8, r->mantissa);
        put(area, AT_ST + 16 * (unsigned)i + 8, 8, r->exponent);
    }
}

static void restore_x87(struct cpu *cpu, const uint8_t *area, bool wide)
{
    struct x87 *x87 = &cpu->x87;
    x87->fsw = (uint16_t)get(area, AT_FSW, 2);
    x87_load_fcw(cpu, (uint16_t)get(area, AT_FCW, 2));
    x87->tags = area[AT_FTW];
    x87->fop = get(area, AT_FOP, 2) & 0x7FF;
    x87->fip = get(area, AT_FIP, wide ? 8 : 4);
    x87->fdp = get(area, AT_FDP, wide ? 8 : 4);
    x87->fcs = x87->fds = 0; /* deprecated: CPUID.7.0:EBX[13] */
    for (int i = 0; i < 8; i++) {
        struct x87_register *r = &x87->r[x87_physical(cpu, i)];
        r->mantissa = get(area, AT_ST + 16 * (unsigned)i, 8);
        r->exponent = (uint16_t)get(area, AT_ST + 16 * (unsigned)i + 8, 2);
    }
    x87_update_summary(cpu);
}

static void init_x87(struct cpu *cpu)
{
    memset(&cpu->x87, 0, sizeof cpu->x87);
    cpu->x87.fcw = FCW_INITIAL;
}

static bool x87_in_use(const struct cpu *cpu)
{
    struct x87 initial = { .fcw = FCW_INITIAL };
    return memcmp(&cpu->x87, &initial, sizeof initial) != 0;
}

/* --- SSE and AVX ------------------------------------------------------------------------------------------------ */

static void save_mxcsr(struct cpu *cpu, uint8_t *area)
{
    simd_sync_mxcsr(cpu);
    put(area, AT_MXCSR, 4, cpu->mxcsr);
    put(area, AT_MXCSR_MASK, 4, MXCSR_MASK);
}

/* One 128-bit lane of each register: lane 0 is XMM, lane 1 the upper half of YMM. */
static void save_lane(const struct cpu *cpu, uint8_t *area, unsigned at, unsigned lane)
{
    for (unsigned i = 0; i < vector_count(cpu); i++)
        memcpy(&area[at + 16 * i], &cpu->zmm[i].u8[16 * lane], 16);
}
static void restore_lane(struct cpu *cpu, const uint8_t *area, unsigned at, unsigned lane)
{
    for (unsigned i = 0; i < vector_count(cpu); i++)
        memcpy(&cpu->zmm[i].u8[16 * lane], &area[at + 16 * i], 16);
}
static void init_lane(struct cpu *cpu, unsigned lane)
{
    for (unsigned i = 0; i < vector_count(cpu); i++)
        memset(&cpu->zmm[i].u8[16 * lane], 0, 16);
}
static bool lane_in_use(const struct cpu *cpu, unsigned lane)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < 16; i++) /* in every mode */
        bits |= cpu->zmm[i].u64[2 * lane] | cpu->zmm[i].u64[2 * lane + 1];
    return bits != 0;
}

/* --- FXSAVE and FXRSTOR ----------------------------------------------------------------------------------------- */

static bool fpu_not_available(const struct cpu *cpu)
{
    return cpu->cr0 & (CR0_EM | CR0_TS);
}

/* Reads the area with the rights of a write as well where it will be written back. */
static bool read_area(struct cpu *cpu, uint64_t linear, unsigned bytes, bool write, uint8_t *area)
{
    if (write && !mem_probe(cpu, linear, bytes, ACCESS_READ | ACCESS_WRITE))
        return false;
    return mem_read(cpu, linear, bytes, ACCESS_READ, area);
}

HANDLER(fxsave)
{
    uint8_t area[LEGACY_BYTES];
    if (fpu_not_available(cpu))
        FAULT(VEC_NM);
    LINEAR(linear, LEGACY_BYTES, ACCESS_WRITE);
    if (linear & 15)
        FAULT_CODE(VEC_GP, 0);
    if (!read_area(cpu, linear, LEGACY_BYTES, true, area))
        FAULT_PENDING;
    save_x87(cpu, area, OP_WIDTH(op) == 64);
    save_mxcsr(cpu, area);
    save_lane(cpu, area, AT_XMM, 0);
    if (!mem_write(cpu, linear, LEGACY_BYTES, ACCESS_WRITE, area))
        FAULT_PENDING;
    NEXT;
}

HANDLER(fxrstor)
{
    uint8_t area[LEGACY_BYTES];
    if (fpu_not_available(cpu))
        FAULT(VEC_NM);
    LINEAR(linear, LEGACY_BYTES, ACCESS_READ);
    if (linear & 15)
        FAULT_CODE(VEC_GP, 0);
    if (!read_area(cpu, linear, LEGACY_BYTES, false, area))
        FAULT_PENDING;
    uint32_t mxcsr = (uint32_t)get(area, AT_MXCSR, 4);
    if (mxcsr & ~(uint32_t)MXCSR_MASK)
        FAULT_CODE(VEC_GP, 0);
    restore_x87(cpu, area, OP_WIDTH(op) == 64);
    simd_load_mxcsr(cpu, mxcsr);
    restore_lane(cpu, area, AT_XMM, 0);
    NEXT;
}

/* --- XSAVE and XRSTOR ------------------------------------------------------------------------------------------- */

/* Requested-feature bitmap: XCR0 and EDX:EAX. */
static uint64_t requested(const struct cpu *cpu)
{
    return ((cpu->gpr[RDX] & 0xFFFFFFFF) << 32 | (cpu->gpr[RAX] & 0xFFFFFFFF)) & cpu->xcr0;
}

static unsigned area_bytes(uint64_t rfbm)
{
    return (rfbm & COMPONENT_AVX) ? AREA_BYTES : LEGACY_BYTES + HEADER_BYTES;
}

static uint64_t in_use(const struct cpu *cpu)
{
    return (x87_in_use(cpu) ? COMPONENT_X87 : 0) | (lane_in_use(cpu, 0) ? COMPONENT_SSE : 0) |
           (lane_in_use(cpu, 1) ? COMPONENT_AVX : 0);
}

/* Whether the instruction may not run at all, and the fault that says so. */
static bool xsave_forbidden(const struct cpu *cpu, enum vector *vector)
{
    *vector = (cpu->cr4 & CR4_OSXSAVE) ? VEC_NM : VEC_UD;
    return !(cpu->cr4 & CR4_OSXSAVE) || (cpu->cr0 & CR0_TS);
}

static const struct op *save(struct cpu *cpu, const struct op *op, bool only_in_use)
{
    uint8_t area[AREA_BYTES];
    enum vector vector;
    uint64_t rfbm = requested(cpu), used = in_use(cpu), written = only_in_use ? rfbm & used : rfbm;
    unsigned bytes = area_bytes(rfbm);
    if (xsave_forbidden(cpu, &vector))
        FAULT(vector);
    LINEAR(linear, bytes, ACCESS_WRITE);
    if (linear & 63)
        FAULT_CODE(VEC_GP, 0);
    if (!read_area(cpu, linear, bytes, true, area))
        FAULT_PENDING;
    if (written & COMPONENT_X87)
        save_x87(cpu, area, OP_WIDTH(op) == 64);
    if (rfbm & (COMPONENT_SSE | COMPONENT_AVX))
        save_mxcsr(cpu, area);
    if (written & COMPONENT_SSE)
        save_lane(cpu, area, AT_XMM, 0);
    if (written & COMPONENT_AVX)
        save_lane(cpu, area, AVX_OFFSET, 1);
    put(area, AT_XSTATE_BV, 8, (get(area, AT_XSTATE_BV, 8) & ~rfbm) | (used & rfbm));
    if (!mem_write(cpu, linear, bytes, ACCESS_WRITE, area))
        FAULT_PENDING;
    return op;
}

HANDLER(xsave)
{
    op = save(cpu, op, false);
    if (!op)
        return NULL;
    NEXT;
}

HANDLER(xsaveopt)
{
    op = save(cpu, op, true);
    if (!op)
        return NULL;
    NEXT;
}

/* The header of the standard form: nothing but known components, XCOMP_BV and the 8 bytes behind it zero. */
static bool header_is_valid(const struct cpu *cpu, const uint8_t *area)
{
    return !(get(area, AT_XSTATE_BV, 8) & ~cpu->xcr0) && !get(area, AT_XCOMP_BV, 8) && !get(area, AT_XCOMP_BV + 8, 8);
}

HANDLER(xrstor)
{
    uint8_t area[AREA_BYTES];
    enum vector vector;
    uint64_t rfbm = requested(cpu);
    unsigned bytes = area_bytes(rfbm);
    if (xsave_forbidden(cpu, &vector))
        FAULT(vector);
    LINEAR(linear, bytes, ACCESS_READ);
    if (linear & 63)
        FAULT_CODE(VEC_GP, 0);
    if (!read_area(cpu, linear, bytes, false, area))
        FAULT_PENDING;
    uint32_t mxcsr = (uint32_t)get(area, AT_MXCSR, 4);
    bool loads_mxcsr = rfbm & (COMPONENT_SSE | COMPONENT_AVX);
    if (!header_is_valid(cpu, area) || (loads_mxcsr && (mxcsr & ~(uint32_t)MXCSR_MASK)))
        FAULT_CODE(VEC_GP, 0);
    uint64_t present = get(area, AT_XSTATE_BV, 8);
    if (rfbm & present & COMPONENT_X87)
        restore_x87(cpu, area, OP_WIDTH(op) == 64);
    else if (rfbm & COMPONENT_X87)
        init_x87(cpu);
    if (rfbm & present & COMPONENT_SSE)
        restore_lane(cpu, area, AT_XMM, 0);
    else if (rfbm & COMPONENT_SSE)
        init_lane(cpu, 0);
    if (rfbm & present & COMPONENT_AVX)
        restore_lane(cpu, area, AVX_OFFSET, 1);
    else if (rfbm & COMPONENT_AVX)
        init_lane(cpu, 1);
    if (loads_mxcsr)
        simd_load_mxcsr(cpu, mxcsr);
    NEXT;
}
