/*
 * The search for the first differing instruction (divergence.h).
 *
 * Side A always runs from the same start without a stop on the way, since a stop makes the engine step and so could
 * hide what chained blocks do wrong. The start moves on only when the difference is still there from the later one.
 * Side B is stepped anyway, and goes on from where the sides were last equal.
 */
#include "replay/divergence.h"

#include "replay/compare.h"
#include "replay/show.h"
#include "replay/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COMPARE_LINES      40
#define INSTRUCTIONS_SHOWN 64

/* --- the segment --- */

static bool segment_keep(struct divergence_segment *segment, const struct log_record *input)
{
    if ((segment->input_count & (segment->input_count - 1)) == 0) { /* room doubles at each power of two */
        size_t room = segment->input_count ? 2 * segment->input_count : 1;
        struct log_record *grown = realloc(segment->inputs, room * sizeof(*grown));
        if (!grown)
            return false;
        segment->inputs = grown;
    }
    segment->inputs[segment->input_count++] = *input;
    return true;
}

int divergence_segment_read(struct divergence_segment *segment, struct log_reader *reader, uint64_t marks)
{
    struct log_record record;
    uint64_t seen = 0;
    *segment = (struct divergence_segment){ 0 };
    while (log_next(reader, &record) == LOG_OK) {
        if (record.kind != LOG_INPUT && seen == marks) {
            segment->to = record.cycle;
            segment->state_hash = record.state_hash;
            return 0;
        }
        if (record.kind == LOG_MARK) {
            seen++;
            segment->from = record.cycle;
        } else if (seen == marks && record.cycle > segment->from && !segment_keep(segment, &record)) {
            return -ENOMEM;
        }
    }
    return -ENOENT;
}

void divergence_segment_free(struct divergence_segment *segment)
{
    free(segment->inputs);
    *segment = (struct divergence_segment){ 0 };
}

/* --- one side --- */

/* Where a side stands. */
struct stand {
    uint64_t cycle;
    uint64_t hash;
    bool ended;
};

struct place {
    struct snapshot snapshot;
    size_t next_input;
    uint64_t cycle;
};

struct runner {
    const struct divergence_side *side;
    const struct divergence_segment *segment;
    struct board *board;
    struct state_hash hash;
    struct place start, trial; /* trial: of side A only */
    size_t next_input;
    bool ended;
};

struct search {
    struct runner a, b;
    struct stand b_differs; /* where B stands when stopped at `differ` */
    FILE *out;
};

static uint64_t runner_now(const struct runner *runner)
{
    return runner->board->clock.now_cycles;
}

static void runner_feed(struct runner *runner)
{
    const struct divergence_segment *segment = runner->segment;
    while (runner->next_input < segment->input_count &&
           segment->inputs[runner->next_input].cycle <= runner_now(runner)) {
        const struct log_record *record = &segment->inputs[runner->next_input++];
        for (unsigned i = 0; i < record->byte_count; i++)
            runner->side->input(runner->side->context, record->source, record->bytes[i]);
    }
}

/* Runs on to the cycle, with the inputs on the way; those of the cycle itself go in, too. */
static void runner_run(struct runner *runner, uint64_t cycle)
{
    const struct divergence_segment *segment = runner->segment;
    while (!runner->ended) {
        runner_feed(runner);
        if (runner_now(runner) >= cycle)
            break;
        uint64_t stop = cycle;
        if (runner->next_input < segment->input_count && segment->inputs[runner->next_input].cycle < stop)
            stop = segment->inputs[runner->next_input].cycle;
        runner->ended = !runner->side->run(runner->side->context, stop);
    }
}

static struct stand runner_stand(struct runner *runner)
{
    return (struct stand){ runner_now(runner), state_hash_take(&runner->hash), runner->ended };
}

static struct stand runner_stand_at(struct runner *runner, uint64_t cycle)
{
    runner_run(runner, cycle);
    return runner_stand(runner);
}

static bool stands_equal(struct stand a, struct stand b)
{
    return a.cycle == b.cycle && a.hash == b.hash && a.ended == b.ended;
}

static int place_take(struct runner *runner, struct place *place)
{
    place->next_input = runner->next_input;
    place->cycle = runner_now(runner);
    return place->snapshot.board ? snapshot_take(&place->snapshot) : snapshot_init(&place->snapshot, runner->board);
}

static void place_restore(struct runner *runner, struct place *place)
{
    snapshot_restore(&place->snapshot);
    runner->next_input = place->next_input;
    runner->ended = false;
}

static int runner_open(struct runner *runner, struct board *board)
{
    runner->board = board;
    runner->ended = false;
    int error = state_hash_init(&runner->hash, board);
    return error ? error : place_take(runner, &runner->start);
}

static void runner_close(struct runner *runner)
{
    if (runner->hash.board)
        state_hash_destroy(&runner->hash);
    if (runner->start.snapshot.board)
        snapshot_destroy(&runner->start.snapshot);
    if (runner->trial.snapshot.board)
        snapshot_destroy(&runner->trial.snapshot);
}

/* --- halving --- */

/* True if side A, run from its start with one stop on the way, still comes out different. */
static bool differs_with_stop(struct search *search, uint64_t stop, uint64_t differ)
{
    struct runner *a = &search->a;
    place_restore(a, &a->start);
    runner_run(a, stop);
    return !stands_equal(runner_stand_at(a, differ), search->b_differs);
}

/* Side A stands at a boundary where the sides are equal: tries to begin there from now on. */
static int move_start(struct search *search, uint64_t differ)
{
    struct runner *a = &search->a;
    if (runner_now(a) >= differ)
        return 0;
    int error = place_take(a, &a->trial);
    if (error)
        return error;
    place_restore(a, &a->trial);
    if (stands_equal(runner_stand_at(a, differ), search->b_differs))
        return 0;
    struct place earlier = a->start;
    a->start = a->trial;
    a->trial = earlier;
    return 0;
}

/* Halves until stopped at *equal the sides are equal, stopped one cycle later they differ. */
static int halve(struct search *search, uint64_t *equal, uint64_t *differ)
{
    while (*differ - *equal > 1) {
        uint64_t middle = *equal + (*differ - *equal) / 2;
        place_restore(&search->a, &search->a.start);
        place_restore(&search->b, &search->b.start);
        struct stand a = runner_stand_at(&search->a, middle), b = runner_stand_at(&search->b, middle);
        if (!stands_equal(a, b)) {
            *differ = middle;
            search->b_differs = b;
            continue;
        }
        int error = place_take(&search->b, &search->b.start);
        if (!error)
            error = move_start(search, *differ);
        if (error)
            return error;
        /* what lies between the middle and the boundary behind it are the same boundary */
        *equal = a.cycle < *differ ? a.cycle : *differ - 1;
    }
    return 0;
}

/* The last cycle up to `equal` at which side A may be stopped and still comes out different. */
static uint64_t find_block(struct search *search, uint64_t equal, uint64_t differ)
{
    uint64_t start = search->a.start.cycle;
    if (equal <= start || differs_with_stop(search, equal, differ))
        return equal;
    while (equal - start > 1) {
        uint64_t middle = start + (equal - start) / 2;
        if (differs_with_stop(search, middle, differ))
            start = middle;
        else
            equal = middle;
    }
    return start;
}

/* --- telling --- */

/* Steps side A from `first` and prints what it executes up to `differ`. */
static void print_instructions(struct search *search, uint64_t first, uint64_t differ)
{
    struct runner *a = &search->a;
    char text[SHOW_INSTRUCTION_BYTES];
    struct cpu *cpu = show_find_cpu(a->board, 0);
    if (!cpu)
        return;
    place_restore(a, &a->start);
    runner_run(a, first);
    for (unsigned i = 0; i < INSTRUCTIONS_SHOWN && !a->ended && runner_now(a) < differ; i++) {
        uint64_t now = runner_now(a), retired = cpu->retired;
        bool halted = cpu->activity != ACTIVE;
        show_instruction(cpu, text);
        fprintf(search->out, "  %12" PRIu64 "  %s", now, halted ? "(halted)" : text);
        runner_run(a, halted ? differ : now + 1);
        if (!halted && cpu->retired == retired)
            fprintf(search->out, "\n%16s(not executed: an interrupt or exception enters %016" PRIx64 ")", "",
                    cpu_rip(cpu));
        fputc('\n', search->out);
    }
}

static void print_difference(struct search *search, const struct divergence_report *report)
{
    if (!search->out)
        return;
    FILE *out = search->out;
    if (report->first == report->last)
        fprintf(out, "sim: equal at cycle %" PRIu64 ", different at %" PRIu64 "; what is executed between:\n",
                report->last, report->differ);
    else
        fprintf(out,
                "sim: equal at cycle %" PRIu64 ", different at %" PRIu64 " when run from cycle %" PRIu64
                " without a stop, as a block:\n",
                report->first, report->differ, report->first);
    print_instructions(search, report->first, report->differ);
    place_restore(&search->a, &search->a.start);
    place_restore(&search->b, &search->b.start);
    runner_run(&search->a, report->first);
    runner_run(&search->a, report->differ);
    runner_run(&search->b, report->differ);
    fprintf(out, "sim: at cycle %" PRIu64 " these differ (this engine | reference):\n", report->differ);
    board_compare(search->a.board, search->b.board, out, COMPARE_LINES);
}

static void print_verdict(const struct search *search, enum divergence_verdict verdict)
{
    static const char *const texts[] = {
        [DIVERGENCE_ENGINE] =
            "the engine of this sim is at fault: stepped singly, with soft floating point and without "
            "caches, it reaches the recorded state",
        [DIVERGENCE_NEITHER] =
            "neither this engine nor its reference way (single steps, soft floating point, no caches) "
            "reaches the recorded state, and they differ from each other",
        [DIVERGENCE_RECORDED] = "the recorded side cannot be run again here: stepped singly, with soft floating point "
                                "and without caches, this sim comes to the same state as before. It was recorded by "
                                "a build that behaves otherwise, or something entered it that is not in the log",
        [DIVERGENCE_GONE] =
            "run again, the same cycles reach the recorded state: the difference depends on what happened "
            "earlier to caches, or on the host",
        [DIVERGENCE_NOT_EQUAL] = "run again, two machines differ already at the last equal mark: the host is at fault",
    };
    if (search->out)
        fprintf(search->out, "sim: %s\n", texts[verdict]);
}

/* --- the search --- */

/* Opens both sides where they stand; when both come to the same reset, goes on with the boot that follows. */
static int open_sides(struct search *search, struct stand *a, struct stand *b, bool *equal)
{
    struct board *board_a = search->a.side->board, *board_b = search->b.side->board;
    uint64_t to = search->a.segment->to;
    for (;;) {
        int error = runner_open(&search->a, board_a);
        if (!error)
            error = runner_open(&search->b, board_b);
        if (error)
            return error;
        *equal = stands_equal(runner_stand(&search->a), runner_stand(&search->b));
        *b = runner_stand_at(&search->b, to);
        *a = runner_stand_at(&search->a, to);
        bool both_reset = a->ended && stands_equal(*a, *b) && search->a.board->request == BOARD_RESET;
        if (!*equal || !both_reset || !search->a.side->follow || !search->b.side->follow)
            return 0;
        board_a = search->a.side->follow(search->a.side->context);
        board_b = search->b.side->follow(search->b.side->context);
        if (!board_a || !board_b)
            return 0;
        size_t inputs_a = search->a.next_input, inputs_b = search->b.next_input;
        runner_close(&search->a);
        runner_close(&search->b);
        search->a = (struct runner){ .side = search->a.side, .segment = search->a.segment, .next_input = inputs_a };
        search->b = (struct runner){ .side = search->b.side, .segment = search->b.segment, .next_input = inputs_b };
    }
}

static int search_sides(struct search *search, struct divergence_report *report)
{
    const struct divergence_segment *segment = search->a.segment;
    struct stand a, b;
    bool equal;
    int error = open_sides(search, &a, &b, &equal);
    if (error)
        return error;
    bool a_reaches = a.cycle == segment->to && a.hash == segment->state_hash;
    bool b_reaches = b.cycle == segment->to && b.hash == segment->state_hash;
    report->verdict = !equal               ? DIVERGENCE_NOT_EQUAL
                      : a_reaches          ? DIVERGENCE_GONE
                      : b_reaches          ? DIVERGENCE_ENGINE
                      : stands_equal(a, b) ? DIVERGENCE_RECORDED
                                           : DIVERGENCE_NEITHER;
    print_verdict(search, report->verdict);
    if (report->verdict != DIVERGENCE_ENGINE && report->verdict != DIVERGENCE_NEITHER)
        return 0;
    report->last = search->a.start.cycle;
    report->differ = segment->to;
    search->b_differs = b;
    error = halve(search, &report->last, &report->differ);
    if (error)
        return error;
    report->first = find_block(search, report->last, report->differ);
    print_difference(search, report);
    return 0;
}

int divergence_search(const struct divergence_side *engine, const struct divergence_side *reference,
                      const struct divergence_segment *segment, struct divergence_report *report, FILE *out)
{
    struct search search = { .a = { .side = engine, .segment = segment },
                             .b = { .side = reference, .segment = segment },
                             .out = out };
    *report = (struct divergence_report){ 0 };
    int error = search_sides(&search, report);
    runner_close(&search.a);
    runner_close(&search.b);
    return error;
}
