/*
 * The machine under the n-body microkernel: paging with 4 KiB pages and W^X, descriptor tables, vector extensions by
 * CPUID, the 8259 pair and the PIT, interrupts. After SDM vol. 3; the ports are those of the PC.
 */
#include "kernel.h"

#define PRESENT    1ull
#define WRITABLE   2ull
#define USER       4ull
#define NO_EXECUTE (1ull << 63)

#define CR0_MP (1ull << 1)
#define CR0_EM (1ull << 2)
#define CR0_TS (1ull << 3)
#define CR0_NE (1ull << 5)

#define CR4_OSFXSR     (1ull << 9)
#define CR4_OSXMMEXCPT (1ull << 10)
#define CR4_UMIP       (1ull << 11)
#define CR4_OSXSAVE    (1ull << 18)
#define CR4_SMEP       (1ull << 20)
#define CR4_SMAP       (1ull << 21)

#define XCR0_AVX    0x07u
#define XCR0_AVX512 0xE7u

#define VECTOR_IRQ  32
#define VECTOR_USER 0x80

#define PAGE         4096ull
#define MAPPED_BYTES (4ull << 20)

extern const uint8_t text_start[], rodata_start[], data_start[], user_text_start[], user_data_start[], user_end[];

static uint64_t pml4[512] __attribute__((aligned(4096))), pdpt[512] __attribute__((aligned(4096)));
static uint64_t directory[512] __attribute__((aligned(4096))), tables[2][512] __attribute__((aligned(4096)));

struct descriptor_register {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));
struct gate {
    uint16_t offset_low, selector;
    uint8_t stack, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};
static struct gate idt[VECTOR_USER + 1];
static uint32_t tss[26];
static uint64_t gdt[] = {
    0,
    0x00209B0000000000, /* 08 code */
    0x0000930000000000, /* 10 data */
    0x0000F30000000000, /* 18 data of CPL 3 */
    0x0020FB0000000000, /* 20 code of CPL 3 */
    0,                  /* 28 TSS, two entries */
    0,
};

static struct features here;
static volatile uint64_t ticks;
static uint8_t vector_area[4096] __attribute__((aligned(64)));

/* In the pages of CPL 3, as the linker script knows them. */
__attribute__((section(".user_data"))) static uint8_t user_stack[4096] __attribute__((aligned(16)));

#define READ_CR(n, value) __asm__ volatile("mov %%cr" #n ", %0" : "=r"(value))
#define LOAD_CR(n, value) __asm__ volatile("mov %0, %%cr" #n : : "r"(value) : "memory")

static void cpuid(uint32_t leaf, uint32_t registers[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(registers[0]), "=b"(registers[1]), "=c"(registers[2]), "=d"(registers[3])
                     : "a"(leaf), "c"(0));
}

void machine_end(uint8_t code)
{
    out8(0xF4, code);
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* --- paging --- */

static void map(const uint8_t *from, const uint8_t *to, uint64_t rights)
{
    for (uint64_t page = (uint64_t)from; page < (uint64_t)to; page += PAGE)
        tables[page >> 21][page >> 12 & 511] = page | rights | PRESENT;
}

/* Gives the pages of the variants to CPL 3, or takes them back. */
static void give_user_pages(bool user)
{
    map(user_text_start, user_data_start, user ? USER : 0);
    map(user_data_start, user_end, (user ? USER : 0) | WRITABLE | NO_EXECUTE);
    LOAD_CR(3, (uint64_t)pml4);
}

static void start_paging(void)
{
    pml4[0] = (uint64_t)pdpt | PRESENT | WRITABLE | USER;
    pdpt[0] = (uint64_t)directory | PRESENT | WRITABLE | USER;
    for (unsigned i = 0; i < 2; i++)
        directory[i] = (uint64_t)tables[i] | PRESENT | WRITABLE | USER;
    map(text_start, rodata_start, 0);
    map(rodata_start, data_start, NO_EXECUTE);
    map(data_start, user_text_start, WRITABLE | NO_EXECUTE);
    give_user_pages(false);
    if ((uint64_t)user_end > MAPPED_BYTES) {
        print("FAIL the kernel is too big for its page tables\n");
        machine_end(1);
    }
}

/* --- descriptor tables --- */

static void set_gate(unsigned vector, uint64_t offset, unsigned dpl)
{
    idt[vector] = (struct gate){ .offset_low = (uint16_t)offset,
                                 .selector = 8,
                                 .type = (uint8_t)(0x8E | dpl << 5),
                                 .offset_middle = (uint16_t)(offset >> 16),
                                 .offset_high = (uint32_t)(offset >> 32) };
}

static void start_descriptors(void)
{
    uint64_t base = (uint64_t)tss;
    tss[25] = sizeof(tss) << 16; /* no I/O permission bitmap */
    gdt[5] = (sizeof(tss) - 1) | (base & 0xFFFFFF) << 16 | 0x89ull << 40 | (base >> 24 & 0xFF) << 56;
    gdt[6] = base >> 32;
    for (unsigned i = 0; i < 48; i++)
        set_gate(i, stubs[i], 0);
    set_gate(VECTOR_USER, (uint64_t)user_left, 3);
    const struct descriptor_register gdtr = { sizeof(gdt) - 1, (uint64_t)gdt },
                                     idtr = { sizeof(idt) - 1, (uint64_t)idt };
    __asm__ volatile("lgdt %0; lidt %1; ltr %w2" : : "m"(gdtr), "m"(idtr), "r"(0x28));
}

/* --- vector extensions --- */

static void start_extensions(void)
{
    uint32_t leaf[4], limit, one_c, seven_b = 0, seven_c = 0, states = 0;
    cpuid(0, leaf);
    limit = leaf[0];
    cpuid(1, leaf);
    one_c = leaf[2];
    if (limit >= 7) {
        cpuid(7, leaf);
        seven_b = leaf[1];
        seven_c = leaf[2];
    }
    here.xsave = one_c >> 26 & 1;
    here.smep = seven_b >> 7 & 1;
    here.smap = seven_b >> 20 & 1;
    here.umip = seven_c >> 2 & 1;

    uint64_t cr0, cr4;
    READ_CR(0, cr0);
    LOAD_CR(0, (cr0 & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
    READ_CR(4, cr4);
    LOAD_CR(4, cr4 | CR4_OSFXSR | CR4_OSXMMEXCPT | (here.xsave ? CR4_OSXSAVE : 0) | (here.smep ? CR4_SMEP : 0) |
                   (here.smap ? CR4_SMAP : 0) | (here.umip ? CR4_UMIP : 0));
    if (here.xsave) {
        cpuid(13, leaf);
        states = leaf[0] & XCR0_AVX512;
        if ((states & XCR0_AVX512) != XCR0_AVX512)
            states &= XCR0_AVX;
        __asm__ volatile("xsetbv" : : "a"(states), "d"(0), "c"(0));
        cpuid(13, leaf);
        if (leaf[1] > sizeof(vector_area)) {
            print("FAIL the vector state is too big\n");
            machine_end(1);
        }
    }
    const bool fma = one_c >> 12 & 1, avx = one_c >> 28 & 1, avx2 = seven_b >> 5 & 1, avx512f = seven_b >> 16 & 1;
    if (fma && avx && avx2 && (states & XCR0_AVX) == XCR0_AVX)
        here.level = avx512f && states == XCR0_AVX512 ? LEVEL_AVX512 : LEVEL_AVX2;
}

void machine_reset_fp(void)
{
    const uint32_t mxcsr = 0x1F80;
    __asm__ volatile("fninit; ldmxcsr %0" : : "m"(mxcsr));
}

/* --- interrupts --- */

static void start_tick(uint16_t divisor)
{
    static const uint16_t bytes[][2] = {
        { 0x20, 0x11 },       { 0xA0, 0x11 }, /* ICW1: edge, cascade, ICW4 */
        { 0x21, VECTOR_IRQ }, { 0xA1, VECTOR_IRQ + 8 }, { 0x21, 4 }, { 0xA1, 2 }, { 0x21, 1 },
        { 0xA1, 1 },          { 0x43, 0x34 }, /* channel 0, both bytes, mode 2 */
    };
    for (unsigned i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++)
        out8(bytes[i][0], (uint8_t)bytes[i][1]);
    out8(0x40, (uint8_t)divisor);
    out8(0x40, (uint8_t)(divisor >> 8));
    out8(0x21, divisor ? 0xFE : 0xFF);
    out8(0xA1, 0xFF);
}

static void fail(const struct interrupt_frame *frame)
{
    uint64_t cr2;
    READ_CR(2, cr2);
    print("FAIL exception ");
    print_unsigned(frame->vector);
    print(" error ");
    print_hex(frame->error);
    print(" rip ");
    print_hex(frame->rip);
    print(" cs ");
    print_hex(frame->cs);
    print(" cr2 ");
    print_hex(cr2);
    print("\n");
    machine_end(1);
}

void interrupt(const struct interrupt_frame *frame);
void interrupt(const struct interrupt_frame *frame)
{
    if (frame->vector != VECTOR_IRQ)
        fail(frame);
    ticks++;
    vectors_save(vector_area, here.xsave);
    vectors_clobber(here.level);
    vectors_restore(vector_area, here.xsave);
    out8(0x20, 0x20);
}

uint64_t machine_ticks(void)
{
    return ticks;
}

/* --- all together --- */

void machine_start(struct features *features, uint16_t divisor)
{
    start_paging();
    start_descriptors();
    start_extensions();
    *features = here;
    start_tick(divisor);
    __asm__ volatile("sti");
}

void machine_user_call(void (*function)(uint64_t), struct report *report)
{
    uint8_t *stack = user_stack + sizeof(user_stack) - 8;
    *(uint64_t *)(void *)stack = (uint64_t)user_return;
    give_user_pages(true);
    user_call(function, report, stack, tss + 1);
    give_user_pages(false);
}
