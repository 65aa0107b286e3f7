/*
 * Counts of what the guest asked for and did not get. Bounded: what finds no room is counted as overflow.
 */
#include "devices/tally.h"

#include <string.h>

void tally_count(struct tally *tally, enum tally_kind kind, uint64_t key, const char *name)
{
    for (unsigned i = 0; i < tally->entry_count; i++) {
        if (tally->entries[i].kind == kind && tally->entries[i].key == key) {
            tally->entries[i].count++;
            return;
        }
    }
    if (tally->entry_count == TALLY_ENTRIES_MAX) {
        tally->overflow++;
        return;
    }

    struct tally_entry *entry = &tally->entries[tally->entry_count++];
    memset(entry, 0, sizeof(*entry));
    entry->kind = kind;
    entry->key = key;
    entry->count = 1;
    if (name)
        memcpy(entry->name, name, strnlen(name, sizeof(entry->name) - 1));
}
