/*
 * A guest for the proof of copy and patch: a machine with something loaded, run up to a cycle.
 */
#ifndef STENCIL_GUEST_H
#define STENCIL_GUEST_H

#include "sim/load.h"
#include "sim/machine.h"

struct guest {
    struct machine *machine;
    uint64_t console; /* a hash of what it wrote to the console */
    bool ended;       /* it asked for the end, or sleeps for ever */
};

/* The files' contents stay the caller's. model: by name. Ends the program with a message if the guest cannot be made.
 */
void guest_create(struct guest *guest, const struct load_request *request, uint64_t ram_bytes, const char *model);
void guest_destroy(struct guest *guest);

/* Runs up to a cycle, through idle times; less if it ends. */
void guest_run(struct guest *guest, uint64_t stop_cycle);

/* Reads a whole file, to be freed; ends the program if it cannot. */
struct image guest_file(const char *path);

#endif
