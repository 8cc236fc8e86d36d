@ Adds the products of word \i of x with those of four rows, from r0 and r1, r2, r3, r12 on, to r8-r11. Clobbers r4-r7, lr.
 .macro k_dense_word i
 ldr r4,[r0,#4*\i]
 ldr r6,[r1,#4*\i]
 ldr lr,[r2,#4*\i]
 sxtb16 r5,r4,ror #8
 sxtb16 r4,r4
 sxtb16 r7,r6,ror #8
 sxtb16 r6,r6
 smlad r8,r5,r7,r8
 smlad r8,r4,r6,r8
 sxtb16 r7,lr,ror #8
 sxtb16 lr,lr
 smlad r9,r5,r7,r9
 smlad r9,r4,lr,r9
 ldr r6,[r3,#4*\i]
 ldr lr,[r12,#4*\i]
 sxtb16 r7,r6,ror #8
 sxtb16 r6,r6
 smlad r10,r5,r7,r10
 smlad r10,r4,r6,r10
 sxtb16 r7,lr,ror #8
 sxtb16 lr,lr
 smlad r11,r5,r7,r11
 smlad r11,r4,lr,r11
 .endm

 .macro k_dense_next n
 add r0,r0,#\n
 add r1,r1,#\n
 add r2,r2,#\n
 add r3,r3,#\n
 add r12,r12,#\n
 .endm

@ Output \i, called \name: requantizes \sum with the entry at r0, in double rounding. Where twice the sum is a word and the shift goes right, that
@ is a multiplication and a division, both rounded; elsewhere kinglet_dense_any does it. r1 = out, r2 = zero point, lr = 1. Clobbers r4-r7.
 .macro k_dense_unit name i sum
 ldmia r0!,{r4,r5,r6}
 add \sum,\sum,r4
 adds r4,\sum,\sum
 bvs .Ldense_any_\name
 cmp r6,#0
 bge .Ldense_any_\name
 smmulr r4,r4,r5
 rsbs r6,r6,#0
 lsl r7,lr,r6
 add r4,r4,r4,asr #31
 add r4,r4,r7,lsr #1
 asrs r4,r4,r6
.Ldense_shifted_\name:
 adds r4,r4,r2
 ssat r4,#8,r4
 strb r4,[r1,#\i]
 .endm

 .macro k_dense_other name sum
.Ldense_any_\name:
 mov r4,\sum
 bl kinglet_dense_any
 mov lr,#1
 b .Ldense_shifted_\name
 .endm

@ dense(x, w, table, out, words, groups, zero point): four units at a time, of `words` words each; an entry of the table is {bias,
@ multiplier, shift}. Saturates to 8 bits.
 k_fn kinglet_dense
 push {r4-r11,lr}
 sub sp,sp,#28
 @ sp: 0 x, 4 w, 8 table, 12 out, 16 end of x, 20 end of whole fours of it, 24 bytes of a row
 ldr r4,[sp,#64]
 lsl r5,r4,#2
 add r6,r0,r5
 bic r4,r4,#3
 add r7,r0,r4,lsl #2
 strd r0,r1,[sp]
 strd r2,r3,[sp,#8]
 strd r6,r7,[sp,#16]
 str r5,[sp,#24]
1: ldrd r0,r1,[sp]
 ldr r5,[sp,#24]
 ldr r4,[sp,#20]
 add r2,r1,r5
 add r3,r2,r5
 add r12,r3,r5
 add r5,r12,r5
 str r5,[sp,#4]
 mov r8,#0
 mov r9,#0
 mov r10,#0
 mov r11,#0
 cmp r0,r4
 beq 3f
2: k_dense_word 0
 k_dense_word 1
 k_dense_word 2
 k_dense_word 3
 ldr r4,[sp,#20]
 k_dense_next 16
 cmp r0,r4
 bne 2b
3: ldr r4,[sp,#16]
 cmp r0,r4
 beq 4f
 k_dense_word 0
 k_dense_next 4
 b 3b
4: ldrd r0,r1,[sp,#8]
 ldr r2,[sp,#72]
 mov lr,#1
 k_dense_unit 0 0 r8
 k_dense_unit 1 1 r9
 k_dense_unit 2 2 r10
 k_dense_unit 3 3 r11
 adds r1,r1,#4
 strd r0,r1,[sp,#8]
 ldr r4,[sp,#68]
 subs r4,r4,#1
 str r4,[sp,#68]
 bne 1b
 add sp,sp,#28
 pop {r4-r11,pc}
 k_dense_other 0 r8
 k_dense_other 1 r9
 k_dense_other 2 r10
 k_dense_other 3 r11
 k_end kinglet_dense

@ Scales sum r4 by multiplier r5 and shift r6 in double rounding, by its definition. Clobbers r5-r7.
 k_fn kinglet_dense_any
 bic r7,r6,r6,asr #31
 lsl r4,r4,r7
 smull r4,r5,r4,r5
 rsb r6,r6,#0
 bic r6,r6,r6,asr #31
 adds r4,r4,#0x40000000
 adc r5,r5,#0
 lsl r5,r5,#1
 orr r5,r5,r4,lsr #31
 mov r7,#1
 lsl r7,r7,r6
 sub r7,r7,#1
 and r4,r5,r7
 lsr r7,r7,#1
 add r7,r7,r5,lsr #31
 cmp r4,r7
 asr r4,r5,r6
 it gt
 addgt r4,r4,#1
 bx lr
 k_end kinglet_dense_any

@ Adds the products of inputs r10 and r11 with the halves of r12 and lr, weights of two units, to \both, and those with the first unit's to
@ \first.
 .macro k_dense_pair both first
 smlad \both,r10,r12,\both
 sxtb16 r12,r12
 smlad \first,r10,r12,\first
 smlad \both,r11,lr,\both
 sxtb16 lr,lr
 smlad \first,r11,lr,\first
 .endm

@ dense_pairs(x, w, table, out, words, groups, zero point): as dense, eight units at a time, of two of which the weights share halves of words.
 k_fn kinglet_dense_pairs
 push {r4-r11,lr}
 sub sp,sp,#60
 @ sp: 0 x, 4 table, 8 out, 12 entry, 16 end of x, 20-51 sums of pairs, 52 w
 ldr r4,[sp,#96]
 add r5,r0,r4,lsl #2
 str r0,[sp]
 strd r2,r3,[sp,#4]
 str r5,[sp,#16]
 rsb r4,r4,#0
 and r4,r4,#3
 mov r5,#140
 adr.w r6,2f
 mla r4,r4,r5,r6
 orr r4,r4,#1
 str r4,[sp,#12]
 sub r1,r1,#8
1: ldr r0,[sp]
 .irp r,r2,r3,r4,r5,r6,r7,r8,r9
 mov \r,#0
 .endr
 ldr pc,[sp,#12]
 .p2align 2
2:
 .rept 4
 ldr r11,[r0],#4
 ldr r12,[r1,#8]
 ldr lr,[r1,#12]
 sxtb16 r10,r11
 sxtb16 r11,r11,ror #8
 k_dense_pair r2 r3
 ldr r12,[r1,#16]
 ldr lr,[r1,#20]
 k_dense_pair r4 r5
 ldr r12,[r1,#24]
 ldr lr,[r1,#28]
 k_dense_pair r6 r7
 ldr r12,[r1,#32]!
 ldr lr,[r1,#4]
 k_dense_pair r8 r9
 .endr
 ldr r12,[sp,#16]
 cmp r0,r12
 bne 2b
 add r12,sp,#20
 stmia r12,{r2-r9}
 str r1,[sp,#52]
 ldrd r0,r1,[sp,#4]
 ldr r2,[sp,#104]
 mov lr,#1
3: ldmia r12!,{r8,r9}
 sub r8,r8,r9
 asr r8,r8,#8
 k_dense_unit first 0 r9
 k_dense_unit second 1 r8
 add r1,r1,#2
 add r3,sp,#52
 cmp r12,r3
 bne 3b
 strd r0,r1,[sp,#4]
 ldr r1,[sp,#52]
 ldr r4,[sp,#100]
 subs r4,r4,#1
 str r4,[sp,#100]
 bne 1b
 add sp,sp,#60
 pop {r4-r11,pc}
 k_dense_other first r9
 k_dense_other second r8
 k_end kinglet_dense_pairs
