//! Classifies images and logs what it makes of them.

use kinglet::kernels::Active;
use kinglet::uses::Linked;
use kinglet::{Model, Session};

use crate::arena::{Bytes, session};
use crate::fault;
use crate::images::{Embedded, Source, feed};

/// How many classes of each image are logged.
const BEST: usize = 3;

/// Logs the best classes of every image of the embedded set, or, when none was built in and there is a host, of its
/// `inputs.bin`; the exit code.
///
/// `frame` has room for one image.
pub fn infer<L: Linked>(model: Model<'static, L>, arena: Bytes, frame: &mut [u8]) -> i32 {
    let Some(mut session) = session(model, arena) else { return fault::BAD_INPUT };
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

fn classify<L: Linked>(session: &mut Session<'_, Active, L>, mut images: impl Source, frame: &mut [u8]) -> i32 {
    let header = images.header();
    let Some(frame) = header.fit(&session.model().input(), frame) else { return fault::BAD_INPUT };
    for index in 0..header.count {
        if !images.next(frame) {
            defmt::error!("the image set ends before image {=u32} of {=u32}", index, header.count);
            return fault::BAD_INPUT;
        }
        if let Err(error) = feed(session, header.kind, frame) {
            defmt::error!("{}", error);
            return fault::BAD_INPUT;
        }
        session.run();
        for (rank, best) in session.top_k::<BEST>().iter().enumerate() {
            defmt::info!(
                "prediction image={=u32} rank={=usize} class={=usize} score={=i16} percent={=u32} name={=str}",
                index,
                rank,
                best.class,
                best.score,
                (session.probability(best.class) * 100.0 + 0.5) as u32,
                session.model().label(best.class).unwrap_or_default()
            );
        }
    }
    defmt::info!("done images={=u32}", header.count);
    fault::OK
}
