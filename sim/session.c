/*
 * The session's loop (session.h): inputs, marks and ends at the boundaries of the machine.
 */
#include "sim/session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How often the host is looked at, in cycles. Neither is an event of the machine. */
#define POLL_CYCLES   1000000ull  /* standard input, while it is open */
#define GLANCE_CYCLES 10000000ull /* signals, status line, buffered output */

#define PACE_STEP_NS      1000000ull    /* idle time is slept off in pieces of at least this */
#define WAIT_STEP_NS      1000000000ull /* without an event to come: one look a second */
#define IDLE_ACTIVE_SHARE 10u           /* a guest that executes in more than 1/10 of the cycles is not idle */

uint64_t session_instructions(const struct session *session)
{
    return session->retired_before + machine_retired(session->machine);
}

/* How much the guest has done so far, to tell whether it idles. */
static uint64_t session_busy(const struct session *session)
{
    return session->busy_before + machine_busy(session->machine);
}

static void session_end(struct session *session, enum log_reason reason, uint64_t code)
{
    if (session->ended)
        return;
    session->ended = true;
    session->reason = reason;
    session->code = code;
}

static void session_fail(struct session *session, const char *what, int error)
{
    if (session->error)
        return;
    session->ended = true;
    session->error = error;
    session->error_what = what;
}

/* --- the guest's output --- */

static void session_put(void *context, uint8_t byte)
{
    struct session *session = context;
    struct board *board = machine_board(session->machine);
    console_put(&session->console, byte);
    if (session->replayer)
        return;
    session->idle_since = board->clock.now_cycles;
    session->active_at_idle = session_busy(session);
    bool answered = dialogue_output(&session->dialogue, byte, board->clock.now_cycles);
    session->until_seen |= matcher_next(&session->until, byte);
    session->fail_seen |= matcher_next(&session->fail, byte);
    if (answered || session->until_seen || session->fail_seen)
        board_request_stop(board, BOARD_HOST_STOP, 0);
}

/* --- the guest's input --- */

static bool session_replay_input(void *context, enum log_source source, uint8_t byte)
{
    struct session *session = context;
    return source == LOG_CONSOLE && machine_console_input(session->machine, byte);
}

/* Types what is due into the UART, as far as it has room, and logs what went in. The dialogue comes before the host. */
static void session_feed(struct session *session, uint64_t now)
{
    uint8_t typed[LOG_INPUT_BYTES_MAX];
    unsigned count = 0;
    bool room = true;
    while (count < LOG_INPUT_BYTES_MAX && session->dialogue.next_cycle <= now &&
           dialogue_peek(&session->dialogue, &typed[count]) &&
           (room = machine_console_input(session->machine, typed[count]))) {
        dialogue_advance(&session->dialogue);
        count++;
    }
    if (session->dialogue.next_cycle <= now)
        dialogue_defer(&session->dialogue, now);
    while (room && count < LOG_INPUT_BYTES_MAX && console_peek(&session->console, &typed[count]) &&
           (room = machine_console_input(session->machine, typed[count]))) {
        console_advance(&session->console);
        count++;
    }
    if (!count)
        return;
    session->idle_since = now;
    session->active_at_idle = session_busy(session);
    int error = session->recorder.log ? recorder_input(&session->recorder, now, LOG_CONSOLE, typed, count) : 0;
    if (error)
        session_fail(session, "writing the log", error);
}

static bool session_can_bring(const struct session *session)
{
    return console_can_bring(&session->console) || session->dialogue.next_cycle != DIALOGUE_NEVER;
}

/* --- boundaries --- */

static void session_show(struct session *session)
{
    struct progress_values values = { .cycles = machine_now(session->machine),
                                      .instructions = session_instructions(session) };
    if (session->replayer) {
        values.marks = session->replayer->marks;
        values.goal_cycles = session->goal_cycles;
    } else if (session->recorder.log) {
        values.marks = log_written_marks(session->recorder.log);
    }
    progress_update(&session->progress, &values);
}

static void session_live_boundary(struct session *session, uint64_t now)
{
    struct console *console = &session->console;
    if (console->input_open && now >= session->next_poll) {
        console_poll(console, 0);
        session->next_poll = now + POLL_CYCLES;
    }
    session_feed(session, now);
    int error = session->recorder.log ? recorder_mark(&session->recorder, now) : 0;
    if (error)
        session_fail(session, "writing the log", error);
    if (session->fail_seen)
        session_end(session, LOG_FAIL, 0);
    if (session->until_seen)
        session_end(session, LOG_UNTIL, 0);
    if (now >= session->limits.max_cycles)
        session_end(session, LOG_LIMIT, 0);
    if (console->quit)
        session_end(session, LOG_QUIT, 0);
    if (console_signal())
        session_end(session, LOG_SIGNAL, (uint64_t)console_signal());
}

static void session_replay_boundary(struct session *session, uint64_t now)
{
    if (replayer_at(session->replayer, now, session_instructions(session)) != REPLAY_RUNS || now >= session->replay_to)
        session->ended = true;
    if (console_signal())
        session_fail(session, "interrupted by a signal", -EINTR);
}

static void session_boundary(struct session *session)
{
    uint64_t now = machine_now(session->machine);
    if (session->replayer)
        session_replay_boundary(session, now);
    else
        session_live_boundary(session, now);
    if (session->console.output_error)
        session_fail(session, "writing the console's output", session->console.output_error);
    session_show(session);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The next cycle at which the session itself has something to do. */
static uint64_t session_next_deed(const struct session *session)
{
    if (session->replayer)
        return earlier(replayer_next_cycle(session->replayer), session->replay_to);
    return earlier(session->limits.max_cycles, session->dialogue.next_cycle);
}

static uint64_t session_stop_cycle(const struct session *session)
{
    uint64_t now = machine_now(session->machine);
    uint64_t stop = earlier(session_next_deed(session), now + GLANCE_CYCLES);
    if (session->recorder.log)
        stop = earlier(stop, session->recorder.next_mark);
    if (session->console.input_open || session->console.queue_count)
        stop = earlier(stop, session->next_poll > now ? session->next_poll : now + POLL_CYCLES);
    return stop;
}

/* --- idling --- */

/* True if the guest has idled for longer than it may: hardly any instructions, no output, and no input to come. */
static bool session_idles(struct session *session, uint64_t now)
{
    uint64_t passed = now - session->idle_since;
    uint64_t active = session_busy(session) - session->active_at_idle;
    if (active > IDLE_ACTIVE_SHARE * CLOCK_HZ / 1000 && active > passed / IDLE_ACTIVE_SHARE) {
        session->idle_since = now;
        session->active_at_idle += active;
        return false;
    }
    return passed >= session->limits.idle_limit_cycles && !session_can_bring(session);
}

/*
 * Lets the wall clock catch up with an idle jump while a person watches. Returns where the jump ends: earlier than
 * target if a byte was typed meanwhile.
 */
static uint64_t session_pace(struct session *session, uint64_t now, uint64_t target)
{
    session->pace_debt_ns += target - now; /* a cycle is a nanosecond */
    if (session->pace_debt_ns < PACE_STEP_NS)
        return target;
    console_flush(&session->console);
    uint64_t started = host_ns();
    console_poll(&session->console, session->pace_debt_ns);
    uint64_t slept = host_ns() - started;
    uint64_t left = session->pace_debt_ns > slept ? session->pace_debt_ns - slept : 0;
    session->pace_debt_ns = left;
    if (left == 0 || left >= target - now)
        return left ? now + 1 : target;
    return target - left;
}

/* Nothing will happen by itself: waits for the host. Returns the cycle at which something came, or the guest was given
 * up. */
static uint64_t session_wait(struct session *session, uint64_t now)
{
    struct console *console = &session->console;
    uint64_t started = host_ns();
    console_flush(console);
    while (console->input_open && !console->queue_count && !console->quit && !console_signal())
        console_poll(console, WAIT_STEP_NS);
    if (!console_can_bring(console) && !console_signal())
        session_end(session, LOG_NEVER_WAKES, 0);
    uint64_t waited = host_ns() - started;
    return now + (waited ? waited : 1);
}

/* All vCPUs are halted: ends the run if that is for good, else moves the clock on. */
static void session_idle(struct session *session)
{
    struct machine *machine = session->machine;
    uint64_t now = machine_now(machine);
    uint64_t event = machine_next_event(machine);
    uint64_t target = earlier(event, session_next_deed(session));
    if (session->replayer) {
        machine_skip(machine, target);
        return;
    }
    if (!machine_can_wake(machine)) {
        session_end(session, LOG_NEVER_WAKES, 0);
        return;
    }
    if (session_idles(session, now)) {
        session_end(session, LOG_IDLE, 0);
        return;
    }
    if (!session_can_bring(session))
        target = earlier(target, session->idle_since + session->limits.idle_limit_cycles);
    if (event == CLOCK_NEVER && session->dialogue.next_cycle == DIALOGUE_NEVER) {
        uint64_t woken = session_wait(session, now);
        target = earlier(woken, session->limits.max_cycles);
    } else if (session->console.is_terminal || session->config->backend == BACKEND_KVM) {
        target = session_pace(session, now, target);
    }
    if (session->ended)
        return;
    session->next_poll = earlier(session->next_poll, now); /* a jump is a good time to look */
    machine_skip(machine, target);
}

/* --- power cycles --- */

void tally_add(struct tally *sum, const struct tally *tally)
{
    for (unsigned i = 0; i < tally->entry_count; i++) {
        const struct tally_entry *entry = &tally->entries[i];
        tally_count(sum, entry->kind, entry->key, entry->name);
        for (unsigned j = 0; j < sum->entry_count; j++)
            if (sum->entries[j].kind == entry->kind && sum->entries[j].key == entry->key)
                sum->entries[j].count += entry->count - 1;
    }
    sum->overflow += tally->overflow;
}

static enum status session_use_kvm(struct session *session, char error[IMAGE_ERROR_BYTES])
{
    const char *why;
    int failure = machine_use_kvm(session->machine, &why);
    if (!failure)
        return STATUS_OK;
    snprintf(error, IMAGE_ERROR_BYTES, "--backend kvm: %s (%s)", why, strerror(-failure));
    return STATUS_BACKEND;
}

/* Builds the machine of the next boot and loads the guest into it. */
static enum status session_boot(struct session *session, uint64_t start_cycle, char error[IMAGE_ERROR_BYTES])
{
    const struct session_config *config = session->config;
    struct machine_console console = { session_put, session };
    int failure = machine_create(&session->machine, &config->machine, &console, start_cycle, session->boots);
    if (!failure)
        failure = state_hash_init(&session->hash, machine_board(session->machine));
    if (failure) {
        snprintf(error, IMAGE_ERROR_BYTES, "cannot make a machine with %" PRIu64 " MiB of RAM: %s",
                 config->machine.ram_bytes >> 20, strerror(-failure));
        return STATUS_HOST_ERROR;
    }
    machine_single_step(session->machine, session->limits.step_from, session->limits.step_to);
    struct image modules[SESSION_MODULES_MAX];
    for (unsigned i = 0; i < config->module_count; i++)
        modules[i] = config->modules[i].image;
    struct load_request request = {
        .kernel = config->kernel.image,
        .initrd = config->initrd.image,
        .modules = modules,
        .module_count = config->module_count,
        .cmdline = config->cmdline,
        .entry = (enum load_entry)config->entry,
        .rsdp = machine_rsdp(session->machine),
    };
    failure = load_kernel(machine_board(session->machine), machine_boot_cpu(session->machine), &request, error);
    if (failure)
        return STATUS_BAD_INPUT;
    return config->backend == BACKEND_KVM ? session_use_kvm(session, error) : STATUS_OK;
}

static void session_power_cycle(struct session *session)
{
    char error[IMAGE_ERROR_BYTES];
    uint64_t now = machine_now(session->machine);
    session->retired_before += machine_retired(session->machine);
    session->busy_before += machine_busy(session->machine);
    tally_add(&session->tally_before, &machine_board(session->machine)->tally);
    session->boots++;
    state_hash_destroy(&session->hash);
    machine_destroy(session->machine);
    session->machine = NULL;
    if (session_boot(session, now, error) != STATUS_OK) {
        fprintf(stderr, "sim: %s\n", error);
        session_fail(session, "starting the guest anew", -ENOMEM);
    }
}

bool session_follow_reset(struct session *session)
{
    if (machine_board(session->machine)->request != BOARD_RESET || session->config->on_reset != ON_RESET_REBOOT)
        return false;
    session_power_cycle(session);
    return session->machine && !session->error;
}

/* The machine asks for the run's end, or for a look. */
static void session_request(struct session *session)
{
    static const enum log_reason reasons[] = {
        [BOARD_POWER_OFF] = LOG_POWER_OFF,
        [BOARD_RESET] = LOG_RESET,
        [BOARD_DEBUG_EXIT] = LOG_DEBUG_EXIT,
        [BOARD_TRIPLE_FAULT] = LOG_TRIPLE_FAULT,
    };
    struct board *board = machine_board(session->machine);
    enum board_request request = board->request;
    if (request == BOARD_HOST_STOP) {
        board->request = BOARD_RUN;
        return;
    }
    if (request == BOARD_RESET && session->config->on_reset == ON_RESET_REBOOT) {
        session_follow_reset(session);
        return;
    }
    uint64_t code = request == BOARD_DEBUG_EXIT ? board->request_code : 0;
    if (session->replayer)
        replayer_guest_ended(session->replayer, machine_now(session->machine), session_instructions(session),
                             reasons[request], code);
    session_end(session, reasons[request], code);
}

/* --- from beginning to end --- */

enum status session_open(struct session *session, const struct session_config *config,
                         const struct session_limits *limits, char error[IMAGE_ERROR_BYTES])
{
    memset(session, 0, sizeof(*session));
    session->config = config;
    session->limits = *limits;
    session->replay_to = UINT64_MAX;
    session->dialogue.next_cycle = DIALOGUE_NEVER;
    if ((limits->until && matcher_init(&session->until, limits->until, strlen(limits->until))) ||
        (limits->fail && matcher_init(&session->fail, limits->fail, strlen(limits->fail)))) {
        snprintf(error, IMAGE_ERROR_BYTES, "the text of --until or --fail is empty or longer than %d bytes",
                 DIALOGUE_TEXT_MAX);
        return STATUS_USAGE;
    }
    return session_boot(session, 0, error);
}

static void session_finish(struct session *session)
{
    session->final_hash = state_hash_take(&session->hash);
    if (session->recorder.log) {
        int error = session->error ? 0
                                   : recorder_end(&session->recorder, machine_now(session->machine), session->reason,
                                                  session->code, session_instructions(session), session->final_hash);
        session->log_bytes = log_written_bytes(session->recorder.log);
        session->log_marks = log_written_marks(session->recorder.log);
        recorder_close(&session->recorder);
        if (error)
            session_fail(session, "writing the log", error);
    }
}

/* Runs the machine up to a cycle, and answers why it came back earlier. */
static void session_go(struct session *session, uint64_t stop_cycle)
{
    switch (machine_run(session->machine, stop_cycle)) {
    case MACHINE_STOPPED:
        break;
    case MACHINE_HALTED:
        session_idle(session);
        break;
    case MACHINE_REQUEST:
        session_request(session);
        break;
    case MACHINE_FAILED:
        session_end(session, LOG_BACKEND, 0);
        break;
    }
}

void session_begin(struct session *session)
{
    if (!session->replayer)
        return;
    session->replayer->hash = &session->hash;
    session->replayer->input = session_replay_input;
    session->replayer->context = session;
    replayer_start(session->replayer);
}

bool session_reach(struct session *session, uint64_t cycle)
{
    session->replay_to = cycle;
    while (!session->ended) {
        session_boundary(session);
        if (!session->ended)
            session_go(session, session_stop_cycle(session));
    }
    session->replay_to = UINT64_MAX;
    session->ended = session->replayer->verdict != REPLAY_RUNS || session->error;
    return !session->ended;
}

bool session_step(struct session *session)
{
    session_boundary(session);
    if (!session->ended)
        session_go(session, machine_now(session->machine) + 1);
    return !session->ended;
}

void session_run(struct session *session)
{
    console_open(&session->console, session->limits.takes_input, session->limits.shows);
    progress_start(&session->progress, !session->limits.quiet, session->limits.shows);
    uint64_t started = host_ns();
    session_begin(session);
    while (!session->ended) {
        session_boundary(session);
        if (session->ended)
            break;
        session_go(session, session_stop_cycle(session));
        console_flush(&session->console);
    }
    if (session->machine)
        session_finish(session);
    session->host_ns = host_ns() - started;
    progress_stop(&session->progress);
    console_close(&session->console);
}

void session_close(struct session *session)
{
    recorder_close(&session->recorder);
    state_hash_destroy(&session->hash);
    machine_destroy(session->machine);
    dialogue_destroy(&session->dialogue);
    matcher_destroy(&session->until);
    matcher_destroy(&session->fail);
    memset(session, 0, sizeof(*session));
}
