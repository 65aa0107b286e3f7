/*
 * sim host: what this host offers for comparisons with real hardware (docs/kvm.md).
 *
 * Exit status: STATUS_OK if there is a usable /dev/kvm, HOST_SKIPPED if not. Everything else works without it.
 */
#include "kvm/host.h"
#include "sim/commands.h"
#include "sim/options.h"
#include "sim/status.h"

#define HOST_SKIPPED 77 /* what ctest takes for "skipped" */

struct host_options {
    bool quiet;
};

static const struct option host_options[] = {
    { "quiet", 'q', NULL, "print nothing, only the exit status: 0 with KVM, 77 without", OPTION_FLAG,
      offsetof(struct host_options, quiet), 0, NULL },
    { 0 },
};
static const struct command_line host_line = {
    .command = "host",
    .summary = "Looks at what this host offers: KVM, of which kind, and which comparisons are possible with it.",
    .options = host_options,
};

int cmd_host(int argc, char **argv)
{
    struct host_options options = { 0 };
    struct host_kvm host;
    int parsed = options_parse(&host_line, &options, NULL, argc, argv);
    if (parsed)
        return parsed == OPTIONS_HELP ? STATUS_OK : STATUS_USAGE;
    host_look(&host);
    if (!options.quiet)
        host_print(&host, stdout);
    return host.kind == HOST_WITHOUT_KVM ? HOST_SKIPPED : STATUS_OK;
}
