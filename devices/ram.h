/*
 * Guest RAM, by pages of 4 KiB.
 *
 * RAM lies at physical 0 up to 3 GiB, the rest from 4 GiB on. Every write, from whatever side (guest store, page
 * walker, device, loader, debugger), passes ram_write() or a page handed out by ram_writable_page(); both note the page
 * as written in the current epoch. Pages that hold decoded code or serve as page tables are watched: they are never
 * handed out for direct writing, and the watchers hear of each write to them before it happens.
 */
#ifndef DEVICES_RAM_H
#define DEVICES_RAM_H

#include "devices/field.h"

#define RAM_PAGE_BYTES 4096u
#define RAM_NO_PAGE    UINT64_MAX
#define RAM_LOW_END    0xC0000000ull /* end of RAM below the 4 GiB hole */
#define RAM_HIGH_START 0x100000000ull

enum ram_watch {
    RAM_WATCH_CODE = 1,  /* holds decoded blocks */
    RAM_WATCH_TABLE = 2, /* served as a page table, translations depend on it */
};

/* Whoever keeps caches derived from RAM: each vCPU. */
struct ram_watcher {
    void *context;
    /*
     * bytes first..last (0..4095) of a watched page are about to change to the bytes at new_bytes; the page still has
     * the old ones. The watcher drops what depended on them.
     */
    void (*writing)(void *context, uint64_t page, unsigned first, unsigned last, const uint8_t *new_bytes);
    /* Direct write access to this page (RAM_NO_PAGE: to every page) that was handed out earlier must be given up. */
    void (*revoke)(void *context, uint64_t page);
};

#define RAM_WATCHERS_MAX 16

struct ram {
    uint8_t *bytes;          /* owned, mmap */
    uint64_t size_bytes;     /* a multiple of 4096 */
    uint32_t *written_epoch; /* owned, one per page: the epoch of the page's last write, 0 for never */
    uint8_t *watch;          /* owned, one per page: enum ram_watch bits */
    uint32_t epoch;          /* the current one, from 1 */
    unsigned watcher_count;
    struct ram_watcher watchers[RAM_WATCHERS_MAX];
};

/* size_bytes: a multiple of 4096, at least 1 MiB. 0, or -ENOMEM. */
int ram_init(struct ram *ram, uint64_t size_bytes);
void ram_destroy(struct ram *ram);
void ram_add_watcher(struct ram *ram, const struct ram_watcher *watcher);

#define RAM_HOLE_START 0xA0000ull /* the legacy video hole */
#define RAM_HOLE_END   0xC0000ull

/* The RAM page (0..size/4096-1) behind a physical address, or RAM_NO_PAGE. The legacy hole A0000H-BFFFFH is no RAM. */
static inline uint64_t ram_page_at(const struct ram *ram, uint64_t physical)
{
    uint64_t offset = physical;
    if (physical >= RAM_HIGH_START)
        offset = physical - RAM_HIGH_START + RAM_LOW_END;
    else if (physical >= RAM_LOW_END || (physical >= RAM_HOLE_START && physical < RAM_HOLE_END))
        return RAM_NO_PAGE;
    return offset < ram->size_bytes ? offset / RAM_PAGE_BYTES : RAM_NO_PAGE;
}
/* The physical address of a RAM page. */
uint64_t ram_physical(const struct ram *ram, uint64_t page);

/* Host address of a page for reading; valid until the next instruction boundary, or as a cache that revoke() covers. */
static inline const uint8_t *ram_page_bytes(const struct ram *ram, uint64_t page)
{
    return ram->bytes + page * RAM_PAGE_BYTES;
}

/* Notes the page as written and returns its host address for direct writing, or NULL if the page is watched. */
uint8_t *ram_writable_page(struct ram *ram, uint64_t page);

/*
 * Copies between RAM and a buffer, within or across pages. The range must be RAM; returns false, with nothing done, if
 * any of it is not. ram_write is the door: epochs, watchers.
 */
bool ram_read(const struct ram *ram, uint64_t physical, void *to, uint64_t bytes);
bool ram_write(struct ram *ram, uint64_t physical, const void *from, uint64_t bytes);

/* Begins or ends the watching of a page. Beginning revokes direct write access to it. */
void ram_watch(struct ram *ram, uint64_t page, enum ram_watch why);
void ram_unwatch(struct ram *ram, uint64_t page, enum ram_watch why);

/*
 * Closes the current epoch and opens the next; returns the closed one. A consumer (marks, snapshots, write sets)
 * remembers it; pages with written_epoch > that value were written since. Revokes all direct write access.
 */
uint32_t ram_next_epoch(struct ram *ram);

#endif
