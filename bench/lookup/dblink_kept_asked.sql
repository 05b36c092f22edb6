-- The same by a caller that cannot remember (a function, a client behind a
-- local pooler): it asks for the connection first, two statements a call.
\set id random(1, @ROWS@)
SELECT dblink_connect('kept', '@REMOTE@') WHERE NOT 'kept' = ANY (coalesce(dblink_get_connections(), '{}'));
SELECT * FROM dblink('kept', 'SELECT id, name FROM item WHERE id = :id') AS t(id int, name text);
