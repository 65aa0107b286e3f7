/*
 * Fuzz target "image": the boot loaders.
 *
 * Input: byte 0: how to load (modulo the kinds of enum load_entry); byte 1: bits 3:0 number of modules, bit 4 an
 * initrd, bit 5 a command line, bit 6 a long one; bytes 2 and 3: where the file is cut in two, the rest being initrd
 * and modules; then the kernel. The files end at an inaccessible page.
 *
 * Policy: every byte string is admitted. load_kernel() gives 0, or -EINVAL with one line in its buffer; what it loaded
 * then runs for some cycles, whatever it is, without a crash or an assertion.
 */
#include "fuzz/bench.h"
#include "fuzz/fuzz.h"
#include "sim/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RAM_BYTES    (8u << 20)
#define HEADER_BYTES 4u
#define MODULES_MAX  4u
#define RUN_CYCLES   400u

static void check_error(const char *error)
{
    size_t length = strnlen(error, LOAD_ERROR_BYTES);

    if (length == 0 || length == LOAD_ERROR_BYTES)
        fuzz_finding("refused without a line that fits");
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)error[i] < ' ')
            fuzz_finding("a control character in the error line: %s", error);
}

int fuzz_one(const uint8_t *data, size_t size)
{
    static struct bench bench; /* goes back to power-up before each run */
    static char cmdline[5000];
    struct image modules[MODULES_MAX];
    char error[LOAD_ERROR_BYTES];

    if (size < HEADER_BYTES)
        return 0;
    if (!bench.machine)
        bench_init(&bench, RAM_BYTES, "x86-64-v2");
    const uint8_t *file = fuzz_guarded(data + HEADER_BYTES, size - HEADER_BYTES);
    size_t total = size - HEADER_BYTES, rest = data[2] | (size_t)data[3] << 8;
    rest = rest < total ? rest : total;
    /* the kernel is what ends at the inaccessible page */
    struct image kernel = { "kernel", file + rest, total - rest, NULL };
    struct image initrd = { "initrd", file, rest, NULL };
    unsigned count = data[1] & 15;
    for (unsigned i = 0; i < MODULES_MAX; i++)
        modules[i] = (struct image){ "module", file, i ? rest : 0, i & 1 ? "of module" : NULL };
    memset(cmdline, 'a', sizeof(cmdline) - 1);
    cmdline[data[1] & 64 ? sizeof(cmdline) - 1 : 10] = 0;
    struct load_request request = { .kernel = kernel,
                                    .modules = modules,
                                    .module_count = count < MODULES_MAX ? count : MODULES_MAX,
                                    .cmdline = data[1] & 32 ? cmdline : NULL,
                                    .entry = (enum load_entry)(data[0] % (LOAD_FLAT + 1)),
                                    .rsdp = machine_rsdp(bench.machine) };
    if (data[1] & 16)
        request.initrd = initrd;
    bench_reset(&bench);
    bench_ready(&bench);
    memset(error, 0xFF, sizeof(error));
    int status = load_kernel(bench.board, bench.cpu, &request, error);
    if (getenv("FUZZ_VERBOSE"))
        fprintf(stderr, "image: %s\n", status ? error : "loaded");
    if (status == -EINVAL) {
        check_error(error);
    } else if (status) {
        fuzz_finding("load_kernel gives %d", status);
    } else {
        bench_ready(&bench);
        machine_run(bench.machine, machine_now(bench.machine) + RUN_CYCLES);
    }
    return 0;
}
