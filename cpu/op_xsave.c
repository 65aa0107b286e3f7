/*
 * FXSAVE, FXRSTOR, XSAVE and its kin, XRSTOR, XRSTORS (SDM vol. 1, 10.5 and chapter 13).
 *
 * The area is read, changed in a buffer and written back as one access, so that bytes the instruction leaves alone
 * stay; components that are neither saved nor restored are not accessed. XINUSE is computed from register values, and
 * XSAVEOPT and XSAVES have no "modified" optimisation, so that nothing depends on history. IA32_XSS has no bits here.
 */
#include "cpu/handler.h"
#include "cpu/isa.h"
#include "cpu/model.h"
#include "cpu/segment.h"
#include "cpu/simd.h"
#include "cpu/x87.h"
#include "cpu/xstate.h"

#define LEGACY_BYTES XSTATE_LEGACY_BYTES
#define COMPACTED    (1ull << 63) /* XCOMP_BV: the area is compacted */

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

/* --- vector registers ------------------------------------------------------------------------------------------------
 */

static void save_mxcsr(struct cpu *cpu, uint8_t *area)
{
    simd_sync_mxcsr(cpu);
    put(area, AT_MXCSR, 4, cpu->mxcsr);
    put(area, AT_MXCSR_MASK, 4, MXCSR_MASK);
}

/* `bytes` bytes from byte `from` of each register of a range: XMM and the parts above it. A null area means zeros. */
static void save_vectors(const struct cpu *cpu, uint8_t *area, unsigned first, unsigned count, unsigned from,
                         unsigned bytes)
{
    for (unsigned i = 0; i < count; i++)
        memcpy(&area[bytes * i], &cpu->zmm[first + i].u8[from], bytes);
}
static void restore_vectors(struct cpu *cpu, const uint8_t *area, unsigned first, unsigned count, unsigned from,
                            unsigned bytes)
{
    for (unsigned i = 0; i < count; i++) {
        if (area)
            memcpy(&cpu->zmm[first + i].u8[from], &area[bytes * i], bytes);
        else
            memset(&cpu->zmm[first + i].u8[from], 0, bytes);
    }
}

/* --- FXSAVE and FXRSTOR ----------------------------------------------------------------------------------------- */

static bool fpu_not_available(const struct cpu *cpu)
{
    return cpu->cr0 & (CR0_EM | CR0_TS);
}

/* Reads the area with the rights of a write as well where it will be written back. */
static bool read_area(struct cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes, bool write, uint8_t *area)
{
    if (write && !mem_probe(cpu, linear, bytes, operand_access(op, ACCESS_READ | ACCESS_WRITE)))
        return false;
    return mem_read(cpu, linear, bytes, operand_access(op, ACCESS_READ), area);
}

HANDLER(fxsave)
{
    uint8_t area[LEGACY_BYTES];
    if (fpu_not_available(cpu))
        FAULT(VEC_NM);
    LINEAR(linear, LEGACY_BYTES, ACCESS_WRITE);
    if (linear & 15)
        FAULT_CODE(VEC_GP, 0);
    if (!read_area(cpu, op, linear, LEGACY_BYTES, true, area))
        FAULT_PENDING;
    save_x87(cpu, area, OP_WIDTH(op) == 64);
    save_mxcsr(cpu, area);
    save_vectors(cpu, &area[AT_XMM], 0, vector_count(cpu), 0, 16);
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
    if (!read_area(cpu, op, linear, LEGACY_BYTES, false, area))
        FAULT_PENDING;
    uint32_t mxcsr = (uint32_t)get(area, AT_MXCSR, 4);
    if (mxcsr & ~(uint32_t)MXCSR_MASK)
        FAULT_CODE(VEC_GP, 0);
    restore_x87(cpu, area, OP_WIDTH(op) == 64);
    simd_load_mxcsr(cpu, mxcsr);
    restore_vectors(cpu, &area[AT_XMM], 0, vector_count(cpu), 0, 16);
    NEXT;
}

/* --- components behind the header ------------------------------------------------------------------------------- */

static void save_component(const struct cpu *cpu, unsigned i, uint8_t *at)
{
    switch (1ull << i) {
    case XSTATE_AVX:
        save_vectors(cpu, at, 0, vector_count(cpu), 16, 16);
        break;
    case XSTATE_OPMASK:
        memcpy(at, cpu->opmask, sizeof cpu->opmask);
        break;
    case XSTATE_ZMM_HI256:
        save_vectors(cpu, at, 0, vector_count(cpu), 32, 32);
        break;
    case XSTATE_HI16_ZMM:
        save_vectors(cpu, at, 16, cpu_in_64bit(cpu) ? 16 : 0, 0, 64);
        break;
    case XSTATE_PKRU:
        put(at, 0, 8, cpu->pkru);
        break;
    default:
        break;
    }
}

/* at NULL: to its initial configuration. */
static void restore_component(struct cpu *cpu, unsigned i, const uint8_t *at)
{
    switch (1ull << i) {
    case XSTATE_AVX:
        restore_vectors(cpu, at, 0, vector_count(cpu), 16, 16);
        break;
    case XSTATE_OPMASK:
        if (at)
            memcpy(cpu->opmask, at, sizeof cpu->opmask);
        else
            memset(cpu->opmask, 0, sizeof cpu->opmask);
        break;
    case XSTATE_ZMM_HI256:
        restore_vectors(cpu, at, 0, vector_count(cpu), 32, 32);
        break;
    case XSTATE_HI16_ZMM:
        restore_vectors(cpu, at, 16, cpu_in_64bit(cpu) ? 16 : 0, 0, 64);
        break;
    case XSTATE_PKRU:
        cpu->pkru = at ? (uint32_t)get(at, 0, 4) : 0;
        tlb_select(cpu);
        break;
    default:
        break;
    }
}

/* --- XSAVE, XSAVEOPT, XSAVEC, XSAVES ---------------------------------------------------------------------------- */

/* Requested-feature bitmap: XCR0 (IA32_XSS adds nothing) and EDX:EAX. */
static uint64_t requested(const struct cpu *cpu)
{
    return ((cpu->gpr[RDX] & 0xFFFFFFFF) << 32 | (cpu->gpr[RAX] & 0xFFFFFFFF)) & cpu->xcr0;
}

/* Whether the instruction may not run at all, and the fault that says so. */
static bool xsave_forbidden(const struct cpu *cpu, enum vector *vector)
{
    *vector = (cpu->cr4 & CR4_OSXSAVE) ? VEC_NM : VEC_UD;
    return !(cpu->cr4 & CR4_OSXSAVE) || (cpu->cr0 & CR0_TS);
}

enum save_kind { SAVE_ALL, SAVE_IN_USE, SAVE_COMPACTED };

static const struct op *save(struct cpu *cpu, const struct op *op, enum save_kind kind)
{
    uint8_t area[XSTATE_AREA_BYTES];
    enum vector vector;
    if (xsave_forbidden(cpu, &vector))
        FAULT(vector);
    simd_sync_mxcsr(cpu);
    bool compacted = kind == SAVE_COMPACTED;
    uint64_t rfbm = requested(cpu), used = xstate_in_use(cpu) & rfbm;
    if (compacted && cpu->mxcsr != MXCSR_DEFAULT)
        used |= rfbm & XSTATE_SSE; /* there MXCSR belongs to SSE state */
    uint64_t saved = kind == SAVE_ALL ? rfbm : used;
    unsigned bytes = xstate_bytes(saved, compacted, rfbm);
    LINEAR(linear, bytes, ACCESS_WRITE);
    if (linear & 63)
        FAULT_CODE(VEC_GP, 0);
    if (!read_area(cpu, op, linear, bytes, true, area))
        FAULT_PENDING;
    if (saved & XSTATE_X87)
        save_x87(cpu, area, OP_WIDTH(op) == 64);
    if (compacted ? saved & XSTATE_SSE : rfbm & (XSTATE_SSE | XSTATE_AVX))
        save_mxcsr(cpu, area);
    if (saved & XSTATE_SSE)
        save_vectors(cpu, &area[AT_XMM], 0, vector_count(cpu), 0, 16);
    for (unsigned i = 2; i < XSTATE_COMPONENTS; i++)
        if (saved >> i & 1)
            save_component(cpu, i, &area[xstate_offset(i, compacted, rfbm)]);
    put(area, AT_XSTATE_BV, 8, compacted ? used : (get(area, AT_XSTATE_BV, 8) & ~rfbm) | used);
    if (compacted)
        put(area, AT_XCOMP_BV, 8, rfbm | COMPACTED);
    if (!mem_write(cpu, linear, bytes, ACCESS_WRITE, area))
        FAULT_PENDING;
    return op;
}

#define SAVE(name, kind)                                                                                               \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        op = save(cpu, op, kind);                                                                                      \
        if (!op)                                                                                                       \
            return NULL;                                                                                               \
        NEXT;                                                                                                          \
    }
SAVE(xsave, SAVE_ALL)
SAVE(xsaveopt, SAVE_IN_USE)
SAVE(xsavec, SAVE_COMPACTED) /* XSAVES too */

/* --- XRSTOR, XRSTORS -------------------------------------------------------------------------------------------- */

/*
 * The header: known components only. Standard form: XCOMP_BV and the 8 bytes behind it are zero. Compacted form: what
 * is present has a place, and the rest of the header is zero.
 */
static bool header_is_valid(const struct cpu *cpu, const uint8_t *area)
{
    uint64_t present = get(area, AT_XSTATE_BV, 8), places = get(area, AT_XCOMP_BV, 8), rest = 0;
    if (!(places & COMPACTED))
        return !(present & ~cpu->xcr0) && !places && !get(area, AT_XCOMP_BV + 8, 8);
    for (unsigned at = AT_XCOMP_BV + 8; at < XSTATE_FIXED_BYTES; at += 8)
        rest |= get(area, at, 8);
    places &= ~COMPACTED;
    return model_has(cpu->model, ISA_FEATURE_XSAVEC) && !(places & ~cpu->xcr0) && !(present & ~places) && !rest;
}

static const struct op *restore(struct cpu *cpu, const struct op *op, bool must_be_compacted)
{
    uint8_t area[XSTATE_AREA_BYTES];
    enum vector vector;
    if (xsave_forbidden(cpu, &vector))
        FAULT(vector);
    LINEAR(linear, XSTATE_FIXED_BYTES, ACCESS_READ);
    if (linear & 63)
        FAULT_CODE(VEC_GP, 0);
    if (!read_area(cpu, op, linear, XSTATE_FIXED_BYTES, false, area))
        FAULT_PENDING;
    uint64_t rfbm = requested(cpu), places = get(area, AT_XCOMP_BV, 8);
    bool compacted = places & COMPACTED;
    if (!header_is_valid(cpu, area) || (must_be_compacted && !compacted))
        FAULT_CODE(VEC_GP, 0);
    uint64_t present = rfbm & get(area, AT_XSTATE_BV, 8);
    unsigned bytes = xstate_bytes(present, compacted, places);
    if (bytes > XSTATE_FIXED_BYTES) {
        LINEAR(whole, bytes, ACCESS_READ);
        if (!read_area(cpu, op, whole, bytes, false, area))
            FAULT_PENDING;
    }
    uint32_t mxcsr = (uint32_t)get(area, AT_MXCSR, 4);
    bool loads_mxcsr = compacted ? present & XSTATE_SSE : rfbm & (XSTATE_SSE | XSTATE_AVX);
    if (loads_mxcsr && (mxcsr & ~(uint32_t)MXCSR_MASK))
        FAULT_CODE(VEC_GP, 0);
    if (present & XSTATE_X87)
        restore_x87(cpu, area, OP_WIDTH(op) == 64);
    else if (rfbm & XSTATE_X87)
        init_x87(cpu);
    if (rfbm & XSTATE_SSE)
        restore_vectors(cpu, present & XSTATE_SSE ? &area[AT_XMM] : NULL, 0, vector_count(cpu), 0, 16);
    if (loads_mxcsr)
        simd_load_mxcsr(cpu, mxcsr);
    else if (compacted && rfbm & XSTATE_SSE)
        simd_load_mxcsr(cpu, MXCSR_DEFAULT);
    for (unsigned i = 2; i < XSTATE_COMPONENTS; i++)
        if (rfbm >> i & 1)
            restore_component(cpu, i, present >> i & 1 ? &area[xstate_offset(i, compacted, places)] : NULL);
    return op;
}

#define RESTORE(name, must_be_compacted)                                                                               \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        op = restore(cpu, op, must_be_compacted);                                                                      \
        if (!op)                                                                                                       \
            return NULL;                                                                                               \
        NEXT;                                                                                                          \
    }
RESTORE(xrstor, false)
RESTORE(xrstors, true)
