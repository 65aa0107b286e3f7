/*
 * Counts of what the guest asked for and did not get, for the summary at the end of a run. Never part of the state.
 */
#ifndef DEVICES_TALLY_H
#define DEVICES_TALLY_H

#include <stdint.h>

enum tally_kind {
    TALLY_PORT,    /* port no device claims; key: port */
    TALLY_MMIO,    /* physical address no device claims; key: address of the page */
    TALLY_MSR,     /* MSR the model does not have; key: index */
    TALLY_LACKING, /* advertised to the guest but not there: an instruction, a device register; key: free, name says
                      what */
};

#define TALLY_ENTRIES_MAX 256

struct tally_entry {
    enum tally_kind kind;
    uint64_t key;
    uint64_t count;
    char name[40];
};

struct tally {
    unsigned entry_count;
    uint64_t overflow; /* events of kinds and keys that found no room */
    struct tally_entry entries[TALLY_ENTRIES_MAX];
};

/* Counts one event; name may be NULL, is cut to fit, and that of the first event stays. */
void tally_count(struct tally *tally, enum tally_kind kind, uint64_t key, const char *name);

#endif
