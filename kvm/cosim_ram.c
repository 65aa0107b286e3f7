/*
 * A reference's copy of RAM (cosim_ram.h).
 */
#include "kvm/cosim_ram.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ACCESSED_AND_DIRTY 0x60ull

bool cosim_ram_open(struct cosim_ram *copy, struct ram *original)
{
    static const uint8_t zeros[RAM_PAGE_BYTES];
    uint64_t bytes = original->size_bytes;
    memset(copy, 0, sizeof(*copy));
    copy->written = calloc(bytes / RAM_PAGE_BYTES / 64 + 1, sizeof(*copy->written));
    void *ram = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!copy->written || ram == MAP_FAILED) {
        free(copy->written);
        if (ram != MAP_FAILED)
            munmap(ram, bytes);
        copy->written = NULL;
        return false;
    }
    copy->original = original;
    copy->bytes = ram;
    copy->size_bytes = bytes;
    for (uint64_t at = 0; at < bytes; at += RAM_PAGE_BYTES)
        if (memcmp(original->bytes + at, zeros, RAM_PAGE_BYTES) != 0)
            memcpy(copy->bytes + at, original->bytes + at, RAM_PAGE_BYTES);
    copy->copied_epoch = copy->compared_epoch = ram_next_epoch(original);
    return true;
}

void cosim_ram_close(struct cosim_ram *copy)
{
    if (copy->bytes)
        munmap(copy->bytes, copy->size_bytes);
    free(copy->written);
    memset(copy, 0, sizeof(*copy));
}

static bool is_written(const struct cosim_ram *copy, uint64_t page)
{
    return copy->written[page / 64] >> (page % 64) & 1;
}

void cosim_ram_take(struct cosim_ram *copy, bool take_back)
{
    const struct ram *ram = copy->original;
    for (uint64_t page = 0; page < copy->size_bytes / RAM_PAGE_BYTES; page++)
        if (ram->written_epoch[page] > copy->copied_epoch || (take_back && is_written(copy, page)))
            memcpy(copy->bytes + page * RAM_PAGE_BYTES, ram_page_bytes(ram, page), RAM_PAGE_BYTES);
    copy->copied_epoch = ram_next_epoch(copy->original);
}

static bool page_differs(const uint8_t *a, const uint8_t *b, unsigned *at)
{
    for (unsigned i = 0; i < RAM_PAGE_BYTES; i += 8) {
        uint64_t x, y;
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        *at = i;
        if ((x ^ y) & ~ACCESSED_AND_DIRTY)
            return true;
    }
    return false;
}

void cosim_ram_print(const struct cosim_ram *copy, uint64_t page, unsigned offset, FILE *text)
{
    uint64_t theirs, ours;
    memcpy(&theirs, copy->bytes + page * RAM_PAGE_BYTES + offset, 8);
    memcpy(&ours, ram_page_bytes(copy->original, page) + offset, 8);
    fprintf(text, "  physical %" PRIx64 ": %016" PRIx64 " in KVM, %016" PRIx64 " in sim\n",
            ram_physical(copy->original, page) + offset, theirs, ours);
}

/* The next page from this one on that differs, and where; the number of pages if there is none. */
static uint64_t next_difference(const struct cosim_ram *copy, uint64_t page, unsigned *offset)
{
    const struct ram *ram = copy->original;
    uint64_t pages = copy->size_bytes / RAM_PAGE_BYTES;
    for (; page < pages; page++)
        if ((is_written(copy, page) || ram->written_epoch[page] > copy->compared_epoch) &&
            page_differs(copy->bytes + page * RAM_PAGE_BYTES, ram_page_bytes(ram, page), offset))
            break;
    return page;
}

uint64_t cosim_ram_difference(const struct cosim_ram *copy, unsigned *offset)
{
    uint64_t page = next_difference(copy, 0, offset);
    return page < copy->size_bytes / RAM_PAGE_BYTES ? page : RAM_NO_PAGE;
}

unsigned cosim_ram_compare(struct cosim_ram *copy, FILE *text)
{
    uint64_t pages = copy->size_bytes / RAM_PAGE_BYTES;
    unsigned count = 0, offset;
    for (uint64_t page = 0; (page = next_difference(copy, page, &offset)) < pages; page++) {
        count++;
        if (text)
            cosim_ram_print(copy, page, offset, text);
        memcpy(copy->bytes + page * RAM_PAGE_BYTES, ram_page_bytes(copy->original, page), RAM_PAGE_BYTES);
    }
    memset(copy->written, 0, (pages / 64 + 1) * sizeof(*copy->written));
    copy->compared_epoch = ram_next_epoch(copy->original);
    return count;
}
