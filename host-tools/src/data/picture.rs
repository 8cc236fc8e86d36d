//! A picture as a network's pixels: turned as its camera says, on white where it is transparent, cut or filled up to size.

use std::collections::{HashSet, VecDeque};
use std::fs::DirEntry;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbImage};
use serde::{Deserialize, Serialize};

use super::{DataError, read};
use crate::files;

/// The bars beside a picture that is filled up.
const BARS: u8 = 128;

/// The most pixels of a picture, along a side.
const MAX_SIDE: u32 = 1 << 15;

/// How a picture of another form than the network's gets that form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// What is too much on two sides is cut off.
    #[default]
    Crop,
    /// Gray bars on two sides.
    Pad,
    /// Width and height are scaled differently.
    Squash,
}

/// The picture of grey or RGB pixels, `h x w x c` bytes.
///
/// # Panics
/// When there are fewer pixels.
pub fn of([h, w, c]: [usize; 3], pixels: &[u8]) -> RgbImage {
    RgbImage::from_fn(w as u32, h as u32, |x, y| {
        let pixel = &pixels[(y as usize * w + x as usize) * c..][..c];
        image::Rgb([0, 1, 2].map(|channel| pixel[channel.min(c - 1)]))
    })
}

/// A picture as PNG.
///
/// # Errors
/// When it cannot be encoded.
pub fn png(picture: &RgbImage) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

/// Whether a file's name says that it is a picture that can be read.
pub fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg"))
}

/// The pictures under a folder, in the order of their paths; those whose names begin with a dot are left out. Each folder is looked into once,
/// by a path without links if it has one.
///
/// # Errors
/// Names the folder that cannot be read.
pub fn pictures_under(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let (mut found, mut known) = (Vec::new(), HashSet::new());
    let mut folders = VecDeque::from([folder.to_path_buf()]);
    while let Some(folder) = folders.pop_back() {
        let broken = |e: std::io::Error| DataError::broken(&folder, e.to_string());
        if !known.insert(folder.canonicalize().map_err(broken)?) {
            continue;
        }
        let mut inside = std::fs::read_dir(&folder).map_err(broken)?.collect::<Result<Vec<_>, _>>().map_err(broken)?;
        inside.sort_by_key(DirEntry::file_name);
        for path in inside.iter().map(DirEntry::path) {
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            } else if path.is_dir() {
                // Links wait until all folders within folders are known.
                if path.is_symlink() { folders.push_front(path) } else { folders.push_back(path) }
            } else if is_picture(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a picture from a file.
///
/// # Errors
/// Names the file, and why it is none.
pub fn open(path: &Path) -> Result<DynamicImage, DataError> {
    decode(&read(path)?).map_err(|reason| DataError::broken(path, reason))
}

/// Decodes a picture (PNG or JPEG), upright, without transparency.
///
/// # Errors
/// Why it is none.
pub fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    let mut decoder = reader.into_decoder().map_err(|e| e.to_string())?;
    let ((w, h), len, most) = (decoder.dimensions(), decoder.total_bytes(), files::most_unpacked(bytes.len() as u64));
    if w.max(h) > MAX_SIDE {
        return Err(format!("{h}x{w} pixels; a side has at most {MAX_SIDE}"));
    }
    if len > most {
        return Err(format!("{} bytes unpack to {len}; the most that is read of them is {most}", bytes.len()));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?;
    picture.apply_orientation(orientation);
    Ok(if picture.color().has_alpha() { on_white(&picture) } else { picture })
}

fn on_white(picture: &DynamicImage) -> DynamicImage {
    let picture = picture.to_rgba8();
    let opaque = RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [color @ .., alpha] = picture.get_pixel(x, y).0;
        image::Rgb(color.map(|part| {
            let (part, alpha) = (u32::from(part), u32::from(alpha));
            ((part * alpha + 255 * (255 - alpha) + 127) / 255) as u8
        }))
    });
    DynamicImage::ImageRgb8(opaque)
}

/// A picture's pixels, H x W x C, in a network's size; one channel when `gray`, else three.
pub fn pixels(picture: &DynamicImage, [h, w]: [u32; 2], gray: bool, fit: Fit) -> Vec<u8> {
    let bytes = |picture: DynamicImage| match gray {
        true => picture.into_luma8().into_raw(),
        false => picture.into_rgb8().into_raw(),
    };
    let (width, height) = (picture.width(), picture.height());
    if (width, height) == (w, h) {
        return bytes(picture.clone());
    }
    // The largest part of the one size that has the form of the other.
    let part = |of: [u32; 2], form: [u32; 2]| {
        let scaled = |side: u32, by: u32, from: u32| (u64::from(side) * u64::from(by) / u64::from(from.max(1))) as u32;
        [of[0].min(scaled(of[1], form[0], form[1])).max(1), of[1].min(scaled(of[0], form[1], form[0])).max(1)]
    };
    let scaled = |picture: &DynamicImage, w, h| picture.resize_exact(w, h, FilterType::Triangle);
    match fit {
        Fit::Squash => bytes(scaled(picture, w, h)),
        Fit::Crop => {
            let [cut_w, cut_h] = part([width, height], [w, h]);
            bytes(scaled(&picture.crop_imm((width - cut_w) / 2, (height - cut_h) / 2, cut_w, cut_h), w, h))
        }
        Fit::Pad => {
            let [inner_w, inner_h] = part([w, h], [width, height]);
            let mut whole = RgbImage::from_pixel(w, h, image::Rgb([BARS; 3]));
            let inner = scaled(picture, inner_w, inner_h).into_rgb8();
            image::imageops::replace(&mut whole, &inner, ((w - inner_w) / 2).into(), ((h - inner_h) / 2).into());
            bytes(DynamicImage::ImageRgb8(whole))
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{ExtendedColorType, GrayAlphaImage, ImageEncoder, ImageFormat, Luma, LumaA, Rgb};

    use super::*;

    fn png(picture: &DynamicImage) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    /// Two pixels, dark and light, in a PNG whose EXIF says how the camera was held.
    fn turned(orientation: u8) -> Vec<u8> {
        let exif = [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", &[orientation, 0, 0, 0][..], &[0; 4]].concat();
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(&[10, 200], 2, 1, ExtendedColorType::L8).unwrap();
        bytes
    }

    #[test]
    fn pictures_are_turned_upright() {
        let upright = |orientation| {
            let picture = decode(&turned(orientation)).unwrap();
            (picture.width(), picture.height(), picture.into_luma8().into_raw())
        };
        assert_eq!(upright(1), (2, 1, vec![10, 200]));
        assert_eq!(upright(3), (2, 1, vec![200, 10]));
        assert_eq!(upright(6), (1, 2, vec![10, 200]));
    }

    #[test]
    fn what_is_transparent_is_white() {
        let picture = GrayAlphaImage::from_raw(3, 1, vec![0, 255, 0, 0, 100, 51]).unwrap();
        assert_eq!(picture.get_pixel(2, 0), &LumaA([100, 51]));
        let picture = decode(&png(&picture.into())).unwrap();
        assert_eq!(picture.into_luma8().into_raw(), [0, 255, 224]);
    }

    #[test]
    fn forms_are_cut_filled_up_or_squashed() {
        // Twice as wide as high: black, white, white, black.
        let column = |x: u32| Luma([if (x / 2).is_multiple_of(3) { 0 } else { 255 }]);
        let picture = DynamicImage::ImageLuma8(image::GrayImage::from_fn(8, 4, |x, _| column(x)));
        let fitted = |fit| pixels(&picture, [2, 2], true, fit);
        assert_eq!(fitted(Fit::Crop), [255; 4], "the middle");
        assert!(fitted(Fit::Squash).iter().all(|&pixel| (64..192).contains(&pixel)));
        let padded = pixels(&picture, [4, 4], false, Fit::Pad);
        assert_eq!(padded[..3], [BARS; 3]);
        assert_eq!(padded[4 * 3 * 3..][..3], [BARS; 3]);
        assert!(padded[4 * 3 + 3] > 192 && padded[4 * 3] < 64);
        // In the network's size nothing is touched.
        let noise = DynamicImage::ImageRgb8(RgbImage::from_fn(5, 3, |x, y| Rgb([x as u8, y as u8, 7])));
        for fit in [Fit::Crop, Fit::Pad, Fit::Squash] {
            assert_eq!(pixels(&noise, [3, 5], false, fit), noise.as_bytes());
        }
    }

    #[test]
    fn files_that_are_no_pictures_are_named() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b.png");
        std::fs::create_dir(place.path().join("a")).unwrap();
        std::fs::write(&path, b"no picture").unwrap();
        std::fs::write(place.path().join("a/notes.txt"), b"").unwrap();
        std::fs::write(place.path().join(".hidden.png"), b"").unwrap();
        assert_eq!(pictures_under(place.path()).unwrap(), vec![path.clone()]);
        assert!(open(&path).unwrap_err().to_string().contains("b.png"));
    }
}
