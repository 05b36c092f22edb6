CREATE ROLE bench_user LOGIN PASSWORD 'bench';
CREATE ROLE bench_bare LOGIN PASSWORD 'bench';
GRANT SELECT ON item, reading TO bench_user, bench_bare;
CREATE TABLE tally (id int PRIMARY KEY, n bigint);
INSERT INTO tally SELECT i, 0 FROM generate_series(1, 10) i;
GRANT SELECT, UPDATE ON tally TO bench_user;
CHECKPOINT;
