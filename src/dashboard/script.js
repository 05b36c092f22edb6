
/*
 * Draws the page from the data in it.  Names, queries and messages are made
 * text nodes and attribute values, never markup.  Nothing is fetched.
 */
(function () {
'use strict';

var data = JSON.parse(document.getElementById('data').textContent);
var madeAt = Date.parse(data.made_at);
var HOUR = 3600e3;
var SAMPLE = 10e3;				/* a row of load_history each so many milliseconds */
var NBSP = '\u00a0', DASH = '\u2013', DOT = '\u00b7', NONE = '\u2014';

/* ------------------------------------------------------------- building */

function add(node, children) {
	children.forEach(function (child) {
		if (Array.isArray(child)) add(node, child);
		else if (child !== null && child !== undefined && child !== '')
			node.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
	});
	return node;
}

function set(node, attributes) {
	Object.keys(attributes || {}).forEach(function (name) {
		if (attributes[name] !== null && attributes[name] !== undefined) node.setAttribute(name, attributes[name]);
	});
	return node;
}

/* el('td', {class: 'num'}, child, [child], 'text'): an element of HTML */
function el(name, attributes) {
	return add(set(document.createElement(name), attributes), [].slice.call(arguments, 2));
}

/* the same of SVG */
function svg(name, attributes) {
	return add(set(document.createElementNS('http://www.w3.org/2000/svg', name), attributes), [].slice.call(arguments, 2));
}

function title(text) { return svg('title', null, text); }

/* -------------------------------------------------------------- writing */

var zone = new Intl.DateTimeFormat().resolvedOptions().timeZone || 'local time';
var offset = (new Intl.DateTimeFormat('en-GB', { timeZoneName: 'short' }).formatToParts(madeAt).filter(function (part) {
	return part.type === 'timeZoneName';
})[0] || {}).value;
var zoneName = zone + (offset && offset !== zone ? ' (' + offset + ')' : '');

var formats = {
	minute: new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }),
	second: new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }),
	day: new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' }),
	whole: new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })
};

function minute(at) { return formats.minute.format(at); }
function second(at) { return formats.second.format(at); }
function stamp(at) { return formats.day.format(at) + ', ' + second(at); }

/* a moment of the data, with the day if that is another one */
function moment(text) {
	var at = Date.parse(text);

	if (isNaN(at)) return NONE;
	return formats.day.format(at) === formats.day.format(madeAt) ? second(at) : stamp(at);
}

function known(value) { return value !== null && value !== undefined; }

/* three digits that matter */
function digits(value) {
	var size = Math.abs(value);

	if (size >= 99.95 || value === Math.round(value)) return formats.whole.format(value);
	return value.toFixed(size >= 9.995 ? 1 : size >= 0.9995 ? 2 : size >= 0.0995 ? 2 : 3);
}

function number(value) { return known(value) ? digits(+value) : NONE; }
function plural(n, one, many) { return number(n) + ' ' + (n === 1 ? one : many || one + 's'); }

/* milliseconds */
function ms(value) {
	if (!known(value)) return NONE;
	if (value === 0) return '0' + NBSP + 'ms';
	if (value < 0.9995) return digits(value * 1000) + NBSP + '\u00b5s';
	if (value < 999.5) return digits(value) + NBSP + 'ms';
	return seconds(value / 1000);
}

function seconds(value) {
	var units, i;

	if (!known(value)) return NONE;
	if (value < 1) return value < 0.0005 ? '0' + NBSP + 's' : digits(value * 1000) + NBSP + 'ms';
	if (value < 59.95) return digits(value) + NBSP + 's';
	units = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
	value = Math.round(value);
	for (i = 0; value < units[i][0]; i++);
	return Math.floor(value / units[i][0]) + NBSP + units[i][1] +
		(i < 3 && Math.floor(value % units[i][0] / units[i + 1][0]) > 0 ?
			NBSP + Math.floor(value % units[i][0] / units[i + 1][0]) + NBSP + units[i + 1][1] : '');
}

function bytes(value) {
	var units = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'], i;

	if (!known(value)) return NONE;
	for (i = 0; value >= 1000 && i < units.length - 1; i++) value /= 1000;
	return digits(value) + NBSP + (i === 0 && value === 1 ? 'byte' : units[i]);
}

function percent(part, whole) {
	var value = part / whole * 100;

	if (!whole) return NONE;
	return (value > 0 && value < 0.1 ? '< 0.1' : digits(value >= 9.995 ? Math.round(value) : Math.round(value * 10) / 10)) + NBSP + '%';
}

/* ------------------------------------------------------------ the pools */

function poolName(pool) { return pool.pool + (pool.datname === data.server.database ? '' : ' (database ' + pool.datname + ')'); }
function fullName(pool) { return poolName(pool) + ', role ' + pool.role; }
function isOpen(pool) { return pool.state !== 'closed' || pool.size > 0; }
function eventsOf(pool) {
	return data.events.filter(function (event) {
		return event.datname === pool.datname && event.pool === pool.pool && event.role === pool.role;
	});
}

function stateBadge(state) {
	var kind = { active: 'good', paused: 'warn', recycling: 'warn' }[state] || 'plain';

	return el('span', { class: 'badge ' + kind }, state);
}

function breakerBadge(pool, label) {
	var kind = { closed: isOpen(pool) ? 'good' : 'plain', half_open: 'warn' }[pool.breaker] || 'bad';

	return el('span', { class: 'badge ' + kind }, label, pool.breaker === 'half_open' ? 'half open' : pool.breaker);
}

/* ------------------------------------------------------------ attention */

function sum(list, f) { return list.reduce(function (total, item) { return total + f(item); }, 0); }

/* what is wrong, or was in the last hour, as [kind, text] */
function troubles(pool) {
	var found = [], last, n;
	var recent = pool.events.filter(function (event) { return madeAt - Date.parse(event.at) < HOUR; });
	var of = function (kind, reason) {
		return recent.filter(function (event) { return event.kind === kind && (!reason || event.detail && event.detail.reason === reason); });
	};
	var times = function (event) { return event.detail && +event.detail.count || 1; };

	last = of('connect_failed').concat(of('health_failed')).map(function (event) { return event.message; }).filter(known)[0];
	if (pool.breaker === 'open')
		found.push(['bad', 'The circuit breaker is open after ' + plural(pool.failure_count || 0, 'failure') +
			' in a row' + (known(pool.next_try_in) ? '; the next try is in ' + seconds(pool.next_try_in) : '') + '.' + (last ? ' Last: ' + last : '')]);
	else if (pool.breaker === 'half_open')
		found.push(['warn', 'The circuit breaker is half open: one connection is being tried.' + (last ? ' Last: ' + last : '')]);
	else if (of('connect_failed').length > 0)
		found.push(['warn', plural(sum(of('connect_failed'), times), 'attempt') + ' to connect failed in the last hour.' + (last ? ' Last: ' + last : '')]);
	if (pool.state === 'paused') found.push(['warn', 'It is paused: nobody gets a connection.']);
	if (pool.waiting > 0)
		found.push(['warn', plural(pool.waiting, 'session waits', 'sessions wait') + ' for a connection, the first for ' + ms(pool.oldest_wait_time) +
			(pool.active >= pool.max_total ? '; all ' + pool.max_total + ' are leased.' : '.')]);
	else if (isOpen(pool) && pool.active >= pool.max_total)
		found.push(['warn', 'All ' + pool.max_total + ' connections are leased.']);
	n = sum(of('timeout', 'acquire_timeout'), times);
	if (n > 0) found.push(['bad', plural(n, 'session') + ' got no connection in time in the last hour.']);
	n = of('leak').length;
	if (n > 0) found.push(['warn', plural(n, 'lease was', 'leases were') + ' held for longer than leak_detection_threshold in the last hour.']);
	return found;
}

function attention(pools) {
	var items = [], total = pools.filter(isOpen).length;

	pools.forEach(function (pool) {
		troubles(pool).forEach(function (trouble) {
			items.push(el('li', { class: trouble[0] },
				isOpen(pool) ? el('a', { href: '#' + pool.id }, fullName(pool)) : el('b', null, fullName(pool)), ': ' + trouble[1]));
		});
	});
	items.sort(function (a, b) { return (a.className === 'bad' ? 0 : 1) - (b.className === 'bad' ? 0 : 1); });
	if (items.length === 0 && total > 0)
		items.push(el('li', { class: 'good' }, 'Nothing needs attention: ' + plural(total, 'pool is', 'pools are') + ' open, nobody waits, every circuit breaker is closed.'));
	return el('ul', { class: 'attention', 'aria-label': 'What needs attention' }, items);
}

/* --------------------------------------------------------------- tables */

/*
 * table(caption, [[heading, function of a row (text or element), class]], rows, class): the first
 * column is the heading of its row.
 */
function table(caption, columns, rows, kind) {
	var cell = function (column, i, row) {
		var content = column[1](row);

		return i === 0 ? el('th', { scope: 'row', role: 'rowheader', class: column[2] }, content) :
			el('td', { role: 'cell', class: column[2], 'data-label': column[0] }, content === '' || !known(content) ? NONE : content);
	};

	/* roles, as a table whose display is changed is none to some readers */
	return el('table', { class: kind, role: 'table' }, el('caption', null, caption),
		el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, columns.map(function (column) {
			return el('th', { scope: 'col', role: 'columnheader', class: column[2] }, column[0]);
		}))),
		el('tbody', { role: 'rowgroup' }, rows.map(function (row) {
			return el('tr', { role: 'row' }, columns.map(function (column, i) { return cell(column, i, row); }));
		})));
}

/* a table that may be wider than the page */
function wide(label, content) {
	return el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': label }, content);
}

function section(id, heading) {
	return el.apply(null, ['section', { id: id, 'aria-labelledby': id + '-heading' }, el('h2', { id: id + '-heading' }, heading)]
		.concat([].slice.call(arguments, 2)));
}

function fill(pool) {
	var whole = Math.max(pool.max_total, pool.size, 1), bar = el('div', { class: 'fill', 'aria-hidden': 'true' });

	[['active', pool.active], ['idle', pool.idle], ['other', pool.size - pool.active - pool.idle]].forEach(function (part) {
		var piece = el('span', { class: part[0] });

		piece.style.width = Math.max(part[1], 0) / whole * 100 + '%';
		bar.appendChild(piece);
	});
	return bar;
}

function summary(pools) {
	if (pools.length === 0)
		return el('p', { class: 'card empty' }, 'There are no pools: this database has no server with a user mapping that could be one, and no pool of another database is open.');
	return el('div', { class: 'card' }, table('State at the moment when this page was made; p99: 99 % were faster, in the last 5 minutes', [
		['Pool', function (pool) {
			return [isOpen(pool) ? el('a', { href: '#' + pool.id }, pool.pool) : pool.pool,
				el('div', { class: 'sub' }, 'role ' + pool.role + (pool.datname === data.server.database ? '' : ', database ' + pool.datname))];
		}, 'name'],
		['State', function (pool) { return stateBadge(pool.state); }],
		['Circuit breaker', function (pool) { return breakerBadge(pool); }],
		['Connections', function (pool) {
			return [el('span', null, number(pool.size) + ' of ' + number(pool.max_total)),
				el('span', { class: 'sub' }, ' ' + number(pool.active) + ' active, ' + number(pool.idle) + ' idle'), fill(pool)];
		}, 'wide'],
		['Waiting', function (pool) { return pool.waiting > 0 ? el('span', { class: 'is-waiting' }, number(pool.waiting)) : number(pool.waiting); }, 'num'],
		['Wait p99', function (pool) { return ms(pool.p99_wait_time); }, 'num'],
		['Query p99', function (pool) { return ms(pool.p99_query_time); }, 'num'],
		['Load, 5 min', function (pool) { return known(pool.avg_load_5m) ? percent(pool.avg_load_5m, 1) : NONE; }, 'num'],
		['Failed queries', function (pool) {
			return pool.query_errors > 0 ? [number(pool.query_errors), el('span', { class: 'sub' }, ' ' + percent(pool.query_errors, pool.query_count))] : number(pool.query_errors);
		}, 'num']
	], pools, 'cards'));
}

/* --------------------------------------------------------------- charts */

var drawings = [];				/* of what has to be drawn anew when its width changes */

/* a place for a drawing: draw(width) returns an svg element */
function drawing(draw) {
	var place = el('div', null);

	drawings.push({ place: place, draw: draw, width: 0 });
	return place;
}

function redraw() {
	drawings.forEach(function (drawing) {
		var width = Math.floor(drawing.place.clientWidth);

		if (width === drawing.width || width < 50) return;
		drawing.width = width;
		drawing.place.replaceChildren(drawing.draw(width));
	});
}

function niceStep(most, ticks) {
	var raw = most / ticks, power = Math.pow(10, Math.floor(Math.log10(raw)));
	var step = [1, 2, 5, 10].filter(function (step) { return step * power >= raw * 0.999; })[0] * power;

	return step;
}

/* how far back the charts go: no further than an hour, nor much further than there is something to show */
function spanOf(pools) {
	var first = Math.min.apply(null, pools.map(function (pool) { return pool.history.length > 0 ? pool.history[0][0] * 1000 : madeAt; }));

	return [5, 10, 15, 30, 60].map(function (minutes) { return minutes * 60e3; })
		.filter(function (span) { return madeAt - first <= span; })[0] || HOUR;
}

/* runs of samples without a gap */
function runs(samples) {
	var all = [];

	samples.forEach(function (sample) {
		var run = all[all.length - 1];

		if (run && sample.at - run[run.length - 1].at <= SAMPLE * 1.5) run.push(sample);
		else all.push([sample]);
	});
	return all;
}

function samplesOf(pool, from) {
	return pool.history.map(function (row) {
		return { at: row[0] * 1000, size: row[1], active: row[2], waiting: row[3], rate: row[4] / SAMPLE * 1000, avg: row[5] };
	}).filter(function (sample) { return sample.at >= from; });
}

/* the parts of the time line for which there is nothing */
function gaps(all, from, to) {
	var found = [], end = from;

	all.forEach(function (run) {
		var begin = run[0].at - SAMPLE;

		if (begin - end > SAMPLE / 2) found.push([end, begin]);
		end = run[run.length - 1].at;
	});
	if (to - end > SAMPLE * 2) found.push([end, to]);
	return found;
}

var CLASSES = {
	scale_up: ['scaling', 'up'], scale_down: ['scaling', 'down'],
	breaker_open: ['bad', 'disc'], breaker_half_open: ['warn', 'disc'], breaker_closed: ['good', 'disc'],
	connect_failed: ['bad', 'cross'], health_failed: ['bad', 'cross'], validation_failed: ['bad', 'cross'], timeout: ['bad', 'cross'], leak: ['warn', 'cross']
};
var SHAPES = {
	up: 'M0,-5.5L5.5,4.5H-5.5Z', down: 'M0,5.5L5.5,-4.5H-5.5Z', disc: 'M-5,0A5,5 0 1 0 5,0A5,5 0 1 0 -5,0Z', diamond: 'M0,-5.5L5.5,0L0,5.5L-5.5,0Z',
	cross: 'M-5,-3L-3,-5L0,-2L3,-5L5,-3L2,0L5,3L3,5L0,2L-3,5L-5,3L-2,0Z'
};
var MEANINGS = [
	['up', 'scaling', 'Scaled up'], ['down', 'scaling', 'Scaled down'], ['disc', 'bad', 'Breaker opened'], ['disc', 'warn', 'Breaker half open'],
	['disc', 'good', 'Breaker closed'], ['cross', 'bad', 'Failure or time-out'], ['cross', 'warn', 'Leak'], ['diamond', 'plain', 'Changed by somebody']
];

function markOf(kind) { return CLASSES[kind] || ['plain', 'diamond']; }

/* what stands in which line above the panels */
var LANES = [['Scaling', ['scaling']], ['Breaker', ['disc']], ['Other', ['cross', 'diamond']]];

function laneOf(look) { return LANES.filter(function (lane) { return lane[1].indexOf(look[0]) >= 0 || lane[1].indexOf(look[1]) >= 0; })[0]; }

/* what is of the same kind and too near is one mark */
function marks(pool, from, x) {
	var lanes = {}, all = [];

	pool.events.slice().reverse().forEach(function (event) {
		var at = Date.parse(event.at), look = markOf(event.kind), key = look.join(' '), last = lanes[key];

		if (at < from) return;
		if (last && x(at) - last.x < 9) { last.events.push(event); return; }
		lanes[key] = { x: x(at), look: look, events: [event] };
		all.push(lanes[key]);
	});
	return all;
}

function tellEvent(event) { return second(Date.parse(event.at)) + ' ' + event.kind.replace(/_/g, ' ') + (known(event.message) ? ': ' + event.message : ''); }

/* when the breaker was not closed, as [from, to] */
function outages(pool, from) {
	var found = [], since = null;

	pool.events.slice().reverse().forEach(function (event) {
		var at = Math.max(Date.parse(event.at), from);

		if (event.kind === 'breaker_open' && since === null) since = at;
		if (event.kind === 'breaker_closed' && since !== null) {
			found.push([since, at]);
			since = null;
		}
	});
	if (since !== null && pool.breaker !== 'closed') found.push([since, madeAt]);
	return found.filter(function (outage) { return outage[1] > from; });
}

function swatch(kind) { return svg('svg', { width: 14, height: 10, 'aria-hidden': 'true' }, svg('rect', { class: kind, width: 14, height: 10, rx: 2 })); }
function markSwatch(shape, look) {
	return svg('svg', { width: 12, height: 12, viewBox: '-6 -6 12 12', 'aria-hidden': 'true' }, svg('path', { class: 'mark ' + look, d: SHAPES[shape] }));
}

function timeLegend(pool, span, beyond) {
	var present = {}, items = [[swatch('size'), 'Open'], [swatch('active'), 'Active'], [swatch('waiting'), 'Waiting'], [swatch('query'), 'Queries']];

	items.push([svg('svg', { width: 18, height: 10, 'aria-hidden': 'true' }, svg('path', { class: 'limit', d: 'M0,5H18' })),
		'max_size ' + pool.max_size + (beyond ? ', above the scale' : '')]);
	pool.events.forEach(function (event) { if (Date.parse(event.at) >= madeAt - span) present[markOf(event.kind).join(' ')] = true; });
	MEANINGS.forEach(function (meaning) {
		if (present[meaning[1] + ' ' + meaning[0]]) items.push([markSwatch(meaning[0], meaning[1]), meaning[2]]);
	});
	items.push([svg('svg', { width: 14, height: 10, 'aria-hidden': 'true' }, svg('rect', { class: 'gap', width: 14, height: 10, rx: 2 })), 'No data']);
	return el('ul', { class: 'legend', 'aria-label': 'Legend' }, items.map(function (item) { return el('li', null, item); }));
}

/* what a reader of the screen hears of a time line */
function tellTime(pool, samples, span) {
	var most = function (name) { return Math.max.apply(null, samples.map(function (sample) { return sample[name]; })); };
	var least = Math.min.apply(null, samples.map(function (sample) { return sample.size; }));

	if (samples.length === 0) return 'No history of ' + fullName(pool) + ' yet.';
	return 'Time line of ' + fullName(pool) + ', the last ' + seconds(span / 1000) + ': between ' + least + ' and ' + most('size') + ' connections open, at most ' +
		most('active') + ' active, at most ' + most('waiting') + ' waiting, at most ' + number(most('rate')) + ' queries per second. The table below has the numbers.';
}

var LEFT = 54, RIGHT = 10;

function panel(chart, frame, heading, unit, most, draw) {
	var top = frame.top + 22, bottom = top + frame.height, step = niceStep(most, frame.height > 80 ? 4 : 2);
	var y = function (value) { return bottom - value / most * frame.height; };
	var value;

	add(chart, [svg('text', { class: 'title', x: 0, y: frame.top + 12 }, heading), frame.gaps.map(function (gap) {
		return svg('rect', { class: 'gap', x: frame.x(gap[0]), y: top, width: Math.max(frame.x(gap[1]) - frame.x(gap[0]), 1), height: frame.height },
			title('No data from ' + second(gap[0]) + ' to ' + second(gap[1])));
	})]);
	for (value = 0; value <= most * 1.0001; value += step)
		add(chart, [svg('path', { class: value === 0 ? 'base' : 'grid', d: 'M' + LEFT + ',' + Math.round(y(value)) + 'H' + (frame.width - RIGHT) }),
			svg('text', { x: LEFT - 7, y: Math.round(y(value)) + 4, 'text-anchor': 'end' }, digits(value) + unit)]);
	draw(y, bottom, top);
	return bottom;
}

/* the area under a series, run by run; a step lasts for the ten seconds before its row */
function area(all, name, x, y, bottom) {
	return all.map(function (run) {
		var d = 'M' + x(run[0].at - SAMPLE).toFixed(1) + ',' + bottom;

		run.forEach(function (sample) {
			d += 'V' + y(sample[name]).toFixed(1) + 'H' + x(sample.at).toFixed(1);
		});
		return d + 'V' + bottom + 'Z';
	}).join('');
}

function timeTicks(chart, from, to, x, y, width) {
	var minutes = [1, 2, 5, 10, 15, 20, 30].filter(function (step) { return (width - LEFT - RIGHT) / ((to - from) / 60e3 / step) >= 62; })[0] || 30;
	var at = Math.ceil(from / (minutes * 60e3)) * minutes * 60e3;

	for (; at <= to; at += minutes * 60e3)
		add(chart, [svg('path', { class: 'base', d: 'M' + Math.round(x(at)) + ',' + y + 'v4' }),
			svg('text', { x: Math.round(x(at)), y: y + 17, 'text-anchor': x(at) > width - RIGHT - 16 ? 'end' : 'middle' }, minute(at))]);
}

function tellSample(sample) {
	return second(sample.at) + ': ' + sample.size + ' open, ' + sample.active + ' active, ' + sample.waiting + ' waiting, ' + number(sample.rate) + ' queries/s' +
		(known(sample.avg) ? ' of ' + ms(sample.avg) + ' on average' : '');
}

function most(samples, name, least) {
	var top = Math.max.apply(null, samples.map(function (sample) { return sample[name]; }).concat(least));
	var step = niceStep(top, 4);

	return Math.ceil(top / step - 0.001) * step;
}

/* is max_size so far above what there is that it would press everything to the ground? */
function limitIsBeyond(pool, samples) { return pool.max_size > 2.5 * Math.max(most(samples, 'size', 1), 4); }

function timeChart(pool, samples, span) {
	var from = madeAt - span, all = runs(samples), beyond = limitIsBeyond(pool, samples);

	return function (width) {
		var x = function (at) { return LEFT + (Math.min(Math.max(at, from), madeAt) - from) / span * (width - LEFT - RIGHT); };
		var frame = { width: width, x: x, gaps: gaps(all, from, madeAt) };
		var chart = svg('svg', { class: 'chart', role: 'img', 'aria-label': tellTime(pool, samples, span) });
		var found = marks(pool, from, x), lanes = LANES.filter(function (lane) { return found.some(function (mark) { return laneOf(mark.look) === lane; }); });
		var bottom = lanes.length * 15 + 4, top = bottom + 22, size = most(samples, 'size', beyond ? 1 : pool.max_size), each;
		var section = function (height, heading, unit, most, draw) {
			frame.top = bottom;
			frame.height = height;
			bottom = panel(chart, frame, heading, unit, most, draw) + 12;
		};
		var bands = function (top, height) {
			add(chart, outages(pool, from).map(function (outage) {
				return svg('rect', { class: 'band', x: x(outage[0]), y: top, width: Math.max(x(outage[1]) - x(outage[0]), 2), height: height },
					title('Circuit breaker open from ' + second(outage[0]) + ' to ' + second(outage[1])));
			}));
		};
		var series = function (name) { return function (y, bottom) { add(chart, [svg('path', { class: name === 'rate' ? 'query' : name, d: area(all, name, x, y, bottom) })]); }; };

		section(118, 'Connections', '', size, function (y, bottom, top) {
			series('size')(y, bottom);
			series('active')(y, bottom);
			if (!beyond) add(chart, [svg('path', { class: 'limit', d: 'M' + LEFT + ',' + y(pool.max_size) + 'H' + (width - RIGHT) }, title('max_size ' + pool.max_size))]);
			bands(top, bottom - top);
		});
		section(44, 'Sessions that wait', '', most(samples, 'waiting', 2), series('waiting'));
		section(56, 'Queries per second', '', most(samples, 'rate', 1), series('rate'));
		bottom -= 12;
		timeTicks(chart, from, madeAt, x, bottom, width);

		each = Math.max(1, Math.ceil(samples.length * 2 / (width - LEFT - RIGHT)));
		add(chart, samples.filter(function (sample, i) { return i % each === each - 1; }).map(function (sample) {
			var left = x(sample.at - SAMPLE * each);

			return svg('rect', { class: 'hover', x: left, y: top, width: Math.max(x(sample.at) - left, 1), height: bottom - top }, title(tellSample(sample)));
		}));
		add(chart, [lanes.map(function (lane, i) {
			return [svg('path', { class: 'grid', d: 'M' + LEFT + ',' + (i * 15 + 8) + 'H' + (width - RIGHT) }),
				svg('text', { x: LEFT - 7, y: i * 15 + 12, 'text-anchor': 'end' }, lane[0])];
		}), found.map(function (mark) {
			return svg('path', { class: 'mark ' + mark.look[0], d: SHAPES[mark.look[1]], transform: 'translate(' + mark.x.toFixed(1) + ',' + (lanes.indexOf(laneOf(mark.look)) * 15 + 8) + ')' },
				title(mark.events.slice(0, 8).map(tellEvent).join('\n') + (mark.events.length > 8 ? '\nand ' + (mark.events.length - 8) + ' more' : '')));
		})]);
		return set(chart, { height: bottom + 22 });
	};
}

/* the same as a table of minutes, made when it is opened */
function timeTable(pool, samples) {
	var box = el('details', null, el('summary', null, 'The time line as a table'));

	box.addEventListener('toggle', function () {
		var minutes = {}, rows;

		if (!box.open || box.children.length > 1) return;
		samples.forEach(function (sample) { var key = Math.ceil(sample.at / 60e3) * 60e3; (minutes[key] = minutes[key] || []).push(sample); });
		rows = Object.keys(minutes).map(Number).sort(function (a, b) { return b - a; }).map(function (key) { return { at: key, samples: minutes[key] }; });
		var range = function (name) {
			return function (row) {
				var values = row.samples.map(function (sample) { return sample[name]; }), least = Math.min.apply(null, values), top = Math.max.apply(null, values);

				return least === top ? number(top) : number(least) + ' ' + DASH + ' ' + number(top);
			};
		};
		add(box, [wide('Time line of ' + fullName(pool), table('Least and most in each minute, the newest first, times in ' + zoneName, [
			['Minute up to', function (row) { return minute(row.at); }, 'short'],
			['Open', range('size'), 'num'], ['Active', range('active'), 'num'], ['Waiting', range('waiting'), 'num'],
			['Queries', function (row) { return number(sum(row.samples, function (sample) { return Math.round(sample.rate * SAMPLE / 1000); })); }, 'num']
		], rows))]);
	});
	return box;
}

function timeLine(pool, span) {
	var samples = samplesOf(pool, madeAt - span), empty = null;

	if (samples.length === 0)
		empty = el('p', { class: 'empty' }, data.server.stats_enabled ?
			'No history yet: while the pool is open a row is written every 10 seconds.' : 'No history: the setting stats_enabled is off.');
	return [el('figure', { class: 'time' }, timeLegend(pool, span, limitIsBeyond(pool, samples)), empty, drawing(timeChart(pool, samples, span)),
		el('figcaption', null, 'The last ' + (span === HOUR ? 'hour' : seconds(span / 1000)) + ', a point every 10 seconds; times in ' + zoneName)),
		samples.length > 0 ? timeTable(pool, samples) : null];
}

/* ----------------------------------------------------------- histograms */

/*
 * The buckets of one kind, put together: each bar goes up to twice where it
 * begins, in microseconds a power of two, at which buckets begin, too.  What took no
 * time at all (the bucket that begins at 0) is counted apart.
 */
function barBegin(key) { return Math.pow(2, key) / 1000; }

function bars(buckets) {
	var found = {}, atOnce = 0, total = 0, list;

	buckets.forEach(function (bucket) {
		var key = Math.floor(Math.log2(bucket[0] * 1000) + 1e-6);

		total += bucket[2];
		if (bucket[0] <= 0) atOnce += bucket[2];
		else found[key] = (found[key] || 0) + bucket[2];
	});
	list = Object.keys(found).map(Number).sort(function (a, b) { return a - b; });
	return { total: total, atOnce: atOnce, first: list[0], last: list[list.length - 1], count: found, any: list.length > 0 };
}

function histogramChart(label, kind, set) {
	return function (width) {
		var height = 92, top = 12, bottom = top + height, pad = Math.max(0, 9 - (set.last - set.first)), from, to, step, scale, y, x, key, decade, most;
		var chart = svg('svg', { class: 'chart', role: 'img', 'aria-label': label, height: bottom + 22 });

		from = set.first - Math.ceil(pad / 2);
		to = set.last + 1 + Math.floor(pad / 2);
		x = function (key) { return LEFT + (key - from) / (to - from) * (width - LEFT - RIGHT); };
		most = Math.max.apply(null, Object.keys(set.count).map(function (key) { return set.count[key]; }));
		step = Math.max(niceStep(most, 2), 1);
		scale = Math.ceil(most / step - 0.001) * step;
		y = function (value) { return bottom - value / scale * height; };
		for (key = 0; key <= scale * 1.0001; key += step)
			add(chart, [svg('path', { class: key === 0 ? 'base' : 'grid', d: 'M' + LEFT + ',' + Math.round(y(key)) + 'H' + (width - RIGHT) }),
				svg('text', { x: LEFT - 7, y: Math.round(y(key)) + 4, 'text-anchor': 'end' }, short(key))]);
		for (key = set.first; key <= set.last; key++) {
			if (!set.count[key]) continue;
			add(chart, [svg('rect', { class: kind + ' bar', x: x(key) + .5, width: Math.max(x(key + 1) - x(key) - 1, 1),
				y: Math.min(y(set.count[key]), bottom - 1.5), height: Math.max(bottom - y(set.count[key]), 1.5) },
			title(ms(barBegin(key)) + ' to ' + ms(barBegin(key + 1)) + ': ' + number(set.count[key]) + ' (' + percent(set.count[key], set.total) + ')'))]);
		}
		for (decade = -3; (key = Math.log2(Math.pow(10, decade) * 1000)) <= to; decade++) {
			if (key < from) continue;
			add(chart, [svg('path', { class: 'base', d: 'M' + Math.round(x(key)) + ',' + bottom + 'v4' }),
				svg('text', { x: Math.round(x(key)), y: bottom + 17, 'text-anchor': x(key) > width - 30 ? 'end' : 'middle' }, ms(Math.pow(10, decade)))]);
		}
		return chart;
	};
}

/* 12k, 3.4M: for the axis */
function short(value) {
	if (value >= 1e9) return digits(value / 1e9) + 'G';
	if (value >= 1e6) return digits(value / 1e6) + 'M';
	return value >= 1e4 ? digits(value / 1e3) + 'k' : number(value);
}

function histogram(pool, heading, name, kind, stats, none, atOnce) {
	var set = bars(pool.histograms[name] || []), tell;

	tell = heading + ' of ' + fullName(pool) + ': ' + number(set.total) + ' measured, by how long they took.';
	return el('figure', null, el('h4', null, heading),
		el('dl', { class: 'stats' }, stats.map(function (stat) { return el('div', null, el('dt', null, stat[0]), el('dd', null, stat[1])); })),
		set.any ? drawing(histogramChart(tell, kind, set)) : el('p', { class: 'empty note' }, set.total > 0 && atOnce ? 'All found a connection at once.' : none),
		set.total > 0 ? el('figcaption', null, number(set.total) + ' since ' + moment(pool.stats_reset) +
			(atOnce && set.atOnce > 0 ? ', of which ' + percent(set.atOnce, set.total) + ' did not wait and are not drawn' : '')) : null);
}

function average(pool, name) {
	var buckets = pool.histograms[name] || [], n = sum(buckets, function (bucket) { return bucket[2]; });

	return n > 0 ? sum(buckets, function (bucket) { return bucket[3]; }) / n : null;
}

function percentiles(pool, what) {
	return ['p50', 'p95', 'p99'].map(function (p) { return [p + ', 5 min', ms(pool[p + '_' + what + '_time'])]; })
		.concat([['average', ms(pool['avg_' + what + '_time'])], ['longest', ms(pool['max_' + what + '_time'])]]);
}

function histograms(pool) {
	return el('div', { class: 'histograms' },
		histogram(pool, 'Waits for a connection', 'acquire', 'waiting', percentiles(pool, 'wait'), 'Nobody has asked for a connection yet.', true),
		histogram(pool, 'Query times', 'query', 'query', percentiles(pool, 'query'), 'No query has run yet.'),
		histogram(pool, 'Times that leases were held', 'lease', 'active',
			[['average', ms(pool.lease_count > 0 ? pool.total_lease_time / pool.lease_count : null)], ['longest', ms(pool.max_lease_time)]], 'No lease has ended yet.'),
		histogram(pool, 'Times to connect', 'connect', 'connect', [['average', ms(average(pool, 'connect'))]], 'Nothing was connected since counting began.'));
}

/* --------------------------------------------------------------- a pool */

function numbers(pool) {
	var load = function (value) { return known(value) ? percent(value, 1) : NONE; };
	var item = function (heading, value, sub, bad) {
		return el('div', null, el('dt', null, heading), el('dd', { class: bad ? 'is-bad' : null }, value, sub ? el('span', { class: 'sub' }, sub) : null));
	};

	return el('dl', { class: 'numbers' },
		item('Load now', load(pool.current_load), '1, 5, 15 min: ' + [pool.avg_load_1m, pool.avg_load_5m, pool.avg_load_15m].map(load).join(', ')),
		item('Connections leased', number(pool.acquire_count), number(pool.wait_count) + ' of these waited'),
		item('No connection in time', number(pool.acquire_timeouts), null, pool.acquire_timeouts > 0),
		item('Queries', number(pool.query_count), plural(pool.rows_returned || 0, 'row')),
		item('Failed queries', number(pool.query_errors), percent(pool.query_errors, pool.query_count)),
		item('Sent, received', bytes(pool.bytes_sent), bytes(pool.bytes_received)),
		item('Transactions', number(pool.transaction_count), number(pool.transaction_rollbacks) + ' rolled back'),
		item('Connections opened', number(pool.total_created), number(pool.total_closed) + ' closed, ' + number(pool.reset_count) + ' resets'),
		item('Attempts that failed', number(pool.connection_errors), 'to connect', pool.connection_errors > 0),
		item('Validations', number(pool.validation_count), number(pool.validation_failures) + ' failed'),
		item('Health checks', number(pool.health_check_count), number(pool.health_check_failures) + ' failed'),
		item('Breaker opened', number(pool.circuit_breaker_trips), number(pool.circuit_breaker_resets) + ' closed again', pool.breaker !== 'closed'),
		item('Scaled up', number(pool.scale_ups), number(pool.scale_downs) + ' down'),
		item('Counting since', known(pool.stats_reset) ? moment(pool.stats_reset) : NONE, 'open for ' + seconds(pool.uptime)));
}

function connections(pool) {
	var rows = pool.connections, all = pool.n_connections;

	if (rows.length === 0) return el('p', { class: 'empty note' }, 'No connection is open.');
	return el('details', { open: rows.length <= 12 ? '' : null },
		el('summary', null, plural(all, 'connection')),
		wide('Connections of ' + fullName(pool), table(rows.length < all ? 'The first ' + rows.length : 'Each connection, by its number', [
			['Number', function (conn) { return String(conn.conn_id); }, 'short'],
			['State', function (conn) { return conn.state; }, 'short'],
			['Remote process', function (conn) { return known(conn.remote_pid) ? String(conn.remote_pid) : NONE; }, 'num'],
			['Host', function (conn) { return conn.host; }, 'short'],
			['Encryption', function (conn) { return conn.tls ? [conn.tls_version || 'TLS', el('div', { class: 'sub' }, conn.tls_cipher)] : conn.tls === false ? 'none' : NONE; }, 'short'],
			['Age', function (conn) { return seconds(conn.age); }, 'num'],
			['Idle for', function (conn) { return seconds(conn.idle_time); }, 'num'],
			['Leased', function (conn) { return number(conn.usage_count); }, 'num'],
			['Queries', function (conn) { return number(conn.query_count); }, 'num'],
			['Failed', function (conn) { return conn.error_count > 0 ? el('span', { class: 'is-bad' }, number(conn.error_count)) : number(conn.error_count); }, 'num'],
			['Average', function (conn) { return ms(conn.avg_query_time); }, 'num'],
			['Longest', function (conn) { return ms(conn.max_query_time); }, 'num'],
			['Prepared', function (conn) { return number(conn.prepared_statements); }, 'num']
		], rows)));
}

function settings(pool) {
	if (pool.settings.length === 0) return null;
	return el('details', null, el('summary', null, plural(pool.settings.length, 'setting that is not the default', 'settings that are not the defaults')),
		wide('Settings of ' + fullName(pool), table('Where each comes from: server, role (user mapping), guc (server configuration), session', [
			['Setting', function (setting) { return el('code', null, setting.name); }, 'short'],
			['Value', function (setting) { return el('code', null, known(setting.value) ? setting.value + (setting.unit ? NBSP + setting.unit : '') : NONE); }, 'long'],
			['From', function (setting) { return setting.source; }, 'short']
		], pool.settings)));
}

function poolCard(pool, span) {
	var where = known(pool.host) ? [' to ', el('b', null, (known(pool.remote_user) ? pool.remote_user + '@' : '') + pool.host + ':' + pool.port + '/' + pool.dbname)] : null;

	return el('article', { class: 'card pool', id: pool.id, 'aria-labelledby': pool.id + '-name' },
		el('div', { class: 'pool-head' }, el('h3', { id: pool.id + '-name' }, poolName(pool)),
			stateBadge(pool.state), breakerBadge(pool, 'circuit breaker ')),
		el('p', { class: 'where' }, 'role ', el('b', null, pool.role), where, ', strategy ', el('b', null, pool.strategy)),
		timeLine(pool, span), histograms(pool), numbers(pool), connections(pool), settings(pool));
}

/* ------------------------------------------------------- what is global */

function poolCell(row) { return [row.pool, el('div', { class: 'sub' }, 'role ' + row.role + (row.datname === data.server.database ? '' : ', database ' + row.datname))]; }

function leases() {
	if (data.leases.length === 0) return el('p', { class: 'card empty' }, 'Nobody holds a connection.');
	return el('div', { class: 'card' }, wide('Longest leases', table(
		data.n_leases > data.leases.length ? 'The ' + data.leases.length + ' longest of ' + number(data.n_leases) : 'All of them, the longest first', [
			['Pool', poolCell, 'name'],
			['Held for', function (lease) { return seconds(lease.held_for); }, 'num'],
			['State', function (lease) { return lease.state; }, 'short'],
			['Kind', function (lease) { return [lease.kind, known(lease.name) ? el('div', { class: 'sub' }, lease.name) : null]; }, 'short'],
			['Local process', function (lease) { return String(lease.pid); }, 'num'],
			['Connection', function (lease) { return String(lease.conn_id); }, 'num'],
			['Last query', function (lease) { return known(lease.query) ? el('span', { class: 'code' }, lease.query) : known(lease.query_start) ? el('span', { class: 'sub' }, 'not shown to you') : NONE; }, 'long']
		], data.leases)));
}

function waiters() {
	return el('div', { class: 'card' }, wide('Sessions that wait', table(
		data.n_waiters > data.waiters.length ? 'The ' + data.waiters.length + ' that wait longest of ' + number(data.n_waiters) : 'All of them, the longest first', [
			['Pool', poolCell, 'name'],
			['Waits for', function (waiter) { return seconds(waiter.waited); }, 'num'],
			['Place in the queue', function (waiter) { return number(waiter.position); }, 'num'],
			['Local process', function (waiter) { return String(waiter.pid); }, 'num']
		], data.waiters)));
}

var DURATIONS = ['elapsed', 'next_try_in', 'age', 'held_for', 'timeout', 'longest_lease'];

function details(detail) {
	return Object.keys(detail || {}).map(function (key) {
		var value = detail[key];

		return key.replace(/_/g, ' ') + ' ' + (typeof value === 'number' ? DURATIONS.indexOf(key) >= 0 ? seconds(value) : String(value) :
			typeof value === 'object' ? JSON.stringify(value) : value);
	}).join(', ');
}

function events() {
	var rows = data.events.slice(0, 60);

	if (rows.length === 0) return el('p', { class: 'card empty' }, 'Nothing has happened but that connections were opened and closed.');
	return el('div', { class: 'card' }, wide('Events', table('The latest ' + rows.length + ' but for connections opened and closed, the newest first, times in ' + zoneName, [
		['When', function (event) { return moment(event.at); }, 'short'],
		['Event', function (event) {
			var look = markOf(event.kind);

			return [markSwatch(look[1], look[0]), ' ' + event.kind.replace(/_/g, ' ')];
		}, 'short event'],
		['Pool', poolCell, 'name'],
		['Message', function (event) { return known(event.message) ? event.message : el('span', { class: 'sub' }, 'not shown to you'); }, 'long'],
		['Numbers', function (event) { return el('span', { class: 'sub' }, details(event.detail) || NONE); }, 'long']
	], rows)));
}

/* ----------------------------------------------------------------- page */

function made() {
	var server = data.server, place = server.name ? 'server ' + server.name : 'a server';

	return ['Made ', el('b', null, stamp(madeAt)), ' ' + zoneName + ' by ', el('b', null, place), ', port ' + server.port +
		', database ', el('b', null, server.database), ', for role ', el('b', null, server.user), '. PostgreSQL ' + server.version + ', up since ' +
		moment(server.started_at) + '; enhanced_pool ' + server.extension + '.'];
}

function prepare(pools) {
	pools.forEach(function (pool, i) {
		pool.id = 'pool-' + (i + 1);
		pool.events = eventsOf(pool);
	});
	return pools;
}

function build() {
	var pools = prepare(data.pools), open = pools.filter(isOpen), span = spanOf(open), main = document.getElementById('main');

	document.title = 'Pools of ' + (data.server.name || data.server.database) + ', ' + stamp(madeAt);
	add(document.getElementById('made'), made());
	add(main, [attention(pools), section('pools', 'Pools', summary(pools)),
		open.length > 0 ? section('each', 'Each open pool', open.map(function (pool) { return poolCard(pool, span); })) : null,
		data.waiters.length > 0 ? section('waiters', 'Sessions that wait', waiters()) : null,
		section('leases', 'Longest leases', leases()), section('events', 'Events', events())]);
	add(document.getElementById('footer'), [
		el('p', null, 'This page is a picture of one moment and does not change. It is all in one file, and fetches nothing.'),
		data.server.sees_all ? null : el('p', null, 'Hosts, users, queries and messages that role ' + data.server.user + ' may not see are left out.')]);
	redraw();
	window.addEventListener('resize', redraw);
}

build();
})();
