/*
 * The guests of the target "executor" (guest.h): descriptor tables, page tables, stubs, registers.
 */
#include "fuzz/guest.h"
#include "fuzz/fuzz.h"

#include "cpu/debug.h"
#include "cpu/flags.h"
#include "cpu/mem.h"

#include <string.h>

#define INPUT_CODE_MAX 1024u

enum {
    GDT = 0x1000,
    IDT = 0x2000,
    TSS = 0x3000,
    TABLES = 0x4000, /* PML4, PDPT, PD, PT, PD of the fourth GiB; or PD, PT */
    STUBS = 0x8000,
    KERNEL_STACK = 0x9F00,
    CODE = 0x10000,
    DATA = 0x20000,
    DATA_BYTES = 0x4000,
    USER_STACK = 0x2FF00,
    ALIAS = 0x30000,
    TABLE_ALIAS = 0x32000,
};
enum {
    CODE0 = 0x08,
    DATA0 = 0x10,
    CODE3 = 0x1B,
    DATA3 = 0x23,
    TSS_SELECTOR = 0x28, /* 16 bytes */
    LONG0 = 0x38,
    LONG3 = 0x43,
    CODE_16 = 0x48,
    DATA_16 = 0x50,
};

void guest_parse(struct guest *guest, const uint8_t *data, size_t size)
{
    memset(guest, 0, sizeof(*guest));
    guest->mode = data[0] % GUEST_MODES;
    guest->model = data[1];
    guest->control = data[2];
    guest->flags = data[3];
    guest->memory = data[4];
    guest->offset = data[5];
    guest->floating = data[6];
    guest->cycles = 16u + data[7];
    for (unsigned i = 0; i < 8; i++)
        guest->seed |= (uint64_t)data[8 + i] << 8 * i;
    guest->code = data + GUEST_HEADER_BYTES;
    guest->code_bytes =
        (unsigned)(size - GUEST_HEADER_BYTES < INPUT_CODE_MAX ? size - GUEST_HEADER_BYTES : INPUT_CODE_MAX);
}

static bool is_long(const struct guest *guest)
{
    return guest->mode >= GUEST_COMPATIBLE;
}
static bool is_user(const struct guest *guest)
{
    return guest->mode == GUEST_USER32 || guest->mode == GUEST_COMPATIBLE || guest->mode == GUEST_LONG_USER;
}
/* Code at CS:0 with base CODE; else CS is flat. */
static bool is_16_bit(const struct guest *guest)
{
    return guest->mode <= GUEST_PROTECTED16;
}

static void poke(struct bench *bench, uint64_t at, uint64_t value, unsigned bytes)
{
    ram_write(&bench->board->ram, at, &value, bytes);
}

/* --- tables --- */

static uint64_t descriptor(uint64_t base, uint64_t limit, uint64_t attributes)
{
    return (limit & 0xFFFF) | (base & 0xFFFFFF) << 16 | attributes << 40 | (limit >> 16 & 15) << 48 |
           (base >> 24 & 0xFF) << 56;
}

static void set_gdt(const struct guest *guest, struct bench *bench)
{
    const uint64_t gdt[] = {
        0,
        descriptor(0, 0xFFFFF, 0xC09B),
        descriptor(0, 0xFFFFF, 0xC093),
        descriptor(0, 0xFFFFF, 0xC0FB),
        descriptor(0, 0xFFFFF, 0xC0F3),
        descriptor(TSS, 0x1FF, 0x8B),
        0,
        descriptor(0, 0xFFFFF, 0xA09A), /* not accessed yet */
        descriptor(0, 0xFFFFF, 0xA0FB),
        descriptor(CODE, 0xFFFF, 0x009A),
        descriptor(DATA, 0xFFFF, 0x0092),
        descriptor(CODE, 0x1FFF, 0x40FE),                                          /* 58: conforming code */
        descriptor(DATA, 0x0FFF, 0x40F7),                                          /* 60: expand-down data */
        descriptor(DATA, 0x3FFF, 0x4072),                                          /* 68: absent */
        descriptor(GDT, 0xFF, 0x82),                                               /* 70: an LDT */
        CODE | (uint64_t)(is_long(guest) ? LONG0 : CODE0) << 16 | 0xEC00ull << 32, /* 78: call gate */
        0,
        descriptor(TSS + 0x800, 0x1FF, 0x89), /* 88: another TSS */
        0,
        (uint64_t)0x88 << 16 | 0xE500ull << 32, /* 98: a task gate */
    };
    ram_write(&bench->board->ram, GDT, gdt, sizeof(gdt));
    bench->cpu->gdtr = (struct table_register){ .base = GDT, .limit = sizeof(gdt) - 1 };
}

static bool has_error_code(unsigned vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 ||
           vector == 30;
}

/*
 * Stubs: plain return; step over a byte and return; the same with an error code. A return address outside of the low
 * megabyte's code is replaced by the code's start.
 */
static void set_stubs(const struct guest *guest, struct bench *bench)
{
    static const uint8_t real[] = { 0x55, 0x89, 0xE5, 0xFF, 0x46, 0x02, 0x5D, 0xCF };
    static const uint8_t protected[] = { 0x83, 0xC4, 0x04, 0x81, 0x3C, 0x24, 0x00, 0x20, 0x01, 0x00, 0x72, 0x07,
                                         0xC7, 0x04, 0x24, 0x00, 0x00, 0x01, 0x00, 0xFF, 0x04, 0x24, 0xCF };
    static const uint8_t wide[] = {
        0x48, 0x83, 0xC4, 0x08, 0x48, 0x81, 0x3C, 0x24, 0x00, 0x20, 0x01, 0x00, 0x72, 0x08,
        0x48, 0xC7, 0x04, 0x24, 0x00, 0x00, 0x01, 0x00, 0x48, 0xFF, 0x04, 0x24, 0x48, 0xCF
    };
    /* push eax; mov dword [FEE000B0h], 0; mov al, 20h; out 20h, al; out 0A0h, al; pop eax; iret */
    static const uint8_t acknowledging[] = { 0x50, 0xC7, 0x05, 0xB0, 0x00, 0xE0, 0xFE, 0x00, 0x00, 0x00,
                                             0x00, 0xB0, 0x20, 0xE6, 0x20, 0xE6, 0xA0, 0x58, 0xCF };
    struct ram *ram = &bench->board->ram;

    ram_write(ram, STUBS, real, sizeof(real));
    ram_write(ram, STUBS + 0x10, "\xCF", 1);
    ram_write(ram, STUBS + 0x100, protected, sizeof(protected));
    ram_write(ram, STUBS + 0x140, protected + 3, sizeof(protected) - 3);
    ram_write(ram, STUBS + 0x180, "\xCF", 1);
    if (guest->acknowledges)
        ram_write(ram, STUBS + 0x180, acknowledging, sizeof(acknowledging));
    ram_write(ram, STUBS + 0x200, wide, sizeof(wide));
    ram_write(ram, STUBS + 0x240, wide + 4, sizeof(wide) - 4);
    ram_write(ram, STUBS + 0x280, "\x48\xCF", 2);
}

static void set_idt(const struct guest *guest, struct bench *bench)
{
    uint64_t gates[512] = { 0 };
    uint32_t vectors[256];
    unsigned per_gate = is_long(guest) ? 2 : 1;

    set_stubs(guest, bench);
    for (unsigned vector = 0; vector < 256; vector++) {
        unsigned stub = STUBS + (is_long(guest) ? 0x200 : 0x100) +
                        (vector >= 32             ? 0x80
                         : has_error_code(vector) ? 0
                                                  : 0x40);
        uint64_t access = vector == 3 || vector == 4 || vector >= 32 ? 0xEE : 0x8E;
        uint64_t selector = is_long(guest) ? LONG0 : CODE0;
        gates[vector * per_gate] = (stub & 0xFFFF) | selector << 16 | access << 40 | (uint64_t)(stub >> 16) << 48;
        vectors[vector] = (uint32_t)(STUBS >> 4) << 16 | (vector >= 32 ? 0x10 : 0);
    }
    ram_write(&bench->board->ram, IDT, gates, per_gate * 2048);
    ram_write(&bench->board->ram, 0, vectors, sizeof(vectors)); /* real mode's */
    bench->cpu->idtr = guest->mode == GUEST_REAL
                           ? (struct table_register){ .base = 0, .limit = 0x3FF }
                           : (struct table_register){ .base = IDT, .limit = (uint16_t)(per_gate * 2048 - 1) };
}

static void set_tss(const struct guest *guest, struct bench *bench)
{
    if (is_long(guest)) {
        poke(bench, TSS + 4, KERNEL_STACK, 8);
        poke(bench, TSS + 0x24, KERNEL_STACK - 0x400, 8);
    } else {
        poke(bench, TSS + 4, KERNEL_STACK, 4);
        poke(bench, TSS + 8, DATA0, 4);
    }
    poke(bench, TSS + 0x66, 0x68, 2); /* the I/O map: zeros, then ones */
    poke(bench, TSS + 0x80, UINT64_MAX, 8);
    bench->cpu->tr =
        (struct segment){ .base = TSS, .limit = 0x1FF, .attributes = SEG_P | 11, .selector = TSS_SELECTOR };
}

/* --- paging --- */

/* What a page table says of one page of the low 2 MiB, as bits of an entry; NX is bit 63. */
static uint64_t page_entry(const struct guest *guest, uint64_t page)
{
    uint64_t at = page << 12, entry = at | 7;
    bool user = is_user(guest);

    if (at == DATA + 0x1000 && guest->memory & 1)
        entry &= ~2ull;
    if (at == DATA + 0x2000 && guest->memory & 2)
        entry &= ~1ull;
    if (at == CODE + 0x1000 && guest->memory & 16)
        entry &= ~1ull;
    if (at == DATA + 0x3000 && guest->memory & 8)
        entry |= 1ull << 63;
    if (at == ALIAS || at == ALIAS + 0x1000)
        entry = (at - ALIAS + CODE) | 7;
    if (at == TABLE_ALIAS)
        entry = (TABLES + 0x3000) | 7;
    bool users = at >= CODE && at != TABLE_ALIAS;
    if (at == DATA + 0x3000 && guest->memory & 4)
        user = !user;
    if (!user || !users)
        entry &= ~4ull;
    return entry;
}

static void set_page_tables(const struct guest *guest, struct bench *bench)
{
    struct ram *ram = &bench->board->ram;
    unsigned pt = TABLES + 0x3000;
    uint64_t user = is_user(guest) ? 4 : 0;

    if (guest->mode == GUEST_PAGED32) {
        uint32_t table[1024];
        for (unsigned i = 0; i < 1024; i++)
            table[i] = i < 512 ? (uint32_t)page_entry(guest, i) : 0;
        ram_write(ram, pt, table, sizeof(table));
        poke(bench, TABLES, pt | 7, 4);
        poke(bench, TABLES + 4, 0x83 | user, 4);
        poke(bench, TABLES + 0x3FB * 4, 0xFEC00093 | user, 4);
        return;
    }
    uint64_t table[512];
    for (unsigned i = 0; i < 512; i++)
        table[i] = page_entry(guest, i);
    ram_write(ram, pt, table, sizeof(table));
    uint64_t pdpt_flags = guest->mode == GUEST_PAE ? 1 : 7;
    poke(bench, TABLES, (TABLES + 0x1000) | 7, 8);
    poke(bench, TABLES + 0x1000, (TABLES + 0x2000) | pdpt_flags, 8);
    poke(bench, TABLES + 0x1000 + 3 * 8, 0xB000 | pdpt_flags, 8);
    poke(bench, TABLES + 0x2000, pt | 7, 8);
    poke(bench, TABLES + 0x2000 + 8, 0x83 | user, 8);
    poke(bench, 0xB000 + 0x1F7 * 8, 0xFEE00093 | user, 8);
    bench->cpu->pdpte[0] = (TABLES + 0x2000) | 1;
    bench->cpu->pdpte[3] = 0xB000 | 1;
}

/* --- registers --- */

static void set_control(const struct guest *guest, struct bench *bench)
{
    struct cpu *cpu = bench->cpu;
    const struct cpu_model *model = cpu->model;
    unsigned control = guest->control;
    bool paged = guest->mode >= GUEST_PAGED32;

    cpu->cr0 = CR0_ET | CR0_NE | CR0_MP | (guest->mode == GUEST_REAL ? 0 : CR0_PE) | (paged ? CR0_PG : 0) |
               (control & 1 ? CR0_TS : 0) | (control & 2 ? CR0_EM : 0) | (control & 32 ? CR0_AM : 0) |
               (control & 64 ? CR0_WP : 0);
    cpu->cr4 = CR4_DE | (guest->mode == GUEST_PAGED32 ? CR4_PSE : CR4_PAE) | (control & 4 ? 0 : CR4_OSFXSR) |
               (control & 16 ? 0 : CR4_OSXMMEXCPT);
    if (control & 8)
        cpu->cr4 |= CR4_OSXSAVE & model->cr4_valid;
    if (control & 128)
        cpu->cr4 |= (CR4_UMIP | CR4_SMEP | CR4_SMAP | CR4_TSD | CR4_PKE | CR4_FSGSBASE) & model->cr4_valid;
    if (cpu->cr4 & CR4_OSXSAVE)
        cpu->xcr0 = model->xcr0_valid | 1;
    cpu->efer = EFER_SCE | (model->efer_valid & EFER_NXE) | (is_long(guest) ? EFER_LME | EFER_LMA : 0);
    cpu->cr3 = guest->mode == GUEST_PAE ? TABLES + 0x1000 : TABLES;
    cpu->rflags = FLAGS_FIXED | (guest->flags & 1 ? FLAG_TF : 0) | (guest->flags & 2 ? FLAG_IF : 0) |
                  (guest->flags & 4 ? FLAG_AC : 0) | (guest->flags & 8 ? FLAG_DF : 0) |
                  (guest->flags & 16 ? FLAG_NT : 0) | (guest->flags & 32 ? FLAG_IOPL : 0) |
                  (guest->flags & 128 ? FLAG_VIF : 0) | (guest->mode == GUEST_VM86 ? FLAG_VM : 0);
    if (guest->flags & 64) {
        cpu->dr[0] = DATA + 0x40;
        cpu->dr[1] = CODE + 0x10;
        cpu->dr7 = 0x000D040A; /* local and global 0: 4 bytes, read and write; global 1: execution */
    }
}

static struct segment flat(uint16_t selector, unsigned attributes)
{
    return (struct segment){ .limit = UINT32_MAX, .attributes = attributes, .selector = selector };
}

static void set_segments(const struct guest *guest, struct bench *bench)
{
    struct cpu *cpu = bench->cpu;
    unsigned dpl = is_user(guest) ? 3u << 5 : 0;
    struct segment code = flat(is_user(guest) ? CODE3 : CODE0, 0xC09B | dpl);
    struct segment data = flat(is_user(guest) ? DATA3 : DATA0, 0xC093 | dpl);

    if (guest->mode == GUEST_LONG || guest->mode == GUEST_LONG_USER)
        code = flat(is_user(guest) ? LONG3 : LONG0, 0xA09B | dpl);
    if (guest->mode == GUEST_REAL || guest->mode == GUEST_VM86) {
        unsigned attributes = guest->mode == GUEST_VM86 ? 0xF3 : 0x93;
        code = (struct segment){ .base = CODE, .limit = 0xFFFF, .attributes = attributes, .selector = CODE >> 4 };
        data = (struct segment){ .base = DATA, .limit = 0xFFFF, .attributes = attributes, .selector = DATA >> 4 };
    }
    if (guest->mode == GUEST_PROTECTED16) {
        code = (struct segment){ .base = CODE, .limit = 0xFFFF, .attributes = 0x9B, .selector = CODE_16 };
        data = (struct segment){ .base = DATA, .limit = 0xFFFF, .attributes = 0x93, .selector = DATA_16 };
    }
    for (unsigned seg = ES; seg <= GS; seg++)
        cpu->segment[seg] = seg == CS ? code : data;
    if (guest->memory & 64 && guest->mode != GUEST_REAL && guest->mode != GUEST_VM86) {
        cpu->segment[DS].limit = is_16_bit(guest) ? 0x2FFF : DATA + 0x2FFF;
        cpu->segment[ES] = (struct segment){ .attributes = SEG_UNUSABLE };
        cpu->segment[CS].limit = is_16_bit(guest) ? 0x1100 : CODE + 0x1100;
    }
    if (!is_16_bit(guest)) {
        cpu->segment[FS].base = DATA;
        cpu->segment[GS].base = DATA + 0x1FF8;
    }
    cpu->cpl = guest->mode == GUEST_VM86 || is_user(guest) ? 3 : 0;
}

static uint64_t number(struct fuzz_random *random)
{
    static const uint64_t edges[] = { 0,
                                      1,
                                      UINT64_MAX,
                                      0x7F,
                                      0x80,
                                      0xFF,
                                      0x7FFF,
                                      0x8000,
                                      0xFFFF,
                                      INT32_MAX,
                                      0x80000000,
                                      UINT32_MAX,
                                      INT64_MAX,
                                      1ull << 63,
                                      0x3FF0000000000000,
                                      0x3F800000,
                                      0x7FF0000000000000,
                                      0x7FF0000000000001,
                                      0x7FF8000000000000,
                                      0xFFF8000000000001,
                                      0x7F800000,
                                      0x7F800001,
                                      0xFFC00000,
                                      0x000FFFFFFFFFFFFF,
                                      0x0010000000000000,
                                      0x007FFFFF,
                                      0x00800000,
                                      0x7FEFFFFFFFFFFFFF,
                                      0x43E0000000000000,
                                      0xC3E0000000000000,
                                      0x4330000000000001,
                                      0x0000800000000000 };
    uint64_t value = fuzz_draw(random);

    switch (fuzz_below(random, 4)) {
    case 0:
        return edges[value % (sizeof(edges) / sizeof(edges[0]))];
    case 1:
        return edges[value % 28] << 32 | edges[(value >> 8) % 28];
    case 2:
        return value & 0xFF;
    default:
        return value;
    }
}

/* A value for a register: most are addresses that the guest has. */
static uint64_t register_value(const struct guest *guest, struct fuzz_random *random)
{
    uint64_t base = is_16_bit(guest) ? 0 : DATA, offset = fuzz_draw(random);

    switch (fuzz_below(random, 12)) {
    case 0:
    case 1:
    case 2:
        return base + (offset & 0x3FF8);
    case 3:
        return base + (offset & 0x3FFF);
    case 4:
        return base + 0x1000 * (1 + (offset & 3)) - (offset >> 8 & 15);
    case 5:
        return (is_16_bit(guest) ? 0xF0000u : CODE) + (offset & 0x10FF); /* wraps to the code in real mode's megabyte */
    case 6:
        return offset & 31;
    case 7:
        return offset & 1 ? ALIAS + (offset >> 8 & 0xFF) : TABLE_ALIAS + (offset >> 8 & 0x1F8);
    case 8:
        return offset & 1 ? 0x200000 + CODE + (offset >> 8 & 0xFFF) : 0xFEE00000 + (offset >> 8 & 0x3F0);
    default:
        return number(random);
    }
}

static void set_x87(struct cpu *cpu, struct fuzz_random *random)
{
    static const uint16_t exponents[] = { 0, 1, 0x3FFE, 0x3FFF, 0x4000, 0x403E, 0x7FFE, 0x7FFF };

    for (unsigned i = 0; i < 8; i++) {
        uint64_t draw = fuzz_draw(random);
        cpu->x87.r[i].mantissa = draw & 1 ? number(random) : number(random) | 1ull << 63;
        cpu->x87.r[i].exponent = (uint16_t)(exponents[draw >> 8 & 7] | (draw >> 16 & 0x8000));
    }
    uint64_t draw = fuzz_draw(random);
    cpu->x87.tags = (uint8_t)draw;
    cpu->x87.fsw = (uint16_t)(draw >> 8 & 0x7F00);
}

static void set_registers(const struct guest *guest, struct bench *bench, struct fuzz_random *random)
{
    struct cpu *cpu = bench->cpu;

    for (unsigned i = 0; i < 16; i++)
        cpu->gpr[i] = register_value(guest, random);
    if (fuzz_below(random, 2))
        cpu->gpr[RCX] = fuzz_below(random, 64); /* counts of REP and shifts */
    cpu->gpr[RSP] = is_16_bit(guest) ? 0xFF00 : is_user(guest) ? USER_STACK : KERNEL_STACK - 0x800;
    unsigned offset = guest->offset < 128 ? guest->offset : 0x1000u - (guest->offset - 127u);
    cpu->gpr[GPR_RIP] = (is_16_bit(guest) ? 0u : CODE) + offset;
    if (guest->mode < GUEST_LONG) /* registers of 32-bit guests have no upper halves */
        for (unsigned i = 0; i < 16; i++)
            cpu->gpr[i] = (uint32_t)cpu->gpr[i];
    for (unsigned i = 0; i < 32; i++)
        for (unsigned q = 0; q < 8; q++) /* what the model lacks stays zero */
            if ((i < 16 && q < 2) || (cpu->xcr0 & 4 && i < 16 && q < 4) || (cpu->xcr0 & 0xE0) == 0xE0)
                cpu->zmm[i].u64[q] = number(random);
    for (unsigned i = 0; i < 8 && (cpu->xcr0 & 0xE0) == 0xE0; i++)
        cpu->opmask[i] = number(random);
    cpu->x87.fcw = 0x37F;
    cpu->x87.tags = 0;
    if (guest->floating & 1) {
        uint64_t draw = fuzz_draw(random);
        cpu->x87.fcw = (uint16_t)(0x40 | (draw & 0xF3F));
        cpu->mxcsr = (uint32_t)(draw >> 16 & 0xFFFF);
    }
    if (guest->floating & 2)
        set_x87(cpu, random);
}

/* --- code and data --- */

static void set_memory(const struct guest *guest, struct bench *bench, struct fuzz_random *random)
{
    uint64_t page[512];
    struct ram *ram = &bench->board->ram;

    for (unsigned i = 0; i < DATA_BYTES / sizeof(page); i++) {
        for (unsigned q = 0; q < 512; q++)
            page[q] = guest->memory & 32 && q % 4 == 0 ? CODE + (fuzz_draw(random) & 0xFF) : number(random);
        ram_write(ram, DATA + i * sizeof(page), page, sizeof(page));
    }
    uint64_t start = CODE + (bench->cpu->gpr[GPR_RIP] & 0xFFFF), at = start;
    uint8_t jump[5] = { 0xE9 };
    unsigned jump_bytes = is_16_bit(guest) ? 3 : 5;
    ram_write(ram, at, guest->code, guest->code_bytes);
    at += guest->code_bytes;
    uint32_t back = (uint32_t)(start - (at + jump_bytes));
    memcpy(jump + 1, &back, 4);
    ram_write(ram, at, jump, jump_bytes);
}

void guest_set_up(const struct guest *guest, struct bench *bench)
{
    struct fuzz_random random = fuzz_random(guest->seed);
    struct cpu *cpu = bench->cpu;

    set_gdt(guest, bench);
    set_idt(guest, bench);
    set_tss(guest, bench);
    if (guest->mode >= GUEST_PAGED32)
        set_page_tables(guest, bench);
    set_control(guest, bench);
    set_segments(guest, bench);
    set_registers(guest, bench, &random);
    set_memory(guest, bench, &random);
    cpu->msr.star = (uint64_t)0x13 << 48 | (uint64_t)CODE0 << 32; /* SYSCALL, SYSENTER end in the stub that returns */
    cpu->msr.lstar = STUBS + 0x280;
    cpu->msr.sfmask = FLAG_IF;
    cpu->msr.sysenter_cs = CODE0;
    cpu->msr.sysenter_esp = KERNEL_STACK;
    cpu->msr.sysenter_eip = CODE;
}
