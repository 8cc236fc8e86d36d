//! A TensorFlow Lite file as plain data, to be written.

use crate::import::flat_write::{self, Value};

/// Element types by their code.
pub mod element {
    #![allow(missing_docs)]
    pub const FLOAT32: u8 = 0;
    pub const INT32: u8 = 2;
    pub const UINT8: u8 = 3;
    pub const INT64: u8 = 4;
    pub const INT16: u8 = 7;
    pub const INT8: u8 = 9;
    pub const INT4: u8 = 17;
}

/// A tensor to be written.
#[derive(Clone, Debug, Default)]
pub struct FileTensor {
    /// Its name.
    pub name: String,
    /// Its dimensions.
    pub dims: Vec<i32>,
    /// Its element type, see [`element`].
    pub element: u8,
    /// The data of a constant; empty for an activation.
    pub data: Vec<u8>,
    /// Scales; none for a tensor that is not quantized.
    pub scales: Vec<f32>,
    /// Zero points, as many as scales.
    pub zero_points: Vec<i64>,
    /// The dimension along which scales go.
    pub axis: i32,
}

/// An operator to be written.
#[derive(Clone, Debug, Default)]
pub struct FileOperator {
    /// Built-in operator code.
    pub code: i32,
    /// The operator's version.
    pub version: i32,
    /// Input tensors, -1 for one that is left out.
    pub inputs: Vec<i32>,
    /// Output tensors.
    pub outputs: Vec<i32>,
    /// The options table's code in the union.
    pub options_type: u8,
    /// The options' fields.
    pub options: Vec<(u16, Value)>,
}

/// A file to be written.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// Free text.
    pub description: String,
    /// The tensors.
    pub tensors: Vec<FileTensor>,
    /// The operators in the order of execution.
    pub operators: Vec<FileOperator>,
    /// The inputs' indices.
    pub inputs: Vec<i32>,
    /// The outputs' indices.
    pub outputs: Vec<i32>,
    /// Named entries that tools may ignore.
    pub metadata: Vec<(String, Vec<u8>)>,
}

impl File {
    /// Adds a tensor; its index.
    pub fn tensor(&mut self, tensor: FileTensor) -> i32 {
        self.tensors.push(tensor);
        self.tensors.len() as i32 - 1
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut codes: Vec<(i32, i32)> = self.operators.iter().map(|o| (o.code, o.version)).collect();
        codes.sort_unstable();
        codes.dedup();
        // Buffer 0 is the empty one that activations name.
        let mut buffers = vec![Value::Table(vec![])];
        let tensors = self.tensors.iter().map(|tensor| tensor.value(&mut buffers)).collect();
        let operators = self.operators.iter().map(|o| o.value(&codes)).collect();
        let graph = Value::Table(vec![
            (0, Value::Tables(tensors)),
            (1, Value::I32s(self.inputs.clone())),
            (2, Value::I32s(self.outputs.clone())),
            (3, Value::Tables(operators)),
            (4, Value::Text("main".into())),
        ]);
        let codes = codes.iter().map(|&(code, version)| {
            Value::Table(vec![(0, Value::U8(code.min(127) as u8)), (2, Value::I32(version)), (3, Value::I32(code))])
        });
        let mut metadata = Vec::new();
        for (name, bytes) in &self.metadata {
            metadata.push(Value::Table(vec![(0, Value::Text(name.clone())), (1, Value::I32(buffers.len() as i32))]));
            buffers.push(Value::Table(vec![(0, Value::Bytes(bytes.clone()))]));
        }
        let root = Value::Table(vec![
            (0, Value::I32(3)),
            (1, Value::Tables(codes.collect())),
            (2, Value::Tables(vec![graph])),
            (3, Value::Text(self.description.clone())),
            (4, Value::Tables(buffers)),
            (6, Value::Tables(metadata)),
        ]);
        flat_write::to_bytes(&root, *b"TFL3")
    }
}

impl FileTensor {
    fn value(&self, buffers: &mut Vec<Value>) -> Value {
        let buffer = if self.data.is_empty() {
            0
        } else {
            buffers.push(Value::Table(vec![(0, Value::Bytes(self.data.clone()))]));
            buffers.len() as i32 - 1
        };
        let mut fields = vec![
            (0, Value::I32s(self.dims.clone())),
            (1, Value::U8(self.element)),
            (2, Value::I32(buffer)),
            (3, Value::Text(self.name.clone())),
        ];
        if !self.scales.is_empty() {
            let quant = vec![
                (2, Value::F32s(self.scales.clone())),
                (3, Value::I64s(self.zero_points.clone())),
                (6, Value::I32(self.axis)),
            ];
            fields.push((4, Value::Table(quant)));
        }
        Value::Table(fields)
    }
}

impl FileOperator {
    fn value(&self, codes: &[(i32, i32)]) -> Value {
        let code = codes.iter().position(|&c| c == (self.code, self.version)).unwrap_or(0);
        let mut fields = vec![
            (0, Value::I32(code as i32)),
            (1, Value::I32s(self.inputs.clone())),
            (2, Value::I32s(self.outputs.clone())),
        ];
        if self.options_type != 0 {
            fields.push((3, Value::U8(self.options_type)));
            fields.push((4, Value::Table(self.options.clone())));
        }
        Value::Table(fields)
    }
}
