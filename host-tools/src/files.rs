//! Reading and writing files with care: what is read may be anything, what is written appears whole or not at all.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ndarray::{ArrayD, IxDyn};
use ndarray_npy::{ReadableElement, ViewNpyError, ViewNpyExt};

/// The largest file that is read into memory.
pub const MAX_LEN: u64 = 4 << 30;

/// The most bytes that `packed` bytes of a file (gzip, PNG, a member of an archive) may unpack to: real ones grow less than
/// 64 times, or are small.
pub fn most_unpacked(packed: u64) -> u64 {
    packed.saturating_mul(64).clamp(64 << 20, 1 << 30)
}

/// All that `packed` unpacks to.
///
/// # Errors
/// Those of the reader; also when there is more than [`most_unpacked`] allows.
pub fn unpack(reader: impl Read, packed: u64) -> Result<Vec<u8>> {
    let (mut bytes, most) = (Vec::new(), most_unpacked(packed));
    reader.take(most + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= most, "{packed} bytes unpack to more than {most}, the most that is read of them");
    Ok(bytes)
}

/// An ordinary file, opened to be read.
///
/// # Errors
/// Names the file when it cannot be read, is a folder or a device, or is larger than [`MAX_LEN`].
pub fn open(path: &Path) -> Result<File> {
    let name = || format!("cannot read `{}`", path.display());
    // Asked before it is opened: opening a pipe would wait for its other end.
    let about = std::fs::metadata(path).with_context(name)?;
    ensure!(about.is_file(), "`{}` is not a file", path.display());
    ensure!(about.len() <= MAX_LEN, "`{}` has {} bytes; the most is {MAX_LEN}", path.display(), about.len());
    File::open(path).with_context(name)
}

/// The bytes of an ordinary file.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(MAX_LEN).read_to_end(&mut bytes).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(bytes)
}

/// The text of an ordinary file.
///
/// # Errors
/// As [`open`]; also when it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).with_context(|| format!("`{}` is not UTF-8 text", path.display()))
}

/// Writes a file beside its place and moves it there when it is complete and on the disk. What is no file (`/dev/null`,
/// `/dev/stdout`) is written to, never replaced.
///
/// # Errors
/// Those of the file system; the old file, if there was one, is then as it was.
pub fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir()) {
        return File::options().write(true).open(path)?.write_all(bytes);
    }
    // As readable as any other new file: temporary ones are the owner's alone.
    beside(path, bytes, 0o666)?.persist(path)
}

/// As [`write()`], with an error that names the file.
///
/// # Errors
/// As [`write()`].
pub fn save(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    write(path, bytes.as_ref()).with_context(|| format!("cannot write `{}`", path.display()))
}

/// As [`write()`], but the file is its owner's alone, and an old one is never replaced.
///
/// # Errors
/// Those of the file system; also when there is a file already.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let part = beside(path, bytes, 0o600)?;
    // Unlike a move, this replaces nothing.
    std::fs::hard_link(&part.path, path)
}

/// A file beside another, complete and on the disk, to be moved there. Its name is always the same, so that what a kill leaves is taken
/// over by the next that writes the other; while it is written it is locked.
struct Part {
    path: PathBuf,
    is_moved: bool,
    /// Holds the lock.
    file: File,
}

impl Part {
    /// Moves it to `path`.
    fn persist(mut self, path: &Path) -> std::io::Result<()> {
        std::fs::rename(&self.path, path)?;
        self.is_moved = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_moved {
            // Without room or rights there may be none.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Writes a [`Part`] for `path`.
fn beside(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<Part> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut name = OsString::from(".");
    name.push(path.file_name().ok_or(ErrorKind::InvalidFilename)?);
    name.push(".part");
    let path = folder.join(name);
    let file = create(&path, mode)?;
    let mut part = Part { path, is_moved: false, file };
    part.file.write_all(bytes)?;
    part.file.sync_all()?;
    Ok(part)
}

/// A new file that is locked, in place of an old one that nobody writes any more.
fn create(path: &Path, mode: u32) -> std::io::Result<File> {
    // Where files cannot be locked, two that write one file at one time may still get in each other's way.
    let lock = |file: &File| drop(file.lock());
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    loop {
        match options.open(path) {
            Ok(file) => {
                lock(&file);
                if is_at(&file, path) {
                    return Ok(file);
                }
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                match std::fs::symlink_metadata(path) {
                    Ok(about) if !about.is_file() => return Err(error),
                    _ => {}
                }
                match File::options().write(true).open(path) {
                    Ok(old) => {
                        lock(&old);
                        if is_at(&old, path) {
                            std::fs::remove_file(path)?;
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether the file is still the one at `path`: who waited for its lock may find it moved or removed.
fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let place = |about: std::fs::Metadata| (about.dev(), about.ino());
        matches!((file.metadata().map(place), std::fs::metadata(path).map(place)), (Ok(a), Ok(b)) if a == b)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}

/// An array from a `.npy` file, of integers as models take and give them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntArray {
    /// Signed 8-bit elements.
    Signed(ArrayD<i8>),
    /// Unsigned 8-bit elements.
    Unsigned(ArrayD<u8>),
    /// Signed 16-bit elements.
    Wide(ArrayD<i16>),
}

impl IntArray {
    /// Reads a `.npy` file.
    ///
    /// # Errors
    /// Names the file when it cannot be read, is not in NumPy's format, is truncated, or holds other elements than
    /// int8, uint8 or int16.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&read(path)?)
            .with_context(|| format!("`{}` is not a .npy file of int8, uint8 or int16 elements", path.display()))
    }

    /// Takes a `.npy` file apart.
    ///
    /// # Errors
    /// As [`IntArray::read`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        ensure!(has_plain_header(bytes), "its header is not as NumPy writes them");
        // A view checks the length before anything of the claimed size is allocated.
        Ok(match view::<i8>(bytes) {
            Err(ViewNpyError::WrongDescriptor(_)) => match view::<u8>(bytes) {
                Err(ViewNpyError::WrongDescriptor(_)) => view::<i16>(bytes).map(Self::Wide),
                unsigned => unsigned.map(Self::Unsigned),
            },
            signed => signed.map(Self::Signed),
        }?)
    }

    /// The dimensions.
    pub fn shape(&self) -> &[usize] {
        match self {
            IntArray::Signed(array) => array.shape(),
            IntArray::Unsigned(array) => array.shape(),
            IntArray::Wide(array) => array.shape(),
        }
    }
}

/// The array of a `.npy` file of float32, taken apart; `None` when it holds something else.
pub fn reals(bytes: &[u8]) -> Option<ArrayD<f32>> {
    has_plain_header(bytes).then(|| view::<f32>(bytes).ok())?
}

/// Whether the header of a `.npy` file, if it has one, is short and of one dictionary and one tuple, as NumPy writes them: its reader takes
/// for ever to find out what deeply nested ones are.
fn has_plain_header(bytes: &[u8]) -> bool {
    const MAX_HEADER: usize = 10_000;
    let header = match *bytes {
        [_, _, _, _, _, _, 1, _, a, b, ref rest @ ..] => rest.get(..u16::from_le_bytes([a, b]).into()),
        [_, _, _, _, _, _, _, _, a, b, c, d, ref rest @ ..] => rest.get(..u32::from_le_bytes([a, b, c, d]) as usize),
        _ => None,
    };
    let Some(header) = header else { return true };
    let count = |mark| header.iter().filter(|&&byte| byte == mark).count();
    header.len() <= MAX_HEADER && count(b'{') <= 1 && count(b'(') <= 1 && count(b'[') == 0
}

fn view<T: ReadableElement + ndarray_npy::ViewElement + Clone>(bytes: &[u8]) -> Result<ArrayD<T>, ViewNpyError> {
    let view = ndarray::ArrayView::<T, IxDyn>::view_npy(bytes)?;
    // Arrays may be stored column by column; everything here works row by row.
    Ok(view.as_standard_layout().into_owned())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// Found by hand: 60 bytes of `{1:` kept the reader busy for minutes.
    #[test]
    fn nested_headers_are_refused_at_once() {
        let file = |shape: &str| {
            let header = format!("{{'descr': '|i1', 'fortran_order': False, 'shape': {shape}}}\n");
            [&b"\x93NUMPY\x01\0"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes(), &[5, 6]].concat()
        };
        assert_eq!(IntArray::parse(&file("(2,)")).unwrap().shape(), [2]);
        for (open, close) in [("{1:", "}"), ("(", ")"), ("[", "]")] {
            let nested = file(&[open.repeat(300), close.repeat(300)].concat());
            assert!(IntArray::parse(&nested).unwrap_err().to_string().contains("NumPy"));
            assert!(reals(&nested).is_none());
        }
    }

    #[test]
    fn what_a_kill_leaves_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let (path, part) = (folder.path().join("file"), folder.path().join(".file.part"));
        std::fs::write(&part, b"a long beginning of something").unwrap();
        write(&path, b"whole").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        std::fs::write(&part, b"and again").unwrap();
        assert_eq!(write_private(&path, b"key").unwrap_err().kind(), ErrorKind::AlreadyExists);
        std::fs::remove_file(&path).unwrap();
        write_private(&path, b"key").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"key");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        std::os::unix::fs::symlink("/nowhere", &part).unwrap();
        assert!(write(&path, b"").is_err());
        assert!(write(Path::new(".."), b"").is_err());
    }

    #[test]
    fn many_writers_of_one_file_leave_one_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::thread::scope(|scope| {
            for writer in 0..8u8 {
                let path = &path;
                scope.spawn(move || (0..20).for_each(|_| write(path, &vec![writer; 50_000]).unwrap()));
            }
        });
        let found = std::fs::read(&path).unwrap();
        assert!(found.len() == 50_000 && found.iter().all(|byte| *byte == found[0]));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn devices_are_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &device).unwrap();
        write(&device, b"gone").unwrap();
        assert!(std::fs::symlink_metadata(&device).unwrap().is_symlink());
        assert_eq!(std::fs::read(&device).unwrap(), b"");
        let file = folder.path().join("file");
        write(&file, b"old and long").unwrap();
        write(&file, b"new").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
    }
}

/// The FNV-1a hash of bytes: tells files and names apart, and withstands no attack.
pub fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, mix)
}
