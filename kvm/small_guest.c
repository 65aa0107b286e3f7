/*
 * The small guest's tables (small_guest.h). Physical pages: 1 GDT, 2 IDT, 3 to 5 TSS with its bitmap, 6 PML4, then the
 * tables of the kernel's mapping; from SMALL_GUEST_FREE on the caller's.
 */
#define _GNU_SOURCE
#include "kvm/small_guest.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { AT_GDT = 0x1000, AT_IDT = 0x2000, AT_TSS = 0x3000, AT_PML4 = 0x6000, AT_PDPT = 0x7000, AT_PD = 0x8000 };
#define TSS_BITMAP 0x68u
#define TSS_LIMIT  (TSS_BITMAP + 0x2000u)

#define PTE_PRESENT  1ull
#define PTE_ACCESSED 0x20ull
#define PTE_DIRTY    0x40ull
#define PTE_LARGE    0x80ull
#define PTE_ADDRESS  0x000FFFFFFFFFF000ull
#define PTE_TABLE    (PTE_PRESENT | SMALL_GUEST_WRITE | SMALL_GUEST_USER | PTE_ACCESSED)
#define LOWER_HALF   256u

static void poke(struct small_guest *guest, uint64_t at, uint64_t value)
{
    memcpy(guest->memory + at, &value, 8);
}

static void build_system(struct small_guest *guest)
{
    poke(guest, AT_GDT + SMALL_GUEST_KERNEL_CS, 0x00AF9B000000FFFF);
    poke(guest, AT_GDT + SMALL_GUEST_KERNEL_SS, 0x00CF93000000FFFF);
    poke(guest, AT_GDT + 0x20, 0x00CFFB000000FFFF); /* 32-bit user code */
    poke(guest, AT_GDT + (SMALL_GUEST_USER_SS & ~7), 0x00CFF3000000FFFF);
    poke(guest, AT_GDT + (SMALL_GUEST_USER_CS & ~7), 0x00AFFB000000FFFF);
    memset(guest->memory + AT_TSS + TSS_BITMAP, 0xFF, 0x2001);
    memcpy(guest->memory + AT_TSS + 0x66, &(uint16_t){ TSS_BITMAP }, 2);
    poke(guest, AT_PML4 + 8 * 511, AT_PDPT | PTE_TABLE);
    poke(guest, AT_PDPT + 8 * 510, AT_PD | PTE_TABLE);
    for (uint64_t at = 0; at < guest->memory_bytes; at += 2u << 20)
        poke(guest, AT_PD + 8 * (at >> 21),
             at | PTE_PRESENT | SMALL_GUEST_WRITE | PTE_ACCESSED | PTE_DIRTY | PTE_LARGE);
}

int small_guest_open(struct small_guest *guest, uint64_t memory_bytes, const char **why)
{
    memset(guest, 0, sizeof(*guest));
    int error = vcpu_open(&guest->vcpu, why);
    if (error)
        return error;
    void *memory = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        vcpu_close(&guest->vcpu);
        *why = "no memory";
        return -ENOMEM;
    }
    guest->memory = memory;
    guest->memory_bytes = memory_bytes;
    guest->next_free = SMALL_GUEST_FREE;
    error = vcpu_map(&guest->vcpu, 0, 0, memory, memory_bytes, 0);
    if (!error)
        error = vcpu_cpuid_of_host(&guest->vcpu);
    if (error) {
        *why = "KVM takes neither memory nor CPUID";
        small_guest_close(guest);
        return error;
    }
    build_system(guest);
    return 0;
}

void small_guest_close(struct small_guest *guest)
{
    vcpu_close(&guest->vcpu);
    if (guest->memory)
        munmap(guest->memory, guest->memory_bytes);
    guest->memory = NULL;
}

uint64_t small_guest_take(struct small_guest *guest, unsigned pages)
{
    uint64_t at = guest->next_free;
    if (at + 4096ull * pages > guest->memory_bytes)
        return 0;
    guest->next_free += 4096ull * pages;
    memset(guest->memory + at, 0, 4096ull * pages);
    return at;
}

/* The entry of the lowest level for a linear address, with the tables above it made as needed; NULL: no memory. */
static uint64_t *entry_at(struct small_guest *guest, uint64_t linear)
{
    uint64_t table = AT_PML4;
    for (unsigned shift = 39; shift > 12; shift -= 9) {
        uint64_t *entry = (uint64_t *)(void *)(guest->memory + table) + (linear >> shift & 511);
        if (!(*entry & PTE_PRESENT)) {
            uint64_t page = small_guest_take(guest, 1);
            if (!page)
                return NULL;
            *entry = page | PTE_TABLE;
        }
        table = *entry & PTE_ADDRESS;
    }
    return (uint64_t *)(void *)(guest->memory + table) + (linear >> 12 & 511);
}

bool small_guest_map(struct small_guest *guest, uint64_t linear, uint64_t physical, uint64_t flags)
{
    uint64_t *entry = entry_at(guest, linear);
    if (!entry)
        return false;
    *entry = physical | flags | PTE_PRESENT | PTE_ACCESSED | (flags & SMALL_GUEST_WRITE ? PTE_DIRTY : 0);
    return true;
}

bool small_guest_unmap(struct small_guest *guest, uint64_t linear)
{
    uint64_t *entry = entry_at(guest, linear);
    if (entry)
        *entry = 0;
    return entry != NULL;
}

void small_guest_forget(struct small_guest *guest, uint64_t mark)
{
    guest->next_free = mark;
    memset(guest->memory + AT_PML4, 0, LOWER_HALF * 8);
}

void small_guest_gate(struct small_guest *guest, unsigned vector, uint64_t handler, unsigned dpl)
{
    uint64_t access = 0x8E00 | (uint64_t)dpl << 13;
    poke(guest, AT_IDT + 16 * vector,
         (handler & 0xFFFF) | (uint64_t)SMALL_GUEST_KERNEL_CS << 16 | access << 32 | (handler >> 16 & 0xFFFF) << 48);
    poke(guest, AT_IDT + 16 * vector + 8, handler >> 32);
}

void small_guest_stack(struct small_guest *guest, uint64_t end)
{
    memcpy(guest->memory + AT_TSS + 4, &end, 8);
}

void small_guest_allow_ports(struct small_guest *guest, unsigned first, unsigned count)
{
    for (unsigned port = first; port < first + count; port++)
        guest->memory[AT_TSS + TSS_BITMAP + port / 8] &= (uint8_t)~(1u << (port & 7));
}

static struct kvm_segment flat(uint16_t selector, unsigned type, unsigned dpl, bool code)
{
    return (struct kvm_segment){ .limit = 0xFFFFFFFF,
                                 .selector = selector,
                                 .type = (uint8_t)type,
                                 .present = 1,
                                 .dpl = (uint8_t)dpl,
                                 .db = !code,
                                 .s = 1,
                                 .l = code,
                                 .g = 1 };
}

void small_guest_sregs(const struct small_guest *guest, unsigned cpl, struct kvm_sregs *s)
{
    (void)guest;
    memset(s, 0, sizeof(*s));
    s->cs = flat(cpl ? SMALL_GUEST_USER_CS : SMALL_GUEST_KERNEL_CS, 11, cpl, true);
    s->ss = flat(cpl ? SMALL_GUEST_USER_SS : SMALL_GUEST_KERNEL_SS, 3, cpl, false);
    s->ds = s->es = s->fs = s->gs = (struct kvm_segment){ .unusable = 1 };
    s->ldt = (struct kvm_segment){ .unusable = 1 };
    s->tr = (struct kvm_segment){
        .base = SMALL_GUEST_KERNEL + AT_TSS, .limit = TSS_LIMIT, .selector = SMALL_GUEST_TR, .type = 11, .present = 1
    };
    s->gdt = (struct kvm_dtable){ .base = SMALL_GUEST_KERNEL + AT_GDT, .limit = 0x4F };
    s->idt = (struct kvm_dtable){ .base = SMALL_GUEST_KERNEL + AT_IDT, .limit = 0xFFF };
    s->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    s->cr3 = AT_PML4;
    s->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    s->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
    s->apic_base = LAPIC_DEFAULT_BASE | 0x900;
}
