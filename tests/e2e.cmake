# End-to-end tests, style, and the other presets' tests. They look at all of build/*, so they are registered once, in
# build/release; they skip with the reason where a guest or build is missing, and scripts/test makes all of them.
# Labels: style; e2e, of which boot needs Debian's kernels; presets.
if(NOT CMAKE_BINARY_DIR STREQUAL "${CMAKE_SOURCE_DIR}/build/release")
  return()
endif()

# add_cases(LABELS NAME FILE TIMEOUT CASE...): a test NAME/CASE for each case of a script that is driven by verbs.
function(add_cases labels prefix file timeout)
  foreach(case ${ARGN})
    add_test(NAME ${prefix}/${case} COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/${file} ${case})
    set_tests_properties(${prefix}/${case} PROPERTIES LABELS "${labels}" TIMEOUT ${timeout} SKIP_RETURN_CODE 77
                                                      ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)
  endforeach()
endfunction()

add_cases(style style style.py 300 clang_format headers includes banned statics comments sizes scripts)
add_cases(e2e e2e/endings e2e/endings.py 300 power_off debug_exit triple_fault halted idle limit texts resets existing_log
  failed_writes closed_output signals input_from_pipe)
add_cases("e2e;boot" e2e/endings e2e/endings.py 900 linux_resets)
add_cases(e2e e2e/logs e2e/logs.py 900 truncated flipped rubbish other_images stops_on_the_way)
add_cases("e2e;boot" e2e/logs e2e/logs.py 300 killed)
add_cases(e2e e2e/images e2e/images.py 600 no_files no_kernels bzimages elves pvh multiboot dialogues command_lines
  mutants)
add_cases(e2e e2e/terminal e2e/terminal.py 300 quits guest_ends signals on_kvm hangs_up mistakes status_line replays)
add_cases("e2e;boot" e2e/terminal e2e/terminal.py 600 linux)
add_cases("e2e;boot" e2e/boot e2e/boot.py 1200 demo notests vmlinux64 pvh v1 v2 full soft_fp
  undefined memory)
add_cases("e2e;boot" e2e/programs e2e/programs.py 2400 v1 v3 v4)
add_cases(e2e e2e/kvm e2e/kvm.py 300 endings guests gives_up inexact from_boot mistakes hidden killed)
add_cases(e2e e2e/same e2e/same.py 300 guests fresh_seed undefined)
add_cases("e2e;boot" e2e/same e2e/same.py 1200 twice gcc debug asan drop single_step seeds)

# One recording serves several tests.
set_tests_properties(e2e/boot/notests PROPERTIES FIXTURES_SETUP recorded_boot)
foreach(case twice gcc drop single_step)
  set_tests_properties(e2e/same/${case} PROPERTIES FIXTURES_REQUIRED recorded_boot)
endforeach()

# AFL++ itself, for a bounded number of executions, and the planted bug (docs/fuzzing.md).
add_test(NAME fuzz/smoke COMMAND ${CMAKE_SOURCE_DIR}/scripts/fuzz smoke)
set_tests_properties(fuzz/smoke PROPERTIES LABELS presets TIMEOUT 1800 SKIP_RETURN_CODE 77 COST 1000)

# The other presets' own tests: units and small guests under sanitizers, without optimisation, by gcc, without caches.
foreach(preset asan debug gcc drop)
  add_test(NAME presets/${preset} COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/presets.py ${preset})
  set_tests_properties(presets/${preset} PROPERTIES LABELS presets TIMEOUT 1800 SKIP_RETURN_CODE 77 COST 1000)
endforeach()
