//! The parts of TensorFlow Lite's schema (version 3) that we read, as plain structures that borrow the file.
//!
//! Counts, ranks and names are limited here, because a flatbuffer may point at the same bytes from many places.

use super::names;
use crate::import::flat::{Malformed, Table, Vector};

/// Most tensors and most operators of a model.
const MAX_COUNT: usize = 1 << 16;
/// Most dimensions of a tensor.
const MAX_RANK: usize = 8;
/// Longest name kept, in bytes.
pub(super) const MAX_NAME: usize = 512;

/// Element types by their code in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Float32,
    Float16,
    Int32,
    UInt8,
    Int64,
    Int16,
    Int8,
    Int4,
    Bool,
    Other(i8),
}

impl Type {
    fn from_code(code: i8) -> Self {
        match code {
            0 => Type::Float32,
            1 => Type::Float16,
            2 => Type::Int32,
            3 => Type::UInt8,
            4 => Type::Int64,
            6 => Type::Bool,
            7 => Type::Int16,
            9 => Type::Int8,
            17 => Type::Int4,
            other => Type::Other(other),
        }
    }

    /// TensorFlow's name.
    pub(crate) fn name(self) -> String {
        match self {
            Type::Float32 => "float32".into(),
            Type::Float16 => "float16".into(),
            Type::Int32 => "int32".into(),
            Type::UInt8 => "uint8".into(),
            Type::Int64 => "int64".into(),
            Type::Int16 => "int16".into(),
            Type::Int8 => "int8".into(),
            Type::Int4 => "int4".into(),
            Type::Bool => "bool".into(),
            Type::Other(5) => "string".into(),
            Type::Other(10) => "float64".into(),
            Type::Other(code) => format!("element type {code}"),
        }
    }
}

/// A tensor: an activation, or a constant when it has data.
#[derive(Clone, Debug)]
pub(crate) struct Tensor<'b> {
    pub(crate) name: String,
    pub(crate) dims: Vec<i32>,
    pub(crate) dtype: Type,
    /// The data of a constant.
    pub(crate) data: Option<&'b [u8]>,
    scales: Vector<'b, 4>,
    zero_points: Vector<'b, 8>,
    /// The dimension along which scales go, when there are several.
    pub(crate) axis: i32,
    pub(crate) variable: bool,
    pub(crate) sparse: bool,
}

impl Tensor<'_> {
    /// The last two parts of the last of the names that the converter joined.
    pub(crate) fn short_name(&self) -> String {
        let name = self.name.rsplit(';').next().unwrap_or_default();
        let start = name.match_indices('/').rev().nth(1).map_or(0, |(at, _)| at + 1);
        name[start..].chars().take(48).collect()
    }

    /// Number of elements, saturating; negative (dynamic) dimensions count as 1.
    pub(crate) fn len(&self) -> usize {
        self.dims.iter().fold(1, |n: usize, &d| n.saturating_mul(d.unsigned_abs() as usize))
    }

    /// Number of scales: 0 for a tensor that is not quantized.
    pub(crate) fn scale_count(&self) -> usize {
        self.scales.len()
    }

    /// The first scale.
    pub(crate) fn scale(&self) -> Option<f32> {
        self.scales.f32s().next()
    }

    /// All scales.
    pub(crate) fn scales(&self) -> Vec<f32> {
        self.scales.f32s().collect()
    }

    /// The first zero point; 0 when the file has none.
    pub(crate) fn zero_point(&self) -> i64 {
        self.zero_points.i64s().next().unwrap_or(0)
    }

    /// Whether every zero point is 0.
    pub(crate) fn is_symmetric(&self) -> bool {
        self.zero_points.i64s().all(|z| z == 0)
    }

    /// The elements of an int32 or int64 constant, if it has at most `limit` of them.
    pub(crate) fn integers(&self, limit: usize) -> Option<Vec<i64>> {
        let data = self.data.filter(|data| data.len() <= limit.saturating_mul(8))?;
        match self.dtype {
            Type::Int32 => {
                Some(data.chunks_exact(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]).into()).collect())
            }
            Type::Int64 => Some(
                data.chunks_exact(8)
                    .map(|b| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
                    .collect(),
            ),
            _ => None,
        }
    }
}

/// An operator: what it does and which tensors it works on.
#[derive(Clone, Debug)]
pub(crate) struct Operator<'b> {
    pub(crate) code: i32,
    /// The operator's name, that of a custom operator included.
    pub(crate) kind: String,
    inputs: Vector<'b, 4>,
    outputs: Vector<'b, 4>,
    pub(crate) options: Option<Table<'b>>,
}

impl Operator<'_> {
    /// Input `index`, or `None` when it is absent or left out (`-1`).
    pub(crate) fn input(&self, index: usize) -> Option<usize> {
        self.inputs.i32s().nth(index).and_then(|i| usize::try_from(i).ok())
    }

    /// All inputs that are not left out.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = usize> + use<'_> {
        self.inputs.i32s().filter_map(|i| usize::try_from(i).ok())
    }

    /// Number of inputs, left out ones included.
    pub(crate) fn input_count(&self) -> usize {
        self.inputs.len()
    }

    /// Output `index`.
    pub(crate) fn output(&self, index: usize) -> Option<usize> {
        self.outputs.i32s().nth(index).and_then(|i| usize::try_from(i).ok())
    }

    /// All outputs.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = usize> + use<'_> {
        self.outputs.i32s().filter_map(|i| usize::try_from(i).ok())
    }
}

/// A model's first subgraph.
#[derive(Clone, Debug)]
pub(crate) struct Model<'b> {
    pub(crate) tensors: Vec<Tensor<'b>>,
    pub(crate) operators: Vec<Operator<'b>>,
    pub(crate) inputs: Vec<usize>,
    pub(crate) outputs: Vec<usize>,
    pub(crate) subgraphs: usize,
    /// The subgraph that CALL_ONCE runs before the first inference.
    pub(crate) once: Option<Box<Model<'b>>>,
    /// The content of our own metadata entry.
    pub(crate) extras: Option<&'b [u8]>,
}

fn broken<T>(what: &'static str) -> Result<T, Malformed> {
    Err(Malformed { offset: 0, what })
}

fn count(len: usize, what: &'static str) -> Result<(), Malformed> {
    if len > MAX_COUNT { broken(what) } else { Ok(()) }
}

impl<'b> Model<'b> {
    /// Whether `bytes` has the file identifier of TensorFlow Lite.
    pub(crate) fn is_tflite(bytes: &[u8]) -> bool {
        bytes.get(4..8) == Some(b"TFL3")
    }

    /// Reads a model. Every tensor index in the result names a tensor.
    pub(crate) fn read(bytes: &'b [u8]) -> Result<Self, Malformed> {
        let root = Table::root(bytes)?;
        if root.u32(0, 0)? != 3 {
            return broken("the schema version is not 3");
        }
        let buffers = root.vector::<4>(4)?;
        let codes = root.vector::<4>(1)?;
        count(codes.len(), "more than 65,536 operator codes")?;
        let codes = codes.tables().map(|code| operator_code(&code?)).collect::<Result<Vec<_>, _>>()?;
        let subgraphs = root.vector::<4>(2)?;
        let Some(graph) = subgraphs.table(0)? else {
            return broken("the model has no subgraph");
        };
        let mut model = Self::graph(&graph, &buffers, &codes)?;
        (model.subgraphs, model.extras) = (subgraphs.len(), metadata(&root, &buffers)?);
        if let Some(call) = model.operators.iter().find(|o| o.code == names::CALL_ONCE) {
            let index = call.options.map_or(Ok(0), |options| options.u32(0, 0))?;
            let Some(graph) = subgraphs.table(index as usize)?.filter(|_| index != 0) else {
                return broken("CALL_ONCE names no subgraph");
            };
            model.once = Some(Box::new(Self::graph(&graph, &buffers, &codes)?));
        }
        Ok(model)
    }

    fn graph(graph: &Table<'b>, buffers: &Vector<'b, 4>, codes: &[(i32, String)]) -> Result<Self, Malformed> {
        let tensors = graph.vector::<4>(0)?;
        count(tensors.len(), "more than 65,536 tensors")?;
        let tensors = tensors.tables().map(|t| tensor(&t?, buffers)).collect::<Result<Vec<_>, _>>()?;
        let operators = graph.vector::<4>(3)?;
        count(operators.len(), "more than 65,536 operators")?;
        let operators = operators.tables().map(|o| operator(&o?, codes)).collect::<Result<Vec<_>, _>>()?;
        let ends = |field| -> Result<Vec<usize>, Malformed> {
            let list = graph.vector::<4>(field)?;
            count(list.len(), "more than 65,536 inputs or outputs")?;
            Ok(list.i32s().map(|i| usize::try_from(i).unwrap_or(usize::MAX)).collect())
        };
        let (inputs, outputs) = (ends(1)?, ends(2)?);
        let model = Self { inputs, outputs, subgraphs: 1, once: None, extras: None, tensors, operators };
        model.check_indices()?;
        Ok(model)
    }

    fn check_indices(&self) -> Result<(), Malformed> {
        let operands = self.operators.iter().flat_map(|o| o.inputs().chain(o.outputs()));
        // Operand lists may share their bytes: no more of them than a real model could have.
        let mut seen = 0;
        for index in operands.chain(self.inputs.iter().copied()).chain(self.outputs.iter().copied()) {
            seen += 1;
            if index >= self.tensors.len() || seen > 16 * MAX_COUNT {
                return broken("an operand names no tensor");
            }
        }
        Ok(())
    }

    /// The inputs that the caller gives.
    pub(crate) fn activation_inputs(&self) -> impl Iterator<Item = usize> {
        self.inputs.iter().copied().filter(|&index| !self.is_constant(index) && !self.is_shape(index))
    }

    /// Whether an input is nothing but the shape of transposed convolutions, which the file declares, too.
    pub(crate) fn is_shape(&self, index: usize) -> bool {
        let reads = |o: &&Operator<'b>| o.inputs().any(|input| input == index);
        let mut readers = self.operators.iter().filter(reads).peekable();
        let is_int = self.tensors[index].dtype == Type::Int32;
        let is_only_shape = |o: &Operator<'b>| {
            o.code == super::names::TRANSPOSE_CONV
                && (0..o.input_count()).all(|at| (at == 0) == (o.input(at) == Some(index)))
        };
        is_int && readers.peek().is_some() && readers.all(is_only_shape) && !self.outputs.contains(&index)
    }

    /// Lets the network begin and end at other tensors, by their names in the file; lists that are empty leave it as it is. Operators that
    /// the ends do not need are left out.
    ///
    /// # Errors
    /// The name that no tensor has.
    pub(crate) fn cut(&mut self, inputs: &[String], outputs: &[String]) -> Result<(), String> {
        if inputs.is_empty() && outputs.is_empty() {
            return Ok(());
        }
        let named = |name: &String| {
            // Converters give several tensors one name: the last is the one behind activation and reshape.
            let whole = self.tensors.iter().position(|tensor| tensor.name == *name);
            let short = || self.tensors.iter().rposition(|tensor| tensor.short_name() == *name);
            whole.or_else(short).ok_or_else(|| name.clone())
        };
        let all = |names: &[String]| names.iter().map(named).collect::<Result<Vec<_>, _>>();
        let (inputs, outputs) = (all(inputs)?, all(outputs)?);
        self.inputs = if inputs.is_empty() { std::mem::take(&mut self.inputs) } else { inputs };
        self.outputs = if outputs.is_empty() { std::mem::take(&mut self.outputs) } else { outputs };
        let mut wanted = vec![false; self.tensors.len()];
        self.outputs.iter().for_each(|&output| wanted[output] = true);
        let mut kept = Vec::new();
        for operator in self.operators.drain(..).rev() {
            let is_wanted = operator.outputs().any(|output| wanted[output] && !self.inputs.contains(&output));
            if is_wanted || matches!(operator.code, names::CALL_ONCE | names::ASSIGN_VARIABLE) {
                operator.inputs().for_each(|input| wanted[input] = true);
                kept.push(operator);
            }
        }
        kept.reverse();
        self.operators = kept;
        self.inputs.retain(|&input| wanted[input]);
        Ok(())
    }

    /// The constant `index`'s data, if it is one.
    pub(crate) fn is_constant(&self, index: usize) -> bool {
        self.tensors[index].data.is_some()
    }
}

/// The content of the metadata entry that Kinglet writes, if there is one.
fn metadata<'b>(root: &Table<'b>, buffers: &Vector<'b, 4>) -> Result<Option<&'b [u8]>, Malformed> {
    let entries = root.vector::<4>(6)?;
    count(entries.len(), "more than 65,536 metadata entries")?;
    for entry in entries.tables() {
        let entry = entry?;
        if entry.bytes(0)? == super::extras::Extras::NAME.as_bytes() {
            return match buffers.table(entry.u32(1, 0)? as usize)? {
                Some(buffer) => Ok(Some(buffer.bytes(0)?)),
                None => broken("a metadata entry names no buffer"),
            };
        }
    }
    Ok(None)
}

fn operator_code(code: &Table<'_>) -> Result<(i32, String), Malformed> {
    // Codes above 127 do not fit the field that older versions of the format have.
    let builtin = code.i32(3, 0)?.max(i32::from(code.i8(0, 0)?));
    let name = match builtin {
        32 => format!("CUSTOM {}", code.text(1, MAX_NAME)?),
        _ => names::name(builtin),
    };
    Ok((builtin, name))
}

fn operator<'b>(operator: &Table<'b>, codes: &[(i32, String)]) -> Result<Operator<'b>, Malformed> {
    let Some((code, kind)) = codes.get(operator.u32(0, 0)? as usize) else {
        return broken("an operator has a code that is not listed");
    };
    Ok(Operator {
        code: *code,
        kind: kind.clone(),
        inputs: operator.vector(1)?,
        outputs: operator.vector(2)?,
        options: operator.table(4)?,
    })
}

fn tensor<'b>(tensor: &Table<'b>, buffers: &Vector<'b, 4>) -> Result<Tensor<'b>, Malformed> {
    let dims = tensor.vector::<4>(0)?;
    if dims.len() > MAX_RANK {
        return broken("a tensor has more than 8 dimensions");
    }
    let (scales, zero_points, axis) = match tensor.table(4)? {
        Some(quant) => (quant.vector(2)?, quant.vector(3)?, quant.i32(6, 0)?),
        None => (Vector::EMPTY, Vector::EMPTY, 0),
    };
    let Some(buffer) = buffers.table(tensor.u32(2, 0)? as usize)? else {
        return broken("a tensor names no buffer");
    };
    // Buffers past 2 GiB are stored after the flatbuffer; offsets 0 and 1 mean that this one is not.
    if buffer.u64(1, 0)? > 1 {
        return broken("a buffer is stored outside the flatbuffer, which is not supported");
    }
    let data = Some(buffer.bytes(0)?).filter(|data| !data.is_empty());
    Ok(Tensor {
        name: tensor.text(3, MAX_NAME)?,
        dims: dims.i32s().collect(),
        dtype: Type::from_code(tensor.i8(1, 0)?),
        data,
        scales,
        zero_points,
        axis,
        variable: tensor.bool(5)?,
        sparse: tensor.table(6)?.is_some(),
    })
}
