/*
 * sim compare: the interpreter in lockstep with a real processor, from any point of a recording (docs/kvm.md).
 *
 * Exit status: STATUS_OK no difference, STATUS_DIVERGED there is one, COMPARE_SKIPPED this host has no KVM for it,
 * STATUS_BAD_INPUT the log.
 */
#include "kvm/cosim_vector.h"
#include "sim/by_exits.h"
#include "sim/commands.h"
#include "sim/guest_options.h"
#include "sim/recorded.h"
#include "sim/session.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define COMPARE_SKIPPED 77 /* what ctest takes for "skipped" */

struct compare_options {
    struct guest_options guest; /* with a log: its images alone */
    const char *vectors;
    uint64_t from, steps, windows, every, differences, memory;
    bool quiet;
};

#define AT(member) offsetof(struct compare_options, member)
static const struct option compare_options[] = {
    { "from", 0, "CYCLE", "where lockstep begins (0)", OPTION_NUMBER, AT(from), 1000, NULL },
    { "steps", 0, "N", "how many instructions are compared (20000)", OPTION_NUMBER, AT(steps), 1000, NULL },
    { "windows", 0, "N", "so many times, at places --every apart (1)", OPTION_NUMBER, AT(windows), 0, NULL },
    { "every", 0, "CYCLES", "distance of the windows (100M)", OPTION_NUMBER, AT(every), 1000, NULL },
    { "differences", 0, "N", "stop a window after so many differences (1)", OPTION_NUMBER, AT(differences), 0, NULL },
    { "memory-every", 0, "N", "compare all written pages every N steps (1024)", OPTION_NUMBER, AT(memory), 0, NULL },
    { "vectors", 0, "DIR", "where each difference is written as a vector", OPTION_TEXT, AT(vectors), 0, NULL },
    GUEST_OPTIONS(struct compare_options, guest),
    { "quiet", 'q', NULL, "only differences and the last table", OPTION_FLAG, AT(quiet), 0, NULL },
    { 0 },
};
static const struct command_line compare_line = {
    .command = "compare",
    .positional = "LOG",
    .summary =
        "With a log: replays it, and from a cycle on steps KVM beside the interpreter, comparing after each\n"
        "instruction; --kernel, --initrd and --module say where its images are now. Without: starts the guest on\n"
        "both, and compares at each exit. Options from --kernel on as for sim run.",
    .options = compare_options,
};

static bool advance(void *context)
{
    return session_step(context);
}

static void add_totals(struct cosim_totals *sum, const struct cosim_totals *totals)
{
    struct cosim_totals all = *sum;
    uint64_t *const to[] = { &all.steps,      &all.equal[0],   &all.equal[1],  &all.injected,         &all.events,
                             &all.skipped[0], &all.skipped[1], &all.differing, &all.user_instructions };
    const uint64_t from[] = { totals->steps,      totals->equal[0],  totals->equal[1],
                              totals->injected,   totals->events,    totals->skipped[0],
                              totals->skipped[1], totals->differing, totals->user_instructions };
    for (unsigned i = 0; i < sizeof(from) / sizeof(from[0]); i++)
        *to[i] += from[i];
    for (unsigned i = 0; i < totals->reason_count; i++) {
        const struct cosim_count *count = &totals->reasons[i];
        unsigned j = 0;
        while (j < all.reason_count && (strcmp(all.reasons[j].reason, count->reason) != 0 ||
                                        strcmp(all.reasons[j].mnemonic, count->mnemonic) != 0))
            j++;
        if (j == COSIM_REASONS)
            continue;
        if (j == all.reason_count) {
            all.reasons[j] = *count;
            all.reason_count++;
        } else {
            all.reasons[j].count += count->count;
        }
    }
    *sum = all;
}

/*
 * One window: the reference is opened anew, so that nothing of the last one is left. *memory_from: where the steps
 * begin of which one made a difference that showed later, in memory.
 */
static enum status compare_window(const struct compare_options *options, struct session *session,
                                  struct cosim_totals *sum, uint64_t *memory_from)
{
    const char *why;
    struct cosim_vectors *vectors = NULL;
    struct cosim cosim = { .cpu = machine_boot_cpu(session->machine),
                           .kind = &cosim_kvm,
                           .differences_max = (unsigned)options->differences,
                           .memory_steps = options->memory,
                           .report = stdout,
                           .advance = advance,
                           .context = session };
    if (!cosim_open(&cosim, &why)) {
        fprintf(stderr, "sim compare: skipped: %s\n", why);
        return (enum status)COMPARE_SKIPPED;
    }
    if (!options->quiet)
        fprintf(stderr, "sim compare: from cycle %" PRIu64 "\n", machine_now(session->machine));
    if (options->vectors && !(vectors = cosim_vectors_open(&cosim, options->vectors, NULL))) {
        cosim_close(&cosim);
        return STATUS_HOST_ERROR;
    }
    cosim_run(&cosim, options->steps);
    add_totals(sum, &cosim.totals);
    if (cosim.made_earlier && options->memory != 1)
        *memory_from = cosim.checked_cycle;
    cosim_vectors_close(vectors);
    cosim_close(&cosim);
    return STATUS_OK;
}

static enum status compare_session(const struct compare_options *options, struct log_reader *reader,
                                   const struct session_config *config, uint64_t *memory_from)
{
    char error[IMAGE_ERROR_BYTES];
    struct session session;
    struct cosim_totals totals = { 0 };
    struct replayer replayer = { .reader = reader };
    struct session_limits limits = { .max_cycles = UINT64_MAX, .idle_limit_cycles = UINT64_MAX, .quiet = true };
    enum status status = session_open(&session, config, &limits, error);
    if (status)
        fprintf(stderr, "sim: %s\n", error);
    session.replayer = &replayer;
    if (!status)
        session_begin(&session);
    uint64_t cycle = options->from;
    for (uint64_t i = 0; i < options->windows && !status; i++, cycle += options->every) {
        if (!session_reach(&session, cycle)) {
            fprintf(stderr, "sim compare: the run ends before cycle %" PRIu64 "\n", cycle);
            break;
        }
        status = compare_window(options, &session, &totals, memory_from);
    }
    if (totals.steps)
        cosim_print_totals(&totals, stdout);
    session_close(&session);
    return status || !totals.differing ? status : STATUS_DIVERGED;
}

/* Compares; and where a difference was made by an earlier step, once more from there, each step with all that it has
 * written. */
static enum status compare(const struct compare_options *options, const struct image_file *file,
                           const struct session_config *config)
{
    struct log_reader reader;
    uint64_t memory_from = UINT64_MAX;
    if (log_open(&reader, file->image.bytes, file->image.size_bytes) != LOG_OK)
        return STATUS_BAD_INPUT;
    enum status status = compare_session(options, &reader, config, &memory_from);
    log_reader_close(&reader);
    if (memory_from == UINT64_MAX || !options->vectors)
        return status;
    struct compare_options again = *options;
    again.from = memory_from;
    again.windows = again.memory = 1;
    again.steps = 2048;
    if (log_open(&reader, file->image.bytes, file->image.size_bytes) == LOG_OK)
        compare_session(&again, &reader, config, &memory_from);
    log_reader_close(&reader);
    return status;
}

/* The guest of the command line on both sides from its start. */
static enum status compare_guest(const struct compare_options *options)
{
    char error[IMAGE_ERROR_BYTES];
    struct session session;
    struct session_config config = { 0 };
    struct session_limits limits = guest_options_limits(&options->guest);
    limits.quiet = true;
    enum status status = guest_options_config(&options->guest, &config);
    config.on_reset = config.on_reset == ON_RESET_REBOOT ? ON_RESET_OK : config.on_reset;
    if (!status) {
        status = session_open(&session, &config, &limits, error);
        if (status)
            fprintf(stderr, "sim: %s\n", error);
        else
            status = guest_options_dialogue(&options->guest, &session.dialogue);
        if (!status)
            status = by_exits_run(&session);
        session_close(&session);
    }
    session_config_free(&config);
    return status;
}

/* With a log, the guest is the recorded one. */
static bool names_another_guest(const struct guest_options *guest)
{
    const struct guest_options none = GUEST_DEFAULTS;
    return guest->cmdline != none.cmdline || guest->cpu != none.cpu || guest->undefined != none.undefined ||
           guest->rtc || guest->seed || guest->until || guest->fail || guest->expect || guest->memory != none.memory ||
           guest->max_cycles != none.max_cycles || guest->idle_limit != none.idle_limit ||
           guest->on_reset != none.on_reset || guest->entry != none.entry;
}

int cmd_compare(int argc, char **argv)
{
    struct compare_options options = {
        .guest = GUEST_DEFAULTS, .steps = 20000, .windows = 1, .every = 100000000, .differences = 1
    };
    char error[IMAGE_ERROR_BYTES];
    const char *path;
    struct image_file file;
    struct log_reader reader;
    struct session_config config;
    int parsed = options_parse(&compare_line, &options, &path, argc, argv);
    if (parsed)
        return parsed == OPTIONS_HELP ? STATUS_OK : STATUS_USAGE;
    if (!path && options.guest.kernel)
        return (int)compare_guest(&options);
    if (!path) {
        fputs("sim compare: needs a log or --kernel (see sim compare --help)\n", stderr);
        return STATUS_USAGE;
    }
    if (options.vectors && access(options.vectors, W_OK | X_OK)) {
        fprintf(stderr, "sim compare: --vectors %s: %s\n", options.vectors, strerror(errno));
        return STATUS_USAGE;
    }
    if (names_another_guest(&options.guest)) {
        fputs("sim compare: with a log, of the guest's options only --kernel, --initrd and --module mean anything\n",
              stderr);
        return STATUS_USAGE;
    }
    if (image_read(&file, "log", path, error)) {
        fprintf(stderr, "sim: %s\n", error);
        return STATUS_BAD_INPUT;
    }
    enum status status = STATUS_BAD_INPUT;
    if (log_open(&reader, file.image.bytes, file.image.size_bytes) != LOG_OK) {
        fprintf(stderr, "sim: %s: %s\n", path, reader.error);
    } else if (!session_config_from_header(&config, &reader.header, error)) {
        fprintf(stderr, "sim: %s: %s\n", path, error);
    } else {
        struct recorded_paths paths = { options.guest.kernel, options.guest.initrd, &options.guest.modules };
        status = recorded_images(&paths, &reader.header, &config);
        if (config.on_reset == ON_RESET_REBOOT)
            config.on_reset = ON_RESET_OK; /* the reference has one machine: the first reset ends it */
        if (!status)
            status = compare(&options, &file, &config);
        session_config_free(&config);
    }
    log_reader_close(&reader);
    image_free(&file);
    return status;
}
