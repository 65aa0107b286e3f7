; LSS, LFS, LGS: offset and selector from memory in every operand size, null and wrong selectors, faults that leave the
; destination as it was, in 64-bit and in compatibility mode.
%include "test.inc"

main:
    ; LSS, LFS, LGS from memory: the offset by operand size, the selector behind it
    mov rax, 0x1122334455667788
    mov [data], rax
    mov word [data + 4], DATA64
    mov rbx, -1
    lss ebx, [data]
    CHECK64 rbx, 0x55667788
    mov ecx, ss
    CHECK32 ecx, DATA64
    mov rbx, -1
    mov word [data + 2], USER_DATA
    lfs bx, [data]
    CHECK64 rbx, 0xFFFFFFFFFFFF7788
    mov ecx, fs
    CHECK32 ecx, USER_DATA
    mov dword [data], 0xAABBCCDD
    lgs r15d, [data]
    CHECK64 r15, 0xAABBCCDD
    mov ecx, gs
    CHECK32 ecx, DATA64
    mov word [data + 4], 0
    lfs ecx, [data] ; null is welcome
    mov ecx, fs
    CHECK32 ecx, 0
    lss ecx, [data] ; for SS, too, in 64-bit mode at CPL 0
    mov ecx, ss
    CHECK32 ecx, 0
    mov ecx, DATA64
    mov ss, ecx
    ; refused: a code segment for SS, an absent one, a register; the destination keeps its value
    mov word [data + 4], CODE64
    FAULTS 13, CODE64, {lss ebx, [data]}
    CHECK64 rbx, 0xFFFFFFFFFFFF7788
    mov word [data + 4], FREE_SELECTOR
    mov dword [gdt + FREE_SELECTOR], 0xFFFF
    mov dword [gdt + FREE_SELECTOR + 4], 0x00CF1300 ; data, not present
    FAULTS 12, FREE_SELECTOR, {lss ebx, [data]}
    FAULTS 11, FREE_SELECTOR, {lfs ebx, [data]}
    FAULTS 6, 0, {db 0x0F, 0xB2, 0xC0}
    FAULTS 6, 0, {db 0x0F, 0xB4, 0xC0}
    FAULTS 6, 0, {db 0x0F, 0xB5, 0xC0}
    ; the selector lies in a page that is not there
    mov qword [pdpt + 8], pd1 + 7
    mov qword [pd1], pt0 + 7
    mov qword [pt0], data + 3
    mov rdx, 0x40000000
    FAULTS 14, 0, {lfs ebx, [rdx + 0xFFC]}
    CHECK [fault_cr2], 0x40001000
    CHECK64 rbx, 0xFFFFFFFFFFFF7788
    mov dword [data + 0xFFA], 0x01020304
    mov word [data + 0xFFE], DATA64
    lfs ebx, [rdx + 0xFFA]
    CHECK64 rbx, 0x01020304

    TO_COMPAT
    mov dword [data], 0x99AABBCC
    mov dword [data + 4], 0xFFFF0000 | DATA64
    lss ebx, [data]
    CHECK ebx, 0x99AABBCC
    mov ecx, ss
    CHECK ecx, DATA64
    lgs ebx, [ds:data]
    mov ecx, gs
    CHECK ecx, DATA64
    mov word [data + 4], 0
    FAULTS 13, 0, {lss ecx, [data]} ; no null selector for SS here
    lfs ecx, [data]
    CHECK ecx, 0x99AABBCC
    FAULTS 13, 0, {mov eax, [fs:data]}
    TO_64
    PASS

align 4096
pd1: times 512 dq 0
END
