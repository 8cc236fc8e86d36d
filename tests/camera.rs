//! Images from cameras become inputs: every element is the exact mean over its area; the Mega's driver says on the bus what the
//! module expects, and reports what goes wrong.
#![cfg(feature = "device")]

use embedded_hal_mock::eh1::delay::NoopDelay;
use embedded_hal_mock::eh1::spi::{Mock, Transaction};
use kinglet::device::arducam::{Mega, MegaError, Size};
use kinglet::device::camera::{CaptureError, Crop, Frame, FrameSource, Lines, PixelFormat, capture};
use kinglet::format::About;
use kinglet::memory::Region;
use kinglet::ops::{Op, Reshape};
use kinglet::write::{ModelSpec, PortSpec, StepSpec};
use kinglet::{ChannelOrder, DType, InputError, Model, PixelTables, Place, QuantParams, Session, Shape, Tensor};
use proptest::prelude::*;

mod common;

/// A model that takes images of `shape` and gives them back; pixels become elements by `255 - pixel`, so that the table shows.
fn model(shape: Shape, order: ChannelOrder) -> Vec<u8> {
    let quant = QuantParams { scale: 1.0, zero_point: 0 };
    let tensor = |shape: Shape, offset, first| Tensor {
        shape,
        dtype: DType::I8,
        quant,
        place: Place { offset, pitch: shape.c, rows: shape.h },
        first,
        ready: first,
        last: first + 1,
        parent: None,
    };
    let after = shape.len().next_multiple_of(16);
    let (op, scratch) = (Op::Reshape(Reshape), Region { offset: 0, len: 0 });
    let table: [i8; 256] = core::array::from_fn(|i| (!(i as u8) ^ 0x80) as i8);
    ModelSpec {
        name: "same",
        arena_len: 2 * after,
        fast_len: 0,
        inputs: &[PortSpec::input(0)],
        outputs: &[PortSpec::output(1)],
        states: &[],
        about: About::UNKNOWN,
        tensors: &[tensor(shape, 0, 0), tensor(Shape::vector(shape.len()), after, 1)],
        steps: &[StepSpec { name: "same", op, a: 0, b: None, output: 1, time_slot: 1, scratch }],
        labels: &[],
        pixels: Some(PixelTables { order, tables: &table, dtype: DType::I8 }),
    }
    .to_bytes()
}

/// An image in memory.
struct Image {
    frame: Frame,
    bytes: Vec<u8>,
    lines: usize,
}

impl FrameSource for Image {
    type Error = &'static str;

    fn frame(&self) -> Frame {
        self.frame
    }

    fn begin(&mut self) -> Result<(), Self::Error> {
        self.lines = 0;
        Ok(())
    }

    fn line(&mut self, line: &mut [u8]) -> Result<(), Self::Error> {
        assert_eq!(line.len(), self.frame.line_len());
        line.copy_from_slice(self.bytes.chunks(line.len()).nth(self.lines).ok_or("no more lines")?);
        self.lines += 1;
        Ok(())
    }
}

/// Red, green and blue of a pixel, in floating point and rounded once: what the formats say.
fn rgb(image: &Image, x: usize, y: usize) -> [u8; 3] {
    let line = &image.bytes[y * image.frame.line_len()..][..image.frame.line_len()];
    let of_565 = |word: u16| {
        let scale = |value: u16, most: f64| (f64::from(value) * 255.0 / most).round() as u8;
        [scale(word >> 11, 31.0), scale((word >> 5) & 63, 63.0), scale(word & 31, 31.0)]
    };
    let of_yuv = |y: u8, u: u8, v: u8| {
        let [y, u, v] = [f64::from(y), f64::from(u) - 128.0, f64::from(v) - 128.0];
        let byte = |value: f64| value.round().clamp(0.0, 255.0) as u8;
        [byte(y + 1.402 * v), byte(y - 0.344_136 * u - 0.714_136 * v), byte(y + 1.772 * u)]
    };
    match image.frame.format {
        PixelFormat::Grey => [line[x]; 3],
        PixelFormat::Rgb => [line[3 * x], line[3 * x + 1], line[3 * x + 2]],
        PixelFormat::Rgb565Be => of_565(u16::from(line[2 * x]) << 8 | u16::from(line[2 * x + 1])),
        PixelFormat::Rgb565Le => of_565(u16::from(line[2 * x + 1]) << 8 | u16::from(line[2 * x])),
        PixelFormat::Yuyv => of_yuv(line[2 * x], line[x / 2 * 4 + 1], line[x / 2 * 4 + 3]),
        PixelFormat::Uyvy => of_yuv(line[2 * x + 1], line[x / 2 * 4], line[x / 2 * 4 + 2]),
    }
}

/// The mean of `value` over the area of element `(x, y)`, by the overlap of intervals, in units of a pixel of the crop.
fn mean(crop: Crop, shape: Shape, [x, y]: [u32; 2], value: impl Fn(usize, usize) -> f64) -> f64 {
    let overlap = |pixel: u32, at: u32, pixels: u32, elements: u32| {
        let size = f64::from(pixels) / f64::from(elements);
        let (start, end) = (f64::from(at) * size, f64::from(at + 1) * size);
        (end.min(f64::from(pixel + 1)) - start.max(f64::from(pixel))).max(0.0) / size
    };
    let mut sum = 0.0;
    for row in 0..crop.height {
        for column in 0..crop.width {
            let weight = overlap(row, y, crop.height, shape.h) * overlap(column, x, crop.width, shape.w);
            sum += weight * value((crop.x + column) as usize, (crop.y + row) as usize);
        }
    }
    sum
}

const FORMATS: [PixelFormat; 6] = [
    PixelFormat::Grey,
    PixelFormat::Rgb,
    PixelFormat::Rgb565Be,
    PixelFormat::Rgb565Le,
    PixelFormat::Yuyv,
    PixelFormat::Uyvy,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 96 }))]
    /// Larger, smaller, cropped, of every format: each element is the mean of its area, within rounding.
    #[test]
    fn elements_are_means(
        format in prop::sample::select(&FORMATS[..]), half_width in 1u32..12, height in 1u32..20, out_h in 1u32..12, out_w in 1u32..12,
        order in prop::sample::select(&[ChannelOrder::Grey, ChannelOrder::Rgb, ChannelOrder::Bgr][..]),
        corner: [prop::sample::Index; 2], extent: [prop::sample::Index; 2], seed in prop::collection::vec(any::<u8>(), 64),
    ) {
        let frame = Frame { width: 2 * half_width, height, format };
        let bytes = (0..frame.line_len() * height as usize).map(|i| seed[(i * i + i / 7) % 64].wrapping_add(i as u8)).collect();
        let mut image = Image { frame, bytes, lines: 0 };
        let [x, y] = [corner[0].index(frame.width as usize) as u32, corner[1].index(height as usize) as u32];
        let width = 1 + extent[0].index((frame.width - x) as usize) as u32;
        let crop = Crop { x, y, width, height: 1 + extent[1].index((height - y) as usize) as u32 };
        let shape = Shape::new(out_h, out_w, if order == ChannelOrder::Grey { 1 } else { 3 });
        let file = model(shape, order);
        let mut aligned = Vec::new();
        let model = Model::new(common::aligned(&file, &mut aligned)).unwrap();
        let mut memory = Vec::new();
        let mut session = Session::open(model, common::arena(&mut memory, model.arena_len())).unwrap();
        let mut lines = Lines::<{ 24 * 3 }, { 12 * 3 }>::new();
        let captured = capture(&mut image, crop, &mut lines, &mut session).unwrap().finish().unwrap();
        prop_assert_eq!(image.lines as u32, crop.y + crop.height, "no line is read that is not needed");

        let elements = captured.elements::<i8>().unwrap();
        let mut found = elements.iter().map(|&element| f64::from(!(element as u8 ^ 0x80)));
        for at in (0..out_h).flat_map(|y| (0..out_w).map(move |x| [x, y])) {
            for channel in 0..shape.c as usize {
                let value = |x, y| {
                    let [r, g, b] = rgb(&image, x, y);
                    let luma = match format {
                        PixelFormat::Yuyv => image.bytes[y * frame.line_len() + 2 * x],
                        PixelFormat::Uyvy => image.bytes[y * frame.line_len() + 2 * x + 1],
                        // The image crate's, with which training makes images grey.
                        _ => ((2126 * u32::from(r) + 7152 * u32::from(g) + 722 * u32::from(b)) / 10_000) as u8,
                    };
                    f64::from(match order {
                        ChannelOrder::Grey => luma,
                        ChannelOrder::Rgb => [r, g, b][channel],
                        ChannelOrder::Bgr => [b, g, r][channel],
                    })
                };
                let (expected, found) = (mean(crop, shape, at, value), found.next().unwrap());
                // The conversions round too, each to within one: 565's by shifts, YUV's by multiples of 1/256.
                let most = if matches!(format, PixelFormat::Grey | PixelFormat::Rgb) { 0.5001 } else { 2.0 };
                prop_assert!((found - expected).abs() <= most, "{at:?} channel {channel}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn the_centre_is_within_and_as_large_as_can_be(width in 1u32..4000, height in 1u32..4000, w in 1u32..300, h in 1u32..300) {
        let frame = Frame { width, height, format: PixelFormat::Grey };
        let crop = Crop::centre(frame, Shape::new(h, w, 1));
        prop_assert!(crop.width >= 1 && crop.x + crop.width <= width && crop.height >= 1 && crop.y + crop.height <= height);
        prop_assert!(crop.width == width || crop.height == height);
        // Of the same proportions, to within a pixel.
        let (a, b) = (u64::from(crop.width) * u64::from(h), u64::from(crop.height) * u64::from(w));
        prop_assert!(a.abs_diff(b) <= u64::from(w.max(h)), "{crop:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let frame = Frame { width: 8, height: 4, format: PixelFormat::Rgb };
    let mut image = Image { frame, bytes: vec![9; 8 * 4 * 3], lines: 0 };
    let file = model(Shape::new(4, 4, 3), ChannelOrder::Rgb);
    let mut aligned = Vec::new();
    let model = Model::new(common::aligned(&file, &mut aligned)).unwrap();
    let mut memory = Vec::new();
    let mut session = Session::open(model, common::arena(&mut memory, model.arena_len())).unwrap();
    let whole = Crop::whole(frame);
    for crop in
        [Crop { width: 0, ..whole }, Crop { x: 1, ..whole }, Crop { y: u32::MAX, ..whole }, Crop { height: 5, ..whole }]
    {
        let error = capture(&mut image, crop, &mut Lines::<24, 12>::new(), &mut session).unwrap_err();
        assert_eq!(error, CaptureError::Crop);
    }
    let needed = CaptureError::Lines { line: 24, row: 12 };
    assert_eq!(capture(&mut image, whole, &mut Lines::<23, 12>::new(), &mut session).unwrap_err(), needed);
    assert_eq!(capture(&mut image, whole, &mut Lines::<24, 11>::new(), &mut session).unwrap_err(), needed);
    image.bytes.truncate(8 * 3 * 3);
    let error = capture(&mut image, whole, &mut Lines::<24, 12>::new(), &mut session).unwrap_err();
    assert_eq!(error, CaptureError::Camera("no more lines"));

    let mut rows = session.pixel_rows();
    assert_eq!(rows.push(&[0; 11]), Err(InputError::Length { needed: 12, given: 11 }));
    (0..4).for_each(|_| rows.push(&[0; 12]).unwrap());
    assert_eq!(rows.push(&[0; 12]), Err(InputError::Length { needed: 48, given: 60 }));
    assert!(rows.start().is_ok());
    let mut rows = session.pixel_rows();
    rows.push(&[0; 12]).unwrap();
    assert_eq!(rows.start().unwrap_err(), InputError::Length { needed: 48, given: 12 });
    let four = common::small_model();
    let mut file = Vec::new();
    let model = Model::new(common::aligned(&four, &mut file)).unwrap();
    let mut memory = Vec::new();
    let mut session = Session::open(model, common::arena(&mut memory, model.arena_len())).unwrap();
    let error = capture(&mut image, whole, &mut Lines::<24, 32>::new(), &mut session).unwrap_err();
    assert_eq!(error, CaptureError::Channels);
}

/// A transaction: what is written, and what is read after it.
fn transfer(write: &[u8], read: &[u8]) -> Vec<Transaction<u8>> {
    let mut all = vec![Transaction::transaction_start(), Transaction::write_vec(write.to_vec())];
    if !read.is_empty() {
        all.push(Transaction::read_vec(read.to_vec()));
    }
    all.push(Transaction::transaction_end());
    all
}

/// What the camera's start says on the bus, with a sensor that is busy twice.
fn start(format: u8, size: u8, sensor: u8) -> Vec<Transaction<u8>> {
    let idle = || transfer(&[0x44, 0], &[0x02]);
    let mut all = [transfer(&[0x87, 0x40], &[]), transfer(&[0x44, 0], &[0x01]), transfer(&[0x44, 0], &[0xFF])].concat();
    all.extend([idle(), transfer(&[0x40, 0], &[sensor])].concat());
    if sensor == 0x81 {
        for [address, value] in [[0x8A, 0x78], [0xA0, format], [0xA1, size]] {
            all.extend([transfer(&[address, value], &[]), idle()].concat());
        }
    }
    all
}

/// What taking an image says; the FIFO has so many bytes.
fn shot(len: u32) -> Vec<Transaction<u8>> {
    let [a, b, c, _] = len.to_le_bytes();
    [
        transfer(&[0x84, 0x01], &[]),
        transfer(&[0x84, 0x02], &[]),
        transfer(&[0x44, 0], &[0x02]),
        transfer(&[0x44, 0], &[0x06]),
        transfer(&[0x45, 0], &[a]),
        transfer(&[0x46, 0], &[b]),
        transfer(&[0x47, 0], &[c]),
    ]
    .concat()
}

#[test]
fn the_mega_is_spoken_to_as_it_expects() {
    let line: Vec<u8> = (0..192u8).collect();
    let other: Vec<u8> = line.iter().rev().copied().collect();
    let expected = [
        start(2, 0x0A, 0x81),
        shot(96 * 96 * 2),
        transfer(&[0x3C, 0x00], &line),
        transfer(&[0x3C], &other),
        shot(96 * 96 * 2 + 3),
        transfer(&[0x3C, 0x00], &other),
    ]
    .concat();
    let mut spi = Mock::new(&expected);
    let mut camera = Mega::new(spi.clone(), NoopDelay::new(), Size::Square96, PixelFormat::Rgb565Be).unwrap();
    assert_eq!(camera.frame(), Frame { width: 96, height: 96, format: PixelFormat::Rgb565Be });
    let mut read = [0; 192];
    camera.begin().unwrap();
    camera.line(&mut read).unwrap();
    assert_eq!(read[..], line);
    camera.line(&mut read).unwrap();
    assert_eq!(read[..], other);
    camera.begin().unwrap();
    camera.line(&mut read).unwrap();
    assert_eq!(read[..], other);
    spi.done();
}

#[test]
fn the_megas_failures_are_told_apart() {
    let mut spi = Mock::new(&[start(3, 0x01, 0x81), shot(320 * 240 * 2 - 1)].concat());
    let mut camera = Mega::new(spi.clone(), NoopDelay::new(), Size::Qvga, PixelFormat::Yuyv).unwrap();
    let given = 320 * 240 * 2 - 1;
    assert_eq!(camera.begin(), Err(MegaError::Short { needed: given + 1, given }));
    spi.done();

    let mut spi = Mock::new(&start(2, 0x02, 0x26));
    let error = Mega::new(spi.clone(), NoopDelay::new(), Size::Vga, PixelFormat::Rgb565Le).err().unwrap();
    assert_eq!(error, MegaError::Unknown(0x26));
    spi.done();

    let mut spi = Mock::new(&[] as &[Transaction<u8>]);
    let error = Mega::new(spi.clone(), NoopDelay::new(), Size::Vga, PixelFormat::Rgb).err().unwrap();
    assert_eq!(error, MegaError::Format(PixelFormat::Rgb));
    spi.done();
}

/// Nothing is connected: the line reads high for ever.
#[test]
#[cfg_attr(miri, ignore = "says the same three thousand times")]
fn a_camera_that_is_not_there_is_given_up() {
    let waits: Vec<_> = (0..3000).flat_map(|_| transfer(&[0x44, 0], &[0xFF])).collect();
    let mut spi = Mock::new(&[transfer(&[0x87, 0x40], &[]), waits].concat());
    let error = Mega::new(spi.clone(), NoopDelay::new(), Size::Square128, PixelFormat::Uyvy).err().unwrap();
    assert_eq!(error, MegaError::Timeout);
    spi.done();
}
