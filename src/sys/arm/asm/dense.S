@ Adds the products of word \i of x with those of four rows, from r0 and r1, r2, r3, r12 on, to r4-r7. Clobbers r8-r11, lr.
 .macro k_dense_word i
 ldr.w r8,[r0,#4*\i]
 ldr.w r10,[r1,#4*\i]
 ldr.w lr,[r2,#4*\i]
 sxtb16 r9,r8,ror #8
 sxtb16 r8,r8
 sxtb16 r11,r10,ror #8
 sxtb16 r10,r10
 smlad r4,r9,r11,r4
 smlad r4,r8,r10,r4
 sxtb16 r11,lr,ror #8
 sxtb16 lr,lr
 smlad r5,r9,r11,r5
 smlad r5,r8,lr,r5
 ldr.w r10,[r3,#4*\i]
 ldr.w lr,[r12,#4*\i]
 sxtb16 r11,r10,ror #8
 sxtb16 r10,r10
 smlad r6,r9,r11,r6
 smlad r6,r8,r10,r6
 sxtb16 r11,lr,ror #8
 sxtb16 lr,lr
 smlad r7,r9,r11,r7
 smlad r7,r8,lr,r7
 .endm

 .macro k_dense_next n
 add r0,r0,#\n
 add r1,r1,#\n
 add r2,r2,#\n
 add r3,r3,#\n
 add r12,r12,#\n
 .endm

@ dense(x, w, table, out, words, groups, zero point, least, greatest): four units at a time, of `words` words each; an entry of the
@ table is {bias, multiplier, shift}. Requantizes in double rounding, by its definition.
 k_fn kinglet_dense
 push {r4-r11,lr}
 sub sp,sp,#36
 @ sp: 0 x, 4 w, 8 table, 12 out, 16 end of x, 20 end of whole fours of it; 24 bytes of a row
 ldr r4,[sp,#72]
 lsl r5,r4,#2
 add r6,r0,r5
 bic r4,r4,#3
 add r7,r0,r4,lsl #2
 strd r0,r1,[sp]
 strd r2,r3,[sp,#8]
 strd r6,r7,[sp,#16]
 str r5,[sp,#24]
1: ldrd r0,r1,[sp]
 ldr r8,[sp,#24]
 ldr r9,[sp,#20]
 add r2,r1,r8
 add r3,r2,r8
 add r12,r3,r8
 add r8,r12,r8
 str r8,[sp,#4]
 mov r4,#0
 mov r5,#0
 mov r6,#0
 mov r7,#0
 cmp r0,r9
 beq 3f
2: k_dense_word 0
 k_dense_word 1
 k_dense_word 2
 k_dense_word 3
 ldr r8,[sp,#20]
 k_dense_next 16
 cmp r0,r8
 bne 2b
3: ldr r8,[sp,#16]
 cmp r0,r8
 beq 4f
 k_dense_word 0
 k_dense_next 4
 b 3b
4: ldr r0,[sp,#8]
 ldr r1,[sp,#12]
 ldr r2,[sp,#80]
 ldr r3,[sp,#84]
 ldr r12,[sp,#88]
 mov lr,#4
5: ldr r8,[r0]
 ldr r9,[r0,#4]
 ldr r10,[r0,#8]
 add r0,r0,#12
 add r4,r4,r8
 bic r11,r10,r10,asr #31
 lsl r4,r4,r11
 rsb r10,r10,#0
 smull r8,r9,r4,r9
 bic r10,r10,r10,asr #31
 adds r8,r8,#0x40000000
 adc r9,r9,#0
 mov r11,#1
 lsl r9,r9,#1
 orr r9,r9,r8,lsr #31
 lsl r11,r11,r10
 sub r11,r11,#1
 and r8,r9,r11
 lsr r11,r11,#1
 add r11,r11,r9,lsr #31
 asr r9,r9,r10
 cmp r8,r11
 it gt
 addgt r9,r9,#1
 add r9,r9,r2
 cmp r9,r3
 it lt
 movlt r9,r3
 cmp r9,r12
 it gt
 movgt r9,r12
 strb r9,[r1],#1
 mov r4,r5
 mov r5,r6
 mov r6,r7
 subs lr,lr,#1
 bne 5b
 strd r0,r1,[sp,#8]
 ldr r4,[sp,#76]
 subs r4,r4,#1
 str r4,[sp,#76]
 bne 1b
 add sp,sp,#36
 pop {r4-r11,pc}
 k_end kinglet_dense
