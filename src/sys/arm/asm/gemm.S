@ gemm(x, w, records or acc, out, pairs, blocks, second)
@ 2 pixels x 4 channels at a time over `pairs` pairs of inputs, an even number, for `blocks` blocks of four channels. The first step
@ starts the accumulators; the rest run in an unrolled loop that is entered where the count leaves no remainder.
 .macro k_gemm name step size quant unroll before=8 paired=0
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
 sub lr,r1,#\before
1: \step first 0
 ldr pc,[sp,#20]
 .p2align 2
2:
 .rept \unroll/2
 \step acc 0
 \step acc 1
 .endr
 ldr r8,[sp,#16]
 cmp r12,r8
 bne 2b
 .if \quant
 ldr r8,[sp,#4]
 k_requantize8 \paired
 str r8,[sp,#4]
 ldr r8,[sp,#8]
 ldr r9,[sp,#12]
 ldr r10,[sp,#24]
 ldr r12,[sp]
 add r10,r10,r8
 k_store8 r10 \paired
 add r8,r8,#4
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
 k_gemm kinglet_gemm16 k_step 56 1 8
 k_gemm kinglet_gemm_paired k_step_paired 56 1 8 8 1
 k_gemm kinglet_gemm8 k_step8 60 1 8 0
 k_gemm kinglet_gemm16_acc k_step 56 0 4
 k_gemm kinglet_gemm8_acc k_step8 60 0 4 0

@ Where the loop at 2 is entered for \entry bytes of x, less the first step. Clobbers \a, \b.
 .macro k_entry entry a b
 lsrs \entry,\entry,#3
 rsb \entry,\entry,#1
 and \entry,\entry,#7
 movs \a,#56
 adr.w \b,2f
 mla \entry,\entry,\a,\b
 orr \entry,\entry,#1
 .endm

@ A pair of pixels x 4 channels: x from r12, weights from lr + 8; in the frame 4 records, 8 entry, 12 end of x, and at \out, \bytes,
@ \second, \next and \left what they are called. Leaves r12 behind the pair, and tells by the flag Z whether none is left.
 .macro k_pairs step paired out bytes second next left
 \step first 0
 ldr pc,[sp,#8]
 .p2align 2
2:
 .rept 4
 \step acc 0
 \step acc 1
 .endr
 ldr r8,[sp,#12]
 cmp r12,r8
 bne 2b
 ldr r8,[sp,#4]
 k_requantize8 \paired
 ldr r8,[sp,#\out]
 ldr r9,[sp,#\second]
 ldr r10,[sp,#\next]
 ldr r12,[sp,#12]
 ldr r11,[sp,#\bytes]
 ldr lr,[sp,#\left]
 add r9,r9,r8
 add r11,r11,r12
 k_store8 r9 \paired
 add r8,r8,r10
 str r11,[sp,#12]
 str r8,[sp,#\out]
 subs lr,lr,#1
 str lr,[sp,#\left]
 .endm

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
 @ sp: 0 w - 8, 4 records, 8 entry, 12 end of x, 16 out, 56 bytes, 60 pairs left, 64 second, 68 next
 ldr r4,[sp,#56]
 sub r1,r1,#8
 strd r1,r2,[sp]
 str r3,[sp,#16]
 add r7,r0,r4
 str r7,[sp,#12]
 k_entry r4 r5 r6
 str r4,[sp,#8]
 mov r12,r0
1: ldr lr,[sp]
 k_pairs k_step 0 16 56 64 68 60
 bne 1b
 add sp,sp,#20
 pop {r4-r11,pc}
 k_end kinglet_gemm_strip

@ rows_paired(arguments): rows of pairs of pixels x blocks of 4 channels, whose weights are copied into the slab once for all rows.
@ Arguments, in which it counts: 0 w, 4 slab, 8 bytes of a block's weights, as many as x has of a pair of pixels, 12 records, 16 x,
@ 20 bytes of a row of it, 24 out, 28 bytes of a row of it, 32 rows, 36 pairs of pixels, 40 pixels left over (0 or 1), 44 second, 48 next,
@ 52 blocks left, 56 bytes to the last block's outputs from those of the one before
 k_fn kinglet_rows_paired
 push {r4-r11,lr}
 sub sp,sp,#56
 @ sp: 0 slab - 8, 4 records, 8 entry, 12 end of x, 16 out, 20 bytes, 24 second, 28 next, 32 pairs left, 36 arguments, 40 rows left,
 @ 44 x of the row, 48 out of the row, 52 where kinglet_row_paired returns to
 ldr r1,[r0,#4]
 ldr r2,[r0,#8]
 ldr r3,[r0,#48]
 subs r1,r1,#8
 str r1,[sp]
 str r2,[sp,#20]
 str r3,[sp,#28]
 str r0,[sp,#36]
1: ldrd r1,r2,[r0]
 ldr r3,[r0,#8]
 tst r3,#16
 beq 2f
 ldmia r1!,{r4-r7}
 subs r3,r3,#16
 stmia r2!,{r4-r7}
 beq 7f
2: ldmia r1!,{r4-r11}
 subs r3,r3,#32
 stmia r2!,{r4-r11}
 bne 2b
7: ldr r2,[r0,#12]
 ldr r5,[r0,#32]
 ldr r4,[r0,#24]
 ldr r12,[r0,#16]
 str r1,[r0]
 str r2,[sp,#4]
3: str r5,[sp,#40]
 str r12,[sp,#44]
 str r4,[sp,#48]
 str r4,[sp,#16]
 ldr r1,[r0,#36]
 ldr r2,[r0,#44]
 cbz r1,4f
 bl kinglet_row_paired
 ldr r0,[sp,#36]
4: ldr r1,[r0,#40]
 cbz r1,5f
 movs r2,#0
 bl kinglet_row_paired
 ldr r0,[sp,#36]
5: ldr r4,[sp,#48]
 ldr r5,[sp,#40]
 ldr r1,[r0,#20]
 ldr r2,[r0,#28]
 ldr r12,[sp,#44]
 adds r4,r4,r2
 add r12,r12,r1
 subs r5,r5,#1
 bne 3b
 ldr r1,[r0,#12]
 ldr r2,[r0,#24]
 ldr r3,[r0,#52]
 ldr r4,[r0,#56]
 adds r1,r1,#64
 str r1,[r0,#12]
 subs r3,r3,#1
 str r3,[r0,#52]
 beq 6f
 cmp r3,#1
 ite eq
 addeq r2,r2,r4
 addne r2,r2,#4
 str r2,[r0,#24]
 b 1b
6: add sp,sp,#56
 pop {r4-r11,pc}
 k_end kinglet_rows_paired

@ r1 pairs of pixels from r12 on, the second r2 bytes behind the first in the output, in the frame of kinglet_rows_paired. Leaves r12 behind
@ them.
 k_fn kinglet_row_paired
 ldr r4,[sp,#20]
 str r1,[sp,#32]
 str r2,[sp,#24]
 str lr,[sp,#52]
 add r5,r4,r12
 str r5,[sp,#12]
 k_entry r4 r5 r6
 str r4,[sp,#8]
1: ldr lr,[sp]
 k_pairs k_step_paired 1 16 20 24 28 32
 bne 1b
 ldr pc,[sp,#52]
 k_end kinglet_row_paired

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
2: ldr r8,[r6]
 ldr r9,[r6,#4]
 ldr r10,[r6,#8]
 ldr r11,[r6,#12]
 adds r6,r6,#16
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
