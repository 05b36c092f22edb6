SELECT count(*) FROM enhanced_pool.run_parallel('bench', array_fill('SELECT pg_sleep(0.1)'::text, ARRAY[16]));
