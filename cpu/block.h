/*
 * The cache of decoded blocks, keyed by physical address and mode.
 *
 * A RAM page with blocks is watched; a write that overlaps the code of a block drops it. Blocks live in an arena that
 * is emptied as a whole when it is full: a dropped block stays readable until then, so that the running one can end in
 * order.
 */
#ifndef CPU_BLOCK_H
#define CPU_BLOCK_H

#include "cpu/op.h"

#define BLOCK_INSNS_MAX 48u
/* ops of the instructions, the op that ends the block, two chains */
#define BLOCK_BYTES_MAX (sizeof(struct block) + (BLOCK_INSNS_MAX + 2) * sizeof(struct op) + 2 * sizeof(struct chain))

/* 0 or -ENOMEM. */
int block_cache_init(struct cpu *cpu);
void block_cache_destroy(struct cpu *cpu);

struct block *block_find(const struct cpu *cpu, uint64_t physical, uint32_t mode);

/* Room for the largest block, at the arena's end. When there is none all blocks are dropped first. */
struct block *block_reserve(struct cpu *cpu);
/* Keeps the block that was built there: size_bytes of it, for code in this RAM page. */
void block_keep(struct cpu *cpu, struct block *block, size_t size_bytes, uint64_t ram_page);

void block_drop_all(struct cpu *cpu);

/* RAM watcher callback: bytes first..last of a page with code change. */
void block_code_writing(struct cpu *cpu, uint64_t page, unsigned first, unsigned last, const uint8_t *new_bytes);

/*
 * Lowers the code at a physical address into the block (lower.c). bytes: what can be fetched from there, at least 1 and
 * at most to the page's end; whole: the bytes given are all there is (a fetch across pages). Returns the size of the
 * block in bytes, or 0 if the first instruction needs bytes behind those given.
 */
size_t lower_block(const struct cpu *cpu, struct block *block, uint64_t physical, uint32_t mode, const uint8_t *bytes,
                   unsigned available, bool whole);

#endif
