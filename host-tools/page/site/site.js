// The page's measurements: SITE, which the tool wrote, has every study's tables and verdict, the models, and the bench.
'use strict';

const kinglet = WebAssembly.compile(unbase64(SITE.module));
const number = (text) => Number(text.replaceAll(',', ''));

/** Rows of a study's table, as objects. */
function rows(name) {
  const { columns, rows } = SITE.tables[name];
  return rows.map((row) => Object.fromEntries(columns.map((column, index) => [column, row[index]])));
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
    ...tables.map((name) => element('details', {}, element('summary', {}, `The measurements: ${name}.csv`), table(SITE.tables[name]))));
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

for (const place of document.querySelectorAll('[data-claim]')) {
  const finding = SITE.findings[place.dataset.claim];
  if (!finding) { place.remove(); continue; }
  place.className = finding.held ? 'claim' : 'claim not';
  place.append(element('p', {}, finding.claim), element('p', { class: 'verdict' }, finding.held ? 'It held.' : 'It did not hold.'),
    element('p', {}, finding.verdict));
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

/** Studies that a checkout may have or not: their tables as bars. */
function barsOf(name, tableName, title, { label, value, deviation, unit = '' }) {
  if (!SITE.tables[tableName]) return;
  const all = rows(tableName), { columns } = SITE.tables[tableName];
  const measures = value.filter((column) => columns.includes(column) && all.some((row) => row[column]));
  const measure = choice('Measure', measures);
  picture(name, {
    title, table: [tableName], controls: [measure],
    draw() {
      const column = measure.chosen(), spread = deviation?.[column];
      return [bars({ title, rows: all.filter((row) => row[column]).map((row) => ({ name: row[label], value: number(row[column]),
        deviation: spread && row[spread] ? number(row[spread]) : 0, text: row[column] + unit + (spread && row[spread] ? ` ± ${row[spread]}` : '') })) }), ''];
    },
  });
}
barsOf('kernels', 'kernels-kernels', 'From a map to a map of the same size', { label: SITE.tables['kernels-kernels']?.columns[0], value: SITE.tables['kernels-kernels']?.columns.slice(1) ?? [] });
barsOf('nin', 'network-in-network-heads', 'Heads and 1x1 layers', { label: SITE.tables['network-in-network-heads']?.columns[0],
  value: (SITE.tables['network-in-network-heads']?.columns ?? []).filter((column, index) => index && !column.startsWith('deviation')) });

if (SITE.tables['lesion-one']) {
  const all = rows('lesion-one'), kinds = values(all, 'network'), network = choice('Network', kinds);
  picture('lesion', {
    title: 'One deleted, at test time', table: ['lesion-one', 'lesion-many', 'lesion-order', 'lesion-chip'].filter((name) => SITE.tables[name]), controls: [network],
    draw() {
      const chosen = all.filter((row) => row.network === network.chosen());
      return [bars({ title: 'Held-out error', rows: chosen.map((row) => ({ name: row.deleted, value: number(row['held-out error %']), deviation: number(row.deviation), text: `${row['held-out error %']} % ± ${row.deviation}`, marked: row.deleted === 'nothing' })) }),
        `Held-out error of ${network.chosen()} deleted.`];
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
