@ Depthwise 3x3 by rows: channels apart, two columns to a word, words of three rows next to each other.

@ planes(dst, src, pixel, n, plane): n pairs of pixels, `pixel` bytes apart, of four channels, whose planes are `plane` bytes apart.
 k_fn kinglet_planes
 push {r4-r11,lr}
 ldr r12,[sp,#36]
 add r4,r0,r12
 add r5,r4,r12
 add r6,r5,r12
1: ldr r7,[r1]
 ldr r8,[r1,r2]
 add r1,r1,r2,lsl #1
 sxtb16 r9,r7
 sxtb16 r10,r8
 sxtb16 r7,r7,ror #8
 sxtb16 r8,r8,ror #8
 pkhbt r11,r9,r10,lsl #16
 pkhtb r9,r10,r9,asr #16
 pkhbt r10,r7,r8,lsl #16
 pkhtb r7,r8,r7,asr #16
 str r11,[r0],#12
 str r10,[r4],#12
 str r9,[r5],#12
 str r7,[r6],#12
 subs r3,r3,#1
 bne 1b
 pop {r4-r11,pc}
 k_end kinglet_planes

@ Adds row \row of three taps, \a = weights 0 and 1, \b = weights 1 and 2, to outputs r6 and r7 of two columns, \stride apart.
@ Clobbers r8-r10.
 .macro k_plane_row row op a b stride
 ldr r8,[r12,#4*\row]
 ldr r9,[r12,#4*\row+12]
 .if \stride==2
 ldr r10,[r12,#4*\row+24]
 .endif
 .ifc \op,first
 smuad r6,r8,\a
 .else
 smlad r6,r8,\a,r6
 .endif
 .if \stride==1
 .ifc \op,first
 smultb r7,r8,\a
 .else
 smlatb r7,r8,\a,r7
 .endif
 smlabt r6,r9,\b,r6
 smlad r7,r9,\b,r7
 .else
 .ifc \op,first
 smuad r7,r9,\a
 .else
 smlad r7,r9,\a,r7
 .endif
 smlabt r6,r9,\b,r6
 smlabt r7,r10,\b,r7
 .endif
 .endm

@ depthwise_row*(x, w, records, out, plane, pixel, n, row offsets): n pixels of four channels. Weights are {0, 1}, {1, 2} for three rows;
@ the offsets of the rows that the words of x are.
 .macro k_depthwise_row name stride
 k_fn \name
 push {r4-r11,lr}
 sub sp,sp,#36
 @ sp: 0 record, 16 pixels left, 20 x, 24 w, 28 records, 32 channels left
 str r0,[sp,#20]
 strd r1,r2,[sp,#24]
 mov r4,#4
 str r4,[sp,#32]
 mov lr,r3
1: ldrd r6,r7,[sp,#24]
 ldrd r8,r9,[sp,#84]
 ldr r10,[sp,#92]
 ldmia r7!,{r0-r3}
 str r7,[sp,#28]
 stmia sp,{r0-r3}
 add r0,r6,r8
 add r2,r6,r9
 add r4,r6,r10
 add r6,r6,#24
 str r6,[sp,#24]
 ldrd r0,r1,[r0]
 ldrd r2,r3,[r2]
 ldrd r4,r5,[r4]
 ldr r12,[sp,#20]
 ldr r6,[sp,#72]
 ldr r7,[sp,#80]
 add r6,r6,r12
 str r6,[sp,#20]
 str r7,[sp,#16]
 push {lr}
2: k_plane_row 0 first r0 r1 \stride
 k_plane_row 1 add r2 r3 \stride
 k_plane_row 2 add r4 r5 \stride
 add r12,r12,#12*\stride
 ldr r8,[sp,#4]
 ldr r9,[sp,#8]
 ldr r10,[sp,#12]
 ldr r11,[sp,#16]
 add r6,r8,r6,lsl #1
 add r7,r8,r7,lsl #1
 add r8,r10,r6,asr #31
 add r10,r10,r7,asr #31
 smmlar r6,r6,r9,r8
 smmlar r7,r7,r9,r10
 asr r6,r6,r11
 asr r7,r7,r11
 ldr r8,[sp,#20]
 ldr r9,[sp,#80]
 ssat r6,#8,r6
 ssat r7,#8,r7
 subs r8,r8,#2
 strb r6,[lr]
 add lr,lr,r9
 blo 3f
 strb r7,[lr]
 add lr,lr,r9
 str r8,[sp,#20]
 bne 2b
3: pop {lr}
 ldr r4,[sp,#32]
 add lr,lr,#1
 subs r4,r4,#1
 str r4,[sp,#32]
 bne 1b
 add sp,sp,#36
 pop {r4-r11,pc}
 k_end \name
 .endm
 k_depthwise_row kinglet_depthwise_row 1
 k_depthwise_row kinglet_depthwise_row2 2
