@ F(2x2, 3x3): half of the vertical input transform of a column. r4-r7 = rows 0-3 of four channels.
 .macro k_w2_half par
 .if \par
 sxtb16 r8,r4,ror #8
 sxtb16 r9,r5,ror #8
 sxtb16 r10,r6,ror #8
 sxtb16 r11,r7,ror #8
 .else
 sxtb16 r8,r4
 sxtb16 r9,r5
 sxtb16 r10,r6
 sxtb16 r11,r7
 .endif
 ssub16 r8,r8,r10
 ssub16 r11,r9,r11
 sadd16 r12,r9,r10
 ssub16 r10,r10,r9
 str r12,[r1,#(\par*4+1)*4]
 str r10,[r1,#(\par*4+2)*4]
 str r11,[r1,#(\par*4+3)*4]
 .if \par
 str r8,[r1,#16]
 add r1,r1,#32
 .else
 str r8,[r1]
 .endif
 .endm

@ w2_vertical*(rows, t, step, columns, fill, missing): as in F(4x4), with four rows, into t[column][half][4].
 .macro k_w2_vertical name masked
 k_fn \name
 push {r4-r11,lr}
 sub sp,sp,#28
 @ sp: 0-15 rows, 16 fill, 20 missing
 ldmia r0,{r4-r7}
 add r3,r1,r3,lsl #5
 strd r4,r5,[sp]
 strd r6,r7,[sp,#8]
 ldrd r4,r5,[sp,#64]
 strd r4,r5,[sp,#16]
 mov r0,#0
1: ldrd r8,r9,[sp]
 ldrd r10,r11,[sp,#8]
 ldr r4,[r8,r0]
 ldr r5,[r9,r0]
 ldr r6,[r10,r0]
 ldr r7,[r11,r0]
 add r0,r0,r2
 .if \masked
 ldrd r12,lr,[sp,#16]
 tst lr,#1
 it ne
 movne r4,r12
 tst lr,#2
 it ne
 movne r5,r12
 tst lr,#4
 it ne
 movne r6,r12
 tst lr,#8
 it ne
 movne r7,r12
 .endif
 k_w2_half 0
 k_w2_half 1
 cmp r1,r3
 bne 1b
 add sp,sp,#28
 pop {r4-r11,pc}
 k_end \name
 .endm
 k_w2_vertical kinglet_w2_vertical 0
 k_w2_vertical kinglet_w2_vertical_masked 1

 .macro k_w2_tile a0 a1 b0 b1
 ssub16 r6,\a0,\b0
 sadd16 r7,\a1,\b0
 ssub16 r8,\b0,\a1
 ssub16 r9,\a1,\b1
 add r10,r1,r12
 str r6,[r1]
 str r7,[r1,r12]
 str r8,[r1,r12,lsl #1]
 str r9,[r10,r12,lsl #1]
 .endm

@ w2_horizontal(t, v, pairs of tiles, bytes per position)
 k_fn kinglet_w2_horizontal
 push {r4-r11,lr}
 sub sp,sp,#20
 @ sp: 0 t, 4 v, 8 pairs, 12 rows left, 16 v of the second half
 mov r12,r3
 mov r3,#8
 strd r0,r1,[sp]
 strd r2,r3,[sp,#8]
 add r2,r1,#8
 str r2,[sp,#16]
1: ldr lr,[sp,#8]
 ldr r2,[r0]
 ldr r3,[r0,#32]
2: ldr r4,[r0,#64]
 ldr r5,[r0,#96]
 k_w2_tile r2 r3 r4 r5
 ldr r2,[r0,#128]
 ldr r3,[r0,#160]
 add r1,r1,#4
 k_w2_tile r4 r5 r2 r3
 sub r1,r1,#4
 add r0,r0,#128
 subs lr,lr,#1
 add r1,r1,r12,lsl #4
 bne 2b
 ldrd r0,r1,[sp]
 ldr r3,[sp,#12]
 add r0,r0,#4
 add r1,r1,r12,lsl #2
 subs r3,r3,#1
 beq 3f
 cmp r3,#4
 it eq
 ldreq r1,[sp,#16]
 str r3,[sp,#12]
 strd r0,r1,[sp]
 b 1b
3: add sp,sp,#20
 pop {r4-r11,pc}
 k_end kinglet_w2_horizontal

@ Requantizes \y, \shift times (asr) or parts (lsl) of the accumulator; r4, r10-r12 = the record {2 * bias, m, c, s}.
 .macro k_small_requantize y shift n
 add \y,r4,\y,\shift #\n
 add r5,r11,\y,asr #31
 smmlar \y,\y,r10,r5
 asr \y,\y,r12
 ssat \y,#8,\y
 .endm

@ Stores r2, r3 / r6, r7 as 2 x 2 pixels of tile \tile.
@ sp: 0 out of tile 0, 4 out of tile 1, 8 row pitch, 12 pixel pitch, 16 end of out of tile 0
 .macro k_small_store tile
 ldr lr,[sp,#4*\tile]
 ldrd r9,r10,[sp,#8]
 strb r2,[lr]
 strb r3,[lr,r10]
 strb r6,[lr,r9]
 add lr,lr,r10
 strb r7,[lr,r9]
 .endm

@ Steps to the next channel, or returns after the fourth.
 .macro k_small_end
 ldrd r8,r9,[sp]
 ldr r10,[sp,#16]
 add r0,r0,#4
 add r8,r8,#1
 add r9,r9,#1
 strd r8,r9,[sp]
 cmp r8,r10
 bne 1b
 add sp,sp,#20
 pop {r4-r11,pc}
 .endm

 .macro k_small_begin
 push {r4-r11,lr}
 sub sp,sp,#20
 ldrd r6,r7,[sp,#56]
 add r5,r2,#4
 strd r2,r3,[sp]
 strd r6,r7,[sp,#8]
 str r5,[sp,#16]
 .endm

@ w2_output(m, records, out of tile 0, out of tile 1, row pitch, pixel pitch): 2 x 2 pixels of 4 channels of 2 tiles.
 .macro k_w2_out tile
 ldr r2,[r0,#16*\tile]
 ldr r3,[r0,#32+16*\tile]
 ldr r4,[r0,#64+16*\tile]
 ldr r5,[r0,#96+16*\tile]
 ldr r6,[r0,#128+16*\tile]
 ldr r7,[r0,#160+16*\tile]
 ldr r8,[r0,#192+16*\tile]
 ldr r9,[r0,#224+16*\tile]
 ldr r10,[r0,#256+16*\tile]
 ldr r11,[r0,#288+16*\tile]
 ldr r12,[r0,#320+16*\tile]
 ldr lr,[r0,#352+16*\tile]
 add r2,r2,r6
 add r3,r3,r7
 add r4,r4,r8
 add r5,r5,r9
 add r2,r2,r10
 sub r6,r6,r10
 add r3,r3,r11
 sub r7,r7,r11
 add r4,r4,r12
 sub r8,r8,r12
 add r5,r5,lr
 sub r9,r9,lr
 ldr r10,[r0,#384+16*\tile]
 ldr r11,[r0,#416+16*\tile]
 ldr r12,[r0,#448+16*\tile]
 ldr lr,[r0,#480+16*\tile]
 sub r6,r6,r10
 sub r7,r7,r11
 sub r8,r8,r12
 sub r9,r9,lr
 add r2,r2,r3
 add r2,r2,r4
 sub r3,r3,r4
 sub r3,r3,r5
 add r6,r6,r7
 add r6,r6,r8
 sub r7,r7,r8
 sub r7,r7,r9
 .if \tile
 ldmia r1!,{r4,r10,r11,r12}
 .else
 ldmia r1,{r4,r10,r11,r12}
 .endif
 k_small_requantize r2 asr 1
 k_small_requantize r3 asr 1
 k_small_requantize r6 asr 1
 k_small_requantize r7 asr 1
 k_small_store \tile
 .endm
 k_fn kinglet_w2_output
 k_small_begin
1: k_w2_out 0
 k_w2_out 1
 k_small_end
 k_end kinglet_w2_output

@ w2_weights(src, u, bytes per position, channel groups): transforms four channels of 9 taps (9 words at a time) of
@ one filter into u[position][channel pair][4 filters].
 .macro k_w2_widen d s par
 .if \par
 sxtb16 \d,\s,ror #8
 .else
 sxtb16 \d,\s
 .endif
 .endm
 k_fn kinglet_w2_weights
 push {r4-r11,lr}
 sub sp,sp,#52
 @ sp: 0-47 rows of the vertical transform, [i][column]; 48 groups left
 str r3,[sp,#48]
1:
 .irp par,0,1
 .irp b,0,1,2
 ldr r4,[r0,#4*\b]
 ldr r5,[r0,#4*\b+12]
 ldr r6,[r0,#4*\b+24]
 k_w2_widen r4 r4 \par
 k_w2_widen r5 r5 \par
 k_w2_widen r6 r6 \par
 sadd16 r7,r4,r6
 sadd16 r4,r4,r4
 sadd16 r6,r6,r6
 sadd16 r8,r7,r5
 ssub16 r7,r7,r5
 str r4,[sp,#4*\b]
 str r8,[sp,#4*\b+12]
 str r7,[sp,#4*\b+24]
 str r6,[sp,#4*\b+36]
 .endr
 add r9,r1,#16*\par
 mov r10,sp
 mov r11,#4
2: ldmia r10!,{r4,r5,r6}
 add r12,r9,r2
 sadd16 r7,r4,r6
 sadd16 r4,r4,r4
 sadd16 r6,r6,r6
 sadd16 r8,r7,r5
 ssub16 r7,r7,r5
 str r4,[r9]
 str r8,[r9,r2]
 str r7,[r9,r2,lsl #1]
 str r6,[r12,r2,lsl #1]
 add r9,r9,r2,lsl #2
 subs r11,r11,#1
 bne 2b
 .endr
 add r0,r0,#36
 add r1,r1,#32
 ldr r3,[sp,#48]
 subs r3,r3,#1
 str r3,[sp,#48]
 bne 1b
 add sp,sp,#52
 pop {r4-r11,pc}
 k_end kinglet_w2_weights
