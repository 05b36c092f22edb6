SELECT count(*), count(t), count(t), count(t) FROM enhanced_pool.execute('bench_tls', 'SELECT repeat(''x'', 8000) FROM generate_series(1, @WIDE_ROWS@)') AS r(t text);
