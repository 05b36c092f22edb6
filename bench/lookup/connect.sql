-- With pgbench -C: the price of a local session, which is taken off each peer's.
SELECT 1;
