/*
 * XSAVE images (SDM vol. 1, 13.4): the legacy region of FXSAVE (table 10-2), the header, the components behind it.
 */
#include "kvm/xsave_image.h"

#include "cpu/x87.h"
#include "cpu/xstate.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define COMPONENTS_SEEN (XSTATE_X87 | XSTATE_SSE | XSTATE_AVX | XSTATE_AVX512 | XSTATE_PKRU)
/* Component numbers, for offset[]. */
enum { AVX = 2, OPMASK = 5, ZMM_HI256 = 6, HI16_ZMM = 7, PKRU = 9 };

bool xsave_layout_of_host(struct xsave_layout *layout, const char **why)
{
    memset(layout, 0, sizeof(*layout));
#if defined(__x86_64__)
    unsigned eax, ebx, ecx, edx, low, high;
    if (!__get_cpuid_count(1, 0, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE)) {
        *why = "the host has no XSAVE";
        return false;
    }
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    layout->components = low & COMPONENTS_SEEN;
    if ((layout->components & XSTATE_AVX512) != XSTATE_AVX512)
        layout->components &= ~XSTATE_AVX512;
    for (unsigned i = AVX; i <= PKRU; i++)
        if (__get_cpuid_count(0xD, i, &eax, &ebx, &ecx, &edx))
            layout->offset[i] = ebx;
    __get_cpuid_count(0xD, 0, &eax, &ebx, &ecx, &edx);
    layout->bytes = ebx;
    if (ebx <= XSAVE_IMAGE_BYTES_MAX)
        return true;
    *why = "the host's XSAVE area is larger than expected";
#else
    *why = "the host is no x86-64";
#endif
    return false;
}

static void get(const uint8_t *image, unsigned at, void *to, unsigned bytes)
{
    memcpy(to, image + at, bytes);
}
static void put(uint8_t *image, unsigned at, const void *from, unsigned bytes)
{
    memcpy(image + at, from, bytes);
}

/* ST(i) stands in the image, physical registers in ours. */
static unsigned physical(const struct x87 *x87, unsigned i)
{
    return ((x87->fsw >> 11) + i) & 7;
}

static void put_x87(uint8_t *image, const struct x87 *x87)
{
    put(image, FX_FCW, &x87->fcw, 2);
    put(image, FX_FSW, &x87->fsw, 2);
    put(image, FX_TAGS, (const uint8_t[2]){ x87->tags, 0 }, 2);
    put(image, FX_FOP, &x87->fop, 2);
    put(image, FX_FIP, &x87->fip, 8);
    put(image, FX_FDP, &x87->fdp, 8);
    for (unsigned i = 0; i < 8; i++) {
        const struct x87_register *r = &x87->r[physical(x87, i)];
        put(image, FX_ST + 16 * i, &r->mantissa, 8);
        put(image, FX_ST + 16 * i + 8, &r->exponent, 2);
    }
}

static void get_x87(const uint8_t *image, struct x87 *x87)
{
    get(image, FX_FCW, &x87->fcw, 2);
    get(image, FX_FSW, &x87->fsw, 2);
    get(image, FX_TAGS, &x87->tags, 1);
    get(image, FX_FOP, &x87->fop, 2);
    get(image, FX_FIP, &x87->fip, 8);
    get(image, FX_FDP, &x87->fdp, 8);
    for (unsigned i = 0; i < 8; i++) {
        struct x87_register *r = &x87->r[physical(x87, i)];
        get(image, FX_ST + 16 * i, &r->mantissa, 8);
        get(image, FX_ST + 16 * i + 8, &r->exponent, 2);
    }
}

static void put_vectors(const struct xsave_layout *layout, uint8_t *image, const union vector_register *zmm)
{
    for (unsigned i = 0; i < 16; i++) {
        put(image, FX_XMM + 16 * i, zmm[i].u8, 16);
        if (layout->components & XSTATE_AVX)
            put(image, layout->offset[AVX] + 16 * i, zmm[i].u8 + 16, 16);
        if (!(layout->components & XSTATE_HI16_ZMM))
            continue;
        put(image, layout->offset[ZMM_HI256] + 32 * i, zmm[i].u8 + 32, 32);
        put(image, layout->offset[HI16_ZMM] + 64 * i, zmm[16 + i].u8, 64);
    }
}

static void get_vectors(const struct xsave_layout *layout, const uint8_t *image, uint64_t in_use,
                        union vector_register *zmm)
{
    memset(zmm, 0, 32 * sizeof(*zmm));
    for (unsigned i = 0; i < 16; i++) {
        if (in_use & XSTATE_SSE)
            get(image, FX_XMM + 16 * i, zmm[i].u8, 16);
        if (in_use & XSTATE_AVX)
            get(image, layout->offset[AVX] + 16 * i, zmm[i].u8 + 16, 16);
        if (in_use & XSTATE_ZMM_HI256)
            get(image, layout->offset[ZMM_HI256] + 32 * i, zmm[i].u8 + 32, 32);
        if (in_use & XSTATE_HI16_ZMM)
            get(image, layout->offset[HI16_ZMM] + 64 * i, zmm[16 + i].u8, 64);
    }
}

void xsave_image_put(const struct xsave_layout *layout, uint8_t *image, const struct xsave_registers *registers)
{
    uint64_t bv, written = 0;
    get(image, XSAVE_BV, &bv, 8);
    if (registers->x87) {
        put_x87(image, registers->x87);
        written |= XSTATE_X87;
    }
    if (registers->mxcsr)
        put(image, FX_MXCSR, registers->mxcsr, 4);
    if (registers->zmm) {
        put_vectors(layout, image, registers->zmm);
        written |= XSTATE_SSE | XSTATE_AVX | XSTATE_ZMM_HI256 | XSTATE_HI16_ZMM;
    }
    if (registers->opmask && layout->components & XSTATE_OPMASK) {
        put(image, layout->offset[OPMASK], registers->opmask, 64);
        written |= XSTATE_OPMASK;
    }
    if (registers->pkru && layout->components & XSTATE_PKRU) {
        put(image, layout->offset[PKRU], registers->pkru, 4);
        written |= XSTATE_PKRU;
    }
    bv |= written & layout->components;
    put(image, XSAVE_BV, &bv, 8);
}

void xsave_image_get(const struct xsave_layout *layout, const uint8_t *image, const struct xsave_registers *registers)
{
    uint64_t bv;
    get(image, XSAVE_BV, &bv, 8);
    bv &= layout->components;
    if (registers->x87) {
        *registers->x87 = (struct x87){ .fcw = FCW_INITIAL };
        if (bv & XSTATE_X87)
            get_x87(image, registers->x87);
    }
    if (registers->mxcsr)
        get(image, FX_MXCSR, registers->mxcsr, 4);
    if (registers->zmm)
        get_vectors(layout, image, bv, registers->zmm);
    if (registers->opmask) {
        memset(registers->opmask, 0, 64);
        if (bv & XSTATE_OPMASK)
            get(image, layout->offset[OPMASK], registers->opmask, 64);
    }
    if (registers->pkru) {
        *registers->pkru = 0;
        if (bv & XSTATE_PKRU)
            get(image, layout->offset[PKRU], registers->pkru, 4);
    }
}
