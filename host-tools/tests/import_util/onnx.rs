//! A writer of small ONNX files.

/// A message's field that has a length.
pub fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag << 3 | 2];
    bytes.extend(varint(content.len() as u64));
    bytes.extend_from_slice(content);
    bytes
}

/// A message's field that is a number.
pub fn number(tag: u8, value: i64) -> Vec<u8> {
    let mut bytes = vec![tag << 3];
    bytes.extend(varint(value as u64));
    bytes
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn text(tag: u8, text: &str) -> Vec<u8> {
    field(tag, text.as_bytes())
}

/// An operator with its attributes.
pub fn node(operator: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut content: Vec<u8> = inputs.iter().flat_map(|input| text(1, input)).collect();
    content.extend(outputs.iter().flat_map(|output| text(2, output)));
    content.extend(text(4, operator));
    content.extend(attributes.iter().flat_map(|attribute| field(5, attribute)));
    field(1, &content)
}

/// An attribute that is a list of integers.
pub fn ints(name: &str, list: &[i64]) -> Vec<u8> {
    [text(1, name), list.iter().flat_map(|&value| number(8, value)).collect()].concat()
}

/// An attribute that is an integer.
pub fn int(name: &str, value: i64) -> Vec<u8> {
    [text(1, name), number(3, value)].concat()
}

/// An attribute that is a tensor.
pub fn tensor_attribute(name: &str, tensor: &[u8]) -> Vec<u8> {
    [text(1, name), field(5, tensor)].concat()
}

/// A number attribute.
pub fn float(name: &str, value: f32) -> Vec<u8> {
    [text(1, name), vec![2 << 3 | 5], value.to_le_bytes().to_vec()].concat()
}

/// A text attribute.
pub fn string(name: &str, value: &str) -> Vec<u8> {
    [text(1, name), text(4, value)].concat()
}

/// An attribute that is a graph.
pub fn branch(name: &str, content: &[Vec<u8>]) -> Vec<u8> {
    [text(1, name), field(6, &content.concat())].concat()
}

fn tensor(name: &str, dims: &[i64], kind: i64, data: &[u8]) -> Vec<u8> {
    let mut content: Vec<u8> = dims.iter().flat_map(|&dim| number(1, dim)).collect();
    content.extend(number(2, kind));
    content.extend(text(8, name));
    content.extend(field(9, data));
    content
}

/// Floats that look random, in order.
pub fn floats(name: &str, dims: &[i64]) -> Vec<u8> {
    let len: i64 = dims.iter().product();
    let number = |i: i64| ((i * 37 % 101) as f32 / 101.0 - 0.45).to_le_bytes();
    tensor(name, dims, 1, &(0..len).flat_map(number).collect::<Vec<_>>())
}

/// Given floats.
pub fn given(name: &str, dims: &[i64], values: &[f32]) -> Vec<u8> {
    tensor(name, dims, 1, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

/// int8 elements.
pub fn bytes(name: &str, dims: &[i64], values: &[i8]) -> Vec<u8> {
    tensor(name, dims, 3, &values.iter().map(|&value| value as u8).collect::<Vec<_>>())
}

/// A list of integers.
pub fn list(name: &str, values: &[i64]) -> Vec<u8> {
    tensor(name, &[values.len() as i64], 7, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

/// An integer of 16 bits.
pub fn halfword(name: &str, value: i16) -> Vec<u8> {
    tensor(name, &[], 5, &value.to_le_bytes())
}

/// A list of integers of 32 bits.
pub fn words(name: &str, values: &[i32]) -> Vec<u8> {
    tensor(name, &[values.len() as i64], 6, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

/// A constant of the graph.
pub fn initializer(tensor: &[u8]) -> Vec<u8> {
    field(5, tensor)
}

/// Floats whose data lies in another file.
pub fn elsewhere(name: &str, dims: &[i64], entries: &[(&str, &str)]) -> Vec<u8> {
    let mut content: Vec<u8> = dims.iter().flat_map(|&dim| number(1, dim)).collect();
    content.extend(number(2, 1));
    content.extend(text(8, name));
    for (key, value) in entries {
        content.extend(field(13, &[text(1, key), text(2, value)].concat()));
    }
    content.extend(number(14, 1));
    field(5, &content)
}

/// The graph's input (tag 11) or output (tag 12), a map of floats.
pub fn end(tag: u8, name: &str, dims: &[i64]) -> Vec<u8> {
    let shape: Vec<u8> = dims.iter().flat_map(|&dim| field(1, &number(1, dim))).collect();
    let kind = [number(1, 1), field(2, &shape)].concat();
    field(tag, &[text(1, name), field(2, &field(1, &kind))].concat())
}

/// A model file of a graph's parts, with the input `x` and the output `y`.
pub fn model(opset: i64, input: &[i64], parts: &[Vec<u8>]) -> Vec<u8> {
    let graph = [parts.concat(), end(11, "x", input), end(12, "y", &[1, 1])].concat();
    [number(1, 8), field(7, &graph), field(8, &number(2, opset))].concat()
}
