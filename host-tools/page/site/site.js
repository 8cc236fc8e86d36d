// The page's measurements: SITE, which the tool wrote, has every study's tables and verdict, the models, and the bench.
'use strict';

const kinglet = WebAssembly.compile(unbase64(SITE.module));
const number = (text) => Number(text.replaceAll(',', ''));

/** Rows of a study's table, as objects; of columns of one name, the first. */
function rows(name) {
  const { columns, rows } = SITE.tables[name];
  return rows.map((row) => Object.fromEntries(columns.map((column, index) => [column, row[index]]).reverse()));
}

const values = (all, column) => [...new Set(all.map((row) => row[column]))];

/** A picture with a heading, a line of what is chosen, its controls, and its table. `draw` gives the picture and that line. */
function picture(name, { title, table: tables, controls = [], draw }) {
  const root = document.querySelector(`[data-picture="${name}"]`);
  const said = element('p', { class: 'said', 'aria-live': 'polite' }), place = element('div');
  const show = () => {
    const [shown, words] = draw();
    place.replaceChildren(...shown);
    said.textContent = words;
  };
  for (const control of controls) control.addEventListener('input', show);
  addEventListener('resize', show);
  root.replaceChildren(element('h3', {}, title), ...controls.map((control) => control.labelled ?? control), said, place,
    ...tables.map((name) => folded(name, () => SITE.tables[name])));
  show();
}

/** A slider over what was measured, whose `chosen()` is one of `all`. */
function slider(label, all, at, name = (value) => value) {
  const told = element('output', {}, name(all[at]));
  const input = element('input', { type: 'range', min: 0, max: all.length - 1, value: at, 'aria-label': label });
  input.chosen = () => all[Number(input.value)];
  input.labelled = element('label', {}, label, input, told);
  const tell = () => { told.textContent = name(input.chosen()); input.setAttribute('aria-valuetext', name(input.chosen())); };
  input.addEventListener('input', tell);
  tell();
  return input;
}

function choice(label, all) {
  const input = element('select', {}, ...all.map((one) => element('option', {}, one)));
  input.chosen = () => input.value;
  input.labelled = element('label', {}, label, input);
  return input;
}

// Sections whose study was not run are left out.
for (const part of document.querySelectorAll('[data-needs]')) if (!SITE.tables[part.dataset.needs]) part.remove();

/** What became of a claim, and of its repetition. */
function verdict({ held, again }) {
  const said = held ? 'It held' : 'It did not hold';
  if (!again) return `${said}.`;
  if (again.held === held) return held ? `${said}, and again from other seeds.` : `${said}, nor from other seeds.`;
  return `${said}; from other seeds it ${again.held ? 'did' : 'did not'}. So it is open.`;
}

for (const place of document.querySelectorAll('[data-claim]')) {
  const finding = SITE.findings[place.dataset.claim];
  if (!finding) { place.remove(); continue; }
  const isOpen = finding.again && finding.again.held !== finding.held;
  place.className = finding.held && !isOpen ? 'claim' : 'claim not';
  place.append(element('p', {}, finding.claim), element('p', { class: 'verdict' }, verdict(finding)), element('p', {}, finding.verdict.replaceAll('+-', '±')));
  place.append(element('p', { class: 'soft' }, ...finding.measured.split('`').map((part, index) => (index % 2 ? element('code', {}, part) : part))));
  if (finding.again) {
    place.append(element('details', {}, element('summary', {}, `From seed ${finding.again.seed}`), element('p', {}, finding.again.verdict.replaceAll('+-', '±'))));
  }
}

const players = {};
function player(id, name) {
  const root = document.getElementById(id);
  players[id]?.stop();
  players[id] = new PlayerView(root, kinglet, SITE.models[name]);
  return players[id].ready;
}

const which = document.getElementById('which');
which.append(...Object.keys(SITE.models).map((name) => element('option', {}, name)));
which.value = 'digits-resnet';
which.addEventListener('input', () => player('player', which.value));
const ready = Promise.all([player('player', 'digits-resnet'), player('residual', 'digits-resnet'), player('branched', 'digits-inception')]);

{
  const all = rows('depth-errors'), depths = values(all, 'layers').map(Number);
  const depth = slider('Layers', depths, depths.indexOf(56));
  const error = choice('Error on', ['training images', 'held-out images']);
  picture('depth', {
    title: 'Error against depth', table: ['depth-errors'], controls: [depth, error],
    draw() {
      const held = error.chosen() === 'held-out images', deviation = SITE.tables['depth-errors'].columns.lastIndexOf('deviation');
      const raw = SITE.tables['depth-errors'].rows, at = held ? 4 : 2;
      const series = ['plain', 'residual'].map((name) => ({ name, points: raw.filter((row) => row[0] === name)
        .map((row) => [Number(row[1]), Number(row[at]), Number(row[held ? deviation : 3])]) }));
      const of = ({ points }) => points.find(([layers]) => layers === depth.chosen());
      const say = (one) => `${one.name} ${of(one)[1].toFixed(2)} % ± ${of(one)[2].toFixed(2)}`;
      return [lines({ title: 'Error against depth of plain and residual networks', x: { name: 'layers' }, y: { name: `error on ${error.chosen()} (%)` }, series, marked: depth.chosen() }),
        `${depth.chosen()} layers: ${series.map(say).join(', ')}.`];
    },
  });
}

{
  const all = rows('vanishing-gradients-ratios'), steps = values(all, 'step').map(Number);
  const of = { 'the first layers': ['first layers', 'first layers: factor per layer'], 'the first over the last': ['first/last', 'first/last: factor per layer'] };
  const start = choice('Weights begin by', values(all, 'start')), gradient = choice('Gradient of', Object.keys(of));
  const step = slider('Training steps', steps, 0, (value) => String(value));
  picture('gradients', {
    title: 'The gradient that arrives', table: ['vanishing-gradients-rates', 'vanishing-gradients-ratios'], controls: [start, gradient, step],
    draw() {
      const [column, factor] = of[gradient.chosen()];
      const chosen = all.filter((row) => row.start === start.chosen() && Number(row.step) === step.chosen() && Number(row[column]) > 0);
      const series = ['plain', 'residual'].map((name) => ({ name, points: chosen.filter((row) => row.network === name)
        .map((row) => [Number(row.layers), Number(row[column]), column === 'first/last' ? Number(row['deviation (decades)']) : 0]) })).filter(({ points }) => points.length);
      const lost = chosen.reduce((sum, row) => sum + Number(row.diverged), 0);
      const rate = rows('vanishing-gradients-rates').filter((row) => row.start === start.chosen());
      const say = rate.map((row) => `${row.network} x ${row[factor]}`).join(', ');
      return [lines({ title: 'Gradient against depth', x: { name: 'layers' }, y: { name: 'Euclidean norm', logarithmic: true }, series }),
        `Per layer of depth, before training: ${say}.${lost ? ` ${lost} of these trainings diverged.` : ''}`];
    },
  });
}

{
  const raw = SITE.tables['identity-inserted'].rows, counts = [...new Set(raw.map((row) => Number(row[1])))].filter(Boolean);
  const blocks = slider('Fresh blocks', counts, counts.length - 1);
  picture('identity', {
    title: 'Fresh blocks upon a trained network', table: ['identity-inserted'], controls: [blocks],
    draw() {
      const nothing = raw.find((row) => row[0] === 'nothing');
      const series = ['plain', 'residual'].map((name) => ({ name, points: [nothing, ...raw.filter((row) => row[0] === name)]
        .map((row) => [Number(row[1]), Number(row[2]), Number(row[3])]) }));
      const say = (name) => raw.find((row) => row[0] === name && Number(row[1]) === blocks.chosen());
      return [lines({ title: 'Training error against blocks inserted', x: { name: 'fresh blocks' }, y: { name: 'training error after 10 epochs (%)' }, series, marked: blocks.chosen() }),
        `${blocks.chosen()} fresh ${blocks.chosen() === 1 ? 'block' : 'blocks'}: loss of the first steps ${say('plain')[4]} if plain, ${say('residual')[4]} if residual; error after 10 epochs ${say('plain')[2]} % ± ${say('plain')[3]} and ${say('residual')[2]} % ± ${say('residual')[3]}.`];
    },
  });
}

{
  const all = rows('identity-branches'), epochs = values(all, 'epoch');
  const epoch = slider('Epoch', epochs, epochs.length - 1);
  picture('branches-of-blocks', {
    title: 'What a block adds, beside what passes it', table: ['identity-branches'], controls: [epoch],
    draw() {
      const chosen = all.filter((row) => row.epoch === epoch.chosen());
      const mean = chosen.reduce((sum, row) => sum + Number(row['branch/shortcut']), 0) / chosen.length;
      return [bars({ title: 'Size of the branch over the size of the shortcut', rows: chosen.map((row) => ({ name: `block ${row.block}`, value: Number(row['branch/shortcut']) })) }),
        `After epoch ${epoch.chosen()} the branch is ${mean.toFixed(2)} times as large as the shortcut on average.`];
    },
  });
}

{
  const all = rows('blocks-blocks');
  const block = slider('Block', all.map((_, index) => index), 2, (index) => all[index].block);
  picture('blocks', {
    title: 'Where ResNet-50 multiplies', table: ['blocks-blocks'], controls: [block],
    draw() {
      const row = all[block.chosen()];
      return [bars({ title: 'Share of the multiplications', rows: all.map((one) => ({ name: `${one.block}, ${one.kind.replace(' block', '')}`, value: number(one['share of MACs %']), text: `${one['share of MACs %']} %`, marked: one === row })) }),
        `Stage ${row.stage}, ${row.kind}: ${row.input} to ${row.output}, shortcut ${row.shortcut}; ${row.parameters} parameters, ${row.MACs} multiplications.`];
    },
  });
}

{
  const raw = SITE.tables['branches-branches'].rows;
  const measure = choice('Measure', ['training loss', 'held-out error (%)']);
  picture('branches', {
    title: 'Trained without a branch', table: ['branches-branches'], controls: [measure],
    draw() {
      const at = measure.chosen() === 'training loss' ? 5 : 3;
      return [bars({ title: 'Training without each branch', rows: raw.map((row) => ({ name: row[0], value: Number(row[at]), deviation: Number(row[at + 1]), text: `${row[at]} ± ${row[at + 1]}`, marked: row[0] === 'all branches' })) }),
        `${measure.chosen()} with its standard deviation over seeds.`];
    },
  });
}

{
  const all = rows('bottleneck-modules'), networks = SITE.tables['bottleneck-networks'].rows;
  const module = slider('Module', all.map((_, index) => index), 0, (index) => `${all[index].network}, ${all[index].module}`);
  picture('bottleneck', {
    title: 'Multiplications, without and with the bottleneck', table: ['bottleneck-modules', 'bottleneck-networks'], controls: [module],
    draw() {
      const row = all[module.chosen()];
      const accuracy = networks.filter((one) => one[5]).map((one) => `${one[0]} ${one[5]} % ± ${one[6]}`).join(', ');
      return [bars({ title: 'Multiplications', rows: [{ name: 'without', value: number(row['naive MACs']) }, { name: 'with 1x1', value: number(row.MACs), marked: true }] }),
        `${row['times fewer']} times fewer multiplications, ${row['naive parameters']} parameters become ${row.parameters}. Accuracy: ${accuracy}.`];
    },
  });
}

{
  const all = rows('bottleneck-modules').filter((row) => row.network === 'googlenet');
  const module = slider('Module', all.map((_, index) => index), 0, (index) => all[index].module);
  const sum = (column) => all.reduce((sum, row) => sum + number(row[column]), 0);
  picture('googlenet', {
    title: 'The nine modules of GoogLeNet', table: ['bottleneck-modules'], controls: [module],
    draw() {
      const row = all[module.chosen()];
      return [bars({ title: 'Multiplications of each module, with bottlenecks', rows: all.map((one) => ({ name: one.module, value: number(one.MACs), marked: one === row })) }),
        `${row.module}: ${row.MACs} multiplications; without bottlenecks ${row['naive MACs']}, ${row['times fewer']} times as many. All nine: ${short(sum('MACs'))} against ${short(sum('naive MACs'))}.`];
    },
  });
}

/** A table as bars, one measure at a time; with `spread` the column behind a measure is its deviation, if it is one. */
function barsOf(name, tableName, title, { label, value, spread = false }) {
  if (!SITE.tables[tableName]) return;
  const { columns, rows: raw } = SITE.tables[tableName];
  const measures = (value ?? columns.slice(1)).filter((column) => !column.startsWith('deviation') && raw.some((row) => row[columns.indexOf(column)]));
  const measure = choice('Measure', measures);
  picture(name, {
    title, table: [tableName], controls: [measure],
    draw() {
      const at = columns.indexOf(measure.chosen()), doubt = spread && columns[at + 1] === 'deviation' ? at + 1 : -1, named = columns.indexOf(label ?? columns[0]);
      return [bars({ title, rows: raw.filter((row) => row[at]).map((row) => ({ name: row[named], value: number(row[at]), deviation: doubt < 0 ? 0 : number(row[doubt]),
        text: row[at] + (doubt < 0 ? '' : ` ± ${row[doubt]}`) })) }), doubt < 0 ? `${measure.chosen()}, the same on every run.` : `${measure.chosen()}, with its standard deviation over seeds.`];
    },
  });
}
barsOf('kernels', 'kernels-kernels', 'From a map to a map of the same size', {});
barsOf('kernels-boards', 'kernels-boards', 'An inference of these layers on a board, predicted', {});
barsOf('nin', 'network-in-network-heads', 'Heads and 1x1 layers', { spread: true });

/** A line for each kind of a table, and one for the column `also`; a slider chooses the x whose values are told. */
function against(name, tableName, { title, x, y, kind, control, also, others = [], spread = 'deviation' }) {
  if (!SITE.tables[tableName]) return;
  const all = rows(tableName), kinds = kind ? values(all, kind) : [y], xs = [...new Set(all.map((row) => Number(row[x])))].sort((a, b) => a - b);
  const at = slider(control, xs, xs.length - 1, String);
  const { columns, rows: raw } = SITE.tables[tableName], deviation = columns.indexOf(spread, columns.indexOf(y));
  const value = (row) => number(row[columns.indexOf(y)]);
  picture(name, {
    title, table: [tableName, ...others].filter((one) => SITE.tables[one]), controls: [at],
    draw() {
      const of = (one) => raw.filter((row) => !kind || row[columns.indexOf(kind)] === one);
      const series = kinds.map((one) => ({ name: one, points: of(one).map((row) => [Number(row[columns.indexOf(x)]), value(row), deviation < 0 ? 0 : number(row[deviation])]) }));
      if (also) series.push({ name: also, points: of(kinds[0]).map((row) => [Number(row[columns.indexOf(x)]), number(row[columns.indexOf(also)]), 0]) });
      const say = series.map((one) => [one.name, one.points.find(([place]) => place === at.chosen())]).filter(([, point]) => point)
        .map(([one, [, mean, doubt]]) => `${one} ${short(mean)}${doubt ? ` ± ${short(doubt)}` : ''}`);
      return [lines({ title, x: { name: x }, y: { name: y }, series, marked: at.chosen() }), `${control} ${at.chosen()}: ${say.join(', ')}.`];
    },
  });
}

/** Numbers that stand in one cell. */
const numbers = (cell) => cell.split(' ').map(Number);

if (SITE.tables['shattered-gradients-gradients']) {
  const all = rows('shattered-gradients-gradients'), depths = values(all, 'layers'), kinds = values(all, 'network');
  const depth = slider('Layers', depths, depths.length - 1), kind = choice('Network', kinds);
  const column = SITE.tables['shattered-gradients-gradients'].columns[2];
  picture('shattered', {
    title: 'The gradient at 256 inputs from -2 to 2, of the first seed', table: ['shattered-gradients-gradients', 'shattered-gradients-correlations'], controls: [kind, depth],
    draw() {
      const row = all.find((one) => one.network === kind.chosen() && one.layers === depth.chosen()), gradient = numbers(row[column]);
      const points = gradient.map((value, index) => [-2 + (4 * index) / (gradient.length - 1), value]);
      const near = rows('shattered-gradients-correlations').find((one) => one.network === kind.chosen() && one.layers === depth.chosen() && one.distance === '5');
      return [lines({ title: 'Gradient against the input', x: { name: 'input' }, y: { name: 'gradient' }, series: [{ name: kind.chosen(), points, isDense: true }] }),
        `${kind.chosen()}, ${depth.chosen()} layers: the gradients at inputs 5 of 256 apart correlate by ${near.correlation} ± ${near.deviation} over seeds.`];
    },
  });
}

if (SITE.tables['shattered-gradients-correlations']) {
  const all = rows('shattered-gradients-correlations'), distances = values(all, 'distance');
  const distance = slider('Distance', distances, distances.indexOf('5'), (value) => `${value} of 256`);
  picture('correlations', {
    title: 'Correlation of the gradients at neighboring inputs', table: ['shattered-gradients-correlations'], controls: [distance],
    draw() {
      const chosen = all.filter((row) => row.distance === distance.chosen());
      const series = values(chosen, 'network').map((name) => ({ name, points: chosen.filter((row) => row.network === name)
        .map((row) => [Number(row.layers), Number(row.correlation), Number(row.deviation)]) }));
      return [lines({ title: 'Correlation against depth', x: { name: 'layers' }, y: { name: 'correlation' }, series }),
        `Inputs ${distance.chosen()} of 256 apart; 0 is white noise.`];
    },
  });
}

if (SITE.tables['paths-lengths']) {
  const all = rows('paths-lengths'), counts = values(all, 'blocks');
  const count = slider('Blocks', counts, counts.length - 1);
  picture('paths', {
    title: 'Paths by their length, and the gradient that comes by them', table: ['paths-ranges', 'paths-lengths'], controls: [count],
    draw() {
      const chosen = all.filter((row) => row.blocks === count.chosen()), range = rows('paths-ranges').find((row) => row.blocks === count.chosen());
      const line = (name, column, spread) => ({ name, points: chosen.map((row) => [Number(row.length), Number(row[column]), spread ? Number(row[spread]) : 0]) });
      return [lines({ title: 'Shares by length of path', x: { name: 'blocks that the path takes' }, y: { name: 'share (%)' },
        series: [line('of the paths', 'paths %'), line('of the gradient', 'gradient %', 'deviation')] }),
      `${range.layers} layers: the middle 90 % of the paths take ${range['paths: middle 90 %']} blocks, those of the gradient ${range['gradient: middle 90 %']}; ` +
        `${range['by less than half %']} % ± ${range.deviation} of it comes by less than half of the blocks.`];
    },
  });
}

if (SITE.tables['landscape-points']) {
  const all = rows('landscape-points'), depths = values(all, 'layers'), column = SITE.tables['landscape-points'].columns[3];
  const depth = slider('Layers', depths, depths.length - 1);
  const degrees = Array.from({ length: 72 }, (_, index) => 5 * index), heights = Array.from({ length: 12 }, (_, index) => 5 * (index + 1));
  const yaw = slider('Turn', degrees, 7, (value) => `${value}°`), pitch = slider('Height of the eye', heights, 6, (value) => `${value}°`);
  const place = document.querySelector('[data-picture="landscape"]');
  // Turned by hand, too.
  place.addEventListener('pointermove', (event) => {
    if (!event.buttons || !event.target.closest('.surface')) return;
    const turned = Number(yaw.value) + Math.sign(event.movementX);
    yaw.value = (turned + degrees.length) % degrees.length;
    pitch.value = Number(pitch.value) + Math.sign(event.movementY);
    for (const one of [yaw, pitch]) one.dispatchEvent(new Event('input'));
  });
  picture('landscape', {
    title: 'The loss around what was learned', table: ['landscape-convexity', 'landscape-points'], controls: [depth, yaw, pitch],
    draw() {
      const chosen = all.filter((row) => row.layers === depth.chosen());
      const of = (name) => chosen.filter((row) => row.network === name).flatMap((row) => numbers(row[column]).map((loss) => Math.log10(Math.max(loss, 1e-3))));
      const both = ['plain', 'residual'].map((name) => [name, of(name)]), ends = both.flatMap(([, values]) => values);
      const [low, high] = [Math.min(...ends), Math.max(...ends)], width = Math.max(130, room() / 2 - 10);
      const shown = both.map(([name, heights]) => element('figure', {}, surface({ title: `The loss of the ${name} network as a surface`, heights, low, high, yaw: yaw.chosen(), pitch: pitch.chosen(), width }),
        element('figcaption', {}, `${name}: loss ${short(10 ** Math.min(...heights))} to ${short(10 ** Math.max(...heights))}`)));
      const said = rows('landscape-convexity').filter((row) => row.layers === depth.chosen())
        .map((row) => `${row.network} ${row['not convex %']} % ± ${row.deviation} (training error ${row['training error %']} %)`);
      return [[element('div', { class: 'surfaces' }, ...shown)], `Not convex, of the plane: ${said.join(', ')}. The height is logarithmic, on one scale for both.`];
    },
  });
}

if (SITE.tables['patches-pixels']) {
  const all = rows('patches-pixels'), branches = values(all, 'branch'), branch = choice('Branch', branches);
  picture('patches', {
    title: 'The patch that each channel answers to most', table: ['patches-widths', 'patches-pixels'], controls: [branch],
    draw() {
      const chosen = all.filter((row) => row.branch === branch.chosen()), width = rows('patches-widths').find((row) => row.branch === branch.chosen());
      const pixels = (row) => row.patch.split(' / ').map(numbers);
      return [[element('div', { class: 'tiles' }, ...chosen.map((row) => element('figure', {}, tile(pixels(row), `The patch of channel ${row.channel}`),
        element('figcaption', {}, row['depends on (pixels)']))))],
      `The ${branch.chosen()} branch can see ${width['can see (pixels)']} pixels across and depends on ${width['depends on (pixels)']} ± ${width['deviation over seeds']}; below each patch: on how many that channel does.`];
    },
  });
}

barsOf('forms', 'shortcuts-forms', 'Forms of shortcuts', { label: 'shortcut', value: ['training error %', 'held-out error %'], spread: true });
barsOf('merged', 'merged-branches-networks', 'Trained as branches, run as one', { label: 'network',
  value: ['training error %', 'held-out error %', 'parameters on the chip', 'MACs', 'instructions'], spread: true });
barsOf('branches-cifar10', 'cifar10-branches-branches', 'Trained without a branch, on 32 x 32 pixels', { label: 'network', value: ['training loss', 'held-out error %'], spread: true });
against('responses', 'responses-means', { title: 'Mean response of the convolutions', x: 'layers', y: 'mean response', kind: 'network', control: 'Layers', spread: 'deviation over seeds', others: ['responses-layers'] });
against('receptive', 'receptive-field-widths', { title: 'What an output depends on', x: '3x3 layers', y: 'effective width', kind: 'network', control: 'Layers of 3x3', also: 'receptive field' });
against('lesion-many', 'lesion-many', { title: 'Several blocks deleted, at random', x: 'deleted blocks', y: 'held-out error %', control: 'Deleted', others: ['lesion-order'] });

barsOf('lesion-chip', 'lesion-chip', 'As int8 model files, each a block less', { label: 'model' });

if (SITE.tables['lesion-one']) {
  const all = rows('lesion-one'), kinds = values(all, 'network'), network = choice('Network', kinds);
  const most = Math.max(...kinds.map((kind) => all.filter((row) => row.network === kind).length));
  const block = slider('Deleted', Array.from({ length: most }, (_, index) => index), 1, (index) => (index ? String(index) : 'nothing'));
  picture('lesion', {
    title: 'One deleted, at test time', table: ['lesion-one'], controls: [network, block],
    draw() {
      const chosen = all.filter((row) => row.network === network.chosen()), marked = chosen[Math.min(block.chosen(), chosen.length - 1)];
      return [bars({ title: 'Held-out error', rows: chosen.map((row) => ({ name: row.deleted, value: number(row['held-out error %']), deviation: number(row.deviation), text: `${row['held-out error %']} % ± ${row.deviation}`, marked: row === marked })) }),
        `${network.chosen()}; deleted: ${marked.deleted}. Held-out error ${marked['held-out error %']} % ± ${marked.deviation}, whole ${chosen[0]['held-out error %']} % ± ${chosen[0].deviation}.`];
    },
  });
}

{
  const models = values(SITE.predicted, 'model'), model = choice('Model', models), boards = values(SITE.predicted, 'board');
  model.value = 'cifar10-resnet8';
  const board = slider('Board', boards, 0);
  SITE.tables.predicted = { columns: ['model', 'board', 'core', 'MHz', 'ms', 'µJ', 'fits', 'how well that is known'],
    rows: SITE.predicted.map((row) => [row.model, row.board, row.core, String(row.mhz), row.ms.toFixed(2), row.microjoules ? row.microjoules.toFixed(0) : '', row.fits ? 'yes' : 'no', row.error]) };
  picture('boards', {
    title: 'An inference on each board, predicted', table: ['predicted'], controls: [model, board],
    draw() {
      const chosen = SITE.predicted.filter((row) => row.model === model.chosen()), one = chosen.find((row) => row.board === board.chosen()) ?? chosen[0];
      return [bars({ title: 'Predicted milliseconds', rows: chosen.map((row) => ({ name: row.board, value: row.ms, text: `${row.ms.toFixed(1)} ms${row.fits ? '' : ', too large'}`, marked: row === one })) }),
        `${one.board}, ${one.core} at ${one.mhz} MHz: ${one.ms.toFixed(2)} ms${one.microjoules ? `, ${one.microjoules.toFixed(0)} µJ` : ''}${one.fits ? '' : '; the model does not fit it'}. How well that is known: ${one.error}`];
    },
  });
}

{
  const models = values(SITE.bench, 'model'), model = choice('Model', models);
  model.value = 'cifar10-resnet8';
  const measure = choice('Measure', ['instructions', 'predicted milliseconds']);
  SITE.tables.bench = { columns: ['model', 'core', 'instructions', 'predicted cycles', 'on', 'milliseconds'],
    rows: SITE.bench.map((row) => [row.model, row.core, grouped(row.instructions), row.cycles ? grouped(row.cycles) : '', row.real ?? '', row.ms ? row.ms.toFixed(2) : '']) };
  picture('chip', {
    title: 'An inference on each core', table: ['bench'], controls: [model, measure],
    draw() {
      const time = measure.chosen() !== 'instructions';
      const chosen = SITE.bench.filter((row) => row.model === model.chosen() && (!time || row.ms));
      return [bars({ title: 'An inference', rows: chosen.map((row) => ({ name: row.core.replace(/^.* running /, ''), value: time ? row.ms : row.instructions,
        text: time ? `${row.ms.toFixed(1)} ms` : short(row.instructions) })) }),
        time ? chosen.map((row) => `${row.core}: ${row.real} at ${row.mhz} MHz`).join('; ') : `Instructions of ${model.chosen()}, counted.`];
    },
  });
}
