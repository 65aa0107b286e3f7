/*
 * Side by side, exit by exit (by_exits.h).
 */
#include "sim/by_exits.h"

#include "kvm/exits.h"

#include <string.h>

static bool advance(void *context)
{
    return session_step(context);
}

enum status by_exits_run(struct session *session)
{
    const char *why;
    session_begin(session);
    struct exits *exits = exits_open(machine_boot_cpu(session->machine), advance, session, stdout, &why);
    if (!exits) {
        fprintf(stderr, "sim: skipped: %s\n", why);
        return BY_EXITS_SKIPPED;
    }
    exits_run(exits);
    exits_print(exits_totals(exits), stdout);
    bool differs = exits_totals(exits)->differing != 0;
    exits_close(exits);
    session->final_hash = state_hash_take(&session->hash);
    return differs ? STATUS_DIVERGED : STATUS_OK;
}
