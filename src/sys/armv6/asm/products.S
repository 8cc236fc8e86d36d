@ Products of pairs of 16-bit halves, as sums of single products: Armv6-M multiplies 32 bits by 32, in place of one of them.
@
@ A pass is 2 pixels (or tiles) x 2 channels: so many sums stay in registers with what they take, the sums in r8-r11. Two passes make a
@ block of four channels. A step is a pair of inputs of two pixels, from r0, times those of two channels, from r1; with \mode
@ 16: weights of 16 bits, a word for each channel and four words from step to step
@ 8: weights of 8 bits, a word for two channels and two words from step to step
@ paired: halves of 256 * the second channel's weight + the first's, laid out as those of 8 bits: r8, r10 are the sums of both channels,
@ r9, r11 those of the first
@ `at` is the step's place among those that r1 stands for. Whoever destroys a factor by its product takes a copy, extended, of the other.
 .macro k6_step mode at
 ldmia r0!,{r2,r3}
 .ifc \mode,16
 ldmia r1!,{r4,r5}
 adds r1,#8
 .else
 ldr r4,[r1,#8*\at]
 .endif
 @ The lower halves.
 sxth r6,r2
 .ifc \mode,8
 asrs r5,r4,#8
 sxtb r7,r4
 .else
 sxth r7,r4
 .endif
 muls r7,r6,r7
 add r8,r7
 k6_second \mode
 muls r7,r6,r7
 add r9,r7
 sxth r6,r3
 .ifc \mode,8
 sxtb r7,r4
 .else
 sxth r7,r4
 .endif
 muls r7,r6,r7
 add r10,r7
 k6_second \mode
 muls r7,r6,r7
 add r11,r7
 @ The upper halves.
 asrs r2,r2,#16
 asrs r3,r3,#16
 asrs r4,r4,#16
 .ifc \mode,paired
 sxtb r5,r4
 .else
 asrs r5,r5,#16
 .endif
 .ifc \mode,8
 sxtb r4,r4
 .endif
 mov r7,r4
 muls r7,r2,r7
 add r8,r7
 muls r2,r5,r2
 add r9,r2
 muls r4,r3,r4
 add r10,r4
 muls r3,r5,r3
 add r11,r3
 .endm

@ The second channel's weight for the lower half.
 .macro k6_second mode
 .ifc \mode,16
 sxth r7,r5
 .endif
 .ifc \mode,8
 sxtb r7,r5
 .endif
 .ifc \mode,paired
 sxtb r7,r4
 .endif
 .endm

@ products(x, w, sums, bytes of x, bytes from the end of x to the next, blocks): 2 pixels x 4 channels over an even number of pairs of
@ inputs, for each block sums[2 pixels][4 channels].
 .macro k6_products name mode words
 k_fn \name
 push {r4-r7,lr}
 mov r4,r8
 mov r5,r9
 mov r6,r10
 mov r7,r11
 push {r3-r7}
 @ sp: 0 bytes of x, 40 to the next x, 44 passes left
 ldr r4,[sp,#44]
 lsls r4,r4,#1
 str r4,[sp,#44]
 mov lr,r2
 @ The loop begins with a line of flash.
 .p2align 3
1: ldr r3,[sp]
 adds r3,r0,r3
 mov r12,r3
5: movs r3,#0
 mov r8,r3
 mov r9,r3
 mov r10,r3
 mov r11,r3
2: k6_step \mode 0
 k6_step \mode 1
 .if \words<4
 adds r1,#16
 .endif
 cmp r0,r12
 bne 2b
 mov r2,lr
 mov r4,r8
 mov r5,r9
 mov r6,r10
 mov r7,r11
 .ifc \mode,paired
 subs r4,r4,r5
 subs r6,r6,r7
 asrs r4,r4,#8
 asrs r6,r6,#8
 str r5,[r2]
 str r4,[r2,#4]
 str r7,[r2,#16]
 str r6,[r2,#20]
 adds r2,#24
 .else
 stmia r2!,{r4,r5}
 adds r2,#8
 stmia r2!,{r6,r7}
 .endif
 ldr r6,[sp,#44]
 subs r6,r6,#1
 beq 4f
 str r6,[sp,#44]
 lsrs r6,r6,#1
 bcc 3f
 @ Back to the same inputs, with the other two channels.
 ldr r3,[sp]
 subs r2,#16
 mov lr,r2
 subs r0,r0,r3
 .if \words==4
 lsls r3,r3,#1
 .endif
 subs r1,r1,r3
 adds r1,#2*\words
 b 5b
3: mov lr,r2
 ldr r3,[sp,#40]
 adds r0,r0,r3
 subs r1,#2*\words
 b 1b
4: pop {r3-r7}
 mov r8,r4
 mov r9,r5
 mov r10,r6
 mov r11,r7
 pop {r4-r7,pc}
 k_end \name
 .endm
 k6_products kinglet_v6_products16 16 4
 k6_products kinglet_v6_products8 8 2
 k6_products kinglet_v6_products_paired paired 2

@ quantize(sums, records, out of pixel 0, out of pixel 1): four channels of two pixels, sums[2 pixels][4 channels].
 k_fn kinglet_v6_quantize
 push {r4-r7,lr}
 mov r4,r8
 mov r5,r9
 mov r6,r10
 mov r7,r11
 push {r4-r7}
 mov lr,r2
 adds r7,r3,#4
 push {r3,r7}
 @ sp: 0 out of pixel 1, 4 its end
 movs r3,#1
 lsls r3,r3,#15
 mov r11,r3
 .p2align 3
1: ldmia r1!,{r2,r3,r4,r5}
 mov r12,r1
 mov r8,r2
 mov r10,r4
 mov r9,r5
 uxth r5,r3
 asrs r6,r3,#16
 .irp pixel,0,1
 ldr r1,[r0,#16*\pixel]
 lsls r1,r1,#1
 add r1,r8
 k6_requantize
 .if \pixel
 ldr r7,[sp]
 .else
 mov r7,lr
 .endif
 strb r1,[r7]
 adds r7,#1
 .if \pixel==0
 mov lr,r7
 .endif
 .endr
 str r7,[sp]
 adds r0,#4
 mov r1,r12
 ldr r2,[sp,#4]
 cmp r7,r2
 beq 2f
 b 1b
2: add sp,#8
 pop {r4-r7}
 mov r8,r4
 mov r9,r5
 mov r10,r6
 mov r11,r7
 pop {r4-r7,pc}
 k_end kinglet_v6_quantize
