# End-to-end tests: the command line as users drive it. They use the guests of scripts/guests and the builds of the other presets, and
# skip with the reason where those are missing; scripts/test makes all of them.
set(E2E_boot demo notests vmlinux64 pvh v1 v2 full soft_fp)
set(E2E_endings power_off debug_exit triple_fault halted idle limit texts resets linux_resets existing_log failed_writes
    closed_output signals input_from_pipe)
set(E2E_images no_files no_kernels bzimages elves pvh multiboot dialogues command_lines mutants)
set(E2E_logs truncated flipped rubbish other_images killed stops_on_the_way)
set(E2E_same twice gcc debug asan guests drop single_step seeds fresh_seed)
set(E2E_terminal quits guest_ends signals hangs_up mistakes status_line replays linux)

foreach(file boot endings images logs same terminal)
  foreach(case ${E2E_${file}})
    add_test(NAME e2e/${file}/${case} COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/e2e/${file}.py ${case})
    set_tests_properties(e2e/${file}/${case} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 1200 LABELS e2e)
  endforeach()
endforeach()

# Other builds replay the recording that boot/notests leaves behind.
set_tests_properties(e2e/boot/notests PROPERTIES FIXTURES_SETUP recorded_boot)
foreach(case twice gcc debug asan drop single_step seeds)
  set_tests_properties(e2e/same/${case} PROPERTIES FIXTURES_REQUIRED recorded_boot)
endforeach()
