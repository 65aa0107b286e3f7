# Test guests: tests/asm/*.asm, assembled by NASM, and tests/guests. Each runs in sim (asm/NAME, ends with status 64) and
# once more as record and replay (replay/NAME). -O1: more passes of NASM's optimiser take long over the big tables.
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
  set_tests_properties(asm/${name} replay/${name} PROPERTIES TIMEOUT 300)
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

add_custom_target(guests ALL DEPENDS ${GUESTS})
