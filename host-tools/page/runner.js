// The runtime in a page: the other side of host-tools/wasm/src/lib.rs. Also for Node.js, which has no document.
'use strict';

/** Bytes of base64. */
function unbase64(text) {
  const chars = atob(text);
  const bytes = new Uint8Array(chars.length);
  for (let i = 0; i < chars.length; i++) bytes[i] = chars.charCodeAt(i);
  return bytes;
}

/** A model in an instance of the module. */
class Player {
  /** Opens a model file; an error says what is wrong with it. `module` comes from WebAssembly.compile. */
  static async open(module, file) {
    const { exports } = await WebAssembly.instantiate(module);
    const room = exports.file(file.length);
    new Uint8Array(exports.memory.buffer).set(file, exports.file_at(room));
    const handle = exports.open(room);
    if (handle === 0) {
      const text = new Uint8Array(exports.memory.buffer, exports.error_at(room), exports.error_len(room));
      throw new Error(new TextDecoder().decode(text));
    }
    return new Player(exports, handle);
  }

  constructor(exports, handle) {
    this.exports = exports;
    this.handle = handle;
    this.steps = exports.steps(handle);
  }

  /** Runs the model: on pixels, or on elements as they are. Returns the bytes of its outputs; maps and calls are there if `observed`. */
  infer(input, { pixels = true, observed = true } = {}) {
    const { exports, handle } = this;
    if (input.length <= exports.input_len(handle)) {
      new Uint8Array(exports.memory.buffer).set(input, exports.input_at(handle));
    }
    if (!exports.infer(handle, input.length, pixels, observed)) {
      throw new Error(`the model takes another input than ${input.length} bytes of ${pixels ? 'pixels' : 'elements'}`);
    }
    return this.bytes(exports.output_at(handle), exports.output_len(handle));
  }

  /** The bytes of the map that a step computed, height x width x channels. */
  map(step) {
    return this.bytes(this.exports.map_at(this.handle, step), this.exports.map_len(this.handle, step));
  }

  /** What ran, in its order: [step, first row, end] of each call. */
  calls() {
    const { exports, handle } = this;
    const words = new Uint32Array(exports.memory.buffer, exports.calls_at(handle), 3 * exports.calls(handle));
    return Array.from({ length: words.length / 3 }, (_, i) => [...words.subarray(3 * i, 3 * i + 3)]);
  }

  /** Forgets what states have kept. */
  reset() {
    this.exports.reset(this.handle);
  }

  /** A copy, which outlives the next inference. */
  bytes(at, length) {
    return new Uint8Array(this.exports.memory.buffer, at, length).slice();
  }
}

/** Elements of a model as real numbers. */
function reals(bytes, { dtype, scale, zero }) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  switch (dtype) {
    case 'int8': return Float32Array.from(bytes, (_, i) => scale * (view.getInt8(i) - zero));
    case 'int16': return Float32Array.from({ length: bytes.length / 2 }, (_, i) => scale * view.getInt16(2 * i, true));
    default: return Float32Array.from({ length: bytes.length / 2 }, (_, i) => half(view.getUint16(2 * i, true)));
  }
}

/** The number of a half's bits. */
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return exponent === 31 ? (fraction ? NaN : sign * Infinity) : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** The model file whose steps of these switches write zeros: their range of outputs is the zero point alone. */
function switchedOff(file, switches) {
  const lesioned = file.slice();
  const view = new DataView(lesioned.buffer);
  for (const { at, zero } of switches) {
    view.setInt32(at, zero, true);
    view.setInt32(at + 4, zero, true);
  }
  view.setUint32(12, checksum(lesioned), true);
  return lesioned;
}

/** The CRC-32 of a model file without its own four bytes. */
function checksum(file) {
  let crc = ~0;
  for (let i = 0; i < file.length; i++) {
    if (i >= 12 && i < 16) continue;
    crc ^= file[i];
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** Runs every case of a file of vectors (firmware/selftest/vectors.bin says how it is laid out); what went wrong. */
async function checkVectors(module, file) {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const wrong = [], count = view.getUint32(4, true);
  for (let index = 0; index < count; index++) {
    const [model, input, expected] = [0, 8, 16].map((part) => {
      const at = 8 + 24 * index + part, start = view.getUint32(at, true);
      return file.subarray(start, start + view.getUint32(at + 4, true));
    });
    try {
      const player = await Player.open(module, model);
      for (const observed of [false, true]) {
        player.reset();
        const output = player.infer(input, { pixels: false, observed });
        if (output.length !== expected.length || output.some((byte, i) => byte !== expected[i])) {
          wrong.push(`case ${index}${observed ? ', observed' : ''}: other bytes than the host's`);
        }
      }
    } catch (error) {
      wrong.push(`case ${index}: ${error.message}`);
    }
  }
  return { count, wrong };
}

if (typeof module !== 'undefined') module.exports = { Player, checkVectors, switchedOff, unbase64 };
