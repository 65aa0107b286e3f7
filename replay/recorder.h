/*
 * Recording: inputs and marks of a running machine go into a log.
 *
 * Whoever runs the machine tells the recorder of each input at the cycle it enters, and asks at its stops whether a
 * mark is due. Marks are due at multiples of mark_every; those that fall into an idle jump collapse into one at its
 * end.
 */
#ifndef REPLAY_RECORDER_H
#define REPLAY_RECORDER_H

#include "replay/hash.h"
#include "replay/log.h"

struct recorder {
    struct log_writer *log;  /* owned */
    struct state_hash *hash; /* of the machine that runs; replaced when a power cycle makes a new one */
    uint64_t mark_every;     /* cycles */
    uint64_t next_mark;      /* the machine should stop here */
};

/* Creates the log, with the mark at cycle 0. 0, or a negative errno of log_create. */
int recorder_open(struct recorder *recorder, const char *path, bool force, const struct log_header *header,
                  struct state_hash *hash, uint64_t mark_every);

/* Bytes that entered at this cycle, at most LOG_INPUT_BYTES_MAX. 0, or a negative errno of log_append. */
int recorder_input(struct recorder *recorder, uint64_t cycle, enum log_source source, const uint8_t *bytes,
                   unsigned count);

/* Writes a mark if one is due at this cycle. */
int recorder_mark(struct recorder *recorder, uint64_t cycle);

/* Writes the final record. */
int recorder_end(struct recorder *recorder, uint64_t cycle, enum log_reason reason, uint64_t code,
                 uint64_t instructions, uint64_t state_hash);

/* Closes the log as it is, for a run that a host error ends. Does nothing on a recorder of zeros. */
void recorder_close(struct recorder *recorder);

#endif
