/*
 * What a run says at its end, on standard error (session.h).
 */
#include "sim/session.h"

#include "replay/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum status session_status(const struct session *session)
{
    if (session->error)
        return STATUS_HOST_ERROR;
    switch (session->reason) {
    case LOG_RESET:
        return session->config->on_reset == ON_RESET_FAIL ? STATUS_RESET : STATUS_OK;
    case LOG_TRIPLE_FAULT:
        return STATUS_TRIPLE_FAULT;
    case LOG_DEBUG_EXIT:
        return (enum status)(STATUS_GUEST + (session->code & 63));
    case LOG_FAIL:
        return STATUS_FAIL_TEXT;
    case LOG_IDLE:
    case LOG_NEVER_WAKES:
        return STATUS_IDLE;
    case LOG_LIMIT:
        return STATUS_LIMIT;
    case LOG_SIGNAL:
        return STATUS_HOST_ERROR;
    case LOG_BACKEND:
        return STATUS_BACKEND;
    case LOG_POWER_OFF:
    case LOG_UNTIL:
    case LOG_QUIT:
    case LOG_REASONS:
        break;
    }
    return STATUS_OK;
}

static void print_why(const struct session *session)
{
    if (session->error) {
        fprintf(stderr, "%s: %s", session->error_what, strerror(-session->error));
        return;
    }
    switch (session->reason) {
    case LOG_POWER_OFF:
        fputs("the guest powered off", stderr);
        break;
    case LOG_RESET:
        fputs("the guest reset the machine", stderr);
        break;
    case LOG_TRIPLE_FAULT:
        fputs("the guest ended in a triple fault", stderr);
        break;
    case LOG_DEBUG_EXIT:
        fprintf(stderr, "the guest wrote %" PRIu64 " to the debug-exit port", session->code);
        break;
    case LOG_UNTIL:
        fputs("the console printed the text of --until", stderr);
        break;
    case LOG_FAIL:
        fputs("the console printed the text of --fail", stderr);
        break;
    case LOG_IDLE:
        fprintf(stderr, "the guest only idled for %" PRIu64 " virtual seconds, and no input can come",
                (uint64_t)(session->limits.idle_limit_cycles / CLOCK_HZ));
        break;
    case LOG_NEVER_WAKES:
        fputs("the guest halted, and nothing can wake it", stderr);
        break;
    case LOG_LIMIT:
        fputs("the limit of --max-cycles was reached", stderr);
        break;
    case LOG_QUIT:
        fputs("the user quit", stderr);
        break;
    case LOG_SIGNAL:
        fprintf(stderr, "signal %" PRIu64, session->code);
        break;
    case LOG_BACKEND:
        fputs("KVM cannot go on with this guest", stderr);
        break;
    case LOG_REASONS:
        break;
    }
}

/* One line of the tally's entries of a kind, "name xCOUNT, ..."; numbers in hexadecimal where there is no name. */
static void print_tally(const struct tally *tally, enum tally_kind kind, const char *title, const char *what)
{
    bool any = false;
    for (unsigned i = 0; i < tally->entry_count; i++) {
        const struct tally_entry *entry = &tally->entries[i];
        if (entry->kind != kind)
            continue;
        if (any)
            fputs(", ", stderr);
        else
            fprintf(stderr, "  %-13s", title);
        any = true;
        if (entry->name[0])
            fputs(entry->name, stderr);
        else
            fprintf(stderr, "%s%" PRIx64, what, entry->key);
        if (entry->count > 1)
            fprintf(stderr, " x%" PRIu64, entry->count);
    }
    if (any)
        fputc('\n', stderr);
}

static void print_tallies(const struct session *session)
{
    struct tally sum = session->tally_before;
    tally_add(&sum, &machine_board(session->machine)->tally);
    print_tally(&sum, TALLY_LACKING, "lacking", "");
    print_tally(&sum, TALLY_PORT, "absent ports", "");
    print_tally(&sum, TALLY_MMIO, "absent memory", "");
    print_tally(&sum, TALLY_MSR, "absent MSRs", "");
    if (sum.overflow)
        fprintf(stderr, "  %-13s%" PRIu64 "\n", "not listed", sum.overflow);
}

void session_summary(const struct session *session, const char *log_path)
{
    if (!session->machine)
        return;
    uint64_t cycles = machine_now(session->machine), instructions = session_instructions(session);
    double seconds = (double)session->host_ns / 1e9;
    if (!session->error && session->reason == LOG_TRIPLE_FAULT)
        show_shutdowns(machine_board(session->machine), "sim: triple fault: ", stderr);
    fputs("sim: ", stderr);
    print_why(session);
    const struct dialogue *dialogue = &session->dialogue;
    if (!dialogue_done(dialogue))
        fprintf(stderr, "; the dialogue was at line %u", dialogue->steps[dialogue->current].line);
    fprintf(stderr, "\n  %-13s%" PRIu64 "\n  %-13s%" PRIu64 " (%.6f s of virtual time)\n", "instructions", instructions,
            "cycles", cycles, (double)cycles / 1e9);
    fprintf(stderr, "  %-13s%.2f s, %.1f MIPS\n", "host time", seconds, (double)instructions / 1e6 / (seconds + 1e-9));
    fprintf(stderr, "  %-13s%016" PRIx64 "\n", "state hash", session->final_hash);
    if (session->boots)
        fprintf(stderr, "  %-13s%" PRIu64 "\n", "reboots", session->boots);
    if (log_path)
        fprintf(stderr, "  %-13s%s, %" PRIu64 " bytes, %" PRIu64 " marks\n", "log", log_path, session->log_bytes,
                session->log_marks);
    print_tallies(session);
}
