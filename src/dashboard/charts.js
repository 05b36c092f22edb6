
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

	return [5, 7, 10, 15, 20, 30, 45, 60].map(function (minutes) { return minutes * 60e3; })
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
