CREATE EXTENSION enhanced_pool;
CREATE SERVER bench FOREIGN DATA WRAPPER enhanced_pool
  OPTIONS (host :'host', port :'port', dbname 'postgres',
           initial_size :'pool_size', min_size :'pool_size', max_size :'pool_size');
CREATE USER MAPPING FOR bench_local SERVER bench OPTIONS (user 'bench_user', password 'bench');
GRANT USAGE ON FOREIGN SERVER bench TO bench_local;
