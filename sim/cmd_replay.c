/*
 * sim replay: runs a recorded guest again, with the inputs of its log and nothing else, and compares the machine's
 * state at each mark.
 */
#include "sim/by_exits.h"
#include "sim/commands.h"
#include "sim/narrow.h"
#include "sim/options.h"
#include "sim/recorded.h"
#include "sim/session.h"
#include "sim/version.h"

#include "replay/compare.h"
#include "replay/show.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct replay_options {
    const char *kernel, *initrd;
    struct option_list modules;
    uint64_t to;
    struct option_range single_step;
    unsigned fp, backend;
    bool verify, dump, quiet;
};

static const char *const fp_names[] = { "host", "soft", NULL };

#define AT(member) offsetof(struct replay_options, member)
static const struct option replay_options[] = {
    { "verify", 0, NULL, "only verify: the guest's console is not shown", OPTION_FLAG, AT(verify), 0, NULL },
    { "to", 0, "CYCLE", "stop there and print the machine's state", OPTION_NUMBER, AT(to), 1000, NULL },
    { "dump", 0, NULL, "print the machine's state where the replay ends", OPTION_FLAG, AT(dump), 0, NULL },
    { "kernel", 0, "FILE", "the kernel, if it is no longer where the log says", OPTION_TEXT, AT(kernel), 0, NULL },
    { "initrd", 0, "FILE", "the initrd, likewise", OPTION_TEXT, AT(initrd), 0, NULL },
    { "module", 0, "FILE", "a module, likewise; in the recorded order", OPTION_TEXTS, AT(modules), 0, NULL },
    { "fp", 0, "WAY", "SSE arithmetic by host or soft, with equal results (host)", OPTION_CHOICE, AT(fp), 0, fp_names },
    { "backend", 0, "WHICH", "kvm: with --verify, runs KVM beside the interpreter and compares at each exit",
      OPTION_CHOICE, AT(backend), 0, backend_names },
    { "single-step", 0, "FROM:TO", "run each instruction by itself between these cycles, with equal results",
      OPTION_RANGE, AT(single_step), 0, NULL },
    { "quiet", 'q', NULL, "no status line, no summary", OPTION_FLAG, AT(quiet), 0, NULL },
    { 0 },
};
static const struct command_line replay_line = {
    .command = "replay",
    .positional = "LOG",
    .summary = "Runs a recorded guest again with the inputs of its log, and compares the state at every mark.",
    .options = replay_options,
};

static enum status verdict_status(const struct replayer *replayer)
{
    switch (replayer->verdict) {
    case REPLAY_DIVERGED:
        return STATUS_DIVERGED;
    case REPLAY_INCOMPLETE:
        return STATUS_INCOMPLETE;
    case REPLAY_DAMAGED:
        return STATUS_BAD_INPUT;
    case REPLAY_RUNS: /* --to */
    case REPLAY_VERIFIED:
        break;
    }
    return STATUS_OK;
}

static void print_verdict(const struct session *session, const struct replayer *replayer)
{
    double seconds = (double)session->host_ns / 1e9;
    uint64_t instructions = session_instructions(session);
    show_shutdowns(machine_board(session->machine), "sim: triple fault: ", stderr);
    switch (replayer->verdict) {
    case REPLAY_VERIFIED:
        fprintf(stderr, "sim: verified: %" PRIu64 " marks and the end (%s) are equal\n", replayer->marks,
                log_reason_name(replayer->end.reason));
        break;
    case REPLAY_INCOMPLETE:
        fprintf(stderr, "sim: verified up to the last mark only (%" PRIu64 " marks): %s\n", replayer->marks,
                replayer->message);
        break;
    case REPLAY_DIVERGED:
        fprintf(stderr, "sim: diverged: %s\n", replayer->message);
        break;
    case REPLAY_DAMAGED:
        fprintf(stderr, "sim: the log is damaged: %s\n", replayer->message);
        break;
    case REPLAY_RUNS:
        fprintf(stderr, "sim: stopped at cycle %" PRIu64 ", %" PRIu64 " marks equal\n", machine_now(session->machine),
                replayer->marks);
        break;
    }
    fprintf(stderr,
            "  instructions %" PRIu64 "\n  cycles       %" PRIu64 " (%.6f s of virtual time)\n"
            "  host time    %.2f s, %.1f MIPS\n  input        %" PRIu64 " bytes\n  state hash   %016" PRIx64 "\n",
            instructions, machine_now(session->machine), (double)machine_now(session->machine) / 1e9, seconds,
            (double)instructions / 1e6 / (seconds + 1e-9), replayer->inputs, session->final_hash);
}

/* The machine of the log must be this sim's, table by table. */
static enum status check_fingerprint(const struct session *session, const struct log_header *header)
{
    char fingerprint[STATE_FINGERPRINT_BYTES];
    state_fingerprint(machine_board(session->machine), fingerprint);
    if (strcmp(fingerprint, header->fingerprint) == 0)
        return STATUS_OK;
    fprintf(stderr, "sim: the log was recorded on machine %.95s, this sim has %s\n", header->fingerprint, fingerprint);
    return STATUS_BAD_INPUT;
}

/* The vCPUs with their bits by name, then every field of every part that is not zero. */
static void print_state(const struct board *board)
{
    struct cpu *cpu;
    char text[SHOW_INSTRUCTION_BYTES];
    for (unsigned i = 0; (cpu = show_find_cpu(board, i)); i++) {
        show_cpu(cpu, stdout);
        show_instruction(cpu, text);
        printf("  next: %s\n\n", text);
    }
    board_dump(board, stdout);
}

/* Says where to look on: the first differing instruction, or the cycles it must lie in. */
static void narrow_down(const struct session_config *config, const struct log_reader *reader,
                        const struct replayer *replayer)
{
    struct divergence_report report;
    if (!replayer->marks) {
        fputs("sim: the machine differs before its first instruction; there is nothing to search\n", stderr);
        return;
    }
    int error = narrow_divergence(config, reader->bytes, reader->size, replayer->marks, &report, stderr);
    if (error == -ENOENT)
        return; /* nothing sealed behind the last equal mark */
    if (error)
        fprintf(stderr, "sim: the search could not be made: %s\n", strerror(-error));
    else if (report.verdict == DIVERGENCE_RECORDED)
        fprintf(stderr,
                "sim: the difference lies behind cycle %" PRIu64 "; sim replay --to CYCLE shows the state here\n",
                replayer->equal_cycle);
}

/* What the replay came to, told and as a status. */
static enum status finish_replay(const struct replay_options *options, struct session *session,
                                 struct replayer *replayer)
{
    if (session->error) {
        fprintf(stderr, "sim: %s: %s\n", session->error_what, strerror(-session->error));
        return STATUS_HOST_ERROR;
    }
    enum status status = verdict_status(replayer);
    if (!options->quiet || status)
        print_verdict(session, replayer);
    if (options->to != UINT64_MAX || options->dump)
        print_state(machine_board(session->machine));
    return status;
}

static enum status replay_session(const struct replay_options *options, struct log_reader *reader,
                                  const struct session_config *config)
{
    char error[IMAGE_ERROR_BYTES];
    struct session session;
    struct replayer replayer = { .reader = reader };
    struct session_limits limits = { .max_cycles = UINT64_MAX,
                                     .idle_limit_cycles = UINT64_MAX,
                                     .step_from = options->single_step.from,
                                     .step_to = options->single_step.to,
                                     .quiet = options->quiet,
                                     .shows = !options->verify && options->to == UINT64_MAX };
    enum status status = session_open(&session, config, &limits, error);
    if (status)
        fprintf(stderr, "sim: %s\n", error);
    else
        status = check_fingerprint(&session, &reader->header);
    if (!status) {
        session.replayer = &replayer;
        session.replay_to = options->to;
        session.goal_cycles = log_last_cycle(reader->bytes, reader->size);
        if (session.goal_cycles > options->to)
            session.goal_cycles = options->to;
        if (options->backend == BACKEND_KVM)
            status = by_exits_run(&session);
        else
            session_run(&session);
        if (!status)
            status = finish_replay(options, &session, &replayer);
    }
    session_close(&session);
    if (replayer.verdict == REPLAY_DIVERGED)
        narrow_down(config, reader, &replayer);
    return status;
}

static enum status replay_log(const struct replay_options *options, const char *path, struct log_reader *reader)
{
    char error[IMAGE_ERROR_BYTES];
    struct session_config config;
    if (!session_config_from_header(&config, &reader->header, error))
        return status_refuse(STATUS_BAD_INPUT, path, error);
    config.machine.soft_fp = options->fp;
    if (options->backend == BACKEND_KVM && config.on_reset == ON_RESET_REBOOT)
        return status_refuse(STATUS_BAD_INPUT, path, "recorded with --on-reset reboot, but KVM runs one boot");
    struct recorded_paths paths = { options->kernel, options->initrd, &options->modules };
    enum status status = recorded_images(&paths, &reader->header, &config);
    if (!status)
        status = replay_session(options, reader, &config);
    session_config_free(&config);
    return status;
}

int cmd_replay(int argc, char **argv)
{
    struct replay_options options = { .to = UINT64_MAX };
    char error[IMAGE_ERROR_BYTES];
    const char *path;
    struct image_file file;
    struct log_reader reader;
    int parsed = options_parse(&replay_line, &options, &path, argc, argv);
    if (parsed)
        return parsed == OPTIONS_HELP ? STATUS_OK : STATUS_USAGE;
    if (!path)
        return status_refuse(STATUS_USAGE, "replay", "needs a log (see sim replay --help)");
    if (options.backend == BACKEND_KVM && (!options.verify || options.to != UINT64_MAX))
        return status_refuse(STATUS_USAGE, "--backend kvm", "needs --verify, and no --to");
    if (image_read(&file, "log", path, error)) {
        fprintf(stderr, "sim: %s\n", error);
        return STATUS_BAD_INPUT;
    }
    enum status status = log_open(&reader, file.image.bytes, file.image.size_bytes) == LOG_OK
                             ? replay_log(&options, path, &reader)
                             : status_refuse(STATUS_BAD_INPUT, path, reader.error);
    log_reader_close(&reader);
    image_free(&file);
    return status;
}
