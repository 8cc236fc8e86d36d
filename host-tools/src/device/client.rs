//! The host's side of `kinglet::device::link`: asks a device, again when no answer comes, and compares what it computes with the host.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kinglet::device::frame::{self, Decoder};
use kinglet::device::link::{self, About, CHUNK, HEAD, Sums};
use kinglet::format::crc32;
use kinglet::{Model, Session};

use crate::data::Split;
use crate::simulate::{best_class, to_elements};

/// How long an answer to anything but an inference may take.
const ANSWER: Duration = Duration::from_millis(500);
/// How long the first inference may take; later ones four times the longest so far.
const INFERENCE: Duration = Duration::from_secs(60);
/// How often a question is asked, and an inference begun, before the device is given up.
const ATTEMPTS: usize = 20;

/// A device at the other end of a line. Reads of the line must give up after some milliseconds, with
/// [`io::ErrorKind::TimedOut`] or [`io::ErrorKind::WouldBlock`].
#[derive(Debug)]
pub struct Client<L> {
    line: L,
    decoder: Decoder,
    /// Of the last question.
    number: u8,
    longest: Option<Duration>,
    /// Questions that were asked again, and inferences that were begun again.
    retries: usize,
}

/// What a device says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// Its figures.
    pub about: About,
    /// The board's name.
    pub board: String,
    /// The model's name.
    pub model: String,
}

/// An inference on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inference {
    /// The output's bytes.
    pub output: Vec<u8>,
    /// Ticks of the device's clock.
    pub ticks: u64,
}

impl<L: Read + Write> Client<L> {
    /// On a line.
    pub fn new(line: L) -> Self {
        Self { line, decoder: Decoder::default(), number: 0, longest: None, retries: 0 }
    }

    /// Asks the device what it is.
    ///
    /// # Errors
    /// When nothing answers, or what does speaks another protocol.
    pub fn hello(&mut self) -> Result<Introduction> {
        let answer = self.ask(link::HELLO, &[], ANSWER)?.context("the device refused to introduce itself")?;
        let broken = || format!("the device's introduction is not of protocol version {}", link::VERSION);
        let (about, names) = answer.split_first_chunk::<{ About::LEN }>().with_context(broken)?;
        let about = About::from_bytes(about).with_context(broken)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let cut = |names: &[u8]| {
            let (&len, rest) = names.split_first()?;
            let (name, rest) = rest.split_at_checked(len.into())?;
            Some((text(name), rest.to_vec()))
        };
        let (board, rest) = cut(names).with_context(broken)?;
        let (model, _) = cut(&rest).with_context(broken)?;
        Ok(Introduction { about, board, model })
    }

    /// Runs the device's model on pixels, `H x W x C` bytes.
    ///
    /// # Errors
    /// When the device does not answer, or refuses the input again and again.
    pub fn infer(&mut self, pixels: &[u8], output_len: usize) -> Result<Inference> {
        for _ in 0..ATTEMPTS {
            if let Some(inference) = self.try_infer(pixels, output_len)? {
                return Ok(inference);
            }
            // It has been reset, and its memory is empty.
            self.retries += 1;
        }
        bail!("the device lost its input or its output {ATTEMPTS} times in a row");
    }

    fn try_infer(&mut self, pixels: &[u8], output_len: usize) -> Result<Option<Inference>> {
        for (index, chunk) in pixels.chunks(CHUNK).enumerate() {
            let offset = ((index * CHUNK) as u32).to_le_bytes();
            let written = self.ask(link::WRITE, &[&offset, chunk], ANSWER)?;
            ensure!(written.is_some(), "the device has no room for an input of {} bytes", pixels.len());
        }
        let limit = self.longest.map_or(INFERENCE, |longest| 4 * longest + ANSWER);
        let begin = Instant::now();
        let Some(answer) = self.ask(link::RUN, &[&crc32(0, pixels).to_le_bytes()], limit)? else { return Ok(None) };
        let took = begin.elapsed().min(limit);
        self.longest = Some(self.longest.map_or(took, |longest| longest.max(took)));
        let (ticks, check) = answer.split_first_chunk().context("the answer to an inference is short")?;
        let check: &[u8; 4] = check.first_chunk().context("the answer to an inference is short")?;
        let (ticks, check) = (u64::from_le_bytes(*ticks), u32::from_le_bytes(*check));
        let Some(output) = self.read(link::OUTPUT, output_len, 1)? else { return Ok(None) };
        Ok((crc32(0, &output) == check).then_some(Inference { output, ticks }))
    }

    /// The CRC-32 of each step's output in the last inference.
    ///
    /// # Errors
    /// When the device does not answer.
    pub fn checksums(&mut self, steps: usize) -> Result<Vec<u32>> {
        let bytes = self.read(link::CHECKSUMS, 4 * steps, 4)?.context("the device keeps no checksums")?;
        Ok(bytes.chunks_exact(4).filter_map(|word| word.try_into().ok()).map(u32::from_le_bytes).collect())
    }

    /// Runs pixels on the device and in `session`: what the device computed, and the first step, counted from 0, whose output differs; the
    /// number of steps when only the output does.
    ///
    /// # Errors
    /// When the device does not answer, or the model does not take the pixels.
    pub fn compare(&mut self, session: &mut Session<'_>, pixels: &[u8]) -> Result<(Inference, Option<usize>)> {
        let mut sums = vec![0; session.model().step_count()];
        session.set_pixels(pixels)?;
        session.run_observed(&mut Sums(&mut sums));
        let inference = self.infer(pixels, session.output_bytes().len())?;
        let steps = self.checksums(sums.len())?;
        let step = steps.iter().zip(&sums).position(|(device, host)| device != host);
        let output = (inference.output != session.output_bytes()).then_some(steps.len());
        Ok((inference, step.or(output)))
    }

    /// Questions that were asked again, and inferences that were begun again.
    pub fn retries(&self) -> usize {
        self.retries
    }

    /// Reads `len` bytes in pieces; `unit` bytes are one of what the command counts.
    fn read(&mut self, command: u8, len: usize, unit: usize) -> Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let offset = ((bytes.len() / unit) as u32).to_le_bytes();
            let Some(some) = self.ask(command, &[&offset], ANSWER)? else { return Ok(None) };
            ensure!(!some.is_empty(), "the device gave {} of {len} bytes", bytes.len());
            bytes.extend(some);
        }
        bytes.truncate(len);
        Ok(Some(bytes))
    }

    /// Asks until there is an answer; its data, or `None` when the device refuses.
    fn ask(&mut self, command: u8, arguments: &[&[u8]], limit: Duration) -> Result<Option<Vec<u8>>> {
        for attempt in 0..ATTEMPTS {
            self.retries += usize::from(attempt > 0);
            self.number = self.number.wrapping_add(1);
            let mut question = Vec::new();
            let head = [self.number, command];
            let parts: Vec<&[u8]> = [&head[..]].into_iter().chain(arguments.iter().copied()).collect();
            frame::send(&mut question, &parts).context("a frame in memory")?;
            self.line.write_all(&question).and_then(|()| self.line.flush()).context("the line to the device")?;
            let end = Instant::now() + limit;
            while let Some(answer) = self.receive(end)? {
                // An answer to an earlier question may still come in.
                match answer.split_first_chunk::<HEAD>() {
                    Some(([number, link::REFUSED], _)) if *number == self.number => return Ok(None),
                    Some((received, data)) if *received == head => return Ok(Some(data.to_vec())),
                    _ => {}
                }
            }
        }
        bail!("the device does not answer: {ATTEMPTS} attempts of {limit:.1?} each");
    }

    /// The next whole frame; `None` when there is none until `end`.
    fn receive(&mut self, end: Instant) -> Result<Option<Vec<u8>>> {
        while Instant::now() < end {
            let mut byte = [0];
            match self.line.read(&mut byte) {
                Ok(0) => bail!("the line to the device has closed"),
                Ok(_) => {
                    if let Some(payload) = self.decoder.push(byte[0]) {
                        return Ok(Some(payload.to_vec()));
                    }
                }
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(anyhow::Error::new(error).context("the line to the device")),
            }
        }
        Ok(None)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// What became of a set of images on a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Who computed.
    pub device: Introduction,
    /// Images that were run.
    pub images: usize,
    /// Images whose best class is their label.
    pub correct: usize,
    /// Images whose output bytes and steps are the host's.
    pub equal: usize,
    /// The first image that differs and the first step of it that does, with its name.
    pub difference: Option<(usize, usize, String)>,
    /// Ticks of all inferences.
    pub ticks: u64,
    /// Questions that were asked again, and inferences that were begun again.
    pub retries: usize,
}

impl Evaluation {
    /// Milliseconds of an inference on the device, by its own clock.
    pub fn latency(&self) -> f64 {
        1e3 * self.ticks as f64 / self.images.max(1) as f64 / f64::from(self.device.about.frequency.max(1))
    }
}

/// Runs `images` on the device at the other end of `line`, which must hold `model`, and on the host. `each` is told of every image.
///
/// # Errors
/// When the device does not answer, holds another model, or images are not of its input's size.
pub fn evaluate(
    line: impl Read + Write,
    model: Model<'_>,
    images: &Split,
    mut each: impl FnMut(),
) -> Result<Evaluation> {
    let mut client = Client::new(line);
    let device = client.hello()?;
    ensure!(
        device.about.model == model.checksum(),
        "{} holds {} ({:08x}), not {} ({:08x}): flash it with this model first",
        device.board,
        device.model,
        device.about.model,
        model.name(),
        model.checksum()
    );
    let mut memory = vec![0u128; model.arena_len().div_ceil(16)];
    let mut session = Session::new(model, bytemuck::cast_slice_mut(&mut memory))?;
    let mut found = Evaluation { device, images: 0, correct: 0, equal: 0, difference: None, ticks: 0, retries: 0 };
    let dtype = model.output().dtype;
    for index in 0..images.len() {
        let (inference, difference) = client.compare(&mut session, images.image(index))?;
        found.images += 1;
        found.ticks += inference.ticks;
        found.correct +=
            usize::from(best_class(&to_elements(&inference.output, dtype)) == usize::from(images.labels[index]));
        match difference {
            None => found.equal += 1,
            Some(step) if found.difference.is_none() => {
                let name = model.step(step).map_or("the output", |step| step.name);
                found.difference = Some((index, step, name.to_owned()));
            }
            Some(_) => {}
        }
        each();
    }
    found.retries = client.retries();
    Ok(found)
}
