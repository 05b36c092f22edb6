SELECT count(enhanced_pool.exec('bench', 'SELECT pg_sleep(0.1)')) FROM generate_series(1, 16);
