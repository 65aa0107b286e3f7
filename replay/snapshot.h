/*
 * Snapshots in memory: all parts of a board and its RAM, to come back to.
 *
 * A snapshot is a cache: it holds the canonical forms of the parts and copies of the pages that are not zero. Taking it
 * again and restoring it touch only pages written since, by their epochs.
 */
#ifndef REPLAY_SNAPSHOT_H
#define REPLAY_SNAPSHOT_H

#include "devices/board.h"

struct snapshot {
    struct board *board;
    uint8_t *parts; /* owned: canonical forms, one after the other */
    size_t part_bytes;
    uint64_t page_count;
    uint8_t **pages; /* owned, one per page of RAM; NULL: a page of zeros */
    uint32_t epoch;  /* pages written later than this differ from the copies */
};

/* A snapshot of the board as it stands, at an instruction boundary. 0, or -ENOMEM; then it is to be destroyed all the
 * same. */
int snapshot_init(struct snapshot *snapshot, struct board *board);
/* The board may be gone already. */
void snapshot_destroy(struct snapshot *snapshot);

/* Takes the snapshot anew. 0, or -ENOMEM: then it must not be restored. */
int snapshot_take(struct snapshot *snapshot);

/*
 * Puts the board back to where the snapshot was taken, with no cache of it left: TLBs, blocks, the clock's next event,
 * a request to stop.
 */
void snapshot_restore(struct snapshot *snapshot);

#endif
