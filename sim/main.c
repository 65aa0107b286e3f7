/*
 * sim: a deterministic x86-64 machine for testing system software.
 */
#include "sim/commands.h"
#include "sim/status.h"
#include "sim/version.h"

#include <stdio.h>
#include <string.h>

/* How this binary was built, where that changes how it runs (never what the guest sees). */
#ifdef SIM_TAIL_CALLS
#define BUILD_DISPATCH "tail calls"
#else
#define BUILD_DISPATCH "trampoline"
#endif
#ifdef SIM_DROP_CACHES
#define BUILD_CACHES ", drops caches"
#else
#define BUILD_CACHES ""
#endif

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    { "run", cmd_run, "run a guest" },
    { "record", cmd_record, "run a guest and record the run in a log" },
    { "replay", cmd_replay, "replay a log and verify that the run is the same" },
    { "log", cmd_log, "print a log" },
    { "isa", cmd_isa, "print the instruction table" },
    { "difftest", cmd_difftest, "compare instructions with the host's processor" },
    { "host", cmd_host, "say what this host offers for comparisons with hardware" },
    { "decode", cmd_decode, "disassemble bytes given in hexadecimal" },
};

static void usage(FILE *out)
{
    fputs("sim " SIM_VERSION ": a deterministic x86-64 machine with exact record and replay\n\n"
          "usage: sim COMMAND [options]     (sim COMMAND --help says more)\n\n",
          out);
    for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        fprintf(out, "  %-10s%s\n", commands[i].name, commands[i].summary);
    fputc('\n', out);
    status_print(out);
}

int main(int argc, char **argv)
{
    for (unsigned i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        usage(stdout);
        return STATUS_OK;
    }
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("sim " SIM_VERSION " (" BUILD_DISPATCH BUILD_CACHES ")");
        return STATUS_OK;
    }
    if (argc > 1)
        fprintf(stderr, "sim: %s: no such command (see sim --help)\n", argv[1]);
    else
        usage(stderr);
    return STATUS_USAGE;
}
