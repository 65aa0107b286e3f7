/*
 * Snapshots in memory (snapshot.h).
 */
#include "replay/snapshot.h"

#include "cpu/cpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool page_is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, RAM_PAGE_BYTES - 1) == 0;
}

static int page_copy(struct snapshot *snapshot, uint64_t page)
{
    const uint8_t *bytes = ram_page_bytes(&snapshot->board->ram, page);
    uint8_t **copy = &snapshot->pages[page];
    if (page_is_zero(bytes)) {
        free(*copy);
        *copy = NULL;
        return 0;
    }
    if (!*copy)
        *copy = malloc(RAM_PAGE_BYTES);
    if (!*copy)
        return -ENOMEM;
    memcpy(*copy, bytes, RAM_PAGE_BYTES);
    return 0;
}

int snapshot_take(struct snapshot *snapshot)
{
    struct board *board = snapshot->board;
    uint8_t *to = snapshot->parts;
    for (unsigned i = 0; i < board->part_count; i++) {
        part_save(&board->parts[i], to);
        to += part_canonical_bytes(&board->parts[i]);
    }
    for (uint64_t page = 0; page < snapshot->page_count; page++)
        if (board->ram.written_epoch[page] > snapshot->epoch && page_copy(snapshot, page))
            return -ENOMEM;
    snapshot->epoch = ram_next_epoch(&board->ram);
    return 0;
}

int snapshot_init(struct snapshot *snapshot, struct board *board)
{
    *snapshot = (struct snapshot){ .board = board, .page_count = board->ram.size_bytes / RAM_PAGE_BYTES };
    for (unsigned i = 0; i < board->part_count; i++)
        snapshot->part_bytes += part_canonical_bytes(&board->parts[i]);
    snapshot->parts = malloc(snapshot->part_bytes);
    snapshot->pages = calloc(snapshot->page_count, sizeof(*snapshot->pages));
    if (!snapshot->parts || !snapshot->pages)
        return -ENOMEM;
    return snapshot_take(snapshot); /* a page that was never written has epoch 0 and is zero */
}

void snapshot_destroy(struct snapshot *snapshot)
{
    for (uint64_t page = 0; snapshot->pages && page < snapshot->page_count; page++)
        free(snapshot->pages[page]);
    free(snapshot->pages);
    free(snapshot->parts);
    memset(snapshot, 0, sizeof(*snapshot));
}

static void restore_ram(struct snapshot *snapshot)
{
    static const uint8_t zeros[RAM_PAGE_BYTES];
    struct ram *ram = &snapshot->board->ram;
    for (uint64_t page = 0; page < snapshot->page_count; page++) {
        if (ram->written_epoch[page] <= snapshot->epoch)
            continue;
        const uint8_t *copy = snapshot->pages[page] ? snapshot->pages[page] : zeros;
        if (memcmp(ram_page_bytes(ram, page), copy, RAM_PAGE_BYTES) != 0)
            board_assert(snapshot->board, ram_write(ram, ram_physical(ram, page), copy, RAM_PAGE_BYTES));
    }
}

void snapshot_restore(struct snapshot *snapshot)
{
    struct board *board = snapshot->board;
    const uint8_t *from = snapshot->parts;
    restore_ram(snapshot);
    for (unsigned i = 0; i < board->part_count; i++) {
        part_load(&board->parts[i], from);
        from += part_canonical_bytes(&board->parts[i]);
    }
    board->request = BOARD_RUN;
    board->request_code = 0;
    board->attention = false;
    clock_rebuild(&board->clock);
    for (unsigned i = 0; i < board->part_count; i++)
        if (board->parts[i].fields == cpu_fields)
            cpu_drop_caches(board->parts[i].state);
}
