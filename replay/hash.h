/*
 * The state hash: XXH3-64 over the canonical form of every part of the board, and over RAM by pages.
 *
 * Only pages written since the last call are hashed again. RAM enters as the sum of one term a page, so the hash does
 * not depend on when it was taken before; a page of zeros has the term 0.
 */
#ifndef REPLAY_HASH_H
#define REPLAY_HASH_H

#include "devices/board.h"

struct state_hash {
    struct board *board;
    uint64_t *terms;    /* owned, one per page of RAM */
    uint64_t ram_sum;   /* of all terms, modulo 2^64 */
    uint32_t epoch;     /* pages written later than this have stale terms */
    uint64_t zero_page; /* XXH3 of a page of zeros */
    void *running;      /* owned XXH3 state */
    uint8_t *scratch;   /* owned, room for the largest part */
    size_t scratch_bytes;
};

/* The board's RAM may hold anything; its parts may change. 0 or -ENOMEM. */
int state_hash_init(struct state_hash *hash, struct board *board);
void state_hash_destroy(struct state_hash *hash);

/* The hash of the board as it stands, at an instruction boundary. Opens a new epoch of RAM; changes nothing else. */
uint64_t state_hash_take(struct state_hash *hash);

/* What a log must match to be replayed: the instruction table's fingerprint, and a hash of all field tables of the
 * board. */
#define STATE_FINGERPRINT_BYTES 96
void state_fingerprint(const struct board *board, char out[STATE_FINGERPRINT_BYTES]);

#endif
