-- A remote server of the soak test: a role for each pool, so that the server itself
-- can say how many connections each has.  The ledger has no unique key: what is
-- written twice has to be seen.
CREATE TABLE ledger (pool text, client int, seq bigint);
CREATE ROLE soak LOGIN;
CREATE ROLE soak_fast LOGIN;
CREATE ROLE soak_narrow LOGIN;
CREATE ROLE soak_follow LOGIN;
CREATE ROLE soak_tls LOGIN;
CREATE ROLE soak_wide LOGIN;
CREATE ROLE soak_brief LOGIN;
GRANT SELECT, INSERT ON ledger TO soak_fast, soak_narrow, soak_follow, soak_tls, soak_wide;
