//! A checked reader for flatbuffers.
//!
//! Why not accessors generated from the schema: they index with offsets from the file inside `unsafe`, and are
//! sound only behind a verifier whose limits (depth, tables, apparent size) reject large models or admit slow ones.
//! We read some thirty fields. This reader checks each offset where it follows it, copies nothing, holds no state,
//! and has no `unsafe`; walking a schema of fixed depth it cannot recurse. What it cannot prevent is *aliasing*: many
//! entries may point to the same table or vector, so whoever collects what it returns must limit counts.

use thiserror::Error;

/// A flatbuffer that breaks the format: what is wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the file is damaged: {what} (at byte {offset})")]
pub struct Malformed {
    /// Byte offset in the file.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

fn malformed<T>(offset: usize, what: &'static str) -> Result<T, Malformed> {
    Err(Malformed { offset, what })
}

/// `N` bytes at `at`.
fn bytes_at<const N: usize>(buf: &[u8], at: usize) -> Result<[u8; N], Malformed> {
    match buf.get(at..).and_then(|rest| rest.first_chunk::<N>()) {
        Some(bytes) => Ok(*bytes),
        None => malformed(at, "an offset leaves the file"),
    }
}

/// Follows the unsigned offset stored at `at`.
fn follow(buf: &[u8], at: usize) -> Result<usize, Malformed> {
    let offset = u32::from_le_bytes(bytes_at(buf, at)?) as usize;
    match at.checked_add(offset) {
        Some(target) if offset != 0 && target < buf.len() => Ok(target),
        _ => malformed(at, "an offset leaves the file"),
    }
}

/// A table: fields that may be absent, found through a table of offsets.
#[derive(Clone, Copy, Debug)]
pub struct Table<'b> {
    buf: &'b [u8],
    at: usize,
    len: usize,
    vtable: usize,
    vtable_len: usize,
}

/// Scalar fields: absent means the schema's default.
macro_rules! scalars {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {
        $($(#[$doc])*
        ///
        /// # Errors
        /// When the field leaves its table.
        pub fn $name(&self, field: usize, default: $type) -> Result<$type, Malformed> {
            match self.field(field, size_of::<$type>())? {
                Some(at) => Ok(<$type>::from_le_bytes(bytes_at(self.buf, at)?)),
                None => Ok(default),
            }
        })*
    };
}

impl<'b> Table<'b> {
    /// The root table.
    ///
    /// # Errors
    /// When it does not lie within the file.
    pub fn root(buf: &'b [u8]) -> Result<Self, Malformed> {
        Self::new(buf, follow(buf, 0)?)
    }

    fn new(buf: &'b [u8], at: usize) -> Result<Self, Malformed> {
        let back = i64::from(i32::from_le_bytes(bytes_at(buf, at)?));
        let Ok(vtable) = usize::try_from(at as i64 - back) else {
            return malformed(at, "a table's field list lies before the file");
        };
        let vtable_len = usize::from(u16::from_le_bytes(bytes_at(buf, vtable)?));
        let len = usize::from(u16::from_le_bytes(bytes_at(buf, vtable.saturating_add(2))?));
        if vtable_len < 4 || vtable.saturating_add(vtable_len) > buf.len() {
            return malformed(vtable, "a table's field list leaves the file");
        }
        if len < 4 || at.saturating_add(len) > buf.len() {
            return malformed(at, "a table leaves the file");
        }
        Ok(Self { buf, at, len, vtable, vtable_len })
    }

    /// Where field `field` of `size` bytes lies, or `None` when it is absent.
    fn field(&self, field: usize, size: usize) -> Result<Option<usize>, Malformed> {
        let entry = 4 + 2 * field;
        if entry + 2 > self.vtable_len {
            return Ok(None);
        }
        match usize::from(u16::from_le_bytes(bytes_at(self.buf, self.vtable + entry)?)) {
            0 => Ok(None),
            offset if offset < 4 || offset + size > self.len => malformed(self.at, "a field leaves its table"),
            offset => Ok(Some(self.at + offset)),
        }
    }

    scalars! {
        /// An 8-bit field.
        i8: i8;
        /// An unsigned 8-bit field.
        u8: u8;
        /// A 32-bit field.
        i32: i32;
        /// An unsigned 32-bit field.
        u32: u32;
        /// An unsigned 64-bit field.
        u64: u64;
        /// A float field.
        f32: f32;
    }

    /// A Boolean field, `false` when absent.
    ///
    /// # Errors
    /// When the field leaves its table.
    pub fn bool(&self, field: usize) -> Result<bool, Malformed> {
        Ok(self.u8(field, 0)? != 0)
    }

    /// A table-valued field.
    ///
    /// # Errors
    /// When the table leaves the file.
    pub fn table(&self, field: usize) -> Result<Option<Table<'b>>, Malformed> {
        match self.field(field, 4)? {
            Some(at) => Ok(Some(Table::new(self.buf, follow(self.buf, at)?)?)),
            None => Ok(None),
        }
    }

    /// A vector of elements of `N` bytes; empty when absent.
    ///
    /// # Errors
    /// When the vector leaves the file.
    pub fn vector<const N: usize>(&self, field: usize) -> Result<Vector<'b, N>, Malformed> {
        let Some(field) = self.field(field, 4)? else {
            return Ok(Vector::EMPTY);
        };
        let at = follow(self.buf, field)?;
        let len = u32::from_le_bytes(bytes_at(self.buf, at)?) as usize;
        let start = at + 4;
        match len.checked_mul(N).and_then(|bytes| self.buf.get(start..)?.get(..bytes)) {
            Some(_) => Ok(Vector { buf: self.buf, start, len }),
            None => malformed(at, "a vector leaves the file"),
        }
    }

    /// The bytes of a vector of bytes or of a string; empty when absent.
    ///
    /// # Errors
    /// When the vector leaves the file.
    pub fn bytes(&self, field: usize) -> Result<&'b [u8], Malformed> {
        Ok(self.vector::<1>(field)?.bytes())
    }

    /// A string, with what is not UTF-8 replaced, cut to `limit` bytes so that names which share their bytes cannot
    /// add up to more than the file.
    ///
    /// # Errors
    /// When the string leaves the file.
    pub fn text(&self, field: usize, limit: usize) -> Result<String, Malformed> {
        let bytes = self.bytes(field)?;
        Ok(String::from_utf8_lossy(&bytes[..bytes.len().min(limit)]).into_owned())
    }
}

/// A vector of `len` elements of `N` bytes that lies within the file.
#[derive(Clone, Copy, Debug)]
pub struct Vector<'b, const N: usize> {
    buf: &'b [u8],
    start: usize,
    len: usize,
}

impl<'b, const N: usize> Vector<'b, N> {
    /// No elements.
    pub const EMPTY: Self = Self { buf: &[], start: 0, len: 0 };

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All elements' bytes.
    pub fn bytes(&self) -> &'b [u8] {
        &self.buf[self.start..self.start + self.len * N]
    }

    /// The elements.
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = [u8; N]> + use<'b, N> {
        self.bytes().chunks_exact(N).map(|chunk| {
            let mut bytes = [0; N];
            bytes.copy_from_slice(chunk);
            bytes
        })
    }
}

impl<'b> Vector<'b, 4> {
    /// The table that element `index` leads to, or `None` past the end.
    ///
    /// # Errors
    /// When the table leaves the file.
    pub fn table(&self, index: usize) -> Result<Option<Table<'b>>, Malformed> {
        if index >= self.len {
            return Ok(None);
        }
        Ok(Some(Table::new(self.buf, follow(self.buf, self.start + index * 4)?)?))
    }

    /// The tables that the elements, which are offsets, lead to.
    pub fn tables(&self) -> impl ExactSizeIterator<Item = Result<Table<'b>, Malformed>> + use<'b> {
        let this = *self;
        (0..this.len).map(move |index| Table::new(this.buf, follow(this.buf, this.start + index * 4)?))
    }

    /// The elements as 32-bit integers.
    pub fn i32s(&self) -> impl ExactSizeIterator<Item = i32> + use<'b> {
        self.chunks().map(i32::from_le_bytes)
    }

    /// The elements as floats.
    pub fn f32s(&self) -> impl ExactSizeIterator<Item = f32> + use<'b> {
        self.chunks().map(f32::from_le_bytes)
    }
}

impl<'b> Vector<'b, 8> {
    /// The elements as 64-bit integers.
    pub fn i64s(&self) -> impl ExactSizeIterator<Item = i64> + use<'b> {
        self.chunks().map(i64::from_le_bytes)
    }
}
