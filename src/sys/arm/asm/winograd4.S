@ F(4x4, 3x3): one half (channels 0 and 2, or 1 and 3) of the vertical input transform of a column.
@ r2-r7 = rows 0-5 of four channels as 0..255.
 .macro k_w4_half par
 .if \par
 uxtb16 r8,r3,ror #8
 uxtb16 r9,r5,ror #8
 uxtb16 r10,r4,ror #8
 uxtb16 r11,r6,ror #8
 .else
 uxtb16 r8,r3
 uxtb16 r9,r5
 uxtb16 r10,r4
 uxtb16 r11,r6
 .endif
 sub r12,r9,r8,lsl #2
 sub r8,r9,r8
 sub lr,r11,r10,lsl #2
 sub r11,r11,r10
 add lr,lr,r12
 sub r12,lr,r12,lsl #1
 str lr,[r1,#(\par*6+1)*4]
 str r12,[r1,#(\par*6+2)*4]
 .if \par
 uxtb16 r12,r2,ror #8
 uxtb16 lr,r7,ror #8
 .else
 uxtb16 r12,r2
 uxtb16 lr,r7
 .endif
 sub r12,r12,r10
 add r12,r11,r12,lsl #2
 sub lr,lr,r9
 sub lr,lr,r8,lsl #2
 str lr,[r1,#(\par*6+5)*4]
 add r11,r11,r8,lsl #1
 sub r8,r11,r8,lsl #2
 str r11,[r1,#(\par*6+3)*4]
 str r8,[r1,#(\par*6+4)*4]
 .if \par
 str r12,[r1,#24]
 add r1,r1,#48
 .else
 str r12,[r1]
 .endif
 .endm

@ w4_vertical*(rows, t, step, columns, fill, missing): four channels of six rows, `step` bytes from column to column,
@ into t[column][half][6]. Rows whose bit is set in `missing` count as `fill`.
 .macro k_w4_vertical name masked
 k_fn \name
 push {r4-r11,lr}
 sub sp,sp,#44
 @ sp: 0-23 rows, 24 step, 28 end of t, 32 fill, 36 missing
 ldmia r0,{r4-r9}
 mov r10,#48
 mla r3,r3,r10,r1
 mov r0,sp
 stmia r0!,{r4-r9}
 strd r2,r3,[sp,#24]
 ldrd r2,r3,[sp,#80]
 strd r2,r3,[sp,#32]
 mov r0,#0
1: ldrd r8,r9,[sp]
 ldrd r10,r11,[sp,#8]
 ldrd r12,lr,[sp,#16]
 ldr r2,[r8,r0]
 ldr r3,[r9,r0]
 ldr r4,[r10,r0]
 ldr r5,[r11,r0]
 ldr r6,[r12,r0]
 ldr r7,[lr,r0]
 ldr r8,[sp,#24]
 eor r2,r2,#0x80808080
 eor r3,r3,#0x80808080
 eor r4,r4,#0x80808080
 eor r5,r5,#0x80808080
 eor r6,r6,#0x80808080
 eor r7,r7,#0x80808080
 add r0,r0,r8
 .if \masked
 ldrd r12,lr,[sp,#32]
@ Mostly only the first or the last row is missing.
 tst lr,#1
 it ne
 movne r2,r12
 tst lr,#32
 it ne
 movne r7,r12
 tst lr,#0x1e
 beq 2f
 tst lr,#2
 it ne
 movne r3,r12
 tst lr,#4
 it ne
 movne r4,r12
 tst lr,#8
 it ne
 movne r5,r12
 tst lr,#16
 it ne
 movne r6,r12
2:
 .endif
 k_w4_half 0
 k_w4_half 1
 ldr r8,[sp,#28]
 cmp r1,r8
 bne 1b
 add sp,sp,#44
 pop {r4-r11,pc}
 k_end \name
 .endm
 k_w4_vertical kinglet_w4_vertical 0
 k_w4_vertical kinglet_w4_vertical_masked 1

@ One tile of one row of t: columns \a0 \a1 \b0-\b3 into six positions, r12 bytes apart, from r1. Clobbers \a0, \a1,
@ r8-r11.
 .macro k_w4_tile a0 a1 b0 b1 b2 b3
 add r8,\b2,#0x32003200
 sub r9,\b1,\a1,lsl #2
 sub \a1,\b1,\a1
 sub r10,r8,\b0,lsl #2
 sub r8,r8,\b0
 add r10,r10,r9
 sub r9,r10,r9,lsl #1
 sub \a0,\a0,\b0
 add \a0,r8,\a0,lsl #2
 add r8,r8,\a1,lsl #1
 add r11,\b3,#0x32003200
 sub r11,r11,\b1
 sub r11,r11,\a1,lsl #2
 sub \a1,r8,\a1,lsl #2
 str \a0,[r1]
 add \a0,r1,r12
 str r10,[r1,r12]
 str r9,[r1,r12,lsl #1]
 str \a1,[r1,r12,lsl #2]
 str r8,[\a0,r12,lsl #1]
 str r11,[\a0,r12,lsl #2]
 .endm

@ w4_horizontal(t, v, pairs of tiles, bytes per position): four channels, that is two channel pairs of v.
 k_fn kinglet_w4_horizontal
 push {r4-r11,lr}
 sub sp,sp,#20
 @ sp: 0 t, 4 v, 8 pairs, 12 rows left, 16 v of the second half
 mov r12,r3
 mov r3,#12
 strd r0,r1,[sp]
 strd r2,r3,[sp,#8]
 add r2,r1,#8
 str r2,[sp,#16]
1: ldr lr,[sp,#8]
 ldr r2,[r0]
 ldr r3,[r0,#48]
2: ldr r4,[r0,#96]
 ldr r5,[r0,#144]
 ldr r6,[r0,#192]
 ldr r7,[r0,#240]
 k_w4_tile r2 r3 r4 r5 r6 r7
 ldr r2,[r0,#288]
 ldr r3,[r0,#336]
 ldr r4,[r0,#384]
 ldr r5,[r0,#432]
 add r1,r1,#4
 k_w4_tile r6 r7 r2 r3 r4 r5
 mov r2,r4
 mov r3,r5
 sub r1,r1,#4
 add r0,r0,#384
 add r1,r1,r12,lsl #5
 subs lr,lr,#1
 add r1,r1,r12,lsl #2
 bne 2b
 ldrd r0,r1,[sp]
 ldr r3,[sp,#12]
 add r0,r0,#4
 add r1,r1,r12,lsl #2
 add r1,r1,r12,lsl #1
 subs r3,r3,#1
 beq 3f
 cmp r3,#6
 it eq
 ldreq r1,[sp,#16]
 str r3,[sp,#12]
 strd r0,r1,[sp]
 b 1b
3: add sp,sp,#20
 pop {r4-r11,pc}
 k_end kinglet_w4_horizontal

@ A^T of r2-r7 into r2, r4, r8, r3. Clobbers r5, r9.
 .macro k_w4_a6
 add r8,r3,r4
 sub r3,r3,r4
 add r9,r5,r6
 sub r5,r5,r6
 add r2,r2,r8
 add r2,r2,r9
 add r4,r3,r5,lsl #1
 add r8,r8,r9,lsl #2
 add r3,r3,r5,lsl #3
 add r3,r3,r7,lsl #1
 .endm

 .macro k_w4_requantize y relu
 .if \relu
 smmla \y,\y,r10,r11
 asr \y,\y,r12
 .else
 asr \y,\y,#5
 add r7,r11,\y,asr #31
 smmlar \y,\y,r10,r7
 asr \y,\y,r12
 .endif
 ssat \y,#8,\y
 .endm

@ w4_output*(m, records, out of tile 0, out of tile 1, row pitch, pixel pitch): 4 x 4 pixels of 4 channels of 2 tiles.
@ A record is {m, c, s, b, b22, b32, b23, b33}.
 .macro k_w4_output name relu
 k_fn \name
 push {r4-r11,lr}
 sub sp,sp,#156
 @ sp: 0-95 columns, 96 b, 100 inverse of 9, 104 b22, b32, b23, b33, 120 records, 124 m, 128 out, 132 units left,
 @ 136 row pitch, 140 pixel pitch, 144 out of tile 1, 148 records of the first channel
 str r1,[sp,#120]
 str r2,[sp,#128]
 strd r3,r1,[sp,#144]
 ldrd r4,r5,[sp,#192]
 strd r4,r5,[sp,#136]
 movw r3,#0x8e39
 movt r3,#0x38e3
 str r3,[sp,#100]
 mov r3,#8
 str r3,[sp,#132]
1: mov r1,sp
 add lr,sp,#24
2: ldr r2,[r0]
 ldr r3,[r0,#32]
 ldr r4,[r0,#64]
 ldr r5,[r0,#96]
 ldr r6,[r0,#128]
 ldr r7,[r0,#160]
 add r0,r0,#192
 k_w4_a6
 str r4,[r1,#24]
 str r8,[r1,#48]
 str r3,[r1,#72]
 str r2,[r1],#4
 cmp r1,lr
 bne 2b
 sub r0,r0,#1148
 str r0,[sp,#124]
 ldr r0,[sp,#120]
 ldmia r0!,{r10,r11,r12}
 ldmia r0!,{r1,r2,r3,r4,r5}
 str r0,[sp,#120]
 str r1,[sp,#96]
 add r0,sp,#104
 stmia r0,{r2-r5}
 ldr lr,[sp,#128]
 mov r0,sp
 ldr r1,[sp,#100]
 .irp c,0,1,2,3
 ldmia r0!,{r2-r7}
 k_w4_a6
 ldr r5,[sp,#96]
 mla r2,r2,r1,r5
 mla r4,r4,r1,r5
 .if \c>=2
 ldrd r5,r6,[sp,#104+8*(\c-2)]
 mla r8,r8,r1,r5
 mla r3,r3,r1,r6
 .else
 mla r8,r8,r1,r5
 mla r3,r3,r1,r5
 .endif
 k_w4_requantize r2 \relu
 k_w4_requantize r4 \relu
 k_w4_requantize r8 \relu
 k_w4_requantize r3 \relu
 ldrd r9,r6,[sp,#136]
 strb r2,[lr]
 strb r4,[lr,r9]
 strb r8,[lr,r9,lsl #1]
 add r9,r9,r9,lsl #1
 strb r3,[lr,r9]
 .if \c<3
 add lr,lr,r6
 .endif
 .endr
 ldrd r2,r3,[sp,#128]
 ldr r0,[sp,#124]
 add r2,r2,#1
 subs r3,r3,#1
 beq 9f
 cmp r3,#4
 bne 3f
 ldrd r2,r4,[sp,#144]
 str r4,[sp,#120]
3: strd r2,r3,[sp,#128]
 b 1b
9: add sp,sp,#156
 pop {r4-r11,pc}
 k_end \name
 .endm
 k_w4_output kinglet_w4_output 0
 k_w4_output kinglet_w4_output_relu 1
