/*
 * The status line (progress.h). Where console and status share a terminal, a scrolling region (DECSTBM) keeps the last
 * row free.
 */
#include "sim/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_NS 200000000u

uint64_t host_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void progress_start(struct progress *progress, bool wanted, bool console_shows)
{
    struct winsize size;
    memset(progress, 0, sizeof(*progress));
    progress->shows = wanted && isatty(STDERR_FILENO);
    progress->own_row = progress->shows && console_shows && isatty(STDOUT_FILENO);
    progress->last_ns = host_ns();
    progress->next_ns = progress->last_ns + INTERVAL_NS;
    if (!progress->own_row)
        return;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row < 4) {
        progress->shows = progress->own_row = false;
        return;
    }
    progress->rows = size.ws_row;
    /* A line feed first, so that the cursor is not on the last row; then the region, which moves the cursor: save it.
     */
    fprintf(stderr, "\n\033[A\0337\033[1;%ur\0338", progress->rows - 1);
    fflush(stderr);
}

void progress_update(struct progress *progress, const struct progress_values *values)
{
    if (!progress->shows)
        return;
    uint64_t now = host_ns();
    if (now < progress->next_ns)
        return;
    char line[160];
    double mips =
        (double)(values->instructions - progress->last_instructions) * 1e3 / (double)(now - progress->last_ns);
    int length = snprintf(line, sizeof(line), "%.3f s  %" PRIu64 " Mcycles  %.0f MIPS  %" PRIu64 " marks",
                          (double)values->cycles / 1e9, values->cycles / 1000000u, mips, values->marks);
    if (values->goal_cycles)
        snprintf(line + length, sizeof(line) - (size_t)length, "  %" PRIu64 "%%",
                 values->cycles / (values->goal_cycles / 100 + 1));
    if (progress->own_row)
        fprintf(stderr, "\0337\033[%u;1H\033[7m%s\033[0m\033[K\0338", progress->rows, line);
    else
        fprintf(stderr, "\r%s\033[K", line);
    fflush(stderr);
    progress->last_ns = now;
    progress->last_instructions = values->instructions;
    progress->next_ns = now + INTERVAL_NS;
}

void progress_stop(struct progress *progress)
{
    if (!progress->shows)
        return;
    if (progress->own_row)
        fprintf(stderr, "\0337\033[%u;1H\033[K\033[r\0338", progress->rows);
    else
        fputs("\r\033[K", stderr);
    fflush(stderr);
    progress->shows = false;
}
