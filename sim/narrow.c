/*
 * The two sides of a divergence search as sessions (narrow.h).
 */
#include "sim/narrow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct side {
    struct session session;
    struct log_reader reader;
    struct replayer replayer;
    bool is_reference;
};

static bool side_run(void *context, uint64_t stop_cycle)
{
    struct side *side = context;
    while (machine_now(side->session.machine) < stop_cycle) {
        struct machine *machine = side->session.machine;
        switch (machine_run(machine, stop_cycle)) {
        case MACHINE_STOPPED:
            break;
        case MACHINE_HALTED: {
            uint64_t event = machine_next_event(machine);
            machine_skip(machine, event < stop_cycle ? event : stop_cycle);
            break;
        }
        case MACHINE_REQUEST:
            if (machine_board(machine)->request != BOARD_HOST_STOP)
                return false;
            machine_board(machine)->request = BOARD_RUN;
            break;
        case MACHINE_FAILED: /* no side runs on KVM */
            return false;
        }
    }
    return true;
}

static void side_input(void *context, enum log_source source, uint8_t byte)
{
    struct side *side = context;
    if (source == LOG_CONSOLE)
        machine_console_input(side->session.machine, byte); /* no room: the states show it */
}

/* The reference way: single steps, soft floating point, nothing cached. */
static void side_choose_way(struct side *side)
{
    struct cpu *cpu = machine_boot_cpu(side->session.machine);
    if (!side->is_reference)
        return;
    machine_single_step(side->session.machine, 0, UINT64_MAX);
    cpu->fp_soft = true;
    cpu_uncached(cpu);
}

static struct board *side_follow(void *context)
{
    struct side *side = context;
    if (!session_follow_reset(&side->session))
        return NULL;
    side_choose_way(side);
    return machine_board(side->session.machine);
}

/* Replays the log from its beginning up to the mark at this cycle. */
static int side_open(struct side *side, const struct session_config *config, const uint8_t *log, size_t log_bytes,
                     uint64_t cycle)
{
    char error[IMAGE_ERROR_BYTES];
    struct session_limits limits = { .max_cycles = UINT64_MAX, .idle_limit_cycles = UINT64_MAX, .quiet = true };
    if (log_open(&side->reader, log, log_bytes) != LOG_OK || session_open(&side->session, config, &limits, error))
        return -ENOMEM; /* it could be opened before */
    side->replayer.reader = &side->reader;
    side->session.replayer = &side->replayer;
    side->session.replay_to = cycle;
    session_run(&side->session);
    if (side->session.error)
        return side->session.error;
    side_choose_way(side);
    return 0;
}

static void side_close(struct side *side)
{
    if (side->session.config)
        session_close(&side->session);
    log_reader_close(&side->reader);
}

static struct divergence_side side_of(struct side *side)
{
    return (struct divergence_side){ machine_board(side->session.machine), side, side_run, side_input, side_follow };
}

static int read_segment(struct divergence_segment *segment, const uint8_t *log, size_t log_bytes, uint64_t marks)
{
    struct log_reader reader;
    int error = -ENOENT;
    if (log_open(&reader, log, log_bytes) == LOG_OK)
        error = divergence_segment_read(segment, &reader, marks);
    log_reader_close(&reader);
    return error;
}

int narrow_divergence(const struct session_config *config, const uint8_t *log, size_t log_bytes, uint64_t marks,
                      struct divergence_report *report, FILE *out)
{
    struct divergence_segment segment = { 0 };
    struct side engine = { 0 }, reference = { .is_reference = true };
    *report = (struct divergence_report){ 0 };
    int error = read_segment(&segment, log, log_bytes, marks);
    if (!error && out)
        fprintf(out, "sim: running again to cycle %" PRIu64 ", to search from there to cycle %" PRIu64 "\n",
                segment.from, segment.to);
    if (!error)
        error = side_open(&engine, config, log, log_bytes, segment.from);
    if (!error)
        error = side_open(&reference, config, log, log_bytes, segment.from);
    if (!error) {
        struct divergence_side a = side_of(&engine), b = side_of(&reference);
        error = divergence_search(&a, &b, &segment, report, out);
    }
    side_close(&engine);
    side_close(&reference);
    divergence_segment_free(&segment);
    return error;
}
