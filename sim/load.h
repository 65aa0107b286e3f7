/*
 * Boot loaders: put an image into RAM and a vCPU at its entry, as the boot protocol of the image's kind demands.
 *
 * Loaders work on buffers, never on files, and trust nothing in them. They write through the RAM door like everyone
 * else.
 */
#ifndef SIM_LOAD_H
#define SIM_LOAD_H

#include "cpu/cpu.h"

#include <stddef.h>

/* A file's content. Not owned. */
struct image {
    const char *path; /* as typed, for messages and the log */
    const uint8_t *bytes;
    size_t size_bytes;
    const char *cmdline; /* of a Multiboot module; NULL: the path */
};

enum load_entry {
    LOAD_AUTO,      /* by the image's own magic: bzImage, Multiboot, ELF (64-bit entry) */
    LOAD_LINUX64,   /* ELF vmlinux by the 64-bit boot protocol */
    LOAD_PVH,       /* ELF by its PVH note */
    LOAD_MULTIBOOT, /* Multiboot 1 */
    LOAD_FLAT,      /* raw code for 64-bit mode, at FLAT_ADDRESS */
};

#define FLAT_ADDRESS 0x100000ull

struct load_request {
    struct image kernel;
    struct image initrd;         /* bytes NULL: none */
    const struct image *modules; /* Multiboot, PVH */
    unsigned module_count;
    const char *cmdline;
    enum load_entry entry;
    uint64_t rsdp; /* physical address of the RSDP, 0 for none */
};

#define LOAD_ERROR_BYTES 256

/*
 * Loads and sets the entry state of the vCPU, which is fresh from reset. 0; or -EINVAL with one line in error (what,
 * where, what was expected), RAM then holds rubbish and the machine is to be thrown away.
 */
int load_kernel(struct board *board, struct cpu *cpu, const struct load_request *request, char error[LOAD_ERROR_BYTES]);

#endif
