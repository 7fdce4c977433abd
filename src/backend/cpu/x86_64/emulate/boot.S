# The first sector of a diskette for Bochs: turns on 64-bit mode with AVX-512 state and jumps to the program at 16 MB, which the
# emulator has put into memory together with its cases. Identity-mapped first GB; no interrupts: a fault ends the emulator.
        .code16
        .globl _start
_start: cli
        xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movw $0x7000, %sp
        inb $0x92, %al                  # A20
        orb $2, %al
        outb %al, $0x92
        movw $0x1000, %di               # page tables at 0x1000 (level 4), 0x2000 (level 3), 0x3000 (level 2)
        movw $0x1800, %cx
        xorw %ax, %ax
        rep stosw
        movl $0x2003, 0x1000
        movl $0x3003, 0x2000
        movw $0x3000, %di
        movl $0x83, %eax                # present, writable, 2 MB
1:      movl %eax, (%di)
        addl $0x200000, %eax
        addw $8, %di
        cmpw $0x4000, %di
        jne 1b
        movl $0x1000, %eax
        movl %eax, %cr3
        movl $0x40620, %eax             # PAE, OSFXSR, OSXMMEXCPT, OSXSAVE
        movl %eax, %cr4
        movl $0xC0000080, %ecx          # EFER: long mode
        rdmsr
        orl $0x100, %eax
        wrmsr
        lgdt table
        movl %cr0, %eax
        andl $0xFFFFFFFB, %eax          # no x87 emulation
        orl $0x80000003, %eax           # paging, monitor coprocessor, protection
        movl %eax, %cr0
        ljmp $8, $long
        .code64
long:   movw $16, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movl $0x800000, %esp
        xorl %ecx, %ecx                 # XCR0: x87, SSE, AVX, AVX-512
        xorl %edx, %edx
        movl $0xE7, %eax
        xsetbv
        movl $0x1000000, %eax
        call *%rax
        movw $0x8900, %dx               # the emulator ends at this word
        leaq word(%rip), %rsi
        movl $8, %ecx
        rep outsb
        hlt
word:   .ascii "Shutdown"
        .balign 8
gdt:    .quad 0, 0x00209A0000000000, 0x0000920000000000
table:  .word 23
        .long gdt
        .org 510
        .word 0xAA55
