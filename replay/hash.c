/*
 * The state hash (hash.h).
 */
#include "replay/hash.h"

#include "cpu/isa.h"

#include <xxhash.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int state_hash_init(struct state_hash *hash, struct board *board)
{
    static const uint8_t zeros[RAM_PAGE_BYTES];
    memset(hash, 0, sizeof(*hash));
    hash->board = board;
    hash->zero_page = XXH3_64bits(zeros, sizeof(zeros));
    hash->terms = calloc(board->ram.size_bytes / RAM_PAGE_BYTES, sizeof(*hash->terms));
    hash->running = XXH3_createState();
    if (hash->terms && hash->running)
        return 0;
    state_hash_destroy(hash);
    return -ENOMEM;
}

void state_hash_destroy(struct state_hash *hash)
{
    free(hash->terms);
    free(hash->scratch);
    XXH3_freeState(hash->running);
    memset(hash, 0, sizeof(*hash));
}

static void put_u64(uint8_t *out, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> 8 * i);
}

/* What a page adds to the sum: its hash, mixed with its number so that two pages cannot change places unseen. */
static uint64_t page_term(const struct state_hash *hash, uint64_t page)
{
    uint64_t content = XXH3_64bits(ram_page_bytes(&hash->board->ram, page), RAM_PAGE_BYTES);
    uint8_t bytes[16];
    if (content == hash->zero_page)
        return 0;
    put_u64(bytes, page);
    put_u64(bytes + 8, content);
    return XXH3_64bits(bytes, sizeof(bytes));
}

static void hash_ram(struct state_hash *hash)
{
    struct ram *ram = &hash->board->ram;
    uint64_t pages = ram->size_bytes / RAM_PAGE_BYTES;
    for (uint64_t page = 0; page < pages; page++) {
        if (ram->written_epoch[page] <= hash->epoch)
            continue;
        uint64_t term = page_term(hash, page);
        hash->ram_sum += term - hash->terms[page];
        hash->terms[page] = term;
    }
    hash->epoch = ram_next_epoch(ram);
}

/* Room for the canonical form of the largest part; parts do not change, but may be more than at the last call. */
static void scratch_reserve(struct state_hash *hash, size_t bytes)
{
    if (bytes <= hash->scratch_bytes)
        return;
    free(hash->scratch);
    hash->scratch = malloc(bytes);
    hash->scratch_bytes = bytes;
    board_assert(hash->board, hash->scratch != NULL);
}

uint64_t state_hash_take(struct state_hash *hash)
{
    const struct board *board = hash->board;
    uint8_t numbers[16];
    XXH3_64bits_reset(hash->running);
    for (unsigned i = 0; i < board->part_count; i++) {
        const struct part *part = &board->parts[i];
        size_t bytes = part_canonical_bytes(part);
        scratch_reserve(hash, bytes);
        part_save(part, hash->scratch);
        XXH3_64bits_update(hash->running, part->name, strlen(part->name) + 1);
        XXH3_64bits_update(hash->running, hash->scratch, bytes);
    }
    hash_ram(hash);
    put_u64(numbers, board->ram.size_bytes);
    put_u64(numbers + 8, hash->ram_sum);
    XXH3_64bits_update(hash->running, numbers, sizeof(numbers));
    return XXH3_64bits_digest(hash->running);
}

void state_fingerprint(const struct board *board, char out[STATE_FINGERPRINT_BYTES])
{
    XXH3_state_t *running = XXH3_createState();
    board_assert(board, running != NULL);
    XXH3_64bits_reset(running);
    for (unsigned i = 0; i < board->part_count; i++) {
        const struct part *part = &board->parts[i];
        XXH3_64bits_update(running, part->name, strlen(part->name) + 1);
        for (unsigned j = 0; j < part->field_count; j++) {
            const struct field *field = &part->fields[j];
            uint8_t numbers[16];
            if (field->kind != FIELD_STATE)
                continue; /* caches may come and go without a log noticing */
            put_u64(numbers, field->count);
            put_u64(numbers + 8, field->bytes);
            XXH3_64bits_update(running, field->name, strlen(field->name) + 1);
            XXH3_64bits_update(running, numbers, sizeof(numbers));
        }
    }
    snprintf(out, STATE_FINGERPRINT_BYTES, "%s-%016llx", isa_fingerprint,
             (unsigned long long)XXH3_64bits_digest(running));
    XXH3_freeState(running);
}
