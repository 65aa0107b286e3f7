/*
 * MXCSR between guest and host, SSE exceptions, and the approximations (see simd.h).
 */
#include "cpu/simd.h"
#include "cpu/mem.h"

/* --- MXCSR --- */

#ifdef __x86_64__
static uint32_t host_read_mxcsr(void)
{
    uint32_t mxcsr;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr) : : "memory");
    return mxcsr;
}
static void host_write_mxcsr(uint32_t mxcsr)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr) : "memory");
}
#define HOST_HAS_SSE true
#else
static uint32_t host_read_mxcsr(void)
{
    return 0;
}
static void host_write_mxcsr(uint32_t mxcsr)
{
    (void)mxcsr;
}
#define HOST_HAS_SSE false
#endif

void simd_load_mxcsr(struct cpu *cpu, uint32_t mxcsr)
{
    cpu->mxcsr = mxcsr;
    cpu->fp_soft_now = !HOST_HAS_SSE || cpu->fp_soft || (mxcsr & MXCSR_MASKS) != MXCSR_MASKS;
    if (!cpu->fp_soft_now)
        host_write_mxcsr((mxcsr & (MXCSR_RC | MXCSR_DAZ | MXCSR_FTZ)) | MXCSR_MASKS);
}

void simd_sync_mxcsr(struct cpu *cpu)
{
    if (!cpu->fp_soft_now)
        cpu->mxcsr |= host_read_mxcsr() & MXCSR_FLAGS;
}

void simd_engine_enter(struct cpu *cpu)
{
    if (!cpu->fp_soft)
        cpu->host_mxcsr = host_read_mxcsr();
    simd_load_mxcsr(cpu, cpu->mxcsr);
}

void simd_engine_leave(struct cpu *cpu)
{
    simd_sync_mxcsr(cpu);
    if (!cpu->fp_soft)
        host_write_mxcsr(cpu->host_mxcsr);
}

/* --- the software path --- */

struct fp_context simd_fp_begin(const struct cpu *cpu)
{
    uint32_t mxcsr = cpu->mxcsr;
    return (struct fp_context){
        .rounding = mxcsr >> 13 & 3,
        .unmasked = ~(mxcsr >> 7) & MXCSR_FLAGS,
        .flush_to_zero = mxcsr & MXCSR_FTZ,
        .denormals_are_zero = mxcsr & MXCSR_DAZ,
    };
}

bool simd_fp_end(struct cpu *cpu, const struct fp_context *context)
{
    uint32_t flags = context->flags;
    if (fp_trapped(context, FP_FLAGS_BEFORE))
        flags &= FP_FLAGS_BEFORE;
    cpu->mxcsr |= flags;
    if (!(flags & context->unmasked))
        return true;
    return fault_raise(cpu, cpu->cr4 & CR4_OSXMMEXCPT ? VEC_XM : VEC_UD, false, 0);
}

/* --- approximations --- */

#define F32_SIGN     0x80000000u
#define F32_INFINITY 0x7F800000u
#define F32_QUIET    0x00400000u
#define F32_FRACTION 0x007FFFFFu
#define F32_NORMAL   0x00800000u /* the smallest normal number, and the integer bit of the significand */

uint32_t simd_rcp(uint32_t bits)
{
    uint32_t sign = bits & F32_SIGN, magnitude = bits & ~F32_SIGN;
    if (magnitude > F32_INFINITY)
        return bits | F32_QUIET;
    if (magnitude < F32_NORMAL)
        return sign | F32_INFINITY;
    int exponent = 253 - (int)(magnitude >> 23);
    uint64_t significand = (magnitude & F32_FRACTION) | F32_NORMAL;
    uint32_t quotient = (uint32_t)(((1ull << 38) + significand / 2) / significand); /* 2^14 .. 2^15 */
    if (quotient >> 15) {
        quotient >>= 1;
        exponent++;
    }
    if (exponent <= 0)
        return sign;
    return sign | (uint32_t)exponent << 23 | (quotient << 9 & F32_FRACTION);
}

static uint32_t integer_root(uint64_t value)
{
    uint32_t root = 0;
    for (uint32_t bit = 1u << 15; bit; bit >>= 1) {
        uint64_t trial = root | bit;
        if (trial * trial <= value)
            root |= bit;
    }
    return root;
}

uint32_t simd_rsqrt(uint32_t bits)
{
    uint32_t sign = bits & F32_SIGN, magnitude = bits & ~F32_SIGN;
    if (magnitude > F32_INFINITY)
        return bits | F32_QUIET;
    if (magnitude < F32_NORMAL)
        return sign | F32_INFINITY;
    if (sign)
        return F32_SIGN | F32_INFINITY | F32_QUIET;
    if (magnitude == F32_INFINITY)
        return 0;
    int exponent = (int)(magnitude >> 23) - 127;
    uint64_t significand = (magnitude & F32_FRACTION) | F32_NORMAL;
    if (exponent & 1) { /* an even exponent, and a significand in [1, 4) */
        significand <<= 1;
        exponent--;
    }
    uint32_t root = integer_root((1ull << 53) / significand); /* 2^14 .. 2^15 */
    exponent = 126 - exponent / 2;
    if (root >> 15) {
        root >>= 1;
        exponent++;
    }
    return (uint32_t)exponent << 23 | (root << 9 & F32_FRACTION);
}
