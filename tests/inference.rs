//! An inference is a value: what goes in, what comes out, and that nothing else can be seen or disturbed.

use kinglet::{
    DType, InferError, InputError, Model, Observer, Pixels, Progress, Raw, RawWith, Session, StepEvent, f16,
};
use proptest::prelude::*;

mod common;
use common::{Block, MAP};

kinglet::model!(Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl"));

/// Calls `test` with a session of the digits model.
fn with_digits<R>(test: impl FnOnce(Session<'_, Digits>) -> R) -> R {
    let mut memory = Vec::new();
    test(Session::open(Digits::MODEL, common::arena(&mut memory, Digits::ARENA_LEN)).unwrap())
}

fn image() -> Vec<u8> {
    (0..64).map(|at| (at * 37 % 251) as u8).collect()
}

#[test]
fn every_kind_of_input_gives_the_same_output() {
    with_digits(|mut session| {
        let pixels = image();
        let expected = session.infer(Pixels(&pixels)).unwrap().bytes().to_vec();
        // The elements that the model's table makes of the pixels, seen where they lie.
        let mut fill = session.fill::<u8>().unwrap();
        fill.copy_from_slice(&pixels);
        let table = Digits::MODEL.pixels().unwrap();
        let mut elements = [0i8; 64];
        table.apply(&pixels, &mut elements);
        assert_eq!(fill.start().finish().unwrap().bytes(), expected);

        assert_eq!(session.infer(&elements).unwrap().bytes(), expected);
        let bytes = elements.map(|element| element as u8);
        assert_eq!(session.infer(Raw(&bytes)).unwrap().bytes(), expected);
        assert_eq!(session.infer(RawWith(|to: &mut [u8]| to.copy_from_slice(&bytes))).unwrap().bytes(), expected);
        let quant = Digits::MODEL.input().quant;
        let reals = elements.map(|element| quant.dequantize(element.into()));
        assert_eq!(session.infer(&reals).unwrap().bytes(), expected);
        let mut fill = session.fill::<i8>().unwrap();
        fill.copy_from_slice(&elements);
        assert_eq!(fill.start().finish().unwrap().bytes(), expected);
        let mut rows = session.pixel_rows();
        pixels.chunks(8).for_each(|row| rows.push(row).unwrap());
        assert_eq!(rows.start().unwrap().finish().unwrap().bytes(), expected);
    });
}

#[test]
fn what_does_not_fit_is_refused_before_anything_runs() {
    with_digits(|mut session| {
        let length = InputError::Length { needed: 64, given: 3 };
        assert_eq!(session.infer(Pixels(&[0; 3])).unwrap_err(), InferError::Input(length));
        assert_eq!(session.start(&[0i8; 3]).unwrap_err(), length);
        assert_eq!(session.start(Raw(&[0; 3])).unwrap_err(), length);
        assert_eq!(session.start(&[0f32; 3]).unwrap_err(), length);
        let other = |given| InputError::ElementType { needed: DType::I8, given };
        assert_eq!(session.start(&[0i16; 64]).unwrap_err(), other(DType::I16));
        assert_eq!(session.start(&[f16::ZERO; 64]).unwrap_err(), other(DType::F16));
        assert_eq!(session.fill::<i16>().unwrap_err(), other(DType::I16));
        assert_eq!(length.to_string(), "the model takes 64 input elements, 3 were given");
    });
}

#[test]
fn an_output_lasts_until_the_session_is_used_again() {
    with_digits(|mut session| {
        assert!(session.output().is_none(), "before any inference");
        let expected = session.infer(Pixels(&image())).unwrap().bytes().to_vec();
        assert_eq!(session.output().unwrap().bytes(), expected);
        assert!(session.start(Pixels(&[0; 3])).is_err());
        assert!(session.output().is_none(), "its bytes may have been written over");
        session.infer(Pixels(&image())).unwrap();
        session.start(Pixels(&image())).unwrap().step();
        assert!(session.output().is_none(), "an inference that was abandoned");
    });
}

#[test]
fn an_output_knows_its_classes() {
    with_digits(|mut session| {
        let output = session.infer(Pixels(&image())).unwrap();
        let scores: Vec<f32> = output.scores().collect();
        let elements = output.elements::<i8>().unwrap();
        assert_eq!(scores.len(), 10);
        assert!(output.elements::<i16>().is_none() && output.elements::<f16>().is_none());
        assert!(output.probability(10).is_none() && output.label(10).is_none());
        let all = output.top_k::<12>();
        assert_eq!(all.len(), 10);
        assert!(all.is_sorted_by(|a, b| a.score >= b.score && a.probability >= b.probability));
        let sum: f32 = all.iter().map(|prediction| prediction.probability).sum();
        assert!((sum - 1.0).abs() < 0.02, "{sum}");
        for prediction in &all {
            assert_eq!(prediction.label, Digits::MODEL.label(prediction.class));
            assert_eq!(prediction.score, scores[prediction.class]);
            assert_eq!(Some(prediction.probability), output.probability(prediction.class));
            assert_eq!(prediction.score, output.tensor().quant.dequantize(elements[prediction.class].into()));
        }
        assert_eq!(output.best(), all.first().copied());
    });
}

/// Sees whether anything has run.
#[derive(Default)]
struct Steps(usize);

impl Observer for Steps {
    fn end(&mut self, _: &StepEvent<'_>) {
        self.0 += 1;
    }
}

#[test]
fn a_finished_inference_runs_no_further() {
    with_digits(|mut session| {
        let mut steps = Steps::default();
        let mut inference = session.start(Pixels(&image())).unwrap().observe(&mut steps);
        assert_eq!(inference.observer().0, 0, "nothing runs before it is asked to");
        while inference.step() == Progress::More {}
        let ran = inference.observer().0;
        assert_eq!(inference.step(), Progress::Done);
        assert_eq!(inference.rows(1), Progress::Done);
        inference.finish().unwrap();
        assert_eq!(steps.0, ran);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 48 }))]
    /// Whatever a session went through, the next inference gives what a fresh session gives.
    #[test]
    fn no_inference_leaves_a_trace(
        plan in 0usize..3, before in proptest::collection::vec((0u32..9, any::<bool>()), 0..6),
        input in proptest::collection::vec(any::<i8>(), MAP as usize),
    ) {
        let bytes = [Block::apart, Block::in_place, Block::streamed][plan]().to_bytes();
        let mut file = Vec::new();
        let model = Model::new(common::aligned(&bytes, &mut file)).unwrap();
        let (mut fresh, mut used) = (Vec::new(), Vec::new());
        let mut fresh = Session::open(model, common::arena(&mut fresh, model.arena_len())).unwrap();
        let expected = fresh.infer(&input[..]).unwrap().bytes().to_vec();
        let mut session = Session::open(model, common::arena(&mut used, model.arena_len())).unwrap();
        for (slices, finished) in before {
            let mut inference = session.start(&[slices as i8; MAP as usize]).unwrap();
            (0..slices).for_each(|slice| {
                inference.rows(slice);
            });
            if finished {
                inference.finish().unwrap();
            }
            session.fill::<i8>().unwrap()[0] = 1;
        }
        prop_assert_eq!(session.infer(&input[..]).unwrap().bytes(), &expected[..]);
    }
}
