//! PNG and JPEG files in folders or a tar archive.

use std::io::{BufReader, Read};
use std::path::{Component, Path, PathBuf};

use ndarray::Array4;
use rayon::prelude::*;

use super::source::Images;
use super::split::split_by_person;
use super::{DataError, Dataset, Split, open_file, picture, read, split_by_class};

/// The most bytes of one image file in an archive.
const MAX_LEN: u64 = 256 << 20;

/// The most pixels that images are resized to, along a side.
const MAX_EXTENT: u32 = 4096;

/// The most bytes of all images together, as they are kept in memory.
const MAX_TOTAL: u64 = 1 << 34;

/// An image file: its path inside the folder or archive, and its bytes or where to read them.
struct Entry {
    /// `[part, class, file]`; `part` is `train`, `test` or empty.
    path: [String; 3],
    bytes: Bytes,
}

enum Bytes {
    Here(Vec<u8>),
    At(PathBuf),
}

/// Reads all images, in the order of their paths.
pub fn load(source: &Images) -> Result<Dataset, DataError> {
    let broken = |reason: String| DataError::broken(&source.path, reason);
    if let Some(extent) = source.size.iter().flatten().find(|extent| !(1..=MAX_EXTENT).contains(*extent)) {
        return Err(broken(format!("`size` has {extent}; an extent is 1 to {MAX_EXTENT} pixels")));
    }
    let mut entries = if source.path.is_dir() { folder(&source.path)? } else { archive(&source.path)? };
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let mut classes = source.classes.clone();
    if classes.is_empty() {
        classes = entries.iter().map(|entry| entry.path[1].clone()).collect();
        classes.sort();
        classes.dedup();
    }
    if let Some(absent) = classes.iter().find(|class| entries.iter().all(|entry| entry.path[1] != **class)) {
        return Err(broken(format!("no images in a folder `{absent}`")));
    }
    if !(2..=256).contains(&classes.len()) {
        let found = format!("{} classes, expected 2 to 256: folders with .png, .jpg or .jpeg files", classes.len());
        return Err(broken(found));
    }
    let class_of = |entry: &Entry| classes.iter().position(|class| *class == entry.path[1]);
    entries.retain(|entry| class_of(entry).is_some());
    let size = match source.size {
        Some(size) => size,
        None => first_size(source, &entries)?,
    };
    let channels = if source.gray { 1 } else { 3 };
    let total = [entries.len() as u64, channels as u64].into_iter().chain(size.map(u64::from)).product::<u64>();
    if total > MAX_TOTAL {
        let (count, [h, w]) = (entries.len(), size);
        let reason = format!("{count} images of {h}x{w} pixels take {total} bytes of memory; the most is {MAX_TOTAL}");
        return Err(broken(reason));
    }
    let decoded: Vec<Result<Vec<u8>, DataError>> =
        entries.par_iter().map(|entry| decode(source, entry, size)).collect();

    let mut parts: [(Vec<u8>, Vec<u8>); 3] = Default::default();
    let (mut skipped, mut files) = (Vec::new(), Vec::new());
    for (entry, pixels) in entries.iter().zip(decoded) {
        let pixels = match pixels {
            Ok(pixels) => pixels,
            Err(error) if source.skip_bad => {
                skipped.push(error.to_string());
                continue;
            }
            Err(error) => return Err(error),
        };
        let part = ["train", "test", ""].iter().position(|part| *part == entry.path[0]).unwrap_or(2);
        parts[part].0.extend(pixels);
        parts[part].1.extend(class_of(entry).map(|class| class as u8));
        files.push(&entry.path[2]);
    }
    let split = |(pixels, labels): (Vec<u8>, Vec<u8>)| {
        let dims = (labels.len(), size[0] as usize, size[1] as usize, channels);
        Split { images: Array4::from_shape_vec(dims, pixels).expect("all images have one size"), labels }
    };
    let [train, test, mixed] = parts.map(split);
    let (train, test) = match (mixed.is_empty(), train.is_empty(), test.is_empty()) {
        (true, false, false) => (train, test),
        (false, true, true) if source.persons => {
            let numbers: Option<Vec<u64>> = files.iter().map(|file| number(file)).collect();
            let numbers =
                numbers.ok_or_else(|| broken("`persons` needs files with numbers in their names".to_string()))?;
            split_by_person(&mixed, classes.len(), &numbers, source.split_seed)
        }
        (false, true, true) => split_by_class(&mixed, classes.len(), source.split_seed),
        _ => return Err(broken("expected class folders, or class folders in both `train` and `test`".to_string())),
    };
    let name = source.path.file_name().unwrap_or(source.path.as_os_str()).to_string_lossy().into_owned();
    Ok(Dataset { name, train, test, classes, skipped })
}

/// The last number in a file's name.
fn number(file: &str) -> Option<u64> {
    file.rsplit(|letter: char| !letter.is_ascii_digit()).find(|digits| !digits.is_empty())?.parse().ok()
}

/// Part, class and file of a path, if it is an image's.
fn place(path: &Path) -> Option<[String; 3]> {
    let names: Option<Vec<&str>> = path
        .components()
        .filter(|component| !matches!(component, Component::CurDir))
        .map(|component| component.as_os_str().to_str())
        .collect();
    let names = names?;
    if !picture::is_picture(path) || names.iter().any(|name| name.starts_with('.')) {
        return None;
    }
    match names[..] {
        [part @ ("train" | "test"), class, file] => Some([part, class, file].map(String::from)),
        [.., class, file] => Some(["", class, file].map(String::from)),
        _ => None,
    }
}

fn folder(root: &Path) -> Result<Vec<Entry>, DataError> {
    let place = |path: PathBuf| Some(Entry { path: place(path.strip_prefix(root).ok()?)?, bytes: Bytes::At(path) });
    Ok(picture::pictures_under(root)?.into_iter().filter_map(place).collect())
}

fn archive(path: &Path) -> Result<Vec<Entry>, DataError> {
    let broken = |e: std::io::Error| DataError::broken(path, e.to_string());
    let mut archive = tar::Archive::new(BufReader::new(open_file(path)?));
    let mut entries = Vec::new();
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let place = place(&entry.path().map_err(broken)?);
        let (Some(place), true) = (place, entry.header().entry_type().is_file()) else { continue };
        let (size, mut bytes) = (entry.size(), Vec::new());
        let bad = |reason: String| DataError::broken(path, format!("`{}` has {size} bytes, {reason}", place.join("/")));
        if size > MAX_LEN {
            return Err(bad(format!("the most is {MAX_LEN}")));
        }
        entry.read_to_end(&mut bytes).map_err(broken)?;
        if bytes.len() as u64 != size {
            return Err(bad(format!("{} can be read", bytes.len())));
        }
        entries.push(Entry { path: place, bytes: Bytes::Here(bytes) });
    }
    Ok(entries)
}

fn open(source: &Images, entry: &Entry) -> Result<image::DynamicImage, DataError> {
    let name = source.path.join(entry.path.iter().filter(|name| !name.is_empty()).collect::<PathBuf>());
    let read_here;
    let bytes = match &entry.bytes {
        Bytes::Here(bytes) => bytes,
        Bytes::At(path) => {
            read_here = read(path)?;
            &read_here
        }
    };
    picture::decode(bytes).map_err(|reason| DataError::broken(&name, reason))
}

/// `[h, w]` of the first image that can be read.
fn first_size(source: &Images, entries: &[Entry]) -> Result<[u32; 2], DataError> {
    let mut last = DataError::broken(&source.path, "no images".to_string());
    for entry in entries {
        match open(source, entry) {
            Ok(image) => return Ok([image.height(), image.width()]),
            Err(error) if source.skip_bad => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// The pixels of an image, H x W x C.
fn decode(source: &Images, entry: &Entry, [h, w]: [u32; 2]) -> Result<Vec<u8>, DataError> {
    let image = open(source, entry)?;
    if (image.height(), image.width()) != (h, w) && source.size.is_none() {
        let name = source.path.join(entry.path.iter().collect::<PathBuf>());
        let reason = format!("{}x{} pixels, the first image has {h}x{w}; give `size`", image.height(), image.width());
        return Err(DataError::broken(&name, reason));
    }
    Ok(picture::pixels(&image, [h, w], source.gray, source.fit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(h: u32, w: u32, value: u8) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::RgbImage::from_pixel(w, h, image::Rgb([value, 0, 255]))
            .write_to(&mut bytes, image::ImageFormat::Png)
            .unwrap();
        bytes.into_inner()
    }

    fn source(path: &Path) -> Images {
        Images::at(path.to_path_buf())
    }

    fn put(root: &Path, name: &str, bytes: &[u8]) {
        std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        std::fs::write(root.join(name), bytes).unwrap();
    }

    #[test]
    fn folders_and_archives_give_the_same_and_broken_files_are_named() {
        let root = tempfile::tempdir().unwrap();
        for (class, value) in [("cat", 10), ("dog", 20)] {
            for index in 0..10 {
                put(root.path(), &format!("{class}/{index}.png"), &png(4, 6, value + index));
            }
        }
        put(root.path(), "cat/notes.txt", b"no image");
        let data = load(&source(root.path())).unwrap();
        assert_eq!((data.train.len(), data.test.len(), data.image_shape()), (16, 4, [4, 6, 3]));
        assert_eq!(data.classes, ["cat", "dog"]);
        assert_eq!(data.test.image(0)[1..3], [0, 255]);

        let tar_path = root.path().join("all.tar");
        let mut tar = tar::Builder::new(std::fs::File::create(&tar_path).unwrap());
        for class in ["cat", "dog"] {
            tar.append_dir_all(format!("./{class}"), root.path().join(class)).unwrap();
        }
        tar.finish().unwrap();
        let same = load(&source(&tar_path)).unwrap();
        assert_eq!((&same.train, &same.test), (&data.train, &data.test));

        let small =
            Images { size: Some([2, 2]), gray: true, classes: vec!["dog".into(), "cat".into()], ..source(&tar_path) };
        let small = load(&small).unwrap();
        assert_eq!((small.image_shape(), small.classes[0].as_str()), ([2, 2, 1], "dog"));

        put(root.path(), "dog/3.png", &png(4, 6, 1)[..30]);
        let error = load(&source(root.path())).unwrap_err().to_string();
        assert!(error.contains("dog/3.png"), "{error}");
        let skipped = load(&Images { skip_bad: true, ..source(root.path()) }).unwrap();
        assert_eq!(skipped.train.len() + skipped.test.len(), 19);
        assert!(matches!(&skipped.skipped[..], [one] if one.contains("dog/3.png")), "{:?}", skipped.skipped);
        put(root.path(), "dog/3.png", &png(5, 6, 1));
        let error = load(&source(root.path())).unwrap_err().to_string();
        assert!(error.contains("3.png") && error.contains("5x6"), "{error}");

        let bytes = std::fs::read(&tar_path).unwrap();
        std::fs::write(&tar_path, &bytes[..bytes.len() / 2 + 7]).unwrap();
        assert!(load(&source(&tar_path)).unwrap_err().to_string().contains("all.tar"));
    }

    #[test]
    #[cfg(unix)]
    fn links_are_followed_to_what_is_new() {
        use std::os::unix::fs::symlink;
        let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for index in 0..5 {
            put(root.path(), &format!("cat/{index}.png"), &png(2, 2, index));
            put(elsewhere.path(), &format!("{index}.png"), &png(2, 2, 100 + index));
        }
        symlink(elsewhere.path(), root.path().join("dog")).unwrap();
        let data = load(&source(root.path())).unwrap();
        // Every folder leads to every other in many ways.
        for folder in ["cat", "dog"] {
            for name in ["all", "again", "once-more"] {
                symlink(root.path(), root.path().join(folder).join(name)).unwrap();
            }
        }
        symlink(root.path().join("cat"), root.path().join("a-cat")).unwrap();
        assert_eq!(load(&source(root.path())).unwrap(), data);
        symlink("itself", root.path().join("itself")).unwrap();
        assert_eq!(load(&source(root.path())).unwrap(), data);
    }

    /// A PNG that says it has `h` x `w` pixels, of which some hundred thousand are there.
    fn bomb(h: u32, w: u32) -> Vec<u8> {
        let mut zeros = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut zeros, &vec![0; 1 << 20]).unwrap();
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        let header = [&h.to_be_bytes()[..], &w.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
        let header = [&header[4..8], &header[..4], &header[8..]].concat();
        for (kind, data) in [(b"IHDR", header), (b"IDAT", zeros.finish().unwrap()), (b"IEND", vec![])] {
            let mut check = flate2::Crc::new();
            check.update(kind);
            check.update(&data);
            file.extend((data.len() as u32).to_be_bytes().into_iter().chain(*kind).chain(data));
            file.extend(check.sum().to_be_bytes());
        }
        file
    }

    #[test]
    fn pictures_that_grow_without_measure_are_refused_with_the_bound() {
        let root = tempfile::tempdir().unwrap();
        for class in ["a", "b"] {
            put(root.path(), &format!("{class}/1.png"), &png(2, 2, 1));
            put(root.path(), &format!("{class}/2.png"), &png(2, 2, 1));
        }
        for (h, w, bound) in
            [(20_000, 20_000, "read of them is 67108864"), (1 << 30, 1, "32768"), (1, 1 << 16, "32768")]
        {
            put(root.path(), "a/1.png", &bomb(h, w));
            let error = load(&source(root.path())).unwrap_err().to_string();
            assert!(error.contains("a/1.png") && error.contains(bound), "{error}");
        }
        // Of so many pixels the memory for all images is refused before any is read.
        put(root.path(), "a/1.png", &png(2, 2, 1));
        for index in 0..400 {
            put(root.path(), &format!("b/{index}.png"), b"");
        }
        let large = Images { size: Some([4096, 4096]), ..source(root.path()) };
        let error = load(&large).unwrap_err().to_string();
        assert!(error.contains("the most is 17179869184"), "{error}");
    }

    /// Nothing is unpacked to the disk, and no name makes a class of what lies outside.
    #[test]
    fn archives_that_climb_out_get_nowhere() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("inside").join("images.tar");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
        let mut add = |name: &str, kind, link: &str, size: u64, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(kind);
            header.set_mode(0o644);
            header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_size(size);
            header.set_cksum();
            tar.append(&header, bytes).unwrap();
        };
        let picture = png(2, 2, 1);
        let len = picture.len() as u64;
        for name in ["../../out/a/1.png", "x/../../b/1.png", "/tmp/../c/1.png", "d/../1.png"] {
            add(name, tar::EntryType::Regular, "", len, &picture);
        }
        add("e/1.png", tar::EntryType::Symlink, "/etc/passwd", 0, &[]);
        add("e/2.png", tar::EntryType::Link, "../../secret", 0, &[]);
        for name in ["good/1.png", "good/2.png", "fine/1.png", "fine/2.png"] {
            add(name, tar::EntryType::Regular, "", len, &picture);
        }
        drop(tar);
        let data = load(&source(&path)).unwrap();
        assert_eq!((data.classes, data.train.len() + data.test.len()), (vec!["fine".into(), "good".into()], 4));
        let there: Vec<_> = std::fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(there, ["inside"]);

        let mut header = tar::Header::new_gnu();
        header.set_path("a/1.png").unwrap();
        header.set_size(1 << 33);
        header.set_cksum();
        std::fs::write(&path, header.as_bytes()).unwrap();
        let error = load(&source(&path)).unwrap_err().to_string();
        assert!(error.contains("a/1.png") && error.contains("the most is 268435456"), "{error}");
    }

    #[test]
    fn persons_are_held_out_as_a_whole() {
        let root = tempfile::tempdir().unwrap();
        // Ten persons show three signs each; the first shows one twice, the last lacks one. Pixels tell who it is.
        let mut number = 97;
        for person in 0..10 {
            let signs: &[usize] = match person {
                0 => &[0, 1, 1, 2],
                9 => &[0, 1],
                _ => &[0, 1, 2],
            };
            for &sign in signs {
                number += 1;
                let class = ["a", "b", "c"][sign];
                put(root.path(), &format!("{class}/IMG_{number}.png"), &png(2, 2, person));
            }
        }
        let data = load(&Images { persons: true, ..source(root.path()) }).unwrap();
        let who =
            |split: &Split| (0..split.len()).map(|i| split.image(i)[0]).collect::<std::collections::BTreeSet<_>>();
        let (train, test) = (who(&data.train), who(&data.test));
        assert_eq!((train.len(), test.len()), (8, 2));
        assert!(train.is_disjoint(&test));
        put(root.path(), "a/none.png", &png(2, 2, 1));
        let error = load(&Images { persons: true, ..source(root.path()) }).unwrap_err().to_string();
        assert!(error.contains("numbers"), "{error}");
    }

    #[test]
    fn split_folders_are_kept() {
        let root = tempfile::tempdir().unwrap();
        for (name, value) in [("train/a/1", 1), ("train/b/1", 2), ("test/a/1", 3), ("test/b/2", 4)] {
            put(root.path(), &format!("{name}.png"), &png(2, 2, value));
        }
        let data = load(&source(root.path())).unwrap();
        assert_eq!((data.train.image(1)[0], data.test.image(0)[0]), (2, 3));
        put(root.path(), "c/1.png", &png(2, 2, 5));
        assert!(load(&source(root.path())).unwrap_err().to_string().contains("`train` and `test`"));
    }
}
