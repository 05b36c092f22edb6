-- The lock hot spot of section "dynamic": held for a millisecond.
CREATE TABLE hot (id int PRIMARY KEY, n bigint);
INSERT INTO hot VALUES (1, 0);
CREATE FUNCTION heat() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE hot SET n = n + 1 WHERE id = 1;
  PERFORM pg_sleep(0.001);
END $$;
GRANT SELECT, UPDATE ON hot TO bench_user;
