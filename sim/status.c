/*
 * Exit statuses for people (status.h).
 */
#include "sim/status.h"

enum status status_refuse(enum status status, const char *about, const char *what)
{
    fprintf(stderr, "sim: %s: %s\n", about, what);
    return status;
}

void status_print(FILE *out)
{
    static const struct {
        enum status status;
        const char *meaning;
    } statuses[] = {
        { STATUS_OK, "the guest ended well, the replay verified, or the user quit" },
        { STATUS_HOST_ERROR, "the host failed (no memory, a failed write), or a signal ended the run" },
        { STATUS_USAGE, "wrong command line" },
        { STATUS_BAD_INPUT, "an image, log or dialogue is missing, malformed, or not the recorded one" },
        { STATUS_DIVERGED, "the replay differs from the recorded run" },
        { STATUS_INCOMPLETE, "verified up to the last mark of a log that was cut off" },
        { STATUS_RESET, "the guest reset the machine" },
        { STATUS_TRIPLE_FAULT, "triple fault" },
        { STATUS_IDLE, "the guest only idles, or halted for ever" },
        { STATUS_LIMIT, "--max-cycles was reached" },
        { STATUS_FAIL_TEXT, "the console printed the text of --fail" },
        { STATUS_BACKEND, "--backend kvm: there is no KVM, or it cannot go on with this guest" },
    };
    fputs("Exit statuses:\n", out);
    for (unsigned i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        fprintf(out, "  %6d  %s\n", (int)statuses[i].status, statuses[i].meaning);
    fputs("  64-127  64 + (code & 63): the guest wrote code to the debug-exit port\n", out);
}
