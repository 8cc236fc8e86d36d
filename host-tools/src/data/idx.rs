//! IDX, the format of MNIST and Fashion-MNIST, gzipped or not.

use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use ndarray::Array4;

use super::{DataError, Dataset, Split, read};
use crate::files;

/// Magic numbers: unsigned bytes in three dimensions, and in one.
const IMAGES: u32 = 0x0803;
const LABELS: u32 = 0x0801;

/// Reads the four files in `folder`. Classes are called `names`, or by their numbers when there are none.
pub fn load(folder: &Path, names: &[String]) -> Result<Dataset, DataError> {
    let train = split(folder, "train")?;
    let test = split(folder, "t10k")?;
    if train.images.dim().1 != test.images.dim().1 || train.images.dim().2 != test.images.dim().2 {
        return Err(DataError::broken(folder, "training and test images differ in size".to_string()));
    }
    let count = train.labels.iter().chain(&test.labels).max().map_or(0, |top| usize::from(*top) + 1);
    let classes = match names.len() {
        0 => (0..count).map(|class| class.to_string()).collect(),
        named if named < count => {
            let reason = format!("its labels name {count} classes, but `classes` in the recipe only {named}");
            return Err(DataError::broken(folder, reason));
        }
        _ => names.to_vec(),
    };
    Ok(Dataset {
        name: folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned(),
        train,
        test,
        classes,
        skipped: Vec::new(),
    })
}

fn split(folder: &Path, part: &str) -> Result<Split, DataError> {
    let (path, [count, h, w], pixels) = array(folder, &format!("{part}-images-idx3-ubyte"), IMAGES)?;
    let (labels_path, [label_count, ..], labels) = array(folder, &format!("{part}-labels-idx1-ubyte"), LABELS)?;
    if count != label_count {
        return Err(DataError::broken(&labels_path, format!("{label_count} labels for {count} images")));
    }
    let images = Array4::from_shape_vec((count, h, w, 1), pixels);
    Ok(Split { images: images.map_err(|e| DataError::broken(&path, e.to_string()))?, labels })
}

/// Path, dimensions (1 where there are fewer than three) and bytes of one file.
fn array(folder: &Path, name: &str, magic: u32) -> Result<(PathBuf, [usize; 3], Vec<u8>), DataError> {
    let plain = folder.join(name);
    let zipped = folder.join(format!("{name}.gz"));
    let path = if !plain.exists() && zipped.exists() { zipped } else { plain };
    let mut bytes = read(&path)?;
    let broken = |reason: String| DataError::broken(&path, reason);
    if bytes.starts_with(&[0x1f, 0x8b]) {
        bytes = files::unpack(GzDecoder::new(&bytes[..]), bytes.len() as u64).map_err(|e| broken(e.to_string()))?;
    }
    let dims = (magic & 0xff) as usize;
    let (words, _) = bytes.as_chunks::<4>();
    let mut header = words.iter().map(|word| u32::from_be_bytes(*word));
    if words.len() <= dims || header.next() != Some(magic) {
        return Err(broken(format!("it does not begin with the IDX number {magic:#06x} and {dims} dimensions")));
    }
    let mut shape = [1usize; 3];
    shape.iter_mut().zip(header.take(dims)).for_each(|(extent, value)| *extent = value as usize);
    let len = shape.iter().fold(1usize, |len, extent| len.saturating_mul(*extent));
    let start = 4 * (dims + 1);
    if bytes.len() - start != len || len == 0 {
        return Err(broken(format!(
            "{:?} elements, but {} bytes after the header",
            &shape[..dims],
            bytes.len() - start
        )));
    }
    bytes.drain(..start);
    Ok((path, shape, bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(magic: u32, dims: &[u32], data: &[u8]) -> Vec<u8> {
        let header = [magic].iter().chain(dims).flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        [header, data.to_vec()].concat()
    }

    #[test]
    fn plain_and_zipped_files_are_read_and_broken_ones_named() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        let images = file(IMAGES, &[2, 3, 2], &(0..12).collect::<Vec<u8>>());
        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zipped.write_all(&images).unwrap();
        let zipped = zipped.finish().unwrap();
        put("train-images-idx3-ubyte.gz", &zipped);
        put("train-labels-idx1-ubyte", &file(LABELS, &[2], &[4, 1]));
        put("t10k-images-idx3-ubyte", &images);
        put("t10k-labels-idx1-ubyte", &file(LABELS, &[2], &[0, 0]));
        let data = load(folder.path(), &[]).unwrap();
        assert_eq!((data.image_shape(), data.classes.len(), data.train.image(1)[0]), ([3, 2, 1], 5, 6));

        let names: Vec<_> = ["shirt", "bag", "boot", "coat", "dress"].map(String::from).into();
        assert_eq!(load(folder.path(), &names).unwrap().classes, names);
        let error = load(folder.path(), &names[..4]).unwrap_err().to_string();
        assert!(error.contains("name 5 classes") && error.contains("only 4"), "{error}");

        let refused = |name: &str, bytes: &[u8], word: &str| {
            let old = std::fs::read(folder.path().join(name)).unwrap();
            put(name, bytes);
            let error = load(folder.path(), &[]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(word), "{error}");
            put(name, &old);
        };
        refused("t10k-labels-idx1-ubyte", &file(LABELS, &[3], &[0, 0, 0]), "3 labels for 2 images");
        refused("t10k-images-idx3-ubyte", &images[..20], "4 bytes after the header");
        refused("t10k-images-idx3-ubyte", &file(LABELS, &[2], &[1, 2]), "0x0803");
        refused("t10k-images-idx3-ubyte", &[], "0x0803");
        refused("train-images-idx3-ubyte.gz", &zipped[..zipped.len() - 9], "");
        refused("t10k-images-idx3-ubyte", &file(IMAGES, &[u32::MAX; 3], &[]), "0 bytes");
        let bomb = file(IMAGES, &[100, 1000, 1000], &vec![0; 100_000_000]);
        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zipped.write_all(&bomb).unwrap();
        refused("train-images-idx3-ubyte.gz", &zipped.finish().unwrap(), "more than 67108864");
    }
}
