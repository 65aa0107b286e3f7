; The parts of the n-body microkernel that are no C: the PVH entry (32-bit, paging off), the way into long mode, interrupt
; stubs, the way to CPL 3 and back, and the vector state across an interrupt. kernel.h declares what C calls.
bits 32

%define KERNEL_CODE 0x08
%define KERNEL_DATA 0x10
%define USER_DATA (0x18 + 3)
%define USER_CODE (0x20 + 3)

; --- Xen's note XEN_ELFNOTE_PHYS32_ENTRY: where a PVH loader enters ---

section .note.xen progbits alloc noexec nowrite align=4
    dd 4, 8, 18
    db "Xen", 0
    dq start

section .text
extern kernel
global start
start:
    mov esp, stack_end
    mov edi, ebx                ; hvm_start_info
    mov eax, cr4
    or eax, 1 << 5              ; PAE
    mov cr4, eax
    mov eax, boot_pml4
    mov cr3, eax
    mov ecx, 0xC0000080         ; EFER: LME, NXE
    rdmsr
    or eax, 1 << 8 | 1 << 11
    wrmsr
    mov eax, cr0
    or eax, 1 << 31 | 1 << 16   ; PG, WP
    mov cr0, eax
    lgdt [boot_gdtr]
    jmp KERNEL_CODE:.long

bits 64
.long:
    mov eax, KERNEL_DATA
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    mov edi, edi
    call kernel
    ud2

; --- interrupts: the frame is struct interrupt_frame of kernel.h ---

extern interrupt
%macro STUB 1
stub_%1:
    %if %1 != 8 && !(%1 >= 10 && %1 <= 14) && %1 != 17 && %1 != 21 && %1 != 29 && %1 != 30
    push 0                      ; no error code
    %endif
    push %1
    jmp interrupted
%endmacro
%assign vector 0
%rep 48
    STUB vector
    %assign vector vector + 1
%endrep

%define REGISTERS rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
%macro PUSH_ALL 1-*
    %rep %0
    push %1
    %rotate 1
    %endrep
%endmacro
%macro POP_ALL 1-*
    %rep %0
    %rotate -1
    pop %1
    %endrep
%endmacro

interrupted:
    PUSH_ALL REGISTERS
    cld
    mov rdi, rsp
    mov rbx, rsp
    and rsp, -16
    call interrupt
    mov rsp, rbx
    POP_ALL REGISTERS
    add rsp, 16
    iretq

; --- CPL 3: user_call(function, report, stack, rsp0) ---

global user_call, user_left, user_return
user_call:
    PUSH_ALL rbx, rbp, r12, r13, r14, r15
    mov [user_call_stack], rsp
    mov [rcx], rsp
    push USER_DATA
    push rdx
    push 0x202                  ; IF
    push USER_CODE
    push rdi
    mov rdi, rsi
    xor eax, eax
    iretq
; The gate of INT 80H, which user_return uses.
user_left:
    mov rsp, [user_call_stack]
    POP_ALL rbx, rbp, r12, r13, r14, r15
    sti
    ret

section .user_text progbits alloc exec nowrite align=16
user_return:
    int 0x80

; --- vector state: (area, with_xsave), and (level) as enum vector_level ---

section .text
global vectors_save, vectors_restore, vectors_clobber
vectors_save:
    test esi, esi
    jz .old
    mov eax, -1
    mov edx, eax
    xsave64 [rdi]
    ret
.old:
    fxsave64 [rdi]
    ret
vectors_restore:
    test esi, esi
    jz .old
    mov eax, -1
    mov edx, eax
    xrstor64 [rdi]
    ret
.old:
    fxrstor64 [rdi]
    ret
; Leaves nothing of what was there.
vectors_clobber:
    fninit
    fld1
    fldpi
    %assign register 0
    %rep 16
    pcmpeqd xmm%+register, xmm%+register
    %assign register register + 1
    %endrep
    cmp edi, 1
    jb .end
    vzeroall
    cmp edi, 2
    jb .end
    %assign register 0
    %rep 32
    vpternlogd zmm%+register, zmm%+register, zmm%+register, 0xFF
    %assign register register + 1
    %endrep
    %assign register 0
    %rep 8
    kxnorw k%+register, k%+register, k%+register
    %assign register register + 1
    %endrep
.end:
    ret

section .data
align 8
boot_gdt:
    dq 0, 0x00209B0000000000, 0x0000930000000000
boot_gdtr:
    dw $ - boot_gdt - 1
    dq boot_gdt
user_call_stack: dq 0
global stubs
stubs:
%assign vector 0
%rep 48
    dq stub_%+vector
    %assign vector vector + 1
%endrep

; The first GiB, all rights: until kernel.c has made the real tables.
align 4096
boot_pml4:
    dq boot_pdpt + 3
    times 511 dq 0
boot_pdpt:
    dq boot_pd + 3
    times 511 dq 0
boot_pd:
%assign page 0
%rep 512
    dq page << 21 | 0x83
    %assign page page + 1
%endrep

section .bss nobits alloc noexec write align=16
    resb 16384
stack_end:

section .note.GNU-stack progbits noalloc noexec nowrite
