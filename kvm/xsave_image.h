/*
 * XSAVE images of the host (standard format): where its processor has each component, and the way between such an image
 * and our registers.
 *
 * The offsets are the host's own and need not be those of our models (cpu/xstate.h).
 */
#ifndef KVM_XSAVE_IMAGE_H
#define KVM_XSAVE_IMAGE_H

#include "cpu/cpu.h"

#include <stddef.h>

#define XSAVE_IMAGE_BYTES_MAX 8192u

/* Offsets in the FXSAVE image (SDM vol. 1, table 10-2), and behind it. */
enum {
    FX_FCW = 0,
    FX_FSW = 2,
    FX_TAGS = 4,
    FX_FOP = 6,
    FX_FIP = 8,
    FX_FDP = 16,
    FX_MXCSR = 24,
    FX_ST = 32,
    FX_XMM = 160,
    FX_KERNEL = 464, /* left to software; Linux says there what its signal frame holds */
    XSAVE_BV = 512
};

struct xsave_layout {
    uint64_t components; /* those of XSTATE_ bits 0, 1, 2, 5, 6, 7, 9 that the host has on */
    uint32_t offset[10];
    uint32_t bytes; /* of an image with everything the host has on */
};

/* What travels in an image. Pointers may be NULL: not wanted. */
struct xsave_registers {
    struct x87 *x87;
    union vector_register *zmm; /* 32 */
    uint64_t *opmask;           /* 8 */
    uint32_t *mxcsr;
    uint32_t *pkru;
};

/* False, with a text in *why, if the host has no XSAVE or a larger area than expected. */
bool xsave_layout_of_host(struct xsave_layout *layout, const char **why);

/* Writes the registers into an image, with their bits in XSTATE_BV. Other components stay as they are. */
void xsave_image_put(const struct xsave_layout *layout, uint8_t *image, const struct xsave_registers *registers);
/* Reads them; a component that XSTATE_BV says is initial has its initial value. */
void xsave_image_get(const struct xsave_layout *layout, const uint8_t *image, const struct xsave_registers *registers);

#endif
