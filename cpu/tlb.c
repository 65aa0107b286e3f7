/*
 * The coherent software TLB: arrays per root table, eviction by table writes, generations of chains.
 *
 * A page that a walk read a table entry from is watched. A write that changes a present entry evicts what the entry
 * mapped; the new value is found at the next access. So the guest sees a machine that walks its tables on every access,
 * which SDM vol. 3A 4.10.2 allows, and no result depends on what the TLB happened to hold.
 */
#include "cpu/tlb.h"
#include "cpu/engine.h"

#include <errno.h>
#include <stdlib.h>

#define ENTRY_PRESENT  1u
#define ENTRY_ACCESSED 0x20u
#define ENTRY_DIRTY    0x40u

/* After so many writes since its last use a table page is given up: it may be data by now. */
#define TABLE_WRITES_MAX 32

static void array_clear(struct tlb_entry *array)
{
    for (unsigned i = 0; i < TLB_ENTRIES; i++)
        array[i] = (struct tlb_entry){ TLB_EMPTY, TLB_EMPTY, TLB_EMPTY, 0 };
}

static void root_clear(struct tlb_root *root)
{
    for (unsigned kind = 0; kind < TLB_KINDS; kind++)
        array_clear(root->arrays[kind]);
}

int tlb_init(struct cpu *cpu)
{
    uint64_t pages = cpu->board->ram.size_bytes / RAM_PAGE_BYTES;
    struct tlb_set *set = calloc(1, sizeof(*set));
    if (!set)
        return -ENOMEM;
    set->tables = calloc(pages, sizeof(*set->tables));
    set->writers = calloc(pages, sizeof(*set->writers));
    if (!set->tables || !set->writers) {
        free(set->tables);
        free(set->writers);
        free(set);
        return -ENOMEM;
    }
    array_clear(set->never);
    for (unsigned i = 0; i < TLB_ROOTS; i++)
        root_clear(&set->roots[i]);
    cpu->engine->tlbs = set;
    cpu->tlb = set->never;
    return 0;
}

void tlb_destroy(struct cpu *cpu)
{
    struct tlb_set *set = cpu->engine->tlbs;
    if (!set)
        return;
    free(set->tables);
    free(set->writers);
    free(set);
    cpu->engine->tlbs = NULL;
}

bool tlb_bypassed(const struct cpu *cpu)
{
    bool alignment = cpu->cpl == 3 && (cpu->cr0 & CR0_AM) && (cpu->rflags & FLAG_AC);
    bool breakpoints = false;
    for (unsigned i = 0; i < 4; i++)
        breakpoints |= (cpu->dr7 >> (2 * i) & 3) && (cpu->dr7 >> (16 + 4 * i) & 1); /* R/W 01 or 11: data */
    return alignment || breakpoints || cpu->uncached;
}

static struct tlb_key key_of(const struct cpu *cpu)
{
    if (!(cpu->cr0 & CR0_PG))
        return (struct tlb_key){ 0, 0, 0 };
    uint32_t controls = 1 | (cpu->cr0 & CR0_WP ? 2 : 0) | (cpu->cr4 & CR4_PSE ? 4 : 0) | (cpu->cr4 & CR4_PAE ? 8 : 0) |
                        (cpu->cr4 & CR4_SMEP ? 16 : 0) | (cpu->cr4 & CR4_SMAP ? 32 : 0) |
                        (cpu->cr4 & CR4_PKE ? 64 : 0) | (cpu->cr4 & CR4_LA57 ? 128 : 0) |
                        (cpu->efer & EFER_NXE ? 256 : 0) | (cpu->efer & EFER_LMA ? 512 : 0);
    /* below the table's address are PCD, PWT and the PCID, which decide no translation; bits 11:5 belong to PAE's */
    uint64_t root = cpu->cr3 & (cpu->efer & EFER_LMA ? 0x000FFFFFFFFFF000ull : 0xFFFFFFE0ull);
    return (struct tlb_key){ root, controls, cpu->cr4 & CR4_PKE ? cpu->pkru : 0 };
}

static bool key_equal(const struct tlb_key *a, const struct tlb_key *b)
{
    return a->root == b->root && a->controls == b->controls && a->pkru == b->pkru;
}

static struct tlb_root *root_find(struct tlb_set *set, const struct tlb_key *key)
{
    struct tlb_root *oldest = &set->roots[0];
    for (unsigned i = 0; i < TLB_ROOTS; i++) {
        struct tlb_root *root = &set->roots[i];
        if (root->used && key_equal(&root->key, key))
            return root;
        if (!root->used || (oldest->used && root->last_use < oldest->last_use))
            oldest = root;
    }
    if (oldest->used)
        root_clear(oldest);
    oldest->used = true;
    oldest->key = *key;
    oldest->generation = ++set->last_generation;
    return oldest;
}

void tlb_select(struct cpu *cpu)
{
    struct tlb_set *set = cpu->engine->tlbs;
    struct tlb_key key = key_of(cpu);
    if (!set->current || !key_equal(&set->current->key, &key)) {
        set->current = root_find(set, &key);
        set->current->last_use = ++set->selections;
    }
    bool code64 = (cpu->mode & MODE_CODE_MASK) == MODE_CODE64;
    if (!code64 && set->last_cs_limit != cpu->segment[CS].limit) {
        set->last_cs_limit = cpu->segment[CS].limit; /* chains were checked against the old limit */
        for (unsigned i = 0; i < TLB_ROOTS; i++)
            set->roots[i].generation = ++set->last_generation;
    }
    enum tlb_kind kind = cpu->cpl == 3                                      ? TLB_USER
                         : (cpu->cr4 & CR4_SMAP) && (cpu->rflags & FLAG_AC) ? TLB_SUPERVISOR_AC
                                                                            : TLB_SUPERVISOR;
    cpu->tlb = tlb_bypassed(cpu) ? set->never : set->current->arrays[kind];
    /* the same RIP under another CS base is another address */
    uint64_t cs_base = code64 ? 0 : cpu->segment[CS].base;
    cpu->chain_generation = cs_base << 32 | set->current->generation;
}

void tlb_new_generation(struct cpu *cpu)
{
    struct tlb_set *set = cpu->engine->tlbs;
    for (unsigned i = 0; i < TLB_ROOTS; i++)
        set->roots[i].generation = ++set->last_generation;
    cpu->chain_generation =
        (cpu->chain_generation & ~(uint64_t)UINT32_MAX) | (set->current ? set->current->generation : 0);
    cpu->board->attention = true; /* the running block may be the one that lost its ground */
}

static void table_forget(struct cpu *cpu, uint64_t page)
{
    cpu->engine->tlbs->tables[page] = (struct table_use){ 0 };
    ram_unwatch(&cpu->board->ram, page, RAM_WATCH_TABLE);
}

void tlb_flush(struct cpu *cpu)
{
    struct tlb_set *set = cpu->engine->tlbs;
    for (unsigned i = 0; i < TLB_ROOTS; i++)
        if (set->roots[i].used) {
            root_clear(&set->roots[i]);
            set->roots[i].used = &set->roots[i] == set->current; /* the others need no clearing next time */
        }
    uint64_t pages = cpu->board->ram.size_bytes / RAM_PAGE_BYTES;
    for (uint64_t page = 0; page < pages; page++)
        if (set->tables[page].level)
            table_forget(cpu, page);
    memset(set->writers, 0, pages * sizeof(*set->writers));
    tlb_new_generation(cpu);
}

static void entry_evict(struct cpu *cpu, struct tlb_entry *entry)
{
    if (entry->execute != TLB_EMPTY)
        tlb_new_generation(cpu);
    *entry = (struct tlb_entry){ TLB_EMPTY, TLB_EMPTY, TLB_EMPTY, 0 };
}

static bool entry_holds(const struct tlb_entry *entry, uint64_t first, uint64_t last)
{
    return (entry->read != TLB_EMPTY && entry->read >= first && entry->read <= last) ||
           (entry->write != TLB_EMPTY && entry->write >= first && entry->write <= last) ||
           (entry->execute != TLB_EMPTY && entry->execute >= first && entry->execute <= last);
}

/* Evicts all pages from first to last (linear addresses of pages), in every root. */
static void evict_range(struct cpu *cpu, uint64_t first, uint64_t last)
{
    struct tlb_set *set = cpu->engine->tlbs;
    for (unsigned i = 0; i < TLB_ROOTS; i++) {
        if (!set->roots[i].used)
            continue;
        for (unsigned kind = 0; kind < TLB_KINDS; kind++) {
            struct tlb_entry *array = set->roots[i].arrays[kind];
            if (last - first < TLB_ENTRIES * 4096ull) {
                for (uint64_t linear = first;; linear += 4096) {
                    struct tlb_entry *entry = &array[(linear >> 12) & (TLB_ENTRIES - 1)];
                    if (entry_holds(entry, linear, linear))
                        entry_evict(cpu, entry);
                    if (linear == last)
                        break;
                }
            } else {
                for (unsigned j = 0; j < TLB_ENTRIES; j++)
                    if (entry_holds(&array[j], first, last))
                        entry_evict(cpu, &array[j]);
            }
        }
    }
}

void tlb_flush_page(struct cpu *cpu, uint64_t linear)
{
    evict_range(cpu, linear & ~4095ull, linear & ~4095ull);
}

static void writer_note(struct page_writers *writers, unsigned slot)
{
    if (writers->slot[0] == slot || writers->slot[1] == slot)
        return;
    if (!writers->slot[0])
        writers->slot[0] = (uint16_t)slot;
    else if (!writers->slot[1])
        writers->slot[1] = (uint16_t)slot;
    else
        writers->many = true;
}

void tlb_install(struct cpu *cpu, uint64_t linear, uint8_t *host_page, uint64_t ram_page, unsigned access)
{
    if (cpu->tlb == cpu->engine->tlbs->never)
        return;
    struct tlb_entry *entry = tlb_slot(cpu, linear);
    uint64_t tag = linear & ~4095ull;
    if (!entry_holds(entry, tag, tag))
        *entry = (struct tlb_entry){ TLB_EMPTY, TLB_EMPTY, TLB_EMPTY, 0 };
    entry->host = (uintptr_t)host_page - (uintptr_t)tag;
    if (access & ACCESS_READ)
        entry->read = tag;
    if (access & ACCESS_EXECUTE)
        entry->execute = tag;
    if (access & ACCESS_WRITE) {
        entry->write = tag;
        writer_note(&cpu->engine->tlbs->writers[ram_page], (unsigned)(entry - cpu->tlb) + 1);
    }
}

/* Takes the write tag from a slot of every array if it is for the page at `host`, or whatever it is for if host is 0.
 */
static void revoke_slot(struct tlb_set *set, unsigned slot, uintptr_t host)
{
    for (unsigned i = 0; i < TLB_ROOTS; i++) {
        if (!set->roots[i].used)
            continue;
        for (unsigned kind = 0; kind < TLB_KINDS; kind++) {
            struct tlb_entry *entry = &set->roots[i].arrays[kind][slot];
            if (entry->write != TLB_EMPTY && (!host || entry->host + (uintptr_t)entry->write == host))
                entry->write = TLB_EMPTY;
        }
    }
}

void tlb_revoke(struct cpu *cpu, uint64_t page)
{
    struct tlb_set *set = cpu->engine->tlbs;
    const struct ram *ram = &cpu->board->ram;
    bool all = page == RAM_NO_PAGE;
    uintptr_t host = all ? 0 : (uintptr_t)ram_page_bytes(ram, page);
    if (all || set->writers[page].many) {
        for (unsigned slot = 0; slot < TLB_ENTRIES; slot++)
            revoke_slot(set, slot, host);
    } else {
        for (unsigned i = 0; i < 2; i++)
            if (set->writers[page].slot[i])
                revoke_slot(set, set->writers[page].slot[i] - 1u, host);
    }
    if (all)
        memset(set->writers, 0, ram->size_bytes / RAM_PAGE_BYTES * sizeof(*set->writers));
    else
        set->writers[page] = (struct page_writers){ 0 };
}

/* The linear address in its canonical form; in legacy paging addresses have 32 bits. */
static uint64_t canonical_form(const struct cpu *cpu, uint64_t linear)
{
    if (!(cpu->efer & EFER_LMA))
        return (uint32_t)linear;
    return (uint64_t)((int64_t)(linear << (cpu->cr4 & CR4_LA57 ? 7 : 16)) >> (cpu->cr4 & CR4_LA57 ? 7 : 16));
}

/* Linear bytes that one entry of a table of this level maps. */
static uint64_t entry_span(const struct table_use *use)
{
    unsigned bits = use->entry_bytes == 8 ? 9 : 10;
    return 1ull << (12 + bits * (use->level - 1u));
}

/* Everything that was translated through this table goes, and with it the watch. */
static void table_retire(struct cpu *cpu, uint64_t page)
{
    struct table_use *use = &cpu->engine->tlbs->tables[page];
    if (use->ambiguous || use->level > 2) {
        tlb_flush(cpu);
        return;
    }
    uint64_t entries = RAM_PAGE_BYTES / use->entry_bytes;
    evict_range(cpu, use->linear_base, use->linear_base + entries * entry_span(use) - RAM_PAGE_BYTES);
    table_forget(cpu, page);
}

void tlb_table_writing(struct cpu *cpu, uint64_t page, unsigned first, unsigned last, const uint8_t *new_bytes)
{
    struct table_use *use = &cpu->engine->tlbs->tables[page];
    const uint8_t *old_page = ram_page_bytes(&cpu->board->ram, page);
    if (!use->level)
        return;
    unsigned size = use->entry_bytes;
    for (unsigned at = first & ~(size - 1); at <= last; at += size) {
        uint64_t old_entry = 0, new_entry = 0;
        memcpy(&old_entry, old_page + at, size);
        uint8_t merged[8];
        memcpy(merged, old_page + at, size);
        for (unsigned i = 0; i < size; i++)
            if (at + i >= first && at + i <= last)
                merged[i] = new_bytes[at + i - first];
        memcpy(&new_entry, merged, size);
        /* a bit that is only set, by the walker or the guest, makes nothing stale */
        if (!(old_entry & ENTRY_PRESENT) ||
            (old_entry | ENTRY_ACCESSED | ENTRY_DIRTY) == (new_entry | ENTRY_ACCESSED | ENTRY_DIRTY)) {
            uint64_t cleared = old_entry & ~new_entry & (ENTRY_ACCESSED | ENTRY_DIRTY);
            if (!(old_entry & ENTRY_PRESENT) || !cleared)
                continue;
        }
        if (use->ambiguous) {
            tlb_flush(cpu); /* forgets the table, too */
            return;
        }
        uint64_t base = canonical_form(cpu, use->linear_base + at / size * entry_span(use));
        evict_range(cpu, base, base + entry_span(use) - RAM_PAGE_BYTES);
    }
    if (++use->writes > TABLE_WRITES_MAX)
        table_retire(cpu, page);
}
