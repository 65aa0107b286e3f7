/*
 * In place of all that talks to /dev/kvm, on a host for which that is not written (CMakeLists.txt, SIM_KVM): there is
 * no KVM, and whoever asks for it is told so.
 */
#include "kvm/backend.h"
#include "kvm/cosim.h"
#include "kvm/difftest.h"
#include "kvm/exits.h"
#include "kvm/host.h"

#include <errno.h>
#include <string.h>

static const char reason[] = "this build is not for Linux on x86-64, where KVM is";

/* --- host.h --- */

void host_look(struct host_kvm *host)
{
    memset(host, 0, sizeof(*host));
    host->error = -ENOTSUP;
    host->why_not = reason;
}

/* --- cosim.h --- */

static void *no_cosim(struct cpu *cpu, const char **why)
{
    (void)cpu;
    *why = reason;
    return NULL;
}

const struct cosim_reference cosim_kvm = { .name = "kvm", .init = no_cosim };

void cosim_kvm_unskip(void *reference, const char *name)
{
    (void)reference;
    (void)name;
}

/* --- difftest.h --- */

static void *no_difftest(const char **why)
{
    *why = reason;
    return NULL;
}

static const char *no_row(const struct isa_row *row)
{
    (void)row;
    return reason;
}

const struct difftest_reference difftest_kvm = { .name = "kvm", .open = no_difftest, .row_skipped = no_row };

/* --- backend.h --- */

int backend_open(struct backend **backend, struct cpu *cpu, const char **why)
{
    (void)cpu;
    *backend = NULL;
    *why = reason;
    return -ENOTSUP;
}

void backend_close(struct backend *backend)
{
    (void)backend;
}

void backend_take_interrupts(struct backend *backend)
{
    (void)backend;
}

bool backend_run(struct backend *backend, uint64_t stop_cycle)
{
    (void)backend;
    (void)stop_cycle;
    return false;
}

bool backend_sync(struct backend *backend)
{
    (void)backend;
    return false;
}

uint64_t backend_busy_cycles(const struct backend *backend)
{
    (void)backend;
    return 0;
}

void backend_explain(struct backend *backend, const char *prefix, FILE *out)
{
    (void)backend;
    fprintf(out, "%s%s\n", prefix, reason);
}

/* --- exits.h --- */

struct exits *exits_open(struct cpu *cpu, bool (*advance)(void *context), void *context, FILE *report, const char **why)
{
    (void)cpu;
    (void)advance;
    (void)context;
    (void)report;
    *why = reason;
    return NULL;
}

void exits_close(struct exits *exits)
{
    (void)exits;
}

void exits_run(struct exits *exits)
{
    (void)exits;
}

const struct exits_totals *exits_totals(const struct exits *exits)
{
    static const struct exits_totals none;
    (void)exits;
    return &none;
}

void exits_print(const struct exits_totals *totals, FILE *out)
{
    (void)totals;
    (void)out;
}
