# Test guests: tests/asm/*.asm, assembled by NASM, and tests/guests. Each runs in sim (asm/NAME, ends with status 64), once
# more as record and replay (replay/NAME), and by host and portable floating point, which must make equal logs (soft/NAME).
# -O1: more passes of NASM's optimiser take long over the big tables.
find_program(NASM nasm)
if(NOT NASM)
  message(STATUS "nasm not found: the test guests are left out")
  return()
endif()

set(RUN_ASM ${CMAKE_CURRENT_SOURCE_DIR}/run_asm.sh)
set(GUESTS)
file(GLOB ASM_TESTS CONFIGURE_DEPENDS asm/*.asm)
file(GLOB ASM_INCLUDES CONFIGURE_DEPENDS asm/*.inc)
foreach(source ${ASM_TESTS})
  get_filename_component(name ${source} NAME_WE)
  set(image ${CMAKE_CURRENT_BINARY_DIR}/asm/${name}.bin)
  add_custom_command(
    OUTPUT ${image}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_CURRENT_BINARY_DIR}/asm
    COMMAND ${NASM} -O1 -f bin -w+error -I ${CMAKE_CURRENT_SOURCE_DIR}/asm/ -o ${image} ${source}
    DEPENDS ${source} ${ASM_INCLUDES}
    VERBATIM)
  list(APPEND GUESTS ${image})
  # A line "; options: ..." in the source holds options of sim.
  file(STRINGS ${source} options REGEX "^; options: " LIMIT_COUNT 1)
  string(REGEX REPLACE "^[^:]*: " "" options "${options}") # list quoting escapes the semicolon
  separate_arguments(options)
  add_test(NAME asm/${name} COMMAND ${RUN_ASM} run $<TARGET_FILE:sim> ${image} ${options})
  add_test(NAME replay/${name} COMMAND ${RUN_ASM} replay $<TARGET_FILE:sim> ${image} ${options})
  add_test(NAME soft/${name} COMMAND ${RUN_ASM} soft $<TARGET_FILE:sim> ${image} ${options})
  set_tests_properties(asm/${name} replay/${name} soft/${name} PROPERTIES TIMEOUT 300)
endforeach()

set(FLAT ${CMAKE_CURRENT_BINARY_DIR}/hello.bin)
add_custom_command(
  OUTPUT ${FLAT}
  COMMAND ${NASM} -f bin -o ${FLAT} ${CMAKE_CURRENT_SOURCE_DIR}/guests/hello.asm
  DEPENDS guests/hello.asm
  VERBATIM)
list(APPEND GUESTS ${FLAT})
add_test(NAME guest/hello COMMAND ${RUN_ASM} expect $<TARGET_FILE:sim> ${FLAT}
                                  ${CMAKE_CURRENT_SOURCE_DIR}/guests/hello.expected --entry flat)

# Freestanding 32-bit code, whatever compiler and options the build itself uses.
find_program(GUEST_CC NAMES clang-19 clang gcc)
set(KERNEL ${CMAKE_CURRENT_BINARY_DIR}/multiboot.elf)
add_custom_command(
  OUTPUT ${KERNEL}
  COMMAND ${GUEST_CC} -m32 -O2 -Wall -Wextra -Werror -ffreestanding -fno-pic -fno-pie -fno-stack-protector -mno-sse -mno-mmx
          -nostdlib -static -Wl,-T,${CMAKE_CURRENT_SOURCE_DIR}/guests/multiboot.ld -Wl,--build-id=none -o ${KERNEL}
          ${CMAKE_CURRENT_SOURCE_DIR}/guests/multiboot.c
  DEPENDS guests/multiboot.c guests/multiboot.ld
  VERBATIM)
list(APPEND GUESTS ${KERNEL})
add_test(
  NAME guest/multiboot
  COMMAND ${RUN_ASM} expect $<TARGET_FILE:sim> ${KERNEL} multiboot.expected --memory 64M --cmdline "a b=c" --module
          module1.txt --module module2.txt
  WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/guests)
add_test(NAME replay/multiboot COMMAND ${RUN_ASM} replay $<TARGET_FILE:sim> ${KERNEL} --module module1.txt
         WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/guests)

# The guests whose cost is counted, where the figures of tests/cost.txt hold: clang-19's release build.
set(MIX ${CMAKE_CURRENT_BINARY_DIR}/mix.bin)
add_custom_command(
  OUTPUT ${MIX}
  COMMAND ${GUEST_CC} -m64 -std=gnu11 -O2 -Wall -Wextra -Werror -ffreestanding -fno-pic -fno-pie -fno-stack-protector
          -fno-asynchronous-unwind-tables -fcf-protection=none -mno-red-zone -fno-vectorize -nostdlib -static
          -Wl,-T,${CMAKE_CURRENT_SOURCE_DIR}/guests/mix.ld -Wl,--build-id=none -o ${MIX} ${CMAKE_CURRENT_SOURCE_DIR}/guests/mix.c
  DEPENDS guests/mix.c guests/mix.ld
  VERBATIM)
set(RINGS ${CMAKE_CURRENT_BINARY_DIR}/rings.bin)
add_custom_command(
  OUTPUT ${RINGS}
  COMMAND ${NASM} -f bin -w+error -o ${RINGS} ${CMAKE_CURRENT_SOURCE_DIR}/guests/rings.asm
  DEPENDS guests/rings.asm
  VERBATIM)
list(APPEND GUESTS ${MIX} ${RINGS})
add_test(NAME replay/mix COMMAND ${RUN_ASM} replay $<TARGET_FILE:sim> ${MIX} --entry flat --memory 16M)
add_test(NAME replay/rings COMMAND ${RUN_ASM} replay $<TARGET_FILE:sim> ${RINGS} --memory 16M)
add_test(NAME soft/rings COMMAND ${RUN_ASM} soft $<TARGET_FILE:sim> ${RINGS} --memory 16M)
set_tests_properties(replay/mix replay/rings soft/rings PROPERTIES TIMEOUT 300)
if(CMAKE_BINARY_DIR STREQUAL "${CMAKE_SOURCE_DIR}/build/release")
  add_test(NAME cost COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/cost_test.py check $<TARGET_FILE:sim>
    ${CMAKE_CURRENT_BINARY_DIR})
  set_tests_properties(cost PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900)
endif()

# The n-body microkernel: 64-bit C, each variant with the instructions that it is about. No contraction: each has one
# right answer, whatever the compiler.
set(NBODY ${CMAKE_CURRENT_BINARY_DIR}/nbody)
set(NBODY_SOURCE ${CMAKE_CURRENT_SOURCE_DIR}/guests/nbody)
set(NBODY_FLAGS -m64 -std=gnu11 -O2 -Wall -Wextra -Werror -ffreestanding -fno-pic -fno-pie -fno-stack-protector
    -fno-strict-aliasing -fno-asynchronous-unwind-tables -fcf-protection=none -mno-red-zone -ffp-contract=off)
set(NBODY_kernel -mgeneral-regs-only)
set(NBODY_machine -mgeneral-regs-only)
set(NBODY_print -mgeneral-regs-only)
set(NBODY_variant_fixed -mgeneral-regs-only)
set(NBODY_variant_x87)
set(NBODY_variant_sse2)
set(NBODY_variant_avx2 -mavx2 -mfma)
set(NBODY_variant_avx512 -mavx512f -mfma)
set(NBODY_OBJECTS ${NBODY}/boot.o)
add_custom_command(
  OUTPUT ${NBODY}/boot.o
  COMMAND ${CMAKE_COMMAND} -E make_directory ${NBODY}
  COMMAND ${NASM} -f elf64 -w+error -o ${NBODY}/boot.o ${NBODY_SOURCE}/boot.asm
  DEPENDS guests/nbody/boot.asm
  VERBATIM)
foreach(name kernel machine print variant_fixed variant_x87 variant_sse2 variant_avx2 variant_avx512)
  add_custom_command(
    OUTPUT ${NBODY}/${name}.o
    COMMAND ${CMAKE_COMMAND} -E make_directory ${NBODY}
    COMMAND ${GUEST_CC} ${NBODY_FLAGS} ${NBODY_${name}} -c -o ${NBODY}/${name}.o ${NBODY_SOURCE}/${name}.c
    DEPENDS guests/nbody/${name}.c guests/nbody/kernel.h guests/nbody/system.h
    VERBATIM)
  list(APPEND NBODY_OBJECTS ${NBODY}/${name}.o)
endforeach()
set(NBODY_IMAGE ${NBODY}/nbody.elf)
add_custom_command(
  OUTPUT ${NBODY_IMAGE}
  COMMAND ${GUEST_CC} -m64 -nostdlib -static -Wl,-T,${NBODY_SOURCE}/kernel.ld -Wl,--build-id=none
          -Wl,-z,max-page-size=4096 -o ${NBODY_IMAGE} ${NBODY_OBJECTS}
  DEPENDS ${NBODY_OBJECTS} guests/nbody/kernel.ld
  VERBATIM)
list(APPEND GUESTS ${NBODY_IMAGE})
set(NBODY_TEST ${CMAKE_CURRENT_SOURCE_DIR}/nbody_test.py)
add_test(NAME nbody/reference COMMAND Python3::Interpreter ${NBODY_TEST} reference)
foreach(level 1 2 3 4)
  set(options --entry pvh --memory 16M --cpu x86-64-v${level})
  add_test(NAME nbody/v${level} COMMAND Python3::Interpreter ${NBODY_TEST} run $<TARGET_FILE:sim> ${NBODY_IMAGE} x86-64-v${level})
  add_test(NAME replay/nbody_v${level} COMMAND ${RUN_ASM} replay $<TARGET_FILE:sim> ${NBODY_IMAGE} ${options})
  add_test(NAME soft/nbody_v${level} COMMAND ${RUN_ASM} soft $<TARGET_FILE:sim> ${NBODY_IMAGE} ${options})
  set_tests_properties(nbody/v${level} replay/nbody_v${level} soft/nbody_v${level} PROPERTIES TIMEOUT 300)
endforeach()

# All of them beside KVM, where the host has it: in lockstep and by exits.
set(BESIDE_KVM ${CMAKE_CURRENT_SOURCE_DIR}/lockstep_test.py)
foreach(group asm nbody)
  add_test(NAME lockstep/${group} COMMAND Python3::Interpreter ${BESIDE_KVM} check $<TARGET_FILE:sim> ${CMAKE_CURRENT_BINARY_DIR}
    ${group}/)
  add_test(NAME exits/${group} COMMAND Python3::Interpreter ${BESIDE_KVM} exits $<TARGET_FILE:sim> ${CMAKE_CURRENT_BINARY_DIR}
    ${group}/)
endforeach()
add_test(NAME exits/guests COMMAND Python3::Interpreter ${BESIDE_KVM} exits $<TARGET_FILE:sim> ${CMAKE_CURRENT_BINARY_DIR} hello
  multiboot)
add_test(NAME lockstep/guests COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/lockstep_test.py check
  $<TARGET_FILE:sim> ${CMAKE_CURRENT_BINARY_DIR} hello rings mix multiboot)
add_test(NAME without_kvm COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/without_kvm.sh $<TARGET_FILE:sim> ${CMAKE_CURRENT_BINARY_DIR})
set_tests_properties(without_kvm PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)
set_tests_properties(lockstep/asm lockstep/nbody lockstep/guests exits/asm exits/nbody exits/guests PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600)

add_custom_target(guests ALL DEPENDS ${GUESTS})
