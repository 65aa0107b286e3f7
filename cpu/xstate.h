/*
 * State components of the XSAVE feature set (SDM vol. 1, chapter 13): where each lies in an area.
 */
#ifndef CPU_XSTATE_H
#define CPU_XSTATE_H

#include "cpu/cpu.h"

/* Bits of XCR0 and of the bitmaps in an area's header. */
#define XSTATE_X87       (1ull << 0)
#define XSTATE_SSE       (1ull << 1)
#define XSTATE_AVX       (1ull << 2)
#define XSTATE_OPMASK    (1ull << 5)
#define XSTATE_ZMM_HI256 (1ull << 6)
#define XSTATE_HI16_ZMM  (1ull << 7)
#define XSTATE_PKRU      (1ull << 9)
#define XSTATE_AVX512    (XSTATE_OPMASK | XSTATE_ZMM_HI256 | XSTATE_HI16_ZMM)

#define XSTATE_COMPONENTS 10u

/* The legacy region, which holds x87 and SSE, and the header behind it. */
#define XSTATE_LEGACY_BYTES 512u
#define XSTATE_FIXED_BYTES  576u
/* The largest area in either format. */
#define XSTATE_AREA_BYTES 2696u

/* A component behind the header; bytes 0: there is none of this number. None is aligned to 64 bytes in compacted form.
 */
struct xstate_component {
    uint16_t bytes;
    uint16_t standard_offset;
};
extern const struct xstate_component xstate_components[XSTATE_COMPONENTS];

/* Offset of component i in an area: in the standard format, or compacted by XCOMP_BV. */
unsigned xstate_offset(unsigned i, bool compacted, uint64_t xcomp_bv);
/* Bytes from an area's start to the end of its last component out of `components` (no less than legacy region and
 * header). */
unsigned xstate_bytes(uint64_t components, bool compacted, uint64_t xcomp_bv);

/* XINUSE: the components that are not in their initial configuration, computed from register values. */
uint64_t xstate_in_use(const struct cpu *cpu);

#endif
