; Compatibility mode: 32- and 16-bit code under a 64-bit kernel: linear addresses cut to 32 bits, 16-bit addressing and
; operands, what is valid there and not in 64-bit mode, interrupts and system calls out of it, 32-bit SYSRET and SYSEXIT.
%include "test.inc"

%define SELECTOR(n) (FREE_SELECTOR + (n) * 8)
STAR equ 0xC0000081
LSTAR equ 0xC0000082
CSTAR equ 0xC0000083
SFMASK equ 0xC0000084
%macro WRMSR 2 ; index, value
    mov ecx, %1
    mov rax, %2
    mov rdx, rax
    shr rdx, 32
    wrmsr
%endmacro

main:
    mov r15, rsp
    mov rax, 0x123456789ABCDEF0
    mov r10, rax
    TO_COMPAT
    ; the upper halves are out of sight; 32-bit results clear them
    inc eax
    CHECK eax, 0x9ABCDEF1
    ; opcodes with another meaning: INC and DEC for REX, LES and LDS for VEX, BOUND for EVEX, ARPL for MOVSXD
    mov ecx, 0x7FFFFFFF
    db 0x41 ; inc ecx
    CHECK_FLAGS OF | SF, OF | SF
    db 0x49 ; dec ecx
    CHECK ecx, 0x7FFFFFFF
    mov eax, 3
    mov ecx, 0x10
    db 0x63, 0xC1 ; arpl cx, ax
    CHECK ecx, 0x13
    push es
    mov dword [data], 0x1234
    mov dword [data + 4], DATA64
    les eax, [data]
    CHECK eax, 0x1234
    pop es
    ; a linear address is cut to 32 bits, whatever the operand's offset and the base
    mov dword [data], 0x87654321
    mov eax, 0xFFFFFFF0
    mov ecx, [eax + data + 0x10]
    CHECK ecx, 0x87654321
    mov dword [gdt + SELECTOR(0)], 0xFFFF
    mov dword [gdt + SELECTOR(0) + 4], 0xF0CF9300 ; base F0000000H
    mov eax, SELECTOR(0)
    mov es, eax
    mov ecx, [es:data + 0x10000000]
    CHECK ecx, 0x87654321
    ; 16-bit addressing and operands
    mov ebx, 0xFFFF0600
    mov dword [0x610], 0x11223344
    a16 mov eax, [bx + 0x10]
    CHECK eax, 0x11223344
    a16 lea eax, [bx + si]
    mov ax, 0x7FFF
    inc ax
    CHECK_FLAGS OF, OF
    ; DAA and friends live, SYSCALL does not on Intel; XLAT and string instructions use ESI and EDI
    mov eax, 0x9A
    daa
    CHECK_FLAGS CF, CF
    CHECK eax, 0
    mov ax, DATA64
    mov es, ax
    mov esi, data
    mov edi, data + 8
    mov ecx, 1
    rep movsd
    CHECK [data + 8], 0x87654321
    CHECK edi, data + 12
    into
    mov al, 0x7F
    inc al
    TRAPS 4, into
    mov eax, 5
    mov dword [data], 0
    mov dword [data + 4], 4
    FAULTS 5, 0, bound eax, [data]
%ifndef QEMU ; QEMU 7.2 takes it
    FAULTS 6, 0, syscall
%endif
    FAULTS 6, 0, ud2
    FAULTS 13, 0x800, {mov es, [bad_selector]}
    FAULTS 0, 0, {aam 0}
    ; a fault in a page not mapped: CR2 has 32 bits; the frame is a 64-bit one with SS and ESP
    mov ebx, 0x7FFFFFF0
    FAULTS 14, 2, mov [ebx], eax
    CHECK [fault_cr2], 0x7FFFFFF0
    CHECK [fault_cr2 + 4], 0
    CHECK [fault_cs], CODE32
    ; MOV to and from control registers has 32-bit operands
    mov eax, cr0
    mov ecx, eax
    and ecx, 0x80000001
    CHECK ecx, 0x80000001
    mov cr0, eax
    ; 16-bit code
    mov dword [gdt + SELECTOR(1)], 0x0000FFFF
    mov dword [gdt + SELECTOR(1) + 4], 0x00009B08 ; base 80000H
    mov esi, code16
    mov edi, 0x80000
    mov ecx, code16_end - code16
    rep movsb
    call SELECTOR(1):0
    CHECK eax, 0x1235
    TO_64
    CHECK rsp, r15
    ; R8 to R15 survive, RAX's upper half was cleared by a 32-bit write
    mov rax, 0x123456789ABCDEF0
    CHECK r10, rax

    ; from compatibility mode at CPL 3: interrupts, SYSENTER; back by 32-bit SYSRET and SYSEXIT
    USER_PAGES
    WRMSR STAR, 0x0090001000000000 ; SYSRET: CS 93H for 32-bit code, SS 9BH
    WRMSR LSTAR, .never
    WRMSR SFMASK, 0
    mov eax, USER_DATA
    mov ds, eax
    mov es, eax
    mov ecx, .user32
    mov r11, 0x202
    mov rsp, user_stack_top
    o32 sysret
CODE_BITS 32
.user32:
    mov eax, cs
    CHECK eax, 0x93
    mov eax, ss
    CHECK eax, 0x9B
    mov eax, 1
    dec eax
    db 0x40 ; INC EAX: this is not 64-bit code
    CHECK eax, 1
    CHECK_FLAGS IF, IF
    mov dword [handler], .from_user
    int 0x80
CODE_BITS 64
.from_user:
    mov qword [handler], 0
    CHECK [fault_cs], 0x93
    mov rsp, r15
    mov eax, DATA64
    mov ss, eax
    ; SYSEXIT with a 32-bit operand: CS = SYSENTER_CS + 16
    WRMSR 0x174, CODE64
    WRMSR 0x175, stack_top - 0x3000
    WRMSR 0x176, .entered
    mov edx, .exited
    mov ecx, user_stack_top
    sysexit
CODE_BITS 32
.exited:
    mov eax, cs
    CHECK eax, CODE64 + 16 + 3
    mov eax, ss
    CHECK eax, CODE64 + 24 + 3
    CHECK esp, user_stack_top
    sysenter
CODE_BITS 64
.entered:
    CHECK rsp, stack_top - 0x3000
    mov eax, cs
    CHECK rax, CODE64
    mov rsp, r15
    PASS
.never:
    NEXT_CHECK
    FAIL

CODE_BITS 16
code16:
    mov ax, 0x1234
    inc ax
    movzx eax, ax
    push ax
    pop bx
    o32 retf
code16_end:
CODE_BITS 64
bad_selector: dd 0x800
END
