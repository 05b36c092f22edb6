\set id random(1, @ROWS@)
SELECT * FROM enhanced_pool.execute('bench_bare', 'SELECT id, name FROM item WHERE id = $1', :id) AS t(id int, name text);
