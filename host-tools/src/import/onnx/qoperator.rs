//! ONNX Runtime's operators on integers (QLinearConv, QGemm and their like), written out: each is short for DequantizeLinear
//! of its operands, the operator on real numbers, and QuantizeLinear of its output.

use super::context::int;
use super::proto::{AttributeProto, GraphProto, NodeProto};

/// What an operator on integers stands for.
struct Form {
    /// The operator on real numbers.
    operator: &'static str,
    /// Its operands: integers, scale and zero point each.
    operands: usize,
    /// The dimension of the second operand, the weights, along which its scales may go.
    axis: Option<i64>,
    /// Where the bias is among the inputs.
    bias: Option<usize>,
    /// Where the scale of the output is, before its zero point.
    output: usize,
    /// Where the first operand is.
    first: usize,
}

impl Form {
    fn of(node: &NodeProto) -> Option<Self> {
        let plain = |operator, operands: usize| Self {
            operator,
            operands,
            axis: None,
            bias: None,
            output: 3 * operands,
            first: 0,
        };
        Some(match node.op_type.as_str() {
            "QLinearConv" => Self { axis: Some(0), bias: Some(8), ..plain("Conv", 2) },
            "QLinearMatMul" => Self { axis: Some(1), ..plain("MatMul", 2) },
            "QGemm" => {
                let axis = Some(1 - int(node, "transB", 0).clamp(0, 1));
                Self { axis, bias: Some(6), output: 7, ..plain("Gemm", 2) }
            }
            "QLinearAdd" => plain("Add", 2),
            "QLinearMul" => plain("Mul", 2),
            "QLinearGlobalAveragePool" => plain("GlobalAveragePool", 1),
            "QLinearAveragePool" => plain("AveragePool", 1),
            "QLinearReduceMean" => plain("ReduceMean", 1),
            "QLinearSigmoid" => plain("Sigmoid", 1),
            "QLinearLeakyRelu" => plain("LeakyRelu", 1),
            "QLinearSoftmax" => plain("Softmax", 1),
            "QLinearConcat" => {
                let operands = node.input.len().saturating_sub(2) / 3;
                Self { output: 0, first: 2, ..plain("Concat", operands) }
            }
            _ => return None,
        })
    }

    /// The nodes that `node` is short for.
    fn expand(self, node: NodeProto) -> Vec<NodeProto> {
        let input = |at: usize| node.input.get(at).cloned().unwrap_or_default();
        let output = node.output.first().cloned().unwrap_or_default();
        let named = |what: &str| format!("{output}/{what}");
        let step = |operator: &str, input: Vec<String>, output: String, attribute: Vec<AttributeProto>| NodeProto {
            input,
            output: vec![output],
            name: node.name.clone(),
            op_type: operator.to_owned(),
            attribute,
            domain: String::new(),
        };
        let along = |axis: i64| vec![AttributeProto { name: "axis".into(), i: axis, ..AttributeProto::default() }];
        let mut nodes = Vec::new();
        let mut operands = Vec::new();
        for operand in 0..self.operands {
            let at = self.first + 3 * operand;
            let (real, axis) = (named(&format!("operand{operand}")), self.axis.filter(|_| operand == 1).unwrap_or(1));
            nodes.push(step("DequantizeLinear", (at..at + 3).map(input).collect(), real.clone(), along(axis)));
            operands.push(real);
        }
        if let Some(bias) = self.bias.map(input).filter(|bias| !bias.is_empty()) {
            let [scale, real] = [named("bias_scale"), named("bias")];
            nodes.push(step("Mul", vec![input(1), input(4)], scale.clone(), Vec::new()));
            nodes.push(step("DequantizeLinear", vec![bias, scale], real.clone(), along(0)));
            operands.push(real);
        }
        // QGemm may give real numbers.
        let quantizes = !input(self.output).is_empty();
        let real = if quantizes { named("real") } else { output.clone() };
        nodes.push(step(self.operator, operands, real.clone(), node.attribute.clone()));
        if quantizes {
            let inputs = vec![real, input(self.output), input(self.output + 1)];
            nodes.push(step("QuantizeLinear", inputs, output.clone(), Vec::new()));
        }
        nodes
    }
}

/// Writes out all of a graph's operators on integers.
pub(super) fn expand(graph: &mut GraphProto) {
    let nodes = std::mem::take(&mut graph.node);
    graph.node = nodes
        .into_iter()
        .flat_map(|mut node| match Form::of(&node) {
            Some(form) => form.expand(node),
            None => {
                // ONNX Runtime's own forms of these know 16 bits, and are the same else.
                if matches!(node.op_type.as_str(), "QuantizeLinear" | "DequantizeLinear") {
                    node.domain.clear();
                }
                vec![node]
            }
        })
        .collect();
}
