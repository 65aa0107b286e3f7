/*
 * Linux by its 64-bit boot protocol (Documentation/arch/x86/boot.rst): bzImage, and the boot_params that an ELF vmlinux
 * needs as well (Documentation/arch/x86/zero-page.rst).
 */
#include "sim/load_internal.h"

#include <inttypes.h>
#include <string.h>

/* Offsets in the first sector, and equally in boot_params. */
#define SETUP_SECTS      0x1F1
#define SYSSIZE          0x1F4
#define VID_MODE         0x1FA
#define BOOT_FLAG        0x1FE
#define JUMP_LENGTH      0x201
#define HEADER_MAGIC     0x202
#define VERSION          0x206
#define TYPE_OF_LOADER   0x210
#define LOADFLAGS        0x211
#define RAMDISK_IMAGE    0x218
#define RAMDISK_SIZE     0x21C
#define CMD_LINE_PTR     0x228
#define INITRD_ADDR_MAX  0x22C
#define KERNEL_ALIGNMENT 0x230
#define RELOCATABLE      0x234
#define XLOADFLAGS       0x236
#define CMDLINE_SIZE     0x238
#define PREF_ADDRESS     0x258
#define INIT_SIZE        0x260
/* ... and in boot_params alone */
#define ACPI_RSDP_ADDR    0x070
#define E820_ENTRIES      0x1E8
#define E820_TABLE        0x2D0
#define E820_ENTRY_BYTES  20
#define BOOT_PARAMS_BYTES 4096

#define LOADED_HIGH      1u
#define XLF_KERNEL_64    1u
#define HEADER_END_MIN   0x268
#define STARTUP_64       0x200 /* entry, from the start of the protected-mode code */
#define VERSION_64BIT    0x20C
#define LOADER_UNDEFINED 0xFF

static uint64_t get(const uint8_t *bytes, unsigned offset, unsigned size)
{
    uint64_t value = 0;
    memcpy(&value, bytes + offset, size);
    return value;
}

static void put(uint8_t *bytes, unsigned offset, unsigned size, uint64_t value)
{
    memcpy(bytes + offset, &value, size);
}

bool load_is_bzimage(const struct image *image)
{
    return image->size_bytes >= HEADER_MAGIC + 4 && get(image->bytes, BOOT_FLAG, 2) == 0xAA55 &&
           memcmp(image->bytes + HEADER_MAGIC, "HdrS", 4) == 0;
}

/* Checks the setup header and tells where the protected-mode code lies in the file. */
static int check_header(const struct loader *loader, uint64_t *code_offset)
{
    const struct image *kernel = &loader->request->kernel;
    if (kernel->size_bytes < HEADER_END_MIN)
        return load_fail(loader, "%s: setup header cut off at %zu bytes, expected at least %u", kernel->path,
                         kernel->size_bytes, HEADER_END_MIN);
    unsigned version = (unsigned)get(kernel->bytes, VERSION, 2);
    if (version < VERSION_64BIT || !(get(kernel->bytes, XLOADFLAGS, 2) & XLF_KERNEL_64) ||
        !(get(kernel->bytes, LOADFLAGS, 1) & LOADED_HIGH))
        return load_fail(loader,
                         "%s: boot protocol %u.%02u without a 64-bit entry, expected 2.12 or later with XLF_KERNEL_64",
                         kernel->path, version >> 8, version & 255);
    uint64_t sectors = get(kernel->bytes, SETUP_SECTS, 1);
    *code_offset = ((sectors ? sectors : 4) + 1) * 512;
    uint64_t code_bytes = get(kernel->bytes, SYSSIZE, 4) * 16;
    uint64_t there = kernel->size_bytes > *code_offset ? kernel->size_bytes - *code_offset : 0;
    /* the last paragraph may be short: syssize counts 16-byte units, rounded up */
    if (code_bytes == 0 || code_bytes > there + 15 || there == 0)
        return load_fail(loader,
                         "%s: kernel code of %" PRIu64 " bytes expected at offset %" PRIu64 ", the file has %" PRIu64,
                         kernel->path, code_bytes, *code_offset, there);
    return 0;
}

/*
 * Where the kernel wants to be. One that can move is moved up if that is too low, but never down: wherever it is loaded
 * below pref_address, it decompresses to pref_address.
 */
static int choose_address(const struct loader *loader, uint64_t *address, uint64_t *bytes)
{
    const uint8_t *header = loader->request->kernel.bytes;
    *address = get(header, PREF_ADDRESS, 8);
    *bytes = get(header, INIT_SIZE, 4);
    if (*address < KERNEL_FLOOR && get(header, RELOCATABLE, 1)) {
        uint64_t alignment = get(header, KERNEL_ALIGNMENT, 4);
        if (alignment < 4096 || alignment & (alignment - 1))
            return load_fail(loader,
                             "%s: kernel_alignment 0x%" PRIx64 " at offset 0x%x, expected a power of two from 4096",
                             loader->request->kernel.path, alignment, KERNEL_ALIGNMENT);
        *address = (KERNEL_FLOOR + alignment - 1) & ~(alignment - 1);
    }
    return load_check_range(loader, "kernel with its init_size", *address, *bytes);
}

static void linux_boot_params(const struct loader *loader, uint8_t *params, uint64_t initrd_address)
{
    const struct load_request *request = loader->request;
    struct region regions[REGIONS_MAX];
    unsigned count = load_regions(loader->board, regions);
    put(params, E820_ENTRIES, 1, count);
    for (unsigned i = 0; i < count; i++) {
        unsigned entry = E820_TABLE + i * E820_ENTRY_BYTES;
        put(params, entry, 8, regions[i].start);
        put(params, entry + 8, 8, regions[i].bytes);
        put(params, entry + 16, 4, regions[i].type);
    }
    put(params, VID_MODE, 2, 0xFFFF); /* "normal" */
    put(params, TYPE_OF_LOADER, 1, LOADER_UNDEFINED);
    put(params, CMD_LINE_PTR, 4, LOW_CMDLINE);
    put(params, ACPI_RSDP_ADDR, 8, request->rsdp);
    if (request->initrd.bytes) {
        put(params, RAMDISK_IMAGE, 4, initrd_address);
        put(params, RAMDISK_SIZE, 4, request->initrd.size_bytes);
    }
}

int load_bzimage(const struct loader *loader)
{
    const struct load_request *request = loader->request;
    const struct image *kernel = &request->kernel;
    uint64_t code_offset = 0, address, init_bytes, initrd_address = 0;
    int status = check_header(loader, &code_offset);
    if (status || (status = choose_address(loader, &address, &init_bytes)))
        return status;
    uint64_t code_bytes = kernel->size_bytes - code_offset;
    uint64_t end = address + (code_bytes > init_bytes ? code_bytes : init_bytes);
    if ((status = load_place(loader, "kernel code", address, kernel->bytes + code_offset, code_bytes)))
        return status;
    if ((status = load_cmdline(loader, get(kernel->bytes, CMDLINE_SIZE, 4))))
        return status;
    if (request->initrd.bytes) {
        uint64_t top = load_low_end(loader->board), kernel_top = get(kernel->bytes, INITRD_ADDR_MAX, 4) + 1;
        if ((status = load_high(loader, "initrd", &request->initrd, end, top < kernel_top ? top : kernel_top,
                                &initrd_address)))
            return status;
    }
    uint8_t params[BOOT_PARAMS_BYTES] = { 0 };
    unsigned header_end = HEADER_MAGIC + (unsigned)get(kernel->bytes, JUMP_LENGTH, 1);
    if (header_end < HEADER_END_MIN || header_end > E820_TABLE - 0x40 || header_end > kernel->size_bytes)
        header_end = HEADER_END_MIN;
    memcpy(params + SETUP_SECTS, kernel->bytes + SETUP_SECTS, header_end - SETUP_SECTS);
    linux_boot_params(loader, params, initrd_address);
    load_low(loader, LOW_BOOT_PARAMS, params, sizeof(params));
    load_enter_long_mode(loader, address + STARTUP_64);
    loader->cpu->gpr[RSI] = LOW_BOOT_PARAMS;
    return 0;
}

int load_elf_linux64(const struct loader *loader)
{
    const struct load_request *request = loader->request;
    uint64_t entry, end, initrd_address = 0;
    int status = load_elf_segments(loader, 64, &entry, &end);
    if (status || (status = load_cmdline(loader, LOW_CMDLINE_MAX)))
        return status;
    if (request->initrd.bytes &&
        (status = load_high(loader, "initrd", &request->initrd, end, load_low_end(loader->board), &initrd_address)))
        return status;
    /* a vmlinux has no setup header: these are the fields of it that the kernel looks at */
    uint8_t params[BOOT_PARAMS_BYTES] = { 0 };
    put(params, BOOT_FLAG, 2, 0xAA55);
    memcpy(params + HEADER_MAGIC, "HdrS", 4);
    put(params, VERSION, 2, 0x20F);
    put(params, LOADFLAGS, 1, LOADED_HIGH);
    put(params, KERNEL_ALIGNMENT, 4, 0x200000);
    linux_boot_params(loader, params, initrd_address);
    load_low(loader, LOW_BOOT_PARAMS, params, sizeof(params));
    load_enter_long_mode(loader, entry);
    loader->cpu->gpr[RSI] = LOW_BOOT_PARAMS;
    return 0;
}
