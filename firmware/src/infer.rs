//! Classifies images and logs what it makes of them.

use kinglet::{Linked, ModelType, Output, Session};

use crate::arena::{Memory, session};
use crate::fault;
use crate::images::{Embedded, Source};

/// How many classes of each image are logged.
const BEST: usize = 3;

/// Logs the best classes of every image of the embedded set, or, when none was built in and there is a host, of its
/// `inputs.bin`; the exit code.
///
/// `frame` has room for one image.
pub fn infer<M: ModelType>(memory: Memory<M>, frame: &mut [u8]) -> i32 {
    let mut session = session::<M>(memory);
    if let Some(images) = Embedded::open() {
        return classify(&mut session, images, frame);
    }
    #[cfg(feature = "qemu")]
    if let Some(images) = crate::host::HostImages::open() {
        return classify(&mut session, images, frame);
    }
    #[cfg(feature = "qemu")]
    defmt::error!("no images: build with KINGLET_IMAGES=images.npy, or put inputs.bin into the working directory");
    #[cfg(not(feature = "qemu"))]
    defmt::error!("no images: build with KINGLET_IMAGES=images.npy");
    fault::BAD_INPUT
}

fn classify<M: Linked>(session: &mut Session<'_, M>, mut images: impl Source, frame: &mut [u8]) -> i32 {
    let header = images.header();
    let Some(frame) = header.fit(session.model(), frame) else { return fault::BAD_INPUT };
    for index in 0..header.count {
        if !images.next(frame) {
            defmt::error!("the image set ends before image {=u32} of {=u32}", index, header.count);
            return fault::BAD_INPUT;
        }
        let output = match header.start(session, frame).map_err(Into::into).and_then(kinglet::Inference::finish) {
            Ok(output) => output,
            Err(error) => {
                defmt::error!("{}", error);
                return fault::BAD_INPUT;
            }
        };
        for (rank, best) in output.top_k::<BEST>().iter().enumerate() {
            defmt::info!(
                "prediction image={=u32} rank={=usize} class={=usize} score={=i16} percent={=u32} name={=str}",
                index,
                rank,
                best.class,
                element(&output, best.class),
                (best.probability * 100.0 + 0.5) as u32,
                best.label.unwrap_or_default()
            );
        }
    }
    defmt::info!("done images={=u32}", header.count);
    fault::OK
}

/// The output's element of a class, of halves its bits.
fn element<M: Linked>(output: &Output<'_, M>, class: usize) -> i16 {
    match output.tensor().dtype.size() {
        1 => output.bytes().get(class).map_or(0, |&byte| (byte as i8).into()),
        _ => output.bytes().as_chunks().0.get(class).map_or(0, |&bytes| i16::from_le_bytes(bytes)),
    }
}
