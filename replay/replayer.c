/*
 * Replaying (replayer.h).
 */
#include "replay/replayer.h"

#include <inttypes.h>

/* Looks at the next record; the log's own end decides the verdict. */
static enum replay_verdict replayer_look(struct replayer *replayer)
{
    switch (log_peek(replayer->reader, &replayer->next)) {
    case LOG_OK:
        return replayer->verdict = REPLAY_RUNS;
    case LOG_COMPLETE:
        return replayer->verdict = REPLAY_VERIFIED;
    case LOG_INCOMPLETE:
        snprintf(replayer->message, sizeof(replayer->message),
                 "the log was cut off behind its last mark, at cycle %" PRIu64, replayer->equal_cycle);
        return replayer->verdict = REPLAY_INCOMPLETE;
    case LOG_DAMAGED:
        break;
    }
    snprintf(replayer->message, sizeof(replayer->message), "%s", replayer->reader->error);
    return replayer->verdict = REPLAY_DAMAGED;
}

enum replay_verdict replayer_start(struct replayer *replayer)
{
    return replayer_look(replayer);
}

uint64_t replayer_next_cycle(const struct replayer *replayer)
{
    return replayer->verdict == REPLAY_RUNS ? replayer->next.cycle : UINT64_MAX;
}

/* A divergence; what happened is in the message's tail. */
static enum replay_verdict replayer_diverge(struct replayer *replayer, const char *what)
{
    if (replayer->marks)
        snprintf(replayer->message, sizeof(replayer->message),
                 "%s; the last equal mark is number %" PRIu64 ", at cycle %" PRIu64, what, replayer->marks - 1,
                 replayer->equal_cycle);
    else
        snprintf(replayer->message, sizeof(replayer->message), "%s; no mark is equal", what);
    return replayer->verdict = REPLAY_DIVERGED;
}

static enum replay_verdict replayer_feed(struct replayer *replayer, const struct log_record *record)
{
    char what[120];
    for (unsigned i = 0; i < record->byte_count; i++) {
        if (!replayer->input(replayer->context, record->source, record->bytes[i])) {
            snprintf(what, sizeof(what), "at cycle %" PRIu64 " the chip has no room for a recorded input",
                     record->cycle);
            return replayer_diverge(replayer, what);
        }
        replayer->inputs++;
    }
    return REPLAY_RUNS;
}

static enum replay_verdict replayer_compare(struct replayer *replayer, const struct log_record *record,
                                            uint64_t instructions)
{
    char what[160];
    uint64_t hash = state_hash_take(replayer->hash);
    if (hash != record->state_hash) {
        snprintf(
            what, sizeof(what),
            "the state differs at %s %" PRIu64 ", cycle %" PRIu64 ": recorded %016" PRIx64 ", replayed %016" PRIx64,
            record->kind == LOG_END ? "the end, after mark" : "mark",
            record->kind == LOG_END ? replayer->marks - 1 : replayer->marks, record->cycle, record->state_hash, hash);
        return replayer_diverge(replayer, what);
    }
    if (record->kind == LOG_END) {
        if (record->instructions != instructions) {
            snprintf(what, sizeof(what), "%" PRIu64 " instructions were recorded, %" PRIu64 " replayed",
                     record->instructions, instructions);
            return replayer_diverge(replayer, what);
        }
        replayer->end = *record;
        return REPLAY_RUNS;
    }
    replayer->marks++;
    replayer->equal_cycle = record->cycle;
    return REPLAY_RUNS;
}

enum replay_verdict replayer_at(struct replayer *replayer, uint64_t cycle, uint64_t instructions)
{
    char what[120];
    while (replayer->verdict == REPLAY_RUNS && replayer->next.cycle <= cycle) {
        struct log_record record;
        if (replayer->next.cycle < cycle) {
            snprintf(what, sizeof(what), "no instruction ends at cycle %" PRIu64 ", where the log has a record",
                     replayer->next.cycle);
            return replayer_diverge(replayer, what);
        }
        if (replayer->next.kind == LOG_END && log_reason_is_guests(replayer->next.reason)) {
            snprintf(what, sizeof(what), "the recorded guest ended at cycle %" PRIu64 " (%s), this one goes on", cycle,
                     log_reason_name(replayer->next.reason));
            return replayer_diverge(replayer, what);
        }
        if (log_next(replayer->reader, &record) != LOG_OK)
            return replayer_look(replayer);
        if (record.kind == LOG_INPUT)
            replayer_feed(replayer, &record);
        else
            replayer_compare(replayer, &record, instructions);
        if (replayer->verdict == REPLAY_RUNS)
            replayer_look(replayer);
    }
    return replayer->verdict;
}

enum replay_verdict replayer_guest_ended(struct replayer *replayer, uint64_t cycle, uint64_t instructions,
                                         enum log_reason reason, uint64_t code)
{
    char what[120];
    const struct log_record *next = &replayer->next;
    if (replayer->verdict != REPLAY_RUNS)
        return replayer->verdict;
    /* A mark that was due at this very cycle stands before the end; inputs cannot: nobody was there to take them. */
    while (next->kind == LOG_MARK && next->cycle == cycle) {
        struct log_record mark;
        if (log_next(replayer->reader, &mark) != LOG_OK ||
            replayer_compare(replayer, &mark, instructions) != REPLAY_RUNS || replayer_look(replayer) != REPLAY_RUNS)
            return replayer->verdict;
    }
    if (next->kind != LOG_END || next->cycle != cycle || next->reason != reason || next->code != code) {
        snprintf(what, sizeof(what), "this guest ended at cycle %" PRIu64 " (%s), the recorded one did not", cycle,
                 log_reason_name(reason));
        return replayer_diverge(replayer, what);
    }
    struct log_record end;
    if (log_next(replayer->reader, &end) != LOG_OK)
        return replayer_look(replayer);
    if (replayer_compare(replayer, &end, instructions) == REPLAY_RUNS)
        replayer_look(replayer);
    return replayer->verdict;
}
