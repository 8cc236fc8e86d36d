@ F(4x4, 3x3), see kernels/blocks/winograd4.rs.

@ Takes the even bytes of \even apart from the odd ones, which go to \odd; r1 = 0x00ff00ff. Clobbers r0.
 .macro k6_apart even odd
 lsrs r0,\even,#8
 ands r0,r1
 ands \even,r1
 mov \odd,r0
 .endm

@ The transform of r2-r7; \put stores its values, register and index.
 .macro k6_w4_transform put
 subs r7,r7,r5
 subs r2,r2,r4
 lsls r2,r2,#2
 subs r6,r6,r4
 adds r2,r2,r6
 \put r2 0
 lsls r2,r4,#1
 adds r4,r4,r2
 subs r4,r6,r4
 lsls r2,r3,#2
 subs r2,r5,r2
 subs r5,r5,r3
 adds r4,r4,r2
 \put r4 1
 lsls r2,r2,#1
 subs r4,r4,r2
 \put r4 2
 lsls r5,r5,#1
 adds r6,r6,r5
 \put r6 3
 lsls r5,r5,#1
 subs r6,r6,r5
 \put r6 4
 subs r7,r7,r5
 \put r7 5
 .endm

 .macro k6_w4_put_even r i
 str \r,[r0,#4*\i]
 .endm

 .macro k6_w4_put_odd r i
 str \r,[r0,#24+4*\i]
 .endm

 .macro k6_put_next r i
 str \r,[r1]
 add r1,r8
 .endm

@ w4_vertical(rows, t, step, columns, fill, missing): t[column][half][6]; rows that `missing` has a bit for are `fill`.
 k_fn kinglet_v6_w4_vertical
 push {r4-r7,lr}
 mov r4,r8
 mov r5,r9
 mov r6,r10
 mov r7,r11
 push {r4-r7}
 sub sp,#40
 @ sp: 0-23 rows, 24 t, 28 end of t, 32 step, 36 offset of the column, 76 fill, 80 missing
 lsls r4,r3,#5
 lsls r5,r3,#4
 adds r4,r4,r5
 adds r4,r1,r4
 movs r5,#0
 str r1,[sp,#24]
 str r4,[sp,#28]
 str r2,[sp,#32]
 str r5,[sp,#36]
 ldmia r0!,{r2-r7}
 mov r1,sp
 stmia r1!,{r2-r7}
1: ldr r0,[sp,#36]
 .irp i,2,3,4,5,6,7
 ldr r1,[sp,#4*\i-8]
 ldr r\i,[r1,r0]
 .endr
 ldr r1,[sp,#32]
 adds r0,r0,r1
 str r0,[sp,#36]
 ldr r1,8f
 .irp i,2,3,4,5,6,7
 eors r\i,r1
 .endr
 ldr r0,[sp,#80]
 cmp r0,#0
 beq 2f
 ldr r1,[sp,#76]
 .irp i,2,3,4,5,6,7
 lsrs r0,r0,#1
 bcc 3f
 mov r\i,r1
3:
 .endr
2: ldr r1,9f
 k6_apart r2 r8
 k6_apart r3 r9
 k6_apart r4 r10
 k6_apart r5 r11
 k6_apart r6 r12
 k6_apart r7 lr
 ldr r0,[sp,#24]
 k6_w4_transform k6_w4_put_even
 mov r2,r8
 mov r3,r9
 mov r4,r10
 mov r5,r11
 mov r6,r12
 mov r7,lr
 k6_w4_transform k6_w4_put_odd
 adds r0,#48
 str r0,[sp,#24]
 ldr r1,[sp,#28]
 cmp r0,r1
 beq 4f
 b 1b
4: add sp,#40
 pop {r4-r7}
 mov r8,r4
 mov r9,r5
 mov r10,r6
 mov r11,r7
 pop {r4-r7,pc}
 .p2align 2
8: .word 0x80808080
9: .word 0x00ff00ff
 k_end kinglet_v6_w4_vertical

@ w4_horizontal(t, v, pairs of tiles, bytes per position): six rows of both halves of either tile.
 k_fn kinglet_v6_w4_horizontal
 push {r4-r7,lr}
 mov r4,r8
 mov r5,r9
 mov r6,r10
 mov r7,r11
 push {r4-r7}
 @ r8 bytes per position, r9 what is added to inputs 4 and 5, r10 end of the rows, r11 halves of tiles left, r12 bytes of a tile
 mov r8,r3
 movs r4,#36
 muls r4,r3,r4
 mov r12,r4
 ldr r4,9f
 mov r9,r4
 lsls r2,r2,#2
1: mov r11,r2
 mov r4,r0
 adds r4,#24
 mov r10,r4
2: ldr r2,[r0]
 ldr r3,[r0,#48]
 ldr r4,[r0,#96]
 adds r0,#144
 ldr r5,[r0]
 ldr r6,[r0,#48]
 ldr r7,[r0,#96]
 subs r0,#140
 add r6,r9
 add r7,r9
 k6_w4_transform k6_put_next
 cmp r0,r10
 bne 2b
 mov r2,r11
 subs r2,r2,#1
 beq 4f
 mov r3,r12
 lsls r4,r2,#30
 beq 3f
 @ To the same positions: the other half, or the other tile.
 subs r1,r1,r3
 adds r1,#8
 lsls r4,r2,#31
 bmi 1b
 subs r1,#12
 adds r0,#144
 b 1b
3: subs r1,#12
 adds r0,#144
 b 1b
4: pop {r4-r7}
 mov r8,r4
 mov r9,r5
 mov r10,r6
 mov r11,r7
 pop {r4-r7,pc}
 .p2align 2
9: .word 12800*65537
 k_end kinglet_v6_w4_horizontal

@ w4_output*(m, record, out, row pitch, pixel pitch): 4 x 4 pixels of one channel of a tile. A record is {m, c, s, b, b22, b32, b23, b33}.
@ With ReLU what is below 0 mostly needs no product: where m >= 0, no sum of c and a product wraps, and c alone is -128 or less, then so is
@ everything below.
 .macro k6_w4_output name relu
 k_fn \name
 push {r4-r7,lr}
 mov r4,r8
 mov r5,r9
 mov r6,r10
 mov r7,r11
 push {r4-r7}
 sub sp,#136
 @ sp: 0-95 columns, 96 out of the column, 100 multiplier, 104-135 constants of the columns' lower two pixels, 172 pixel pitch
 @ r8 row pitch, r9-r11 as for k6_requantize
 mov r8,r3
 str r2,[sp,#96]
 ldmia r1!,{r2,r3,r4,r5}
 str r2,[sp,#100]
 mov r10,r3
 mov r9,r4
 mov r12,r1
 add r1,sp,#104
 mov lr,r1
 mov r7,r5
 stmia r1!,{r5,r7}
 stmia r1!,{r5,r7}
 mov r2,r12
 ldmia r2!,{r4,r5,r6,r7}
 stmia r1!,{r4,r5,r6,r7}
 movs r2,#1
 .if \relu
 @ r11 is 0, all below which is -128, or what nothing is below.
 lsls r2,r2,#31
 ldr r4,[sp,#100]
 cmp r4,#0
 blt 4f
 asrs r4,r2,#1
 cmp r3,r4
 blt 4f
 mov r4,r9
 asrs r3,r4
 adds r3,#128
 bgt 4f
 movs r2,#0
4: mov r11,r2
 .else
 lsls r2,r2,#15
 mov r11,r2
 .endif
 @ Rows of products into columns.
 mov r1,sp
 adds r1,#24
 mov r12,r1
 subs r1,#24
1: ldr r6,[r0]
 ldr r3,[r0,#32]
 ldr r4,[r0,#64]
 ldr r5,[r0,#96]
 adds r0,#128
 adds r2,r3,r4
 subs r3,r3,r4
 ldr r7,[r0]
 adds r4,r5,r7
 subs r5,r5,r7
 adds r6,r6,r2
 adds r6,r6,r4
 lsls r5,r5,#1
 adds r7,r3,r5
 lsls r4,r4,#2
 adds r2,r2,r4
 lsls r5,r5,#2
 adds r3,r3,r5
 ldr r4,[r0,#32]
 lsls r4,r4,#1
 adds r3,r3,r4
 adds r0,#64
 str r7,[r1,#24]
 str r2,[r1,#48]
 str r3,[r1,#72]
 stmia r1!,{r6}
 cmp r1,r12
 bne 1b
 mov r0,sp
2: ldmia r0!,{r2-r7}
 adds r1,r3,r4
 subs r3,r3,r4
 adds r4,r5,r6
 subs r5,r5,r6
 adds r2,r2,r1
 adds r2,r2,r4
 lsls r7,r7,#1
 adds r7,r7,r3
 lsls r6,r5,#3
 adds r7,r7,r6
 lsls r5,r5,#1
 adds r3,r3,r5
 lsls r4,r4,#2
 adds r4,r4,r1
 ldr r1,8f
 muls r2,r1,r2
 muls r3,r1,r3
 muls r4,r1,r4
 muls r7,r1,r7
 ldr r1,[sp,#104]
 adds r2,r2,r1
 adds r3,r3,r1
 mov r1,lr
 ldmia r1!,{r5,r6}
 mov lr,r1
 adds r4,r4,r5
 adds r7,r7,r6
 subs r0,#24
 stmia r0!,{r2,r3,r4,r7}
 mov r12,r0
 subs r0,#16
 ldr r2,[sp,#100]
 uxth r5,r2
 asrs r6,r2,#16
 ldr r7,[sp,#96]
 .p2align 3
3: ldmia r0!,{r1}
 .if \relu
 cmp r1,r11
 blt 6f
 .else
 asrs r1,r1,#5
 .endif
 k6_requantize 1-\relu
5: strb r1,[r7]
 add r7,r8
 cmp r0,r12
 bne 3b
 ldr r1,[sp,#96]
 ldr r2,[sp,#172]
 adds r1,r1,r2
 str r1,[sp,#96]
 adds r0,#8
 mov r1,sp
 adds r1,#96
 cmp r0,r1
 bne 2b
 add sp,#136
 pop {r4-r7}
 mov r8,r4
 mov r9,r5
 mov r10,r6
 mov r11,r7
 pop {r4-r7,pc}
 .if \relu
6: movs r1,#127
 mvns r1,r1
 b 5b
 .endif
 .p2align 2
8: .word 0x38e38e39
 k_end \name
 .endm
 k6_w4_output kinglet_v6_w4_output 0
 k6_w4_output kinglet_v6_w4_output_relu 1
