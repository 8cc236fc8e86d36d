//! A program that links a part of the runtime runs what it says it runs, with the same bytes, and refuses the rest.

use kinglet::ops::{ConvAlgorithm, Encoding, OpKind};
use kinglet::tensor::DType;
use kinglet::uses::{Codes, Linked, Set};
use kinglet::{Aligned, Fault, Model, Session};

mod common;

kinglet::model!(Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-inception/digits-inception.kgl"));

/// The outputs of a model for a few inputs.
fn outputs<M: Linked>(model: Model<'_, M>) -> Vec<Vec<i8>> {
    let mut memory = Vec::new();
    let mut session = Session::open(model, common::arena(&mut memory, model.arena_len())).unwrap();
    let image = |seed: usize| {
        let image: Vec<i8> = (0..model.input().shape.len() as usize).map(|at| (at * 37 + seed * 101) as i8).collect();
        session.infer(&image[..]).unwrap().elements().unwrap().to_vec()
    };
    (0..if cfg!(miri) { 1 } else { 4 }).map(image).collect()
}

/// The parts that [`common::Block`] uses.
const USED: Set = Set {
    operators: Codes::of(OpKind::Conv2d.code())
        .union(Codes::of(OpKind::Add.code()))
        .union(Codes::of(OpKind::Mean.code())),
    convolutions: Codes::of(ConvAlgorithm::Direct.id()),
    dtypes: Codes::of(DType::I8.code()),
    scaled_add: true,
    encodings: Codes::of(Encoding::Plain.code()),
    ..Set::NONE
};

/// Types that link a part of the runtime.
macro_rules! linked {
    ($($name:ident = $set:expr;)*) => {$(
        #[derive(Clone, Copy)]
        struct $name;

        impl Linked for $name {
            const SET: Set = $set;
        }
    )*};
}

linked! {
    Used = USED;
    NoAdd = Set { operators: USED.operators.without(Codes::of(OpKind::Add.code())), ..USED };
    NoDirect = Set { convolutions: Codes::NONE, ..USED };
    NoInt8 = Set { dtypes: Codes::NONE, ..USED };
    NoScaledAdd = Set { scaled_add: false, ..USED };
    Streamed = Set { chains: true, overlays: true, ..USED };
}

/// What a program that links a part of the runtime says of a model.
fn limited<L: Linked>(bytes: &[u8]) -> Result<(), Fault> {
    Model::<L>::limited(bytes).map(|_| ()).map_err(|error| error.fault)
}

#[test]
fn a_part_of_the_runtime_gives_the_same_bytes() {
    assert_eq!(Digits::MODEL.uses(), Digits::MODEL.unlimited().uses());
    let softmax = OpKind::Softmax.code();
    assert!(!Digits::MODEL.uses().operators.has(softmax), "not all is used, or this test shows nothing");
    assert_eq!(outputs(Digits::MODEL), outputs(Digits::MODEL.unlimited()));
}

#[test]
fn what_is_not_linked_is_refused() {
    let block = common::Block::in_place().to_bytes();
    assert_eq!(Model::new(&block).unwrap().uses(), USED);
    assert_eq!(limited::<Used>(&block), Ok(()));
    for refused in [limited::<NoAdd>, limited::<NoDirect>, limited::<NoInt8>, limited::<NoScaledAdd>] {
        assert_eq!(refused(&block), Err(Fault::NotLinked));
    }
    // The same steps, row by row.
    let streamed = common::Block::streamed().to_bytes();
    assert_eq!(limited::<Used>(&streamed), Err(Fault::NotLinked));
    assert_eq!(limited::<Streamed>(&streamed), Ok(()));
}

/// A registry that outgrows the set, or gives a code away twice, does not compile; a code without a place is refused.
#[test]
fn a_set_does_not_run_out_in_silence() {
    assert!(Codes::distinct(&[0, 7, Codes::LIMIT - 1]));
    assert!(!Codes::distinct(&[0, 7, 0]));
    assert!(!Codes::distinct(&[Codes::LIMIT]));
    let all_but_one = Codes::ALL.without(Codes::of(0));
    assert!(!all_but_one.has(Codes::LIMIT) && !all_but_one.has(2 * Codes::LIMIT));
}

/// What `model!` asks before the file is checked: it must not stop at a broken one.
#[test]
fn a_broken_file_uses_nothing() {
    assert_eq!((Model::uses_of(&[]), Model::uses_of(b"KNGL")), (Set::NONE, Set::NONE));
    let aligned = Aligned(*b"not a model");
    assert_eq!(Model::uses_of(&aligned.0), Set::NONE);
}
