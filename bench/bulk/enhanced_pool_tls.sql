SELECT count(id), count(label), count(at), count(amount) FROM enhanced_pool.execute('bench_tls', 'SELECT id, label, at, amount FROM reading') AS t(id int, label text, at timestamptz, amount float8);
