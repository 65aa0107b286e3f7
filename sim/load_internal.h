/*
 * What the loaders share: the memory map they tell the kernel, the low-memory layout, entry states. Private to
 * sim/load*.c.
 */
#ifndef SIM_LOAD_INTERNAL_H
#define SIM_LOAD_INTERNAL_H

#include "sim/load.h"

/*
 * Low memory as the loaders use it. All of it is ordinary RAM that a kernel may reclaim once it has read it.
 */
#define LOW_GDT         0x1000u
#define LOW_PAGE_TABLES 0x2000u /* PML4, PDPT, four page directories: 4 GiB identity-mapped */
#define LOW_STACK_TOP   0x9000u
#define LOW_BOOT_PARAMS 0x10000u /* zero page, hvm_start_info or Multiboot information */
#define LOW_LISTS       0x12000u /* module lists, memory map of PVH and Multiboot */
#define LOW_CMDLINE     0x20000u
#define LOW_CMDLINE_MAX 0x10000u /* bytes, the terminating zero included */
#define LOW_END         0x9FC00u /* the extended BIOS data area would follow */
#define FIRMWARE_START  0xE0000u /* ACPI tables, reserved */
#define KERNEL_FLOOR    0x100000u

enum region_type { REGION_RAM = 1, REGION_RESERVED = 2 };
struct region {
    uint64_t start, bytes;
    uint32_t type; /* E820 type */
};
#define REGIONS_MAX 8

struct loader {
    struct board *board;
    struct cpu *cpu;
    const struct load_request *request;
    char *error;
};

/* Writes the error line and returns -EINVAL. */
int load_fail(const struct loader *loader, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The memory map: sorted, not overlapping. Returns the number of regions. */
unsigned load_regions(const struct board *board, struct region regions[REGIONS_MAX]);
/* End of RAM below 4 GiB. */
uint64_t load_low_end(const struct board *board);

/* Copies into RAM; -EINVAL with "WHAT at ADDRESS ... does not fit" if the range is not RAM above KERNEL_FLOOR. */
int load_place(const struct loader *loader, const char *what, uint64_t address, const uint8_t *bytes, uint64_t size);
/* Checks that a range is RAM above KERNEL_FLOOR without touching it. */
int load_check_range(const struct loader *loader, const char *what, uint64_t address, uint64_t size);
/* Writes to the loader's own low memory. Asserts that it is RAM. */
void load_low(const struct loader *loader, uint64_t address, const void *bytes, uint64_t size);
/* Puts the command line at LOW_CMDLINE; limit_bytes: the kernel's own limit, without the zero. */
int load_cmdline(const struct loader *loader, uint64_t limit_bytes);
/*
 * Places an image page-aligned as high as possible below `top` (exclusive) and above `floor`; -EINVAL with a clear line
 * if it does not fit. *address is where.
 */
int load_high(const struct loader *loader, const char *what, const struct image *image, uint64_t floor, uint64_t top,
              uint64_t *address);

/* 64-bit mode, identity-mapped 4 GiB, flat segments 10H and 18H, interrupts off (boot protocol, "64-bit boot
 * protocol"). */
void load_enter_long_mode(const struct loader *loader, uint64_t entry);
/* 32-bit protected mode without paging, flat segments, interrupts off (Multiboot 0.6.96 section 3.2; PVH). */
void load_enter_protected_mode(const struct loader *loader, uint32_t entry);

int load_bzimage(const struct loader *loader);
int load_elf_linux64(const struct loader *loader);
int load_elf_pvh(const struct loader *loader);
int load_multiboot(const struct loader *loader);
bool load_is_bzimage(const struct image *image);
bool load_is_multiboot(const struct image *image);
bool load_is_elf(const struct image *image);

/*
 * Loads the PT_LOAD segments of an ELF file at their physical addresses. Refuses segments that overlap, leave the file
 * or leave RAM. bits: 32, 64, or 0 for either. *end: first byte behind all segments.
 */
int load_elf_segments(const struct loader *loader, unsigned bits, uint64_t *entry, uint64_t *end);

#endif
