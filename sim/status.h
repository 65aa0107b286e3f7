/*
 * Exit statuses of sim, one place for code, --help and README.
 */
#ifndef SIM_STATUS_H
#define SIM_STATUS_H

#include <stdio.h>

enum status {
    STATUS_OK = 0,         /* the guest ended well, the replay verified, the user quit */
    STATUS_HOST_ERROR = 1, /* the host failed: no memory, a write that did not go through, a signal */
    STATUS_USAGE = 2,      /* wrong command line */
    STATUS_BAD_INPUT = 3,  /* an image, log or dialogue that is missing, malformed or not the recorded one */
    STATUS_DIVERGED = 4,   /* the replay is not the recorded run */
    STATUS_INCOMPLETE = 5, /* verified, but only up to the last mark of a log that was cut off */
    STATUS_RESET = 6,      /* the guest reset the machine (--on-reset fail) */
    STATUS_TRIPLE_FAULT = 7,
    STATUS_IDLE = 8,       /* the guest only idles, or halted for ever */
    STATUS_LIMIT = 9,      /* --max-cycles */
    STATUS_FAIL_TEXT = 10, /* the console printed the text of --fail */
    STATUS_BACKEND = 11,   /* --backend kvm: there is no KVM, or it cannot go on with this guest */
    STATUS_GUEST = 64,     /* 64 + (code & 63): the guest wrote code to the debug-exit port */
};

/* One line on stderr, what is wrong with what, and the status to end with. */
enum status status_refuse(enum status status, const char *about, const char *what);

/* The statuses with their meaning, a line each, for --help. */
void status_print(FILE *out);

#endif
