/*
 * Guest RAM: one anonymous mapping, a word of epoch and a byte of watch bits for each page.
 *
 * The backing covers the legacy hole A0000H-BFFFFH too, so that page numbers and addresses stay a shift apart below
 * 3 GiB; ram_page_at() never hands those pages out.
 */
#include "devices/ram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int ram_init(struct ram *ram, uint64_t size_bytes)
{
    memset(ram, 0, sizeof(*ram));
    if (size_bytes < 1u << 20 || size_bytes % RAM_PAGE_BYTES || size_bytes > SIZE_MAX / 2)
        return -ENOMEM;

    uint64_t pages = size_bytes / RAM_PAGE_BYTES;
    void *bytes =
        mmap(NULL, (size_t)size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bytes == MAP_FAILED)
        return -ENOMEM;
    ram->bytes = (uint8_t *)bytes;
    ram->size_bytes = size_bytes;
    ram->epoch = 1;
    ram->written_epoch = (uint32_t *)calloc((size_t)pages, sizeof(*ram->written_epoch));
    ram->watch = (uint8_t *)calloc((size_t)pages, sizeof(*ram->watch));
    if (!ram->written_epoch || !ram->watch) {
        ram_destroy(ram);
        return -ENOMEM;
    }
    return 0;
}

void ram_destroy(struct ram *ram)
{
    if (ram->bytes)
        munmap(ram->bytes, (size_t)ram->size_bytes);
    free(ram->written_epoch);
    free(ram->watch);
    memset(ram, 0, sizeof(*ram));
}

void ram_add_watcher(struct ram *ram, const struct ram_watcher *watcher)
{
    if (ram->watcher_count == RAM_WATCHERS_MAX)
        abort(); /* the machine has fewer vCPUs than there is room for watchers */
    ram->watchers[ram->watcher_count++] = *watcher;
}

uint64_t ram_physical(const struct ram *ram, uint64_t page)
{
    uint64_t offset = page * RAM_PAGE_BYTES;

    (void)ram;
    return offset < RAM_LOW_END ? offset : offset - RAM_LOW_END + RAM_HIGH_START;
}

uint8_t *ram_writable_page(struct ram *ram, uint64_t page)
{
    if (ram->watch[page])
        return NULL;
    ram->written_epoch[page] = ram->epoch;
    return ram->bytes + page * RAM_PAGE_BYTES;
}

/* True if each byte of the range is RAM. */
static bool range_is_ram(const struct ram *ram, uint64_t physical, uint64_t bytes)
{
    if (bytes == 0)
        return true;
    if (physical + bytes - 1 < physical || bytes > ram->size_bytes)
        return false;
    for (uint64_t at = physical & ~(uint64_t)(RAM_PAGE_BYTES - 1); at <= physical + bytes - 1; at += RAM_PAGE_BYTES)
        if (ram_page_at(ram, at) == RAM_NO_PAGE)
            return false;
    return true;
}

static uint64_t bytes_in_page(uint64_t physical, uint64_t bytes)
{
    uint64_t room = RAM_PAGE_BYTES - physical % RAM_PAGE_BYTES;

    return bytes < room ? bytes : room;
}

bool ram_read(const struct ram *ram, uint64_t physical, void *to, uint64_t bytes)
{
    uint8_t *out = (uint8_t *)to;

    if (!range_is_ram(ram, physical, bytes))
        return false;
    while (bytes) {
        uint64_t part = bytes_in_page(physical, bytes);

        memcpy(out, ram_page_bytes(ram, ram_page_at(ram, physical)) + physical % RAM_PAGE_BYTES, (size_t)part);
        out += part;
        physical += part;
        bytes -= part;
    }
    return true;
}

bool ram_write(struct ram *ram, uint64_t physical, const void *from, uint64_t bytes)
{
    const uint8_t *in = (const uint8_t *)from;

    if (!range_is_ram(ram, physical, bytes))
        return false;
    while (bytes) {
        uint64_t page = ram_page_at(ram, physical);
        unsigned first = (unsigned)(physical % RAM_PAGE_BYTES);
        uint64_t part = bytes_in_page(physical, bytes);

        if (ram->watch[page])
            for (unsigned i = 0; i < ram->watcher_count; i++)
                ram->watchers[i].writing(ram->watchers[i].context, page, first, first + (unsigned)part - 1, in);
        ram->written_epoch[page] = ram->epoch;
        memmove(ram->bytes + page * RAM_PAGE_BYTES + first, in, (size_t)part);
        in += part;
        physical += part;
        bytes -= part;
    }
    return true;
}

static void revoke(const struct ram *ram, uint64_t page)
{
    for (unsigned i = 0; i < ram->watcher_count; i++)
        if (ram->watchers[i].revoke)
            ram->watchers[i].revoke(ram->watchers[i].context, page);
}

void ram_watch(struct ram *ram, uint64_t page, enum ram_watch why)
{
    bool was_watched = ram->watch[page] != 0;

    ram->watch[page] |= (uint8_t)why;
    if (!was_watched)
        revoke(ram, page);
}

void ram_unwatch(struct ram *ram, uint64_t page, enum ram_watch why)
{
    ram->watch[page] &= (uint8_t)~(unsigned)why;
}

uint32_t ram_next_epoch(struct ram *ram)
{
    uint32_t closed = ram->epoch++;

    revoke(ram, RAM_NO_PAGE);
    return closed;
}
