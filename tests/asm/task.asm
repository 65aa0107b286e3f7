; Hardware task switching in 32-bit protected mode: JMP, CALL, IRET with NT, task gates in the IDT, busy bits, back links, the
; saved and the loaded state, TS, the T bit, 16-bit TSSs, and what is refused.
%include "test32.inc"

%define SELECTOR(n) (FREE_SELECTOR + (n) * 8)
task1 equ data + 0x1000
task2 equ data + 0x1100
task16 equ data + 0x1200
LDT equ data + 0x2000

%macro TSS_DESCRIPTOR 4 ; n, address, limit, access byte
    mov eax, %2
    mov word [gdt + SELECTOR(%1)], %3
    mov [gdt + SELECTOR(%1) + 2], ax
    shr eax, 16
    mov [gdt + SELECTOR(%1) + 4], al
    mov [gdt + SELECTOR(%1) + 7], ah
    mov byte [gdt + SELECTOR(%1) + 5], %4
    mov byte [gdt + SELECTOR(%1) + 6], 0
%endmacro
; A new task: TSS address, entry, stack.
%macro NEW_TASK 3
    mov edi, %1
    mov ecx, 26
    xor eax, eax
    rep stosd
    mov dword [%1 + 0x20], %2
    mov dword [%1 + 0x24], 2
    mov dword [%1 + 0x38], %3
    mov dword [%1 + 0x48], DATA ; ES
    mov dword [%1 + 0x4C], CODE
    mov dword [%1 + 0x50], DATA
    mov dword [%1 + 0x54], DATA
    mov dword [%1 + 0x58], 0
    mov dword [%1 + 0x5C], USER_DATA
    mov word [%1 + 0x66], 104
%endmacro

main:
    NEW_TASK task1, first, data + 0x4000
    NEW_TASK task2, second, data + 0x5000
    TSS_DESCRIPTOR 0, task1, 0x67, 0x89
    TSS_DESCRIPTOR 1, task2, 0x67, 0x89
    mov dword [task1 + 0x28], 0x11111111
    mov dword [task1 + 0x2C], 0x22222222
    mov dword [task1 + 0x3C], 0x33333333
    mov dword [task1 + 0x44], 0x44444444
    clts
    ; CALL: nested, with back link and NT; the old task stays busy
    mov ebx, 0xBBBBBBBB
    mov esi, 0x51515151
    mov [saved_esp], esp
    stc
    call SELECTOR(0):0x1234
.returned:
    CHECK ebx, 0xBBBBBBBB
    CHECK esi, 0x51515151
    CHECK esp, [saved_esp_copy]
    CHECK_FLAGS CF, CF
    mov eax, cr0
    and eax, 8
    CHECK eax, 8 ; TS
    CHECK [data], 1
    CHECK8 [gdt + SELECTOR(0) + 5], -0x77 ; available again
    CHECK8 [gdt + TSS + 5], -0x75
    pushfd
    pop eax
    and eax, 0x4000
    CHECK eax, 0
    ; the task goes on where it left with IRET
    call SELECTOR(0):0
    CHECK [data], 2
    ; JMP: not nested; the old task becomes available
    jmp SELECTOR(1):0
.back_from_second:
    CHECK [data], 3
    CHECK8 [gdt + SELECTOR(1) + 5], -0x77
    CHECK8 [gdt + TSS + 5], -0x75
    ; through a task gate, in the GDT and in the IDT
    mov dword [gdt + SELECTOR(2)], SELECTOR(0) << 16
    mov dword [gdt + SELECTOR(2) + 4], 0x00008500
    call SELECTOR(2):0x999
    CHECK [data], 4
    mov dword [idt + 0x75 * 8], SELECTOR(0) << 16
    mov dword [idt + 0x75 * 8 + 4], 0x0000E500
    int 0x75
    CHECK [data], 5
    ; an exception with an error code: pushed on the new task's stack
    NEW_TASK task2, faulted, data + 0x5000
    mov dword [idt + 13 * 8], SELECTOR(1) << 16
    mov dword [idt + 13 * 8 + 4], 0x00008500
    mov eax, 0x800
    mov es, eax
.behind_fault:
    CHECK [data], 6
    mov eax, stubs + 13 * 16
    mov [idt + 13 * 8], ax
    mov word [idt + 13 * 8 + 2], CODE
    mov dword [idt + 13 * 8 + 4], 0xEE00
    shr eax, 16
    mov [idt + 13 * 8 + 6], ax

    ; an LDT and CR3 are loaded with the task; a new task at CPL 3
    mov dword [LDT + 8], 0x0000FFFF
    mov dword [LDT + 12], 0x00CFF300
    mov eax, LDT
    mov word [gdt + SELECTOR(3)], 15
    mov [gdt + SELECTOR(3) + 2], ax
    shr eax, 16
    mov [gdt + SELECTOR(3) + 4], ax
    mov byte [gdt + SELECTOR(3) + 5], 0x82
    NEW_TASK task2, user, data + 0x5000
    mov dword [task2 + 0x4C], USER_CODE
    mov dword [task2 + 0x50], USER_DATA
    mov dword [task2 + 0x54], 0x0F
    mov dword [task2 + 0x48], 0
    mov dword [task2 + 0x60], SELECTOR(3)
    mov dword [task2 + 4], stack_top - 0x3000
    mov dword [task2 + 8], DATA
    mov dword [task2 + 0x24], 0x3202
    mov dword [handler], from_user
    call SELECTOR(1):0
.after_user:
    mov dword [handler], 0
    CHECK [data], 7
    sldt eax
    CHECK eax, 0

    ; refused, with the state of the old task
    FAULTS 13, TSS, {call TSS:0}          ; busy
    TSS_DESCRIPTOR 4, task1, 0x66, 0x89   ; too short
    FAULTS 10, SELECTOR(4), {call SELECTOR(4):0}
    TSS_DESCRIPTOR 4, task1, 0x67, 0x09
    FAULTS 11, SELECTOR(4), {jmp SELECTOR(4):0}
    ; IRET with NT to a TSS that is not busy
    mov word [tss], SELECTOR(0)
    pushfd
    or dword [esp], 0x4000
    popfd
    FAULTS 10, SELECTOR(0), iretd
    pushfd
    and dword [esp], ~0x4000
    popfd
%ifndef QEMU ; QEMU 7.2 still pushes the old task's EIP
    ; faults in the new task: a bad selector is #TS with the selector, in the new task's context, at its first instruction
    NEW_TASK task2, never, data + 0x5000
    mov dword [task2 + 0x54], 0x800
    mov eax, in_new_task
    mov [idt + 10 * 8], ax
    shr eax, 16
    mov [idt + 10 * 8 + 6], ax
    call SELECTOR(1):0
    CHECK [data], 8
%endif
    mov dword [data], 8

    ; a 16-bit TSS: 44 bytes, upper halves lost. Its code is below 64 KiB
    mov edi, task16
    mov ecx, 11
    xor eax, eax
    rep stosd
    mov word [task16 + 14], LOW
    mov word [task16 + 16], 2
    mov word [task16 + 26], 0x6000 ; SP
    mov word [task16 + 34], DATA   ; ES
    mov word [task16 + 36], CODE
    mov word [task16 + 38], DATA
    mov word [task16 + 40], DATA
    mov word [task16 + 18], 0x1234 ; AX
    mov byte [LOW], 0xA3           ; mov [data + 4], eax
    mov dword [LOW + 1], data + 4
    mov byte [LOW + 5], 0xCF       ; iretd
    TSS_DESCRIPTOR 5, task16, 43, 0x81
    call SELECTOR(5):0
    mov ax, [data + 4]
    CHECK16 ax, 0x1234
    CHECK16 [task16], TSS
    CHECK16 [task16 + 14], LOW + 6
    CHECK8 [gdt + SELECTOR(5) + 5], -0x7F
%ifndef QEMU ; QEMU 7.2 has no T bit
    ; the T bit: #DB behind the switch, BT in DR6
    NEW_TASK task2, debugged, data + 0x5000
    mov word [task2 + 0x64], 1
    xor eax, eax
    mov dr6, eax
    mov dword [handler], on_db
    call SELECTOR(1):0
    CHECK [data], 9
%endif
    PASS

never:
    NEXT_CHECK
    FAIL
; The first task: checks what it got, then returns, again and again.
first:
    CHECK eax, 0x11111111
    CHECK ecx, 0x22222222
    CHECK ebp, 0x33333333
    CHECK edi, 0x44444444
    CHECK16 [task1], TSS        ; back link
    pushfd
    pop eax
    and eax, 0x4000
    CHECK eax, 0x4000           ; NT
    str eax
    CHECK eax, SELECTOR(0)
    mov eax, fs
    CHECK eax, 0
    mov eax, gs
    CHECK eax, USER_DATA
    CHECK8 [gdt + SELECTOR(0) + 5], -0x75
    mov eax, [tss + 0x34]       ; the old task's EBX, ESI, EIP, flags
    CHECK eax, 0xBBBBBBBB
    mov eax, [tss + 0x40]
    CHECK eax, 0x51515151
    CHECK [tss + 0x20], main.returned
    mov eax, [tss + 0x24]
    and eax, CF | 0x4000
    CHECK eax, CF
    mov eax, [tss + 0x38]
    mov [saved_esp_copy], eax
    CHECK eax, [saved_esp]
    CHECK16 [tss + 0x4C], CODE
.again:
    inc dword [data]
    iretd
    jmp .again
second:
    CHECK8 [gdt + TSS + 5], -0x77
    pushfd
    pop eax
    and eax, 0x4000
    CHECK eax, 0
    mov dword [tss + 0x20], main.back_from_second
    inc dword [data]
    jmp TSS:0
faulted:
    pop eax
    CHECK eax, 0x800
    CHECK esp, data + 0x5000
    mov dword [tss + 0x20], main.behind_fault
    inc dword [data]
    iretd
user:
    mov eax, cs
    CHECK eax, USER_CODE
    mov eax, ds
    CHECK eax, 0x0F
    str eax
    CHECK eax, SELECTOR(1)
    inc dword [data]
    int 0x80
from_user: ; on the new task's own inner stack
    CHECK esp, stack_top - 0x3000 - 28
    mov eax, DATA
    mov ds, eax
    pushfd
    or dword [esp], 0x4000
    popfd
    iretd
in_new_task: ; #TS, in the new task; the segment registers cannot be relied on
    mov eax, DATA
    mov ds, eax
    mov es, eax
    mov eax, [esp]
    CHECK eax, 0x800
    mov eax, [esp + 4]
    CHECK eax, never
    str eax
    CHECK eax, SELECTOR(1)
    inc dword [data]
    pushfd
    or dword [esp], 0x4000
    popfd
    iretd
debugged:
    iretd
on_db:
    CHECK [fault_vector], 1
    CHECK [fault_rip], debugged
    mov eax, dr6
    and eax, 0xE00F
    CHECK eax, 0x8000
    inc dword [data]
    add esp, 8
    iretd

saved_esp: dd 0
saved_esp_copy: dd 0
END
