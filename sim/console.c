/*
 * The host's side of the console (console.h). Signals and the terminal's mode belong to the process: the only globals
 * of sim.
 */
#define _GNU_SOURCE /* ppoll */
#include "sim/console.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PREFIX 1 /* Ctrl-A */

static struct termios saved_mode;
static volatile sig_atomic_t mode_is_raw;
static volatile sig_atomic_t signal_seen;

static const int asking_signals[] = { SIGINT, SIGTERM, SIGHUP };
static const int killing_signals[] = { SIGQUIT, SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Async-signal-safe. */
static void restore_terminal(void)
{
    if (!mode_is_raw)
        return;
    mode_is_raw = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &saved_mode);
}

static void on_killing_signal(int number)
{
    restore_terminal();
    signal(number, SIG_DFL);
    raise(number);
}

static void on_asking_signal(int number)
{
    if (signal_seen)
        on_killing_signal(number);
    signal_seen = number;
}

static void catch_signals(void)
{
    struct sigaction action = { .sa_handler = on_asking_signal };
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < COUNT(asking_signals); i++)
        sigaction(asking_signals[i], &action, NULL);
    action.sa_handler = on_killing_signal;
    action.sa_flags = SA_NODEFER;
    for (size_t i = 0; i < COUNT(killing_signals); i++) {
        struct sigaction old;
        /* A sanitizer's own handler tells more than ours. */
        if (sigaction(killing_signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(killing_signals[i], &action, NULL);
    }
    /* A closed pipe and a file that may not grow are errors of write, which end the run in order. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

static void set_raw_mode(void)
{
    static bool registered;
    struct termios mode;
    if (tcgetattr(STDIN_FILENO, &saved_mode) != 0)
        return;
    if (!registered)
        registered = atexit(restore_terminal) == 0;
    mode = saved_mode;
    cfmakeraw(&mode);
    mode_is_raw = 1;
    tcsetattr(STDIN_FILENO, TCSANOW, &mode);
}

void console_open(struct console *console, bool takes_input, bool shows)
{
    memset(console, 0, sizeof(*console));
    console->shows = shows;
    console->input_open = takes_input;
    console->is_terminal = takes_input && isatty(STDIN_FILENO);
    catch_signals();
    if (console->is_terminal)
        set_raw_mode();
}

void console_close(struct console *console)
{
    console_flush(console);
    restore_terminal();
}

/* A byte typed at a terminal: Ctrl-A x quits, Ctrl-A twice types one. */
static void console_type(struct console *console, uint8_t byte)
{
    if (console->is_terminal && !console->after_prefix && byte == PREFIX) {
        console->after_prefix = true;
        return;
    }
    if (console->after_prefix) {
        console->after_prefix = false;
        if (byte == 'x' || byte == 'X')
            console->quit = true;
        if (byte != PREFIX)
            return;
    }
    console->queue[(console->queue_first + console->queue_count++) % CONSOLE_QUEUE_BYTES] = byte;
}

void console_poll(struct console *console, uint64_t wait_ns)
{
    struct timespec wait = { .tv_sec = (time_t)(wait_ns / 1000000000u), .tv_nsec = (long)(wait_ns % 1000000000u) };
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    uint8_t bytes[256];
    size_t room = CONSOLE_QUEUE_BYTES - console->queue_count;
    bool reads = console->input_open && room > 0;
    if (signal_seen || (!reads && wait_ns == 0))
        return;
    if (ppoll(&input, reads, &wait, NULL) <= 0)
        return;
    ssize_t count = read(STDIN_FILENO, bytes, room < sizeof(bytes) ? room : sizeof(bytes));
    if (count <= 0) {
        if (count == 0 || (errno != EINTR && errno != EAGAIN))
            console->input_open = false;
        return;
    }
    for (ssize_t i = 0; i < count; i++)
        console_type(console, bytes[i]);
}

bool console_peek(const struct console *console, uint8_t *byte)
{
    if (!console->queue_count)
        return false;
    *byte = console->queue[console->queue_first];
    return true;
}

void console_advance(struct console *console)
{
    console->queue_first = (console->queue_first + 1) % CONSOLE_QUEUE_BYTES;
    console->queue_count--;
}

bool console_can_bring(const struct console *console)
{
    return console->input_open || console->queue_count;
}

void console_put(struct console *console, uint8_t byte)
{
    if (!console->shows)
        return;
    if (console->output_count == CONSOLE_OUTPUT_BYTES)
        console_flush(console);
    console->output[console->output_count++] = byte;
}

void console_flush(struct console *console)
{
    size_t done = 0;
    while (done < console->output_count && !console->output_error) {
        ssize_t count = write(STDOUT_FILENO, console->output + done, console->output_count - done);
        if (count > 0) {
            done += (size_t)count;
        } else if (count < 0 && errno == EAGAIN) {
            struct pollfd output = { .fd = STDOUT_FILENO, .events = POLLOUT };
            poll(&output, 1, -1);
        } else if (count == 0 || errno != EINTR) {
            console->output_error = count < 0 ? -errno : -EIO;
        }
    }
    console->output_count = 0;
}

int console_signal(void)
{
    return signal_seen;
}
