/*
 * The same guest run in three ways, which must come to the same state:
 *
 * - one instruction at a time, with generic handlers only, and SSE arithmetic in software; this way says at which cycle
 *   the others end;
 * - as chained blocks, with specialised handlers, and SSE arithmetic on the host;
 * - in pieces of random length, every cache dropped, RAM's epoch closed, and the guest moved to another machine by
 *   the canonical form of all parts at random boundaries, with handlers and arithmetic chosen by the seed.
 *
 * All end with the same fields of all parts, the same RAM, the same request and the same console output, and leave the
 * host's MXCSR as it was. Environment FUZZ_VERBOSE: the first way traces its instructions on stderr.
 */
#ifndef FUZZ_WAYS_H
#define FUZZ_WAYS_H

#include "fuzz/guest.h"

#define WAYS_RAM_BYTES (2u << 20)

/* Runs the guest on its CPU model in all three ways; what differs is a finding. */
void ways_check(const struct guest *guest);

#endif
