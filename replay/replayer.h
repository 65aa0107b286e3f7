/*
 * Replaying: a log feeds a machine its inputs and checks the machine's state at each mark.
 *
 * Whoever runs the machine stops it at replayer_next_cycle(), after the devices' own events of that cycle and before
 * interrupts are sampled, and calls replayer_at(): the same point at which the recorder put the inputs in and took the
 * hash.
 */
#ifndef REPLAY_REPLAYER_H
#define REPLAY_REPLAYER_H

#include "replay/hash.h"
#include "replay/log.h"

enum replay_verdict {
    REPLAY_RUNS,       /* more to come */
    REPLAY_VERIFIED,   /* every mark and the final state were equal */
    REPLAY_INCOMPLETE, /* every mark was equal, but the log has no final record */
    REPLAY_DIVERGED,   /* message says where */
    REPLAY_DAMAGED,    /* message says where */
};

struct replayer {
    struct log_reader *reader; /* open, at its first record */
    struct state_hash *hash;   /* of the machine that runs */
    /* Takes one byte into the chip; false: the chip has no room, which a recorded run never met. */
    bool (*input)(void *context, enum log_source source, uint8_t byte);
    void *context;
    enum replay_verdict verdict;
    struct log_record next; /* valid while verdict is REPLAY_RUNS */
    uint64_t marks;         /* found equal */
    uint64_t equal_cycle;   /* of the last of them */
    uint64_t inputs;        /* bytes fed */
    struct log_record end;  /* kind LOG_END once it was reached */
    char message[256];
};

/* Begins with the record that the reader gives next. */
enum replay_verdict replayer_start(struct replayer *replayer);

/* The cycle of the next record: the machine must stop here. UINT64_MAX once the verdict is known. */
uint64_t replayer_next_cycle(const struct replayer *replayer);

/* Takes all records of this cycle: feeds inputs, compares marks and the end. A machine already past the next record has
 * diverged. */
enum replay_verdict replayer_at(struct replayer *replayer, uint64_t cycle, uint64_t instructions);

/* The machine itself came to an end at this cycle (a reason of the guest's): equal to the log's end, or a divergence.
 */
enum replay_verdict replayer_guest_ended(struct replayer *replayer, uint64_t cycle, uint64_t instructions,
                                         enum log_reason reason, uint64_t code);

#endif
