/*
 * The watchdog (watchdog.h). The timer repeats every millisecond once it is over, so that a signal which came between
 * the look at immediate_exit and the guest's entry is followed by another.
 */
#define _GNU_SOURCE
#include "kvm/watchdog.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <time.h>
#include <stddef.h>

#define REPEAT_NS 1000000

/* Signals have no context argument of ours. */
static struct {
    struct kvm_run *volatile run; /* NULL: nobody is watched */
    volatile sig_atomic_t over;
    timer_t timer;
    bool opened;
} the_watchdog;

static void on_alarm(int number)
{
    (void)number;
    struct kvm_run *run = the_watchdog.run;
    if (!run)
        return;
    the_watchdog.over = 1;
    run->immediate_exit = 1;
}

int watchdog_open(void)
{
    if (the_watchdog.opened)
        return 0;
    struct sigaction action = { .sa_handler = on_alarm };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
    if (sigaction(SIGALRM, &action, NULL) || timer_create(CLOCK_MONOTONIC, &event, &the_watchdog.timer))
        return -errno;
    the_watchdog.opened = true;
    return 0;
}

void watchdog_arm(struct kvm_run *run, uint64_t ns)
{
    struct itimerspec when = { .it_interval.tv_nsec = REPEAT_NS,
                               .it_value = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) } };
    the_watchdog.over = 0;
    run->immediate_exit = ns == 0;
    the_watchdog.run = run;
    timer_settime(the_watchdog.timer, 0, &when, NULL);
}

bool watchdog_disarm(struct kvm_run *run)
{
    const struct itimerspec never = { 0 };
    timer_settime(the_watchdog.timer, 0, &never, NULL);
    the_watchdog.run = NULL;
    run->immediate_exit = 0;
    return the_watchdog.over;
}
