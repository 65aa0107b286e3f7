/*
 * A target under AFL++: persistent mode, test cases in shared memory. Built where the compiler is afl-clang-fast
 * (scripts/fuzz does that). Started by hand it runs the input on its standard input once.
 */
#include "fuzz/fuzz.h"

#include <unistd.h>

__AFL_FUZZ_INIT();

int main(void)
{
    __AFL_INIT();
    const uint8_t *data = __AFL_FUZZ_TESTCASE_BUF;
    while (__AFL_LOOP(20000)) {
        size_t size = (size_t)__AFL_FUZZ_TESTCASE_LEN;
        fuzz_one(data, size < FUZZ_BYTES_MAX ? size : FUZZ_BYTES_MAX);
    }
    return 0;
}
