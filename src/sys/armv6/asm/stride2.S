@ Winograd for 3x3 at stride 2, see kernels/blocks/stride2.rs.

@ Stores \r, a number hi * 2^16 + lo of halves -256..255, as a pair of halves.
 .macro k6_put_pair r at
 lsls r7,\r,#16
 lsrs r7,r7,#31
 lsls r7,r7,#16
 adds \r,\r,r7
 str \r,[r0,#\at]
 .endm

@ Half of the vertical transform of a column, of r2-r6 = rows 0-4 of two channels as 0..255; r10 takes 128 from either.
 .macro k6_s2_half at
 subs r2,r2,r4
 subs r6,r4,r6
 add r3,r10
 add r4,r10
 add r5,r10
 k6_put_pair r2 \at
 k6_put_pair r3 \at+4
 k6_put_pair r4 \at+8
 k6_put_pair r6 \at+12
 k6_put_pair r5 \at+16
 .endm

@ s2_vertical(rows, t, step, columns, fill, missing): t[column][half][5]; rows that `missing` has a bit for are `fill`.
 k_fn kinglet_v6_s2_vertical
 push {r4-r7,lr}
 mov r4,r8
 mov r5,r9
 mov r6,r10
 mov r7,r11
 push {r4-r7}
 sub sp,#36
 @ sp: 0-19 rows, 20 t, 24 end of t, 28 step, 32 offset of the column, 72 fill, 76 missing
 movs r4,#40
 muls r4,r3,r4
 adds r4,r1,r4
 movs r5,#0
 str r1,[sp,#20]
 str r4,[sp,#24]
 str r2,[sp,#28]
 str r5,[sp,#32]
 ldmia r0!,{r2-r6}
 mov r1,sp
 stmia r1!,{r2-r6}
 ldr r1,7f
 mov r10,r1
1: ldr r0,[sp,#32]
 .irp i,2,3,4,5,6
 ldr r1,[sp,#4*\i-8]
 ldr r\i,[r1,r0]
 .endr
 ldr r1,[sp,#28]
 adds r0,r0,r1
 str r0,[sp,#32]
 ldr r0,[sp,#76]
 cmp r0,#0
 beq 2f
 ldr r1,[sp,#72]
 .irp i,2,3,4,5,6
 lsrs r0,r0,#1
 bcc 3f
 mov r\i,r1
3:
 .endr
2: ldr r1,8f
 .irp i,2,3,4,5,6
 eors r\i,r1
 .endr
 ldr r1,9f
 k6_apart r2 r8
 k6_apart r3 r9
 k6_apart r4 r11
 k6_apart r5 r12
 k6_apart r6 lr
 ldr r0,[sp,#20]
 k6_s2_half 0
 mov r2,r8
 mov r3,r9
 mov r4,r11
 mov r5,r12
 mov r6,lr
 k6_s2_half 20
 adds r0,#40
 str r0,[sp,#20]
 ldr r1,[sp,#24]
 cmp r0,r1
 beq 4f
 b 1b
4: add sp,#36
 pop {r4-r7}
 mov r8,r4
 mov r9,r5
 mov r10,r6
 mov r11,r7
 pop {r4-r7,pc}
 .p2align 2
7: .word -0x00800080
8: .word 0x80808080
9: .word 0x00ff00ff
 k_end kinglet_v6_s2_vertical

@ \a - \b by halves into \a. Clobbers r3, r5.
 .macro k6_sub16 a b
 uxth r3,\a
 uxth r5,\b
 subs r3,r3,r5
 lsrs r3,r3,#16
 lsls r3,r3,#16
 subs \a,\a,\b
 subs \a,\a,r3
 .endm

@ A row of a tile, of which r2 is input 0; input 4 is the next tile's.
 .macro k6_s2_row
 ldr r3,[r0,#40]
 ldr r4,[r0,#80]
 ldr r5,[r0,#120]
 adds r0,#160
 ldr r6,[r0]
 mov r1,r9
 str r3,[r1,r7]
 mov r1,r12
 str r5,[r1,r7]
 mov r1,r10
 str r4,[r1,r7]
 k6_sub16 r2 r4
 mov r1,r8
 str r2,[r1,r7]
 k6_sub16 r4 r6
 mov r1,r11
 str r4,[r1,r7]
 mov r2,r6
 .endm

@ s2_horizontal(t, v, pairs of tiles, bytes per slot, slots): five rows of both halves; row a writes slots[a][0..5].
 k_fn kinglet_v6_s2_horizontal
 push {r4-r7,lr}
 mov r4,r8
 mov r5,r9
 mov r6,r10
 mov r7,r11
 push {r4-r7}
 sub sp,#24
 @ sp: 0 bytes of v, 4 t of the row, 8 v of the half, 12 slots of the row, 16 rows left, 20 bytes per slot, 60 slots
 @ r7 pair of tiles in v, r8-r12 slots of the row, lr bytes of a pair of tiles
 movs r4,#25
 muls r4,r3,r4
 mov lr,r4
 muls r4,r2,r4
 movs r5,#10
 ldr r6,[sp,#60]
 str r4,[sp]
 str r0,[sp,#4]
 str r1,[sp,#8]
 str r6,[sp,#12]
 str r5,[sp,#16]
 str r3,[sp,#20]
1: ldr r1,[sp,#8]
 ldr r4,[sp,#12]
 ldr r3,[sp,#20]
 .irp slot,r8,r9,r10,r11,r12
 ldmia r4!,{r5}
 muls r5,r3,r5
 adds r5,r5,r1
 mov \slot,r5
 .endr
 str r4,[sp,#12]
 ldr r0,[sp,#4]
 ldr r2,[r0]
 movs r7,#0
2: k6_s2_row
 adds r7,#4
 k6_s2_row
 subs r7,#4
 add r7,lr
 ldr r1,[sp]
 cmp r7,r1
 bne 2b
 ldr r0,[sp,#4]
 adds r0,#4
 str r0,[sp,#4]
 ldr r3,[sp,#16]
 subs r3,r3,#1
 beq 3f
 str r3,[sp,#16]
 cmp r3,#5
 bne 1b
 ldr r1,[sp,#8]
 adds r1,#8
 str r1,[sp,#8]
 ldr r4,[sp,#60]
 str r4,[sp,#12]
 b 1b
3: add sp,#24
 pop {r4-r7}
 mov r8,r4
 mov r9,r5
 mov r10,r6
 mov r11,r7
 pop {r4-r7,pc}
 k_end kinglet_v6_s2_horizontal
