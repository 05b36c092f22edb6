
/*
 * Draws the page from the data in it.  Names, queries and messages are made
 * text nodes and attribute values, never markup.  Nothing is fetched.
 *
 * One script in three files, which are put together in this order: text.js has
 * what elements and texts are made with, what is said of pools, and tables;
 * charts.js time lines and histograms; page.js the parts of the page.
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
	if (part < whole && value > 99) return Math.floor(value * 10) / 10 + NBSP + '%';	/* not all of them */
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
