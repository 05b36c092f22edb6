
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
