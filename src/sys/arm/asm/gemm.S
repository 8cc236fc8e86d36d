@ gemm(x, w, records or acc, out, pairs, blocks, second)
@ 2 pixels x 4 channels at a time over `pairs` pairs of inputs, for `blocks` blocks of four channels. The first step
@ starts the accumulators; the rest run in an unrolled loop that is entered where the count leaves no remainder.
 .macro k_gemm name step size quant unroll
 k_fn \name
 push {r4-r11,lr}
 sub sp,sp,#28
 @ sp: 0 x, 4 records or acc, 8 out, 12 end of out or acc, 16 end of x, 20 entry, 24 second
 ldr r4,[sp,#64]
 ldr r5,[sp,#68]
 .if \quant
 ldr r6,[sp,#72]
 str r6,[sp,#24]
 add r5,r3,r5,lsl #2
 .else
 add r5,r2,r5,lsl #5
 .endif
 strd r0,r2,[sp]
 strd r3,r5,[sp,#8]
 add r7,r0,r4,lsl #3
 str r7,[sp,#16]
 rsb r4,r4,#1
 and r4,r4,#\unroll-1
 mov r5,#\size
 adr.w r6,2f
 mla r4,r4,r5,r6
 orr r4,r4,#1
 str r4,[sp,#20]
 mov r12,r0
 mov lr,r1
1: \step first
 ldr pc,[sp,#20]
 .p2align 2
2:
 .rept \unroll
 \step acc
 .endr
 ldr r8,[sp,#16]
 cmp r12,r8
 bne 2b
 .if \quant
 ldr r8,[sp,#4]
 k_requantize2 r0 r4
 k_requantize2 r1 r5
 k_requantize2 r2 r6
 k_requantize2 r3 r7
 str r8,[sp,#4]
 ldrd r8,r9,[sp,#8]
 ldr r10,[sp,#24]
 ldr r12,[sp]
 add r10,r10,r8
 strb r4,[r10]
 strb r5,[r10,#1]
 strb r6,[r10,#2]
 strb r7,[r10,#3]
 strb r1,[r8,#1]
 strb r2,[r8,#2]
 strb r3,[r8,#3]
 strb r0,[r8],#4
 cmp r8,r9
 str r8,[sp,#8]
 .else
 ldr r8,[sp,#4]
 ldr r9,[sp,#12]
 ldr r12,[sp]
 stmia r8!,{r0-r7}
 cmp r8,r9
 str r8,[sp,#4]
 .endif
 bne 1b
 add sp,sp,#28
 pop {r4-r11,pc}
 k_end \name
 .endm
 k_gemm kinglet_gemm16 k_step 44 1 8
 k_gemm kinglet_gemm8 k_step8 60 1 8
 k_gemm kinglet_gemm16_acc k_step 44 0 4
 k_gemm kinglet_gemm8_acc k_step8 60 0 4

@ widen(slab, w, words): weights of 8 bits, four words at a time, to 16 bits.
 k_fn kinglet_widen
 push {r4-r11,lr}
1: ldmia r1!,{r3,r5,r7,r9}
 subs r2,r2,#4
 sxtb16 r4,r3,ror #8
 sxtb16 r3,r3
 sxtb16 r6,r5,ror #8
 sxtb16 r5,r5
 sxtb16 r8,r7,ror #8
 sxtb16 r7,r7
 sxtb16 r10,r9,ror #8
 sxtb16 r9,r9
 stmia r0!,{r3-r10}
 bne 1b
 pop {r4-r11,pc}
 k_end kinglet_widen

@ gemm_strip(x, w, records, out, bytes of x per pair of pixels, pairs of pixels, second, next): pairs of pixels x 4 channels, whose
@ weights are read again for each.
 k_fn kinglet_gemm_strip
 push {r4-r11,lr}
 sub sp,sp,#20
 @ sp: 0 w, 4 records, 8 entry, 12 end of x, 16 out, 56 bytes, 60 pairs left, 64 second, 68 next
 ldr r4,[sp,#56]
 strd r1,r2,[sp]
 str r3,[sp,#16]
 add r7,r0,r4
 str r7,[sp,#12]
 lsr r4,r4,#3
 rsb r4,r4,#1
 and r4,r4,#7
 mov r5,#44
 adr.w r6,2f
 mla r4,r4,r5,r6
 orr r4,r4,#1
 str r4,[sp,#8]
 mov r12,r0
1: ldr lr,[sp]
 k_step first
 ldr pc,[sp,#8]
 .p2align 2
2:
 .rept 8
 k_step acc
 .endr
 ldr r8,[sp,#12]
 cmp r12,r8
 bne 2b
 ldr r8,[sp,#4]
 k_requantize2 r0 r4
 k_requantize2 r1 r5
 k_requantize2 r2 r6
 k_requantize2 r3 r7
 ldr r8,[sp,#16]
 ldr r9,[sp,#64]
 ldr r10,[sp,#68]
 ldr r12,[sp,#12]
 ldr r11,[sp,#56]
 add r9,r9,r8
 add r11,r11,r12
 strb r4,[r9]
 strb r5,[r9,#1]
 strb r6,[r9,#2]
 strb r7,[r9,#3]
 strb r0,[r8]
 strb r1,[r8,#1]
 strb r2,[r8,#2]
 strb r3,[r8,#3]
 ldr r9,[sp,#60]
 add r8,r8,r10
 str r11,[sp,#12]
 str r8,[sp,#16]
 subs r9,r9,#1
 str r9,[sp,#60]
 bne 1b
 add sp,sp,#20
 pop {r4-r11,pc}
 k_end kinglet_gemm_strip

@ patch(dst, src, row stride, rows, words, rest, second): widens `rows` rows of 4 * words + rest bytes of two pixels
@ into pairs, interleaved; the rest bytes of all rows follow together.
 k_fn kinglet_patch
 push {r4-r11,lr}
 ldrd r4,r5,[sp,#36]
 ldr r6,[sp,#44]
 sub sp,sp,#84
 @ sp: 0-63 rest bytes (and a word of zeros after), 68 dst, 72 second pixel, 76 rows
 add r7,r0,#4
 add r6,r6,r1
 strd r7,r6,[sp,#68]
 str r3,[sp,#76]
 mov r6,#0
 str r6,[sp,#80]
 mul r8,r3,r5
 bic r8,r8,#3
 str r6,[sp,r8]
0: mov r12,sp
1: mov r6,r1
 subs r7,r4,#4
 blo 3f
2: ldr r8,[r6],#4
 ldr r9,[r6],#4
 ldr r10,[r6],#4
 ldr r11,[r6],#4
 sxtb16 lr,r8,ror #8
 sxtb16 r8,r8
 str lr,[r0,#8]
 sxtb16 lr,r9
 sxtb16 r9,r9,ror #8
 str lr,[r0,#16]
 str r9,[r0,#24]
 sxtb16 lr,r10
 sxtb16 r10,r10,ror #8
 str lr,[r0,#32]
 str r10,[r0,#40]
 sxtb16 lr,r11
 sxtb16 r11,r11,ror #8
 str lr,[r0,#48]
 str r11,[r0,#56]
 str r8,[r0],#64
 subs r7,r7,#4
 bhs 2b
3: adds r7,r7,#4
 beq 5f
4: ldr r8,[r6],#4
 sxtb16 r9,r8,ror #8
 sxtb16 r8,r8
 str r9,[r0,#8]
 str r8,[r0],#16
 subs r7,r7,#1
 bne 4b
5: cbz r5,7f
 mov r7,r5
6: ldrb r8,[r6],#1
 strb r8,[r12],#1
 subs r7,r7,#1
 bne 6b
7: add r1,r1,r2
 subs r3,r3,#1
 bne 1b
 mov r6,sp
 cmp r6,r12
 bhs 9f
8: ldr r8,[r6],#4
 sxtb16 r9,r8,ror #8
 sxtb16 r8,r8
 str r9,[r0,#8]
 str r8,[r0],#16
 cmp r6,r12
 blo 8b
9: ldr r6,[sp,#80]
 cbnz r6,10f
 mov r6,#1
 str r6,[sp,#80]
 ldrd r0,r1,[sp,#68]
 ldr r3,[sp,#76]
 b 0b
10: add sp,sp,#84
 pop {r4-r11,pc}
 k_end kinglet_patch
