@ Depthwise 3x3 by lines, four channels at a time: channels apart, two pixels to a word, words of three lines next to each other.
@
@ Arguments, in which the blocks count: input and output, each {0 at, 4 line, 8 lines left, 12 ring, 16 bytes back} from 0 and from 20 on,
@ 40 pixel, 44 lines above, 48 lines inside, 52 padding, 56 x, 60 plane, 64 slot, pairs {68 of padding, 72 first half, 76 whole,
@ 80 second half, 84 of padding, 88 all}, 92 output pixel, 96 bytes of the outputs of the loop, 100 outputs left over, 104 stride, 108 lines, then for each
@ channel 56 bytes: its record, and weights {0, 1}, {1, 2} of rows 0, 1, 2, 0, 1.

@ Takes a pair of pixels, r7 and r8, apart into the planes from r0, r4, r5 and r6 on. Clobbers r7-r11.
 .macro k_plane_pair
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
 .endm

@ r3 pairs of padding, of r12. Clobbers r9.
 .macro k_plane_padding
 sxtb16 r9,r12
 cbz r3,8f
7: str r9,[r0],#12
 str r9,[r4],#12
 str r9,[r5],#12
 str r9,[r6],#12
 subs r3,r3,#1
 bne 7b
8:
 .endm

@ plane_line(arguments): takes the next line of the input apart.
 k_fn kinglet_plane_line
 push {r4-r11,lr}
 mov lr,r0
 ldr r0,[lr,#56]
 ldr r7,[lr,#64]
 ldr r4,[lr,#60]
 add r0,r0,r7
 add r7,r7,#4
 cmp r7,#12
 it eq
 moveq r7,#0
 str r7,[lr,#64]
 add r5,r0,r4,lsl #1
 add r6,r5,r4
 add r4,r0,r4
 ldr r12,[lr,#52]
 ldr r3,[lr,#88]
 ldr r7,[lr,#44]
 cbz r7,1f
 sub r7,r7,#1
 str r7,[lr,#44]
 b 6f
1: ldr r7,[lr,#48]
 subs r7,r7,#1
 blo 6f
 str r7,[lr,#48]
 ldr r1,[lr]
 ldr r7,[lr,#4]
 ldr r8,[lr,#8]
 add r7,r7,r1
 subs r8,r8,#1
 bne 2f
 ldr r8,[lr,#12]
 ldr r9,[lr,#16]
 sub r7,r7,r9
2: str r7,[lr]
 str r8,[lr,#8]
 ldr r2,[lr,#40]
 ldr r3,[lr,#68]
 k_plane_padding
 ldr r7,[lr,#72]
 ldr r3,[lr,#76]
 cbz r7,3f
 adds r3,r3,#1
 mov r7,r12
 ldr r8,[r1]
 add r1,r1,r2
 b 5f
3: cbz r3,9f
4: ldr r7,[r1]
 ldr r8,[r1,r2]
 add r1,r1,r2,lsl #1
5: k_plane_pair
 subs r3,r3,#1
 bne 4b
 @ No step from pixel to pixel: the second half was the last.
9: cbz r2,9f
 ldr r3,[lr,#80]
 cbz r3,9f
 ldr r7,[r1]
 mov r8,r12
 movs r2,#0
 b 5b
9: ldr r3,[lr,#84]
6: k_plane_padding
 pop {r4-r11,pc}
 k_end kinglet_plane_line

@ plane_constants(arguments, w, records): records, and weights doubled, for each channel; the middle weights are those of columns 0 and 1.
 k_fn kinglet_plane_constants
 push {r4-r8,lr}
 add r0,r0,#112
 mov r12,#4
1: ldmia r2!,{r3-r6}
 stmia r0!,{r3-r6}
 ldmia r1!,{r3-r8}
 pkhtb r4,r4,r3,asr #16
 pkhtb r6,r6,r5,asr #16
 pkhtb r8,r8,r7,asr #16
 .irp r,r3,r4,r5,r6,r7,r8
 sadd16 \r,\r,\r
 .endr
 stmia r0!,{r3-r8}
 stmia r0!,{r3-r6}
 subs r12,r12,#1
 bne 1b
 pop {r4-r8,pc}
 k_end kinglet_plane_constants

@ Adds line \line of three taps, \a = weights 0 and 1, \b = weights 1 and 2, to \from, into outputs r6 and, unless \stride is 0, r7.
@ Clobbers r8-r10.
 .macro k_plane_taps line a b stride first second
 ldr r8,[r12,#4*\line]
 ldr r9,[r12,#4*\line+12]
 .if \stride==2
 ldr r10,[r12,#4*\line+24]
 .endif
 .if \line==0
 ldr r11,[sp,#4]
 .endif
 smlad r6,r8,\a,\first
 .if \stride==1
 smlatb r7,r8,\a,\second
 smlabt r6,r9,\b,r6
 smlad r7,r9,\b,r7
 .elseif \stride==2
 smlad r7,r9,\a,\second
 smlabt r6,r9,\b,r6
 smlabt r7,r10,\b,r7
 .else
 smlabt r6,r9,\b,r6
 .endif
 .endm

@ The same for four neighboring outputs, r6-r9. Clobbers r10, r11.
 .macro k_plane_taps4 line a b
 ldr r10,[r12,#4*\line]
 ldr r11,[r12,#4*\line+12]
 .if \line==0
 ldr r9,[sp,#4]
 smlad r6,r10,\a,r9
 smlatb r7,r10,\a,r9
 smlad r8,r11,\a,r9
 smlatb r9,r11,\a,r9
 .else
 smlad r6,r10,\a,r6
 smlatb r7,r10,\a,r7
 smlad r8,r11,\a,r8
 smlatb r9,r11,\a,r9
 .endif
 ldr r10,[r12,#4*\line+24]
 smlabt r6,r11,\b,r6
 smlad r7,r11,\b,r7
 smlabt r8,r10,\b,r8
 smlad r9,r10,\b,r9
 .endm

@ Scales r6-r9, and stores them as outputs. Clobbers r10, r11.
 .macro k_plane_outputs4
 str r12,[sp,#48]
 ldr r10,[sp,#8]
 ldr r11,[sp,#12]
 .irp y,r6,r7,r8,r9
 add r12,r11,\y,asr #31
 smmlar \y,\y,r10,r12
 .endr
 ldr r10,[sp,#16]
 ldr r11,[sp,#20]
 ldr r12,[sp,#48]
 .irp y,r6,r7,r8,r9
 asr \y,\y,r10
 ssat \y,#8,\y
 strb \y,[lr]
 add lr,lr,r11
 .endr
 .endm

@ The same for r6 and r7; where a \rest at 48 is left over, r6 is what is left behind them, with the flag Z, and one alone ends at 6. Clobbers
@ r8-r11.
 .macro k_plane_outputs2 rest
 ldr r8,[sp,#8]
 ldr r9,[sp,#12]
 ldr r10,[sp,#16]
 add r11,r9,r6,asr #31
 add r9,r9,r7,asr #31
 smmlar r6,r6,r8,r11
 smmlar r7,r7,r8,r9
 ldr r8,[sp,#20]
 asr r6,r6,r10
 asr r7,r7,r10
 ssat r6,#8,r6
 ssat r7,#8,r7
 strb r6,[lr]
 add lr,lr,r8
 .if \rest
 ldr r6,[sp,#48]
 subs r6,r6,#2
 blo 6f
 .endif
 strb r7,[lr]
 add lr,lr,r8
 .endm

 .macro k_plane_sums stride
 k_plane_taps 0 r0 r1 \stride r11 r11
 k_plane_taps 1 r2 r3 \stride r6 r7
 k_plane_taps 2 r4 r5 \stride r6 r7
 .endm

@ depthwise_lines*(arguments, w, records): all lines, neighboring outputs \stride pixels apart: four at a time at stride 1, two at 2.
 .macro k_depthwise_lines name stride
 k_fn \name
 push {r4-r11,lr}
 sub sp,sp,#52
 @ sp: 0 arguments, 4 record, 20 pixel, 24 end, 28 channel, 32 its weights, 36 x, 40 lines to read or channels left, 44 out, 48 x, or outputs left over
 str r0,[sp]
 bl kinglet_plane_constants
 mov r4,#3
1: str r4,[sp,#40]
 ldr r0,[sp]
 bl kinglet_plane_line
 ldr r4,[sp,#40]
 subs r4,r4,#1
 bne 1b
 ldr r0,[sp]
 ldr r1,[r0,#20]
 ldr r2,[r0,#56]
 ldr r3,[r0,#64]
 ldr r4,[r0,#92]
 str r1,[sp,#44]
 str r2,[sp,#36]
 str r4,[sp,#20]
 @ The line that comes next is in the place of the first of the three.
 cbz r3,2f
 rsb r3,r3,#12
2: add r0,r0,#112
 lsl r3,r3,#1
 add r3,r3,#16
 strd r0,r3,[sp,#28]
 mov r4,#4
3: str r4,[sp,#40]
 ldrd r11,r10,[sp,#28]
 ldr lr,[sp,#44]
 ldr r12,[sp,#36]
 ldmia r11,{r0-r3}
 add r4,sp,#4
 stmia r4,{r0-r3}
 add r10,r10,r11
 add r11,r11,#56
 str r11,[sp,#28]
 ldmia r10,{r0-r5}
 ldr r6,[sp]
 add r10,lr,#1
 str r10,[sp,#44]
 ldr r7,[r6,#60]
 ldr r8,[r6,#96]
 add r7,r7,r12
 str r7,[sp,#36]
 add r8,r8,lr
 str r8,[sp,#24]
 cmp r8,lr
 beq 5f
4:
 .if \stride==1
 k_plane_taps4 0 r0 r1
 k_plane_taps4 1 r2 r3
 k_plane_taps4 2 r4 r5
 add r12,r12,#24
 k_plane_outputs4
 .else
 k_plane_sums \stride
 add r12,r12,#12*\stride
 k_plane_outputs2 0
 .endif
 ldr r9,[sp,#24]
 cmp lr,r9
 bne 4b
5: ldr r6,[sp]
 ldr r7,[r6,#100]
 cmp r7,#0
 beq 6f
 .if \stride==1
 @ By twos, of which the second may be one too many.
7: str r7,[sp,#48]
 k_plane_sums 1
 add r12,r12,#12
 k_plane_outputs2 1
 mov r7,r6
 bne 7b
 .else
 k_plane_sums 0
 ldr r8,[sp,#8]
 ldr r9,[sp,#12]
 ldr r10,[sp,#16]
 add r9,r9,r6,asr #31
 smmlar r6,r6,r8,r9
 asr r6,r6,r10
 ssat r6,#8,r6
 strb r6,[lr]
 .endif
6: ldr r4,[sp,#40]
 subs r4,r4,#1
 bne 3b
 ldr r0,[sp]
 ldr r1,[r0,#20]
 ldr r2,[r0,#24]
 ldr r3,[r0,#28]
 add r1,r1,r2
 subs r3,r3,#1
 bne 7f
 ldr r3,[r0,#32]
 ldr r2,[r0,#36]
 sub r1,r1,r2
7: str r1,[r0,#20]
 str r3,[r0,#28]
 ldr r4,[r0,#104]
 ldr r3,[r0,#108]
 subs r3,r3,#1
 str r3,[r0,#108]
 bne 1b
 add sp,sp,#52
 pop {r4-r11,pc}
 k_end \name
 .endm
 k_depthwise_lines kinglet_depthwise_lines 1
 k_depthwise_lines kinglet_depthwise_lines2 2
