/*
 * The arrays behind cpu->tlb, the code translations behind the engine's chains, and what keeps both coherent. All of
 * it is cache.
 *
 * There are two kinds of sides. A user side serves CPL 3 under one root table. A kernel side serves CPL 0 to 2, and
 * implicit supervisor accesses, under every root table with the same upper half: processes share their kernel's
 * mappings, so a switch between them costs the lower half only. Where the kernel itself runs in the lower half that
 * would be all it has; then each root table gets a kernel side of its own.
 *
 * Private to tlb.c, mmu.c, mem.c, engine.c and the block cache.
 */
#ifndef CPU_TLB_H
#define CPU_TLB_H

#include "cpu/mem.h"

/* Supervisor accesses with RFLAGS.AC set under SMAP see other pages than those without. */
enum tlb_kind { TLB_SUPERVISOR, TLB_SUPERVISOR_AC, TLB_USER };

#define TLB_USER_SIDES   8u
#define TLB_KERNEL_SIDES 4u
#define TLB_DISPLACED    32u
#define TLB_LOWER        256u
#define TLB_SHARING_MAX  8u
#define TLB_UPPER        256u /* entries of a 4- or 5-level top table that map the upper half */

/* Everything that decides a translation but the tables themselves. */
struct tlb_key {
    uint64_t root;
    uint32_t controls; /* CR0.PG, CR0.WP, the CR4 and EFER bits of paging, packed */
    uint32_t pkru;
};

/* A page of code that was translated for execution. */
struct tlb_code {
    uint64_t linear; /* of the page; TLB_EMPTY: none */
    uintptr_t host;  /* of its bytes */
};

/*
 * Translations of code, and the generation of the chains that rest on them. A translation that had to make room for
 * another is still under those chains, so its page is remembered; when there are too many the generation ends.
 */
struct tlb_codes {
    uint32_t generation;
    unsigned displaced_count;
    uint64_t displaced[TLB_DISPLACED];
    struct tlb_code entries[TLB_ENTRIES];
};

struct tlb_user_side {
    bool used;
    struct tlb_key key;
    uint64_t last_use; /* in selections, for replacement */
    struct tlb_entry data[TLB_ENTRIES];
    struct tlb_codes codes;
};

struct tlb_kernel_side {
    bool used;
    bool shared;               /* by all roots with this upper half (4- and 5-level paging); else of key.root alone */
    struct tlb_key key;        /* root: 0 if shared */
    uint64_t upper[TLB_UPPER]; /* of the roots that share it, as their table has them */
    uint64_t last_use;
    /* Of a shared side: the root whose lower half it holds, and the slots that may hold some of it. */
    uint64_t lower_root;
    unsigned lower_count; /* more than TLB_LOWER: any slot */
    uint16_t lower[TLB_LOWER];
    bool lower_code;                       /* of any side: there may be code of the lower half */
    struct tlb_entry data[2][TLB_ENTRIES]; /* TLB_SUPERVISOR, TLB_SUPERVISOR_AC */
    struct tlb_codes codes;
};

/* How a RAM page serves as a page table. */
struct table_use {
    uint64_t linear_base; /* of what its first entry maps, without the bits above the paging mode's width */
    uint8_t level;        /* 1: page table, ... 5; 0: not in use */
    uint8_t entry_bytes;  /* 8, or 4 in 32-bit paging */
    bool ambiguous;       /* serves at several places: a change evicts everything */
    uint8_t moves;        /* from place to place without a write in between */
    uint8_t writes;       /* since it was last walked */
};

/*
 * Which slots may hold write tags for a RAM page, by slot number + 1; 0: none. A page seldom has more than two linear
 * addresses; if it has, `many` says so and all slots are searched.
 */
struct page_writers {
    uint16_t slot[2];
    bool many;
};

struct tlb_set {
    struct tlb_key key; /* of the selected sides, while user is not NULL */
    struct tlb_user_side *user;
    struct tlb_kernel_side *kernel;
    struct tlb_codes *codes; /* of the one that CPL asks for */
    uint32_t last_generation;
    unsigned
        sharing; /* 0..TLB_SHARING_MAX, less for each side with code of the lower half that is left; 0: none share */
    uint64_t selections;
    uint32_t last_cs_limit;
    struct table_use *tables;            /* one per RAM page */
    struct page_writers *writers;        /* one per RAM page */
    struct tlb_entry never[TLB_ENTRIES]; /* always empty: every access takes the slow way (#AC, data breakpoints) */
    struct tlb_user_side users[TLB_USER_SIDES];
    struct tlb_kernel_side kernels[TLB_KERNEL_SIDES];
};

/* 0 or -ENOMEM. */
int tlb_init(struct cpu *cpu);
void tlb_destroy(struct cpu *cpu);

/* RAM watcher callbacks. */
void tlb_table_writing(struct cpu *cpu, uint64_t page, unsigned first, unsigned last, const uint8_t *new_bytes);
void tlb_revoke(struct cpu *cpu, uint64_t page);

/* Chains and jump entries of these privileges become invalid: blocks were dropped or code translations lost. */
void tlb_new_generation(struct cpu *cpu, bool user, bool supervisor);

/* Notes that a walk read an entry of this RAM page as a table of this level, on its way to `linear`: from now on a
 * write to it evicts what it maps. */
void tlb_note_table(struct cpu *cpu, uint64_t page, unsigned level, unsigned entry_bytes, uint64_t linear);

/* The array that fits an access of the vCPU as it stands. ACCESS_SYSTEM has the supervisor's; never one for
 * ACCESS_AS_USER, and none that holds anything where every access must take the slow way. */
struct tlb_entry *tlb_array(const struct cpu *cpu, unsigned access);

/* Fills the slot of a linear page after a successful translation to RAM, for accesses of this kind (read, write).
 * host_page: address of the page's bytes. */
void tlb_install(struct cpu *cpu, uint64_t linear, uint8_t *host_page, uint64_t ram_page, unsigned access);

/* Host address of the bytes of the code page of a linear address, for the vCPU as it stands; 0: not known. */
static inline uintptr_t tlb_code_page(const struct tlb_set *set, uint64_t linear)
{
    const struct tlb_code *code = &set->codes->entries[(linear >> 12) & (TLB_ENTRIES - 1)];
    return code->linear == (linear & ~4095ull) ? code->host : 0;
}
void tlb_install_code(struct cpu *cpu, uint64_t linear, uintptr_t host_page);

/* True if every access must take the slow way: alignment checks or data breakpoints are on. */
bool tlb_bypassed(const struct cpu *cpu);

#endif
