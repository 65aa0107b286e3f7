/*
 * Page walks (SDM vol. 3A, chapter 4): 32-bit, PAE, 4-level and 5-level paging with NX, WP, SMEP, SMAP and protection
 * keys.
 *
 * Order of effects: all entries are read and checked from the root down; if the access is allowed, the accessed bits
 * are set from the root down, then the dirty bit together with the leaf's accessed bit. A refused access sets none.
 */
#include "cpu/engine.h"
#include "cpu/model.h"
#include "cpu/tlb.h"

#define PTE_P       1ull
#define PTE_RW      2ull
#define PTE_US      4ull
#define PTE_A       0x20ull
#define PTE_D       0x40ull
#define PTE_PS      0x80ull
#define PTE_G       0x100ull
#define PTE_NX      (1ull << 63)
#define PTE_ADDRESS 0x000FFFFFFFFFF000ull

#define LEVELS_MAX 5

/* One entry met on the way down. */
struct step {
    uint64_t address; /* physical, of the entry */
    uint64_t value;
};

struct walk {
    struct cpu *cpu;
    const struct paging *paging;
    uint64_t linear;
    unsigned access;
    unsigned entry_bytes;
    unsigned count;
    struct step steps[LEVELS_MAX];
};

static bool page_fault(const struct walk *walk, uint32_t why, uint32_t *error)
{
    bool fetch = walk->access & ACCESS_EXECUTE;
    bool nx_or_smep = (walk->paging->efer & EFER_NXE && walk->paging->cr4 & CR4_PAE) || walk->paging->cr4 & CR4_SMEP;
    *error = why | (walk->access & ACCESS_WRITE ? PF_W : 0) | (walk->paging->user ? PF_U : 0) |
             (fetch && nx_or_smep ? PF_I : 0);
    return false;
}

/* Steps down one level: reads the entry and refuses absent ones and reserved bits. Outside of RAM the bus answers all
 * ones. */
static bool step_down(struct walk *walk, uint64_t table, unsigned level, unsigned index, uint64_t reserved,
                      uint32_t *error)
{
    const struct ram *ram = &walk->cpu->board->ram;
    struct step *step = &walk->steps[walk->count++];
    uint64_t page = ram_page_at(ram, table);
    step->address = table + (uint64_t)index * walk->entry_bytes;
    step->value = walk->entry_bytes == 8 ? UINT64_MAX : UINT32_MAX;
    if (page != RAM_NO_PAGE) {
        tlb_note_table(walk->cpu, page, level, walk->entry_bytes, walk->linear);
        step->value = 0;
        memcpy(&step->value, ram_page_bytes(ram, page) + index * walk->entry_bytes, walk->entry_bytes);
    }
    if (!(step->value & PTE_P))
        return page_fault(walk, 0, error);
    if (step->value & reserved)
        return page_fault(walk, PF_P | PF_RSVD, error);
    return true;
}

/* Rights that every level must grant (SDM 4.6.1), and protection keys (4.6.2). */
static bool rights_allow(const struct walk *walk, uint32_t *error)
{
    const struct paging *paging = walk->paging;
    uint64_t granted = PTE_RW | PTE_US, denied = 0;
    for (unsigned i = 0; i < walk->count; i++) {
        granted &= walk->steps[i].value;
        denied |= walk->steps[i].value & PTE_NX;
    }
    bool user_page = granted & PTE_US;
    bool write = walk->access & ACCESS_WRITE, fetch = walk->access & ACCESS_EXECUTE;
    bool allowed = true;
    if (paging->user && !user_page)
        allowed = false;
    if (write && !(granted & PTE_RW) && (paging->user || paging->cr0 & CR0_WP))
        allowed = false;
    if (fetch && denied)
        allowed = false;
    if (!paging->user && user_page && fetch && paging->cr4 & CR4_SMEP)
        allowed = false;
    if (!paging->user && user_page && !fetch && paging->cr4 & CR4_SMAP && !paging->smap_override)
        allowed = false;
    bool key_forbids = false;
    if (user_page && !fetch && paging->cr4 & CR4_PKE && paging->efer & EFER_LMA) {
        unsigned key = walk->steps[walk->count - 1].value >> 59 & 15;
        unsigned bits = paging->pkru >> (2 * key) & 3; /* bit 0 AD, bit 1 WD */
        key_forbids = bits & 1 || (write && bits & 2 && (paging->user || paging->cr0 & CR0_WP));
    }
    if (!allowed || key_forbids)
        return page_fault(walk, PF_P | (key_forbids ? PF_PK : 0), error);
    return true;
}

static void entry_set_bits(const struct walk *walk, struct step *step, uint64_t bits)
{
    if ((step->value & bits) == bits)
        return;
    step->value |= bits;
    ram_write(&walk->cpu->board->ram, step->address, &step->value, walk->entry_bytes);
}

static void mark_used(struct walk *walk)
{
    unsigned leaf = walk->count - 1;
    for (unsigned i = 0; i < leaf; i++)
        entry_set_bits(walk, &walk->steps[i], PTE_A);
    entry_set_bits(walk, &walk->steps[leaf], PTE_A | (walk->access & ACCESS_WRITE ? PTE_D : 0));
}

static void describe(const struct walk *walk, uint64_t frame, uint64_t page_bytes, struct translation *out)
{
    uint64_t granted = PTE_RW | PTE_US, denied = 0;
    for (unsigned i = 0; i < walk->count; i++) {
        granted &= walk->steps[i].value;
        denied |= walk->steps[i].value & PTE_NX;
    }
    uint64_t leaf = walk->steps[walk->count - 1].value;
    *out = (struct translation){ .physical = (frame & ~(page_bytes - 1)) | (walk->linear & (page_bytes - 1)),
                                 .page_bytes = page_bytes,
                                 .user = granted & PTE_US,
                                 .writable = granted & PTE_RW,
                                 .executable = !denied,
                                 .dirty = leaf & PTE_D,
                                 .global = leaf & PTE_G };
}

/* 32-bit paging (SDM 4.3), with 4 MiB pages under CR4.PSE and PSE-36. */
static bool walk_32bit(struct walk *walk, struct translation *out, uint32_t *error)
{
    uint32_t linear = (uint32_t)walk->linear;
    bool pse = walk->paging->cr4 & CR4_PSE;
    walk->entry_bytes = 4;
    uint64_t directory = walk->paging->root & 0xFFFFF000u;
    if (!step_down(walk, directory, 2, linear >> 22, 0, error))
        return false;
    uint64_t pde = walk->steps[0].value;
    if (pse && pde & PTE_PS) {
        if (pde >> 21 & 1)
            return page_fault(walk, PF_P | PF_RSVD, error);
        uint64_t frame = (pde & 0xFFC00000u) | (pde >> 13 & 0xFF) << 32;
        if (!rights_allow(walk, error))
            return false;
        mark_used(walk);
        describe(walk, frame, 4u << 20, out);
        return true;
    }
    if (!step_down(walk, pde & 0xFFFFF000u, 1, linear >> 12 & 1023, 0, error) || !rights_allow(walk, error))
        return false;
    mark_used(walk);
    describe(walk, walk->steps[1].value & 0xFFFFF000u, 4096, out);
    return true;
}

/* PAE, 4-level and 5-level paging share their entry format (SDM 4.4, 4.5); top_level is the first level in memory. */
static bool walk_64bit(struct walk *walk, uint64_t table, unsigned top_level, struct translation *out, uint32_t *error)
{
    const struct paging *paging = walk->paging;
    uint64_t reserved = PTE_ADDRESS & ~((1ull << paging->physical_bits) - 1);
    if (!(paging->efer & EFER_NXE))
        reserved |= PTE_NX;
    if (!(paging->efer & EFER_LMA))
        reserved |= 0x7FF0000000000000ull; /* PAE: bits 62:52 */
    walk->entry_bytes = 8;
    for (unsigned level = top_level;; level--) {
        unsigned shift = 12 + 9 * (level - 1);
        uint64_t may_not = reserved | (level > 3 ? PTE_PS : 0);
        if (!step_down(walk, table, level, walk->linear >> shift & 511, may_not, error))
            return false;
        uint64_t entry = walk->steps[walk->count - 1].value;
        bool leaf = level == 1 || (level <= 3 && entry & PTE_PS);
        if (leaf) {
            uint64_t page_bytes = 1ull << shift;
            /* between the PAT bit and the frame of a large page bits are reserved */
            if (level > 1 && entry & (page_bytes - 1) & 0x3FFFE000ull)
                return page_fault(walk, PF_P | PF_RSVD, error);
            if (!rights_allow(walk, error))
                return false;
            mark_used(walk);
            describe(walk, entry & PTE_ADDRESS, page_bytes, out);
            return true;
        }
        table = entry & PTE_ADDRESS;
    }
}

/* In PAE mode the PDPTEs are registers; a level-2 table is watched under the linear range of its PDPTE. */
static bool walk_pae(struct walk *walk, struct translation *out, uint32_t *error)
{
    uint64_t pdpte = walk->paging->pdpte[walk->linear >> 30 & 3];
    if (!(pdpte & PTE_P))
        return page_fault(walk, 0, error);
    return walk_64bit(walk, pdpte & PTE_ADDRESS, 2, out, error);
}

bool mmu_translate(struct cpu *cpu, const struct paging *paging, uint64_t linear, unsigned access,
                   struct translation *out, uint32_t *error)
{
    if (!(paging->cr0 & CR0_PG)) {
        *out = (struct translation){ linear, 4096, true, true, true, true, false };
        return true;
    }
    cpu->engine->paths[ENGINE_WALK]++;
    struct walk walk = { .cpu = cpu, .paging = paging, .linear = linear, .access = access };
    if (paging->efer & EFER_LMA)
        return walk_64bit(&walk, paging->root, paging->cr4 & CR4_LA57 ? 5 : 4, out, error);
    if (paging->cr4 & CR4_PAE)
        return walk_pae(&walk, out, error);
    return walk_32bit(&walk, out, error);
}

struct paging mmu_context(const struct cpu *cpu, unsigned access)
{
    bool user = (cpu->cpl == 3 && !(access & ACCESS_SYSTEM)) || access & ACCESS_AS_USER;
    return (struct paging){ .root = cpu->cr3 & 0x000FFFFFFFFFF000ull,
                            .pdpte = cpu->pdpte,
                            .cr0 = cpu->cr0,
                            .cr4 = cpu->cr4,
                            .efer = cpu->efer,
                            .pkru = cpu->pkru,
                            .user = user,
                            .smap_override = cpu->cpl < 3 && !(access & ACCESS_SYSTEM) && cpu->rflags & FLAG_AC,
                            .physical_bits = cpu->model->physical_bits };
}

bool mmu_peek(struct cpu *cpu, uint64_t linear, uint64_t *physical)
{
    if (!(cpu->cr0 & CR0_PG)) {
        *physical = linear;
        return true;
    }
    const struct ram *ram = &cpu->board->ram;
    bool wide = cpu->cr4 & CR4_PAE;
    unsigned bits = wide ? 9 : 10, size = wide ? 8 : 4;
    unsigned level = !wide ? 2 : !(cpu->efer & EFER_LMA) ? 2 : cpu->cr4 & CR4_LA57 ? 5 : 4;
    uint64_t table = cpu->cr3 & PTE_ADDRESS;
    if (wide && level == 2)
        table = cpu->pdpte[linear >> 30 & 3] & PTE_ADDRESS;
    for (;; level--) {
        unsigned shift = 12 + bits * (level - 1);
        uint64_t entry = 0;
        if (!ram_read(ram, table + (linear >> shift & ((1u << bits) - 1)) * size, &entry, size) || !(entry & PTE_P))
            return false;
        uint64_t address = wide ? entry & PTE_ADDRESS : entry & 0xFFFFF000u;
        if (level == 1 || (level <= 3 && entry & PTE_PS && (wide || cpu->cr4 & CR4_PSE))) {
            if (!wide && level == 2)
                address = (entry & 0xFFC00000u) | (entry >> 13 & 0xFF) << 32;
            uint64_t mask = (1ull << shift) - 1;
            *physical = (address & ~mask) | (linear & mask);
            return true;
        }
        table = address;
    }
}

bool mmu_load_pdptes(struct cpu *cpu, uint64_t cr3)
{
    uint64_t loaded[4];
    uint64_t reserved = (~0ull << cpu->model->physical_bits) | 0x1E6; /* bits 2:1 and 8:5 (SDM table 4-8) */
    if (!ram_read(&cpu->board->ram, cr3 & 0xFFFFFFE0u, loaded, sizeof(loaded)))
        memset(loaded, 0xFF, sizeof(loaded));
    for (unsigned i = 0; i < 4; i++)
        if (loaded[i] & PTE_P && loaded[i] & reserved)
            return fault_raise(cpu, VEC_GP, true, 0);
    bool changed = memcmp(cpu->pdpte, loaded, sizeof(loaded)) != 0;
    memcpy(cpu->pdpte, loaded, sizeof(loaded));
    if (changed)
        tlb_flush(cpu);
    return true;
}
