//! A program that links a part of the runtime runs what it says it runs, with the same bytes, and refuses the rest.

use kinglet::ops::{ConvAlgorithm, OpKind};
use kinglet::tensor::DType;
use kinglet::{Aligned, Fault, Model, Session, uses};

mod common;

kinglet::model!(static DIGITS = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-inception/digits-inception.kgl"));

/// The outputs of a model for a few inputs.
fn outputs<const USES: u64>(model: Model<'_, USES>) -> Vec<Vec<i8>> {
    let mut memory = Vec::new();
    let mut session = Session::new(model, common::arena(&mut memory, model.arena_len())).unwrap();
    let image = |seed: usize| {
        session.input_mut().iter_mut().enumerate().for_each(|(at, x)| *x = (at * 37 + seed * 101) as i8);
        session.run();
        session.output().to_vec()
    };
    (0..4).map(image).collect()
}

/// What a program that links all but `WITHOUT` says of a model.
fn limited<const USES: u64>(bytes: &[u8]) -> Result<(), Fault> {
    Model::<USES>::limited(bytes).map(|_| ()).map_err(|error| error.fault)
}

#[test]
fn a_part_of_the_runtime_gives_the_same_bytes() {
    assert_eq!(DIGITS.uses(), DIGITS.unlimited().uses());
    assert!(!uses::has(DIGITS.uses(), uses::operator(OpKind::Softmax)), "not all is used, or this test shows nothing");
    assert_eq!(outputs(DIGITS), outputs(DIGITS.unlimited()));
}

#[test]
fn what_is_not_linked_is_refused() {
    let block = common::Block::in_place().to_bytes();
    let all = Model::new(&block).unwrap().uses();
    let parts = [
        uses::operator(OpKind::Conv2d),
        uses::operator(OpKind::Add),
        uses::operator(OpKind::Mean),
        uses::convolution(ConvAlgorithm::Direct),
        uses::SCALED_ADD,
        uses::dtype(DType::I8),
    ];
    assert_eq!(all, parts.iter().fold(0, |all, part| all | part));
    const USED: u64 = uses::operator(OpKind::Conv2d)
        | uses::operator(OpKind::Add)
        | uses::operator(OpKind::Mean)
        | uses::convolution(ConvAlgorithm::Direct)
        | uses::SCALED_ADD
        | uses::dtype(DType::I8);
    assert_eq!(limited::<USED>(&block), Ok(()));
    const NO_ADD: u64 = USED & !uses::operator(OpKind::Add);
    const NO_DIRECT: u64 = USED & !uses::convolution(ConvAlgorithm::Direct);
    const NO_INT8: u64 = USED & !uses::dtype(DType::I8);
    for refused in [limited::<NO_ADD>, limited::<NO_DIRECT>, limited::<NO_INT8>] {
        assert_eq!(refused(&block), Err(Fault::NotLinked));
    }
    // The same steps, row by row.
    let streamed = common::Block::streamed().to_bytes();
    assert_eq!(limited::<USED>(&streamed), Err(Fault::NotLinked));
    assert_eq!(limited::<{ USED | uses::CHAINS | uses::OVERLAYS }>(&streamed), Ok(()));
}

/// What `model!` asks before the file is checked: it must not stop at a broken one.
#[test]
fn a_broken_file_uses_nothing() {
    assert_eq!((Model::uses_of(&[]), Model::uses_of(b"KNGL")), (0, 0));
    let aligned = Aligned(*b"not a model");
    assert_eq!(Model::uses_of(&aligned.0), 0);
}
