/*
 * Recording (recorder.h).
 */
#include "replay/recorder.h"

#include <errno.h>
#include <string.h>

int recorder_open(struct recorder *recorder, const char *path, bool force, const struct log_header *header,
                  struct state_hash *hash, uint64_t mark_every)
{
    *recorder = (struct recorder){ .hash = hash, .mark_every = mark_every, .next_mark = mark_every };
    return log_create(&recorder->log, path, force, header, state_hash_take(hash));
}

int recorder_input(struct recorder *recorder, uint64_t cycle, enum log_source source, const uint8_t *bytes,
                   unsigned count)
{
    struct log_record record = { .kind = LOG_INPUT, .cycle = cycle, .source = source, .byte_count = count };
    if (count == 0 || count > LOG_INPUT_BYTES_MAX)
        return -EINVAL;
    memcpy(record.bytes, bytes, count);
    return log_append(recorder->log, &record);
}

int recorder_mark(struct recorder *recorder, uint64_t cycle)
{
    if (cycle < recorder->next_mark)
        return 0;
    uint64_t periods = cycle / recorder->mark_every + 1;
    if (__builtin_mul_overflow(periods, recorder->mark_every, &recorder->next_mark))
        recorder->next_mark = UINT64_MAX;
    return log_append(
        recorder->log,
        &(struct log_record){ .kind = LOG_MARK, .cycle = cycle, .state_hash = state_hash_take(recorder->hash) });
}

int recorder_end(struct recorder *recorder, uint64_t cycle, enum log_reason reason, uint64_t code,
                 uint64_t instructions, uint64_t state_hash)
{
    return log_append(recorder->log, &(struct log_record){ .kind = LOG_END,
                                                           .cycle = cycle,
                                                           .reason = reason,
                                                           .code = code,
                                                           .instructions = instructions,
                                                           .state_hash = state_hash });
}

void recorder_close(struct recorder *recorder)
{
    log_close(recorder->log);
    recorder->log = NULL;
}
