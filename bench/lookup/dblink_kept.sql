-- dblink on a connection opened once by the session. The client remembers that
-- it has connected (a pgbench variable lives as long as its client), so that
-- each call is one statement: the best that dblink can do.
\if :connected = 0
SELECT dblink_connect('kept', '@REMOTE@');
\set connected 1
\endif
\set id random(1, @ROWS@)
SELECT * FROM dblink('kept', 'SELECT id, name FROM item WHERE id = :id') AS t(id int, name text);
