//! Runs every image of the host through a model and writes every output byte back.

use kinglet::{InferError, ModelType};

use crate::arena::{Memory, session};
use crate::host::{HostImages, HostOutputs};
use crate::images::Source;
use crate::report::Record;
use crate::{fault, report};

/// Reads `inputs.bin`, writes `outputs.bin`, and measures the first inference; the exit code.
///
/// `frame` has room for one image; `records` are as many as the model has steps.
pub fn evaluate<M: ModelType>(memory: Memory<M>, frame: &mut [u8], records: &[Record]) -> i32 {
    let mut session = session::<M>(memory);
    let (Some(mut images), Some(mut outputs)) = (HostImages::open(), HostOutputs::create()) else {
        defmt::error!("cannot open inputs.bin (an image set) or outputs.bin in the working directory");
        return fault::BAD_INPUT;
    };
    let header = images.header();
    let Some(frame) = header.fit(session.model(), frame) else { return fault::BAD_INPUT };
    for index in 0..header.count {
        if !images.next(frame) {
            defmt::error!("inputs.bin ends before image {=u32} of {=u32}", index, header.count);
            return fault::BAD_INPUT;
        }
        let ran = if index == 0 {
            report::measure(&mut session, records, |session| header.start(session, frame))
        } else {
            header.start(&mut session, frame).map_err(InferError::Input).and_then(|i| i.finish().map(|_| ()))
        };
        if let Err(error) = ran {
            defmt::error!("{}", error);
            return fault::FAILED;
        }
        if !session.output().is_some_and(|output| output.all().all(|output| outputs.write(output.bytes()))) {
            defmt::error!("cannot write to outputs.bin");
            return fault::FAILED;
        }
    }
    defmt::info!("done images={=u32}", header.count);
    fault::OK
}
