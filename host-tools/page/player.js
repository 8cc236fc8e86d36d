// A model that runs in the page: what it is shown, what it answers, what each layer makes of it, and where that lies in memory.
'use strict';

const COLORS = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00'];

/** An element with attributes and children; texts become text. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

const grouped = (number) => Math.round(number).toLocaleString('en-US');
const percent = (part) => `${(100 * part).toFixed(1)} %`;
const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

/** The interval that holds a share of `right` in `all` with 95 % (Wilson). */
function interval(right, all) {
  const z = 1.96, share = right / all, squared = (z * z) / all;
  const middle = (share + squared / 2) / (1 + squared);
  const half = (z / (1 + squared)) * Math.sqrt((share * (1 - share)) / all + squared / (4 * all));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

/** A model's panel. `compiled` is a promise of the module, `model` what the tool wrote about the model. */
class PlayerView {
  constructor(root, compiled, model) {
    Object.assign(this, { root, compiled, model, off: new Set(), at: 0, selected: null, timer: null, stream: null });
    this.file = unbase64(model.file);
    this.samples = model.samples && {
      pixels: unbase64(model.samples.pixels),
      labels: unbase64(model.samples.labels),
      first: 0,
    };
    this.build();
    this.ready = this.reopen();
  }

  build() {
    const { model, root } = this;
    const button = (text, onclick, more = {}) => element('button', { type: 'button', onclick, ...more }, text);
    this.pad = element('canvas', {
      class: 'pad', width: 280, height: Math.round((280 * model.input.h) / model.input.w), tabindex: 0, role: 'img',
      'aria-label': 'Drawing board: draw with the pointer, or choose a picture with the buttons below',
    });
    this.sight = element('canvas', { class: 'sight', width: model.input.w, height: model.input.h, role: 'img',
      'aria-label': 'What the model sees' });
    this.chooser = element('input', { type: 'file', accept: 'image/*', hidden: true,
      onchange: () => this.chooser.files[0] && this.show(this.chooser.files[0]) });
    this.filming = button('Camera', () => this.film(), { 'aria-pressed': 'false' });
    this.answer = element('p', { class: 'answer', 'aria-live': 'polite' });
    this.bars = element('ol', { class: 'bars' });
    this.facts = element('p', { class: 'facts' });
    this.score = element('p', { class: 'score', 'aria-live': 'polite', hidden: !this.samples });
    this.layers = element('ol', { class: 'layers' });
    this.big = element('canvas', { class: 'big', role: 'img' });
    this.caption = element('p', { class: 'facts' });
    this.slider = element('input', { type: 'range', min: 0, max: 0, value: 0, 'aria-label': 'Calls of layers that have run',
      oninput: () => { this.pause(); this.seek(Number(this.slider.value)); } });
    this.playing = button('Play', () => (this.timer ? this.pause() : this.play()));
    this.caption = element('p', { class: 'facts' });
    this.arena = element('canvas', { class: 'arena', width: 1200, height: 300, role: 'img' });
    root.classList.add('player');
    root.replaceChildren(
      element('div', { class: 'sides' },
        element('div', { class: 'input' },
          this.pad,
          element('div', { class: 'buttons' },
            button('Clear', () => this.clear()),
            this.samples ? button('Next sample', () => this.sample(), { class: 'next' }) : null,
            button('Image…', () => this.chooser.click()), this.filming, this.chooser),
          element('figure', { class: 'seen' }, this.sight,
            element('figcaption', {}, `what the model sees: ${model.input.h} x ${model.input.w} x ${model.input.c}`))),
        element('div', { class: 'output' }, this.answer, this.bars, this.facts, this.score)),
      element('details', { open: true },
        element('summary', {}, 'Layer by layer, as it is computed'),
        element('div', { class: 'buttons' }, this.playing,
          button('Back', () => { this.pause(); this.seek(this.at - 1); }),
          button('Step', () => { this.pause(); this.seek(this.at + 1); }), this.slider),
        this.caption,
        element('figure', {}, this.arena,
          element('figcaption', {}, `The arena, ${grouped(model.arena)} bytes from the top down, while the calls run from left to right: a color for each map, ` +
            'row by row as they are computed and until they are last read; scratch memory is grey. Where rows stream through several layers, the maps between them keep a few rows.')),
        this.layers,
        element('figure', {}, this.big, this.caption)));
    this.listen();
    this.clear();
  }

  /** Drawing, and pictures that are dropped. */
  listen() {
    const { pad } = this;
    let last = null;
    const where = (event) => {
      const box = pad.getBoundingClientRect();
      return [((event.clientX - box.left) * pad.width) / box.width, ((event.clientY - box.top) * pad.height) / box.height];
    };
    const stroke = (to) => {
      const pen = pad.getContext('2d');
      Object.assign(pen, { lineWidth: pad.width / 10, lineCap: 'round', lineJoin: 'round', strokeStyle: '#fff' });
      pen.beginPath();
      pen.moveTo(...last);
      pen.lineTo(...to);
      pen.stroke();
      last = to;
    };
    pad.addEventListener('pointerdown', (event) => {
      if (!this.drawn) this.clear();
      this.drawn = true;
      this.stop();
      if (event.isTrusted) pad.setPointerCapture(event.pointerId);
      last = where(event);
      stroke(last);
    });
    pad.addEventListener('pointermove', (event) => {
      if (last) { stroke(where(event)); this.look(); }
    });
    for (const end of ['pointerup', 'pointercancel']) {
      pad.addEventListener(end, () => { if (last) { last = null; this.look(); } });
    }
    const files = (event) => [...(event.dataTransfer?.files ?? [])].filter((file) => file.type.startsWith('image/'));
    this.root.addEventListener('dragover', (event) => event.preventDefault());
    this.root.addEventListener('drop', (event) => {
      event.preventDefault();
      if (files(event)[0]) this.show(files(event)[0]);
    });
  }

  clear() {
    const pen = this.pad.getContext('2d');
    pen.fillStyle = '#000';
    pen.fillRect(0, 0, this.pad.width, this.pad.height);
    this.drawn = true;
    this.stop();
    if (this.player) this.look();
  }

  /** A picture from a file, cut to the model's form. */
  async show(file) {
    this.stop();
    const picture = await createImageBitmap(file);
    this.cover(picture, picture.width, picture.height);
    this.look();
  }

  /** Draws the middle of a picture over the whole board. */
  cover(picture, width, height) {
    const { pad } = this;
    const scale = Math.max(pad.width / width, pad.height / height);
    const [w, h] = [width * scale, height * scale];
    this.drawn = false;
    pad.getContext('2d').drawImage(picture, (pad.width - w) / 2, (pad.height - h) / 2, w, h);
  }

  async film() {
    if (this.stream) { this.stop(); return; }
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
    } catch (error) {
      this.answer.textContent = `no camera: ${error.message}`;
      return;
    }
    this.filming.setAttribute('aria-pressed', 'true');
    const video = element('video', { muted: true, playsinline: true });
    video.srcObject = this.stream;
    await video.play();
    const frame = () => {
      if (!this.stream) return;
      this.cover(video, video.videoWidth, video.videoHeight);
      this.look();
      requestAnimationFrame(frame);
    };
    frame();
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.filming.setAttribute('aria-pressed', 'false');
  }

  /** The next of the held-out images. */
  sample() {
    const { samples, model: { input } } = this, length = input.h * input.w * input.c;
    const index = samples.first++ % samples.labels.length;
    this.stop();
    this.label = samples.labels[index];
    this.run(samples.pixels.subarray(index * length, (index + 1) * length));
    const pen = this.pad.getContext('2d');
    pen.imageSmoothingEnabled = false;
    pen.drawImage(this.sight, 0, 0, this.pad.width, this.pad.height);
    pen.imageSmoothingEnabled = true;
    this.drawn = false;
  }

  /** Shows the board to the model. */
  look() {
    this.label = null;
    this.run(this.pixels());
  }

  /** The board as the model's pixels: each the mean of the area that it covers. */
  pixels() {
    const { pad, model: { input: { h, w, c, order } } } = this, fine = 8;
    const canvas = element('canvas', { width: w * fine, height: h * fine });
    const pen = canvas.getContext('2d', { willReadFrequently: true });
    pen.fillRect(0, 0, canvas.width, canvas.height);
    const box = this.drawn && this.model.centered ? this.bounds() : [0, 0, pad.width, pad.height];
    if (box) {
      const scale = Math.min(canvas.width / box[2], canvas.height / box[3]);
      const size = [box[2] * scale, box[3] * scale];
      pen.imageSmoothingQuality = 'high';
      pen.drawImage(pad, ...box, (canvas.width - size[0]) / 2, (canvas.height - size[1]) / 2, ...size);
    }
    const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
    const sums = new Float64Array(h * w * c), of = order === 'bgr' ? [2, 1, 0] : [0, 1, 2];
    for (let y = 0; y < h * fine; y++) {
      for (let x = 0; x < w * fine; x++) {
        const from = 4 * (y * w * fine + x), to = c * (Math.floor(y / fine) * w + Math.floor(x / fine));
        if (c === 3) of.forEach((channel, i) => (sums[to + i] += data[from + channel]));
        else sums[to] += 0.299 * data[from] + 0.587 * data[from + 1] + 0.114 * data[from + 2];
      }
    }
    return Uint8Array.from(sums, (sum) => Math.round(sum / fine ** 2));
  }

  /** The box around what is drawn; none when nothing is. */
  bounds() {
    const { pad } = this;
    const { data } = pad.getContext('2d').getImageData(0, 0, pad.width, pad.height);
    let [left, top, right, bottom] = [pad.width, pad.height, -1, -1];
    for (let y = 0; y < pad.height; y++) {
      for (let x = 0; x < pad.width; x++) {
        if (data[4 * (y * pad.width + x)] < 64) continue;
        left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y); bottom = Math.max(bottom, y);
      }
    }
    return right < left ? null : [left, top, right - left + 1, bottom - top + 1];
  }

  /** Opens the model with what is switched off, and runs it again. */
  async reopen() {
    const { model, off } = this, opening = (this.opening = {});
    const module = await this.compiled;
    const file = off.size ? switchedOff(this.file, [...off].map((step) => model.steps[step].off)) : this.file;
    const player = await Player.open(module, file);
    if (opening !== this.opening) return; // another one was faster
    this.player = player;
    if (this.input) this.run(this.input);
    else if (this.samples) this.sample();
    else this.look();
    if (this.samples) this.judged = this.judge();
  }

  /** Runs the model, and draws everything. */
  run(input) {
    this.input = input;
    if (!this.player) return;
    const start = performance.now();
    this.output = this.player.infer(input, { pixels: this.model.input.pixels, observed: true });
    this.took = performance.now() - start;
    this.maps = this.model.steps.map((step, index) => reals(this.player.map(index), step));
    this.calls = this.player.calls();
    if (!this.plan) this.drawPlan();
    this.slider.max = this.calls.length;
    this.drawSight();
    this.drawAnswer();
    if (!this.timer) this.seek(this.calls.length);
  }

  drawSight() {
    const { sight, input, model: { input: { h, w, c, order } } } = this;
    const image = new ImageData(w, h), of = order === 'bgr' ? [2, 1, 0] : [0, 1, 2];
    for (let i = 0; i < h * w; i++) {
      for (let k = 0; k < 3; k++) image.data[4 * i + k] = input[c === 3 ? 3 * i + of[k] : c * i];
      image.data[4 * i + 3] = 255;
    }
    sight.getContext('2d').putImageData(image, 0, 0);
  }

  /** The classes' probabilities, as the runtime has them: the output itself if a softmax writes it, else that of the scores over the file's temperature. */
  probabilities(output) {
    const [port] = this.model.outputs;
    const scores = reals(output.subarray(0, port.bytes), port);
    if (port.softmax) return scores;
    const most = Math.max(...scores), powers = scores.map((score) => Math.exp((score - most) / this.model.temperature));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
  }

  drawAnswer() {
    const { model, label } = this;
    const shares = [...this.probabilities(this.output)].map((share, index) => ({ share, index }));
    const name = (index) => model.labels[index] ?? `class ${index}`;
    const ranked = shares.sort((a, b) => b.share - a.share);
    const told = label === null || label === undefined ? '' :
      ranked[0].index === label ? ', which is right' : `; it is ${name(label)}`;
    const [{ share: best, index: first }] = ranked, isKnown = best >= model.threshold;
    this.answer.textContent = isKnown ? `${name(first)}${told}` : `unknown; most like ${name(first)}${told}`;
    this.answer.dataset.class = isKnown ? first : 'unknown';
    this.bars.replaceChildren(...ranked.slice(0, 5).map(({ share, index }) => element('li', {},
      element('span', {}, name(index)),
      element('span', { class: 'bar' }, element('span', { style: `width:${(100 * share).toFixed(2)}%` })),
      element('span', { class: 'number' }, percent(share)))));
    this.facts.textContent = `${this.took.toFixed(1)} ms in this browser, every layer watched; ${grouped(model.macs)} multiplications.` +
      (model.threshold > 0 ? ` Below a probability of ${percent(model.threshold)} the model's file has no answer.` : '');
  }

  /** Runs all held-out images, some at a time so that the page stays awake. */
  async judge() {
    const { samples, model: { input } } = this, length = input.h * input.w * input.c, all = samples.labels.length;
    const judging = (this.judging = {}), player = await Player.open(await this.compiled,
      this.off.size ? switchedOff(this.file, [...this.off].map((step) => this.model.steps[step].off)) : this.file);
    let right = 0;
    for (let index = 0; index < all; index++) {
      const output = player.infer(samples.pixels.subarray(index * length, (index + 1) * length), { observed: false });
      const shares = this.probabilities(output);
      right += shares.indexOf(Math.max(...shares)) === samples.labels[index];
      if (index % 40 === 39) await new Promise((resume) => setTimeout(resume));
      if (judging !== this.judging) return;
    }
    const [low, high] = interval(right, all);
    const without = [...this.off].map((step) => this.model.steps[step].name).join(', ');
    this.score.textContent = `${right} of ${all} held-out images right${without ? ` without ${without}` : ''}: ` +
      `${percent(right / all)} (95 % interval ${percent(low)} to ${percent(high)}), computed here and now.`;
    this.score.dataset.right = right;
  }

  toggle(step) {
    if (!this.off.delete(step)) this.off.add(step);
    this.pause();
    return this.reopen();
  }

  /** Shows the state after the first `at` calls. */
  seek(at) {
    const { calls, model } = this;
    this.at = Math.max(0, Math.min(at, calls.length));
    this.slider.value = this.at;
    this.done = model.steps.map(() => 0);
    for (let i = 0; i < this.at; i++) this.done[calls[i][0]] = calls[i][2];
    const call = calls[this.at - 1];
    if (call) {
      const [index, first, end] = call, step = model.steps[index];
      const rows = end - first > 1 ? `rows ${first + 1} to ${end}` : `row ${end}`;
      this.caption.textContent = `Call ${this.at} of ${calls.length}: ${step.name} (${step.operator}), ${rows} of ${step.shape[0]}.`;
    } else {
      this.caption.textContent = 'The caller has filled the input; nothing has run yet.';
    }
    this.current = call ? call[0] : null;
    this.drawLayers();
    this.drawArena();
  }

  play() {
    if (this.at >= this.calls.length) this.seek(0);
    this.playing.textContent = 'Pause';
    const every = Math.max(1, Math.round(this.calls.length / 400));
    this.timer = setInterval(() => {
      this.seek(this.at + every);
      if (this.at >= this.calls.length) this.pause();
    }, calm() ? 500 : 50);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.playing.textContent = 'Play';
  }

  drawLayers() {
    const { model, maps, done, off } = this;
    if (this.layers.children.length !== model.steps.length) {
      this.layers.replaceChildren(...model.steps.map((step, index) => {
        const [h, w, c] = step.shape;
        const canvas = element('canvas');
        const look = element('button', { type: 'button', class: 'look', onclick: () => { this.selected = index; this.drawLayers(); } },
          canvas, element('span', { class: 'name' }, step.name), element('span', { class: 'kind' }, `${step.operator.toLowerCase()} ${h}x${w}x${c}`));
        const lesion = step.off ? element('button', { type: 'button', class: 'off', 'aria-pressed': 'false', 'data-step': index,
          title: `Makes a model file in which ${step.name} writes zeros, and runs it`, onclick: () => this.toggle(index) },
          `${step.off.role} off`) : null;
        return element('li', {}, look, lesion);
      }));
    }
    const selected = this.selected ?? (this.at < this.calls.length ? this.current : null) ?? 0;
    model.steps.forEach((step, index) => {
      const item = this.layers.children[index];
      item.classList.toggle('selected', index === selected);
      item.classList.toggle('running', index === this.current);
      item.querySelector('.off')?.setAttribute('aria-pressed', off.has(index));
      drawMap(item.querySelector('canvas'), maps[index], step.shape, done[index], 16);
    });
    const step = model.steps[selected];
    drawMap(this.big, maps[selected], step.shape, done[selected], 256);
    this.big.setAttribute('aria-label', `The map of ${step.name}, a picture for each channel`);
    this.caption.textContent = `${step.name}: ${step.operator} ${step.parameters}, ${step.shape.join(' x ')}, ${step.dtype}; ` +
      `${grouped(step.macs)} multiplications, ${grouped(step.weights)} bytes of weights. Blue is positive, red negative.`;
  }

  /** The arena over all calls: from left to right what runs, from the top down the bytes; each row where it lies while it is needed. */
  drawPlan() {
    const { model, calls } = this, { width, height } = this.arena;
    this.plan = element('canvas', { width, height });
    const pen = this.plan.getContext('2d');
    const x = (call) => (call / (calls.length + 1)) * width, y = (byte) => (byte / Math.max(1, model.arena)) * height;
    const writers = new Map(model.steps.map((step, index) => [step.operands[2], index]));
    const done = model.steps.map(() => 0);
    for (let at = 0; at <= calls.length; at++) {
      const step = at ? model.steps[calls[at - 1][0]] : null, timeSlot = step ? step.timeSlot : 0;
      if (at) done[calls[at - 1][0]] = calls[at - 1][2];
      const wide = x(at + 1) - x(at) + 0.5;
      model.tensors.forEach((tensor, index) => {
        if (timeSlot < tensor.first || timeSlot > tensor.last || tensor.isParent) return;
        const rows = writers.has(index) ? done[writers.get(index)] : tensor.shape[0], line = tensor.shape[1] * tensor.pitch;
        // The channels of a slice are a part of each pixel; here of each row.
        const inside = tensor.parent === null ? 0 : (tensor.offset - model.tensors[tensor.parent].offset) % tensor.pitch;
        const share = (line * tensor.pixel) / tensor.pitch, start = tensor.offset - inside + (line * inside) / tensor.pitch;
        pen.fillStyle = COLORS[index % COLORS.length];
        for (let row = Math.max(0, rows - tensor.rows); row < rows; row++) {
          pen.fillRect(x(at), y(start + (row % tensor.rows) * line), wide, Math.max(0.7, y(share) - (y(share) > 3 ? 0.6 : 0)));
        }
      });
      if (step && step.scratch[1]) {
        pen.fillStyle = 'rgba(127,127,127,.55)';
        pen.fillRect(x(at), y(step.scratch[0]), wide, y(step.scratch[1]));
      }
    }
  }

  drawArena() {
    const { arena, model, calls, at } = this, pen = arena.getContext('2d'), now = ((at + 1) / (calls.length + 1)) * arena.width;
    pen.clearRect(0, 0, arena.width, arena.height);
    pen.fillStyle = 'rgba(127,127,127,.13)';
    pen.fillRect(0, 0, arena.width, arena.height);
    pen.globalAlpha = 0.2; // what is to come
    pen.drawImage(this.plan, 0, 0);
    pen.globalAlpha = 1;
    if (now >= 1) pen.drawImage(this.plan, 0, 0, now, arena.height, 0, 0, now, arena.height);
    if (at < calls.length) {
      pen.fillStyle = '#808080';
      pen.fillRect(now - 1.5, 0, 3, arena.height);
    }
    const timeSlot = at ? model.steps[calls[at - 1][0]].timeSlot : 0;
    arena.setAttribute('aria-label', `The arena while the model runs; call ${at} of ${calls.length}, time slot ${timeSlot} of ${model.timeSlots}`);
  }
}

/** A mosaic of a map's channels, at most so many, of which the first `rows` rows have been computed. */
function drawMap(canvas, map, [h, w, c], rows, most) {
  const channels = Math.min(c, most);
  const vector = h * w === 1;
  const across = vector ? Math.min(channels, 16) : Math.ceil(Math.sqrt((channels * h) / w)) || 1;
  const gap = vector ? 0 : 1, down = Math.ceil(channels / across);
  canvas.width = across * (w + gap) - gap;
  canvas.height = down * (h + gap) - gap;
  const image = new ImageData(canvas.width, canvas.height);
  let most_ = 1e-9;
  for (const value of map) most_ = Math.max(most_, Math.abs(value));
  for (let channel = 0; channel < channels; channel++) {
    const [left, top] = [(channel % across) * (w + gap), Math.floor(channel / across) * (h + gap)];
    for (let y = 0; y < Math.min(h, rows); y++) {
      for (let x = 0; x < w; x++) {
        const share = map[(y * w + x) * c + channel] / most_;
        const at = 4 * ((top + y) * canvas.width + left + x);
        const strength = Math.sqrt(Math.abs(share));
        // From the middle grey of both themes to blue or red.
        const to = share >= 0 ? [86, 180, 233] : [213, 94, 0];
        for (let k = 0; k < 3; k++) image.data[at + k] = 24 + (to[k] - 24) * strength;
        image.data[at + 3] = 255;
      }
    }
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
}
