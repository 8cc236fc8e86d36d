//! Measures one inference, step by step.

use kinglet::uses::Linked;
use kinglet::{Guard, Model};

use crate::arena::{Bytes, session};
use crate::images::{Embedded, Header, Kind, Source, feed};
use crate::report::{self, Record};
use crate::{clock, fault};

/// Logs stack, instructions (cycles on a board) and checksums for the first embedded image, or for an image of zeros when none was
/// built in, and what it costs to watch over the weights; the exit code.
///
/// `frame` has room for one image; `records` and `sums`, the steps' checksums, are as many as the model has steps.
pub fn profile<L: Linked>(
    model: Model<'static, L>,
    arena: Bytes,
    frame: &mut [u8],
    records: &[Record],
    sums: &[u32],
) -> i32 {
    let Some(mut session) = session(model, arena) else { return fault::BAD_INPUT };
    let zeros = Header { kind: Kind::Quantized, count: 1, image_len: model.input().span() };
    let mut images = Embedded::open();
    let header = images.as_ref().map_or(zeros, Source::header);
    let Some(frame) = header.fit(&model.input(), frame) else { return fault::BAD_INPUT };
    if images.as_mut().is_some_and(|images| !images.next(frame)) {
        defmt::error!("there is no embedded image");
        return fault::BAD_INPUT;
    }
    if let Err(error) = feed(&mut session, header.kind, frame) {
        defmt::error!("{}", error);
        return fault::BAD_INPUT;
    }
    report::measure(&mut session, records, |session| {
        let _ = feed(session, header.kind, frame);
    });
    let _ = feed(&mut session, header.kind, frame);
    let mut guard = Guard::new(model, sums);
    clock::start();
    defmt::info!("guarded {=str}={=u32}", clock::UNIT, clock::count(|| session.run_observed(&mut guard)));
    if let Some(step) = guard.damaged() {
        defmt::error!("the weights of step {=usize} have changed", step);
        return fault::FAILED;
    }
    fault::OK
}
