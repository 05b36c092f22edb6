CREATE ROLE bench_user LOGIN PASSWORD 'bench';
GRANT SELECT ON item, reading TO bench_user;
CHECKPOINT;
