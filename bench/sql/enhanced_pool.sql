CREATE EXTENSION enhanced_pool;
CREATE SERVER bench FOREIGN DATA WRAPPER enhanced_pool
  OPTIONS (host :'host', port :'port', dbname 'postgres',
           initial_size :'pool_size', min_size :'pool_size', max_size :'pool_size');
CREATE USER MAPPING FOR bench_local SERVER bench OPTIONS (user 'bench_user', password 'bench');
-- The same with another strategy.
CREATE SERVER bench_throughput FOREIGN DATA WRAPPER enhanced_pool
  OPTIONS (host :'host', port :'port', dbname 'postgres', strategy 'high_throughput',
           initial_size :'pool_size', min_size :'pool_size', max_size :'pool_size');
CREATE USER MAPPING FOR bench_local SERVER bench_throughput OPTIONS (user 'bench_user', password 'bench');
-- The same without statistics.
CREATE SERVER bench_nostats FOREIGN DATA WRAPPER enhanced_pool
  OPTIONS (host :'host', port :'port', dbname 'postgres', stats_enabled 'off',
           initial_size :'pool_size', min_size :'pool_size', max_size :'pool_size');
CREATE USER MAPPING FOR bench_local SERVER bench_nostats OPTIONS (user 'bench_user', password 'bench');
-- The same over TCP, in plain text and encrypted.
CREATE SERVER bench_tcp FOREIGN DATA WRAPPER enhanced_pool
  OPTIONS (host '127.0.0.1', port :'port', dbname 'postgres', sslmode 'disable',
           initial_size :'pool_size', min_size :'pool_size', max_size :'pool_size');
CREATE USER MAPPING FOR bench_local SERVER bench_tcp OPTIONS (user 'bench_user', password 'bench');
CREATE SERVER bench_tls FOREIGN DATA WRAPPER enhanced_pool
  OPTIONS (host '127.0.0.1', port :'port', dbname 'postgres', sslmode 'require',
           initial_size :'pool_size', min_size :'pool_size', max_size :'pool_size');
CREATE USER MAPPING FOR bench_local SERVER bench_tls OPTIONS (user 'bench_user', password 'bench');
-- Encrypted by another process, which listens there.
CREATE SERVER bench_bare FOREIGN DATA WRAPPER enhanced_pool
  OPTIONS (host :'bare', port :'port', dbname 'postgres', sslmode 'disable',
           initial_size :'pool_size', min_size :'pool_size', max_size :'pool_size');
CREATE USER MAPPING FOR bench_local SERVER bench_bare OPTIONS (user 'bench_bare', password 'bench');
GRANT USAGE ON FOREIGN SERVER bench, bench_throughput, bench_nostats, bench_tcp, bench_tls, bench_bare TO bench_local;
