//! Version 2 of the file: lists of inputs and outputs, parts along the height, what it says of the model; and the limits of a
//! model's work.

use kinglet::format::layout::{Section, header, port};
use kinglet::format::{About, RoundingSource};
use kinglet::memory::Region;
use kinglet::ops::{Add, AveragePool2d, Concat, Op, Pad};
use kinglet::write::{ModelSpec, PortSpec, StateSpec, StepSpec, encode};
use kinglet::{
    Clamp, DType, Fault, InferError, InputError, Model, Output, Place, QuantParams, Raw, Rounding, Session, Shape,
    Tensor, Window, Work,
};

mod common;

const QUANT: QuantParams = QuantParams { scale: 0.1, zero_point: 0 };
const CLAMP: Clamp = Clamp { min: -128, max: 127 };

fn tensor(shape: Shape, offset: u32, [first, ready, last]: [u32; 3], parent: Option<u32>) -> Tensor {
    let place = Place { offset, pitch: shape.c, rows: shape.h };
    Tensor { shape, dtype: DType::I8, quant: QUANT, place, first, ready, last, parent }
}

fn step(op: Op<'static>, a: u32, b: Option<u32>, output: u32, time_slot: u32) -> StepSpec<'static> {
    StepSpec { name: "step", op, a, b, output, time_slot, scratch: Region { offset: 0, len: 0 } }
}

fn add() -> Op<'static> {
    Op::Add(Add::new(QUANT, QUANT, QUANT, DType::I8, Rounding::Double, CLAMP).unwrap())
}

fn spec<'s>(tensors: &'s [Tensor], steps: &'s [StepSpec<'s>], outputs: &'s [PortSpec<'s>]) -> ModelSpec<'s> {
    ModelSpec {
        name: "model",
        arena_len: tensors.iter().map(Tensor::end).max().unwrap_or(0),
        fast_len: 0,
        inputs: &[PortSpec { name: "x", tensor: 0 }],
        outputs,
        states: &[],
        about: About::UNKNOWN,
        tensors,
        steps,
        labels: &[],
        pixels: None,
    }
}

/// Two inputs, their sum, and a copy of the first.
fn two_of_each(change: impl FnOnce(&mut ModelSpec<'_>)) -> Vec<u8> {
    let shape = Shape::new(2, 1, 3);
    let tensors = [[0, 0, 2], [0, 0, 1], [1, 1, 3], [2, 2, 3]];
    let tensors: Vec<Tensor> = (0..).zip(tensors).map(|(i, life)| tensor(shape, 16 * i, life, None)).collect();
    let steps = [step(add(), 0, Some(1), 2, 1), step(Op::Concat(Concat), 0, None, 3, 2)];
    let mut spec = spec(&tensors, &steps, &[PortSpec { name: "sum", tensor: 2 }, PortSpec { name: "copy", tensor: 3 }]);
    spec.inputs = &[PortSpec { name: "left", tensor: 0 }, PortSpec { name: "right", tensor: 1 }];
    change(&mut spec);
    spec.to_bytes()
}

#[test]
fn inputs_and_outputs_have_names_and_numbers() {
    let about = About {
        rounding: RoundingSource::Tflm,
        rounding_version: 20_261_023,
        generation: 7,
        temperature: 1.5,
        threshold: 0.25,
    };
    let bytes = two_of_each(|spec| spec.about = about);
    let model = Model::new(&bytes).unwrap();
    let names =
        |ports: Vec<kinglet::Port<'_>>| ports.iter().map(|port| (port.name.to_owned(), port.index)).collect::<Vec<_>>();
    assert_eq!(names(model.inputs().collect()), [("left".to_owned(), 0), ("right".to_owned(), 1)]);
    assert_eq!(names(model.outputs().collect()), [("sum".to_owned(), 2), ("copy".to_owned(), 3)]);
    assert_eq!((model.input_index(), model.output_index()), (0, 2));
    assert_eq!((model.input(), model.output()), (model.tensor(0).unwrap(), model.tensor(2).unwrap()));
    assert_eq!(model.about(), about);
    // Written anew it is the same file.
    assert_eq!(encode(&model, about), bytes);
}

#[test]
fn wrong_lists_are_refused() {
    let fault = |change: &dyn Fn(&mut ModelSpec<'_>)| Model::new(&two_of_each(change)).unwrap_err().fault;
    assert_eq!(fault(&|spec| spec.inputs = &[]), Fault::Count);
    assert_eq!(fault(&|spec| spec.outputs = &[]), Fault::Count);
    assert_eq!(fault(&|spec| spec.outputs = &[PortSpec { name: "no such", tensor: 4 }]), Fault::Port);
    // A tensor that nobody writes, one that two write, one that is gone when the caller reads it.
    assert_eq!(fault(&|spec| spec.inputs = &[PortSpec { name: "left", tensor: 0 }]), Fault::Lifetime);
    assert_eq!(fault(&|spec| spec.inputs = &[PortSpec { name: "left", tensor: 0 }; 2]), Fault::Lifetime);
    assert_eq!(fault(&|spec| spec.outputs = &[PortSpec { name: "gone", tensor: 1 }]), Fault::Lifetime);
    let about = |about: About| fault(&move |spec| spec.about = about);
    assert_eq!(about(About { temperature: 0.0, ..About::UNKNOWN }), Fault::Scale);
    assert_eq!(about(About { threshold: 1.5, ..About::UNKNOWN }), Fault::Scale);
    // An output before an input, a kind that there is not, words that must be zero.
    let good = two_of_each(|_| {});
    let word = |at: u32| u32::from_le_bytes(good[at as usize..][..4].try_into().unwrap());
    let ports = word(Section::Ports.entry());
    for (at, value, fault) in [
        (ports + port::KIND, 1, Fault::Port),
        (ports + port::SIZE * 3 + port::KIND, 3, Fault::Port),
        (ports + port::NEXT, 0, Fault::Port),
        (ports + port::RESERVED, 1, Fault::Reserved),
        (header::INPUT, 1, Fault::Reserved),
        (header::RESERVED, 1, Fault::Reserved),
        (header::ROUNDING, 5, Fault::Rounding),
        (header::PORTS + 4, 31, Fault::Count),
    ] {
        let mut bytes = good.clone();
        bytes[at as usize..][..4].copy_from_slice(&u32::to_le_bytes(value));
        common::seal(&mut bytes);
        assert_eq!(Model::new(&bytes).unwrap_err().fault, fault, "{at}");
    }
}

/// The bytes that the inference of `give` leaves in both outputs.
fn both(give: impl FnOnce(&mut Session<'_>) -> Result<[Vec<u8>; 2], InferError>) -> Result<[Vec<u8>; 2], InferError> {
    let bytes = two_of_each(|_| {});
    let mut file = Vec::new();
    let model = Model::new(common::aligned(&bytes, &mut file)).unwrap();
    let mut memory = Vec::new();
    give(&mut Session::open(model, common::arena(&mut memory, model.arena_len())).unwrap())
}

fn outputs(output: Output<'_>) -> [Vec<u8>; 2] {
    assert_eq!(output.get("sum").unwrap().bytes(), output.bytes());
    assert_eq!(output.get("copy").unwrap().bytes(), output.get(1).unwrap().bytes());
    assert!(output.get("left").is_none() && output.get(2).is_none());
    let all: Vec<_> = output.all().map(|output| output.bytes().to_vec()).collect();
    all.try_into().unwrap()
}

#[test]
fn inputs_are_given_in_order_or_by_name() {
    let (left, right) = ([1i8, 2, 3, 4, 5, 6], [10i8; 6]);
    let expected = Ok([vec![11, 12, 13, 14, 15, 16], vec![1, 2, 3, 4, 5, 6]]);
    assert_eq!(both(|session| Ok(outputs(session.infer((&left, &right))?))), expected);
    let reals = right.map(|q| f32::from(q) * 0.1);
    assert_eq!(both(|session| Ok(outputs(session.infer((&left, &reals))?))), expected);
    let bytes = [1, 2, 3, 4, 5, 6, 10, 10, 10, 10, 10, 10];
    assert_eq!(both(|session| Ok(outputs(session.infer(Raw(&bytes))?))), expected);
    assert_eq!(both(|session| Ok(outputs(session.infer((Raw(&bytes[..6]), &right))?))), expected);
    let by_name = both(|session| {
        let mut inputs = session.inputs();
        inputs.set("right", &[0i8; 6])?;
        inputs.elements::<i8>("right")?.fill(10);
        inputs.set(0, &left)?;
        Ok(outputs(inputs.start()?.finish()?))
    });
    assert_eq!(by_name, expected);
}

#[test]
fn inputs_that_do_not_fit_are_told_and_nothing_runs() {
    let refused = |error: InputError| Err(InferError::Input(error));
    let (six, none) = ([0i8; 6], |output: Output<'_>| outputs(output));
    let count = |given| refused(InputError::Count { needed: 2, given });
    assert_eq!(both(|session| Ok(none(session.infer(&six)?))), count(1));
    assert_eq!(both(|session| Ok(none(session.infer((&six, &six, &six))?))), count(3));
    assert_eq!(both(|session| Ok(none(session.fill::<i8>()?.start().finish()?))), count(1));
    assert_eq!(both(|session| Ok(none(session.pixel_rows().start()?.finish()?))), count(1));
    let short = refused(InputError::Length { needed: 6, given: 5 });
    assert_eq!(both(|session| Ok(none(session.infer((&six, &six[..5]))?))), short);
    assert_eq!(
        both(|session| Ok(none(session.infer(Raw(&[0; 11]))?))),
        refused(InputError::Length { needed: 12, given: 11 })
    );
    // A tuple within a tuple is two inputs in the place of one.
    assert_eq!(
        both(|session| Ok(none(session.infer((&six, (&six, &six)))?))),
        refused(InputError::Count { needed: 1, given: 2 })
    );
    let by_name = |name: &'static str| {
        both(|session| {
            let mut inputs = session.inputs();
            inputs.set(name, &six)?;
            inputs.set(name, &six)?;
            Ok(none(inputs.start()?.finish()?))
        })
    };
    assert_eq!(by_name("left"), count(1));
    assert_eq!(by_name("middle"), refused(InputError::Unknown));
    let wide = both(|session| Ok([vec![], vec![session.inputs().elements::<i16>(0)?.len() as u8]]));
    assert_eq!(wide, refused(InputError::ElementType { needed: DType::I8, given: DType::I16 }));
}

/// A state that holds the sum of all inputs so far.
fn sums(change: impl FnOnce(&mut [Tensor; 3], &mut StateSpec<'_>)) -> Vec<u8> {
    let shape = Shape::new(2, 1, 3);
    let lives = [[0, 0, 1], [0, 0, 2], [1, 1, 2]];
    let mut tensors = [0, 1, 2].map(|i| tensor(shape, 16 * i as u32, lives[i], None));
    let mut state = StateSpec { port: PortSpec { name: "sums", tensor: 1 }, next: 2, initial: &[5; 6] };
    change(&mut tensors, &mut state);
    let steps = [step(add(), 0, Some(1), 2, 1)];
    let states = [state];
    ModelSpec { states: &states, ..spec(&tensors, &steps, &[PortSpec { name: "y", tensor: 2 }]) }.to_bytes()
}

#[test]
fn states_last_from_inference_to_inference() {
    let bytes = sums(|_, _| {});
    let mut file = Vec::new();
    let model = Model::new(common::aligned(&bytes, &mut file)).unwrap();
    assert_eq!(model.states().map(|state| (state.port.name, state.next)).collect::<Vec<_>>(), [("sums", 2)]);
    let mut memory = Vec::new();
    let mut session = Session::open(model, common::arena(&mut memory, model.arena_len())).unwrap();
    let sum = |session: &mut Session<'_>| session.infer(Raw(&[2; 6])).unwrap().bytes()[0];
    assert_eq!([sum(&mut session), sum(&mut session)], [7, 9]);
    // What is dropped, whole or in the middle, leaves the state as it was.
    let _ = session.start(Raw(&[2; 6])).unwrap();
    let _ = session.start(Raw(&[2; 6])).unwrap().step();
    assert_eq!(sum(&mut session), 11);
    session.reset();
    assert_eq!(sum(&mut session), 7);
    assert!(session.reset_state("sums") && !session.reset_state("y") && session.output().is_none());
    assert_eq!(sum(&mut session), 7);
    // Without first elements it begins with zero points.
    let bytes = sums(|_, state| state.initial = &[]);
    let mut memory = Vec::new();
    let mut file = Vec::new();
    let model = Model::new(common::aligned(&bytes, &mut file)).unwrap();
    let mut session = Session::open(model, common::arena(&mut memory, model.arena_len())).unwrap();
    assert_eq!(sum(&mut session), 2);
}

#[test]
fn wrong_states_are_refused() {
    let fault = |change: fn(&mut [Tensor; 3], &mut StateSpec<'_>)| Model::new(&sums(change)).unwrap_err().fault;
    assert_eq!(fault(|_, state| state.initial = &[5; 5]), Fault::Port);
    assert_eq!(fault(|_, state| state.next = 3), Fault::Port);
    assert_eq!(fault(|_, state| state.next = 1), Fault::Port);
    assert_eq!(fault(|tensors, _| tensors[1].last = 1), Fault::Lifetime);
    assert_eq!(fault(|tensors, _| tensors[2].place.offset = 16), Fault::Overlap);
    assert_eq!(fault(|_, state| state.port.tensor = 2), Fault::Lifetime);
    // The next value is the input: gone when the inference ends.
    assert_eq!(fault(|_, state| state.next = 0), Fault::Lifetime);
}

/// Two maps one below the other: their rows are parts of the parent tensor.
fn stacked(second: Shape, offset: u32) -> Vec<u8> {
    let shape = Shape::new(2, 2, 3);
    let tensors = [
        tensor(shape, 64, [0, 0, 2], None),
        tensor(shape, 0, [1, 1, 3], Some(3)),
        tensor(second, offset, [2, 2, 3], Some(3)),
        tensor(Shape::new(4, 2, 3), 0, [1, 2, 3], None),
    ];
    let steps = [step(Op::Concat(Concat), 0, None, 1, 1), step(Op::Concat(Concat), 0, None, 2, 2)];
    spec(&tensors, &steps, &[PortSpec::output(3)]).to_bytes()
}

#[test]
fn parts_may_lie_one_below_the_other() {
    let bytes = stacked(Shape::new(2, 2, 3), 12);
    let mut file = Vec::new();
    let model = Model::new(common::aligned(&bytes, &mut file)).unwrap();
    let mut memory = Vec::new();
    let mut session = Session::open(model, common::arena(&mut memory, model.arena_len())).unwrap();
    let input: Vec<u8> = (0..12).collect();
    assert_eq!(session.infer(Raw(&input)).unwrap().bytes(), [&input[..], &input[..]].concat());
    // Over each other, too far down, across the border of two pixels.
    assert_eq!(Model::new(&stacked(Shape::new(2, 2, 3), 6)).unwrap_err().fault, Fault::Overlap);
    assert_eq!(Model::new(&stacked(Shape::new(2, 2, 3), 18)).unwrap_err().fault, Fault::Operand);
    assert_eq!(Model::new(&stacked(Shape::new(2, 2, 3), 13)).unwrap_err().fault, Fault::Operand);
}

/// Steps over maps of one column in one chain: as many as `steps`, of `rows` rows.
fn chain(rows: u32, steps: u32) -> Vec<u8> {
    let shape = Shape::new(rows, 1, 1);
    let mut tensors = vec![tensor(Shape::new(1, 1, 1), 0, [0, 0, 1], None)];
    for i in 1..steps {
        tensors.push(tensor(shape, 16 * i, [1, 1, 1], None));
        tensors[i as usize].place.rows = 1;
    }
    let window = Window { kernel: [1, 1], stride: [rows.min(4096), 1], before: [0, 0], after: [0, 0] };
    let last = Shape::new((rows - 1) / rows.min(4096) + 1, 1, 1);
    tensors.push(tensor(last, 16 * steps, [1, 1, 2], None));
    let mut all = vec![step(Op::Pad(Pad { before: [0; 3], after: [rows - 1, 0, 0], value: 0 }), 0, None, 1, 1)];
    all.extend((2..steps).map(|i| step(Op::Concat(Concat), i - 1, None, i, 1)));
    all.push(step(Op::AveragePool2d(AveragePool2d { window, clamp: CLAMP }), steps - 1, None, steps, 1));
    spec(&tensors, &all, &[PortSpec::output(steps)]).to_bytes()
}

#[test]
fn work_is_bounded_and_told() {
    let bytes = chain(1000, 8);
    let work = Model::new(&bytes).unwrap().work();
    assert_eq!((work.calls, work.constants), (7001, 0));
    assert_eq!(work.operations, 7 * 1000 + 1000);
    // More rows in chains than a device would check in seconds.
    assert!(Model::new(&chain(if cfg!(miri) { 100 } else { 32_768 }, 8)).is_ok());
    assert_eq!(Model::new(&chain(1 << 20, 8)).unwrap_err().fault, Fault::Work);
    // A pool over everything for each of many pixels.
    let pool = |size: u32| {
        let window = Window { kernel: [size; 2], stride: [1, 1], before: [size - 1; 2], after: [size - 1; 2] };
        let output = Shape::new(2 * size - 1, 2 * size - 1, 1);
        let tensors =
            [tensor(Shape::new(size, size, 1), 0, [0, 0, 1], None), tensor(output, size * size, [1, 1, 2], None)];
        let steps = [step(Op::AveragePool2d(AveragePool2d { window, clamp: CLAMP }), 0, None, 1, 1)];
        spec(&tensors, &steps, &[PortSpec::output(1)]).to_bytes()
    };
    assert_eq!(Model::new(&pool(64)).unwrap().work().operations, 64 * 64 * 127 * 127);
    assert_eq!(Model::new(&pool(1024)).unwrap_err().fault, Fault::Work);
    const { assert!(Work::MAX_OPERATIONS > 20_000_000_000, "VGG-19") };
    // Places and pitches that wrap in 32 bits, more arena than any device has, a name without end.
    let fault = |change: &dyn Fn(&mut ModelSpec<'_>)| Model::new(&two_of_each(change)).unwrap_err().fault;
    assert_eq!(fault(&|spec| spec.arena_len = (1 << 30) + 16), Fault::Arena);
    let far = |offset, pitch| {
        let shape = Shape::new(2, 1, 1);
        let mut tensors = [tensor(shape, 0, [0, 0, 1], None), tensor(shape, offset, [1, 1, 2], None)];
        tensors[1].place.pitch = pitch;
        let steps = [step(Op::Concat(Concat), 0, None, 1, 1)];
        let outputs = [PortSpec::output(1)];
        let mut spec = spec(&tensors, &steps, &outputs);
        spec.arena_len = 1 << 30;
        Model::new(&spec.to_bytes()).unwrap_err().fault
    };
    assert_eq!(far(16, 0xC000_0000), Fault::Arena);
    assert_eq!(far(0xC000_0000, 1), Fault::Arena);
    static NAME: [u8; 1025] = [b'n'; 1025];
    assert_eq!(fault(&|spec| spec.name = str::from_utf8(&NAME).unwrap()), Fault::Text);
}
