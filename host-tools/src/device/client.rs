//! The host's side of `kinglet::device::link`: asks a device, again when no answer comes, and compares what it computes with the host.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kinglet::device::frame::{self, Decoder};
use kinglet::device::link::{self, About, CHUNK, HEAD, Refusal, Sums};
use kinglet::device::load;
use kinglet::format::crc32;
use kinglet::{Model, Pixels, Session};

use crate::data::Split;
use crate::elements::to_elements;
use crate::simulate::best_class;

/// What to look at when nobody answers.
const SILENT: &str = "nobody speaks Kinglet on this line: is `serve`, `receive` or `keep` flashed, are port and speed right, and has \
    no other program, a terminal say, opened it";

/// How long an answer to anything but an inference may take.
const ANSWER: Duration = Duration::from_millis(500);
/// How long an inference may take: the first one, and later ones four times the longest so far.
const INFERENCE: Duration = Duration::from_secs(60);
/// How long checking a model and its checksum may take.
const START: Duration = Duration::from_secs(10);
/// How often a question is asked, and an inference begun, before the device is given up.
const ATTEMPTS: usize = 20;
/// How long after its first attempt a question is asked again, and an inference or a model begun again.
const PATIENCE: Duration = Duration::from_secs(240);

/// A device at the other end of a line. Reads of the line must give up after some milliseconds, with
/// [`io::ErrorKind::TimedOut`] or [`io::ErrorKind::WouldBlock`].
#[derive(Debug)]
pub struct Client<L> {
    line: L,
    decoder: Decoder,
    /// Of the last question.
    number: u8,
    longest: Option<Duration>,
    /// Questions that were asked again, and inferences and models that were begun again.
    retries: usize,
    /// The model file that was sent, to be sent again when the device was reset.
    sent: Option<Vec<u8>>,
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
        Self { line, decoder: Decoder::default(), number: 0, longest: None, retries: 0, sent: None }
    }

    /// Asks the device what it is.
    ///
    /// # Errors
    /// When nothing answers, or what does speaks another protocol.
    pub fn hello(&mut self) -> Result<Introduction> {
        let answer = self.ask(link::HELLO, &[], ANSWER).context(SILENT)?;
        let answer = answer.map_err(|refusal| refused("to introduce itself", refusal))?;
        let spoken = answer.first().copied().unwrap_or_default();
        ensure!(
            spoken == link::VERSION,
            "the device's program speaks version {spoken} of the line's protocol, this program version {}: flash the \
             device anew with firmware of this version",
            link::VERSION
        );
        let broken = || "the device's introduction is cut off";
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

    /// Has the device hold `model`, which is sent unless it does already: what it says of itself then.
    ///
    /// # Errors
    /// When nobody answers, or the device holds another model and takes none.
    pub fn hold(&mut self, model: Model<'_>) -> Result<Introduction> {
        let device = self.hello()?;
        if device.about.model != model.checksum() {
            return load(self, &device, model, |_| {});
        }
        if device.about.room > 0 {
            // Somebody else sent it.
            self.sent = Some(model.as_bytes().to_vec());
        }
        Ok(device)
    }

    /// Ticks of a step, counted from 0, in an inference for it alone.
    ///
    /// # Errors
    /// As [`Client::infer`], and when the device's program measures no steps.
    pub fn time(&mut self, input: &[u8], output_len: usize, step: usize) -> Result<u64> {
        let (check, number) = (crc32(0, input).to_le_bytes(), (step as u32).to_le_bytes());
        for _ in attempts() {
            match self.ask(link::TIME, &[&check, &number], INFERENCE)? {
                Ok(answer) => {
                    let ticks = answer.first_chunk().context("the answer with a step's time is short")?;
                    return Ok(u64::from_le_bytes(*ticks));
                }
                Err(Refusal::Lost | Refusal::NoModel) => drop(self.infer(input, output_len)?),
                Err(Refusal::Unfit) => {
                    bail!("the device's program measures no steps: flash it anew with firmware of this version")
                }
                Err(refusal) => return Err(refused("a step's time", refusal)),
            }
        }
        bail!("the device lost its input again and again");
    }

    /// Runs the device's model on pixels, `H x W x C` bytes.
    ///
    /// # Errors
    /// When the device does not answer, or refuses the input again and again.
    pub fn infer(&mut self, pixels: &[u8], output_len: usize) -> Result<Inference> {
        for _ in attempts() {
            match self.try_infer(pixels, output_len)? {
                Ok(inference) => return Ok(inference),
                // It has been reset, and its memory is empty.
                Err(Refusal::Lost) => {}
                Err(Refusal::NoModel) if self.sent.is_some() => {
                    if let Some(file) = self.sent.take() {
                        self.send(&file, |_| {})?;
                    }
                }
                Err(refusal) => return Err(refused("an inference", refusal)),
            }
            self.retries += 1;
        }
        bail!("the device lost its input or its output again and again");
    }

    fn try_infer(&mut self, pixels: &[u8], output_len: usize) -> Result<Result<Inference, Refusal>> {
        for (index, chunk) in pixels.chunks(CHUNK).enumerate() {
            let offset = ((index * CHUNK) as u32).to_le_bytes();
            match self.ask(link::WRITE, &[&offset, chunk], ANSWER)? {
                Ok(_) => {}
                Err(Refusal::Unfit) => bail!("the device has no room for an input of {} bytes", pixels.len()),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        let limit = self.longest.map_or(INFERENCE, |longest| (4 * longest + ANSWER).min(INFERENCE));
        let begin = Instant::now();
        let answer = match self.ask(link::RUN, &[&crc32(0, pixels).to_le_bytes()], limit)? {
            Ok(answer) => answer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let took = begin.elapsed().min(limit);
        self.longest = Some(self.longest.map_or(took, |longest| longest.max(took)));
        let (ticks, check) = answer.split_first_chunk().context("the answer to an inference is short")?;
        let check: &[u8; 4] = check.first_chunk().context("the answer to an inference is short")?;
        let (ticks, check) = (u64::from_le_bytes(*ticks), u32::from_le_bytes(*check));
        Ok(match self.read(link::OUTPUT, output_len, 1)? {
            Ok(output) if crc32(0, &output) == check => Ok(Inference { output, ticks }),
            // What is there is of another inference.
            Ok(_) => Err(Refusal::Lost),
            Err(refusal) => Err(refusal),
        })
    }

    /// The CRC-32 of each step's output in the last inference, of as many steps as the device has room for.
    ///
    /// # Errors
    /// When the device does not answer.
    pub fn checksums(&mut self, steps: usize) -> Result<Vec<u32>> {
        let bytes = self.read(link::CHECKSUMS, 4 * steps, 4)?;
        let bytes = bytes.map_err(|refusal| refused("the steps' checksums", refusal))?;
        Ok(bytes.chunks_exact(4).filter_map(|word| word.try_into().ok()).map(u32::from_le_bytes).collect())
    }

    /// Runs pixels on the device and in `session`: what the device computed, and the first step, counted from 0, whose output differs; the
    /// number of steps when only the output does.
    ///
    /// # Errors
    /// When the device does not answer, or the model does not take the pixels.
    pub fn compare(&mut self, session: &mut Session<'_>, pixels: &[u8]) -> Result<(Inference, Option<usize>)> {
        let mut sums = vec![0; session.model().step_count()];
        // As the device does, which may have to run it twice.
        session.reset();
        let host = session.start(Pixels(pixels))?.observe(Sums(&mut sums)).finish()?;
        let host: Vec<u8> = host.all().flat_map(|output| output.bytes().to_vec()).collect();
        let inference = self.infer(pixels, host.len())?;
        let steps = self.checksums(sums.len())?;
        let step = steps.iter().zip(&sums).position(|(device, host)| device != host);
        let output = (inference.output != host).then_some(steps.len());
        Ok((inference, step.or(output)))
    }

    /// Sends a model file, which the device runs from then on. `each` is told of the bytes that have arrived.
    ///
    /// # Errors
    /// When the device does not answer, takes no models, or has not enough memory for this one.
    pub fn send(&mut self, file: &[u8], mut each: impl FnMut(usize)) -> Result<()> {
        for _ in attempts() {
            match self.try_send(file, &mut each)? {
                Ok(()) => {
                    self.sent = Some(file.to_vec());
                    return Ok(());
                }
                Err(Refusal::Lost) => self.retries += 1,
                Err(refusal) => return Err(refused("the model", refusal)),
            }
        }
        bail!("the device lost the model again and again");
    }

    fn try_send(&mut self, file: &[u8], each: &mut impl FnMut(usize)) -> Result<Result<(), Refusal>> {
        let check = crc32(0, file).to_le_bytes();
        if let Err(refusal) = self.ask(link::LOAD, &[&(file.len() as u32).to_le_bytes(), &check], ANSWER)? {
            return Ok(Err(refusal));
        }
        for (index, chunk) in file.chunks(CHUNK).enumerate() {
            let offset = index * CHUNK;
            if let Err(refusal) = self.ask(link::PART, &[&(offset as u32).to_le_bytes(), chunk], ANSWER)? {
                return Ok(Err(refusal));
            }
            each(offset + chunk.len());
        }
        Ok(self.ask(link::START, &[&check], START)?.map(|_| ()))
    }

    /// Questions that were asked again, and inferences and models that were begun again.
    pub fn retries(&self) -> usize {
        self.retries
    }

    /// Reads `len` bytes in pieces; `unit` bytes are one of what the command counts.
    fn read(&mut self, command: u8, len: usize, unit: usize) -> Result<Result<Vec<u8>, Refusal>> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let offset = ((bytes.len() / unit) as u32).to_le_bytes();
            match self.ask(command, &[&offset], ANSWER)? {
                Ok(some) if some.is_empty() => break,
                Ok(some) => bytes.extend(some),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        bytes.truncate(len);
        Ok(Ok(bytes))
    }

    /// Asks until there is an answer: its data, or why the device refuses.
    fn ask(&mut self, command: u8, arguments: &[&[u8]], limit: Duration) -> Result<Result<Vec<u8>, Refusal>> {
        let begin = Instant::now();
        for attempt in attempts() {
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
                    Some(([number, link::REFUSED], reason)) if *number == self.number => {
                        let reason = reason.first_chunk().and_then(Refusal::from_bytes);
                        return Ok(Err(reason.context("the device refuses for a reason of another protocol version")?));
                    }
                    Some((received, data)) if *received == head => return Ok(Ok(data.to_vec())),
                    _ => {}
                }
            }
        }
        bail!("the device does not answer: asked again and again for {:.1?}", begin.elapsed());
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

/// The attempts that something is worth, until [`PATIENCE`] is at its end.
fn attempts() -> impl Iterator<Item = usize> {
    let begin = Instant::now();
    (0..ATTEMPTS).take_while(move |_| begin.elapsed() < PATIENCE)
}

/// What to say of a refusal.
fn refused(what: &str, refusal: Refusal) -> anyhow::Error {
    match refusal {
        Refusal::Unfit => anyhow::anyhow!("the device refuses {what}: its program has no such command"),
        Refusal::Lost => anyhow::anyhow!("the device refuses {what}: it has lost what was sent"),
        Refusal::NoModel => {
            anyhow::anyhow!("the device refuses {what}: it holds no model; `kinglet device load` sends one")
        }
        Refusal::Room { needed, given } => {
            anyhow::anyhow!("the device refuses {what}: it takes {needed} bytes of memory, and there are {given}")
        }
        Refusal::Invalid { at } => {
            anyhow::anyhow!("the device refuses {what}: its runtime, of another version, finds it invalid at byte {at}")
        }
        Refusal::Fault { step } => anyhow::anyhow!(
            "the device refuses {what}: step {step} does not run as the model was checked; its memory has changed since"
        ),
        Refusal::Flash => {
            anyhow::anyhow!("the device refuses {what}: its flash cannot be erased, or does not hold what is written")
        }
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
    /// Ticks of all inferences, as the device says.
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

/// Sends a model to a device that introduced itself as `device`, unless it holds that one: what it says of itself then. `each` is told of the
/// bytes of the file that have arrived.
///
/// # Errors
/// When the device does not answer, takes no models, or has not enough memory.
pub fn load<L: Read + Write>(
    client: &mut Client<L>,
    device: &Introduction,
    model: Model<'_>,
    each: impl FnMut(usize),
) -> Result<Introduction> {
    let Introduction { about, board, model: held } = device;
    ensure!(
        about.room > 0,
        "{board} holds {held} ({:08x}), not {} ({:08x}): flash it with this model, or with the program `receive` or `keep`, which take any",
        about.model,
        model.name(),
        model.checksum()
    );
    let (needed, what) = if about.flash > 0 {
        let (len, room) = (model.file_len(), about.flash);
        ensure!(len <= room as usize, "{} is a file of {len} bytes, {board} has {room} of flash for one", model.name());
        (load::working(&model), "arena and input")
    } else {
        (load::needed(&model), "file, arena and input")
    };
    ensure!(
        needed <= about.room,
        "{} takes {needed} bytes of memory ({what}), {board} has {} for models",
        model.name(),
        about.room
    );
    client.send(model.as_bytes(), each)?;
    client.hello()
}

/// Runs `images` on the device at the other end of `line`, which must hold `model` or take it, and on the host. `each` is told of every image.
///
/// # Errors
/// When the device does not answer, holds another model and takes none, or images are not of its input's size.
pub fn evaluate(
    line: impl Read + Write,
    model: Model<'_>,
    images: &Split,
    mut each: impl FnMut(),
) -> Result<Evaluation> {
    let mut client = Client::new(line);
    let device = client.hold(model)?;
    let mut memory = vec![0u128; model.arena_len().div_ceil(16)];
    let mut session = Session::open(model, bytemuck::cast_slice_mut(&mut memory))?;
    let mut found = Evaluation { device, images: 0, correct: 0, equal: 0, difference: None, ticks: 0, retries: 0 };
    let (dtype, scores) = (model.output().dtype, model.output().span() as usize);
    for index in 0..images.len() {
        let (inference, difference) = client.compare(&mut session, images.image(index))?;
        found.images += 1;
        found.ticks = found.ticks.saturating_add(inference.ticks);
        found.correct += usize::from(
            best_class(&to_elements(&inference.output[..scores], dtype)) == usize::from(images.labels[index]),
        );
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
