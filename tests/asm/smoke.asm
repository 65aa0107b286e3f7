; The harness itself: a compare, a fault with its frame, a handler of the test's own.
%include "test.inc"

main:
    mov rax, 0x123456789ABCDEF0
    mov rbx, rax
    CHECK rax, rbx
    add rax, rbx
    CHECK_FLAGS 0x8D5, 0x000 + 0x000 + 4 * 0
    FAULTS 6, 0, ud2
    CHECK [fault_count], 1
    FAULTS 13, 0, mov qword [rax + rbx], 1
    mov rdx, 0x40000000
    FAULTS 14, 2, mov qword [rdx], 1
    CHECK [fault_cr2], rdx
    PASS
END
