/*
 * Multiboot 1 (specification 0.6.96): ELF kernels and images with the address fields, modules, memory map, command
 * line.
 */
#include "sim/load_internal.h"

#include <inttypes.h>
#include <string.h>

#define MAGIC         0x1BADB002u
#define BOOT_MAGIC    0x2BADB002u
#define SEARCH_BYTES  8192u
#define NEEDS_ALIGN   (1u << 0) /* modules on page boundaries: they always are */
#define NEEDS_MEMORY  (1u << 1)
#define HAS_ADDRESSES (1u << 16)
#define REQUIRED_BITS 0xFFFFu /* bits that must be understood */

#define INFO_MEMORY  (1u << 0)
#define INFO_CMDLINE (1u << 2)
#define INFO_MODULES (1u << 3)
#define INFO_MMAP    (1u << 6)
#define INFO_NAME    (1u << 9)

#define MODULES_MAX 32u
#define MODULE_TEXT (LOW_LISTS + 0x4000) /* strings of the modules */
#define TEXT_BYTES  0x8000u

struct header {
    uint32_t magic, flags, checksum;
    uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

struct module {
    uint32_t start, end, string, reserved;
};
struct memory_map_entry {
    uint32_t size; /* of the rest */
    uint64_t start, bytes;
    uint32_t type;
} __attribute__((packed));
struct information {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length, mmap_addr;
    uint32_t drives_length, drives_addr, config_table, boot_loader_name;
};

/* Finds the header in the first 8192 bytes, 4-byte aligned. false: none. */
static bool find_header(const struct image *image, struct header *header, size_t *offset)
{
    size_t end = image->size_bytes < SEARCH_BYTES ? image->size_bytes : SEARCH_BYTES;
    for (size_t at = 0; at + 12 <= end; at += 4) {
        memcpy(header, image->bytes + at, 12);
        if (header->magic != MAGIC || header->magic + header->flags + header->checksum != 0)
            continue;
        if (header->flags & HAS_ADDRESSES) {
            if (at + sizeof(*header) > end)
                continue;
            memcpy(header, image->bytes + at, sizeof(*header));
        }
        *offset = at;
        return true;
    }
    return false;
}

bool load_is_multiboot(const struct image *image)
{
    struct header header;
    size_t offset;
    return find_header(image, &header, &offset);
}

/* Loads by the header's own address fields (section 3.1.3). */
static int load_by_addresses(const struct loader *loader, const struct header *header, size_t offset, uint64_t *entry,
                             uint64_t *end)
{
    const struct image *kernel = &loader->request->kernel;
    uint64_t before = (uint64_t)header->header_addr - header->load_addr; /* bytes of the image before the header */
    if (header->load_addr > header->header_addr || before > offset)
        return load_fail(loader, "%s: Multiboot load_addr 0x%x does not agree with header_addr 0x%x at offset %zu",
                         kernel->path, header->load_addr, header->header_addr, offset);
    uint64_t start = offset - before, bytes = kernel->size_bytes - start;
    if (header->load_end_addr) {
        if (header->load_end_addr < header->load_addr || header->load_end_addr - header->load_addr > bytes)
            return load_fail(loader, "%s: Multiboot load_end_addr 0x%x reaches beyond the file", kernel->path,
                             header->load_end_addr);
        bytes = header->load_end_addr - header->load_addr;
    }
    *end = header->load_addr + bytes;
    if (header->bss_end_addr > *end)
        *end = header->bss_end_addr;
    *entry = header->entry_addr;
    int status = load_check_range(loader, "image with bss", header->load_addr, *end - header->load_addr);
    return status ? status : load_place(loader, "image", header->load_addr, kernel->bytes + start, bytes);
}

/* Places the modules above the kernel and lists them (section 3.3). */
static int place_modules(const struct loader *loader, uint64_t end, struct information *information)
{
    const struct load_request *request = loader->request;
    uint64_t top = load_low_end(loader->board), text = MODULE_TEXT;
    unsigned count = request->module_count + (request->initrd.bytes ? 1 : 0);
    if (count > MODULES_MAX)
        return load_fail(loader, "%u Multiboot modules, expected at most %u", count, MODULES_MAX);
    for (unsigned i = 0; i < count; i++) {
        const struct image *image = i < request->module_count ? &request->modules[i] : &request->initrd;
        const char *string = image->cmdline ? image->cmdline : image->path;
        uint64_t address, string_bytes = strlen(string) + 1;
        int status = load_high(loader, "module", image, end, top, &address);
        if (status)
            return status;
        if (string_bytes > MODULE_TEXT + TEXT_BYTES - text)
            return load_fail(loader, "%s: the modules' command lines are longer than %u bytes", image->path,
                             TEXT_BYTES);
        struct module module = { (uint32_t)address, (uint32_t)(address + image->size_bytes), (uint32_t)text, 0 };
        load_low(loader, LOW_LISTS + i * sizeof(module), &module, sizeof(module));
        load_low(loader, text, string, string_bytes);
        text += string_bytes;
        top = address;
    }
    information->mods_count = count;
    information->mods_addr = LOW_LISTS;
    return 0;
}

int load_multiboot(const struct loader *loader)
{
    const struct image *kernel = &loader->request->kernel;
    struct header header;
    size_t offset;
    uint64_t entry, end;
    if (!find_header(kernel, &header, &offset))
        return load_fail(loader, "%s: no Multiboot header in the first %u bytes", kernel->path, SEARCH_BYTES);
    if (header.flags & REQUIRED_BITS & ~(NEEDS_ALIGN | NEEDS_MEMORY))
        return load_fail(loader,
                         "%s: Multiboot flags 0x%x at offset %zu need more than page alignment and memory information",
                         kernel->path, header.flags, offset + 4);
    int status = header.flags & HAS_ADDRESSES ? load_by_addresses(loader, &header, offset, &entry, &end)
                                              : load_elf_segments(loader, 0, &entry, &end);
    if (status || (status = load_cmdline(loader, LOW_CMDLINE_MAX)))
        return status;
    if (entry > UINT32_MAX)
        return load_fail(loader, "%s: Multiboot entry 0x%" PRIx64 " lies above 4 GiB", kernel->path, entry);
    struct information information = { .flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MMAP | INFO_NAME,
                                       .mem_lower = LOW_END / 1024,
                                       .mem_upper = (uint32_t)((load_low_end(loader->board) - KERNEL_FLOOR) / 1024),
                                       .cmdline = LOW_CMDLINE,
                                       .mmap_addr = LOW_LISTS + 0x1000,
                                       .boot_loader_name = LOW_LISTS + 0x2000 };
    if ((status = place_modules(loader, end, &information)))
        return status;
    struct region regions[REGIONS_MAX];
    unsigned count = load_regions(loader->board, regions);
    for (unsigned i = 0; i < count; i++) {
        struct memory_map_entry row = { sizeof(row) - 4, regions[i].start, regions[i].bytes, regions[i].type };
        load_low(loader, information.mmap_addr + i * sizeof(row), &row, sizeof(row));
    }
    information.mmap_length = count * (uint32_t)sizeof(struct memory_map_entry);
    load_low(loader, information.boot_loader_name, "sim", 4);
    load_low(loader, LOW_BOOT_PARAMS, &information, sizeof(information));
    load_enter_protected_mode(loader, (uint32_t)entry);
    loader->cpu->gpr[RAX] = BOOT_MAGIC;
    loader->cpu->gpr[RBX] = LOW_BOOT_PARAMS;
    return 0;
}
