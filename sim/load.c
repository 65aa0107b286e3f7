/*
 * Loading: which loader an image needs, where things may lie in RAM, and the states in which a kernel is entered.
 */
#include "sim/load_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

int load_fail(const struct loader *loader, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(loader->error, LOAD_ERROR_BYTES, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

uint64_t load_low_end(const struct board *board)
{
    return board->ram.size_bytes < RAM_LOW_END ? board->ram.size_bytes : RAM_LOW_END;
}

unsigned load_regions(const struct board *board, struct region regions[REGIONS_MAX])
{
    unsigned count = 0;
    regions[count++] = (struct region){ 0, LOW_END, REGION_RAM };
    regions[count++] = (struct region){ LOW_END, 0xA0000 - LOW_END, REGION_RESERVED };
    regions[count++] = (struct region){ FIRMWARE_START, KERNEL_FLOOR - FIRMWARE_START, REGION_RESERVED };
    regions[count++] = (struct region){ KERNEL_FLOOR, load_low_end(board) - KERNEL_FLOOR, REGION_RAM };
    if (board->ram.size_bytes > RAM_LOW_END)
        regions[count++] = (struct region){ RAM_HIGH_START, board->ram.size_bytes - RAM_LOW_END, REGION_RAM };
    return count;
}

int load_check_range(const struct loader *loader, const char *what, uint64_t address, uint64_t size)
{
    struct region regions[REGIONS_MAX];
    unsigned count = load_regions(loader->board, regions);
    for (unsigned i = 0; i < count; i++) {
        const struct region *region = &regions[i];
        if (region->type == REGION_RAM && region->start >= KERNEL_FLOOR && address >= region->start &&
            size <= region->bytes && address - region->start <= region->bytes - size)
            return 0;
    }
    return load_fail(loader,
                     "%s: %s of %" PRIu64 " bytes at 0x%" PRIx64 " is not inside the machine's memory above 1 MiB",
                     loader->request->kernel.path, what, size, address);
}

int load_place(const struct loader *loader, const char *what, uint64_t address, const uint8_t *bytes, uint64_t size)
{
    int status = load_check_range(loader, what, address, size);
    if (status)
        return status;
    if (size)
        ram_write(&loader->board->ram, address, bytes, size);
    return 0;
}

void load_low(const struct loader *loader, uint64_t address, const void *bytes, uint64_t size)
{
    bool written = ram_write(&loader->board->ram, address, bytes, size);
    board_assert(loader->board, written && address + size <= LOW_END);
}

int load_cmdline(const struct loader *loader, uint64_t limit_bytes)
{
    const char *cmdline = loader->request->cmdline ? loader->request->cmdline : "";
    uint64_t length = strlen(cmdline);
    if (limit_bytes > LOW_CMDLINE_MAX - 1)
        limit_bytes = LOW_CMDLINE_MAX - 1;
    if (length > limit_bytes)
        return load_fail(loader, "command line of %" PRIu64 " bytes is longer than the kernel's limit of %" PRIu64,
                         length, limit_bytes);
    load_low(loader, LOW_CMDLINE, cmdline, length + 1);
    return 0;
}

int load_high(const struct loader *loader, const char *what, const struct image *image, uint64_t floor, uint64_t top,
              uint64_t *address)
{
    if (floor < KERNEL_FLOOR)
        floor = KERNEL_FLOOR;
    uint64_t room = top > floor ? top - floor : 0;
    if (image->size_bytes > room || ((top - image->size_bytes) & ~4095ull) < floor)
        return load_fail(loader, "%s: %s of %zu bytes does not fit between 0x%" PRIx64 " and 0x%" PRIx64, image->path,
                         what, image->size_bytes, floor, top);
    *address = (top - image->size_bytes) & ~4095ull;
    return load_place(loader, what, *address, image->bytes, image->size_bytes);
}

/* --- entry states --- */

#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18
#define SELECTOR_TSS  0x20

#define ATTRIBUTES_CODE64 (SEG_TYPE_CODE | SEG_TYPE_READABLE | SEG_TYPE_ACCESSED | SEG_S | SEG_P | SEG_L | SEG_G)
#define ATTRIBUTES_CODE32 (SEG_TYPE_CODE | SEG_TYPE_READABLE | SEG_TYPE_ACCESSED | SEG_S | SEG_P | SEG_DB | SEG_G)
#define ATTRIBUTES_DATA   (SEG_TYPE_WRITABLE | SEG_TYPE_ACCESSED | SEG_S | SEG_P | SEG_DB | SEG_G)
#define ATTRIBUTES_TSS    (11u | SEG_P)

/* A descriptor with base 0 and limit 4 GiB or, without G, 67H (SDM vol. 3A, figure 3-8). */
static uint64_t descriptor(uint32_t attributes)
{
    uint64_t limit = attributes & SEG_G ? 0x000F00000000FFFFull : 0x67;
    return limit | (uint64_t)(attributes & 0xF0FF) << 40;
}

static void set_segments(const struct loader *loader, uint32_t code_attributes)
{
    struct cpu *cpu = loader->cpu;
    uint64_t gdt[6] = { 0, 0, descriptor(code_attributes), descriptor(ATTRIBUTES_DATA), descriptor(ATTRIBUTES_TSS), 0 };
    load_low(loader, LOW_GDT, gdt, sizeof(gdt));
    cpu->gdtr = (struct table_register){ .base = LOW_GDT, .limit = sizeof(gdt) - 1 };
    cpu->idtr = (struct table_register){ .base = 0, .limit = 0 };
    for (unsigned i = ES; i <= GS; i++)
        cpu->segment[i] =
            (struct segment){ .limit = UINT32_MAX, .attributes = ATTRIBUTES_DATA, .selector = SELECTOR_DATA };
    cpu->segment[CS] =
        (struct segment){ .limit = UINT32_MAX, .attributes = code_attributes, .selector = SELECTOR_CODE };
    cpu->ldtr = (struct segment){ .attributes = SEG_UNUSABLE };
    cpu->tr = (struct segment){ .limit = 0x67, .attributes = ATTRIBUTES_TSS, .selector = SELECTOR_TSS };
    cpu->cpl = 0;
    cpu->rflags = FLAGS_FIXED;
    cpu->gpr[RSP] = LOW_STACK_TOP;
}

void load_enter_long_mode(const struct loader *loader, uint64_t entry)
{
    struct cpu *cpu = loader->cpu;
    uint64_t table[512] = { 0 };
    table[0] = (LOW_PAGE_TABLES + 0x1000) | 3; /* P, RW */
    load_low(loader, LOW_PAGE_TABLES, table, sizeof(table));
    for (unsigned i = 0; i < 4; i++)
        table[i] = (LOW_PAGE_TABLES + 0x2000 + i * 0x1000) | 3;
    load_low(loader, LOW_PAGE_TABLES + 0x1000, table, sizeof(table));
    for (unsigned directory = 0; directory < 4; directory++) {
        for (unsigned i = 0; i < 512; i++)
            table[i] = ((uint64_t)directory << 30 | (uint64_t)i << 21) | 0x83; /* P, RW, PS: 2 MiB */
        load_low(loader, LOW_PAGE_TABLES + 0x2000 + directory * 0x1000, table, sizeof(table));
    }
    set_segments(loader, ATTRIBUTES_CODE64);
    cpu->cr3 = LOW_PAGE_TABLES;
    cpu->cr4 = CR4_PAE;
    cpu->efer = EFER_LME | EFER_LMA;
    cpu->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
    cpu->gpr[GPR_RIP] = entry;
    cpu_update_mode(cpu);
}

void load_enter_protected_mode(const struct loader *loader, uint32_t entry)
{
    struct cpu *cpu = loader->cpu;
    set_segments(loader, ATTRIBUTES_CODE32);
    cpu->cr0 = CR0_PE | CR0_ET;
    cpu->cr4 = 0;
    cpu->efer = 0;
    cpu->gpr[GPR_RIP] = entry;
    cpu_update_mode(cpu);
}

/* --- kinds of images --- */

static int load_flat(const struct loader *loader)
{
    const struct image *kernel = &loader->request->kernel;
    int status = load_place(loader, "flat image", FLAT_ADDRESS, kernel->bytes, kernel->size_bytes);
    if (status)
        return status;
    load_enter_long_mode(loader, FLAT_ADDRESS);
    return 0;
}

/* What the entry has no place for is refused: a guest that silently lacks its initrd is hard to understand. */
static int load_refuse_extras(const struct loader *loader, bool takes_initrd, bool takes_modules)
{
    const struct load_request *request = loader->request;
    if (request->initrd.bytes && !takes_initrd)
        return load_fail(loader, "%s: a flat image takes no initrd", request->kernel.path);
    if (request->module_count && !takes_modules)
        return load_fail(loader, "%s: this entry takes no modules: multiboot and pvh do", request->kernel.path);
    return 0;
}

int load_kernel(struct board *board, struct cpu *cpu, const struct load_request *request, char error[LOAD_ERROR_BYTES])
{
    struct loader loader = { board, cpu, request, error };
    const struct image *kernel = &request->kernel;
    if (kernel->size_bytes == 0)
        return load_fail(&loader, "%s: empty file, expected a kernel image", kernel->path);
    switch (request->entry) {
    case LOAD_FLAT:
        return load_refuse_extras(&loader, false, false) ? -EINVAL : load_flat(&loader);
    case LOAD_PVH:
        return load_elf_pvh(&loader);
    case LOAD_LINUX64:
        return load_refuse_extras(&loader, true, false) ? -EINVAL : load_elf_linux64(&loader);
    case LOAD_MULTIBOOT:
        return load_multiboot(&loader);
    case LOAD_AUTO:
        break;
    }
    if (load_is_bzimage(kernel))
        return load_refuse_extras(&loader, true, false) ? -EINVAL : load_bzimage(&loader);
    if (load_is_multiboot(kernel))
        return load_multiboot(&loader);
    if (load_is_elf(kernel))
        return load_refuse_extras(&loader, true, false) ? -EINVAL : load_elf_linux64(&loader);
    return load_fail(&loader,
                     "%s: no known kernel format at offset 0: expected a bzImage (HdrS at 0x202), an ELF file or a "
                     "Multiboot header; raw code needs --entry flat",
                     kernel->path);
}
