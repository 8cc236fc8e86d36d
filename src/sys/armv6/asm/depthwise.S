@ taps(src, w, sums, step, columns, bytes from the last column to the next row, rows): four channels of a pixel, each by itself.
@ Inputs are read by bytes, which may lie anywhere.
 .macro k6_tap at sum w upper
 ldrb r2,[r0,#\at]
 sxtb r2,r2
 .if \upper
 asrs \w,\w,#16
 muls r2,\w,r2
 .else
 sxth r6,\w
 muls r2,r6,r2
 .endif
 add \sum,r2
 .endm
 k_fn kinglet_v6_taps
 push {r4-r7,lr}
 mov r4,r8
 mov r5,r9
 mov r6,r10
 mov r7,r11
 push {r2-r7}
 @ sp: 0 sums, 44 columns, 48 to the next row, 52 rows left
 mov r12,r3
 movs r2,#0
 mov r8,r2
 mov r9,r2
 mov r10,r2
 mov r11,r2
 ldr r3,[sp,#48]
1: ldr r7,[sp,#44]
 .p2align 3
2: ldmia r1!,{r4,r5}
 k6_tap 0 r8 r4 0
 k6_tap 1 r9 r5 0
 k6_tap 2 r10 r4 1
 k6_tap 3 r11 r5 1
 add r0,r12
 subs r7,r7,#1
 bne 2b
 adds r0,r0,r3
 ldr r2,[sp,#52]
 subs r2,r2,#1
 str r2,[sp,#52]
 bne 1b
 ldr r0,[sp]
 mov r4,r8
 mov r5,r9
 mov r6,r10
 mov r7,r11
 stmia r0!,{r4-r7}
 pop {r2-r7}
 mov r8,r4
 mov r9,r5
 mov r10,r6
 mov r11,r7
 pop {r4-r7,pc}
 k_end kinglet_v6_taps
