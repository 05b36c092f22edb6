-- A kept connection to PgBouncer: no connect per call, and still few remote
-- connections.
\if :connected = 0
SELECT dblink_connect('kept', '@POOLER@');
\set connected 1
\endif
\set id random(1, @ROWS@)
SELECT * FROM dblink('kept', 'SELECT id, name FROM item WHERE id = :id') AS t(id int, name text);
