/*
 * A session on the interpreter and on KVM at once, compared exit by exit (kvm/exits.h): what sim replay --backend kvm
 * and sim compare without a log do.
 */
#ifndef SIM_BY_EXITS_H
#define SIM_BY_EXITS_H

#include "sim/session.h"

/*
 * Runs an open session to its end, or to the first difference, and prints differences and the counts on standard
 * output. STATUS_OK: no difference; STATUS_DIVERGED; BY_EXITS_SKIPPED after one line on standard error: this host
 * cannot compare. The session must not follow resets.
 */
enum status by_exits_run(struct session *session);

#define BY_EXITS_SKIPPED ((enum status)77) /* what ctest takes for "skipped" */

#endif
