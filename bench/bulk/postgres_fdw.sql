-- OFFSET 0 keeps the aggregates here: they would be pushed to the remote server
-- and no row would travel.
SELECT count(id), count(label), count(at), count(amount) FROM (SELECT id, label, at, amount FROM remote_reading OFFSET 0) t;
