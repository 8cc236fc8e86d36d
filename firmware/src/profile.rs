//! Measures one inference, step by step.

use kinglet::{Guard, InferError, ModelType};

use crate::arena::{Memory, session};
use crate::images::{Embedded, Header, Kind, Source};
use crate::report::{self, Record};
use crate::{clock, fault};

/// Logs stack, instructions (cycles on a board) and checksums for the first embedded image, or for an image of zeros when none was
/// built in, and what it costs to watch over the weights; the exit code.
///
/// `frame` has room for one image; `records` and `sums`, the steps' checksums, are as many as the model has steps.
pub fn profile<M: ModelType>(memory: Memory<M>, frame: &mut [u8], records: &[Record], sums: &[u32]) -> i32 {
    let mut session = session::<M>(memory);
    let zeros = Header { kind: Kind::Quantized, count: 1, image_len: session.model().input_bytes() as u32 };
    let mut images = Embedded::open();
    let header = images.as_ref().map_or(zeros, Source::header);
    let Some(frame) = header.fit(session.model(), frame) else { return fault::BAD_INPUT };
    if images.as_mut().is_some_and(|images| !images.next(frame)) {
        defmt::error!("there is no embedded image");
        return fault::BAD_INPUT;
    }
    let mut measure = || -> Result<Option<usize>, InferError> {
        report::measure(&mut session, records, |session| header.start(session, frame))?;
        let mut guard = Guard::new(M::MODEL, sums);
        let inference = header.start(&mut session, frame)?.observe(&mut guard);
        clock::start();
        let mut finished = Ok(());
        let counted = clock::count(|| finished = inference.finish().map(|_| ()));
        finished?;
        defmt::info!("guarded {=str}={=u32}", clock::UNIT, counted);
        Ok(guard.damaged())
    };
    match measure() {
        Ok(None) => return fault::OK,
        Ok(Some(step)) => defmt::error!("the weights of step {=usize} have changed", step),
        Err(error) => defmt::error!("{}", error),
    }
    fault::FAILED
}
