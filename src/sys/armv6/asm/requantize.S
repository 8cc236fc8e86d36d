@ Requantization in products of halves, shared by all blocks. A multiplier m is in r5, its lower half, and r6, its upper one with the sign;
@ r9 is the shift, r10 the addend c, r11 half of the last place of the upper word of a product.

@ r1 = c + the upper word of r1 * m, rounded down; or, with \round, rounded to the nearest and with the sign of r1 added. Clobbers r2-r4. No
@ sum leaves 32 bits, see high_product_of_halves.
 .macro k6_high_product round
 uxth r2,r1
 asrs r3,r1,#16
 .if \round
 asrs r1,r1,#31
 add r1,r10
 .else
 mov r1,r10
 .endif
 mov r4,r3
 muls r4,r6,r4
 adds r1,r1,r4
 muls r3,r5,r3
 mov r4,r2
 muls r4,r5,r4
 lsrs r4,r4,#16
 adds r3,r3,r4
 .if \round
 add r3,r11
 .endif
 muls r2,r6,r2
 uxth r4,r3
 adds r2,r2,r4
 asrs r2,r2,#16
 asrs r3,r3,#16
 adds r1,r1,r3
 adds r1,r1,r2
 .endm

@ Requantizes r1. Clobbers r2-r4.
 .macro k6_requantize round=1
 k6_high_product \round
 mov r4,r9
 asrs r1,r4
 sxtb r2,r1
 cmp r2,r1
 beq 9f
 asrs r1,r1,#31
 movs r2,#127
 eors r1,r2
9:
 .endm
