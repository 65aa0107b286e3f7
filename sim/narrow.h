/*
 * After a replay that diverged: runs the log again, twice, to the last equal mark, and lets the search of
 * replay/divergence.h find the first differing instruction between there and the record that differs.
 */
#ifndef SIM_NARROW_H
#define SIM_NARROW_H

#include "replay/divergence.h"
#include "sim/session.h"

/*
 * config: of the replay, with its images; log: the whole file; marks: how many were equal. Tells about the search on
 * out (may be NULL). 0, or a negative errno: -ENOENT if the log ends at that mark.
 */
int narrow_divergence(const struct session_config *config, const uint8_t *log, size_t log_bytes, uint64_t marks,
                      struct divergence_report *report, FILE *out);

#endif
