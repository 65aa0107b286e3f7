/*
 * The coherent software TLB: arrays per root table, eviction by table writes, generations of chains.
 *
 * A page that a walk read a table entry from is watched. A write that changes a present entry evicts what the entry
 * mapped; the new value is found at the next access. So the guest sees a machine that walks its tables on every access,
 * which SDM vol. 3A 4.10.2 allows, and no result depends on what the TLB happened to hold.
 *
 * A kernel side is shared by root tables whose upper halves are equal, bit by bit: then they name the same tables with
 * the same rights and accessed bits, and a walk under either would do the same. They are compared when a root is
 * selected; while it is selected its table is watched, so the copy follows each write.
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
/* A table that was moved so often without a write serves at several places at once. */
#define TABLE_MOVES_MAX 2

#define LAST_PAGE (~(uint64_t)4095)

static void array_clear(struct tlb_entry *array)
{
    for (unsigned i = 0; i < TLB_ENTRIES; i++)
        array[i] = (struct tlb_entry){ .read = TLB_EMPTY, .write = TLB_EMPTY };
}

/* --- generations -------------------------------------------------------------------------------------------------- */

/* What chains and jump entries must carry. The same RIP under another CS base is another address. */
static void generation_select(struct cpu *cpu)
{
    bool code64 = (cpu->mode & MODE_CODE_MASK) == MODE_CODE64;
    uint64_t cs_base = code64 ? 0 : cpu->segment[CS].base;
    cpu->chain_generation = cs_base << 32 | cpu->engine->tlbs->codes->generation;
}

static void codes_new_generation(struct tlb_set *set, struct tlb_codes *codes)
{
    codes->generation = ++set->last_generation;
    codes->displaced_count = 0;
}

static void codes_clear(struct tlb_set *set, struct tlb_codes *codes)
{
    for (unsigned i = 0; i < TLB_ENTRIES; i++)
        codes->entries[i] = (struct tlb_code){ TLB_EMPTY, 0 };
    codes_new_generation(set, codes);
}

/* A generation ended: the running block may be the one that lost its ground. */
static void generation_ended(struct cpu *cpu)
{
    cpu->engine->paths[ENGINE_GENERATION]++;
    if (cpu->engine->tlbs->codes)
        generation_select(cpu);
    cpu->board->attention = true;
}

void tlb_new_generation(struct cpu *cpu, bool user, bool supervisor)
{
    struct tlb_set *set = cpu->engine->tlbs;
    for (unsigned i = 0; user && i < TLB_USER_SIDES; i++)
        codes_new_generation(set, &set->users[i].codes);
    for (unsigned i = 0; supervisor && i < TLB_KERNEL_SIDES; i++)
        codes_new_generation(set, &set->kernels[i].codes);
    generation_ended(cpu);
}

/* --- sides -------------------------------------------------------------------------------------------------------- */

static void user_clear(struct tlb_set *set, struct tlb_user_side *user)
{
    array_clear(user->data);
    codes_clear(set, &user->codes);
}

static void kernel_clear(struct tlb_set *set, struct tlb_kernel_side *kernel)
{
    array_clear(kernel->data[TLB_SUPERVISOR]);
    array_clear(kernel->data[TLB_SUPERVISOR_AC]);
    codes_clear(set, &kernel->codes);
    kernel->lower_count = 0;
    kernel->lower_code = false;
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
    set->sharing = TLB_SHARING_MAX;
    for (unsigned i = 0; i < TLB_USER_SIDES; i++)
        user_clear(set, &set->users[i]);
    for (unsigned i = 0; i < TLB_KERNEL_SIDES; i++)
        kernel_clear(set, &set->kernels[i]);
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

/* --- selection ---------------------------------------------------------------------------------------------------- */

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

static struct tlb_user_side *user_find(struct tlb_set *set, const struct tlb_key *key)
{
    struct tlb_user_side *oldest = &set->users[0];
    for (unsigned i = 0; i < TLB_USER_SIDES; i++) {
        struct tlb_user_side *user = &set->users[i];
        if (user->used && key_equal(&user->key, key))
            return user;
        if (!user->used || (oldest->used && user->last_use < oldest->last_use))
            oldest = user;
    }
    if (oldest->used)
        user_clear(set, oldest);
    oldest->used = true;
    oldest->key = *key;
    return oldest;
}

static struct tlb_kernel_side *kernel_find(struct tlb_set *set, const struct tlb_key *key, const uint64_t *upper)
{
    struct tlb_kernel_side *oldest = &set->kernels[0];
    for (unsigned i = 0; i < TLB_KERNEL_SIDES; i++) {
        struct tlb_kernel_side *kernel = &set->kernels[i];
        if (kernel->used && kernel->shared == !!upper && key_equal(&kernel->key, key) &&
            (!upper || !memcmp(kernel->upper, upper, sizeof(kernel->upper))))
            return kernel;
        if (!kernel->used || (oldest->used && kernel->last_use < oldest->last_use))
            oldest = kernel;
    }
    if (oldest->used)
        kernel_clear(set, oldest);
    oldest->used = true;
    oldest->key = *key;
    oldest->shared = upper;
    if (upper)
        memcpy(oldest->upper, upper, sizeof(oldest->upper));
    return oldest;
}

static bool in_upper_half(uint64_t linear)
{
    return linear >> 63;
}

/* Empties what a shared side holds of the lower half, before another root's takes its place. */
static void kernel_drop_lower(struct tlb_set *set, struct tlb_kernel_side *kernel)
{
    bool all = kernel->lower_count > TLB_LOWER;
    unsigned count = all ? TLB_ENTRIES : kernel->lower_count;
    for (unsigned i = 0; i < count; i++) {
        unsigned slot = all ? i : kernel->lower[i];
        for (unsigned kind = TLB_SUPERVISOR; kind <= TLB_SUPERVISOR_AC; kind++) {
            struct tlb_entry *entry = &kernel->data[kind][slot];
            if (!in_upper_half(entry->read != TLB_EMPTY ? entry->read : entry->write))
                *entry = (struct tlb_entry){ .read = TLB_EMPTY, .write = TLB_EMPTY };
        }
    }
    kernel->lower_count = 0;
    if (!kernel->lower_code)
        return;
    for (unsigned i = 0; i < TLB_ENTRIES; i++)
        if (!in_upper_half(kernel->codes.entries[i].linear))
            kernel->codes.entries[i] = (struct tlb_code){ TLB_EMPTY, 0 };
    codes_new_generation(set, &kernel->codes);
    kernel->lower_code = false;
}

/* Learns from the side that is left whether kernel sides are worth sharing. */
static void judge_sharing(struct tlb_set *set)
{
    if (!set->kernel)
        return;
    if (!set->kernel->lower_code)
        set->sharing += set->sharing < TLB_SHARING_MAX;
    else if (set->sharing)
        set->sharing--;
}

/* The upper half of the selected 4- or 5-level root table, which is watched from now on; NULL if there is none. */
static const uint64_t *upper_half(struct cpu *cpu, const struct tlb_key *key, uint64_t copy[TLB_UPPER])
{
    const struct ram *ram = &cpu->board->ram;
    if (!(cpu->cr0 & CR0_PG) || !(cpu->efer & EFER_LMA))
        return NULL;
    uint64_t page = ram_page_at(ram, key->root);
    if (page == RAM_NO_PAGE)
        return NULL;
    tlb_note_table(cpu, page, cpu->cr4 & CR4_LA57 ? 5 : 4, 8, 0);
    memcpy(copy, ram_page_bytes(ram, page) + RAM_PAGE_BYTES / 2, RAM_PAGE_BYTES / 2);
    return copy;
}

static void sides_select(struct cpu *cpu, const struct tlb_key *key)
{
    struct tlb_set *set = cpu->engine->tlbs;
    uint64_t copy[TLB_UPPER];
    judge_sharing(set);
    const uint64_t *upper = set->sharing ? upper_half(cpu, key, copy) : NULL;
    struct tlb_key kernel_key = *key;
    if (upper)
        kernel_key.root = 0;
    set->key = *key;
    set->user = user_find(set, key);
    set->kernel = kernel_find(set, &kernel_key, upper);
    set->user->last_use = set->kernel->last_use = ++set->selections;
    if (upper && set->kernel->lower_root != key->root) {
        kernel_drop_lower(set, set->kernel);
        set->kernel->lower_root = key->root;
    }
}

static enum tlb_kind kind_of(const struct cpu *cpu)
{
    return cpu->cpl == 3                                      ? TLB_USER
           : (cpu->cr4 & CR4_SMAP) && (cpu->rflags & FLAG_AC) ? TLB_SUPERVISOR_AC
                                                              : TLB_SUPERVISOR;
}

void tlb_select(struct cpu *cpu)
{
    struct tlb_set *set = cpu->engine->tlbs;
    struct tlb_key key = key_of(cpu);
    if (!set->user || !key_equal(&set->key, &key))
        sides_select(cpu, &key);
    enum tlb_kind kind = kind_of(cpu);
    set->codes = kind == TLB_USER ? &set->user->codes : &set->kernel->codes;
    if ((cpu->mode & MODE_CODE_MASK) != MODE_CODE64 && set->last_cs_limit != cpu->segment[CS].limit) {
        set->last_cs_limit = cpu->segment[CS].limit; /* chains were checked against the old limit */
        for (unsigned i = 0; i < TLB_USER_SIDES; i++)
            codes_new_generation(set, &set->users[i].codes);
        for (unsigned i = 0; i < TLB_KERNEL_SIDES; i++)
            codes_new_generation(set, &set->kernels[i].codes);
    }
    cpu->tlb = tlb_bypassed(cpu) ? set->never : kind == TLB_USER ? set->user->data : set->kernel->data[kind];
    generation_select(cpu);
}

struct tlb_entry *tlb_array(const struct cpu *cpu, unsigned access)
{
    struct tlb_set *set = cpu->engine->tlbs;
    if (access & ACCESS_AS_USER || cpu->uncached)
        return set->never;
    return access & ACCESS_SYSTEM ? set->kernel->data[TLB_SUPERVISOR] : cpu->tlb;
}

/* --- eviction ----------------------------------------------------------------------------------------------------- */

static void table_forget(struct cpu *cpu, uint64_t page)
{
    cpu->engine->tlbs->tables[page] = (struct table_use){ 0 };
    ram_unwatch(&cpu->board->ram, page, RAM_WATCH_TABLE);
}

void tlb_flush(struct cpu *cpu)
{
    struct tlb_set *set = cpu->engine->tlbs;
    for (unsigned i = 0; i < TLB_USER_SIDES; i++)
        if (set->users[i].used) {
            user_clear(set, &set->users[i]);
            set->users[i].used = false; /* needs no clearing next time */
        }
    for (unsigned i = 0; i < TLB_KERNEL_SIDES; i++)
        if (set->kernels[i].used) {
            kernel_clear(set, &set->kernels[i]);
            set->kernels[i].used = false;
        }
    uint64_t pages = cpu->board->ram.size_bytes / RAM_PAGE_BYTES;
    for (uint64_t page = 0; page < pages; page++)
        if (set->tables[page].level)
            table_forget(cpu, page);
    memset(set->writers, 0, pages * sizeof(*set->writers));
    set->user = NULL; /* the root table is read and watched anew */
    tlb_select(cpu);
    generation_ended(cpu);
}

static bool within(uint64_t tag, uint64_t first, uint64_t last)
{
    return tag != TLB_EMPTY && tag >= first && tag <= last;
}

static void data_evict(struct tlb_entry *entry, uint64_t first, uint64_t last)
{
    if (within(entry->read, first, last) || within(entry->write, first, last))
        *entry = (struct tlb_entry){ .read = TLB_EMPTY, .write = TLB_EMPTY };
}

/* The part of an array that may hold pages first..last. */
static void array_evict(struct tlb_entry *array, uint64_t first, uint64_t last)
{
    if (last - first < TLB_ENTRIES * 4096ull) {
        for (uint64_t pages = (last - first) / 4096 + 1, linear = first; pages; pages--, linear += 4096)
            data_evict(&array[(linear >> 12) & (TLB_ENTRIES - 1)], first, last);
    } else {
        for (unsigned i = 0; i < TLB_ENTRIES; i++)
            data_evict(&array[i], first, last);
    }
}

/* True if chains rested on one of the pages. */
static bool codes_evict(struct tlb_codes *codes, uint64_t first, uint64_t last)
{
    bool lost = false;
    uint64_t pages = (last - first) / 4096;
    unsigned count = pages < TLB_ENTRIES ? (unsigned)pages + 1 : TLB_ENTRIES;
    for (unsigned i = 0; i < count; i++) {
        struct tlb_code *code = &codes->entries[((first >> 12) + i) & (TLB_ENTRIES - 1)];
        if (within(code->linear, first, last)) {
            *code = (struct tlb_code){ TLB_EMPTY, 0 };
            lost = true;
        }
    }
    for (unsigned i = 0; i < codes->displaced_count; i++)
        lost |= within(codes->displaced[i], first, last);
    return lost;
}

/* Evicts all pages from first to last (linear addresses of pages), on every side. */
static void evict_range(struct cpu *cpu, uint64_t first, uint64_t last)
{
    struct tlb_set *set = cpu->engine->tlbs;
    bool ended = false;
    for (unsigned i = 0; i < TLB_USER_SIDES; i++) {
        struct tlb_user_side *user = &set->users[i];
        if (!user->used)
            continue;
        array_evict(user->data, first, last);
        if (codes_evict(&user->codes, first, last)) {
            codes_new_generation(set, &user->codes);
            ended = true;
        }
    }
    for (unsigned i = 0; i < TLB_KERNEL_SIDES; i++) {
        struct tlb_kernel_side *kernel = &set->kernels[i];
        if (!kernel->used)
            continue;
        array_evict(kernel->data[TLB_SUPERVISOR], first, last);
        array_evict(kernel->data[TLB_SUPERVISOR_AC], first, last);
        if (codes_evict(&kernel->codes, first, last)) {
            codes_new_generation(set, &kernel->codes);
            ended = true;
        }
    }
    if (ended)
        generation_ended(cpu);
}

/* --- installation ------------------------------------------------------------------------------------------------- */

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

/* A shared kernel side remembers where it holds something of the lower half. */
static void lower_note(struct tlb_set *set, const struct tlb_entry *array, unsigned slot, uint64_t linear)
{
    struct tlb_kernel_side *kernel = set->kernel;
    if (!kernel->shared || in_upper_half(linear) || array == set->user->data || kernel->lower_count > TLB_LOWER)
        return;
    if (kernel->lower_count < TLB_LOWER)
        kernel->lower[kernel->lower_count] = (uint16_t)slot;
    kernel->lower_count++;
}

void tlb_install(struct cpu *cpu, uint64_t linear, uint8_t *host_page, uint64_t ram_page, unsigned access)
{
    struct tlb_set *set = cpu->engine->tlbs;
    struct tlb_entry *array = tlb_array(cpu, access);
    if (array == set->never)
        return;
    unsigned slot = (linear >> 12) & (TLB_ENTRIES - 1);
    struct tlb_entry *entry = &array[slot];
    uint64_t tag = linear & ~4095ull;
    if (entry->read != tag && entry->write != tag) {
        *entry = (struct tlb_entry){ .read = TLB_EMPTY, .write = TLB_EMPTY };
        lower_note(set, array, slot, linear);
    }
    entry->host = (uintptr_t)host_page - (uintptr_t)tag;
    if (access & ACCESS_READ)
        entry->read = tag;
    if (access & ACCESS_WRITE) {
        entry->write = tag;
        writer_note(&set->writers[ram_page], slot + 1);
    }
}

void tlb_install_code(struct cpu *cpu, uint64_t linear, uintptr_t host_page)
{
    struct tlb_set *set = cpu->engine->tlbs;
    struct tlb_codes *codes = set->codes;
    if (cpu->uncached)
        return;
    struct tlb_code *code = &codes->entries[(linear >> 12) & (TLB_ENTRIES - 1)];
    uint64_t tag = linear & ~4095ull;
    if (code->linear != TLB_EMPTY && code->linear != tag) {
        if (codes->displaced_count == TLB_DISPLACED) {
            codes_new_generation(set, codes);
            generation_select(cpu);
        }
        codes->displaced[codes->displaced_count++] = code->linear;
    }
    *code = (struct tlb_code){ tag, host_page };
    if (codes == &set->kernel->codes && !in_upper_half(linear))
        set->kernel->lower_code = true;
}

/* Takes the write tag from a slot if it is for the page at `host`, or whatever it is for if host is 0. */
static void revoke_entry(struct tlb_entry *entry, uintptr_t host)
{
    if (entry->write != TLB_EMPTY && (!host || entry->host + (uintptr_t)entry->write == host))
        entry->write = TLB_EMPTY;
}

static void revoke_slot(struct tlb_set *set, unsigned slot, uintptr_t host)
{
    for (unsigned i = 0; i < TLB_USER_SIDES; i++)
        if (set->users[i].used)
            revoke_entry(&set->users[i].data[slot], host);
    for (unsigned i = 0; i < TLB_KERNEL_SIDES; i++)
        if (set->kernels[i].used) {
            revoke_entry(&set->kernels[i].data[TLB_SUPERVISOR][slot], host);
            revoke_entry(&set->kernels[i].data[TLB_SUPERVISOR_AC][slot], host);
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

/* --- tables ------------------------------------------------------------------------------------------------------- */

/* Bits of a linear address that the paging mode uses. */
static unsigned linear_bits(const struct cpu *cpu)
{
    return !(cpu->efer & EFER_LMA) ? 32 : cpu->cr4 & CR4_LA57 ? 57 : 48;
}

/* The linear address in its canonical form; in legacy paging addresses have 32 bits. */
static uint64_t canonical_form(const struct cpu *cpu, uint64_t linear)
{
    unsigned unused = 64 - linear_bits(cpu);
    return unused == 32 ? (uint32_t)linear : (uint64_t)((int64_t)(linear << unused) >> unused);
}

/* log2 of the linear bytes that one entry of a table of this level maps. */
static unsigned span_bits(unsigned level, unsigned entry_bytes)
{
    return 12 + (entry_bytes == 8 ? 9 : 10) * (level - 1);
}

static void evict_entry(struct cpu *cpu, const struct table_use *use, unsigned index)
{
    uint64_t span = 1ull << span_bits(use->level, use->entry_bytes);
    uint64_t first = canonical_form(cpu, use->linear_base + index * span);
    evict_range(cpu, first, first + span - RAM_PAGE_BYTES);
}

/* True for a table that a walk begins with; PAE's four PDPTEs are registers. */
static bool is_top(const struct cpu *cpu, const struct table_use *use)
{
    return span_bits(use->level + 1u, use->entry_bytes) >= linear_bits(cpu);
}

/* Everything that was translated through this table. A top table's two halves do not meet. */
static void evict_table(struct cpu *cpu, const struct table_use *use)
{
    uint64_t span = (uint64_t)(RAM_PAGE_BYTES / use->entry_bytes) << span_bits(use->level, use->entry_bytes);
    uint64_t first = canonical_form(cpu, use->linear_base);
    if (is_top(cpu, use))
        evict_range(cpu, 0, LAST_PAGE);
    else
        evict_range(cpu, first, first + span - RAM_PAGE_BYTES);
}

void tlb_note_table(struct cpu *cpu, uint64_t page, unsigned level, unsigned entry_bytes, uint64_t linear)
{
    struct table_use *use = &cpu->engine->tlbs->tables[page];
    unsigned bits = linear_bits(cpu), span = span_bits(level + 1, entry_bytes);
    uint64_t base = span >= bits ? 0 : (linear & ((1ull << bits) - 1)) >> span << span;
    if (!use->level) {
        *use = (struct table_use){ .linear_base = base, .level = (uint8_t)level, .entry_bytes = (uint8_t)entry_bytes };
        ram_watch(&cpu->board->ram, page, RAM_WATCH_TABLE);
    } else if (use->linear_base != base || use->level != level || use->entry_bytes != entry_bytes) {
        if (use->moves == TABLE_MOVES_MAX)
            use->ambiguous = true;
        if (!use->ambiguous) {
            evict_table(cpu, use);
            use->linear_base = base;
            use->level = (uint8_t)level;
            use->entry_bytes = (uint8_t)entry_bytes;
            use->moves++;
        }
    }
    use->writes = 0;
}

/* The page may be data by now: what was translated through it goes, and with it the watch. */
static void table_retire(struct cpu *cpu, uint64_t page)
{
    struct tlb_set *set = cpu->engine->tlbs;
    struct table_use *use = &set->tables[page];
    uint64_t physical = ram_physical(&cpu->board->ram, page);
    if (use->ambiguous) {
        tlb_flush(cpu);
        return;
    }
    if (!is_top(cpu, use) || !set->kernel->shared) {
        evict_table(cpu, use);
        table_forget(cpu, page);
        return;
    }
    if (physical == (set->key.root & LAST_PAGE)) { /* the selected root stays watched */
        use->writes = 0;
        return;
    }
    for (unsigned i = 0; i < TLB_USER_SIDES; i++)
        if (set->users[i].used && set->users[i].key.root == physical) {
            user_clear(set, &set->users[i]);
            set->users[i].used = false;
        }
    for (unsigned i = 0; i < TLB_KERNEL_SIDES; i++) {
        struct tlb_kernel_side *kernel = &set->kernels[i];
        if (kernel->used && kernel->shared && kernel->lower_root == physical) {
            kernel_drop_lower(set, kernel);
            kernel->lower_root = UINT64_MAX;
        } else if (kernel->used && !kernel->shared && kernel->key.root == physical) {
            kernel_clear(set, kernel);
            kernel->used = false;
        }
    }
    table_forget(cpu, page);
}

/* True if an entry that becomes another makes something stale. A bit that is only set, by the walker or the guest, does
 * not. */
static bool makes_stale(uint64_t old_entry, uint64_t new_entry)
{
    const uint64_t used = ENTRY_ACCESSED | ENTRY_DIRTY;
    return old_entry & ENTRY_PRESENT && ((old_entry | used) != (new_entry | used) || old_entry & ~new_entry & used);
}

/* The selected root's upper half as it will be after the write. */
static void upper_follow(struct cpu *cpu, uint64_t page, unsigned first, unsigned last, const uint8_t *new_bytes)
{
    const struct tlb_set *set = cpu->engine->tlbs;
    const unsigned half = RAM_PAGE_BYTES / 2;
    if (!set->kernel->shared || ram_physical(&cpu->board->ram, page) != set->key.root || last < half)
        return;
    unsigned from = first < half ? half : first;
    memcpy((uint8_t *)set->kernel->upper + (from - half), new_bytes + (from - first), last - from + 1);
}

void tlb_table_writing(struct cpu *cpu, uint64_t page, unsigned first, unsigned last, const uint8_t *new_bytes)
{
    struct tlb_set *set = cpu->engine->tlbs;
    struct table_use *use = &set->tables[page];
    const uint8_t *old_page = ram_page_bytes(&cpu->board->ram, page);
    if (!use->level)
        return;
    unsigned size = use->entry_bytes;
    for (unsigned at = first & ~(size - 1); at <= last; at += size) {
        uint64_t old_entry = 0, new_entry = 0;
        uint8_t merged[8];
        memcpy(&old_entry, old_page + at, size);
        memcpy(merged, old_page + at, size);
        for (unsigned i = 0; i < size; i++)
            if (at + i >= first && at + i <= last)
                merged[i] = new_bytes[at + i - first];
        memcpy(&new_entry, merged, size);
        if ((old_entry | ENTRY_ACCESSED | ENTRY_DIRTY) != (new_entry | ENTRY_ACCESSED | ENTRY_DIRTY))
            use->moves = 0;
        if (!makes_stale(old_entry, new_entry))
            continue;
        if (use->ambiguous) {
            tlb_flush(cpu); /* forgets the table, too */
            break;
        }
        evict_entry(cpu, use, at / size);
    }
    if (use->level && ++use->writes > TABLE_WRITES_MAX)
        table_retire(cpu, page);
    upper_follow(cpu, page, first, last, new_bytes);
}
