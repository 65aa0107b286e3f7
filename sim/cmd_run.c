/*
 * sim run, sim record: a guest from its images to its end, recorded or not.
 */
#include "sim/commands.h"
#include "sim/guest_options.h"
#include "sim/options.h"
#include "sim/session.h"
#include "sim/version.h"

#include "cpu/profile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PROFILE_TOP 40u /* forms and pairs that --profile-ops prints */

struct run_options {
    struct guest_options guest;
    const char *output;
    struct option_range single_step;
    unsigned fp;
    bool profile, quiet, force;
};

static const char *const fp_names[] = { "host", "soft", NULL };

#define AT(member) offsetof(struct run_options, member)
#define RUN_OPTIONS                                                                                                    \
    GUEST_OPTIONS(struct run_options, guest),                                                                          \
        { "backend",                                                                                                   \
          0,                                                                                                           \
          "WHICH",                                                                                                     \
          "who runs the processor: interpreter, or kvm, which is not repeatable",                                      \
          OPTION_CHOICE,                                                                                               \
          AT(guest.backend),                                                                                           \
          0,                                                                                                           \
          backend_names },                                                                                             \
        { "fp",          0,      "WAY", "SSE arithmetic by host or soft, with equal results (host)",                   \
          OPTION_CHOICE, AT(fp), 0,     fp_names },                                                                    \
        { "single-step",                                                                                               \
          0,                                                                                                           \
          "FROM:TO",                                                                                                   \
          "run each instruction by itself between these cycles, with equal results",                                   \
          OPTION_RANGE,                                                                                                \
          AT(single_step),                                                                                             \
          0,                                                                                                           \
          NULL },                                                                                                      \
        { "profile-ops", 0,           NULL, "say at the end which instructions, pairs and slow paths mattered",        \
          OPTION_FLAG,   AT(profile), 0,    NULL },                                                                    \
    {                                                                                                                  \
        "quiet", 'q', NULL, "no status line, no summary", OPTION_FLAG, AT(quiet), 0, NULL                              \
    }
#define MARK_OPTION                                                                                                    \
    { "mark-every",         0,    "CYCLES", "distance of state hashes in the log (10000000)", OPTION_NUMBER,           \
      AT(guest.mark_every), 1000, NULL }

static const struct option run_options[] = { RUN_OPTIONS, MARK_OPTION, { 0 } };
static const struct option record_options[] = {
    { "output", 'o', "LOG", "where to (log.mp)", OPTION_TEXT, AT(output), 0, NULL },
    { "force", 'f', NULL, "overwrite an existing log", OPTION_FLAG, AT(force), 0, NULL },
    RUN_OPTIONS,
    MARK_OPTION,
    { 0 },
};

static const struct command_line run_line = {
    .command = "run",
    .summary = "Runs a guest. The terminal is its serial console; Ctrl-A x quits.",
    .options = run_options,
};
static const struct command_line record_line = {
    .command = "record",
    .summary = "Runs a guest like sim run, and records the run in a log that sim replay repeats exactly.",
    .options = record_options,
};

/* An option that has no meaning where the interpreter does not run the guest, or NULL. */
static const char *only_interpreted(const struct run_options *options)
{
    if (strcmp(options->guest.undefined, GUEST_UNDEFINED) != 0)
        return "--undefined";
    if (options->single_step.from != options->single_step.to)
        return "--single-step";
    if (options->fp)
        return "--fp soft";
    return options->profile ? "--profile-ops" : NULL;
}

static enum status take_config(const struct run_options *options, struct session_config *config)
{
    if (options->guest.backend != BACKEND_INTERPRETER && only_interpreted(options))
        return status_refuse(STATUS_USAGE, only_interpreted(options), "needs --backend interpreter");
    config->machine.soft_fp = options->fp;
    config->machine.profile = options->profile;
    return guest_options_config(&options->guest, config);
}

static enum status start_log(const struct run_options *options, struct session *session)
{
    char fingerprint[STATE_FINGERPRINT_BYTES];
    struct log_header header;
    session_header(session->config, machine_board(session->machine), fingerprint, &header);
    int error = recorder_open(&session->recorder, options->output, options->force, &header, &session->hash,
                              session->config->mark_every);
    if (error == -EEXIST)
        return status_refuse(STATUS_USAGE, options->output, "exists already; --force overwrites it");
    return error ? status_refuse(STATUS_HOST_ERROR, options->output, strerror(-error)) : STATUS_OK;
}

/* What it takes to run the same again; first of all, so that it stands there whatever happens later. */
static void print_start(const struct session_config *config)
{
    fprintf(stderr,
            "sim " SIM_VERSION ": --seed %" PRIu64 " --cpu %s --undefined %s --memory %" PRIu64 "M, RTC at %" PRIu64
            " s\n",
            config->machine.seed, config->machine.cpu_model->name, config->undefined, config->machine.ram_bytes >> 20,
            config->machine.rtc_start_seconds);
}

static enum status run_session(const struct run_options *options, const struct session_config *config, bool records)
{
    char error[IMAGE_ERROR_BYTES];
    struct session session;
    struct session_limits limits = guest_options_limits(&options->guest);
    limits.step_from = options->single_step.from;
    limits.step_to = options->single_step.to;
    limits.quiet = options->quiet;
    limits.takes_input = limits.shows = true;
    enum status status = session_open(&session, config, &limits, error);
    if (status) {
        fprintf(stderr, "sim: %s\n", error);
    } else {
        status = guest_options_dialogue(&options->guest, &session.dialogue);
        if (!status && records)
            status = start_log(options, &session);
        if (!status) {
            if (!options->quiet)
                print_start(config);
            session_run(&session);
            status = session_status(&session);
            if (options->profile && session.machine)
                profile_print(machine_boot_cpu(session.machine), PROFILE_TOP, stderr);
            if (!options->quiet)
                session_summary(&session, records ? options->output : NULL);
            else if (session.error)
                fprintf(stderr, "sim: %s: %s\n", session.error_what, strerror(-session.error));
            if (status == STATUS_BACKEND)
                machine_explain(session.machine, "sim: ", stderr);
        }
    }
    session_close(&session);
    return status;
}

static int run_or_record(const struct command_line *line, int argc, char **argv, bool records)
{
    struct run_options options = { .guest = GUEST_DEFAULTS, .output = "log.mp" };
    struct session_config config = { 0 };
    int parsed = options_parse(line, &options, NULL, argc, argv);
    if (parsed)
        return parsed == OPTIONS_HELP ? STATUS_OK : STATUS_USAGE;
    enum status status = take_config(&options, &config);
    if (!status)
        status = run_session(&options, &config, records);
    session_config_free(&config);
    return status;
}

int cmd_run(int argc, char **argv)
{
    return run_or_record(&run_line, argc, argv, false);
}

int cmd_record(int argc, char **argv)
{
    return run_or_record(&record_line, argc, argv, true);
}
