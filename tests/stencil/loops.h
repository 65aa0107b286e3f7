/*
 * Hot loops whose cost is measured: flat 64-bit images that never end.
 */
#ifndef STENCIL_LOOPS_H
#define STENCIL_LOOPS_H

#include "sim/load.h"

struct loop {
    const char *name;
    const uint8_t *begin, *end;
};
extern const struct loop loops[];
extern const unsigned loop_count;

#endif
