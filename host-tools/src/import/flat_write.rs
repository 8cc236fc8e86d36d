//! Writing flatbuffers from a tree of values: parents first, so that every offset points forward, as the format demands.

/// A value of a flatbuffer.
#[derive(Clone, Debug)]
pub enum Value {
    /// A table: field numbers and values. Absent fields have the schema's default.
    Table(Vec<(u16, Value)>),
    /// A vector of tables.
    Tables(Vec<Value>),
    /// A vector of bytes, its first byte 16-byte aligned.
    Bytes(Vec<u8>),
    /// A vector of 32-bit integers.
    I32s(Vec<i32>),
    /// A vector of 64-bit integers.
    I64s(Vec<i64>),
    /// A vector of floats.
    F32s(Vec<f32>),
    /// A string.
    Text(String),
    /// An 8-bit field.
    U8(u8),
    /// A 32-bit field.
    I32(i32),
    /// A float field.
    F32(f32),
}

impl Value {
    /// A Boolean field.
    pub fn bool(value: bool) -> Self {
        Value::U8(value.into())
    }

    /// Bytes in its table.
    fn inline_size(&self) -> usize {
        if matches!(self, Value::U8(_)) { 1 } else { 4 }
    }
}

/// The flatbuffer with root table `root` and a file identifier.
pub fn to_bytes(root: &Value, identifier: [u8; 4]) -> Vec<u8> {
    let mut writer = Writer { bytes: vec![0; 8] };
    writer.bytes[4..].copy_from_slice(&identifier);
    let at = writer.value(root);
    writer.patch(0, at);
    writer.bytes
}

struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    /// Lets the offset at `at` lead to `target`.
    fn patch(&mut self, at: usize, target: usize) {
        self.bytes[at..at + 4].copy_from_slice(&((target - at) as u32).to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// A vector's length, so placed that its elements are aligned.
    fn length(&mut self, len: usize, align: usize) -> usize {
        while !(self.bytes.len() + 4).is_multiple_of(align.max(4)) {
            self.bytes.push(0);
        }
        let at = self.bytes.len();
        self.u32(len as u32);
        at
    }

    /// Writes an out-of-line value; where it starts.
    fn value(&mut self, value: &Value) -> usize {
        match value {
            Value::Table(fields) => self.table(fields),
            Value::Tables(tables) => {
                let at = self.length(tables.len(), 4);
                let first = self.bytes.len();
                self.bytes.resize(first + 4 * tables.len(), 0);
                for (index, table) in tables.iter().enumerate() {
                    let target = self.value(table);
                    self.patch(first + 4 * index, target);
                }
                at
            }
            Value::Bytes(bytes) => self.vector(bytes.len(), 16, bytes.iter().copied()),
            Value::I32s(list) => self.vector(list.len(), 4, list.iter().flat_map(|v| v.to_le_bytes())),
            Value::I64s(list) => self.vector(list.len(), 8, list.iter().flat_map(|v| v.to_le_bytes())),
            Value::F32s(list) => self.vector(list.len(), 4, list.iter().flat_map(|v| v.to_le_bytes())),
            Value::Text(text) => self.vector(text.len(), 4, text.bytes().chain([0])),
            Value::U8(_) | Value::I32(_) | Value::F32(_) => self.bytes.len(),
        }
    }

    fn vector(&mut self, len: usize, align: usize, bytes: impl Iterator<Item = u8>) -> usize {
        let at = self.length(len, align);
        self.bytes.extend(bytes);
        at
    }

    fn table(&mut self, fields: &[(u16, Value)]) -> usize {
        // Wide fields first, so that all are aligned.
        let mut order: Vec<&(u16, Value)> = fields.iter().collect();
        order.sort_by_key(|(_, value)| std::cmp::Reverse(value.inline_size()));
        let slots = fields.iter().map(|(id, _)| usize::from(*id) + 1).max().unwrap_or(0);
        let len = 4 + fields.iter().map(|(_, value)| value.inline_size()).sum::<usize>();
        self.align(2);
        let vtable = self.bytes.len();
        self.bytes.resize(vtable + 4 + 2 * slots, 0);
        self.bytes[vtable..vtable + 2].copy_from_slice(&((4 + 2 * slots) as u16).to_le_bytes());
        self.bytes[vtable + 2..vtable + 4].copy_from_slice(&(len as u16).to_le_bytes());
        self.align(4);
        let table = self.bytes.len();
        self.u32((table - vtable) as u32);
        let mut children = Vec::new();
        for (id, value) in order {
            let at = self.bytes.len();
            let entry = vtable + 4 + 2 * usize::from(*id);
            self.bytes[entry..entry + 2].copy_from_slice(&((at - table) as u16).to_le_bytes());
            match value {
                Value::U8(v) => self.bytes.push(*v),
                Value::I32(v) => self.u32(*v as u32),
                Value::F32(v) => self.u32(v.to_bits()),
                _ => {
                    self.u32(0);
                    children.push((at, value));
                }
            }
        }
        for (at, value) in children {
            let target = self.value(value);
            self.patch(at, target);
        }
        table
    }
}
