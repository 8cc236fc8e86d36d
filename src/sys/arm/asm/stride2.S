@ Winograd for 3x3 at stride 2, two outputs a side from five inputs: half of the vertical transform of a column.
@ r2-r6 = rows 0-4 of four channels.
 .macro k_s2_half par
 .if \par
 sxtb16 r8,r2,ror #8
 sxtb16 r9,r4,ror #8
 sxtb16 r10,r6,ror #8
 sxtb16 r11,r3,ror #8
 sxtb16 r12,r5,ror #8
 .else
 sxtb16 r8,r2
 sxtb16 r9,r4
 sxtb16 r10,r6
 sxtb16 r11,r3
 sxtb16 r12,r5
 .endif
 ssub16 r8,r8,r9
 ssub16 r10,r9,r10
 str r11,[r1,#(\par*5+1)*4]
 str r9,[r1,#(\par*5+2)*4]
 str r10,[r1,#(\par*5+3)*4]
 str r12,[r1,#(\par*5+4)*4]
 .if \par
 str r8,[r1,#20]
 add r1,r1,#40
 .else
 str r8,[r1]
 .endif
 .endm

@ s2_vertical*(rows, t, step, columns, fill, missing): into t[column][half][5].
 .macro k_s2_vertical name masked
 k_fn \name
 push {r4-r11,lr}
 sub sp,sp,#44
 @ sp: 0-19 rows, 24 fill, 28 missing, 32 step, 36 end of t
 ldmia r0,{r4-r8}
 mov r9,#40
 mla r3,r3,r9,r1
 strd r4,r5,[sp]
 strd r6,r7,[sp,#8]
 str r8,[sp,#16]
 strd r2,r3,[sp,#32]
 ldrd r4,r5,[sp,#80]
 strd r4,r5,[sp,#24]
 mov r0,#0
1: ldrd r8,r9,[sp]
 ldrd r10,r11,[sp,#8]
 ldr r12,[sp,#16]
 ldr lr,[sp,#32]
 ldr r2,[r8,r0]
 ldr r3,[r9,r0]
 ldr r4,[r10,r0]
 ldr r5,[r11,r0]
 ldr r6,[r12,r0]
 add r0,r0,lr
 .if \masked
 ldrd r12,lr,[sp,#24]
 tst lr,#1
 it ne
 movne r2,r12
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
 .endif
 k_s2_half 0
 k_s2_half 1
 ldr r8,[sp,#36]
 cmp r1,r8
 bne 1b
 add sp,sp,#44
 pop {r4-r11,pc}
 k_end \name
 .endm
 k_s2_vertical kinglet_s2_vertical 0
 k_s2_vertical kinglet_s2_vertical_masked 1

@ s2_horizontal(t, v, pairs of tiles, bytes per slot, slots): five rows of both halves; row a writes slots[a][0..5].
 k_fn kinglet_s2_horizontal
 push {r4-r11,lr}
 sub sp,sp,#36
 @ sp: 0 t, 4 v, 8 pairs, 12 bytes per slot, 16 slots, 20 rows left, 24 slots of row 0, 28 bytes of a pair of tiles
 strd r0,r1,[sp]
 strd r2,r3,[sp,#8]
 ldr r4,[sp,#72]
 mov r5,#10
 strd r4,r5,[sp,#16]
 str r4,[sp,#24]
 mov r6,#25
 mul r6,r6,r3
 str r6,[sp,#28]
1: ldrd r2,r3,[sp,#8]
 mov lr,r2
 ldr r4,[sp,#16]
 ldmia r4!,{r7-r11}
 str r4,[sp,#16]
 mla r7,r7,r3,r1
 mla r8,r8,r3,r1
 mla r9,r9,r3,r1
 mla r10,r10,r3,r1
 mla r11,r11,r3,r1
 mov r12,#0
 ldr r2,[r0]
2: ldr r3,[r0,#40]
 ldr r4,[r0,#80]
 ldr r5,[r0,#120]
 ldr r6,[r0,#160]
 ssub16 r2,r2,r4
 ssub16 r1,r4,r6
 str r2,[r7,r12]
 str r3,[r8,r12]
 str r4,[r9,r12]
 str r1,[r10,r12]
 str r5,[r11,r12]
 add r12,r12,#4
 ldr r3,[r0,#200]
 ldr r4,[r0,#240]
 ldr r5,[r0,#280]
 ldr r2,[r0,#320]
 ssub16 r6,r6,r4
 ssub16 r1,r4,r2
 str r6,[r7,r12]
 str r3,[r8,r12]
 str r4,[r9,r12]
 str r1,[r10,r12]
 str r5,[r11,r12]
 ldr r1,[sp,#28]
 add r0,r0,#320
 sub r12,r12,#4
 add r12,r12,r1
 subs lr,lr,#1
 bne 2b
 ldrd r0,r1,[sp]
 ldr r3,[sp,#20]
 add r0,r0,#4
 subs r3,r3,#1
 beq 3f
 str r3,[sp,#20]
 cmp r3,#5
 itttt eq
 addeq r1,r1,#8
 ldreq r4,[sp,#24]
 streq r4,[sp,#16]
 streq r1,[sp,#4]
 str r0,[sp]
 b 1b
3: add sp,sp,#36
 pop {r4-r11,pc}
 k_end kinglet_s2_horizontal

@ m holds the positions in the order 0, 2, 6, 8, 1, 3, 5, 7, 4 of their 3 x 3.
@ s2_output(m, records, out of tile 0, out of tile 1, row pitch, pixel pitch): 2 x 2 pixels of 4 channels of 2 tiles.
 .macro k_s2_out tile
 ldr r2,[r0,#16*\tile]
 ldr r3,[r0,#128+16*\tile]
 ldr r4,[r0,#32+16*\tile]
 ldr r5,[r0,#160+16*\tile]
 ldr r6,[r0,#256+16*\tile]
 ldr r7,[r0,#192+16*\tile]
 ldr r8,[r0,#64+16*\tile]
 ldr r9,[r0,#224+16*\tile]
 ldr r10,[r0,#96+16*\tile]
 add r2,r2,r5
 add r3,r3,r6
 add r4,r4,r7
 sub r5,r5,r8
 sub r6,r6,r9
 sub r7,r7,r10
 add r2,r2,r3
 sub r3,r3,r4
 sub r7,r6,r7
 add r6,r5,r6
 .if \tile
 ldmia r1!,{r4,r10,r11,r12}
 .else
 ldmia r1,{r4,r10,r11,r12}
 .endif
 k_small_requantize r2 lsl 1
 k_small_requantize r3 lsl 1
 k_small_requantize r6 lsl 1
 k_small_requantize r7 lsl 1
 k_small_store \tile
 .endm
 k_fn kinglet_s2_output
 k_small_begin
1: k_s2_out 0
 k_s2_out 1
 k_small_end
 k_end kinglet_s2_output
