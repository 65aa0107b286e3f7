/*
 * A reference's copy of guest RAM: kept up with the interpreter's, and compared with it.
 *
 * The copy has the layout of `struct ram`: a page number means the same in both.
 */
#ifndef KVM_COSIM_RAM_H
#define KVM_COSIM_RAM_H

#include "devices/ram.h"

#include <stdio.h>

struct cosim_ram {
    struct ram *original; /* the interpreter's; its epochs are moved on, nothing else */
    uint8_t *bytes;       /* the copy, shareable with KVM */
    uint64_t size_bytes;
    uint64_t *written; /* bitmap over pages that the reference has written since the last comparison: the caller's to
                          fill in */
    uint32_t copied_epoch, compared_epoch;
};

/* Makes the copy. False: no memory. */
bool cosim_ram_open(struct cosim_ram *copy, struct ram *original);
/* Does nothing on a copy of zeros. */
void cosim_ram_close(struct cosim_ram *copy);
/* Takes over what the interpreter has written since the last call; take_back: what the reference has written, too. */
void cosim_ram_take(struct cosim_ram *copy, bool take_back);
/*
 * Compares all pages that either side has written since the last call, but for accessed and dirty bits: processors may
 * keep translations. A page that differs becomes the interpreter's. The number of pages; a line each in `text` unless
 * NULL.
 */
unsigned cosim_ram_compare(struct cosim_ram *copy, FILE *text);
/* The first page that it would find, and where in it; RAM_NO_PAGE: none. Nothing changes. */
uint64_t cosim_ram_difference(const struct cosim_ram *copy, unsigned *offset);
/* Both sides of eight bytes, a line. */
void cosim_ram_print(const struct cosim_ram *copy, uint64_t page, unsigned offset, FILE *text);

#endif
