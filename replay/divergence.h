/*
 * The search for the first differing instruction, after a replay has met a mark that differs.
 *
 * Two machines begin equal, at the last equal mark: side A is run as the replay was, side B in the reference way (every
 * instruction by itself, soft floating point, caches dropped again and again). If they come to differ, the search
 * halves the cycles between until one instruction, or one block of them, is left, and prints what differs by field
 * name. If they do not, what was recorded cannot be run again here.
 */
#ifndef REPLAY_DIVERGENCE_H
#define REPLAY_DIVERGENCE_H

#include "replay/hash.h"
#include "replay/log.h"

#include <stdio.h>

/* One of the two machines. */
struct divergence_side {
    struct board *board;
    void *context;
    /*
     * Runs on until the clock stands at stop_cycle (behind it where no instruction ends there), idle time included.
     * False: the guest has ended the run before. Every call is for a later cycle than now.
     */
    bool (*run)(void *context, uint64_t stop_cycle);
    /* A recorded byte enters the chip at this boundary. */
    void (*input)(void *context, enum log_source source, uint8_t byte);
    /* After a reset that the run follows: the next boot's machine. NULL, or a NULL board: there is none. */
    struct board *(*follow)(void *context);
};

/* What the log says of the cycles between the last equal mark and the record that was found to differ. */
struct divergence_segment {
    uint64_t from; /* cycle of the last equal mark */
    uint64_t to;   /* cycle of the next mark or of the end */
    uint64_t state_hash;
    struct log_record *inputs; /* owned: those behind `from` up to `to` */
    size_t input_count;
};

/*
 * Reads the segment that follows the mark number `marks` - 1 (marks: how many were found equal, at least 1) from a log
 * just opened. 0; -ENOENT if the log has no sealed record behind it; -ENOMEM. To be freed all the same.
 */
int divergence_segment_read(struct divergence_segment *segment, struct log_reader *reader, uint64_t marks);
void divergence_segment_free(struct divergence_segment *segment);

enum divergence_verdict {
    DIVERGENCE_ENGINE,    /* B reaches the recorded state, A does not */
    DIVERGENCE_NEITHER,   /* A and B differ, and neither reaches it */
    DIVERGENCE_RECORDED,  /* A and B agree: the recorded side cannot be run again here */
    DIVERGENCE_GONE,      /* A reaches the recorded state this time */
    DIVERGENCE_NOT_EQUAL, /* the sides were not equal to begin with */
};

struct divergence_report {
    enum divergence_verdict verdict;
    /* Of DIVERGENCE_ENGINE and _NEITHER: */
    uint64_t first;  /* cycle at which the instruction, or the first of the block, begins */
    uint64_t last;   /* cycle at which the last instruction of them begins; equal to first if it differs by itself */
    uint64_t differ; /* stopped at this cycle, the sides differ */
};

/* Searches, and tells about it on out (may be NULL). 0, or -ENOMEM. The sides stand anywhere afterwards. */
int divergence_search(const struct divergence_side *engine, const struct divergence_side *reference,
                      const struct divergence_segment *segment, struct divergence_report *report, FILE *out);

#endif
