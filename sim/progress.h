/*
 * The status line of a run: virtual time, cycles, guest MIPS, marks. On a terminal only; several times a second at
 * most.
 */
#ifndef SIM_PROGRESS_H
#define SIM_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool shows;
    bool own_row; /* the console is on the same terminal: the line has the last row for itself */
    unsigned rows;
    uint64_t next_ns; /* host time of the next line */
    uint64_t last_ns; /* host time, instructions at the last line */
    uint64_t last_instructions;
};

struct progress_values {
    uint64_t cycles, instructions, marks;
    uint64_t goal_cycles; /* of a replay: shown as a percentage; 0: none */
};

/* Nanoseconds of the host's monotonic clock: for people's eyes and pacing, never for the machine. */
uint64_t host_ns(void);

/* wanted: unless --quiet. Nothing is shown if standard error is no terminal. console_shows: the guest's output goes to
 * standard output. */
void progress_start(struct progress *progress, bool wanted, bool console_shows);
void progress_update(struct progress *progress, const struct progress_values *values);
/* Takes the line away. */
void progress_stop(struct progress *progress);

#endif
