/*
 * The decoded-block cache: a hash by (physical address, mode), lists by page, and the arena they live in.
 */
#include "cpu/block.h"
#include "cpu/engine.h"
#include "cpu/tlb.h"

#include <errno.h>
#include <stdlib.h>

#define BUCKETS     (1u << 16)
#define ARENA_BYTES (24u << 20)
#define CHUNK_BYTES 64u /* granularity of the masks of code bytes in a page */

struct code_page {
    struct block *first;
    uint64_t mask; /* bit i: a block covers bytes of chunk i */
};

struct block_cache {
    struct block *buckets[BUCKETS];
    struct code_page *pages; /* one per RAM page */
    uint8_t *arena;
    size_t used;
};

int block_cache_init(struct cpu *cpu)
{
    struct block_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return -ENOMEM;
    cpu->engine->blocks = cache;
    cache->pages = calloc(cpu->board->ram.size_bytes / RAM_PAGE_BYTES, sizeof(*cache->pages));
    cache->arena = malloc(ARENA_BYTES);
    if (!cache->pages || !cache->arena) {
        block_cache_destroy(cpu);
        return -ENOMEM;
    }
    return 0;
}

void block_cache_destroy(struct cpu *cpu)
{
    struct block_cache *cache = cpu->engine->blocks;
    if (!cache)
        return;
    free(cache->pages);
    free(cache->arena);
    free(cache);
    cpu->engine->blocks = NULL;
}

static struct block **bucket_of(struct block_cache *cache, uint64_t physical, uint32_t mode)
{
    uint64_t key = (physical ^ (uint64_t)mode << 40) * 0x9E3779B97F4A7C15ull;
    return &cache->buckets[key >> 48 & (BUCKETS - 1)];
}

struct block *block_find(const struct cpu *cpu, uint64_t physical, uint32_t mode)
{
    struct block *block = *bucket_of(cpu->engine->blocks, physical, mode);
    while (block && (block->physical != physical || block->mode != mode))
        block = block->next_same_hash;
    return block;
}

void block_drop_all(struct cpu *cpu)
{
    struct block_cache *cache = cpu->engine->blocks;
    struct ram *ram = &cpu->board->ram;
    uint64_t pages = ram->size_bytes / RAM_PAGE_BYTES;
    memset(cache->buckets, 0, sizeof(cache->buckets));
    for (uint64_t page = 0; page < pages; page++) {
        if (!cache->pages[page].first)
            continue;
        cache->pages[page] = (struct code_page){ 0 };
        ram_unwatch(ram, page, RAM_WATCH_CODE);
    }
    cache->used = 0;
    cpu->engine->chain_from = NULL; /* it pointed into the arena */
    tlb_new_generation(cpu, true, true);
}

struct block *block_reserve(struct cpu *cpu)
{
    struct block_cache *cache = cpu->engine->blocks;
    if (cache->used + BLOCK_BYTES_MAX > ARENA_BYTES)
        block_drop_all(cpu);
    return (struct block *)(cache->arena + cache->used);
}

static uint64_t chunk_mask(unsigned first, unsigned last)
{
    unsigned low = first / CHUNK_BYTES, high = last / CHUNK_BYTES;
    return (UINT64_MAX << low) & (UINT64_MAX >> (63 - high));
}

static unsigned block_first(const struct block *block)
{
    return block->physical & (RAM_PAGE_BYTES - 1);
}

static unsigned block_last(const struct block *block)
{
    return block_first(block) + block->bytes - 1;
}

void block_keep(struct cpu *cpu, struct block *block, size_t size_bytes, uint64_t ram_page)
{
    struct block_cache *cache = cpu->engine->blocks;
    cache->used += (size_bytes + 15) & ~(size_t)15;
    struct block **bucket = bucket_of(cache, block->physical, block->mode);
    block->next_same_hash = *bucket;
    *bucket = block;
    struct code_page *page = &cache->pages[ram_page];
    if (!page->first)
        ram_watch(&cpu->board->ram, ram_page, RAM_WATCH_CODE);
    block->next_same_page = page->first;
    page->first = block;
    page->mask |= chunk_mask(block_first(block), block_last(block));
}

static void bucket_remove(struct block_cache *cache, struct block *block)
{
    struct block **link = bucket_of(cache, block->physical, block->mode);
    while (*link != block)
        link = &(*link)->next_same_hash;
    *link = block->next_same_hash;
}

void block_code_writing(struct cpu *cpu, uint64_t ram_page, unsigned first, unsigned last, const uint8_t *new_bytes)
{
    struct block_cache *cache = cpu->engine->blocks;
    struct code_page *page = &cache->pages[ram_page];
    if (!(page->mask & chunk_mask(first, last)))
        return;
    if (!memcmp(ram_page_bytes(&cpu->board->ram, ram_page) + first, new_bytes, last - first + 1))
        return;
    bool user = false, supervisor = false; /* of what is dropped */
    page->mask = 0;
    for (struct block **link = &page->first; *link;) {
        struct block *block = *link;
        if (block_first(block) <= last && block_last(block) >= first) {
            *link = block->next_same_page;
            bucket_remove(cache, block);
            if ((block->mode & MODE_CPL_MASK) >> MODE_CPL_SHIFT == 3)
                user = true;
            else
                supervisor = true;
        } else {
            page->mask |= chunk_mask(block_first(block), block_last(block));
            link = &block->next_same_page;
        }
    }
    if (user || supervisor)
        tlb_new_generation(cpu, user, supervisor);
    if (!page->first)
        ram_unwatch(&cpu->board->ram, ram_page, RAM_WATCH_CODE);
}
