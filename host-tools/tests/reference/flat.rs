//! As much of a `.tflite` file as the tests need: a walk over flatbuffer tables by field number.

/// A flatbuffer table.
#[derive(Clone, Copy)]
pub struct Table<'b> {
    buffer: &'b [u8],
    at: usize,
}

fn word(buffer: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(buffer[at..at + 4].try_into().unwrap())
}

fn half(buffer: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes(buffer[at..at + 2].try_into().unwrap()))
}

impl<'b> Table<'b> {
    /// The root table of a file.
    pub fn root(buffer: &'b [u8]) -> Self {
        Self { buffer, at: word(buffer, 0) as usize }
    }

    fn field(&self, field: usize) -> Option<usize> {
        let vtable = (self.at as i64 - i64::from(word(self.buffer, self.at) as i32)) as usize;
        let entry = 4 + 2 * field;
        let offset = if entry < half(self.buffer, vtable) { half(self.buffer, vtable + entry) } else { 0 };
        (offset != 0).then_some(self.at + offset)
    }

    fn follow(&self, at: usize) -> usize {
        at + word(self.buffer, at) as usize
    }

    /// A byte-sized field, 0 when absent.
    pub fn byte(&self, field: usize) -> u8 {
        self.field(field).map_or(0, |at| self.buffer[at])
    }

    /// A word-sized field, 0 when absent.
    pub fn word(&self, field: usize) -> u32 {
        self.field(field).map_or(0, |at| word(self.buffer, at))
    }

    /// A table field.
    pub fn table(&self, field: usize) -> Option<Table<'b>> {
        self.field(field).map(|at| Table { buffer: self.buffer, at: self.follow(at) })
    }

    /// The elements of a vector field of scalars of `size` bytes, raw; empty when absent.
    pub fn vector(&self, field: usize, size: usize) -> &'b [u8] {
        let Some(at) = self.field(field).map(|at| self.follow(at)) else {
            return &[];
        };
        &self.buffer[at + 4..at + 4 + size * word(self.buffer, at) as usize]
    }

    /// The elements of a vector field of words.
    pub fn words(&self, field: usize) -> Vec<u32> {
        self.vector(field, 4).chunks(4).map(|w| word(w, 0)).collect()
    }

    /// The elements of a vector field of tables.
    pub fn tables(&self, field: usize) -> Vec<Table<'b>> {
        let Some(at) = self.field(field).map(|at| self.follow(at)) else {
            return Vec::new();
        };
        let entry = |i| Table { buffer: self.buffer, at: self.follow(at + 4 + 4 * i) };
        (0..word(self.buffer, at) as usize).map(entry).collect()
    }
}
