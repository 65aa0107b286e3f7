# End-to-end tests, style, and the other presets' tests. They look at all of build/*, so they are registered once, in
# build/release. Labels: style, e2e (no guest of Debian's needed), boot (Debian's kernels), presets.
if(NOT CMAKE_BINARY_DIR STREQUAL "${CMAKE_SOURCE_DIR}/build/release")
  return()
endif()

# add_cases(LABEL NAME FILE TIMEOUT CASE...): a test NAME/CASE for each case of a script that is driven by verbs.
function(add_cases label prefix file timeout)
  foreach(case ${ARGN})
    add_test(NAME ${prefix}/${case} COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/${file} ${case})
    set_tests_properties(${prefix}/${case} PROPERTIES LABELS ${label} TIMEOUT ${timeout} SKIP_RETURN_CODE 77
                                                      ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)
  endforeach()
endfunction()

add_cases(style style style.py 300 clang_format headers includes banned statics comments sizes scripts)
add_cases(e2e end e2e/endings.py 300 power_off debug_exit triple_fault halted idle limit texts resets existing_log
  failed_writes closed_output signals input_from_pipe)
add_cases(boot end e2e/endings.py 900 linux_resets)
add_cases(e2e log e2e/logs.py 900 truncated flipped rubbish other_images stops_on_the_way)
add_cases(boot log e2e/logs.py 300 killed)
add_cases(e2e image e2e/images.py 600 no_files no_kernels bzimages elves pvh multiboot dialogues command_lines mutants)
add_cases(e2e terminal e2e/terminal.py 300 quits guest_ends signals hangs_up mistakes status_line replays)
add_cases(boot terminal e2e/terminal.py 600 linux)
add_cases(boot boot e2e/boot.py 900 demo notests vmlinux64 pvh v1 v2 full soft_fp)
add_cases(e2e same e2e/same.py 300 guests fresh_seed)
add_cases(boot same e2e/same.py 900 twice gcc debug asan drop single_step seeds)

# One recording serves several tests.
set_tests_properties(boot/notests PROPERTIES FIXTURES_SETUP boot_log)
set_tests_properties(same/twice same/gcc same/drop same/single_step PROPERTIES FIXTURES_REQUIRED boot_log)

# The other presets' own tests: units and small guests under sanitizers, without optimisation, by gcc, without caches.
foreach(preset asan debug gcc drop)
  add_test(NAME presets/${preset} COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/presets.py ${preset})
  set_tests_properties(presets/${preset} PROPERTIES LABELS presets TIMEOUT 1800 SKIP_RETURN_CODE 77 COST 1000)
endforeach()
