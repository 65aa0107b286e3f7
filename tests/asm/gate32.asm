; Gates and privilege in 32-bit protected mode: call gates with parameters (32- and 16-bit), RETF and IRET to an outer level,
; interrupt and trap gates, 16-bit gates, conforming segments, stack switches and their faults, segment registers on return.
%include "test32.inc"

%define SELECTOR(n) (FREE_SELECTOR + (n) * 8)
%macro GATE 5 ; n, selector, offset, access byte, parameters
    mov eax, %3
    mov [gdt + SELECTOR(%1)], ax
    mov word [gdt + SELECTOR(%1) + 2], %2
    mov word [gdt + SELECTOR(%1) + 4], (%4) << 8 | (%5)
    shr eax, 16
    mov [gdt + SELECTOR(%1) + 6], ax
%endmacro
%macro CALL_FAR 1
    call %1:0x12345678 ; the offset is ignored with a gate
%endmacro

main:
    ; the same privilege: no stack switch, no parameters copied
    GATE 0, CODE, same, 0x8C, 5
    mov ebx, esp
    push 0x77
    CALL_FAR SELECTOR(0)
    pop eax
    CHECK eax, 0x77
    CHECK esp, ebx
    GATE 0, CODE, .jumped, 0x8C, 0
    jmp SELECTOR(0):0
.jumped:
    CHECK esp, ebx
    ; a 16-bit gate pushes words: the target must be below 64 KiB
    mov word [gdt + SELECTOR(1)], LOW
    mov word [gdt + SELECTOR(1) + 2], CODE
    mov dword [gdt + SELECTOR(1) + 4], 0x8400
    ; its return address is cut to 16 bits, so only the frame is looked at: jump out by the test's own RETF
    mov byte [LOW], 0xBA ; mov edx, imm32
    mov dword [LOW + 1], from16
    mov word [LOW + 5], 0xE2FF ; jmp edx
    CALL_FAR SELECTOR(1)
back16_gate:
    CHECK esp, ebx

    ; CPL 3 to 0 with parameters
    GATE 2, CODE, inner, 0xEC, 3
    TO_USER32 0x202
    mov ebx, esp
    push 0x111
    push 0x222
    push 0x333
    CALL_FAR SELECTOR(2) | 3
.returned:
    CHECK esp, ebx ; RETF 12 released them here, too
    mov eax, cs
    CHECK eax, USER_CODE
    mov eax, ss
    CHECK eax, USER_DATA
    CHECK_FLAGS IF, IF
    ; privileges of gates and targets
    FAULTS 13, SELECTOR(0), {call SELECTOR(0):0} ; DPL 0
    FAULTS 13, CODE, {jmp SELECTOR(2):0}     ; JMP cannot go inward
    FAULTS 13, CODE, {call CODE:0}
    FAULTS 13, 0, {call 3:0}
    FAULTS 13, 0x800, {call 0x803:0}
    FAULTS 13, USER_DATA & ~3, {call USER_DATA:0}
    call USER_CODE:user_far
    call USER_CODE & ~3:user_far
    TO_KERNEL32

    ; conforming code is entered at the caller's CPL
    mov dword [gdt + SELECTOR(3)], 0x0000FFFF
    mov dword [gdt + SELECTOR(3) + 4], 0x00CF9F00
    TO_USER32
    call SELECTOR(3):conforming
    CHECK eax, SELECTOR(3) | 3
    TO_KERNEL32
    FAULTS 13, SELECTOR(4), {call SELECTOR(4):0} ; an empty descriptor
    mov dword [gdt + SELECTOR(4)], 0x0000FFFF
    mov dword [gdt + SELECTOR(4) + 4], 0x00CFFF00
    FAULTS 13, SELECTOR(4), {call SELECTOR(4):conforming} ; conforming with DPL above CPL
    mov dword [gdt + SELECTOR(4) + 4], 0x00CF1B00
    FAULTS 11, SELECTOR(4), {jmp SELECTOR(4):conforming}

    ; the inner stack must be good: #TS with the selector, at the caller
    mov dword [gdt + SELECTOR(6)], 0x0000FFFF
    mov dword [gdt + SELECTOR(6) + 4], 0x00CFBB00 ; code of DPL 1
    mov dword [gdt + SELECTOR(8)], 0x0000FFFF
    mov dword [gdt + SELECTOR(8) + 4], 0x00CF3300 ; absent data of DPL 1
    GATE 7, SELECTOR(6), never, 0xEC, 0
    TO_USER32
    mov ebx, esp
%macro STACK_FAULTS 3 ; vector, error, SS1 in the TSS
    mov dword [tss + 16], %3
    FAULTS %1, %2, {call SELECTOR(7):0}
    CHECK esp, ebx
%endmacro
    STACK_FAULTS 10, 0, 0
    STACK_FAULTS 10, DATA, DATA
    STACK_FAULTS 10, USER_DATA & ~3, USER_DATA
    STACK_FAULTS 10, SELECTOR(6), SELECTOR(6) | 1
    STACK_FAULTS 10, 0x800, 0x801
%ifndef QEMU ; QEMU 7.2 raises #TS
    STACK_FAULTS 12, SELECTOR(8), SELECTOR(8) | 1
%endif
    TO_KERNEL32

    ; RETF to an outer level; data segments the outer level may not use become null
    mov eax, DATA
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov eax, USER_DATA
    mov gs, eax
    push USER_DATA
    push user_stack_top
    push USER_CODE
    push .outer
    retf
.outer:
    mov eax, ds
    CHECK eax, 0
    mov eax, fs
    CHECK eax, 0
    mov eax, gs
    CHECK eax, USER_DATA
    CHECK esp, user_stack_top
    mov eax, USER_DATA
    mov ds, eax
    mov es, eax
    mov dword [kernel_esp], stack_top - 0x100
    TO_KERNEL32

    ; trap gates leave IF, interrupt gates clear it; TF and NT go in both
    mov dword [handler], look
    mov byte [idt + 0x70 * 8 + 5], 0xEF
    sti
    int 0x70
    CHECK [data], IF
    mov byte [idt + 0x70 * 8 + 5], 0xEE
    int 0x70
    CHECK [data], 0
    cli
    ; a 16-bit interrupt gate: a frame of words
    mov dword [handler], 0
    mov byte [idt + 0x71 * 8 + 5], 0xE6
    mov word [idt + 0x71 * 8], LOW
    mov word [idt + 0x71 * 8 + 6], 0
    mov byte [LOW], 0xBA
    mov dword [LOW + 1], int16
    mov word [LOW + 5], 0xE2FF
    mov ebx, esp
    int 0x71
int16_back:
    CHECK esp, ebx

    ; error codes of the IDT: index * 8 + 2
    mov byte [idt + 0x72 * 8 + 5], 0x6E
    FAULTS 11, 0x72 * 8 + 2, int 0x72
    mov byte [idt + 0x72 * 8 + 5], 0xEC
    FAULTS 13, 0x72 * 8 + 2, int 0x72
    mov byte [idt + 0x72 * 8 + 5], 0xEE
    mov word [idt + 0x72 * 8 + 2], DATA
    FAULTS 13, DATA, int 0x72
    mov word [idt + 0x72 * 8 + 2], 0
    FAULTS 13, 0, int 0x72
    mov word [idt + 0x72 * 8 + 2], CODE
    mov byte [idt + 0x72 * 8 + 5], 0x8E
    TO_USER32
    FAULTS 13, 0x72 * 8 + 2, int 0x72
    FAULTS 13, 0, hlt
    FAULTS 13, 0, cli
    FAULTS 13, 0, in al, 0x80
    FAULTS 13, 0, {mov eax, cr0}
    TO_KERNEL32

    ; IRET in the same level pops three values; to the outer five; IOPL and IF as CPL allows
    mov ebx, esp
    push 0x8D7
    push CODE
    push .iret0
    iretd
.iret0:
    CHECK_FLAGS STATUS, STATUS
    CHECK esp, ebx
    ; what IRET refuses
%macro IRET_FAULTS 4 ; vector, error, SS, CS
    mov ebx, esp
    push %3
    push user_stack_top
    push 2
    push %4
    push never
    mov edx, esp
    FAULTS %1, %2, iretd
    CHECK esp, edx
    mov esp, ebx
%endmacro
    IRET_FAULTS 13, 0, 0, USER_CODE
    IRET_FAULTS 13, DATA, DATA, USER_CODE
    IRET_FAULTS 13, DATA, USER_DATA, DATA
    IRET_FAULTS 13, 0, USER_DATA, 0
    IRET_FAULTS 13, 0x800, USER_DATA, 0x803
    ; EIP beyond the limit of CS
    mov dword [gdt + SELECTOR(5)], 0x00000FFF
    mov dword [gdt + SELECTOR(5) + 4], 0x00409B00
%ifndef QEMU ; QEMU 7.2 looks at limits in far transfers only, and not in all
    FAULTS 13, 0, {jmp SELECTOR(5):0x1000}
    FAULTS 13, 0, {call SELECTOR(5):0x1000}
    mov ebx, esp
    push SELECTOR(5)
    push 0x1000
    FAULTS 13, 0, retf
    mov esp, ebx
    ; running off the end: #GP at the first instruction that does not fit
%macro RUNS_OFF 2 ; start, EIP of the fault
    mov ebx, esp
    mov dword [handler], %%back
    jmp SELECTOR(5):%1
%%back:
    mov esp, ebx
    mov dword [handler], 0
    CHECK [fault_vector], 13
    CHECK [fault_error], 0
    CHECK [fault_rip], %2
    CHECK [fault_cs], SELECTOR(5)
%endmacro
    mov byte [0xFFF], 0x90
    RUNS_OFF 0xFFF, 0x1000
    mov word [0xFFE], 0xC031 ; xor eax, eax fits
    RUNS_OFF 0xFFE, 0x1000
    mov byte [0xFFF], 0xB8
    RUNS_OFF 0xFFF, 0xFFF
%endif
    ; a double fault: #GP with an absent #GP gate
    mov byte [idt + 13 * 8 + 5], 0x6E
    mov dword [handler], double
    mov eax, 0x800
    mov ebx, esp
    mov es, eax
    FAIL
double:
    mov esp, ebx
    mov dword [handler], 0
    mov byte [idt + 13 * 8 + 5], 0xEE
    CHECK [fault_vector], 8
    CHECK [fault_error], 0
    PASS

never:
    NEXT_CHECK
    FAIL
same:
    mov eax, [esp + 8]
    CHECK eax, 0x77
    retf
from16:
    ; IP and CS as words on the stack
    mov eax, esp
    add eax, 4
    CHECK eax, ebx
    mov ax, [esp + 2]
    CHECK16 ax, CODE
    mov esp, ebx
    jmp back16_gate
inner:
    mov eax, [esp + 8]
    CHECK eax, 0x333
    mov eax, [esp + 12]
    CHECK eax, 0x222
    mov eax, [esp + 16]
    CHECK eax, 0x111
    mov eax, [esp + 20]
    lea ecx, [ebx - 12]
    CHECK eax, ecx
    mov eax, [esp + 24]
    CHECK eax, USER_DATA
    lea eax, [esp + 28]
    CHECK eax, stack_top - 0x1000
    mov eax, ss
    CHECK eax, DATA
    mov eax, cs
    CHECK eax, CODE
    CHECK_FLAGS IF, IF
    retf 12
user_far:
    retf
conforming:
    mov eax, cs
    retf
look:
    pushfd
    pop eax
    and eax, IF
    mov [data], eax
    add esp, 8
    iretd
int16:
    lea eax, [esp + 6]
    CHECK eax, ebx
    mov ax, [esp + 2]
    CHECK16 ax, CODE
    mov ax, [esp]
    mov ecx, int16_back
    CHECK16 ax, cx
    mov esp, ebx
    jmp int16_back
END
