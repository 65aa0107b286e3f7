/*
 * The host's side of the console: standard input and output, the terminal's raw mode, and the signals that end a run.
 *
 * What waits here is not state of the machine: bytes enter the guest when the session puts them into the UART. There is
 * one terminal per process, so console_open may be called once at a time.
 */
#ifndef SIM_CONSOLE_H
#define SIM_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONSOLE_QUEUE_BYTES  4096u
#define CONSOLE_OUTPUT_BYTES 4096u

struct console {
    bool shows;        /* the guest's output goes to standard output */
    bool input_open;   /* standard input may still give bytes */
    bool is_terminal;  /* standard input is one, in raw mode: a person types */
    bool after_prefix; /* Ctrl-A was typed */
    bool quit;         /* Ctrl-A x was typed */
    int output_error;  /* negative errno of a failed write to standard output */
    size_t queue_first, queue_count;
    uint8_t queue[CONSOLE_QUEUE_BYTES]; /* a ring */
    size_t output_count;
    uint8_t output[CONSOLE_OUTPUT_BYTES];
};

/*
 * Catches signals; takes_input: reads standard input, a terminal in raw mode. The terminal is restored by
 * console_close, at exit, and when a signal kills the process.
 */
void console_open(struct console *console, bool takes_input, bool shows);
void console_close(struct console *console);

/* Reads what standard input has, waiting for it up to wait_ns (0: not at all). Returns early for a signal. */
void console_poll(struct console *console, uint64_t wait_ns);

/* The oldest byte that waits. */
bool console_peek(const struct console *console, uint8_t *byte);
void console_advance(struct console *console);

/* False once no byte can come any more. */
bool console_can_bring(const struct console *console);

/* A byte of the guest's output. Host back-pressure stalls the host only. */
void console_put(struct console *console, uint8_t byte);
void console_flush(struct console *console);

/* The signal that asks for the run's end (SIGINT, SIGTERM, SIGHUP), or 0. A second one kills the process. */
int console_signal(void);

#endif
