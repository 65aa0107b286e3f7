/*
 * sim run, sim record: a guest from its images to its end, recorded or not.
 */
#define _GNU_SOURCE /* strptime, timegm */
#include "sim/commands.h"
#include "sim/options.h"
#include "sim/session.h"
#include "sim/version.h"

#include "cpu/profile.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define PROFILE_TOP       40u /* forms and pairs that --profile-ops prints */
#define UNDEFINED_DEFAULT "intel"
#define CMDLINE_DEFAULT   "console=ttyS0 panic=-1"

struct run_options {
    const char *kernel, *initrd, *cmdline, *cpu, *undefined, *rtc, *seed, *until, *fail, *expect, *output;
    struct option_list modules;
    uint64_t memory, max_cycles, mark_every, idle_limit;
    struct option_range single_step;
    unsigned on_reset, entry, fp, backend;
    bool profile, quiet, force;
};

static const char *const fp_names[] = { "host", "soft", NULL };

#define AT(member) offsetof(struct run_options, member)
#define RUN_OPTIONS                                                                                                     \
    { "kernel",    0,          "FILE", "bzImage, ELF, Multiboot or (--entry flat) flat 64-bit image",                   \
      OPTION_TEXT, AT(kernel), 0,      NULL },                                                                          \
        { "initrd", 0, "FILE", "initial RAM disk", OPTION_TEXT, AT(initrd), 0, NULL },                                  \
        { "module", 0, "FILE", "Multiboot or PVH module; may be repeated", OPTION_TEXTS, AT(modules), 0, NULL },        \
        { "cmdline", 0, "TEXT", "kernel command line (" CMDLINE_DEFAULT ")", OPTION_TEXT, AT(cmdline), 0, NULL },       \
        { "entry",       0,         "KIND", "auto, linux64, pvh, multiboot or flat (auto)",                             \
          OPTION_CHOICE, AT(entry), 0,      load_entry_names },                                                         \
        { "memory", 0, "SIZE", "RAM, with K, M or G (256M)", OPTION_NUMBER, AT(memory), 1024, NULL },                   \
        { "cpu", 0, "MODEL", "x86-64-v1 to x86-64-v4 (x86-64-v2)", OPTION_TEXT, AT(cpu), 0, NULL },                     \
        { "undefined", 0,                                                                                               \
          "WHO",       "what manuals leave undefined: intel, amd, random:SEED or random-old:SEED (intel)",              \
          OPTION_TEXT, AT(undefined),                                                                                   \
          0,           NULL },                                                                                          \
        { "fp",          0,      "WAY", "SSE arithmetic by host or soft, with equal results (host)",                    \
          OPTION_CHOICE, AT(fp), 0,     fp_names },                                                                     \
        { "single-step",                                                                                                \
          0,                                                                                                            \
          "FROM:TO",                                                                                                    \
          "run each instruction by itself between these cycles, with equal results",                                    \
          OPTION_RANGE,                                                                                                 \
          AT(single_step),                                                                                              \
          0,                                                                                                            \
          NULL },                                                                                                       \
        { "profile-ops", 0,           NULL, "say at the end which instructions, pairs and slow paths mattered",         \
          OPTION_FLAG,   AT(profile), 0,    NULL },                                                                     \
        { "seed", 0, "N", "source of all entropy (a fresh one)", OPTION_TEXT, AT(seed), 0, NULL },                      \
        { "rtc", 0, "DATE", "YYYY-MM-DD[Thh:mm:ss] at cycle 0, or host (2025-01-01)", OPTION_TEXT, AT(rtc), 0, NULL },  \
        { "max-cycles",   0,    "N", "end there; a cycle is a nanosecond of virtual time", OPTION_NUMBER,               \
          AT(max_cycles), 1000, NULL },                                                                                 \
        { "until", 0, "TEXT", "end well when the console has printed TEXT", OPTION_TEXT, AT(until), 0, NULL },          \
        { "fail", 0, "TEXT", "end with a status of its own when it has", OPTION_TEXT, AT(fail), 0, NULL },              \
        { "expect",    0,          "FILE", "console dialogue: expect \"TEXT\" and send \"TEXT\", a line each",          \
          OPTION_TEXT, AT(expect), 0,      NULL },                                                                      \
        { "on-reset",   0, "WHAT",        "fail, ok or reboot when the guest resets the machine (fail)", OPTION_CHOICE, \
          AT(on_reset), 0, on_reset_names },                                                                            \
        { "backend",     0,           "WHICH", "who runs the processor: interpreter, or kvm, which is not repeatable",  \
          OPTION_CHOICE, AT(backend), 0,       backend_names },                                                         \
        { "idle-limit",   0, "SECONDS", "virtual time a guest may only idle without input to come (60)", OPTION_NUMBER, \
          AT(idle_limit), 0, NULL },                                                                                    \
    {                                                                                                                   \
        "quiet", 'q', NULL, "no status line, no summary", OPTION_FLAG, AT(quiet), 0, NULL                               \
    }
#define MARK_OPTION                                                                                                    \
    { "mark-every",   0,    "CYCLES", "distance of state hashes in the log (10000000)", OPTION_NUMBER,                 \
      AT(mark_every), 1000, NULL }

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

static enum status refuse(enum status status, const char *about, const char *what)
{
    fprintf(stderr, "sim: %s: %s\n", about, what);
    return status;
}

/* "2025-01-01" or "2025-01-01T12:00:00" as seconds since 1970; both are UTC. */
static bool parse_date(const char *text, uint64_t *seconds)
{
    struct tm date;
    memset(&date, 0, sizeof(date));
    const char *end = strptime(text, "%Y-%m-%d", &date);
    if (end && *end == 'T')
        end = strptime(end + 1, "%H:%M:%S", &date);
    if (!end || *end)
        return false;
    time_t time = timegm(&date);
    *seconds = (uint64_t)time;
    return time >= 0 && *seconds <= MACHINE_RTC_MAX;
}

static enum status refuse_cpu(const char *name)
{
    fprintf(stderr, "sim: --cpu: '%s' is none of", name);
    for (unsigned i = 0; cpu_models()[i]; i++)
        fprintf(stderr, "%s%s", i ? ", " : " ", cpu_models()[i]->name);
    fputc('\n', stderr);
    return STATUS_USAGE;
}

static enum status take_machine(const struct run_options *options, struct machine_config *machine)
{
    machine->ram_bytes = options->memory;
    machine->cpu_model = cpu_model_find(options->cpu);
    machine->soft_fp = options->fp;
    machine->profile = options->profile;
    machine->rtc_start_seconds = MACHINE_RTC_DEFAULT;
    if (!machine->cpu_model)
        return refuse_cpu(options->cpu);
    if (!undefined_parse(options->undefined, &machine->undefined))
        return refuse(STATUS_USAGE, options->undefined,
                      "is none of intel, amd, random:SEED, random-old:SEED (--undefined)");
    if (machine->ram_bytes % RAM_PAGE_BYTES || machine->ram_bytes < MACHINE_RAM_MIN ||
        machine->ram_bytes > MACHINE_RAM_MAX)
        return refuse(STATUS_USAGE, "--memory", "must be a multiple of 4K, from 2M to 64G");
    if (options->rtc && strcmp(options->rtc, "host") == 0)
        machine->rtc_start_seconds = (uint64_t)time(NULL);
    else if (options->rtc && !parse_date(options->rtc, &machine->rtc_start_seconds))
        return refuse(STATUS_USAGE, options->rtc, "not a date like 2025-01-01 or 2025-01-01T12:00:00, nor host");
    if (options->seed && !options_number(options->seed, 0, &machine->seed))
        return refuse(STATUS_USAGE, options->seed, "not a number");
    if (!options->seed) {
        uint32_t fresh;
        if (getrandom(&fresh, sizeof(fresh), 0) != sizeof(fresh))
            return refuse(STATUS_HOST_ERROR, "getrandom", strerror(errno));
        machine->seed = fresh; /* 32 bits are easier to type again than 64 */
    }
    return STATUS_OK;
}

static enum status take_images(const struct run_options *options, struct session_config *config)
{
    char error[IMAGE_ERROR_BYTES];
    int failure = image_read(&config->kernel, "kernel", options->kernel, error);
    if (!failure && options->initrd)
        failure = image_read(&config->initrd, "initrd", options->initrd, error);
    for (unsigned i = 0; !failure && i < options->modules.count; i++) {
        failure = image_read(&config->modules[i], "module", options->modules.texts[i], error);
        if (!failure)
            config->module_count++;
    }
    if (!failure)
        return STATUS_OK;
    fprintf(stderr, "sim: %s\n", error);
    return STATUS_BAD_INPUT;
}

/* An option that has no meaning where the interpreter does not run the guest, or NULL. */
static const char *only_interpreted(const struct run_options *options)
{
    if (strcmp(options->undefined, UNDEFINED_DEFAULT) != 0)
        return "--undefined";
    if (options->single_step.from != options->single_step.to)
        return "--single-step";
    if (options->fp)
        return "--fp soft";
    return options->profile ? "--profile-ops" : NULL;
}

static enum status take_config(const struct run_options *options, struct session_config *config)
{
    if (!options->kernel)
        return refuse(STATUS_USAGE, "--kernel", "is needed (see sim run --help)");
    if (options->mark_every == 0)
        return refuse(STATUS_USAGE, "--mark-every", "must be at least 1");
    if (strlen(options->cmdline) > LOG_TEXT_MAX)
        return refuse(STATUS_USAGE, "--cmdline", "too long");
    config->cmdline = options->cmdline;
    config->entry = options->entry;
    config->on_reset = options->on_reset;
    config->mark_every = options->mark_every;
    config->backend = options->backend;
    if (options->backend != BACKEND_INTERPRETER && only_interpreted(options))
        return refuse(STATUS_USAGE, only_interpreted(options), "needs --backend interpreter");
    enum status status = take_machine(options, &config->machine);
    undefined_format(&config->machine.undefined, config->undefined);
    return status ? status : take_images(options, config);
}

static enum status take_dialogue(const char *path, struct dialogue *dialogue)
{
    char error[IMAGE_ERROR_BYTES];
    struct image_file file;
    if (!path)
        return STATUS_OK;
    if (image_read(&file, "dialogue", path, error)) {
        fprintf(stderr, "sim: %s\n", error);
        return STATUS_BAD_INPUT;
    }
    int failure = dialogue_parse(dialogue, (const char *)file.image.bytes, file.image.size_bytes, error, sizeof(error));
    image_free(&file);
    if (!failure)
        return STATUS_OK;
    return refuse(failure == -ENOMEM ? STATUS_HOST_ERROR : STATUS_BAD_INPUT, path,
                  failure == -ENOMEM ? strerror(ENOMEM) : error);
}

static enum status start_log(const struct run_options *options, struct session *session)
{
    char fingerprint[STATE_FINGERPRINT_BYTES];
    struct log_header header;
    session_header(session->config, machine_board(session->machine), fingerprint, &header);
    int error = recorder_open(&session->recorder, options->output, options->force, &header, &session->hash,
                              session->config->mark_every);
    if (error == -EEXIST)
        return refuse(STATUS_USAGE, options->output, "exists already; --force overwrites it");
    return error ? refuse(STATUS_HOST_ERROR, options->output, strerror(-error)) : STATUS_OK;
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
    struct session_limits limits = {
        .max_cycles = options->max_cycles,
        .until = options->until,
        .fail = options->fail,
        .step_from = options->single_step.from,
        .step_to = options->single_step.to,
        .quiet = options->quiet,
        .takes_input = true,
        .shows = true,
    };
    if (__builtin_mul_overflow(options->idle_limit, CLOCK_HZ, &limits.idle_limit_cycles))
        limits.idle_limit_cycles = UINT64_MAX / 2;
    enum status status = session_open(&session, config, &limits, error);
    if (status) {
        fprintf(stderr, "sim: %s\n", error);
    } else {
        status = take_dialogue(options->expect, &session.dialogue);
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
    struct run_options options = {
        .cmdline = CMDLINE_DEFAULT,
        .cpu = "x86-64-v2",
        .undefined = UNDEFINED_DEFAULT,
        .output = "log.mp",
        .memory = 256ull << 20,
        .max_cycles = UINT64_MAX,
        .mark_every = SESSION_MARK_CYCLES,
        .idle_limit = 60,
    };
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
