/*
 * The sets of TLB arrays behind cpu->tlb: one array per root table and kind of access, all of them cache.
 *
 * Private to mmu.c, mem.c and the block cache.
 */
#ifndef CPU_TLB_H
#define CPU_TLB_H

#include "cpu/mem.h"

/* What an array was filled for. Supervisor accesses with RFLAGS.AC set under SMAP see other pages than those without.
 */
enum tlb_kind { TLB_SUPERVISOR, TLB_USER, TLB_SUPERVISOR_AC, TLB_KINDS };

#define TLB_ROOTS 8u

/* Everything that decides a translation but the tables themselves. */
struct tlb_key {
    uint64_t root;
    uint32_t controls; /* CR0.PG, CR0.WP, the CR4 and EFER bits of paging, packed */
    uint32_t pkru;
};

struct tlb_root {
    struct tlb_key key;
    bool used;
    uint32_t generation; /* of the chains made under this root */
    uint64_t last_use;   /* in selections, for replacement */
    struct tlb_entry arrays[TLB_KINDS][TLB_ENTRIES];
};

/* How a RAM page served as a page table. */
struct table_use {
    uint64_t linear_base; /* of what its first entry maps */
    uint8_t level;        /* 1: page table, ... 5; 0: not in use */
    uint8_t entry_bytes;  /* 8, or 4 in 32-bit paging */
    bool ambiguous;       /* served at several places: a change evicts everything */
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
    struct tlb_root roots[TLB_ROOTS];
    struct tlb_root *current;
    struct tlb_entry never[TLB_ENTRIES]; /* always empty: every access takes the slow way (#AC, data breakpoints) */
    uint32_t last_generation;
    uint64_t selections;
    uint32_t last_cs_limit;
    struct table_use *tables;     /* one per RAM page */
    struct page_writers *writers; /* one per RAM page */
};

/* 0 or -ENOMEM. */
int tlb_init(struct cpu *cpu);
void tlb_destroy(struct cpu *cpu);

/* RAM watcher callbacks. */
void tlb_table_writing(struct cpu *cpu, uint64_t page, unsigned first, unsigned last, const uint8_t *new_bytes);
void tlb_revoke(struct cpu *cpu, uint64_t page);

/* All chains and jump entries become invalid: blocks were dropped or code translations lost. */
void tlb_new_generation(struct cpu *cpu);

/* Fills the slot of a linear page after a successful translation to RAM. host_page: address of the page's bytes. */
void tlb_install(struct cpu *cpu, uint64_t linear, uint8_t *host_page, uint64_t ram_page, unsigned access);

/* True if every access must take the slow way: alignment checks or data breakpoints are on. */
bool tlb_bypassed(const struct cpu *cpu);

#endif
