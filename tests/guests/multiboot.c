/*
 * A Multiboot 1 kernel as ELF32 (specification 0.6.96): prints what the loader passes, that is its name, the command
 * line, the memory map and the modules, and checks what can be checked. Ends with debug-exit code 0, or 1 if a check
 * failed. Built freestanding for 32 bits; tests/guests/multiboot.expected is its output.
 */
#include <stdint.h>

#define HEADER_MAGIC 0x1BADB002u
#define HEADER_FLAGS 3u /* modules on page boundaries, memory information */
#define BOOT_MAGIC   0x2BADB002u

#define INFO_MEMORY  (1u << 0)
#define INFO_CMDLINE (1u << 2)
#define INFO_MODULES (1u << 3)
#define INFO_MMAP    (1u << 6)
#define INFO_NAME    (1u << 9)

__attribute__((section(".multiboot"), used)) static const uint32_t header[3] = { HEADER_MAGIC, HEADER_FLAGS,
                                                                                 -(HEADER_MAGIC + HEADER_FLAGS) };

struct information {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length, mmap_addr;
    uint32_t drives_length, drives_addr, config_table, boot_loader_name;
};
struct module {
    uint32_t start, end, string, reserved;
};
struct memory_map_entry {
    uint32_t size; /* of the rest */
    uint64_t start, bytes;
    uint32_t type;
} __attribute__((packed));

__asm__(".section .text\n"
        ".globl _start\n"
        "_start:\n"
        "    mov $stack + 16384, %esp\n"
        "    push $0\n"
        "    popf\n"
        "    push %ebx\n"
        "    push %eax\n"
        "    call kernel\n"
        "    hlt\n");

__attribute__((used)) static uint8_t stack[16384] __attribute__((aligned(16)));
static uint32_t zeroed[4096]; /* .bss: the loader clears it */
static uint32_t initialised = 0x12345678;

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void print(const char *text)
{
    while (*text)
        out8(0x3F8, (uint8_t)*text++);
}

static void print_hex(uint64_t value, int digits)
{
    while (digits-- > 0)
        out8(0x3F8, (uint8_t)"0123456789abcdef"[value >> (4 * digits) & 15]);
}

static void check(int holds, const char *what)
{
    if (holds)
        return;
    print("FAIL ");
    print(what);
    print("\n");
    out8(0xF4, 1);
    for (;;)
        __asm__ volatile("cli; hlt");
}

static void print_map(const struct information *information)
{
    uint64_t end = 0;
    for (uint32_t at = information->mmap_addr; at < information->mmap_addr + information->mmap_length;) {
        const struct memory_map_entry *entry = (const void *)(uintptr_t)at;
        print("memory ");
        print_hex(entry->start, 10);
        print(" ");
        print_hex(entry->bytes, 10);
        print(entry->type == 1 ? " ram\n" : " reserved\n");
        check(entry->size >= 20 && entry->bytes > 0, "size of a row of the memory map");
        check(entry->start >= end, "order of the memory map");
        end = entry->start + entry->bytes;
        at += entry->size + 4;
    }
}

static void print_modules(const struct information *information)
{
    const struct module *module = (const void *)(uintptr_t)information->mods_addr;
    for (uint32_t i = 0; i < information->mods_count; i++, module++) {
        print("module ");
        print((const char *)(uintptr_t)module->string);
        print(" ");
        print_hex(module->end - module->start, 4);
        print(": ");
        for (const char *c = (const char *)(uintptr_t)module->start; c < (const char *)(uintptr_t)module->end; c++)
            out8(0x3F8, (uint8_t)*c);
        check(!(module->start & 0xFFF), "a module starts on a page");
        check(module->start >= (uintptr_t)zeroed + sizeof(zeroed), "a module lies above the kernel");
    }
}

__attribute__((used)) static void kernel(uint32_t magic, const struct information *information)
{
    check(magic == BOOT_MAGIC, "magic in EAX");
    check(initialised == 0x12345678, ".data");
    for (unsigned i = 0; i < sizeof(zeroed) / sizeof(zeroed[0]); i++)
        check(zeroed[i] == 0, ".bss");
    check((~information->flags & (INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MMAP)) == 0, "flags");
    if (information->flags & INFO_NAME) {
        print("loader ");
        print((const char *)(uintptr_t)information->boot_loader_name);
        print("\n");
    }
    print("command line ");
    print((const char *)(uintptr_t)information->cmdline);
    print("\nlower ");
    print_hex(information->mem_lower, 8);
    print(" upper ");
    print_hex(information->mem_upper, 8);
    print(" KiB\n");
    print_map(information);
    print_modules(information);
    out8(0xF4, 0);
    for (;;)
        __asm__ volatile("cli; hlt");
}
